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
use tokio::task::{JoinHandle, spawn_blocking};

use super::Shared;
use super::auth::{Random, Scope};
use super::inbound::Inbound;
use super::reply::{Answer, CONTENT_DIGEST, Refusal, Stop, answer, bare, upload};
use super::repositories::held;
use super::route::Route;
use crate::layout::{BlobWriter, Layout, LayoutError};
use crate::oci::digest::Digest;

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
    /// Travels in the query of the location: a client that does not carry it over has not read our answer.
    state: String,
    repository: String,
    touched: Mutex<Instant>,
    content: Arc<tokio::sync::Mutex<Content>>,
}

/// What a session holds.
#[derive(Default)]
struct Content {
    writer: Option<BlobWriter>,
    held: u64,
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
    fn location(&self) -> String {
        format!("/v2/{}/blobs/uploads/{}?_state={}", self.repository, self.id, self.state)
    }

    /// The right to write; nobody else has it meanwhile.
    async fn turn(&self) -> Result<Turn, Stop> {
        *held(&self.touched) = Instant::now();
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

    fn begin(&self, repository: &str) -> Result<Arc<Upload>, Refusal> {
        let upload = Arc::new(Upload {
            id: self.random.word(),
            state: self.random.word(),
            repository: repository.to_owned(),
            touched: Mutex::new(Instant::now()),
            content: Arc::default(),
        });
        let mut open = held(&self.open);
        if open.len() >= SESSIONS {
            return Err(Refusal::too_many_uploads());
        }
        open.insert(upload.id.clone(), upload.clone());
        Ok(upload)
    }

    fn find(&self, route: &Route, query: &[(String, String)]) -> Result<Arc<Upload>, Refusal> {
        let upload = held(&self.open).get(&route.reference).cloned();
        let upload = upload.filter(|upload| upload.repository == route.name).ok_or_else(Refusal::upload_unknown)?;
        match query.iter().find(|(key, _)| key == "_state") {
            Some((_, state)) if *state == upload.state => Ok(upload),
            Some(_) => Err(Refusal::upload_unknown()),
            None => Err(Refusal::upload_invalid("the query of the upload's location is missing")),
        }
    }

    fn end(&self, upload: &Upload) {
        held(&self.open).remove(&upload.id);
    }

    /// Forgets sessions that nobody touched for long. One that is being written to is not idle.
    pub(super) fn expire(&self) {
        let idle = self.idle;
        held(&self.open)
            .retain(|_, upload| held(&upload.touched).elapsed() < idle || upload.content.try_lock().is_err());
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
            return created(&route.name, digest);
        }
    } else if let Some(digest) = value("digest") {
        let digest = digest_of(digest)?;
        let turn = Arc::<tokio::sync::Mutex<Content>>::default().lock_owned().await;
        let (turn, end) = receive(shared, turn, body, None).await;
        end?;
        return complete(shared, &route.name, turn, digest).await;
    }
    let session = shared.uploads.begin(&route.name)?;
    bare(upload(answer(StatusCode::ACCEPTED), &session.location(), &session.id, 0))
}

async fn mount(shared: &Arc<Shared>, name: &str, from: &str, digest: Digest) -> Result<bool, Stop> {
    let (shared, name, from) = (shared.clone(), name.to_owned(), from.to_owned());
    let mounted = spawn_blocking(move || {
        let found = shared.repositories.blob(&from, digest)?.is_some();
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
    let session = shared.uploads.find(route, query)?;
    match *method {
        Method::GET => {
            let held = session.turn().await?.held;
            bare_204(upload(answer(StatusCode::NO_CONTENT), &session.location(), &session.id, held))
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
            let turn = session.turn().await?;
            let expected = expected(headers, body, turn.held, &session)?;
            let (turn, end) = receive(shared, turn, body, expected).await;
            *held(&session.touched) = Instant::now();
            if turn.over {
                shared.uploads.end(&session);
            }
            end?;
            bare(upload(answer(StatusCode::ACCEPTED), &session.location(), &session.id, turn.held))
        }
        Method::PUT => {
            let digest = query.iter().find(|(key, _)| key == "digest").map(|(_, digest)| digest.as_str());
            let digest = digest_of(digest.unwrap_or_default())?;
            let turn = session.turn().await?;
            let expected = expected(headers, body, turn.held, &session)?;
            let (turn, end) = receive(shared, turn, body, expected).await;
            *held(&session.touched) = Instant::now();
            if turn.over {
                shared.uploads.end(&session);
            }
            end?;
            let answer = complete(shared, &route.name, turn, digest).await;
            shared.uploads.end(&session);
            answer
        }
        _ => Err(Refusal::no_method().into()),
    }
}

/// How many bytes `Content-Range` announces, if there is one. It must begin where the upload ends.
fn expected(headers: &HeaderMap, body: &Inbound, held: u64, session: &Upload) -> Result<Option<u64>, Refusal> {
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
        return Err(Refusal::out_of_order(start, held, &session.location()));
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

/// Writes a body into a session: what arrived before a failure is held as well.
async fn receive(
    shared: &Arc<Shared>,
    turn: Turn,
    body: &mut Inbound,
    expected: Option<u64>,
) -> (Turn, Result<(), Stop>) {
    let mut pipe = Pipe { shared, state: State::Idle(turn, Vec::new()) };
    let mut buffer = Vec::new();
    let mut received = 0_u64;
    let end = loop {
        match body.chunk().await {
            Ok(Some(bytes)) => {
                received += bytes.len() as u64;
                if expected.is_some_and(|expected| received > expected) {
                    break Err(Refusal::size_differs("the body is longer than content-range announces".into()).into());
                }
                buffer.extend_from_slice(&bytes);
                if buffer.len() >= BUFFER
                    && let Err(stop) = pipe.write(&mut buffer).await
                {
                    break Err(stop);
                }
            }
            Ok(None) if expected.is_some_and(|expected| received < expected) => {
                break Err(Refusal::size_differs("the body is shorter than content-range announces".into()).into());
            }
            Ok(None) => break Ok(()),
            Err(stop) => break Err(stop),
        }
    };
    let flushed = pipe.write(&mut buffer).await;
    let (turn, written) = pipe.finish().await;
    (turn, end.and(flushed).and(written))
}

/// Writes one buffer while the next is filled.
struct Pipe<'a> {
    shared: &'a Arc<Shared>,
    state: State,
}

enum State {
    Idle(Turn, Vec<u8>),
    Busy(JoinHandle<(Turn, Vec<u8>, Result<(), Stop>)>),
    /// Between the two, and after a panic of the writing thread.
    Gone,
}

impl Pipe<'_> {
    async fn idle(&mut self) -> (Turn, Vec<u8>, Result<(), Stop>) {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Idle(turn, spare) => (turn, spare, Ok(())),
            State::Busy(task) => match task.await {
                Ok(done) => done,
                Err(error) => (lost().await, Vec::new(), Err(error.into())),
            },
            State::Gone => (lost().await, Vec::new(), Err(Stop::Broken("an upload's writer is gone".into()))),
        }
    }

    /// Hands over what is in the buffer and gives back an empty one.
    async fn write(&mut self, buffer: &mut Vec<u8>) -> Result<(), Stop> {
        let (mut turn, mut spare, written) = self.idle().await;
        if buffer.is_empty() || written.is_err() {
            self.state = State::Idle(turn, spare);
            return written;
        }
        std::mem::swap(buffer, &mut spare);
        let shared = self.shared.clone();
        // The turn goes along: should the client hang up now, nobody else writes before this write is done.
        self.state = State::Busy(spawn_blocking(move || {
            let written = turn.write(shared.repositories.layout(), &spare);
            spare.clear();
            (turn, spare, written)
        }));
        Ok(())
    }

    async fn finish(mut self) -> (Turn, Result<(), Stop>) {
        let (turn, _, written) = self.idle().await;
        (turn, written)
    }
}

/// The turn of a session that is over, for when a panic took the real one.
async fn lost() -> Turn {
    let content = Content { over: true, ..Content::default() };
    Arc::new(tokio::sync::Mutex::new(content)).lock_owned().await
}

/// Ends a session with its blob.
async fn complete(shared: &Arc<Shared>, name: &str, mut turn: Turn, digest: Digest) -> Result<Answer, Stop> {
    let committed = {
        let shared = shared.clone();
        spawn_blocking(move || turn.commit(shared.repositories.layout(), digest)).await??
    };
    if !committed {
        return Err(Refusal::digest_differs(digest).into());
    }
    shared.repositories.add_blob(name, digest);
    created(name, digest)
}

fn created(name: &str, digest: Digest) -> Result<Answer, Stop> {
    let head = answer(StatusCode::CREATED)
        .header(LOCATION, format!("/v2/{name}/blobs/{digest}"))
        .header(CONTENT_DIGEST, digest.to_string());
    bare(head)
}

fn bare_204(head: hyper::http::response::Builder) -> Result<Answer, Stop> {
    super::reply::with(head, super::reply::nothing())
}

fn digest_of(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|error| Refusal::not_a_digest(&error))
}
