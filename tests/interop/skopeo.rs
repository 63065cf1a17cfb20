//! skopeo copies what we write, and every digest stays.

use super::images::{BOTH, Layout, ONE, digest, sources, text, words};
use super::support::{Place, Registry, run, skopeo, tool};

const TOOLS: &[&str] = &["skopeo", "docker-registry"];

/// The index of a reference, and below it the same documents as in the layout.
fn the_same(wanted: &Layout, registry: &Registry, name: &str) {
    let reference = registry.docker(name);
    let raw = |reference: &str| skopeo(["inspect", "--raw", "--tls-verify=false", reference]).ok().stdout;
    let index = raw(&reference);
    assert_eq!(digest(&index), wanted.top(), "{name}");
    let repository = reference.rsplit_once(':').expect("a tag").0.to_owned();
    for manifest in wanted.manifests() {
        assert_eq!(raw(&format!("{repository}@{manifest}")), wanted.blob(&manifest), "{name}");
    }
}

fn copy(from: &str, to: &str) {
    let plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    skopeo(["copy", "--all", "--preserve-digests", "--quiet"].iter().chain(&plain).chain(&[from, to])).ok();
}

#[test]
fn every_digest_stays() {
    let Some(place) = Place::new("every_digest_stays", TOOLS) else { return };
    sources(&place);
    let tagged = words(BOTH, &["-t", "registry.example.com/team/app:v1"]);
    let built = place.dockless(words(&tagged, &["-o", "image"])).ok().line();
    let archived = place.dockless(words(&tagged, &["-o", "image.tar"])).ok().line();
    let layout = Layout(place.path("image"));
    assert_eq!(built, format!("registry.example.com/team/app@{}", layout.top()));
    assert_eq!(built, archived);
    assert_eq!(layout.manifests().len(), 2);

    let debian = Registry::docker_registry(&place, "debian");
    let ours = Registry::dockless(&place, "served");
    let from_layout = format!("oci:{}:v1", place.text("image"));
    let from_archive = format!("oci-archive:{}:v1", place.text("image.tar"));
    assert_eq!(digest(&skopeo(["inspect", "--raw", &from_layout]).ok().stdout), layout.top());
    assert_eq!(digest(&skopeo(["inspect", "--raw", &from_archive]).ok().stdout), layout.top());

    for registry in [&debian, &ours] {
        copy(&from_layout, &registry.docker("from/layout:v1"));
        the_same(&layout, registry, "from/layout:v1");
        copy(&from_archive, &registry.docker("from/archive:v1"));
        the_same(&layout, registry, "from/archive:v1");
    }
    copy(&ours.docker("from/layout:v1"), &debian.docker("from/ours:v1"));
    the_same(&layout, &debian, "from/ours:v1");
    copy(&debian.docker("from/layout:v1"), &ours.docker("from/debian:v1"));
    the_same(&layout, &ours, "from/debian:v1");

    // And back into a folder: the same blobs, no more and no fewer.
    let back = format!("oci:{}:v1", place.text("back"));
    copy(&debian.docker("from/ours:v1"), &back);
    let back = Layout(place.path("back"));
    assert_eq!(back.top(), layout.top());
    assert_eq!(back.blobs(), layout.blobs());
}

#[test]
fn every_compression_travels() {
    let Some(place) = Place::new("every_compression_travels", TOOLS) else { return };
    sources(&place);
    let registry = Registry::docker_registry(&place, "debian");
    for compression in ["gzip", "zstd", "none"] {
        let output = format!("image-{compression}");
        let more = ["-t", "example.com/app:v1", "--compression", compression, "-o", &output];
        place.dockless(words(BOTH, &more)).ok();
        let name = format!("app:{compression}");
        copy(&format!("oci:{}:v1", place.text(&output)), &registry.docker(&name));
        the_same(&Layout(place.path(&output)), &registry, &name);
    }
}

#[test]
fn nameless_images_are_found() {
    let Some(place) = Place::new("nameless_images_are_found", TOOLS) else { return };
    sources(&place);
    place.dockless(words(BOTH, &["-o", "image"])).ok();
    place.dockless(words(BOTH, &["-o", "image.tar"])).ok();
    let layout = Layout(place.path("image"));
    for from in [format!("oci:{}", place.text("image")), format!("oci-archive:{}", place.text("image.tar"))] {
        assert_eq!(digest(&skopeo(["inspect", "--raw", &from]).ok().stdout), layout.top(), "{from}");
    }
}

#[test]
fn the_docker_archive_is_read() {
    let Some(place) = Place::new("the_docker_archive_is_read", &["skopeo", "tar"]) else { return };
    sources(&place);
    for compression in ["gzip", "none"] {
        let more = ["--format", "docker-archive", "--compression", compression, "-t", "example.com/app:v1"];
        let words = words(&words(ONE, &more), &["-o", "image.tar"]);
        place.dockless(words.clone()).ok();
        assert_eq!(run(tool("tar").arg("-tvf").arg(place.path("image.tar"))).ok().stderr, "");

        let archive = format!("docker-archive:{}", place.text("image.tar"));
        let named = format!("{archive}:example.com/app:v1");
        let config: serde_json::Value =
            serde_json::from_slice(&skopeo(["inspect", "--config", &named]).ok().stdout).expect("JSON");
        assert_eq!(config["config"]["Cmd"], serde_json::json!(["/arch"]));
        assert_eq!(config["architecture"], "amd64");

        let out = format!("copied-{compression}");
        skopeo(["copy", "--quiet", &archive, &format!("oci:{}:v1", place.text(&out))]).ok();
        let copied = Layout(place.path(&out));
        // skopeo wraps no single image in an index: the entry is the manifest.
        let manifest = copied.document(&text(&copied.entries()[0]["digest"]));
        let copied_config = copied.document(&text(&manifest["config"]["digest"]));
        assert_eq!(copied_config["rootfs"], config["rootfs"]);
        assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(2));
    }
}
