//! Faults that a test of a client switches on: what networks and registries do to uploads, on purpose and counted.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::Method;
use hyper::body::Frame;

use super::reply::Body;
use super::route::Endpoint;
use chance::Chance;

mod chance;
pub mod named;

/// What goes wrong, and with which requests: those of `method` (or any) to `endpoint` (or any), the first `skip` of
/// them not, then `times` of them.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Only requests of this method.
    pub method: Option<Method>,
    /// Only requests to this endpoint.
    pub endpoint: Option<Endpoint>,
    /// Or requests to this one.
    pub or_endpoint: Option<Endpoint>,
    /// So many matching requests go well first.
    pub skip: u32,
    /// So many matching requests go wrong then.
    pub times: u32,
    /// What goes wrong.
    pub action: Action,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The request is not handled; this status is the answer.
    Status {
        /// The status.
        status: u16,
        /// The value of `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// The answer comes so much later.
    Delay(Duration),
    /// The connection is closed once so many bytes of the request's body were read. What was read counts.
    HangUpAfter(u64),
    /// The same in the middle of the body.
    HangUpHalfway,
    /// The request is handled, and the connection closed instead of an answer.
    LoseAnswer,
    /// The answer's body ends with a closed connection after so many bytes.
    CutAnswer(u64),
}

impl Fault {
    /// A fault of the first request of this method to this endpoint.
    pub fn first(method: Method, endpoint: Endpoint, action: Action) -> Self {
        Self { method: Some(method), endpoint: Some(endpoint), or_endpoint: None, skip: 0, times: 1, action }
    }
}

/// The faults of a server, with what they have seen.
pub(super) struct Faults {
    ordered: Vec<(Fault, AtomicU32)>,
    chance: Option<Chance>,
}

impl Faults {
    /// Those that are ordered, and with a seed some by chance.
    pub(super) fn new(faults: Vec<Fault>, seed: Option<u64>) -> Self {
        let ordered = faults.into_iter().map(|fault| (fault, AtomicU32::new(0))).collect();
        Self { ordered, chance: seed.map(Chance::new) }
    }

    /// What goes wrong with this request.
    pub(super) fn hit(&self, method: &Method, endpoint: Endpoint) -> Vec<Action> {
        let matching = |fault: &Fault| {
            fault.method.as_ref().is_none_or(|wanted| wanted == method)
                && (fault.endpoint.is_none_or(|wanted| wanted == endpoint) || fault.or_endpoint == Some(endpoint))
        };
        let by_chance = self.chance.as_ref().and_then(Chance::strike);
        self.ordered
            .iter()
            .filter(|(fault, _)| matching(fault))
            .filter(|(fault, seen)| {
                let nth = seen.fetch_add(1, Ordering::Relaxed);
                nth >= fault.skip && nth - fault.skip < fault.times
            })
            .map(|(fault, _)| fault.action.clone())
            .chain(by_chance)
            .collect()
    }
}

/// A body that breaks off after so many bytes.
pub(super) fn cut(body: Body, bytes: u64) -> Body {
    let stream = futures_util::stream::unfold((body, bytes), |(mut body, left)| async move {
        if left == 0 {
            // Whoever writes the body sends what it has before it asks again: the head and those bytes arrive.
            tokio::task::yield_now().await;
            return Some((Err(std::io::Error::other("cut off by a fault")), (body, 0)));
        }
        let frame = match body.frame().await? {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => return Some((Err(error), (body, left))),
        };
        let frame: Bytes = frame.slice(..usize::try_from(left).unwrap_or(usize::MAX).min(frame.len()));
        let left = left - frame.len() as u64;
        Some((Ok(Frame::data(frame)), (body, left)))
    });
    UnsyncBoxBody::new(StreamBody::new(stream))
}
