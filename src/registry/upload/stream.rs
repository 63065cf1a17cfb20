//! One blob to a registry while it is being made: its bytes leave as they are written, its digest goes with the last
//! request.
//!
//! The registry gets them as Docker sends its own: one PATCH of a length that nobody knows when it begins, then a PUT
//! without a body. Where parts are asked for, or the registry has sizes of its own, they go as the parts of any blob,
//! each once there is something after it, so that the last one is never empty.
//!
//! There is one session and no second one. Whatever goes wrong here (a connection that is lost, a refusal, an answer
//! that comes too early, a blob that is not finished) the session is given back, and the blob is left to the ordinary
//! upload, which has the means for all that; what was sent in vain is told. A body of unknown length is not sent again
//! with other credentials either: those that the POST had are fresh.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use reqwest::Method;

use super::body::{self, Meter};
use super::dialect::{ChunkSize, Dialect};
use super::{FAREWELL, Sender, Sent, Session, Setback, cancel, cancel_at_once, is_taken, open};
use crate::blob::growing::{Abandoned, Growing, Whole};
use crate::event::Observer;
use crate::registry::client::Repository;
use crate::registry::error::Error;
use crate::registry::http::Payload;

/// A blob that was sent while it grew.
pub(in crate::registry) struct Streamed {
    pub(in crate::registry) whole: Whole,
    pub(in crate::registry) sent: Sent,
    pub(in crate::registry) seconds: f64,
}

/// Why a stream ended without its blob.
enum End {
    /// The line or the registry.
    Failed(Error),
    /// The blob was not finished, cannot be read, or has too many parts.
    Ours,
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Abandoned> for End {
    fn from(_: Abandoned) -> Self {
        Self::Ours
    }
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Ours
    }
}

impl From<Setback> for End {
    fn from(setback: Setback) -> Self {
        match setback {
            Setback::Final(error) => Self::Failed(error),
            Setback::Again(error, _) => Self::Failed(*error),
        }
    }
}

/// Whether blobs may be sent so: not where each is to be one PUT.
pub(in crate::registry) fn is_allowed(chunk_size: Option<ChunkSize>) -> bool {
    chunk_size != Some(ChunkSize::None)
}

/// Sends a blob as it grows, until it is whole or `stop` ends, in the session where one was asked for already. What was
/// sent in vain is the error.
pub(in crate::registry) async fn stream(
    repository: &Repository,
    asked: Option<Result<Session, Error>>,
    mut growing: Growing,
    dialect: &Dialect,
    observer: &Arc<dyn Observer>,
    stop: impl Future<Output = ()>,
) -> Result<Streamed, Sent> {
    let begun = Instant::now();
    let meter = Arc::new(Meter::nameless(Arc::clone(observer)));
    let mut sender = Sender { repository, dialect, meter, retries: 0 };
    let mut session = None;
    let mut stop = std::pin::pin!(stop);
    let ended = tokio::select! {
        ended = sender.stream(asked, &mut session, &mut growing) => Some(ended),
        () = &mut stop => None,
    };
    let mut sent = Sent { bytes: sender.meter.sent(), retries: sender.retries };
    let error = match ended {
        Some(Ok(whole)) => return Ok(Streamed { whole, sent, seconds: begun.elapsed().as_secs_f64() }),
        Some(Err(error)) => error,
        None => {
            if let Some(session) = session {
                cancel_at_once(repository, &session).await;
            }
            return Err(sent);
        }
    };
    let rest = async {
        if let Some(session) = &session {
            cancel(repository, session).await;
        }
        // A body that breaks off because its blob does looks like a line that is lost.
        if let End::Failed(error) = error
            && !growing.is_abandoned()
        {
            sent.retries += 1;
            repository.http.pause(&error, 1).await;
        }
    };
    tokio::select! {
        () = rest => {}
        () = async { stop.await; tokio::time::sleep(FAREWELL).await } => {}
    }
    Err(sent)
}

impl Sender<'_> {
    async fn stream(
        &mut self,
        asked: Option<Result<Session, Error>>,
        session: &mut Option<Session>,
        growing: &mut Growing,
    ) -> Result<Whole, End> {
        let opened = match asked {
            Some(opened) => opened,
            None => open(self.repository).await,
        };
        let session = session.insert(opened?);
        let chunking = self.dialect.chunking;
        let in_parts = chunking.monolithic_limit.is_some() || session.least > 0;
        if in_parts && !session.asks_too_much(chunking.part) {
            return self.stream_parts(session, growing, chunking.part.max(session.least)).await;
        }
        let body = body::growing(growing, &self.meter);
        let ask = self.asking(Method::PATCH, session.url.clone(), body, None);
        let answer = self.repository.http.ask_once(&self.repository.registry, &ask).await?;
        if !is_taken(&answer) {
            return Err(answer.into_error().await.into());
        }
        let Some(whole) = growing.grown().whole() else {
            return Err(answer.garbage("it answers before the blob has ended").into());
        };
        self.follow(session, &answer)?;
        answer.drain().await;
        let error = match self.put(session, Payload::Empty, None, whole).await {
            Ok(answer) if is_taken(&answer) => {
                answer.drain().await;
                return Ok(whole);
            }
            Ok(answer) => answer.into_error().await,
            Err(error) => error,
        };
        // The answer may have been lost, not the blob.
        let doubtful = matches!(error, Error::Lost { .. } | Error::Stalled { .. } | Error::Server(_));
        if doubtful && self.is_there(whole).await { Ok(whole) } else { Err(error.into()) }
    }

    async fn stream_parts(&mut self, session: &mut Session, growing: &mut Growing, part: u64) -> Result<Whole, End> {
        let most = self.dialect.limits.most_parts.unwrap_or(u64::MAX);
        let (mut start, mut buffer) = (0, Vec::new());
        for number in 1..=most {
            let grown = growing.beyond(start + part).await?;
            let last = grown.whole().filter(|whole| whole.size - start <= part);
            if last.is_none() && number == most {
                break;
            }
            let bytes = body::read(growing, start, part.min(grown.size() - start), buffer).await?;
            if let Some(whole) = grown.whole() {
                self.meter.begin(whole, start);
            }
            self.part(session, &bytes, start, part, last).await?;
            if let Some(whole) = last {
                return Ok(whole);
            }
            start += bytes.len() as u64;
            // Its memory is used again: an allocator keeps for each thread what parts of many megabytes leave behind.
            buffer = Some(bytes).filter(Bytes::is_unique).map(Vec::from).unwrap_or_default();
        }
        Err(End::Ours)
    }
}
