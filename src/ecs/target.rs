//! Targets: the task definitions that someone asks about, and the platform that each asks for at run time.

use serde::Serialize;
use thiserror::Error;

use super::cloudformation::Parameters;
use super::pattern::Pattern;
use super::task_definition::{CpuArchitecture, LaunchType, OperatingSystem, Port, Stated, TaskDefinition, platform};
use crate::oci::platform::Platform;

/// What someone says beside the source.
#[derive(Debug, Clone, Default)]
pub struct TargetOptions {
    /// The targets by ID, globs; any of them.
    pub targets: Vec<Pattern>,
    /// The container in which the image runs.
    pub container: Option<String>,
    /// The launch type, where the source names none or several.
    pub launch_type: Option<LaunchType>,
    /// The architecture, where the source leaves it open.
    pub architecture: Option<CpuArchitecture>,
    /// The parameters of a `CloudFormation` template.
    pub parameters: Parameters,
    /// The variables of a Terraform configuration.
    pub variables: Variables,
}

/// The values that someone gives to the variables of a Terraform configuration, the later winning over the earlier.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// Names and values of `TF_VAR_…`.
    pub environment: Vec<(String, String)>,
    /// `--var` and `--var-file`, in their order.
    pub given: Vec<Given>,
}

/// What gives variables their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// `--var-file`: a path.
    File(String),
    /// `--var`: a name and its value.
    Value(String, String),
}

impl Variables {
    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.given.iter().filter_map(|given| match given {
            Given::File(path) => Some(path.as_str()),
            Given::Value(..) => None,
        })
    }

    /// The names of the values that are given one by one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.given.iter().filter_map(|given| match given {
            Given::Value(name, _) => Some(name.as_str()),
            Given::File(_) => None,
        })
    }
}

/// Why no target is left.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectError {
    /// No ID matches.
    #[error("no target matches {wanted}: there is {present}")]
    NoTarget {
        /// The globs.
        wanted: String,
        /// The IDs that there are.
        present: String,
    },
    /// No such container.
    #[error("no task definition has a container {wanted:?}: there is {present}")]
    NoContainer {
        /// Its name.
        wanted: String,
        /// The containers that there are.
        present: String,
    },
    /// No Terraform configuration has such a variable.
    #[error("--var {wanted}: no Terraform configuration here has a variable {wanted:?}: there is {present}")]
    NoVariable {
        /// Its name.
        wanted: String,
        /// The variables that there are.
        present: String,
    },
    /// No template has such a parameter.
    #[error("--parameter {wanted}: no template here has a parameter {wanted:?}: there is {present}")]
    NoParameter {
        /// Its name.
        wanted: String,
        /// The parameters that there are.
        present: String,
    },
}

/// The platform that a target asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// This one.
    Platform {
        /// The platform.
        platform: Platform,
        /// Whose word it is: `ARM64, from task-definition.json:12:23`.
        why: String,
        /// Whether nothing states the architecture, so that the default of Fargate holds.
        by_default: bool,
    },
    /// Nobody knows.
    Undetermined {
        /// What is missing.
        why: String,
        /// How to say it.
        help: String,
    },
}

/// A task definition with what someone said beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The task definition.
    pub definition: TaskDefinition,
    /// Where it will run; empty where nobody says.
    pub launch_types: Vec<LaunchType>,
    /// The platform that it asks for.
    pub asked: Asked,
    /// The container in which the image runs, where someone named it.
    pub container: Option<String>,
}

impl Target {
    /// The target that a task definition is, given what else was said.
    pub fn new(definition: TaskDefinition, options: &TargetOptions) -> Self {
        let mut launch_types = definition.launch_types.value().cloned().unwrap_or_default();
        if let Some(said) = options.launch_type
            && (launch_types.is_empty() || launch_types.contains(&said) || definition.compatibilities.contains(&said))
        {
            launch_types = vec![said];
        }
        let asked = asked(&definition, &launch_types, options.architecture);
        Self { definition, launch_types, asked, container: options.container.clone() }
    }

    /// What `targets --json` says of it.
    pub fn json(&self) -> TargetJson {
        let definition = &self.definition;
        let platform = match &self.asked {
            Asked::Platform { platform, .. } => Some(platform.to_string()),
            Asked::Undetermined { .. } => None,
        };
        TargetJson {
            id: definition.id.clone(),
            family: words(&definition.family),
            architecture: words(&definition.architecture),
            architecture_source: definition.architecture.source(),
            operating_system: words(&definition.operating_system),
            launch_types: self.launch_types.iter().map(ToString::to_string).collect(),
            platform,
            containers: definition
                .containers
                .iter()
                .map(|container| ContainerJson {
                    name: container.name.clone(),
                    image: match (&container.image, &container.image_expression) {
                        (Stated::Known { value, .. }, _) => value.clone(),
                        (_, Some(expression)) => expression.clone(),
                        (stated, None) => words(stated),
                    },
                    ports: container.ports.clone(),
                })
                .collect(),
            containers_source: definition.other_containers.as_ref().map(ToString::to_string),
        }
    }
}

/// The targets among the definitions of a source: those that are named, else those that have the container, else all.
///
/// # Errors
/// The name that none of them has, and those that there are.
pub fn select(definitions: Vec<TaskDefinition>, options: &TargetOptions) -> Result<Vec<Target>, SelectError> {
    let join = |mut names: Vec<String>| {
        names.dedup();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    };
    let ids = join(definitions.iter().map(|definition| definition.id.clone()).collect());
    let present =
        definitions.iter().flat_map(|definition| &definition.containers).map(|container| container.name.clone());
    let present = join(present.collect());
    let named = |definition: &TaskDefinition| {
        options.targets.is_empty() || options.targets.iter().any(|pattern| pattern.matches(&definition.id))
    };
    let selected: Vec<_> = definitions.into_iter().filter(named).collect();
    if selected.is_empty() && !options.targets.is_empty() {
        let wanted = join(options.targets.iter().map(ToString::to_string).collect());
        return Err(SelectError::NoTarget { wanted, present: ids });
    }
    let selected: Vec<_> = match &options.container {
        None => selected,
        Some(wanted) => {
            let has = |definition: &TaskDefinition| {
                definition.other_containers.is_some() || definition.containers.iter().any(|c| c.name == *wanted)
            };
            let with: Vec<_> = selected.into_iter().filter(has).collect();
            if with.is_empty() {
                return Err(SelectError::NoContainer { wanted: wanted.clone(), present });
            }
            with
        }
    };
    Ok(selected.into_iter().map(|definition| Target::new(definition, options)).collect())
}

fn asked(definition: &TaskDefinition, launch_types: &[LaunchType], said: Option<CpuArchitecture>) -> Asked {
    let notation = definition.notation;
    let key = notation.architecture_key();
    let say = format!("state {key} (X86_64 or ARM64), or give --architecture");
    let os = match &definition.operating_system {
        Stated::Known { value, .. } => value.clone(),
        Stated::Unset => OperatingSystem::Linux,
        // ECS has Windows on X86_64 alone.
        Stated::Unresolved { .. } if definition.architecture.value() == Some(&CpuArchitecture::Arm64) => {
            OperatingSystem::Linux
        }
        Stated::Unresolved { reason, at } => {
            let stated = definition.architecture.value().map(|value| format!("{value}, but "));
            let why = format!("{}the operating system is not known ({reason}, {at})", stated.unwrap_or_default());
            let help = format!(
                "state {} in the source, or verify what is made of it: Terraform's plan, or what ECS has (`aws ecs \
                 describe-task-definition`)",
                notation.operating_system_key()
            );
            return Asked::Undetermined { why, help };
        }
    };
    let is = |architecture: CpuArchitecture, why: String, by_default: bool| Asked::Platform {
        platform: platform(&os, architecture),
        why,
        by_default,
    };
    if let Stated::Known { value, .. } = &definition.architecture {
        let source = definition.architecture.source().unwrap_or_default();
        return is(*value, format!("{value}, from {source}"), false);
    }
    let fargate = !launch_types.is_empty() && launch_types.iter().all(|kind| *kind == LaunchType::Fargate);
    if definition.architecture == Stated::Unset && fargate {
        let place = definition.launch_types.location().unwrap_or(&definition.location);
        let aside = match said {
            Some(said @ CpuArchitecture::Arm64) => format!("; --architecture {said} does not change that"),
            _ => String::new(),
        };
        return is(CpuArchitecture::X86_64, format!("X86_64, the default of Fargate, from {place}{aside}"), true);
    }
    if let Some(said) = said {
        return is(said, format!("{said}, from --architecture"), false);
    }
    let why = match &definition.architecture {
        Stated::Unresolved { reason, at } => format!("{key} is not known ({at}: {reason})"),
        _ if launch_types.is_empty()
            && let Stated::Unresolved { reason, at } = &definition.launch_types =>
        {
            let why = format!("the launch type is not known ({at}: {reason}), and no {key} is stated");
            return Asked::Undetermined { why, help: format!("{say}, or --launch-type") };
        }
        _ if launch_types.is_empty() => {
            let why = format!(
                "{} states neither {key} nor a launch type: X86_64 on Fargate, the instance's architecture \
                 elsewhere",
                definition.location
            );
            return Asked::Undetermined { why, help: format!("{say}, or --launch-type") };
        }
        _ if launch_types.contains(&LaunchType::Fargate) => {
            let why = format!(
                "{} states no {key}: X86_64 on Fargate, but it may also run on {}, where the instance \
                 decides",
                definition.location,
                other_words(launch_types)
            );
            return Asked::Undetermined { why, help: format!("{say}, or --launch-type") };
        }
        _ => format!("{} states no {key}: on {} the instance decides", definition.location, other_words(launch_types)),
    };
    Asked::Undetermined { why, help: say }
}

fn other_words(launch_types: &[LaunchType]) -> String {
    let others = launch_types.iter().filter(|kind| **kind != LaunchType::Fargate).map(ToString::to_string);
    others.collect::<Vec<_>>().join(" and ")
}

fn words<T: std::fmt::Display>(stated: &Stated<T>) -> String {
    match stated {
        Stated::Known { value, .. } => value.to_string(),
        Stated::Unset => "UNSET".into(),
        Stated::Unresolved { .. } => "UNRESOLVED".into(),
    }
}

/// A target in `targets --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetJson {
    /// How it is named in its source.
    pub id: String,
    /// Its family.
    pub family: String,
    /// What is stated or resolved, else `UNSET` or `UNRESOLVED`.
    pub architecture: String,
    /// Where that stands, or why it is not resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture_source: Option<String>,
    /// What is stated or resolved, else `UNSET` or `UNRESOLVED`.
    pub operating_system: String,
    /// Where it will run.
    pub launch_types: Vec<String>,
    /// What will be asked for at run time; `null` where it is undetermined.
    pub platform: Option<String>,
    /// Its containers, those that are known.
    pub containers: Vec<ContainerJson>,
    /// Where and why there may be others, where the source does not settle that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers_source: Option<String>,
}

/// A container in `targets --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerJson {
    /// Its name.
    pub name: String,
    /// Its image, the expression as it stands where it is not resolved.
    pub image: String,
    /// Its ports.
    pub ports: Vec<Port>,
}
