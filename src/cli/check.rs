//! `check`: is every blob and reference of a layout whole?

use std::process::ExitCode;

use dockless::image::archive::{ArchiveError, ImageArchive};
use dockless::image::check::{Checked, check};
use dockless::layout::Layout;
use serde::Serialize;

use super::args::Check;
use super::context::Context;
use super::failure::Failure;
use super::report::document::VERSION;
use super::text::size;

#[derive(Serialize)]
struct CheckReport {
    version: u32,
    whole: bool,
    #[serde(flatten)]
    checked: Checked,
}

/// Runs `dockless check`.
pub fn run(args: &Check, context: &Context) -> Result<ExitCode, Failure> {
    let path = &args.layout;
    let checked = if path.is_file() {
        match ImageArchive::open(path) {
            Ok(archive) => check(&archive, archive.index()),
            // It is an archive, but not a whole one: that is the answer, not a failure.
            Err(error @ (ArchiveError::Tar { .. } | ArchiveError::Document { .. } | ArchiveError::Damaged { .. })) => {
                let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
                context.say(format!("{error}{cause}"));
                context.result(format!("{}: damaged", path.display()))?;
                return Ok(ExitCode::from(1));
            }
            Err(error) => return Err(Failure::new(error)),
        }
    } else {
        let layout = Layout::open(path).map_err(Failure::new)?;
        check(&layout, &layout.index().map_err(Failure::new)?)
    };
    let whole = checked.problems.is_empty();
    let blobs = checked.blobs;
    let bytes = checked.bytes;
    if context.output.json {
        context.json(&CheckReport { version: VERSION, whole, checked })?;
    } else {
        for problem in &checked.problems {
            context.say(format!("{} (named by {}): {}", problem.digest, problem.referrer, problem.message));
        }
        let count = checked.problems.len();
        let word = plural(count as u64, "problem");
        let verdict = if whole { "whole".to_owned() } else { format!("damaged, {count} {word}") };
        context.result(format!(
            "{}: {verdict} ({blobs} {}, {})",
            path.display(),
            plural(blobs, "blob"),
            size(bytes)
        ))?;
    }
    Ok(ExitCode::from(u8::from(!whole)))
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}
