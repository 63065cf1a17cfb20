//! A task definition from a pull request, as JSON or YAML, to what it asks for.

#![no_main]

use dockless::ecs::json;
use dockless::ecs::target::{TargetOptions, select};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(definitions) = json::parse("task.json", text) {
        for target in select(definitions, &TargetOptions::default()).unwrap_or_default() {
            let _ = target.json();
        }
    }
});
