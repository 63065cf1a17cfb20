//! `serve`: a layout to a registry on loopback.

use std::process::ExitCode;

use super::args::Serve;
use super::context::Context;
use super::failure::Failure;

/// Runs `dockless serve`.
pub fn run(_args: &Serve, _context: &Context) -> Result<ExitCode, Failure> {
    Err(super::missing_room("serve"))
}
