//! `init`: a project or its Dockerfile to a recipe.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dockless::image::recipe::load::{DOCKERFILES, FILE_NAME, PROJECT_FILES};
use dockless::layer::run::quoted;
use dockless::project::init::{Made, from_folder};
use dockless::project::remark::{Remark, Weight};
use dockless::project::translate::Wanted;
use serde::Serialize;

use super::args::init as args;
use super::build::wrong;
use super::context::Context;
use super::failure::Failure;
use super::report::document::VERSION;
use super::report::is_stdout;
use super::report::place::{Input, Kind, Written, apart};

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    /// The recipe's file; absent where the recipe itself is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a Path>,
    from: &'a str,
    /// The recipe's text, where no file holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipe: Option<&'a str>,
    untranslated: usize,
    remarks: &'a [Remark],
}

/// Runs `dockless init`.
pub fn run(args: &args::Init, context: &Context) -> Result<ExitCode, Failure> {
    let output = if args.stdout {
        PathBuf::from("-")
    } else {
        args.output.clone().unwrap_or_else(|| args.folder.join(FILE_NAME))
    };
    let output = output.strip_prefix(".").map_or(output.clone(), Path::to_path_buf);
    let to_stdout = is_stdout(&output);
    if !args.folder.is_dir() {
        return Err(Failure::new(format!("{} is no folder", args.folder.display()))
            .hint("name the project's folder; a Dockerfile of another name is given with --dockerfile"));
    }
    if !to_stdout {
        check_place(&args.folder, &output)?;
    }
    if !to_stdout && !args.force && output.symlink_metadata().is_ok() {
        return Err(Failure::new(format!("{} is there already", output.display()))
            .hint("--force replaces it; --stdout shows what would be written"));
    }
    if !to_stdout {
        check_lost(args, &output)?;
    }
    let arguments = args.arguments.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect();
    let wanted = Wanted { target: args.target.clone(), arguments };
    let made = from_folder(&args.folder, args.dockerfile.as_deref(), &wanted).map_err(wrong)?;
    if !to_stdout {
        write(&output, &made.text)
            .map_err(|error| Failure::new(error).during(format!("cannot write {}", output.display())))?;
    }
    tell(&made, context);
    let path = (!to_stdout).then_some(output.as_path());
    if context.output.json {
        let recipe = to_stdout.then_some(made.text.as_str());
        let (untranslated, remarks) = (made.untranslated(), &made.remarks[..]);
        context.json(&Report { version: VERSION, path, from: &made.from, recipe, untranslated, remarks })?;
    } else {
        match path {
            Some(path) => context.result(path.display())?,
            None => context.document(made.text.trim_end_matches('\n'))?,
        }
    }
    let refused = args.strict && made.untranslated() > 0;
    Ok(if refused { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Refuses a file that is not directly in the project's folder: the recipe's paths would mean other files there.
fn check_place(folder: &Path, output: &Path) -> Result<(), Failure> {
    let inside = |name: &Path| {
        let path = folder.join(name);
        quoted(&path.strip_prefix(".").unwrap_or(&path).display().to_string()).into_owned()
    };
    if output.is_dir() {
        return Err(Failure::new(format!("{} is a folder, and a recipe is a file", output.display()))
            .hint(format!("name the file as well: -o {}", inside(Path::new(FILE_NAME)))));
    }
    let above = output.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let real = |path: &Path| path.canonicalize().ok();
    if real(above).is_some_and(|above| Some(above) == real(folder)) {
        return Ok(());
    }
    let name = output.file_name().map_or(Path::new(FILE_NAME), Path::new);
    let error = format!(
        "{} is not in the project's folder: a recipe's paths are relative to the recipe, and would mean other files there",
        output.display()
    );
    Err(Failure::new(error).hint(format!("write it into the folder: -o {}; --stdout prints it", inside(name))))
}

/// Refuses a file that the recipe is made from.
fn check_lost(args: &args::Init, output: &Path) -> Result<(), Failure> {
    let own = DOCKERFILES.into_iter().chain(PROJECT_FILES).map(|name| args.folder.join(name));
    let read = args.dockerfile.iter().cloned().chain(own).map(|file| Input::new("a file of the project", file));
    let written = Written::new(Kind::Recipe, "--output", Some(output));
    apart(&[written], &read.collect::<Vec<_>>())
}

/// Whole or not at all, as everything that is written.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".dockless-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    // A recipe belongs to the project's files, which others read; a temporary file is its owner's alone.
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// What must be known of the recipe, a line each, and their number. That something is missing is a finding, which is
/// told also when quiet.
fn tell(made: &Made, context: &Context) {
    if !context.output.json {
        for Remark { file, line, weight, instruction, message, help } in &made.remarks {
            let say = |line: String| match weight {
                Weight::Untranslated => context.find(line),
                Weight::Note => context.say(line),
            };
            let place = if *line == 0 { file.clone() } else { format!("{file}:{line}") };
            let shown = match weight {
                Weight::Untranslated => "not translated",
                Weight::Note => "note",
            };
            say(format!("{place}: {shown}: {message}"));
            if !instruction.is_empty() && context.output.verbose {
                say(format!("    {instruction}"));
            }
            if let Some(help) = help {
                say(format!("    help: {help}"));
            }
        }
    }
    let count = made.untranslated();
    let notes = made.remarks.len() - count;
    let s = |count: usize| if count == 1 { "" } else { "s" };
    context.say(match (count, notes) {
        (0, 0) => format!("a recipe from {}", made.from),
        (0, notes) => format!("a recipe from {}, with {notes} note{}", made.from, s(notes)),
        (count, notes) => format!(
            "a recipe from {}: {count} thing{} could not be translated, and {notes} note{}",
            made.from,
            s(count),
            s(notes)
        ),
    });
}
