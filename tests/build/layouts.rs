//! Layouts and archives: several images in one, names, and what nothing refers to any more.

use std::collections::BTreeMap;

use dockless::layout::Layout;
use dockless::oci::canonical;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::manifest::Manifest;
use dockless::oci::media_type::MediaType;
use serde_json::json;

use super::project::{PROGRAMS, Project};
use super::registry::Registry;

fn names(project: &Project) -> Vec<Option<String>> {
    let index = Layout::open(&project.at("oci")).expect("a layout").index().expect("an index");
    index.manifests.iter().map(|entry| dockless::layout::name(entry).map(str::to_owned)).collect()
}

fn blobs(project: &Project) -> usize {
    std::fs::read_dir(project.at("oci/blobs/sha256")).expect("the blobs").count()
}

#[test]
fn images_stand_side_by_side_and_replace_their_own_name() {
    let project = Project::programs();
    let build = |words: &[&str]| {
        let words: Vec<&str> = ["build", "-q"].iter().chain(words).copied().collect();
        project.run(&words).done()
    };
    build(&["-t", "example.com/app:v1"]);
    assert_eq!(blobs(&project), 7, "an index, and two of manifest, configuration and layer");
    project.write("bin/app-amd64", "another program");
    build(&["-t", "example.com/app:v2", "-t", "other.example/app:v2"]);
    // The program for arm64 is the same: its blobs are shared.
    assert_eq!(blobs(&project), 11);
    build(&[]);
    let some = |name: &str| Some(name.to_owned());
    let all = [some("example.com/app:v1"), some("example.com/app:v2"), some("other.example/app:v2"), None];
    assert_eq!(names(&project), all);
    let said = project.run(&["inspect", "oci"]).with_code(2);
    let lines: Vec<&str> = said.stderr.lines().collect();
    assert_eq!(
        lines[..2],
        ["error: oci: it holds several images, say which", "  help: write ./oci:example.com/app:v1"]
    );
    assert_eq!(lines.last(), Some(&"  help: to begin anew, build into another folder (-o), or remove oci"));
    project.run(&["inspect", "oci:oci:v1"]).done();
    project.run(&["inspect", "oci:oci:other.example/app:v2"]).done();
    let missing = project.run(&["inspect", "oci:oci:v3"]).with_code(2);
    assert!(missing.stderr.contains("help: write oci:oci:other.example/app:v2\n"), "{missing:#?}");
    // What is offered is what works; `oci:` alone says that a path follows.
    for line in lines.iter().filter_map(|line| line.strip_prefix("  help: write ")) {
        project.run(&["inspect", line]).done();
    }
    let scheme = project.run(&["inspect", "oci:v1"]).with_code(2);
    assert!(scheme.stderr.ends_with("help: the image of that name in oci is written ./oci:v1\n"), "{scheme:#?}");
    project.run(&["inspect", "./oci:v1"]).done();

    // v1 becomes what v2 is, and what it was is gone.
    build(&["-t", "example.com/app:v1"]);
    assert_eq!(names(&project).len(), 4);
    assert_eq!(blobs(&project), 7);
    project.run(&["check", "oci"]).done();
    project.write("oci/blobs/sha256/.tmp-left-behind", "half a blob");
    build(&[]);
    assert_eq!(blobs(&project), 7, "what a killed build left is swept");
}

/// The base's entry made way for the image's, the sweep took its blobs, and each build lay on the one before.
#[test]
fn an_image_does_not_take_the_place_of_its_own_base() {
    const BASE: &str = "[image]\nplatforms = [\"linux/amd64\"]\n[[layer]]\nname = \"l\"\n\
        copy = [{ src = \"app\", dest = \"/app\" }]\n";
    let project = Project::with(BASE);
    project.write("app", "app").write("link/.keep", "");
    let on = |base: &str| BASE.replace("[image]\n", &format!("[image]\nbase = \"oci:{base}\"\n"));
    let build = |words: &[&str]| project.run(&[&["build", "-q", "dockless.toml"], words].concat());
    let refused = |words: &[&str], help: &str| {
        let before = project.run(&["inspect", "oci", "--json"]).stdout;
        let said = build(words).with_code(2);
        assert!(said.stderr.contains("would take the place of its own base, "), "{said:#?}");
        assert!(said.stderr.contains("dockless.toml:2:8") && said.stderr.contains(help), "{said:#?}");
        assert_eq!(project.run(&["inspect", "oci", "--json"]).stdout, before);
        project.run(&["check", "oci"]).done();
    };
    let folder = "help: build into another folder (-o)\n";
    let name = "help: build into another folder (-o), or give it another name (-t)\n";
    build(&[]).done();
    project.write("dockless.toml", on("oci"));
    refused(&[], folder);
    refused(&["-o", "link/../oci"], folder);
    // Beside the base, and over an image that is no base, it may stand.
    build(&["-o", "other"]).done();
    build(&["-t", "a.example/b:v2"]).done();
    // Named: the base is the image of that name, and any other may be built beside it.
    project.write("dockless.toml", BASE);
    build(&["-t", "a.example/b:v1"]).done();
    project.write("dockless.toml", on("oci:v1"));
    refused(&["-t", "a.example/b:v1"], name);
    refused(&["-t", "a.example/c:v1", "-t", "a.example/b:v1"], name);
    let digests = [&[][..], &["-t", "a.example/b:v2"]].map(|words| {
        let digest = build(words).done().line().to_owned();
        assert_eq!(build(words).done().line(), digest);
        digest
    });
    assert!(digests[1].ends_with(&digests[0]), "{digests:?}");
}

#[test]
fn archives_are_images_too() {
    let project = Project::programs();
    let v1 = project.run(&["build", "-q", "-t", "example.com/app:v1"]).done();
    let digest = v1.line().rsplit('@').next().expect("a digest").to_owned();
    project.run(&["build", "-q", "-t", "example.com/app:v1", "-o", "app.tar"]).done();
    let docker = ["build", "-q", "-t", "example.com/app:v1", "--format", "docker-archive", "-p", "linux/amd64"];
    project.run(&[&docker[..], &["-o", "image.tar"]].concat()).done();
    project.write("task.json", super::verify::X86_64);
    for (image, layers) in [("oci", 2), ("oci:oci:v1", 2), ("app.tar", 2), ("oci-archive:app.tar:v1", 2)] {
        let report = project.run(&["inspect", image, "--json"]).done().json();
        assert_eq!(
            (report["version"].as_u64(), report["digest"].as_str()),
            (Some(1), Some(digest.as_str())),
            "{image}"
        );
        assert_eq!(report["platforms"].as_array().map(Vec::len), Some(layers), "{image}");
        project.run(&["verify", image, "--task-definition", "task.json"]).done();
    }
    for image in ["image.tar", "docker-archive:image.tar"] {
        let report = project.run(&["inspect", image, "--json"]).done().json();
        assert_eq!(report["platforms"][0]["platform"], "linux/amd64", "{report:#}");
        assert_eq!(report["platforms"][0]["configuration"]["Entrypoint"][0], "/bin/app");
        project.run(&["verify", image, "--task-definition", "task.json"]).done();
    }
    project.run(&["check", "app.tar"]).done();
}

#[test]
fn a_project_of_one_platform_is_an_index_all_the_same() {
    let project = Project::with(&PROGRAMS.replace(", \"linux/arm64\"", ""));
    project.write("bin/app-amd64", "app");
    project.run(&["build", "-q"]).done();
    let image = project.image("oci", None);
    let platforms: Vec<_> =
        image.index.manifests.iter().map(|entry| entry.platform.as_ref().map(ToString::to_string)).collect();
    assert_eq!(platforms, [Some("linux/amd64".to_owned())]);
}

/// Charts, signatures and other artifacts have no platform; a registry takes them all the same.
#[test]
fn an_artifact_is_pushed_and_has_no_platforms() {
    let project = Project::programs();
    let session = Layout::session(&project.at("chart")).expect("a session");
    let put = |media_type: &str, bytes: &[u8]| {
        session.put(bytes).expect("a blob");
        Descriptor::of(media_type.into(), bytes)
    };
    let config = put("application/vnd.cncf.helm.config.v1+json", br#"{"name":"web","version":"1.0.0"}"#);
    let layer = put("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"a chart");
    let manifest = canonical(&Manifest::new(config, vec![layer], BTreeMap::new()));
    let entry = put(MediaType::ImageManifest.as_ref(), &manifest);
    session.finish(vec![entry]).expect("an index");
    let registry = Registry::new();
    let (first, second) = (registry.reference("charts/web:1.0.0"), registry.reference("prod/web:1.0.0"));
    let report = project.run(&["push", "chart", &first, "--json"]).done().json();
    assert_eq!(report["platforms"], json!([]));
    assert_eq!(report["uploads"].as_array().map(Vec::len), Some(2));
    project.run(&["push", &format!("docker://{first}"), &second]).done();
    // A verdict on it would be one on nothing.
    project.write("task.json", super::verify::X86_64);
    let said = project.run(&["push", "chart", &first, "--task-definition", "task.json"]).with_code(2);
    assert!(said.stderr.contains("it holds no image of any platform"), "{said:#?}");
}

/// Signatures and SBOMs have no name of their own, and were taken for images of earlier builds.
#[test]
fn what_is_attached_to_an_image_stays() {
    let project = Project::programs();
    let build = |words: &[&str]| project.run(&[&["build", "-q"], words].concat()).done();
    build(&["-t", "example.com/app:v1"]);
    build(&[]);
    let layout = Layout::open(&project.at("oci")).expect("a layout");
    let image = layout.index().expect("an index").manifests[0].clone();
    let attach = |subject: Option<Descriptor>, config: &str| {
        let session = Layout::session(&project.at("oci")).expect("a session");
        let document = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        session.put(document).expect("a blob");
        let config = Descriptor::of(config.into(), document);
        let manifest = canonical(&Manifest { subject, ..Manifest::new(config, Vec::new(), BTreeMap::new()) });
        session.put(&manifest).expect("a blob");
        session.keep();
        let entry = Descriptor::of(MediaType::ImageManifest, &manifest);
        layout.update(|index| index.manifests.push(entry)).expect("an index");
    };
    attach(Some(image), MediaType::ImageConfig.as_ref());
    attach(None, "application/vnd.cncf.helm.config.v1+json");
    project.write("bin/app-amd64", "another program");
    build(&[]);
    let index = layout.index().expect("an index");
    assert_eq!(index.manifests.len(), 4, "the image of a name, the two beside it and the new one: {index:#?}");
    project.run(&["check", "oci"]).done();
}

/// skopeo and umoci write the tag alone, and read nothing else.
#[test]
fn a_tag_of_another_tool_is_replaced_by_the_same() {
    let project = Project::programs();
    project.run(&["build", "-q", "-t", "example.com/app:v1"]).done();
    let layout = Layout::open(&project.at("oci")).expect("a layout");
    let bare = |index: &mut dockless::oci::manifest::Index| {
        for entry in &mut index.manifests {
            entry.annotations.remove(dockless::layout::IMAGE_NAME);
        }
    };
    layout.update(bare).expect("an index");
    project.write("bin/app-amd64", "another program");
    let built = project.run(&["build", "-t", "example.com/app:v1"]).done();
    assert_eq!(names(&project), [Some("example.com/app:v1".to_owned())]);
    assert_eq!(built.line(), format!("example.com/app@{}", layout.index().expect("an index").manifests[0].digest));
    // Of two with one tag, the one that has no other name goes by it.
    layout.update(bare).expect("an index");
    project.run(&["build", "-q", "-t", "other.example/app:v2"]).done();
    layout
        .update(|index| {
            let other = index.manifests[1].clone();
            index.manifests[0].annotations = other.annotations.clone();
            index.manifests[0].annotations.remove(dockless::layout::IMAGE_NAME);
        })
        .expect("an index");
    project.run(&["inspect", "oci:oci:v2"]).done();
}

/// An index may name any number of manifests: what is more than anybody needs is not kept, but read again.
#[test]
fn an_index_of_large_manifests_is_pushed_whole() {
    let project = Project::programs();
    let session = Layout::session(&project.at("large")).expect("a session");
    let put = |media_type: &str, bytes: &[u8]| {
        session.put(bytes).expect("a blob");
        Descriptor::of(media_type.into(), bytes)
    };
    let config = put("application/vnd.oci.empty.v1+json", b"{}");
    let manifest = |number: u8| {
        let notes = BTreeMap::from([("note".to_owned(), char::from(b'a' + number).to_string().repeat(3 << 20))]);
        put(MediaType::ImageManifest.as_ref(), &canonical(&Manifest::new(config.clone(), Vec::new(), notes)))
    };
    let index = canonical(&json!({
        "schemaVersion": 2, "mediaType": MediaType::ImageIndex.as_ref(), "manifests": [manifest(0), manifest(1), manifest(2)],
    }));
    let top = put(MediaType::ImageIndex.as_ref(), &index);
    session.finish(vec![top]).expect("an index");
    let registry = Registry::new();
    let (first, second) = (registry.reference("a/large:1"), registry.reference("b/large:1"));
    project.run(&["push", "large", &first]).done();
    project.run(&["push", &format!("docker://{first}"), &second]).done();
    let sent = registry.requests();
    assert_eq!(sent.iter().filter(|line| line.starts_with("PUT /v2/b/large/manifests/")).count(), 4, "{sent:#?}");
}
