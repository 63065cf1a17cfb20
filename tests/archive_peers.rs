//! Image archives among the programs that people have: what we write they read, what they write we read. A test is
//! skipped, and says so, where its program is not installed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use dockless::blob::BlobSource;
use dockless::blob::reach::blobs;
use dockless::image::archive::{Form, ImageArchive, write_docker, write_oci};
use dockless::layout::{IMAGE_NAME, Layout, REF_NAME};
use dockless::oci::canonical;
use dockless::oci::config::ImageConfiguration;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::manifest::{Index, Manifest};
use dockless::oci::media_type::MediaType;
use dockless::oci::platform::Platform;
use serde_json::{Value, json};

/// Whether a program is there.
fn has(program: &str) -> bool {
    let has = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !has {
        let _ = writeln!(std::io::stderr(), "skipped: {program} is not installed");
    }
    has
}

/// What a program prints, which must succeed.
fn run(folder: &Path, program: &str, args: &str) -> String {
    let output = Command::new(program)
        .args(args.split(' '))
        .current_dir(folder)
        .env("XDG_RUNTIME_DIR", folder)
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args}: {text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn skopeo(folder: &Path, args: &str) -> String {
    run(folder, "skopeo", &format!("--insecure-policy --tmpdir . {args}"))
}

fn tree(folder: &Path) -> Vec<u8> {
    fs::create_dir_all(folder.join("tree/etc")).expect("a folder");
    fs::write(folder.join("tree/etc/motd"), "hello\n".repeat(9000)).expect("a file");
    run(folder, "tar", "--owner=0 --group=0 --mtime=@0 -C tree -cf layer.tar etc");
    fs::read(folder.join("layer.tar")).expect("the layer")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).expect("written");
    out.finish().expect("written")
}

/// An image of one platform with a plain and a gzip layer, as both forms: `oci.tar` and `docker.tar`.
fn ours(folder: &Path) -> (Layout, Descriptor) {
    let layer = tree(folder);
    let session = Layout::session(&folder.join("ours")).expect("a session");
    let put = |media_type: MediaType, bytes: &[u8]| {
        session.put(bytes).expect("a blob");
        Descriptor::of(media_type, bytes)
    };
    let other = {
        fs::write(folder.join("tree/etc/other"), "other").expect("a file");
        run(folder, "tar", "-C tree -cf other.tar etc/other");
        fs::read(folder.join("other.tar")).expect("the layer")
    };
    let ids = [Digest::of(&layer), Digest::of(&other)];
    let config = json!({
        "architecture": "arm64", "os": "linux", "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": ids},
    });
    let config = put(MediaType::ImageConfig, config.to_string().as_bytes());
    let layers = vec![put(MediaType::ImageLayerGzip, &gzip(&layer)), put(MediaType::ImageLayer, &other)];
    let mut top = put(MediaType::ImageManifest, &canonical(&Manifest::new(config, layers, BTreeMap::new())));
    top.platform = Some(Platform::linux_arm64());
    top.annotations = [(REF_NAME.into(), "c".into()), (IMAGE_NAME.into(), "docker.io/a/b:c".into())].into();
    let layout = session.layout().clone();
    session.finish(vec![top.clone()]).expect("an index");
    write_oci(&folder.join("oci.tar"), &layout, &layout.index().expect("an index")).expect("written");
    write_docker(&folder.join("docker.tar"), &layout, &top, &["a/b:c".into()]).expect("written");
    (layout, top)
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Every blob that the archive's index reaches, through [`Verified`](dockless::blob::Verified); the diff IDs.
fn read_all(archive: &ImageArchive) -> Vec<Digest> {
    let entry = &archive.index().manifests[0];
    let manifest: Manifest = serde_json::from_slice(&archive.document(entry).expect("held")).expect("a manifest");
    for layer in &manifest.layers {
        archive.open(layer).expect("a blob").read_to_end(&mut Vec::new()).expect("the promised bytes");
    }
    let config = archive.document(&manifest.config).expect("held");
    serde_json::from_slice::<ImageConfiguration>(&config).expect("a configuration").rootfs.diff_ids
}

#[test]
fn gnu_tar_and_skopeo_read_our_archives() {
    if !has("skopeo") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (layout, top) = ours(folder.path());
    let listed = run(folder.path(), "tar", "--numeric-owner --utc -tvf oci.tar");
    assert!(listed.starts_with("drwxr-xr-x 0/0               0 1970-01-01 00:00 blobs/\n"), "{listed}");
    assert!(listed.lines().all(|line| line.contains(" 0/0 ")), "{listed}");

    for name in ["oci-archive:oci.tar", "oci-archive:oci.tar:c"] {
        let inspected = json_of(&skopeo(folder.path(), &format!("inspect {name}")));
        assert_eq!(inspected["Digest"], top.digest.to_string());
        assert_eq!(inspected["Architecture"], "arm64");
    }
    for name in ["docker-archive:docker.tar", "docker-archive:docker.tar:a/b:c"] {
        let inspected = json_of(&skopeo(folder.path(), &format!("inspect {name}")));
        assert_eq!((&inspected["Architecture"], &inspected["Os"]), (&json!("arm64"), &json!("linux")));
    }
    // Else it compresses the plain layer.
    skopeo(folder.path(), "copy --preserve-digests oci-archive:oci.tar oci:copied:c");
    let copied = Layout::open(&folder.path().join("copied")).expect("a layout");
    let index = copied.index().expect("an index");
    assert_eq!(index.manifests[0].digest, top.digest);
    assert_eq!(blobs(&copied, &index.manifests).expect("whole"), blobs(&layout, &index.manifests).expect("whole"));

    skopeo(folder.path(), "copy docker-archive:docker.tar dir:dir");
    let manifest = json_of(&fs::read_to_string(folder.path().join("dir/manifest.json")).expect("a manifest"));
    let ours: Manifest = serde_json::from_slice(&layout.document(&top).expect("held")).expect("a manifest");
    // The same configuration; skopeo names the layers by what they are unpacked, and checks that they are.
    assert_eq!(manifest["config"]["digest"], ours.config.digest.to_string());
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(2));
}

#[test]
fn we_read_the_archives_of_skopeo() {
    if !has("skopeo") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (layout, top) = ours(folder.path());
    let ours: Manifest = serde_json::from_slice(&layout.document(&top).expect("held")).expect("a manifest");

    skopeo(folder.path(), "copy oci:ours:c docker-archive:theirs-docker.tar:a/b:c");
    let archive = ImageArchive::open(&folder.path().join("theirs-docker.tar")).expect("an archive");
    let entry = &archive.index().manifests[0];
    assert_eq!(archive.form(), Form::Docker);
    assert_eq!(entry.annotations, top.annotations);
    assert_eq!(entry.platform, top.platform);
    assert_eq!(read_all(&archive).len(), 2);

    skopeo(folder.path(), "copy --preserve-digests oci:ours:c oci-archive:theirs-oci.tar:c");
    let archive = ImageArchive::open(&folder.path().join("theirs-oci.tar")).expect("an archive");
    assert_eq!((archive.form(), archive.index().manifests[0].digest), (Form::Oci, top.digest));
    assert_eq!(read_all(&archive).len(), ours.layers.len());

    // An index of several platforms travels whole.
    let session = Layout::session(&folder.path().join("ours")).expect("a session");
    let bytes = canonical(&Index::new(vec![Descriptor { annotations: BTreeMap::new(), ..top }], BTreeMap::new()));
    session.put(&bytes).expect("a blob");
    let mut index = Descriptor::of(MediaType::ImageIndex, &bytes);
    index.annotations.insert(REF_NAME.into(), "all".into());
    session.finish(vec![index.clone()]).expect("an index");
    let all = Index::new(vec![index.clone()], BTreeMap::new());
    write_oci(&folder.path().join("all.tar"), &layout, &all).expect("written");
    skopeo(folder.path(), "copy --all --preserve-digests oci-archive:all.tar:all oci-archive:all-theirs.tar:all");
    let archive = ImageArchive::open(&folder.path().join("all-theirs.tar")).expect("an archive");
    assert_eq!(archive.index().manifests[0].digest, index.digest);
}

#[test]
fn we_write_what_umoci_made_and_gnu_tar_packed() {
    if !has("umoci") || !has("skopeo") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    tree(folder.path());
    run(folder.path(), "umoci", "init --layout made");
    run(folder.path(), "umoci", "new --image made:v1");
    run(folder.path(), "umoci", "insert --rootless --image made:v1 tree/etc /etc");
    // A layout that somebody packed with tar: names begin with ./
    run(folder.path(), "tar", "-C made -cf made.tar .");
    let archive = ImageArchive::open(&folder.path().join("made.tar")).expect("an archive");
    assert_eq!(read_all(&archive).len(), 1);
    let entry = archive.index().manifests[0].clone();
    write_docker(&folder.path().join("docker.tar"), &archive, &entry, &["a/b:v1".into()]).expect("written");
    write_oci(&folder.path().join("oci.tar"), &archive, archive.index()).expect("written");
    skopeo(folder.path(), "copy docker-archive:docker.tar oci:from-docker:v1");
    skopeo(folder.path(), "copy oci-archive:oci.tar oci:from-oci:v1");
    run(folder.path(), "umoci", "unpack --rootless --image from-docker:v1 bundle");
    assert_eq!(
        fs::read(folder.path().join("bundle/rootfs/etc/motd")).expect("unpacked"),
        fs::read(folder.path().join("tree/etc/motd")).expect("a file")
    );
    let copied = Layout::open(&folder.path().join("from-oci")).expect("a layout").index().expect("an index");
    assert_eq!(copied.manifests[0].digest, entry.digest);
}
