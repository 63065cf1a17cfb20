//! `init`.

use std::path::PathBuf;

use clap::Args;

use super::values::Pair;

/// What `init` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dockless init
  dockless init services/app --target production --build-arg PYTHON_VERSION=3.13
  dockless init --dockerfile docker/web.Dockerfile --stdout
  dockless init --strict -o app.toml")]
pub struct Init {
    /// the project's folder
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// the Dockerfile, relative to the working folder [default: Dockerfile or Containerfile of the folder, where there
    /// is one]
    #[arg(short = 'f', long, alias = "file", value_name = "FILE")]
    pub dockerfile: Option<PathBuf>,
    /// the stage that becomes the image, by name or number [default: the last]
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// the value of an ARG (again for more)
    #[arg(long = "build-arg", value_name = "NAME=VALUE")]
    pub arguments: Vec<Pair>,
    /// where to write it: a file in the folder, which its paths are relative to; - is standard output [default:
    /// dockless.toml]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// print the recipe instead of writing it: the same as -o -
    #[arg(long, conflicts_with = "output")]
    pub stdout: bool,
    /// replace a recipe that is there
    #[arg(long)]
    pub force: bool,
    /// exit code 1 if something could not be translated
    #[arg(long)]
    pub strict: bool,
}
