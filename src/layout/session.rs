//! Work on a layout: what it brings stays if it is finished, and is taken back if it is not.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::json;

use super::hold::Hold;
use super::{BlobWriter, IMAGE_NAME, Layout, LayoutError, REF_NAME, TEMPORARY, failed, name, temporary};
use crate::blob::reach::{Document, reach};
use crate::mutex::lock;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::Index;
use crate::oci::media_type::{self, kind};

impl Layout {
    /// Begins to write: makes the layout where there is none yet.
    ///
    /// # Errors
    /// Where the folder holds other things than a layout, or cannot be written.
    pub fn session(root: &Path) -> Result<Session, LayoutError> {
        let layout = Self { root: root.to_owned() };
        let blobs = root.join("blobs");
        // Another session that fails may take the folders back under our feet, but not for ever.
        let mut tries = 0..100;
        loop {
            let again = tries.next().is_some();
            if !layout.is_beginning().map_err(failed("read", root))? && !Self::is_layout(root) {
                return Err(LayoutError::NotALayout {
                    path: root.display().to_string(),
                    reason: "the folder is not empty and has no file oci-layout; choose another folder".into(),
                });
            }
            let folder = blobs.join("sha256");
            let mut made = match MadeFolders::all(&folder) {
                Err(error) if again && error.kind() == io::ErrorKind::NotFound => continue,
                made => made.map_err(failed("create", &folder))?,
            };
            let lock = match File::open(&blobs) {
                Err(error) if again && error.kind() == io::ErrorKind::NotFound => continue,
                lock => lock.map_err(failed("open", &blobs))?,
            };
            lock.lock_shared().map_err(failed("lock", &blobs))?;
            if again && (!folder.is_dir() || !is_file_at(&lock, &blobs)) {
                made.keep();
                continue;
            }
            let fresh = !Self::is_layout(root);
            let (brought, whole) = Default::default();
            let session = Session { layout, made, lock: Some(lock), fresh, brought, whole, finished: false };
            if fresh {
                let index = Index::new(Vec::new(), std::collections::BTreeMap::new());
                session.layout.begin("index.json", &crate::oci::canonical(&index))?;
                session.layout.begin("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string().as_bytes())?;
            }
            return Ok(session);
        }
    }

    /// Whether the folder has nothing, or no more than a layout has before its first blob: another session makes it at
    /// this moment, or was killed while it did.
    fn is_beginning(&self) -> io::Result<bool> {
        let names = |folder: &Path| match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            entries => entries?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
        };
        let own = |names: io::Result<Vec<String>>, known: &[&str]| -> io::Result<bool> {
            Ok(names?.iter().all(|name| known.contains(&name.as_str()) || name.starts_with(TEMPORARY)))
        };
        let blobs = self.root.join("blobs");
        let has_index = self.root.join("index.json").exists();
        Ok(own(names(&self.root), &["blobs", "index.json"])?
            && own(names(&blobs), &["sha256"])?
            && own(names(&blobs.join("sha256")), &[])?
            && (!has_index || self.index().is_ok_and(|index| index.manifests.is_empty())))
    }

    /// Writes a file of a new layout. Where another session has written it, that stays.
    fn begin(&self, name: &str, bytes: &[u8]) -> Result<(), LayoutError> {
        let path = self.root.join(name);
        let write = || {
            let mut file = temporary(&self.root)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            match file.persist_noclobber(&path) {
                Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
                _ => File::open(&self.root)?.sync_all(),
            }
        };
        write().map_err(failed("write", &path))
    }
}

/// Whether an open file is still what stands at a path.
fn is_file_at(file: &File, path: &Path) -> bool {
    let id = |data: fs::Metadata| (data.dev(), data.ino());
    file.metadata().ok().map(id) == fs::metadata(path).ok().map(id)
}

/// Work on a layout, from the first blob to the new `index.json`.
pub struct Session {
    pub(super) layout: Layout,
    /// The folders that the session made. Taken back before the lock is let go, which is dropped next.
    made: MadeFolders,
    lock: Option<File>,
    fresh: bool,
    brought: Mutex<BTreeSet<Digest>>,
    /// Blobs that are known to be whole.
    whole: Mutex<BTreeSet<Digest>>,
    finished: bool,
}

impl Session {
    /// The layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A temporary file that becomes a blob; give it back to [`Session::commit`].
    ///
    /// # Errors
    /// Where no file can be made in the layout.
    pub fn writer(&self) -> Result<BlobWriter, LayoutError> {
        self.layout.writer()
    }

    /// Commits a blob and remembers it as brought by this session.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn commit(&self, writer: BlobWriter) -> Result<(Digest, u64), LayoutError> {
        let digest = writer.tally.digest();
        let known = self.layout.blob_path(digest).exists();
        let (digest, size) = writer.commit()?;
        self.remember(digest, !known);
        Ok((digest, size))
    }

    /// Whether the layout has a blob, and whole. One that this session has neither written nor asked for before is put
    /// to the proof.
    pub fn holds(&self, descriptor: &Descriptor, proof: impl FnOnce(&Path) -> bool) -> bool {
        if !self.layout.contains(descriptor) {
            return false;
        }
        let known = lock(&self.whole).contains(&descriptor.digest);
        let is_whole = known || proof(&self.layout.blob_path(descriptor.digest));
        if is_whole {
            self.remember(descriptor.digest, false);
        }
        is_whole
    }

    /// Takes a blob that another folder has, whole, in the place of whatever has its name here: by a link where the
    /// disk is the same. What is copied is held to its digest.
    ///
    /// # Errors
    /// Where the layout does not take it, or `file` is not what it should be.
    pub fn adopt(&self, (path, mut file): (&Path, &File), descriptor: &Descriptor) -> Result<(), LayoutError> {
        let digest = descriptor.digest;
        let known = self.layout.blob_path(digest).exists();
        if !self.link(path, file, descriptor)? {
            let mut writer = self.writer()?;
            file.rewind().and_then(|()| io::copy(&mut file, &mut writer)).map_err(failed("copy", path))?;
            if writer.commit_as(digest)?.is_none() {
                let damaged =
                    io::Error::new(io::ErrorKind::InvalidData, "its bytes have another digest: remove the file");
                return Err(failed("copy", path)(damaged));
            }
        }
        self.remember(digest, !known);
        Ok(())
    }

    /// Makes a file the blob of a descriptor, where that takes no copy.
    fn link(&self, path: &Path, file: &File, descriptor: &Descriptor) -> Result<bool, LayoutError> {
        let (folder, to) = (self.layout.root.join("blobs/sha256"), self.layout.blob_path(descriptor.digest));
        // It is there already: whether it is whole, a link cannot tell.
        if is_file_at(file, &to) {
            return Ok(false);
        }
        // The other build's umask may have been another one: a link would be open to more or fewer than what is made
        // here.
        let made = temporary(&folder).and_then(|made| made.as_file().metadata()).map_err(failed("write", &folder))?;
        if !file.metadata().is_ok_and(|data| data.mode() == made.mode() && data.len() == descriptor.size) {
            return Ok(false);
        }
        let Ok(link) = tempfile::Builder::new().prefix(TEMPORARY).make_in(&folder, |at| fs::hard_link(path, at)) else {
            return Ok(false);
        };
        let link = link.into_temp_path();
        if !is_file_at(file, &link) {
            return Ok(false);
        }
        link.persist(&to).map_err(|error| failed("write", &to)(error.error))?;
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed("write", &folder))?;
        Ok(true)
    }

    /// A blob is whole; and if it is new, it goes where the session comes to nothing.
    fn remember(&self, digest: Digest, is_new: bool) {
        lock(&self.whole).insert(digest);
        if is_new {
            lock(&self.brought).insert(digest);
        }
    }

    /// Writes a document.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<(Digest, u64), LayoutError> {
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(failed("write", &self.layout.root))?;
        self.commit(writer)
    }

    /// Puts images into `index.json`: each entry replaces the one of the same name, a nameless one the nameless images.
    /// Blobs that nothing refers to any more are removed, unless another process is writing. What is there then is held
    /// for whoever reads it.
    ///
    /// # Errors
    /// Where the index cannot be read or written.
    pub fn finish(mut self, entries: Vec<Descriptor>) -> Result<Hold, LayoutError> {
        self.layout.update(|index| {
            for entry in entries {
                self.layout.make_way(index, &entry);
                index.manifests.push(entry);
            }
        })?;
        Ok(self.end(|layout| layout.index().ok().and_then(|index| layout.needed(&index))))
    }

    /// Ends the work as it stands: whatever there is stays. Temporary files that dead processes left are removed,
    /// unless another process is writing.
    pub fn keep(mut self) {
        self.end(|_| None);
    }

    /// Removes what need not stay, where nobody else is at work.
    fn end(&mut self, needed: impl FnOnce(&Layout) -> Option<BTreeSet<Digest>>) -> Hold {
        self.finished = true;
        self.made.keep();
        let lock = self.lock.take().filter(|lock| {
            if lock.try_lock().is_ok() {
                // A damaged entry of someone else must not fail a build that is done: its blobs just stay.
                let _ = self.layout.sweep(needed(&self.layout).as_ref());
            }
            // Also where the lock was not to be had: the attempt has let go of the shared one (flock(2)).
            lock.lock_shared().is_ok()
        });
        Hold::with(lock)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // Another session may count on what this one brought: then all of it stays, and whoever is the last to finish
        // sweeps it.
        if self.lock.as_ref().is_none_or(|lock| lock.try_lock().is_err()) {
            self.made.keep();
            return;
        }
        // The best that can be done on the way out of a failure. What a session that has finished refers to is its own.
        let index = self.layout.index();
        let used = index.as_ref().ok().and_then(|index| self.layout.needed(index));
        if let Some(used) = used {
            for digest in lock(&self.brought).difference(&used) {
                let _ = fs::remove_file(self.layout.blob_path(*digest));
            }
        }
        if self.fresh && index.is_ok_and(|index| index.manifests.is_empty()) {
            for name in ["oci-layout", "index.json"] {
                let _ = fs::remove_file(self.layout.root.join(name));
            }
        }
    }
}

impl Layout {
    /// Takes away the entries in whose place a new one comes.
    pub fn make_way(&self, index: &mut Index, new: &Descriptor) {
        index.manifests.retain(|old| !self.gives_way(old, new));
    }

    fn gives_way(&self, old: &Descriptor, new: &Descriptor) -> bool {
        match (name(old), name(new)) {
            (None, None) => !self.is_attached(old),
            // Other tools tell images by the tag alone, and would have two of this one.
            (Some(old_name), Some(new_name)) => {
                let is_bare = !old.annotations.contains_key(IMAGE_NAME);
                old_name == new_name || is_bare && new.annotations.get(REF_NAME).is_some_and(|tag| tag == old_name)
            }
            _ => false,
        }
    }

    /// Whether this is no image but what somebody keeps beside one: a signature, an SBOM, a chart.
    fn is_attached(&self, entry: &Descriptor) -> bool {
        let mut attached = entry.artifact_type.is_some()
            || !matches!(kind(&entry.media_type), media_type::Kind::Index | media_type::Kind::Manifest);
        // One that cannot be read is nobody's.
        let _ = reach(self, std::slice::from_ref(entry), &mut |found, _, document| {
            attached |= found.digest == entry.digest
                && match document {
                    Document::Index(index) => index.artifact_type.is_some() || index.subject.is_some(),
                    Document::Manifest(manifest) => {
                        manifest.artifact_type.is_some()
                            || manifest.subject.is_some()
                            || kind(&manifest.config.media_type) != media_type::Kind::Config
                    }
                };
        });
        attached
    }
}

/// Folders that did not exist. Dropped, they are removed where nothing came into them.
pub struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    /// Makes a folder and all above it that are missing.
    ///
    /// # Errors
    /// Where one cannot be made.
    pub fn all(folder: &Path) -> io::Result<Self> {
        let missing = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let made = Self(missing.map(Path::to_owned).collect());
        fs::create_dir_all(folder).map(|()| made)
    }

    /// Lets them stay.
    pub fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for folder in &self.0 {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type::MediaType;

    fn image(session: &Session, content: &str, name: &str) -> Descriptor {
        let (config, size) = session.put(b"{}").expect("a blob");
        let (layer, layer_size) = session.put(content.as_bytes()).expect("a blob");
        let manifest = crate::oci::manifest::Manifest::new(
            Descriptor::new(MediaType::ImageConfig, config, size),
            vec![Descriptor::new(MediaType::ImageLayer, layer, layer_size)],
            std::collections::BTreeMap::new(),
        );
        let bytes = crate::oci::canonical(&manifest);
        session.put(&bytes).expect("a blob");
        let mut entry = Descriptor::of(MediaType::ImageManifest, &bytes);
        entry.annotations.insert(IMAGE_NAME.into(), name.into());
        entry
    }

    /// Every blob that the index reaches is there.
    fn whole(layout: &Layout) -> bool {
        let index = layout.index().expect("an index");
        let needed = layout.needed(&index).expect("documents");
        needed.iter().all(|digest| layout.blob_path(*digest).exists())
    }

    #[test]
    fn a_session_that_fails_takes_nothing_from_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("oci");
        // The first makes the layout and brings blobs that the second needs as well.
        let first = Layout::session(&root).expect("a session");
        image(&first, "shared", "a/b:1");
        let second = Layout::session(&root).expect("a session");
        let entry = image(&second, "shared", "a/b:2");
        second.finish(vec![entry]).expect("an index");
        image(&first, "own", "a/b:1");
        drop(first);
        let layout = Layout::open(&root).expect("the layout of the second");
        assert_eq!(layout.index().expect("an index").manifests.len(), 1);
        assert!(whole(&layout));
        assert!(!layout.blob_path(Digest::of(b"own")).exists());
        // Where the other is still at work, all stays for it.
        let first = Layout::session(&root).expect("a session");
        image(&first, "more", "a/b:1");
        let second = Layout::session(&root).expect("a session");
        let entry = image(&second, "more", "a/b:3");
        drop(first);
        second.finish(vec![entry]).expect("an index");
        assert!(whole(&layout));
    }

    #[test]
    fn sessions_that_begin_at_once_make_one_layout() {
        for round in 0..12 {
            let folder = tempfile::tempdir().expect("a folder");
            let root = folder.path().join("to/oci");
            std::thread::scope(|scope| {
                for thread in 0..6 {
                    let root = &root;
                    scope.spawn(move || {
                        let session = Layout::session(root).expect("a session");
                        let entry = image(&session, &format!("{}", thread / 2), &format!("a/b:{thread}"));
                        if thread % 3 != round % 3 {
                            session.finish(vec![entry]).expect("an index");
                        }
                    });
                }
            });
            let layout = Layout::open(&root).expect("a layout");
            assert_eq!(layout.index().expect("an index").manifests.len(), 4);
            assert!(whole(&layout));
        }
    }

    #[test]
    fn a_layout_that_was_only_begun_is_taken_up() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("blobs/sha256")).expect("folders");
        fs::write(folder.path().join(".tmp-x"), "{").expect("a file");
        assert!(Layout::session(folder.path()).is_ok());
        // An index.json of somebody else's is not.
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("index.json"), "[1]").expect("a file");
        assert!(matches!(Layout::session(folder.path()), Err(LayoutError::NotALayout { .. })));
    }
}
