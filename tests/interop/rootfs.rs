//! A real root file system goes in and comes out as it was.

use std::fs;
use std::path::Path;

use super::debian;
use super::images::Layout;
use super::support::{Place, run, tool};
use super::tree;

const TOOLS: &[&str] = &["umoci", "tar", "bsdtar", "debootstrap", "setcap"];

fn comes_out_as_it_was(place: &Place, platform: &str, source: &Path) {
    let layer = format!("{platform}={}", source.display());
    let reference = "registry.example.com/team/debian:v1";
    let words = ["build", "--platform", platform, "--layer", &layer, "-o", "image", "-t", reference];
    let built = place.dockless(words).ok();
    let layout = Layout(place.path("image"));
    assert_eq!(built.line(), format!("registry.example.com/team/debian@{}", layout.top()));

    listed_without_a_warning(&layout);

    let image = format!("{}:v1", place.text("image"));
    run(tool("umoci").args(["unpack", "--image", &image]).arg(place.path("bundle"))).ok();
    let differences = tree::differences(source, &place.path("bundle/rootfs"));
    assert!(differences.is_empty(), "unpacked by umoci:\n{}", differences.join("\n"));
    fs::remove_dir_all(place.path("bundle")).expect("a bundle that can be removed");

    // A second opinion: where umoci and GNU tar differ, the defect is not ours.
    fs::create_dir(place.path("tar")).expect("a folder");
    for layer in layout.layers() {
        let mut tar = tool("tar");
        tar.args(["--numeric-owner", "--same-permissions", "--same-owner", "--xattrs", "--xattrs-include=*", "-xzf"]);
        run(tar.arg(layer.path).arg("-C").arg(place.path("tar"))).ok();
    }
    let differences = tree::differences(source, &place.path("tar"));
    assert!(differences.is_empty(), "unpacked by GNU tar:\n{}", differences.join("\n"));
}

/// GNU tar and bsdtar list every layer, and have nothing to remark.
fn listed_without_a_warning(layout: &Layout) {
    for layer in layout.layers() {
        for (name, words) in [("tar", ["-t", "-v", "-z", "-f"]), ("bsdtar", ["-t", "-v", "-z", "-f"])] {
            let told = run(tool(name).args(words).arg(&layer.path)).ok();
            assert_eq!(told.stderr, "", "{name} warns of {}", layer.path.display());
            assert!(!told.stdout.is_empty(), "{name} lists nothing");
        }
    }
}

#[test]
fn debian_for_amd64() {
    let Some(place) = Place::new("debian_for_amd64", TOOLS) else { return };
    comes_out_as_it_was(&place, "linux/amd64", &debian::amd64());
}

#[test]
fn debian_for_arm64() {
    let Some(place) = Place::new("debian_for_arm64", TOOLS) else { return };
    comes_out_as_it_was(&place, "linux/arm64", &debian::arm64());
}

/// The same folder packed by one thread and by many, under another locale, time zone and umask, from elsewhere.
#[test]
fn the_surroundings_leave_no_trace() {
    let Some(place) = Place::new("the_surroundings_leave_no_trace", TOOLS) else { return };
    let layer = format!("linux/amd64={}", debian::amd64().display());
    let first = place.dockless(["build", "--layer", &layer, "-o", "one", "-j", "1"]);
    let words = ["build", "--layer", &layer, "-o", "two", "-j", "7"];
    let mut shell = place.prepare(tool("sh"));
    shell.args(["-c", "umask 077 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_dockless")]).args(words);
    shell.env("TZ", "Asia/Tokyo").env("LANG", "tr_TR.UTF-8").env("HOME", "/dev/null");
    // Another cache: what the first build left in its own must not answer for the second.
    let second = run(shell.env("DOCKLESS_CACHE_DIR", place.path("second-cache")));
    assert_eq!(first.ok().line(), second.ok().line());
}
