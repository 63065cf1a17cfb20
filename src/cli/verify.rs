//! `verify`: does this image run on that task?

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use dockless::ecs::target::Target;
use dockless::event::{Event, Observer as _};
use dockless::image::inspect::{documents, facts};
use dockless::oci::platform::Platform;
use dockless::oci::reference::Reference;
use dockless::release::deliver::Network;
use dockless::verify::finding::Rule;

use super::args::verify::Verify;
use super::context::Context;
use super::failure::Failure;
use super::gate::{self, Wanted};
use super::report::place::{self, Input, Kind, Written};
use super::report::{files, is_stdout, sarif};
use super::{image, inputs, report};

/// Runs `dockless verify`.
pub fn run(args: &Verify, context: &Context) -> Result<ExitCode, Failure> {
    if let Some(name) = &args.explain {
        let rule: Rule = name.parse().map_err(|error: <Rule as std::str::FromStr>::Err| Failure::new(error))?;
        context.result(rule.explain().trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let given = args.image.as_deref().unwrap_or_default();
    let mut wanted = wanted(args, context).inspect_err(|_| forget(args))?;
    // The image is read by the network's threads: it lives as long as the image.
    let (image, mut network) = image::open(given, context, &args.registry)?;
    if args.sidecars {
        if network.is_none() {
            network = Some(image::network(context, &args.registry)?);
        }
        let known = network.as_ref().map(|network| sidecars(&wanted.targets, given, network, context));
        wanted.know_images(known.unwrap_or_default());
    }
    let facts =
        facts(given, image.source.as_ref(), &image.top, threads(), context.progress.as_ref()).map_err(Failure::new)?;
    let (verification, passes) = wanted.judge(&facts, context);
    if let Some(path) = &args.sarif {
        let document =
            sarif::document(&verification, &wanted.definitions(), context.settings.github_workspace.as_deref());
        files::write(path, files::json(&document)?.as_bytes())?;
    }
    if args.sarif.as_deref().is_some_and(is_stdout) {
        // The document is the result.
    } else if context.output.json {
        context.json(&verification)?;
    } else {
        context.result(verification.verdict.word())?;
    }
    Ok(ExitCode::from(u8::from(!passes)))
}

/// What the image is verified against, once the file is in nobody's way.
fn wanted(args: &Verify, context: &Context) -> Result<Wanted, Failure> {
    report::check_files(context, &[("--sarif", args.sarif.as_deref())])?;
    let wanted = || gate::wanted(&args.gate, None, context, &args.registry);
    inputs::keep_apart(&written(args), &read(args), wanted)
}

fn written(args: &Verify) -> [Written<'_>; 1] {
    [Written::new(Kind::Findings, "--sarif", args.sarif.as_deref())]
}

fn read(args: &Verify) -> Vec<Input> {
    let read = [inputs::of_gate(&args.gate), inputs::of_registry(&args.registry)].concat();
    inputs::of_image(args.image.as_deref().unwrap_or_default()).into_iter().chain(read).collect()
}

/// Removes what an earlier verification wrote, as far as it is known what is read.
pub fn forget(args: &Verify) {
    place::forget(&written(args), &read(args));
}

/// The platforms of the other images of the tasks. What cannot be asked is told, and not judged.
fn sidecars(targets: &[Target], given: &str, network: &Network, context: &Context) -> BTreeMap<String, Vec<Platform>> {
    let ours = given.parse::<Reference>().ok();
    let containers = targets.iter().flat_map(|target| &target.definition.containers);
    let stated: BTreeSet<&String> = containers.filter_map(|container| container.image.value()).collect();
    let mut known = BTreeMap::new();
    for name in stated {
        let Ok(reference) = name.parse::<Reference>() else { continue };
        if ours.as_ref().is_some_and(|ours| ours.name() == reference.name()) {
            continue;
        }
        match platforms(&reference, network) {
            Ok(platforms) => drop(known.insert(name.clone(), platforms)),
            Err(error) => {
                let text = format!("what {name} runs on is not known: {error}");
                context.progress.note(Event::Warning(&text));
            }
        }
    }
    known
}

fn platforms(
    reference: &Reference,
    network: &Network,
) -> Result<Vec<Platform>, Box<dyn std::error::Error + Send + Sync>> {
    let (top, _, blobs) = network.registries().open(reference)?;
    let (_, images) = documents(&blobs, &top)?;
    Ok(images.into_iter().map(|image| image.stated.unwrap_or_else(|| image.config.platform())).collect())
}

/// How many threads work, where nobody says.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
