//! Task definitions that nobody here wrote: the folder that `DOCKLESS_CORPUS` names. It is not part of the repository,
//! since its files are others'.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder with `expected.json`, and what that file says: a path below the folder leads to what the file there asks
/// for.
pub(crate) fn task_definitions() -> (PathBuf, Value) {
    let named = std::env::var_os("DOCKLESS_CORPUS").expect("DOCKLESS_CORPUS names the folder with expected.json");
    let named = Path::new(&named);
    let folder = if named.join("expected.json").exists() { named.into() } else { named.join("task-definitions") };
    let expected = std::fs::read(folder.join("expected.json")).expect("expected.json");
    (folder, serde_json::from_slice(&expected).expect("JSON"))
}
