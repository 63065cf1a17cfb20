//! Work on a layout: what it brings stays if it is finished, and is taken back if it is not.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::json;

use super::{BlobWriter, Layout, LayoutError, failed, name};
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::Index;

impl Layout {
    /// Begins to write: makes the layout where there is none yet.
    ///
    /// # Errors
    /// Where the folder holds other things than a layout, or cannot be written.
    pub fn session(root: &Path) -> Result<Session, LayoutError> {
        let mut made = MadeFolders(Vec::new());
        let fresh = match fs::read_dir(root) {
            Ok(mut entries) => {
                let fresh = !Self::is_layout(root);
                if fresh && entries.next().is_some() {
                    return Err(LayoutError::NotALayout {
                        path: root.display().to_string(),
                        reason: "the folder is not empty and has no file oci-layout; choose another with --output"
                            .into(),
                    });
                }
                fresh
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                made = MadeFolders::all(root).map_err(failed("create", root))?;
                true
            }
            Err(error) => return Err(failed("read", root)(error)),
        };
        let layout = Self { root: root.to_owned() };
        let blobs = layout.root.join("blobs");
        let written = (|| {
            let folder = blobs.join("sha256");
            fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
            if fresh {
                let index = Index::new(Vec::new(), std::collections::BTreeMap::new());
                layout.replace("index.json", &crate::oci::canonical(&index))?;
                layout.replace("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string().as_bytes())?;
            }
            let lock = File::open(&blobs).map_err(failed("open", &blobs))?;
            lock.lock_shared().map_err(failed("lock", &blobs))?;
            Ok(lock)
        })();
        let session = |lock| Session {
            layout: layout.clone(),
            lock,
            fresh,
            made,
            brought: Mutex::new(BTreeSet::new()),
            finished: false,
        };
        match written {
            Ok(lock) => Ok(session(Some(lock))),
            Err(error) => {
                drop(session(None));
                Err(error)
            }
        }
    }
}

/// Work on a layout, from the first blob to the new `index.json`.
pub struct Session {
    pub(super) layout: Layout,
    lock: Option<File>,
    fresh: bool,
    /// The folder and those above it, where the session made them. Dropped after the session's own clean-up.
    made: MadeFolders,
    brought: Mutex<BTreeSet<Digest>>,
    finished: bool,
}

impl Session {
    /// The layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A temporary file that becomes a blob; give it back to [`Session::commit`].
    pub fn writer(&self) -> Result<BlobWriter, LayoutError> {
        self.layout.writer()
    }

    /// Commits a blob and remembers it as brought by this session.
    pub fn commit(&self, writer: BlobWriter) -> Result<(Digest, u64), LayoutError> {
        let digest = writer.tally.digest();
        let known = self.layout.blob_path(digest).exists();
        let (digest, size) = writer.commit()?;
        if !known && let Ok(mut brought) = self.brought.lock() {
            brought.insert(digest);
        }
        Ok((digest, size))
    }

    /// Writes a document.
    pub fn put(&self, bytes: &[u8]) -> Result<(Digest, u64), LayoutError> {
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(failed("write", &self.layout.root))?;
        self.commit(writer)
    }

    /// Puts images into `index.json`: each entry replaces the one of the same name, a nameless one the nameless.
    /// Blobs that nothing refers to any more are removed, unless another process is writing.
    ///
    /// # Errors
    /// Where the index cannot be read or written.
    pub fn finish(mut self, entries: Vec<Descriptor>) -> Result<(), LayoutError> {
        self.layout.update(|index| {
            for entry in entries {
                index.manifests.retain(|old| name(old) != name(&entry));
                index.manifests.push(entry);
            }
        })?;
        self.finished = true;
        self.made.keep();
        if let Some(lock) = self.lock.take()
            && lock.try_lock().is_ok()
        {
            // A damaged entry of someone else must not fail a build that is done: its blobs just stay.
            let _ = self.layout.sweep();
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // The best that can be done on the way out of a failure: what cannot be removed is swept by the next session.
        if let Ok(brought) = self.brought.lock() {
            for digest in brought.iter() {
                let _ = fs::remove_file(self.layout.blob_path(*digest));
            }
        }
        if self.fresh {
            for name in ["oci-layout", "index.json"] {
                let _ = fs::remove_file(self.layout.root.join(name));
            }
            for name in ["blobs/sha256", "blobs"] {
                let _ = fs::remove_dir(self.layout.root.join(name));
            }
        }
    }
}

/// Folders that did not exist. Dropped, they are removed where nothing came into them.
pub struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    /// Makes a folder and all above it that are missing.
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
