//! What a reference named the last time, so that somebody who has no lock is told when a tag has moved.

use std::fs;
use std::path::{Path, PathBuf};

use crate::layout::replace_file;
use crate::oci::digest::Digest;
use crate::oci::reference::Reference;

/// The memory of one reference, in a file of the cache folder. It is no more than a help: what cannot be read or
/// written is forgotten.
#[derive(Clone, Copy)]
pub(super) struct Memory<'a> {
    pub(super) folder: &'a Path,
    pub(super) reference: &'a Reference,
}

impl Memory<'_> {
    /// Remembers a digest, and tells the one before.
    pub(super) fn replace(self, digest: Digest) -> Option<Digest> {
        let path = self.path();
        let before = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        if before != Some(digest) && fs::create_dir_all(self.folder).is_ok() {
            let _ = replace_file(&path, format!("{digest}\n").as_bytes());
        }
        before
    }

    /// A reference has slashes, and may be longer than a file's name.
    fn path(self) -> PathBuf {
        self.folder.join(Digest::of(self.reference.to_string().as_bytes()).encoded())
    }
}
