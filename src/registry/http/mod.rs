//! Requests to a registry: sent, authorised, redirected, retried.
//!
//! `transport` sends one request and watches it; `session` knows the `Authorization` header; `endpoint` says
//! where a registry is and where it may send us; `retry` says how often and when, `pace` how fast. Here they come
//! together.
//!
//! Invariant: a request carries `Authorization` only where its URL is on the registry's own origin
//! (`Registry::owns`). Nobody outside this module adds that header.

mod answer;
pub mod endpoint;
pub(super) mod pace;
mod proxy;
pub mod retry;
mod session;
pub mod transport;
mod trust;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use url::Url;

pub(super) use self::answer::Answer;
use self::endpoint::{Registry, check};
use self::pace::{Action, Pace};
use self::retry::Retry;
use self::session::Session;
use self::transport::{CaFile, Patience, Progress, Transport};
use super::auth::Authenticator;
use super::error::{Attempt, Carried, Error, Obstacle};
use crate::event::{Event, Observer};
use crate::mutex::lock;

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// How often a request is sent at most while the registry and we find out about credentials.
const ROUNDS: usize = 3;

/// The type of a token request that has a body.
const FORM: &str = "application/x-www-form-urlencoded";

/// Makes a body; called again where the request has to be sent again.
pub(super) type MakeBody = Arc<dyn Fn(Progress) -> reqwest::Body + Send + Sync>;

/// What a request carries.
#[derive(Clone)]
pub(super) enum Payload {
    /// Nothing.
    Empty,
    /// Something small.
    Bytes(Bytes),
    /// So many bytes, made as they are sent.
    Stream(u64, MakeBody),
    /// As many as there will be: their number is not known when the request begins.
    Growing(MakeBody),
}

/// A request.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    /// What a bearer token must allow.
    pub(super) scopes: Vec<String>,
    /// For messages.
    pub(super) repository: String,
    /// What the registry's quotas count it as.
    pub(super) action: Option<Action>,
    /// Not worth another try: what it is for can be had otherwise.
    pub(super) once: bool,
    /// For a token that another request waits for.
    pub(super) token: bool,
}

/// The way to all registries.
pub(super) struct Http {
    transport: Transport,
    pub(super) retry: Retry,
    authenticator: Arc<dyn Authenticator>,
    pub(super) observer: Arc<dyn Observer>,
    sessions: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Session>>>>,
    /// The hosts that have ever answered: a first connection that fails is most likely a wrong name or port.
    answered: Mutex<HashSet<String>>,
    pace: Pace,
}

impl Http {
    pub(super) fn new(
        ca: &[CaFile],
        patience: Patience,
        retry: Retry,
        authenticator: Arc<dyn Authenticator>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let transport = Transport::new(ca, patience);
        let (sessions, answered) = (Mutex::default(), Mutex::default());
        Self { transport, retry, authenticator, observer, sessions, answered, pace: Pace::default() }
    }

    /// Sends a request once. `authorization` is the caller's duty.
    async fn once(&self, registry: &Registry, ask: &Ask, authorization: Option<&HeaderValue>) -> Result<Answer, Error> {
        check(&ask.url)?;
        let attempt = attempt(registry, ask);
        let mut request = reqwest::Request::new(ask.method.clone(), ask.url.clone());
        *request.headers_mut() = ask.headers.clone();
        // Without it any coding would be acceptable (RFC 9110 section 12.5.3).
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(value) = authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        if let Some(action) = ask.action {
            tokio::time::sleep(self.pace.turn(&registry.name, action, Instant::now())).await;
        }
        let progress = Progress::default();
        // What is stored when the last byte is there may take long: a blob that was sent before, a manifest of many.
        if ask.method == Method::PUT && matches!(ask.payload, Payload::Empty | Payload::Bytes(_)) {
            progress.complete();
        }
        let length = match &ask.payload {
            // Some proxies want to be told that nothing comes.
            Payload::Empty => matches!(ask.method, Method::POST | Method::PUT | Method::PATCH).then_some(0),
            Payload::Bytes(bytes) => {
                *request.body_mut() = Some(bytes.clone().into());
                Some(bytes.len() as u64)
            }
            Payload::Stream(length, make) => {
                *request.body_mut() = Some(make(progress.clone()));
                Some(*length)
            }
            Payload::Growing(make) => {
                *request.body_mut() = Some(make(progress.clone()));
                None
            }
        };
        if let Some(length) = length {
            request.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        let form = match &ask.payload {
            Payload::Bytes(bytes) if ask.headers.get(CONTENT_TYPE).is_some_and(|one| one == FORM) => Some(&**bytes),
            _ => None,
        };
        let carried = Carried::by(request.headers(), &ask.url, form);
        let response = self.transport.send(request, &progress, &attempt).await?;
        lock(&self.answered).insert(attempt.host.clone());
        Ok(Answer {
            attempt,
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            url: ask.url.clone(),
            anonymous: authorization.is_none() && !ask.headers.contains_key(AUTHORIZATION),
            response,
            start: Bytes::new(),
            over: false,
            patience: self.transport.patience,
            carried,
        })
    }

    /// Sends a request with what the registry wants to know of us. Any status is a reply, but what is to be stored goes
    /// where 307 and 308 send it, which keep the method and the body (RFC 9110 sections 15.4.8 and 15.4.9). Where a GET
    /// or HEAD is sent is its caller's to follow.
    pub(super) async fn ask(&self, registry: &Registry, ask: &Ask) -> Result<Answer, Error> {
        let mut answer = self.asked(registry, ask).await?;
        let mut moved;
        for _ in 0..REDIRECTS {
            let stays = ask.method == Method::GET || ask.method == Method::HEAD || !matches!(answer.status, 307 | 308);
            if stays {
                return Ok(answer);
            }
            let url = registry.follow(&answer.attempt, &answer.url, &answer.location()?)?;
            answer.drain().await;
            moved = Ask { url, ..ask.clone() };
            answer = self.asked(registry, &moved).await?;
        }
        Ok(answer)
    }

    async fn asked(&self, registry: &Registry, ask: &Ask) -> Result<Answer, Error> {
        if !registry.owns(&ask.url) {
            return self.once(registry, ask, None).await;
        }
        let mut header = self.authorization(registry, ask).await?;
        let mut round = 1;
        loop {
            let mut answer = self.once(registry, ask, header.as_ref()).await?;
            let next = match (answer.status, &header) {
                (401, _) if round < ROUNDS => self.challenged(registry, ask, &answer, header.as_ref()).await?,
                (403, Some(used)) if round < ROUNDS && answer.says_expired().await => {
                    self.renewed(registry, ask, used).await
                }
                _ => None,
            };
            match next {
                None => return Ok(answer),
                Some(next) => {
                    answer.drain().await;
                    header = Some(next);
                    round += 1;
                }
            }
        }
    }

    /// As [`ask`](Self::ask), but whatever is answered is the answer: for what is not worth other credentials.
    pub(super) async fn ask_once(&self, registry: &Registry, ask: &Ask) -> Result<Answer, Error> {
        let header = if registry.owns(&ask.url) { self.authorization(registry, ask).await? } else { None };
        self.once(registry, ask, header.as_ref()).await
    }

    /// As [`ask`](Self::ask), again after what may pass. The reply is none of 408, 429 and 5xx.
    pub(super) async fn send(&self, registry: &Registry, ask: &Ask) -> Result<Answer, Error> {
        self.retried(ask, || self.ask(registry, ask)).await
    }

    /// As [`send`](Self::send), through redirects; for requests without a body.
    pub(super) async fn fetch(&self, registry: &Registry, mut ask: Ask) -> Result<Answer, Error> {
        for _ in 0..REDIRECTS {
            let answer = self.send(registry, &ask).await?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let location = answer.location()?;
            ask.url = registry.follow(&answer.attempt, &answer.url, &location)?;
            answer.drain().await;
        }
        let attempt = Box::new(attempt(registry, &ask));
        Err(Error::Garbage { attempt, why: format!("it redirects more than {REDIRECTS} times") })
    }

    async fn retried<F>(&self, ask: &Ask, mut send: impl FnMut() -> F) -> Result<Answer, Error>
    where
        F: Future<Output = Result<Answer, Error>>,
    {
        let mut failures = 0;
        loop {
            let error = match send().await {
                Ok(answer) if matches!(answer.status, 408 | 429 | 500 | 502..=599) => answer.into_error().await,
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failures += 1;
            // A token's request has its own tries, which are not multiplied by those of the request that waits for it.
            let spent = error.is_of_token() && !ask.token;
            if ask.once || spent || !self.again(&error, failures) {
                return Err(error);
            }
            self.pause(&error, failures).await;
        }
    }

    /// Whether it is worth trying again after so many failures.
    pub(super) fn again(&self, error: &Error, failures: u32) -> bool {
        let answered = match error {
            Error::Connect { attempt, .. } => lock(&self.answered).contains(&attempt.host),
            _ => true,
        };
        let most = match error {
            // The first thing we ask for: most likely a wrong name or port, and nobody wants to wait for that.
            Error::Connect { obstacle: Obstacle::Name, .. } if !answered => 1,
            Error::Connect { .. } if !answered => 2,
            _ => self.retry.attempts,
        };
        error.is_temporary() && failures < most.min(self.retry.attempts) && !self.asks_too_long(error)
    }

    /// Whether the registry wants to be left alone for longer than we wait: another try before that is one too many.
    pub(super) fn asks_too_long(&self, error: &Error) -> bool {
        let asked = error.reply().and_then(|reply| reply.retry_after);
        asked.is_some_and(|asked| asked > self.retry.longest_asked)
    }

    /// Says that there will be another try, and waits before it where the failure is one that passes.
    pub(super) async fn pause(&self, error: &Error, failures: u32) {
        let after = if error.is_temporary() && !self.asks_too_long(error) {
            self.retry.pause(failures, error.reply().and_then(|reply| reply.retry_after))
        } else {
            Duration::ZERO
        };
        let (what, reason) = match error {
            Error::Connect { attempt, obstacle, .. } => (Some(&**attempt), obstacle.to_string()),
            Error::Lost { attempt, .. } => (Some(&**attempt), "the connection is lost".into()),
            Error::Stalled { attempt, .. } => (Some(&**attempt), "nothing moves".into()),
            Error::Garbage { attempt, why } => (Some(&**attempt), why.clone()),
            other => match other.reply() {
                Some(reply) => {
                    let code = reply.errors.first().map(|error| format!(" {}", error.code)).unwrap_or_default();
                    (Some(&reply.attempt), format!("status {}{code}", reply.status))
                }
                None => (None, other.to_string()),
            },
        };
        let what = what.map_or_else(|| "upload".into(), |attempt| format!("{} {}", attempt.method, attempt.path));
        self.observer.note(Event::Retry { what: &what, reason: &reason, after });
        tokio::time::sleep(after).await;
    }

    fn session(&self, registry: &Registry) -> Arc<tokio::sync::Mutex<Session>> {
        let mut sessions = lock(&self.sessions);
        Arc::clone(sessions.entry(registry.name.clone()).or_default())
    }
}

fn attempt(registry: &Registry, ask: &Ask) -> Attempt {
    let host = registry.host(&ask.url);
    Attempt {
        registry: registry.name.clone(),
        repository: ask.repository.clone(),
        method: ask.method.to_string(),
        host,
        path: ask.url.path().to_owned(),
        token: ask.token,
    }
}
