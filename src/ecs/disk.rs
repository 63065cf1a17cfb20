//! Files of a configuration on disk, as far as a stranger's configuration may name them.
//!
//! Paths are resolved with their links before anything is opened. Within a repository only what is below its root is
//! read. Without one, modules may stand as far above the source as `../../..` reaches, but no other file above them.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::terraform::{Files, is_terraform};

/// How large one file may be, and all that are read together.
const MAX_FILE: u64 = 4 << 20;
const MAX_ALL: u64 = 64 << 20;
/// How many names a folder may have.
const MAX_NAMES: usize = 10_000;
/// How far above the source a module may stand where there is no repository.
const CLIMB: usize = 3;

pub(super) struct Disk {
    /// The repository, or how far modules may climb.
    root: PathBuf,
    /// Without a repository: the folders of the modules. Other files are below one of them.
    folders: Option<Mutex<Vec<PathBuf>>>,
    /// The only file of its folder that is meant.
    only: Option<(PathBuf, String)>,
    /// The files that the user named; they may stand anywhere.
    named: Vec<String>,
    left: Mutex<u64>,
}

impl Disk {
    /// For a source that is this folder.
    pub(super) fn new(folder: &Path, only: Option<String>, named: Vec<String>) -> std::io::Result<Self> {
        let folder = folder.canonicalize()?;
        let repository = folder.ancestors().find(|ancestor| ancestor.join(".git").exists());
        let root = repository.unwrap_or_else(|| {
            let above: Vec<&Path> = folder.ancestors().take(CLIMB + 1).collect();
            above.iter().rev().find(|above| above.parent().is_some()).copied().unwrap_or(&folder)
        });
        Ok(Self {
            root: root.into(),
            folders: repository.is_none().then(|| Mutex::new(vec![folder.clone()])),
            only: only.map(|only| (folder, only)),
            named,
            left: Mutex::new(MAX_ALL),
        })
    }

    fn resolve(&self, path: &str) -> Result<PathBuf, String> {
        let resolved = Path::new(path).canonicalize().map_err(|_| "does not exist".to_owned())?;
        if resolved.starts_with(&self.root) {
            Ok(resolved)
        } else {
            Err(format!("stands outside {}, so it is not read", self.root.display()))
        }
    }
}

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Arc<str>, String> {
        let resolved = if self.named.iter().any(|named| named == path) { path.into() } else { self.resolve(path)? };
        if let Some(folders) = &self.folders {
            let folders = folders.lock().map_err(|_| "cannot be read".to_owned())?;
            if !self.named.iter().any(|named| named == path)
                && !folders.iter().any(|folder| resolved.starts_with(folder))
            {
                return Err("stands outside the folders of the modules, so it is not read".into());
            }
        }
        let failed = |error: std::io::Error| format!("cannot be read: {error}");
        // A pipe would keep who opens it waiting.
        if !fs::metadata(&resolved).map_err(failed)?.is_file() {
            return Err("is no file".into());
        }
        let file = File::open(&resolved).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(format!("is larger than {} MiB", MAX_FILE >> 20));
        }
        let mut left = self.left.lock().map_err(|_| "cannot be read".to_owned())?;
        match left.checked_sub(bytes.len() as u64) {
            Some(rest) => *left = rest,
            None => return Err(format!("is one too many: all files are larger than {} MiB", MAX_ALL >> 20)),
        }
        String::from_utf8(bytes).map(Into::into).map_err(|_| "is not UTF-8 text".into())
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        let resolved = self.resolve(folder)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&resolved).map_err(|error| format!("cannot be read: {error}"))?.take(MAX_NAMES) {
            let entry = entry.map_err(|error| format!("cannot be read: {error}"))?;
            if let Ok(name) = entry.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        if let Some((alone, only)) = &self.only
            && *alone == resolved
        {
            names.retain(|name| !is_terraform(name) || name == only);
        }
        if let Some(folders) = &self.folders
            && let Ok(mut folders) = folders.lock()
        {
            folders.push(resolved);
        }
        Ok(names)
    }
}
