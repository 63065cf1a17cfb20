//! What is built runs: amd64 in runc, arm64 in qemu.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::debian;
use super::support::{Place, run, say, tool};

/// Builds Debian for a platform and unpacks it. Returns the bundle.
fn bundle(place: &Place, platform: &str, source: &Path) -> PathBuf {
    let layer = format!("{platform}={}", source.display());
    let entrypoint = r#"["/bin/sh","-c","echo $GREETING from $(uname -m) in $(pwd) as $(id -u):$(id -g)"]"#;
    let start = ["--entrypoint", entrypoint, "--env", "GREETING=hello", "--working-dir", "/var/tmp", "--user", "33:34"];
    let words = ["build", "-p", platform, "--layer", &layer, "-o", "image", "-t", "example.com/debian:v1"];
    place.dockless(words.iter().chain(&start)).ok();
    let image = format!("{}:v1", place.text("image"));
    let bundle = place.path("bundle");
    run(tool("umoci").args(["unpack", "--image", &image]).arg(&bundle)).ok();
    bundle
}

#[test]
fn runc_runs_amd64() {
    let Some(place) = Place::new("runc_runs_amd64", &["umoci", "runc", "debootstrap", "setcap"]) else { return };
    let bundle = bundle(&place, "linux/amd64", &debian::amd64());
    let path = bundle.join("config.json");
    let mut config: Value =
        serde_json::from_slice(&fs::read(&path).expect("umoci wrote a configuration")).expect("JSON");
    config["process"]["terminal"] = json!(false);
    fs::write(&path, serde_json::to_vec(&config).expect("JSON")).expect("a file");

    let id = format!("dockless-{}", std::process::id());
    let runc = |more: &[&str]| {
        let mut command = tool("runc");
        command.arg("--root").arg(place.path("runc")).arg("run").args(more).arg("--bundle").arg(&bundle).arg(&id);
        run(&mut command)
    };
    let mut told = runc(&[]);
    if told.code != Some(0) {
        say(&format!("runc needs help here: {told}"));
        told = runc(&["--no-pivot"]);
    }
    if told.code != Some(0) {
        // Machines that may not make namespaces or control groups: what runs is the same, what surrounds it is not.
        say(&format!("NOT IN A CONTAINER: runc cannot run here, chroot is used instead: {told}"));
        let words: Vec<String> = serde_json::from_value(config["process"]["args"].clone()).expect("words");
        let mut command = tool("chroot");
        command.args(["--userspec=33:34"]).arg(bundle.join("rootfs")).args(["/usr/bin/env", "-C", "/var/tmp"]);
        told = run(command.arg("GREETING=hello").args(words));
    }
    assert_eq!(told.ok().line(), "hello from x86_64 in /var/tmp as 33:34");
}

#[test]
fn qemu_runs_arm64() {
    let tools = ["umoci", "qemu-aarch64-static", "debootstrap", "setcap"];
    let Some(place) = Place::new("qemu_runs_arm64", &tools) else { return };
    let root = bundle(&place, "linux/arm64", &debian::arm64()).join("rootfs");
    let qemu = |words: &[&str]| {
        let mut command = tool("qemu-aarch64-static");
        run(command.arg("-L").arg(&root).arg(root.join(words[0].trim_start_matches('/'))).args(&words[1..]))
    };
    assert_eq!(qemu(&["/bin/echo", "hello"]).ok().line(), "hello");
    assert_eq!(qemu(&["/bin/uname", "-m"]).ok().line(), "aarch64");
}
