//! What the result of a command depends on: files, folders with everything below them, and globs, as a fingerprint that
//! is another as soon as one of them is.
//!
//! Of a file its path, its content and whether its owner may execute it count; of a link its target and what it leads
//! to in the recipe's folder, or anywhere where the recipe names it itself. Folders count by what they hold, as a
//! checkout has no empty ones.

use std::collections::btree_map::Entry::Vacant;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::blob::digest_of;
use crate::layer::own::Own;
use crate::layer::pattern::glob;
use crate::oci::digest::Digest;

/// Why inputs have no fingerprint.
#[derive(Debug, Error)]
pub enum InputError {
    /// Nothing has this name.
    #[error("{0} does not exist")]
    Absent(String),
    /// Nothing matches this glob.
    #[error("nothing matches {0}")]
    Nothing(String),
    /// The glob is not well-formed, or a folder on its way cannot be read.
    #[error(transparent)]
    Glob(#[from] glob::GlobError),
    /// Something cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// What.
        path: String,
        /// Why.
        source: io::Error,
    },
}

fn read(path: &Path) -> impl FnOnce(io::Error) -> InputError {
    let path = path.display().to_string();
    move |source| InputError::Read { path, source }
}

/// What inputs are, one after the other.
pub struct Inputs<'a> {
    folder: &'a Path,
    /// What the build itself writes: no inputs, or each build would be another.
    own: &'a Own,
    /// What each path is, by its name from the folder.
    found: BTreeMap<PathBuf, String>,
    /// Folders that were looked through: links may lead to them again.
    walked: BTreeSet<PathBuf>,
}

impl<'a> Inputs<'a> {
    /// None, below a folder that is named absolutely.
    pub fn below(folder: &'a Path, own: &'a Own) -> Self {
        Self { folder, own, found: BTreeMap::new(), walked: BTreeSet::new() }
    }

    /// Adds what a path or glob names.
    ///
    /// # Errors
    /// Where that is nothing, or cannot be read.
    pub fn add(&mut self, written: &str) -> Result<(), InputError> {
        let path = self.folder.join(written);
        // A file may be named like a glob: what exists is meant as it stands.
        if let Ok(data) = path.symlink_metadata() {
            self.thing(&path, &data)?;
            // A link that is written down is meant with what it leads to, wherever that is; if that is nothing, it is
            // no more than its target.
            return match fs::metadata(&path) {
                Ok(behind) if data.is_symlink() => self.behind(&path, &behind),
                _ => Ok(()),
            };
        }
        if !glob::is_glob(written) {
            return Err(InputError::Absent(written.into()));
        }
        let paths = glob::expand(self.folder, written)?;
        if paths.is_empty() {
            return Err(InputError::Nothing(written.into()));
        }
        for path in paths {
            let data = path.symlink_metadata().map_err(read(&path))?;
            self.thing(&path, &data)?;
        }
        Ok(())
    }

    /// What a link leads to, under the link's name.
    fn behind(&mut self, path: &Path, data: &Metadata) -> Result<(), InputError> {
        if data.is_dir() {
            return self.folder(path);
        }
        let (name, what) = (self.name(path).join("->"), what(path, data)?);
        self.found.insert(name, what);
        Ok(())
    }

    fn thing(&mut self, path: &Path, data: &Metadata) -> Result<(), InputError> {
        if data.is_dir() {
            return self.folder(path);
        }
        // Each is read once, however many inputs it is part of.
        let Vacant(place) = self.found.entry(self.name(path)) else { return Ok(()) };
        place.insert(what(path, data)?);
        // What a link leads to in here counts by its own name, so it does not matter which way it is found first.
        let behind = data.is_symlink().then(|| path.canonicalize().ok()).flatten();
        let Some(behind) = behind.filter(|behind| self.is_ours(behind)) else { return Ok(()) };
        let data = behind.symlink_metadata().map_err(read(&behind))?;
        if self.own.holds(&behind, &data) { Ok(()) } else { self.thing(&behind, &data) }
    }

    /// Whether a path is in the recipe's folder, and not that folder itself or what it lies in.
    fn is_ours(&self, path: &Path) -> bool {
        path.strip_prefix(self.folder).is_ok_and(|below| !below.as_os_str().is_empty())
    }

    fn folder(&mut self, folder: &Path) -> Result<(), InputError> {
        if !self.walked.insert(folder.into()) {
            return Ok(());
        }
        for entry in fs::read_dir(folder).map_err(read(folder))? {
            let entry = entry.map_err(read(folder))?;
            let path = entry.path();
            let data = path.symlink_metadata().map_err(read(&path))?;
            if self.own.holds(&path, &data) {
                continue;
            }
            self.thing(&path, &data)?;
        }
        Ok(())
    }

    fn name(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.folder).unwrap_or(path).into()
    }

    /// The fingerprint of all.
    pub fn fingerprint(&self) -> Digest {
        let mut text = Vec::new();
        for (name, what) in &self.found {
            let name = name.as_os_str().as_bytes();
            text.extend_from_slice(&(name.len() as u64).to_le_bytes());
            text.extend_from_slice(name);
            text.extend_from_slice(what.as_bytes());
            text.push(b'\n');
        }
        Digest::of(&text)
    }
}

/// What a file, link or device is, in a word that changes with it.
fn what(path: &Path, data: &Metadata) -> Result<String, InputError> {
    let kind = data.file_type();
    if kind.is_file() {
        let digest = File::open(path).and_then(digest_of).map_err(read(path))?;
        let executable = if data.mode() & 0o100 == 0 { "file" } else { "program" };
        return Ok(format!("{executable} {digest}"));
    }
    if kind.is_symlink() {
        let target = fs::read_link(path).map_err(read(path))?;
        return Ok(format!("link {}", Digest::of(target.as_os_str().as_bytes())));
    }
    // To read from one might never end.
    Ok(if kind.is_fifo() || kind.is_socket() { "pipe" } else { "device" }.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn each_change_is_another_fingerprint() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let path = |name: &str| root.join(name);
        for name in ["src/a/x.js", "src/y.js", "lock", "shared/s", "oci/blob", "conf/deep/c"] {
            fs::create_dir_all(path(name).parent().expect("a folder")).expect("a folder");
            fs::write(path(name), name).expect("a file");
        }
        symlink("y.js", path("src/link")).expect("a link");
        symlink("shared", path("linked")).expect("a link");
        // One brings in what it leads to, though nothing names that; others lead in a circle, or out of here.
        for (target, link) in
            [("../conf", "src/conf"), ("..", "conf/up"), ("/", "conf/out"), ("../src", "conf/deep/src")]
        {
            symlink(target, path(link)).expect("a link");
        }
        let own = Own::of([path("oci")]);
        let print = |names: &[&str]| {
            let mut inputs = Inputs::below(root, &own);
            names.iter().try_for_each(|name| inputs.add(name)).map(|()| inputs.fingerprint())
        };
        let all = || print(&["src", "lock", "linked"]).expect("a fingerprint");
        let mut seen = vec![all()];
        assert_eq!(print(&["src/**", "l?ck", "linked", "src/y.js"]).expect("the same"), seen[0]);
        let changes: [&dyn Fn() -> io::Result<()>; 8] = [
            &|| fs::write(path("conf/deep/c"), "another"),
            &|| fs::write(path("lock"), "lock "),
            &|| fs::set_permissions(path("lock"), fs::Permissions::from_mode(0o744)),
            &|| fs::rename(path("src/y.js"), path("src/z.js")),
            &|| fs::remove_file(path("src/link")).and_then(|()| symlink("z.js", path("src/link"))),
            &|| fs::write(path("src/a/new"), ""),
            &|| fs::write(path("shared/s"), "another"),
            &|| fs::remove_file(path("src/a/x.js")),
        ];
        for (number, change) in changes.iter().enumerate() {
            change().expect("a change");
            let now = all();
            assert!(!seen.contains(&now), "change {number}");
            seen.push(now);
        }
        fs::create_dir(path("src/empty")).expect("a folder");
        fs::set_permissions(path("lock"), fs::Permissions::from_mode(0o700)).expect("a mode");
        assert_eq!(seen.last(), Some(&all()), "neither an empty folder nor other bits of a mode matter");
        let whole = print(&["."]).expect("a fingerprint");
        fs::write(path("oci/blob"), "the build's own").expect("a file");
        assert_eq!(print(&["."]).expect("a fingerprint"), whole);
        assert!(matches!(print(&["absent"]), Err(InputError::Absent(_))));
        assert!(matches!(print(&["*.py"]), Err(InputError::Nothing(_))));
        assert!(matches!(print(&["[a"]), Err(InputError::Glob(_))));
    }
}
