//! The first push to a repository: nothing is there, so that a layer may be sent while it is made, before its digest is
//! known.
//!
//! That the repository is empty must be known: the tag was looked for before the build and was not there, and one more
//! request, made once a layer is large enough to be worth it, shows that there is no other. Where anything may be there
//! the digest decides whether a layer is sent at all, and it is waited for.
//!
//! A stream that fails costs what it has sent, no more: the layer goes again in the ordinary way once it is whole.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::sync::{OnceCell, Semaphore, SemaphorePermit, watch};
use tokio::time::sleep;

use super::{Dialect, Options, Upload};
use crate::blob::Tally;
use crate::blob::growing::Growing;
use crate::event::{BlobStatus, Event, Observer};
use crate::mutex::lock;
use crate::oci::digest::Digest;
use crate::oci::reference::Reference;
use crate::registry::client::Repository;
use crate::registry::error::Error;
use crate::registry::upload::stream::{self, Streamed};
use crate::registry::upload::{FAREWELL, Sent, Session, cancel, cancel_at_once, open};

/// How much of a layer must be there before the registry is asked whether it is empty, and before the layer is sent, in
/// bytes.
#[derive(Debug, Clone, Copy)]
struct Start {
    asked_at: u64,
    least: u64,
    /// Whether a session for it is opened meanwhile.
    sure: bool,
}

impl Start {
    /// A layer that is made of so many bytes. A small one is quicker in one request, and an image of small layers costs
    /// no question; of a large one it is known before the first byte that it will be worth it, and the line is free.
    fn of(size: u64) -> Self {
        if size >= 16 << 20 {
            Self { asked_at: 0, least: 1 << 20, sure: true }
        } else {
            // The answer is there when the rest is.
            Self { asked_at: 3 << 20, least: 4 << 20, sure: false }
        }
    }
}

/// How much of it is read at a time, in bytes.
const SLICE: usize = 256 << 10;

/// Whether this is a first push, as far as is known without asking: the tag was not there, and nobody says that its
/// layers are elsewhere in the registry or how each must be sent.
pub fn is_first(reference: &Reference, options: &Options) -> bool {
    let tag = reference.tag_or_latest().unwrap_or_default();
    let seen = options.seen.get(&format!("{}:{tag}", reference.name()));
    matches!(seen, Some((_, None))) && options.mount_from.is_empty() && stream::is_allowed(options.chunk_size)
}

/// A repository that may be empty, and what is sent to it for that reason.
pub(super) struct First<'a> {
    repository: &'a Repository,
    dialect: &'a Dialect,
    observer: &'a Arc<dyn Observer>,
    empty: OnceCell<bool>,
    /// The digests of the first bytes of layers.
    heads: Mutex<BTreeSet<Digest>>,
    /// How many may be sent at a time, beside those that are whole.
    room: Semaphore,
    stopped: watch::Receiver<bool>,
}

impl<'a> First<'a> {
    pub(super) fn new(
        repository: &'a Repository,
        dialect: &'a Dialect,
        observer: &'a Arc<dyn Observer>,
        jobs: usize,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let (empty, heads, room) = (OnceCell::new(), Mutex::default(), Semaphore::new(jobs));
        Self { repository, dialect, observer, empty, heads, room, stopped }
    }

    /// Sends a layer as it grows, which is made of so many bytes. What was sent in vain, or that nothing was, is the
    /// error.
    pub(super) async fn send(&self, mut growing: Growing, size: u64) -> Result<Upload, Sent> {
        let nothing = Sent { bytes: 0, retries: 0 };
        let mut stopped = self.stopped.clone();
        let ready = self.begin(&mut growing, Start::of(size), &mut stopped).await;
        let Some((_place, session)) = ready else { return Err(nothing) };
        let stop = async {
            // A sender that is gone is as good.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let Streamed { whole, sent, seconds } =
            stream::stream(self.repository, session, growing, self.dialect, self.observer, stop).await?;
        let id = whole.digest.to_string();
        self.observer.note(Event::BlobFinished { id: &id, status: BlobStatus::Uploaded });
        Ok(Upload {
            repository: self.repository.full_name(),
            digest: whole.digest,
            bytes_sent: sent.bytes,
            status: BlobStatus::Uploaded,
            retries: sent.retries,
            seconds,
        })
    }

    /// Waits until there is enough of a layer. Its place on the line, with a session where there is one; nothing where
    /// it is not to be sent before it is whole.
    async fn begin(
        &self,
        growing: &mut Growing,
        start: Start,
        stopped: &mut watch::Receiver<bool>,
    ) -> Option<(SemaphorePermit<'_>, Option<Result<Session, Error>>)> {
        let wanted = async {
            matches!(growing.beyond(start.asked_at).await, Ok(grown) if grown.whole().is_none())
                && *self.empty.get_or_init(|| self.repository.is_empty()).await
        };
        let wanted = tokio::select! {
            wanted = wanted => wanted,
            _ = stopped.wait_for(|stopped| *stopped) => false,
        };
        if !wanted {
            return None;
        }
        // Whoever waited for room would have it when the layer is whole anyway.
        let place = self.room.try_acquire().ok()?;
        let mut given_up = stopped.clone();
        let opening = async {
            if !start.sure {
                return None;
            }
            tokio::select! {
                opened = open(self.repository) => Some(opened),
                // Not at once: a session that is being opened at this moment is to be given back.
                () = async { let _ = given_up.wait_for(|stopped| *stopped).await; sleep(FAREWELL).await } => None,
            }
        };
        let worth = async {
            tokio::select! {
                worth = self.is_worth_it(growing, start.least) => worth,
                _ = stopped.wait_for(|stopped| *stopped) => false,
            }
        };
        match tokio::join!(opening, worth) {
            (session, true) => Some((place, session)),
            (session, false) => {
                if let Some(Ok(session)) = session {
                    if *stopped.borrow() {
                        cancel_at_once(self.repository, &session).await;
                    } else {
                        cancel(self.repository, &session).await;
                    }
                }
                None
            }
        }
    }

    /// Waits for the first bytes of a layer; whether it is to be sent before there is more.
    async fn is_worth_it(&self, growing: &mut Growing, least: u64) -> bool {
        if !matches!(growing.beyond(least).await, Ok(grown) if grown.whole().is_none()) {
            return false;
        }
        let reader = growing.clone();
        let head = tokio::task::spawn_blocking(move || head(&reader, least)).await;
        let Ok(Ok(head)) = head else { return false };
        // One that begins as another does is most likely the same for another platform: it goes once, if so.
        let is_new = lock(&self.heads).insert(head);
        is_new && growing.grown().whole().is_none() && !growing.is_abandoned()
    }
}

/// The digest of a layer's first bytes.
fn head(growing: &Growing, count: u64) -> io::Result<Digest> {
    let (mut tally, mut buffer) = (Tally::new(io::sink()), Vec::new());
    while tally.count() < count {
        buffer = growing.read(tally.count(), SLICE, buffer)?;
        io::Write::write_all(&mut tally, &buffer)?;
    }
    Ok(tally.digest())
}

/// What becomes of the layers that were handed in before they were whole.
#[derive(Default)]
pub(super) struct Streams(Vec<(Growing, Fate)>);

/// What became of a layer before it was whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Whether it is sent is still open.
    Open,
    /// It was sent.
    Sent,
    /// It was not, but for this in vain.
    Unsent(Sent),
}

impl Streams {
    /// Takes note of a layer that grows; its number is the answer.
    pub(super) fn add(&mut self, growing: Growing) -> usize {
        self.0.push((growing, Fate::Open));
        self.0.len() - 1
    }

    /// Takes note of the end of its stream. The layer's digest, where it is whole, is the answer.
    pub(super) fn end(&mut self, number: usize, ended: &Result<Upload, Sent>) -> Option<Digest> {
        let (growing, fate) = self.0.get_mut(number)?;
        *fate = ended.as_ref().map_or_else(|sent| Fate::Unsent(*sent), |_| Fate::Sent);
        growing.grown().whole().map(|whole| whole.digest)
    }

    /// What became of a layer that is whole. Of several that turned out the same, the best counts.
    pub(super) fn fate(&self, digest: Digest) -> Fate {
        let same = |growing: &Growing| growing.grown().whole().is_some_and(|whole| whole.digest == digest);
        let fates = self.0.iter().filter(|(growing, _)| same(growing)).map(|(_, fate)| *fate);
        fates.fold(Fate::Unsent(Sent { bytes: 0, retries: 0 }), |all, one| match (all, one) {
            (Fate::Sent, _) | (_, Fate::Sent) => Fate::Sent,
            (Fate::Open, _) | (_, Fate::Open) => Fate::Open,
            (Fate::Unsent(all), Fate::Unsent(one)) => {
                Fate::Unsent(Sent { bytes: all.bytes + one.bytes, retries: all.retries + one.retries })
            }
        })
    }
}
