//! A release as a library makes it: a recipe to an image that is judged and pushed, without a command line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dockless::cause::chain;
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
use dockless::oci::reference::Reference;
use dockless::release::deliver::Sending;
use dockless::release::flow::{Destination, Gate, Outcome, Release, ReleaseError, release};
use dockless::release::ship::{Output, Request};
use dockless::verify::finding::{Rule, Verification};
use dockless::verify::rules;

const TAGS: [&str; 3] = ["localhost/team/app:v1", "localhost/team/app:latest", "other.example/app:v1"];

/// What is asked of a release, beside the recipe.
struct Asked {
    platforms: Vec<Platform>,
    codec: Codec,
    source_date_epoch: Option<i64>,
    tags: Vec<Reference>,
}

fn usual() -> Asked {
    let tags = TAGS.map(|tag| tag.parse().expect("a reference")).into();
    Asked { platforms: vec![Platform::linux_amd64()], codec: Codec::GZIP, source_date_epoch: None, tags }
}

fn rehearsed(folder: &Path, targets: &[Target]) -> Outcome {
    let told = AtomicU32::new(0);
    let outcome = released(folder, targets, &usual(), &Pool::new(1), &told);
    assert_eq!(told.into_inner(), 1, "the verdict is told once");
    outcome.expect("an image")
}

fn released(
    folder: &Path,
    targets: &[Target],
    asked: &Asked,
    pool: &Pool,
    told: &AtomicU32,
) -> Result<Outcome, ReleaseError> {
    fs::create_dir_all(folder.join("app")).expect("a folder");
    fs::write(folder.join("app/run"), "#!/bin/sh\n").expect("a file");
    let text = "[[layer]]\nname = \"app\"\ncopy = [{ src = \"app\", dest = \"/app\" }]\n";
    fs::write(folder.join("dockless.toml"), text).expect("a recipe");
    let recipe = Recipe::load(folder).expect("a recipe");
    let (flags, annotations) = (ConfigRecipe::default(), BTreeMap::new());
    let observer: Arc<dyn Observer> = Arc::new(Silent);
    let (output, run_folder) = (Output::Layout(folder.join("oci")), folder.join("run"));
    release(&Release {
        image: Request {
            recipe: &recipe,
            platforms: &asked.platforms,
            options: Options {
                flags: &flags,
                annotations: &annotations,
                codec: asked.codec,
                source_date_epoch: asked.source_date_epoch,
                pool,
                cache: Caching::default(),
                begun: None,
                made: None,
                observer: &Silent,
            },
            output: &output,
            records: &[],
            tags: &asked.tags,
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
    })
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

#[test]
fn what_no_image_can_be_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pool, amd64) = (Pool::new(1), Platform::linux_amd64);
    let with_digest = format!("localhost/app@sha256:{}", "0".repeat(64)).parse().expect("a reference");
    for (asked, wanted) in [
        (Asked { platforms: Vec::new(), ..usual() }, "there is no platform to build for"),
        (Asked { platforms: vec![amd64(), amd64()], ..usual() }, "linux/amd64 is to be built twice"),
        (Asked { codec: Codec::Gzip(13), ..usual() }, "\"gzip:13\" is not a compression"),
        (Asked { codec: Codec::Zstd(0), ..usual() }, "\"zstd:0\" is not a compression"),
        (Asked { source_date_epoch: Some(253_402_300_800), ..usual() }, "expected whole seconds from 1970"),
        (Asked { source_date_epoch: Some(-1), ..usual() }, "expected whole seconds from 1970"),
        (Asked { tags: vec![with_digest], ..usual() }, "an image that is yet to be built has none"),
        (Asked { tags: Vec::new(), ..usual() }, "no tag says to which"),
    ] {
        let told = AtomicU32::new(0);
        let error = released(folder.path(), &[], &asked, &pool, &told).map(|outcome| outcome.digest).expect_err(wanted);
        let text = chain(&error).map(ToString::to_string).collect::<Vec<_>>().join(": ");
        assert!(text.contains(wanted), "{text}");
        assert_eq!(told.into_inner(), 0);
        assert!(!folder.path().join("oci/index.json").exists() && !folder.path().join("registry").exists(), "{wanted}");
    }
    // The threads are as good as before.
    assert!(released(folder.path(), &[], &usual(), &pool, &AtomicU32::new(0)).is_ok_and(|outcome| outcome.passes));
}
