//! Manifests and indexes: pulled, pushed, deleted (distribution-spec "Pulling manifests", "Pushing manifests").
//!
//! A manifest is a stranger's document until it is checked: at most 4 MiB, JSON of the kind that it says it is, with
//! nothing in it that the repository does not have. It is stored as the bytes that came.

use std::io::Write;
use std::sync::Arc;

use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::Shared;
use super::ecr::{Switch, strict, texts};
use super::inbound::Inbound;
use super::reply::{Answer, CONTENT_DIGEST, Refusal, SUBJECT, Stop, answer, bare, nothing, whole, with};
use super::repositories::{Facts, Kept, Repositories};
use super::route::Route;
use crate::blob::{BlobSource, DOCUMENT_LIMIT};
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::media_type::{Kind, MediaType, kind};
use crate::oci::reference::valid_tag;

/// How a manifest is asked for.
#[derive(Debug, Clone)]
enum Wanted {
    Tag(String),
    Digest(Digest),
}

impl Wanted {
    fn parse(reference: &str) -> Option<Self> {
        match reference.parse() {
            Ok(digest) => Some(Self::Digest(digest)),
            Err(_) => valid_tag(reference).then(|| Self::Tag(reference.to_owned())),
        }
    }
}

/// `GET`, `HEAD`, `PUT` and `DELETE /v2/<name>/manifests/<reference>`
pub(super) async fn manifest(
    shared: &Arc<Shared>,
    method: &Method,
    route: &Route,
    headers: &HeaderMap,
    body: &mut Inbound,
) -> Result<Answer, Stop> {
    let wanted = Wanted::parse(&route.reference);
    if wanted.is_none() && shared.ecr.is_some() {
        return Err(texts::bad_tag().into());
    }
    let (shared, name, reference) = (shared.clone(), route.name.clone(), route.reference.clone());
    match *method {
        Method::GET | Method::HEAD => {
            let head = *method == Method::HEAD;
            let wanted = wanted.ok_or_else(|| Refusal::manifest_unknown(&reference))?;
            spawn_blocking(move || pull(&shared.repositories, &name, &wanted, head)).await?
        }
        Method::PUT => {
            let Some(wanted) = wanted else {
                let refusal = if reference.contains(':') {
                    Refusal::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "the reference is not a digest")
                } else {
                    Refusal::manifest_invalid("the reference is neither a tag nor a digest")
                };
                return Err(refusal.into());
            };
            let bytes = body.whole(DOCUMENT_LIMIT, Refusal::manifest_too_large).await?;
            let content_type = match headers.get(CONTENT_TYPE).map(|value| value.to_str()) {
                None => None,
                Some(Ok(text)) => Some(text.split(';').next().unwrap_or(text).trim().to_owned()),
                Some(Err(_)) => return Err(Refusal::manifest_invalid("content-type is not a media type").into()),
            };
            spawn_blocking(move || push(&shared, &name, &wanted, content_type, &bytes)).await?
        }
        Method::DELETE => {
            let wanted = wanted.ok_or_else(|| Refusal::manifest_unknown(&reference))?;
            spawn_blocking(move || delete(&shared.repositories, &name, &reference, &wanted)).await?
        }
        _ => Err(Refusal::no_method().into()),
    }
}

fn pull(repositories: &Repositories, name: &str, wanted: &Wanted, head: bool) -> Result<Answer, Stop> {
    let snapshot = repositories.snapshot()?;
    let found = snapshot.get(name).and_then(|repository| match wanted {
        Wanted::Tag(tag) => repository.tags.get(tag),
        Wanted::Digest(digest) => repository.manifests.get(digest),
    });
    let Some(manifest) = found.filter(|manifest| repositories.layout().contains(manifest)) else {
        return Err(unknown(repositories, name, wanted)?.into());
    };
    let builder = answer(StatusCode::OK)
        .header(CONTENT_TYPE, manifest.media_type.to_string())
        .header(CONTENT_LENGTH, manifest.size)
        .header(CONTENT_DIGEST, manifest.digest.to_string());
    with(builder, if head { nothing() } else { whole(repositories.layout().document(manifest)?) })
}

fn unknown(repositories: &Repositories, name: &str, wanted: &Wanted) -> Result<Refusal, Stop> {
    if !repositories.exists(name)? {
        return Ok(Refusal::name_unknown(name));
    }
    Ok(match wanted {
        Wanted::Tag(tag) => Refusal::manifest_unknown(tag),
        Wanted::Digest(digest) => Refusal::manifest_unknown(&digest.to_string()),
    })
}

fn push(
    shared: &Shared,
    name: &str,
    wanted: &Wanted,
    content_type: Option<String>,
    bytes: &[u8],
) -> Result<Answer, Stop> {
    if let Wanted::Digest(digest) = wanted
        && *digest != Digest::of(bytes)
    {
        return Err(Refusal::digest_differs(*digest).into());
    }
    let tag = match wanted {
        Wanted::Tag(tag) => Some(tag.as_str()),
        Wanted::Digest(_) => None,
    };
    if shared.ecr.as_ref().is_some_and(|ecr| !ecr.is_on(Switch::LooseManifests)) && !strict::readable(bytes) {
        return Err(texts::unreadable_manifest().into());
    }
    let (manifest, subject) = store(shared, name, tag, content_type, bytes)?;
    let digest = manifest.digest.to_string();
    let mut builder = answer(StatusCode::CREATED).header(CONTENT_DIGEST, &digest);
    // ECR says nothing about where it is (observed).
    if shared.ecr.is_none() {
        builder = builder.header(LOCATION, format!("/v2/{name}/manifests/{digest}"));
    }
    if let Some(subject) = subject {
        builder = builder.header(SUBJECT, subject.to_string());
    }
    bare(builder)
}

/// Checks a manifest and keeps it, with a tag or without one. It and its subject are the answer.
pub(super) fn store(
    shared: &Shared,
    name: &str,
    tag: Option<&str>,
    content_type: Option<String>,
    bytes: &[u8],
) -> Result<(Descriptor, Option<Digest>), Stop> {
    let repositories = &shared.repositories;
    let (media_type, facts) = check(content_type, bytes)?;
    let manifest = Descriptor::of(media_type, bytes);
    // From here on nobody deletes what the manifest refers to.
    let change = repositories.change();
    if let (Some(ecr), Some(tag)) = (&shared.ecr, tag) {
        let held = repositories.snapshot()?.get(name).and_then(|repository| repository.tags.get(tag)).map(|m| m.digest);
        if let Some(held) = held {
            ecr.check_mutability(name, tag, held == manifest.digest)?;
        }
    }
    complete(shared, name, &facts)?;
    let mut writer = repositories.layout().writer()?;
    writer.write_all(bytes)?;
    writer.commit()?;
    change.put(name, tag, &manifest)?;
    Ok((manifest, facts.subject))
}

/// What the document is and says, if it is what it claims to be.
fn check(content_type: Option<String>, bytes: &[u8]) -> Result<(MediaType, Facts), Refusal> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Refusal::manifest_invalid(format!("the manifest is not JSON: {error}")))?;
    let stated = match &value["mediaType"] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        _ => return Err(Refusal::manifest_invalid("mediaType is not a string")),
    };
    let media_type = match (content_type, stated) {
        (Some(given), Some(stated)) if given != stated => {
            let message = format!("content-type is {given}, but the manifest's mediaType is {stated}");
            return Err(Refusal::manifest_invalid(message));
        }
        (Some(given), _) => given,
        (None, Some(stated)) => stated,
        (None, None) => return Err(Refusal::manifest_invalid("neither content-type nor mediaType says what it is")),
    };
    let media_type = MediaType::from(media_type.as_str());
    let kind = kind(&media_type);
    if !matches!(kind, Kind::Manifest | Kind::Index) {
        return Err(Refusal::manifest_invalid(format!("{media_type} is not a manifest's media type")));
    }
    if value["schemaVersion"] != 2 {
        return Err(Refusal::manifest_invalid("schemaVersion is not 2"));
    }
    // A document that could be read as either kind is neither: who pulls it would not read what was checked.
    let (wrong, name) = if kind == Kind::Index { ("layers", "index") } else { ("manifests", "image manifest") };
    if value.get(wrong).is_some() {
        return Err(Refusal::manifest_invalid(format!("an {name} has no {wrong}")));
    }
    let facts = Facts::parse(kind, bytes).map_err(|error| Refusal::manifest_invalid(error.to_string()))?;
    Ok((media_type, facts))
}

/// Whether the repository has everything that a manifest refers to, in the sizes that it says.
fn complete(shared: &Shared, name: &str, facts: &Facts) -> Result<(), Stop> {
    let repositories = &shared.repositories;
    let snapshot = repositories.snapshot()?;
    let mut missing = Vec::new();
    let mut found = Vec::new();
    for child in &facts.children {
        match snapshot.get(name).and_then(|repository| repository.manifests.get(&child.digest)) {
            Some(here) => found.push((child, here.size)),
            None => missing.push(child.digest),
        }
    }
    if let Some(ecr) = shared.ecr.as_ref().filter(|_| !missing.is_empty()) {
        return Err(ecr.children_missing(name, &missing).into());
    }
    for blob in &facts.blobs {
        match repositories.blob(name, blob.digest)? {
            Some(size) => found.push((blob, size)),
            None => missing.push(blob.digest),
        }
    }
    if let Some(ecr) = shared.ecr.as_ref().filter(|_| !missing.is_empty()) {
        return Err(ecr.layers_missing(name, &missing).into());
    }
    if !missing.is_empty() {
        return Err(Refusal::references_unknown(&missing).into());
    }
    match found.into_iter().find(|(descriptor, size)| descriptor.size != *size) {
        None => Ok(()),
        Some((Descriptor { digest, size: stated, .. }, size)) => {
            let message = format!("the manifest says that {digest} has {stated} bytes, but it has {size}");
            Err(Refusal::size_differs(message).into())
        }
    }
}

fn delete(repositories: &Repositories, name: &str, reference: &str, wanted: &Wanted) -> Result<Answer, Stop> {
    let change = repositories.change();
    let removed = match wanted {
        Wanted::Tag(tag) if change.remove_tag(name, tag)? => Ok(()),
        Wanted::Tag(_) => Err(Kept::Unknown),
        Wanted::Digest(digest) => change.remove(name, *digest)?,
    };
    match removed {
        Ok(()) => bare(answer(StatusCode::ACCEPTED)),
        Err(Kept::Unknown) => Err(unknown(repositories, name, wanted)?.into()),
        Err(Kept::Referenced) => {
            Err(Refusal::in_use(format!("an index refers to {reference}: delete that first")).into())
        }
    }
}
