//! The project's folder: which files are there, and what a few of them say.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// More of a file is not read.
const MOST_BYTES: u64 = 1 << 20;

/// A folder, or none: then nothing is known to be there.
#[derive(Debug, Clone, Default)]
pub struct Folder(Option<PathBuf>);

impl Folder {
    /// A folder of the disk.
    pub fn at(path: &Path) -> Self {
        Self(Some(path.into()))
    }

    /// Nothing but a text to translate, for tests and fuzzing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Its path, where it has one.
    pub fn path(&self) -> Option<&Path> {
        self.0.as_deref()
    }

    /// A path in it; none for one that leads out of it.
    fn inside(&self, path: &str) -> Option<PathBuf> {
        let clean = path.trim_start_matches("./");
        if clean.starts_with('/') || clean.contains('\0') || clean.split('/').any(|name| name == "..") {
            return None;
        }
        Some(self.0.as_ref()?.join(clean))
    }

    /// Whether something is there.
    pub fn has(&self, path: &str) -> bool {
        self.inside(path).is_some_and(|path| path.symlink_metadata().is_ok())
    }

    /// Whether a folder is there.
    pub fn has_folder(&self, path: &str) -> bool {
        self.inside(path).is_some_and(|path| path.is_dir())
    }

    /// Whether a link to a folder is there.
    pub fn has_link_to_folder(&self, path: &str) -> bool {
        self.inside(path.trim_end_matches('/')).is_some_and(|path| path.is_symlink() && path.is_dir())
    }

    /// Whether a file is there, and no folder.
    pub fn has_file(&self, path: &str) -> bool {
        self.inside(path).is_some_and(|path| path.is_file())
    }

    /// The text of a file, where there is one of a size that people write.
    pub fn text(&self, path: &str) -> Option<String> {
        let path = self.inside(path)?;
        // A pipe would be waited for.
        if !path.is_file() {
            return None;
        }
        let mut text = String::new();
        File::open(path).ok()?.take(MOST_BYTES + 1).read_to_string(&mut text).ok()?;
        (text.len() as u64 <= MOST_BYTES).then_some(text)
    }

    /// A JSON file.
    pub fn json(&self, path: &str) -> Option<serde_json::Value> {
        serde_json::from_str(&self.text(path)?).ok()
    }

    /// A TOML file.
    pub fn toml(&self, path: &str) -> Option<toml::Table> {
        toml::from_str(&self.text(path)?).ok()
    }
}
