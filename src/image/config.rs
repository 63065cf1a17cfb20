//! The image configuration out of its four sources: base < configuration file < recipe < flags.

use std::collections::{BTreeMap, BTreeSet};

use super::recipe::place::Spanned;
use super::recipe::template::Template;
use crate::oci::Extra;

/// What one source says about how a container starts; what it does not say is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigRecipe {
    /// The path of a configuration file that lies below this source.
    pub from: Option<Spanned<Template>>,
    /// The command, exec form; empty: none, whatever lies below.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments, or the command where there is no entrypoint; empty: none.
    pub cmd: Option<Vec<String>>,
    /// The environment in the order of the source.
    pub env: Vec<(String, String)>,
    /// `user`, `uid`, `user:group`, `uid:gid`.
    pub user: Option<String>,
    /// The folder that the command starts in, absolute.
    pub working_dir: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Ports as `8080/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// Absolute paths.
    pub volumes: BTreeSet<String>,
    /// The signal that stops the container.
    pub stop_signal: Option<String>,
}

/// What a configuration file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartialFile {
    /// The words that a recipe has too.
    pub config: ConfigRecipe,
    /// The other fields of its `config` object: `Healthcheck`, `Shell`, `OnBuild`.
    pub config_extra: Extra,
    /// The architecture that it was written for. The build states its own: another one deserves a warning.
    pub architecture: Option<Spanned<String>>,
    /// Who made the image.
    pub author: Option<String>,
    /// Other fields beside `config`.
    pub extra: Extra,
}
