//! A Terraform configuration from a pull request, to what its task definitions ask for.

#![no_main]

use std::collections::BTreeMap;

use dockless::ecs::target::{TargetOptions, Variables, select};
use dockless::ecs::terraform;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let files = BTreeMap::from([("main.tf".to_owned(), text.to_owned())]);
    if let Ok(definitions) = terraform::parse(&files, &Variables::default()) {
        for target in select(definitions, &TargetOptions::default()).unwrap_or_default() {
            let _ = target.json();
        }
    }
});
