//! Where a registry is spoken to: its base URL, and which other URLs it may send us to.
//!
//! A registry may send us anywhere by redirect or `Location`. `check` is the gate: https, or plain http on this
//! machine's own addresses, nothing else. A registry that was reached over https cannot send us to plain http, not even
//! on loopback (`Registry::follow`): whoever listens there is not who was asked.

use url::Url;

use crate::registry::endpoints::{Endpoints, allowed};
use crate::registry::error::{Attempt, Error};
use crate::secret::is_loopback;

/// A registry and where it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// As in the reference; credentials are found by it.
    pub name: String,
    /// Scheme, host and port of its API.
    pub base: Url,
    /// Where it would be without an endpoint of its own.
    nominal: Url,
}

impl Registry {
    /// Whether it is on this machine.
    pub(in crate::registry) fn is_here(&self) -> bool {
        is_loopback(&self.base)
    }

    /// Finds a registry. Without an endpoint of its own it is https, and plain http on loopback.
    ///
    /// # Errors
    /// Where the name is no address.
    pub fn new(name: &str, endpoints: &Endpoints) -> Result<Self, Error> {
        let address = || Error::Address(name.into());
        let host = match name {
            // The name in references; the API is elsewhere.
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let mut nominal = Url::parse(&format!("https://{host}/")).map_err(|_| address())?;
        if is_loopback(&nominal) {
            nominal = Url::parse(&format!("http://{host}/")).map_err(|_| address())?;
        }
        let base = endpoints.of(name).cloned().unwrap_or_else(|| nominal.clone());
        Ok(Self { name: name.into(), base, nominal })
    }

    /// A URL of the API: `path` begins with `/v2/`.
    pub(in crate::registry) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    /// Whether a URL is on the origin that our credentials are for.
    pub(in crate::registry) fn owns(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Who is asked by a URL. With an endpoint of its own the registry keeps its name; elsewhere the host says it.
    pub(in crate::registry) fn host(&self, url: &Url) -> String {
        let is_elsewhere = self.name == "docker.io" && self.base == self.nominal;
        if self.owns(url) && !is_elsewhere { self.name.clone() } else { host_of(url) }
    }

    /// The URL that a `Location`, seen in a reply to `from`, sends us to.
    pub(in crate::registry) fn follow(&self, attempt: &Attempt, from: &Url, location: &str) -> Result<Url, Error> {
        let refuse = |host: &str, why| Error::Redirect { attempt: Box::new(attempt.clone()), host: host.into(), why };
        let mut to = from.join(location).map_err(|_| refuse("nowhere", "its location is not a URL"))?;
        // A rehearsal's registry that knows its real name only must not lead out of the rehearsal.
        if self.base != self.nominal && to.origin() == self.nominal.origin() {
            let (path, query) = (to.path().to_owned(), to.query().map(ToOwned::to_owned));
            to = self.url(&path);
            to.set_query(query.as_deref());
        }
        let host = host_of(&to);
        if from.scheme() == "https" && to.scheme() != "https" {
            return Err(refuse(&host, "from https to plain http"));
        }
        if !allowed(&to) {
            return Err(refuse(&host, "where only https is spoken to other machines"));
        }
        if !to.username().is_empty() || to.password().is_some() {
            return Err(refuse(&host, "with credentials in the URL"));
        }
        to.set_fragment(None);
        Ok(to)
    }
}

/// Refuses a URL that is neither https nor on loopback.
pub(in crate::registry) fn check(url: &Url) -> Result<(), Error> {
    if allowed(url) { Ok(()) } else { Err(Error::PlainHttp(host_of(url))) }
}

/// Host and port as they stand in a reference.
pub(in crate::registry) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(name: &str, endpoints: &str) -> Registry {
        Registry::new(name, &endpoints.parse().expect("endpoints")).expect("a registry")
    }

    fn attempt() -> Attempt {
        let text = String::new;
        Attempt { registry: text(), repository: text(), method: text(), host: text(), path: text(), token: false }
    }

    #[test]
    fn plain_http_is_for_loopback() {
        for (name, base) in [
            ("example.com", "https://example.com/"),
            ("example.com:5000", "https://example.com:5000/"),
            ("docker.io", "https://registry-1.docker.io/"),
            ("localhost:5000", "http://localhost:5000/"),
            ("127.9.9.9:5000", "http://127.9.9.9:5000/"),
            ("[::1]:5000", "http://[::1]:5000/"),
            ("localhost.example.com", "https://localhost.example.com/"),
            ("10.0.0.1:5000", "https://10.0.0.1:5000/"),
        ] {
            assert_eq!(registry(name, "").base.as_str(), base);
        }
        assert_eq!(
            registry("localhost:5000", "localhost:5000=https://localhost:5000").base.as_str(),
            "https://localhost:5000/"
        );
    }

    #[test]
    fn the_host_that_is_asked_is_named() {
        let host = |name: &str, endpoints: &str| {
            let registry = registry(name, endpoints);
            registry.host(&registry.url("/v2/"))
        };
        assert_eq!(host("docker.io", ""), "registry-1.docker.io");
        assert_eq!(host("docker.io", "docker.io=http://127.0.0.1:5000"), "docker.io");
        assert_eq!(host("example.com:443", ""), "example.com:443");
    }

    #[test]
    fn follows_only_where_it_is_safe() {
        let registry_ = registry("example.com", "");
        let from = registry_.url("/v2/a/blobs/uploads/");
        let to = |location: &str| registry_.follow(&attempt(), &from, location).map(|url| url.to_string());
        assert_eq!(
            to("/v2/a/blobs/uploads/1?_state=x%3D").expect("a URL"),
            "https://example.com/v2/a/blobs/uploads/1?_state=x%3D"
        );
        assert_eq!(to("https://store.example.net/x?sig=1").expect("a URL"), "https://store.example.net/x?sig=1");
        for location in ["http://example.com/x", "http://127.0.0.1/x", "ftp://example.com/x", "https://me:pw@e.com/"] {
            let error = to(location).expect_err(location);
            assert!(matches!(error, Error::Redirect { .. }), "{error}");
            assert!(!error.to_string().contains("pw"));
        }
    }

    #[test]
    fn a_rehearsal_stays_where_it_is() {
        let rehearsal = registry("example.com", "example.com=http://127.0.0.1:5000");
        let from = rehearsal.url("/v2/");
        let to = rehearsal.follow(&attempt(), &from, "https://example.com/v2/u/1?s=2").expect("a URL");
        assert_eq!(to.as_str(), "http://127.0.0.1:5000/v2/u/1?s=2");
        assert!(!rehearsal.owns(&Url::parse("http://127.0.0.1:5001/").expect("a URL")));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken(text in "\\PC*") {
            let _ = text.parse::<Endpoints>();
            let _ = Registry::new(&text, &Endpoints::default());
            let registry = registry("example.com", "");
            if let Ok(url) = registry.follow(&attempt(), &registry.url("/v2/"), &text) {
                assert_eq!(url.scheme(), "https");
            }
        }
    }
}
