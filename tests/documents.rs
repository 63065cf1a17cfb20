//! Every document that we write is read by types that others made from the specification (oci-spec), and every image
//! that we push is pulled by a client that others wrote (oci-client).

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, manifest};
use oci_spec::image::{Arch, ImageConfiguration, ImageIndex, ImageManifest, MediaType, OciLayout, Os};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const TAG: &str = "registry.example.com/team/app:v1";

/// A folder with the sources of an image in it.
fn sources() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for arch in ["amd64", "arm64"] {
        let root = folder.path().join(format!("rootfs-{arch}"));
        fs::create_dir_all(root.join("etc")).expect("a folder");
        fs::write(root.join("etc/arch"), arch).expect("a file");
    }
    fs::create_dir(folder.path().join("app")).expect("a folder");
    fs::write(folder.path().join("app/hello"), "hello\n".repeat(1000)).expect("a file");
    fs::write(folder.path().join("config.json"), r#"{"StopSignal":"SIGTERM","Volumes":{"/data":{}}}"#).expect("a file");
    folder
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockless"));
    command.env_clear().env("HOME", folder).env("DOCKLESS_CACHE_DIR", folder.join("cache")).current_dir(folder);
    command
}

fn dockless(folder: &Path, words: &[&str]) -> String {
    let output = command(folder).args(words).output().expect("the binary runs");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn build(folder: &Path, compression: &str) {
    dockless(
        folder,
        &[
            "build",
            "-p",
            "linux/amd64,linux/arm64",
            "--layer",
            "linux/amd64=rootfs-amd64",
            "--layer",
            "linux/arm64=rootfs-arm64",
            "--layer",
            "app:/app",
            "--config",
            "config.json",
            "--entrypoint",
            "/app/hello",
            "--cmd=--loud",
            "--env",
            "GREETING=hello",
            "--user",
            "10001:10001",
            "--working-dir",
            "/app",
            "--exposed-port",
            "8080",
            "--label",
            "org.example.label=one",
            "--annotation",
            "org.opencontainers.image.source=https://example.com",
            "--compression",
            compression,
            "-t",
            TAG,
            "-o",
            "image",
        ],
    );
}

/// The blobs of a layout, each held to its name.
struct Blobs(PathBuf);

impl Blobs {
    fn get(&self, digest: &oci_spec::image::Digest) -> Vec<u8> {
        let bytes = fs::read(self.0.join("blobs/sha256").join(digest.digest())).expect("a blob");
        assert_eq!(hex::encode(Sha256::digest(&bytes)), digest.digest());
        bytes
    }
}

#[test]
fn every_document_is_as_specified() {
    for (compression, layer_type) in
        [("gzip", MediaType::ImageLayerGzip), ("zstd", MediaType::ImageLayerZstd), ("none", MediaType::ImageLayer)]
    {
        let folder = sources();
        build(folder.path(), compression);
        let root = folder.path().join("image");
        let blobs = Blobs(root.clone());
        let layout = OciLayout::from_file(root.join("oci-layout")).expect("oci-layout");
        assert_eq!(layout.image_layout_version(), "1.0.0");

        let top = ImageIndex::from_file(root.join("index.json")).expect("index.json");
        assert_eq!(top.schema_version(), 2);
        let [entry] = top.manifests().as_slice() else { panic!("one image: {top:?}") };
        let annotations = entry.annotations().clone().expect("a name");
        assert_eq!(annotations["org.opencontainers.image.ref.name"], "v1");
        assert_eq!(annotations["io.containerd.image.name"], TAG);

        let bytes = blobs.get(entry.digest());
        assert_eq!(bytes.len() as u64, entry.size());
        let index = ImageIndex::from_reader(bytes.as_slice()).expect("an index");
        assert_eq!(index.media_type(), &Some(MediaType::ImageIndex));
        assert_eq!(
            index.annotations().clone().expect("annotations")["org.opencontainers.image.source"],
            "https://example.com"
        );
        let mut seen = Vec::new();
        for entry in index.manifests() {
            let platform = entry.platform().clone().expect("a platform on every entry");
            seen.push(platform.architecture().clone());
            assert_eq!((platform.os(), platform.variant()), (&Os::Linux, &None));
            assert_eq!(entry.media_type(), &MediaType::ImageManifest);

            let manifest = ImageManifest::from_reader(blobs.get(entry.digest()).as_slice()).expect("a manifest");
            assert_eq!(manifest.media_type(), &Some(MediaType::ImageManifest));
            assert_eq!(manifest.config().media_type(), &MediaType::ImageConfig);
            let config =
                ImageConfiguration::from_reader(blobs.get(manifest.config().digest()).as_slice()).expect("a config");
            assert_eq!((config.architecture(), config.os()), (platform.architecture(), &Os::Linux));
            let history = config.history().clone().expect("a history");
            assert_eq!(config.rootfs().diff_ids().len(), manifest.layers().len());
            assert_eq!(history.iter().filter(|step| step.empty_layer() != Some(true)).count(), manifest.layers().len());
            for layer in manifest.layers() {
                assert_eq!(layer.media_type(), &layer_type);
                assert_eq!(blobs.get(layer.digest()).len() as u64, layer.size());
            }

            let inner = config.config().clone().expect("a configuration");
            assert_eq!(inner.entrypoint().clone().expect("an entrypoint"), ["/app/hello"]);
            assert_eq!(inner.cmd().clone().expect("a command"), ["--loud"]);
            assert_eq!(inner.env().clone().expect("an environment"), ["GREETING=hello"]);
            assert_eq!(inner.user().as_deref(), Some("10001:10001"));
            assert_eq!(inner.working_dir().as_deref(), Some("/app"));
            assert_eq!(inner.stop_signal().as_deref(), Some("SIGTERM"));
            assert_eq!(inner.exposed_ports().clone().expect("ports"), ["8080/tcp"]);
            assert_eq!(inner.volumes().clone().expect("volumes"), ["/data"]);
            assert_eq!(inner.labels().clone().expect("labels")["org.example.label"], "one");
        }
        assert_eq!(seen, [Arch::Amd64, Arch::ARM64]);
    }
}

/// `dockless serve`, ended when dropped.
struct Served(Child);

impl Served {
    fn start(folder: &Path) -> (Self, String) {
        let mut child = command(folder)
            .args(["serve", "served", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let served = Self(child);
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/');
        assert!(address.starts_with("127.0.0.1:"), "the first line is the URL: {line:?}");
        (served, address.to_owned())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn another_client_pulls_what_we_push() {
    let folder = sources();
    let (_served, address) = Served::start(folder.path());
    for (compression, media_type) in [
        ("gzip", manifest::IMAGE_LAYER_GZIP_MEDIA_TYPE),
        ("zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
        ("none", manifest::IMAGE_LAYER_MEDIA_TYPE),
    ] {
        build(folder.path(), compression);
        let name = format!("{address}/team/app:{compression}");
        let pushed = dockless(folder.path(), &["push", "image", &name]);
        let digest = pushed.trim().rsplit_once('@').expect("a digest").1.to_owned();
        assert_eq!(pushed.trim(), format!("{address}/team/app@{digest}"));

        let blobs = Blobs(folder.path().join("image"));
        let index = ImageIndex::from_reader(blobs.get(&digest.parse().expect("a digest")).as_slice());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        for entry in index.expect("an index").manifests() {
            let wanted = entry.digest().to_string();
            let resolved = wanted.clone();
            let client = Client::new(ClientConfig {
                protocol: ClientProtocol::Http,
                platform_resolver: Some(Box::new(move |_| Some(resolved.clone()))),
                // It gives the layers in the order in which they arrive.
                max_concurrent_download: 1,
                ..ClientConfig::default()
            });
            let reference: Reference = name.parse().expect("a reference");
            let image = runtime
                .block_on(client.pull(&reference, &RegistryAuth::Anonymous, vec![media_type]))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(image.digest.as_deref(), Some(wanted.as_str()));
            let manifest = ImageManifest::from_reader(blobs.get(entry.digest()).as_slice()).expect("a manifest");
            assert_eq!(image.config.data.as_ref(), blobs.get(manifest.config().digest()));
            let layers: Vec<_> = image.layers.iter().map(|layer| layer.data.to_vec()).collect();
            let wanted: Vec<_> = manifest.layers().iter().map(|layer| blobs.get(layer.digest())).collect();
            assert_eq!(layers, wanted);
        }
    }
}
