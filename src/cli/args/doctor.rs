//! `doctor`.

use clap::{Args, Subcommand};
use dockless::oci::reference::Reference;

use super::push::Registry;

/// What `doctor` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dockless doctor ecr 123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app:v1")]
pub struct Doctor {
    /// What to look at.
    #[command(subcommand)]
    pub patient: Patient,
}

/// What can be looked at.
#[derive(Debug, Subcommand)]
pub enum Patient {
    /// check all that a push to Amazon ECR needs: credentials, identity, region, token, repository, permission, tag
    ///
    /// Prints a checklist, with the repair of each thing that is not as it should be. Nothing is written to the
    /// registry; with --self-test a tiny image is pushed in parts, pushed again, read back and deleted.
    ///
    /// Exit code 1 if a check is FAILED: a push would fail. That none is does not say that a push succeeds: whether
    /// parts, layers and the image are taken is tried with --self-test only.
    Ecr(Ecr),
}

/// What `doctor ecr` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dockless doctor ecr 123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app:v1
  dockless doctor ecr --self-test 123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/scratch")]
pub struct Ecr {
    /// where a push would go: registry/repository:tag
    pub reference: Reference,
    /// push a tiny image in parts, push it again, read it back and delete it (12 MB each way)
    #[arg(long)]
    pub self_test: bool,
    /// Where registries are.
    #[command(flatten)]
    pub registry: Registry,
}
