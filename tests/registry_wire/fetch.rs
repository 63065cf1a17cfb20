//! Reading: manifests, blobs, tags.

use std::io::Read;
use std::sync::Arc;

use dockless::blob::{BlobSource, DOCUMENT_LIMIT};
use dockless::oci::digest::Digest;
use dockless::oci::media_type::MediaType;
use dockless::registry::client::{Access, Client, Repository};
use dockless::registry::error::Error;
use dockless::registry::pull::{Registries, RemoteBlobs, resolve};

use crate::script::{Script, on};
use crate::{Notes, client, layer, noise, quick, reference};

fn repository(script: &Script) -> Repository {
    client(quick()).repository(&reference(&script.host, "app"), Access::Pull).expect("a repository")
}

#[tokio::test]
async fn a_manifest_is_held_to_its_digest() {
    let script = Script::new().await;
    let bytes = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let digest = Digest::of(bytes);
    script.expect([
        on("GET", format!("/v2/app/manifests/{digest}")).body(*bytes),
        // A header's word about the content is not taken.
        on("GET", format!("/v2/app/manifests/{digest}")).header("Docker-Content-Digest", digest.to_string()).body("{}"),
        on("GET", "/v2/app/manifests/latest").header("Content-Type", "text/plain").body(*bytes),
    ]);
    let (descriptor, found) = repository(&script).get_manifest(&digest.to_string()).await.expect("a manifest");
    assert_eq!((descriptor.media_type, descriptor.digest, &found[..]), (MediaType::ImageIndex, digest, &bytes[..]));
    let error = repository(&script).get_manifest(&digest.to_string()).await.expect_err("another");
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    let (descriptor, _) = resolve(&client(quick()), &reference(&script.host, "app")).await.expect("a manifest");
    assert_eq!(descriptor.digest, digest);
    assert!(script.finish().iter().all(|request| request.headers["accept"].contains("manifest.list.v2+json")));
}

#[tokio::test]
async fn garbage_is_said_to_be_garbage() {
    let script = Script::new().await;
    script.expect([
        on("GET", "/v2/app/manifests/a").header("Content-Type", "text/html").body("<html>log in</html>"),
        on("GET", "/v2/app/manifests/b").body(vec![b' '; usize::try_from(DOCUMENT_LIMIT).expect("a size") + 1]),
        on("GET", "/v2/app/manifests/c").reply(307),
        on("GET", "/v2/app/manifests/d").reply(404).body("404 page not found").header("Content-Type", "text/plain"),
    ]);
    for _ in 0..5 {
        script.expect([on("GET", "/v2/app/manifests/e").reply(302).header("Location", "/v2/app/manifests/e")]);
    }
    let repository = repository(&script);
    let error = async |tag| repository.get_manifest(tag).await.expect_err("garbage");
    assert!(matches!(error("a").await, Error::Garbage { .. }));
    assert!(matches!(error("b").await, Error::TooLarge { .. }));
    assert!(matches!(error("c").await, Error::Garbage { .. }));
    assert!(matches!(error("d").await, Error::ManifestUnknown(_)));
    assert!(matches!(error("e").await, Error::Garbage { .. }));
    script.finish();
}

#[tokio::test]
async fn a_refused_head_is_asked_again_as_a_get() {
    let script = Script::new().await;
    script.expect([
        on("HEAD", "/v2/app/manifests/v1").reply(403),
        on("GET", "/v2/app/manifests/v1").error(403, "DENIED"),
        on("HEAD", "/v2/app/blobs/sha256:*").reply(403),
        on("GET", "/v2/app/blobs/sha256:*").error(403, "DENIED"),
    ]);
    let error = repository(&script).head_manifest("v1").await.expect_err("a denial");
    assert!(error.reply().expect("a reply").has_code("DENIED"));
    let error = repository(&script).head_blob(Digest::of(b"")).await.expect_err("a denial");
    assert!(error.reply().expect("a reply").has_code("DENIED"));
    script.finish();
}

#[tokio::test]
async fn what_passes_is_tried_again_and_told() {
    let script = Script::new().await;
    let notes = Arc::new(Notes::default());
    script.expect([
        on("GET", "/v2/app/manifests/v1").reply(503).header("Retry-After", "0"),
        on("GET", "/v2/app/manifests/v1").hangs_up(),
        on("GET", "/v2/app/manifests/v1").error(429, "TOOMANYREQUESTS"),
        on("GET", "/v2/app/manifests/v1").body("{}"),
    ]);
    let observer = Arc::<Notes>::clone(&notes);
    let repository =
        Client::new(quick(), observer).repository(&reference(&script.host, "app"), Access::Pull).expect("a repository");
    repository.get_manifest("v1").await.expect("a manifest");
    assert_eq!(
        notes.all(),
        [
            "retry GET /v2/app/manifests/v1: status 503",
            "retry GET /v2/app/manifests/v1: the connection is lost",
            "retry GET /v2/app/manifests/v1: status 429 TOOMANYREQUESTS"
        ]
    );
    script.finish();
}

#[tokio::test]
async fn tags_come_in_pages() {
    let script = Script::new().await;
    script.expect([
        on("GET", "/v2/app/tags/list?n=1000")
            .header("Link", "</v2/app/tags/list?n=1000&last=b>; rel=\"next\"")
            .body(r#"{"name":"app","tags":["a","b"]}"#),
        on("GET", "/v2/app/tags/list?n=1000&last=b").body(r#"{"name":"app","tags":null}"#),
        on("GET", "/v2/app/tags/list?n=1000").error(404, "NAME_UNKNOWN"),
    ]);
    assert_eq!(repository(&script).list_tags().await.expect("tags"), ["a", "b"]);
    assert!(matches!(repository(&script).list_tags().await, Err(Error::NameUnknown(_))));
    script.finish();
}

/// Reads a blob on a thread of its own, as its users do.
async fn read(script: &Script, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let remote = RemoteBlobs::new(&client(quick()), &reference(&script.host, "app"), tokio::runtime::Handle::current())
        .expect("a source");
    let descriptor = layer(bytes);
    tokio::task::spawn_blocking(move || {
        let mut out = Vec::new();
        remote.open(&descriptor).map_err(std::io::Error::other)?.read_to_end(&mut out)?;
        Ok(out)
    })
    .await
    .expect("a thread")
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    let script = Script::new().await;
    let bytes = noise(100_000, 20);
    let blob = format!("/v2/app/blobs/{}", Digest::of(&bytes));
    script.expect([
        on("GET", &blob).without("range").body(&bytes[..]).cut_after(40_000),
        on("GET", &blob)
            .with("range", "bytes=40000-")
            .reply(206)
            .header("Content-Range", "bytes 40000-99999/100000")
            .body(&bytes[40_000..])
            .cut_after(10_000),
        // This one does not know ranges.
        on("GET", &blob).with("range", "bytes=50000-").body(&bytes[..]),
    ]);
    assert!(read(&script, &bytes).await.expect("the blob") == bytes);
    script.finish();
}

/// A proxy that loses its own connection may end the body as if that were all.
#[tokio::test]
async fn a_download_that_ends_early_goes_on_where_it_ended() {
    let script = Script::new().await;
    let bytes = noise(100_000, 23);
    let blob = format!("/v2/app/blobs/{}", Digest::of(&bytes));
    script.expect([
        on("GET", &blob).without("range").body(&bytes[..40_000]),
        on("GET", &blob)
            .with("range", "bytes=40000-")
            .reply(206)
            .header("Content-Range", "bytes 40000-99999/100000")
            .body(&bytes[40_000..]),
    ]);
    assert!(read(&script, &bytes).await.expect("the blob") == bytes);
    // Where there is no more, that is what is said.
    script.expect([
        on("GET", &blob).without("range").body(&bytes[..40_000]),
        on("GET", &blob).with("range", "bytes=40000-").reply(416),
    ]);
    let error = read(&script, &bytes).await.expect_err("too short").to_string();
    assert!(error.contains("ends after 40000 bytes"), "{error}");
    script.finish();
}

#[tokio::test]
async fn other_bytes_and_other_ranges_are_refused() {
    let script = Script::new().await;
    let bytes = noise(50_000, 21);
    let blob = format!("/v2/app/blobs/{}", Digest::of(&bytes));
    script.expect([
        on("GET", &blob).body(noise(50_000, 22)),
        on("GET", &blob).body(&bytes[..]).cut_after(40_000),
        on("GET", &blob).reply(206).header("Content-Range", "bytes 0-49999/50000").body(&bytes[..]),
        on("GET", &blob).error(404, "BLOB_UNKNOWN"),
    ]);
    for expected in ["damaged", "another range", "missing from"] {
        let error = read(&script, &bytes).await.expect_err("an error").to_string();
        assert!(error.contains(expected), "{error}");
    }
    script.finish();
}

#[tokio::test]
async fn words_that_come_in_drops_have_an_end() {
    let script = Script::new().await;
    let mut settings = quick();
    settings.patience.stall = std::time::Duration::from_millis(600);
    let repository = client(settings).repository(&reference(&script.host, "app"), Access::Pull).expect("a repository");
    let refusal = on("GET", "/v2/app/manifests/v1").reply(400).header("Content-Type", "text/plain").body("not so");
    script.expect([refusal.header("Content-Length", "60000").drips()]);
    let begun = std::time::Instant::now();
    let error = repository.get_manifest("v1").await.expect_err("a refusal");
    assert!(error.to_string().ends_with("answers 400: not so"), "{error}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(3), "{:?}", begun.elapsed());
    script.finish();
}

#[tokio::test]
async fn a_registry_that_never_answered_is_given_up_soon_whoever_answered_before() {
    let script = Script::new().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let notes = Arc::new(Notes::default());
    let client = Client::new(quick(), Arc::<Notes>::clone(&notes));
    let ask = async |host: &str| {
        let repository = client.repository(&reference(host, "app"), Access::Pull).expect("a repository");
        repository.get_manifest("v1").await.expect_err("no manifest")
    };
    script.expect([on("GET", "/v2/app/manifests/v1").reply(404)]);
    ask(&script.host).await;
    let error = ask(&nobody).await;
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert_eq!(notes.all().len(), 1, "{:?}", notes.all());
    script.finish();
}

#[tokio::test]
async fn a_coding_that_was_not_asked_for_is_named() {
    let script = Script::new().await;
    script.expect([on("GET", "/v2/app/manifests/v1")
        .with("accept-encoding", "identity")
        .header("Content-Encoding", "gzip")
        .body(vec![0x1f, 0x8b, 8, 0])]);
    let error = repository(&script).get_manifest("v1").await.expect_err("gzip");
    assert!(error.to_string().contains("it answers in gzip"), "{error}");
    script.finish();
}

#[tokio::test]
async fn an_answer_of_many_lines_is_not_taken_for_tls() {
    let script = Script::new().await;
    let lines = (0..150).fold(on("GET", "/v2/app/manifests/v1"), |line, _| line.header("X-Line", "1"));
    script.expect([lines]);
    let error = repository(&script).get_manifest("v1").await.expect_err("many lines");
    assert!(matches!(error, Error::Garbage { .. }) && error.to_string().contains("more than 100 lines"), "{error}");
    script.finish();
}

/// Registries count what is read, and a promotion looks at an image before it sends it.
#[test]
fn a_manifest_is_asked_for_once() {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let script = runtime.block_on(Script::new());
    let bytes = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    script.expect([on("GET", "/v2/app/manifests/v1").body(*bytes)]);
    let registries = Registries::new(client(quick()), runtime.handle().clone());
    let (top, _, blobs) = registries.open(&reference(&script.host, "app:v1")).expect("an index");
    for _ in 0..2 {
        assert_eq!(blobs.document(&top).expect("the index"), bytes);
    }
    script.finish();
}
