//! Upload sessions: where blobs come in (distribution-spec "Pushing blobs").
//!
//! A session is a temporary file in the layout and the hash of what is in it; at the end the file is renamed to its
//! digest. Sessions die with the process, which leaves a temporary file at most. While one buffer is hashed and
//! written on a blocking thread the next is filled from the socket; a client that is slow holds no thread.
//!
//! Threats: sessions that are opened and forgotten (at most [`SESSIONS`], and idle ones expire; a file is only opened
//! with the first byte), two requests that write into one session (one at a time; the second waits a little), a client
//! that hangs up while its bytes are being written (the write ends before anybody else gets the session), a guessed
//! session (id and state are words that nobody guesses, and belong to one repository).

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::header::{CONTENT_RANGE, LOCATION};
use hyper::{HeaderMap, Method, StatusCode};
use tokio::sync::OwnedMutexGuard;
use tokio::task::spawn_blocking;

use super::Shared;
use super::auth::{Random, Scope};
use super::ecr::parts::Parts;
use super::ecr::{Ecr, Switch, texts};
use super::inbound::Inbound;
use super::reply::{Answer, CHUNK_MIN_LENGTH, CONTENT_DIGEST, Refusal, Stop, answer, bare, upload};
use super::route::Route;
use crate::layout::{BlobWriter, Layout, LayoutError};
use crate::mutex::lock;
use crate::oci::digest::Digest;
use receive::receive;

mod receive;

/// How many sessions are open at most: each that has bytes has an open file.
const SESSIONS: usize = 512;
/// How much is hashed and written at once.
const BUFFER: usize = 512 << 10;
/// How long a request waits for another one that writes into the same session.
const TURN: Duration = Duration::from_secs(10);

/// All sessions.
pub(super) struct Uploads {
    open: Mutex<HashMap<String, Arc<Upload>>>,
    random: Random,
    idle: Duration,
}

/// One session.
struct Upload {
    id: String,
    /// Travels in the query of the location: a client that does not carry it over has not read our answer. ECR's has
    /// none (observed).
    state: Option<String>,
    location: String,
    repository: String,
    touched: Mutex<Instant>,
    content: Arc<tokio::sync::Mutex<Content>>,
}

/// What a session holds.
#[derive(Default)]
struct Content {
    writer: Option<BlobWriter>,
    held: u64,
    /// How ECR keeps it.
    parts: Parts,
    /// Completed, cancelled, or failed: whoever waited for it comes too late.
    over: bool,
}

type Turn = OwnedMutexGuard<Content>;

impl Content {
    fn write(&mut self, layout: &Layout, bytes: &[u8]) -> Result<(), Stop> {
        let written = (|| {
            let writer = match &mut self.writer {
                Some(writer) => writer,
                None => self.writer.insert(layout.writer()?),
            };
            writer.write_all(bytes)?;
            Ok::<(), Stop>(())
        })();
        match &written {
            Ok(()) => self.held += bytes.len() as u64,
            // How much of it arrived on the disk, nobody knows.
            Err(_) => self.over = true,
        }
        written
    }

    /// Ends the session; whether it held the blob of this digest.
    fn commit(&mut self, layout: &Layout, digest: Digest) -> Result<bool, LayoutError> {
        self.over = true;
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => layout.writer()?,
        };
        Ok(writer.commit_as(digest)?.is_some())
    }
}

impl Upload {
    /// The right to write; nobody else has it meanwhile.
    async fn turn(&self) -> Result<Turn, Stop> {
        *lock(&self.touched) = Instant::now();
        match tokio::time::timeout(TURN, self.content.clone().lock_owned()).await {
            Ok(turn) if turn.over => Err(Refusal::upload_unknown().into()),
            Ok(turn) => Ok(turn),
            Err(_) => Err(Refusal::upload_invalid("another request writes to this upload").into()),
        }
    }
}

impl Uploads {
    pub(super) fn new(idle: Duration) -> Self {
        Self { open: Mutex::default(), random: Random::default(), idle }
    }

    fn begin(&self, repository: &str, ecr: Option<&Ecr>) -> Result<Arc<Upload>, Refusal> {
        let id = ecr.map_or_else(|| self.random.word(), Ecr::upload_id);
        let path = format!("/v2/{repository}/blobs/uploads/{id}");
        let state = ecr.is_none().then(|| self.random.word());
        let location = match (&state, ecr) {
            (Some(state), _) => format!("{path}?_state={state}"),
            (None, Some(ecr)) => ecr.location(&path),
            (None, None) => path,
        };
        let upload = Arc::new(Upload {
            id,
            state,
            location,
            repository: repository.to_owned(),
            touched: Mutex::new(Instant::now()),
            content: Arc::default(),
        });
        let mut open = lock(&self.open);
        if open.len() >= SESSIONS {
            return Err(Refusal::too_many_uploads());
        }
        open.insert(upload.id.clone(), upload.clone());
        Ok(upload)
    }

    fn find(&self, repository: &str, id: &str) -> Result<Arc<Upload>, Refusal> {
        let upload = lock(&self.open).get(id).cloned();
        upload.filter(|upload| upload.repository == repository).ok_or_else(Refusal::upload_unknown)
    }

    fn follow(&self, route: &Route, query: &[(String, String)]) -> Result<Arc<Upload>, Refusal> {
        let upload = self.find(&route.name, &route.reference)?;
        let Some(wanted) = &upload.state else { return Ok(upload) };
        match query.iter().find(|(key, _)| key == "_state") {
            Some((_, state)) if state == wanted => Ok(upload),
            Some(_) => Err(Refusal::upload_unknown()),
            None => Err(Refusal::upload_invalid("the query of the upload's location is missing")),
        }
    }

    fn end(&self, upload: &Upload) {
        lock(&self.open).remove(&upload.id);
    }

    /// Forgets sessions that nobody touched for long. One that is being written to is not idle.
    pub(super) fn expire(&self) {
        let idle = self.idle;
        lock(&self.open)
            .retain(|_, upload| lock(&upload.touched).elapsed() < idle || upload.content.try_lock().is_err());
    }

    /// How often somebody should look for idle sessions.
    pub(super) fn interval(&self) -> Duration {
        (self.idle / 2).clamp(Duration::from_millis(50), Duration::from_mins(1))
    }
}

/// `POST /v2/<name>/blobs/uploads/`
pub(super) async fn begin(
    shared: &Arc<Shared>,
    route: &Route,
    query: &[(String, String)],
    headers: &HeaderMap,
    body: &mut Inbound,
) -> Result<Answer, Stop> {
    let value = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    if let Some(digest) = value("mount") {
        let digest = digest_of(digest)?;
        if let Some(from) = value("from")
            && shared.door.allows(headers, &Scope::repository(from, "pull"))
            && mount(shared, &route.name, from, digest).await?
        {
            return created(shared, &route.name, digest);
        }
    } else if let Some(digest) = value("digest").filter(|_| shared.ecr.is_none()) {
        let digest = digest_of(digest)?;
        let turn = Arc::<tokio::sync::Mutex<Content>>::default().lock_owned().await;
        let (turn, end) = receive(shared, turn, body, None).await;
        end?;
        return complete(shared, &route.name, "", turn, digest).await;
    }
    let session = shared.uploads.begin(&route.name, shared.ecr.as_ref())?;
    let mut head = answer(StatusCode::ACCEPTED);
    if let Some(bytes) = shared.ecr.as_ref().and_then(|ecr| ecr.settings().chunk_min_length) {
        head = head.header(CHUNK_MIN_LENGTH, bytes);
    }
    bare(upload(head, &session.location, &session.id, 0))
}

async fn mount(shared: &Arc<Shared>, name: &str, from: &str, digest: Digest) -> Result<bool, Stop> {
    let (shared, name, from) = (shared.clone(), name.to_owned(), from.to_owned());
    let mounted = spawn_blocking(move || {
        let found = shared.repositories.blob(&from, digest)?.is_some()
            && match &shared.ecr {
                None => true,
                // Only what a manifest of the other repository refers to, and what may be read there (observed).
                Some(ecr) => {
                    ecr.mounts()
                        && !ecr.denies("GetDownloadUrlForLayer")
                        && ecr.same_encryption(&from, &name)
                        && shared.repositories.is_committed(&from, digest)?
                }
            };
        if found {
            shared.repositories.add_blob(&name, digest);
        }
        Ok::<bool, LayoutError>(found)
    });
    Ok(mounted.await??)
}

/// `GET`, `PATCH`, `PUT` and `DELETE /v2/<name>/blobs/uploads/<id>`
pub(super) async fn upload_session(
    shared: &Arc<Shared>,
    method: &Method,
    route: &Route,
    query: &[(String, String)],
    headers: &HeaderMap,
    body: &mut Inbound,
) -> Result<Answer, Stop> {
    let session = shared.uploads.follow(route, query)?;
    let on = |switch| shared.ecr.as_ref().is_none_or(|ecr| ecr.is_on(switch));
    match *method {
        Method::GET if !on(Switch::UploadStatus) => Err(Refusal::upload_unknown().into()),
        Method::GET => {
            let held = session.turn().await?.held;
            bare_204(upload(answer(StatusCode::NO_CONTENT), &session.location, &session.id, held))
        }
        Method::DELETE => {
            let mut turn = session.turn().await?;
            turn.over = true;
            let writer = turn.writer.take();
            shared.uploads.end(&session);
            spawn_blocking(move || drop(writer)).await?;
            bare_204(answer(StatusCode::NO_CONTENT))
        }
        Method::PATCH => {
            let turn = take_body(shared, &session, headers, body).await?;
            if let Some(ecr) = &shared.ecr {
                let limit = ecr.settings().parts;
                if turn.parts.count > limit {
                    return Err(texts::too_many_parts(limit).into());
                }
            }
            let status = if shared.ecr.is_some() { StatusCode::CREATED } else { StatusCode::ACCEPTED };
            let told = if on(Switch::FreshRange) { turn.held } else { turn.parts.first.unwrap_or_default() };
            bare(upload(answer(status), &session.location, &session.id, told))
        }
        Method::PUT => {
            let digest = query.iter().find(|(key, _)| key == "digest").map(|(_, digest)| digest.as_str());
            let digest = digest_of(digest.unwrap_or_default())?;
            let turn = take_body(shared, &session, headers, body).await?;
            let answer = complete(shared, &route.name, &session.id, turn, digest).await;
            shared.uploads.end(&session);
            answer
        }
        _ => Err(Refusal::no_method().into()),
    }
}

/// Takes a request's body into its session, where it goes on from what is held.
async fn take_body(
    shared: &Arc<Shared>,
    session: &Upload,
    headers: &HeaderMap,
    body: &mut Inbound,
) -> Result<Turn, Stop> {
    let turn = session.turn().await?;
    let expected = expected(shared, headers, body, turn.held, session)?;
    let (turn, end) = receive(shared, turn, body, expected).await;
    *lock(&session.touched) = Instant::now();
    if turn.over {
        shared.uploads.end(session);
    }
    end?;
    Ok(turn)
}

/// Begins a session for the ECR API; its id is the answer.
pub(super) fn native_begin(shared: &Shared, name: &str) -> Result<String, Refusal> {
    Ok(shared.uploads.begin(name, shared.ecr.as_ref())?.id.clone())
}

/// A part that came through the ECR API; what is held is the answer.
pub(super) async fn native_part(
    shared: &Arc<Shared>,
    name: &str,
    id: &str,
    first: u64,
    bytes: Vec<u8>,
) -> Result<u64, Stop> {
    let session = shared.uploads.find(name, id)?;
    let mut turn = session.turn().await?;
    if first != turn.held {
        return Err(texts::out_of_order(first, turn.held).into());
    }
    let shared = shared.clone();
    spawn_blocking(move || {
        turn.write(shared.repositories.layout(), &bytes)?;
        if let Some(ecr) = &shared.ecr {
            turn.parts.add(bytes.len() as u64, true, ecr.settings());
        }
        Ok(turn.held)
    })
    .await?
}

/// Completes a session for the ECR API.
pub(super) async fn native_complete(shared: &Arc<Shared>, name: &str, id: &str, digest: Digest) -> Result<(), Stop> {
    let session = shared.uploads.find(name, id)?;
    let committed = commit(shared, name, id, session.turn().await?, digest).await;
    shared.uploads.end(&session);
    committed
}

/// How many bytes `Content-Range` announces, if there is one. It must begin where the upload ends.
fn expected(
    shared: &Shared,
    headers: &HeaderMap,
    body: &Inbound,
    held: u64,
    session: &Upload,
) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get(CONTENT_RANGE) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| {
        // The specification's form is `start-end`; some clients write HTTP's, `bytes start-end/total`.
        let text = text.strip_prefix("bytes ").unwrap_or(text);
        let text = text.split_once('/').map_or(text, |(range, _)| range);
        let (start, end) = text.split_once('-')?;
        Some((start.parse::<u64>().ok()?, end.parse::<u64>().ok()?))
    });
    let Some((start, end)) = parsed else {
        return Err(Refusal::upload_invalid("content-range is not start-end"));
    };
    if start != held {
        return Err(match &shared.ecr {
            None => Refusal::out_of_order(start, held, &session.location),
            Some(_) => texts::out_of_order(start, held),
        });
    }
    let Some(bytes) = end.checked_sub(start).and_then(|bytes| bytes.checked_add(1)) else {
        return Err(Refusal::upload_invalid("content-range ends before it begins"));
    };
    match body.length {
        Some(length) if length != bytes => {
            Err(Refusal::size_differs(format!("content-range announces {bytes} bytes, content-length {length}")))
        }
        _ => Ok(Some(bytes)),
    }
}

/// Ends a session with its blob.
async fn complete(shared: &Arc<Shared>, name: &str, id: &str, turn: Turn, digest: Digest) -> Result<Answer, Stop> {
    commit(shared, name, id, turn, digest).await?;
    created(shared, name, digest)
}

/// Makes what a session holds a blob of its repository.
async fn commit(shared: &Arc<Shared>, name: &str, id: &str, mut turn: Turn, digest: Digest) -> Result<(), Stop> {
    if let Some(ecr) = &shared.ecr {
        let (parts, limit) = (turn.parts, ecr.settings().parts);
        if parts.count == 0 {
            return Err(ecr.empty_upload(id, name).into());
        }
        if parts.too_small {
            return Err(texts::part_too_small().into());
        }
        if parts.count > limit {
            return Err(texts::too_many_parts(limit).into());
        }
    }
    let committed = {
        let shared = shared.clone();
        spawn_blocking(move || turn.commit(shared.repositories.layout(), digest)).await??
    };
    if !committed {
        return Err(if shared.ecr.is_some() { texts::wrong_digest() } else { Refusal::digest_differs(digest) }.into());
    }
    shared.repositories.add_blob(name, digest);
    Ok(())
}

fn created(shared: &Shared, name: &str, digest: Digest) -> Result<Answer, Stop> {
    let path = format!("/v2/{name}/blobs/{digest}");
    let location = shared.ecr.as_ref().map_or_else(|| path.clone(), |ecr| ecr.location(&path));
    bare(answer(StatusCode::CREATED).header(LOCATION, location).header(CONTENT_DIGEST, digest.to_string()))
}

fn bare_204(head: hyper::http::response::Builder) -> Result<Answer, Stop> {
    super::reply::with(head, super::reply::nothing())
}

fn digest_of(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|error| Refusal::not_a_digest(&error))
}
