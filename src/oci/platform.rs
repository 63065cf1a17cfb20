//! Platforms (image-spec image-index.md "Image Index Property Descriptions", "Platform Variants").

use std::fmt;
use std::str::FromStr;

pub use oci_spec::image::{Arch, Os};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The operating system and architecture that an image runs on, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The architecture, `amd64` or `arm64` for what ECS runs.
    pub architecture: Arch,
    /// The operating system.
    pub os: Os,
    /// The version of the operating system; used by Windows images.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features that the operating system must have; used by Windows images.
    #[serde(
        rename = "os.features",
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::null_as_default"
    )]
    pub os_features: Vec<String>,
    /// The variant of the CPU. `None` for amd64 and for arm64, whose only variant is v8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParsePlatformError {
    /// Not `os/architecture[/variant]`.
    #[error("{0:?} is not a platform: expected os/architecture, such as linux/amd64 or linux/arm64")]
    Form(String),
    /// One of the other spellings of an architecture.
    #[error("{given:?} is not a platform: an OCI platform is written {repair}")]
    Spelling {
        /// What was given.
        given: String,
        /// The same in the specification's words.
        repair: String,
    },
    /// A platform that we do not build.
    #[error("platform {0} is not supported: dockless builds linux/amd64 and linux/arm64")]
    Unsupported(String),
}

impl Platform {
    /// `linux/amd64`
    pub fn linux_amd64() -> Self {
        Self::new(Os::Linux, Arch::Amd64)
    }

    /// `linux/arm64`
    pub fn linux_arm64() -> Self {
        Self::new(Os::Linux, Arch::ARM64)
    }

    /// A platform without version, features and variant.
    pub fn new(os: Os, architecture: Arch) -> Self {
        Self { architecture, os, os_version: None, os_features: Vec::new(), variant: None }
    }

    /// Whether this is the platform that `wanted` is: the same operating system, architecture and variant. `arm64` and
    /// `arm64/v8` are the same, and so are `amd64` and `amd64/v1`; `amd64/v3` is another than `amd64`.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        self.rank(wanted) == Some(0)
    }

    /// The place of this platform among those that a runtime which asks for `wanted` takes, the best being 0; `None`
    /// where it takes it not at all. After the platform itself come older kin that the CPU may run as well (containerd
    /// `platforms.Only`): 386 on amd64; arm/v8 to arm/v5 on arm64.
    pub fn rank(&self, wanted: &Self) -> Option<usize> {
        self.normalized().rank_of_normalized(&wanted.normalized())
    }

    fn rank_of_normalized(&self, wanted: &Self) -> Option<usize> {
        if self.os != wanted.os {
            return None;
        }
        if self.architecture == wanted.architecture && self.variant == wanted.variant {
            return Some(0);
        }
        match (&wanted.architecture, &self.architecture, self.variant.as_deref()) {
            (Arch::Amd64, Arch::i386, None) => Some(1),
            (Arch::ARM64, Arch::ARM, Some(variant)) => {
                ["v8", "v7", "v6", "v5"].iter().position(|older| *older == variant).map(|place| place + 1)
            }
            _ => None,
        }
    }

    /// The platform as containerd reads it where it chooses (`platforms.Normalize`): `x86_64` is `amd64`, `aarch64` is
    /// `arm64`, `armhf` and `arm` are `arm/v7`, `arm64/v8` is `arm64`, capitals count for small letters. Those that
    /// satisfy each other are the same then.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let (os, architecture) = (self.os.to_string().to_lowercase(), self.architecture.to_string().to_lowercase());
        let variant = self.variant.as_deref().map(str::to_lowercase);
        let (architecture, variant) = match architecture.as_str() {
            "i386" => ("386", None),
            "x86_64" | "x86-64" => ("amd64", variant),
            "aarch64" => ("arm64", variant),
            "armhf" => ("arm", Some("v7".to_owned())),
            "armel" => ("arm", Some("v6".to_owned())),
            other => (other, variant),
        };
        let os = if os == "macos" { "darwin" } else { &os };
        let mut own = Self { os: Os::from(os), architecture: Arch::from(architecture), variant, ..self.clone() };
        own.variant = own.significant_variant().map(str::to_owned);
        own
    }

    /// The variant as containerd normalises it (`platforms.Normalize`).
    fn significant_variant(&self) -> Option<&str> {
        let variant = self.variant.as_deref().filter(|variant| !variant.is_empty());
        match (&self.architecture, variant) {
            (Arch::ARM64, Some("v8" | "8")) | (Arch::Amd64, Some("v1")) | (Arch::i386, _) => None,
            (Arch::ARM, None | Some("7")) => Some("v7"),
            (Arch::ARM, Some("5")) => Some("v5"),
            (Arch::ARM, Some("6")) => Some("v6"),
            (Arch::ARM, Some("8")) => Some("v8"),
            (_, variant) => variant,
        }
    }

    /// `linux-amd64`: the placeholder `{platform}`, fit for a file name.
    pub fn file_name(&self) -> String {
        self.to_string().replace('/', "-")
    }

    /// `x86_64` or `aarch64`: the placeholder `{machine}`, what `uname -m` prints there.
    pub fn machine(&self) -> String {
        match self.architecture {
            Arch::Amd64 => "x86_64".into(),
            Arch::ARM64 => "aarch64".into(),
            ref other => other.to_string(),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.significant_variant() {
            // What nobody has stated is not shown.
            Some(variant) if self.variant.is_some() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    /// Parses a platform that we build. `linux/arm64/v8` is taken as `linux/arm64`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "linux/amd64" => return Ok(Self::linux_amd64()),
            "linux/arm64" | "linux/arm64/v8" => return Ok(Self::linux_arm64()),
            _ => {}
        }
        let last = text.rsplit('/').next().unwrap_or(text);
        let repair = match last.to_ascii_lowercase().as_str() {
            "x86_64" | "x86-64" | "amd64" | "x64" => Some("linux/amd64"),
            "aarch64" | "arm64" | "armv8" => Some("linux/arm64"),
            _ => None,
        };
        let other_os = text.split_once('/').is_some_and(|(os, _)| os != "linux");
        match repair {
            Some(repair) if !other_os => {
                Err(ParsePlatformError::Spelling { given: text.into(), repair: repair.into() })
            }
            _ if text.split('/').count() >= 2 && text.split('/').all(|part| !part.is_empty()) => {
                Err(ParsePlatformError::Unsupported(text.into()))
            }
            _ => Err(ParsePlatformError::Form(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_two_that_ecs_runs() {
        assert_eq!("linux/amd64".parse(), Ok(Platform::linux_amd64()));
        assert_eq!("linux/arm64/v8".parse(), Ok(Platform::linux_arm64()));
        assert_eq!(Platform::linux_arm64().to_string(), "linux/arm64");
    }

    #[test]
    fn repairs_the_other_spellings() {
        for (given, wanted) in [("x86_64", "linux/amd64"), ("linux/aarch64", "linux/arm64"), ("ARM64", "linux/arm64")] {
            let error = given.parse::<Platform>().expect_err("another spelling").to_string();
            assert!(error.ends_with(wanted), "{error}");
        }
        assert!(matches!("linux/riscv64".parse::<Platform>(), Err(ParsePlatformError::Unsupported(_))));
        assert!(matches!("windows/amd64".parse::<Platform>(), Err(ParsePlatformError::Unsupported(_))));
        assert!(matches!("linux".parse::<Platform>(), Err(ParsePlatformError::Form(_))));
    }

    #[test]
    fn v8_is_the_only_arm64() {
        let v8 = Platform { variant: Some("v8".into()), ..Platform::linux_arm64() };
        assert!(v8.satisfies(&Platform::linux_arm64()));
        assert!(Platform::linux_arm64().satisfies(&v8));
        assert!(!v8.satisfies(&Platform::linux_amd64()));
    }

    #[test]
    fn platforms_rank_as_containerd_has_it() {
        let of = |architecture: Arch, variant: &str| Platform {
            variant: Some(variant.to_owned()).filter(|variant| !variant.is_empty()),
            ..Platform::new(Os::Linux, architecture)
        };
        let (amd64, arm64) = (Platform::linux_amd64(), Platform::linux_arm64());
        for (own, wanted, rank) in [
            (of(Arch::Amd64, "v1"), &amd64, Some(0)),
            (of(Arch::Amd64, "v2"), &amd64, None),
            (of(Arch::Amd64, "v3"), &amd64, None),
            (of(Arch::i386, ""), &amd64, Some(1)),
            (of(Arch::ARM64, "v8"), &arm64, Some(0)),
            (of(Arch::ARM64, "v9"), &arm64, None),
            (of(Arch::ARM, "v8"), &arm64, Some(1)),
            (of(Arch::ARM, ""), &arm64, Some(2)),
            (of(Arch::ARM, "v6"), &arm64, Some(3)),
            (of(Arch::ARM, "v5"), &arm64, Some(4)),
            (of(Arch::i386, ""), &arm64, None),
            (Platform::new(Os::Windows, Arch::Amd64), &amd64, None),
        ] {
            assert_eq!(own.rank(wanted), rank, "{own} for {wanted}");
        }
        for (spelling, variant, rank) in [
            ("x86_64", "", Some(0)),
            ("X86-64", "", Some(0)),
            ("AMD64", "v1", Some(0)),
            ("x86_64", "v3", None),
            ("i386", "", Some(1)),
            ("aarch64", "v8", None),
        ] {
            assert_eq!(of(Arch::from(spelling), variant).rank(&amd64), rank, "{spelling}");
        }
        for (spelling, rank) in [("aarch64", 0), ("ARM64", 0), ("armhf", 2), ("armel", 3)] {
            assert_eq!(of(Arch::from(spelling), "").rank(&arm64), Some(rank), "{spelling}");
        }
        for (own, normalized) in [
            (of(Arch::ARM64, "v8"), "linux/arm64"),
            (of(Arch::from("aarch64"), "8"), "linux/arm64"),
            (of(Arch::from("X86_64"), "v1"), "linux/amd64"),
            (of(Arch::Amd64, "V3"), "linux/amd64/v3"),
            (of(Arch::ARM, ""), "linux/arm/v7"),
            (of(Arch::from("armel"), ""), "linux/arm/v6"),
        ] {
            assert_eq!(own.normalized().to_string(), normalized, "{own:?}");
            assert_eq!(own.normalized().normalized(), own.normalized());
        }
        assert_eq!(of(Arch::ARM, "").to_string(), "linux/arm");
        assert_eq!(of(Arch::ARM, "v7").to_string(), "linux/arm/v7");
    }
}
