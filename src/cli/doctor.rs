//! `doctor`: a checklist, each line as soon as it is known.

use std::process::ExitCode;
use std::sync::Arc;

use dockless::aws::ecr::EcrHost;
use dockless::release::doctor::{Check, Doctor, Outcome};
use serde::Serialize;

use super::args::doctor::{self as args, Ecr, Patient};
use super::context::Context;
use super::failure::Failure;
use super::image;
use super::report::document::VERSION;
use super::text::printable;

#[derive(Serialize)]
struct Checklist {
    version: u32,
    reference: String,
    checks: Vec<Check>,
}

/// Runs `dockless doctor`.
pub fn run(args: &args::Doctor, context: &Context) -> Result<ExitCode, Failure> {
    match &args.patient {
        Patient::Ecr(args) => ecr(args, context),
    }
}

fn ecr(args: &Ecr, context: &Context) -> Result<ExitCode, Failure> {
    let reference = &args.reference;
    let Some(host) = EcrHost::parse(reference.registry()) else {
        let what = format!("{} is not a registry of Amazon ECR", reference.registry());
        let form = "expected ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG, the account in twelve digits";
        return Err(Failure::new(what).hint(form));
    };
    let network = image::network(context, &args.registry)?;
    let is_stand_in = image::stand_ins(context).stand_in_for(reference.registry());
    let doctor = Doctor {
        reference,
        host: &host,
        session: network.aws.as_deref().filter(|_| !is_stand_in),
        authenticator: Arc::clone(&network.authenticator),
        client: &network.client,
        region: context.settings.aws_region.as_deref(),
    };
    let json = context.output.json;
    let mut failure = None;
    let mut tell = |check: &Check| {
        if !json && failure.is_none() {
            failure = context.result(lines(check)).err();
        }
    };
    let observer = Arc::clone(&context.progress) as _;
    let checks = network.runtime.block_on(async {
        let mut checks = Box::pin(doctor.checks(&mut tell)).await;
        if args.self_test && is_well(&checks) {
            let tested = doctor.self_test(observer).await;
            tested.iter().for_each(tell);
            checks.extend(tested);
        } else if !args.self_test && is_well(&checks) {
            let untried = Doctor::untried();
            tell(&untried);
            checks.push(untried);
        }
        checks
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let well = is_well(&checks);
    if json {
        context.json(&Checklist { version: VERSION, reference: reference.to_string(), checks })?;
    } else if args.self_test && !well {
        context.say("the self-test is left out, or has failed: see the checks above");
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn is_well(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.outcome != Outcome::Failed)
}

/// A check for people: the line, what else there is to know, the repair.
fn lines(check: &Check) -> String {
    let word = match check.outcome {
        Outcome::Ok => "ok",
        Outcome::Warning => "warning",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "skipped",
    };
    let mut lines = format!("{word:<8} {:<12} {}", check.check, printable(&check.message));
    let help = check.help.iter().map(|help| format!("help: {help}"));
    for more in check.details.iter().cloned().chain(help) {
        lines.push_str("\n                      ");
        lines.push_str(&printable(&more));
    }
    lines
}
