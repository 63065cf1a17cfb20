//! `push`, and the flags of every command that speaks to a registry.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dockless::oci::reference::Reference;

use super::values::ChunkSize;
use super::verify::Gate;

/// What `push` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dockless push ./oci registry.example.com/team/app:v1
  dockless push app.tar 123456789012.dkr.ecr.eu-central-1.amazonaws.com/app:v1 \\
    --task-definition task-definition.json")]
pub struct Push {
    /// a layout folder, a .tar archive or a registry reference; `oci:PATH[:NAME]`, `oci-archive:PATH[:NAME]`,
    /// `docker-archive:PATH[:NAME]` and `docker://REF` say which
    pub image: String,
    /// where to push it to: registry/repository:tag
    #[arg(required = true, value_name = "REFERENCE")]
    pub references: Vec<Reference>,
    /// The image must run there.
    #[command(flatten)]
    pub gate: Gate,
    /// How to send it.
    #[command(flatten)]
    pub sending: Sending,
    /// Where registries are.
    #[command(flatten)]
    pub registry: Registry,
    /// What to leave behind.
    #[command(flatten)]
    pub records: Records,
}

/// Wherever a registry is spoken to.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Registry")]
pub struct Registry {
    /// trust the certificate authorities in this PEM file as well (else `SSL_CERT_FILE`, `AWS_CA_BUNDLE`)
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// whose credentials count at Amazon ECR: those of AWS, then Docker's (auto), or only one of them
    #[arg(long, value_name = "WHOSE", default_value = "auto")]
    pub credentials: Credentials,
    /// the IAM role to take on: in GitHub Actions with `id-token: write` by the job's own token, elsewhere by the AWS
    /// credentials at hand (else `AWS_ROLE_ARN` in such a job)
    #[arg(long, value_name = "ARN", value_parser = role)]
    pub role: Option<String>,
}

/// Whose credentials count at Amazon ECR.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Credentials {
    #[default]
    #[value(help = None)]
    /// AWS's, then Docker's.
    Auto,
    #[value(help = None)]
    /// AWS's.
    Aws,
    #[value(help = None)]
    /// Docker's.
    Docker,
}

fn role(text: &str) -> Result<String, String> {
    let fields: Vec<&str> = text.splitn(6, ':').collect();
    match fields[..] {
        ["arn", partition, "iam", "", account, name]
            if partition.starts_with("aws")
                && account.len() == 12
                && account.bytes().all(|b| b.is_ascii_digit())
                && name.strip_prefix("role/").is_some_and(|name| !name.is_empty()) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("expected the ARN of a role, such as arn:aws:iam::123456789012:role/ci".into()),
    }
}

/// Wherever a registry is written to.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Registry")]
pub struct Sending {
    /// take blobs over from this repository of the same registry where it has them (again for more)
    #[arg(long, value_name = "REPOSITORY")]
    pub mount_from: Vec<String>,
    /// send blobs in chunks of this size, such as 5MiB or 10MB, or never in chunks
    #[arg(long, value_name = "SIZE|none")]
    pub chunk_size: Option<ChunkSize>,
    /// create a repository of Amazon ECR that does not exist yet
    #[arg(long)]
    pub create_repository: bool,
    /// with --create-repository: scan images when they are pushed
    #[arg(long, requires = "create_repository")]
    pub scan_on_push: bool,
    /// with --create-repository: tags cannot be moved to another image
    #[arg(long, requires = "create_repository")]
    pub immutable_tags: bool,
    /// with --create-repository: keep so many images and let the oldest go
    #[arg(long, value_name = "COUNT", requires = "create_repository", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_images: Option<u32>,
}

/// The files that tell other programs what was done.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Result")]
pub struct Records {
    /// write the references by digest to this file, a line each
    #[arg(long, value_name = "FILE")]
    pub image_refs: Option<PathBuf>,
    /// write what was made and sent to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}
