//! The files of a project's tools, from anywhere: what they become is a recipe in TOML.

#![no_main]

use dockless::project::detect::recipe;
use dockless::project::folder::Folder;
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 7] =
    ["go.mod", "Cargo.toml", "uv.lock", "pyproject.toml", "requirements.txt", "package.json", "package-lock.json"];

fuzz_target!(|input: (u8, &[u8], u8, &[u8])| {
    let folder = std::env::temp_dir().join(format!("dockless-fuzz-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).expect("a folder");
    for (name, bytes) in [(input.0, input.1), (input.2, input.3)] {
        std::fs::write(folder.join(NAMES[usize::from(name) % NAMES.len()]), bytes).expect("a file");
    }
    if let Some(made) = recipe(&Folder::at(&folder)) {
        toml::from_str::<toml::Table>(&made.text).expect("what is made can be read");
    }
});
