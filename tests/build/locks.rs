//! `dockless.lock`: tags move, images do not.

use dockless::layout::Layout;

use super::bases::{project, put_base, recipe};
use super::project::{Project, Said};
use super::registry::Registry;

/// The base's tag names another image from now on.
fn move_tag(project: &Project, registry: &Registry) {
    project.write("data", "what all have now");
    put_base(project, registry);
}

/// The digest of the index that the tag names.
fn named(project: &Project) -> String {
    let layout = Layout::open(&project.at("base")).expect("a layout");
    layout.index().expect("an index").manifests[0].digest.to_string()
}

/// With a cache folder, as everybody has one.
#[track_caller]
fn with_cache(project: &Project, words: &[&str]) -> Said {
    let cache = project.at("cache");
    project.run_with(words, &[("DOCKLESS_CACHE_DIR", cache.to_str().expect("text"))])
}

#[test]
fn a_locked_build_is_the_same_when_the_tag_has_moved() {
    let registry = Registry::new();
    let project = project(&registry);
    let said = project.run(&["lock"]).done();
    assert_eq!(said.stderr, "dockless.lock is written: commit it\n");
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 2);
    let base = registry.reference("base@sha256:");
    assert!(lines[0].starts_with(&format!("linux/amd64 {base}")), "{lines:?}");
    let lock = project.text("dockless.lock");
    assert!(lock.starts_with("# ") && lock.contains(&named(&project)), "{lock}");
    assert_eq!(project.run(&["lock", "--check"]).done().stdout, "");

    let first = with_cache(&project, &["build", "-q", "--locked"]).done();
    let before = named(&project);
    move_tag(&project, &registry);
    let second = with_cache(&project, &["build", "-q", "--locked"]).done();
    assert_eq!(second.stdout, first.stdout);
    // Every build uses the lock; nobody asks what the tag names by now.
    let plain = with_cache(&project, &["build", "-o", "fresh"]).done();
    assert_eq!(plain.stdout, first.stdout);
    assert!(!plain.stderr.contains("warning"), "{plain:#?}");
    let requests = registry.requests();
    assert!(requests.iter().all(|request| !request.contains("/manifests/v1")), "{requests:#?}");

    let check = project.run(&["lock", "--check"]).with_code(1);
    assert_eq!(check.stdout.lines().count(), 2, "{check:#?}");
    assert!(check.stdout.starts_with("linux/amd64 sha256:") && check.stdout.contains(" -> sha256:"), "{check:#?}");
    assert_eq!(project.text("dockless.lock"), lock, "a check writes nothing");

    // Without the lock the tag counts, and somebody says that it has moved.
    std::fs::remove_file(project.at("dockless.lock")).expect("a file");
    let moved = with_cache(&project, &["build"]).done();
    assert_ne!(moved.stdout, first.stdout);
    let warning = format!("has moved since the last build: it named {before}, now {}", named(&project));
    assert!(moved.stderr.contains(&warning), "{moved:#?}");
    let again = with_cache(&project, &["build"]).done();
    assert!(!again.stderr.contains("has moved"), "{again:#?}");

    let report = project.run(&["lock", "--json"]).done().json();
    assert_eq!((&report["path"], &report["base"]["digest"]), (&"dockless.lock".into(), &named(&project).into()));
    let locked = with_cache(&project, &["build", "-q", "--locked"]).done();
    assert_eq!(locked.stdout, moved.stdout);
}

#[test]
fn a_lock_that_does_not_say_it_all_is_drift() {
    let registry = Registry::new();
    let project = project(&registry);
    let text = project.refused(&["build", "--locked"]);
    assert!(text.contains("--locked: there is no dockless.lock") && text.contains("dockless.toml:2:8"), "{text}");

    project.run(&["lock", "-q", "-p", "linux/amd64"]).done();
    project.run(&["build", "-q", "--locked", "-p", "linux/amd64"]).done();
    let text = project.refused(&["build", "--locked"]);
    assert!(text.contains("dockless.lock has no linux/arm64 of"), "{text}");
    let said = project.run(&["build"]).done();
    assert!(said.stderr.contains("warning: dockless.lock has no linux/arm64 of"), "{said:#?}");

    project.write("dockless.toml", recipe(&registry.reference("base")));
    let text = project.refused(&["build", "--locked"]);
    assert!(text.contains("base:v1, but the base is"), "{text}");
    // What cannot drift needs no lock.
    project.write("dockless.toml", recipe(&format!("{}@{}", registry.reference("base:v1"), named(&project))));
    project.run(&["build", "-q", "--locked"]).done();
    project.write("dockless.toml", recipe("oci:base"));
    project.run(&["build", "-q", "--locked"]).done();
    let text = project.refused(&["lock"]);
    assert!(text.contains("there is nothing to lock"), "{text}");

    project.write("dockless.lock", "version = 1\n[base]\nname = 3\n");
    let text = project.refused(&["build"]);
    assert!(text.contains("dockless.lock is damaged: ") && text.contains("choose the base anew"), "{text}");
    project.write("dockless.toml", recipe(&registry.reference("base:v1")));
    project.refused(&["lock", "--check"]);
    project.run(&["lock", "-q"]).done();
    project.run(&["build", "-q", "--locked"]).done();
}

#[test]
fn a_locked_base_that_is_gone_says_what_to_do() {
    let registry = Registry::new();
    let project = project(&registry);
    project.run(&["lock", "-q"]).done();
    let manifest = project.image("base", None).index.manifests[1].digest;
    std::fs::remove_file(registry.blob(manifest)).expect("a blob");
    let text = project.refused(&["build", "-q"]);
    assert!(text.contains(&format!("cannot read the base {}", registry.reference("base@sha256:"))), "{text}");
    assert!(text.contains("it is gone: `dockless lock` chooses anew"), "{text}");
}

#[test]
fn a_recipe_of_another_name_has_a_lock_of_its_own() {
    let registry = Registry::new();
    let project = project(&registry);
    project.write(
        "services/web.toml",
        recipe(&registry.reference("base:v1")).replace("\"app\", dest", "\"../app\", dest"),
    );
    project.run(&["lock", "-q", "services/web.toml"]).done();
    assert!(project.at("services/web.lock").is_file() && !project.at("dockless.lock").exists());
    project.run(&["build", "-q", "--locked", "services/web.toml"]).done();
}

#[test]
fn only_what_the_base_has_can_be_locked() {
    let registry = Registry::new();
    let project = project(&registry);
    project.run(&["build", "-q", "base.toml", "-o", "base", "-p", "linux/amd64"]).done();
    project.run(&["push", "-q", "base", &registry.reference("base:v1")]).done();
    let text = project.refused(&["lock"]);
    assert!(text.contains("has no linux/arm64; it has linux/amd64") && text.contains("dockless.toml:2:8"), "{text}");
    // A recipe that names no platform takes what there is.
    let all = recipe(&registry.reference("base:v1"));
    project.write("dockless.toml", all.replace("platforms = [\"linux/amd64\", \"linux/arm64\"]\n", ""));
    assert_eq!(project.run(&["lock", "-q"]).done().stdout.lines().count(), 1);
}
