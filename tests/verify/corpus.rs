//! The rules on task definitions that nobody here wrote, each against an image made to fit it.
//!
//! What is still said of an image that fits is about the definition itself. It is printed by rule, since a rule that
//! speaks of most ordinary definitions is noise.

#[path = "../corpus/mod.rs"]
mod folder;

use std::collections::{BTreeMap, BTreeSet};

use dockless::ecs::load::load;
use dockless::ecs::target::{Target, TargetOptions};
use dockless::ecs::task_definition::{ContainerDefinition, Port, Stated};
use dockless::image::inspect::Facts;
use dockless::layer::contents::{Head, Node};
use dockless::oci::config::Config;
use dockless::oci::platform::Platform;
use dockless::verify::finding::{Finding, Rule, Severity, Verdict};
use dockless::verify::rules::{Options, verify};

use crate::build::*;

/// Whether a definition is wrong whatever the image: ECS refuses it, it asks for Windows, or it starts the root folder.
fn of_the_definition(finding: &Finding, container: &ContainerDefinition) -> bool {
    let starts_a_folder =
        || container.entry_point.value().is_some_and(|words| words.first().is_some_and(|it| it == "/"));
    match finding.rule {
        Rule::NetworkMode | Rule::HostPortDiffers | Rule::FargateSize => true,
        Rule::PlatformMissing => finding.platform.as_deref().is_some_and(|wanted| wanted.starts_with("windows/")),
        Rule::EntrypointNotFound | Rule::EntrypointNotExecutable => starts_a_folder(),
        _ => false,
    }
}

/// An image for both architectures that has whatever the container names, knows users, exposes its ports and has its
/// reference.
fn fitting(container: &ContainerDefinition) -> Facts {
    let lists = [&container.entry_point, &container.command, &container.details.health_check];
    let words = lists.into_iter().filter_map(Stated::value).flatten();
    // A word may be a program, or a script that starts some.
    let separates = |c: char| c.is_whitespace() || ";|&()\"'`".contains(c);
    let mut paths: BTreeSet<String> = words
        .flat_map(|word| word.split(separates))
        .filter(|name| !name.is_empty() && !name.ends_with('/'))
        .map(|name| if name.contains('/') { name.into() } else { format!("usr/bin/{name}") })
        .collect();
    let folder = container.working_directory.value().map_or("", |folder| folder.trim_matches('/'));
    paths.extend(paths.clone().iter().map(|path| format!("{folder}/{}", path.trim_start_matches("./"))));
    paths.extend(["app", "bin/sh"].map(str::to_owned));
    let exposed = container.ports.iter().filter_map(|port| match port {
        Port::Number(number) => Some((format!("{number}/tcp"), serde_json::Map::new())),
        Port::Words(_) => None,
    });
    let config = Config { exposed_ports: exposed.collect(), ..entry(&["/app"]) };
    let root = |machine| -> Vec<Node> {
        let clean = paths.iter().map(|path| path.trim_matches('/')).filter(|path| !path.ends_with('.'));
        let users = ["etc/passwd", "etc/group"].map(|path| file(path, Head::Other));
        clean.map(|path| exe(path, program(machine))).chain(users).collect()
    };
    let mut facts = index(vec![
        image(&Platform::linux_amd64(), vec![root(X86)], config.clone()),
        image(&Platform::linux_arm64(), vec![root(ARM)], config),
    ]);
    if let Some(reference) = container.image.value() {
        facts.name.clone_from(reference);
    }
    facts
}

/// How often something was said of a target, and the first time.
#[derive(Default)]
struct Said {
    targets: BTreeSet<String>,
    first: String,
}

#[test]
#[ignore = "needs DOCKLESS_CORPUS"]
fn an_image_that_fits_runs() {
    let (folder, expected) = folder::task_definitions();
    let (mut targets, mut containers) = (0, 0);
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut said: BTreeMap<(Rule, Severity, bool), Said> = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in expected.as_object().expect("an object").keys() {
        let source = folder.join(path);
        let Ok(loaded) = load(&source.display().to_string(), None, &TargetOptions::default()) else { continue };
        for target in loaded.targets {
            targets += 1;
            for container in &target.definition.containers {
                containers += 1;
                let one = Target { container: Some(container.name.clone()), ..target.clone() };
                let answer = verify(&fitting(container), &[one], &Options::default());
                *verdicts.entry(answer.verdict.word()).or_default() += 1;
                let place = format!("{path} {}", target.definition.id);
                for finding in answer.all() {
                    let said = said.entry((finding.rule, finding.severity, finding.undecided)).or_default();
                    if said.targets.insert(place.clone()) && said.first.is_empty() {
                        said.first = told(&place, finding);
                    }
                    if finding.severity == Severity::Error && !of_the_definition(finding, container) {
                        wrong.push(told(&place, finding));
                    }
                    if finding.undecided && finding.help.is_none() {
                        wrong.push(format!("nothing to do about: {}", told(&place, finding)));
                    }
                }
                if answer.verdict == Verdict::Undetermined && !answer.all().any(|finding| finding.undecided) {
                    wrong.push(format!("{place}: undetermined without a reason"));
                }
            }
        }
    }
    note(&format!("rules: {containers} containers of {targets} targets: {verdicts:?}"));
    for ((rule, severity, undecided), Said { targets, first }) in &said {
        let open = if *undecided { ", open" } else { "" };
        note(&format!("{rule} ({severity:?}{open}): {} targets, as {first}", targets.len()));
    }
    assert!(wrong.is_empty(), "{} of an image that fits:\n{}", wrong.len(), wrong.join("\n"));
    assert!(containers > 200 || expected.as_object().is_some_and(|all| all.len() < 100), "the corpus was not read");
}

fn told(place: &str, finding: &Finding) -> String {
    let container = finding.container.as_deref().unwrap_or_default();
    let help = finding.help.as_deref().unwrap_or("-");
    format!("{place} {container}: {} {}; help: {help}", finding.rule, finding.message)
}

#[expect(clippy::print_stderr, reason = "a test that is skipped, and a score, are said aloud")]
fn note(text: &str) {
    eprintln!("{text}");
}
