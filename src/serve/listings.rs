//! Lists: tags, repositories, referrers (distribution-spec "Listing Tags", "Listing Referrers").

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::LINK;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::Shared;
use super::ecr::texts;
use super::reply::{Answer, FILTERS_APPLIED, Refusal, Stop, answer, document};
use super::route::Route;
use crate::layout::LayoutError;
use crate::oci::canonical;
use crate::oci::digest::Digest;
use crate::oci::manifest::Index;
use crate::oci::media_type::MediaType;

/// `GET /v2/<name>/tags/list`
pub(super) async fn tags(shared: &Arc<Shared>, route: &Route, query: &[(String, String)]) -> Result<Answer, Stop> {
    let (repositories, name) = (shared.clone(), route.name.clone());
    let tags = spawn_blocking(move || {
        let snapshot = repositories.repositories.snapshot()?;
        Ok::<_, LayoutError>(match snapshot.get(&name) {
            Some(repository) => Some(repository.tags.keys().cloned().collect()),
            None => repositories.repositories.exists(&name)?.then(Vec::new),
        })
    });
    if shared.ecr.is_some() {
        at_most_1000(query)?;
    }
    let Some(tags) = tags.await?? else { return Err(Refusal::name_unknown(&route.name).into()) };
    page("tags", tags, query, &format!("/v2/{}/tags/list", route.name), Some(&route.name))
}

/// ECR lists no more than it lists through its own API (observed).
fn at_most_1000(query: &[(String, String)]) -> Result<(), Refusal> {
    let count = query.iter().find(|(key, _)| key == "n").and_then(|(_, value)| value.parse::<u64>().ok());
    match count {
        Some(1001..) => Err(texts::invalid_parameter("maxResults", "must be less than or equal to 1000")),
        _ => Ok(()),
    }
}

/// `GET /v2/_catalog`
pub(super) async fn catalog(shared: &Arc<Shared>, query: &[(String, String)]) -> Result<Answer, Stop> {
    let shared = shared.clone();
    let names = spawn_blocking(move || shared.repositories.all()).await??;
    page("repositories", names.into_iter().collect(), query, "/v2/_catalog", None)
}

/// One page of a list: `n` names after `last`, and where the next page is.
fn page(
    key: &str,
    mut names: Vec<String>,
    query: &[(String, String)],
    path: &str,
    repository: Option<&str>,
) -> Result<Answer, Stop> {
    // The specification's lexical order does not tell capitals from small letters.
    let rank = |name: &str| (name.to_ascii_lowercase(), name.to_owned());
    names.sort_by_cached_key(|name| rank(name));
    let value = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    if let Some(last) = value("last").filter(|last| !last.is_empty()) {
        let last = rank(last);
        names.retain(|name| rank(name) > last);
    }
    let mut head = answer(StatusCode::OK);
    if let Some(text) = value("n") {
        let count: usize = text.parse().map_err(|_| Refusal::bad_count(text))?;
        let more = names.len() > count;
        names.truncate(count);
        if let Some(last) = names.last().filter(|_| more) {
            let next: String = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("n", text)
                .append_pair("last", last)
                .finish();
            head = head.header(LINK, format!("<{path}?{next}>; rel=\"next\""));
        }
    }
    let mut body = json!({ key: names });
    if let Some(repository) = repository {
        body["name"] = repository.into();
    }
    document(head, "application/json", body.to_string().into_bytes())
}

/// `GET /v2/<name>/referrers/<digest>`: an image index. A repository that is not there has no referrers either:
/// a 404 would say that there is no such endpoint.
pub(super) async fn referrers(shared: &Arc<Shared>, route: &Route, query: &[(String, String)]) -> Result<Answer, Stop> {
    let digest: Digest = route.reference.parse().map_err(|error| Refusal::not_a_digest(&error))?;
    let snapshot = {
        let shared = shared.clone();
        spawn_blocking(move || shared.repositories.snapshot()).await??
    };
    let mut found =
        snapshot.get(&route.name).and_then(|repository| repository.referrers.get(&digest)).cloned().unwrap_or_default();
    let mut head = answer(StatusCode::OK);
    if let Some((_, wanted)) = query.iter().find(|(key, _)| key == "artifactType") {
        found.retain(|referrer| referrer.artifact_type.as_ref() == Some(wanted));
        head = head.header(FILTERS_APPLIED, "artifactType");
    }
    document(head, MediaType::ImageIndex.to_string().as_str(), canonical(&Index::new(found, BTreeMap::new())))
}
