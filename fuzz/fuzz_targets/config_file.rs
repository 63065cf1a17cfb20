//! An image configuration, whole or in part, that a recipe names.

#![no_main]

use dockless::image::recipe::config_file::parse_config_file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = parse_config_file("config.json", text) {
        if let Some(place) = error.place {
            let _ = (place.excerpt().len(), place.line_and_column());
        }
    }
});
