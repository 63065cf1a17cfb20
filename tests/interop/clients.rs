//! Images that others pushed, and clients of other makers.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::images::{BOTH, Layout, ONE, sources, words};
use super::support::{Place, Registry, Told, find, run, say, skopeo, tool};

fn task_definition(place: &Place, image: &str, architecture: &str) {
    let definition = json!({
        "family": "app",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "runtimePlatform": { "cpuArchitecture": architecture, "operatingSystemFamily": "LINUX" },
        "containerDefinitions": [{ "name": "app", "image": image, "essential": true }],
    });
    fs::write(place.path("task-definition.json"), definition.to_string()).expect("a file");
}

fn json(told: &Told) -> Value {
    serde_json::from_slice(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// `inspect` and `verify` of an amd64 image in a registry that others pushed.
fn understood(place: &Place, reference: &str) {
    let inspected = place.dockless(["inspect", reference, "--json"]).ok();
    assert!(inspected.text().contains("linux/amd64"), "{inspected}");

    task_definition(place, reference, "X86_64");
    let verify = ["verify", reference, "--task-definition", "task-definition.json", "--json"];
    let runs = place.dockless(verify).ok();
    assert_eq!(json(&runs)["verdict"], "runs", "{runs}");

    task_definition(place, reference, "ARM64");
    let other = place.dockless(verify);
    assert_eq!(other.code, Some(1), "{other}");
    assert_eq!(json(&other)["verdict"], "does-not-run", "{other}");
}

#[test]
fn what_skopeo_pushed_is_understood() {
    let tools = ["skopeo", "docker-registry", "busybox"];
    let Some(place) = Place::new("what_skopeo_pushed_is_understood", &tools) else { return };
    sources(&place);
    place.dockless(words(ONE, &["-t", "example.com/app:v1", "-o", "image"])).ok();
    let registry = Registry::docker_registry(&place, "debian");
    let from = format!("oci:{}:v1", place.text("image"));
    for format in ["oci", "v2s2"] {
        let name = format!("app:{format}");
        let to = registry.docker(&name);
        skopeo(["copy", "--quiet", "--format", format, "--dest-tls-verify=false", &from, &to]).ok();
        understood(&place, &registry.reference(&name));
    }
}

/// buildah with its store in the test's folder.
fn buildah(place: &Place, more: &[&str]) -> Told {
    let mut command = tool("buildah");
    command.arg("--root").arg(place.path("store")).arg("--runroot").arg(place.path("run"));
    command.args(["--storage-driver", "vfs"]).args(more);
    // It makes an image's name of the path as it is written, and refuses capitals in it: relative paths have none.
    run(command.env("HOME", place.path(".")).env("BUILDAH_ISOLATION", "chroot").current_dir(place.path(".")))
}

fn buildah_is_here(test: &str) -> bool {
    let here = find("buildah").is_some();
    if !here {
        say(&format!("SKIPPED: {test}: buildah is not installed"));
    }
    here
}

#[test]
fn buildah_builds_upon_us() {
    let test = "buildah_builds_upon_us";
    let Some(place) = Place::new(test, &["busybox"]) else { return };
    if !buildah_is_here(test) {
        return;
    }
    sources(&place);
    place.dockless(words(BOTH, &["-t", "example.com/app:v1", "-o", "image"])).ok();
    let policy = permissive(&place);
    let from = ["from", "--signature-policy", &policy, "--name", "app", "oci:image:v1"];
    let told = buildah(&place, &from);
    if told.code != Some(0) && told.stderr.contains("remount /") {
        // Where the root is no mount of its own (a chroot), it can unpack no layer, whoever wrote it.
        say(&format!("SKIPPED: {test}: buildah cannot make mount namespaces here: {told}"));
        return;
    }
    let name = told.ok().line();
    let told = json(&buildah(&place, &["inspect", &name]).ok());
    assert_eq!(told["OCIv1"]["config"]["Cmd"], json!(["/arch"]));
    assert_eq!(told["OCIv1"]["config"]["Env"][0], "GREETING=hello");
    assert_eq!(told["OCIv1"]["architecture"], "amd64");
    let mounted = buildah(&place, &["mount", &name]).ok().line();
    let hello = fs::read_to_string(Path::new(&mounted).join("app/hello.txt"));
    let arch = fs::read_to_string(Path::new(&mounted).join("arch"));
    buildah(&place, &["umount", &name]).ok();
    buildah(&place, &["rm", &name]).ok();
    assert_eq!(hello.expect("a file of the shared layer"), "hello\n".repeat(10_000));
    assert_eq!(arch.expect("a file of the platform's layer"), "amd64");
}

#[test]
fn what_buildah_pushed_is_understood() {
    let test = "what_buildah_pushed_is_understood";
    let Some(place) = Place::new(test, &["docker-registry", "busybox"]) else { return };
    if !buildah_is_here(test) {
        return;
    }
    let registry = Registry::docker_registry(&place, "debian");
    let policy = permissive(&place);
    let busybox = find("busybox").expect("busybox is here");
    buildah(&place, &["from", "--name", "app", "scratch"]).ok();
    buildah(&place, &["copy", "--chmod", "0755", "app", busybox.to_str().expect("a path"), "/bin/busybox"]).ok();
    buildah(&place, &["config", "--entrypoint", r#"["/bin/busybox","date"]"#, "app"]).ok();
    for format in ["oci", "docker"] {
        let name = format!("app:{format}");
        let to = registry.docker(&name);
        let how = ["commit", "--quiet", "--signature-policy", &policy, "--format", format, "--tls-verify=false"];
        buildah(&place, &words(&how, &["app", &to])).ok();
        understood(&place, &registry.reference(&name));
    }
    buildah(&place, &["rm", "app"]).ok();
}

#[test]
fn verify_fetches_each_layer_once() {
    let test = "verify_fetches_each_layer_once";
    let Some(place) = Place::new(test, &["docker-registry", "busybox"]) else { return };
    if !buildah_is_here(test) {
        return;
    }
    let registry = Registry::docker_registry(&place, "debian");
    let policy = permissive(&place);
    let busybox = find("busybox").expect("busybox is here");
    let busybox = busybox.to_str().expect("a path");
    // A layer upon another, and both in the images of two platforms: the second is not what its configuration says.
    buildah(&place, &["from", "--name", "lower", "scratch"]).ok();
    buildah(&place, &["copy", "--chmod", "0755", "lower", busybox, "/bin/busybox"]).ok();
    buildah(&place, &["commit", "--quiet", "--signature-policy", &policy, "lower", "lower-image"]).ok();
    buildah(&place, &["from", "--signature-policy", &policy, "--name", "upper", "lower-image"]).ok();
    buildah(&place, &["copy", "upper", busybox, "/data/other"]).ok();
    buildah(&place, &["config", "--entrypoint", r#"["/bin/busybox","date"]"#, "upper"]).ok();
    buildah(&place, &["manifest", "create", "both"]).ok();
    for architecture in ["amd64", "arm64"] {
        let name = format!("app-{architecture}");
        buildah(&place, &["config", "--arch", architecture, "upper"]).ok();
        buildah(&place, &["commit", "--quiet", "--signature-policy", &policy, "upper", &name]).ok();
        buildah(&place, &["manifest", "add", "both", &name]).ok();
    }
    let to = registry.docker("app:both");
    let push =
        ["manifest", "push", "--all", "--quiet", "--signature-policy", &policy, "--tls-verify=false", "both", &to];
    buildah(&place, &push).ok();

    let reference = registry.reference("app:both");
    let verify = ["verify", &reference, "--task-definition", "task-definition.json", "--json"];
    for (architecture, verdict) in [("X86_64", "runs"), ("ARM64", "does-not-run")] {
        task_definition(&place, &reference, architecture);
        let before = registry.requests().len();
        let told = place.dockless(verify);
        assert_eq!(json(&told)["verdict"], verdict, "{told}");
        let asked = registry.requests().split_off(before);
        let mut blobs: Vec<&str> =
            asked.iter().filter(|one| one.path.contains("/blobs/")).map(|one| one.path.as_str()).collect();
        blobs.sort_unstable();
        let times = blobs.len();
        blobs.dedup();
        // Two layers, and the configuration of each platform.
        assert_eq!((blobs.len(), times), (4, 4), "{asked:#?}");
    }
    buildah(&place, &["rm", "--all"]).ok();
}

/// A policy that takes every image: the machine's own may be missing, or say otherwise.
fn permissive(place: &Place) -> String {
    let policy = json!({ "default": [{ "type": "insecureAcceptAnything" }] });
    fs::write(place.path("policy.json"), policy.to_string()).expect("a file");
    place.text("policy.json")
}

#[test]
fn crane_finds_nothing_wrong() {
    let test = "crane_finds_nothing_wrong";
    let Some(place) = Place::new(test, &["docker-registry"]) else { return };
    if find("crane").is_none() {
        say(&format!("SKIPPED: {test}: crane is not installed"));
        return;
    }
    sources(&place);
    place.dockless(words(BOTH, &["-o", "image"])).ok();
    let layout = Layout(place.path("image"));
    for registry in [Registry::docker_registry(&place, "debian"), Registry::dockless(&place, "served")] {
        let reference = registry.reference("team/app:v1");
        place.dockless(["push", "image", &reference]).ok();
        let crane = |words: &[&str]| run(tool("crane").args(words).env("HOME", place.path("."))).ok();
        for platform in ["linux/amd64", "linux/arm64"] {
            crane(&["validate", "--remote", &reference, "--platform", platform]);
        }
        assert_eq!(crane(&["digest", &reference]).line(), layout.top());
        assert_eq!(crane(&["manifest", &reference]).stdout, layout.blob(&layout.top()));
        let folder = format!("pulled-{}", registry.address);
        crane(&["pull", "--format", "oci", &reference, &place.text(&folder)]);
        assert_eq!(Layout(place.path(&folder)).blobs(), layout.blobs());
    }
}
