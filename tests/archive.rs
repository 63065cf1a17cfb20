//! Image archives: what is written is read again, the same bytes every time, and what is damaged is told.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use dockless::blob::reach::blobs;
use dockless::blob::{BlobError, BlobSource};
use dockless::image::archive::{ArchiveError, Form, ImageArchive, write_docker, write_oci};
use dockless::layer::entry::{Entry, Kind};
use dockless::layer::tar::{header, padding};
use dockless::layout::{IMAGE_NAME, Layout, REF_NAME};
use dockless::oci::canonical;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::manifest::{Index, Manifest};
use dockless::oci::media_type::MediaType;
use dockless::oci::platform::Platform;
use proptest::prelude::*;
use serde_json::json;

use Member::File;

/// A tar of these members, by our own header.
fn tar(members: &[(&str, Member<'_>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, member) in members {
        let (kind, data): (Kind, &[u8]) = match member {
            File(data) => (Kind::File(data.len() as u64), data),
            Member::Symlink(target) => (Kind::Symlink(target.as_bytes().into()), b""),
            Member::Hardlink(target) => (Kind::Hardlink(target.as_bytes().into()), b""),
            Member::Folder => (Kind::Directory, b""),
        };
        let path = name.as_bytes().into();
        let entry = Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: None, source: None };
        header(&entry, &mut out);
        out.extend_from_slice(data);
        out.resize(out.len() + padding(data.len() as u64), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

#[derive(Clone, Copy)]
enum Member<'a> {
    File(&'a [u8]),
    Symlink(&'a str),
    Hardlink(&'a str),
    Folder,
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).expect("written");
    out.finish().expect("written")
}

fn config(architecture: &str, diff_ids: &[Digest]) -> Vec<u8> {
    json!({"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        .to_string()
        .into_bytes()
}

/// An image of some layers in a layout.
fn image(
    session: &dockless::layout::session::Session,
    architecture: &str,
    layers: &[(MediaType, Vec<u8>, Digest)],
) -> Descriptor {
    let put = |media_type: MediaType, bytes: &[u8]| {
        session.put(bytes).expect("a blob");
        Descriptor::of(media_type, bytes)
    };
    let ids: Vec<Digest> = layers.iter().map(|(_, _, id)| *id).collect();
    let config = put(MediaType::ImageConfig, &config(architecture, &ids));
    let layers = layers.iter().map(|(media_type, bytes, _)| put(media_type.clone(), bytes)).collect();
    put(MediaType::ImageManifest, &canonical(&Manifest::new(config, layers, BTreeMap::new())))
}

fn plain(content: &[u8]) -> (MediaType, Vec<u8>, Digest) {
    let bytes = tar(&[("file", File(content))]);
    let id = Digest::of(&bytes);
    (MediaType::ImageLayer, bytes, id)
}

fn gzipped(content: &[u8]) -> (MediaType, Vec<u8>, Digest) {
    let (_, bytes, id) = plain(content);
    (MediaType::ImageLayerGzip, gzip(&bytes), id)
}

/// A layout with an index of two platforms named a/b:c, and a nameless manifest that shares a layer.
fn layout(root: &Path) -> Layout {
    let session = Layout::session(root).expect("a session");
    let mut amd64 = image(&session, "amd64", &[gzipped(b"base"), plain(&vec![7; 700_000])]);
    amd64.platform = Some(Platform::linux_amd64());
    let mut arm64 = image(&session, "arm64", &[gzipped(b"base"), plain(b"arm")]);
    arm64.platform = Some(Platform::linux_arm64());
    let bytes = canonical(&Index::new(vec![amd64, arm64], BTreeMap::new()));
    session.put(&bytes).expect("a blob");
    let mut top = Descriptor::of(MediaType::ImageIndex, &bytes);
    top.annotations = [(REF_NAME.into(), "c".into()), (IMAGE_NAME.into(), "docker.io/a/b:c".into())].into();
    let nameless = image(&session, "amd64", &[gzipped(b"base")]);
    session.finish(vec![top, nameless]).expect("an index");
    Layout::open(root).expect("a layout")
}

fn open(folder: &Path, bytes: &[u8]) -> Result<ImageArchive, ArchiveError> {
    let path = folder.join("x.tar");
    fs::write(&path, bytes).expect("written");
    ImageArchive::open(&path)
}

/// The error with its causes; no cause may be told twice.
fn told(error: &ArchiveError) -> String {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        assert!(!texts.iter().any(|text| text.contains(&error.to_string())), "{texts:?} repeats {error}");
        texts.push(error.to_string());
        source = error.source();
    }
    texts.join(": ")
}

fn refusal(folder: &Path, bytes: &[u8]) -> String {
    let text = told(&open(folder, bytes).expect_err("an error"));
    assert!(text.contains("x.tar"), "{text}");
    text
}

fn whole(source: &dyn BlobSource, descriptor: &Descriptor) -> Vec<u8> {
    let mut bytes = Vec::new();
    source.open(descriptor).expect("a blob").read_to_end(&mut bytes).expect("the promised bytes");
    bytes
}

fn manifest(source: &dyn BlobSource, descriptor: &Descriptor) -> Manifest {
    serde_json::from_slice(&source.document(descriptor).expect("a manifest")).expect("a manifest")
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn an_oci_archive_holds_what_the_layout_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let layout = layout(&folder.path().join("oci"));
    let index = layout.index().expect("an index");
    let path = folder.path().join("made/for/it/x.tar");
    write_oci(&path, &layout, &index).expect("written");

    let archive = ImageArchive::open(&path).expect("an archive");
    assert_eq!((archive.form(), archive.index()), (Form::Oci, &index));
    let reached = blobs(&layout, &index.manifests).expect("all there");
    assert_eq!(reached.len(), 10);
    for digest in reached.into_keys() {
        let bytes = fs::read(layout.blob_path(digest)).expect("a blob");
        let descriptor = Descriptor::of(MediaType::ImageLayer, &bytes);
        assert_eq!(whole(&archive, &descriptor), bytes);
    }
    let unknown = Descriptor::of(MediaType::ImageLayer, b"unknown");
    assert!(matches!(archive.open_unverified(&unknown), Err(BlobError::Missing { .. })));

    // The same bytes again, also from the archive itself onto itself.
    let first = fs::read(&path).expect("read");
    write_oci(&path, &archive, archive.index()).expect("written");
    assert_eq!(fs::read(&path).expect("read"), first);
    assert_eq!(files(path.parent().expect("a folder")), ["x.tar"]);
}

#[test]
fn a_docker_archive_is_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = Layout::session(&folder.path().join("oci")).expect("a session");
    // The same layer twice: one member, two mentions.
    let top = image(&session, "arm64", &[gzipped(b"base"), plain(b"app"), gzipped(b"base")]);
    let layout = session.layout();
    let path = folder.path().join("x.tar");
    let tags = ["nginx".to_owned(), "example.com:5000/team/app:v1".to_owned()];
    write_docker(&path, layout, &top, &tags).expect("written");
    let first = fs::read(&path).expect("read");
    write_docker(&path, layout, &top, &tags).expect("written");
    assert_eq!(fs::read(&path).expect("read"), first);

    let archive = ImageArchive::open(&path).expect("an archive");
    assert_eq!(archive.form(), Form::Docker);
    let entries = &archive.index().manifests;
    let names: Vec<_> =
        entries.iter().map(|entry| (&*entry.annotations[IMAGE_NAME], &*entry.annotations[REF_NAME])).collect();
    assert_eq!(names, [("docker.io/library/nginx:latest", "latest"), ("example.com:5000/team/app:v1", "v1")]);
    assert_eq!(entries[0].platform, Some(Platform::linux_arm64()));
    // Configuration and layers are what they were; and so is the manifest, since both are canonical.
    assert_eq!(entries[0].digest, top.digest);
    let found = manifest(&archive, &entries[1]);
    assert_eq!(found, manifest(layout, &top));
    for descriptor in found.layers.iter().chain([&found.config]) {
        assert_eq!(whole(&archive, descriptor), whole(layout, descriptor));
    }
}

/// As `docker save` wrote it until version 24: a folder for each layer, links where images share one.
fn old_save() -> Vec<u8> {
    let (_, base, base_id) = plain(b"base");
    let (_, app, app_id) = plain(b"app");
    let one = config("amd64", &[base_id, app_id]);
    let two = config("arm64", &[base_id]);
    let manifest = json!([
        {"Config": "one.json", "RepoTags": ["app:1", "app:latest"], "Layers": ["aa/layer.tar", "bb/layer.tar"]},
        {"Config": "two.json", "RepoTags": null, "Layers": ["cc/layer.tar"]},
    ]);
    tar(&[
        ("aa", Member::Folder),
        ("aa/VERSION", File(b"1.0")),
        ("aa/json", File(b"{}")),
        ("aa/layer.tar", File(&base)),
        ("bb/layer.tar", Member::Hardlink("dd/layer.tar")),
        ("cc/layer.tar", Member::Symlink("../aa/layer.tar")),
        ("dd/layer.tar", File(&app)),
        ("one.json", File(&one)),
        ("two.json", File(&two)),
        ("manifest.json", File(manifest.to_string().as_bytes())),
        ("repositories", File(b"{}")),
    ])
}

#[test]
fn an_old_docker_save_with_two_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = open(folder.path(), &old_save()).expect("an archive");
    let entries = &archive.index().manifests;
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[0].digest, entries[1].digest);
    assert_eq!(entries[0].annotations[IMAGE_NAME], "docker.io/library/app:1");
    assert_eq!(entries[2].annotations, BTreeMap::new());
    assert_eq!(entries[2].platform, Some(Platform::linux_arm64()));
    let (one, two) = (manifest(&archive, &entries[0]), manifest(&archive, &entries[2]));
    assert_eq!(one.layers[0], two.layers[0]);
    for (layer, content) in one.layers.iter().zip([b"base".as_slice(), b"app"]) {
        assert_eq!(layer.media_type, MediaType::ImageLayer);
        assert_eq!(whole(&archive, layer), plain(content).1);
    }
    // An archive of the old form becomes one of the new form.
    let path = folder.path().join("oci.tar");
    write_oci(&path, &archive, archive.index()).expect("written");
    let again = ImageArchive::open(&path).expect("an archive");
    assert_eq!((again.form(), again.index()), (Form::Oci, archive.index()));
    assert_eq!(whole(&again, &one.layers[1]), plain(b"app").1);
}

#[test]
fn a_layer_that_breaks_its_diff_id_is_found_when_it_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config("amd64", &[Digest::of(b"something else")]);
    let manifest_json = br#"[{"Config":"c","Layers":["l"]}]"#;
    let bytes = tar(&[("c", File(&config)), ("l", File(b"these bytes")), ("manifest.json", File(manifest_json))]);
    let archive = open(folder.path(), &bytes).expect("an archive");
    let entry = &archive.index().manifests[0];
    let layer = &manifest(&archive, entry).layers[0];
    archive.open(layer).expect("a blob").read_to_end(&mut Vec::new()).expect_err("damaged");

    // Nor is it passed on, and what stood there stays.
    let path = folder.path().join("out.tar");
    fs::write(&path, "the old one").expect("written");
    for result in [
        write_oci(&path, &archive, archive.index()),
        write_docker(&path, &archive, entry, &[]),
        write_oci(&folder.path().join("new/folder/out.tar"), &archive, archive.index()),
    ] {
        let text = told(&result.expect_err("damaged"));
        assert!(text.contains("is damaged: its bytes have the digest"), "{text}");
    }
    assert_eq!(fs::read(&path).expect("read"), b"the old one");
    let mut left = files(folder.path());
    left.sort();
    assert_eq!(left, ["out.tar", "x.tar"]);
}

#[test]
fn both_forms_in_one_are_an_oci_archive_and_dots_before_names_do_not_matter() {
    let folder = tempfile::tempdir().expect("a folder");
    let marker = br#"{"imageLayoutVersion":"1.0.0"}"#;
    let index = canonical(&Index::new(Vec::new(), BTreeMap::new()));
    let members = [("index.json", File(&index)), ("manifest.json", File(b"[]")), ("oci-layout", File(marker))];
    assert_eq!(open(folder.path(), &tar(&members)).expect("an archive").form(), Form::Oci);
    assert_eq!(open(folder.path(), &tar(&members[1..2])).expect("an archive").form(), Form::Docker);
    assert!(refusal(folder.path(), &tar(&members[..1])).contains("no oci-layout"));
    assert!(refusal(folder.path(), &tar(&members[2..])).contains("no index.json"));

    let dotted = [("./oci-layout", File(marker)), ("./index.json", File(b"no")), ("./index.json", File(&index))];
    assert_eq!(open(folder.path(), &tar(&dotted)).expect("the last one wins").form(), Form::Oci);
}

#[test]
fn says_what_is_wrong_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let refusal = |bytes: &[u8]| refusal(folder.path(), bytes);
    let good = old_save();
    assert!(refusal(b"").contains("it is empty"));
    assert!(refusal(&gzip(&good)).contains("gzip -dc <"));
    assert!(refusal(&zstd::encode_all(&*good, 0).expect("compressed")).contains("zstd -dc <"));
    assert!(refusal(b"\xfd7zXZ\0........").contains("xz -dc <"));
    assert!(refusal(&[b'x'; 2000]).contains("as a tar archive"));
    assert!(refusal(&good[..good.len() - 1024]).contains("cut off"));
    assert!(refusal(&good[..3500]).contains("it ends within the data of \"aa/layer.tar\""));
    assert!(refusal(&tar(&[])).contains("it is empty"));
    assert!(refusal(&tar(&[("app", File(b""))])).contains("neither"));
    assert!(refusal(&tar(&[("oci/oci-layout", File(b""))])).contains("tar -C \"oci\""));

    let saved =
        |manifest: &str| tar(&[("c.json", File(&config("amd64", &[]))), ("manifest.json", File(manifest.as_bytes()))]);
    assert!(refusal(&saved("{")).contains("manifest.json of "));
    assert!(refusal(&saved(r#"[{"Config":"../c.json"}]"#)).contains("which is not in it"));
    assert!(refusal(&saved(r#"[{"Config":"/etc/passwd"}]"#)).contains("which is not in it"));
    assert!(refusal(&saved(r#"[{"Config":"manifest.json"}]"#)).contains("configuration \"manifest.json\" of"));
    assert!(refusal(&saved(r#"[{"Config":"c.json","Layers":["c.json"]}]"#)).contains("names 1 layers"));
    let many = vec![r#"{"Config":"c.json"}"#; 10_001].join(",");
    assert!(refusal(&saved(&format!("[{many}]"))).contains("at most 10000"));
    let large = vec![b' '; (4 << 20) + 1];
    assert!(refusal(&tar(&[("manifest.json", File(&large))])).contains("at most 4194304"));
    let circle = [("manifest.json", Member::Symlink("a")), ("a", Member::Symlink("manifest.json"))];
    assert!(refusal(&tar(&circle)).contains("neither"));

    let error = ImageArchive::open(folder.path()).expect_err("a folder");
    assert!(told(&error).contains("oci:PATH"));
    let error = ImageArchive::open(&folder.path().join("none.tar")).expect_err("nothing");
    assert!(told(&error).contains("none.tar"));
}

#[test]
fn what_a_docker_archive_cannot_hold_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = Layout::session(&folder.path().join("oci")).expect("a session");
    let (_, bytes, id) = plain(b"app");
    let zstd = zstd::encode_all(&*bytes, 0).expect("compressed");
    let layers = [(MediaType::ImageLayerZstd, zstd, id)];
    let top = image(&session, "amd64", &layers);
    let good = image(&session, "amd64", &[plain(b"app")]);
    let path = folder.path().join("x.tar");
    let refused = |descriptor: &Descriptor, tags: &[&str]| {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        told(&write_docker(&path, session.layout(), descriptor, &tags).expect_err("refused"))
    };
    assert!(refused(&top, &[]).contains("--compression gzip"));
    assert!(refused(&Descriptor::of(MediaType::ImageIndex, b"{}"), &[]).contains("--platform"));
    assert!(refused(&good, &["Upper/App:1"]).contains("lower case"));
    assert!(refused(&good, &[&format!("app@{id}")]).contains("leave it out"));
    assert_eq!(files(folder.path()), ["oci"]);

    let mut twice = Index::new(vec![good.clone(), good], BTreeMap::new());
    twice.manifests[1].size += 1;
    let error = write_oci(&path, session.layout(), &twice).expect_err("two sizes");
    assert!(told(&error).contains("bytes in one descriptor and"));
    twice.manifests.remove(1);
    let error = write_oci(&folder.path().join("oci"), session.layout(), &twice).expect_err("a folder");
    assert!(told(&error).contains("there is a folder of this name"));
    assert_eq!(files(folder.path()), ["oci"]);
    // Who reads a pipe would wait for ever, were a file put in its place; so would whoever had /dev/null.
    assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    let error = write_oci(&path, session.layout(), &twice).expect_err("a pipe");
    assert!(told(&error).contains("it is a pipe or a device"));
}

#[test]
fn a_large_archive_is_open_at_once() {
    const SIZE: u64 = 20 << 30;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.tar");
    let digest = Digest::of(b"never read");
    let mut head = Vec::new();
    let name = format!("blobs/sha256/{}", digest.encoded());
    let (path_in, kind) = (name.as_bytes().into(), Kind::File(SIZE));
    let entry = Entry { path: path_in, kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: None, source: None };
    header(&entry, &mut head);
    let index = canonical(&Index::new(Vec::new(), BTreeMap::new()));
    let tail = tar(&[("index.json", File(&index)), ("oci-layout", File(br#"{"imageLayoutVersion":"1.0.0"}"#))]);
    // The data is a hole: reading it would take longer than anybody waits for a test.
    let mut file = fs::File::create(&path).expect("created");
    file.write_all(&head).expect("written");
    file.seek(SeekFrom::Current(SIZE.cast_signed())).expect("sought");
    file.write_all(&tail).expect("written");
    let archive = ImageArchive::open(&path).expect("an archive");
    let mut first = [1; 3];
    let descriptor = Descriptor::new(MediaType::ImageLayer, digest, SIZE);
    archive.open(&descriptor).expect("a blob").read_exact(&mut first).expect("read");
    assert_eq!(first, [0; 3]);
}

/// Everything that a reader would do with an archive.
fn read_all(archive: &ImageArchive) {
    for entry in &archive.index().manifests {
        let Ok(bytes) = archive.document(entry) else { continue };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else { continue };
        for descriptor in manifest.layers.iter().chain([&manifest.config]) {
            if let Ok(mut reader) = archive.open(descriptor) {
                let _ = std::io::copy(&mut reader, &mut std::io::sink());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// An error or an answer, never a panic.
    #[test]
    fn any_damage_ends(
        oci in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        moved in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
        end in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut bytes = old_save();
        if oci {
            let archive = open(folder.path(), &bytes).expect("an archive");
            write_oci(&folder.path().join("oci.tar"), &archive, archive.index()).expect("written");
            bytes = fs::read(folder.path().join("oci.tar")).expect("read");
        }
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some((from, to)) = moved {
            // Whole records change places: their checksums stay right.
            let (from, to) = (from.index(bytes.len() / 512), to.index(bytes.len() / 512));
            for at in 0..512 {
                bytes.swap(from * 512 + at, to * 512 + at);
            }
        }
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len()));
        }
        match open(folder.path(), &bytes) {
            Ok(archive) => read_all(&archive),
            Err(error) => drop(told(&error)),
        }
    }

    #[test]
    fn any_documents_end(text in r#"[\[\]{}":,a-z0-9 ]{0,80}"#, other in r#"\[\{"Config":"[a-z./]{0,9}","Layers":(null|\["[a-z./]{0,9}"\])\}\]"#) {
        let folder = tempfile::tempdir().expect("a folder");
        for text in [&text, &other] {
            let config = config("amd64", &[]);
            let bytes = tar(&[("a", File(&config)), ("manifest.json", File(text.as_bytes()))]);
            let _ = open(folder.path(), &bytes).map(|archive| read_all(&archive));
            let bytes = tar(&[("oci-layout", File(text.as_bytes())), ("index.json", File(text.as_bytes()))]);
            let _ = open(folder.path(), &bytes).map(|archive| read_all(&archive));
        }
    }
}
