//! What ECR says when it refuses: for each problem the exception of the ECR API and the status and code of the registry
//! API, with one text. Texts are as users quote them (observed); where nobody quoted one, it is made in the same form.

use hyper::StatusCode;
use serde_json::json;

use super::super::reply::Refusal;
use super::super::route::{Endpoint, Route};
use super::{Ecr, Switch};
use crate::oci::digest::Digest;

/// What a repository's name has to look like, as the errors quote it.
const NAME_PATTERN: &str = "(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*";

/// A parameter that is not as it should be (`InvalidParameterException`).
pub(in super::super) fn invalid_parameter(name: &str, constraint: &str) -> Refusal {
    let message = format!("Invalid parameter at '{name}' failed to satisfy constraint: '{constraint}'");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message).exception("InvalidParameterException")
}

/// A repository name that is none.
pub(in super::super) fn bad_name(name: &str) -> Refusal {
    let constraint = match name.len() {
        0 | 1 => "must have length greater than or equal to 2".to_owned(),
        2..=256 => format!("must satisfy regular expression '{NAME_PATTERN}'"),
        _ => "must have length less than or equal to 256".to_owned(),
    };
    invalid_parameter("repositoryName", &constraint)
}

/// A manifest that ECR does not read.
pub(in super::super) fn unreadable_manifest() -> Refusal {
    invalid_parameter("ImageManifest", "Invalid JSON syntax")
}

/// Too many requests.
pub(in super::super) fn rate_exceeded() -> Refusal {
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "Rate exceeded").exception("ThrottlingException")
}

/// No credentials at the registry API.
pub(in super::super) fn no_credentials(ecr: &Ecr) -> Refusal {
    let challenge = format!("Basic realm=\"https://{}/\",service=\"ecr.amazonaws.com\"", ecr.settings.host());
    Refusal::unauthorized(challenge)
}

/// A token that was good once: 403, not 401.
pub(in super::super) fn expired(ecr: &Ecr) -> Refusal {
    let message = if ecr.is_on(Switch::OlderTexts) {
        "Your Authorization Token has expired. Please run 'aws ecr get-login' to fetch a new one."
    } else {
        "Your authorization token has expired. Reauthenticate and try again."
    };
    Refusal::new(StatusCode::FORBIDDEN, "DENIED", message).exception("ExpiredTokenException")
}

/// An action that no policy allows.
pub(in super::super) fn not_authorized(ecr: &Ecr, action: &str, repository: Option<&str>) -> Refusal {
    let (account, resource) = (&ecr.settings.account, ecr.arn(repository));
    let message = format!(
        "User: arn:aws:sts::{account}:assumed-role/dockless/rehearsal is not authorized to perform: ecr:{action} on \
         resource: {resource} because no identity-based policy allows the ecr:{action} action"
    );
    Refusal::new(StatusCode::FORBIDDEN, "DENIED", message).exception("AccessDeniedException")
}

impl Ecr {
    /// A repository that is not there.
    pub(in super::super) fn no_repository(&self, name: &str) -> Refusal {
        let message =
            format!("The repository with name '{name}' does not exist in the registry with id '{}'", self.account());
        Refusal::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message).exception("RepositoryNotFoundException")
    }

    /// An upload that is not there.
    pub(in super::super) fn no_upload(&self, id: &str, name: &str) -> Refusal {
        let message = format!(
            "The upload with id '{id}' in the repository with name '{name}' in registry with id '{}' could not be \
             found.",
            self.account()
        );
        Refusal::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", message).exception("UploadNotFoundException")
    }

    /// An upload that ends before it began.
    pub(in super::super) fn empty_upload(&self, id: &str, name: &str) -> Refusal {
        let message = format!(
            "The upload with id '{id}' in the repository with name '{name}' in registry with id '{}' cannot be \
             completed because it does not have any parts.",
            self.account()
        );
        upload(StatusCode::BAD_REQUEST, message).exception("EmptyUploadException")
    }

    /// A tag that cannot be moved.
    pub(in super::super) fn immutable(&self, name: &str, tag: &str) -> Refusal {
        let what = if self.is_on(Switch::OlderTexts) { "repository" } else { "tag" };
        let message = format!(
            "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the \
             {what} is immutable."
        );
        Refusal::new(StatusCode::BAD_REQUEST, "TAG_INVALID", message).exception("ImageTagAlreadyExistsException")
    }

    /// Children of an index that are not there.
    pub(in super::super) fn children_missing(&self, name: &str, digests: &[Digest]) -> Refusal {
        self.missing("Images", name, digests).exception("ReferencedImagesNotFoundException")
    }

    /// Blobs of a manifest that are not there.
    pub(in super::super) fn layers_missing(&self, name: &str, digests: &[Digest]) -> Refusal {
        self.missing("Layers", name, digests).exception("LayersNotFoundException")
    }

    fn missing(&self, what: &str, name: &str, digests: &[Digest]) -> Refusal {
        let digests: Vec<String> = digests.iter().map(Digest::to_string).collect();
        let message = format!(
            "{what} with digests '[{}]' required for pushing image into repository with name '{name}' in the registry \
             with id '{}' do not exist",
            digests.join(", "),
            self.account()
        );
        Refusal::new(StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN", message)
    }

    fn account(&self) -> &str {
        &self.settings.account
    }

    /// What the specification's refusals are called here.
    pub(in super::super) fn translate(&self, refusal: Refusal, route: &Route) -> Refusal {
        match refusal.code() {
            "MANIFEST_UNKNOWN" => Refusal::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "Requested image not found")
                .exception("ImageNotFoundException"),
            "MANIFEST_INVALID" if route.endpoint == Endpoint::Manifest && !refusal.is_too_large() => {
                unreadable_manifest()
            }
            "BLOB_UPLOAD_UNKNOWN" => self.no_upload(&route.reference, &route.name),
            "NAME_INVALID" => bad_name(&route.name),
            _ => refusal,
        }
    }
}

/// A tag that none can be.
pub(in super::super) fn bad_tag() -> Refusal {
    let message = "Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression \
                   '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}''";
    Refusal::new(StatusCode::BAD_REQUEST, "TAG_INVALID", message).exception("InvalidParameterException")
}

fn upload(status: StatusCode, message: impl Into<String>) -> Refusal {
    Refusal::new(status, "BLOB_UPLOAD_INVALID", message)
}

/// A part that does not begin where the upload ends.
pub(in super::super) fn out_of_order(begins: u64, held: u64) -> Refusal {
    let message = format!("First byte of the layer part is {begins} instead of {held}");
    let last = i64::try_from(held).unwrap_or(i64::MAX) - 1;
    upload(StatusCode::RANGE_NOT_SATISFIABLE, message)
        .exception("InvalidLayerPartException")
        .member("lastValidByteReceived", json!(last))
}

/// A part before the last that is too small.
pub(in super::super) fn part_too_small() -> Refusal {
    upload(StatusCode::BAD_REQUEST, "All layer parts except the last part should be at least 5MB")
        .exception("LayerPartTooSmallException")
}

/// More parts than a layer has.
pub(in super::super) fn too_many_parts(limit: u64) -> Refusal {
    upload(StatusCode::BAD_REQUEST, format!("The layer has more than the limit of {limit} parts"))
        .exception("LimitExceededException")
}

/// Content that has another digest.
pub(in super::super) fn wrong_digest() -> Refusal {
    upload(StatusCode::BAD_REQUEST, "None of the provided layer digests match the calculated layer digest")
        .exception("InvalidLayerException")
}
