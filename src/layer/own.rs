//! What a build itself writes while folders are listed: its output, its reports, its cache. They are no sources, or each
//! build would hold the one before it.
//!
//! They are told by what they are and not by their names, which may lead over links and `..`.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How the names of folders begin in which archives are made.
pub const SCRATCH: &[u8] = b".dockless-";

/// The file of a scratch folder that its process holds locked, and its name before it is locked.
pub const SCRATCH_LOCKS: [&str; 2] = ["lock", "lock.new"];

/// Files and folders that a build writes.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// Device and inode.
    things: Vec<(u64, u64)>,
}

impl Own {
    /// What is there of these. What is not there yet cannot be listed either.
    pub fn of<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Self {
        let there = |path: P| fs::metadata(path).ok().map(|data| (data.dev(), data.ino()));
        Self { things: paths.into_iter().filter_map(there).collect() }
    }

    /// Whether this is one of them, or a folder in which an archive is made, of this build or of one that was killed.
    pub fn holds(&self, path: &Path, data: &Metadata) -> bool {
        self.things.contains(&(data.dev(), data.ino())) || is_scratch(path, data)
    }
}

fn is_scratch(path: &Path, data: &Metadata) -> bool {
    data.is_dir()
        && path.file_name().is_some_and(|name| name.as_bytes().starts_with(SCRATCH))
        && SCRATCH_LOCKS.iter().any(|lock| path.join(lock).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_writes_is_known_by_any_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("oci")).expect("a folder");
        fs::create_dir_all(path("sub")).expect("a folder");
        fs::create_dir_all(path(".dockless-made")).expect("a folder");
        fs::write(path(".dockless-made/lock"), "").expect("a file");
        fs::write(path(".dockless-env"), "the user's").expect("a file");
        fs::create_dir_all(path(".dockless-own")).expect("a folder");
        let own = Own::of([path("sub/../oci"), path("not-there-yet")]);
        let holds = |name: &str| own.holds(&path(name), &path(name).symlink_metadata().expect("what it is"));
        assert!(holds("oci") && holds(".dockless-made"));
        assert!(!holds("sub") && !holds(".dockless-env") && !holds(".dockless-own"));
    }
}
