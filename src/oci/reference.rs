//! References as people type them: `registry/repository[:tag][@digest]` (distribution-spec "Pulling manifests").

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::digest::{Digest, ParseDigestError};

/// A name of an image in a registry.
///
/// A first part with a dot, a colon, or that is `localhost`, is the registry; otherwise it is Docker Hub, whose
/// one-part repositories live below `library/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseReferenceError {
    /// Nothing there.
    #[error("the reference is empty: expected registry/repository:tag")]
    Empty,
    /// A URL.
    #[error("{0:?} is not a reference: leave out the scheme (registry/repository:tag)")]
    Scheme(String),
    /// A repository with a capital.
    #[error("{given:?} is not a reference: a repository's name is lower case ({repair})")]
    Capital {
        /// What was given.
        given: String,
        /// The same in lower case.
        repair: String,
    },
    /// A repository with a character or a separator that may not stand there.
    #[error(
        "{0:?} is not a reference: a repository's name is parts of a-z and 0-9 joined by one of . _ __ - and separated by /"
    )]
    Repository(String),
    /// A repository that is too long.
    #[error("{0:?} is not a reference: registry and repository together have at most 255 characters")]
    Length(String),
    /// A registry, and nothing in it.
    #[error("{given:?} names a registry, but no repository: expected {registry}/REPOSITORY:TAG")]
    NoRepository {
        /// What was given.
        given: String,
        /// The registry.
        registry: String,
    },
    /// The registry is not a host.
    #[error("{given:?} is not a reference: {registry:?} is not a host name with an optional port")]
    Registry {
        /// What was given.
        given: String,
        /// Its registry.
        registry: String,
    },
    /// A tag with a wrong character or length.
    #[error(
        "{given:?} is not a reference: the tag {tag:?} may have letters, digits, _ . - (not first) and 128 characters at most"
    )]
    Tag {
        /// What was given.
        given: String,
        /// Its tag.
        tag: String,
    },
    /// What stands after `@` is not a digest.
    #[error("{given:?} is not a reference: {source}")]
    Digest {
        /// What was given.
        given: String,
        /// Why.
        source: ParseDigestError,
    },
}

impl Reference {
    /// The registry's host, with its port where one was given. Docker Hub is `docker.io`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where one was given.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// `registry/repository`
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The tag, or `latest` where neither tag nor digest was given.
    pub fn tag_or_latest(&self) -> Option<&str> {
        match (&self.tag, self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some("latest"),
            (None, Some(_)) => None,
        }
    }

    /// The same repository at this digest, without a tag.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self { registry: self.registry.clone(), repository: self.repository.clone(), tag: None, digest: Some(digest) }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        if given.is_empty() {
            return Err(ParseReferenceError::Empty);
        }
        if given.contains("://") {
            return Err(ParseReferenceError::Scheme(given.into()));
        }
        let (rest, digest) = match given.split_once('@') {
            None => (given, None),
            Some((rest, digest)) => {
                let digest =
                    digest.parse().map_err(|source| ParseReferenceError::Digest { given: given.into(), source })?;
                (rest, Some(digest))
            }
        };
        if let Some(registry) = lone_registry(rest) {
            return Err(ParseReferenceError::NoRepository { given: given.into(), registry: registry.into() });
        }
        // A colon after the last slash separates the tag; one before it belongs to the registry's port.
        let last = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[last..].split_once(':') {
            Some((_, tag)) => (&rest[..rest.len() - tag.len() - 1], Some(tag)),
            None => (rest, None),
        };
        if let Some(tag) = tag
            && !valid_tag(tag)
        {
            return Err(ParseReferenceError::Tag { given: given.into(), tag: tag.into() });
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                let hub = matches!(first, "docker.io" | "index.docker.io" | "registry-1.docker.io");
                (if hub { "docker.io" } else { first }, rest)
            }
            _ => ("docker.io", name),
        };
        if !valid_host(registry) {
            return Err(ParseReferenceError::Registry { given: given.into(), registry: registry.into() });
        }
        if repository.bytes().any(|b| b.is_ascii_uppercase()) {
            let repair = given.replacen(repository, &repository.to_ascii_lowercase(), 1);
            return Err(ParseReferenceError::Capital { given: given.into(), repair });
        }
        if !repository.split('/').all(valid_part) {
            return Err(ParseReferenceError::Repository(given.into()));
        }
        let repository = match registry {
            "docker.io" if !repository.contains('/') => format!("library/{repository}"),
            _ => repository.to_owned(),
        };
        if registry.len() + 1 + repository.len() > 255 {
            return Err(ParseReferenceError::Length(given.into()));
        }
        Ok(Self { registry: registry.into(), repository, tag: tag.map(Into::into), digest })
    }
}

/// The registry in a text that names nothing else, where it can hardly be meant as a repository of Docker Hub: a host
/// of ECR, or this machine with a port.
fn lone_registry(text: &str) -> Option<&str> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    if host.contains('/') {
        return None;
    }
    let mut labels = host.split('.');
    let account = labels.next().is_some_and(|label| label.len() == 12 && label.bytes().all(|b| b.is_ascii_digit()));
    if account && labels.next().is_some_and(|label| label == "dkr" || label.starts_with("dkr-")) {
        return Some(host);
    }
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    // Below are versions: nobody serves a registry there.
    let is_port = port.parse::<u16>().is_ok_and(|port| port >= 80);
    (is_port && (host == "localhost" || address)).then_some(text)
}

/// Whether a text may be a tag (distribution-spec "Pulling manifests").
pub fn valid_tag(tag: &str) -> bool {
    let bytes = tag.as_bytes();
    matches!(bytes.first(), Some(b) if b.is_ascii_alphanumeric() || *b == b'_')
        && bytes.len() <= 128
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Whether a text may be a repository's name.
pub fn valid_repository(name: &str) -> bool {
    name.len() <= 255 && name.split('/').all(valid_part)
}

fn valid_part(part: &str) -> bool {
    let bytes = part.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        while at < bytes.len() && (bytes[at].is_ascii_lowercase() || bytes[at].is_ascii_digit()) {
            at += 1;
        }
        if at == start {
            return false;
        }
        if at == bytes.len() {
            return true;
        }
        let separator = at;
        while at < bytes.len() && matches!(bytes[at], b'.' | b'_' | b'-') {
            at += 1;
        }
        let run = &part[separator..at];
        if !(matches!(run, "." | "_" | "__") || (!run.is_empty() && run.bytes().all(|b| b == b'-'))) {
            return false;
        }
    }
    false
}

fn valid_host(registry: &str) -> bool {
    let (host, port) = match registry.strip_prefix('[') {
        // An IPv6 address in brackets.
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => return address.parse::<std::net::Ipv6Addr>().is_ok(),
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("ip6", port.strip_prefix(':')),
            _ => return false,
        },
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    port.is_none_or(|port| port.parse::<u16>().is_ok())
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, Option<String>) {
        let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{error}"));
        (reference.registry().into(), reference.repository().into(), reference.tag().map(Into::into))
    }

    #[test]
    fn splits_registry_repository_and_tag() {
        let owned = |a: &str, b: &str, c: Option<&str>| (a.to_owned(), b.to_owned(), c.map(ToOwned::to_owned));
        assert_eq!(parts("nginx"), owned("docker.io", "library/nginx", None));
        assert_eq!(parts("localhost:5000/app:v1"), owned("localhost:5000", "app", Some("v1")));
        assert_eq!(
            parts("123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/team/app__x:2026-11-21"),
            owned("123456789012.dkr.ecr.ap-northeast-1.amazonaws.com", "team/app__x", Some("2026-11-21"))
        );
        assert_eq!(parts("[::1]:5000/a/b"), owned("[::1]:5000", "a/b", None));
    }

    #[test]
    fn keeps_a_digest_beside_a_tag() {
        let digest = Digest::of(b"{}");
        let text = format!("example.com/a:v1@{digest}");
        let reference: Reference = text.parse().expect("a reference");
        assert_eq!(reference.digest(), Some(digest));
        assert_eq!(reference.to_string(), text);
        assert_eq!(reference.at(digest).to_string(), format!("example.com/a@{digest}"));
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<Reference>().expect_err(text);
        assert!(matches!(error(""), ParseReferenceError::Empty));
        assert!(matches!(error("https://example.com/app"), ParseReferenceError::Scheme(_)));
        assert!(
            matches!(error("example.com/App"), ParseReferenceError::Capital { repair, .. } if repair == "example.com/app")
        );
        assert!(matches!(error("example.com/a..b"), ParseReferenceError::Repository(_)));
        assert!(matches!(error("example.com/a//b"), ParseReferenceError::Repository(_)));
        assert!(matches!(error("example.com/a:"), ParseReferenceError::Tag { .. }));
        assert!(matches!(error("example.com/a:v+1"), ParseReferenceError::Tag { .. }));
        assert!(matches!(error("example.com:99999/a"), ParseReferenceError::Registry { .. }));
        assert!(matches!(error("example.com/a@sha256:00"), ParseReferenceError::Digest { .. }));
    }

    #[test]
    fn a_registry_alone_is_no_repository_of_docker_hub() {
        let ecr = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
        let (tagged, slash) = (format!("{ecr}:v1"), format!("{ecr}/"));
        let here = "localhost:5602";
        for (given, expected) in [
            (ecr, ecr),
            (tagged.as_str(), ecr),
            (slash.as_str(), ecr),
            (here, here),
            ("localhost:5602/", here),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            let registry = expected.to_owned();
            let error = ParseReferenceError::NoRepository { given: given.into(), registry };
            assert_eq!(given.parse::<Reference>(), Err(error));
        }
        assert_eq!(parts("localhost:1").1, "library/localhost");
        assert_eq!(parts("app:5000").1, "library/app");
        assert_eq!(parts("my.app:2026").1, "library/my.app");
        assert_eq!(parts("localhost:5000/123456789012.dkr").1, "123456789012.dkr");
    }
}
