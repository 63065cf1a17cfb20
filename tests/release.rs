//! A release as a library makes it: a recipe to an image that is judged and pushed, without a command line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dockless::ecs::load::load;
use dockless::ecs::target::{Target, TargetOptions};
use dockless::event::{Observer, Silent};
use dockless::image::base::Bases;
use dockless::image::build::{Caching, Options};
use dockless::image::config::ConfigRecipe;
use dockless::image::plan::run::Runs;
use dockless::image::recipe::Recipe;
use dockless::layer::compress::{Codec, Pool};
use dockless::layer::run::environment::Environment;
use dockless::layout::Layout;
use dockless::oci::platform::Platform;
use dockless::release::deliver::Sending;
use dockless::release::flow::{Destination, Gate, Outcome, Release, release};
use dockless::release::ship::{Output, Request};
use dockless::verify::finding::{Rule, Verification};
use dockless::verify::rules;

const TAGS: [&str; 3] = ["localhost/team/app:v1", "localhost/team/app:latest", "other.example/app:v1"];

fn rehearsed(folder: &Path, targets: &[Target]) -> Outcome {
    fs::create_dir_all(folder.join("app")).expect("a folder");
    fs::write(folder.join("app/run"), "#!/bin/sh\n").expect("a file");
    let text = "[[layer]]\nname = \"app\"\ncopy = [{ src = \"app\", dest = \"/app\" }]\n";
    fs::write(folder.join("dockless.toml"), text).expect("a recipe");
    let recipe = Recipe::load(folder).expect("a recipe");
    let (flags, annotations, pool) = (ConfigRecipe::default(), BTreeMap::new(), Pool::new(1));
    let observer: Arc<dyn Observer> = Arc::new(Silent);
    let (output, run_folder) = (Output::Layout(folder.join("oci")), folder.join("run"));
    let tags = TAGS.map(|tag| tag.parse().expect("a reference"));
    let told = AtomicU32::new(0);
    let outcome = release(&Release {
        image: Request {
            recipe: &recipe,
            platforms: &[Platform::linux_amd64()],
            options: Options {
                flags: &flags,
                annotations: &annotations,
                codec: Codec::GZIP,
                source_date_epoch: None,
                pool: &pool,
                cache: Caching::default(),
                begun: None,
                made: None,
                observer: &Silent,
            },
            output: &output,
            records: &[],
            tags: &tags,
            bases: Bases::default(),
            runs: Runs {
                folder: &run_folder,
                otherwise: &run_folder,
                environment: &Environment::default(),
                jobs: 1,
                anew: false,
                never: true,
            },
            ready: None,
        },
        gate: Gate {
            targets,
            options: &rules::Options::default(),
            strict: false,
            told: &|_: &Verification| {
                told.fetch_add(1, Ordering::Relaxed);
            },
        },
        destination: Destination::Rehearsal(Some(&folder.join("registry"))),
        sending: &Sending::default(),
        observer: &observer,
    });
    assert_eq!(told.into_inner(), 1, "the verdict is told once");
    outcome.expect("an image")
}

#[test]
fn a_recipe_becomes_an_image_at_every_tag() {
    let folder = tempfile::tempdir().expect("a folder");
    let outcome = rehearsed(folder.path(), &[]);
    assert!(outcome.passes && outcome.failure.is_none(), "{:?}", outcome.failure);
    let digest = outcome.digest;
    assert_eq!(outcome.references, [format!("localhost/team/app@{digest}"), format!("other.example/app@{digest}")]);
    assert_eq!(outcome.pushed.tags, [TAGS[0], TAGS[1], TAGS[2]]);
    let pushed = Layout::open(&folder.path().join("registry")).and_then(|layout| layout.index()).expect("an index");
    assert!(pushed.manifests.iter().any(|entry| entry.digest == digest));
}

#[test]
fn what_does_not_run_goes_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let task = folder.path().join("task.json");
    let text = r#"{"family":"app","runtimePlatform":{"cpuArchitecture":"ARM64"},"containerDefinitions":[{"name":"app","image":"app"}]}"#;
    fs::write(&task, text).expect("a file");
    let loaded = load(&task.display().to_string(), None, &TargetOptions::default()).expect("a task definition");
    let outcome = rehearsed(folder.path(), &loaded.targets);
    assert!(!outcome.passes && outcome.references.is_empty() && outcome.pushed.tags.is_empty());
    assert!(outcome.verification.all().any(|finding| finding.rule == Rule::PlatformMissing));
    assert!(!folder.path().join("registry").exists(), "no registry was needed");
}
