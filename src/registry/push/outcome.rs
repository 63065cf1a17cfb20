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

/// A push that failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: Error,
    /// What was done before: the tags that name the image now, and the blobs of the repositories that have all of them.
    pub pushed: Pushed,
}

/// In the words of its error.
impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl StdError for Failed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

impl From<Error> for Box<Failed> {
    fn from(error: Error) -> Self {
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
