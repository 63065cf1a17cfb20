//! A recipe from a pull request; the place of an error lies within its text.

#![no_main]

use std::path::Path;

use dockless::image::recipe::Recipe;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Recipe::parse("dockless.toml", text, Path::new(".")) {
        if let Some(place) = error.place {
            let _ = (place.excerpt().len(), place.line_and_column());
        }
    }
});
