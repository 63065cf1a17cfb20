//! `push`, and the flags of every command that speaks to a registry.

use std::path::PathBuf;

use clap::Args;
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
    /// `docker-archive:PATH` and `docker://REF` say which
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
