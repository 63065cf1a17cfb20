//! What ECR does differently: its sizes, torn parts, quotas, immutable tags, and the words of its refusals.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dockless::blob::BlobSource;
use dockless::event::{BlobStatus, Observer};
use dockless::oci::canonical;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::manifest::Manifest;
use dockless::oci::media_type::MediaType;
use dockless::registry::auth::{Authenticator, Credentials};
use dockless::registry::client::{Access, Client, Repository, Settings};
use dockless::registry::error::Error;
use dockless::registry::push::{Options, Pushed, push};
use dockless::registry::upload::dialect::{ChunkSize, Dialect};
use dockless::registry::upload::{Sent, start, upload};
use dockless::secret::Secret;
use futures_util::future::BoxFuture;
use snapbox::{Data, assert_data_eq};

use crate::script::{Line, Script, on};
use crate::{Memory, Notes, layer, noise, quick, reference};

const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
const MIB: usize = 1 << 20;

/// A client that finds a registry of this name at the script.
fn client(script: &Script, host: &str, observer: Arc<dyn Observer>) -> Client {
    let endpoints = format!("{host}=http://{}", script.host).parse().expect("endpoints");
    let mut settings = Settings { endpoints, ..quick() };
    settings.retry.attempts = 1;
    let password = Secret::new("hunter2");
    settings.authenticator = Arc::new(Credentials::Basic { user: "AWS".into(), password });
    Client::new(settings, observer)
}

fn repository(script: &Script, host: &str, name: &str) -> Repository {
    let client = client(script, host, Arc::new(dockless::event::Silent));
    client.repository(&reference(host, name), Access::Push).expect("a repository")
}

/// An error in ECR's words.
fn says(line: Line, status: u16, code: &str, message: &str) -> Line {
    let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
    line.reply(status).header("Content-Type", "application/json; charset=utf-8").body(body.to_string())
}

fn put_manifest() -> Line {
    on("PUT", "/v2/team/app/manifests/v1")
}

/// What is told of a manifest's refusal.
async fn of_manifest(status: u16, code: &str, message: &str) -> String {
    let script = Script::new().await;
    script.expect([says(put_manifest(), status, code, message)]);
    let repository = repository(&script, HOST, "team/app");
    let put = repository.put_manifest("v1", &MediaType::ImageManifest, "{}".into()).await;
    told(&put.expect_err("a refusal"))
}

/// What is told of a manifest's refusal after ECR has asked who we are.
async fn of_manifest_with_credentials(status: u16, body: &str) -> String {
    let script = Script::new().await;
    let challenge = format!("Basic realm=\"https://{HOST}/\",service=\"ecr.amazonaws.com\"");
    script.expect([
        put_manifest().without("authorization").reply(401).header("WWW-Authenticate", &challenge),
        put_manifest()
            .with("authorization", "Basic QVdTOmh1bnRlcjI=")
            .reply(status)
            .header("WWW-Authenticate", &challenge)
            .body(body),
    ]);
    let repository = repository(&script, HOST, "team/app");
    let put = repository.put_manifest("v1", &MediaType::ImageManifest, "{}".into()).await;
    script.finish();
    told(&put.expect_err("a refusal"))
}

/// What is told of a refused POST for a session.
async fn of_session(host: &str, name: &str, status: u16, code: &str, message: &str) -> String {
    let script = Script::new().await;
    script.expect([says(on("POST", format!("/v2/{name}/blobs/uploads/")), status, code, message)]);
    let started = start(&repository(&script, host, name), Digest::of(b"x"), &[]).await;
    told(&started.err().expect("a refusal"))
}

fn told(error: &Error) -> String {
    format!("{error}\n  help: {}\n\n", error.help().unwrap_or_default())
}

/// Causes and repairs as people meet them. `SNAPSHOTS=overwrite` renews the golden file.
#[tokio::test]
async fn refusals_come_with_their_repair() {
    let user = "User: arn:aws:sts::123456789012:assumed-role/ci/GitHubActions is not authorized to perform: ";
    let on_app = "on resource: arn:aws:ecr:eu-central-1:123456789012:repository/team/app";
    let denied = |action: &str, tail: &str| format!("{user}{action} {on_app} {tail}");
    let gone = "The repository with name 'team/app' does not exist in the registry with id '123456789012'";
    let immutable = |what: &str| {
        format!(
            "The image tag 'v1' already exists in the 'team/app' repository and cannot be overwritten because the {what} \
             is immutable."
        )
    };
    let wrong = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'";
    let nested = format!("{HOST}/team/app");
    let cases = [
        of_session(HOST, "team/app", 404, "NAME_UNKNOWN", gone).await,
        of_session(HOST, &nested, 404, "NAME_UNKNOWN", gone).await,
        of_session("public.ecr.aws", "a1b2c3d4/app", 404, "NAME_UNKNOWN", "no such repository").await,
        of_session("example.com", "team/app", 404, "NAME_UNKNOWN", gone).await,
        of_manifest(400, "TAG_INVALID", &immutable("repository")).await,
        of_manifest(400, "TAG_INVALID", &immutable("tag")).await,
        of_manifest(400, "TAG_INVALID", "Invalid parameter at 'ImageTag'").await,
        of_session(
            HOST,
            "team/app",
            403,
            "DENIED",
            &denied(
                "ecr:InitiateLayerUpload",
                "because no identity-based policy allows the ecr:InitiateLayerUpload action",
            ),
        )
        .await,
        of_manifest(
            403,
            "DENIED",
            &denied("ecr:PutImage", "because no resource-based policy allows the ecr:PutImage action"),
        )
        .await,
        of_manifest(403, "DENIED", &denied("ecr:PutImage", "with an explicit deny in a service control policy")).await,
        of_manifest(
            403,
            "DENIED",
            &denied("ecr:BatchGetImage", "because no identity-based policy allows the ecr:BatchGetImage action"),
        )
        .await,
        of_session("public.ecr.aws", "a1b2c3d4/app", 403, "DENIED", "User: x is not authorized to perform: y").await,
        of_manifest(403, "DENIED", "User: x is not authorized to perform: y").await,
        of_manifest(403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.").await,
        of_manifest(403, "DENIED", "Your Authorization Token has expired. Please run 'aws ecr get-login'").await,
        of_manifest(405, "UNSUPPORTED", wrong).await,
        of_manifest(405, "UNSUPPORTED", "Limit on number of layers per image exceeded").await,
        of_manifest(429, "TOOMANYREQUESTS", "Rate exceeded").await,
        of_manifest(416, "BLOB_UPLOAD_INVALID", "First byte of the layer part is 0 instead of 11304960").await,
        of_manifest(
            400,
            "BLOB_UPLOAD_INVALID",
            "The upload with id 'x' in the repository cannot be completed because it does not have any parts.",
        )
        .await,
        of_manifest(400, "BLOB_UPLOAD_INVALID", "All layer parts except the last part should be at least 5MB").await,
        of_manifest(400, "BLOB_UPLOAD_INVALID", "None of the provided layer digests match the calculated layer digest")
            .await,
        of_manifest(
            404,
            "MANIFEST_UNKNOWN",
            "Images with digests '[sha256:00]' required for pushing image into repository with name 'team/app' in the \
             registry with id '123456789012' do not exist",
        )
        .await,
        of_manifest(401, "UNAUTHORIZED", "Not Authorized").await,
        of_manifest_with_credentials(401, "").await,
        of_manifest_with_credentials(403, "").await,
    ];
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registry_wire/ecr-refusals.txt");
    assert_data_eq!(cases.concat(), Data::read_from(&golden, None).raw());
}

/// An image of one layer and a configuration, pushed to ECR.
struct Image {
    source: Memory,
    top: Descriptor,
    blobs: [Descriptor; 2],
}

fn image(content: &[u8], annotated: bool) -> Image {
    let mut config = Descriptor::of(MediaType::ImageConfig, b"{}");
    if annotated {
        config.annotations.insert("a".into(), "b".into());
    }
    let manifest = canonical(&Manifest::new(config.clone(), vec![layer(content)], BTreeMap::new()));
    let top = Descriptor::of(MediaType::ImageManifest, &manifest);
    let source = Memory::default().with(content).with(b"{}").with(&manifest);
    Image { source, top, blobs: [layer(content), config] }
}

async fn run(script: &Script, image: Image, chunk_size: Option<ChunkSize>) -> (Result<Pushed, Error>, Vec<String>) {
    let notes = Arc::new(Notes::default());
    let observer: Arc<dyn Observer> = Arc::<Notes>::clone(&notes);
    let client = client(script, HOST, Arc::clone(&observer));
    let options = Options { chunk_size, ..Options::default() };
    let target = [reference(HOST, "team/app:v1")];
    let pushed =
        push(&client, Arc::new(image.source), &image.top, &target, &options, observer).await.map_err(Error::from);
    (pushed, notes.all())
}

fn head_tag() -> Line {
    on("HEAD", "/v2/team/app/manifests/v1")
}

fn tagged(digest: &str) -> Line {
    let line = head_tag().header("Docker-Content-Digest", digest).header("Content-Length", "100");
    line.header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
}

fn present(blob: &Descriptor) -> Line {
    on("HEAD", format!("/v2/team/app/blobs/{}", blob.digest)).header("Content-Length", blob.size.to_string())
}

#[tokio::test]
async fn an_immutable_tag_that_names_the_same_image_is_a_success() {
    for (same, what) in [(true, "repository"), (true, "tag"), (false, "tag")] {
        let (script, image) = (Script::new().await, image(b"a layer", false));
        let text = format!(
            "The image tag 'v1' already exists in the 'team/app' repository and cannot be overwritten because the {what} \
             is immutable."
        );
        let there = if same { image.top.digest } else { Digest::of(b"another") };
        script.expect([head_tag().reply(404), says(put_manifest(), 400, "TAG_INVALID", &text)]);
        script.expect(image.blobs.iter().map(present));
        // Another job was quicker.
        script.expect([tagged(&there.to_string())]);
        let (pushed, _) = run(&script, image, None).await;
        script.finish();
        match pushed {
            Ok(pushed) => assert!(same && pushed.uploads.iter().all(|upload| upload.status == BlobStatus::Present)),
            Err(error) => assert!(!same && error.reply().is_some_and(|reply| reply.has_code("TAG_INVALID")), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_field_that_ecr_does_not_know_is_named() {
    let (script, image) = (Script::new().await, image(b"a layer", true));
    let text = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'";
    script.expect([head_tag().reply(404), says(put_manifest(), 405, "UNSUPPORTED", text)]);
    script.expect(image.blobs.iter().map(present));
    let digest = image.top.digest;
    let error = run(&script, image, None).await.0.expect_err("a refusal");
    assert_eq!(error.to_string(), format!("manifest {digest} is not taken"));
    assert_eq!(
        error.help().as_deref(),
        Some(
            "Amazon ECR refuses manifests with annotations in config: build the image again in the plain form of the \
             specification: a mediaType of its own, and nothing but mediaType, digest and size in config and subject"
        )
    );
    script.finish();
}

#[tokio::test]
async fn an_empty_blob_is_refused_before_anything_is_sent() {
    let (script, image) = (Script::new().await, image(b"", false));
    script.expect([head_tag().reply(404), present(&image.blobs[1])]);
    script.expect([on("HEAD", format!("/v2/team/app/blobs/{}", image.blobs[0].digest)).reply(404)]);
    let digest = image.blobs[0].digest;
    let error = run(&script, image, None).await.0.expect_err("a refusal");
    assert_eq!(error.to_string(), format!("blob {digest} cannot be sent to {HOST}/team/app: it is empty"));
    assert!(error.help().is_some_and(|help| help.contains("empty descriptor")));
    script.finish();
}

#[tokio::test]
async fn a_size_of_chunks_that_ecr_does_not_take_is_refused_at_once() {
    let (script, small) = (Script::new().await, Some(ChunkSize::Bytes(5 * MIB as u64 - 1)));
    let error = run(&script, image(b"a layer", false), small).await.0.expect_err("a refusal");
    assert_eq!(
        error.to_string(),
        format!("chunks of 5242879 bytes cannot be sent to {HOST}: it takes 5242880 bytes at least")
    );
    script.finish();

    let image = image(b"a layer", false);
    script.expect([tagged(&image.top.digest.to_string())]);
    let (pushed, notes) = run(&script, image, Some(ChunkSize::Bytes(64 * MIB as u64))).await;
    pushed.expect("pushed");
    let warning =
        format!("warning chunks of 67108864 bytes: {HOST} promises to take 10485760, and has taken more so far");
    assert_eq!(notes[0], warning);
}

/// Sends a blob in parts of 5 MiB, or of the size given.
async fn send(script: &Script, bytes: &[u8], part: usize) -> Result<Sent, Error> {
    let source: Arc<dyn BlobSource> = Arc::new(Memory::default().with(bytes));
    let observer: Arc<dyn Observer> = Arc::new(Notes::default());
    let dialect = Dialect::of(HOST).with(Some(ChunkSize::Bytes(part as u64)));
    upload(&repository(script, HOST, "team/app"), &source, &layer(bytes), &dialect, None, &observer).await
}

fn session(number: u32) -> Line {
    // Absolute, and on the host that ECR knows itself by.
    let location = format!("https://{HOST}/v2/team/app/blobs/uploads/{number}");
    on("POST", "/v2/team/app/blobs/uploads/").reply(202).header("Location", location)
}

fn patch(number: u32, start: usize, end: usize) -> Line {
    let line = on("PATCH", format!("/v2/team/app/blobs/uploads/{number}"));
    // 201, and a Range that stays where it was.
    line.with("content-range", format!("{start}-{}", end - 1)).reply(201).header("Range", format!("0-{}", 5 * MIB - 1))
}

fn put(number: u32) -> Line {
    on("PUT", format!("/v2/team/app/blobs/uploads/{number}?digest=sha256%3A*")).reply(201)
}

fn cancel(number: u32) -> Line {
    on("DELETE", format!("/v2/team/app/blobs/uploads/{number}")).reply(404)
}

fn expects(line: Line, byte: usize) -> Line {
    says(line, 416, "BLOB_UPLOAD_INVALID", &format!("First byte of the layer part is 0 instead of {byte}"))
}

#[tokio::test]
async fn parts_as_ecr_answers_them() {
    let (script, bytes) = (Script::new().await, noise(12 * MIB, 50));
    let middle = [patch(1, 0, 5 * MIB), patch(1, 5 * MIB, 10 * MIB)];
    script.expect([session(1), put(1).with("content-range", format!("{}-{}", 10 * MIB, 12 * MIB - 1))]);
    script.expect(middle);
    assert_eq!(send(&script, &bytes, 5 * MIB).await.expect("sent"), Sent { bytes: 12 * MIB as u64, retries: 0 });
    assert!(script.finish().into_iter().flat_map(|request| request.body).eq(bytes));
}

#[tokio::test]
async fn a_part_whose_answer_is_lost_is_looked_for_by_its_416() {
    let (script, bytes) = (Script::new().await, noise(6 * MIB, 51));
    let lost = || patch(1, 0, 5 * MIB).hangs_up();
    script.expect([session(1), lost(), expects(patch(1, 0, 5 * MIB), 5 * MIB), put(1)]);
    assert_eq!(send(&script, &bytes, 5 * MIB).await.expect("sent").retries, 1);
    script.finish();

    // Something of it was kept as a part: nothing can be made of that session.
    script.expect([session(1), lost(), expects(patch(1, 0, 5 * MIB), 819_200), cancel(1)]);
    script.expect([session(2), patch(2, 0, 5 * MIB), put(2)]);
    assert_eq!(send(&script, &bytes, 5 * MIB).await.expect("sent").retries, 2);
    script.finish();
}

#[tokio::test]
async fn a_torn_part_means_a_new_session() {
    // More than the buffers between us hold.
    let (script, bytes) = (Script::new().await, noise(33 * MIB, 52));
    let part = 32 * MIB;
    script.expect([session(1), patch(1, 0, part).hangs_up_after(1000), cancel(1)]);
    script.expect([session(2), patch(2, 0, part), put(2)]);
    assert_eq!(send(&script, &bytes, part).await.expect("sent").retries, 1);
    script.finish();
}

#[tokio::test]
async fn a_connection_that_ends_in_an_upload_is_explained() {
    let (script, bytes) = (Script::new().await, noise(100, 53));
    for number in 1..=5 {
        let head = on("HEAD", "/v2/team/app/blobs/sha256:*").reply(404);
        script.expect([session(number), put(number).hangs_up(), head]);
    }
    let error = send(&script, &bytes, 5 * MIB).await.expect_err("no way through");
    assert_eq!(
        error.help(),
        Some(format!(
            "ECR hangs up in the middle of an upload when the repository does not exist or a permission is missing: check \
             that team/app exists, that what `dockless iam-policy push {HOST}/team/app` prints is allowed, and only then \
             the line itself"
        ))
    );
    script.finish();
}

/// A source that keeps what it got, as the helper of ECR does: one new token however often it is asked.
struct Keeping(AtomicBool);

impl Authenticator for Keeping {
    fn credentials<'a>(&'a self, _: &'a str, renew: bool) -> BoxFuture<'a, Result<Credentials, Error>> {
        let renewed = self.0.fetch_or(renew, Ordering::Relaxed) || renew;
        let password = Secret::new(if renewed { "new" } else { "old" });
        Box::pin(async move { Ok(Credentials::Basic { user: "AWS".into(), password }) })
    }
}

#[tokio::test]
async fn a_token_that_another_request_renewed_is_taken() {
    let script = Script::new().await;
    let endpoints = format!("{HOST}=http://{}", script.host).parse().expect("endpoints");
    let authenticator = Arc::new(Keeping(AtomicBool::new(false)));
    let client = Client::new(Settings { endpoints, authenticator, ..quick() }, Arc::new(dockless::event::Silent));
    let repository = client.repository(&reference(HOST, "team/app"), Access::Push).expect("a repository");
    let (old, new) = ("Basic QVdTOm9sZA==", "Basic QVdTOm5ldw==");
    let blobs = [Digest::of(b"one"), Digest::of(b"two")];
    let get = |blob: &Digest| on("GET", format!("/v2/team/app/blobs/{blob}"));
    script.expect([
        head_tag().without("authorization").reply(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        head_tag().with("authorization", old).reply(404),
    ]);
    repository.head_manifest("v1").await.expect("an answer");
    // Both are under way when the token expires.
    let expired = r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#;
    script.expect(blobs.iter().map(|blob| get(blob).with("authorization", old).reply(403).body(expired)));
    script.expect(blobs.iter().map(|blob| get(blob).with("authorization", new).reply(404)));
    let [one, two] = blobs.map(|blob| repository.get_blob(blob, 0));
    let (one, two) = tokio::join!(one, two);
    assert!([one, two].into_iter().all(|result| matches!(result, Err(Error::BlobUnknown(_)))));
    script.finish();
}

#[tokio::test]
async fn manifests_go_no_faster_than_the_quota() {
    let script = Script::new().await;
    script.expect((0..12).map(|_| put_manifest().reply(201)));
    let repository = repository(&script, HOST, "team/app");
    let begun = Instant::now();
    let mut times = Vec::new();
    for _ in 0..12 {
        repository.put_manifest("v1", &MediaType::ImageManifest, "{}".into()).await.expect("stored");
        times.push(begun.elapsed());
    }
    // Ten at once, or as fast as this machine is; the eleventh a second after the first.
    assert!(times[10] >= Duration::from_secs(1), "{times:?}");
    script.finish();
}
