//! `serve`: an OCI registry on loopback over a layout folder.

use std::process::ExitCode;

use dockless::serve::{Server, Settings};

use super::args::Serve;
use super::context::{Context, runtime};
use super::failure::Failure;

/// Runs `dockless serve`, until it is interrupted.
pub fn run(args: &Serve, context: &Context) -> Result<ExitCode, Failure> {
    let runtime = runtime()?;
    let settings = Settings { listen: args.listen, ..Settings::new(&args.folder) };
    let server = runtime.block_on(Server::bind(settings)).map_err(Failure::new)?;
    context.result(server.url())?;
    context.say(format!("serving {}; stop with Ctrl-C", args.folder.display()));
    runtime.block_on(server.run(async {
        // Without a way to hear Ctrl-C the signal ends the process, as for every other command.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }));
    Ok(ExitCode::from(130))
}
