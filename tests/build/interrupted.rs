//! A build that is killed leaves no half blob, and the next one clears up.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::files::noise;
use super::project::Project;

/// Temporary files of a layout that already have bytes.
fn half_written(project: &Project, layout: &str) -> usize {
    let Ok(entries) = fs::read_dir(project.at(layout).join("blobs/sha256")) else { return 0 };
    let half = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(".tmp-");
    let long = |entry: &fs::DirEntry| entry.metadata().is_ok_and(|data| data.len() > 100_000);
    entries.flatten().filter(|entry| half(entry) && long(entry)).count()
}

fn kill_while_packing(project: &Project) {
    let words = ["build", "large.toml", "-j", "1", "--compression", "zstd:19", "-t", "example.com/large:v1"];
    let mut child =
        project.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
    let started = Instant::now();
    while half_written(project, "oci") == 0 {
        assert!(child.try_wait().expect("a child").is_none(), "it was done before it could be killed");
        assert!(started.elapsed() < Duration::from_mins(1), "nothing is written");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("killed");
    child.wait().expect("a child");
}

fn project() -> Project {
    let project = Project::programs();
    project.write(
        "large.toml",
        "[image]\nplatforms = [\"linux/amd64\"]\n[[layer]]\nrootfs = \"large\"\nowner = \"0:0\"\n",
    );
    project.write("large/noise", noise(17, 32 << 20));
    project
}

#[test]
fn the_first_build() {
    let project = project();
    kill_while_packing(&project);
    assert_eq!(half_written(&project, "oci"), 1);
    let said = project.run(&["check", "oci"]).done();
    assert!(said.stdout.starts_with("oci: whole"), "{said:#?}");
    project.run(&["inspect", "oci"]).with_code(2);
    project.run(&["build", "-q"]).done();
    assert_eq!(half_written(&project, "oci"), 0);
    project.run(&["inspect", "oci"]).done();
}

#[test]
fn a_later_build() {
    let project = project();
    let first = project.run(&["build", "-q", "-t", "example.com/app:v1"]).done();
    kill_while_packing(&project);
    project.run(&["check", "oci"]).done();
    let there = project.run(&["inspect", "oci", "--json"]).done().json();
    assert_eq!(first.line(), format!("example.com/app@{}", there["digest"].as_str().expect("a digest")));
    let blobs = |project: &Project| fs::read_dir(project.at("oci/blobs/sha256")).expect("the blobs").count();
    assert_eq!(blobs(&project), 8, "the image before, and half a blob");
    project.run(&["build", "-q", "-t", "example.com/app:v1"]).done();
    assert_eq!(blobs(&project), 7);
}
