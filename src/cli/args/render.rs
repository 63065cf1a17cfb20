//! `render`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::push::Registry;
use super::values::Pair;
use super::verify::Selection;

/// What `render` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dockless render task-definition.json --image app=registry.example.com/app:v1 -o rendered.json
  aws ecs describe-task-definition --task-definition app \\
    | dockless render - --image app=registry.example.com/app:v1
  dockless render infra/ --for terraform --image app=registry.example.com/app:v1 \\
    -o image.auto.tfvars.json")]
pub struct Render {
    /// The source.
    #[arg(
        help = "a task definition (JSON, YAML), - for standard input; with --for, a Terraform folder or a CloudFormation \
                template"
    )]
    pub source: String,
    /// the image of a container; a tag becomes the digest that it names now (again for more)
    #[arg(long = "image", value_name = "CONTAINER=REFERENCE", required = true)]
    pub images: Vec<Pair>,
    /// print the values of the variables or parameters that hold the images, instead of the source
    #[arg(long = "for", value_name = "FORMAT")]
    pub format: Option<Format>,
    /// where to write it; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Which task definitions are meant.
    #[command(flatten)]
    pub selection: Selection,
    /// Where registries are.
    #[command(flatten)]
    pub registry: Registry,
}

/// What takes the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// a `.auto.tfvars.json` file
    Terraform,
    /// a list of `ParameterKey` and `ParameterValue`, for --parameters and --parameter-overrides of the AWS CLI
    Cloudformation,
}
