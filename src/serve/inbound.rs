//! The body of a request on its way in.
//!
//! Threats: a client that sends for ever, or not at all, or hangs up in the middle. Nothing is kept in memory beyond
//! what its reader asks for, a client that stalls is hung up on, and every byte is counted, also when the rest never
//! comes.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, EXPECT};

use super::reply::{Refusal, Stop};

/// How long a client may send nothing in the middle of a body.
const PATIENCE: Duration = Duration::from_mins(1);
/// How much of a body that nobody wants is read, so that the client sees the answer instead of a closed connection.
const DRAIN_BYTES: u64 = 64 << 20;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// What `Content-Length` says.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

/// A request's body.
pub(super) struct Inbound {
    body: Incoming,
    /// The bytes that were read.
    pub(super) read: u64,
    /// What `Content-Length` says.
    pub(super) length: Option<u64>,
    /// The client waits for `100 Continue` before it sends anything.
    waits: bool,
    /// Where a fault hangs up.
    cut: Option<u64>,
    rest: Bytes,
}

impl Inbound {
    pub(super) fn new(body: Incoming, headers: &HeaderMap, cut: Option<u64>) -> Self {
        Self { body, read: 0, length: length(headers), waits: headers.contains_key(EXPECT), cut, rest: Bytes::new() }
    }

    /// The next bytes; nothing at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Stop> {
        let hang_up = |reason: &str| Err(Stop::HangUp(reason.to_owned()));
        if self.cut == Some(self.read) {
            return hang_up("hung up by a fault");
        }
        let mut bytes = std::mem::take(&mut self.rest);
        while bytes.is_empty() {
            match tokio::time::timeout(PATIENCE, self.body.frame()).await {
                Err(_) => return hang_up("the client stopped sending"),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return hang_up(&format!("the client is gone: {error}")),
                Ok(Some(Ok(frame))) => bytes = frame.into_data().unwrap_or_default(),
            }
        }
        if let Some(cut) = self.cut {
            let left = usize::try_from(cut - self.read).unwrap_or(usize::MAX);
            self.rest = bytes.split_off(left.min(bytes.len()));
        }
        self.read += bytes.len() as u64;
        Ok(Some(bytes))
    }

    /// The whole body, unless it is larger than `limit`.
    pub(super) async fn whole(&mut self, limit: u64, too_large: fn() -> Refusal) -> Result<Vec<u8>, Stop> {
        if self.length.is_some_and(|length| length > limit) {
            return Err(too_large().into());
        }
        let mut bytes = Vec::with_capacity(self.length.and_then(|length| length.try_into().ok()).unwrap_or_default());
        while let Some(chunk) = self.chunk().await? {
            if (bytes.len() + chunk.len()) as u64 > limit {
                return Err(too_large().into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Reads what is left, within reason.
    pub(super) async fn drain(&mut self) {
        if self.waits || self.body.is_end_stream() {
            return;
        }
        let rest = async { while self.read < DRAIN_BYTES && matches!(self.chunk().await, Ok(Some(_))) {} };
        // Out of patience is as good as done: the connection is closed then.
        let _ = tokio::time::timeout(DRAIN_TIME, rest).await;
    }
}
