//! What a registry asked for and what we have for it: the `Authorization` header of its requests (distribution's
//! "Token Authentication Specification", RFC 6749 section 6 for refresh tokens).
//!
//! A registry names the realm that its tokens come from, and our password goes there. The realm must be https, or on
//! loopback for a registry that is on loopback itself; it is never redirected. Other registries keep their token
//! servers on hosts of their own (Docker Hub, GitLab); Amazon's do not, and what opens those goes to no one else.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;
use url::Url;

use super::endpoint::{Registry, check, host_of};
use super::{Answer, Ask, FORM, Http, Payload, attempt};
use crate::aws::ecr::EcrHost;
use crate::event::Event;
use crate::registry::auth::Credentials;
use crate::registry::auth::challenge::{self, Challenge};
use crate::registry::error::Error;
use crate::secret::{Secret, is_loopback};

/// The largest answer of a token server, in bytes.
const TOKEN_LIMIT: usize = 1 << 20;

/// How long a token lives that does not say it (distribution: "at least 60 seconds").
const SHORT_LIFE: Duration = Duration::from_mins(1);

/// No token is kept for longer, in seconds.
const LONG_LIFE: f64 = 86_400.0;

/// The state of one registry.
#[derive(Default)]
pub(super) struct Session {
    challenge: Option<Challenge>,
    /// By repository: a registry may have a login for each namespace.
    credentials: HashMap<String, Credentials>,
    tokens: HashMap<String, Token>,
    /// An expired token that nobody gives another for: it is not asked for again.
    last: Option<HeaderValue>,
}

struct Token {
    text: Secret,
    until: Instant,
}

/// The answer of a token server. Both names are in use.
#[derive(Deserialize)]
struct TokenReply {
    token: Option<String>,
    access_token: Option<String>,
    /// In seconds; a number by the specification, and whatever a server makes of it.
    expires_in: Option<serde_json::Value>,
}

impl Http {
    /// The header for the next request, if the registry is known to want one.
    pub(super) async fn authorization(&self, registry: &Registry, ask: &Ask) -> Result<Option<HeaderValue>, Error> {
        let session = self.session(registry);
        let mut session = session.lock().await;
        if session.challenge.is_none() {
            return Ok(None);
        }
        self.header(&mut session, registry, ask).await
    }

    /// The header to try after a 401; `None` where there is nothing else to try.
    pub(super) async fn challenged(
        &self,
        registry: &Registry,
        ask: &Ask,
        answer: &Answer,
        used: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Error> {
        let session = self.session(registry);
        let mut session = session.lock().await;
        let headers = answer.headers.get_all(WWW_AUTHENTICATE);
        let offered: Vec<Challenge> =
            headers.iter().filter_map(|value| value.to_str().ok()).flat_map(challenge::parse).collect();
        // A token is worth less to a thief than a password: Bearer first.
        let chosen = offered
            .iter()
            .find(|one| one.scheme == "bearer" && one.parameter("realm").is_some())
            .or_else(|| offered.iter().find(|one| one.scheme == "basic"));
        if let Some(chosen) = chosen {
            session.challenge = Some(chosen.clone());
        }
        if session.challenge.is_none() {
            return Ok(None);
        }
        let Some(used) = used else { return self.header(&mut session, registry, ask).await };
        if let Some(current) = session.newer(ask, used) {
            return Ok(Some(current));
        }
        session.tokens.remove(&ask.scopes.join(" "));
        match self.header(&mut session, registry, ask).await {
            Ok(Some(header)) if header != *used => Ok(Some(header)),
            Ok(_) | Err(Error::Unauthorized(_)) => self.renewed_header(&mut session, registry, ask).await,
            Err(error) => Err(error),
        }
    }

    /// The header to try after a 403 that says that the token which was used has expired: ECR's way, instead of a 401.
    /// Where there is no other, that is not the failure to tell.
    pub(super) async fn renewed(&self, registry: &Registry, ask: &Ask, used: &HeaderValue) -> Option<HeaderValue> {
        let session = self.session(registry);
        let mut session = session.lock().await;
        if session.challenge.as_ref().is_none_or(|challenge| challenge.scheme != "basic") {
            return None;
        }
        if let Some(current) = session.newer(ask, used) {
            return Some(current);
        }
        if session.last.as_ref() == Some(used) {
            return None;
        }
        let renewed = self.renewed_header(&mut session, registry, ask).await.unwrap_or_else(|error| {
            self.observer.note(Event::Detail(&format!("the token for {} is not renewed: {error}", registry.name)));
            None
        });
        if renewed.is_none() {
            session.last = Some(used.clone());
        }
        renewed
    }

    async fn renewed_header(
        &self,
        session: &mut Session,
        registry: &Registry,
        ask: &Ask,
    ) -> Result<Option<HeaderValue>, Error> {
        let credentials = self.authenticator.credentials(&place(registry, ask), true).await?;
        let old = session.credentials.insert(ask.repository.clone(), credentials.clone());
        if old.as_ref() == Some(&credentials) {
            return Ok(None);
        }
        // Whoever had the same has the same now.
        session.credentials.values_mut().filter(|one| Some(&**one) == old.as_ref()).for_each(|one| {
            one.clone_from(&credentials);
        });
        session.tokens.clear();
        self.header(session, registry, ask).await
    }

    async fn header(
        &self,
        session: &mut Session,
        registry: &Registry,
        ask: &Ask,
    ) -> Result<Option<HeaderValue>, Error> {
        if !session.credentials.contains_key(&ask.repository) {
            let credentials = self.authenticator.credentials(&place(registry, ask), false).await?;
            session.credentials.insert(ask.repository.clone(), credentials);
        }
        if let Some(header) = session.kept(ask) {
            return Ok(Some(header));
        }
        match session.challenge.clone() {
            Some(challenge) if challenge.scheme == "bearer" => {
                let token = self.fetch_token(session, registry, ask, &challenge).await?;
                let header = secret_header(&format!("Bearer {}", token.text.expose()));
                session.tokens.insert(ask.scopes.join(" "), token);
                Ok(header)
            }
            _ => Ok(None),
        }
    }

    async fn fetch_token(
        &self,
        session: &Session,
        registry: &Registry,
        ask: &Ask,
        challenge: &Challenge,
    ) -> Result<Token, Error> {
        let attempt = attempt(registry, ask);
        let garbage = |why: &str| Error::Garbage { attempt: Box::new(attempt.clone()), why: why.into() };
        let realm = challenge.parameter("realm").unwrap_or_default();
        let mut realm = Url::parse(realm).map_err(|_| garbage("its token realm is not a URL"))?;
        check(&realm)?;
        if realm.scheme() == "http" && !is_loopback(&registry.base) {
            return Err(Error::PlainHttp(host_of(&realm)));
        }
        if is_foreign(registry, &realm) {
            let (attempt, why) = (Box::new(attempt), "where no credentials of Amazon ECR go");
            return Err(Error::Redirect { attempt, host: host_of(&realm), why });
        }
        // Ours first, so that one token serves the whole push; what the registry adds is asked for as well.
        let mut scopes: Vec<&str> = ask.scopes.iter().map(String::as_str).collect();
        scopes.extend(challenge.parameter("scope").unwrap_or_default().split_ascii_whitespace());
        let mut seen = BTreeSet::new();
        scopes.retain(|scope| seen.insert(*scope));
        let service = challenge.parameter("service");
        let mut headers = HeaderMap::new();
        let known = session.credentials.get(&ask.repository);
        let (method, payload) = match known {
            Some(Credentials::IdentityToken(token)) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.append_pair("grant_type", "refresh_token");
                form.append_pair("refresh_token", token.expose());
                form.append_pair("client_id", "dockless");
                form.append_pair("scope", &scopes.join(" "));
                if let Some(service) = service {
                    form.append_pair("service", service);
                }
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
                (Method::POST, Payload::Bytes(form.finish().into()))
            }
            credentials => {
                let mut query = realm.query_pairs_mut();
                for scope in &scopes {
                    query.append_pair("scope", scope);
                }
                if let Some(service) = service {
                    query.append_pair("service", service);
                }
                query.append_pair("client_id", "dockless");
                drop(query);
                if let Some(header) = credentials.and_then(basic) {
                    headers.insert(AUTHORIZATION, header);
                }
                (Method::GET, Payload::Empty)
            }
        };
        let anonymous = matches!(known, None | Some(Credentials::Anonymous));
        let repository = ask.repository.clone();
        let (scopes, once, token) = (Vec::new(), ask.once, true);
        let ask = Ask { method, url: realm, headers, payload, scopes, repository, action: None, once, token };
        let mut answer = self.retried(&ask, || self.once(registry, &ask, None)).await?;
        answer.anonymous = anonymous;
        if answer.status != 200 {
            return Err(answer.into_error().await);
        }
        let attempt = answer.attempt.clone();
        let body = answer.bytes(TOKEN_LIMIT).await?;
        let garbage = |why: &str| Error::Garbage { attempt: Box::new(attempt.clone()), why: why.into() };
        let reply: TokenReply = serde_json::from_slice(&body).map_err(|_| garbage("its token is not JSON"))?;
        let text = [reply.token, reply.access_token].into_iter().flatten().find(|token| !token.is_empty());
        let text = text.ok_or_else(|| garbage("there is no token in its reply"))?;
        if secret_header(&text).is_none() {
            return Err(garbage("its token has characters that no header can hold"));
        }
        // Seconds from our own receipt: `issued_at` would compare two clocks.
        let life = reply.expires_in.as_ref().and_then(life).unwrap_or(SHORT_LIFE);
        Ok(Token { text: Secret::new(text), until: Instant::now() + life.saturating_sub(life / 10) })
    }
}

impl Session {
    /// The header that another request brought while ours was under way. Asked again, a source that keeps its answers
    /// would say the same, and that would look as if there were nothing new.
    fn newer(&self, ask: &Ask, used: &HeaderValue) -> Option<HeaderValue> {
        self.kept(ask).filter(|current| current != used)
    }

    /// The header that needs no request.
    fn kept(&self, ask: &Ask) -> Option<HeaderValue> {
        if self.challenge.as_ref()?.scheme.as_str() == "basic" {
            basic(self.credentials.get(&ask.repository)?)
        } else {
            let token = self.tokens.get(&ask.scopes.join(" "))?;
            if token.until <= Instant::now() {
                return None;
            }
            secret_header(&format!("Bearer {}", token.text.expose()))
        }
    }
}

/// How long a token lives; `None` where that is not said in positive seconds.
fn life(seconds: &serde_json::Value) -> Option<Duration> {
    let seconds = seconds.as_f64().or_else(|| seconds.as_str()?.trim().parse().ok())?;
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(LONG_LIFE)))
}

/// What a request is about, as sources of credentials know it.
fn place(registry: &Registry, ask: &Ask) -> String {
    if ask.repository.is_empty() { registry.name.clone() } else { format!("{}/{}", registry.name, ask.repository) }
}

/// Whether a realm is not Amazon's, though the registry is.
fn is_foreign(registry: &Registry, realm: &Url) -> bool {
    let kind = |host: &str| EcrHost::parse(host).map(|host| host.kind);
    let ours = kind(&registry.name);
    ours.is_some() && !registry.owns(realm) && kind(&host_of(realm)) != ours
}

fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    match credentials {
        Credentials::Basic { user, password } => {
            secret_header(&format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose()))))
        }
        _ => None,
    }
}

fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    // hyper and others leave it out of what they print.
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_how_long_a_token_lives() {
        for (value, seconds) in [
            (json!(300), Some(300.0)),
            (json!(300.5), Some(300.5)),
            (json!("300"), Some(300.0)),
            (json!(1e300), Some(86_400.0)),
            (json!(-5), None),
            (json!(0), None),
            (json!("NaN"), None),
            (json!("soon"), None),
            (json!(null), None),
            (json!([300]), None),
        ] {
            assert_eq!(life(&value), seconds.map(Duration::from_secs_f64), "{value}");
        }
    }
}
