//! `check`: a layout to whether it is whole.

use std::process::ExitCode;

use super::args::Check;
use super::context::Context;
use super::failure::Failure;

/// Runs `dockless check`.
pub fn run(_args: &Check, _context: &Context) -> Result<ExitCode, Failure> {
    Err(super::missing_room("layout"))
}
