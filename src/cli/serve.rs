//! `serve`: an OCI registry on loopback over a layout folder, as the specification says or as ECR does.

use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::Arc;

use dockless::event::{Event, Observer as _};
use dockless::serve::ecr::{EcrSettings, Switch};
use dockless::serve::{Like, ServeError, Server, Settings};

use super::args::Serve;
use super::context::{Context, runtime};
use super::failure::Failure;

/// Runs `dockless serve`, until it is interrupted.
pub fn run(args: &Serve, context: &Context) -> Result<ExitCode, Failure> {
    let runtime = runtime()?;
    let mut settings = settings(args)?;
    let progress = Arc::clone(&context.progress);
    settings.log = Some(Arc::new(move |record| {
        if let Some(why) = record.error.as_ref().filter(|_| record.failed) {
            progress.note(Event::Warning(&format!("{} {}: {why}", record.method, record.path)));
        }
    }));
    let host = match &settings.like {
        Like::Plain => None,
        Like::Ecr(ecr) => Some(ecr.host()),
    };
    let server = runtime.block_on(Server::bind(settings)).map_err(|error| {
        let taken = matches!(&error, ServeError::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse);
        let hint = "another program listens there: --listen 127.0.0.1:0 takes a free port, which is then told";
        Failure::new(error).hint_if(taken.then_some(hint))
    })?;
    let url = server.url();
    context.result(&url)?;
    context.say(format!("serving {}; stop with Ctrl-C", args.folder.display()));
    if let Some(host) = host {
        context.say(format!("with these, what is for {host} comes here:"));
        context.say(format!("export DOCKLESS_REGISTRY_ENDPOINT={host}={url}"));
        context.say(format!("export AWS_ENDPOINT_URL_ECR={url}"));
        context.say(format!("export AWS_ENDPOINT_URL_STS={url}"));
    }
    runtime.block_on(server.run(async {
        // Without a way to hear Ctrl-C the signal ends the process, as for every other command.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }));
    Ok(ExitCode::from(130))
}

fn settings(args: &Serve) -> Result<Settings, Failure> {
    let mut settings = match args.like {
        None => Settings::new(&args.folder),
        Some(super::args::Like::Ecr) => {
            let mut ecr = EcrSettings::new(&args.account, &args.region);
            ecr.repositories.clone_from(&args.repositories);
            if args.create_on_push {
                ecr.switches.insert(Switch::CreateOnPush);
            }
            Settings::like_ecr(&args.folder, ecr)
        }
    };
    settings.listen = args.listen;
    for fault in &args.faults {
        fault.apply(&mut settings).map_err(Failure::new)?;
    }
    Ok(settings)
}
