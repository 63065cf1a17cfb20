//! A task definition from a pull request in which images are replaced: what comes out can be read, and has them.

#![no_main]

use dockless::ecs::edit::{NewImage, with_images};
use dockless::ecs::json;
use libfuzzer_sys::fuzz_target;

const REFERENCE: &str = "example.com/app:v1";

fuzz_target!(|input: (&str, bool)| {
    let (text, yaml) = input;
    let name = if yaml { "task.yaml" } else { "task.json" };
    let Ok(definitions) = json::parse(name, text) else { return };
    let containers = definitions.iter().flat_map(|definition| &definition.containers);
    let image = |name: &str| NewImage { container: name.to_owned(), reference: REFERENCE.to_owned() };
    let images: Vec<NewImage> = containers.map(|container| image(&container.name)).collect();
    if let Ok(edited) = with_images(name, text, &images) {
        let definitions = json::parse(name, &edited.text).expect("what was edited can be read");
        for container in definitions.iter().flat_map(|definition| &definition.containers) {
            assert_eq!(container.image.value().map(String::as_str), Some(REFERENCE));
        }
    }
});
