//! A reference is what it is parsed from, or is refused.

#![no_main]

use dockless::oci::reference::Reference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        let again: Reference = reference.to_string().parse().expect("what we write we read");
        assert_eq!(again, reference);
    }
});
