//! Task definitions as values, whatever format they were written in, each with the place where it stands.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

use super::details::{Details, Sizes};
pub use super::location::{Gap, Location, Stated};
use crate::oci::platform::{Arch, Os, Platform};

/// `runtimePlatform.cpuArchitecture` in the words of ECS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CpuArchitecture {
    /// `X86_64`
    X86_64,
    /// `ARM64`
    Arm64,
}

/// Why a word is not an architecture of ECS.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseCpuArchitectureError {
    /// One of the other spellings.
    #[error("{given:?} is not how ECS spells it: write {repair}")]
    Spelling {
        /// What was given.
        given: String,
        /// The word of ECS.
        repair: CpuArchitecture,
    },
    /// Something else.
    #[error("{0:?} is not an architecture that ECS runs: expected X86_64 or ARM64")]
    Unknown(String),
}

impl CpuArchitecture {
    /// The same in the words of OCI. One of the two places where spellings meet.
    pub fn platform(self) -> Platform {
        match self {
            Self::X86_64 => Platform::linux_amd64(),
            Self::Arm64 => Platform::linux_arm64(),
        }
    }
}

impl fmt::Display for CpuArchitecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "X86_64",
            Self::Arm64 => "ARM64",
        })
    }
}

impl FromStr for CpuArchitecture {
    type Err = ParseCpuArchitectureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let repair = match text {
            "X86_64" => return Ok(Self::X86_64),
            "ARM64" => return Ok(Self::Arm64),
            _ => match text.trim().to_ascii_lowercase().as_str() {
                "x86_64" | "x86-64" | "amd64" | "x64" | "linux/amd64" => Self::X86_64,
                "arm64" | "aarch64" | "armv8" | "linux/arm64" | "arm64/v8" | "linux/arm64/v8" => Self::Arm64,
                _ => return Err(ParseCpuArchitectureError::Unknown(text.into())),
            },
        };
        Err(ParseCpuArchitectureError::Spelling { given: text.into(), repair })
    }
}

/// `runtimePlatform.operatingSystemFamily`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatingSystem {
    /// `LINUX`
    Linux,
    /// One of the Windows families, in the word of ECS.
    Windows(String),
}

/// Why a word is not an operating system family.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not an operating system family: expected LINUX, or a Windows family such as WINDOWS_SERVER_2022_CORE"
)]
pub struct ParseOperatingSystemError(pub String);

impl OperatingSystem {
    /// The same in the words of OCI.
    pub fn os(&self) -> Os {
        match self {
            Self::Linux => Os::Linux,
            Self::Windows(_) => Os::Windows,
        }
    }
}

impl fmt::Display for OperatingSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linux => f.write_str("LINUX"),
            Self::Windows(word) => f.write_str(word),
        }
    }
}

impl FromStr for OperatingSystem {
    type Err = ParseOperatingSystemError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "LINUX" => Ok(Self::Linux),
            _ if text.starts_with("WINDOWS_SERVER_") => Ok(Self::Windows(text.into())),
            _ => Err(ParseOperatingSystemError(text.into())),
        }
    }
}

/// Where ECS runs a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LaunchType {
    /// On instances of the user's.
    Ec2,
    /// On Fargate.
    Fargate,
    /// On machines outside AWS.
    External,
    /// On instances that ECS manages.
    ManagedInstances,
}

/// Why a word is not a launch type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a launch type: expected FARGATE, EC2, EXTERNAL or MANAGED_INSTANCES")]
pub struct ParseLaunchTypeError(pub String);

impl fmt::Display for LaunchType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ec2 => "EC2",
            Self::Fargate => "FARGATE",
            Self::External => "EXTERNAL",
            Self::ManagedInstances => "MANAGED_INSTANCES",
        })
    }
}

impl FromStr for LaunchType {
    type Err = ParseLaunchTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "EC2" => Ok(Self::Ec2),
            "FARGATE" => Ok(Self::Fargate),
            "EXTERNAL" => Ok(Self::External),
            "MANAGED_INSTANCES" => Ok(Self::ManagedInstances),
            _ => Err(ParseLaunchTypeError(text.into())),
        }
    }
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Port {
    /// Its number.
    Number(u16),
    /// A range (`8000-8010`), or an expression that is not resolved, as it stands.
    Words(String),
}

/// The value of `PATH`: folders joined by colons. It comes from `environment`, so no `Debug` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct SearchPath(pub String);

impl fmt::Debug for SearchPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SearchPath(..)")
    }
}

/// A container definition, as far as it decides what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerDefinition {
    /// Its name.
    pub name: String,
    /// The image's reference.
    pub image: Stated<String>,
    /// The image as it is written, where that is an expression: `${aws_ecr_repository.app.repository_url}:v1`.
    pub image_expression: Option<String>,
    /// What starts, in place of the image's entrypoint; it drops the image's cmd.
    pub entry_point: Stated<Vec<String>>,
    /// What follows, in place of the image's cmd.
    pub command: Stated<Vec<String>>,
    /// The folder that it starts in.
    pub working_directory: Stated<String>,
    /// The user that it runs as.
    pub user: Stated<String>,
    /// The value of `PATH` in `environment`: the only value of all that is kept.
    pub path: Stated<SearchPath>,
    /// The names in `environment` and `secrets`.
    pub environment: Vec<String>,
    /// Its ports.
    pub ports: Vec<Port>,
    /// Whether the task ends with it; ECS takes `true` where nothing is said.
    pub essential: Stated<bool>,
    /// The paths at which volumes and `tmpfs` cover what the image has there.
    pub mounts: Vec<String>,
    /// Whether it takes volumes over from another container, whose paths stand there.
    pub volumes_from: bool,
    /// What it says beside what starts.
    pub details: Details,
    /// The first line of the whole definition.
    pub location: Location,
}

/// In whose words a task definition is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// Those of the ECS API.
    Ecs,
    /// Those of `CloudFormation`.
    CloudFormation,
    /// Those of Terraform.
    Terraform,
}

impl Notation {
    /// What states an architecture: `runtime_platform { cpu_architecture = "ARM64" }`.
    pub fn architecture(self, architecture: CpuArchitecture) -> String {
        match self {
            Self::Ecs => format!("\"runtimePlatform\": {{\"cpuArchitecture\": \"{architecture}\"}}"),
            Self::CloudFormation => format!("RuntimePlatform: {{CpuArchitecture: {architecture}}}"),
            Self::Terraform => format!("runtime_platform {{ cpu_architecture = \"{architecture}\" }}"),
        }
    }

    /// The key of the architecture, for a sentence.
    pub fn architecture_key(self) -> &'static str {
        match self {
            Self::Ecs => "runtimePlatform.cpuArchitecture",
            Self::CloudFormation => "RuntimePlatform.CpuArchitecture",
            Self::Terraform => "runtime_platform.cpu_architecture",
        }
    }

    /// The key of the operating system, for a sentence.
    pub fn operating_system_key(self) -> &'static str {
        match self {
            Self::Ecs => "runtimePlatform.operatingSystemFamily",
            Self::CloudFormation => "RuntimePlatform.OperatingSystemFamily",
            Self::Terraform => "runtime_platform.operating_system_family",
        }
    }
}

/// A task definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskDefinition {
    /// In whose words it is written.
    pub notation: Notation,
    /// How it is named in its source: the family, the Terraform address, the logical ID of a template.
    pub id: String,
    /// Its family.
    pub family: Stated<String>,
    /// `runtimePlatform.cpuArchitecture`.
    pub architecture: Stated<CpuArchitecture>,
    /// `runtimePlatform.operatingSystemFamily`.
    pub operating_system: Stated<OperatingSystem>,
    /// What `requiresCompatibilities` states: ECS holds the definition to the rules of each, wherever services run it.
    pub compatibilities: Vec<LaunchType>,
    /// Where it runs: what the services in the same source say, within `requiresCompatibilities`; else the latter.
    pub launch_types: Stated<Vec<LaunchType>>,
    /// `networkMode`.
    pub network_mode: Stated<String>,
    /// The sizes of its tasks.
    pub sizes: Sizes,
    /// Its containers, in order.
    pub containers: Vec<ContainerDefinition>,
    /// Why there may be other containers than these, where the source does not settle that.
    pub other_containers: Option<Gap>,
    /// The first line of the whole definition.
    pub location: Location,
}

/// The platform of this operating system on this architecture.
pub fn platform(operating_system: &OperatingSystem, architecture: CpuArchitecture) -> Platform {
    match operating_system {
        OperatingSystem::Linux => architecture.platform(),
        OperatingSystem::Windows(_) => {
            let architecture: Arch = architecture.platform().architecture;
            Platform::new(operating_system.os(), architecture)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_the_other_spellings() {
        for (given, wanted) in
            [("x86_64", "X86_64"), ("amd64", "X86_64"), ("arm64", "ARM64"), ("AARCH64", "ARM64"), ("ARM64 ", "ARM64")]
        {
            let error = given.parse::<CpuArchitecture>().expect_err("another spelling").to_string();
            assert!(error.ends_with(&format!("write {wanted}")), "{error}");
        }
        assert!(matches!("riscv64".parse::<CpuArchitecture>(), Err(ParseCpuArchitectureError::Unknown(_))));
        assert_eq!("ARM64".parse::<CpuArchitecture>().map(CpuArchitecture::platform), Ok(Platform::linux_arm64()));
    }
}
