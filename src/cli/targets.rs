//! `targets`: a source to its task definitions.

use std::process::ExitCode;

use super::args::verify::Targets;
use super::context::Context;
use super::failure::Failure;

/// Runs `dockless targets`.
pub fn run(_args: &Targets, _context: &Context) -> Result<ExitCode, Failure> {
    Err(super::missing_room("ecs"))
}
