//! Who may do what at the registry API: each request counts as an action of the ECR API, is authorised and paced as
//! that action, and needs a repository that is there.

use std::sync::Arc;

use hyper::{HeaderMap, Method};
use tokio::task::spawn_blocking;

use super::super::Shared;
use super::super::auth::basic;
use super::super::reply::{Refusal, Stop};
use super::super::route::{Endpoint, Route};
use super::{Ecr, Shown, Switch, denied, texts};

/// The action that a request counts as (ECR user guide: required IAM permissions).
fn action(method: &Method, endpoint: Endpoint) -> Option<&'static str> {
    Some(match (endpoint, method) {
        (Endpoint::Blob, &Method::HEAD) => "BatchCheckLayerAvailability",
        (Endpoint::Blob, _) => "GetDownloadUrlForLayer",
        (Endpoint::Uploads, _) => "InitiateLayerUpload",
        (Endpoint::Upload, &Method::PUT) => "CompleteLayerUpload",
        (Endpoint::Upload, _) => "UploadLayerPart",
        (Endpoint::Manifest, &Method::PUT) => "PutImage",
        (Endpoint::Manifest, &Method::DELETE) => "BatchDeleteImage",
        (Endpoint::Manifest, _) => "BatchGetImage",
        (Endpoint::Tags, _) => "ListImages",
        (Endpoint::Referrers, _) => "ListImageReferrers",
        (Endpoint::Catalog, _) => "DescribeRepositories",
        (Endpoint::Base | Endpoint::Token | Endpoint::Control, _) => return None,
    })
}

/// Lets a request in, or refuses it as ECR does.
pub(in super::super) async fn admit(
    shared: &Arc<Shared>,
    ecr: &Ecr,
    method: &Method,
    route: &Route,
    headers: &HeaderMap,
) -> Result<(), Stop> {
    ecr.authenticate(shared, headers)?;
    let nameless = matches!(route.endpoint, Endpoint::Base | Endpoint::Token | Endpoint::Catalog);
    if let Some(action) = action(method, route.endpoint) {
        ecr.authorize(action, (!nameless).then_some(&*route.name))?;
    }
    if nameless {
        return Ok(());
    }
    if route.name.len() < 2 || !shared.repositories.names().valid(&route.name) {
        return Err(texts::bad_name(&route.name).into());
    }
    let pushes = matches!(route.endpoint, Endpoint::Uploads | Endpoint::Upload)
        || (route.endpoint == Endpoint::Manifest && *method == Method::PUT);
    let exists = {
        let (shared, name) = (shared.clone(), route.name.clone());
        spawn_blocking(move || shared.repositories.exists(&name)).await??
    };
    match exists {
        true => {
            // One that came with the layout stays when its last image goes.
            shared.repositories.create(&route.name);
            Ok(())
        }
        false if pushes && ecr.is_on(Switch::CreateOnPush) => {
            shared.repositories.create(&route.name);
            Ok(())
        }
        false if pushes && ecr.is_on(Switch::SilentWhenMissing) => {
            Err(Stop::HangUp("the repository does not exist".into()))
        }
        false => Err(ecr.no_repository(&route.name).into()),
    }
}

impl Ecr {
    /// Basic authentication with a password that `GetAuthorizationToken` gave out, or with the server's own one.
    fn authenticate(&self, shared: &Shared, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(credentials) = basic(headers) else {
            return if self.is_on(Switch::Anonymous) { Ok(()) } else { Err(texts::no_credentials(self)) };
        };
        match self.shown(&credentials.password) {
            Shown::Good if credentials.user == "AWS" => Ok(()),
            Shown::Expired => Err(texts::expired(self)),
            _ if self.is_on(Switch::Anonymous) || shared.door.knows(&credentials) => Ok(()),
            _ => Err(texts::no_credentials(self)),
        }
    }

    /// Refuses an action on purpose, or because it comes too often.
    pub(super) fn authorize(&self, action: &str, repository: Option<&str>) -> Result<(), Stop> {
        if denied(&self.settings.deny_silently, "ecr", action) {
            return Err(Stop::HangUp(format!("{action} is denied silently by a fault")));
        }
        if denied(&self.settings.deny, "ecr", action) {
            return Err(texts::not_authorized(self, action, repository).into());
        }
        if self.is_on(Switch::Pace) && !self.pace.allows(action) {
            return Err(texts::rate_exceeded().into());
        }
        Ok(())
    }
}
