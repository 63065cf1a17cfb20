//! An OCI image layout folder (image-spec image-layout.md): `oci-layout`, `index.json` and `blobs/sha256/`.
//!
//! The contract:
//! - A blob is written to a temporary file in the same folder, hashed on the way, flushed to the disk and renamed to
//!   its digest. A blob file that exists under its digest is whole, whenever the process or the machine died.
//! - `index.json` is replaced atomically, read and written again under an exclusive lock (on `oci-layout`), so that
//!   two processes never lose each other's entry.
//! - While a [`session::Session`] writes, it holds a shared lock on `blobs/`. Blobs that nothing refers to are removed
//!   only by whoever can turn that into an exclusive one: what another process is about to refer to stays. So does
//!   everything where a document is reached whose type is not known here: what it refers to cannot be known either.
//!   Whoever reads for long, as a push does, holds the shared lock as well ([`hold::Hold`]).
//! - A session that is dropped before [`session::Session::finish`] removes the blobs that it brought and the folder it
//!   made, unless another session is at work there or has come to refer to them.
//!
//! Layouts come from strangers too: a digest is parsed before it becomes a file name, `index.json` has a size limit,
//! and blobs are read through [`crate::blob::Verified`].

pub mod hold;
pub mod session;
mod settling;
mod sweep;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

use self::settling::Settling;
use crate::blob::growing::{Growing, Growth, Whole};
use crate::blob::{BlobError, BlobSource, DOCUMENT_LIMIT, Tally, digest_of};
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::Index;

/// The annotation of an entry of `index.json` that holds the tag (image-spec annotations.md).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that holds the full reference, as containerd writes and reads it.
pub const IMAGE_NAME: &str = "io.containerd.image.name";

const TEMPORARY: &str = ".tmp-";

/// Why a layout could not be read or written.
#[derive(Debug, Error)]
pub enum LayoutError {
    /// A file or folder of it.
    #[error("cannot {what} {path}")]
    Io {
        /// `read`, `write`, …
        what: &'static str,
        /// Which file or folder.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is no layout.
    #[error("{path} is not an OCI image layout: {reason}")]
    NotALayout {
        /// The folder.
        path: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// A document in it is not what it should be.
    #[error("{path} is damaged: line {line}, column {column}")]
    Document {
        /// Which file.
        path: String,
        /// Where.
        line: usize,
        /// Where.
        column: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// A blob.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LayoutError {
    let path = path.display().to_string();
    move |source| LayoutError::Io { what, path, source }
}

/// A layout folder that exists.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Opens a layout.
    ///
    /// # Errors
    /// Where the folder is no layout, or of a version that is not 1.
    pub fn open(root: &Path) -> Result<Self, LayoutError> {
        let layout = Self { root: root.to_owned() };
        let no_layout = |reason: &str| LayoutError::NotALayout { path: layout.shown(), reason: reason.into() };
        let marker = layout.root.join("oci-layout");
        let text = match fs::read(&marker) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !layout.root.exists() => {
                return Err(no_layout("there is no such folder"));
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(no_layout("it has no file oci-layout"));
            }
            result => result.map_err(failed("read", &marker))?,
        };
        let version = serde_json::from_slice::<serde_json::Value>(&text).ok();
        match version.as_ref().and_then(|value| value["imageLayoutVersion"].as_str()) {
            Some(version) if version.starts_with("1.") => Ok(layout),
            Some(version) => Err(no_layout(&format!("its version is {version}, expected 1.0.0"))),
            None => Err(no_layout("its file oci-layout does not state imageLayoutVersion")),
        }
    }

    /// Whether a folder looks like a layout.
    pub fn is_layout(root: &Path) -> bool {
        root.join("oci-layout").is_file()
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn shown(&self) -> String {
        self.root.display().to_string()
    }

    /// The file of a blob.
    pub fn blob_path(&self, digest: Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.encoded())
    }

    /// Whether a blob of this digest and size is there; whether it is whole, only its bytes can tell.
    pub fn contains(&self, descriptor: &Descriptor) -> bool {
        fs::metadata(self.blob_path(descriptor.digest))
            .is_ok_and(|data| data.is_file() && data.len() == descriptor.size)
    }

    /// What `index.json` says.
    ///
    /// # Errors
    /// Where it cannot be read or is no image index.
    pub fn index(&self) -> Result<Index, LayoutError> {
        let path = self.root.join("index.json");
        let file = File::open(&path).map_err(failed("read", &path))?;
        let mut text = Vec::new();
        file.take(DOCUMENT_LIMIT + 1).read_to_end(&mut text).map_err(failed("read", &path))?;
        if text.len() as u64 > DOCUMENT_LIMIT {
            let reason = format!("its index.json is larger than {DOCUMENT_LIMIT} bytes");
            return Err(LayoutError::NotALayout { path: self.shown(), reason });
        }
        Index::of_layout(&text).map_err(|source| LayoutError::Document {
            path: path.display().to_string(),
            line: source.line(),
            column: source.column(),
            source,
        })
    }

    /// Changes `index.json` under the lock; nobody else's change is lost. `change` says what it wants to answer.
    ///
    /// # Errors
    /// Where it cannot be locked, read or written; it is then as it was.
    pub fn update<T>(&self, change: impl FnOnce(&mut Index) -> T) -> Result<T, LayoutError> {
        let marker = self.root.join("oci-layout");
        let lock = File::open(&marker).map_err(failed("open", &marker))?;
        lock.lock().map_err(failed("lock", &marker))?;
        let mut index = self.index()?;
        let before = index.clone();
        let answer = change(&mut index);
        if index != before {
            self.replace("index.json", &index.to_layout())?;
        }
        Ok(answer)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), LayoutError> {
        let path = self.root.join(name);
        replace_file(&path, bytes).map_err(failed("write", &path))
    }

    /// A temporary file that becomes a blob.
    ///
    /// # Errors
    /// Where no file can be made in the layout.
    pub fn writer(&self) -> Result<BlobWriter, LayoutError> {
        let folder = self.root.join("blobs/sha256");
        let file = temporary(&folder).map_err(failed("write", &folder))?;
        Ok(BlobWriter { layout: self.clone(), tally: Tally::new(file), growth: None, settling: Settling::default() })
    }
}

impl BlobSource for Layout {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BlobError> {
        let path = self.blob_path(descriptor.digest);
        let read =
            |error: io::Error| BlobError::Read { digest: descriptor.digest, place: self.shown(), source: error.into() };
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(BlobError::Missing { digest: descriptor.digest, place: self.shown() })
            }
            result => Ok(Box::new(result.map_err(read)?)),
        }
    }

    fn place(&self) -> String {
        self.shown()
    }
}

/// A blob on its way into a layout. Dropped before [`BlobWriter::commit`] it leaves nothing.
pub struct BlobWriter {
    layout: Layout,
    tally: Tally<NamedTempFile>,
    /// Whoever reads along.
    growth: Option<Growth>,
    settling: Settling,
}

impl BlobWriter {
    /// Lets the bytes be read while they are written. To be called before the first.
    ///
    /// # Errors
    /// Where there is no second handle to be had; the blob can be written all the same.
    pub fn growing(&mut self) -> io::Result<Growing> {
        let (growth, growing) = Growth::of(self.tally.inner().as_file().try_clone()?);
        self.growth = Some(growth);
        Ok(growing)
    }

    /// Flushes the bytes to the disk and gives them their name. A blob that is there already, and whole, stays as it
    /// was.
    ///
    /// # Errors
    /// Where the disk does not take them.
    pub fn commit(self) -> Result<(Digest, u64), LayoutError> {
        self.finish(None)
    }

    /// As [`commit`](Self::commit), if the bytes have this digest; else they are thrown away and `None` is the answer.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn commit_as(self, digest: Digest) -> Result<Option<u64>, LayoutError> {
        match self.finish(Some(digest))? {
            (found, size) if found == digest => Ok(Some(size)),
            _ => Ok(None),
        }
    }

    fn finish(mut self, wanted: Option<Digest>) -> Result<(Digest, u64), LayoutError> {
        let (file, digest, size) = self.tally.finish();
        if wanted.is_some_and(|wanted| wanted != digest) {
            return Ok((digest, size));
        }
        // Before it is on the disk, which takes its time: no reader is helped by that.
        if let Some(growth) = self.growth {
            growth.end(Whole { digest, size });
        }
        let path = self.layout.blob_path(digest);
        // One that was damaged since it was written has its name and its size all the same, and ours is whole.
        if is_blob(&path, digest, size) {
            return Ok((digest, size));
        }
        self.settling.end().and_then(|()| persist(file, &path)).map_err(failed("write", &path))?;
        Ok((digest, size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.tally.write(bytes)?;
        if let Some(growth) = &self.growth {
            growth.reach(self.tally.count());
        }
        self.settling.reach(self.tally.inner().as_file(), self.tally.count())?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tally.flush()
    }
}

/// By what an entry of `index.json` is told from the others: the full reference, else the tag, else nothing.
pub fn name(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(IMAGE_NAME).or_else(|| entry.annotations.get(REF_NAME)).map(String::as_str)
}

/// Whether a file has this size and this digest: all of it is read.
pub fn is_blob(path: &Path, digest: Digest, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.len() == size)
        && File::open(path).and_then(digest_of).is_ok_and(|there| there == digest)
}

/// A temporary file with the permissions that the umask gives, removed when dropped.
///
/// # Errors
/// Where the folder cannot be written.
pub fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    // The process' umask is applied to it by the kernel, as to any file that a program makes.
    builder.permissions(fs::Permissions::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Gives a temporary file its name, once it is on the disk.
///
/// # Errors
/// Where it cannot be written or renamed; it is then removed.
pub fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    match path.parent() {
        // The name is only safe once the folder is on the disk.
        Some(folder) => File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?.sync_all(),
        None => Ok(()),
    }
}

/// Writes a whole file: temporary file in the same folder, flushed to the disk, renamed.
///
/// # Errors
/// Where it cannot be written; what stood there stays.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = temporary(folder)?;
    file.write_all(bytes)?;
    persist(file, path)
}

#[cfg(test)]
mod tests {
    use super::session::Session;
    use super::*;
    use crate::oci::manifest::Manifest;
    use crate::oci::media_type::MediaType;

    fn image(session: &Session, content: &[u8]) -> Descriptor {
        let (layer, size) = session.put(content).expect("a blob");
        let (config, config_size) = session.put(b"{}").expect("a blob");
        let manifest = Manifest::new(
            Descriptor::new(MediaType::ImageConfig, config, config_size),
            vec![Descriptor::new(MediaType::ImageLayer, layer, size)],
            std::collections::BTreeMap::new(),
        );
        let bytes = crate::oci::canonical(&manifest);
        session.put(&bytes).expect("a blob");
        Descriptor::of(MediaType::ImageManifest, &bytes)
    }

    fn named(mut descriptor: Descriptor, name: &str) -> Descriptor {
        descriptor.annotations.insert(IMAGE_NAME.into(), name.into());
        descriptor
    }

    fn blobs(root: &Path) -> usize {
        fs::read_dir(root.join("blobs/sha256")).expect("the folder").count()
    }

    #[test]
    fn replaces_by_name_and_sweeps_what_nothing_refers_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("oci");
        for (content, name) in [("one", None), ("two", Some("a/b:1")), ("three", None), ("four", Some("a/b:1"))] {
            let session = Layout::session(&root).expect("a session");
            let entry = image(&session, content.as_bytes());
            let entry = match name {
                Some(name) => named(entry, name),
                None => entry,
            };
            session.finish(vec![entry]).expect("an index");
        }
        let layout = Layout::open(&root).expect("a layout");
        let index = layout.index().expect("an index");
        assert_eq!(index.manifests.iter().map(name).collect::<Vec<_>>(), [None, Some("a/b:1")]);
        // Two images of manifest and layer each, and the configuration that they share.
        assert_eq!(blobs(&root), 5);
        assert_eq!(layout.needed(&index).expect("all there").len(), 5);
    }

    #[test]
    fn a_session_that_fails_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("oci");
        let session = Layout::session(&root).expect("a session");
        image(&session, b"one");
        drop(session);
        assert!(!root.exists());

        let session = Layout::session(&root).expect("a session");
        let entry = image(&session, b"one");
        session.finish(vec![entry]).expect("an index");
        let session = Layout::session(&root).expect("a session");
        image(&session, b"one");
        image(&session, b"two");
        drop(session);
        assert_eq!(blobs(&root), 3);
    }

    #[test]
    fn what_another_session_is_writing_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Layout::session(folder.path()).expect("a session");
        let second = Layout::session(folder.path()).expect("a session");
        let one = image(&first, b"one");
        let two = image(&second, b"two");
        first.finish(vec![named(one, "a:1")]).expect("an index");
        second.finish(vec![named(two, "a:2")]).expect("an index");
        let layout = Layout::open(folder.path()).expect("a layout");
        assert_eq!(layout.needed(&layout.index().expect("an index")).expect("all there").len(), 5);
    }

    #[test]
    fn refuses_a_folder_with_other_things() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("thesis.txt"), "do not touch").expect("a file");
        assert!(matches!(Layout::session(folder.path()), Err(LayoutError::NotALayout { .. })));
        assert!(matches!(Layout::open(folder.path()), Err(LayoutError::NotALayout { .. })));
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }

    #[test]
    fn a_damaged_blob_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = Layout::session(folder.path()).expect("a session");
        let entry = image(&session, b"one");
        session.finish(vec![entry.clone()]).expect("an index");
        let layout = Layout::open(folder.path()).expect("a layout");
        let path = layout.blob_path(entry.digest);
        let mut bytes = fs::read(&path).expect("the manifest");
        bytes[10] ^= 1;
        fs::write(&path, bytes).expect("the manifest");
        let error = layout.document(&entry).expect_err("damaged");
        assert!(error.to_string().contains(&entry.digest.to_string()), "{error}");
    }
}
