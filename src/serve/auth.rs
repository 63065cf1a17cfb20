//! Who may do what: nobody is asked, Basic credentials, or Bearer tokens from `/token` (the protocol of the
//! distribution project that Docker Hub and others speak).
//!
//! Threats: a password that is guessed by the time a comparison takes (digests are compared), a token that is guessed
//! (128 bits of a keyed hash whose key the system chose), a secret in a log or a `Debug` text (neither shows one), a
//! token that reaches further than what it was asked for (scopes are kept with it). The realm names the server's own
//! address, never what the `Host` header says.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::json;

use super::reply::{Answer, Refusal, Stop, answer, document};
use super::route::{Endpoint, Route};
use crate::mutex::lock;
use crate::oci::digest::Digest;

/// More tokens than any test or rehearsal asks for: beyond it, the expired ones go.
const TOKENS: usize = 1024;

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user; `AWS` for ECR.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a client must show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    #[default]
    Open,
    /// These credentials, as Basic authentication.
    Basic(Credentials),
    /// A token from `/token`.
    Bearer {
        /// What `/token` wants to see; nothing: anybody gets one.
        credentials: Option<Credentials>,
        /// How long a token is good.
        lifetime: Duration,
    },
}

/// The hosts that a server on loopback answers to.
pub(super) struct Hosts {
    registry: String,
}

impl Hosts {
    pub(super) fn of_loopback(registry: &str) -> Self {
        Self { registry: without_port(registry).to_owned() }
    }

    /// Lets a request in whose host is an address, `localhost` or the registry's name.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(value) = headers.get(HOST) else { return Ok(()) };
        let host = without_port(value.to_str().unwrap_or_default()).to_ascii_lowercase();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let ours = address.parse::<IpAddr>().is_ok()
            || host == "localhost"
            || host.ends_with(".localhost")
            || host == self.registry;
        if ours { Ok(()) } else { Err(Refusal::misdirected(&self.registry)) }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Words that nobody guesses, for tokens and upload sessions.
#[derive(Default)]
pub(super) struct Random {
    keys: (RandomState, RandomState),
    count: AtomicU64,
}

impl Random {
    pub(super) fn word(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{:016x}", self.keys.0.hash_one(count), self.keys.1.hash_one(!count))
    }
}

/// Something that a token is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    kind: String,
    name: String,
    action: String,
}

impl Scope {
    pub(super) fn repository(name: &str, action: &str) -> Self {
        Self { kind: "repository".into(), name: name.into(), action: action.into() }
    }
}

struct Token {
    until: Instant,
    scopes: Vec<Scope>,
}

/// The door.
pub(super) struct Door {
    access: Access,
    url: String,
    random: Random,
    tokens: Mutex<HashMap<String, Token>>,
}

impl Door {
    pub(super) fn new(access: Access, url: String) -> Self {
        Self { access, url, random: Random::default(), tokens: Mutex::default() }
    }

    /// Lets a request in, or says what it must show.
    pub(super) fn check(&self, method: &Method, route: &Route, headers: &HeaderMap) -> Result<(), Refusal> {
        match &self.access {
            _ if route.endpoint == Endpoint::Token => Ok(()),
            Access::Open => Ok(()),
            Access::Basic(wanted) if basic(headers).is_some_and(|shown| same(&shown, wanted)) => Ok(()),
            Access::Basic(_) => Err(Refusal::unauthorized(format!("Basic realm=\"{}/\"", self.url))),
            Access::Bearer { .. } => self.bearer(headers, wanted(method, route).as_ref()),
        }
    }

    /// Whether these are the credentials that the server itself was given.
    pub(super) fn knows(&self, shown: &Credentials) -> bool {
        matches!(&self.access, Access::Basic(wanted) if same(shown, wanted))
    }

    /// Whether a request may also do this, elsewhere: read the repository that a blob is mounted from.
    pub(super) fn allows(&self, headers: &HeaderMap, scope: &Scope) -> bool {
        !matches!(self.access, Access::Bearer { .. }) || self.bearer(headers, Some(scope)).is_ok()
    }

    fn bearer(&self, headers: &HeaderMap, wanted: Option<&Scope>) -> Result<(), Refusal> {
        let shown =
            authorization(headers).and_then(|(scheme, value)| scheme.eq_ignore_ascii_case("bearer").then_some(value));
        let problem = match shown {
            None => None,
            Some(word) => match lock(&self.tokens).get(word) {
                Some(token) if token.until > Instant::now() => {
                    if wanted.is_none_or(|wanted| token.scopes.contains(wanted)) {
                        return Ok(());
                    }
                    Some("insufficient_scope")
                }
                _ => Some("invalid_token"),
            },
        };
        let scope = wanted.map_or_else(String::new, |Scope { kind, name, action }| {
            // Whoever writes reads as well: every client asks for both.
            let action = if action == "push" { "pull,push" } else { action };
            format!(",scope=\"{kind}:{name}:{action}\"")
        });
        let problem = problem.map_or_else(String::new, |problem| format!(",error=\"{problem}\""));
        let challenge = format!("Bearer realm=\"{0}/token\",service=\"{0}\"{scope}{problem}", self.url);
        Err(Refusal::unauthorized(challenge))
    }

    /// A token for the scopes that the query names.
    pub(super) fn token(&self, query: &[(String, String)], headers: &HeaderMap) -> Result<Answer, Stop> {
        let Access::Bearer { credentials, lifetime } = &self.access else {
            return Err(Refusal::no_endpoint().into());
        };
        if let Some(wanted) = credentials
            && !basic(headers).is_some_and(|shown| same(&shown, wanted))
        {
            return Err(Refusal::unauthorized(format!("Basic realm=\"{}/token\"", self.url)).into());
        }
        let mut scopes = Vec::new();
        for text in query.iter().filter(|(key, _)| key == "scope").flat_map(|(_, value)| value.split_whitespace()) {
            let parts = text.split_once(':').and_then(|(kind, rest)| rest.rsplit_once(':').map(|(n, a)| (kind, n, a)));
            for action in parts.iter().flat_map(|(_, _, actions)| actions.split(',')) {
                let (kind, name) = parts.map(|(kind, name, _)| (kind.to_owned(), name.to_owned())).unwrap_or_default();
                scopes.push(Scope { kind, name, action: action.into() });
            }
        }
        let word = self.random.word();
        let now = Instant::now();
        let mut tokens = lock(&self.tokens);
        if tokens.len() >= TOKENS {
            tokens.retain(|_, token| token.until > now);
        }
        if tokens.len() >= TOKENS {
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "too many tokens").into());
        }
        tokens.insert(word.clone(), Token { until: now + *lifetime, scopes });
        drop(tokens);
        let body = json!({ "token": word, "access_token": word, "expires_in": lifetime.as_secs() });
        document(answer(StatusCode::OK), "application/json", body.to_string().into_bytes())
    }
}

/// What a request needs to be allowed.
fn wanted(method: &Method, route: &Route) -> Option<Scope> {
    let action = match (route.endpoint, method) {
        (Endpoint::Base | Endpoint::Token | Endpoint::Control, _) => return None,
        (Endpoint::Catalog, _) => {
            return Some(Scope { kind: "registry".into(), name: "catalog".into(), action: "*".into() });
        }
        (Endpoint::Uploads | Endpoint::Upload, _) => "push",
        (_, &Method::GET | &Method::HEAD) => "pull",
        (_, &Method::DELETE) => "delete",
        _ => "push",
    };
    Some(Scope::repository(&route.name, action))
}

fn authorization(headers: &HeaderMap) -> Option<(&str, &str)> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')
}

pub(super) fn basic(headers: &HeaderMap) -> Option<Credentials> {
    let (scheme, value) = authorization(headers)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Credentials { user: user.into(), password: password.into() })
}

/// Whether two credentials are the same; the time that it takes says nothing about where they differ.
fn same(shown: &Credentials, wanted: &Credentials) -> bool {
    let digest =
        |credentials: &Credentials| Digest::of(format!("{}:{}", credentials.user, credentials.password).as_bytes());
    digest(shown) == digest(wanted)
}
