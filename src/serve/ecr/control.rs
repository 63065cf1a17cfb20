//! The control plane: the ECR API by its JSON 1.1 protocol, on `POST /`.
//!
//! A request says its operation in `X-Amz-Target` and who it is in `Authorization` (Signature Version 4). The signature
//! is not checked, but the scope that it names is: a client that signs for another region or service learns it here.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::super::Shared;
use super::super::inbound::Inbound;
use super::super::reply::{AWS_JSON, Answer, Refusal, Stop, answer, document};
use super::{Ecr, images, layers, registry, sts, texts};

/// What comes before an operation's name.
const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.";
/// The largest request is a part of 20 MiB as base64 (ECR API reference: `UploadLayerPart`).
const PART_LIMIT: u64 = 30 << 20;
/// Other requests hold at most a manifest of 4 MiB, as a string in JSON (ECR API reference: `PutImage`).
const BODY_LIMIT: u64 = 10 << 20;

/// `POST /`
pub(in super::super) async fn control(
    shared: &Arc<Shared>,
    ecr: &Ecr,
    method: &Method,
    headers: &HeaderMap,
    body: &mut Inbound,
) -> Result<Answer, Stop> {
    if *method != Method::POST {
        return Err(Refusal::no_endpoint().into());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text(CONTENT_TYPE.as_str()).starts_with("application/x-www-form-urlencoded") {
        let bytes = body.whole(BODY_LIMIT, too_large).await?;
        let form = sts::Form::parse(&bytes);
        // A job's token stands for the signature there (STS API reference: `AssumeRoleWithWebIdentity`).
        if form.action != "AssumeRoleWithWebIdentity" {
            scope(text(AUTHORIZATION.as_str()), "sts", None)?;
        }
        return sts::answer_query(ecr, &form);
    }
    let Some(operation) = text("x-amz-target").strip_prefix(TARGET) else {
        return Err(exception("UnknownOperationException", "").into());
    };
    scope(text(AUTHORIZATION.as_str()), "ecr", Some(&ecr.settings().region))?;
    let limit = if operation == "UploadLayerPart" { PART_LIMIT } else { BODY_LIMIT };
    let bytes = body.whole(limit, too_large).await?;
    let input = Input(if bytes.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(&bytes).map_err(|error| exception("SerializationException", error.to_string()))?
    });
    let repository = input.0["repositoryName"].as_str().map(ToOwned::to_owned);
    ecr.authorize(operation, repository.as_deref())?;
    let output = match operation {
        "InitiateLayerUpload" => layers::initiate(shared, ecr, &input).await?,
        "UploadLayerPart" => layers::part(shared, ecr, &input).await?,
        "CompleteLayerUpload" => layers::complete(shared, ecr, &input).await?,
        _ => {
            let (shared, operation) = (shared.clone(), operation.to_owned());
            spawn_blocking(move || match &shared.ecr {
                Some(ecr) => dispatch(&shared, ecr, &operation, &input),
                None => Err(Refusal::no_endpoint().into()),
            })
            .await??
        }
    };
    document(answer(StatusCode::OK), AWS_JSON, output.to_string().into_bytes())
}

fn dispatch(shared: &Shared, ecr: &Ecr, operation: &str, input: &Input) -> Result<Value, Stop> {
    match operation {
        "GetAuthorizationToken" => Ok(ecr.authorization_token()),
        "DescribeRegistry" => Ok(json!({
            "registryId": ecr.settings().account,
            "replicationConfiguration": { "rules": [] },
        })),
        "CreateRepository" => registry::create(shared, ecr, input),
        "DescribeRepositories" => registry::describe(shared, ecr, input),
        "DeleteRepository" => registry::delete(shared, ecr, input),
        "PutLifecyclePolicy" => registry::put_lifecycle_policy(shared, ecr, input),
        "GetLifecyclePolicy" => registry::get_lifecycle_policy(shared, ecr, input),
        "PutImageTagMutability" => registry::put_mutability(shared, ecr, input),
        "PutAccountSetting" => registry::put_account_setting(ecr, input),
        "GetAccountSetting" => registry::get_account_setting(ecr, input),
        "BatchCheckLayerAvailability" => layers::availability(shared, ecr, input),
        "PutImage" => images::put(shared, ecr, input),
        "BatchGetImage" => images::batch_get(shared, ecr, input),
        "BatchDeleteImage" => images::batch_delete(shared, ecr, input),
        "DescribeImages" => images::describe(shared, ecr, input),
        "ListImages" => images::list(shared, ecr, input),
        _ => Err(exception("UnknownOperationException", "").into()),
    }
}

impl Ecr {
    /// ECR API reference: `GetAuthorizationToken`. The endpoint is the real one, as it is with any endpoint override.
    fn authorization_token(&self) -> Value {
        let (password, lifetime) = self.new_password();
        let expires = seconds(SystemTime::now() + lifetime);
        json!({ "authorizationData": [{
            "authorizationToken": STANDARD.encode(format!("AWS:{password}")),
            "expiresAt": expires,
            "proxyEndpoint": format!("https://{}", self.settings().host()),
        }] })
    }
}

/// The scope that a request is signed for must be the one of this service; nobody checks the signature.
fn scope(authorization: &str, service: &str, region: Option<&str>) -> Result<(), Refusal> {
    if authorization.is_empty() {
        return Err(exception("MissingAuthenticationTokenException", "Missing Authentication Token"));
    }
    let credential = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .and_then(|rest| rest.split(',').find_map(|part| part.trim().strip_prefix("Credential=")));
    let fields: Vec<&str> = credential.unwrap_or_default().split('/').collect();
    let [_, _, signed_region, signed_service, "aws4_request"] = fields[..] else {
        let message = "Authorization header requires 'Credential' parameter. It has to be of the form \
                       AKID/date/region/service/aws4_request.";
        return Err(exception("IncompleteSignatureException", message));
    };
    if signed_service != service {
        let message = format!("Credential should be scoped to correct service: '{service}'.");
        return Err(exception("InvalidSignatureException", message));
    }
    match region {
        Some(region) if region != signed_region => {
            let message = format!("Credential should be scoped to a valid region, not '{signed_region}'.");
            Err(exception("InvalidSignatureException", message))
        }
        _ => Ok(()),
    }
}

/// A refusal of the API alone.
pub(super) fn exception(name: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message).exception(name)
}

fn too_large() -> Refusal {
    exception("RequestEntityTooLargeException", "the request is too large")
}

/// A time as JSON 1.1 has it: seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> Value {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    json!(since.as_secs_f64())
}

/// What an operation is given.
pub(super) struct Input(pub(super) Value);

impl Input {
    /// A text that must be there.
    pub(super) fn text(&self, name: &str) -> Result<&str, Refusal> {
        self.0[name].as_str().ok_or_else(|| texts::invalid_parameter(name, "must not be null"))
    }

    /// The repository, which must exist in this account's registry.
    pub(super) fn repository(&self, shared: &Shared, ecr: &Ecr) -> Result<String, Stop> {
        let name = self.text("repositoryName")?;
        if !registry::valid_name(&shared.repositories, name) {
            return Err(texts::bad_name(name).into());
        }
        let ours = self.0["registryId"].as_str().is_none_or(|id| id == ecr.settings().account);
        if !ours || !shared.repositories.exists(name)? {
            return Err(ecr.no_repository(name).into());
        }
        // One that came with the layout stays when its last image goes.
        shared.repositories.create(name);
        Ok(name.to_owned())
    }

    /// A list that must have so many entries.
    pub(super) fn list(&self, name: &str, most: usize) -> Result<&[Value], Refusal> {
        let list = self.0[name].as_array().map(Vec::as_slice).unwrap_or_default();
        match list.len() {
            0 => Err(texts::invalid_parameter(name, "must have length greater than or equal to 1")),
            count if count > most => {
                Err(texts::invalid_parameter(name, &format!("must have length less than or equal to {most}")))
            }
            _ => Ok(list),
        }
    }

    /// One page of entries that are sorted by their keys, and the token of the next one.
    pub(super) fn page<T>(
        &self,
        entries: Vec<T>,
        key: impl Fn(&T) -> String,
    ) -> Result<(Vec<T>, Option<String>), Refusal> {
        let most = match &self.0["maxResults"] {
            Value::Null => 100,
            value => match value.as_u64().and_then(|count| usize::try_from(count).ok()) {
                Some(count @ 1..=1000) => count,
                Some(0) | None => {
                    return Err(texts::invalid_parameter("maxResults", "must be greater than or equal to 1"));
                }
                Some(_) => return Err(texts::invalid_parameter("maxResults", "must be less than or equal to 1000")),
            },
        };
        let after = match self.0["nextToken"].as_str() {
            None => None,
            Some(token) => match STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                Some(text) => Some(text),
                None => return Err(exception("InvalidParameterException", "Invalid parameter at 'nextToken'")),
            },
        };
        let mut rest = entries.into_iter().filter(|entry| after.as_ref().is_none_or(|after| key(entry) > *after));
        let page: Vec<T> = rest.by_ref().take(most).collect();
        let more = rest.next().is_some();
        let next = page.last().filter(|_| more).map(|last| STANDARD.encode(key(last)));
        Ok((page, next))
    }
}

/// Adds the token of the next page to an output.
pub(super) fn with_next(mut output: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        output["nextToken"] = next.into();
    }
    output
}
