//! A layer of 20 GiB goes to ECR without being held anywhere: not on a disk, not in memory.
//!
//! The layer is made up as it is read; a registry in this process hashes it and throws it away. Everything shares one
//! process, so that its peak of memory is what the client, the registry and this test had together. It is the only test
//! here for that reason, and takes a minute, so it is left out where a person waits: `cargo test -- --ignored`.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, Read, Write as _};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use dockless::blob::{BlobError, BlobSource};
use dockless::event::{BlobStatus, Silent};
use dockless::oci::canonical;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::manifest::Manifest;
use dockless::oci::media_type::MediaType;
use dockless::registry::client::{Client, Settings};
use dockless::registry::push::{Options, push};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
const LAYER: u64 = 20 << 30;
const PART: u64 = 10 << 20;
/// What all of this may take. The promise is 128 MiB; a quarter of that is what it takes, and more of it would be new.
const MOST_KIB: u64 = 64 << 10;

/// The bytes of the layer: each eight of them are their own place, so that no part is like another.
struct MadeUp {
    position: u64,
}

impl Read for MadeUp {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(LAYER - self.position).unwrap_or(usize::MAX);
        // Whole words only, but for a buffer that is smaller than one.
        let count = match buffer.len().min(left) {
            count @ 8.. if self.position.is_multiple_of(8) => count / 8 * 8,
            count => count.min(8 - usize::try_from(self.position % 8).expect("small")),
        };
        let (words, rest) = buffer[..count].as_chunks_mut::<8>();
        for word in words {
            *word = self.position.to_le_bytes();
            self.position += 8;
        }
        if !rest.is_empty() {
            let from = usize::try_from(self.position % 8).expect("small");
            let word = (self.position - from as u64).to_le_bytes();
            rest.copy_from_slice(&word[from..from + rest.len()]);
            self.position += rest.len() as u64;
        }
        Ok(count)
    }
}

/// The layer, and two documents.
struct Source {
    layer: Digest,
    documents: BTreeMap<Digest, Vec<u8>>,
}

impl BlobSource for Source {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BlobError> {
        if descriptor.digest == self.layer {
            return Ok(Box::new(MadeUp { position: 0 }));
        }
        let missing = || BlobError::Missing { digest: descriptor.digest, place: self.place() };
        Ok(Box::new(io::Cursor::new(self.documents.get(&descriptor.digest).ok_or_else(missing)?.clone())))
    }

    fn place(&self) -> String {
        "nowhere".into()
    }
}

/// What the registry has seen.
#[derive(Default)]
struct Seen {
    sessions: BTreeMap<String, (Sha256, u64)>,
    /// The size of each blob, by its digest.
    blobs: BTreeMap<String, u64>,
    manifests: Vec<String>,
    patches: u64,
    wrong: Vec<String>,
}

/// Answers as ECR does: 201 for a part, `Range` stays where it was, the last part comes with the PUT.
async fn answer(seen: Arc<Mutex<Seen>>, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    let (path, query) = (head.uri.path().to_owned(), head.uri.query().unwrap_or_default().to_owned());
    let reply = |status: u16| Response::builder().status(status);
    let id = path.strip_prefix("/v2/team/app/blobs/uploads/").map(ToOwned::to_owned);
    let response = match (head.method, id) {
        (Method::HEAD, _) => reply(404),
        (Method::POST, Some(_)) => {
            let mut seen = seen.lock().expect("what was seen");
            let id = format!("session-{}", seen.sessions.len());
            seen.sessions.insert(id.clone(), (Sha256::new(), 0));
            reply(202).header("Location", format!("/v2/team/app/blobs/uploads/{id}"))
        }
        (method @ (Method::PATCH | Method::PUT), Some(id)) => {
            let (mut hash, mut held) = seen.lock().expect("what was seen").sessions.remove(&id).expect("a session");
            let range = head.headers.get("content-range").map(|range| range.to_str().expect("text").to_owned());
            let start = held;
            while let Some(frame) = body.frame().await {
                let bytes = frame.expect("a body").into_data().unwrap_or_default();
                hash.update(&bytes);
                held += bytes.len() as u64;
            }
            let mut seen = seen.lock().expect("what was seen");
            if range.as_ref().is_some_and(|range| *range != format!("{start}-{}", held - 1)) {
                seen.wrong.push(format!("{method} of {range:?} where {start}-{} came", held - 1));
            }
            if method == Method::PATCH {
                seen.patches += 1;
                if held - start != PART {
                    seen.wrong.push(format!("a part of {} bytes", held - start));
                }
                seen.sessions.insert(id, (hash, held));
                reply(201).header("Range", format!("0-{}", PART - 1))
            } else {
                let digest = format!("sha256:{}", hex::encode(hash.finalize()));
                if query != format!("digest={}", digest.replace(':', "%3A")) {
                    seen.wrong.push(format!("{query}, but the bytes are {digest}"));
                }
                seen.blobs.insert(digest, held);
                reply(201)
            }
        }
        (Method::PUT, None) => {
            seen.lock().expect("what was seen").manifests.push(path);
            reply(201)
        }
        (method, _) => {
            seen.lock().expect("what was seen").wrong.push(format!("{method} {path}"));
            reply(599)
        }
    };
    Ok(response.body(Empty::new()).expect("an answer"))
}

/// A line of `/proc/self/status`, in KiB.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn twenty_gibibytes_in_one_layer_take_little_memory() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen = Arc::<Mutex<Seen>>::default();
    let shared = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });

    let begun = Instant::now();
    let hashing = tokio::task::spawn_blocking(|| {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut made_up = MadeUp { position: 0 };
        loop {
            match made_up.read(&mut buffer).expect("bytes") {
                0 => return Digest::from_bytes(hash.finalize().into()),
                count => hash.update(&buffer[..count]),
            }
        }
    });
    let digest = hashing.await.expect("a digest");
    let known = begun.elapsed();

    let layer = Descriptor::new(MediaType::ImageLayer, digest, LAYER);
    let config = b"{}".to_vec();
    let manifest =
        canonical(&Manifest::new(Descriptor::of(MediaType::ImageConfig, &config), vec![layer], BTreeMap::new()));
    let top = Descriptor::of(MediaType::ImageManifest, &manifest);
    let documents = [config, manifest].map(|bytes| (Digest::of(&bytes), bytes)).into();
    let source = Arc::new(Source { layer: digest, documents });

    let endpoints = format!("{HOST}=http://{address}").parse().expect("endpoints");
    let client = Client::new(Settings { endpoints, ..Settings::default() }, Arc::new(Silent));
    let target = [format!("{HOST}/team/app:v1").parse().expect("a reference")];
    let begun = Instant::now();
    let pushed = push(&client, source, &top, &target, &Options::default(), Arc::new(Silent)).await.expect("pushed");
    let peak = memory("VmHWM");
    let (most, took) = (peak >> 10, begun.elapsed());
    // A line that no test harness swallows; where stderr is closed there is nobody to tell.
    let _ = writeln!(
        io::stderr(),
        "MEASURED: 20 GiB in one layer: {most} MiB of memory at most; digest in {known:.0?}, push in {took:.0?}"
    );

    assert!(pushed.uploads.iter().all(|upload| upload.status == BlobStatus::Uploaded && upload.retries == 0));
    assert_eq!(pushed.uploads.iter().map(|upload| upload.bytes_sent).sum::<u64>(), LAYER + 2);
    let seen = seen.lock().expect("what was seen");
    assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    assert_eq!(seen.blobs.get(&digest.to_string()), Some(&LAYER));
    assert_eq!(seen.manifests, ["/v2/team/app/manifests/v1"]);
    // The last part comes with the PUT.
    assert_eq!(seen.patches, LAYER / PART - 1);
    assert!(peak < MOST_KIB, "{} MiB of memory", peak >> 10);
}
