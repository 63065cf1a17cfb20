//! `iam-policy`: the least policy, ready to paste. What it prints is a document of AWS's, with or without `--json`.

use std::process::ExitCode;

use dockless::aws::ecr::{EcrHost, repository_arn};
use dockless::aws::partition::Partition;
use dockless::aws::policy::{Deploy, GithubTrust, Push, Verify};
use dockless::oci::reference::Reference;

use super::args::iam_policy::{self as args, IamPolicy, Place, Policy, Repositories};
use super::context::Context;
use super::failure::Failure;

/// Runs `dockless iam-policy`.
pub fn run(args: &IamPolicy, context: &Context) -> Result<ExitCode, Failure> {
    let policy = match &args.policy {
        Policy::Push(args) => push(args)?.policy(),
        Policy::Verify(args) => verify(args)?.policy(),
        Policy::Deploy(args) => deploy(args)?.policy(),
        Policy::GithubTrust(args) => github_trust(args).policy(),
    };
    context.json(&policy)?;
    Ok(ExitCode::SUCCESS)
}

fn push(args: &args::PushPolicy) -> Result<Push, Failure> {
    let places = places(&args.repositories.references)?;
    let repositories = arns(&args.repositories, &places, &args.place)?;
    if repositories.is_empty() {
        return Err(Failure::new("no repository is named").hint(
            "give a reference, such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app, or --repository",
        ));
    }
    let mount_from = match args.mount_from.as_slice() {
        [] => Vec::new(),
        names => {
            let at = Where::of(&args.place, &places)?;
            names.iter().map(|name| at.repository(name)).collect()
        }
    };
    Ok(Push { repositories, mount_from, create: args.create_repository, preflight: args.preflight })
}

fn verify(args: &args::VerifyPolicy) -> Result<Verify, Failure> {
    let places = places(&args.repositories.references)?;
    let repositories = arns(&args.repositories, &places, &args.place)?;
    let services = match args.service.as_slice() {
        [] => Vec::new(),
        names => services(&Where::of(&args.place, &places)?, names),
    };
    Ok(Verify { repositories, services })
}

fn deploy(args: &args::DeployPolicy) -> Result<Deploy, Failure> {
    let at = Where::of(&args.place, &[])?;
    let role = |role: &String| {
        if role.starts_with("arn:") {
            role.clone()
        } else {
            format!("arn:{}:iam::{}:role/{role}", at.partition, at.account)
        }
    };
    Ok(Deploy { services: services(&at, &args.service), roles: args.pass_role.iter().map(role).collect() })
}

fn github_trust(args: &args::GithubTrust) -> GithubTrust {
    GithubTrust {
        provider: GithubTrust::provider(args.partition, &args.account),
        audience: args.audience.clone(),
        repository: args.github.clone(),
        ids: args.org_id.zip(args.repo_id),
        branches: args.branch.clone(),
        tags: args.tag.clone(),
        environments: args.environment.clone(),
    }
}

fn services(at: &Where, names: &[String]) -> Vec<String> {
    let Where { partition, region, account } = at;
    names.iter().map(|name| format!("arn:{partition}:ecs:{region}:{account}:service/{name}")).collect()
}

/// Where something is, whole.
#[derive(Clone, PartialEq, Eq)]
struct Where {
    partition: Partition,
    region: String,
    account: String,
}

impl Where {
    /// The place that the flags name; what they leave out is the references', if these agree.
    fn of(flags: &Place, known: &[Self]) -> Result<Self, Failure> {
        let all_same = known.windows(2).all(|pair| pair[0] == pair[1]);
        let first = known.first().filter(|_| all_same);
        let missing = |flag: &str| {
            Failure::new(format!("{flag} is missing"))
                .hint("an ARN names account and region: give both, or a reference of ECR that says them")
        };
        let account = flags.account.clone().or_else(|| Some(first?.account.clone()));
        let region = flags.region.clone().or_else(|| Some(first?.region.clone()));
        let region = region.ok_or_else(|| missing("--region"))?;
        let partition = flags.partition.unwrap_or_else(|| Partition::of_region(&region));
        Ok(Self { partition, region, account: account.ok_or_else(|| missing("--account"))? })
    }

    fn repository(&self, name: &str) -> String {
        repository_arn(self.partition, &self.region, &self.account, name)
    }
}

/// Where the registries of references are.
fn places(references: &[Reference]) -> Result<Vec<Where>, Failure> {
    let place = |reference: &Reference| {
        let host = EcrHost::parse(reference.registry()).and_then(|host| {
            let account = host.account?;
            Some(Where { partition: host.partition, region: host.region, account })
        });
        host.ok_or_else(|| {
            Failure::new(format!("{} is not a private registry of ECR", reference.registry())).hint(
                "its name is ACCOUNT.dkr.ecr.REGION.amazonaws.com; else give --account, --region and --repository",
            )
        })
    };
    let places: Vec<Where> = references.iter().map(place).collect::<Result<_, _>>()?;
    // AWS refuses a policy with ARNs of another cloud: no credentials reach both.
    match places.iter().find(|place| place.partition != places[0].partition) {
        Some(other) => Err(Failure::new(format!(
            "one policy cannot be for the partitions {} and {}",
            places[0].partition, other.partition
        ))
        .hint("make a policy for each: they belong to different accounts")),
        None => Ok(places),
    }
}

/// The ARNs of the repositories that the references and flags name, each once.
fn arns(repositories: &Repositories, places: &[Where], flags: &Place) -> Result<Vec<String>, Failure> {
    let mut arns: Vec<String> = Vec::new();
    for (reference, place) in repositories.references.iter().zip(places) {
        let same = |flag: &Option<String>, said: &String| flag.as_ref().is_none_or(|flag| flag == said);
        let partition = flags.partition.is_none_or(|partition| partition == place.partition);
        if !same(&flags.account, &place.account) || !same(&flags.region, &place.region) || !partition {
            return Err(Failure::new(format!("{reference} is not where --account, --region and --partition say"))
                .hint("leave them out: the registry's name says all three"));
        }
        arns.push(place.repository(reference.repository()));
    }
    if !repositories.repository.is_empty() {
        let at = Where::of(flags, places)?;
        arns.extend(repositories.repository.iter().map(|name| at.repository(name)));
    }
    let mut seen = std::collections::HashSet::new();
    arns.retain(|arn| seen.insert(arn.clone()));
    Ok(arns)
}
