//! The bytes of a blob on their way into a request: read by a thread, hashed as they pass, counted as they leave.
//!
//! A source blocks, so it is read outside the runtime's own threads. The last bytes are held back until the whole blob
//! has proved to be what its descriptor promises: a damaged one never arrives whole, and is our error by name instead
//! of the registry's `DIGEST_INVALID`.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::blob::growing::{Growing, Whole};
use crate::blob::{BlobError, BlobSource, Verified};
use crate::event::{Event, Observer};
use crate::mutex::lock;
use crate::oci::descriptor::Descriptor;
use crate::registry::error::Error;
use crate::registry::http::Payload;
use crate::registry::http::transport::Progress;

/// How much is handed to a connection at a time, in bytes.
const SLICE: usize = 256 << 10;

/// How often it is said that a body waits for a blob that grows, or for a source that has a line and patience of its
/// own, lest the line to the registry be taken for broken.
const PULSE: Duration = Duration::from_secs(1);

/// Counts what leaves, and tells the observer.
pub(super) struct Meter {
    observer: Arc<dyn Observer>,
    /// Not known of a blob that grows: it has no name to be told by.
    id: OnceLock<String>,
    sent: AtomicU64,
}

impl Meter {
    pub(super) fn new(observer: Arc<dyn Observer>, descriptor: &Descriptor) -> Self {
        Self { observer, id: OnceLock::from(descriptor.digest.to_string()), sent: AtomicU64::new(0) }
    }

    /// Tells of nothing before [`Self::begin`].
    pub(super) fn nameless(observer: Arc<dyn Observer>) -> Self {
        Self { observer, id: OnceLock::new(), sent: AtomicU64::new(0) }
    }

    /// A blob that grew has its name; so many of its bytes have left.
    pub(super) fn begin(&self, whole: Whole, position: u64) {
        let id = whole.digest.to_string();
        if self.id.set(id.clone()).is_ok() {
            self.observer.note(Event::BlobStarted { id: &id, size: whole.size });
            self.observer.note(Event::BlobAdvanced { id: &id, bytes: position });
        }
    }

    /// All bytes that left, those that left again included.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn warn(&self, text: &str) {
        self.observer.note(Event::Warning(text));
    }

    fn pass(&self, count: usize, position: u64) {
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
        if let Some(id) = self.id.get() {
            self.observer.note(Event::BlobAdvanced { id, bytes: position });
        }
    }
}

/// A failure of the source, found while a request was reading from it.
#[derive(Clone, Default)]
pub(super) struct Fault(Arc<Mutex<Option<BlobError>>>);

impl Fault {
    fn set(&self, error: BlobError) {
        *lock(&self.0) = Some(error);
    }

    pub(super) fn take(&self) -> Option<BlobError> {
        lock(&self.0).take()
    }
}

/// A whole blob as one body, read anew whenever the request is sent.
pub(super) fn whole(
    source: &Arc<dyn BlobSource>,
    descriptor: &Descriptor,
    meter: &Arc<Meter>,
    fault: &Fault,
) -> Payload {
    let (source, descriptor, meter, fault) = (Arc::clone(source), descriptor.clone(), Arc::clone(meter), fault.clone());
    let size = descriptor.size;
    Payload::Stream(
        size,
        Arc::new(move |progress| {
            // Two slices in the channel and two with the reader: a megabyte for a blob of any size.
            let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(2);
            let (source, descriptor, fault) = (Arc::clone(&source), descriptor.clone(), fault.clone());
            tokio::task::spawn_blocking(move || {
                if let Err(error) = read_slices(&*source, &descriptor, |slice| sender.blocking_send(Ok(slice)).is_ok())
                {
                    fault.set(error);
                    // Ends the request; the fault says why.
                    let _ = sender.blocking_send(Err(io::ErrorKind::InvalidData.into()));
                }
            });
            let meter = Arc::clone(&meter);
            if size == 0 {
                progress.complete();
            }
            reqwest::Body::wrap_stream(stream::unfold((receiver, 0), move |(mut receiver, position)| {
                let (meter, progress) = (Arc::clone(&meter), progress.clone());
                async move {
                    let slice = loop {
                        match tokio::time::timeout(PULSE, receiver.recv()).await {
                            Ok(slice) => break slice?,
                            Err(_) => progress.advance(),
                        }
                    };
                    let mut position = position;
                    if let Ok(bytes) = &slice {
                        position += bytes.len() as u64;
                        meter.pass(bytes.len(), position);
                        if position == size { progress.complete() } else { progress.advance() }
                    }
                    Some((slice, (receiver, position)))
                }
            }))
        }),
    )
}

/// A blob that grows as one body, which ends with it.
pub(super) fn growing(growing: &Growing, meter: &Arc<Meter>) -> Payload {
    let (growing, meter) = (growing.clone(), Arc::clone(meter));
    Payload::Growing(Arc::new(move |progress| {
        let start = Some((growing.clone(), 0));
        let meter = Arc::clone(&meter);
        reqwest::Body::wrap_stream(stream::unfold(start, move |rest| {
            let (meter, progress) = (Arc::clone(&meter), progress.clone());
            async move {
                let (mut growing, position) = rest?;
                match next(&mut growing, position, &meter, &progress).await {
                    Ok(slice) if slice.is_empty() => None,
                    Ok(slice) => {
                        let position = position + slice.len() as u64;
                        Some((Ok(slice), Some((growing, position))))
                    }
                    Err(error) => Some((Err(error), None)),
                }
            }
        }))
    }))
}

/// The next bytes of a blob that grows; none at its end.
async fn next(growing: &mut Growing, position: u64, meter: &Meter, progress: &Progress) -> io::Result<Bytes> {
    let grown = loop {
        match tokio::time::timeout(PULSE, growing.beyond(position)).await {
            Ok(grown) => break grown.map_err(io::Error::other)?,
            Err(_) => progress.advance(),
        }
    };
    if let Some(whole) = grown.whole() {
        meter.begin(whole, position);
    }
    let count = grown.size().saturating_sub(position).min(SLICE as u64);
    if count == 0 {
        progress.complete();
        return Ok(Bytes::new());
    }
    let bytes = read(growing, position, count, Vec::new()).await?;
    meter.pass(bytes.len(), position + count);
    progress.advance();
    Ok(bytes)
}

/// Reads bytes of a blob that grows which are there.
pub(super) async fn read(growing: &Growing, start: u64, count: u64, buffer: Vec<u8>) -> io::Result<Bytes> {
    let growing = growing.clone();
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let reading = tokio::task::spawn_blocking(move || growing.read(start, count, buffer));
    Ok(reading.await.map_err(io::Error::other)??.into())
}

/// A part of a blob, from `start`, as a body.
pub(super) fn part(bytes: &Bytes, start: u64, meter: &Arc<Meter>) -> Payload {
    let (bytes, meter) = (bytes.clone(), Arc::clone(meter));
    Payload::Stream(
        bytes.len() as u64,
        Arc::new(move |progress| {
            let meter = Arc::clone(&meter);
            if bytes.is_empty() {
                progress.complete();
            }
            reqwest::Body::wrap_stream(stream::unfold((bytes.clone(), start), move |(mut rest, position)| {
                let (meter, progress) = (Arc::clone(&meter), progress.clone());
                async move {
                    if rest.is_empty() {
                        return None;
                    }
                    let slice = rest.split_to(rest.len().min(SLICE));
                    let position = position + slice.len() as u64;
                    meter.pass(slice.len(), position);
                    if rest.is_empty() {
                        progress.complete();
                    } else {
                        progress.advance();
                    }
                    Some((Ok::<_, io::Error>(slice), (rest, position)))
                }
            }))
        }),
    )
}

/// Reads a blob in slices; the last one is given away only when the blob is whole. Ends early where nobody takes it.
fn read_slices(
    source: &dyn BlobSource,
    descriptor: &Descriptor,
    mut give: impl FnMut(Bytes) -> bool,
) -> Result<(), BlobError> {
    let mut reader = source.open(descriptor)?;
    let failed = |error: io::Error| unreadable(source, descriptor, error);
    let mut held: Option<Bytes> = None;
    // A small blob is no whole slice; the end of an empty one is read all the same.
    let count = usize::try_from(descriptor.size).unwrap_or(SLICE).clamp(1, SLICE);
    // The slices that were given away, oldest first. Those that have left are filled again: new memory for each slice
    // would cost the kernel's clearing of it.
    let mut given: VecDeque<Bytes> = VecDeque::new();
    loop {
        let buffer = given.pop_front_if(|oldest| oldest.is_unique()).map(Vec::from).unwrap_or_default();
        let slice = fill(&mut reader, count, buffer).map_err(failed)?;
        if slice.is_empty() {
            break;
        }
        given.push_back(slice.clone());
        if let Some(previous) = held.replace(slice)
            && !give(previous)
        {
            return Ok(());
        }
    }
    if let Some(last) = held {
        give(last);
    }
    Ok(())
}

fn unreadable(source: &dyn BlobSource, descriptor: &Descriptor, error: io::Error) -> BlobError {
    BlobError::Read { digest: descriptor.digest, place: source.place(), source: error.into() }
}

/// As many bytes as asked for, or all that are left.
fn fill(reader: &mut impl Read, count: usize, mut buffer: Vec<u8>) -> io::Result<Bytes> {
    // A buffer that was full is not cleared before it is written over.
    buffer.resize(count, 0);
    let mut done = 0;
    while done < count {
        match reader.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(more) => done += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(done);
    Ok(buffer.into())
}

/// Reads the parts of a blob in order.
pub(super) struct Parts {
    source: Arc<dyn BlobSource>,
    descriptor: Descriptor,
    reader: Option<Verified<Box<dyn Read + Send>>>,
    left: u64,
}

impl Parts {
    pub(super) fn new(source: &Arc<dyn BlobSource>, descriptor: &Descriptor) -> Self {
        Self { source: Arc::clone(source), descriptor: descriptor.clone(), reader: None, left: descriptor.size }
    }

    /// Begins to read the next part; the last one is given away only when the blob is whole.
    ///
    /// `sent` is a part that is done with. Its memory is used again: an allocator keeps for each thread what parts of
    /// many megabytes leave behind.
    pub(super) fn read_ahead(
        mut self,
        size: u64,
        sent: Option<Bytes>,
    ) -> tokio::task::JoinHandle<Result<(Self, Bytes), Error>> {
        tokio::task::spawn_blocking(move || {
            let mut reader = match self.reader.take() {
                Some(reader) => reader,
                None => self.source.open(&self.descriptor)?,
            };
            let failed = |error: io::Error| unreadable(&*self.source, &self.descriptor, error);
            let count = size.min(self.left);
            let buffer = sent.filter(Bytes::is_unique).map(Vec::from).unwrap_or_default();
            let bytes = fill(&mut reader, usize::try_from(count).unwrap_or(usize::MAX), buffer).map_err(failed)?;
            self.left -= count;
            if self.left == 0 {
                // The end of a verified reader is its word that all was as promised.
                io::copy(&mut reader, &mut io::sink()).map_err(failed)?;
            }
            self.reader = Some(reader);
            Ok((self, bytes))
        })
    }

    /// Whether all parts have been read.
    pub(super) fn is_done(&self) -> bool {
        self.left == 0
    }
}
