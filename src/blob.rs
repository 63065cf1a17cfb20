//! Bytes that carry a digest: a tally that learns it, a reader that holds bytes to it, and where blobs come from.
//!
//! Blobs come from disks, archives and strangers' registries. Whoever reads one reads it through [`Verified`], which
//! does not reach its end unless size and digest are as the descriptor promises; [`BlobSource::open`] hands out
//! nothing else.

pub mod growing;
pub mod reach;

use std::io::{self, Read, Write};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;

/// The largest manifest, index or configuration that is read (ECR takes 4 MiB; distribution-spec says 4 MiB as well).
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

/// Hashes and counts what passes through to a writer.
pub struct Tally<W> {
    inner: W,
    hash: Sha256,
    count: u64,
}

impl<W: Write> Tally<W> {
    /// A tally of nothing yet.
    pub fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), count: 0 }
    }

    /// The writer.
    pub fn inner(&self) -> &W {
        &self.inner
    }

    /// The number of bytes that passed.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest of what has passed so far.
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(self.hash.clone().finalize().into())
    }

    /// The writer, the digest and the number of bytes.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest::from_bytes(self.hash.finalize().into()), self.count)
    }
}

/// The digest of all that can be read.
///
/// # Errors
/// Where that fails.
pub fn digest_of(mut reader: impl Read) -> io::Result<Digest> {
    let mut tally = Tally::new(io::sink());
    io::copy(&mut reader, &mut tally)?;
    Ok(tally.digest())
}

impl<W: Write> Write for Tally<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Content that is not what its descriptor promises. Carried inside an [`io::Error`] of kind `InvalidData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Mismatch {
    /// Fewer bytes than promised.
    #[error("blob {digest} ends after {found} bytes, but {promised} were promised: it is cut off")]
    Short {
        /// The promised digest.
        digest: Digest,
        /// The promised size in bytes.
        promised: u64,
        /// The number of bytes that came.
        found: u64,
    },
    /// More bytes than promised.
    #[error("blob {digest} goes on after the {promised} bytes that were promised")]
    Long {
        /// The promised digest.
        digest: Digest,
        /// The promised size in bytes.
        promised: u64,
    },
    /// Other bytes than promised.
    #[error("blob {promised} is damaged: its bytes have the digest {found}")]
    Digest {
        /// The promised digest.
        promised: Digest,
        /// The digest of the bytes that came.
        found: Digest,
    },
}

impl From<Mismatch> for io::Error {
    fn from(mismatch: Mismatch) -> Self {
        Self::new(io::ErrorKind::InvalidData, mismatch)
    }
}

/// A reader that fails before its end unless size and digest are as promised; once it has failed for that, it fails so
/// for ever.
///
/// The last bytes may have been handed out by then: whoever acts on the content must first have seen `Ok(0)`.
pub struct Verified<R> {
    inner: R,
    hash: Sha256,
    promised: Digest,
    size: u64,
    read: u64,
    /// What came of it.
    outcome: Option<Result<(), Mismatch>>,
}

impl<R: Read> Verified<R> {
    /// Holds `inner` to the descriptor's digest and size.
    pub fn new(inner: R, descriptor: &Descriptor) -> Self {
        let (promised, size) = (descriptor.digest, descriptor.size);
        Self { inner, hash: Sha256::new(), promised, size, read: 0, outcome: None }
    }

    fn end(&mut self) -> Result<(), Mismatch> {
        if self.read < self.size {
            return Err(Mismatch::Short { digest: self.promised, promised: self.size, found: self.read });
        }
        let found = Digest::from_bytes(std::mem::take(&mut self.hash).finalize().into());
        if found != self.promised {
            return Err(Mismatch::Digest { promised: self.promised, found });
        }
        Ok(())
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Some(outcome) = self.outcome {
            return Ok(outcome.map(|()| 0)?);
        }
        let count = loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if count == 0 {
            let outcome = self.end();
            self.outcome = Some(outcome);
            return Ok(outcome.map(|()| 0)?);
        }
        self.read += count as u64;
        if self.read > self.size {
            let long = Mismatch::Long { digest: self.promised, promised: self.size };
            self.outcome = Some(Err(long));
            return Err(long.into());
        }
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

/// Why a blob could not be had.
#[derive(Debug, Error)]
pub enum BlobError {
    /// It is not there.
    #[error("blob {digest} is missing from {place}")]
    Missing {
        /// The digest that was asked for.
        digest: Digest,
        /// Where it was looked for.
        place: String,
    },
    /// It is there, but not to be read, or not what it should be.
    #[error("blob {digest} of {place} cannot be read")]
    Read {
        /// The digest that was asked for.
        digest: Digest,
        /// Where it was read from.
        place: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A manifest, index or configuration larger than [`DOCUMENT_LIMIT`].
    #[error("document {digest} of {place} has {size} bytes: at most {DOCUMENT_LIMIT} are read")]
    Document {
        /// Its digest.
        digest: Digest,
        /// Where it is.
        place: String,
        /// Its size in bytes.
        size: u64,
    },
}

/// A place that holds blobs: a layout folder, an archive, a repository of a registry.
///
/// The calls block; where a source speaks to a network it must be used outside the runtime's own threads.
pub trait BlobSource: Send + Sync {
    /// The blob's bytes as they come. For [`open`](Self::open), which holds them to the descriptor.
    ///
    /// # Errors
    /// Where the blob is missing or cannot be read.
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BlobError>;

    /// Where this is, for messages: a path or a reference.
    fn place(&self) -> String;

    /// The blob's bytes, held to the descriptor.
    ///
    /// # Errors
    /// Where the blob is missing or cannot be read; that it is another one is an error of the reading.
    fn open(&self, descriptor: &Descriptor) -> Result<Verified<Box<dyn Read + Send>>, BlobError> {
        Ok(Verified::new(self.open_unverified(descriptor)?, descriptor))
    }

    /// A whole manifest, index or configuration, held to the descriptor.
    ///
    /// # Errors
    /// Where it is missing, cannot be read, is larger than [`DOCUMENT_LIMIT`], or is not what the descriptor says.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, BlobError> {
        if descriptor.size > DOCUMENT_LIMIT {
            return Err(BlobError::Document { digest: descriptor.digest, place: self.place(), size: descriptor.size });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(descriptor.size).unwrap_or_default());
        self.open(descriptor)?.read_to_end(&mut bytes).map_err(|error| BlobError::Read {
            digest: descriptor.digest,
            place: self.place(),
            source: error.into(),
        })?;
        Ok(bytes)
    }
}

impl<S: BlobSource + ?Sized> BlobSource for Arc<S> {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BlobError> {
        (**self).open_unverified(descriptor)
    }

    fn place(&self) -> String {
        (**self).place()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type::MediaType;

    fn read(bytes: &[u8], promised: &[u8], size: u64) -> io::Result<Vec<u8>> {
        let descriptor = Descriptor::new(MediaType::ImageLayer, Digest::of(promised), size);
        let mut out = Vec::new();
        Verified::new(bytes, &descriptor).read_to_end(&mut out).map(|_| out)
    }

    fn mismatch(result: io::Result<Vec<u8>>) -> Mismatch {
        *result.expect_err("a mismatch").get_ref().and_then(|e| e.downcast_ref::<Mismatch>()).expect("a mismatch")
    }

    #[test]
    fn verified_lets_only_the_promised_bytes_end() {
        assert_eq!(read(b"abc", b"abc", 3).expect("the bytes"), b"abc");
        assert!(matches!(mismatch(read(b"abd", b"abc", 3)), Mismatch::Digest { .. }));
        assert!(matches!(mismatch(read(b"ab", b"abc", 3)), Mismatch::Short { found: 2, .. }));
        assert!(matches!(mismatch(read(b"abcd", b"abc", 3)), Mismatch::Long { .. }));
        assert!(matches!(mismatch(read(b"", b"abc", 0)), Mismatch::Digest { .. }));
    }

    /// Whoever reads on after a failure, to the end of the blob, must not hear of another one.
    #[test]
    fn verified_fails_again_as_it_did() {
        for (bytes, promised, size) in
            [(b"abcd".as_slice(), b"abc".as_slice(), 3), (b"ab", b"abc", 3), (b"abd", b"abc", 3)]
        {
            let descriptor = Descriptor::new(MediaType::ImageLayer, Digest::of(promised), size);
            let mut verified = Verified::new(bytes, &descriptor);
            let mut read = || mismatch(io::copy(&mut verified, &mut io::sink()).map(|_| Vec::new()));
            assert_eq!(read(), read());
        }
    }

    #[test]
    fn tally_learns_digest_and_count() {
        let mut tally = Tally::new(Vec::new());
        tally.write_all(b"{").expect("a vector takes all");
        tally.write_all(b"}").expect("a vector takes all");
        let (bytes, digest, count) = tally.finish();
        assert_eq!((bytes.as_slice(), digest, count), (b"{}".as_slice(), Digest::of(b"{}"), 2));
    }
}
