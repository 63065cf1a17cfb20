//! `verify`: an image and task definitions to a verdict.

use std::process::ExitCode;

use super::args::verify::Verify;
use super::context::Context;
use super::failure::Failure;

/// Runs `dockless verify`.
pub fn run(_args: &Verify, _context: &Context) -> Result<ExitCode, Failure> {
    Err(super::missing_room("verify"))
}
