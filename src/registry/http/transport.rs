//! One request over the wire, and what can go wrong there.
//!
//! No request has a limit as a whole, for a blob may be large and a line slow; but where nothing moves for a while the
//! request is given up. reqwest's own read timeout counts from the request's start and would end a long upload, so the
//! watch is ours.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::ClientBuilder;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, RootCertStore};
use thiserror::Error as ThisError;
use tokio::sync::OnceCell;
use url::Url;

use super::proxy::{self, Proxy};
use super::trust;
use crate::cause::{chain, innermost};
use crate::registry::error::{Attempt, Cause, Error, Obstacle};
use crate::secret::is_loopback;

/// How long we wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the next byte to move, either way.
    pub stall: Duration,
    /// For the answer to a body that has been sent whole: a registry hashes and moves gigabytes before it answers.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(20), stall: Duration::from_mins(1), answer: Duration::from_mins(5) }
    }
}

/// CA certificates that are trusted beside the machine's own.
#[derive(Debug, Clone)]
pub struct CaFile {
    certificates: Vec<CertificateDer<'static>>,
}

impl CaFile {
    /// Takes a PEM file's content; `path` is for messages. A file without any certificate is refused, and so is one
    /// with a certificate that cannot be read: both would show as an unknown issuer much later.
    ///
    /// # Errors
    /// Where there is no certificate in it, or one that cannot be read.
    pub fn parse(path: impl Into<PathBuf>, pem: &[u8]) -> Result<Self, Error> {
        let path = path.into();
        let wrong = |why: &str| Error::CaFile { path: path.clone(), why: why.into() };
        let mut certificates = Vec::new();
        // The store is thrown away: a certificate is looked into only when all of them are put to use.
        let mut store = RootCertStore::empty();
        for der in CertificateDer::pem_slice_iter(pem) {
            let der = der.map_err(|_| wrong("its PEM is broken"))?;
            store.add(der.clone()).map_err(|_| wrong("a certificate in it cannot be read"))?;
            certificates.push(der);
        }
        if certificates.is_empty() {
            return Err(wrong("there is no certificate in it"));
        }
        Ok(Self { certificates })
    }
}

/// The name does not resolve: typed, so that nobody has to read the resolver's words.
#[derive(Debug, ThisError)]
#[error("{0}")]
struct NoAddress(io::Error);

struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(NoAddress)?;
            let addresses: Vec<SocketAddr> = found.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// How far a body has been handed over.
#[derive(Debug, Clone, Default)]
pub(in crate::registry) struct Progress {
    moved: Arc<AtomicU64>,
    whole: Arc<AtomicBool>,
}

impl Progress {
    /// Some bytes were handed over.
    pub(in crate::registry) fn advance(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them were.
    pub(in crate::registry) fn complete(&self) {
        self.advance();
        self.whole.store(true, Ordering::Relaxed);
    }
}

/// The ways out. Each is made when it is first taken: to read the machine's CA certificates takes longer than many a
/// push.
pub(super) struct Transport {
    certificates: Vec<CertificateDer<'static>>,
    outside: OnceCell<reqwest::Client>,
    /// Loopback never goes through a proxy.
    loopback: OnceCell<reqwest::Client>,
    /// Loopback over HTTP: nobody's certificate is asked for.
    plain: OnceCell<reqwest::Client>,
    pub(super) patience: Patience,
}

impl Transport {
    pub(super) fn new(ca: &[CaFile], patience: Patience) -> Self {
        let certificates = ca.iter().flat_map(|file| file.certificates.clone()).collect();
        let (outside, loopback, plain) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { certificates, outside, loopback, plain, patience }
    }

    /// The way to an address.
    async fn way(&self, url: &Url) -> Result<&reqwest::Client, Error> {
        let builder = |only: bool| {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("dockless/", env!("CARGO_PKG_VERSION")))
                // Followed by hand: reqwest would carry a body and headers where they may not go.
                .redirect(Policy::none())
                // HTTP/2 would put all uploads of a push on one TCP connection and one flow-control window.
                .http1_only()
                .referer(false)
                .retry(reqwest::retry::never())
                .dns_resolver(Resolver)
                .tcp_keepalive(Duration::from_secs(30))
                .connect_timeout(self.patience.connect);
            if only { builder.tls_certs_only(Vec::new()) } else { builder }
        };
        let cause = |error: &(dyn StdError + 'static)| Error::Setup { source: Cause(innermost(error)) };
        let build = |builder: ClientBuilder| builder.build().map_err(|error| cause(&error.without_url()));
        // A machine without any CA certificates (a slim container) has unknown issuers only, and the help says what to
        // install.
        let tls = |direct: bool| {
            let builder = |only| if direct { builder(only).no_proxy() } else { builder(only) };
            if self.certificates.is_empty() {
                return build(builder(false)).or_else(|_| build(builder(true)));
            }
            let config = trust::config(&self.certificates).map_err(|error| cause(&error))?;
            build(builder(false).tls_backend_preconfigured(config))
        };
        if !is_loopback(url) {
            proxy::check(url, |name| std::env::var(name).ok())?;
        }
        match (is_loopback(url), url.scheme()) {
            (false, _) => self.outside.get_or_try_init(async || tls(false)).await,
            (true, "http") => self.plain.get_or_try_init(async || build(builder(true).no_proxy())).await,
            (true, _) => self.loopback.get_or_try_init(async || tls(true)).await,
        }
    }

    /// Sends one request and waits for the head of its reply.
    pub(super) async fn send(
        &self,
        request: reqwest::Request,
        progress: &Progress,
        attempt: &Attempt,
    ) -> Result<reqwest::Response, Error> {
        let client = self.way(request.url()).await?;
        let proxy = if is_loopback(request.url()) { None } else { proxy::of(request.url()) };
        let mut reply = std::pin::pin!(client.execute(request));
        let mut seen = progress.moved.load(Ordering::Relaxed);
        loop {
            let whole = progress.whole.load(Ordering::Relaxed);
            let limit = if whole { self.patience.answer } else { self.patience.stall };
            if let Ok(result) = tokio::time::timeout(limit, &mut reply).await {
                return result.map_err(|error| through(proxy, broken(attempt, error)));
            }
            let now = progress.moved.load(Ordering::Relaxed);
            if now == seen {
                return Err(Error::Stalled { attempt: Box::new(attempt.clone()), after: limit });
            }
            seen = now;
        }
    }
}

/// What a failed request means.
pub(super) fn broken(attempt: &Attempt, error: reqwest::Error) -> Error {
    let plain = error.url().is_some_and(|url| url.scheme() == "http");
    let (connecting, error) = (error.is_connect(), error.without_url());
    let attempt = Box::new(attempt.clone());
    let source = Cause(innermost(&error));
    // A body goes on in chunks; what is not HTTP from the first byte is another protocol, most likely TLS.
    let is_parse = |link: &(dyn StdError + 'static)| link.downcast_ref().is_some_and(hyper::Error::is_parse);
    let is_large = |link: &(dyn StdError + 'static)| link.downcast_ref().is_some_and(hyper::Error::is_parse_too_large);
    match obstacle(&error) {
        _ if chain(&error).any(is_large) => {
            Error::Garbage { attempt, why: "the head of its answer is too large, or has more than 100 lines".into() }
        }
        None if plain && chain(&error).any(is_parse) => Error::Connect { attempt, obstacle: Obstacle::NotHttp, source },
        Some(obstacle) => Error::Connect { attempt, obstacle, source },
        None if connecting => Error::Connect { attempt, obstacle: Obstacle::Other, source },
        None => Error::Lost { attempt, source },
    }
}

/// A failure on the way to a proxy, or of its own, is not the registry's: what cannot be TLS with the registry is that.
fn through(proxy: Option<Proxy>, error: Error) -> Error {
    match (proxy, error) {
        (Some(proxy), Error::Connect { attempt, obstacle, source }) => {
            let obstacle = match obstacle {
                Obstacle::Name | Obstacle::Refused | Obstacle::Timeout | Obstacle::Other => Obstacle::Proxy(proxy.host),
                Obstacle::NotTls if proxy.tls => Obstacle::Proxy(proxy.host),
                other => other,
            };
            Error::Connect { attempt, obstacle, source }
        }
        (_, error) => error,
    }
}

fn obstacle(error: &reqwest::Error) -> Option<Obstacle> {
    let connecting = error.is_connect();
    chain(error)
        .find_map(|link| {
            if link.is::<NoAddress>() {
                return Some(Obstacle::Name);
            }
            if let Some(tls) = link.downcast_ref::<rustls::Error>() {
                return Some(match tls {
                    rustls::Error::InvalidCertificate(certificate) => match certificate {
                        CertificateError::Expired
                        | CertificateError::ExpiredContext { .. }
                        | CertificateError::NotValidYet
                        | CertificateError::NotValidYetContext { .. } => Obstacle::CertificateExpired,
                        // A CA's own certificate, as `openssl req -x509` makes it: it is its own issuer.
                        other if *other == CertificateError::UnknownIssuer || trust::is_ca(other) => {
                            Obstacle::CertificateIssuer
                        }
                        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                            Obstacle::CertificateName
                        }
                        _ => Obstacle::Tls,
                    },
                    // The first bytes are not a TLS record: plain http answers so.
                    rustls::Error::InvalidMessage(_) => Obstacle::NotTls,
                    _ => Obstacle::Tls,
                });
            }
            let io = link.downcast_ref::<io::Error>().filter(|_| connecting)?;
            match io.kind() {
                io::ErrorKind::ConnectionRefused => Some(Obstacle::Refused),
                io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    Some(Obstacle::Timeout)
                }
                _ => None,
            }
        })
        // The connector's own limit has no type of its own.
        .or_else(|| (connecting && error.is_timeout()).then_some(Obstacle::Timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_is_read_at_once() {
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
        assert!(CaFile::parse("ca.pem", certificate.cert.pem().as_bytes()).is_ok());
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (pem, why) in [
            ("", "there is no certificate in it"),
            ("garbage", "there is no certificate in it"),
            (garbage, "a certificate in it cannot be read"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "its PEM is broken"),
        ] {
            let error = CaFile::parse("ca.pem", pem.as_bytes()).expect_err(why);
            assert!(matches!(&error, Error::CaFile { why: found, .. } if found == why), "{error}");
        }
    }
}
