//! Repositories and their settings, and the account's, through the ECR API.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::super::Shared;
use super::super::reply::{Refusal, Stop};
use super::super::repositories::Repositories;
use super::control::{Input, exception, seconds, with_next};
use super::settings::Switch;
use super::{BLOB_MOUNTING, Ecr, texts};
use crate::aws::mutability::{Mutability, TagRule};
use crate::mutex::lock;

/// How many repositories' settings are kept (ECR service quotas: repositories per region).
const REPOSITORIES: usize = 100_000;

/// The parameter with the wildcards of tags.
const FILTERS: &str = "imageTagMutabilityExclusionFilters";

/// What a repository is set to.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    created: SystemTime,
    tags: TagRule,
    scan_on_push: bool,
    encryption: Value,
    lifecycle: Option<(String, SystemTime)>,
}

/// Whether ECR takes this name.
pub(in super::super) fn valid_name(repositories: &Repositories, name: &str) -> bool {
    (2..=256).contains(&name.len()) && repositories.names().valid(name)
}

impl Ecr {
    /// What a repository is set to. One that came with the layout, or with a push, has the defaults.
    fn repository(&self, name: &str) -> Repository {
        self.change(name, |_| {})
    }

    fn fresh(&self) -> Repository {
        Repository {
            created: SystemTime::now(),
            tags: self.default_tags(),
            scan_on_push: false,
            encryption: json!({ "encryptionType": "AES256" }),
            lifecycle: None,
        }
    }

    fn default_tags(&self) -> TagRule {
        let filters = self.settings.mutable_tags.clone();
        match (self.is_on(Switch::Immutable), filters.is_empty()) {
            (false, _) => TagRule::default(),
            (true, true) => TagRule { mutability: Mutability::Immutable, filters },
            (true, false) => TagRule { mutability: Mutability::ImmutableWithExclusion, filters },
        }
    }

    /// Refuses to move a tag that is immutable.
    pub(in super::super) fn check_mutability(&self, name: &str, tag: &str, same: bool) -> Result<(), Refusal> {
        let immutable = self.repository(name).tags.is_immutable(tag);
        if immutable && (!same || self.is_on(Switch::ImmutableSameDigest)) {
            return Err(self.immutable(name, tag));
        }
        Ok(())
    }

    /// Whether two repositories are encrypted alike: only then is a blob mounted (ECR user guide: blob mounting).
    pub(in super::super) fn same_encryption(&self, one: &str, other: &str) -> bool {
        self.repository(one).encryption == self.repository(other).encryption
    }

    /// Changes what a repository is set to; what it is then is the answer.
    fn change(&self, name: &str, change: impl FnOnce(&mut Repository)) -> Repository {
        let mut repositories = lock(&self.repositories);
        let repository = repositories.entry(name.to_owned()).or_insert_with(|| self.fresh());
        change(repository);
        repository.clone()
    }

    fn described(&self, name: &str) -> Value {
        let (repository, settings) = (self.repository(name), &self.settings);
        let mut value = json!({
            "repositoryArn": self.arn(Some(name)),
            "registryId": settings.account,
            "repositoryName": name,
            "repositoryUri": format!("{}/{name}", settings.host()),
            "createdAt": seconds(repository.created),
            "imageTagMutability": repository.tags.mutability.name(),
            "imageScanningConfiguration": { "scanOnPush": repository.scan_on_push },
            "encryptionConfiguration": repository.encryption,
        });
        if !repository.tags.filters.is_empty() {
            value["imageTagMutabilityExclusionFilters"] = written(&repository.tags.filters);
        }
        value
    }
}

fn written(filters: &[String]) -> Value {
    filters.iter().map(|filter| json!({ "filterType": "WILDCARD", "filter": filter })).collect()
}

/// Mutability and its filters, as a request has them.
fn tag_rule(input: &Input) -> Result<TagRule, Refusal> {
    let word = input.0["imageTagMutability"].as_str().unwrap_or("MUTABLE");
    let Some(mutability) = Mutability::parse(word) else {
        let constraint = "Member must satisfy enum value set: [MUTABLE, IMMUTABLE, IMMUTABLE_WITH_EXCLUSION, \
                          MUTABLE_WITH_EXCLUSION]";
        return Err(texts::invalid_parameter("imageTagMutability", constraint));
    };
    let excludes = matches!(mutability, Mutability::ImmutableWithExclusion | Mutability::MutableWithExclusion);
    if !excludes {
        return match input.0.get(FILTERS).and_then(Value::as_array) {
            Some(filters) if !filters.is_empty() => {
                Err(texts::invalid_parameter(FILTERS, "must be empty unless the mutability has an exclusion"))
            }
            _ => Ok(TagRule { mutability, filters: Vec::new() }),
        };
    }
    let mut filters = Vec::new();
    for filter in input.list(FILTERS, 5)? {
        let text = filter["filter"].as_str().unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || "._*-".contains(c);
        let good = (1..=128).contains(&text.len()) && text.chars().all(fits) && text.matches('*').count() <= 2;
        if filter["filterType"] != "WILDCARD" || !good {
            return Err(texts::invalid_parameter(FILTERS, "must satisfy regular expression '^[0-9a-zA-Z._*-]{1,128}'"));
        }
        filters.push(text.to_owned());
    }
    Ok(TagRule { mutability, filters })
}

/// ECR API reference: `CreateRepository`.
pub(super) fn create(shared: &Shared, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = input.text("repositoryName")?;
    if !valid_name(&shared.repositories, name) {
        return Err(texts::bad_name(name).into());
    }
    let account = &ecr.settings.account;
    if shared.repositories.exists(name)? {
        let message = format!("The repository with name '{name}' already exists in the registry with id '{account}'");
        return Err(exception("RepositoryAlreadyExistsException", message).into());
    }
    let tags = match input.0.get("imageTagMutability") {
        None => ecr.default_tags(),
        Some(_) => tag_rule(input)?,
    };
    let encryption = match &input.0["encryptionConfiguration"] {
        Value::Null => json!({ "encryptionType": "AES256" }),
        given if matches!(given["encryptionType"].as_str(), Some("AES256" | "KMS" | "KMS_DSSE")) => given.clone(),
        _ => {
            let constraint = "Member must satisfy enum value set: [AES256, KMS, KMS_DSSE]";
            return Err(texts::invalid_parameter("encryptionConfiguration.encryptionType", constraint).into());
        }
    };
    if lock(&ecr.repositories).len() >= REPOSITORIES {
        return Err(exception("LimitExceededException", "The limit of repositories is reached").into());
    }
    shared.repositories.create(name);
    ecr.change(name, |repository| {
        *repository = Repository {
            created: SystemTime::now(),
            tags,
            scan_on_push: input.0["imageScanningConfiguration"]["scanOnPush"].as_bool().unwrap_or_default(),
            encryption,
            lifecycle: None,
        };
    });
    Ok(json!({ "repository": ecr.described(name) }))
}

/// ECR API reference: `DescribeRepositories`.
pub(super) fn describe(shared: &Shared, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    if !input.0["repositoryNames"].is_null() {
        let names = input.list("repositoryNames", 100)?;
        let mut found = Vec::new();
        for name in names {
            let name = name.as_str().unwrap_or_default();
            if !valid_name(&shared.repositories, name) {
                return Err(texts::bad_name(name).into());
            }
            let ours = input.0["registryId"].as_str().is_none_or(|id| id == ecr.settings.account);
            if !ours || !shared.repositories.exists(name)? {
                return Err(ecr.no_repository(name).into());
            }
            found.push(ecr.described(name));
        }
        return Ok(json!({ "repositories": found }));
    }
    let names: Vec<String> = shared.repositories.all()?.into_iter().collect();
    let (page, next) = input.page(names, Clone::clone)?;
    let page: Vec<Value> = page.iter().map(|name| ecr.described(name)).collect();
    Ok(with_next(json!({ "repositories": page }), next))
}

/// ECR API reference: `DeleteRepository`.
pub(super) fn delete(shared: &Shared, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = input.repository(shared, ecr)?;
    let change = shared.repositories.change();
    let holds = shared.repositories.snapshot()?.get(&name).is_some_and(|repository| !repository.manifests.is_empty());
    if holds && input.0["force"] != true {
        let message = format!(
            "The repository with name '{name}' in registry with id '{}' cannot be deleted because it still contains \
             images",
            ecr.settings.account
        );
        return Err(exception("RepositoryNotEmptyException", message).into());
    }
    let described = ecr.described(&name);
    change.remove_repository(&name)?;
    lock(&ecr.repositories).remove(&name);
    Ok(json!({ "repository": described }))
}

/// ECR API reference: `PutLifecyclePolicy`. The policy is kept; nobody acts on it.
pub(super) fn put_lifecycle_policy(shared: &Shared, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = input.repository(shared, ecr)?;
    let text = input.text("lifecyclePolicyText")?;
    if text.len() < 100 {
        let constraint = "must have length greater than or equal to 100";
        return Err(texts::invalid_parameter("lifecyclePolicyText", constraint).into());
    }
    if text.len() > 30_720 {
        let constraint = "must have length less than or equal to 30720";
        return Err(texts::invalid_parameter("lifecyclePolicyText", constraint).into());
    }
    let policy: Value = serde_json::from_str(text).unwrap_or_default();
    if policy["rules"].as_array().is_none_or(Vec::is_empty) {
        let constraint = "Lifecycle policy validation failure: the policy has no rules";
        return Err(texts::invalid_parameter("LifecyclePolicyText", constraint).into());
    }
    ecr.change(&name, |repository| repository.lifecycle = Some((text.to_owned(), SystemTime::now())));
    Ok(json!({
        "registryId": ecr.settings.account, "repositoryName": name, "lifecyclePolicyText": text,
    }))
}

/// ECR API reference: `GetLifecyclePolicy`.
pub(super) fn get_lifecycle_policy(shared: &Shared, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = input.repository(shared, ecr)?;
    let account = &ecr.settings.account;
    let Some((text, since)) = ecr.repository(&name).lifecycle else {
        let message = format!(
            "Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{account}'"
        );
        return Err(exception("LifecyclePolicyNotFoundException", message).into());
    };
    Ok(json!({
        "registryId": account, "repositoryName": name, "lifecyclePolicyText": text, "lastEvaluatedAt": seconds(since),
    }))
}

/// ECR API reference: `PutImageTagMutability`.
pub(super) fn put_mutability(shared: &Shared, ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = input.repository(shared, ecr)?;
    let tags = tag_rule(input)?;
    ecr.change(&name, |repository| {
        repository.tags.clone_from(&tags);
    });
    let mut output = json!({
        "registryId": ecr.settings.account, "repositoryName": name, "imageTagMutability": tags.mutability.name(),
    });
    if !tags.filters.is_empty() {
        output["imageTagMutabilityExclusionFilters"] = written(&tags.filters);
    }
    Ok(output)
}

/// ECR API reference: `PutAccountSetting`. Of the settings only `BLOB_MOUNTING` changes anything here.
pub(super) fn put_account_setting(ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let (name, value) = (setting_name(input)?, input.text("value")?);
    if name == BLOB_MOUNTING && !matches!(value, "ENABLED" | "DISABLED") {
        return Err(texts::invalid_parameter("value", "Member must satisfy enum value set: [ENABLED, DISABLED]").into());
    }
    lock(&ecr.account).insert(name.to_owned(), value.to_owned());
    Ok(json!({ "name": name, "value": value }))
}

/// ECR API reference: `GetAccountSetting`.
pub(super) fn get_account_setting(ecr: &Ecr, input: &Input) -> Result<Value, Stop> {
    let name = setting_name(input)?;
    let default = match name {
        BLOB_MOUNTING => "DISABLED",
        "BASIC_SCAN_TYPE_VERSION" => "AWS_NATIVE",
        _ => "V2",
    };
    let value = lock(&ecr.account).get(name).cloned().unwrap_or_else(|| default.into());
    Ok(json!({ "name": name, "value": value }))
}

fn setting_name(input: &Input) -> Result<&str, Refusal> {
    let name = input.text("name")?;
    if [BLOB_MOUNTING, "BASIC_SCAN_TYPE_VERSION", "REGISTRY_POLICY_SCOPE"].contains(&name) {
        return Ok(name);
    }
    let constraint =
        "Member must satisfy enum value set: [BASIC_SCAN_TYPE_VERSION, BLOB_MOUNTING, REGISTRY_POLICY_SCOPE]";
    Err(texts::invalid_parameter("name", constraint))
}
