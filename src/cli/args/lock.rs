//! `lock`.

use std::path::PathBuf;

use clap::Args;
use dockless::oci::platform::Platform;

use super::push::Registry;

/// What `lock` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dockless lock
  dockless lock services/app --check")]
pub struct Lock {
    /// the recipe, or the folder that holds dockless.toml [default: .]
    pub recipe: Option<PathBuf>,
    /// the platforms to choose the base for [default: the recipe's, else all that the base has]
    #[arg(short, long = "platform", value_name = "PLATFORM", value_delimiter = ',')]
    pub platforms: Vec<Platform>,
    /// write nothing, and tell what would change: exit code 1 if anything would
    #[arg(long)]
    pub check: bool,
    /// Where registries are.
    #[command(flatten)]
    pub registry: Registry,
}
