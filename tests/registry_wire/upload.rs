//! One blob: the answers of ECR, docker-registry and bad lines.

use std::sync::Arc;

use dockless::blob::BlobSource;
use dockless::event::Observer;
use dockless::oci::descriptor::Descriptor;
use dockless::registry::client::{Access, Client};
use dockless::registry::error::Error;
use dockless::registry::upload::dialect::{ChunkSize, Chunking, Dialect};
use dockless::registry::upload::{Sent, upload};

use crate::script::{Line, Script, on};
use crate::{Memory, Notes, client, layer, noise, quick, reference};

const PART: u64 = 1 << 20;

async fn send(script: &Script, bytes: &[u8], size: Option<ChunkSize>) -> (Result<Sent, Error>, Vec<String>) {
    send_from(script, Memory::default().with(bytes), &layer(bytes), Dialect::GENERIC.with(size)).await
}

async fn send_from(
    script: &Script,
    source: Memory,
    descriptor: &Descriptor,
    dialect: Dialect,
) -> (Result<Sent, Error>, Vec<String>) {
    let notes = Arc::new(Notes::default());
    let observer: Arc<dyn Observer> = Arc::<Notes>::clone(&notes);
    let repository = Client::new(quick(), Arc::clone(&observer))
        .repository(&reference(&script.host, "app"), Access::Push)
        .expect("a repository");
    let source: Arc<dyn BlobSource> = Arc::new(source);
    let result = upload(&repository, &source, descriptor, &dialect, None, &observer).await;
    (result, notes.all())
}

fn session(number: u32) -> Line {
    on("POST", "/v2/app/blobs/uploads/").reply(202).header("Location", format!("/v2/app/blobs/uploads/{number}"))
}

fn patch(number: u32, range: &str) -> Line {
    on("PATCH", format!("/v2/app/blobs/uploads/{number}"))
        .with("content-range", range)
        .with("content-type", "application/octet-stream")
}

fn put(number: u32) -> Line {
    on("PUT", format!("/v2/app/blobs/uploads/{number}?digest=sha256%3A*"))
}

fn cancel(number: u32) -> Line {
    on("DELETE", format!("/v2/app/blobs/uploads/{number}")).reply(204)
}

fn head() -> Line {
    on("HEAD", "/v2/app/blobs/sha256:*")
}

#[tokio::test]
async fn one_put_of_any_size() {
    let script = Script::new().await;
    let bytes = noise(3_000_001, 1);
    script.expect([session(1), put(1).with("content-length", "3000001").without("transfer-encoding").reply(201)]);
    let (sent, notes) = send(&script, &bytes, None).await;
    assert_eq!(sent.expect("sent"), Sent { bytes: 3_000_001, retries: 0 });
    assert!(script.finish()[1].body == bytes);
    assert_eq!(notes.last().map(String::as_str), Some("advanced 3000001"));
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let script = Script::new().await;
    script.expect([session(1), put(1).with("content-length", "0").reply(201)]);
    assert_eq!(send(&script, b"", None).await.0.expect("sent"), Sent { bytes: 0, retries: 0 });
    script.finish();
}

#[tokio::test]
async fn parts_in_order_the_last_with_the_put_and_a_stale_range_is_not_believed() {
    let script = Script::new().await;
    let bytes = noise(3_500_000, 2);
    // ECR: 201, and Range stays at the first part.
    let stale = "0-1048575";
    script.expect([
        session(1),
        patch(1, "0-1048575").reply(201).header("Range", stale),
        patch(1, "1048576-2097151").reply(202).header("Range", stale),
        patch(1, "2097152-3145727").reply(204).header("Range", stale),
        put(1).with("content-range", "3145728-3499999").reply(201),
    ]);
    let (sent, _) = send(&script, &bytes, Some(ChunkSize::Bytes(PART))).await;
    assert_eq!(sent.expect("sent"), Sent { bytes: 3_500_000, retries: 0 });
    let whole: Vec<u8> = script.finish().into_iter().flat_map(|request| request.body).collect();
    assert!(whole == bytes);
}

#[tokio::test]
async fn the_location_is_followed_with_its_query() {
    let script = Script::new().await;
    let at = format!("http://{}/v2/app/blobs/uploads/1", script.host);
    script.expect([
        on("POST", "/v2/app/blobs/uploads/").reply(202).header("Location", format!("{at}?_state=a%3D")),
        on("PATCH", "/v2/app/blobs/uploads/1?_state=a%3D").reply(202).header("Location", format!("{at}?_state=b")),
        on("PUT", "/v2/app/blobs/uploads/1?_state=b&digest=sha256%3A*").reply(201),
    ]);
    send(&script, &noise(1_500_000, 3), Some(ChunkSize::Bytes(PART))).await.0.expect("sent");
    script.finish();
}

#[tokio::test]
async fn a_least_part_is_honoured() {
    let script = Script::new().await;
    script.expect([
        session(1).header("OCI-Chunk-Min-Length", "2097152"),
        patch(1, "0-2097151").reply(202),
        put(1).with("content-range", "2097152-2999999").reply(201),
    ]);
    send(&script, &noise(3_000_000, 4), Some(ChunkSize::Bytes(PART))).await.0.expect("sent");
    script.finish();
}

#[tokio::test]
async fn a_part_is_sent_once_more_when_its_connection_is_lost() {
    let script = Script::new().await;
    script.expect([
        session(1),
        patch(1, "0-1048575").hangs_up_after(1000),
        patch(1, "0-1048575").reply(202),
        put(1).reply(201),
    ]);
    let (sent, notes) = send(&script, &noise(1_500_000, 5), Some(ChunkSize::Bytes(PART))).await;
    assert_eq!(sent.expect("sent").retries, 1);
    assert!(notes.contains(&"retry PATCH /v2/app/blobs/uploads/1: the connection is lost".into()), "{notes:?}");
    script.finish();
}

#[tokio::test]
async fn a_416_that_expects_the_next_byte_means_that_the_part_is_there() {
    let script = Script::new().await;
    script.expect([
        session(1),
        patch(1, "0-1048575").hangs_up(),
        patch(1, "0-1048575").error(416, "BLOB_UPLOAD_INVALID").header("Range", "0-1048575"),
        put(1).with("content-range", "1048576-1499999").reply(201),
    ]);
    send(&script, &noise(1_500_000, 6), Some(ChunkSize::Bytes(PART))).await.0.expect("sent");
    script.finish();
}

#[tokio::test]
async fn a_416_without_a_range_is_read_by_the_dialect() {
    let script = Script::new().await;
    script.expect([
        session(1),
        patch(1, "0-1048575").hangs_up(),
        patch(1, "0-1048575").error(416, "BLOB_UPLOAD_INVALID"),
        put(1).with("content-range", "1048576-1499999").reply(201),
    ]);
    let bytes = noise(1_500_000, 7);
    let dialect = Dialect { expected: |_, _| Some(1_048_576), ..Dialect::GENERIC.with(Some(ChunkSize::Bytes(PART))) };
    send_from(&script, Memory::default().with(&bytes), &layer(&bytes), dialect).await.0.expect("sent");
    script.finish();
}

#[tokio::test]
async fn any_other_416_means_a_new_session() {
    let script = Script::new().await;
    script.expect([
        session(1),
        patch(1, "0-1048575").error(500, "UNKNOWN"),
        // A partial tail of the first try was kept: this session can only go wrong.
        patch(1, "0-1048575").error(416, "BLOB_UPLOAD_INVALID").header("Range", "0-819199"),
        cancel(1),
        session(2),
        patch(2, "0-1048575").reply(202),
        put(2).reply(201),
    ]);
    let (sent, _) = send(&script, &noise(1_500_000, 8), Some(ChunkSize::Bytes(PART))).await;
    assert_eq!(sent.expect("sent").retries, 2);
    script.finish();
}

#[tokio::test]
async fn five_sessions_and_no_more() {
    let script = Script::new().await;
    for number in 1..=5 {
        script.expect([session(number), put(number).error(400, "DIGEST_INVALID"), cancel(number)]);
    }
    let error = send(&script, b"abc", None).await.0.expect_err("no upload");
    let Error::Upload { sessions: 5, source, .. } = &error else { panic!("{error}") };
    assert!(source.reply().expect("a reply").has_code("DIGEST_INVALID"));
    script.finish();
}

#[tokio::test]
async fn a_lost_answer_is_not_a_lost_blob() {
    let script = Script::new().await;
    script.expect([session(1), put(1).hangs_up(), head().header("Content-Length", "3")]);
    assert_eq!(send(&script, b"abc", None).await.0.expect("sent").bytes, 3);
    script.finish();
}

/// A source whose bytes come late: a registry that looks for them.
struct Late(Memory);

impl BlobSource for Late {
    fn open_unverified(
        &self,
        descriptor: &Descriptor,
    ) -> Result<Box<dyn std::io::Read + Send>, dockless::blob::BlobError> {
        std::thread::sleep(std::time::Duration::from_secs(4));
        self.0.open_unverified(descriptor)
    }

    fn place(&self) -> String {
        "late".into()
    }
}

#[tokio::test]
async fn waiting_for_the_source_is_no_stall_of_the_destination() {
    let script = Script::new().await;
    script.expect([session(1), put(1).reply(201)]);
    let mut settings = quick();
    settings.patience.stall = std::time::Duration::from_secs(2);
    let repository = client(settings).repository(&reference(&script.host, "app"), Access::Push).expect("a repository");
    let source: Arc<dyn BlobSource> = Arc::new(Late(Memory::default().with(b"abc")));
    let observer: Arc<dyn Observer> = Arc::new(Notes::default());
    let sent = upload(&repository, &source, &layer(b"abc"), &Dialect::GENERIC, None, &observer).await;
    assert_eq!(sent.expect("sent").retries, 0);
    script.finish();
}

#[tokio::test]
async fn a_registry_does_not_decide_how_much_memory_is_used() {
    let script = Script::new().await;
    script.expect([
        session(1).header("OCI-Chunk-Min-Length", "1073741824"),
        put(1).without("content-range").with("content-length", "1500000").reply(201),
    ]);
    send(&script, &noise(1_500_000, 16), Some(ChunkSize::Bytes(PART))).await.0.expect("sent");
    script.finish();
}

#[tokio::test]
async fn parts_after_a_413() {
    let script = Script::new().await;
    script.expect([
        session(1),
        put(1).reply(413).header("Content-Type", "text/html").body("<html>too large</html>"),
        cancel(1),
        session(2),
        patch(2, "0-1999999").reply(202),
        put(2).with("content-range", "2000000-3999999").reply(201),
    ]);
    send(&script, &noise(4_000_000, 9), None).await.0.expect("sent");
    script.finish();
}

#[tokio::test]
async fn parts_after_a_whole_blob_was_cut_off_twice() {
    let script = Script::new().await;
    let dialect = Dialect { chunking: Chunking { part: PART, ..Dialect::GENERIC.chunking }, ..Dialect::GENERIC };
    script.expect([
        session(1),
        put(1).hangs_up_after(700_000),
        // No DELETE: a registry that got all of it may be storing it.
        head().reply(404),
        session(2),
        patch(2, "0-1048575").hangs_up_after(10),
        patch(2, "0-1048575").error(404, "BLOB_UPLOAD_UNKNOWN"),
        cancel(2),
        session(3),
        patch(3, "0-1048575").reply(202),
        put(3).with("content-range", "1048576-1999999").reply(201),
    ]);
    let bytes = noise(2_000_000, 13);
    let (sent, _) = send_from(&script, Memory::default().with(&bytes), &layer(&bytes), dialect).await;
    assert_eq!(sent.expect("sent").retries, 3);
    script.finish();
}

#[tokio::test]
async fn too_many_requests_are_waited_out_in_the_same_session() {
    let script = Script::new().await;
    script.expect([
        session(1),
        patch(1, "0-1048575").error(429, "TOOMANYREQUESTS").header("Retry-After", "1"),
        patch(1, "0-1048575").reply(202),
        put(1).reply(201),
    ]);
    let begun = std::time::Instant::now();
    send(&script, &noise(1_500_000, 10), Some(ChunkSize::Bytes(PART))).await.0.expect("sent");
    assert!(begun.elapsed().as_millis() >= 1000);
    script.finish();
}

#[tokio::test]
async fn a_whole_blob_waits_out_too_many_requests_in_its_session() {
    let script = Script::new().await;
    script.expect([
        session(1),
        put(1).error(429, "TOOMANYREQUESTS"),
        put(1).error(429, "TOOMANYREQUESTS"),
        put(1).with("content-length", "3").reply(201),
    ]);
    assert_eq!(send(&script, b"abc", None).await.0.expect("sent"), Sent { bytes: 9, retries: 2 });
    script.finish();

    // As often as any other request, and no session after session.
    script.expect([session(1), cancel(1)]);
    script.expect((0..4).map(|_| put(1).error(429, "TOOMANYREQUESTS")));
    let error = send(&script, b"abc", None).await.0.expect_err("too many requests");
    assert!(matches!(error, Error::TooManyRequests(_)), "{error}");
    script.finish();
}

#[tokio::test]
async fn a_last_part_that_arrived_before_a_429_is_not_sent_with_a_new_session() {
    let script = Script::new().await;
    // Its bytes were kept; it is the end of the upload that came too often.
    script.expect([
        session(1),
        patch(1, "0-1048575").reply(202),
        put(1).with("content-range", "1048576-1499999").error(429, "TOOMANYREQUESTS"),
        put(1).with("content-range", "1048576-1499999").error(416, "BLOB_UPLOAD_INVALID").header("Range", "0-1499999"),
        put(1).without("content-range").with("content-length", "0").reply(201),
    ]);
    send(&script, &noise(1_500_000, 15), Some(ChunkSize::Bytes(PART))).await.0.expect("sent");
    script.finish();
}

#[tokio::test]
async fn a_refusal_before_the_end_of_the_body_is_heard() {
    let script = Script::new().await;
    script.expect([
        session(1),
        put(1).replies_after(100_000).error(403, "DENIED").header("Connection", "close"),
        cancel(1),
    ]);
    let error = send(&script, &noise(20_000_000, 14), None).await.0.expect_err("a denial");
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    script.finish();
}

#[tokio::test]
async fn a_denial_is_final_and_names_the_repository() {
    let script = Script::new().await;
    script.expect([session(1), put(1).error(403, "DENIED"), cancel(1)]);
    let error = send(&script, b"abc", None).await.0.expect_err("a denial");
    assert!(matches!(error, Error::Denied(_)), "{error}");
    assert!(!error.to_string().contains("digest="), "{error}");
    script.finish();
}

#[tokio::test]
async fn a_damaged_blob_never_arrives_whole() {
    for size in [None, Some(ChunkSize::Bytes(PART))] {
        let script = Script::new().await;
        let bytes = noise(1_400_000, 11);
        let mut damaged = bytes.clone();
        damaged[1_399_999] ^= 1;
        let mut source = Memory::default();
        source.0.insert(layer(&bytes).digest, damaged);
        script.expect([session(1), cancel(1)]);
        script.expect(match size {
            None => [put(1).reply(201)],
            Some(_) => [patch(1, "0-1048575").reply(202)],
        });
        let (result, _) = send_from(&script, source, &layer(&bytes), Dialect::GENERIC.with(size)).await;
        let error = result.expect_err("damage");
        assert!(matches!(error, Error::Blob(_)), "{error}");
        assert!(error.to_string().contains(&layer(&bytes).digest.to_string()));
        let sent: usize = script.finish().iter().map(|request| request.body.len()).sum();
        assert!(sent < bytes.len(), "{sent}");
    }
}

#[tokio::test]
async fn a_server_that_stops_reading_is_given_up() {
    let script = Script::new().await;
    script.expect([
        session(1),
        patch(1, "0-1048575").never_answers(),
        patch(1, "0-1048575").reply(201),
        put(1).reply(201),
    ]);
    let mut settings = quick();
    settings.patience.stall = std::time::Duration::from_millis(300);
    settings.patience.answer = std::time::Duration::from_millis(300);
    let repository = client(settings).repository(&reference(&script.host, "app"), Access::Push).expect("a repository");
    let bytes = noise(1_500_000, 12);
    let source: Arc<dyn BlobSource> = Arc::new(Memory::default().with(&bytes));
    let observer: Arc<dyn Observer> = Arc::new(Notes::default());
    let dialect = Dialect::GENERIC.with(Some(ChunkSize::Bytes(PART)));
    let sent = upload(&repository, &source, &layer(&bytes), &dialect, None, &observer).await;
    assert_eq!(sent.expect("sent").retries, 1);
    script.finish();
}

#[tokio::test]
async fn a_location_elsewhere_gets_no_credentials_and_no_plain_http() {
    let (script, other) = (Script::new().await, Script::new().await);
    script.expect([on("POST", "/v2/app/blobs/uploads/")
        .reply(202)
        .header("Location", format!("http://{}/store/1?sig=x", other.host))]);
    other.expect([on("PUT", "/store/1?sig=x&digest=*").without("authorization").reply(201)]);
    send(&script, b"abc", None).await.0.expect("sent");
    other.finish();
    script.expect([on("POST", "/v2/app/blobs/uploads/").reply(202).header("Location", "http://example.com/store/1")]);
    let error = send(&script, b"abc", None).await.0.expect_err("plain http");
    assert!(matches!(error, Error::Redirect { .. }), "{error}");
    script.finish();
}

#[tokio::test]
async fn a_202_at_the_end_is_no_word_that_the_blob_is_there() {
    let script = Script::new().await;
    script.expect([session(1), put(1).reply(202), head().header("Content-Length", "3")]);
    assert_eq!(send(&script, b"abc", None).await.0.expect("sent").bytes, 3);
    script.finish();
    // Not given back either: whoever accepted it may be storing it.
    script.expect([session(1), put(1).reply(202), head().reply(404)]);
    let error = send(&script, b"abc", None).await.0.expect_err("nothing is there");
    let digest = layer(b"abc").digest;
    assert!(
        error.to_string().ends_with(&format!("it answers 202 instead of 201, and {digest} is not there")),
        "{error}"
    );
    script.finish();
}

#[tokio::test]
async fn who_wants_to_be_left_alone_for_long_is_not_asked_again() {
    let script = Script::new().await;
    let busy = |line: Line, status| line.reply(status).header("Retry-After", "86400");
    for status in [429, 503] {
        script.expect([busy(session(1), status)]);
        let error = send(&script, b"abc", None).await.0.expect_err("a refusal");
        assert!(error.to_string().ends_with("it wants to be left alone for 1day"), "{error}");
        script.finish();
        script.expect([session(1), busy(put(1), status)]);
        // What a server may be storing is looked for, and not given back.
        script.expect([if status == 503 { head().reply(404) } else { cancel(1) }]);
        let error = send(&script, b"abc", None).await.0.expect_err("a refusal");
        assert!(error.to_string().ends_with("it wants to be left alone for 1day"), "{error}");
        script.finish();
        script.expect([session(1), busy(patch(1, "0-1048575"), status), cancel(1)]);
        let error = send(&script, &noise(1_500_000, 17), Some(ChunkSize::Bytes(PART))).await.0.expect_err("a refusal");
        assert!(error.to_string().ends_with("it wants to be left alone for 1day"), "{error}");
        script.finish();
    }
}
