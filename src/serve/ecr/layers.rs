//! Layers through the ECR API: which are there, and uploads in parts. They share the sessions of the registry API.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::super::Shared;
use super::super::reply::{Refusal, Stop};
use super::super::uploads;
use super::control::{Input, exception};
use super::{Ecr, texts};
use crate::oci::digest::Digest;

/// The most bytes that a part brings (ECR API reference: `UploadLayerPart`).
const PART_LIMIT: usize = 20_971_520;

/// ECR API reference: `BatchCheckLayerAvailability`.
pub(super) fn availability(shared: &Shared, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = input.repository(shared, ecr)?;
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    for wanted in input.list("layerDigests", 100)? {
        let text = wanted.as_str().unwrap_or_default();
        let Ok(digest) = text.parse::<Digest>() else {
            failures.push(json!({
                "layerDigest": text,
                "failureCode": "InvalidLayerDigest",
                "failureReason": "Layer digest is invalid",
            }));
            continue;
        };
        let size = shared.repositories.blob(&name, digest)?;
        let status = match size {
            None => "UNAVAILABLE",
            Some(_) if ecr.settings.archived.contains(&digest) => "ARCHIVED",
            Some(_) => "AVAILABLE",
        };
        let mut layer = json!({ "layerDigest": digest, "layerAvailability": status });
        if let Some(size) = size {
            layer["layerSize"] = size.into();
        }
        layers.push(layer);
    }
    Ok(json!({ "layers": layers, "failures": failures }))
}

async fn repository(shared: &Arc<Shared>, input: &Input) -> Result<String, Stop> {
    let (shared, input) = (
        shared.clone(),
        Input(json!({
            "repositoryName": input.0["repositoryName"], "registryId": input.0["registryId"],
        })),
    );
    spawn_blocking(move || match &shared.ecr {
        Some(ecr) => input.repository(&shared, ecr),
        None => Err(Refusal::no_endpoint().into()),
    })
    .await?
}

/// ECR API reference: `InitiateLayerUpload`.
pub(super) async fn initiate(shared: &Arc<Shared>, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = repository(shared, input).await?;
    let id = uploads::native_begin(shared, &name)?;
    Ok(json!({ "uploadId": id, "partSize": ecr.settings.part_max }))
}

/// ECR API reference: `UploadLayerPart`; both ends of a part are inclusive.
pub(super) async fn part(shared: &Arc<Shared>, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = repository(shared, input).await?;
    let id = input.text("uploadId")?;
    let number = |key: &str| {
        input.0[key].as_u64().ok_or_else(|| texts::invalid_parameter(key, "must be greater than or equal to 0"))
    };
    let (first, last) = (number("partFirstByte")?, number("partLastByte")?);
    let bytes = STANDARD
        .decode(input.text("layerPartBlob")?)
        .map_err(|_| exception("SerializationException", "layerPartBlob is not base64"))?;
    if bytes.len() > PART_LIMIT {
        let constraint = format!("must have length less than or equal to {PART_LIMIT}");
        return Err(texts::invalid_parameter("layerPartBlob", &constraint).into());
    }
    if first.checked_add(bytes.len() as u64) != last.checked_add(1) {
        let message = format!("The layer part has {} bytes, which are not those from {first} to {last}", bytes.len());
        return Err(exception("InvalidLayerPartException", message).into());
    }
    let held = match uploads::native_part(shared, &name, id, first, bytes).await {
        Err(Stop::Refused(refusal)) => return Err(named(ecr, *refusal, id, &name).into()),
        other => other?,
    };
    Ok(json!({
        "registryId": ecr.settings.account,
        "repositoryName": name,
        "uploadId": id,
        "lastByteReceived": held.saturating_sub(1),
    }))
}

/// ECR API reference: `CompleteLayerUpload`.
pub(super) async fn complete(shared: &Arc<Shared>, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = repository(shared, input).await?;
    let id = input.text("uploadId")?;
    let wanted = input.list("layerDigests", 100)?.first().and_then(Value::as_str).unwrap_or_default();
    let Ok(digest) = wanted.parse::<Digest>() else {
        return Err(texts::invalid_parameter("layerDigests", "must satisfy regular expression").into());
    };
    let there = {
        let (shared, name) = (shared.clone(), name.clone());
        spawn_blocking(move || shared.repositories.blob(&name, digest)).await??
    };
    match uploads::native_complete(shared, &name, id, digest).await {
        Err(Stop::Refused(refusal)) => return Err(named(ecr, *refusal, id, &name).into()),
        other => other?,
    }
    // Only here: the registry API takes a layer that is there already (observed).
    if there.is_some() {
        let message = format!(
            "Layer with digest '{digest}' already exists in the '{name}' repository in registry with id '{}'",
            ecr.settings.account
        );
        return Err(exception("LayerAlreadyExistsException", message).into());
    }
    Ok(json!({
        "registryId": ecr.settings.account, "repositoryName": name, "uploadId": id, "layerDigest": digest,
    }))
}

/// An upload that is not there, by its name.
fn named(ecr: &Ecr, refusal: Refusal, id: &str, name: &str) -> Refusal {
    if refusal.code() == "BLOB_UPLOAD_UNKNOWN" { ecr.no_upload(id, name) } else { refusal }
}
