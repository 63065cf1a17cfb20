//! A Dockerfile from anywhere; the place of an error lies within its text, and what it becomes is TOML.

#![no_main]

use dockless::project::folder::Folder;
use dockless::project::init::from_dockerfile;
use dockless::project::translate::Wanted;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match from_dockerfile("Dockerfile", text, &Folder::none(), &Wanted::default()) {
        Ok(made) => {
            let layers = made.text.lines().filter(|line| *line == "[[layer]]").count();
            assert!(layers <= text.len() + 1);
        }
        Err(error) => {
            if let Some(place) = error.place {
                let _ = (place.excerpt().len(), place.line_and_column());
            }
        }
    }
});
