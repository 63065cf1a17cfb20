//! What the registry says: statuses, headers and error bodies, all in one place, so that another dialect (ECR's) has
//! one place to differ.
//!
//! Error bodies are the envelope of distribution-spec "Error Codes". What fails on our side is answered with a plain
//! 500: the reason (paths of this machine) goes to the log alone.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RANGE, RETRY_AFTER};
use hyper::http::response::Builder;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::blob::{BlobError, DOCUMENT_LIMIT};
use crate::cause;
use crate::layout::LayoutError;
use crate::oci::digest::{Digest, ParseDigestError};

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(super) type Answer = Response<Body>;

/// The media type of the ECR API.
pub(super) const AWS_JSON: &str = "application/x-amz-json-1.1";
/// The header that names a digest beside a body.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The header that acknowledges the subject of a manifest.
pub(super) const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// The header that says that a list of referrers was filtered.
pub(super) const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// The header that says how small a chunk may be.
pub(super) const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Why a request has no answer of its own.
#[derive(Debug)]
pub(super) enum Stop {
    /// The client did something wrong, or asks for what is not there.
    Refused(Box<Refusal>),
    /// The client is gone, or a fault hangs up on it.
    HangUp(String),
    /// We failed.
    Broken {
        /// In full, for the log.
        reason: String,
        /// The innermost cause, which names no path: for the client.
        cause: String,
    },
}

impl Stop {
    /// We failed, because of this.
    pub(super) fn broken(error: &(dyn std::error::Error + 'static)) -> Self {
        let io = cause::chain(error).filter_map(|link| link.downcast_ref::<io::Error>()).last();
        let cause = match io.map(|error| (error.raw_os_error(), error.kind())) {
            Some((Some(code), _)) => io::Error::from_raw_os_error(code).to_string(),
            // Its own words may name a path.
            Some((None, kind)) if kind != io::ErrorKind::Other => kind.to_string(),
            _ => cause::innermost(error),
        };
        Self::Broken { reason: cause::in_one_line(error), cause }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<LayoutError> for Stop {
    fn from(error: LayoutError) -> Self {
        Self::broken(&error)
    }
}

impl From<BlobError> for Stop {
    fn from(error: BlobError) -> Self {
        Self::broken(&error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::broken(&error)
    }
}

impl From<tokio::task::JoinError> for Stop {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::broken(&error)
    }
}

/// An answer with the headers that all have.
pub(super) fn answer(status: StatusCode) -> Builder {
    Response::builder().status(status).header(API_VERSION, "registry/2.0")
}

/// The answer with this body.
pub(super) fn with(builder: Builder, body: Body) -> Result<Answer, Stop> {
    builder.body(body).map_err(|error| Stop::broken(&error))
}

/// The answer without a body.
pub(super) fn bare(builder: Builder) -> Result<Answer, Stop> {
    with(builder.header(CONTENT_LENGTH, 0), nothing())
}

/// The answer with a JSON document.
pub(super) fn document(builder: Builder, media_type: &str, bytes: Vec<u8>) -> Result<Answer, Stop> {
    with(builder.header(CONTENT_TYPE, media_type).header(CONTENT_LENGTH, bytes.len()), whole(bytes))
}

/// No body.
pub(super) fn nothing() -> Body {
    Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A body that is at hand.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// An upload goes on: where, and what is held.
pub(super) fn upload(builder: Builder, location: &str, id: &str, held: u64) -> Builder {
    builder.header(LOCATION, location).header(RANGE, held_range(held)).header(UPLOAD_ID, id)
}

/// What an upload holds, both ends inclusive. Nothing at all cannot be said: the registries that there are say `0-0`.
fn held_range(held: u64) -> String {
    format!("0-{}", held.saturating_sub(1))
}

/// A status, an error envelope and perhaps headers.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    errors: Vec<(&'static str, String, Value)>,
    headers: Vec<(HeaderName, String)>,
    /// What the ECR API calls it.
    exception: Option<&'static str>,
    /// What it says about it, besides a message.
    members: Vec<(&'static str, Value)>,
}

impl Refusal {
    /// A refusal with one error.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::of(status, vec![(code, message.into(), Value::Null)])
    }

    fn of(status: StatusCode, errors: Vec<(&'static str, String, Value)>) -> Self {
        Self { status, errors, headers: Vec::new(), exception: None, members: Vec::new() }
    }

    /// The same, with the name that the ECR API has for it.
    pub(super) fn exception(mut self, name: &'static str) -> Self {
        self.exception = Some(name);
        self
    }

    /// The same, with one more member of the ECR API's exception.
    pub(super) fn member(mut self, name: &'static str, value: Value) -> Self {
        self.members.push((name, value));
        self
    }

    /// The code of its first error.
    pub(super) fn code(&self) -> &'static str {
        self.errors.first().map_or("UNKNOWN", |(code, _, _)| code)
    }

    /// Whether it is about a body that is too large.
    pub(super) fn is_too_large(&self) -> bool {
        self.status == StatusCode::PAYLOAD_TOO_LARGE
    }

    fn detail(mut self, detail: Value) -> Self {
        if let Some(error) = self.errors.last_mut() {
            error.2 = detail;
        }
        self
    }

    /// The same with one more header.
    pub(super) fn header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A host that is not ours.
    pub(super) fn misdirected(registry: &str) -> Self {
        let message =
            format!("a registry on loopback answers to localhost, an address or {registry}, to no other host");
        Self::new(StatusCode::MISDIRECTED_REQUEST, "DENIED", message)
    }

    /// No such endpoint.
    pub(super) fn no_endpoint() -> Self {
        Self::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "this path names no endpoint of a registry")
    }

    /// The endpoint has no such method.
    pub(super) fn no_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "this endpoint does not take this method")
    }

    /// A name that no repository can have.
    pub(super) fn name_invalid(name: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "NAME_INVALID", "invalid repository name").detail(json!({ "name": name }))
    }

    /// A repository that is not there.
    pub(super) fn name_unknown(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry")
            .detail(json!({ "name": name }))
    }

    /// A blob that the repository does not have.
    pub(super) fn blob_unknown(digest: Digest) -> Self {
        Self::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to repository")
            .detail(json!({ "digest": digest }))
    }

    /// A text that is not a digest.
    pub(super) fn not_a_digest(error: &ParseDigestError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", error.to_string())
    }

    /// Content that does not have the digest that it should have.
    pub(super) fn digest_differs(wanted: Digest) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "provided digest did not match uploaded content")
            .detail(json!({ "digest": wanted }))
    }

    /// An upload session that is not there (any more).
    pub(super) fn upload_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    }

    /// A request to an upload that cannot be followed.
    pub(super) fn upload_invalid(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message)
    }

    /// A chunk that does not begin where the upload ends.
    pub(super) fn out_of_order(begins: u64, held: u64, location: &str) -> Self {
        let message = format!("chunk begins at byte {begins} instead of {held}");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message)
            .header(LOCATION, location.to_owned())
            .header(RANGE, held_range(held))
    }

    /// A length that is not as announced.
    pub(super) fn size_differs(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SIZE_INVALID", message)
    }

    /// More upload sessions than we keep.
    pub(super) fn too_many_uploads() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "too many uploads are open")
            .header(RETRY_AFTER, "1".into())
    }

    /// A manifest that the repository does not have.
    pub(super) fn manifest_unknown(reference: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown to repository")
            .detail(json!({ "reference": reference }))
    }

    /// A manifest that is none.
    pub(super) fn manifest_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message)
    }

    /// A manifest larger than registries take.
    pub(super) fn manifest_too_large() -> Self {
        let message = format!("a manifest has at most {DOCUMENT_LIMIT} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", message)
    }

    /// A manifest that refers to blobs or manifests that the repository does not have.
    pub(super) fn references_unknown(digests: &[Digest]) -> Self {
        let error = |digest: &Digest| {
            let message = format!("manifest references {digest}, which is unknown to the repository");
            ("MANIFEST_BLOB_UNKNOWN", message, json!({ "digest": digest }))
        };
        Self::of(StatusCode::BAD_REQUEST, digests.iter().map(error).collect())
    }

    /// Something that is still referred to cannot be deleted.
    pub(super) fn in_use(message: String) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message)
    }

    /// A count that is not one.
    pub(super) fn bad_count(text: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", format!("n={text} is not a number"))
    }

    /// Who are you?
    pub(super) fn unauthorized(challenge: String) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required")
            .header(hyper::header::WWW_AUTHENTICATE, challenge)
    }

    /// The errors in one line, for the log.
    pub(super) fn summary(&self) -> String {
        let texts: Vec<String> = self.errors.iter().map(|(code, message, _)| format!("{code}: {message}")).collect();
        texts.join("; ")
    }

    /// The answer of the ECR API: JSON 1.1, where all that the client got wrong is a 400.
    pub(super) fn exception_answer(self) -> Answer {
        let message = self.errors.into_iter().next().map(|(_, message, _)| message).unwrap_or_default();
        let (status, name) = match self.exception {
            Some(name) => (StatusCode::BAD_REQUEST, name),
            None if self.status.is_server_error() => (self.status, "ServerException"),
            None if self.status == StatusCode::TOO_MANY_REQUESTS => (StatusCode::BAD_REQUEST, "ThrottlingException"),
            None => (StatusCode::BAD_REQUEST, "InvalidParameterException"),
        };
        let mut body = json!({ "__type": name, "message": message });
        for (member, value) in self.members {
            body[member] = value;
        }
        let bytes = body.to_string();
        let mut response = Response::new(nothing());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(AWS_JSON));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        *response.body_mut() = whole(bytes);
        response
    }

    /// The answer.
    pub(super) fn answer(self) -> Answer {
        let error = |(code, message, detail): (&str, String, Value)| {
            let mut error = json!({ "code": code, "message": message });
            if !detail.is_null() {
                error["detail"] = detail;
            }
            error
        };
        let bytes = json!({ "errors": self.errors.into_iter().map(error).collect::<Vec<_>>() }).to_string();
        let mut response = Response::new(nothing());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        for (name, value) in self.headers {
            // Only text that a client chose could fail here, and none of it gets into a header unparsed.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        *response.body_mut() = whole(bytes);
        response
    }
}

/// What a client is told on whose request we failed, for this reason.
pub(super) fn broken(cause: &str) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", format!("the registry failed: {cause}"))
}
