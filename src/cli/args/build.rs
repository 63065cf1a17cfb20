//! `build`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser as _};
use clap::{Arg, ArgAction, Args};
use dockless::oci::platform::Platform;
use dockless::oci::reference::Reference;

use super::push::{Records, Registry, Sending};
use super::values::{self, Compression, Format, Pair, Words};
use super::verify::Gate;

/// What `build` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dockless build
  dockless build services/app -p linux/amd64,linux/arm64 -t registry.example.com/team/app:v1 --push
  dockless build --task-definition task-definition.json -t registry.example.com/team/app:v1 --push
  dockless build -p linux/amd64,linux/arm64 --layer linux/amd64=rootfs-amd64 \\
    --layer linux/arm64=rootfs-arm64 --layer app:/app --entrypoint /app/run -o image.tar
  dockless build -t registry.example.com/app:v1 --rehearse=registry")]
#[command(args = habits())]
pub struct Build {
    /// the recipe, or the folder that holds dockless.toml [default: .]
    #[arg(conflicts_with = "layers")]
    pub recipe: Option<PathBuf>,
    /// What is in it.
    #[command(flatten)]
    pub image: Image,
    /// How it starts.
    #[command(flatten)]
    pub config: Config,
    /// Where it goes.
    #[command(flatten)]
    pub result: ResultFlags,
    /// What to leave behind.
    #[command(flatten)]
    pub records: Records,
    /// The image must run there.
    #[command(flatten)]
    pub gate: Gate,
    /// How to send it.
    #[command(flatten)]
    pub sending: Sending,
    /// Where registries are.
    #[command(flatten)]
    pub registry: Registry,
}

/// Flags of `docker build` that have another place here: they are known only to say which.
fn habits() -> [Arg; 2] {
    let hidden = |name: &'static str| Arg::new(name).long(name).hide(true).action(ArgAction::Append);
    [
        hidden("file").short('f').alias("dockerfile").value_name("FILE").value_parser(values::dockerfile),
        hidden("build-arg").value_name("NAME=VALUE").value_parser(values::build_argument),
    ]
}

/// What is in an image.
#[derive(Debug, Args)]
#[command(next_help_heading = "Image")]
pub struct Image {
    /// the platforms to build for: linux/amd64, linux/arm64 [default: the recipe's, else what the task definitions
    /// ask for, else linux/amd64]
    #[arg(short, long = "platform", value_name = "PLATFORM", value_delimiter = ',')]
    pub platforms: Vec<Platform>,
    /// the image to build upon: a registry's reference, `oci:PATH[:NAME]`, or scratch
    #[arg(long, value_name = "IMAGE")]
    pub base: Option<String>,
    /// refuse a base that dockless.lock does not say for each platform
    #[arg(long)]
    pub locked: bool,
    /// a layer without a recipe, lowest first: a folder is a root file system, with DEST its content is copied there;
    /// a tar file is taken entry by entry (again for more)
    #[arg(long = "layer", id = "layers", value_name = "[PLATFORM=]SRC[:DEST]")]
    pub layers: Vec<String>,
    /// an annotation of the image index (again for more)
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    pub annotations: Vec<Pair>,
    /// how layers are compressed: gzip, zstd or none, with an optional level such as zstd:9 [default: gzip]
    #[arg(long, value_name = "METHOD[:LEVEL]")]
    pub compression: Option<Compression>,
    /// What of earlier builds may be used.
    #[command(flatten)]
    pub kept: Kept,
    /// how many threads to use [default: one per core]
    #[arg(short, long, value_name = "N", value_parser = values::jobs)]
    pub jobs: Option<NonZeroUsize>,
}

/// What of earlier builds may be used.
#[derive(Debug, Args)]
pub struct Kept {
    /// make everything anew
    #[arg(long)]
    pub no_cache: bool,
    /// make each layer anew, and say where the cache has another one for the same files
    #[arg(long, conflicts_with = "no_cache")]
    pub cache_check: bool,
    /// run no command of a `run` layer: refuse where no result is kept
    #[arg(long, conflicts_with = "no_cache")]
    pub no_run: bool,
}

/// How an image starts: the words of the OCI image configuration, each above the recipe's.
#[derive(Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub struct Config {
    /// an image configuration or its inner config object, whole or in part; {arch} is allowed in the path
    #[arg(long = "config", id = "config", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// what the container starts: a word (again for more), or a JSON array
    #[arg(long, value_name = "WORD|ARRAY", allow_hyphen_values = true)]
    pub entrypoint: Vec<Words>,
    /// its arguments, or the command where there is no entrypoint: a word (again for more), or a JSON array
    #[arg(long, value_name = "WORD|ARRAY", allow_hyphen_values = true)]
    pub cmd: Vec<Words>,
    /// an environment variable (again for more)
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<Pair>,
    /// who runs it: a name or number, with an optional group, such as 10001:10001
    #[arg(long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// the folder that it starts in
    #[arg(long, value_name = "PATH", value_parser = values::absolute)]
    pub working_dir: Option<String>,
    /// a label (again for more)
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<Pair>,
    /// a port that it listens on (again for more)
    #[arg(long = "exposed-port", value_name = "PORT[/PROTOCOL]", value_parser = values::port)]
    pub exposed_ports: Vec<String>,
    /// a folder that holds its data (again for more)
    #[arg(long = "volume", value_name = "PATH", value_parser = values::absolute)]
    pub volumes: Vec<String>,
    /// the signal that stops it, such as SIGTERM
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
}

/// Where an image goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Result")]
pub struct ResultFlags {
    /// the image's name: registry/repository:tag (again for more)
    #[arg(short, long = "tag", id = "tags", value_name = "REFERENCE")]
    pub tags: Vec<Reference>,
    /// where to write the image: a folder for an OCI image layout, or a .tar archive [default: ./oci]
    #[arg(short, long, value_name = "PATH", value_parser = PathBufValueParser::new().try_map(values::output))]
    pub output: Option<PathBuf>,
    /// the form of the archive; docker-archive holds one platform, and no zstd
    #[arg(long, default_value = "oci")]
    pub format: Format,
    /// push the image to the registries that its tags name
    #[arg(long, requires = "tags")]
    pub push: bool,
    /// with --push: write the task definition with the pushed image in it, by digest
    #[arg(long, value_name = "FILE")]
    pub render: Option<PathBuf>,
    /// push to an embedded registry instead, which answers like ECR where the tag is of ECR; kept in a folder where
    /// one is named (--rehearse=FOLDER)
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, require_equals = true, requires = "tags", conflicts_with = "push")]
    #[expect(clippy::option_option, reason = "the flag may be absent, without a folder, or with one")]
    pub rehearse: Option<Option<PathBuf>>,
}

impl Config {
    /// The entrypoint, where a flag states one; an empty one clears the recipe's.
    pub fn entrypoint(&self) -> Option<Vec<String>> {
        command(&self.entrypoint)
    }

    /// The cmd, where a flag states one; an empty one clears the recipe's.
    pub fn cmd(&self) -> Option<Vec<String>> {
        command(&self.cmd)
    }
}

fn command(values: &[Words]) -> Option<Vec<String>> {
    (!values.is_empty()).then(|| values.iter().flat_map(|Words(words)| words).cloned().collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Arguments, Command};
    use super::*;

    fn build(words: &[&str]) -> Result<Build, clap::Error> {
        let arguments = Arguments::try_parse_from(["dockless", "build"].iter().chain(words))?;
        match arguments.command {
            Command::Build(build) => Ok(*build),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn platforms_are_joined_or_repeated() {
        let joined = build(&["-p", "linux/amd64,linux/arm64"]).expect("joined");
        let repeated = build(&["-p", "linux/amd64", "--platform", "linux/arm64/v8"]).expect("repeated");
        assert_eq!(joined.image.platforms, repeated.image.platforms);
        assert_eq!(joined.image.platforms.len(), 2);
    }

    #[test]
    fn a_rehearsal_may_name_a_folder() {
        let folder = |words: &[&str]| build(words).expect("a rehearsal").result.rehearse;
        assert_eq!(folder(&["-t", "example.com/app"]), None);
        assert_eq!(folder(&["-t", "example.com/app", "--rehearse"]), Some(None));
        assert_eq!(folder(&["-t", "example.com/app", "--rehearse=reg"]), Some(Some("reg".into())));
        assert!(build(&["--push"]).is_err());
        assert!(build(&["--rehearse"]).is_err());
        assert!(build(&["-t", "example.com/app", "--rehearse", "--push"]).is_err());
    }

    #[test]
    fn a_command_is_words_or_an_array() {
        let built =
            build(&["--entrypoint", r#"["sh","-c"]"#, "--cmd", "serve", "--cmd", "--port=80"]).expect("a build");
        assert_eq!(built.config.entrypoint(), Some(vec!["sh".into(), "-c".into()]));
        assert_eq!(built.config.cmd(), Some(vec!["serve".into(), "--port=80".into()]));
        let cleared = build(&["--cmd", "[]"]).expect("a build");
        assert_eq!((cleared.config.entrypoint(), cleared.config.cmd()), (None, Some(Vec::new())));
    }
}
