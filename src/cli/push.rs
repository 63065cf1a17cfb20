//! `push`: an image that exists to a registry.

use std::process::ExitCode;

use super::args::push::Push;
use super::context::Context;
use super::failure::Failure;

/// Runs `dockless push`.
pub fn run(_args: &Push, _context: &Context) -> Result<ExitCode, Failure> {
    Err(super::missing_room("registry/push"))
}
