//! A layer's blob from a stranger's registry: what is inside it, whatever its compression.

#![no_main]

use dockless::layer::sniff::{compression, contents, decompress};
use libfuzzer_sys::fuzz_target;
use std::io::Read;

fuzz_target!(|bytes: &[u8]| {
    // What a few bytes may inflate to is the caller's matter: here it is cut off.
    if let Ok(tar) = decompress(bytes, compression(bytes)) {
        let _ = contents(tar.take(4 << 20));
    }
});
