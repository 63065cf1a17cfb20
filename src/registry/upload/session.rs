//! An upload session: asked for, by a mount where that may spare the upload, and given back.

use std::time::Duration;

use reqwest::Method;
use url::Url;

use super::LARGEST_PART;
use crate::event::Event;
use crate::oci::digest::Digest;
use crate::registry::client::Repository;
use crate::registry::error::Error;
use crate::registry::http::pace::Action;
use crate::registry::http::{Answer, Ask};

/// How long we wait for the cancelling of a session; nothing depends on it.
const CANCEL: Duration = Duration::from_secs(5);

/// How long an answer is waited for when all is given up: enough for a registry that is there.
pub(in crate::registry) const FAREWELL: Duration = Duration::from_millis(500);

/// An open upload session.
pub struct Session {
    pub(super) url: Url,
    pub(super) least: u64,
    /// The last request has been made and what came of it is not known: the registry may be storing the blob at this
    /// moment.
    pub(super) closing: bool,
}

impl Session {
    /// Whether the registry takes only parts larger than those we would send and than we keep in memory: then all goes
    /// in one request, which needs none.
    pub(super) fn asks_too_much(&self, part: u64) -> bool {
        self.least > part.max(LARGEST_PART)
    }
}

/// What came of asking for a session.
pub enum Started {
    /// The blob is there already, taken over from another repository.
    Mounted,
    /// The registry waits for the blob.
    Session(Session),
}

/// Opens an upload session, after the registry has been asked to take the blob over from each of these repositories,
/// one after the other.
///
/// # Errors
/// Where the registry opens no session: who may not push, or no repository.
pub async fn start(repository: &Repository, digest: Digest, from: &[&str]) -> Result<Started, Error> {
    let mut kept: Option<Session> = None;
    for from in from.iter().filter(|from| **from != repository.name()) {
        let mut ask = asking(repository);
        ask.url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
        ask.scopes.push(format!("repository:{from}:pull"));
        ask.once = true;
        let error = match repository.http.send(&repository.registry, &ask).await {
            Ok(answer) if answer.status == 201 => {
                answer.drain().await;
                if let Some(session) = &kept {
                    cancel(repository, session).await;
                }
                return Ok(Started::Mounted);
            }
            // Not mounted, and no reason is given; but the session is as good as any other.
            Ok(answer) if answer.status == 202 => {
                let session = opened(repository, answer).await?;
                if let Some(before) = kept.replace(session) {
                    cancel(repository, &before).await;
                }
                continue;
            }
            // Some registries refuse to mount what others answer with a session, and some token servers know no such
            // scope. A mount spares an upload and no more; the plain POST says whether the push itself is in the way.
            Ok(answer) => answer.into_error().await,
            Err(error) => error,
        };
        repository.http.observer.note(Event::Detail(&format!("{digest} is not mounted from {from}: {error}")));
    }
    match kept {
        Some(session) => Ok(Started::Session(session)),
        None => open(repository).await.map(Started::Session),
    }
}

/// Opens an upload session.
pub(in crate::registry) async fn open(repository: &Repository) -> Result<Session, Error> {
    let answer = repository.http.send(&repository.registry, &asking(repository)).await?;
    match answer.status {
        200..=202 => opened(repository, answer).await,
        _ => Err(answer.into_error().await),
    }
}

/// The POST for a session.
fn asking(repository: &Repository) -> Ask {
    Ask { action: Some(Action::InitiateLayerUpload), ..repository.ask(Method::POST, "blobs/uploads/") }
}

async fn opened(repository: &Repository, answer: Answer) -> Result<Session, Error> {
    let url = repository.registry.follow(&answer.attempt, &answer.url, &answer.location()?)?;
    // GHCR takes 4 MiB at most, ECR 5 MiB at least: the registry's word goes before ours.
    let least = answer.header("oci-chunk-min-length").and_then(|least| least.trim().parse().ok()).unwrap_or(0);
    answer.drain().await;
    Ok(Session { url, least, closing: false })
}

/// Gives a session back. Registries clean up by themselves; this is a courtesy, and one that could take a blob away
/// from under a registry that is storing it.
pub async fn cancel(repository: &Repository, session: &Session) {
    cancel_within(CANCEL, repository, session).await;
}

/// The same where nobody wants to wait any more.
pub(in crate::registry) async fn cancel_at_once(repository: &Repository, session: &Session) {
    cancel_within(FAREWELL, repository, session).await;
}

async fn cancel_within(patience: Duration, repository: &Repository, session: &Session) {
    if repository.registry.owns(&session.url) && !session.closing {
        let ask = Ask { url: session.url.clone(), ..repository.ask(Method::DELETE, "") };
        let _ = tokio::time::timeout(patience, repository.http.ask(&repository.registry, &ask)).await;
    }
}
