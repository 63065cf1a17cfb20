//! The first push to a repository, against the embedded registry: layers leave while they are made.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dockless::blob::growing::{Growing, Growth, Whole};
use dockless::event::{BlobStatus, Silent};
use dockless::oci::canonical;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::manifest::Manifest;
use dockless::oci::media_type::MediaType;
use dockless::oci::reference::Reference;
use dockless::registry::auth::Credentials;
use dockless::registry::client::{Client, Settings as Ours};
use dockless::registry::error::Error;
use dockless::registry::push::ahead::{self, Handed, Sent};
use dockless::registry::push::mount::MountSource;
use dockless::registry::push::{Options, Upload, push};
use dockless::registry::upload::dialect::ChunkSize;
use dockless::secret::Secret;
use dockless::serve::ecr::{EcrSettings, Switch};
use dockless::serve::fault::{Action, Fault};
use dockless::serve::log::Record;
use dockless::serve::route::Endpoint;
use dockless::serve::{Running, Server, Settings};
use hyper::Method;
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::script::{Script, on};
use crate::{Memory, client, layer, noise, quick, reference};

const ECR: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
/// More than a layer must have before it is sent.
const ENOUGH: usize = 5 << 20;
/// What layers are made of, as they are handed in: nothing large.
const SIZE: u64 = 9 << 20;

/// The embedded registry, and a client that knows it.
struct Registry {
    folder: TempDir,
    records: Arc<Mutex<Vec<Record>>>,
    client: Client,
    to: Reference,
    server: Running,
}

impl Registry {
    async fn new(faults: Vec<Fault>) -> Self {
        Self::start("localhost", |folder| Settings { faults, ..Settings::new(folder) }).await
    }

    async fn like_ecr(ecr: EcrSettings) -> Self {
        let switches = [Switch::CreateOnPush, Switch::Anonymous].into();
        Self::start(ECR, |folder| Settings::like_ecr(folder, EcrSettings { switches, ..ecr })).await
    }

    async fn start(name: &str, settings: impl FnOnce(&std::path::Path) -> Settings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let records: Arc<Mutex<Vec<Record>>> = Arc::default();
        let sink = records.clone();
        let log: dockless::serve::log::Log = Arc::new(move |one| sink.lock().expect("no panic").push(one.clone()));
        let settings = Settings { log: Some(log), ..settings(&folder.path().join("oci")) };
        let server = Server::start(settings).await.expect("a server");
        let endpoints = format!("{name}=http://{}", server.local_addr()).parse().expect("endpoints");
        let client = client(Ours { endpoints, ..quick() });
        Self { folder, records, client, to: reference(name, "team/app:v1"), server }
    }

    /// What was asked for since the last time, in short words, with what `Content-Range` said.
    fn requests(&self) -> Vec<String> {
        let records = std::mem::take(&mut *self.records.lock().expect("no panic"));
        let words = |record: &Record| {
            let place = match record.path.trim_start_matches("/v2/team/app/") {
                path if path.starts_with("blobs/uploads/") => "upload",
                path if path.starts_with("blobs/") => "blob",
                path => path,
            };
            let status = record.status.map_or_else(|| "hung up".into(), |status| status.to_string());
            let range = record.range.as_ref().map(|range| format!(" {range}")).unwrap_or_default();
            format!("{} {place}{range} {status}", record.method)
        };
        records.iter().map(words).collect()
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.folder.path().join("oci/blobs/sha256").join(digest.encoded())
    }

    /// The options of a push whose tag was looked for and not found.
    fn options(&self) -> Options {
        let tag = format!("{}:v1", self.to.name());
        Options { seen: BTreeMap::from([(tag, (Instant::now(), None))]), ..Options::default() }
    }

    fn send(&self, options: Options) -> Sending {
        let (hand, handed_in) = ahead::channel();
        let sending = ahead::send(self.client.clone(), self.to.clone(), options, Arc::new(Silent), handed_in);
        Sending { hand, task: tokio::spawn(sending) }
    }

    /// Waits until a request of this method is done, or one that is not done can have begun.
    async fn after(&self, method: &str) {
        for _ in 0..500 {
            if self.records.lock().expect("no panic").iter().any(|record| record.method == method) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("there is no {method}");
    }
}

struct Sending {
    hand: UnboundedSender<Handed>,
    task: JoinHandle<Result<Sent, Error>>,
}

impl Sending {
    fn hand(&self, handed: Handed) {
        assert!(self.hand.send(handed).is_ok(), "somebody who waits");
    }

    async fn end(self) -> Result<Sent, Error> {
        drop(self.hand);
        self.task.await.expect("a task")
    }
}

/// A layer that is written as fast as a test wants.
struct Writing {
    bytes: Vec<u8>,
    at: usize,
    file: File,
    growth: Growth,
}

impl Writing {
    fn begin(bytes: Vec<u8>) -> (Self, Growing) {
        let file = tempfile::tempfile().expect("a file");
        let (growth, growing) = Growth::of(file.try_clone().expect("a handle"));
        (Self { bytes, at: 0, file, growth }, growing)
    }

    fn go_to(&mut self, end: usize) {
        self.file.write_all(&self.bytes[self.at..end]).expect("written");
        self.at = end;
        self.growth.reach(end as u64);
    }

    /// Writes the rest; the layer as it is handed in then.
    fn end(mut self) -> Handed {
        self.go_to(self.bytes.len());
        self.growth.end(Whole { digest: Digest::of(&self.bytes), size: self.bytes.len() as u64 });
        Handed::Whole((Arc::new(Memory::default().with(&self.bytes)), layer(&self.bytes)))
    }
}

/// Sends one layer while it grows, as far as it is sent; what became of it, and what was asked for.
async fn one(registry: &Registry, options: Options, bytes: &[u8], streams: bool) -> (Upload, Vec<String>) {
    let sending = registry.send(options);
    let (mut writing, growing) = Writing::begin(bytes.to_vec());
    sending.hand(Handed::Growing(growing, SIZE));
    writing.go_to(ENOUGH);
    if streams {
        registry.after("POST").await;
    } else {
        // Nothing to wait for: time enough for what must not come.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    sending.hand(writing.end());
    let sent = sending.end().await.expect("sent");
    let digest = Digest::of(bytes);
    assert_eq!(std::fs::read(registry.blob(digest)).expect("a blob"), bytes);
    (sent[&digest].clone(), registry.requests())
}

#[tokio::test]
async fn a_layer_leaves_while_it_is_made() {
    let registry = Registry::new(Vec::new()).await;
    let bytes = noise(ENOUGH + 3_000_001, 1);
    let (upload, requests) = one(&registry, registry.options(), &bytes, true).await;
    assert_eq!(requests, ["GET tags/list 404", "POST upload 202", "PATCH upload 202", "PUT upload 201"]);
    assert_eq!((upload.status, upload.bytes_sent), (BlobStatus::Uploaded, bytes.len() as u64));
    assert_eq!(upload.retries, 0);
    // The push itself neither asks for it nor sends it.
    let manifest =
        canonical(&Manifest::new(Descriptor::of(MediaType::ImageConfig, b"{}"), vec![layer(&bytes)], BTreeMap::new()));
    let top = Descriptor::of(MediaType::ImageManifest, &manifest);
    let source = Arc::new(Memory::default().with(b"{}").with(&manifest).with(&bytes));
    let sent = BTreeMap::from([(upload.digest, upload.clone())]);
    let options = Options { sent, ..registry.options() };
    let references = [registry.to.clone()];
    let pushed = push(&registry.client, source, &top, &references, &options, Arc::new(Silent)).await.expect("pushed");
    assert_eq!(pushed.uploads[0], upload);
    let rest = ["HEAD blob 404", "POST upload 202", "PUT upload 201", "PUT manifests/v1 201"];
    assert_eq!(registry.requests(), rest);
}

/// Of one that is made of much, nobody waits for the first megabytes.
#[tokio::test]
async fn a_large_layer_leaves_at_once() {
    let bytes = noise(ENOUGH, 7);
    for (size, after) in [(16 << 20, (1 << 20) + 1), ((16 << 20) - 1, (4 << 20) + 1)] {
        let registry = Registry::new(Vec::new()).await;
        let sending = registry.send(registry.options());
        let (mut writing, growing) = Writing::begin(bytes.clone());
        sending.hand(Handed::Growing(growing, size));
        writing.go_to(after - 1);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let large = size >= 16 << 20;
        let begun = ["GET tags/list 404", "POST upload 202"];
        assert_eq!(registry.requests(), begun[..=usize::from(large)], "{size}");
        writing.go_to(after);
        if !large {
            registry.after("POST").await;
        }
        // A PATCH is told of when it is done.
        tokio::time::sleep(Duration::from_millis(100)).await;
        sending.hand(writing.end());
        sending.end().await.expect("sent");
        let rest = ["POST upload 202", "PATCH upload 202", "PUT upload 201"];
        assert_eq!(registry.requests(), rest[usize::from(large)..]);
    }
}

/// Two that begin in the same way are most likely one: the second gives its session back.
#[tokio::test]
async fn a_session_that_is_not_needed_is_given_back() {
    let registry = Registry::new(Vec::new()).await;
    let sending = registry.send(registry.options());
    let bytes = noise(ENOUGH, 7);
    let mut writings = Vec::new();
    for _ in 0..2 {
        let (mut writing, growing) = Writing::begin(bytes.clone());
        sending.hand(Handed::Growing(growing, 99 << 20));
        writing.go_to((1 << 20) + 1);
        tokio::time::sleep(Duration::from_millis(100)).await;
        writings.push(writing);
    }
    for writing in writings {
        sending.hand(writing.end());
    }
    assert_eq!(sending.end().await.expect("sent").len(), 1);
    let mut requests = registry.requests();
    requests.sort();
    let all = ["DELETE upload 204", "GET tags/list 404", "PATCH upload 202", "POST upload 202", "POST upload 202"];
    assert_eq!(requests, [&all[..], &["PUT upload 201"]].concat());
}

/// The build fails while the first megabyte is waited for: the session that is open by then goes back.
#[tokio::test]
async fn a_session_is_given_back_where_there_will_be_no_image() {
    let registry = Registry::new(Vec::new()).await;
    let sending = registry.send(registry.options());
    let (mut writing, growing) = Writing::begin(noise(ENOUGH, 8));
    sending.hand(Handed::Growing(growing, 99 << 20));
    writing.go_to(100);
    registry.after("POST").await;
    sending.hand(Handed::Nothing);
    sending.end().await.expect("nothing sent");
    assert_eq!(registry.requests(), ["GET tags/list 404", "POST upload 202", "DELETE upload 204"]);
}

/// A registry that is to be left alone for a minute is not asked again for a session that nobody needs.
#[tokio::test]
async fn nobody_waits_for_a_registry_where_there_will_be_no_image() {
    for then in ["no session", "no layer"] {
        let script = Script::new().await;
        let busy = |line: crate::script::Line| line.reply(503).header("Retry-After", "60");
        script.expect([on("GET", "/v2/team/app/tags/list*").error(404, "NAME_UNKNOWN")]);
        let post = on("POST", "/v2/team/app/blobs/uploads/");
        if then == "no session" {
            script.expect([busy(post)]);
        } else {
            script.expect([post.reply(202).header("Location", "/v2/team/app/blobs/uploads/1")]);
            script.expect([busy(on("PATCH", "/v2/team/app/blobs/uploads/1"))]);
            script.expect([on("DELETE", "/v2/team/app/blobs/uploads/1").reply(204)]);
        }
        let mut settings = quick();
        settings.retry.longest_asked = Duration::from_mins(1);
        let to = reference(&script.host, "team/app:v1");
        let options = Options {
            seen: BTreeMap::from([(format!("{}:v1", to.name()), (Instant::now(), None))]),
            ..Options::default()
        };
        let (hand, handed_in) = ahead::channel();
        let sending = tokio::spawn(ahead::send(client(settings), to, options, Arc::new(Silent), handed_in));
        let (mut writing, growing) = Writing::begin(noise(ENOUGH, 9));
        hand.send(Handed::Growing(growing, 99 << 20)).unwrap_or_else(|_| panic!("somebody who waits"));
        writing.go_to(100);
        if then == "no layer" {
            writing.go_to(ENOUGH - 1);
            tokio::time::sleep(Duration::from_millis(500)).await;
            let Handed::Whole(_) = writing.end() else { panic!("a layer") };
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begun = Instant::now();
        hand.send(Handed::Nothing).unwrap_or_else(|_| panic!("somebody who waits"));
        assert!(sending.await.expect("a task").expect("nothing sent").is_empty());
        assert!(begun.elapsed() < Duration::from_secs(10), "{then}: {:?}", begun.elapsed());
        script.finish();
    }
}

#[tokio::test]
async fn several_are_told_apart_and_the_same_goes_once() {
    let registry = Registry::new(Vec::new()).await;
    let sending = registry.send(registry.options());
    let contents = [noise(ENOUGH + 10, 2), noise(ENOUGH + 11, 3), noise(ENOUGH + 10, 2), noise(300, 4)];
    let layers = contents.clone().map(Writing::begin);
    let mut writings = Vec::new();
    for (mut writing, growing) in layers {
        sending.hand(Handed::Growing(growing, SIZE));
        writing.go_to(ENOUGH.min(writing.bytes.len()));
        // One after the other: which of two that are the same is the first is of no matter otherwise.
        tokio::time::sleep(Duration::from_millis(100)).await;
        writings.push(writing);
    }
    for writing in writings {
        sending.hand(writing.end());
    }
    let sent = sending.end().await.expect("sent");
    let bytes: u64 = sent.values().map(|upload| upload.bytes_sent).sum();
    assert_eq!((sent.len(), bytes), (3, contents[0].len() as u64 + contents[1].len() as u64 + 300));
    let requests = registry.requests();
    let count = |start: &str| requests.iter().filter(|request| request.starts_with(start)).count();
    assert_eq!((count("GET"), count("HEAD"), count("POST"), count("PATCH"), count("PUT")), (1, 1, 3, 2, 3));
}

#[tokio::test]
async fn nothing_leaves_early_where_something_may_be() {
    let ordinary = ["HEAD blob 404", "POST upload 202", "PUT upload 201"];
    let bytes = noise(ENOUGH + 1000, 5);
    // Another tag is there.
    let registry = Registry::new(Vec::new()).await;
    let manifest =
        canonical(&Manifest::new(Descriptor::of(MediaType::ImageConfig, b"{}"), Vec::new(), BTreeMap::new()));
    let source = Arc::new(Memory::default().with(b"{}").with(&manifest));
    let top = Descriptor::of(MediaType::ImageManifest, &manifest);
    let other = [reference("localhost", "team/app:other")];
    push(&registry.client, source, &top, &other, &Options::default(), Arc::new(Silent)).await.expect("pushed");
    registry.requests();
    let (upload, requests) = one(&registry, registry.options(), &bytes, false).await;
    assert_eq!((upload.bytes_sent, upload.retries), (bytes.len() as u64, 0));
    assert_eq!(requests, [&["GET tags/list 200"], &ordinary[..]].concat());
    // The registry does not say.
    for status in [401, 403, 404, 500] {
        let answer = Action::Status { status, retry_after: None };
        let registry = Registry::new(vec![Fault::first(Method::GET, Endpoint::Tags, answer)]).await;
        let (_, requests) = one(&registry, registry.options(), &bytes, false).await;
        assert_eq!(requests, [&[format!("GET tags/list {status}").as_str()], &ordinary[..]].concat());
    }
    // Nobody looked for the tag, it was there, or it is said how and from where layers go: no question at all.
    let registry = Registry::new(Vec::new()).await;
    let there = (Instant::now(), Some(Digest::of(b"image")));
    for options in [
        Options::default(),
        Options { seen: BTreeMap::from([("localhost/team/app:v1".into(), there)]), ..Options::default() },
        Options { chunk_size: Some(ChunkSize::None), ..registry.options() },
        Options {
            mount_from: vec![MountSource { registry: None, repository: "team/base".into() }],
            ..registry.options()
        },
    ] {
        let (_, requests) = one(&registry, options, &bytes, false).await;
        assert!(requests.iter().all(|request| !request.contains("tags") && !request.contains("PATCH")), "{requests:?}");
        std::fs::remove_file(registry.blob(Digest::of(&bytes))).expect("a blob");
    }
}

#[tokio::test]
async fn a_registry_may_take_longer_to_store_a_layer_than_a_line_may_stall() {
    let late = Fault::first(Method::PUT, Endpoint::Upload, Action::Delay(Duration::from_secs(3)));
    let mut registry = Registry::new(vec![late]).await;
    let mut settings = quick();
    settings.patience.stall = Duration::from_secs(2);
    settings.endpoints = format!("localhost=http://{}", registry.server.local_addr()).parse().expect("endpoints");
    registry.client = client(settings);
    let (upload, _) = one(&registry, registry.options(), &noise(ENOUGH + 1000, 7), true).await;
    assert_eq!((upload.status, upload.retries), (BlobStatus::Uploaded, 0));
}

#[tokio::test]
async fn what_fails_on_the_way_goes_again_when_it_is_whole() {
    let bytes = noise(ENOUGH + 1000, 6);
    let fault = |method, action| Fault::first(method, Endpoint::Upload, action);
    let status = |status| Action::Status { status, retry_after: None };
    let again = ["HEAD blob 404", "POST upload 202", "PUT upload 201"];
    for (fault, then) in [
        (fault(Method::PATCH, Action::HangUpAfter(1 << 20)), vec!["PATCH upload hung up", "DELETE upload 204"]),
        (fault(Method::PATCH, Action::LoseAnswer), vec!["PATCH upload hung up", "DELETE upload 204"]),
        (fault(Method::PATCH, status(500)), vec!["PATCH upload 500", "DELETE upload 204"]),
        (fault(Method::PATCH, status(401)), vec!["PATCH upload 401", "DELETE upload 204"]),
        (fault(Method::PATCH, status(413)), vec!["PATCH upload 413", "DELETE upload 204"]),
        (fault(Method::PUT, status(400)), vec!["PATCH upload 202", "PUT upload 400", "DELETE upload 204"]),
    ] {
        let registry = Registry::new(vec![fault]).await;
        let (upload, requests) = one(&registry, registry.options(), &bytes, true).await;
        assert_eq!(requests, [&["GET tags/list 404", "POST upload 202"], &then[..], &again[..]].concat());
        assert_eq!((upload.status, upload.retries), (BlobStatus::Uploaded, 1));
        // Once whole, and before that as much as the fault let through.
        assert!(upload.bytes_sent > bytes.len() as u64 && upload.bytes_sent <= 2 * bytes.len() as u64, "{upload:?}");
    }
    // Only the answer is lost: the blob is there.
    let registry = Registry::new(vec![fault(Method::PUT, Action::LoseAnswer)]).await;
    let (upload, requests) = one(&registry, registry.options(), &bytes, true).await;
    assert_eq!(requests[3..], ["PUT upload hung up", "HEAD blob 200"]);
    assert_eq!((upload.bytes_sent, upload.retries), (bytes.len() as u64, 0));
    // No session is to be had: the ordinary upload says so, if it fails as well.
    let refusal = Fault { times: 9, ..Fault::first(Method::POST, Endpoint::Uploads, status(403)) };
    let registry = Registry::new(vec![refusal]).await;
    let sending = registry.send(registry.options());
    let (mut writing, growing) = Writing::begin(bytes.clone());
    sending.hand(Handed::Growing(growing, SIZE));
    writing.go_to(ENOUGH);
    registry.after("POST").await;
    sending.hand(writing.end());
    assert!(matches!(sending.end().await, Err(Error::Denied(_))));
}

#[tokio::test]
async fn a_layer_that_is_not_finished_is_given_up() {
    for whole_build in [false, true] {
        let registry = Registry::new(Vec::new()).await;
        let sending = registry.send(registry.options());
        let (mut writing, growing) = Writing::begin(noise(ENOUGH + 1000, 7));
        sending.hand(Handed::Growing(growing, SIZE));
        writing.go_to(ENOUGH);
        registry.after("POST").await;
        // Some of it is at the registry by now.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let kept = if whole_build {
            sending.hand(Handed::Nothing);
            Some(writing)
        } else {
            drop(writing);
            None
        };
        assert!(sending.end().await.expect("nothing failed").is_empty());
        drop(kept);
        registry.after("PATCH").await;
        let requests = registry.requests();
        assert_eq!(requests[..2], ["GET tags/list 404", "POST upload 202"]);
        // The registry may notice the closed connection after the next request.
        let mut rest = requests[2..].to_vec();
        rest.sort();
        assert_eq!(rest, ["DELETE upload 204", "PATCH upload hung up"]);
        let blobs = std::fs::read_dir(registry.folder.path().join("oci/blobs/sha256")).expect("a folder");
        assert_eq!(blobs.count(), 0);
    }
}

#[tokio::test]
async fn parts_go_in_order() {
    let bytes = noise(25 << 20, 8);
    let registry = Registry::like_ecr(EcrSettings::new("123456789012", "us-east-1")).await;
    let sending = registry.send(registry.options());
    let (mut writing, growing) = Writing::begin(bytes.clone());
    sending.hand(Handed::Growing(growing, SIZE));
    writing.go_to(ENOUGH);
    registry.after("POST").await;
    // The first part ends where the blob does, for the moment: it has to wait.
    writing.go_to(10 << 20);
    tokio::time::sleep(Duration::from_millis(50)).await;
    writing.go_to((10 << 20) + 1);
    registry.after("PATCH").await;
    writing.go_to(20 << 20);
    sending.hand(writing.end());
    let sent = sending.end().await.expect("sent");
    let upload = &sent[&Digest::of(&bytes)];
    assert_eq!((upload.bytes_sent, upload.retries), (bytes.len() as u64, 0));
    assert_eq!(
        registry.requests(),
        [
            "GET tags/list 404",
            "POST upload 202",
            "PATCH upload 0-10485759 201",
            "PATCH upload 10485760-20971519 201",
            "PUT upload 20971520-26214399 201"
        ]
    );
    assert_eq!(std::fs::read(registry.blob(upload.digest)).expect("a blob"), bytes);
    // A part that is torn is kept there, so that the session is lost, and the layer goes whole.
    let fault = Fault { skip: 1, ..Fault::first(Method::PATCH, Endpoint::Upload, Action::HangUpHalfway) };
    let ecr = EcrSettings { switches: [Switch::CreateOnPush, Switch::Anonymous].into(), ..EcrSettings::default() };
    let settings = |folder: &std::path::Path| Settings { faults: vec![fault], ..Settings::like_ecr(folder, ecr) };
    let registry = Registry::start(ECR, settings).await;
    let (upload, requests) = one(&registry, registry.options(), &bytes, true).await;
    // Where all of it had left, the same part is tried once more first.
    assert!((1..=2).contains(&upload.retries), "{upload:?}");
    let end = ["DELETE upload 204", "HEAD blob 404", "POST upload 202", "PUT upload 201"];
    assert_eq!(requests[requests.len() - 4..], end, "{requests:#?}");
    // Whoever may not list tags waits until the digest is known.
    let deny = ["ecr:ListImages".to_owned()].into();
    let registry = Registry::like_ecr(EcrSettings { deny, ..EcrSettings::new("123456789012", "us-east-1") }).await;
    let (_, requests) = one(&registry, registry.options(), &bytes, false).await;
    assert_eq!(requests, ["GET tags/list 403", "HEAD blob 404", "POST upload 202", "PUT upload 201"]);
}

#[tokio::test]
async fn parts_have_the_size_that_was_asked_for() {
    let bytes = noise(ENOUGH + 1000, 9);
    let registry = Registry::new(Vec::new()).await;
    let options = Options { chunk_size: Some(ChunkSize::Bytes(2 << 20)), ..registry.options() };
    let (upload, requests) = one(&registry, options, &bytes, true).await;
    assert_eq!(upload.bytes_sent, bytes.len() as u64);
    let parts = ["PATCH upload 0-2097151 202", "PATCH upload 2097152-4194303 202", "PUT upload 4194304-5243879 201"];
    assert_eq!(requests[2..], parts);
}

/// Wherever the registry sends us, credentials stay with it; and a 401 ends the stream.
#[tokio::test]
async fn credentials_stay_where_they_belong() {
    let (script, store) = (Script::new().await, Script::new().await);
    let basic = "Basic QVdTOmh1bnRlcjI=";
    let bytes = noise(ENOUGH + 1000, 10);
    let uploads = "/v2/team/app/blobs/uploads/";
    let challenge = |line: crate::script::Line| {
        line.without("authorization").reply(401).header("WWW-Authenticate", "Basic realm=\"x\"")
    };
    script.expect([
        // As the look for the tag would have it: the registry is known to want a password.
        challenge(on("HEAD", "/v2/team/app/manifests/v1")),
        on("HEAD", "/v2/team/app/manifests/v1").with("authorization", basic).reply(404),
        on("GET", "/v2/team/app/tags/list?n=1").with("authorization", basic).body(r#"{"name":"team/app","tags":null}"#),
        on("POST", uploads).with("authorization", basic).reply(202).header("Location", format!("{uploads}1?a=b")),
        on("PATCH", format!("{uploads}1?a=b"))
            .with("authorization", basic)
            .with("transfer-encoding", "chunked")
            .without("content-length")
            .without("content-range")
            .reply(202)
            .header("Location", format!("http://{}/store/1?c=d", store.host)),
    ]);
    store.expect([challenge(on("PUT", "/store/1?c=d&digest=*"))]);
    // The stream has failed, and is not given back: that is not ours to ask there.
    let head = format!("/v2/team/app/blobs/{}", Digest::of(&bytes));
    script.expect([
        on("HEAD", head).with("authorization", basic).reply(404),
        on("POST", uploads).with("authorization", basic).reply(202).header("Location", format!("{uploads}2")),
        on("PUT", format!("{uploads}2?digest=*")).with("authorization", basic).reply(201),
    ]);
    let authenticator = Arc::new(Credentials::Basic { user: "AWS".into(), password: Secret::new("hunter2") });
    let client = client(Ours { authenticator, ..quick() });
    let to = reference(&script.host, "team/app:v1");
    let seen = dockless::release::preflight::reach(&client, std::slice::from_ref(&to)).await.expect("reached");
    let (hand, handed_in) = ahead::channel();
    let options = Options { seen, ..Options::default() };
    let task = tokio::spawn(ahead::send(client, to, options, Arc::new(Silent), handed_in));
    let sending = Sending { hand, task };
    let (mut writing, growing) = Writing::begin(bytes.clone());
    sending.hand(Handed::Growing(growing, SIZE));
    writing.go_to(ENOUGH);
    tokio::time::sleep(Duration::from_millis(200)).await;
    sending.hand(writing.end());
    let sent = sending.end().await.expect("sent");
    assert_eq!(sent[&Digest::of(&bytes)].retries, 1);
    let requests = script.finish();
    let patch = requests.iter().find(|request| request.method == "PATCH").expect("a PATCH");
    assert!(patch.body == bytes, "{} bytes", patch.body.len());
    store.finish();
}
