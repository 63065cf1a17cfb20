//! Connections, and each request's way from its head to its answer.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::Shared;
use super::ecr::admission::admit;
use super::ecr::control::control;
use super::ecr::texts;
use super::fault::{Action, cut};
use super::inbound::{Inbound, length};
use super::log::Record;
use super::reply::{Answer, Refusal, Stop, answer, bare, broken, nothing};
use super::route::{Endpoint, Route, route};
use super::{blobs, listings, manifests, uploads};

/// How many connections are served at once; others wait to be accepted.
const CONNECTIONS: usize = 512;
/// How long a connection may take for a head, or be idle. Longer than clients keep an idle connection (90 seconds is
/// usual), so that none is closed just as it is used again.
const HEAD_PATIENCE: Duration = Duration::from_mins(2);
/// Where the middle of a body is whose length nobody says.
const BLIND_HALF: u64 = 256 << 10;
/// How long requests have to end once the server is to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// Accepts connections until `shutdown` is done.
pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let (farewell, _) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut expiry = tokio::time::interval(shared.uploads.interval());
    let mut count = 0_u64;
    loop {
        let accept = async {
            // The semaphore is never closed: without a permit there is nothing to wait for.
            let permit = room.clone().acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            _ = expiry.tick() => {
                let shared = shared.clone();
                // Its files are removed with a session: not on the runtime's thread.
                tokio::task::spawn_blocking(move || shared.uploads.expire());
            }
            Some(_) = tasks.join_next() => {}
            (permit, accepted) = accept => match accepted {
                Ok((stream, _)) => {
                    count += 1;
                    let (shared, farewell) = (shared.clone(), farewell.subscribe());
                    tasks.spawn(async move {
                        connection(stream, count, shared, farewell).await;
                        drop(permit);
                    });
                }
                // Out of file descriptors, or a client that was gone before it was accepted.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
    drop(listener);
    farewell.send_replace(true);
    // Whoever is not done by then is cut off when the tasks are dropped.
    let _ = tokio::time::timeout(FAREWELL, async { while tasks.join_next().await.is_some() {} }).await;
}

async fn connection(stream: TcpStream, number: u64, shared: Arc<Shared>, mut farewell: watch::Receiver<bool>) {
    // Answers are small or streamed: none should wait for another packet.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { exchange(shared, number, request).await }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .serve_connection(TokioIo::new(stream), service)
    );
    // How a connection ends is told request by request.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = farewell.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// One request and its answer. An error closes the connection.
async fn exchange(shared: Arc<Shared>, connection: u64, request: Request<Incoming>) -> Result<Answer, io::Error> {
    let (time, started) = (SystemTime::now(), Instant::now());
    let (parts, body) = request.into_parts();
    let route = route(parts.uri.path());
    let actions = route.as_ref().map(|route| shared.faults.hit(&parts.method, route.endpoint)).unwrap_or_default();
    let hang_up_after = actions.iter().find_map(|action| match action {
        Action::HangUpAfter(bytes) => Some(*bytes),
        Action::HangUpHalfway => Some(length(&parts.headers).map_or(BLIND_HALF, |length| length / 2)),
        _ => None,
    });
    let mut inbound = Inbound::new(body, &parts.headers, hang_up_after);
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();

    let control = shared.ecr.is_some()
        && parts.method == Method::POST
        && route.as_ref().is_some_and(|route| route.endpoint == Endpoint::Control);
    let mut result = match refused_by_fault(&actions, shared.ecr.is_some()) {
        Some(refusal) => Err(refusal.into()),
        None => respond(&shared, &parts, route.as_ref(), &query, &mut inbound).await,
    };
    for action in &actions {
        match action {
            Action::Delay(delay) => tokio::time::sleep(*delay).await,
            Action::LoseAnswer => result = Err(Stop::HangUp("the answer is lost by a fault".into())),
            // A body that ends before the fault comes does not escape it.
            Action::HangUpAfter(_) | Action::HangUpHalfway => result = Err(Stop::HangUp("hung up by a fault".into())),
            Action::CutAnswer(bytes) => {
                result = result.map(|answer| answer.map(|body| cut(body, *bytes)));
            }
            Action::Status { .. } => {}
        }
    }

    let (mut error, mut failed) = (None, false);
    let answer = match result {
        Ok(answer) => Ok(answer),
        Err(Stop::Refused(refusal)) => {
            error = Some(refusal.summary());
            inbound.drain().await;
            Ok(if control { refusal.exception_answer() } else { refusal.answer() })
        }
        Err(Stop::Broken { reason, cause }) => {
            error = Some(reason);
            failed = true;
            inbound.drain().await;
            let refusal = broken(&cause);
            Ok(if control { refusal.exception_answer() } else { refusal.answer() })
        }
        Err(Stop::HangUp(reason)) => {
            error = Some(reason.clone());
            Err(io::Error::new(io::ErrorKind::ConnectionAborted, reason))
        }
    };
    let head = parts.method == Method::HEAD;
    let answer = answer.map(|answer| if head { answer.map(|_| nothing()) } else { answer });
    if let Some(log) = &shared.log {
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        let size = |answer: &Answer| {
            let length = answer.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
            if answer.body().is_end_stream() { 0 } else { length.unwrap_or_default() }
        };
        let target = parts.headers.get("x-amz-target");
        log(&Record {
            connection,
            time,
            elapsed: started.elapsed(),
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            operation: target.and_then(|target| target.to_str().ok()?.split_once('.').map(|(_, name)| name.to_owned())),
            query: query.into_iter().map(|(key, _)| key).collect(),
            range: text(CONTENT_RANGE).or_else(|| text(RANGE)),
            length: inbound.length,
            bytes_in: inbound.read,
            status: answer.as_ref().ok().map(|answer| answer.status().as_u16()),
            bytes_out: answer.as_ref().map(size).unwrap_or_default(),
            error,
            failed,
        });
    }
    answer
}

fn refused_by_fault(actions: &[Action], ecr: bool) -> Option<Refusal> {
    actions.iter().find_map(|action| match action {
        Action::Status { status, retry_after } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let code = match status {
                StatusCode::TOO_MANY_REQUESTS => "TOOMANYREQUESTS",
                StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
                StatusCode::FORBIDDEN => "DENIED",
                _ => "UNKNOWN",
            };
            let refusal = match status {
                StatusCode::TOO_MANY_REQUESTS if ecr => texts::rate_exceeded(),
                _ => Refusal::new(status, code, "refused by a fault"),
            };
            Some(match retry_after {
                Some(seconds) => refusal.header(RETRY_AFTER, seconds.to_string()),
                None => refusal,
            })
        }
        _ => None,
    })
}

async fn respond(
    shared: &Arc<Shared>,
    parts: &Parts,
    route: Option<&Route>,
    query: &[(String, String)],
    body: &mut Inbound,
) -> Result<Answer, Stop> {
    let (method, headers) = (&parts.method, &parts.headers);
    let route = route.ok_or_else(Refusal::no_endpoint)?;
    if let Some(hosts) = &shared.hosts {
        hosts.check(headers)?;
    }
    let Some(ecr) = &shared.ecr else {
        shared.door.check(method, route, headers)?;
        let nameless =
            matches!(route.endpoint, Endpoint::Base | Endpoint::Token | Endpoint::Catalog | Endpoint::Control);
        if !nameless && !shared.repositories.names().valid(&route.name) {
            return Err(Refusal::name_invalid(&route.name).into());
        }
        return handle(shared, parts, route, query, body).await;
    };
    if route.endpoint == Endpoint::Control {
        return control(shared, ecr, method, headers, body).await;
    }
    admit(shared, ecr, method, route, headers).await?;
    match handle(shared, parts, route, query, body).await {
        Err(Stop::Refused(refusal)) => Err(ecr.translate(*refusal, route).into()),
        other => other,
    }
}

/// Answers a request that was let in.
async fn handle(
    shared: &Arc<Shared>,
    parts: &Parts,
    route: &Route,
    query: &[(String, String)],
    body: &mut Inbound,
) -> Result<Answer, Stop> {
    let (method, headers) = (&parts.method, &parts.headers);
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match route.endpoint {
        Endpoint::Control => Err(Refusal::no_endpoint().into()),
        Endpoint::Base if reads => bare(answer(StatusCode::OK)),
        Endpoint::Token if reads => shared.door.token(query, headers),
        Endpoint::Catalog if reads => listings::catalog(shared, query).await,
        Endpoint::Tags if reads => listings::tags(shared, route, query).await,
        Endpoint::Referrers if reads => listings::referrers(shared, route, query).await,
        Endpoint::Manifest => manifests::manifest(shared, method, route, headers, body).await,
        Endpoint::Blob => blobs::blob(shared, method, route, headers).await,
        Endpoint::Uploads if *method == Method::POST => uploads::begin(shared, route, query, headers, body).await,
        Endpoint::Upload => uploads::upload_session(shared, method, route, query, headers, body).await,
        _ => Err(Refusal::no_method().into()),
    }
}
