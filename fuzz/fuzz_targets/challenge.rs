//! `WWW-Authenticate` of any server.

#![no_main]

use dockless::registry::auth::challenge::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &str| {
    for challenge in parse(header) {
        let _ = challenge.parameter("realm");
    }
});
