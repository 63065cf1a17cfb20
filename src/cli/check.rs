//! `check`: is every blob and reference of a layout whole?

use std::process::ExitCode;

use dockless::image::check::{Checked, check_path};
use dockless::image::open::Location;
use serde::Serialize;

use super::args::Check;
use super::context::Context;
use super::failure::Failure;
use super::image::not_local;
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
    let given = &args.layout;
    let (path, name) = match Location::parse(given).map_err(Failure::new)? {
        Location::Layout { path, name } | Location::Archive { path, name } => (path, name),
        Location::Registry(_) => {
            return Err(Failure::new(format!("there is no layout folder or archive {given}"))
                .hint("`dockless inspect` reads an image of a registry"));
        }
    };
    let checked =
        check_path(&path, name.as_deref()).map_err(|error| not_local(error, given, &path, name.as_deref()))?;
    // Something is wrong, or is not known.
    let code = if checked.problems.is_empty() { 2 * u8::from(!checked.is_whole()) } else { 1 };
    if context.output.json {
        context.json(&CheckReport { version: VERSION, whole: checked.is_whole(), checked })?;
        return Ok(ExitCode::from(code));
    }
    for problem in &checked.problems {
        match (problem.digest, &problem.referrer) {
            (Some(digest), Some(referrer)) => {
                context.say(format!("{digest} (named by {referrer}): {}", problem.message));
            }
            _ => context.say(&problem.message),
        }
    }
    for digest in &checked.unsupported {
        context.say(format!("{digest} (named by index.json): not checked, since only sha256 is supported"));
    }
    let verdict = match (checked.problems.len(), checked.unsupported.len()) {
        (0, 0) => "whole".to_owned(),
        (0, count) => format!("whole but for {count} {} not checked", plural(count as u64, "image")),
        (count, _) => format!("damaged, {count} {}", plural(count as u64, "problem")),
    };
    let (blobs, bytes) = (checked.blobs, size(checked.bytes));
    context.result(format!("{}: {verdict} ({blobs} {}, {bytes})", path.display(), plural(blobs, "blob")))?;
    Ok(ExitCode::from(code))
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}
