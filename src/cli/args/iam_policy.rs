//! `iam-policy`: policies of what dockless does, for the AWS console, the CLI or Terraform.

use clap::{ArgGroup, Args, Subcommand};
use dockless::aws::ecr::is_region;
use dockless::aws::partition::Partition;
use dockless::oci::reference::Reference;

/// What `iam-policy` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dockless iam-policy push 123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app
  dockless iam-policy github-trust --account 123456789012 --github acme/app --branch main")]
pub struct IamPolicy {
    /// Which policy.
    #[command(subcommand)]
    pub policy: Policy,
}

/// Which policy.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// the permissions to push images
    #[command(after_help = "Examples:
  dockless iam-policy push 123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app
  dockless iam-policy push --account 123456789012 --region eu-central-1 --repository team/app \\
    --mount-from base/python --create-repository
  aws iam put-role-policy --role-name ci --policy-name push \\
    --policy-document \"$(dockless iam-policy push \"$REFERENCE\")\"")]
    Push(PushPolicy),
    /// the permissions to read images and task definitions
    #[command(after_help = "Examples:
  dockless iam-policy verify 123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app
  dockless iam-policy verify --account 123456789012 --region eu-central-1 --service main/web")]
    Verify(VerifyPolicy),
    /// the permissions to register task definitions and update services
    #[command(after_help = "Examples:
  dockless iam-policy deploy --account 123456789012 --region eu-central-1 --service main/web \\
    --pass-role ecsTaskExecutionRole --pass-role web-task")]
    Deploy(DeployPolicy),
    /// the trust policy of a role that jobs of a GitHub repository assume
    ///
    /// The job needs `permissions: id-token: write`. One that has an environment is known by it alone, no longer by its
    /// branch or tag. Names are compared letter by letter: write them as GitHub does. Repositories made or renamed
    /// since summer 2026 have their numbers in the subject; `gh api repos/ORG/REPO --jq '.owner.id, .id'` prints both.
    #[command(after_help = "Examples:
  dockless iam-policy github-trust --account 123456789012 --github acme/app --branch main
  dockless iam-policy github-trust --account 123456789012 --github acme/app \\
    --environment production --org-id 1234 --repo-id 5678")]
    GithubTrust(GithubTrust),
}

/// What `iam-policy push` takes.
#[derive(Debug, Args)]
pub struct PushPolicy {
    /// Which repositories.
    #[command(flatten)]
    pub repositories: Repositories,
    /// Where they are.
    #[command(flatten)]
    pub place: Place,
    /// also allow to create a repository that is missing
    #[arg(long)]
    pub create_repository: bool,
    /// also allow to mount blobs from this repository of the same registry (again for more)
    #[arg(long, value_name = "NAME", value_parser = repository)]
    pub mount_from: Vec<String>,
    /// also allow to look at repositories and tags before anything is sent
    #[arg(long)]
    pub preflight: bool,
}

/// What `iam-policy verify` takes.
#[derive(Debug, Args)]
pub struct VerifyPolicy {
    /// Which repositories.
    #[command(flatten)]
    pub repositories: Repositories,
    /// Where they are.
    #[command(flatten)]
    pub place: Place,
    /// also allow to ask for the task definition of this service (again for more)
    #[arg(long, value_name = "CLUSTER/SERVICE", value_parser = service)]
    pub service: Vec<String>,
}

/// What `iam-policy deploy` takes.
#[derive(Debug, Args)]
pub struct DeployPolicy {
    /// Where the services are.
    #[command(flatten)]
    pub place: Place,
    /// the service (again for more)
    #[arg(long, required = true, value_name = "CLUSTER/SERVICE", value_parser = service)]
    pub service: Vec<String>,
    /// a task or execution role that the task definition names, by name or ARN (again for more)
    #[arg(long, value_name = "ROLE", value_parser = role)]
    pub pass_role: Vec<String>,
}

/// What `iam-policy github-trust` takes.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("context").required(true).multiple(true).args(["branch", "tag", "environment"]))]
pub struct GithubTrust {
    /// the repository, in GitHub's own spelling
    #[arg(long, value_name = "ORG/REPO", value_parser = github)]
    pub github: String,
    /// jobs on this branch; `*` stands for anything (again for more)
    #[arg(long, value_name = "NAME", value_parser = context)]
    pub branch: Vec<String>,
    /// jobs on this tag; `*` stands for anything (again for more)
    #[arg(long, value_name = "NAME", value_parser = context)]
    pub tag: Vec<String>,
    /// jobs of this environment (again for more)
    #[arg(long, value_name = "NAME", value_parser = context)]
    pub environment: Vec<String>,
    /// the number of the organisation or user, for subjects that hold it
    #[arg(long, value_name = "NUMBER", requires = "repo_id")]
    pub org_id: Option<u64>,
    /// the number of the repository, for subjects that hold it
    #[arg(long, value_name = "NUMBER", requires = "org_id")]
    pub repo_id: Option<u64>,
    /// the account of the role
    #[arg(long, value_name = "NUMBER", value_parser = account)]
    pub account: String,
    /// the partition of the account
    #[arg(long, value_name = "NAME", default_value = "aws")]
    pub partition: Partition,
    /// the audience that the job asks for
    #[arg(long, value_name = "NAME", default_value = "sts.amazonaws.com")]
    pub audience: String,
}

/// Repositories of ECR.
#[derive(Debug, Args)]
pub struct Repositories {
    /// an image or repository of ECR, which says account, region and repository
    #[arg(value_name = "REFERENCE")]
    pub references: Vec<Reference>,
    /// a repository by name; `*` stands for anything (again for more)
    #[arg(long, value_name = "NAME", value_parser = repository)]
    pub repository: Vec<String>,
}

/// Account and region; a reference says them as well.
#[derive(Debug, Args)]
pub struct Place {
    /// the account's twelve digits
    #[arg(long, value_name = "NUMBER", value_parser = account)]
    pub account: Option<String>,
    /// the region
    #[arg(long, value_name = "NAME", value_parser = region)]
    pub region: Option<String>,
    /// the partition, where the region does not say it: aws, aws-cn, aws-us-gov, aws-eusc, ...
    #[arg(long, value_name = "NAME")]
    pub partition: Option<Partition>,
}

fn account(text: &str) -> Result<String, String> {
    let sound = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    if sound { Ok(text.into()) } else { Err("an account is twelve digits".into()) }
}

fn region(text: &str) -> Result<String, String> {
    if is_region(text) { Ok(text.into()) } else { Err("a region is written eu-central-1".into()) }
}

/// A repository's name or a pattern. Nothing that is not a name may come into an ARN.
fn repository(text: &str) -> Result<String, String> {
    let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/*?".contains(&b);
    if text.split('/').next().is_some_and(|first| first.contains('.') && first.split('.').count() > 3) {
        return Err("a whole reference goes without --repository".into());
    }
    let slashes = text.starts_with('/') || text.ends_with('/') || text.contains("//");
    if text.is_empty() || slashes || !text.bytes().all(sound) {
        return Err("a repository's name is lower case, such as team/app or team/*".into());
    }
    Ok(text.into())
}

/// `CLUSTER/SERVICE`, or a pattern.
fn service(text: &str) -> Result<String, String> {
    let name = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'*' | b'?'))
    };
    match text.split_once('/') {
        Some((cluster, service)) if name(cluster) && name(service) => Ok(text.into()),
        _ => Err("a service is written CLUSTER/SERVICE".into()),
    }
}

/// A role's name, with its path if it has one, or its ARN.
fn role(text: &str) -> Result<String, String> {
    let name = match text.split_once(":role/") {
        Some((start, name)) if start.starts_with("arn:") => name,
        Some(_) => "",
        None => text,
    };
    let sound = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-/*?".contains(&b);
    if name.is_empty() || name == "*" || !name.bytes().all(sound) {
        return Err("a role is its name or its ARN; * alone would allow to hand over every role".into());
    }
    Ok(text.into())
}

fn github(text: &str) -> Result<String, String> {
    // No `*`: a pattern in the organisation's name would trust strangers.
    let name = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    match text.split_once('/') {
        Some((org, repo)) if name(org) && name(repo) => Ok(text.into()),
        _ => Err("a repository of GitHub is written ORG/REPO".into()),
    }
}

fn context(text: &str) -> Result<String, String> {
    let sound = !text.is_empty() && !text.starts_with("refs/") && !text.contains(char::is_control);
    if sound { Ok(text.into()) } else { Err("the name alone is expected, without refs/heads/ or refs/tags/".into()) }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::args::Arguments;

    #[test]
    fn every_example_parses() {
        let mut arguments = Arguments::command();
        let policies = arguments.find_subcommand_mut("iam-policy").expect("iam-policy").get_subcommands();
        for policy in policies {
            let help = policy.get_after_help().unwrap_or_else(|| panic!("{} has no example", policy.get_name()));
            let help = help.to_string().replace("\\\n", " ");
            for example in help.lines().filter(|line| line.trim_start().starts_with("dockless ")) {
                if let Err(error) = Arguments::try_parse_from(example.split_whitespace()) {
                    panic!("{example}\n{error}");
                }
            }
        }
    }

    #[test]
    fn nothing_but_names_comes_into_an_arn() {
        for text in ["", "/", "a//b", "App", "a b", "a\"", "a:b", "1.dkr.ecr.r.amazonaws.com/app"] {
            assert!(repository(text).is_err(), "{text}");
        }
        assert!(repository("team/*").is_ok() && repository("a__b.c-d/e").is_ok());
        for text in ["", "web", "a/b/c", "a/", "a/b:c"] {
            assert!(service(text).is_err(), "{text}");
        }
        for text in ["", "*", "arn:aws:iam::123456789012:role/*", "arn:aws:iam::123456789012:user/x", "a\"b"] {
            assert!(role(text).is_err(), "{text}");
        }
        assert!(role("service-role/ecsTaskExecutionRole").is_ok());
        for text in ["acme", "acme/*", "*/app", "a/b/c", "/app"] {
            assert!(github(text).is_err(), "{text}");
        }
        assert!(context("refs/heads/main").is_err() && context("release/*").is_ok());
        assert!(account("12345678901").is_err() && region("eu-central-1").is_ok() && region("eu central").is_err());
    }
}
