//! Debian's docker-registry and CNCF distribution take what we push, and ask for a password where they were told to.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::debian::noise;
use super::images::{BOTH, Layout, digest, sources, words};
use super::support::{PASSWORD, Place, Registry, Request, run, skopeo};

const TOOLS: &[&str] = &["skopeo", "docker-registry"];

/// skopeo finds the index and every blob below it in the registry, as they are in the layout.
fn arrived(place: &Place, layout: &Layout, registry: &Registry, name: &str) {
    let out = format!("pulled-{}", name.replace([':', '/'], "-"));
    let to = format!("oci:{}:v1", place.text(&out));
    skopeo(["copy", "--all", "--preserve-digests", "--quiet", "--src-tls-verify=false", &registry.docker(name), &to])
        .ok();
    let pulled = Layout(place.path(&out));
    assert_eq!(pulled.top(), layout.top());
    assert_eq!(pulled.blobs(), layout.blobs());
}

fn built(place: &Place) -> Layout {
    sources(place);
    place.dockless(words(BOTH, &["-o", "image"])).ok();
    Layout(place.path("image"))
}

#[test]
fn a_second_push_sends_nothing() {
    let Some(place) = Place::new("a_second_push_sends_nothing", TOOLS) else { return };
    let layout = built(&place);
    let registry = Registry::docker_registry(&place, "debian");
    let reference = registry.reference("team/app:v1");

    let pushed = place.dockless(["push", "image", &reference]).ok();
    assert_eq!(pushed.line(), format!("{}@{}", registry.reference("team/app"), layout.top()));
    arrived(&place, &layout, &registry, "team/app:v1");
    let first = registry.requests();
    // Three layers, two configurations.
    let uploads = first.iter().filter(|request| request.sends_a_blob() && request.method == "PUT").count();
    assert_eq!(uploads, 5, "{first:#?}");
    let failed: Vec<_> = first.iter().filter(|request| request.status >= 400 && request.status != 404).collect();
    assert!(failed.is_empty(), "{failed:#?}");

    place.dockless(["push", "image", &reference]).ok();
    let again = registry.requests().split_off(first.len());
    assert!(!again.is_empty());
    assert!(again.iter().all(|request| request.method == "HEAD" || request.method == "GET"), "{again:#?}");

    // Under another tag the blobs are there already, only the index is new.
    place.dockless(["push", "image", &registry.reference("team/app:v2")]).ok();
    let other = registry.requests().split_off(first.len() + again.len());
    assert!(!other.iter().any(Request::sends_a_blob), "{other:#?}");
    arrived(&place, &layout, &registry, "team/app:v2");
}

#[test]
fn build_pushes() {
    let Some(place) = Place::new("build_pushes", TOOLS) else { return };
    sources(&place);
    let registry = Registry::docker_registry(&place, "debian");
    let (one, two) = (registry.reference("team/app:v1"), registry.reference("other/app:v1"));
    let more = ["-o", "image", "-t", &one, "-t", &two, "--push", "--report", "report.json"];
    let told = place.dockless(words(BOTH, &more)).ok();
    let layout = Layout(place.path("image"));
    // The layout has an entry for each name, all of one image.
    let top = super::images::text(&layout.entries()[0]["digest"]);
    let mut lines: Vec<_> = told.text().lines().map(str::to_owned).collect();
    lines.sort();
    let mut wanted = ["team/app", "other/app"].map(|name| format!("{}@{top}", registry.reference(name)));
    wanted.sort();
    assert_eq!(lines, wanted);
    for name in ["team/app:v1", "other/app:v1"] {
        let raw = skopeo(["inspect", "--raw", "--tls-verify=false", &registry.docker(name)]).ok().stdout;
        assert_eq!(digest(&raw), top);
    }
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("report.json")).expect("a report")).expect("JSON");
    assert_eq!(report["digest"], top);
    assert_eq!(report["platforms"].as_array().map(Vec::len), Some(2));
}

#[test]
fn layers_leave_while_they_are_made() {
    let test = "layers_leave_while_they_are_made";
    let Some(place) = Place::new(test, TOOLS) else { return };
    sources(&place);
    // Large enough that it is still being made when its first bytes have left.
    fs::write(place.path("app/data/more"), noise(96 << 20, 3)).expect("a file");
    let debian = Registry::docker_registry(&place, "debian");
    for registry in [Some(debian), Registry::distribution(&place, test, "cncf")].into_iter().flatten() {
        let one = registry.reference("team/first:v1");
        place.dockless(words(BOTH, &["-o", "image", "-t", &one, "--push", "--no-cache"])).ok();
        let first = registry.requests();
        let large: Vec<_> = first.iter().filter(|request| request.method == "PATCH").collect();
        assert!(large.len() == 1 && large[0].status == 202, "{first:#?}");
        // Two of the three layers and two configurations are asked for, and the tag.
        assert_eq!(first.iter().filter(|request| request.method == "HEAD").count(), 5, "{first:#?}");
        let layout = Layout(place.path("image"));
        arrived(&place, &layout, &registry, "team/first:v1");
        fs::remove_dir_all(place.path("image")).expect("a layout");
        fs::remove_dir_all(place.path("pulled-team-first-v1")).expect("a layout");
    }
}

#[test]
fn chunks_are_put_together() {
    let Some(place) = Place::new("chunks_are_put_together", TOOLS) else { return };
    let layout = built(&place);
    let registry = Registry::docker_registry(&place, "debian");
    let reference = registry.reference("team/app:v1");
    place.dockless(["push", "image", &reference, "--chunk-size", "5MiB"]).ok();
    arrived(&place, &layout, &registry, "team/app:v1");
    let requests = registry.requests();
    // 12 MiB that do not shrink are two chunks of 5 MiB and the rest, which may come with the PUT.
    let chunks = requests.iter().filter(|request| request.method == "PATCH" && request.status == 202).count();
    assert!(chunks >= 2, "{requests:#?}");
}

#[test]
fn distribution_takes_the_same_pushes() {
    let test = "distribution_takes_the_same_pushes";
    let Some(place) = Place::new(test, TOOLS) else { return };
    let Some(registry) = Registry::distribution(&place, test, "cncf") else { return };
    let layout = built(&place);
    for (name, more) in [("team/whole:v1", &[][..]), ("team/parts:v1", &["--chunk-size", "5MiB"])] {
        let before = registry.requests().len();
        let reference = registry.reference(name);
        let push = || place.dockless(words(&["push", "image", &reference], more)).ok();
        push();
        arrived(&place, &layout, &registry, name);
        let first = registry.requests().split_off(before);
        let chunks = first.iter().filter(|request| request.method == "PATCH" && request.status == 202).count();
        // 12 MiB that do not shrink are two chunks of 5 MiB and the rest, which comes with the PUT.
        assert_eq!(chunks, if more.is_empty() { 0 } else { 2 }, "{first:#?}");
        let failed: Vec<_> = first.iter().filter(|request| request.status >= 400 && request.status != 404).collect();
        assert!(failed.is_empty(), "{failed:#?}");

        push();
        let again = registry.requests().split_off(before + first.len());
        assert!(!again.is_empty());
        assert!(again.iter().all(|request| request.method == "HEAD" || request.method == "GET"), "{again:#?}");
    }
}

#[test]
fn blobs_are_mounted() {
    let Some(place) = Place::new("blobs_are_mounted", TOOLS) else { return };
    let layout = built(&place);
    let registry = Registry::docker_registry(&place, "debian");
    place.dockless(["push", "image", &registry.reference("team/base:v1")]).ok();
    let before = registry.requests().len();
    place.dockless(["push", "image", &registry.reference("team/app:v1"), "--mount-from", "team/base"]).ok();
    arrived(&place, &layout, &registry, "team/app:v1");
    let requests = registry.requests().split_off(before);
    let mounted = |request: &&Request| request.path.contains("mount=") && request.status == 201;
    assert_eq!(requests.iter().filter(mounted).count(), 5, "{requests:#?}");
    assert!(!requests.iter().any(|request| request.sends_a_blob() && request.method != "POST"), "{requests:#?}");
}

#[test]
fn an_archive_is_pushed() {
    let Some(place) = Place::new("an_archive_is_pushed", TOOLS) else { return };
    let layout = built(&place);
    place.dockless(words(BOTH, &["-o", "image.tar"])).ok();
    let registry = Registry::docker_registry(&place, "debian");
    place.dockless(["push", "image.tar", &registry.reference("app:archive")]).ok();
    arrived(&place, &layout, &registry, "app:archive");
    // From one registry to another, too.
    let other = Registry::docker_registry(&place, "other");
    place.dockless(["push", &registry.docker("app:archive"), &other.reference("app:copied")]).ok();
    arrived(&place, &layout, &other, "app:copied");
}

#[test]
fn passwords_come_from_the_docker_configuration() {
    let Some(place) = Place::new("passwords_come_from_the_docker_configuration", TOOLS) else { return };
    let layout = built(&place);
    let registry = Registry::docker_registry_with_password(&place, "debian");
    let reference = registry.reference("team/app:v1");
    let push = |password: Option<&str>| {
        let folder = place.path("docker");
        fs::create_dir_all(&folder).expect("a folder");
        let auths = password.map_or_else(
            || json!({}),
            |password| json!({ &registry.address: { "auth": STANDARD.encode(format!("user:{password}")) } }),
        );
        fs::write(folder.join("config.json"), json!({ "auths": auths }).to_string()).expect("a file");
        run(place.command().args(["push", "image", &reference]).env("DOCKER_CONFIG", folder))
    };

    let wrong = push(Some("sesame street")).failed(2, &[&registry.address]);
    assert!(!wrong.stderr.contains("sesame street"), "{wrong}");
    assert!(wrong.text().is_empty(), "{wrong}");
    let mentions = ["password", "credential", "401", "unauthorized", "Unauthorized", "log in", "login"];
    assert!(mentions.iter().any(|word| wrong.stderr.contains(word)), "{wrong}");
    push(None).failed(2, &[&registry.address]);

    let right = push(Some(PASSWORD)).ok();
    assert!(!right.stderr.contains(PASSWORD), "{right}");
    let (user, out) = (format!("user:{PASSWORD}"), format!("oci:{}:v1", place.text("pulled")));
    let from = registry.docker("team/app:v1");
    skopeo(["copy", "--all", "--quiet", "--src-tls-verify=false", "--src-creds", &user, &from, &out]).ok();
    assert_eq!(Layout(place.path("pulled")).top(), layout.top());
}

#[test]
fn nobody_there_is_told() {
    let Some(place) = Place::new("nobody_there_is_told", TOOLS) else { return };
    built(&place);
    let address = Registry::docker_registry(&place, "debian").address.clone();
    place.dockless(["push", "image", &format!("{address}/app:v1")]).failed(2, &[&address]);
}
