//! What a push to ECR needs, checked one thing after the other, each with its repair (`dockless doctor ecr`).

mod self_test;

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::preflight::{create_command, elsewhere, similar};
use crate::aws::ecr::{EcrHost, Kind};
use crate::aws::error::AwsError;
use crate::aws::mutability::Mutability;
use crate::aws::registry::Registry;
use crate::aws::session::Session;
use crate::event::Observer;
use crate::oci::digest::Digest;
use crate::oci::reference::Reference;
use crate::registry::auth::{Authenticator, Credentials};
use crate::registry::client::{Access, Client};
use crate::registry::error::Error;
use crate::registry::upload::{Started, cancel, start};

/// How many images a repository holds at most (ECR service quotas).
const IMAGES: usize = 100_000;

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is as a push needs it.
    Ok,
    /// A push can do, but look at it.
    Warning,
    /// A push fails.
    Failed,
    /// It was not or could not be checked: a push may do, or not need it.
    Skipped,
}

/// One line of the checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at. The word is stable.
    pub check: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// What there is, in a sentence.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What else there is to know: a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl Check {
    fn new(check: &'static str, outcome: Outcome, message: impl Into<String>) -> Self {
        Self { check, outcome, message: message.into(), help: None, details: Vec::new() }
    }

    fn help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    fn refused(check: &'static str, outcome: Outcome, error: &AwsError) -> Self {
        Self::new(check, outcome, error.to_string()).help(error.advice().map(|advice| advice.to_string()))
    }

    fn failed(check: &'static str, error: &Error) -> Self {
        let mut message = error.to_string();
        if let Some(source) = std::error::Error::source(error) {
            message = format!("{message}: {source}");
        }
        Self::new(check, Outcome::Failed, message).help(error.help())
    }
}

/// Everything that is asked.
pub struct Doctor<'a> {
    /// Where a push would go.
    pub reference: &'a Reference,
    /// What its host says.
    pub host: &'a EcrHost,
    /// AWS; `None` where its credentials are not to count.
    pub session: Option<&'a Session>,
    /// Whoever has the credentials of a push.
    pub authenticator: Arc<dyn Authenticator>,
    /// The client of a push.
    pub client: &'a Client,
    /// The region that the environment names.
    pub region: Option<&'a str>,
}

impl Doctor<'_> {
    /// Runs the checks; each is handed to `told` when it is done.
    pub async fn checks(&self, told: &mut (dyn FnMut(&Check) + Send)) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut tell = |check: Check| {
            told(&check);
            checks.push(check);
        };
        tell(self.registry());
        let mut known = true;
        if let Some(session) = self.session {
            let credentials = self.credentials(session).await;
            known = credentials.outcome == Outcome::Ok;
            tell(credentials);
            if known {
                tell(self.identity(session).await);
            }
            tell(self.environment());
        }
        let token = self.token().await;
        let opened = token.outcome != Outcome::Failed;
        tell(token);
        let mut asks = self.session.filter(|_| known && self.host.kind == Kind::Private);
        let mut there = true;
        if let Some(session) = asks {
            let repository = self.repository(session).await;
            there = repository.outcome != Outcome::Failed;
            tell(repository);
        }
        if !there {
            // What is not there has no tags, and the POST would only say so again.
            asks = None;
        }
        if opened && there {
            tell(self.push_permission().await);
            tell(self.tag().await);
        }
        if let Some(session) = asks {
            tell(self.mounting(session).await);
            tell(self.quota(session).await);
        }
        checks
    }

    /// What the checks cannot know, since it is written in a push: to be told where there is no self-test.
    pub fn untried() -> Check {
        let message = "whether parts, layers and the image are taken is tried with --self-test only \
                       (ecr:UploadLayerPart, ecr:CompleteLayerUpload, ecr:PutImage)";
        Check::new("upload", Outcome::Skipped, message)
    }

    /// Pushes a tiny image in parts, pushes it again, reads it back and deletes it.
    pub async fn self_test(&self, observer: Arc<dyn Observer>) -> Vec<Check> {
        Box::pin(self_test::run(self, observer)).await
    }

    fn registry(&self) -> Check {
        let host = self.host;
        let what = match (&host.account, host.kind) {
            (Some(account), Kind::Private) => {
                format!("account {account} in {} ({}), API at {}", host.region, host.partition, host.api_host())
            }
            _ => format!("the public registry, API at {}", host.api_host()),
        };
        Check::new("registry", Outcome::Ok, what)
    }

    async fn credentials(&self, session: &Session) -> Check {
        match session.credentials(&self.host.region).await {
            Ok(known) => Check {
                details: known.attempts.iter().map(ToString::to_string).collect(),
                ..Check::new("credentials", Outcome::Ok, format!("found by {}", known.link()))
            },
            Err(error) => {
                let details = match &error {
                    AwsError::NoCredentials(attempts) => attempts.iter().map(ToString::to_string).collect(),
                    _ => Vec::new(),
                };
                // A login of Docker's may do: the token says.
                let refused = Check::refused("credentials", Outcome::Warning, &error);
                match error {
                    AwsError::NoCredentials(_) => Check { details, help: None, ..refused },
                    _ => refused,
                }
            }
        }
    }

    async fn identity(&self, session: &Session) -> Check {
        let check = "identity";
        match session.identity(&self.host.region).await {
            Ok(identity) => match self.host.account.as_deref().filter(|account| *account != identity.account) {
                None => Check::new(check, Outcome::Ok, identity.arn),
                Some(account) => {
                    let message =
                        format!("{} is of account {}, the registry of {account}", identity.arn, identity.account);
                    let help = "the repository's own policy must let the other account in; if that is not meant, correct \
                                the account in the reference, or take other credentials";
                    Check::new(check, Outcome::Warning, message).help(Some(help.into()))
                }
            },
            Err(error) => Check::refused(check, Outcome::Skipped, &error),
        }
    }

    fn environment(&self) -> Check {
        let check = "region";
        match self.region.filter(|region| *region != self.host.region) {
            None => Check::new(check, Outcome::Ok, format!("{}, by the registry's name", self.host.region)),
            Some(other) => Check::new(
                check,
                Outcome::Warning,
                format!("the registry is in {}, AWS_REGION says {other}", self.host.region),
            )
            .help(Some("the registry's name counts; correct it if the other region is meant".into())),
        }
    }

    async fn token(&self) -> Check {
        let check = "token";
        match self.authenticator.credentials(&self.reference.name(), false).await {
            Ok(Credentials::Anonymous) => {
                let message = "no credentials: only public repositories can be pulled so";
                Check::new(check, Outcome::Failed, message)
            }
            Ok(_) => Check::new(check, Outcome::Ok, format!("there is one for {}", self.reference.registry())),
            Err(Error::Aws { source, .. }) if matches!(*source, AwsError::NoCredentials(_)) => {
                let message = "neither AWS credentials nor a login of Docker's for this host";
                Check::new(check, Outcome::Failed, message).help(source.advice().map(|advice| advice.repair))
            }
            Err(error) => Check::failed(check, &error),
        }
    }

    async fn repository(&self, session: &Session) -> Check {
        let (check, name) = ("repository", self.reference.repository());
        let registry = Registry::new(session, self.host);
        match registry.repository(name).await {
            Ok(Some(state)) => {
                let mut details = Vec::new();
                if state.tags.mutability != Mutability::Mutable {
                    let filters = state.tags.filters.join(", ");
                    details.push(
                        format!("imageTagMutability: {} {filters}", state.tags.mutability.name()).trim_end().into(),
                    );
                }
                details.extend(state.encryption.map(|encryption| format!("encryption: {encryption}")));
                details.push(format!("scanOnPush: {}", state.scan_on_push));
                Check { details, ..Check::new(check, Outcome::Ok, format!("{name} exists")) }
            }
            Ok(None) => {
                if matches!(registry.creates_on_push(name).await, Ok(true)) {
                    let message = format!("{name} does not exist; a template lets the push create it");
                    return Check::new(check, Outcome::Warning, message);
                }
                if let Some(elsewhere) = elsewhere(session, self.host, name).await {
                    let account = self.host.account.as_deref().unwrap_or_default();
                    let message = format!("{name} does not exist in account {account}");
                    let help = elsewhere.help(name, account, &self.host.region);
                    return Check::new(check, Outcome::Failed, message).help(Some(help));
                }
                let near = similar(name, &registry.names().await.unwrap_or_default());
                let create = create_command(name, &self.host.region);
                let help = match near.as_slice() {
                    [] => format!("create it with `{create}`, or push with --create-repository"),
                    near => format!("did you mean {}? Otherwise `{create}`", near.join(" or ")),
                };
                Check::new(check, Outcome::Failed, format!("{name} does not exist")).help(Some(help))
            }
            Err(error) => Check::refused(check, Outcome::Skipped, &error),
        }
    }

    /// The POST for an upload session is what a push begins with; the session is given up at once.
    async fn push_permission(&self) -> Check {
        let check = "push";
        let repository = match self.client.repository(self.reference, Access::Push) {
            Ok(repository) => repository,
            Err(error) => return Check::failed(check, &error),
        };
        let nothing = Digest::of(b"");
        match start(&repository, nothing, &[]).await {
            Ok(Started::Session(session)) => {
                cancel(&repository, &session).await;
                Check::new(check, Outcome::Ok, "an upload may begin (ecr:InitiateLayerUpload)")
            }
            Ok(Started::Mounted) => Check::new(check, Outcome::Ok, "an upload may begin"),
            Err(error) => Check::failed(check, &error),
        }
    }

    async fn tag(&self) -> Check {
        let check = "tag";
        let Some(tag) = self.reference.tag_or_latest() else {
            return Check::new(check, Outcome::Skipped, "the reference names no tag");
        };
        let repository = match self.client.repository(self.reference, Access::Pull) {
            Ok(repository) => repository,
            Err(error) => return Check::failed(check, &error),
        };
        let current = match repository.head_manifest(tag).await {
            Ok(current) => current,
            Err(error @ (Error::Denied(_) | Error::NameUnknown(_))) => {
                return Check { outcome: Outcome::Skipped, ..Check::failed(check, &error) };
            }
            Err(error) => return Check::failed(check, &error),
        };
        let Some(current) = current else { return Check::new(check, Outcome::Ok, format!("{tag} is free")) };
        let rule = match self.session.filter(|_| self.host.kind == Kind::Private) {
            Some(session) => Registry::new(session, self.host).repository(self.reference.repository()).await,
            None => Ok(None),
        };
        let immutable = matches!(rule, Ok(Some(state)) if state.tags.is_immutable(tag));
        let message = format!("{tag} names {}", current.digest);
        if !immutable {
            return Check::new(check, Outcome::Ok, format!("{message} and can be moved"));
        }
        let help = "only the same image can be pushed under it again; take another tag for a new one";
        Check::new(check, Outcome::Warning, format!("{message} and cannot be moved")).help(Some(help.into()))
    }

    async fn mounting(&self, session: &Session) -> Check {
        let check = "mounting";
        match Registry::new(session, self.host).mounts_blobs().await {
            Ok(true) => Check::new(check, Outcome::Ok, "blobs can be taken over from other repositories"),
            Ok(false) => Check::new(check, Outcome::Ok, "blobs are not taken over from other repositories").help(Some(
                format!(
                    "where images share layers: `aws ecr put-account-setting --name BLOB_MOUNTING --value ENABLED --region {}`",
                    self.host.region
                ),
            )),
            Err(error) => Check::refused(check, Outcome::Skipped, &error),
        }
    }

    async fn quota(&self, session: &Session) -> Check {
        let check = "quota";
        match Registry::new(session, self.host).images(self.reference.repository()).await {
            Ok(Some(images)) => Check::new(check, Outcome::Ok, format!("{images} images and tags of {IMAGES} at most")),
            Ok(None) => {
                Check::new(check, Outcome::Ok, format!("more than a thousand images and tags, of {IMAGES} at most"))
                    .help(Some("a lifecycle policy lets old ones go (`aws ecr put-lifecycle-policy`)".into()))
            }
            Err(error) => Check::refused(check, Outcome::Skipped, &error),
        }
    }
}

/// A name that no other run takes.
fn unique() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", now.as_millis(), std::process::id())
}
