//! `build`: a recipe, or flags, to an image in a layout, and to a registry.

use std::process::ExitCode;

use super::args::build::Build;
use super::context::Context;
use super::failure::Failure;

/// Runs `dockless build`.
pub fn run(_args: &Build, _context: &Context) -> Result<ExitCode, Failure> {
    Err(super::missing_room("image/build"))
}
