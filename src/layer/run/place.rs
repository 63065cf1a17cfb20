//! The folder in which a command's result is made, and kept for the next time.
//!
//! ```text
//! run/0123456789abcdef/     a layer of a recipe, for one platform
//!     lock                  held by the build that uses it
//!     out/                  what the command fills
//!     kept.json             what `out` is the result of; there only while `out` is whole
//!     log                   what the command said the last time
//! ```
//!
//! Its name is made of the recipe, the layer and the platform, never of the time or the process: paths that a command
//! writes into its result are the same each time. A checkout in another folder has other names, but what a result hangs
//! on does not hang on the folder: where there is none at a layer's own name, one of the same key that nobody uses is
//! taken instead ([`Place::with`]). `kept.json` is removed before anything in `out` is touched, and written, flushed
//! and renamed after all of it is there, so a build that is killed leaves a result that nobody takes.
//!
//! Where there is no cache folder it lies in a folder for everyone's temporary files: one that somebody else has made
//! in our name is refused, or they could put what they like into our images.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::mention::{Look, look};
use crate::layout::replace_file;
use crate::oci::digest::Digest;

/// The version of what is kept.
const VERSION: u32 = 1;

/// The file that says what `out` is the result of.
const KEPT: &str = "kept.json";

/// What nobody has asked for in so long is removed.
const FORGOTTEN: Duration = Duration::from_hours(24 * 30);

/// A place that nobody else uses as long as this is there.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    /// Held until this is dropped.
    _lock: File,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    key: Digest,
    entries: u64,
    bytes: u64,
    /// Texts, since JSON has no other; a name that is none is shown, and never opened.
    mentions: Vec<String>,
}

/// The name of the place of a layer: always as long. `recipe` is the recipe's file.
pub fn name(recipe: &Path, layer: &str, platform: &str) -> String {
    let text = [recipe.as_os_str().as_bytes(), layer.as_bytes(), platform.as_bytes()].join(&0);
    Digest::of(&text).encoded()[..16].to_owned()
}

impl Place {
    /// Takes a place, which may mean to wait for another build: `waiting` is called then.
    ///
    /// # Errors
    /// Where it cannot be made, or belongs to another user.
    pub fn take(run: &Path, name: &str, waiting: impl FnOnce()) -> io::Result<Self> {
        if let Some(above) = run.parent() {
            fs::create_dir_all(above)?;
        }
        own_folder(run)?;
        // Links on the way would make two names of one folder, of which tools write the one or the other.
        let run = run.canonicalize()?;
        let folder = run.join(name);
        let mut waiting = Some(waiting);
        let lock = loop {
            own_folder(&folder)?;
            let path = folder.join("lock");
            let lock = File::options().write(true).create(true).truncate(false).open(&path)?;
            match (lock.try_lock(), waiting.take()) {
                (Ok(()), _) => {}
                (Err(TryLockError::WouldBlock), waiting) => {
                    if let Some(waiting) = waiting {
                        waiting();
                    }
                    lock.lock()?;
                }
                (Err(TryLockError::Error(error)), _) => return Err(error),
            }
            // Whoever held it may have removed it as forgotten.
            if path.metadata().is_ok_and(|named| lock.metadata().is_ok_and(|held| held.ino() == named.ino())) {
                break lock;
            }
        };
        // When it was asked for: best effort.
        let _ = lock.set_modified(SystemTime::now());
        forget(&run, &folder);
        Ok(Self { folder, _lock: lock })
    }

    /// The place of another name that has a result of this key, and the files in it that name the folder; `None` where
    /// there is none, or somebody else is using it. It is not waited for: two builds might each have what the other
    /// waits for.
    pub fn with(run: &Path, key: Digest) -> Option<(Self, Vec<String>)> {
        let run = run.canonicalize().ok()?;
        fs::read_dir(&run).ok()?.flatten().find_map(|entry| {
            let folder = entry.path();
            // Read before it is locked: whoever asks for its own place waits for no one who only looks.
            read_kept(&folder).filter(|kept| kept.key == key && is_ours(&folder).unwrap_or(false))?;
            let held = File::options().write(true).open(folder.join("lock")).ok()?;
            held.try_lock().ok()?;
            let _ = held.set_modified(SystemTime::now());
            let place = Self { folder, _lock: held };
            let mentions = place.kept(key)?;
            Some((place, mentions))
        })
    }

    /// The folder that the command fills.
    pub fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// The file that takes what the command says.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn kept_file(&self) -> PathBuf {
        self.folder.join(KEPT)
    }

    /// Whether there is a result of this key: the files in it that name the folder.
    pub fn kept(&self, key: Digest) -> Option<Vec<String>> {
        let kept = read_kept(&self.folder).filter(|kept| kept.key == key)?;
        if !is_folder(&self.out()).ok()? {
            return None;
        }
        // Files that lost their bytes with the power, or that someone has tidied up.
        let now = look(&self.out(), false).ok()?;
        (now.entries == kept.entries && now.bytes == kept.bytes).then_some(kept.mentions)
    }

    /// Forgets the result before, and leaves an empty folder.
    ///
    /// # Errors
    /// Where what is there cannot be removed.
    pub fn empty(&self) -> io::Result<()> {
        for path in [self.kept_file(), self.out()] {
            remove(&path)?;
        }
        fs::create_dir(self.out())?;
        // Whatever the umask says: what may be executed is told by the files, not by it.
        fs::set_permissions(self.out(), Permissions::from_mode(0o755))
    }

    /// What the command has left: `None` where the folder is not there any more, or is something else.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn look(&self) -> io::Result<Option<Look>> {
        if !is_folder(&self.out())? {
            return Ok(None);
        }
        look(&self.out(), true).map(Some)
    }

    /// Keeps the result for the next time.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn keep(&self, key: Digest, look: &Look) -> io::Result<()> {
        let kept = Kept {
            version: VERSION,
            key,
            entries: look.entries,
            bytes: look.bytes,
            mentions: look.mentions.iter().map(|path| path.display().to_string()).collect(),
        };
        replace_file(&self.kept_file(), &serde_json::to_vec(&kept)?)
    }
}

fn read_kept(folder: &Path) -> Option<Kept> {
    let kept: Kept = serde_json::from_slice(&fs::read(folder.join(KEPT)).ok()?).ok()?;
    (kept.version == VERSION).then_some(kept)
}

/// Makes a folder that is ours alone, or sees that the one that is there is.
fn own_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if is_ours(path)? {
        return Ok(());
    }
    let message = format!("{} is not a folder of this user alone; remove it", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Whether a path is a folder into which nobody else may write.
fn is_ours(path: &Path) -> io::Result<bool> {
    let data = path.symlink_metadata()?;
    Ok(data.is_dir() && data.uid() == rustix::process::geteuid().as_raw() && data.mode() & 0o022 == 0)
}

fn is_folder(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(data) => Ok(data.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a file, or a folder with all that is in it, also where a command has taken the right to write from it.
fn remove(path: &Path) -> io::Result<()> {
    let data = match path.symlink_metadata() {
        Ok(data) => data,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !data.is_dir() {
        return fs::remove_file(path);
    }
    fs::remove_dir_all(path).or_else(|_| {
        open_up(path)?;
        fs::remove_dir_all(path)
    })
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes places that nobody has asked for in a long time. Best effort: what is in use or cannot be removed stays.
fn forget(run: &Path, but: &Path) {
    let Ok(entries) = fs::read_dir(run) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path != but) {
        let Ok(lock) = File::open(path.join("lock")) else { continue };
        let long_ago = |data: fs::Metadata| data.modified().ok()?.elapsed().ok();
        let forgotten = lock.metadata().ok().and_then(long_ago).is_some_and(|ago| ago > FORGOTTEN);
        if forgotten && lock.try_lock().is_ok() {
            let _ = remove(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(run: &Path, name: &str) -> Place {
        Place::take(run, name, || ()).expect("a place")
    }

    #[test]
    fn a_result_is_taken_while_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("cache/run");
        let place = take(&run, "a");
        let (key, other) = (Digest::of(b"key"), Digest::of(b"other"));
        place.empty().expect("empty");
        assert_eq!(place.kept(key), None);
        fs::write(place.out().join("file"), place.out().display().to_string()).expect("a file");
        let look = place.look().expect("readable").expect("a folder");
        place.keep(key, &look).expect("kept");
        assert_eq!(place.kept(key), Some(vec!["file".into()]));
        assert_eq!(place.kept(other), None);
        fs::write(place.out().join("file"), "").expect("a file");
        assert_eq!(place.kept(key), None, "its bytes are gone");
        place.keep(key, &place.look().expect("readable").expect("a folder")).expect("kept");
        assert!(place.kept(key).is_some());
        place.empty().expect("empty");
        assert!(place.kept(key).is_none() && !place.kept_file().exists());
    }

    #[test]
    fn what_cannot_be_written_can_be_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = take(&folder.path().join("run"), "a");
        place.empty().expect("empty");
        fs::create_dir_all(place.out().join("mod/v1")).expect("a folder");
        fs::write(place.out().join("mod/v1/x"), "").expect("a file");
        for path in ["mod/v1", "mod"] {
            fs::set_permissions(place.out().join(path), Permissions::from_mode(0o555)).expect("a mode");
        }
        place.empty().expect("empty");
        // A link in its place is no folder, and is not followed.
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).expect("a folder");
        fs::write(outside.join("x"), "").expect("a file");
        fs::remove_dir(place.out()).expect("removed");
        std::os::unix::fs::symlink(&outside, place.out()).expect("a link");
        assert_eq!(place.look().expect("readable"), None);
        place.empty().expect("empty");
        assert!(outside.join("x").exists() && place.look().expect("readable").is_some());
    }

    #[test]
    fn a_place_is_for_one_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("run");
        let first = take(&run, "a");
        let waited = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                Place::take(&run, "a", || waited.store(true, std::sync::atomic::Ordering::Relaxed)).expect("a place")
            });
            while !waited.load(std::sync::atomic::Ordering::Relaxed) {
                std::thread::yield_now();
            }
            assert!(!second.is_finished());
            drop(first);
            second.join().expect("a thread");
        });
    }

    #[test]
    fn what_is_forgotten_is_removed_and_what_is_open_to_others_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("run");
        let old = take(&run, "old");
        old.empty().expect("empty");
        let long_ago = SystemTime::now().checked_sub(FORGOTTEN * 2).expect("a time");
        let age = || File::options().write(true).open(run.join("old/lock")).expect("a lock").set_modified(long_ago);
        age().expect("a time");
        drop(take(&run, "new"));
        assert!(run.join("old").exists(), "it is in use");
        drop(old);
        drop(take(&run, "new"));
        assert!(!run.join("old").exists() && run.join("new").exists());
        fs::set_permissions(&run, Permissions::from_mode(0o777)).expect("a mode");
        let error = Place::take(&run, "new", || ()).expect_err("anyone may write there");
        assert!(error.to_string().contains("not a folder of this user alone"), "{error}");
    }

    #[test]
    fn a_result_is_found_under_another_name_where_nobody_uses_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("run");
        let key = Digest::of(b"key");
        let place = take(&run, "a");
        place.empty().expect("empty");
        fs::write(place.out().join("file"), "x").expect("a file");
        place.keep(key, &place.look().expect("readable").expect("a folder")).expect("kept");
        let own = take(&run, "b");
        assert!(Place::with(&run, key).is_none(), "it is in use");
        let out = place.out();
        drop(place);
        let (found, mentions) = Place::with(&run, key).expect("a result");
        assert_eq!((found.out(), mentions), (out, Vec::new()));
        assert!(Place::with(&run, key).is_none(), "it is in use again");
        drop((found, own));
        assert!(Place::with(&run, Digest::of(b"other")).is_none());
        fs::write(run.join("a/out/file"), "").expect("a file");
        assert!(Place::with(&run, key).is_none(), "its bytes are gone");
    }

    #[test]
    fn names_are_always_as_long() {
        let all = [("/a/dockless.toml", "deps", "linux/amd64"), ("/a/dockless.toml", "deps", "linux/arm64")];
        let names = all.map(|(recipe, layer, platform)| name(Path::new(recipe), layer, platform));
        assert!(names.iter().all(|name| name.len() == 16) && names[0] != names[1]);
    }
}
