//! Blobs on their way out (distribution-spec "Pulling blobs"), whole or a range of them, and their removal.
//!
//! Whoever pulls a blob holds it to its digest; it is sent as it is on the disk, in large pieces, none of which waits
//! in memory for a client that is slow.

use std::io::SeekFrom;
use std::sync::Arc;

use futures_util::TryStreamExt;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Frame;
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use hyper::{HeaderMap, Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;

use super::Shared;
use super::reply::{Answer, Body, CONTENT_DIGEST, Refusal, Stop, answer, bare, nothing, with};
use super::repositories::Kept;
use super::route::Route;
use crate::layout::LayoutError;
use crate::oci::digest::Digest;

/// How much is read at once.
const BUFFER: usize = 512 << 10;

/// What of a blob is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// First byte and number of bytes.
    Range(u64, u64),
    Unsatisfiable,
}

/// `GET`, `HEAD` and `DELETE /v2/<name>/blobs/<digest>`
pub(super) async fn blob(
    shared: &Arc<Shared>,
    method: &Method,
    route: &Route,
    headers: &HeaderMap,
) -> Result<Answer, Stop> {
    let digest: Digest = route.reference.parse().map_err(|error| Refusal::not_a_digest(&error))?;
    match *method {
        Method::GET | Method::HEAD => {}
        Method::DELETE => return delete(shared, &route.name, digest).await,
        _ => return Err(Refusal::no_method().into()),
    }
    let found = {
        let (shared, name) = (shared.clone(), route.name.clone());
        spawn_blocking(move || {
            let found = shared.repositories.blob(&name, digest)?;
            Ok::<_, LayoutError>((found, found.is_some() || shared.repositories.exists(&name)?))
        })
        .await??
    };
    let size = match found {
        (Some(size), _) => size,
        (None, true) => return Err(Refusal::blob_unknown(digest).into()),
        (None, false) => return Err(Refusal::name_unknown(&route.name).into()),
    };
    let head = |status, length: u64| {
        answer(status)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, length)
            .header(ACCEPT_RANGES, "bytes")
            .header(CONTENT_DIGEST, digest.to_string())
    };
    if method == Method::HEAD {
        return with(head(StatusCode::OK, size), nothing());
    }
    match part(headers, size) {
        Part::Whole => with(head(StatusCode::OK, size), open(shared, digest, 0, size).await?),
        Part::Range(start, length) => {
            let range = format!("bytes {start}-{}/{size}", start + length - 1);
            let head = head(StatusCode::PARTIAL_CONTENT, length).header(CONTENT_RANGE, range);
            with(head, open(shared, digest, start, length).await?)
        }
        Part::Unsatisfiable => {
            let message = format!("the blob has {size} bytes");
            let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", message);
            Err(refusal.header(CONTENT_RANGE, format!("bytes */{size}")).into())
        }
    }
}

async fn open(shared: &Arc<Shared>, digest: Digest, start: u64, length: u64) -> Result<Body, Stop> {
    let mut file = tokio::fs::File::open(shared.repositories.layout().blob_path(digest)).await?;
    if start > 0 {
        file.seek(SeekFrom::Start(start)).await?;
    }
    let stream = ReaderStream::with_capacity(file.take(length), BUFFER);
    Ok(UnsyncBoxBody::new(StreamBody::new(stream.map_ok(Frame::data))))
}

/// What `Range` asks for. More than one range, another unit, or nonsense: the whole, as HTTP allows.
fn part(headers: &HeaderMap, size: u64) -> Part {
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
    let Some((first, last)) = range else { return Part::Whole };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (first.trim(), last.trim()) {
        ("", "") => Part::Whole,
        ("", last) => match number(last) {
            None => Part::Whole,
            Some(0) => Part::Unsatisfiable,
            Some(_) if size == 0 => Part::Unsatisfiable,
            Some(count) => Part::Range(size - count.min(size), count.min(size)),
        },
        (first, last) => match (number(first), number(last)) {
            (None, _) => Part::Whole,
            (Some(_), None) if !last.is_empty() => Part::Whole,
            (Some(first), Some(last)) if last < first => Part::Whole,
            (Some(first), _) if first >= size => Part::Unsatisfiable,
            (Some(first), last) => Part::Range(first, last.unwrap_or(u64::MAX).min(size - 1) - first + 1),
        },
    }
}

async fn delete(shared: &Arc<Shared>, name: &str, digest: Digest) -> Result<Answer, Stop> {
    let removed = {
        let (shared, name) = (shared.clone(), name.to_owned());
        spawn_blocking(move || {
            let removed = shared.repositories.remove_blob(&name, digest)?;
            Ok::<_, LayoutError>((removed, shared.repositories.exists(&name)?))
        })
        .await??
    };
    match removed {
        (Ok(()), _) => bare(answer(StatusCode::ACCEPTED)),
        (Err(Kept::Referenced), _) => {
            Err(Refusal::in_use(format!("a manifest refers to {digest}: delete that first")).into())
        }
        (Err(Kept::Unknown), true) => Err(Refusal::blob_unknown(digest).into()),
        (Err(Kept::Unknown), false) => Err(Refusal::name_unknown(name).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn ranges() {
        let of =
            |text: &'static str, size| part(&[(RANGE, HeaderValue::from_static(text))].into_iter().collect(), size);
        assert_eq!(of("bytes=0-3", 10), Part::Range(0, 4));
        assert_eq!(of("bytes=4-", 10), Part::Range(4, 6));
        assert_eq!(of("bytes=-3", 10), Part::Range(7, 3));
        assert_eq!(of("bytes=-30", 10), Part::Range(0, 10));
        assert_eq!(of("bytes=9-99", 10), Part::Range(9, 1));
        assert_eq!(of("bytes=10-", 10), Part::Unsatisfiable);
        assert_eq!(of("bytes=0-", 0), Part::Unsatisfiable);
        assert_eq!(of("bytes=-0", 10), Part::Unsatisfiable);
        for nonsense in ["bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,3-4", "items=0-1", "bytes=a-b"] {
            assert_eq!(of(nonsense, 10), Part::Whole, "{nonsense}");
        }
        assert_eq!(part(&HeaderMap::new(), 10), Part::Whole);
    }
}
