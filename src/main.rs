//! `dockless`: parse, run one command, leave with its exit code.

#[expect(unreachable_pub, reason = "a binary exports nothing: pub is what the other rooms of the terminal may use")]
mod cli;

use std::process::ExitCode;

use clap::Parser as _;

use cli::args::{Arguments, Command};
use cli::context::Context;
use cli::failure::{EXIT_CODE, Failure};
use cli::text::to_stderr;

fn main() -> ExitCode {
    // Ctrl-C ends any other process by itself, which a shell reports as 130, and a shell's loop ends with it. A killed
    // run leaves no half file under its final name, so there is nothing to tidy first.
    cli::signals::end_first_process();
    let Arguments { command, output } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            let _ = to_stderr(|stderr| write!(stderr, "{}", error.render().ansi()));
            return ExitCode::from(EXIT_CODE);
        }
        // Help and version are results.
        Err(result) => result.exit(),
    };
    let outcome = Context::new(output).inspect_err(|_| forget(&command)).and_then(|context| {
        let outcome = run(&command, &context);
        context.progress.close();
        outcome
    });
    outcome.unwrap_or_else(|failure| {
        // Nobody is left to be told when stderr is gone: the exit code still says it.
        let _ = to_stderr(|stderr| failure.print(stderr));
        ExitCode::from(EXIT_CODE)
    })
}

/// What an earlier run wrote is not taken for this one's, although nothing of this one is done.
fn forget(command: &Command) {
    match command {
        Command::Build(args) => cli::build::forget(args),
        Command::Verify(args) => cli::verify::forget(args),
        Command::Push(args) => cli::push::forget(args),
        Command::Render(args) => cli::render::forget(args),
        _ => {}
    }
}

fn run(command: &Command, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        Command::Build(args) => cli::build::run(args, context),
        Command::Init(args) => cli::init::run(args, context),
        Command::Lock(args) => cli::lock::run(args, context),
        Command::Verify(args) => cli::verify::run(args, context),
        Command::Targets(args) => cli::targets::run(args, context),
        Command::Push(args) => cli::push::run(args, context),
        Command::Render(args) => cli::render::run(args, context),
        Command::Doctor(args) => cli::doctor::run(args, context),
        Command::IamPolicy(args) => cli::iam_policy::run(args, context),
        Command::Inspect(args) => cli::inspect::run(args, context),
        Command::Diff(args) => cli::diff::run(args, context),
        Command::Check(args) => cli::check::run(args, context),
        Command::Serve(args) => cli::serve::run(args, context),
    }
}
