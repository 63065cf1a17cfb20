//! Against a real registry, Debian's `docker-registry`, and over TLS; skipped where it is not installed.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dockless::event::{BlobStatus, Silent};
use dockless::oci::canonical;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::manifest::{Index, Manifest};
use dockless::oci::media_type::MediaType;
use dockless::registry::client::{Access, Client, Settings};
use dockless::registry::error::{Error, Obstacle};
use dockless::registry::http::transport::CaFile;
use dockless::registry::pull::{RemoteBlobs, resolve};
use dockless::registry::push::mount::MountSource;
use dockless::registry::push::{Options, push};
use dockless::registry::upload::dialect::ChunkSize;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::{Memory, client, layer, noise, quick, reference};

struct Peer {
    child: Child,
    host: String,
    _folder: tempfile::TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the registry, with a certificate and a key where given; `None` where it is not installed.
async fn peer(tls: Option<(&str, &str)>) -> Option<Peer> {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mut config = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp:\n  addr: {address}\n",
        at("data").display()
    );
    if let Some((certificate, key)) = tls {
        let write = |name: &str, text: &str| std::fs::write(at(name), text).expect("a file");
        write("cert.pem", certificate);
        write("key.pem", key);
        config += "  tls:\n";
        config += &[("certificate", "cert.pem"), ("key", "key.pem")]
            .map(|(word, name)| format!("    {word}: {}\n", at(name).display()))
            .concat();
    }
    std::fs::write(at("config.yml"), config).expect("a file");
    let program = Path::new("/usr/bin/docker-registry");
    let child =
        Command::new(program).arg("serve").arg(at("config.yml")).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(child) = child else { return None };
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Some(Peer { child, host: format!("localhost:{}", address.port()), _folder: folder });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("docker-registry does not listen");
}

/// An index over one manifest: one layer of several parts, one small, an empty one.
fn image(seed: u64) -> (Memory, Descriptor, Vec<Vec<u8>>) {
    let blobs = vec![noise(7_000_003, seed), noise(300_000, seed + 1), Vec::new(), b"{}".to_vec()];
    let layers = blobs[..3].iter().map(|bytes| layer(bytes)).collect();
    let manifest =
        Manifest::new(Descriptor::of(MediaType::ImageConfig, b"{}"), layers, std::collections::BTreeMap::new());
    let manifest = canonical(&manifest);
    let child = Descriptor::of(MediaType::ImageManifest, &manifest);
    let index = canonical(&Index::new(vec![child], std::collections::BTreeMap::new()));
    let top = Descriptor::of(MediaType::ImageIndex, &index);
    let memory = blobs.iter().fold(Memory::default().with(&manifest).with(&index), |all, one| all.with(one));
    (memory, top, blobs)
}

/// Pushes, pushes again, and reads everything back.
async fn there_and_back(client: &Client, host: &str, name: &str, seed: u64, chunk_size: Option<ChunkSize>) {
    let target = reference(host, &format!("{name}:v1"));
    let options = Options { chunk_size, ..Options::default() };
    let (memory, top, blobs) = image(seed);
    let source = Arc::new(memory);
    for status in [BlobStatus::Uploaded, BlobStatus::Present] {
        let source = Arc::clone(&source);
        let references = std::slice::from_ref(&target);
        let pushed = push(client, source, &top, references, &options, Arc::new(Silent)).await.expect("pushed");
        assert!(pushed.uploads.iter().all(|upload| upload.status == status && upload.retries == 0), "{pushed:#?}");
    }
    let (found, _) = resolve(client, &target).await.expect("the index");
    assert_eq!((found.digest, found.media_type), (top.digest, MediaType::ImageIndex));
    let remote = RemoteBlobs::new(client, &target, tokio::runtime::Handle::current()).expect("a source");
    // The repository is a source like any other: pushed from there to another name.
    let copy = [reference(host, &format!("{name}-copy:v2"))];
    let options = Options {
        chunk_size,
        mount_from: vec![MountSource { registry: None, repository: name.into() }],
        ..Options::default()
    };
    let pushed = push(client, Arc::new(remote), &top, &copy, &options, Arc::new(Silent)).await.expect("copied");
    assert!(pushed.uploads.iter().all(|upload| upload.status == BlobStatus::Mounted), "{pushed:#?}");
    let far = [reference(host, &format!("{name}-far:v2"))];
    let remote = RemoteBlobs::new(client, &target, tokio::runtime::Handle::current()).expect("a source");
    let options = Options { chunk_size, ..Options::default() };
    let pushed = push(client, Arc::new(remote), &top, &far, &options, Arc::new(Silent)).await.expect("copied");
    let sent: u64 = pushed.uploads.iter().map(|upload| upload.bytes_sent).sum();
    assert_eq!(sent, blobs.iter().map(|bytes| bytes.len() as u64).sum::<u64>());
    let repository = client.repository(&far[0], Access::Pull).expect("a repository");
    assert_eq!(repository.list_tags().await.expect("tags"), ["v2"]);
    for bytes in &blobs {
        let head = repository.head_blob(layer(bytes).digest).await.expect("an answer").expect("a blob");
        assert_eq!(head.size, Some(bytes.len() as u64));
    }
}

#[tokio::test]
async fn docker_registry_takes_whole_blobs_and_parts() {
    let Some(peer) = peer(None).await else { return };
    let client = client(quick());
    there_and_back(&client, &peer.host, "whole", 30, None).await;
    there_and_back(&client, &peer.host, "parts", 40, Some(ChunkSize::Bytes(1 << 20))).await;
    let missing = resolve(&client, &reference(&peer.host, "nothing:v1")).await.expect_err("nothing");
    assert!(matches!(missing, Error::ManifestUnknown(_) | Error::NameUnknown(_)), "{missing}");
    // A manifest whose blobs are not there is refused in the registry's own words.
    let repository = client.repository(&reference(&peer.host, "whole"), Access::Push).expect("a repository");
    let layers = vec![layer(b"not there")];
    let manifest =
        Manifest::new(Descriptor::of(MediaType::ImageConfig, b"{}"), layers, std::collections::BTreeMap::new());
    let refused = repository.put_manifest("v2", &MediaType::ImageManifest, canonical(&manifest).into()).await;
    assert!(refused.expect_err("refused").reply().expect("a reply").has_code("MANIFEST_BLOB_UNKNOWN"));
}

/// A CA and a certificate for localhost: the CA's PEM, the certificate's, its key's.
fn certificates(expired: bool) -> (String, String, String) {
    let (ca_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).expect("a certificate").pem();
    let mut params = CertificateParams::new(vec!["localhost".into()]).expect("parameters");
    if expired {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    }
    let signed = params.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).expect("a certificate");
    (ca_pem, signed.pem(), key.serialize_pem())
}

async fn obstacle(peer: &Peer, host: &str, ca: Option<&str>) -> Result<(), Obstacle> {
    let ca = ca.map(|pem| CaFile::parse("ca.pem", pem.as_bytes()).expect("a CA")).into_iter().collect();
    let port = peer.host.split(':').nth(1).expect("a port");
    let endpoints = format!("registry.example.com=https://{host}:{port}").parse().expect("endpoints");
    let client = client(Settings { ca, endpoints, ..quick() });
    match resolve(&client, &reference("registry.example.com", "app")).await.expect_err("nothing is there") {
        Error::Connect { obstacle, .. } => Err(obstacle),
        Error::ManifestUnknown(_) | Error::NameUnknown(_) => Ok(()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn certificates_are_told_apart() {
    let (ca, certificate, key) = certificates(false);
    let Some(valid) = peer(Some((&certificate, &key))).await else { return };
    assert_eq!(obstacle(&valid, "localhost", Some(&ca)).await, Ok(()));
    assert_eq!(obstacle(&valid, "localhost", None).await, Err(Obstacle::CertificateIssuer));
    assert_eq!(obstacle(&valid, "127.0.0.1", Some(&ca)).await, Err(Obstacle::CertificateName));
    let (ca, certificate, key) = certificates(true);
    let Some(expired) = peer(Some((&certificate, &key))).await else { return };
    assert_eq!(obstacle(&expired, "localhost", Some(&ca)).await, Err(Obstacle::CertificateExpired));
}

/// A self-signed certificate that says it is a CA, as `openssl req -x509` makes it, and its key.
fn itself(expired: bool) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["localhost".into()]).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    if expired {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    }
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_given_is_taken_for_its_name_and_time() {
    let (certificate, key) = itself(false);
    let Some(valid) = peer(Some((&certificate, &key))).await else { return };
    assert_eq!(obstacle(&valid, "localhost", Some(&certificate)).await, Ok(()));
    assert_eq!(obstacle(&valid, "127.0.0.1", Some(&certificate)).await, Err(Obstacle::CertificateName));
    assert_eq!(obstacle(&valid, "localhost", None).await, Err(Obstacle::CertificateIssuer));
    // Another one of the same name is another's.
    let (other, _) = itself(false);
    assert_eq!(obstacle(&valid, "localhost", Some(&other)).await, Err(Obstacle::CertificateIssuer));
    let (certificate, key) = itself(true);
    let Some(expired) = peer(Some((&certificate, &key))).await else { return };
    assert_eq!(obstacle(&expired, "localhost", Some(&certificate)).await, Err(Obstacle::CertificateExpired));
}

#[tokio::test]
async fn a_registry_on_this_machine_that_speaks_tls_is_told_how_to_be_reached() {
    let alert = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let other = alert.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = alert.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"\x15\x03\x01\x00\x02\x02\x46").await;
        }
    });
    let (_, certificate, key) = certificates(false);
    let go = peer(Some((&certificate, &key))).await;
    for host in [Some(&other), go.as_ref().map(|peer| &peer.host)].into_iter().flatten() {
        let error = resolve(&client(quick()), &reference(host, "app")).await.expect_err("TLS");
        let help = error.help().unwrap_or_default();
        assert!(help.contains(&format!("set DOCKLESS_REGISTRY_ENDPOINT={host}=https://{host}")), "{error}: {help}");
    }
}
