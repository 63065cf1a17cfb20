//! An archive from anywhere: read to its end, data included, without a panic or unbounded memory.

#![no_main]

use dockless::layer::untar::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    let mut buffer = [0; 700];
    while let Ok(Some(entry)) = reader.next_entry() {
        assert!(!entry.path.starts_with(b"/") && !entry.path.split(|byte| *byte == b'/').any(|part| part == b".."));
        while reader.read_data(&mut buffer).is_ok_and(|count| count > 0) {}
    }
});
