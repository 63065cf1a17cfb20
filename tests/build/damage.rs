//! Files that are not what they should be: archives that are cut off, layouts with a flipped bit or a missing blob.
//! Nothing of that gets into an image or to a registry.

use std::fs;
use std::path::PathBuf;

use dockless::oci::digest::Digest;

use super::files::noise;
use super::project::{Project, golden, without_digests};
use super::registry::Registry;

fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for name in ["first", "second"] {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(1000);
        tar.append_data(&mut header, name, noise(3, 1000).as_slice()).expect("an entry");
    }
    tar.into_inner().expect("an archive")
}

#[test]
fn archives_that_are_no_archives() {
    let whole = archive();
    let mut checksum = whole.clone();
    checksum[1536] ^= 1;
    let mut outside = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    header.as_old_mut().name[..9].copy_from_slice(b"../escape");
    header.set_cksum();
    outside.append(&header, &[][..]).expect("an entry");
    let gzip = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&whole).expect("a vector takes everything");
        encoder.finish().expect("a vector takes everything")
    };
    let mut flipped = gzip.clone();
    flipped[700] ^= 0x10;
    let zstd = zstd::stream::encode_all(whole.as_slice(), 1).expect("compressed");
    let cases: [(&str, Vec<u8>); 9] = [
        ("empty.tar", Vec::new()),
        ("cut-in-data.tar", whole[..900].to_vec()),
        ("cut-before-its-end.tar", whole[..3072].to_vec()),
        ("checksum.tar", checksum),
        ("garbage.tar", noise(5, 2048)),
        ("outside.tar", outside.into_inner().expect("an archive")),
        ("cut.tar.gz", gzip[..gzip.len() / 2].to_vec()),
        ("flipped.tar.gz", flipped),
        ("cut.tar.zst", zstd[..zstd.len() / 2].to_vec()),
    ];
    let shown = cases.iter().map(|(name, bytes)| {
        let project = Project::with(&format!("[[layer]]\nname = \"vendor\"\ntar = \"{name}\"\n"));
        project.write(name, bytes);
        project.refused(&["build", "-p", "linux/amd64"])
    });
    golden("archives.txt", shown.collect::<Vec<_>>().join("\n"));
}

/// A layout `oci` whose parts are known: the index's blob, the first manifest's, its configuration's, its layer's.
fn built() -> (Project, [Digest; 4]) {
    let project = Project::programs();
    // Uncompressed: the golden files then do not depend on a compressor's level.
    project.run(&["build", "-q", "-t", "example.com/app:v1", "--compression", "none"]).done();
    let image = project.image("oci", None);
    let top = image.layout.index().expect("an index").manifests[0].digest;
    let manifest = image.manifest(0);
    let parts = [top, image.index.manifests[0].digest, manifest.config.digest, manifest.layers[0].digest];
    (project, parts)
}

fn blob(project: &Project, digest: Digest) -> PathBuf {
    project.at("oci/blobs/sha256").join(digest.encoded())
}

fn flip(project: &Project, digest: Digest) {
    let path = blob(project, digest);
    let mut bytes = fs::read(&path).expect("the blob");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("the blob");
}

/// Names of digests that do not depend on bytes: the golden files then do not either.
fn tame(text: String, parts: &[Digest; 4]) -> String {
    let names = ["[INDEX]", "[MANIFEST]", "[CONFIG]", "[LAYER]"].iter().zip(parts);
    let text = names.fold(text, |text, (name, digest)| text.replace(&digest.encoded(), name));
    without_digests(&text)
}

#[test]
fn every_command_names_the_damaged_blob() {
    for (what, remove) in [("flipped", false), ("missing", true)] {
        let (project, parts) = built();
        let (_, fresh) = built();
        assert_eq!(parts, fresh, "the same digests each time");
        project.write("task.json", r#"{"family":"f","containerDefinitions":[{"name":"app","image":"x"}]}"#);
        let mut shown = Vec::new();
        for part in parts {
            let kept = fs::read(blob(&project, part)).expect("the blob");
            if remove {
                fs::remove_file(blob(&project, part)).expect("removed");
            } else {
                flip(&project, part);
            }
            let words = ["check", "oci"];
            let said = project.run(&words).with_code(1);
            assert!(said.stderr.contains(&part.to_string()), "{said:#?}");
            assert!(said.stdout.starts_with("oci: damaged, 1 problem"), "{said:#?}");
            shown.push(project.shown(&words, &said));
            let layer = part == parts[3];
            if !layer {
                shown.push(project.refused(&["inspect", "oci"]));
            }
            shown.push(project.refused(&["verify", "oci", "--task-definition", "task.json"]));
            let base = Project::with(&format!("[image]\nbase = \"oci:{}\"\n", project.at("oci").display()));
            let text = base.refused(&["build", "-p", "linux/amd64"]);
            shown.push(text.replace(&project.path().display().to_string(), "[PROJECT]"));
            fs::write(blob(&project, part), kept).expect("the blob");
        }
        project.run(&["check", "oci"]).done();
        golden(&format!("layout-{what}.txt"), tame(shown.join("\n"), &parts));
    }
}

#[test]
fn a_compressed_layer_is_named_too() {
    for method in ["gzip", "zstd"] {
        let project = Project::programs();
        project.run(&["build", "-q", "--compression", method]).done();
        let layer = project.image("oci", None).manifest(1).layers[0].digest;
        flip(&project, layer);
        let said = project.run(&["check", "oci"]).with_code(1);
        assert!(said.stderr.contains(&layer.to_string()), "{said:#?}");
        project.write("task.json", r#"{"family":"f","containerDefinitions":[{"name":"app","image":"x"}]}"#);
        let text = project.refused(&["verify", "oci", "--task-definition", "task.json"]);
        assert!(text.contains(&layer.to_string()), "{text}");
    }
}

#[test]
fn a_damaged_layout_is_not_pushed() {
    for remove in [false, true] {
        let (project, parts) = built();
        for part in parts {
            let kept = fs::read(blob(&project, part)).expect("the blob");
            if remove {
                fs::remove_file(blob(&project, part)).expect("removed");
            } else {
                flip(&project, part);
            }
            let registry = Registry::new();
            let text = project.refused(&["push", "oci", &registry.reference("app:v1")]);
            assert!(text.contains(&part.to_string()), "{text}");
            // What comes after the damage never arrives, least of all the tag.
            assert!(registry.tags().is_empty(), "{text}");
            fs::write(blob(&project, part), kept).expect("the blob");
        }
    }
}

#[test]
fn an_index_that_is_no_index() {
    let (project, _) = built();
    let mut shown = Vec::new();
    for text in ["", "{", "[]", r#"{"schemaVersion":2,"manifests":[]}"#] {
        project.write("oci/index.json", text);
        for command in ["inspect", "check"] {
            let said = project.run(&[command, "oci"]);
            shown.push(project.shown(&[command, "oci"], &said));
        }
    }
    project.write("oci/index.json", "{}").write("oci/oci-layout", "{}");
    shown.push(project.refused(&["inspect", "oci"]));
    fs::remove_file(project.at("oci/oci-layout")).expect("removed");
    shown.push(project.refused(&["inspect", "oci"]));
    shown.push(project.refused(&["inspect", "elsewhere/"]));
    golden("layout-index.txt", shown.join("\n"));
}
