//! A repository as a place of blobs, for everybody who reads an image without knowing where it is.
//!
//! What comes from a registry is held to its descriptor by [`BlobSource::open`]; here a broken connection is taken up
//! where it broke, and memory is bounded by a few chunks in flight.

use std::collections::HashMap;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex};

use bytes::{Buf, Bytes};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::client::{Access, BlobStream, Client, Repository};
use super::error::Error;
use crate::blob::{BlobError, BlobSource};
use crate::mutex::lock;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::media_type::{Kind, kind};
use crate::oci::reference::Reference;

/// How many chunks wait for a reader.
const AHEAD: usize = 8;

/// How many bytes of manifests are kept.
const KEPT: usize = 4 << 20;

/// The manifest or index that a reference names, and its bytes. A digest goes before a tag.
///
/// # Errors
/// As [`Repository::get_manifest`].
pub async fn resolve(client: &Client, reference: &Reference) -> Result<(Descriptor, Vec<u8>), Error> {
    let repository = client.repository(reference, Access::Pull)?;
    match (reference.digest(), reference.tag_or_latest()) {
        (Some(digest), _) => repository.get_manifest(&digest.to_string()).await,
        (None, tag) => repository.get_manifest(tag.unwrap_or("latest")).await,
    }
}

/// The way to the images of all registries, for threads outside the runtime: its calls block.
pub struct Registries {
    client: Client,
    runtime: Handle,
}

impl Registries {
    /// Speaks through this client, on this runtime.
    pub fn new(client: Client, runtime: Handle) -> Self {
        Self { client, runtime }
    }

    /// The manifest or index that a reference names, its bytes, and the repository that its blobs are in.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn open(&self, reference: &Reference) -> Result<(Descriptor, Vec<u8>, RemoteBlobs), Error> {
        let (top, bytes) = self.runtime.block_on(resolve(&self.client, reference))?;
        let blobs = self.repository(reference)?;
        blobs.keep(top.digest, bytes.clone().into());
        Ok((top, bytes, blobs))
    }

    /// The repository of a reference. No request is made.
    ///
    /// # Errors
    /// Where the registry's host is no address.
    pub fn repository(&self, reference: &Reference) -> Result<RemoteBlobs, Error> {
        RemoteBlobs::new(&self.client, reference, self.runtime.clone())
    }
}

/// The blobs and manifests of one repository.
///
/// Its readers block: they are for threads outside the runtime that `runtime` names.
pub struct RemoteBlobs {
    repository: Arc<Repository>,
    runtime: Handle,
    /// Manifests that were read: they are asked for by whoever looks at an image and by whoever sends it, and
    /// registries count that. Each is held to its digest whenever it is read.
    manifests: Mutex<HashMap<Digest, Bytes>>,
}

impl RemoteBlobs {
    /// The repository of a reference; its tag or digest do not matter.
    ///
    /// # Errors
    /// Where the registry's host is no address.
    pub fn new(client: &Client, reference: &Reference, runtime: Handle) -> Result<Self, Error> {
        let repository = Arc::new(client.repository(reference, Access::Pull)?);
        Ok(Self { repository, runtime, manifests: Mutex::default() })
    }

    /// Keeps a manifest, as long as there is room.
    fn keep(&self, digest: Digest, bytes: Bytes) -> Bytes {
        let mut kept = lock(&self.manifests);
        if kept.values().map(Bytes::len).sum::<usize>() + bytes.len() <= KEPT {
            kept.insert(digest, bytes.clone());
        }
        bytes
    }

    fn failed(&self, descriptor: &Descriptor, error: Error) -> BlobError {
        let (digest, place) = (descriptor.digest, self.place());
        match error {
            Error::BlobUnknown(_) | Error::ManifestUnknown(_) => BlobError::Missing { digest, place },
            error => BlobError::Read { digest, place, source: error.into() },
        }
    }

    /// Runs a request on the runtime and waits for it here.
    fn wait<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::channel(1);
        self.runtime.spawn(async move { sender.send(work.await).await });
        receiver.blocking_recv().unwrap_or(Err(Error::Worker))
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BlobError> {
        let (repository, digest) = (Arc::clone(&self.repository), descriptor.digest);
        if let Some(bytes) = lock(&self.manifests).get(&digest) {
            return Ok(Box::new(Cursor::new(bytes.clone())));
        }
        let (_, bytes) = self
            .wait(async move { repository.get_manifest(&digest.to_string()).await })
            .map_err(|error| self.failed(descriptor, error))?;
        Ok(Box::new(Cursor::new(self.keep(digest, bytes.into()))))
    }
}

impl BlobSource for RemoteBlobs {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BlobError> {
        // Manifests are blobs in an image layout, but not at a registry.
        let kind = kind(&descriptor.media_type);
        if matches!(kind, Kind::Index | Kind::Manifest) {
            return self.manifest(descriptor);
        }
        let (repository, digest) = (Arc::clone(&self.repository), descriptor.digest);
        let opened = self.wait(async move { repository.get_blob(digest, 0).await });
        let stream = match opened {
            Ok(stream) => stream,
            // An artifact's manifest may have any type.
            Err(Error::BlobUnknown(_)) if kind == Kind::Other => return self.manifest(descriptor),
            Err(error) => return Err(self.failed(descriptor, error)),
        };
        let (sender, receiver) = mpsc::channel(AHEAD);
        let download =
            Download { repository: Arc::clone(&self.repository), descriptor: descriptor.clone(), offset: 0, sender };
        self.runtime.spawn(download.run(stream));
        Ok(Box::new(Remote { receiver, chunk: Bytes::new() }))
    }

    fn place(&self) -> String {
        self.repository.full_name()
    }
}

struct Download {
    repository: Arc<Repository>,
    descriptor: Descriptor,
    offset: u64,
    sender: mpsc::Sender<Result<Bytes, Error>>,
}

impl Download {
    /// Fetches until the end; ends early where nobody reads any more, also in the middle of a pause.
    async fn run(self, stream: BlobStream) {
        let sender = self.sender.clone();
        tokio::select! {
            () = self.fetch(stream) => {}
            () = sender.closed() => {}
        }
    }

    /// Fetches until the end, anew from where it broke.
    async fn fetch(mut self, mut stream: BlobStream) {
        let mut failures = 0;
        loop {
            let error = match stream.chunk().await {
                Ok(Some(chunk)) => {
                    self.offset += chunk.len() as u64;
                    // Only failures in a row count: a large blob over a bad line may break often.
                    failures = 0;
                    if self.sender.send(Ok(chunk)).await.is_err() {
                        return;
                    }
                    continue;
                }
                Ok(None) => None,
                Err(error) => Some(error),
            };
            if self.offset >= self.descriptor.size {
                return;
            }
            failures += 1;
            // That there is no more may be true: the size is for `Verified` to judge.
            let is_end = error.is_none();
            let error = error.unwrap_or_else(|| stream.ended_early());
            if !self.repository.http.again(&error, failures) {
                if !is_end {
                    let _ = self.sender.send(Err(error)).await;
                }
                return;
            }
            self.repository.http.pause(&error, failures).await;
            match self.repository.get_blob(self.descriptor.digest, self.offset).await {
                Ok(next) => stream = next,
                Err(error) if is_end && error.reply().is_some_and(|reply| reply.status == 416) => return,
                Err(error) => {
                    let _ = self.sender.send(Err(error)).await;
                    return;
                }
            }
        }
    }
}

struct Remote {
    receiver: mpsc::Receiver<Result<Bytes, Error>>,
    chunk: Bytes,
}

impl Read for Remote {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.chunk = chunk.map_err(io::Error::other)?,
            }
        }
        let count = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
