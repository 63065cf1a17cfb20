//! Large files, small memory, a full disk, and a user who may not read everything.

use std::fs::{self, File, Permissions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::debian::noise;
use super::images::{Layout, digest};
use super::support::{Place, Registry, Told, find, run, say, skopeo, tool};

const GIB: u64 = 1 << 30;
/// What a build or a push may take, whatever the size of a file.
const MOST_KIB: u64 = 96 << 10;

/// Runs the binary; returns the most memory that it had, in KiB, as well.
fn measured(place: &Place, words: &[&str]) -> (Told, u64) {
    let report = place.path("peak");
    let mut time = place.prepare(Command::new(find("time").expect("time is here")));
    time.args(["-f", "%M", "-o"]).arg(&report).arg(env!("CARGO_BIN_EXE_dockless")).args(words);
    let told = run(&mut time);
    let peak = fs::read_to_string(&report).unwrap_or_default();
    let peak = peak.lines().last().and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{peak:?}: {told}"));
    say(&format!("MEASURED: {} MiB at most: {}", peak >> 10, words.join(" ")));
    (told, peak)
}

fn stays_small(place: &Place, source: &str) {
    let (told, peak) = measured(place, &["build", "--layer", &format!("{source}:/data"), "-o", "image"]);
    let told = told.ok();
    assert!(peak <= MOST_KIB, "{} MiB to build", peak >> 10);
    let layout = Layout(place.path("image"));
    assert_eq!(told.line(), layout.top());

    let registry = Registry::docker_registry(place, "debian");
    for (name, more) in [("app:whole", &[][..]), ("app:chunks", &["--chunk-size", "5MiB"])] {
        let reference = registry.reference(name);
        let (told, peak) = measured(place, &[&["push", "image", reference.as_str()], more].concat());
        told.ok();
        assert!(peak <= MOST_KIB, "{} MiB to push {name}", peak >> 10);
        let raw = skopeo(["inspect", "--raw", "--tls-verify=false", &registry.docker(name)]).ok().stdout;
        assert_eq!(digest(&raw), layout.top());
    }
}

#[test]
fn four_gibibytes_of_zeros() {
    let Some(place) = Place::new("four_gibibytes_of_zeros", &["time", "skopeo", "docker-registry"]) else { return };
    fs::create_dir(place.path("data")).expect("a folder");
    File::create(place.path("data/zeros")).and_then(|file| file.set_len(4 * GIB + 1)).expect("a large file");
    stays_small(&place, "data");
}

#[test]
fn four_gibibytes_with_noise() {
    let Some(place) = Place::new("four_gibibytes_with_noise", &["time", "skopeo", "docker-registry"]) else { return };
    fs::create_dir(place.path("data")).expect("a folder");
    let mut file = File::create(place.path("data/pieces")).expect("a file");
    file.set_len(4 * GIB).expect("a large file");
    for piece in 0..4 {
        // Not at the edges of anything.
        file.seek(SeekFrom::Start(piece * GIB + 12_345)).expect("a place in the file");
        file.write_all(&noise(48 << 20, piece + 1)).expect("room for it");
    }
    drop(file);
    stays_small(&place, "data");
}

/// A small file system in memory, unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(folder: PathBuf, size: &str) -> Self {
        fs::create_dir(&folder).expect("a folder");
        run(tool("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&folder)).ok();
        Self(folder)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a program that failed may still have a file open.
        let _ = tool("umount").arg("-l").arg(&self.0).status();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(path) = todo.pop() {
        for entry in fs::read_dir(path).expect("a folder") {
            let path = entry.expect("a name").path();
            found.push(path.display().to_string());
            if path.is_dir() {
                todo.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_full_disk_is_told_and_left_tidy() {
    let Some(place) = Place::new("a_full_disk_is_told_and_left_tidy", &["mount", "umount"]) else { return };
    fs::create_dir(place.path("small")).expect("a folder");
    fs::write(place.path("small/file"), "small").expect("a file");
    fs::create_dir(place.path("large")).expect("a folder");
    fs::write(place.path("large/file"), noise(20 << 20, 3)).expect("a file");
    let disk = Mounted::new(place.path("disk"), "4m");
    let full = ["No space left on device"];
    fs::write(disk.0.join("thesis.txt"), "do not touch").expect("a file");

    // Where nothing was, nothing is.
    let before = names(&disk.0);
    for output in ["disk/image", "disk/image.tar"] {
        place.dockless(["build", "--layer", "large:/data", "-o", output]).failed(2, &full);
        assert_eq!(names(&disk.0), before, "{output}");
    }

    // What was there stays, and stays whole.
    place.dockless(["build", "--layer", "small:/data", "-o", "disk/image"]).ok();
    place.dockless(["build", "--layer", "small:/data", "-o", "disk/image.tar"]).ok();
    let before = names(&disk.0);
    let archive = fs::read(disk.0.join("image.tar")).expect("an archive");
    for output in ["disk/image", "disk/image.tar"] {
        place.dockless(["build", "--layer", "large:/data", "-o", output]).failed(2, &full);
        assert_eq!(names(&disk.0), before, "{output}");
    }
    assert_eq!(fs::read(disk.0.join("image.tar")).expect("an archive"), archive);
    place.dockless(["check", "disk/image"]).ok();
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    let Some(place) = Place::new("a_file_that_may_not_be_read_is_named", &["setpriv"]) else { return };
    // Neither the target folder nor the cache need be open to others.
    let folder = tempfile::tempdir().expect("a folder");
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    open(folder.path(), 0o777);
    let binary = folder.path().join("dockless");
    fs::copy(env!("CARGO_BIN_EXE_dockless"), &binary).expect("a copy");
    open(&binary, 0o755);
    let source = folder.path().join("app");
    fs::create_dir(&source).expect("a folder");
    fs::write(source.join("readable"), "readable").expect("a file");
    fs::write(source.join("secret"), "secret").expect("a file");
    open(&source.join("secret"), 0o600);

    let build = |layer: &str| {
        let mut command = place.prepare(tool("setpriv"));
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary);
        command.args(["build", "--layer", layer, "-o", "image"]).current_dir(folder.path());
        run(command.env("HOME", folder.path()).env("DOCKLESS_CACHE_DIR", folder.path().join("cache")))
    };
    for layer in ["app", "app:/app"] {
        let told = build(layer).failed(2, &["app/secret", "ermission denied"]);
        assert!(told.text().is_empty(), "{told}");
        assert!(!folder.path().join("image").exists(), "{layer}");
    }
    open(&source.join("secret"), 0o644);
    build("app:/app").ok();
}
