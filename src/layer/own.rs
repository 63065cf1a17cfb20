//! What a build itself writes while folders are listed: its output, its reports, its cache. They are no sources, or
//! each build would hold the one before it.
//!
//! They are told by what they are and not by their names, which may lead over links and `..`.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How the names of folders begin in which archives are made.
const SCRATCH: &str = ".dockless-";

/// The file of a scratch folder that its process holds locked, and its name before it is locked.
const SCRATCH_LOCKS: [&str; 2] = ["lock", "lock.new"];

/// What that file holds: a folder of the user's may have such a name, and a file named `lock`.
const SCRATCH_MARK: &[u8] = b"dockless makes an archive here\n";

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
        && path.file_name().is_some_and(|name| name.as_bytes().starts_with(SCRATCH.as_bytes()))
        && SCRATCH_LOCKS.iter().any(|lock| marked(&path.join(lock)).is_some())
}

/// The file of a scratch folder, where this is one.
fn marked(lock: &Path) -> Option<File> {
    let mut file = fs::symlink_metadata(lock).ok().filter(Metadata::is_file).and_then(|_| File::open(lock).ok())?;
    let mut mark = Vec::new();
    (&mut file).take(SCRATCH_MARK.len() as u64 + 1).read_to_end(&mut mark).ok()?;
    (mark == SCRATCH_MARK).then_some(file)
}

/// A folder beside an archive in which it is made, on the same disk; gone when dropped. What a killed process leaves is
/// no source, and removed by the next build.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
    /// Held as long as the folder is in use.
    _lock: File,
}

impl Scratch {
    /// Makes one in a folder, and removes those that killed processes left: nobody holds their lock.
    ///
    /// # Errors
    /// Where the folder cannot be read or written.
    pub fn beside(folder: &Path) -> io::Result<Self> {
        for entry in fs::read_dir(folder)?.flatten() {
            let dead = |lock: File| lock.try_lock().is_ok();
            if entry.file_name().as_bytes().starts_with(SCRATCH.as_bytes())
                && marked(&entry.path().join(SCRATCH_LOCKS[0])).is_some_and(dead)
            {
                // Best effort: what cannot be removed is not in the way.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let folder = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(folder)?;
        // Locked before it has its name: what another build finds unlocked is dead.
        let [held, begun] = SCRATCH_LOCKS.map(|name| folder.path().join(name));
        let mut lock = File::create(&begun)?;
        lock.write_all(SCRATCH_MARK)?;
        lock.lock()?;
        fs::rename(begun, held)?;
        Ok(Self { folder, _lock: lock })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Whether a folder of these names is an image layout, as builds write them and registries that `serve` fills.
pub fn is_layout(names: &[Vec<u8>]) -> bool {
    ["oci-layout", "index.json"].iter().all(|name| names.iter().any(|there| there == name.as_bytes()))
}

/// Whether a file is an archive of an image: by its name, and by the first member, which is the folder `blobs` or, in a
/// docker-archive, a file with a digest for a name.
pub fn is_archive(path: &Path, data: &Metadata) -> bool {
    if !data.is_file() || path.extension().is_none_or(|extension| extension != "tar") {
        return false;
    }
    let mut header = [0; 512];
    if File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_err() || &header[257..262] != b"ustar" {
        return false;
    }
    let name = header[..100].split(|byte| *byte == 0).next().unwrap_or_default();
    let is_digest = |name: &[u8]| name.len() == 64 && name.iter().all(u8::is_ascii_hexdigit);
    name == b"blobs/" || [b".json".as_slice(), b".tar"].iter().any(|end| name.strip_suffix(*end).is_some_and(is_digest))
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
        fs::write(path(".dockless-made/lock"), SCRATCH_MARK).expect("a file");
        fs::write(path(".dockless-env"), "the user's").expect("a file");
        fs::create_dir_all(path(".dockless-own")).expect("a folder");
        fs::write(path(".dockless-own/lock"), "").expect("a file");
        let own = Own::of([path("sub/../oci"), path("not-there-yet")]);
        let holds = |name: &str| own.holds(&path(name), &path(name).symlink_metadata().expect("what it is"));
        assert!(holds("oci") && holds(".dockless-made"));
        assert!(!holds("sub") && !holds(".dockless-env") && !holds(".dockless-own"));
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(&path, bytes).expect("a file");
        };
        file(".dockless-mine/lock", b"");
        file(".dockless-ours/lock", b"my own words");
        let living = Scratch::beside(folder.path()).expect("a folder");
        file(".dockless-dead/lock", SCRATCH_MARK);
        file(".dockless-dead/oci/index.json", b"{}");
        let next = Scratch::beside(folder.path()).expect("a folder");
        assert!(living.folder().exists() && next.folder().exists());
        let there = |name: &str| folder.path().join(name).exists();
        assert!(there(".dockless-mine") && there(".dockless-ours") && !there(".dockless-dead"));
    }
}
