//! The first push of an image: its layers are at the registry, most of them, before they are whole.

use std::fs::File;
use std::io::Write;

use dockless::oci::digest::Digest;

use super::project::Project;
use super::registry::Registry;

/// Large enough that it is still being made when its first bytes have left.
const SIZE: usize = 96 << 20;

/// Bytes that do not shrink.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..SIZE / 8).flat_map(|_| next()).collect()
}

fn count(requests: &[String], start: &str) -> usize {
    requests.iter().filter(|request| request.starts_with(start)).count()
}

#[test]
fn layers_leave_while_they_are_made() {
    let project = Project::with(
        "[[layer]]\nname = \"data\"\ncopy = [{ src = \"data\", dest = \"/data\" }]\n\n\
         [[layer]]\nname = \"app\"\ncopy = [{ src = \"app\", dest = \"/app\" }]\n",
    );
    project.write("data", noise(1)).write("app", "one");
    let registry = Registry::new();
    let push = |tag: &str| {
        let tag = registry.reference(tag);
        project.run(&["build", "-t", &tag, "--push", "--no-cache", "--report", "report.json"]).done()
    };
    push("team/app:v1");
    let requests = registry.requests();
    // The large layer is not asked for; the small one and the configuration are.
    let counts = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"].map(|method| count(&requests, method));
    assert_eq!(counts, [1, 3, 3, 1, 5, 0], "{requests:#?}");
    // The small one may have brought the repository about by then: it has no tag all the same.
    assert_eq!(count(&requests, "GET /v2/team/app/tags/list"), 1, "{requests:#?}");
    let report: serde_json::Value = serde_json::from_slice(&project.read("report.json")).expect("JSON");
    let uploads = report["uploads"].as_array().expect("uploads");
    assert_eq!(uploads.len(), 3, "{report:#}");
    for upload in uploads {
        let digest: Digest = upload["digest"].as_str().expect("a digest").parse().expect("a digest");
        let size = std::fs::metadata(registry.blob(digest)).expect("a blob").len();
        assert_eq!((&upload["status"], &upload["bytes_sent"]), (&"uploaded".into(), &size.into()), "{report:#}");
    }
    assert_eq!(Digest::of(&std::fs::read(registry.blob(digest(&report, 0))).expect("a blob")), digest(&report, 0));
    assert_eq!(registry.tags(), ["localhost/team/app:v1"]);

    // Under another tag the repository is not empty: what is there is not sent.
    project.write("app", "two");
    push("team/app:v2");
    let requests = registry.requests();
    let counts = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"].map(|method| count(&requests, method));
    assert_eq!(counts, [1, 4, 2, 0, 4, 0], "{requests:#?}");
    // Where the tag is there, nobody asks for others.
    project.write("app", "three");
    push("team/app:v2");
    assert_eq!(count(&registry.requests(), "GET"), 0);
}

fn digest(report: &serde_json::Value, layer: usize) -> Digest {
    let digest = report["platforms"][0]["layers"][layer]["digest"].as_str();
    digest.expect("a digest").parse().expect("a digest")
}

#[test]
fn a_layer_that_fails_is_given_up() {
    let project = Project::with("[[layer]]\nname = \"data\"\ntar = \"data.tar\"\n");
    let mut header = tar::Header::new_ustar();
    header.set_path("data").expect("a path");
    header.set_size(SIZE as u64 + 1);
    header.set_mode(0o644);
    header.set_cksum();
    let mut archive = File::create(project.at("data.tar")).expect("a file");
    archive.write_all(header.as_bytes()).and_then(|()| archive.write_all(&noise(2))).expect("written");
    let registry = Registry::new();
    let said = project.run(&["build", "-t", &registry.reference("team/app:v1"), "--push"]).with_code(2);
    assert!(said.stderr.contains("cannot make layer"), "{said:#?}");
    let mut requests = registry.requests();
    assert_eq!((count(&requests, "POST"), count(&requests, "PUT")), (1, 0), "{requests:#?}");
    requests.retain(|request| request.starts_with("DELETE") && request.ends_with("204"));
    assert_eq!((requests.len(), registry.blobs(), registry.tags().len()), (1, 0, 0));
}

/// Whoever has a wrong recipe learns it, whatever the registry does: it is asked meanwhile, and not waited for.
#[test]
fn a_wrong_recipe_is_told_while_the_registry_is_silent() {
    let project = Project::with("[[layer]]\nname = \"app\"\ncopy = [{ src = \"app\", dest = \"/app\" }]\n");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let tag = format!("{}/team/app:v1", silent.local_addr().expect("an address"));
    let said = project.run(&["build", "-t", &tag, "--push"]).with_code(2);
    assert!(said.stderr.contains("app does not exist"), "{said:#?}");
}

/// Nobody answers there: nothing is made, and no command is run.
#[test]
fn nothing_is_made_for_a_registry_that_is_not_there() {
    let layers = ["copy = [{ src = \"app\", dest = \"/app\" }]", "run = \"touch ran; cp app {out}\"\ndest = \"/app\""];
    for layer in layers {
        let project = Project::with(&format!("[[layer]]\nname = \"app\"\n{layer}\n"));
        project.write("app", "one");
        // Bound and let go: the port is free.
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let tag = format!("127.0.0.1:{port}/team/app:v1");
        let said = project.run(&["build", "-t", &tag, "--push"]).with_code(2);
        assert!(said.stderr.contains(&port.to_string()), "{said:#?}");
        assert!(!project.at("oci").exists() && !project.at("ran").exists());
    }
}
