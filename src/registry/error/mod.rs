//! Why the registry did not do what was asked, as data: the command line adds its hints by variant, never by text.

pub(in crate::registry) mod ecr;
mod help;
mod reply;
mod words;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error as ThisError;

pub(super) use self::reply::BODY_LIMIT;
pub use self::reply::{Attempt, OciError, Reply};
pub(super) use self::words::Carried;
use crate::aws::error::AwsError;
use crate::blob::reach::ReachError;
use crate::blob::{BlobError, DOCUMENT_LIMIT};
use crate::oci::digest::Digest;
use crate::oci::media_type::MediaType;

/// Why no connection came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The host's name has no address.
    Name,
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    Timeout,
    /// The certificate is no longer valid, or not yet.
    CertificateExpired,
    /// The certificate was signed by somebody whom this machine does not trust.
    CertificateIssuer,
    /// The certificate is another host's.
    CertificateName,
    /// Something else about the certificate or the TLS handshake.
    Tls,
    /// The other side does not speak TLS.
    NotTls,
    /// What is answered to plain http is not HTTP.
    NotHttp,
    /// The proxy, by its host and port, is not reached or does not let us through.
    Proxy(String),
    /// Anything else.
    Other,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "its name cannot be resolved",
            Self::Refused => "the connection is refused",
            Self::Timeout => "it does not answer in time",
            Self::CertificateExpired => "its certificate is not valid at this time",
            Self::CertificateIssuer => "its certificate is signed by an unknown issuer",
            Self::CertificateName => "its certificate is for another name",
            Self::Tls => "the TLS handshake fails",
            Self::NotTls => "it does not speak TLS",
            Self::NotHttp => "it does not answer in plain http",
            Self::Proxy(host) => return write!(f, "the proxy {host} gives no connection to it"),
            Self::Other => "the connection fails",
        })
    }
}

/// The innermost reason of a failed connection, in the words of whoever found it.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error("{0}")]
pub struct Cause(pub(super) String);

/// Why a registry did not do what was asked.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// 401: no credentials, or such as the registry does not know.
    #[error("{0}")]
    Unauthorized(Box<Reply>),
    /// 403: the credentials do not allow it.
    #[error("{0}")]
    Denied(Box<Reply>),
    /// The repository does not exist.
    #[error("{0}")]
    NameUnknown(Box<Reply>),
    /// The manifest, tag or digest, does not exist.
    #[error("{0}")]
    ManifestUnknown(Box<Reply>),
    /// The blob does not exist.
    #[error("{0}")]
    BlobUnknown(Box<Reply>),
    /// 429, also after all retries.
    #[error("{0}")]
    TooManyRequests(Box<Reply>),
    /// 408 or 5xx, also after all retries.
    #[error("{0}")]
    Server(Box<Reply>),
    /// Any other status that is not success.
    #[error("{0}")]
    Refused(Box<Reply>),
    /// No connection came about.
    #[error("{attempt}: {obstacle}")]
    Connect {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// What was in the way.
        obstacle: Obstacle,
        /// Its words.
        source: Cause,
    },
    /// The connection broke.
    #[error("{attempt}: the connection is lost")]
    Lost {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// Its words.
        source: Cause,
    },
    /// No byte moved for too long.
    #[error("{attempt}: nothing moves for {} seconds", after.as_secs())]
    Stalled {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// For how long nothing moved.
        after: Duration,
    },
    /// A reply that breaks the protocol.
    #[error("{attempt}: {why}")]
    Garbage {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// What is wrong with the reply.
        why: String,
    },
    /// A redirect or location that is not followed.
    #[error("{attempt}: it sends us to {host}, {why}")]
    Redirect {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// Where to.
        host: String,
        /// Why it is not followed.
        why: &'static str,
    },
    /// AWS gave no token for a registry.
    #[error("no authorization token for {registry}")]
    Aws {
        /// The registry's host.
        registry: String,
        /// Why.
        source: Box<AwsError>,
    },
    /// A tag that names another image and cannot be moved. Nothing was sent.
    #[error("the tag {tag} of {repository} names {current} already, and its tags are immutable")]
    TagImmutable {
        /// `registry/repository`
        repository: String,
        /// The tag.
        tag: String,
        /// What it names.
        current: Digest,
    },
    /// The bytes of a manifest are not what was asked for.
    #[error("{attempt}: the manifest has the digest {found} instead of {promised}")]
    DigestMismatch {
        /// What was attempted.
        attempt: Box<Attempt>,
        /// The digest that was asked for.
        promised: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// A manifest larger than [`DOCUMENT_LIMIT`].
    #[error("{attempt}: the manifest has more than {DOCUMENT_LIMIT} bytes")]
    TooLarge {
        /// What was attempted.
        attempt: Box<Attempt>,
    },
    /// A blob is at the registry with another size than its descriptor says.
    #[error("blob {digest} has {found} bytes at {repository}, but {promised} in its descriptor")]
    Size {
        /// Which blob.
        digest: Digest,
        /// `registry/repository`
        repository: String,
        /// The size in the descriptor, in bytes.
        promised: u64,
        /// The size at the registry, in bytes.
        found: u64,
    },
    /// A blob could not be sent in the sessions that it was given.
    #[error("blob {digest} cannot be sent to {repository}: {sessions} upload sessions failed")]
    Upload {
        /// Which blob.
        digest: Digest,
        /// `registry/repository`
        repository: String,
        /// The number of sessions.
        sessions: u32,
        /// Why the last one failed.
        source: Box<Error>,
    },
    /// Plain http to a host that is not this machine.
    #[error("plain http is refused: {0} is not this machine")]
    PlainHttp(String),
    /// A registry's name that no URL can be made of.
    #[error("no URL can be made of registry {0:?}")]
    Address(String),
    /// A credential helper failed.
    #[error("credential helper {helper} fails for {registry}: {why}")]
    CredentialHelper {
        /// The helper's program.
        helper: String,
        /// Which credentials it was asked for.
        registry: String,
        /// What went wrong.
        why: String,
    },
    /// A file of credentials that cannot be read.
    #[error("credentials cannot be read from {path:?}")]
    CredentialFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of credentials whose content is wrong.
    #[error("{}:{line}:{column}: {why}", path.display())]
    CredentialSyntax {
        /// Which file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong; never the content.
        why: String,
    },
    /// A file of CA certificates whose content is wrong.
    #[error("{path:?} holds no usable CA certificate: {why}")]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A variable of the environment that names a proxy, and none that can be spoken to.
    #[error("{variable} names no proxy that can be used: {why}")]
    Proxy {
        /// The variable.
        variable: String,
        /// What is wrong with its value; never the value.
        why: &'static str,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot be set up")]
    Setup {
        /// Why.
        source: Cause,
    },
    /// A blob of ours cannot be had, or is damaged.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The top of what is to be pushed is neither an image nor an index of images.
    #[error("{digest} of {place} is no image manifest or index: its media type is {media_type}")]
    NoImage {
        /// Its digest.
        digest: Digest,
        /// Where it is.
        place: String,
        /// What it says it is.
        media_type: MediaType,
    },
    /// Not all that it names can be had, or be believed.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// A reference to push to names the digest of something else.
    #[error("{reference} cannot be pushed to: the image has the digest {digest}")]
    OtherDigest {
        /// The reference.
        reference: String,
        /// The image's digest.
        digest: Digest,
    },
    /// A size of parts that the registry does not take.
    #[error("chunks of {asked} bytes cannot be sent to {registry}: it takes {least} bytes at least")]
    ChunkSize {
        /// The registry.
        registry: String,
        /// The size that was asked for, in bytes.
        asked: u64,
        /// The smallest part that is taken, in bytes.
        least: u64,
    },
    /// A blob without bytes, and a registry that takes none.
    #[error("blob {digest} cannot be sent to {repository}: it is empty")]
    EmptyBlob {
        /// Which blob.
        digest: Digest,
        /// `registry/repository`
        repository: String,
    },
    /// A manifest that the registry takes for none.
    #[error("manifest {digest} is not taken")]
    Schema {
        /// Which manifest.
        digest: Digest,
        /// What of it the registry is known not to take.
        fields: Vec<&'static str>,
        /// The registry's reply.
        source: Box<Error>,
    },
    /// A worker thread ended before its work was done.
    #[error("a worker ended before its work was done")]
    Worker,
}

impl Error {
    /// The failure that a reply stands for.
    pub(super) fn of(reply: Reply) -> Self {
        let reply = Box::new(reply);
        let path = reply.attempt.path.as_str();
        match reply.status {
            401 => Self::Unauthorized(reply),
            403 => Self::Denied(reply),
            404 if reply.has_code("NAME_UNKNOWN") => Self::NameUnknown(reply),
            404 if reply.has_code("MANIFEST_UNKNOWN") => Self::ManifestUnknown(reply),
            404 if reply.has_code("BLOB_UNKNOWN") => Self::BlobUnknown(reply),
            // What is being stored cannot be missing; what it names can, and a registry says so by a code.
            404 if path.contains("/manifests/") && reply.attempt.method == "PUT" => {
                if reply.errors.is_empty() {
                    Self::NameUnknown(reply)
                } else {
                    Self::Refused(reply)
                }
            }
            404 if path.contains("/manifests/") => Self::ManifestUnknown(reply),
            // A session that never was: nobody but a repository can be unknown there.
            404 if path.ends_with("/blobs/uploads/") || path.ends_with("/tags/list") => Self::NameUnknown(reply),
            404 if path.contains("/blobs/sha256:") => Self::BlobUnknown(reply),
            429 => Self::TooManyRequests(reply),
            _ if reply.is_temporary() => Self::Server(reply),
            _ => Self::Refused(reply),
        }
    }

    /// The registry's reply, where there was one.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Unauthorized(reply)
            | Self::Denied(reply)
            | Self::NameUnknown(reply)
            | Self::ManifestUnknown(reply)
            | Self::BlobUnknown(reply)
            | Self::TooManyRequests(reply)
            | Self::Server(reply)
            | Self::Refused(reply) => Some(reply),
            Self::Upload { source, .. } | Self::Schema { source, .. } => source.reply(),
            _ => None,
        }
    }

    /// Whether it is that of a request for a token, and not of the request that needed one.
    pub(super) fn is_of_token(&self) -> bool {
        match self {
            Self::Connect { attempt, .. }
            | Self::Lost { attempt, .. }
            | Self::Stalled { attempt, .. }
            | Self::Garbage { attempt, .. } => attempt.token,
            error => error.reply().is_some_and(|reply| reply.attempt.token),
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_temporary(&self) -> bool {
        match self {
            // Registries are known to say 500 to what they do not take.
            Self::Server(reply) if reply.refuses_content() => false,
            Self::Lost { .. } | Self::Stalled { .. } | Self::TooManyRequests(_) | Self::Server(_) => true,
            // A certificate that is wrong will be so in a second as well.
            Self::Connect { obstacle, .. } => {
                use Obstacle::{Name, Other, Proxy, Refused, Timeout};
                matches!(obstacle, Name | Refused | Timeout | Proxy(_) | Other)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::reply::tests::reply;
    use super::*;

    #[test]
    fn tells_what_the_registry_said() {
        let body =
            br#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such\u001b[31m repository.","detail":{"a":1}}]}"#;
        let error = Error::of(reply(404, "/v2/team/app/blobs/uploads/", "application/json", body));
        assert!(matches!(error, Error::NameUnknown(_)));
        assert_eq!(
            error.to_string(),
            "PUT /v2/team/app/blobs/uploads/ at example.com answers 404: NAME_UNKNOWN (no such?[31m repository)"
        );
        assert_eq!(
            error.help().as_deref(),
            Some("create the repository \"team/app\" at example.com, or check how it is spelled")
        );
    }

    #[test]
    fn tells_failures_apart() {
        let of = |status, path| Error::of(reply(status, path, "", b""));
        assert!(matches!(of(401, "/v2/"), Error::Unauthorized(_)));
        assert!(matches!(of(403, "/v2/"), Error::Denied(_)));
        let mut get = reply(404, "/v2/a/manifests/v1", "", b"");
        get.attempt.method = "GET".into();
        assert!(matches!(Error::of(get), Error::ManifestUnknown(_)));
        assert!(matches!(of(404, "/v2/a/manifests/v1"), Error::NameUnknown(_)));
        assert!(matches!(of(404, "/v2/a/blobs/sha256:00"), Error::BlobUnknown(_)));
        assert!(matches!(of(404, "/v2/a/blobs/uploads/"), Error::NameUnknown(_)));
        assert!(matches!(of(429, "/v2/"), Error::TooManyRequests(_)));
        assert!(matches!(of(503, "/v2/"), Error::Server(_)));
        assert!(matches!(of(405, "/v2/"), Error::Refused(_)));
        assert!(!of(501, "/v2/").is_temporary());
    }
}
