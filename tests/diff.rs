//! `dockless diff`: images that differ in one thing each, and what is said of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

use dockless::layout::Layout;
use dockless::oci::canonical;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::manifest::{Index, Manifest};
use dockless::oci::media_type::MediaType;
use dockless::oci::platform::{Arch, Platform};
use serde_json::{Value, json};

fn dockless(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockless"));
    command.args(words).env_clear().env("DOCKLESS_CACHE_DIR", folder.join("cache")).current_dir(folder);
    command.output().expect("the binary runs")
}

const BOTH: [&str; 4] = ["--platform", "linux/amd64,linux/arm64", "--entrypoint", "/app/run"];

/// Builds the folders `low` and `app` as two layers into a layout of this name.
fn build(folder: &Path, name: &str, more: &[&str]) {
    let words = [&["build", "-q", "-o", name, "--layer", "low:/low", "--layer", "app:/app"], &BOTH[..], more].concat();
    let output = dockless(folder, &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A folder with the sources of an image, and that image as `a`.
fn sources() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("low")).expect("a folder");
    fs::create_dir_all(at("app/sub")).expect("a folder");
    for (name, text) in [("low/base", "base"), ("app/run", "#!/bin/sh\n"), ("app/old", "old"), ("app/sub/same", "same")]
    {
        fs::write(at(name), text).expect("a file");
    }
    symlink("run", at("app/link")).expect("a link");
    build(folder.path(), "a", &[]);
    folder
}

/// The report of a comparison with `a`, and the exit code.
fn report(folder: &Path, b: &str, more: &[&str]) -> (Value, Option<i32>) {
    let output = dockless(folder, &[&["diff", "a", b, "--json"], more].concat());
    let report = serde_json::from_slice(&output.stdout);
    (report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))), output.status.code())
}

fn text(folder: &Path, words: &[&str]) -> String {
    let output = dockless(folder, &[&["diff"], words].concat());
    String::from_utf8(output.stdout).expect("text")
}

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, data) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, data.as_bytes()).expect("a vector takes all");
    }
    archive.into_inner().expect("an archive")
}

/// Writes an image of plain tars as others may make it: what it says of its platform and of its layers.
fn write(folder: &Path, name: &str, platform: &Platform, tars: &[Vec<u8>], diff_ids: &[Digest]) {
    let session = Layout::session(&folder.join(name)).expect("a session");
    let put = |media_type: MediaType, bytes: &[u8]| {
        session.put(bytes).expect("a blob");
        Descriptor::of(media_type, bytes)
    };
    let config = json!({
        "architecture": platform.architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}
    });
    let config = put(MediaType::ImageConfig, config.to_string().as_bytes());
    let layers = tars.iter().map(|tar| put(MediaType::ImageLayer, tar)).collect();
    let manifest = put(MediaType::ImageManifest, &canonical(&Manifest::new(config, layers, BTreeMap::new())));
    let entry = Descriptor { platform: Some(platform.clone()), ..manifest };
    let index = put(MediaType::ImageIndex, &canonical(&Index::new(vec![entry], BTreeMap::new())));
    session.finish(vec![index]).expect("an index");
}

#[test]
fn the_same_image_is_the_same() {
    let folder = sources();
    build(folder.path(), "b", &[]);
    let (report, code) = report(folder.path(), "b", &[]);
    assert_eq!((&report["same"], code), (&json!(true), Some(0)));
    assert_eq!(report["a"]["digest"], report["b"]["digest"]);
    assert!(text(folder.path(), &["a", "b"]).starts_with("same: sha256:"));
}

#[test]
fn each_file_is_told_with_what_differs() {
    let folder = sources();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("app/run"), "#!/bin/sh\nexit\n").expect("a file");
    fs::set_permissions(at("app/run"), fs::Permissions::from_mode(0o755)).expect("a mode");
    fs::remove_file(at("app/old")).expect("removed");
    fs::write(at("app/new"), "new").expect("a file");
    fs::remove_file(at("app/link")).expect("removed");
    symlink("new", at("app/link")).expect("a link");
    build(folder.path(), "b", &[]);
    let (report, code) = report(folder.path(), "b", &["-p", "linux/arm64"]);
    assert_eq!((&report["same"], code), (&json!(false), Some(1)));
    let platforms = report["platforms"].as_array().expect("platforms");
    assert_eq!(platforms.iter().map(|p| &p["platform"]).collect::<Vec<_>>(), ["linux/arm64"]);
    let files = platforms[0]["files"].as_array().expect("files");
    let told: Vec<_> = files.iter().map(|file| (&file["path"], &file["what"])).collect();
    let wanted = [
        ("/app/link", json!(["target"])),
        ("/app/new", json!([])),
        ("/app/old", json!([])),
        ("/app/run", json!(["content", "mode"])),
    ];
    assert_eq!(told.len(), wanted.len());
    for ((path, what), (wanted_path, wanted_what)) in told.iter().zip(&wanted) {
        assert_eq!((*path, *what), (&json!(wanted_path), wanted_what));
    }
    assert_eq!((&files[1]["b"]["kind"], &files[1]["b"]["size"]), (&json!("file"), &json!(3)));
    assert!(files[1].get("a").is_none() && files[2].get("b").is_none());
    assert_eq!((&files[0]["a"]["target"], &files[0]["b"]["target"]), (&json!("run"), &json!("new")));
    // The layer below is the same.
    assert_eq!(platforms[0]["layers"].as_array().map(Vec::len), Some(1));
    let text = text(folder.path(), &["a", "b", "-p", "linux/arm64"]);
    for line in [
        "  ~ /app/link  target run -> new",
        "  + /app/new  file, 3 B, 0644 0:0",
        "  - /app/old  file, 3 B, 0644 0:0",
        "  ~ /app/run  content 10 B -> 15 B, mode 0644 -> 0755",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}\n{text}");
    }
}

/// Values of the environment are in the JSON alone.
#[test]
fn settings_are_told_and_secrets_are_not() {
    let folder = sources();
    build(folder.path(), "b", &["--env", "TOKEN=s3cret", "--label", "team=web", "--cmd", "x"]);
    let (report, _) = report(folder.path(), "b", &[]);
    let settings = report["platforms"][0]["settings"].as_array().expect("settings");
    let names: Vec<_> = settings.iter().filter_map(|setting| setting["name"].as_str()).collect();
    assert_eq!(names, ["Cmd", "Env TOKEN", "Labels team"]);
    assert!(report["platforms"][0]["files"].as_array().is_some_and(Vec::is_empty));
    let text = text(folder.path(), &["a", "b"]);
    assert!(text.contains("  Env TOKEN: only in b\n  Labels team: - -> web\n") && !text.contains("s3cret"), "{text}");
}

#[test]
fn another_compression_is_no_other_file() {
    let folder = sources();
    build(folder.path(), "b", &["--compression", "zstd"]);
    let (report, code) = report(folder.path(), "b", &[]);
    assert_eq!(code, Some(1));
    let layers = report["platforms"][0]["layers"].as_array().expect("layers");
    assert!(layers.len() == 2 && layers.iter().all(|layer| layer["a"]["diff_id"] == layer["b"]["diff_id"]));
    assert!(text(folder.path(), &["a", "b"]).contains("the same tar, compressed in two ways"));
}

/// The same files in one layer instead of two.
#[test]
fn another_division_is_no_other_file() {
    let folder = sources();
    let all = folder.path().join("all");
    for (from, to) in [("low", "all/low"), ("app", "all/app")] {
        fs::create_dir_all(&all).expect("a folder");
        let copied = Command::new("cp").args(["-a", from, to]).current_dir(folder.path()).status().expect("cp");
        assert!(copied.success());
    }
    let words = [&["build", "-q", "-o", "b", "--layer", "all:/"], &BOTH[..]].concat();
    assert!(dockless(folder.path(), &words).status.success());
    let (report, code) = report(folder.path(), "b", &[]);
    assert_eq!((report["platforms"][0]["files"].as_array().map(Vec::len), code), (Some(0), Some(1)), "{report}");
    assert!(text(folder.path(), &["a", "b"]).contains("no file differs"));
}

#[test]
fn what_only_one_image_has_is_told() {
    let folder = sources();
    let words = ["build", "-q", "-o", "b", "--layer", "low:/low", "-p", "linux/amd64", "--entrypoint", "/app/run"];
    assert!(dockless(folder.path(), &words).status.success());
    let (report, _) = report(folder.path(), "b", &[]);
    assert_eq!((&report["only_a"], &report["only_b"]), (&json!(["linux/arm64"]), &json!([])));
    let layer = &report["platforms"][0]["layers"][0];
    assert!(layer.get("a").is_some() && layer.get("b").is_none());
    assert!(text(folder.path(), &["a", "b"]).contains("\nlinux/arm64: only in a\n"));
    let output = dockless(folder.path(), &["diff", "a", "b", "-p", "linux/arm64"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("b: it holds no image for linux/arm64"));
}

/// Whoever exchanges a layer leaves the configuration as it was.
#[test]
fn a_tar_is_held_to_its_diff_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let tars = [tar(&[("a", "good")]), tar(&[("a", "evil!")])];
    let ids = [Digest::of(&tars[0]), Digest::of(&tars[1])];
    let written = |name: &str, tars: &[Vec<u8>], diff_ids: &[Digest]| {
        write(folder.path(), name, &Platform::linux_amd64(), tars, diff_ids);
    };
    written("a", &tars[..1], &ids[..1]);
    written("lies", &tars[1..], &ids[..1]);
    written("lies-of-the-same", &tars[..1], &ids[1..]);
    written("honest", &tars[1..], &ids[1..]);
    written("short", &tars, &ids[..1]);
    for (other, why) in [
        ("lies", format!("its tar has the digest {}, but the diff ID is {}", ids[1], ids[0])),
        ("lies-of-the-same", format!("its tar has the digest {}, but the diff ID is {}", ids[0], ids[1])),
        ("short", "2 layers, but 1 diff IDs".into()),
    ] {
        for words in [["diff", "a", other], ["diff", other, "a"]] {
            let output = dockless(folder.path(), &words);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true), "{said}");
            assert!(said.replace("\n  ", " ").contains(&why), "{other}: {said}");
        }
    }
    let (report, _) = report(folder.path(), "honest", &[]);
    assert_eq!(report["platforms"][0]["files"][0]["what"], json!(["content"]));
}

/// As Docker Hub's images have it: what runs the same is the same platform, however it is written.
#[test]
fn a_platform_is_one_however_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let arm64 = Platform::linux_arm64();
    let tar = |data: &str| tar(&[("a", data)]);
    let written = |name: &str, data: &str, platform: Platform| {
        write(folder.path(), name, &platform, &[tar(data)], &[Digest::of(&tar(data))]);
    };
    written("a", "1", arm64.clone());
    written("v8", "2", Platform { variant: Some("v8".into()), ..arm64.clone() });
    written("aarch64", "3", Platform { architecture: Arch::from("aarch64"), ..arm64.clone() });
    for other in ["v8", "aarch64"] {
        for more in [&[][..], &["-p", "linux/arm64"]] {
            let (report, code) = report(folder.path(), other, more);
            assert_eq!((&report["only_a"], &report["only_b"], code), (&json!([]), &json!([]), Some(1)), "{report}");
            assert_eq!(report["platforms"][0]["platform"], "linux/arm64");
            assert_eq!(report["platforms"][0]["files"][0]["path"], "/a");
        }
    }
    written("v9", "4", Platform { variant: Some("v9".into()), ..arm64 });
    let (report, _) = report(folder.path(), "v9", &[]);
    assert_eq!((&report["only_a"], &report["only_b"]), (&json!(["linux/arm64"]), &json!(["linux/arm64/v9"])));
}

/// Another time for every file hides nothing else.
/// The marker of an opaque folder goes by that folder's path, and has a time of its own.
#[test]
fn the_time_of_an_opaque_folder_is_compared() {
    let folder = sources();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("root/d")).expect("a folder");
    fs::write(at("root/d/.wh..wh..opq"), "").expect("a marker");
    let made = |name: &str, time: u64| {
        let folder_of = fs::File::open(at("root/d")).expect("the folder");
        folder_of.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(time)).expect("a time");
        fs::write(at("recipe.toml"), "[[layer]]\nrootfs = \"root\"\n").expect("a recipe");
        assert!(dockless(folder.path(), &["build", "-q", "recipe.toml", "-o", name]).status.success());
    };
    made("one", 100);
    made("two", 200);
    let told = text(folder.path(), &["one", "two"]);
    assert!(told.contains("~ /d  time 100 -> 200"), "{told}");
}

#[test]
fn times_alone_are_counted() {
    let folder = sources();
    for n in 0..20 {
        fs::write(folder.path().join(format!("low/{n}")), "x").expect("a file");
    }
    let recipe = |mtime: &str| {
        let layer = "name = \"low\"\ncopy = [{ src = \"low\", dest = \"/low\" }]\n";
        fs::write(folder.path().join("dockless.toml"), format!("[[layer]]\n{mtime}{layer}")).expect("a recipe");
    };
    let build = |name: &str| {
        assert!(dockless(folder.path(), &["build", "-q", "-o", name, "-p", "linux/amd64"]).status.success());
    };
    recipe("");
    build("old");
    recipe("mtime = \"2026-01-01T00:00:00Z\"\n");
    fs::write(folder.path().join("low/7"), "y").expect("a file");
    build("new");
    let short = text(folder.path(), &["old", "new"]);
    assert!(
        short.contains("  ~ /low/7  content, time 0 -> 1767225600\n  21 more differ in their time alone"),
        "{short}"
    );
    assert!(text(folder.path(), &["old", "new", "-v"]).contains("  ~ /low/8  time 0 -> 1767225600\n"));
}

#[test]
fn a_damaged_layer_is_no_answer() {
    let folder = sources();
    fs::write(folder.path().join("app/run"), "other").expect("a file");
    build(folder.path(), "b", &[]);
    let blobs = fs::read_dir(folder.path().join("b/blobs/sha256")).expect("blobs");
    let layers = blobs.map(|blob| blob.expect("a blob").path()).filter(|blob| {
        let bytes = fs::read(blob).expect("bytes");
        bytes.starts_with(&[0x1f, 0x8b])
    });
    for layer in layers {
        let mut bytes = fs::read(&layer).expect("bytes");
        *bytes.last_mut().expect("a byte") ^= 1;
        fs::write(&layer, bytes).expect("written");
    }
    let output = dockless(folder.path(), &["diff", "a", "b"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read layer sha256:"));
}
