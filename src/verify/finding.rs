//! Findings: what a rule found, where, whose word it goes against, and what to do. Data; text, JSON for a terminal and
//! exit codes are made elsewhere.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::ecs::target::TargetJson;
use crate::ecs::task_definition::Location;
use crate::oci::digest::Digest;

/// A rule. Its name is stable: scripts and `allow` lists depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The image has nothing for the platform that the task asks for.
    PlatformMissing,
    /// The index and the image configuration say different things.
    ConfigDisagrees,
    /// An ELF file is made for another machine.
    ForeignExecutable,
    /// Nothing says which architecture the task runs on.
    ArchitectureNotStated,
    /// What the container starts does not exist.
    EntrypointNotFound,
    /// What the container starts exists, but the kernel refuses to execute it.
    EntrypointNotExecutable,
    /// The runtime refuses the working folder or the user before it executes anything.
    ProcessRefused,
    /// What a script or program needs in order to start does not exist.
    InterpreterMissing,
    /// A library that a program needs does not exist, or not where its loader looks.
    LibraryMissing,
    /// The task maps a port that the image does not expose.
    PortNotExposed,
    /// The health check starts what the image does not have.
    HealthCheckNotFound,
    /// The image does not fit on the ephemeral storage of the task.
    StorageTooSmall,
    /// The launch type does not have the network mode.
    NetworkMode,
    /// A host port is not the container port where both are the same port.
    HostPortDiffers,
    /// Fargate has no tasks of this size.
    FargateSize,
    /// The task takes its image from another region.
    RegionDiffers,
    /// The task takes its image from another repository.
    RepositoryDiffers,
    /// The task names another digest than the image's.
    DigestDiffers,
    /// The task names the verified image by a tag.
    MutableReference,
    /// The logs of a container go to another region.
    LogRegionDiffers,
    /// A file that was hardly meant to be in an image.
    SecretInImage,
    /// The image of another container has nothing for the platform of the task.
    SidecarPlatformMissing,
    /// The task asks for Windows, whose programs are not judged.
    WindowsTask,
    /// Nothing says which container the image runs in.
    ContainerNotChosen,
    /// An `allow` that allowed nothing.
    AllowUnused,
}

/// No such rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no rule {given:?}: the rules are {}", Rule::ALL.map(Rule::name).join(", "))]
pub struct ParseRuleError {
    /// What was given.
    pub given: String,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::PlatformMissing,
        Self::ConfigDisagrees,
        Self::ForeignExecutable,
        Self::ArchitectureNotStated,
        Self::EntrypointNotFound,
        Self::EntrypointNotExecutable,
        Self::ProcessRefused,
        Self::InterpreterMissing,
        Self::LibraryMissing,
        Self::PortNotExposed,
        Self::HealthCheckNotFound,
        Self::StorageTooSmall,
        Self::NetworkMode,
        Self::HostPortDiffers,
        Self::FargateSize,
        Self::RegionDiffers,
        Self::RepositoryDiffers,
        Self::DigestDiffers,
        Self::MutableReference,
        Self::LogRegionDiffers,
        Self::SecretInImage,
        Self::SidecarPlatformMissing,
        Self::WindowsTask,
        Self::ContainerNotChosen,
        Self::AllowUnused,
    ];

    /// `platform-missing`
    pub const fn name(self) -> &'static str {
        match self {
            Self::PlatformMissing => "platform-missing",
            Self::ConfigDisagrees => "config-disagrees",
            Self::ForeignExecutable => "foreign-executable",
            Self::ArchitectureNotStated => "architecture-not-stated",
            Self::EntrypointNotFound => "entrypoint-not-found",
            Self::EntrypointNotExecutable => "entrypoint-not-executable",
            Self::ProcessRefused => "process-refused",
            Self::InterpreterMissing => "interpreter-missing",
            Self::LibraryMissing => "library-missing",
            Self::PortNotExposed => "port-not-exposed",
            Self::HealthCheckNotFound => "health-check-not-found",
            Self::StorageTooSmall => "storage-too-small",
            Self::NetworkMode => "network-mode",
            Self::HostPortDiffers => "host-port-differs",
            Self::FargateSize => "fargate-size",
            Self::RegionDiffers => "region-differs",
            Self::RepositoryDiffers => "repository-differs",
            Self::DigestDiffers => "digest-differs",
            Self::MutableReference => "mutable-reference",
            Self::LogRegionDiffers => "log-region-differs",
            Self::SecretInImage => "secret-in-image",
            Self::SidecarPlatformMissing => "sidecar-platform-missing",
            Self::WindowsTask => "windows-task",
            Self::ContainerNotChosen => "container-not-chosen",
            Self::AllowUnused => "allow-unused",
        }
    }

    /// How much its findings matter at most. Where less is certain they matter less, as its page says.
    pub const fn severity(self) -> Severity {
        match self {
            Self::PlatformMissing
            | Self::ConfigDisagrees
            | Self::ForeignExecutable
            | Self::EntrypointNotFound
            | Self::EntrypointNotExecutable
            | Self::ProcessRefused
            | Self::InterpreterMissing
            | Self::LibraryMissing
            | Self::StorageTooSmall
            | Self::NetworkMode
            | Self::HostPortDiffers
            | Self::FargateSize
            | Self::SidecarPlatformMissing => Severity::Error,
            Self::ArchitectureNotStated
            | Self::PortNotExposed
            | Self::HealthCheckNotFound
            | Self::RegionDiffers
            | Self::RepositoryDiffers
            | Self::SecretInImage => Severity::Warning,
            Self::DigestDiffers
            | Self::MutableReference
            | Self::LogRegionDiffers
            | Self::WindowsTask
            | Self::ContainerNotChosen
            | Self::AllowUnused => Severity::Note,
        }
    }

    /// A page on the rule: what it checks, what happens otherwise, how to repair and how to allow.
    pub const fn explain(self) -> &'static str {
        super::explain::page(self)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Rule {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|rule| rule.name() == text).ok_or_else(|| ParseRuleError { given: text.into() })
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How much a finding matters. The greater, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It may fail, or another platform fails.
    Warning,
    /// It does not run.
    Error,
}

/// Something that a rule found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// How much it matters.
    pub severity: Severity,
    /// What is the matter, in a sentence without an end.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// On which platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// In which container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Which file of the image, with a leading slash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The layer that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
    /// What is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What should be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// The place in the task definition that asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Whether the verdict hangs on it: without an error, it makes the verdict undetermined.
    #[serde(skip)]
    pub undecided: bool,
}

impl Finding {
    /// A finding with its message and nothing else.
    pub fn new(rule: Rule, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            rule,
            severity,
            message: message.into(),
            help: None,
            platform: None,
            container: None,
            path: None,
            layer: None,
            found: None,
            wanted: None,
            location: None,
            undecided: false,
        }
    }

    /// With what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// As one that the verdict hangs on.
    #[must_use]
    pub fn undecided(mut self) -> Self {
        self.undecided = true;
        self
    }
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It runs, as far as an image can tell.
    Runs,
    /// It does not run.
    DoesNotRun,
    /// Something is missing to tell.
    Undetermined,
}

impl Verdict {
    /// The word of reports: `runs`, `does-not-run`, `undetermined`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::DoesNotRun => "does-not-run",
            Self::Undetermined => "undetermined",
        }
    }

    /// What these findings amount to.
    pub fn of(findings: &[Finding]) -> Self {
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            Self::DoesNotRun
        } else if findings.iter().any(|finding| finding.undecided) {
            Self::Undetermined
        } else {
            Self::Runs
        }
    }

    /// Both together: what does not run anywhere outweighs what is not known, and that outweighs what runs.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::DoesNotRun, _) | (_, Self::DoesNotRun) => Self::DoesNotRun,
            (Self::Undetermined, _) | (_, Self::Undetermined) => Self::Undetermined,
            (Self::Runs, Self::Runs) => Self::Runs,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The verdict on one target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetVerdict {
    /// The target.
    #[serde(flatten)]
    pub target: TargetJson,
    /// The verdict.
    pub verdict: Verdict,
    /// What was found about it.
    pub findings: Vec<Finding>,
}

/// The verdict on an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// The version of this document's form.
    pub version: u32,
    /// The image as it was named.
    pub image: String,
    /// The digest of its top.
    pub digest: Digest,
    /// The verdict on all targets together; without a target, on each platform of the image by itself.
    pub verdict: Verdict,
    /// The targets.
    pub targets: Vec<TargetVerdict>,
    /// What was found about the image, whatever the target.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Every finding, those of the targets first.
    pub fn all(&self) -> impl Iterator<Item = &Finding> {
        self.targets.iter().flat_map(|target| &target.findings).chain(&self.findings)
    }

    /// Whether there is an error.
    pub fn has_errors(&self) -> bool {
        self.all().any(|finding| finding.severity == Severity::Error)
    }

    /// Whether there is a warning.
    pub fn has_warnings(&self) -> bool {
        self.all().any(|finding| finding.severity == Severity::Warning)
    }

    /// Whether the answer is no; `strict` takes a warning and an undetermined verdict for no as well.
    pub fn fails(&self, strict: bool) -> bool {
        self.verdict == Verdict::DoesNotRun
            || self.has_errors()
            || strict && (self.has_warnings() || self.verdict == Verdict::Undetermined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_name_and_a_page() {
        for rule in Rule::ALL {
            assert_eq!(rule.name().parse(), Ok(rule));
            assert!(rule.explain().starts_with(rule.name()), "{rule}");
        }
        assert!("nothing".parse::<Rule>().expect_err("no rule").to_string().contains("platform-missing"));
    }

    #[test]
    fn absent_keys_are_left_out() {
        let json = serde_json::to_string(&Finding::new(Rule::WindowsTask, Severity::Note, "x")).expect("JSON");
        assert_eq!(json, r#"{"rule":"windows-task","severity":"note","message":"x"}"#);
    }
}
