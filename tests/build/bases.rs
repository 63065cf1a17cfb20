//! Bases that are in a registry: found by platform, fetched once, and never sent back.

use dockless::blob::BlobSource;
use dockless::layout::Layout;
use dockless::oci::descriptor::Descriptor;
use dockless::serve::fault::{Action, Fault};
use dockless::serve::route::Endpoint;
use hyper::Method;
use serde_json::{Value, json};

use super::elf::{AARCH64, X86_64, program};
use super::project::{Project, Said};
use super::registry::{Parrot, Registry};

/// What a base is made of, for both platforms: one layer that they share, and one of their own.
const BASE: &str = "[image]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
    [config]\nentrypoint = [\"/bin/sh\", \"-c\"]\ncmd = [\"true\"]\nuser = \"1000\"\n\
    env = { PATH = \"/usr/bin\", LANG = \"C\" }\nlabels = { from = \"base\" }\n\
    [[layer]]\nname = \"debian\"\nrootfs = \"debian-{arch}\"\nowner = \"0:0\"\n\
    [[layer]]\nname = \"data\"\ncopy = [{ src = \"data\", dest = \"/data\" }]\n";

/// A project whose base is in the registry, as `base:v1`.
pub(crate) fn project(registry: &Registry) -> Project {
    let project = Project::new();
    for (arch, machine) in [("amd64", X86_64), ("arm64", AARCH64)] {
        let root = project.tree(&format!("debian-{arch}"));
        root.dir("usr/bin", 0o755).link("bin", "usr/bin").file("usr/bin/sh", 0o755, program(machine));
        root.dir("tmp", 0o1777).dir("root", 0o700);
        root.settle(1_700_000_000);
    }
    project.write("base.toml", BASE).write("data", "what all have").write("app", "an app");
    put_base(&project, registry);
    project.write("dockless.toml", recipe(&registry.reference("base:v1")));
    project
}

pub(crate) fn recipe(base: &str) -> String {
    format!(
        "[image]\nbase = \"{base}\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         [[layer]]\nname = \"app\"\ncopy = [\n\
         {{ src = \"app\", dest = \"/bin/app\" }},\n{{ src = \"app\", dest = \"/tmp/\" }},\n\
         {{ src = \"app\", dest = \"/root/app\" }},\n]\n"
    )
}

/// Builds the base as it stands and moves the tag to it.
pub(crate) fn put_base(project: &Project, registry: &Registry) {
    project.run(&["build", "-q", "base.toml", "-o", "base"]).done();
    project.run(&["push", "-q", "base", &registry.reference("base:v1")]).done();
    registry.requests();
}

/// A layout that is new, an archive, another recipe: the cache has the layers.
#[test]
fn a_base_comes_once_whatever_the_output() {
    let registry = Registry::new();
    let project = project(&registry);
    let cache = project.at("cache");
    let variables = [("DOCKLESS_CACHE_DIR", cache.to_str().expect("UTF-8"))];
    let build = |output: &str| project.run_with(&["build", "-q", "-o", output], &variables).done().line().to_owned();
    let first = build("one");
    let count = registry.requests().len();
    assert_eq!(count, 8);
    for output in ["two", "three.tar"] {
        assert_eq!(build(output), first);
        let requests = registry.requests();
        // What the tag names now, and the documents below it: no layer.
        assert_eq!((gets(&requests, "/blobs/"), requests.len()), (2, 5), "{requests:#?}");
    }
    project.run(&["check", "two"]).done();
    // One that was damaged is fetched again.
    for entry in std::fs::read_dir(project.at("cache/layers-3/blobs")).expect("the cache") {
        std::fs::write(entry.expect("an entry").path(), "x").expect("written");
    }
    assert_eq!(build("four"), first);
    assert_eq!(registry.requests().len(), count);
    project.run(&["check", "four"]).done();
}

/// How often each blob and manifest was fetched.
fn gets(requests: &[String], what: &str) -> usize {
    requests.iter().filter(|request| request.starts_with("GET ") && request.contains(what)).count()
}

#[track_caller]
fn build(project: &Project, words: &[&str]) -> Said {
    project.run(&[&["build"], words].concat()).done()
}

#[test]
fn everything_of_a_base_comes_once() {
    let registry = Registry::new();
    let project = project(&registry);
    build(&project, &["-q"]);
    let requests = registry.requests();
    // The index, two manifests; two configurations, a layer for each platform and one for both.
    assert_eq!(
        (gets(&requests, "/manifests/"), gets(&requests, "/blobs/"), requests.len()),
        (3, 5, 8),
        "{requests:#?}"
    );
    let mut distinct = requests.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), requests.len(), "{requests:#?}");

    // The same image as on top of the same base in a folder.
    let layout = project.run(&["inspect", "--json", "oci"]).done().stdout;
    let folder = recipe("oci:base");
    project.write(
        "folder/dockless.toml",
        folder.replace("oci:base", "oci:../base").replace("\"app\", dest", "\"../app\", dest"),
    );
    build(&project, &["-q", "folder", "-o", "other"]);
    assert_eq!(project.run(&["inspect", "--json", "other"]).done().stdout.replace("other", "oci"), layout);
    project.run(&["check", "oci"]).done();
    let root = project.image("oci", None).root(1);
    for line in ["2 0644 0:0 /usr/bin/app 6", "2 1777 0:0 /tmp/", "2 0700 0:0 /root/", "0 0777 0:0 /bin -> usr/bin"] {
        assert!(root.contains(&line.to_owned()), "{line}: {root:#?}");
    }

    // What the layout has is not fetched again.
    let said = build(&project, &[]);
    let requests = registry.requests();
    let layers = project.image("oci", None).manifest(0).layers;
    assert!(layers[..2].iter().all(|layer| gets(&requests, &layer.digest.to_string()) == 0), "{requests:#?}");
    assert_eq!(
        said.stderr.lines().filter(|line| line.contains("of the base") && line.ends_with("(cached)")).count(),
        3
    );
}

/// The output's file was to blame, the registry was blamed, and no build repaired it.
#[test]
fn a_layer_of_a_base_that_is_damaged_in_the_output_is_fetched_again() {
    let registry = Registry::new();
    let project = project(&registry);
    let digest = build(&project, &["-q"]).line().to_owned();
    let layer = project.image("oci", None).manifest(0).layers[0].digest;
    let blob = project.at("oci/blobs/sha256").join(layer.encoded());
    let cache = project.at("cache");
    let variables = [("DOCKLESS_CACHE_DIR", cache.to_str().expect("UTF-8"))];
    for (words, variables) in
        [(&["build", "-q", "--no-cache"][..], &[][..]), (&["build", "-q"], &variables), (&["build", "-q"], &variables)]
    {
        let mut bytes = std::fs::read(&blob).expect("a blob");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&blob, bytes).expect("a blob");
        project.run(&["check", "oci"]).with_code(1);
        assert_eq!(project.run_with(words, variables).done().line(), digest);
        project.run(&["check", "oci"]).done();
    }
}

#[test]
fn a_base_goes_into_archives_too() {
    let registry = Registry::new();
    let project = project(&registry);
    build(&project, &["-q", "-o", "image.tar"]);
    project.run(&["check", "image.tar"]).done();
    assert!(
        project.listing().iter().all(|path| !path.to_string_lossy().contains(".dockless")),
        "{:#?}",
        project.listing()
    );
}

#[test]
fn layers_of_a_base_in_the_same_registry_are_not_sent() {
    let registry = Registry::new();
    let project = project(&registry);
    let app = registry.reference("team/app:v1");
    let said = build(&project, &["-t", &app, "--push", "--json"]);
    let uploads = said.json()["uploads"].clone();
    let base: Vec<String> = (0..2)
        .flat_map(|platform| project.image("oci", None).manifest(platform).layers[..2].to_vec())
        .map(|layer| layer.digest.to_string())
        .collect();
    for upload in uploads.as_array().expect("uploads") {
        let digest = upload["digest"].as_str().expect("a digest");
        let wanted = if base.iter().any(|base| base == digest) { "mounted" } else { "uploaded" };
        assert_eq!(upload["status"], wanted, "{uploads:#}");
    }
    let requests = registry.requests();
    let sent = requests.iter().filter(|request| request.starts_with("PUT ") && request.contains("/blobs/")).count();
    assert_eq!(sent, 3, "two configurations and a layer: {requests:#?}");
}

#[test]
fn layers_of_a_base_in_another_registry_go_down_once_and_up_once() {
    let (home, target) = (Registry::new(), Registry::new());
    let project = project(&home);
    let (cache, tag) = (project.at("cache"), target.reference("team/app:v1"));
    let build = || {
        let variables = [("DOCKLESS_CACHE_DIR", cache.to_str().expect("UTF-8"))];
        project.run_with(&["build", "-q", "-t", &tag, "--push"], &variables).done();
        let sent = |request: &String| request.starts_with("PUT ") && request.contains("/blobs/uploads/");
        (gets(&home.requests(), "/blobs/"), target.requests().iter().filter(|request| sent(request)).count())
    };
    // Three layers of the base and its two configurations down; those layers, our own and two configurations up.
    assert_eq!(build(), (5, 6));
    project.write("app", "another app");
    assert_eq!(build(), (2, 3));
    assert_eq!(build().1, 0);
}

/// Changes the documents of a layout's only image, bottom up, as another tool would have written them.
fn rewrite(project: &Project, layout: &str, change: &dyn Fn(&mut Value, &str)) {
    let layout = Layout::open(&project.at(layout)).expect("a layout");
    let session = Layout::session(layout.root()).expect("a session");
    let mut index = layout.index().expect("an index").manifests.remove(0);
    let put = |mut value: Value, what: &str, old: &Descriptor| {
        change(&mut value, what);
        let mut new = old.clone();
        (new.digest, new.size) = session.put(value.to_string().as_bytes()).expect("a blob");
        if let Some(media_type) = value["mediaType"].as_str() {
            new.media_type = media_type.into();
        }
        new
    };
    let read = |descriptor: &Descriptor| -> Value {
        serde_json::from_slice(&layout.document(descriptor).expect("a document")).expect("JSON")
    };
    let mut top = read(&index);
    for entry in top["manifests"].as_array_mut().expect("manifests") {
        let old: Descriptor = serde_json::from_value(entry.clone()).expect("a descriptor");
        let mut manifest = read(&old);
        let config: Descriptor = serde_json::from_value(manifest["config"].clone()).expect("a descriptor");
        manifest["config"] = json!(put(read(&config), "config", &config));
        *entry = json!(put(manifest, "manifest", &old));
    }
    index = put(top, "index", &index);
    session.finish(vec![index]).expect("an index");
}

#[test]
fn what_docker_pushed_is_a_base() {
    let registry = Registry::new();
    let project = project(&registry);
    rewrite(&project, "base", &|value, what| match what {
        "config" => {
            value["docker_version"] = json!("27.0");
            value["config"]["Healthcheck"] = json!({"Test": ["CMD", "true"], "Interval": 1_000_000_000});
            value["config"]["Shell"] = json!(["/bin/bash", "-c"]);
            value["config"]["OnBuild"] = json!(["RUN true"]);
        }
        "manifest" => {
            value["mediaType"] = json!("application/vnd.docker.distribution.manifest.v2+json");
            value["config"]["mediaType"] = json!("application/vnd.docker.container.image.v1+json");
            for layer in value["layers"].as_array_mut().expect("layers") {
                layer["mediaType"] = json!("application/vnd.docker.image.rootfs.diff.tar.gzip");
            }
        }
        _ => {
            value["mediaType"] = json!("application/vnd.docker.distribution.manifest.list.v2+json");
            // What BuildKit adds stands anywhere.
            let mut attestation = value["manifests"][0].clone();
            attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
            attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
            value["manifests"].as_array_mut().expect("manifests").insert(0, attestation);
        }
    });
    project.run(&["push", "-q", "base", &registry.reference("base:v1")]).done();
    build(&project, &["-q"]);
    let image = project.image("oci", None);
    for (platform, arch) in ["amd64", "arm64"].into_iter().enumerate() {
        let manifest = image.manifest(platform);
        assert_eq!(manifest.config.media_type.to_string(), "application/vnd.oci.image.config.v1+json");
        let types: Vec<String> = manifest.layers.iter().map(|layer| layer.media_type.to_string()).collect();
        assert_eq!(types, ["application/vnd.oci.image.layer.v1.tar+gzip"; 3]);
        let config = serde_json::to_value(image.config(platform)).expect("JSON");
        assert_eq!(config["architecture"], arch);
        assert_eq!(config["config"]["Healthcheck"]["Interval"], 1_000_000_000);
        assert_eq!(config["config"]["Shell"], json!(["/bin/bash", "-c"]));
        assert_eq!(config["config"]["OnBuild"], json!(["RUN true"]));
        assert_eq!(config["config"]["User"], "1000");
    }
    let text = project.run(&["build", "base.toml", "--base", &registry.reference("base:v1"), "-q", "-o", "two"]).done();
    assert_eq!(text.stderr, "");

    // The attestation is not a platform that it has.
    rewrite(&project, "base", &|value, what| {
        if what == "index" {
            value["manifests"].as_array_mut().expect("manifests").pop();
        }
    });
    project.run(&["push", "-q", "base", &registry.reference("base:v1")]).done();
    let text = project.refused(&["build", "-q", "-o", "three"]);
    assert!(text.contains("has no linux/arm64; it has linux/amd64\n"), "{text}");
    assert!(text.contains("dockless.toml:2:8"), "{text}");
}

#[test]
fn zstd_and_foreign_layers_are_layers() {
    let registry = Registry::new();
    let project = project(&registry);
    build(&project, &["-q", "base.toml", "-o", "base", "--compression", "zstd"]);
    let plain = registry.reference("base:plain");
    rewrite(&project, "base", &|value, what| {
        if what == "manifest" {
            let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd";
            value["layers"][1]["mediaType"] = json!(foreign);
            value["layers"][1]["urls"] = json!(["https://example.com/layer"]);
        }
    });
    // A registry need not have a foreign layer, and a push does not bring it.
    project.run(&["push", "-q", "base", &registry.reference("base:v1")]).done();
    let text = project.refused(&["build", "-q"]);
    assert!(text.contains("is missing from") && text.contains("it is a foreign layer"), "{text}");
    build(&project, &["-q", "base.toml", "-o", "plain", "--compression", "zstd"]);
    project.run(&["push", "-q", "plain", &plain]).done();
    build(&project, &["-q"]);
    project.run(&["check", "oci"]).done();
    let layers = project.image("oci", None).manifest(0).layers;
    let types: Vec<String> = layers.iter().map(|layer| layer.media_type.to_string()).collect();
    let layer = |compression: &str| format!("application/vnd.oci.image.layer.v1.tar+{compression}");
    assert_eq!(types, [layer("zstd"), layer("zstd"), layer("gzip")]);
    assert!(layers.iter().all(|layer| layer.urls.is_empty()));
}

#[test]
fn a_base_that_is_not_to_be_had_is_underlined() {
    let registry = Registry::new();
    let project = project(&registry);
    project.write("dockless.toml", recipe(&registry.reference("base:v2")));
    let text = project.refused(&["build"]);
    assert!(text.contains("cannot read the base") && text.contains("dockless.toml:2:8"), "{text}");
    assert!(text.contains("check the tag or digest: it is not in"), "{text}");
    let challenge = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: Basic realm=\"app\"\r\n\r\n";
    let private = Parrot::new(challenge);
    project.write("dockless.toml", recipe(&private.reference("base:v1")));
    let text = private.tame(&project.refused(&["build"]));
    assert!(text.contains("no credentials are found for 127.0.0.1:[PORT]"), "{text}");
    assert!(text.contains("dockless.toml:2:8"), "{text}");
    // Nobody listens there.
    project.write("dockless.toml", recipe("127.0.0.1:1/base:v1"));
    let text = project.refused(&["build"]);
    assert!(
        text.contains("check that a registry listens at 127.0.0.1:1") && text.contains("dockless.toml:2:8"),
        "{text}"
    );
}

#[test]
fn a_slip_is_told_before_the_base_is_fetched() {
    let registry = Registry::new();
    let project = project(&registry);
    let good = recipe(&registry.reference("base:v1"));
    for (kind, reason) in [
        ("copy = [{ src = \"missing\", dest = \"/x\" }]", "missing does not exist"),
        ("copy = [{ src = \"missing-*\", dest = \"/x/\" }]", "nothing matches missing-*"),
        ("rootfs = \"root-{arch}\"", "root-amd64 does not exist"),
        ("tar = \"missing.tar\"", "missing.tar does not exist"),
    ] {
        project.write("dockless.toml", format!("{good}[[layer]]\nname = \"more\"\n{kind}\n"));
        let text = project.refused(&["build"]);
        assert!(text.contains(reason), "{text}");
    }
    assert_eq!(registry.requests(), [""; 0]);
}

#[test]
fn a_connection_that_breaks_is_taken_up() {
    let registry = Registry::with(vec![Fault::first(Method::GET, Endpoint::Blob, Action::LoseAnswer)]);
    let project = project(&registry);
    build(&project, &["-q"]);
    project.run(&["check", "oci"]).done();
}

#[test]
fn a_layer_that_is_not_what_was_promised_is_not_kept() {
    let registry = Registry::new();
    let project = project(&registry);
    let layers = project.image("base", None).manifest(0).layers;
    // The registry's own disk is at fault: same size, other bytes.
    let path = registry.blob(layers[0].digest);
    let mut bytes = std::fs::read(&path).expect("a blob");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("a blob");
    let text = project.refused(&["build", "-q"]);
    assert!(text.contains("is damaged: its bytes have the digest"), "{text}");
    assert!(!project.at("oci").exists());
}
