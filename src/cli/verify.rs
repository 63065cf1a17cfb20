//! `verify`: does this image run on that task?

use std::path::Path;
use std::process::ExitCode;

use dockless::image::inspect::facts;
use dockless::verify::finding::Rule;

use super::args::verify::Verify;
use super::context::Context;
use super::failure::Failure;
use super::report::{files, sarif};
use super::{gate, image};

/// Runs `dockless verify`.
pub fn run(args: &Verify, context: &Context) -> Result<ExitCode, Failure> {
    if let Some(name) = &args.explain {
        let rule: Rule = name.parse().map_err(|error: <Rule as std::str::FromStr>::Err| Failure::new(error))?;
        context.result(rule.explain().trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.sarif.as_deref() == Some(Path::new("-")) && context.output.json {
        return Err(Failure::new("--sarif - and --json both write to stdout: give --sarif a file"));
    }
    let wanted = gate::wanted(&args.gate, None, context)?;
    let given = args.image.as_deref().unwrap_or_default();
    let (image, _network) = image::open(given, context, &args.registry)?;
    let facts =
        facts(given, image.source.as_ref(), &image.top, threads(), context.progress.as_ref()).map_err(Failure::new)?;
    let (verification, passes) = wanted.judge(&facts, context);
    let on_stdout = args.sarif.as_deref() == Some(Path::new("-"));
    if let Some(path) = &args.sarif {
        let document = sarif::document(&verification, &wanted.definitions());
        let mut bytes = serde_json::to_vec_pretty(&document).map_err(Failure::new)?;
        bytes.push(b'\n');
        files::write(path, &bytes)?;
    }
    if on_stdout {
        // The document is the result.
    } else if context.output.json {
        context.json(&verification)?;
    } else {
        context.result(verification.verdict.word())?;
    }
    Ok(ExitCode::from(u8::from(!passes)))
}

/// How many threads work, where nobody says.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
