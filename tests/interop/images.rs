//! Images to try things with, and what a layout folder says of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::debian::noise;
use super::support::{Place, find};

/// `sha256:…` of bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Makes two small root file systems and `app`, a folder that both platforms share.
pub(crate) fn sources(place: &Place) {
    let busybox = find("busybox").map_or_else(|| b"not busybox".to_vec(), |path| fs::read(path).expect("a program"));
    for (arch, program) in [("amd64", busybox), ("arm64", b"\x7fELF, nearly".to_vec())] {
        let root = place.path(&format!("rootfs-{arch}"));
        fs::create_dir_all(root.join("bin")).expect("a folder");
        fs::create_dir_all(root.join("tmp")).expect("a folder");
        fs::write(root.join("bin/busybox"), program).expect("a file");
        fs::write(root.join("arch"), arch).expect("a file");
        executable(&root.join("bin/busybox"));
    }
    fs::create_dir_all(place.path("app/data")).expect("a folder");
    fs::write(place.path("app/hello.txt"), "hello\n".repeat(10_000)).expect("a file");
    fs::write(place.path("app/data/noise"), noise(12 << 20, 2)).expect("a file");
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// The words that build an image of both platforms from [`sources`].
pub(crate) const BOTH: &[&str] = &[
    "build",
    "-p",
    "linux/amd64,linux/arm64",
    "--layer",
    "linux/amd64=rootfs-amd64",
    "--layer",
    "linux/arm64=rootfs-arm64",
    "--layer",
    "app:/app",
    "--entrypoint",
    r#"["/bin/busybox","cat"]"#,
    "--cmd",
    "/arch",
    "--env",
    "GREETING=hello",
    "--label",
    "org.example.purpose=interop",
];

/// The same for amd64 alone.
pub(crate) const ONE: &[&str] = &[
    "build",
    "-p",
    "linux/amd64",
    "--layer",
    "rootfs-amd64",
    "--layer",
    "app:/app",
    "--entrypoint",
    r#"["/bin/busybox","cat"]"#,
    "--cmd",
    "/arch",
];

/// Some words, and more.
pub(crate) fn words<'a>(start: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [start, more].concat()
}

/// A layout folder, read without any code of ours.
pub(crate) struct Layout(pub(crate) PathBuf);

impl Layout {
    /// A blob's bytes, held to its digest.
    pub(crate) fn blob(&self, name: &str) -> Vec<u8> {
        let bytes = fs::read(self.blob_path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(digest(&bytes), name);
        bytes
    }

    /// Where a blob is.
    pub(crate) fn blob_path(&self, name: &str) -> PathBuf {
        self.0.join("blobs/sha256").join(name.trim_start_matches("sha256:"))
    }

    /// A document.
    pub(crate) fn document(&self, name: &str) -> Value {
        serde_json::from_slice(&self.blob(name)).expect("JSON")
    }

    /// The entries of index.json.
    pub(crate) fn entries(&self) -> Vec<Value> {
        let bytes = fs::read(self.0.join("index.json")).expect("index.json");
        let index: Value = serde_json::from_slice(&bytes).expect("JSON");
        index["manifests"].as_array().expect("entries").clone()
    }

    /// The digest of the only entry: an image index.
    pub(crate) fn top(&self) -> String {
        let entries = self.entries();
        assert_eq!(entries.len(), 1, "{entries:?}");
        text(&entries[0]["digest"])
    }

    /// The manifests of the image.
    pub(crate) fn manifests(&self) -> Vec<String> {
        let index = self.document(&self.top());
        index["manifests"].as_array().expect("manifests").iter().map(|entry| text(&entry["digest"])).collect()
    }

    /// Layers with their diff IDs, of every platform.
    pub(crate) fn layers(&self) -> Vec<Layer> {
        let mut layers: Vec<Layer> = Vec::new();
        for manifest in self.manifests() {
            let manifest = self.document(&manifest);
            let config = self.document(&text(&manifest["config"]["digest"]));
            let diff_ids = config["rootfs"]["diff_ids"].as_array().expect("diff IDs");
            let descriptors = manifest["layers"].as_array().expect("layers");
            assert_eq!(diff_ids.len(), descriptors.len());
            for (descriptor, diff_id) in descriptors.iter().zip(diff_ids) {
                layers.push(Layer {
                    path: self.blob_path(&text(&descriptor["digest"])),
                    media_type: text(&descriptor["mediaType"]),
                    diff_id: text(diff_id),
                });
            }
        }
        layers
    }

    /// The names of all blobs.
    pub(crate) fn blobs(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.join("blobs/sha256"))
            .expect("blobs")
            .map(|entry| entry.expect("a name").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// A layer of a manifest.
pub(crate) struct Layer {
    /// The blob.
    pub(crate) path: PathBuf,
    /// What it is.
    pub(crate) media_type: String,
    /// The digest of what it decompresses to.
    pub(crate) diff_id: String,
}

/// A JSON text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text was expected, not {value}")).to_owned()
}
