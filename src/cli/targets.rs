//! `targets`: the task definitions that a source holds.

use std::process::ExitCode;

use dockless::ecs::target::{Asked, TargetJson};

use super::args::verify::Targets;
use super::context::Context;
use super::failure::Failure;
use super::gate;
use super::report::document::{TargetsReport, VERSION};
use super::table::{Align, Table};

/// Runs `dockless targets`.
pub fn run(args: &Targets, context: &Context) -> Result<ExitCode, Failure> {
    let wanted = gate::targets(&args.sources, &args.selection, context)?;
    wanted.say_notes(context);
    let targets: Vec<TargetJson> = wanted.targets.iter().map(dockless::ecs::target::Target::json).collect();
    if context.output.json {
        context.json(&TargetsReport { version: VERSION, targets })?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new([
        ("target", Align::Left),
        ("architecture", Align::Left),
        ("platform", Align::Left),
        ("launch types", Align::Left),
        ("containers", Align::Left),
    ]);
    for target in &targets {
        let containers = target.containers.iter().map(|container| container.name.as_str());
        let containers: Vec<&str> = containers.chain(target.containers_source.as_ref().map(|_| "?")).collect();
        table.row(&[
            &target.id,
            &target.architecture,
            target.platform.as_deref().unwrap_or("undetermined"),
            &target.launch_types.join(", "),
            &containers.join(", "),
        ]);
    }
    context.result(table)?;
    for target in &wanted.targets {
        match &target.asked {
            Asked::Platform { why, .. } => context.say(format!("{}: {why}", target.definition.id)),
            Asked::Undetermined { why, help } => context.say(format!("{}: {why}; {help}", target.definition.id)),
        }
        if let Some(gap) = &target.definition.other_containers {
            let not_known = if target.definition.containers.is_empty() {
                "its containers are not known"
            } else {
                "there may be other containers"
            };
            context.say(format!("{}: {not_known} ({}: {})", target.definition.id, gap.at, gap.reason));
        }
    }
    Ok(ExitCode::SUCCESS)
}
