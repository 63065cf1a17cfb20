//! Reports: what was made, sent and found, as JSON for programs, as text for people, as annotations and outputs for
//! GitHub Actions, and as files.

use std::path::Path;

use dockless::event::{Event, Observer as _};

use super::args::push::Records;
use super::context::Context;
use super::failure::Failure;

pub mod document;
pub mod files;
pub mod finding;
pub mod github;
pub mod place;
pub mod sarif;

use document::Report;
use finding::Shown;
use github::Outputs;
use place::{Kind, Written};

/// Shows findings on stderr: for people, unless the result is JSON and has them, and for GitHub Actions.
pub fn show(context: &Context, findings: &[Shown<'_>]) {
    for shown in findings {
        if !context.output.json {
            context.progress.above(|stderr| shown.print(stderr));
        }
        if context.settings.github_actions {
            let workspace = context.settings.github_workspace.as_deref();
            context.progress.command(|stderr| github::annotate(shown.finding, workspace, stderr));
        }
    }
}

/// Refuses files that cannot be written, before anything is built or sent. What goes to stdout takes the place of the
/// result there, so that there is one thing to read.
pub fn check_files(context: &Context, files: &[(&str, Option<&Path>)]) -> Result<(), Failure> {
    let mut on_stdout: Option<&str> = context.output.json.then_some("--json");
    for (flag, path) in files {
        if path.is_some_and(is_stdout) {
            if let Some(other) = on_stdout {
                let (one, two) = if other == "--json" { (*flag, other) } else { (other, *flag) };
                let dash = if two == "--json" { "" } else { " -" };
                return Err(Failure::new(format!("{one} - and {two}{dash} both write to stdout"))
                    .hint(format!("give {one} a file")));
            }
            on_stdout = Some(flag);
        }
        files::check(flag, *path)?;
    }
    Ok(())
}

/// The same, and for the outputs of a step.
pub fn check(context: &Context, files: &[(&str, Option<&Path>)]) -> Result<(), Failure> {
    check_files(context, files)?;
    context
        .settings
        .github_output
        .as_ref()
        .map_or(Ok(()), |path| github::check(path).map_err(|error| no_output(error, path)))
}

/// Whether a file is standard output.
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

impl Records {
    /// The files, each with its flag.
    pub fn files(&self) -> [(&'static str, Option<&Path>); 2] {
        [("--report", self.report.as_deref()), ("--image-refs", self.image_refs.as_deref())]
    }

    /// The same, as what is written.
    pub fn written(&self) -> [Written<'_>; 2] {
        let [(report, one), (references, two)] = self.files();
        [Written::new(Kind::Report, report, one), Written::new(Kind::References, references, two)]
    }

    fn are_on_stdout(&self) -> bool {
        self.files().into_iter().any(|(_, path)| path.is_some_and(is_stdout))
    }
}

/// Ends a build or a push: the files and outputs that were asked for, then the result on stdout. That comes also where
/// one of them cannot be written: what is pushed is pushed, and only its name says what.
pub fn finish(
    context: &Context,
    records: &Records,
    report: &Report,
    task_definition: Result<Option<&Path>, Failure>,
) -> Result<(), Failure> {
    let recorded = files::write_records(records, report);
    let (path, rendered) = match task_definition {
        Ok(path) => (path, Ok(())),
        Err(failure) => (None, Err(failure)),
    };
    let outputs = Outputs {
        image: report.references.clone(),
        digest: Some(report.digest),
        // There is no file that a next step could read.
        task_definition: path.filter(|path| !is_stdout(path)).map(|path| named(context, path)),
    };
    let output = set(context, &outputs);
    let elsewhere = records.are_on_stdout() || path.is_some_and(is_stdout);
    rendered.and(recorded).and(output).and(if elsewhere { Ok(()) } else { say(context, report) })
}

/// A file as the next steps know it.
fn named(context: &Context, path: &Path) -> String {
    let path = path.display().to_string();
    github::named(&path, context.settings.github_workspace.as_deref()).into_owned()
}

/// Sets the outputs of the step, where it is one of GitHub Actions.
fn set(context: &Context, outputs: &Outputs) -> Result<(), Failure> {
    let Some(path) = &context.settings.github_output else { return Ok(()) };
    outputs.append(path).map_err(|error| no_output(error, path))
}

fn no_output(error: std::io::Error, path: &Path) -> Failure {
    Failure::new(error).during(format!("cannot write GITHUB_OUTPUT, {}", path.display()))
}

fn say(context: &Context, report: &Report) -> Result<(), Failure> {
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
    let task_definition = Some(named(context, path));
    set(context, &Outputs { image: Vec::new(), digest: None, task_definition })
}

/// Ends a push that failed: the report says what was reached, and which tags that are goes to stderr. Why it failed is
/// the command's failure; that the report cannot be written is told beside it.
pub fn reached(context: &Context, records: &Records, report: &Report, tags: &[String]) {
    if !tags.is_empty() {
        // A part of the failure: it is told to the quiet as well.
        context.find(format!("the push failed, but these name the image now: {}", tags.join(", ")));
    }
    if let Err(failure) = refuse(context, records, report) {
        context.progress.note(Event::Warning(&failure.in_one_line()));
    }
}

/// Ends a build or a push whose image must not be deployed, or is not where it should be: the report says why, and no
/// other file and no output names it. The result as JSON comes also where the report cannot be written.
pub fn refuse(context: &Context, records: &Records, report: &Report) -> Result<(), Failure> {
    let recorded = files::write_report(records, report);
    let said = if context.output.json { context.json(report) } else { Ok(()) };
    recorded.and(said)
}
