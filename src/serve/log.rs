//! What a server tells about its requests. Never a header that could hold a secret, and of a query only its keys.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The same for all requests of one connection.
    pub connection: u64,
    /// When its head had been read.
    pub time: SystemTime,
    /// Until the answer's head, the request's body included.
    pub elapsed: Duration,
    /// `GET`, `PATCH`, …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The operation of a call to the API of ECR, as `X-Amz-Target` names it: `DescribeRepositories`.
    pub operation: Option<String>,
    /// The keys of the query, in order.
    pub query: Vec<String>,
    /// `Content-Range` of the request, else its `Range`.
    pub range: Option<String>,
    /// `Content-Length` of the request; nothing where it has no body or a chunked one.
    pub length: Option<u64>,
    /// The bytes of its body that were read.
    pub bytes_in: u64,
    /// The status, or nothing where the connection was closed instead.
    pub status: Option<u16>,
    /// The bytes that the answer's body has.
    pub bytes_out: u64,
    /// Why there was no better answer.
    pub error: Option<String>,
    /// Whether that is a failure of the server itself: of its disk, most likely.
    pub failed: bool,
}

/// Whoever wants to know. Called from many threads; returns soon.
pub type Log = Arc<dyn Fn(&Record) + Send + Sync>;
