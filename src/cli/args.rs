//! The command line as it is typed: commands, flags and what they take. What a value means for the library is decided
//! by the command that runs; what can be refused by looking at the text alone is refused here, with exit code 2.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use dockless::oci::platform::Platform;
use dockless::serve::fault::named::{Named, table};

pub mod build;
pub mod doctor;
pub mod iam_policy;
pub mod init;
pub mod lock;
pub mod push;
pub mod render;
pub mod values;
pub mod verify;

/// container images from files on a disk to a running ECS task, without a Docker daemon
///
/// Builds reproducible multi-arch OCI images from files, proves that what is inside runs on the target that the ECS
/// task definition names, and pushes to registries. Only results go to stdout, everything else to stderr.
///
/// Exit codes: 0 done, 1 asked and the answer is no, 2 could not do it, 129, 130 or 143
/// interrupted.
#[derive(Debug, Parser)]
#[command(name = "dockless", version, arg_required_else_help = true, max_term_width = 100)]
#[command(subcommand_required = true)]
#[command(after_help = "Examples:
  dockless build -t registry.example.com/team/app:v1 --push
  dockless verify registry.example.com/team/app:v1 --task-definition task-definition.json")]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to say it.
    #[command(flatten)]
    pub output: Output,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// build an image for every platform, from a recipe or from the flags alone
    ///
    /// Reads dockless.toml, or takes --layer and the configuration's flags without a recipe. Writes an OCI image
    /// layout, and with --push sends it to a registry as well. The same inputs give the same digest on every machine.
    ///
    /// Prints the digest of the image index: `registry/repository@sha256:...`, a line per distinct repository, or
    /// `sha256:...` where there is no tag.
    Build(Box<build::Build>),
    /// make a recipe from a Dockerfile, or from the files of a project
    ///
    /// A Dockerfile is translated instruction by instruction; each RUN becomes a layer that a command on this machine
    /// fills, or a comment that says why it cannot. Without one the recipe is made from what go.mod, Cargo.toml,
    /// uv.lock, pyproject.toml, requirements.txt or package.json say. Nothing is run.
    ///
    /// Prints the path of the recipe; what must be known of it goes to stderr, with the lines of the Dockerfile.
    Init(init::Init),
    /// write down the digests of the base, so that every build takes the same
    ///
    /// Asks the registry what the recipe's base names now, and writes its digest by platform to dockless.lock beside
    /// the recipe. Builds use it from then on, wherever the tag has moved; with --locked they refuse what it does not
    /// say.
    Lock(lock::Lock),
    /// say whether an image runs on the tasks that a task definition describes
    ///
    /// Exit code 1 if it does not run on one of them; with --strict also if that is undetermined or there are warnings.
    Verify(verify::Verify),
    /// list the task definitions that a source holds, and what each asks for
    Targets(verify::Targets),
    /// push an image that exists to a registry
    ///
    /// Prints `registry/repository@sha256:...`, a line per distinct repository. With --task-definition the image is
    /// verified first, and nothing is written to a registry unless it runs there.
    Push(push::Push),
    /// print a task definition with an image put in by digest
    ///
    /// Formatting and unknown keys stay as they are; what only a reply of describe-task-definition has is left out.
    Render(Box<render::Render>),
    /// check all that a push needs, one thing after the other
    Doctor(doctor::Doctor),
    /// print the least IAM policy for what dockless does, ready to paste
    ///
    /// Prints JSON. Actions are named one by one, repositories, services and roles by their ARNs; `*` stands only where
    /// there is nothing to name.
    IamPolicy(iam_policy::IamPolicy),
    /// show what is in an image: platforms, configurations, layers
    Inspect(Inspect),
    /// show what differs between two images, file by file
    ///
    /// Compares configurations, layers and the merged root file systems of each platform. Exit code 1 if they differ.
    Diff(Diff),
    /// check that every blob and reference of a layout is whole
    ///
    /// Reads every blob that the layout's index reaches and holds it to its digest and size. Exit code 1 if one is
    /// missing, damaged or refers to something that is not there, and if the layout itself is damaged.
    Check(Check),
    /// serve a layout folder as an OCI registry on loopback
    ///
    /// The registry's URL is the first line on stdout; with port 0 it is a free one.
    Serve(Serve),
}

/// How to say it.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// print the result as JSON (`"version": 1`)
    #[arg(long, global = true)]
    pub json: bool,
    /// print nothing but results, findings and failures
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// print details as well
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// how to show progress; auto is bars on a terminal and lines elsewhere
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub progress: ProgressChoice,
    /// whether to use colour; auto honours `NO_COLOR`
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressChoice {
    #[default]
    #[value(help = None)]
    /// Bars on a terminal, lines elsewhere.
    Auto,
    #[value(help = None)]
    /// Lines.
    Plain,
    #[value(help = None)]
    /// Nothing.
    None,
}

/// Whether colour is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    #[default]
    #[value(help = None)]
    /// On a terminal that knows colour.
    Auto,
    #[value(help = None)]
    /// Everywhere.
    Always,
    #[value(help = None)]
    /// Nowhere.
    Never,
}

/// What `inspect` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dockless inspect ./oci
  dockless inspect public.ecr.aws/docker/library/python:3.13-slim --json")]
pub struct Inspect {
    /// a layout folder, a .tar archive or a registry reference; `oci:PATH[:NAME]`, `oci-archive:PATH[:NAME]`,
    /// `docker-archive:PATH[:NAME]` and `docker://REF` say which
    pub image: String,
    /// Where registries are.
    #[command(flatten)]
    pub registry: push::Registry,
}

/// What `diff` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dockless diff ./oci ./oci-of-yesterday
  dockless diff registry.example.com/team/app:v1 registry.example.com/team/app:v2 -p linux/arm64")]
pub struct Diff {
    /// an image: a layout folder, a .tar archive or a registry reference; `oci:PATH[:NAME]`, `oci-archive:PATH[:NAME]`,
    /// `docker-archive:PATH[:NAME]` and `docker://REF` say which
    pub a: String,
    /// the image that it is compared with
    pub b: String,
    /// compare these platforms alone
    #[arg(short, long = "platform", value_name = "PLATFORM", value_delimiter = ',')]
    pub platforms: Vec<Platform>,
    /// Where registries are.
    #[command(flatten)]
    pub registry: push::Registry,
}

/// What `check` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dockless check ./oci
  dockless check oci-archive:image.tar")]
pub struct Check {
    /// the layout folder, or an archive; all of its images, or the one of a NAME (oci:PATH:NAME)
    pub layout: String,
}

/// What `serve` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dockless serve ./oci
  dockless serve ./oci --listen 127.0.0.1:0
  dockless serve --like ecr --repository team/app --fault throttle=3 --fault immutable")]
pub struct Serve {
    /// the layout folder, made where it does not exist
    #[arg(default_value = "oci")]
    pub folder: PathBuf,
    /// the address to listen on, on loopback
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000", value_parser = values::loopback)]
    pub listen: SocketAddr,
    /// answer as this registry does, its control plane included; the variables that send its traffic here go to stderr
    #[arg(long, value_name = "REGISTRY")]
    pub like: Option<Like>,
    /// the account whose registry it is
    #[arg(long, value_name = "ID", default_value = "123456789012", requires = "like", value_parser = account)]
    pub account: String,
    /// the region that it is in
    #[arg(long, value_name = "REGION", default_value = "us-east-1", requires = "like")]
    pub region: String,
    /// a repository that exists from the start (again for more)
    #[arg(long = "repository", value_name = "NAME", requires = "like")]
    pub repositories: Vec<String>,
    /// create repositories when something is pushed to them
    #[arg(long, requires = "like")]
    pub create_on_push: bool,
    /// make something go wrong, or turn a habit on or off (again for more)
    #[arg(long = "fault", value_name = "NAME[=N]", long_help = fault_help())]
    pub faults: Vec<Named>,
}

/// As which registry `serve` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Like {
    #[value(help = None)]
    /// Amazon ECR.
    Ecr,
}

fn fault_help() -> String {
    format!("make something go wrong, or turn a habit on or off (again for more)\n\n{}", table())
}

fn account(text: &str) -> Result<String, &'static str> {
    let good = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if good { Ok(text.to_owned()) } else { Err("an account is twelve digits") }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn is_a_sound_command() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_and_every_example_parses_as_it_is_shown() {
        let root = Arguments::command();
        let mut commands = vec![&root];
        let mut at = 0;
        while let Some(command) = commands.get(at).copied() {
            at += 1;
            commands.extend(command.get_subcommands());
            let help = command.get_after_help().unwrap_or_else(|| panic!("{} has no example", command.get_name()));
            let help = help.to_string();
            // A longer line would be broken where nothing tells a shell that it goes on.
            assert!(help.lines().all(|line| line.len() <= 100), "{help}");
            let help = help.replace("\\\n", " ");
            let examples: Vec<_> = help.lines().filter(|line| line.trim_start().starts_with("dockless ")).collect();
            assert!(!examples.is_empty(), "{} has no example", command.get_name());
            for example in examples {
                // No example needs more of a shell than quotes around a word without spaces.
                let words = example.split_whitespace().map(|word| word.trim_matches('\''));
                if let Err(error) = Arguments::try_parse_from(words) {
                    panic!("{example}\n{error}");
                }
            }
        }
    }

    #[test]
    fn flags_of_the_output_stand_anywhere() {
        let before = Arguments::try_parse_from(["dockless", "--json", "check", "oci"]).expect("before the command");
        let after = Arguments::try_parse_from(["dockless", "check", "oci", "--json"]).expect("after the command");
        assert!(before.output.json && after.output.json);
    }
}
