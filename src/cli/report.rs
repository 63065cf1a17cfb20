//! Reports: what was made, sent and found, as JSON for programs, as text for people, as annotations and outputs for
//! GitHub Actions, and as files.

use std::path::Path;

use super::args::push::Records;
use super::context::Context;
use super::failure::Failure;

pub mod document;
pub mod files;
pub mod finding;
pub mod github;
pub mod sarif;

use document::Report;
use finding::Shown;
use github::Outputs;

/// Shows findings on stderr: for people, unless the result is JSON and has them, and for GitHub Actions.
pub fn show(context: &Context, findings: &[Shown<'_>]) {
    context.progress.above(|stderr| {
        for shown in findings {
            if !context.output.json {
                shown.print(stderr)?;
            }
            if context.settings.github_actions {
                github::annotate(shown.finding, stderr)?;
            }
        }
        Ok(())
    });
}

/// Ends a build or a push: the files and outputs that were asked for, then the result on stdout.
pub fn finish(
    context: &Context,
    records: &Records,
    report: &Report,
    task_definition: Option<String>,
) -> Result<(), Failure> {
    files::write_records(records, report)?;
    if let Some(path) = &context.settings.github_output {
        let outputs = Outputs { image: report.references.clone(), digest: Some(report.digest), task_definition };
        outputs
            .append(path)
            .map_err(|error| Failure::new(error).during(format!("cannot write GITHUB_OUTPUT, {}", path.display())))?;
    }
    if context.output.json {
        return context.json(report);
    }
    if report.references.is_empty() {
        return context.result(report.digest);
    }
    report.references.iter().try_for_each(|reference| context.result(reference))
}

/// Tells GitHub Actions where a task definition was written.
pub fn task_definition(context: &Context, path: &Path) -> Result<(), Failure> {
    let Some(output) = &context.settings.github_output else { return Ok(()) };
    let task_definition = Some(path.display().to_string());
    let outputs = Outputs { image: Vec::new(), digest: None, task_definition };
    let failed = |error| Failure::new(error).during(format!("cannot write GITHUB_OUTPUT, {}", output.display()));
    outputs.append(output).map_err(failed)
}

/// Ends a build whose answer is no: the report says why, and nothing else names an image that must not be deployed.
pub fn refuse(context: &Context, records: &Records, report: &Report) -> Result<(), Failure> {
    files::write_report(records, report)?;
    if context.output.json { context.json(report) } else { Ok(()) }
}
