//! A reply that is a failure: what was attempted, and what the registry says about it.
//!
//! What a registry says is hostile input. Its body is read up to [`BODY_LIMIT`], its words lose their control
//! characters (a terminal would obey them) and what we sent it in confidence, and are cut. Queries are never kept:
//! upload locations and signed URLs carry secrets there.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::words::{Carried, TEXT_LIMIT};

/// How much of an error's body is read, in bytes.
pub(in crate::registry) const BODY_LIMIT: usize = 64 << 10;

/// What Go's and nginx's TLS servers answer to a request in plain http; the former without a content type.
const TLS_SERVERS: [&str; 2] = ["HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS port"];

/// What is made of that.
const ASKED_PLAINLY: &str = "it speaks TLS, and was asked in plain http";

/// Nobody waits so long, whatever is asked.
const FAR: Duration = Duration::from_hours(31 * 24);

/// What was attempted: enough to find the line in a registry's log, and nothing secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The registry as in the reference.
    pub registry: String,
    /// The repository; empty where none was concerned.
    pub repository: String,
    /// The HTTP method.
    pub method: String,
    /// The host that was asked, with its port: another one than the registry after a redirect or at a token server.
    pub host: String,
    /// The path, without its query.
    pub path: String,
    /// Whether a token was asked for, which the request that needed it waits for.
    pub token: bool,
}

impl Attempt {
    /// Whether it was to fetch something: what a push only looks for is asked by HEAD.
    pub(super) fn reads(&self) -> bool {
        self.method == "GET"
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {}", self.method, self.path, self.host)?;
        if self.host == self.registry { Ok(()) } else { write!(f, " (for {})", self.registry) }
    }
}

/// One error of the registry's own (distribution-spec "Error Codes").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciError {
    /// `NAME_UNKNOWN`, `DENIED`, …
    pub code: String,
    /// Its words.
    pub message: String,
}

/// A reply that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What was attempted.
    pub attempt: Attempt,
    /// The HTTP status.
    pub status: u16,
    /// The registry's errors; none where the body was not an error envelope.
    pub errors: Vec<OciError>,
    /// The body's first words where it was plain text, or what it was instead of an error envelope.
    pub excerpt: Option<String>,
    /// How long the registry wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether no credentials were sent.
    pub anonymous: bool,
}

impl Reply {
    /// Whether the registry gave this error code.
    pub fn has_code(&self, code: &str) -> bool {
        self.errors.iter().any(|error| error.code == code)
    }

    /// Whether it says that it does not take a manifest, whatever its status.
    pub(super) fn refuses_content(&self) -> bool {
        ["MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID"].iter().any(|code| self.has_code(code))
    }

    /// Whether a TLS server says that it was asked in plain http.
    pub(super) fn wants_tls(&self) -> bool {
        self.status == 400 && self.excerpt.as_deref() == Some(ASKED_PLAINLY)
    }

    /// Whether the same request may succeed later: 408, 429 and 5xx, apart from 501.
    pub fn is_temporary(&self) -> bool {
        matches!(self.status, 408 | 429 | 500 | 502..=599)
    }

    /// Reads a body for what can be told of it, without what the request carried.
    pub(in crate::registry) fn read_body(&mut self, content_type: &str, body: &[u8], carried: &Carried) {
        #[derive(Deserialize)]
        struct Envelope {
            #[serde(default)]
            errors: Vec<One>,
            // Token servers answer in OAuth's words, some gateways in their own.
            #[serde(default, alias = "details", alias = "error_description")]
            message: Option<serde_json::Value>,
        }
        #[derive(Deserialize)]
        struct One {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: Option<String>,
        }
        if body.is_empty() {
            return;
        }
        let clean = |text: &str| carried.clean(text);
        if let Ok(envelope) = serde_json::from_slice::<Envelope>(body) {
            let errors = envelope.errors.into_iter().take(16);
            self.errors = errors
                .map(|one| OciError { code: clean(&one.code), message: clean(one.message.as_deref().unwrap_or("")) })
                .collect();
            if self.errors.is_empty() {
                self.excerpt = envelope.message.as_ref().and_then(serde_json::Value::as_str).map(clean);
            }
            return;
        }
        let says = |words: &str| body.windows(words.len()).any(|window| window == words.as_bytes());
        if TLS_SERVERS.into_iter().any(says) {
            self.excerpt = Some(ASKED_PLAINLY.into());
            return;
        }
        let start = String::from_utf8_lossy(&body[..body.len().min(4 * TEXT_LIMIT)]);
        // Markup is a proxy's page or a storage's XML, and the latter repeats what was signed: named, not shown.
        self.excerpt = Some(if start.trim_start().starts_with('<') || content_type.contains("html") {
            "a page instead of a registry's error".into()
        } else if content_type.starts_with("text/plain") {
            // Whole, so that no secret is cut before it is looked for.
            clean(&String::from_utf8_lossy(body))
        } else {
            format!("{} bytes that are not a registry's error", body.len())
        });
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answers {}", self.attempt, self.status)?;
        for (at, error) in self.errors.iter().enumerate() {
            let separator = if at == 0 { ": " } else { "; " };
            if error.message.is_empty() {
                write!(f, "{separator}{}", error.code)?;
            } else {
                write!(f, "{separator}{} ({})", error.code, error.message)?;
            }
        }
        if let Some(excerpt) = self.excerpt.as_deref().filter(|excerpt| !excerpt.is_empty()) {
            write!(f, ": {excerpt}")?;
        }
        match self.retry_after.map(|asked| Duration::from_secs(asked.as_secs())) {
            Some(asked) if asked > FAR => f.write_str("; it wants to be left alone for more than a month"),
            Some(asked) if !asked.is_zero() && self.is_temporary() => {
                write!(f, "; it wants to be left alone for {}", humantime::format_duration(asked))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn reply(status: u16, path: &str, content_type: &str, body: &[u8]) -> Reply {
        let attempt = Attempt {
            registry: "example.com".into(),
            repository: "team/app".into(),
            method: "PUT".into(),
            host: "example.com".into(),
            path: path.into(),
            token: false,
        };
        let mut reply = Reply { attempt, status, errors: vec![], excerpt: None, retry_after: None, anonymous: false };
        reply.read_body(content_type, body, &Carried::default());
        reply
    }

    #[test]
    fn takes_any_body() {
        for (content_type, body, excerpt) in [
            ("text/html", &b"<html>secret</html>"[..], Some("a page instead of a registry's error")),
            ("application/xml", b"<Error><StringToSign>x", Some("a page instead of a registry's error")),
            ("text/plain; charset=utf-8", b"404 page not found\n", Some("404 page not found")),
            ("application/json", b"{\"errors\": 3}", Some("13 bytes that are not a registry's error")),
            ("application/json", b"{\"message\":\"Forbidden\"}", Some("Forbidden")),
            ("", b"\xff\x00", Some("2 bytes that are not a registry's error")),
            ("", b"", None),
        ] {
            let reply = reply(500, "/v2/", content_type, body);
            assert_eq!((reply.excerpt.as_deref(), reply.errors.len()), (excerpt, 0), "{content_type}");
        }
    }
}
