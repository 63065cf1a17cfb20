//! Patterns of a `.dockerignore` and any path: no pattern takes for ever.

#![no_main]

use dockless::layer::pattern::Patterns;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8])| {
    let (text, path) = input;
    if let Ok(patterns) = Patterns::parse(text) {
        let _ = patterns.excludes(path);
        let _ = patterns.descent().may_reinclude_below(path);
    }
});
