//! Images through the ECR API: put, got, listed, described, deleted. What is said comes from the layout.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::super::Shared;
use super::super::manifests;
use super::super::reply::{Refusal, Stop};
use super::super::repositories::Repository;
use super::Ecr;
use super::control::{Input, exception, seconds, with_next};
use super::strict;
use crate::blob::BlobSource;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::media_type::{Kind, kind};
use crate::oci::reference::valid_tag;

/// Which image a request means (ECR API reference: `ImageIdentifier`).
struct Wanted<'a> {
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn of(value: &'a Value) -> Self {
        Self { tag: value["imageTag"].as_str(), digest: value["imageDigest"].as_str() }
    }

    /// The manifest, or the failure code and reason of a batch.
    fn find<'r>(&self, repository: Option<&'r Repository>) -> Result<&'r Descriptor, (&'static str, &'static str)> {
        let missing = ("ImageNotFound", "Requested image not found");
        let digest = match self.digest.map(str::parse::<Digest>) {
            None => None,
            Some(Ok(digest)) => Some(digest),
            Some(Err(_)) => return Err(("InvalidImageDigest", "Invalid request parameters: image digest is invalid")),
        };
        match (self.tag, digest) {
            (None, None) => {
                Err(("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"))
            }
            (Some(tag), _) if !valid_tag(tag) => {
                Err(("InvalidImageTag", "Invalid request parameters: image tag is invalid"))
            }
            (None, Some(digest)) => repository.and_then(|r| r.manifests.get(&digest)).ok_or(missing),
            (Some(tag), digest) => {
                let found = repository.and_then(|r| r.tags.get(tag)).ok_or(missing)?;
                if digest.is_some_and(|digest| digest != found.digest) {
                    return Err(("ImageTagDoesNotMatchDigest", "Requested image tag does not match the image digest"));
                }
                Ok(found)
            }
        }
    }

    fn not_found(&self, ecr: &Ecr, name: &str) -> Refusal {
        let quoted = |value: Option<&str>| value.map_or_else(|| "'null'".to_owned(), |value| format!("'{value}'"));
        let message = format!(
            "The image with imageId {{imageDigest:{}, imageTag:{}}} does not exist within the repository with name \
             '{name}' in the registry with id '{}'",
            quoted(self.digest),
            quoted(self.tag),
            ecr.settings.account
        );
        exception("ImageNotFoundException", message)
    }
}

fn failure(wanted: &Value, (code, reason): (&str, &str)) -> Value {
    json!({ "imageId": wanted, "failureCode": code, "failureReason": reason })
}

/// ECR API reference: `PutImage`.
pub(super) fn put(shared: &Shared, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = input.repository(shared, ecr)?;
    let bytes = input.text("imageManifest")?.as_bytes();
    let given = input.0["imageManifestMediaType"].as_str();
    let tag = input.0["imageTag"].as_str();
    if tag.is_some_and(|tag| !valid_tag(tag)) {
        return Err(super::texts::bad_tag().into());
    }
    // With the media type as a parameter the manifest need not say it (observed).
    let mut read: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if let Some(given) = given
        && read.is_object()
        && read["mediaType"].is_null()
    {
        read["mediaType"] = given.into();
    }
    if !ecr.is_on(super::Switch::LooseManifests) && !strict::readable(read.to_string().as_bytes()) {
        return Err(super::texts::unreadable_manifest().into());
    }
    let digest = Digest::of(bytes);
    if input.0["imageDigest"].as_str().is_some_and(|wanted| wanted != digest.to_string()) {
        let message = format!("The image digest of the manifest is '{digest}', which is not the one that was provided");
        return Err(exception("ImageDigestDoesNotMatchException", message).into());
    }
    let snapshot = shared.repositories.snapshot()?;
    let repository = snapshot.get(&name);
    let there = match tag {
        Some(tag) => repository.and_then(|r| r.tags.get(tag)).is_some_and(|held| held.digest == digest),
        None => repository.is_some_and(|r| r.manifests.contains_key(&digest)),
    };
    let (manifest, _) = match manifests::store(shared, &name, tag, given.map(ToOwned::to_owned), bytes) {
        Err(Stop::Refused(refusal)) if refusal.code() == "MANIFEST_INVALID" => {
            return Err(super::texts::unreadable_manifest().into());
        }
        other => other?,
    };
    if there {
        let message = format!(
            "Image with digest '{digest}' and tag '{}' already exists in the repository with name '{name}' in registry \
             with id '{}'",
            tag.unwrap_or("null"),
            ecr.settings.account
        );
        return Err(exception("ImageAlreadyExistsException", message).into());
    }
    Ok(json!({ "image": image(ecr, &name, tag, &manifest, bytes) }))
}

fn image(ecr: &Ecr, name: &str, tag: Option<&str>, manifest: &Descriptor, bytes: &[u8]) -> Value {
    let mut id = json!({ "imageDigest": manifest.digest });
    if let Some(tag) = tag {
        id["imageTag"] = tag.into();
    }
    json!({
        "registryId": ecr.settings.account,
        "repositoryName": name,
        "imageId": id,
        "imageManifest": String::from_utf8_lossy(bytes),
        "imageManifestMediaType": manifest.media_type.to_string(),
    })
}

/// ECR API reference: `BatchGetImage`.
pub(super) fn batch_get(shared: &Shared, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = input.repository(shared, ecr)?;
    let snapshot = shared.repositories.snapshot()?;
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for value in input.list("imageIds", 100)? {
        let wanted = Wanted::of(value);
        match wanted.find(snapshot.get(&name)) {
            Ok(manifest) => {
                let bytes = shared.repositories.layout().document(manifest)?;
                images.push(image(ecr, &name, wanted.tag, manifest, &bytes));
            }
            Err(reason) => failures.push(failure(value, reason)),
        }
    }
    Ok(json!({ "images": images, "failures": failures }))
}

/// ECR API reference: `BatchDeleteImage`. By its tag an image loses the tag, and is deleted with the last one.
pub(super) fn batch_delete(shared: &Shared, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = input.repository(shared, ecr)?;
    let change = shared.repositories.change();
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    for value in input.list("imageIds", 100)? {
        let wanted = Wanted::of(value);
        let snapshot = shared.repositories.snapshot()?;
        let digest = match wanted.find(snapshot.get(&name)) {
            Ok(manifest) => manifest.digest,
            Err(reason) => {
                failures.push(failure(value, reason));
                continue;
            }
        };
        if let Some(tag) = wanted.tag {
            change.remove_tag(&name, tag)?;
            let more = shared.repositories.snapshot()?;
            if more.get(&name).is_some_and(|r| r.tags.values().any(|held| held.digest == digest)) {
                deleted.push(json!({ "imageDigest": digest, "imageTag": wanted.tag }));
                continue;
            }
        }
        match change.remove(&name, digest)? {
            Ok(()) => deleted.push(match wanted.tag {
                Some(tag) => json!({ "imageDigest": digest, "imageTag": tag }),
                None => json!({ "imageDigest": digest }),
            }),
            Err(_) if wanted.tag.is_some() => deleted.push(json!({ "imageDigest": digest, "imageTag": wanted.tag })),
            Err(_) => failures
                .push(failure(value, ("ImageReferencedByManifestList", "Requested image referenced by manifest list"))),
        }
    }
    Ok(json!({ "imageIds": deleted, "failures": failures }))
}

/// Whether the filter of a request takes an image with these tags.
fn taken(input: &Input, tags: &[String]) -> bool {
    match input.0["filter"]["tagStatus"].as_str() {
        Some("TAGGED") => !tags.is_empty(),
        Some("UNTAGGED") => tags.is_empty(),
        _ => true,
    }
}

fn tags_by_digest(repository: &Repository) -> BTreeMap<Digest, Vec<String>> {
    let mut tags: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    for (tag, manifest) in &repository.tags {
        tags.entry(manifest.digest).or_default().push(tag.clone());
    }
    tags
}

/// ECR API reference: `ListImages`: an entry for each tag, and one for each image without a tag.
pub(super) fn list(shared: &Shared, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = input.repository(shared, ecr)?;
    let snapshot = shared.repositories.snapshot()?;
    let mut entries = Vec::new();
    if let Some(repository) = snapshot.get(&name) {
        let tags = tags_by_digest(repository);
        for digest in repository.manifests.keys() {
            let tags = tags.get(digest).cloned().unwrap_or_default();
            if !taken(input, &tags) {
                continue;
            }
            if tags.is_empty() {
                entries.push((digest.to_string(), json!({ "imageDigest": digest })));
            }
            for tag in tags {
                entries.push((format!("{digest}:{tag}"), json!({ "imageDigest": digest, "imageTag": tag })));
            }
        }
    }
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    let (page, next) = input.page(entries, |(key, _)| key.clone())?;
    let ids: Vec<Value> = page.into_iter().map(|(_, value)| value).collect();
    Ok(with_next(json!({ "imageIds": ids }), next))
}

/// ECR API reference: `DescribeImages`.
pub(super) fn describe(shared: &Shared, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = input.repository(shared, ecr)?;
    let snapshot = shared.repositories.snapshot()?;
    let repository = snapshot.get(&name);
    let tags = repository.map(tags_by_digest).unwrap_or_default();
    let tags = |digest: Digest| tags.get(&digest).cloned().unwrap_or_default();
    if !input.0["imageIds"].is_null() {
        let mut details = Vec::new();
        for value in input.list("imageIds", 100)? {
            let wanted = Wanted::of(value);
            let manifest = wanted.find(repository).map_err(|_| wanted.not_found(ecr, &name))?;
            details.push(detail(shared, ecr, &name, manifest, &tags(manifest.digest)));
        }
        return Ok(json!({ "imageDetails": details }));
    }
    let all: Vec<&Descriptor> = repository
        .map(|r| r.manifests.values().filter(|m| taken(input, &tags(m.digest))).collect())
        .unwrap_or_default();
    let (page, next) = input.page(all, |manifest| manifest.digest.to_string())?;
    let details: Vec<Value> =
        page.into_iter().map(|manifest| detail(shared, ecr, &name, manifest, &tags(manifest.digest))).collect();
    Ok(with_next(json!({ "imageDetails": details }), next))
}

fn detail(shared: &Shared, ecr: &Ecr, name: &str, manifest: &Descriptor, tags: &[String]) -> Value {
    let path = shared.repositories.layout().blob_path(manifest.digest);
    let pushed = std::fs::metadata(path).and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let status = if ecr.settings.archived.contains(&manifest.digest) { "ARCHIVED" } else { "ACTIVE" };
    let mut detail = json!({
        "registryId": ecr.settings.account,
        "repositoryName": name,
        "imageDigest": manifest.digest,
        "imagePushedAt": seconds(pushed),
        "imageManifestMediaType": manifest.media_type.to_string(),
        "imageStatus": status,
    });
    if !tags.is_empty() {
        detail["imageTags"] = json!(tags);
    }
    if let Some(facts) = shared.repositories.facts(manifest) {
        let blobs: u64 = facts.blobs.iter().map(|blob| blob.size).sum();
        detail["imageSizeInBytes"] = (manifest.size + blobs).into();
        if kind(&manifest.media_type) != Kind::Index
            && let Some(artifact) = &facts.artifact_type
        {
            detail["artifactMediaType"] = json!(artifact);
        }
        if let Some(subject) = facts.subject {
            detail["subjectManifestDigest"] = json!(subject);
        }
    }
    detail
}
