//! A plan or state of Terraform from a pull request, to what its task definitions ask for.

#![no_main]

use dockless::ecs::plan;
use dockless::ecs::target::{TargetOptions, select};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(definitions) = plan::parse("plan.json", text) {
        for target in select(definitions, &TargetOptions::default()).unwrap_or_default() {
            let _ = target.json();
        }
    }
});
