//! The control plane of ECR, as far as a push needs it: tokens, repositories, the state of tags.

use std::time::{Duration, SystemTime};

use aws_sdk_ecr::types::{
    ImageIdentifier, ImageScanningConfiguration, ImageStatus, ImageTagMutability, RctAppliedFor, Tag,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ecr::{EcrHost, Kind};
use super::error::AwsError;
use super::mutability::{Mutability, TagRule};
use super::session::{NoPlainHttp, NotOfAws, Session};
use crate::secret::Secret;

/// How many names of repositories are looked at: ten pages of the API.
const PAGES: usize = 10;
const PAGE: i32 = 1000;

/// How long before it expires a token is too old to begin with.
const MARGIN: Duration = Duration::from_mins(10);

/// What opens the data plane (ECR API reference: `AuthorizationData`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// `AWS`
    pub user: String,
    /// The password.
    pub password: Secret,
    /// Until when it is good, where that is known and can be true.
    pub expires: Option<SystemTime>,
}

impl Token {
    /// Whether it is worth using: those that expire soon would do so in the middle of an upload.
    pub fn is_fresh(&self) -> bool {
        self.expires.is_none_or(|expires| expires > SystemTime::now() + MARGIN)
    }
}

/// What a repository is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryState {
    /// Whether its tags can be moved.
    pub tags: TagRule,
    /// Whether images are scanned when they are pushed.
    pub scan_on_push: bool,
    /// `AES256`, `KMS` or `KMS_DSSE`.
    pub encryption: Option<String>,
}

/// A repository to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRepository {
    /// Images are scanned when they are pushed.
    pub scan_on_push: bool,
    /// Tags cannot be moved.
    pub immutable_tags: bool,
    /// So many images are kept, the oldest go.
    pub keep_images: Option<u32>,
}

impl NewRepository {
    /// The lifecycle policy, where images are to go (ECR user guide "Lifecycle policy parameters").
    pub fn lifecycle_policy(&self) -> Option<String> {
        let keep = self.keep_images?;
        let rule = serde_json::json!({ "rules": [{
            "rulePriority": 1,
            "description": format!("keep {keep} images"),
            "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep },
            "action": { "type": "expire" },
        }] });
        Some(rule.to_string())
    }
}

/// What a tag names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The digest, as AWS writes it.
    pub digest: String,
    /// Whether it is archived: it cannot be pulled until it is restored or pushed again.
    pub archived: bool,
}

/// The registry that a host names, asked through the API.
#[derive(Clone, Copy)]
pub struct Registry<'a> {
    session: &'a Session,
    host: &'a EcrHost,
}

impl<'a> Registry<'a> {
    /// The registry of a host. No request is made.
    pub fn new(session: &'a Session, host: &'a EcrHost) -> Self {
        Self { session, host }
    }

    async fn client(&self) -> Result<aws_sdk_ecr::Client, AwsError> {
        let mut config = self.session.config(&self.host.region).await?.into_builder();
        // The API by the same kind of way as the registry: where one is prescribed, the other is as well.
        if self.host.fips {
            config.set_use_fips(Some(true));
        }
        if self.host.dual_stack {
            config.set_use_dual_stack(Some(true));
        }
        let config =
            aws_sdk_ecr::config::Builder::from(&config.build()).interceptor(NoPlainHttp).retry_classifier(NotOfAws);
        Ok(aws_sdk_ecr::Client::from_conf(config.build()))
    }

    fn account(&self) -> Option<String> {
        self.host.account.clone()
    }

    /// A token for the data plane (ECR API reference: `GetAuthorizationToken`; ECR Public has one of its own). It is
    /// good for every registry that the credentials may use, for twelve hours or as long as the session of the role.
    ///
    /// # Errors
    /// Where the credentials may not ask for one, or the API cannot be reached.
    pub async fn token(&self) -> Result<Token, AwsError> {
        match self.host.kind {
            Kind::Private => {
                let operation = "ecr:GetAuthorizationToken";
                let answer = self.client().await?.get_authorization_token().send().await;
                let answer = answer.map_err(|error| AwsError::of(operation, &error))?;
                let data = answer.authorization_data().first();
                token(operation, data.and_then(|one| one.authorization_token()), data.and_then(|one| one.expires_at()))
            }
            Kind::Public => {
                let operation = "ecr-public:GetAuthorizationToken";
                let config = self.session.config(&self.host.region).await?;
                let config = aws_sdk_ecrpublic::config::Builder::from(&config)
                    .interceptor(NoPlainHttp)
                    .retry_classifier(NotOfAws);
                let client = aws_sdk_ecrpublic::Client::from_conf(config.build());
                let answer = client.get_authorization_token().send().await;
                let answer = answer.map_err(|error| AwsError::of(operation, &error))?;
                let data = answer.authorization_data();
                token(operation, data.and_then(|one| one.authorization_token()), data.and_then(|one| one.expires_at()))
            }
        }
    }

    /// What a repository is set to; `None` where there is none (ECR API reference: `DescribeRepositories`).
    ///
    /// # Errors
    /// Where the credentials may not ask, or the API cannot be reached.
    pub async fn repository(&self, name: &str) -> Result<Option<RepositoryState>, AwsError> {
        let operation = "ecr:DescribeRepositories";
        let request = self.client().await?.describe_repositories().set_registry_id(self.account());
        let answer = match request.repository_names(name).send().await {
            Err(error) => {
                let error = AwsError::of(operation, &error);
                return if error.is("RepositoryNotFoundException") { Ok(None) } else { Err(error) };
            }
            Ok(answer) => answer,
        };
        let Some(found) = answer.repositories().first() else { return Ok(None) };
        let mutability = found.image_tag_mutability().map(ImageTagMutability::as_str).and_then(Mutability::parse);
        let filters = found.image_tag_mutability_exclusion_filters().iter().map(|one| one.filter().to_owned());
        Ok(Some(RepositoryState {
            tags: TagRule { mutability: mutability.unwrap_or_default(), filters: filters.collect() },
            scan_on_push: found.image_scanning_configuration().is_some_and(ImageScanningConfiguration::scan_on_push),
            encryption: found.encryption_configuration().map(|one| one.encryption_type().as_str().to_owned()),
        }))
    }

    /// The names of the registry's repositories, ten thousand at most.
    ///
    /// # Errors
    /// Where the credentials may not list them, or the API cannot be reached.
    pub async fn names(&self) -> Result<Vec<String>, AwsError> {
        let client = self.client().await?;
        let request = client.describe_repositories().set_registry_id(self.account());
        let mut pages = request.into_paginator().page_size(PAGE).send();
        let mut names = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { break };
            let page = page.map_err(|error| AwsError::of("ecr:DescribeRepositories", &error))?;
            names.extend(page.repositories().iter().filter_map(|one| one.repository_name().map(str::to_owned)));
        }
        Ok(names)
    }

    /// Creates a repository; that there is one already is as good (ECR API reference: `CreateRepository`,
    /// `PutLifecyclePolicy`).
    ///
    /// # Errors
    /// Where it cannot be created, or its lifecycle policy cannot be set; the repository is there in the second case.
    pub async fn create(&self, name: &str, new: &NewRepository) -> Result<(), AwsError> {
        let client = self.client().await?;
        let mut request = client.create_repository().set_registry_id(self.account()).repository_name(name);
        if new.scan_on_push {
            let scanning = ImageScanningConfiguration::builder().scan_on_push(true).build();
            request = request.image_scanning_configuration(scanning);
        }
        if new.immutable_tags {
            request = request.image_tag_mutability(ImageTagMutability::Immutable);
        }
        let by = Tag::builder().key("created-by").value("dockless").build();
        request = request.set_tags(by.ok().map(|tag| vec![tag]));
        if let Err(error) = request.send().await {
            let error = AwsError::of("ecr:CreateRepository", &error);
            // Another job was quicker: the repository is its, and so are the settings.
            return if error.is("RepositoryAlreadyExistsException") { Ok(()) } else { Err(error) };
        }
        if let Some(policy) = new.lifecycle_policy() {
            let request = client.put_lifecycle_policy().set_registry_id(self.account()).repository_name(name);
            let answer = request.lifecycle_policy_text(policy).send().await;
            answer.map_err(|error| AwsError::of("ecr:PutLifecyclePolicy", &error))?;
        }
        Ok(())
    }

    /// What a tag names; `None` where there is no such tag (ECR API reference: `DescribeImages`).
    ///
    /// # Errors
    /// Where there is no such repository, the credentials may not ask, or the API cannot be reached.
    pub async fn tagged(&self, name: &str, tag: &str) -> Result<Option<Tagged>, AwsError> {
        let operation = "ecr:DescribeImages";
        let request = self.client().await?.describe_images().set_registry_id(self.account()).repository_name(name);
        let answer = match request.image_ids(ImageIdentifier::builder().image_tag(tag).build()).send().await {
            Err(error) => {
                let error = AwsError::of(operation, &error);
                return if error.is("ImageNotFoundException") { Ok(None) } else { Err(error) };
            }
            Ok(answer) => answer,
        };
        let Some(found) = answer.image_details().first() else { return Ok(None) };
        let digest = found.image_digest().ok_or(AwsError::Garbage { operation, lacks: "digest" })?;
        Ok(Some(Tagged { digest: digest.into(), archived: found.image_status() == Some(&ImageStatus::Archived) }))
    }

    /// How many images the repository holds, counted to a thousand; `None` where there are more.
    ///
    /// # Errors
    /// Where there is no such repository, the credentials may not ask, or the API cannot be reached.
    pub async fn images(&self, name: &str) -> Result<Option<usize>, AwsError> {
        let client = self.client().await?;
        let request = client.list_images().set_registry_id(self.account()).repository_name(name);
        let answer = request.max_results(PAGE).send().await;
        let answer = answer.map_err(|error| AwsError::of("ecr:ListImages", &error))?;
        Ok(answer.next_token().is_none().then(|| answer.image_ids().len()))
    }

    /// Deletes images by digest (ECR API reference: `BatchDeleteImage`).
    ///
    /// # Errors
    /// Where the credentials may not delete them, the API cannot be reached, or it says of one why it stays.
    pub async fn delete(&self, name: &str, digests: &[String]) -> Result<(), AwsError> {
        let operation = "ecr:BatchDeleteImage";
        let ids = digests.iter().map(|digest| ImageIdentifier::builder().image_digest(digest).build()).collect();
        let request = self.client().await?.batch_delete_image().set_registry_id(self.account()).repository_name(name);
        let answer = request.set_image_ids(Some(ids)).send().await;
        let answer = answer.map_err(|error| AwsError::of(operation, &error))?;
        match answer.failures().first() {
            None => Ok(()),
            Some(failure) => Err(AwsError::Refused {
                operation,
                code: failure.failure_code().map_or_else(String::new, |code| code.as_str().to_owned()),
                message: failure.failure_reason().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Whether the account lets blobs be mounted across repositories (ECR user guide "Blob mounting").
    ///
    /// # Errors
    /// Where the credentials may not ask, or the API cannot be reached.
    pub async fn mounts_blobs(&self) -> Result<bool, AwsError> {
        let answer = self.client().await?.get_account_setting().name("BLOB_MOUNTING").send().await;
        let answer = answer.map_err(|error| AwsError::of("ecr:GetAccountSetting", &error))?;
        Ok(answer.value() == Some("ENABLED"))
    }

    /// Whether a push creates a repository of this name, by a template for `CREATE_ON_PUSH` (ECR user guide "Templates
    /// to control repositories created during a pull through cache, create on push, or replication action").
    ///
    /// # Errors
    /// Where the credentials may not ask, or the API cannot be reached.
    pub async fn creates_on_push(&self, name: &str) -> Result<bool, AwsError> {
        let client = self.client().await?;
        let mut pages = client.describe_repository_creation_templates().into_paginator().send();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { break };
            let page = page.map_err(|error| AwsError::of("ecr:DescribeRepositoryCreationTemplates", &error))?;
            for template in page.repository_creation_templates() {
                let fits = match template.prefix() {
                    Some("ROOT") => true,
                    Some(prefix) => {
                        name.strip_prefix(prefix.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
                    }
                    None => false,
                };
                if fits && template.applied_for().iter().any(|one| *one == RctAppliedFor::from("CREATE_ON_PUSH")) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// The token in an answer: `user:password`, as base64.
fn token(
    operation: &'static str,
    encoded: Option<&str>,
    expires: Option<&aws_smithy_types::DateTime>,
) -> Result<Token, AwsError> {
    let lacks = |lacks| AwsError::Garbage { operation, lacks };
    let decoded = STANDARD.decode(encoded.ok_or_else(|| lacks("token"))?).map_err(|_| lacks("token that is base64"))?;
    let text = String::from_utf8(decoded).map_err(|_| lacks("token that is text"))?;
    let (user, password) = text.split_once(':').ok_or_else(|| lacks("token with user and password"))?;
    // A time that has passed cannot be meant for a token that was made just now: an imitation's, or our clock is wrong.
    let expires = expires.and_then(|at| SystemTime::try_from(*at).ok()).filter(|at| *at > SystemTime::now());
    Ok(Token { user: user.into(), password: Secret::new(password), expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_user_and_password() {
        let encoded = STANDARD.encode("AWS:secret:with:colons");
        let found = token("ecr:GetAuthorizationToken", Some(&encoded), None).expect("a token");
        assert_eq!((found.user.as_str(), found.password.expose()), ("AWS", "secret:with:colons"));
        assert!(!format!("{found:?}").contains("secret"));
        // moto says that every token has expired in 2015.
        let long_ago = aws_smithy_types::DateTime::from_secs(1_420_070_400);
        assert!(token("t", Some(&encoded), Some(&long_ago)).is_ok_and(|token| token.is_fresh()));
        for wrong in [None, Some("?"), Some("QVdT"), Some("")] {
            assert!(token("t", wrong, None).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_lifecycle_policy_counts_images() {
        let new = NewRepository { keep_images: Some(30), ..NewRepository::default() };
        let policy: serde_json::Value = serde_json::from_str(&new.lifecycle_policy().expect("one")).expect("JSON");
        assert_eq!(policy["rules"][0]["selection"]["countNumber"], 30);
        assert_eq!(NewRepository::default().lifecycle_policy(), None);
    }
}
