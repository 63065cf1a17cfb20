//! IAM policies as documents, and the least ones that dockless needs (Amazon ECR User Guide "IAM permissions for
//! pushing an image", Service Authorization Reference).
//!
//! What is granted is named: repositories, services and roles by their ARNs. `*` stands only where the service knows no
//! resource for an action.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// The one version of the language that knows variables.
const VERSION: &str = "2012-10-17";

/// GitHub's identity provider, as AWS calls it.
const GITHUB: &str = "token.actions.githubusercontent.com";

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    /// What it allows, in order.
    pub statement: Vec<Statement>,
}

/// One statement of a policy that allows something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    effect: &'static str,
    /// Who may, in a policy that belongs to a resource: the kind of principal, and its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub principal: BTreeMap<&'static str, String>,
    /// What.
    #[serde(serialize_with = "one_or_many")]
    pub action: Vec<String>,
    /// Where; nothing in a policy that belongs to a resource.
    #[serde(serialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub resource: Vec<String>,
    /// When: operator, key, values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: BTreeMap<&'static str, BTreeMap<String, Values>>,
}

/// The values of a condition's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Values(#[serde(serialize_with = "one_or_many")] pub Vec<String>);

/// One value stands for itself, as AWS's own examples have it.
fn one_or_many<S: Serializer>(values: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match values {
        [one] => serializer.serialize_str(one),
        many => serializer.collect_seq(many),
    }
}

impl Statement {
    /// Allows actions on resources.
    pub fn allow<A: Into<String>, R: Into<String>>(
        actions: impl IntoIterator<Item = A>,
        resources: impl IntoIterator<Item = R>,
    ) -> Self {
        Self {
            effect: "Allow",
            principal: BTreeMap::new(),
            action: actions.into_iter().map(Into::into).collect(),
            resource: resources.into_iter().map(Into::into).collect(),
            condition: BTreeMap::new(),
        }
    }

    /// The same for a principal: a statement of a policy that belongs to a resource.
    #[must_use]
    pub fn to(mut self, kind: &'static str, name: impl Into<String>) -> Self {
        self.principal.insert(kind, name.into());
        self
    }

    /// The same where a key has one of these values.
    #[must_use]
    pub fn only_if(mut self, operator: &'static str, key: impl Into<String>, values: Vec<String>) -> Self {
        self.condition.entry(operator).or_default().insert(key.into(), Values(values));
        self
    }

    /// The statement in one line of JSON, to be pasted.
    pub fn line(&self) -> String {
        // Texts and lists of them: there is nothing in it that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<Vec<Statement>> for Policy {
    fn from(statement: Vec<Statement>) -> Self {
        Self { version: VERSION, statement }
    }
}

/// The token for any repository: an action without a resource, so that naming one would allow nothing (one of AWS's own
/// examples does).
fn token() -> Statement {
    Statement::allow(["ecr:GetAuthorizationToken"], ["*"])
}

/// What pushing needs.
#[derive(Debug, Clone, Default)]
pub struct Push {
    /// ARNs of the repositories that are pushed to.
    pub repositories: Vec<String>,
    /// ARNs of the repositories that blobs are mounted from.
    pub mount_from: Vec<String>,
    /// Whether a repository that is missing is created.
    pub create: bool,
    /// Whether repositories and tags are looked at through the control plane first.
    pub preflight: bool,
}

impl Push {
    /// The policy of whoever pushes.
    pub fn policy(self) -> Policy {
        // The order of AWS's own text. BatchGetImage is for the HEAD of the tag: without it the push works as well, and
        // finds out about an immutable tag at its end.
        let mut actions = vec![
            "ecr:BatchCheckLayerAvailability",
            "ecr:InitiateLayerUpload",
            "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload",
            "ecr:PutImage",
            "ecr:BatchGetImage",
        ];
        // Whether one is missing is asked before it is created.
        if self.preflight || self.create {
            actions.push("ecr:DescribeRepositories");
        }
        if self.preflight {
            actions.push("ecr:DescribeImages");
        }
        if self.create {
            actions.extend(["ecr:CreateRepository", "ecr:TagResource", "ecr:PutLifecyclePolicy"]);
        }
        let mut statements = vec![token(), Statement::allow(actions, self.repositories)];
        if self.preflight {
            // One that is missing may be created by the push: the registry's templates say so.
            statements.push(Statement::allow(["ecr:DescribeRepositoryCreationTemplates"], ["*"]));
        }
        if !self.mount_from.is_empty() {
            statements.push(Statement::allow(["ecr:GetDownloadUrlForLayer"], self.mount_from));
        }
        statements.into()
    }
}

/// What verifying needs.
#[derive(Debug, Clone, Default)]
pub struct Verify {
    /// ARNs of the repositories whose images are read.
    pub repositories: Vec<String>,
    /// ARNs of the services whose task definitions are asked for.
    pub services: Vec<String>,
}

impl Verify {
    /// The policy of whoever verifies.
    pub fn policy(self) -> Policy {
        let mut statements = Vec::new();
        if !self.repositories.is_empty() {
            statements.push(token());
            statements.push(Statement::allow(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], self.repositories));
        }
        statements.push(Statement::allow(["ecs:DescribeTaskDefinition"], ["*"]));
        if !self.services.is_empty() {
            statements.push(Statement::allow(["ecs:DescribeServices"], self.services));
        }
        statements.into()
    }
}

/// What deploying needs.
#[derive(Debug, Clone, Default)]
pub struct Deploy {
    /// ARNs of the services.
    pub services: Vec<String>,
    /// ARNs of the task and execution roles that the task definition names.
    pub roles: Vec<String>,
}

impl Deploy {
    /// The policy of whoever deploys.
    pub fn policy(self) -> Policy {
        let mut statements = vec![
            // As in AWS's own deploy action: a family that does not exist yet has no ARN to name.
            Statement::allow(["ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition"], ["*"]),
            Statement::allow(["ecs:DescribeServices", "ecs:UpdateService"], self.services),
        ];
        if !self.roles.is_empty() {
            // Without the condition the roles could be handed to any service.
            let to_tasks = vec!["ecs-tasks.amazonaws.com".to_owned()];
            statements.push(Statement::allow(["iam:PassRole"], self.roles).only_if(
                "StringEquals",
                "iam:PassedToService",
                to_tasks,
            ));
        }
        statements.into()
    }
}

/// Which jobs of a GitHub repository may assume a role.
#[derive(Debug, Clone, Default)]
pub struct GithubTrust {
    /// `arn:PARTITION:iam::ACCOUNT:oidc-provider/…` of GitHub's provider; see [`GithubTrust::provider`].
    pub provider: String,
    /// The audience that the job asks for.
    pub audience: String,
    /// `ORG/REPO`, in GitHub's own spelling: the comparison knows upper and lower case.
    pub repository: String,
    /// The numbers of the organisation and of the repository.
    pub ids: Option<(u64, u64)>,
    /// Branches; `*` and `?` are patterns.
    pub branches: Vec<String>,
    /// Tags; `*` and `?` are patterns.
    pub tags: Vec<String>,
    /// Environments. A job that has one is no longer known by its branch or tag.
    pub environments: Vec<String>,
}

impl GithubTrust {
    /// The ARN of GitHub's provider in an account.
    pub fn provider(partition: super::partition::Partition, account: &str) -> String {
        format!("arn:{partition}:iam::{account}:oidc-provider/{GITHUB}")
    }

    /// The role's trust policy (GitHub Docs, reference of its OIDC tokens).
    ///
    /// Repositories that were made or renamed since summer 2026 have `ORG@ID/REPO@ID` in their subjects, others the
    /// names alone. GitHub's first announcement wrote the numbers behind a hyphen; that form is never trusted, because
    /// `org-1/repo-2` is a name that anybody may take, while no name holds an `@`.
    pub fn policy(self) -> Policy {
        let mut names = vec![self.repository.clone()];
        if let (Some((org_id, repo_id)), Some((org, repo))) = (self.ids, self.repository.split_once('/')) {
            names.push(format!("{org}@{org_id}/{repo}@{repo_id}"));
        }
        let mut contexts: Vec<String> = self.branches.iter().map(|one| format!("ref:refs/heads/{one}")).collect();
        contexts.extend(self.tags.iter().map(|one| format!("ref:refs/tags/{one}")));
        // A colon would end the word: GitHub writes it so in an environment's name.
        contexts.extend(self.environments.iter().map(|one| format!("environment:{}", one.replace(':', "%3A"))));
        let subjects: Vec<String> = names
            .iter()
            .flat_map(|name| contexts.iter().map(move |context| format!("repo:{name}:{context}")))
            .collect();
        // StringEquals takes a `*` for itself, and refuses every job.
        let patterns = subjects.iter().any(|subject| subject.contains(['*', '?']));
        let operator = if patterns { "StringLike" } else { "StringEquals" };
        let statement = Statement::allow(["sts:AssumeRoleWithWebIdentity"], Vec::<String>::new())
            .to("Federated", self.provider)
            .only_if("StringEquals", format!("{GITHUB}:aud"), vec![self.audience])
            .only_if(operator, format!("{GITHUB}:sub"), subjects);
        vec![statement].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_a_line() {
        let arn = "arn:aws:ecr:eu-central-1:123456789012:repository/app";
        assert_eq!(
            Statement::allow(["ecr:PutImage"], [arn]).line(),
            format!(r#"{{"Effect":"Allow","Action":"ecr:PutImage","Resource":"{arn}"}}"#)
        );
        let shared = Statement::allow(["ecr:PutImage", "ecr:BatchGetImage"], Vec::<String>::new());
        assert_eq!(
            shared.to("AWS", "arn:aws:iam::123456789012:role/ci").line(),
            r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/ci"},"Action":["ecr:PutImage","ecr:BatchGetImage"]}"#
        );
    }

    #[test]
    fn subjects_have_both_forms_and_patterns_their_operator() {
        let trust = GithubTrust {
            repository: "Acme/app".into(),
            ids: Some((12, 34)),
            branches: vec!["main".into()],
            environments: vec!["a:b".into()],
            ..GithubTrust::default()
        };
        let subjects = |trust: GithubTrust, operator| {
            let policy = trust.policy();
            policy.statement[0].condition[operator]["token.actions.githubusercontent.com:sub"].0.clone()
        };
        assert_eq!(
            subjects(trust.clone(), "StringEquals"),
            [
                "repo:Acme/app:ref:refs/heads/main",
                "repo:Acme/app:environment:a%3Ab",
                "repo:Acme@12/app@34:ref:refs/heads/main",
                "repo:Acme@12/app@34:environment:a%3Ab",
            ]
        );
        let tags = GithubTrust { ids: None, branches: vec![], environments: vec![], tags: vec!["v*".into()], ..trust };
        assert_eq!(subjects(tags, "StringLike"), ["repo:Acme/app:ref:refs/tags/v*"]);
    }
}
