//! One blob to a registry (distribution-spec "Pushing blobs").
//!
//! A session is opened by POST; then the blob goes in one PUT, or in parts, strictly in order: PATCH after PATCH with a
//! `Content-Range`, the last part on the final PUT (ECR has answered an empty final PUT with 500).
//!
//! What registries say about an upload's state is not believed, because ECR's `Range` stays at the first part while all
//! of them are stored, and docker-registry does not look at `Content-Range`. The offset is ours. After a failure that
//! leaves open whether a part has arrived, the same part is sent once more: success, or a 416 that expects exactly the
//! byte after the part, means that it is there; anything else means a new session from the first byte, and there are
//! `SESSIONS` of them. A wrong guess cannot harm: the registry compares the digest.
//! A blob that is still being made has its own way, `stream`, and this one where that fails.
//!
//! Where a registry keeps what arrived of a torn part (ECR does), the same part goes once more only if nothing of it
//! left or all of it did: after anything between, the session can only go wrong, and a part sent in vain is time lost.

mod body;
pub mod dialect;
mod session;
pub(super) mod stream;

use std::sync::Arc;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use url::Url;

use self::body::{Fault, Meter, Parts};
use self::dialect::{Dialect, Plan};
pub(super) use self::session::{FAREWELL, cancel_at_once, open};
pub use self::session::{Session, Started, cancel, start};
use super::client::Repository;
use super::error::Error;
use super::http::pace::Action;
use super::http::{Answer, Ask, Payload};
use crate::blob::BlobSource;
use crate::blob::growing::Whole;
use crate::event::Observer;
use crate::oci::descriptor::Descriptor;

/// The most upload sessions that a blob gets.
pub const SESSIONS: u32 = 5;

/// The smallest part that a 413 makes us try, in bytes.
const SMALLEST_PART: u64 = 1 << 20;

/// The largest part that a registry may ask for, in bytes: parts are kept in memory.
const LARGEST_PART: u64 = 64 << 20;

/// A blob that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// All bytes of it that left, those that left again included.
    pub bytes: u64,
    /// How often something was sent again.
    pub retries: u32,
}

/// Sends a blob, in the given session first. It is held to its descriptor on the way.
///
/// # Errors
/// Where the blob cannot be read or is not what its descriptor says, or the registry refuses it, or keeps failing.
pub async fn upload(
    repository: &Repository,
    source: &Arc<dyn BlobSource>,
    descriptor: &Descriptor,
    dialect: &Dialect,
    first: Option<Session>,
    observer: &Arc<dyn Observer>,
) -> Result<Sent, Error> {
    let meter = Arc::new(Meter::new(Arc::clone(observer), descriptor));
    let mut sender = Sender { repository, dialect, meter, retries: 0 };
    let mut plan = dialect.plan(descriptor.size);
    if plan == Plan::Whole && dialect.chunking.monolithic_limit.is_some_and(|limit| descriptor.size > limit) {
        let (digest, most) = (descriptor.digest, dialect.limits.most_parts.unwrap_or_default());
        sender.meter.warn(&format!("blob {digest} is too large for {most} parts: it is sent in one request"));
    }
    let mut given = first;
    let mut number = 1;
    loop {
        let mut session = match given.take() {
            Some(session) => session,
            None => match start(repository, descriptor.digest, &[]).await? {
                Started::Session(session) => session,
                Started::Mounted => return Ok(Sent { bytes: sender.meter.sent(), retries: sender.retries }),
            },
        };
        let sent = match plan {
            Plan::Parts(part) if !session.asks_too_much(part) => {
                let part = part.max(session.least);
                sender.parts(&mut session, source, descriptor, part).await
            }
            Plan::Parts(_) | Plan::Whole => sender.whole(&mut session, source, descriptor).await,
        };
        let setback = match sent {
            Ok(()) => return Ok(Sent { bytes: sender.meter.sent(), retries: sender.retries }),
            Err(setback) => setback,
        };
        cancel(repository, &session).await;
        match setback {
            Setback::Final(error) => return Err(error),
            Setback::Again(error, _) if repository.http.asks_too_long(&error) => return Err(*error),
            Setback::Again(source, _) if number == SESSIONS => {
                let (digest, repository) = (descriptor.digest, repository.full_name());
                return Err(Error::Upload { digest, repository, sessions: SESSIONS, source });
            }
            Setback::Again(error, next) => {
                sender.retries += 1;
                repository.http.pause(&error, number).await;
                plan = next;
                number += 1;
            }
        }
    }
}

/// Why a session ended without the blob.
enum Setback {
    /// Another session would end so as well.
    Final(Error),
    /// Another session may do better, with this plan.
    Again(Box<Error>, Plan),
}

struct Sender<'a> {
    repository: &'a Repository,
    dialect: &'a Dialect,
    meter: Arc<Meter>,
    retries: u32,
}

impl Sender<'_> {
    async fn whole(
        &mut self,
        session: &mut Session,
        source: &Arc<dyn BlobSource>,
        descriptor: &Descriptor,
    ) -> Result<(), Setback> {
        let whole = whole(descriptor);
        let mut failures = 0;
        let error = loop {
            let fault = Fault::default();
            let payload = body::whole(source, descriptor, &self.meter, &fault);
            let result = self.put(session, payload, None, whole).await;
            if let Some(fault) = fault.take() {
                // It was we who broke off.
                session.closing = false;
                return Err(Setback::Final(fault.into()));
            }
            let error = match result {
                Ok(answer) if is_taken(&answer) => {
                    answer.drain().await;
                    return Ok(());
                }
                Ok(answer) => answer.into_error().await,
                Err(error) => error,
            };
            failures += 1;
            if !takes_nothing(&error) {
                break error;
            }
            // A new session would be one more request to a registry that has too many.
            if !self.repository.http.again(&error, failures) {
                return Err(Setback::Final(error));
            }
            self.retries += 1;
            self.repository.http.pause(&error, failures).await;
        };
        let part = self.dialect.chunking.part;
        let fallback = self.dialect.chunking.fallback && !self.dialect.is_too_much(whole.size);
        let parts = if fallback && whole.size > part { Plan::Parts(part) } else { Plan::Whole };
        match &error {
            _ if error.is_of_token() => Err(Setback::Final(error)),
            _ if status(&error) == Some(413) => {
                let part = part.min(whole.size / 2);
                if fallback && part >= self.floor(session) {
                    return Err(Setback::Again(Box::new(error), Plan::Parts(part)));
                }
                Err(Setback::Final(error))
            }
            Error::Lost { .. } | Error::Stalled { .. } | Error::Server(_) => {
                // The answer may have been lost, not the blob.
                if self.is_there(whole).await {
                    return Ok(());
                }
                let plan = if matches!(error, Error::Server(_)) { Plan::Whole } else { parts };
                Err(Setback::Again(Box::new(error), plan))
            }
            _ if error.is_temporary() || is_about_session(&error) => Err(Setback::Again(Box::new(error), Plan::Whole)),
            _ => Err(Setback::Final(error)),
        }
    }

    async fn parts(
        &mut self,
        session: &mut Session,
        source: &Arc<dyn BlobSource>,
        descriptor: &Descriptor,
        part: u64,
    ) -> Result<(), Setback> {
        let (mut start, mut sent) = (0, None);
        let mut reading = Parts::new(source, descriptor).read_ahead(part, None);
        loop {
            let read = reading.await.unwrap_or(Err(Error::Worker));
            let (parts, bytes) = read.map_err(Setback::Final)?;
            if parts.is_done() {
                // The answer to the last one may take long.
                drop(sent);
                return self.part(session, &bytes, start, part, Some(whole(descriptor))).await;
            }
            // While this part is sent, the next one is read.
            reading = parts.read_ahead(part, sent.take());
            self.part(session, &bytes, start, part, None).await?;
            start += bytes.len() as u64;
            sent = Some(bytes);
        }
    }

    /// One part; with the last one, which goes with the final PUT, comes what all of them are.
    async fn part(
        &mut self,
        session: &mut Session,
        bytes: &Bytes,
        start: u64,
        size: u64,
        last: Option<Whole>,
    ) -> Result<(), Setback> {
        let end = start + bytes.len() as u64;
        let mut failures = 0;
        let mut sent_again = false;
        loop {
            let payload = body::part(bytes, start, &self.meter);
            let before = self.meter.sent();
            let range = (!bytes.is_empty()).then(|| format!("{start}-{}", end - 1));
            let result = match last {
                Some(whole) => self.put(session, payload, range, whole).await,
                None => self.patch(session, payload, range).await,
            };
            let error = match result {
                // Specified is 202; ECR answers 201, others 200 and 204. What `Range` says is not looked at.
                Ok(answer) if is_taken(&answer) => {
                    if last.is_none() {
                        self.follow(session, &answer).map_err(Setback::Final)?;
                    }
                    answer.drain().await;
                    return Ok(());
                }
                Ok(answer) if answer.status == 416 && failures > 0 => {
                    let (expected, error) = self.expected(answer).await;
                    if expected == Some(end) {
                        return match last {
                            Some(whole) => self.close(session, size, whole).await,
                            None => Ok(()),
                        };
                    }
                    return Err(Setback::Again(Box::new(error), Plan::Parts(size)));
                }
                Ok(answer) => answer.into_error().await,
                Err(error) => error,
            };
            failures += 1;
            match &error {
                _ if error.is_of_token() => return Err(Setback::Final(error)),
                _ if status(&error) == Some(413) => {
                    let smaller = (size / 4).max(self.floor(session));
                    return Err(if smaller < size {
                        Setback::Again(Box::new(error), Plan::Parts(smaller))
                    } else {
                        Setback::Final(error)
                    });
                }
                // No doubt about the offset.
                _ if takes_nothing(&error) => {
                    if !self.repository.http.again(&error, failures) {
                        return Err(Setback::Final(error));
                    }
                }
                Error::Lost { .. } | Error::Stalled { .. } | Error::Server(_) => {
                    if let Some(whole) = last
                        && self.is_there(whole).await
                    {
                        return Ok(());
                    }
                    let left = self.meter.sent() - before;
                    let torn = self.dialect.keeps_torn_parts && left != 0 && left != bytes.len() as u64;
                    if sent_again || torn || self.repository.http.asks_too_long(&error) {
                        return Err(Setback::Again(Box::new(error), Plan::Parts(size)));
                    }
                    sent_again = true;
                }
                _ if is_about_session(&error) => return Err(Setback::Again(Box::new(error), Plan::Parts(size))),
                _ => return Err(Setback::Final(error)),
            }
            self.retries += 1;
            self.repository.http.pause(&error, failures).await;
        }
    }

    /// The smallest part that is worth trying, in bytes.
    fn floor(&self, session: &Session) -> u64 {
        SMALLEST_PART.max(session.least).max(self.dialect.limits.least_part)
    }

    /// Ends a session all of whose bytes have arrived.
    async fn close(&self, session: &mut Session, size: u64, whole: Whole) -> Result<(), Setback> {
        let again = |error| Setback::Again(Box::new(error), Plan::Parts(size));
        let answer = self.put(session, Payload::Empty, None, whole).await.map_err(again)?;
        if is_taken(&answer) || self.is_there(whole).await {
            answer.drain().await;
            return Ok(());
        }
        Err(again(answer.into_error().await))
    }

    async fn patch(&self, session: &Session, payload: Payload, range: Option<String>) -> Result<Answer, Error> {
        let ask = self.asking(Method::PATCH, session.url.clone(), payload, range);
        self.repository.http.ask(&self.repository.registry, &ask).await
    }

    async fn put(
        &self,
        session: &mut Session,
        payload: Payload,
        range: Option<String>,
        whole: Whole,
    ) -> Result<Answer, Error> {
        let mut url = session.url.clone();
        url.query_pairs_mut().append_pair("digest", &whole.digest.to_string());
        let ask = self.asking(Method::PUT, url, payload, range);
        let mut result = self.repository.http.ask(&self.repository.registry, &ask).await;
        // 201 is the word for a blob that is stored; others have been seen, from registries and from gateways before
        // them.
        if let Ok(answer) = &result
            && is_taken(answer)
            && answer.status != 201
            && !self.is_there(whole).await
        {
            let why = format!("it answers {} instead of 201, and {} is not there", answer.status, whole.digest);
            result = Err(answer.garbage(why));
        }
        session.closing = match &result {
            Ok(answer) => answer.status >= 500,
            Err(error) => matches!(error, Error::Lost { .. } | Error::Stalled { .. } | Error::Garbage { .. }),
        };
        result
    }

    fn asking(&self, method: Method, url: Url, payload: Payload, range: Option<String>) -> Ask {
        let action = if method == Method::PATCH { Action::UploadLayerPart } else { Action::CompleteLayerUpload };
        let mut ask = Ask { url, payload, action: Some(action), ..self.repository.ask(method, "") };
        // docker-registry answers 500 to a PATCH of another type.
        ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        if let Some(range) = range.and_then(|range| HeaderValue::from_str(&range).ok()) {
            ask.headers.insert(CONTENT_RANGE, range);
        }
        ask
    }

    /// The next request goes where the reply to the last one says; docker-registry keeps its state in the query.
    fn follow(&self, session: &mut Session, answer: &Answer) -> Result<(), Error> {
        if let Some(location) = answer.header(LOCATION) {
            session.url = self.repository.registry.follow(&answer.attempt, &answer.url, location)?;
        }
        Ok(())
    }

    /// The byte that a 416 expects next, and the 416 as an error.
    async fn expected(&self, answer: Answer) -> (Option<u64>, Error) {
        let stated = answer.header(RANGE).and_then(range_end).map(|end| end + 1);
        let error = answer.into_error().await;
        (error.reply().and_then(|reply| (self.dialect.expected)(reply, stated)), error)
    }

    /// Whether the blob is at the registry after all.
    async fn is_there(&self, whole: Whole) -> bool {
        let head = self.repository.head_blob(whole.digest).await;
        matches!(head, Ok(Some(head)) if head.is(whole.size) == Ok(true))
    }
}

fn whole(descriptor: &Descriptor) -> Whole {
    Whole { digest: descriptor.digest, size: descriptor.size }
}

fn is_taken(answer: &Answer) -> bool {
    matches!(answer.status, 200 | 201 | 202 | 204)
}

fn status(error: &Error) -> Option<u16> {
    error.reply().map(|reply| reply.status)
}

/// Whether nothing of a request's body was taken: there was no connection, or no room for another request.
fn takes_nothing(error: &Error) -> bool {
    matches!(error, Error::TooManyRequests(_) | Error::Connect { .. })
}

/// Whether a refusal is about the session and not about us: unknown, out of order, or its bytes were not the blob's.
fn is_about_session(error: &Error) -> bool {
    matches!(status(error), Some(400 | 404 | 409 | 410 | 416))
}

/// The last byte of `0-9`, also written `bytes=0-9`.
fn range_end(value: &str) -> Option<u64> {
    let value = value.trim();
    value.strip_prefix("bytes=").unwrap_or(value).strip_prefix("0-")?.parse().ok().filter(|end| *end < u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_end_of_a_range() {
        assert_eq!(range_end("0-10485759"), Some(10_485_759));
        assert_eq!(range_end("bytes=0-9"), Some(9));
        for other in ["", "5-9", "0-", "0-18446744073709551615", "bytes 0-9/10"] {
            assert_eq!(range_end(other), None, "{other}");
        }
    }
}
