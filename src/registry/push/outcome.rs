//! What became of a push.

use std::error::Error as StdError;
use std::fmt;

use crate::event::BlobStatus;
use crate::oci::digest::Digest;
use crate::registry::error::Error;

/// What became of a push.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pushed {
    /// `registry/repository@sha256:…` of each distinct repository, in the order of the references.
    pub references: Vec<String>,
    /// `registry/repository:tag` of each tag that names the image now.
    pub tags: Vec<String>,
    /// Every blob of every repository.
    pub uploads: Vec<Upload>,
}

/// A push that failed. Its words and causes are those of its error.
#[derive(Debug)]
pub struct Failed<E = Error> {
    /// Why.
    pub error: E,
    /// What was done before: the tags that name the image now, and the blobs of the repositories that have all of them.
    pub pushed: Pushed,
}

impl<E: fmt::Display> fmt::Display for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: StdError> StdError for Failed<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

/// One that failed before anything was done.
impl<E> From<E> for Box<Failed<E>> {
    fn from(error: E) -> Self {
        Self::new(Failed { error, pushed: Pushed::default() })
    }
}

impl From<Box<Failed>> for Error {
    fn from(failed: Box<Failed>) -> Self {
        failed.error
    }
}

/// What became of one blob.
#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    /// `registry/repository`
    pub repository: String,
    /// Which blob.
    pub digest: Digest,
    /// All bytes of it that were sent, those that were sent again included.
    pub bytes_sent: u64,
    /// How it came there.
    pub status: BlobStatus,
    /// How often something was sent again.
    pub retries: u32,
    /// How long it took.
    pub seconds: f64,
}
