//! A program from a stranger's image, whole or cut anywhere.

#![no_main]

use dockless::elf::{parse, parse_windows};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let size = bytes.len() as u64;
    let _ = parse(bytes, size);
    let _ = parse(bytes, size.saturating_mul(1 << 20));
    let (first, last) = bytes.split_at(bytes.len() / 2);
    let _ = parse_windows(&[(0, first), (first.len() as u64, last)], size);
});
