//! `check`, and layouts and archives as others make them: damaged, or with what is allowed and rare.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;

use dockless::layout::{IMAGE_NAME, Layout};
use dockless::oci::canonical;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::manifest::Manifest;
use dockless::oci::media_type::MediaType;
use dockless::oci::platform::Platform;
use serde_json::{Value, json};

use super::project::{PROGRAMS, Project};

fn built() -> Project {
    let project = Project::programs();
    project.run(&["build", "-q", "-t", "example.com/app:v1"]).done();
    project
}

/// That the answer is no, in words and as a document.
#[track_caller]
fn damaged(project: &Project, given: &str, why: &str) {
    let said = project.run(&["check", given]).with_code(1);
    assert!(said.stderr.contains(why), "{said:#?}");
    assert!(said.stdout.contains(": damaged, 1 problem (0 blobs, "), "{said:#?}");
    let document = project.run(&["check", given, "--json"]).with_code(1).json();
    assert_eq!((&document["version"], &document["whole"], &document["blobs"]), (&json!(1), &json!(false), &json!(0)));
    let problems = document["problems"].as_array().expect("problems");
    assert_eq!(problems.len(), 1);
    assert!(problems[0]["message"].as_str().expect("a message").contains(why), "{document:#}");
    assert_eq!(problems[0].get("digest"), None);
}

#[test]
fn that_a_layout_is_damaged_is_an_answer() {
    let project = built();
    let index = project.read("oci/index.json");
    project.write("oci/index.json", "{");
    damaged(&project, "oci", "oci/index.json is damaged: line 1, column 1");
    fs::remove_file(project.at("oci/index.json")).expect("removed");
    damaged(&project, "oci", "cannot read oci/index.json");
    project.write("oci/index.json", index);
    fs::remove_file(project.at("oci/oci-layout")).expect("removed");
    damaged(&project, "oci", "it has no file oci-layout");
    project.write("oci/oci-layout", "{}");
    damaged(&project, "oci:oci", "does not state imageLayoutVersion");
    project.write("empty.tar", "").write("nothing.tar", [0; 1024]).write("cut.tar", [b'x'; 700]);
    damaged(&project, "empty.tar", "it is empty");
    damaged(&project, "oci-archive:nothing.tar", "it is empty");
    damaged(&project, "cut.tar", "as a tar archive");
    // Neither of them is a layout, nor was one.
    project.write("else/thesis.txt", "");
    for given in ["else", "nowhere/", "nowhere.tar", "example.com/app:v1", "docker://example.com/app:v1"] {
        project.refused(&["check", given]);
    }
}

#[test]
fn check_takes_the_names_that_other_commands_take() {
    let project = built();
    project.run(&["build", "-q", "-t", "example.com/app:v1", "-o", "app.tar"]).done();
    project.run(&["build", "-q", "-t", "example.com/one:v2", "-p", "linux/amd64"]).done();
    let blobs = |given: &str| project.run(&["check", given, "--json"]).done().json()["blobs"].as_u64();
    assert_eq!(blobs("oci"), blobs("oci:oci"));
    assert!(blobs("oci:oci") > blobs("oci:oci:v1") && blobs("oci:oci:v1") > blobs("oci:oci:v2"));
    assert_eq!(blobs("oci-archive:app.tar:v1"), blobs("oci:oci:example.com/app:v1"));
    let text = project.refused(&["check", "oci:oci:v3"]);
    assert!(text.contains("write oci:oci:example.com/app:v1"), "{text}");
}

#[test]
fn a_blob_that_goes_on_is_told_as_such() {
    let project = built();
    let layer = project.image("oci", None).manifest(0).layers[0].clone();
    let path = project.at("oci/blobs/sha256").join(layer.digest.encoded());
    let mut file = fs::OpenOptions::new().append(true).open(path).expect("the blob");
    file.write_all(b"more").expect("written");
    let said = project.run(&["check", "oci"]).with_code(1);
    assert!(said.stderr.contains(&format!("goes on after the {} bytes", layer.size)), "{said:#?}");
    assert!(!said.stderr.contains(&Digest::of(b"").to_string()), "{said:#?}");
}

/// SHA-512 is registered, and a layout may have images of it beside others.
#[test]
fn an_image_of_another_digest_algorithm_is_in_nobodys_way() {
    let project = built();
    let sha512 = format!("sha512:{}", "0".repeat(128));
    let mut index: Value = serde_json::from_slice(&project.read("oci/index.json")).expect("JSON");
    let other = json!({
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": sha512, "size": 2,
        "annotations": {"org.opencontainers.image.ref.name": "other"}
    });
    index["manifests"].as_array_mut().expect("entries").insert(0, other.clone());
    project.write("oci/index.json", index.to_string());

    project.run(&["inspect", "oci:oci:v1"]).done();
    let text = project.refused(&["inspect", "oci"]);
    assert!(text.contains("several images") && text.contains("(not supported)"), "{text}");
    let text = project.refused(&["inspect", "oci:oci:other"]);
    assert!(text.contains(&format!("has the digest {sha512}, which is not supported: only sha256 is")), "{text}");
    // What was not looked at is not called whole, and nothing is called damaged.
    let said = project.run(&["check", "oci"]).with_code(2);
    assert!(said.stdout.starts_with("oci: whole but for 1 image not checked ("), "{said:#?}");
    assert!(said.stderr.contains(&sha512), "{said:#?}");
    let document = project.run(&["check", "oci", "--json"]).with_code(2).json();
    assert_eq!((&document["whole"], &document["unsupported"]), (&json!(false), &json!([sha512])));
    project.run(&["check", "oci:oci:v1"]).done();

    // A build into the layout keeps it, and every blob that it may name.
    let blobs = fs::read_dir(project.at("oci/blobs/sha256")).expect("blobs").count();
    project.run(&["build", "-q", "-t", "example.com/app:v1", "--label", "a=b"]).done();
    let index: Value = serde_json::from_slice(&project.read("oci/index.json")).expect("JSON");
    assert!(index["manifests"].as_array().expect("entries").contains(&other), "{index:#}");
    assert!(fs::read_dir(project.at("oci/blobs/sha256")).expect("blobs").count() > blobs);
}

/// A tar without its two empty records, as a layer that is held to its digest.
fn base_without_an_end(project: &Project) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(5);
    tar.append_data(&mut header, "etc/base", b"base\n".as_slice()).expect("an entry");
    let tar = tar.into_inner().expect("an archive");
    let tar = &tar[..tar.len() - 1024];
    let session = Layout::session(&project.at("base")).expect("a session");
    let put = |media_type: MediaType, bytes: &[u8]| {
        session.put(bytes).expect("a blob");
        Descriptor::of(media_type, bytes)
    };
    let layer = put(MediaType::ImageLayer, tar);
    let config = json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [Digest::of(tar)]}
    });
    let config = put(MediaType::ImageConfig, config.to_string().as_bytes());
    let manifest = canonical(&Manifest::new(config, vec![layer], BTreeMap::new()));
    let mut entry = put(MediaType::ImageManifest, &manifest);
    entry.platform = Some(Platform::linux_amd64());
    entry.annotations.insert(IMAGE_NAME.into(), "example.com/base:v1".into());
    session.finish(vec![entry]).expect("an index");
}

#[test]
fn a_layer_of_a_base_may_lack_the_end_of_its_tar() {
    let recipe = PROGRAMS.replace("[image]\n", "[image]\nbase = \"oci:base\"\n").replace(", \"linux/arm64\"", "");
    let project = Project::with(&recipe);
    project.write("bin/app-amd64", super::elf::program(super::elf::X86_64));
    base_without_an_end(&project);
    project.run(&["check", "base"]).done();
    project.run(&["build", "-q"]).done();
    project.run(&["check", "oci"]).done();
    project.write("task.json", super::verify::X86_64);
    project.run(&["verify", "oci", "--task-definition", "task.json"]).done();
    project.run(&["diff", "base", "oci"]).with_code(1);
}

/// `docker save` writes short names, and people write what they read there.
#[test]
fn a_docker_archives_image_has_the_name_that_docker_gave_it() {
    let project = built();
    let docker = ["build", "-q", "--format", "docker-archive", "-p", "linux/amd64", "-o", "app.tar"];
    project.run(&[&docker[..], &["-t", "c/d:1", "-t", "e:2"]].concat()).done();
    for name in ["c/d:1", "docker.io/c/d:1", "1", "e:2", "library/e:2", "2"] {
        project.run(&["inspect", &format!("docker-archive:app.tar:{name}")]).done();
    }
    project.refused(&["inspect", "docker-archive:app.tar:c/d:2"]);
}
