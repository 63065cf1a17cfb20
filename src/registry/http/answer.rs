//! The reply to one request: its head, its body as it comes, and the failure that it is.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use url::Url;

use super::retry::retry_after;
use super::transport::{Patience, broken};
use crate::registry::error::{Attempt, BODY_LIMIT, Carried, Error, Reply, ecr};

/// How long is waited for all the words of a refusal: each byte may come in time, and the last one never.
const WORDS: Duration = Duration::from_secs(10);

/// The head of a reply, and its body to be read.
pub(in crate::registry) struct Answer {
    pub(in crate::registry) attempt: Attempt,
    pub(in crate::registry) status: u16,
    pub(in crate::registry) headers: HeaderMap,
    pub(in crate::registry) url: Url,
    pub(in crate::registry) anonymous: bool,
    pub(super) response: reqwest::Response,
    /// The start of the body, where it has been looked at.
    pub(super) start: Bytes,
    /// Whether the rest of the body is not waited for any more.
    pub(super) over: bool,
    pub(super) patience: Patience,
    /// What of the request may not be repeated.
    pub(super) carried: Carried,
}

impl Answer {
    /// A header's value, where it is text.
    pub(in crate::registry) fn header(&self, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `Location` header.
    pub(in crate::registry) fn location(&self) -> Result<String, Error> {
        let location = self.header(LOCATION).filter(|location| !location.is_empty()).map(ToOwned::to_owned);
        location.ok_or_else(|| self.garbage(format!("status {} comes without a location", self.status)))
    }

    /// The length that the head states.
    pub(in crate::registry) fn length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH)?.parse().ok()
    }

    pub(in crate::registry) fn garbage(&self, why: impl Into<String>) -> Error {
        Error::Garbage { attempt: Box::new(self.attempt.clone()), why: why.into() }
    }

    /// The next bytes of the body.
    pub(in crate::registry) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.start.is_empty() {
            return Ok(Some(std::mem::take(&mut self.start)));
        }
        if self.over {
            return Ok(None);
        }
        match tokio::time::timeout(self.patience.stall, self.response.chunk()).await {
            Ok(result) => result.map_err(|error| match broken(&self.attempt, error) {
                Error::Connect { attempt, source, .. } => Error::Lost { attempt, source },
                other => other,
            }),
            Err(_) => Err(Error::Stalled { attempt: Box::new(self.attempt.clone()), after: self.patience.stall }),
        }
    }

    /// The whole body, if it is not larger than a limit in bytes.
    pub(in crate::registry) async fn bytes(mut self, limit: usize) -> Result<Vec<u8>, Error> {
        if let Some(coding) = self.header(CONTENT_ENCODING).filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
            let why = format!("it answers in {coding}, which it was not asked for");
            return Err(self.garbage(&why));
        }
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Err(Error::TooLarge { attempt: Box::new(self.attempt) });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The failure that this reply is.
    pub(in crate::registry) async fn into_error(mut self) -> Error {
        let body = self.body_of_error().await;
        Error::of(self.reply(&body))
    }

    /// Whether the reply says that a token has expired. The body stays to be read; a HEAD's reply has none, and says
    /// nothing.
    pub(super) async fn says_expired(&mut self) -> bool {
        let body = self.body_of_error().await;
        let expired = ecr::is_expired(&self.reply(&body));
        self.start = body.into();
        expired
    }

    async fn body_of_error(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        let limit = WORDS.min(self.patience.stall);
        let reading = async {
            // What cannot be read of an error's body is not worth another error.
            while let Ok(Some(chunk)) = self.chunk().await {
                let room = BODY_LIMIT - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if body.len() == BODY_LIMIT {
                    break;
                }
            }
        };
        self.over = tokio::time::timeout(limit, reading).await.is_err();
        body
    }

    fn reply(&self, body: &[u8]) -> Reply {
        let retry_after = self.header(RETRY_AFTER).and_then(|value| retry_after(value, SystemTime::now()));
        let content_type = self.header(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
        let (attempt, status, anonymous) = (self.attempt.clone(), self.status, self.anonymous);
        let mut reply = Reply { attempt, status, errors: Vec::new(), excerpt: None, retry_after, anonymous };
        reply.read_body(&content_type, body, &self.carried);
        reply
    }

    /// Reads what is left, so that the connection can be used again; a long rest is not worth it.
    pub(in crate::registry) async fn drain(mut self) {
        let mut left = BODY_LIMIT;
        let limit = WORDS.min(self.patience.stall);
        let reading = async {
            while let Ok(Some(chunk)) = self.chunk().await {
                match left.checked_sub(chunk.len()) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        let _ = tokio::time::timeout(limit, reading).await;
    }
}
