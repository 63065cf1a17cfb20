//! The image configuration (image-spec config.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Extra;
use super::digest::Digest;
use super::platform::{Arch, Os, Platform};

/// An image configuration: what the layers are and how the container starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageConfiguration {
    /// When the image was made (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The architecture that the binaries in the layers are made for.
    pub architecture: Arch,
    /// The operating system.
    pub os: Os,
    /// The version of the operating system.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features that the operating system must have.
    #[serde(
        rename = "os.features",
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::null_as_default"
    )]
    pub os_features: Vec<String>,
    /// The variant of the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What a container starts with.
    #[serde(default, deserialize_with = "super::null_as_default")]
    pub config: Config,
    /// The layers by diff ID.
    pub rootfs: RootFs,
    /// How each layer came to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "super::null_as_default")]
    pub history: Vec<History>,
    /// What else it says.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ImageConfiguration {
    /// The platform that the configuration states.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            variant: self.variant.clone(),
        }
    }
}

/// The execution parameters (image-spec config.md "config"), defaults for a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Config {
    /// `user`, `uid`, `user:group`, `uid:gid`.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "super::null_as_default")]
    pub user: String,
    /// Ports as `8080/tcp`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "super::null_as_default")]
    pub exposed_ports: BTreeMap<String, Map<String, Value>>,
    /// `NAME=VALUE`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "super::null_as_default")]
    pub env: Vec<String>,
    /// The command, exec form.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "super::null_as_default")]
    pub entrypoint: Vec<String>,
    /// The arguments of the entrypoint, or the command where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "super::null_as_default")]
    pub cmd: Vec<String>,
    /// Folders that hold data of the container.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "super::null_as_default")]
    pub volumes: BTreeMap<String, Map<String, Value>>,
    /// The folder that the command starts in.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "super::null_as_default")]
    pub working_dir: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "super::null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// The signal that stops the container.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "super::null_as_default")]
    pub stop_signal: String,
    /// What else it says: `Healthcheck`, `Shell`, `OnBuild`, `ArgsEscaped`.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Config {
    /// The value of an environment variable; the last one wins.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env
            .iter()
            .rev()
            .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
    }
}

/// The layers of an image by diff ID.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the uncompressed layers, lowest first.
    #[serde(deserialize_with = "super::null_as_default")]
    pub diff_ids: Vec<Digest>,
}

impl RootFs {
    /// The layers with these diff IDs.
    pub fn layers(diff_ids: Vec<Digest>) -> Self {
        Self { kind: "layers".into(), diff_ids }
    }
}

/// How one layer, or none, came to be (image-spec config.md "history").
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// When (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    /// What else it says.
    #[serde(flatten)]
    pub extra: Extra,
}
