//! A blob that is still being written, for whoever wants its bytes before the last of them is there.
//!
//! Its digest is known at the end only, so nobody has held the bytes to it: whoever passes them on leaves that to their
//! receiver, who gets the digest after them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::watch;

use crate::oci::digest::Digest;

/// What a blob is told by once all of it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// How far a blob has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grown {
    /// So many bytes are there, and more will come.
    To(u64),
    /// All are there.
    Whole(Whole),
}

impl Grown {
    /// The number of bytes that are there.
    pub fn size(self) -> u64 {
        match self {
            Self::To(size) => size,
            Self::Whole(whole) => whole.size,
        }
    }

    /// The blob, where all of it is there.
    pub fn whole(self) -> Option<Whole> {
        match self {
            Self::To(_) => None,
            Self::Whole(whole) => Some(whole),
        }
    }
}

/// The writer went away before the blob was whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the blob was not finished")]
pub struct Abandoned;

/// The writer's end. Dropped before [`Growth::end`], it abandons the blob.
pub struct Growth(watch::Sender<Grown>);

impl Growth {
    /// Both ends of a blob whose bytes, none of them yet, are in this file.
    pub fn of(file: File) -> (Self, Growing) {
        let (sender, state) = watch::channel(Grown::To(0));
        (Self(sender), Growing { file: Arc::new(file), state })
    }

    /// Tells how many bytes are in the file.
    pub fn reach(&self, size: u64) {
        self.0.send_replace(Grown::To(size));
    }

    /// Tells that all are.
    pub fn end(self, whole: Whole) {
        self.0.send_replace(Grown::Whole(whole));
    }
}

/// The reader's end, with a handle of its own: the file's name may change meanwhile.
#[derive(Debug, Clone)]
pub struct Growing {
    file: Arc<File>,
    state: watch::Receiver<Grown>,
}

impl Growing {
    /// How far it has come.
    pub fn grown(&self) -> Grown {
        *self.state.borrow()
    }

    /// Whether its writer has gone before the end.
    pub fn is_abandoned(&self) -> bool {
        self.state.has_changed().is_err() && self.grown().whole().is_none()
    }

    /// Waits for more than so many bytes, or the end.
    ///
    /// # Errors
    /// Where the end will not come, even if there are as many bytes.
    pub async fn beyond(&mut self, size: u64) -> Result<Grown, Abandoned> {
        let there =
            self.state.wait_for(|grown| grown.size() > size || grown.whole().is_some()).await.map(|grown| *grown);
        match there {
            Ok(grown) if !self.is_abandoned() => Ok(grown),
            _ => Err(Abandoned),
        }
    }

    /// Reads bytes that are there; blocks. What the buffer held is gone.
    ///
    /// # Errors
    /// Where whoever writes them has failed, or the file cannot be read.
    pub fn read(&self, start: u64, count: usize, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
        buffer.clear();
        buffer.resize(count, 0);
        self.file.read_exact_at(&mut buffer, start)?;
        Ok(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn is_read_while_it_grows() {
        let mut file = tempfile::tempfile().expect("a file");
        let (growth, mut growing) = Growth::of(file.try_clone().expect("a handle"));
        file.write_all(b"abc").expect("written");
        growth.reach(3);
        assert_eq!(growing.beyond(2).await, Ok(Grown::To(3)));
        assert_eq!(growing.read(1, 2, b"before".to_vec()).expect("bytes"), b"bc");
        let whole = Whole { digest: Digest::of(b"abc"), size: 3 };
        growth.end(whole);
        assert_eq!(growing.beyond(3).await, Ok(Grown::Whole(whole)));
        assert!(!growing.is_abandoned());
    }

    #[tokio::test]
    async fn is_abandoned_without_an_end() {
        let (growth, mut growing) = Growth::of(tempfile::tempfile().expect("a file"));
        growth.reach(9);
        assert!(!growing.is_abandoned());
        drop(growth);
        // There are as many, but there is no use in them.
        assert_eq!(growing.beyond(2).await, Err(Abandoned));
        assert_eq!(growing.beyond(9).await, Err(Abandoned));
    }
}
