//! Blobs of layouts that were found whole: they are not read again as long as they stand as they stood then.
//!
//! Where a layout is on the cache's disk its blobs are links to the cache's, and what is known of those is known of
//! them. Elsewhere they are files of their own, and so is a layer that was copied from a base's folder: they can be
//! damaged while the cache has the layer whole. Each has a document, by its path.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{LayerCache, read, write};
use crate::layer::stamp::{Clocks, Stamp, UNKNOWN};
use crate::layout::is_blob;
use crate::oci::digest::Digest;

/// A file, and how it stood when it had this digest.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Whole {
    path: Vec<u8>,
    digest: [u8; 32],
    size: u64,
    stamp: Stamp,
}

impl Whole {
    /// `None` where nothing would tell that the file changes: it is read each time.
    fn of(path: &Path, digest: Digest, data: &Metadata) -> Option<Self> {
        let stamp = Clocks::default().stamp(path, data);
        let (path, digest) = (path.as_os_str().as_bytes().into(), *digest.as_bytes());
        (stamp.changed != UNKNOWN).then_some(Self { path, digest, size: data.len(), stamp })
    }

    /// Whether the file stands as it stood.
    fn is_so(&self) -> bool {
        let path = Path::new(OsStr::from_bytes(&self.path));
        fs::metadata(path).is_ok_and(|data| data.len() == self.size && self.stamp.is_of(&data))
    }
}

impl LayerCache {
    /// Whether a file of a layout is the blob of this digest. It is read where nothing says so that is known of it.
    pub fn is_whole(&self, file: &Path, digest: Digest, size: u64) -> bool {
        let Some((path, data)) = found(file).filter(|(_, data)| data.is_file() && data.len() == size) else {
            return false;
        };
        if self.is_own(&data, digest) && self.holds(digest, size) {
            return true;
        }
        let (at, now) = (self.document(&path), Whole::of(&path, digest, &data));
        if now.is_some() && read(&at) == now {
            return true;
        }
        let is_whole = is_blob(&path, digest, size);
        if let (true, Some(now)) = (is_whole, now) {
            // As it stood before it was read: what came in meanwhile is not known.
            let _ = write(&at, &now);
        }
        is_whole
    }

    /// Remembers that a file, which was just written, is the blob of this digest. Whether that could be kept is
    /// nobody's concern.
    pub fn keep_whole(&self, file: &Path, digest: Digest) {
        if let Some((path, data)) = found(file).filter(|(_, data)| !self.is_own(data, digest))
            && let Some(whole) = Whole::of(&path, digest, &data)
        {
            let _ = write(&self.document(&path), &whole);
        }
    }

    /// Whether a file is the cache's own blob, by another name.
    fn is_own(&self, data: &Metadata, digest: Digest) -> bool {
        let id = |data: &Metadata| (data.dev(), data.ino());
        fs::metadata(self.blob(digest)).is_ok_and(|own| id(&own) == id(data))
    }

    fn document(&self, path: &Path) -> PathBuf {
        self.path("whole", Digest::of(path.as_os_str().as_bytes()))
    }

    /// Removes what is known of files that are gone or changed.
    pub(super) fn trim_whole(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(self.folder.join("whole"))?.flatten() {
            if !read::<Whole>(&entry.path()).is_some_and(|whole| whole.is_so()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Where a file is, from whatever folder, and what it is.
fn found(file: &Path) -> Option<(PathBuf, Metadata)> {
    let path = file.canonicalize().ok()?;
    let data = fs::metadata(&path).ok()?;
    Some((path, data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::cache::LIMIT;

    #[test]
    fn what_stands_as_it_stood_is_not_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = LayerCache::open(&folder.path().join("cache"), LIMIT).expect("a cache");
        let blob = folder.path().join("blob");
        fs::write(&blob, "whole").expect("a blob");
        let digest = Digest::of(b"whole");
        let is_whole = |size| cache.is_whole(&blob, digest, size);
        assert!(is_whole(5) && !is_whole(4));
        fs::write(&blob, "wrong").expect("a blob");
        assert!(!is_whole(5));
        // That it is believed shows that it was not read.
        cache.keep_whole(&blob, digest);
        assert!(is_whole(5));
        // Not of another digest, nor of another file in its place.
        assert!(!cache.is_whole(&blob, Digest::of(b"other"), 5));
        fs::write(folder.path().join("new"), "wrong").expect("a blob");
        fs::rename(folder.path().join("new"), &blob).expect("renamed");
        assert!(!is_whole(5));
    }

    #[test]
    fn what_is_known_of_files_that_are_gone_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = LayerCache::open(&folder.path().join("cache"), LIMIT).expect("a cache");
        for name in ["stays", "changes", "goes"] {
            fs::write(folder.path().join(name), name).expect("a blob");
            cache.keep_whole(&folder.path().join(name), Digest::of(name.as_bytes()));
        }
        fs::write(folder.path().join("changes"), "to another size").expect("a blob");
        fs::remove_file(folder.path().join("goes")).expect("removed");
        cache.trim_whole().expect("the folder");
        let left: Vec<_> = fs::read_dir(cache.folder.join("whole")).expect("the folder").flatten().collect();
        let path = folder.path().join("stays").canonicalize().expect("a path");
        assert_eq!(left.iter().map(fs::DirEntry::path).collect::<Vec<_>>(), [cache.document(&path)]);
    }
}
