//! `inspect`: an image to what is in it.

use std::process::ExitCode;

use super::args::Inspect;
use super::context::Context;
use super::failure::Failure;

/// Runs `dockless inspect`.
pub fn run(_args: &Inspect, _context: &Context) -> Result<ExitCode, Failure> {
    Err(super::missing_room("image/inspect"))
}
