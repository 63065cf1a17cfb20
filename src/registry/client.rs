//! What can be asked of a repository (distribution-spec "Endpoints").
//!
//! Statuses that the specification does not know but registries send are taken where their meaning is plain; what a
//! header states about content is never taken for the content.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LINK, RANGE};
use serde::Deserialize;

use super::auth::{Authenticator, NoCredentials};
use super::endpoints::Endpoints;
use super::error::{Cause, Error};
use super::http::endpoint::Registry;
use super::http::pace::Action;
use super::http::retry::Retry;
use super::http::transport::{CaFile, Patience};
use super::http::{Answer, Ask, Http, Payload};
use crate::blob::DOCUMENT_LIMIT;
use crate::event::Observer;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::media_type::{DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, MediaType};
use crate::oci::reference::Reference;

/// What we read as a manifest. ECR translates what is pulled by tag into a type that is accepted, so all are named.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                        application/vnd.docker.distribution.manifest.list.v2+json, \
                        application/vnd.docker.distribution.manifest.v2+json";

/// How many tags are asked for at a time. ECR refuses more than 1000.
const TAGS_A_PAGE: usize = 1000;

/// The largest page of tags, in bytes, and the most pages.
const PAGE_LIMIT: usize = 4 << 20;
const MOST_PAGES: usize = 1000;

/// What a client is made of. Everything that comes from an environment comes in here.
#[derive(Clone)]
pub struct Settings {
    /// CA certificates that are trusted beside the machine's own.
    pub ca: Vec<CaFile>,
    /// Registries that are spoken to elsewhere.
    pub endpoints: Endpoints,
    /// Whoever knows our credentials.
    pub authenticator: Arc<dyn Authenticator>,
    /// When a request is made again.
    pub retry: Retry,
    /// How long we wait for what.
    pub patience: Patience,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ca: Vec::new(),
            endpoints: Endpoints::default(),
            authenticator: Arc::new(NoCredentials),
            retry: Retry::default(),
            patience: Patience::default(),
        }
    }
}

/// Speaks to registries. Cheap to clone; connections and tokens are shared.
#[derive(Clone)]
pub struct Client {
    pub(super) http: Arc<Http>,
    endpoints: Endpoints,
}

/// What a token must allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Pull,
    /// Reading and writing.
    Push,
}

/// One repository of one registry.
#[derive(Clone)]
pub struct Repository {
    pub(super) http: Arc<Http>,
    pub(super) registry: Registry,
    name: String,
    access: Access,
}

/// What a registry says about a blob that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobHead {
    /// Its size in bytes, where the registry says it, or whoever it sends a HEAD to.
    pub size: Option<u64>,
    /// Whether that is said elsewhere: by a storage, or by a page that a gateway leads to.
    pub elsewhere: bool,
}

impl BlobHead {
    /// Whether it is this blob, as far as that can be seen. Some registries answer a HEAD with a length of 0, whatever
    /// there is.
    ///
    /// # Errors
    /// The size that the registry says, where the blob has another.
    pub fn is(&self, size: u64) -> Result<bool, u64> {
        match self.size.filter(|found| *found != 0 && *found != size) {
            None => Ok(true),
            Some(_) if self.elsewhere => Ok(false),
            Some(found) => Err(found),
        }
    }
}

/// The bytes of a blob as they come. Not verified: that is for whoever puts them together.
pub struct BlobStream {
    answer: Answer,
    skip: u64,
}

impl BlobStream {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// Where the connection is lost or stalls.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Some(mut chunk) = self.answer.chunk().await? else { return Ok(None) };
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(chunk.len());
            self.skip -= skipped as u64;
            let rest = chunk.split_off(skipped);
            if !rest.is_empty() {
                return Ok(Some(rest));
            }
        }
    }
}

impl BlobStream {
    /// An end that comes too early: a proxy that lost its own connection ends the body as if that were all.
    pub(super) fn ended_early(&self) -> Error {
        Error::Lost { attempt: Box::new(self.answer.attempt.clone()), source: Cause("the body ends early".into()) }
    }
}

impl Client {
    /// A client with these settings; what it has to wait for is told to `observer`.
    pub fn new(settings: Settings, observer: Arc<dyn Observer>) -> Self {
        let Settings { ca, endpoints, authenticator, retry, patience } = settings;
        let http = Arc::new(Http::new(&ca, patience, retry, authenticator, observer));
        Self { http, endpoints }
    }

    /// The repository of a reference. No request is made.
    ///
    /// # Errors
    /// Where the registry's host is no address.
    pub fn repository(&self, reference: &Reference, access: Access) -> Result<Repository, Error> {
        let registry = Registry::new(reference.registry(), &self.endpoints)?;
        Ok(Repository { http: Arc::clone(&self.http), registry, name: reference.repository().into(), access })
    }
}

impl Repository {
    /// The repository's name within its registry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `registry/repository`
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.registry.name, self.name)
    }

    /// The manifest behind a tag or digest, as far as the registry tells without sending it; `None` where there is
    /// none.
    ///
    /// # Errors
    /// Where the registry refuses or cannot be reached.
    pub async fn head_manifest(&self, reference: &str) -> Result<Option<Descriptor>, Error> {
        let answer = self.http.fetch(&self.registry, self.manifest_ask(Method::HEAD, reference)).await?;
        let digest = match reference.parse::<Digest>() {
            Ok(digest) => Some(digest),
            Err(_) => answer.header("docker-content-digest").and_then(|digest| digest.parse().ok()),
        };
        if answer.status == 404 {
            return Ok(None);
        }
        if let (200, Some(digest), Some(size), Some(media_type)) =
            (answer.status, digest, answer.length(), media_type(&answer))
        {
            return Ok(Some(Descriptor::new(media_type, digest, size)));
        }
        // A HEAD has no body: a refusal's reasons, or what the headers left out, are in the GET's.
        answer.drain().await;
        match self.get_manifest(reference).await {
            Ok((descriptor, _)) => Ok(Some(descriptor)),
            Err(Error::ManifestUnknown(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The manifest behind a tag or digest, its bytes as they are stored. A digest is held to.
    ///
    /// # Errors
    /// Where there is none, it has another digest or is no manifest, or the registry refuses or cannot be reached.
    pub async fn get_manifest(&self, reference: &str) -> Result<(Descriptor, Vec<u8>), Error> {
        let answer = self.http.fetch(&self.registry, self.manifest_ask(Method::GET, reference)).await?;
        if answer.status != 200 {
            return Err(answer.into_error().await);
        }
        let stated = media_type(&answer);
        let attempt = Box::new(answer.attempt.clone());
        let bytes = answer.bytes(usize::try_from(DOCUMENT_LIMIT).unwrap_or(usize::MAX)).await?;
        let found = Digest::of(&bytes);
        if let Ok(promised) = reference.parse::<Digest>()
            && promised != found
        {
            return Err(Error::DigestMismatch { attempt, promised, found });
        }
        let typed: Typed = serde_json::from_slice(&bytes)
            .map_err(|_| Error::Garbage { attempt: attempt.clone(), why: "its manifest is not JSON".into() })?;
        // The document's own word is under its digest; the header is not.
        let media_type = typed.media_type.or(stated).unwrap_or(MediaType::ImageManifest);
        Ok((Descriptor::new(media_type, found, bytes.len() as u64), bytes))
    }

    /// Stores a manifest under a tag or its digest.
    ///
    /// 201 is the word for it, without a `Location` (ECR sends none). After another success, a gateway's page perhaps,
    /// or with another `Docker-Content-Digest`, what is there decides.
    ///
    /// # Errors
    /// Where the registry refuses it or cannot be reached, or does not have it afterwards.
    pub async fn put_manifest(&self, reference: &str, media_type: &MediaType, bytes: Bytes) -> Result<(), Error> {
        let mut ask = self.ask(Method::PUT, &format!("manifests/{reference}"));
        let value = HeaderValue::from_str(media_type.as_ref());
        ask.headers.insert(CONTENT_TYPE, value.unwrap_or(HeaderValue::from_static("application/octet-stream")));
        let digest = Digest::of(&bytes);
        ask.payload = Payload::Bytes(bytes);
        ask.action = Some(Action::PutImage);
        let answer = self.http.send(&self.registry, &ask).await?;
        let other = answer.header("docker-content-digest").is_some_and(|stated| stated.trim().parse() != Ok(digest));
        let doubt = match answer.status {
            201 if !other => {
                answer.drain().await;
                return Ok(());
            }
            201 => "it states another digest than the manifest has".to_owned(),
            200..=204 => format!("it answers {} instead of 201", answer.status),
            _ => return Err(answer.into_error().await),
        };
        let attempt = Box::new(answer.attempt.clone());
        answer.drain().await;
        let there = match self.head_manifest(reference).await {
            Ok(Some(there)) if there.digest == digest => return Ok(()),
            Ok(Some(there)) => format!("{reference} is {} there", there.digest),
            Ok(None) => format!("{reference} is not there"),
            Err(error) => format!("whether {reference} is there cannot be seen: {error}"),
        };
        Err(Error::Garbage { attempt, why: format!("{doubt}, and {there}") })
    }

    /// Whether the registry has a blob; `None` where not.
    ///
    /// # Errors
    /// Where the registry refuses or cannot be reached.
    pub async fn head_blob(&self, digest: Digest) -> Result<Option<BlobHead>, Error> {
        let answer = self.http.send(&self.registry, &self.ask(Method::HEAD, &format!("blobs/{digest}"))).await?;
        match answer.status {
            200 => Ok(Some(BlobHead { size: answer.length(), elsewhere: false })),
            301 | 302 | 303 | 307 | 308 => Ok(self.behind(answer).await),
            404 => Ok(None),
            _ => {
                // A HEAD has no body; the GET says why. One byte is enough where it does not refuse.
                let mut ask = self.ask(Method::GET, &format!("blobs/{digest}"));
                ask.headers.insert(RANGE, HeaderValue::from_static("bytes=0-0"));
                let answer = self.http.send(&self.registry, &ask).await?;
                match answer.status {
                    200 => Ok(Some(BlobHead { size: answer.length(), elsewhere: false })),
                    206 | 301 | 302 | 303 | 307 | 308 | 416 => Ok(Some(BlobHead { size: None, elsewhere: false })),
                    404 => Ok(None),
                    _ => Err(answer.into_error().await),
                }
            }
        }
    }

    /// What is where the HEAD of a blob was sent. A mirror may send there without a look; but the signed URL of a
    /// storage may be for one method only, so that nothing but its plain word says that the blob is not there.
    async fn behind(&self, answer: Answer) -> Option<BlobHead> {
        let url = answer.location().and_then(|to| self.registry.follow(&answer.attempt, &answer.url, &to));
        answer.drain().await;
        let unseen = BlobHead { size: None, elsewhere: true };
        let Ok(url) = url else { return Some(unseen) };
        let ask = Ask { url, once: true, ..self.ask(Method::HEAD, "") };
        match self.http.fetch(&self.registry, ask).await {
            Ok(answer) if matches!(answer.status, 404 | 410) => None,
            Ok(answer) if answer.status == 200 => Some(BlobHead { size: answer.length(), ..unseen }),
            _ => Some(unseen),
        }
    }

    /// The bytes of a blob from `offset` on, through redirects. A registry that does not know ranges sends all, and
    /// what comes before `offset` is passed over.
    ///
    /// # Errors
    /// Where there is none, or the registry refuses or cannot be reached.
    pub async fn get_blob(&self, digest: Digest, offset: u64) -> Result<BlobStream, Error> {
        let mut ask = self.ask(Method::GET, &format!("blobs/{digest}"));
        if offset > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={offset}-"))
        {
            ask.headers.insert(RANGE, range);
        }
        let answer = self.http.fetch(&self.registry, ask).await?;
        match answer.status {
            200 => Ok(BlobStream { answer, skip: offset }),
            206 => {
                let start = answer.header(CONTENT_RANGE).and_then(range_start);
                if start != Some(offset) {
                    return Err(answer.garbage("it sends another range than it was asked for"));
                }
                Ok(BlobStream { answer, skip: 0 })
            }
            _ => Err(answer.into_error().await),
        }
    }

    /// All tags, in the registry's order.
    ///
    /// # Errors
    /// Where there is no such repository, or the registry refuses or cannot be reached.
    pub async fn list_tags(&self) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut ask = self.ask(Method::GET, "tags/list");
        ask.url.set_query(Some(&format!("n={TAGS_A_PAGE}")));
        for _ in 0..MOST_PAGES {
            let answer = self.http.fetch(&self.registry, ask).await?;
            if answer.status != 200 {
                return Err(answer.into_error().await);
            }
            let next = match answer.header(LINK).and_then(next_link).map(ToOwned::to_owned) {
                Some(link) => Some(self.registry.follow(&answer.attempt, &answer.url, &link)?),
                None => None,
            };
            let (attempt, before) = (Box::new(answer.attempt.clone()), answer.url.clone());
            let body = answer.bytes(PAGE_LIMIT).await?;
            let page: Page = serde_json::from_slice(&body)
                .map_err(|_| Error::Garbage { attempt, why: "its list of tags is not JSON".into() })?;
            tags.extend(page.tags.unwrap_or_default());
            match next.filter(|next| *next != before) {
                None => return Ok(tags),
                Some(url) => {
                    ask = self.ask(Method::GET, "tags/list");
                    ask.url = url;
                }
            }
        }
        Ok(tags)
    }

    /// Whether the repository is known to have no tag, or not to exist: then nothing is in it, or nothing that anybody
    /// would look for. One request; an answer that is not understood says that there may be something.
    pub async fn is_empty(&self) -> bool {
        let mut ask = self.ask(Method::GET, "tags/list");
        ask.url.set_query(Some("n=1"));
        let Ok(answer) = self.http.ask_once(&self.registry, &ask).await else { return false };
        match answer.status {
            200 if answer.header(LINK).is_none() => {
                let Ok(body) = answer.bytes(PAGE_LIMIT).await else { return false };
                let page = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
                match page.get("tags") {
                    Some(serde_json::Value::Array(tags)) => tags.is_empty(),
                    Some(tags) => tags.is_null(),
                    None => false,
                }
            }
            // A page of a proxy's says nothing about the repository.
            404 => answer.into_error().await.reply().is_some_and(|reply| reply.has_code("NAME_UNKNOWN")),
            _ => {
                answer.drain().await;
                false
            }
        }
    }

    pub(super) fn ask(&self, method: Method, path: &str) -> Ask {
        let url = self.registry.url(&format!("/v2/{}/{path}", self.name));
        let scopes = vec![self.scope()];
        let (headers, payload, repository) = (HeaderMap::new(), Payload::Empty, self.name.clone());
        Ask { method, url, headers, payload, scopes, repository, action: None, once: false, token: false }
    }

    fn scope(&self) -> String {
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        format!("repository:{}:{actions}", self.name)
    }

    fn manifest_ask(&self, method: Method, reference: &str) -> Ask {
        let mut ask = self.ask(method, &format!("manifests/{reference}"));
        ask.headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        ask
    }
}

/// What a manifest says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typed {
    media_type: Option<MediaType>,
}

/// The media type of a manifest as the reply's head states it, where it is one of those that we read.
fn media_type(answer: &Answer) -> Option<MediaType> {
    let stated = answer.header(CONTENT_TYPE)?.split(';').next()?.trim();
    let media_type = MediaType::from(stated);
    match &media_type {
        MediaType::ImageIndex | MediaType::ImageManifest => Some(media_type),
        MediaType::Other(other) if other == DOCKER_MANIFEST || other == DOCKER_MANIFEST_LIST => Some(media_type),
        _ => None,
    }
}

/// The first byte of `bytes 5-9/10`.
fn range_start(value: &str) -> Option<u64> {
    value.trim().strip_prefix("bytes")?.trim_start().split_once('-')?.0.parse().ok()
}

/// The URL of `<url>; rel="next"`.
fn next_link(value: &str) -> Option<&str> {
    value.split(',').find_map(|link| {
        let (url, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let next = parameters.split(';').any(|one| matches!(one.trim(), "rel=\"next\"" | "rel=next"));
        next.then_some(url)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ranges_and_links() {
        assert_eq!(range_start("bytes 5-9/10"), Some(5));
        assert_eq!(range_start("bytes */10"), None);
        assert_eq!(range_start("5-9"), None);
        assert_eq!(next_link("</v2/a/tags/list?n=2&last=b>; rel=\"next\""), Some("/v2/a/tags/list?n=2&last=b"));
        assert_eq!(next_link("</first>; rel=\"first\", </next>; rel=next"), Some("/next"));
        assert_eq!(next_link("</x>; rel=\"prev\""), None);
        assert_eq!(next_link("garbage"), None);
    }
}
