//! The only way in which progress leaves the library: whoever calls it hands in an [`Observer`].

use std::time::Duration;

/// What became of a blob that a push was to bring to a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobStatus {
    /// Its bytes were sent.
    Uploaded,
    /// The registry took it over from another repository.
    Mounted,
    /// It was there already.
    Present,
}

impl BlobStatus {
    /// The word of reports: `uploaded`, `mounted`, `present`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Mounted => "mounted",
            Self::Present => "present",
        }
    }
}

/// Something that happened. `id` is the same for all events of one layer or blob, and unique among those of its kind.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A layer is being made.
    LayerStarted {
        /// Which.
        id: &'a str,
        /// The bytes of the tar that it will have, as far as known.
        bytes: u64,
    },
    /// So many bytes of its tar, from its start, have been made.
    LayerAdvanced {
        /// Which.
        id: &'a str,
        /// Bytes of the tar since its start.
        bytes: u64,
    },
    /// A layer is finished.
    LayerFinished {
        /// Which.
        id: &'a str,
        /// The bytes of its blob.
        size: u64,
        /// Whether it was there already.
        cached: bool,
    },
    /// The command of a `run` layer was started.
    RunStarted {
        /// Which: the layer and its platform.
        id: &'a str,
    },
    /// It is still running. Comes a few times a second.
    RunSaid {
        /// Which.
        id: &'a str,
        /// The last line that it said, empty where it has not said any. Secrets are masked.
        line: &'a str,
    },
    /// It has done its work.
    RunFinished {
        /// Which.
        id: &'a str,
        /// Whether nothing was run, since the result of an earlier run was there.
        cached: bool,
    },
    /// A blob is being brought to a registry.
    BlobStarted {
        /// Which.
        id: &'a str,
        /// Its size in bytes.
        size: u64,
    },
    /// So many of the blob's bytes, from its start, have been sent. Falls back where an upload begins anew.
    BlobAdvanced {
        /// Which.
        id: &'a str,
        /// Bytes since its start.
        bytes: u64,
    },
    /// A blob is at the registry.
    BlobFinished {
        /// Which.
        id: &'a str,
        /// How it came there.
        status: BlobStatus,
    },
    /// A request failed and will be made again.
    Retry {
        /// What was tried: a method and a path, without its query.
        what: &'a str,
        /// Why it failed.
        reason: &'a str,
        /// How long it is waited.
        after: Duration,
    },
    /// Something that the user should know.
    Warning(&'a str),
    /// What was done on the way, or where it is done, for every user to see.
    Told(&'a str),
    /// Something that a user who asks for details wants to know.
    Detail(&'a str),
}

/// Whoever wants to know. Called from many threads.
pub trait Observer: Send + Sync {
    /// Takes note of an event; returns soon.
    fn note(&self, event: Event<'_>);
}

/// An observer that takes no note of anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn note(&self, _: Event<'_>) {}
}
