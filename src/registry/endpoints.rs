//! Registries that something else stands in for: a mirror, a rehearsal.

use std::collections::BTreeMap;
use std::str::FromStr;

use thiserror::Error as ThisError;
use url::Url;

use crate::oci::reference::Reference;
use crate::secret::is_loopback;

/// Registries that are spoken to elsewhere, by the host of the reference: `HOST=URL[,HOST=URL…]`, as the environment
/// variable `DOCKLESS_REGISTRY_ENDPOINT` says it. A host is in small letters here, and Docker Hub is `docker.io`, under
/// whichever of its names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints(BTreeMap<String, Url>);

/// Why a text is not a map of endpoints.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum ParseEndpointsError {
    /// No `HOST=URL`.
    #[error("{0:?} is not an endpoint: expected HOST=URL, such as registry.example.com=http://127.0.0.1:5000")]
    Form(String),
    /// A URL that is none, or that has more than scheme, host and port.
    #[error("{0:?} is not an endpoint's URL: expected https:// or http://, a host and perhaps a port")]
    Url(String),
    /// Plain http to another machine.
    #[error("the endpoint {0:?} is refused: plain http is spoken to this machine only")]
    PlainHttp(String),
    /// What no reference has as its registry: it would be left out in silence, and the traffic go to the real registry.
    #[error(
        "{0:?} has an endpoint, but is no registry's host: expected a name with a dot or a port, such as registry.example.com"
    )]
    Host(String),
    /// Two endpoints for one registry.
    #[error("{0:?} has two endpoints")]
    Twice(String),
}

impl Endpoints {
    /// Sends one registry's traffic to a URL.
    ///
    /// # Errors
    /// Where the host is no registry's, the URL is none that may be spoken to, or the registry has another already.
    pub fn insert(&mut self, host: &str, url: &str) -> Result<(), ParseEndpointsError> {
        let parsed = Url::parse(url).map_err(|_| ParseEndpointsError::Url(shown(url)))?;
        let plain = parsed.path() == "/"
            && parsed.query().is_none()
            && parsed.fragment().is_none()
            && parsed.username().is_empty()
            && parsed.password().is_none();
        if !plain || !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(ParseEndpointsError::Url(shown(url)));
        }
        if !allowed(&parsed) {
            return Err(ParseEndpointsError::PlainHttp(url.into()));
        }
        let key = key(host).ok_or_else(|| ParseEndpointsError::Host(host.into()))?;
        match self.0.insert(key, parsed.clone()) {
            Some(first) if first != parsed => Err(ParseEndpointsError::Twice(host.into())),
            _ => Ok(()),
        }
    }

    /// Whether something else stands in for a registry, by its name in references: what is meant for the registry
    /// alone, such as a token of AWS's, is not for that.
    pub fn stand_in_for(&self, registry: &str) -> bool {
        self.of(registry).is_some()
    }

    pub(in crate::registry) fn of(&self, registry: &str) -> Option<&Url> {
        self.0.get(&registry.to_ascii_lowercase())
    }
}

/// A text that may hold a password, without what stands before the host.
fn shown(text: &str) -> String {
    text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, host)| format!("…@{host}"))
}

/// The registry of references to this host; `None` where there are none.
fn key(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    let reference: Reference = format!("{host}/team/app").parse().ok()?;
    (reference.repository() == "team/app").then(|| reference.registry().to_owned())
}

impl FromStr for Endpoints {
    type Err = ParseEndpointsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut endpoints = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (host, url) = item.split_once('=').ok_or_else(|| ParseEndpointsError::Form(shown(item)))?;
            let (host, url) = (host.trim(), url.trim());
            if host.is_empty() || host.contains('/') {
                return Err(ParseEndpointsError::Form(shown(item)));
            }
            endpoints.insert(host, url)?;
        }
        Ok(endpoints)
    }
}

/// Whether a URL may be spoken to: https, or plain http on this machine.
pub(in crate::registry) fn allowed(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(url),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(registry: &str, endpoints: &str) -> Option<String> {
        endpoints.parse::<Endpoints>().expect("endpoints").of(registry).map(ToString::to_string)
    }

    #[test]
    fn endpoints_are_parsed() {
        let ecr = "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com";
        let endpoints = format!("{ecr}=http://127.0.0.1:5000, example.com = https://mirror.example.com ,");
        assert_eq!(of(ecr, &endpoints).as_deref(), Some("http://127.0.0.1:5000/"));
        assert_eq!(of("example.com", &endpoints).as_deref(), Some("https://mirror.example.com/"));
        let error = |text: &str| text.parse::<Endpoints>().expect_err(text);
        assert!(matches!(error("example.com"), ParseEndpointsError::Form(_)));
        assert!(matches!(error("=http://127.0.0.1"), ParseEndpointsError::Form(_)));
        assert!(matches!(error("a.io=127.0.0.1:5000"), ParseEndpointsError::Url(_)));
        assert!(matches!(error("a.io=https://b.io/v2/"), ParseEndpointsError::Url(_)));
        for text in ["a.io=https://me:hunter2@b.io", "a.io=https://me:hunter2@:x", "https://me:hunter2@b.io"] {
            assert!(!error(text).to_string().contains("hunter2"), "{text}");
        }
        assert!(matches!(error("a.io=http://b.io"), ParseEndpointsError::PlainHttp(_)));
        assert!(matches!(error("a.io=https://b.io,a.io=https://c.io"), ParseEndpointsError::Twice(_)));
    }

    #[test]
    fn endpoints_are_found_under_every_spelling_of_their_host() {
        for host in ["docker.io", "index.docker.io", "registry-1.docker.io", "Index.Docker.IO"] {
            let endpoints = format!("{host}=http://127.0.0.1:5000");
            assert_eq!(of("docker.io", &endpoints).as_deref(), Some("http://127.0.0.1:5000/"), "{host}");
        }
        for (host, name) in [("GHCR.io", "ghcr.io"), ("ghcr.io", "GHCR.io"), ("[::1]:5000", "[::1]:5000")] {
            let endpoints = format!("{host}=http://127.0.0.1:6000");
            assert_eq!(of(name, &endpoints).as_deref(), Some("http://127.0.0.1:6000/"), "{host}");
            assert!(endpoints.parse::<Endpoints>().is_ok_and(|endpoints| endpoints.stand_in_for(name)), "{host}");
        }
        for host in ["ghcr", "team", "gh cr.io", "ghcr.io:port"] {
            let error = format!("{host}=http://127.0.0.1:5000").parse::<Endpoints>().expect_err(host);
            assert!(matches!(error, ParseEndpointsError::Host(_)), "{error}");
        }
        let same = "docker.io=http://127.0.0.1:5000,index.docker.io=http://127.0.0.1:5000";
        assert!(same.parse::<Endpoints>().is_ok());
        let other = "docker.io=http://127.0.0.1:5000,index.docker.io=http://127.0.0.1:5001";
        assert!(matches!(other.parse::<Endpoints>(), Err(ParseEndpointsError::Twice(_))));
    }
}
