//! `verify` and `targets`, and the flags of every command that reads a task definition.

use std::path::PathBuf;

use clap::{ArgGroup, ArgMatches, Args, Command, FromArgMatches, ValueEnum};
use dockless::ecs::target::{Given, Variables};

use super::push::Registry;
use super::values::{Allow, Pair};

/// What `verify` takes.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("question").args(["task_definition", "explain"]).required(true)))]
#[command(after_help = "Examples:
  dockless verify ./oci --task-definition task-definition.json
  dockless verify registry.example.com/app:v1 --task-definition task-definition.json \\
    --container app --strict
  dockless verify ./oci --task-definition task-definition.json --sarif findings.sarif
  dockless verify --explain foreign-executable")]
pub struct Verify {
    /// a layout folder, a .tar archive or a registry reference; `oci:PATH[:NAME]`, `oci-archive:PATH[:NAME]`,
    /// `docker-archive:PATH[:NAME]` and `docker://REF` say which
    #[arg(required_unless_present = "explain")]
    pub image: Option<String>,
    /// explain a rule instead
    #[arg(long, value_name = "RULE", conflicts_with = "image")]
    pub explain: Option<String>,
    /// write the findings as SARIF 2.1.0, for code scanning; - is stdout, in place of the verdict
    #[arg(long, value_name = "FILE", conflicts_with = "explain")]
    pub sarif: Option<PathBuf>,
    /// The image must run there.
    #[command(flatten)]
    pub gate: Gate,
    /// look at the images of the other containers as well: all of them start on the same machine (asks their
    /// registries)
    #[arg(long, conflicts_with = "explain")]
    pub sidecars: bool,
    /// Where registries are.
    #[command(flatten)]
    pub registry: Registry,
}

/// What `targets` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aws ecs describe-task-definition --task-definition app | dockless targets -
  dockless targets task-definition.json --json")]
pub struct Targets {
    /// The sources.
    #[arg(
        required = true,
        value_name = "SOURCE",
        help = "a task definition (JSON, YAML), a Terraform folder, plan or state, a CloudFormation template, \
                ecs:FAMILY[:REVISION], ecs-service:CLUSTER/SERVICE, - for standard input"
    )]
    pub sources: Vec<String>,
    /// Which of them.
    #[command(flatten)]
    pub selection: Selection,
}

/// The task definitions that an image must run on.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Task definition")]
pub struct Gate {
    /// The task definitions that the image must run on.
    #[arg(
        long = "task-definition",
        id = "task_definition",
        value_name = "SOURCE",
        help = "the task definition that the image must run on: a JSON or YAML file, a Terraform folder or plan, a \
                CloudFormation template, ecs:FAMILY[:REVISION], ecs-service:CLUSTER/SERVICE, - for standard input \
                (again for more)"
    )]
    pub task_definitions: Vec<String>,
    /// Which of them.
    #[command(flatten)]
    pub selection: Selection,
    /// take warnings and what is undetermined as errors
    #[arg(long)]
    pub strict: bool,
    /// accept the findings of a rule, for some paths or all (again for more)
    #[arg(long, value_name = "RULE[=PATHGLOB]")]
    pub allow: Vec<Allow>,
}

/// Which task definitions and containers are meant, and what their source leaves open.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Task definition")]
pub struct Selection {
    /// only the task definitions whose ID matches this glob (again for more)
    #[arg(long = "target", value_name = "ID")]
    pub targets: Vec<String>,
    /// the container that runs the image
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// The parameters of a template.
    #[arg(
        long = "parameter",
        value_name = "NAME=VALUE",
        help = "a parameter of a CloudFormation template, also a pseudo parameter such as AWS::Region (again for more)"
    )]
    pub parameters: Vec<Pair>,
    /// The variables of a Terraform configuration.
    #[command(flatten)]
    pub variables: VariableFlags,
    /// the launch type, where the source does not say
    #[arg(long, value_name = "TYPE", ignore_case = true)]
    pub launch_type: Option<LaunchType>,
    /// the CPU architecture, where the source does not say
    #[arg(long, value_name = "ARCHITECTURE", ignore_case = true)]
    pub architecture: Option<Architecture>,
}

/// `--var` and `--var-file` in the order of the command line, as Terraform takes them: the last one counts.
#[derive(Debug, Clone, Default)]
pub struct VariableFlags(pub Variables);

#[derive(Args)]
struct EachVariableFlag {
    /// the value of a Terraform variable (again for more)
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// a file with values of Terraform variables, .tfvars or .tfvars.json (again for more)
    #[arg(long = "var-file", value_name = "FILE")]
    variable_files: Vec<String>,
}

impl Args for VariableFlags {
    fn augment_args(command: Command) -> Command {
        EachVariableFlag::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        EachVariableFlag::augment_args_for_update(command)
    }
}

impl FromArgMatches for VariableFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let each = EachVariableFlag::from_arg_matches(matches)?;
        let places = |id| matches.indices_of(id).into_iter().flatten();
        let values = each.variables.into_iter().map(|(name, value)| Given::Value(name, value));
        let files = each.variable_files.into_iter().map(Given::File);
        let mut given: Vec<(usize, Given)> =
            places("variables").zip(values).chain(places("variable_files").zip(files)).collect();
        given.sort_by_key(|(place, _)| *place);
        let given = given.into_iter().map(|(_, given)| given).collect();
        Ok(Self(Variables { given, ..Variables::default() }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

/// An ECS launch type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LaunchType {
    #[value(help = None)]
    /// `FARGATE`
    Fargate,
    #[value(help = None)]
    /// `EC2`
    Ec2,
    #[value(help = None)]
    /// `EXTERNAL`
    External,
    #[value(help = None)]
    /// `MANAGED_INSTANCES`
    ManagedInstances,
}

/// A CPU architecture in the words of ECS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Architecture {
    #[value(name = "X86_64", help = None)]
    /// `X86_64`
    X86_64,
    #[value(name = "ARM64", help = None)]
    /// `ARM64`
    Arm64,
}
