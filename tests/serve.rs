//! The embedded registry, asked over real HTTP: every endpoint, every refusal, and what survives a restart.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dockless::layout::{IMAGE_NAME, Layout};
use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::media_type::{DOCKER_MANIFEST, MediaType};
use dockless::serve::auth::{Access, Credentials};
use dockless::serve::fault::{Action, Fault};
use dockless::serve::log::Record;
use dockless::serve::route::Endpoint;
use dockless::serve::{Running, Server, Settings};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry over a folder of its own, and a client.
struct Registry {
    folder: TempDir,
    server: Running,
    client: Client,
    records: Arc<Mutex<Vec<Record>>>,
}

impl Registry {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let records: Arc<Mutex<Vec<Record>>> = Arc::default();
        let mut settings = Settings::new(&folder.path().join("oci"));
        let sink = records.clone();
        settings.log = Some(Arc::new(move |record| sink.lock().expect("no panic").push(record.clone())));
        change(&mut settings);
        let server = Server::start(settings).await.expect("a server");
        Self { folder, server, client: Client::builder().no_proxy().build().expect("a client"), records }
    }

    fn layout(&self) -> Layout {
        Layout::open(&self.folder.path().join("oci")).expect("a layout")
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.client.request(method, format!("{}{path}", self.server.url()))
    }

    async fn send(&self, method: &str, path: &str) -> Response {
        self.request(method, path).send().await.expect("an answer")
    }

    async fn json(&self, path: &str) -> Value {
        let response = self.send("GET", path).await;
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.expect("JSON")
    }

    /// The status and the error codes of the answer.
    async fn refused(&self, request: RequestBuilder) -> (u16, String) {
        refusal(request.send().await.expect("an answer")).await
    }

    async fn begin(&self, name: &str) -> String {
        let response = self.send("POST", &format!("/v2/{name}/blobs/uploads/")).await;
        assert_eq!(response.status(), 202);
        header(&response, "location")
    }

    /// Uploads a blob in one PUT.
    async fn blob(&self, name: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let location = self.begin(name).await;
        let response =
            self.request("PUT", &format!("{location}&digest={digest}")).body(bytes.to_vec()).send().await.expect("put");
        assert_eq!(response.status(), 201);
        digest
    }

    async fn put_manifest(&self, name: &str, reference: &str, media_type: &str, bytes: &[u8]) -> Response {
        let path = format!("/v2/{name}/manifests/{reference}");
        self.request("PUT", &path).header("content-type", media_type).body(bytes.to_vec()).send().await.expect("put")
    }

    /// Pushes an image with one layer under a tag.
    async fn image(&self, name: &str, tag: &str, content: &str) -> Descriptor {
        let bytes = self.prepare(name, content).await;
        let response = self.put_manifest(name, tag, MANIFEST, &bytes).await;
        assert_eq!(response.status(), 201);
        Descriptor::of(MediaType::ImageManifest, &bytes)
    }

    /// Pushes the blobs of an image; its manifest is the answer.
    async fn prepare(&self, name: &str, content: &str) -> Vec<u8> {
        self.blob(name, b"{}").await;
        self.blob(name, content.as_bytes()).await;
        manifest(content).to_string().into_bytes()
    }
}

fn manifest(content: &str) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::of(b"{}"), "size": 2
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": Digest::of(content.as_bytes()),
            "size": content.len()
        }]
    })
}

fn index(children: &[&Descriptor]) -> Vec<u8> {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }).to_string().into_bytes()
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
}

async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("an error envelope");
    let codes: Vec<&str> = body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| error["code"].as_str().expect("a code"))
        .collect();
    (status, codes.join(" "))
}

fn no(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn base_and_unknown_paths() {
    let registry = Registry::new().await;
    let response = registry.send("GET", "/v2/").await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "docker-distribution-api-version"), "registry/2.0");
    assert_eq!(registry.refused(registry.request("GET", "/")).await, no(404, "UNSUPPORTED"));
    assert_eq!(registry.refused(registry.request("POST", "/v2/")).await, no(405, "UNSUPPORTED"));
    assert_eq!(registry.refused(registry.request("GET", "/v2/A/tags/list")).await, no(400, "NAME_INVALID"));
    assert_eq!(registry.refused(registry.request("GET", "/v2/..%2Fa/tags/list")).await, no(400, "NAME_INVALID"));
    assert_eq!(registry.refused(registry.request("GET", "/v2/a/tags/list")).await, no(404, "NAME_UNKNOWN"));
    let digest = Digest::of(b"");
    for path in [format!("/v2/a/blobs/{digest}"), format!("/v2/a/manifests/{digest}"), "/v2/a/manifests/v1".into()] {
        assert_eq!(registry.refused(registry.request("GET", &path)).await, no(404, "NAME_UNKNOWN"), "{path}");
        let response = registry.send("HEAD", &path).await;
        assert_eq!(response.status(), 404);
    }
    let path = format!("/v2/a/blobs/sha256:{}", "../".repeat(21) + "x");
    assert_eq!(registry.send("GET", &path).await.status(), 404);
    assert_eq!(registry.refused(registry.request("GET", "/v2/a/blobs/sha256:00")).await, no(400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn a_blob_in_one_put_and_its_ranges() {
    let registry = Registry::new().await;
    let digest = registry.blob("a/b", b"0123456789").await;
    let path = format!("/v2/a/b/blobs/{digest}");
    let response = registry.send("HEAD", &path).await;
    assert_eq!((response.status().as_u16(), header(&response, "content-length")), (200, "10".into()));
    assert_eq!(header(&response, "docker-content-digest"), digest.to_string());
    let response = registry.send("GET", &path).await;
    assert_eq!(response.bytes().await.expect("the bytes"), "0123456789");

    for (range, content_range, bytes) in [
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=5-500", "bytes 5-9/10", "56789"),
    ] {
        let response = registry.request("GET", &path).header("range", range).send().await.expect("an answer");
        assert_eq!(response.status(), 206);
        assert_eq!(header(&response, "content-range"), content_range);
        assert_eq!(response.bytes().await.expect("the bytes"), bytes);
    }
    let response = registry.request("GET", &path).header("range", "bytes=10-").send().await.expect("an answer");
    assert_eq!(response.status(), 416);
    assert_eq!(header(&response, "content-range"), "bytes */10");

    // In the repository that it was pushed to, and nowhere else.
    assert_eq!(registry.send("HEAD", &format!("/v2/b/a/blobs/{digest}")).await.status(), 404);
    let empty = registry.blob("a/b", b"").await;
    assert_eq!(registry.send("HEAD", &format!("/v2/a/b/blobs/{empty}")).await.status(), 200);
}

#[tokio::test]
async fn a_blob_in_one_post() {
    let registry = Registry::new().await;
    let digest = Digest::of(b"one");
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    let response = registry.request("POST", &path).body("one").send().await.expect("an answer");
    assert_eq!(response.status(), 201);
    assert_eq!(header(&response, "location"), format!("/v2/a/blobs/{digest}"));
    assert_eq!(registry.refused(registry.request("POST", &path).body("two")).await, no(400, "DIGEST_INVALID"));
    assert_eq!(
        registry.refused(registry.request("POST", "/v2/a/blobs/uploads/?digest=md5:1").body("x")).await,
        no(400, "DIGEST_INVALID")
    );
}

#[tokio::test]
async fn mounts_what_the_other_repository_has() {
    let registry = Registry::new().await;
    let digest = registry.blob("one", b"layer").await;
    let mount = |digest: Digest, from: &str| format!("/v2/two/blobs/uploads/?mount={digest}{from}");
    let response = registry.send("POST", &mount(digest, "&from=three")).await;
    assert_eq!(response.status(), 202);
    assert!(header(&response, "location").starts_with("/v2/two/blobs/uploads/"));
    assert_eq!(registry.send("POST", &mount(digest, "")).await.status(), 202);
    assert_eq!(registry.send("POST", &mount(Digest::of(b"x"), "&from=one")).await.status(), 202);
    assert_eq!(registry.send("HEAD", &format!("/v2/two/blobs/{digest}")).await.status(), 404);
    let response = registry.send("POST", &mount(digest, "&from=one")).await;
    assert_eq!(response.status(), 201);
    assert_eq!(header(&response, "docker-content-digest"), digest.to_string());
    assert_eq!(registry.send("HEAD", &format!("/v2/two/blobs/{digest}")).await.status(), 200);
}

#[tokio::test]
async fn a_blob_in_chunks() {
    let registry = Registry::new().await;
    let location = registry.begin("a").await;
    let patch = |range: &str, bytes: &'static str| {
        registry.request("PATCH", &location).header("content-range", range.to_owned()).body(bytes)
    };
    let response = registry.send("GET", &location).await;
    assert_eq!((response.status().as_u16(), header(&response, "range")), (204, "0-0".into()));

    let response = patch("0-3", "0123").send().await.expect("an answer");
    assert_eq!((response.status().as_u16(), header(&response, "range")), (202, "0-3".into()));
    assert_eq!(header(&response, "location"), location);
    for range in ["0-3", "5-8", "3-6"] {
        let response = patch(range, "4567").send().await.expect("an answer");
        assert_eq!((response.status().as_u16(), header(&response, "range")), (416, "0-3".into()));
        assert_eq!(refusal(response).await.1, "BLOB_UPLOAD_INVALID");
    }
    assert_eq!(registry.refused(patch("4-8", "4567")).await, no(400, "SIZE_INVALID"));
    assert_eq!(registry.refused(patch("four", "4567")).await, no(400, "BLOB_UPLOAD_INVALID"));
    let response = patch("bytes 4-7/*", "4567").send().await.expect("an answer");
    assert_eq!((response.status().as_u16(), header(&response, "range")), (202, "0-7".into()));
    let response = registry.send("GET", &location).await;
    assert_eq!(header(&response, "range"), "0-7");

    // The last chunk on the PUT that completes it.
    let digest = Digest::of(b"0123456789");
    let put = registry.request("PUT", &format!("{location}&digest={digest}"));
    let response = put.header("content-range", "8-9").body("89").send().await.expect("an answer");
    assert_eq!(response.status(), 201);
    assert_eq!(registry.refused(registry.request("GET", &location)).await, no(404, "BLOB_UPLOAD_UNKNOWN"));
}

#[tokio::test]
async fn a_stream_without_a_length() {
    let registry = Registry::new().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let location = registry.begin("a").await;
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = bytes.chunks(70_001).map(|piece| Ok(piece.to_vec())).collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let response = registry.request("PATCH", &location).body(body).send().await.expect("an answer");
    assert_eq!((response.status().as_u16(), header(&response, "range")), (202, "0-2999999".into()));
    let digest = Digest::of(&bytes);
    let response = registry.send("PUT", &format!("{location}&digest={digest}")).await;
    assert_eq!(response.status(), 201);
    let response = registry.send("GET", &format!("/v2/a/blobs/{digest}")).await;
    assert_eq!(response.bytes().await.expect("the bytes"), bytes);
    let records = registry.records.lock().expect("no panic");
    let patch = records.iter().find(|record| record.method == "PATCH").expect("a record");
    assert_eq!((patch.length, patch.bytes_in, patch.status), (None, 3_000_000, Some(202)));
    assert_eq!(patch.query, ["_state"]);
}

#[tokio::test]
async fn uploads_that_do_not_end_well() {
    let registry = Registry::new().await;
    let location = registry.begin("a").await;
    let (path, _) = location.split_once('?').expect("a state");
    assert_eq!(registry.refused(registry.request("GET", path)).await, no(400, "BLOB_UPLOAD_INVALID"));
    let other = format!("{path}?_state=0");
    assert_eq!(registry.refused(registry.request("PATCH", &other).body("x")).await, no(404, "BLOB_UPLOAD_UNKNOWN"));
    let elsewhere = location.replace("/v2/a/", "/v2/b/");
    assert_eq!(registry.refused(registry.request("GET", &elsewhere)).await, no(404, "BLOB_UPLOAD_UNKNOWN"));
    assert_eq!(registry.refused(registry.request("PUT", &location).body("x")).await, no(400, "DIGEST_INVALID"));

    let wrong = format!("{location}&digest={}", Digest::of(b"y"));
    assert_eq!(registry.refused(registry.request("PUT", &wrong).body("x")).await, no(400, "DIGEST_INVALID"));
    assert_eq!(registry.refused(registry.request("GET", &location)).await, no(404, "BLOB_UPLOAD_UNKNOWN"));

    let location = registry.begin("a").await;
    registry.request("PATCH", &location).body("half").send().await.expect("an answer");
    assert_eq!(files(&registry), 1);
    assert_eq!(registry.send("DELETE", &location).await.status(), 204);
    assert_eq!(registry.refused(registry.request("DELETE", &location)).await, no(404, "BLOB_UPLOAD_UNKNOWN"));
    assert_eq!(files(&registry), 0);
}

fn files(registry: &Registry) -> usize {
    std::fs::read_dir(registry.layout().root().join("blobs/sha256")).expect("the folder").count()
}

#[tokio::test]
async fn idle_uploads_expire() {
    let registry = Registry::with(|settings| settings.idle = Duration::from_millis(100)).await;
    let location = registry.begin("a").await;
    registry.request("PATCH", &location).body("half").send().await.expect("an answer");
    for _ in 0..100 {
        if files(&registry) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(files(&registry), 0);
    assert_eq!(registry.refused(registry.request("GET", &location)).await, no(404, "BLOB_UPLOAD_UNKNOWN"));
}

#[tokio::test]
async fn manifests_by_tag_and_digest() {
    let registry = Registry::new().await;
    let bytes = registry.prepare("a/b", "layer").await;
    let digest = Digest::of(&bytes);
    let response = registry.put_manifest("a/b", "v1", MANIFEST, &bytes).await;
    assert_eq!(response.status(), 201);
    assert_eq!(header(&response, "location"), format!("/v2/a/b/manifests/{digest}"));
    assert_eq!(header(&response, "docker-content-digest"), digest.to_string());
    for reference in ["v1".to_owned(), digest.to_string(), digest.to_string().replace(':', "%3A")] {
        let path = format!("/v2/a/b/manifests/{reference}");
        let response = registry.send("HEAD", &path).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-length"), bytes.len().to_string());
        let response = registry.send("GET", &path).await;
        assert_eq!(header(&response, "content-type"), MANIFEST);
        assert_eq!(header(&response, "docker-content-digest"), digest.to_string());
        assert_eq!(response.bytes().await.expect("the bytes"), bytes);
    }
    // The same again, a second tag, and the first tag on something else: the old manifest stays.
    assert_eq!(registry.put_manifest("a/b", "v1", MANIFEST, &bytes).await.status(), 201);
    assert_eq!(registry.put_manifest("a/b", "v2", MANIFEST, &bytes).await.status(), 201);
    assert_eq!(registry.layout().index().expect("an index").manifests.len(), 2);
    let next = registry.image("a/b", "v1", "another").await;
    registry.image("a/b", "v2", "another").await;
    assert_eq!(registry.json("/v2/a/b/tags/list").await, json!({ "name": "a/b", "tags": ["v1", "v2"] }));
    let response = registry.send("HEAD", "/v2/a/b/manifests/v1").await;
    assert_eq!(header(&response, "docker-content-digest"), next.digest.to_string());
    assert_eq!(registry.send("HEAD", &format!("/v2/a/b/manifests/{digest}")).await.status(), 200);
    assert_eq!(registry.refused(registry.request("GET", "/v2/a/b/manifests/v3")).await, no(404, "MANIFEST_UNKNOWN"));
}

#[tokio::test]
async fn manifests_that_are_refused() {
    let registry = Registry::new().await;
    let bytes = registry.prepare("a", "layer").await;
    let put = async |reference: &str, media_type: &str, bytes: &[u8]| {
        refusal(registry.put_manifest("a", reference, media_type, bytes).await).await
    };
    let invalid = no(400, "MANIFEST_INVALID");
    assert_eq!(put("v1", MANIFEST, b"{").await, invalid);
    assert_eq!(put("v1", MANIFEST, b"[]").await, invalid);
    assert_eq!(put("v1", INDEX, &bytes).await, invalid);
    assert_eq!(put("v1", DOCKER_MANIFEST, &bytes).await, invalid);
    assert_eq!(put("v1", "text/plain", b"{\"schemaVersion\":2}").await, invalid);
    assert_eq!(put("-v1", MANIFEST, &bytes).await, invalid);
    assert_eq!(put("sha256:12", MANIFEST, &bytes).await, no(400, "DIGEST_INVALID"));
    let mut both = manifest("layer");
    both["manifests"] = json!([]);
    assert_eq!(put("v1", MANIFEST, both.to_string().as_bytes()).await, invalid);
    let mut old = manifest("layer");
    old["schemaVersion"] = json!(1);
    assert_eq!(put("v1", MANIFEST, old.to_string().as_bytes()).await, invalid);
    let mut larger = manifest("layer");
    larger["layers"][0]["size"] = json!(6);
    assert_eq!(put("v1", MANIFEST, larger.to_string().as_bytes()).await, no(400, "SIZE_INVALID"));
    assert_eq!(put(&Digest::of(b"{}").to_string(), MANIFEST, &bytes).await, no(400, "DIGEST_INVALID"));
    assert_eq!(put("v1", MANIFEST, &vec![b' '; (4 << 20) + 1]).await.0, 413);

    let missing = manifest("missing").to_string().into_bytes();
    let response = registry.put_manifest("a", "v1", MANIFEST, &missing).await;
    assert_eq!(response.status(), 400);
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["errors"][0]["code"], "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(body["errors"][0]["detail"]["digest"], json!(Digest::of(b"missing")));
    let child = Descriptor::of(MediaType::ImageManifest, &bytes);
    assert_eq!(put("v1", INDEX, &index(&[&child])).await, no(400, "MANIFEST_BLOB_UNKNOWN"));
    // Blobs of another repository do not count.
    let response = registry.put_manifest("b", "v1", MANIFEST, &bytes).await;
    assert_eq!(refusal(response).await, no(400, "MANIFEST_BLOB_UNKNOWN MANIFEST_BLOB_UNKNOWN"));
    assert_eq!(registry.layout().index().expect("an index").manifests, []);
}

#[tokio::test]
async fn children_first_and_one_entry_in_the_end() {
    let registry = Registry::new().await;
    let mut children = Vec::new();
    for content in ["amd64", "arm64"] {
        let bytes = registry.prepare("a", content).await;
        let child = Descriptor::of(MediaType::ImageManifest, &bytes);
        let response = registry.put_manifest("a", &child.digest.to_string(), MANIFEST, &bytes).await;
        assert_eq!(response.status(), 201);
        children.push(child);
    }
    let entries = || registry.layout().index().expect("an index").manifests;
    assert_eq!(entries().len(), 2);
    assert_eq!(registry.json("/v2/a/tags/list").await["tags"], json!([]));
    let bytes = index(&children.iter().collect::<Vec<_>>());
    assert_eq!(registry.put_manifest("a", "v1", INDEX, &bytes).await.status(), 201);
    assert_eq!(entries().len(), 1);
    assert_eq!(entries()[0].annotations[IMAGE_NAME], "localhost/a:v1");

    // A child cannot go while the index is there; once that is deleted, it stays by itself.
    let child = format!("/v2/a/manifests/{}", children[0].digest);
    assert_eq!(registry.refused(registry.request("DELETE", &child)).await, no(405, "UNSUPPORTED"));
    let top = format!("/v2/a/manifests/{}", Digest::of(&bytes));
    assert_eq!(registry.send("DELETE", &top).await.status(), 202);
    assert_eq!(registry.send("GET", "/v2/a/manifests/v1").await.status(), 404);
    assert_eq!(registry.send("GET", &child).await.status(), 200);
    assert_eq!(registry.send("DELETE", &child).await.status(), 202);
    assert_eq!(registry.refused(registry.request("DELETE", &child)).await, no(404, "MANIFEST_UNKNOWN"));
    assert_eq!(entries().len(), 1);
}

#[tokio::test]
async fn a_failure_of_the_disk_is_told_to_the_client_and_to_the_log() {
    let registry = Registry::new().await;
    let layout = registry.layout().root().to_owned();
    std::fs::remove_dir_all(layout.join("blobs")).expect("no folder");
    let response = registry.send("POST", &format!("/v2/a/blobs/uploads/?digest={}", Digest::of(b""))).await;
    assert_eq!(response.status(), 500);
    let said = response.text().await.expect("a text");
    assert!(said.contains("the registry failed: entity not found"), "{said}");
    assert!(!said.contains(&layout.display().to_string()), "a path is for the log: {said}");
    let records = registry.records.lock().expect("no panic");
    let failed = records.iter().find(|record| record.failed).expect("a failure");
    assert!(failed.error.as_ref().expect("words").contains(&layout.display().to_string()), "{failed:?}");
}

#[tokio::test]
async fn a_restart_finds_what_was_pushed() {
    let registry = Registry::new().await;
    let image = registry.image("team/app", "v1", "layer").await;
    let bytes = registry.prepare("team/app", "untagged").await;
    let untagged = Digest::of(&bytes);
    registry.put_manifest("team/app", &untagged.to_string(), MANIFEST, &bytes).await;
    let lost = registry.blob("team/app", b"nobody refers to me").await;
    // What a server that is killed leaves.
    std::fs::write(registry.layout().root().join("blobs/sha256/.tmp-dead"), "half").expect("a file");

    let Registry { folder, server, client, records } = registry;
    let before = server.local_addr();
    server.stop().await.expect("a good end");
    let server = Server::start(Settings::new(&folder.path().join("oci"))).await.expect("a server");
    assert_ne!(server.local_addr(), before);
    let registry = Registry { folder, server, client, records };
    assert_eq!(registry.json("/v2/_catalog").await["repositories"], json!(["team/app"]));
    assert_eq!(registry.json("/v2/team/app/tags/list").await["tags"], json!(["v1"]));
    for digest in [image.digest, untagged] {
        assert_eq!(registry.send("GET", &format!("/v2/team/app/manifests/{digest}")).await.status(), 200);
    }
    let layer = Digest::of(b"layer");
    assert_eq!(registry.send("HEAD", &format!("/v2/team/app/blobs/{layer}")).await.status(), 200);
    assert_eq!(registry.send("HEAD", &format!("/v2/team/app/blobs/{lost}")).await.status(), 404);
    // Two manifests, two layers, one configuration, and the blob without a manifest: it may be somebody's. No temporary
    // file.
    assert_eq!(files(&registry), 6);
}

#[tokio::test]
async fn serves_what_a_build_writes_meanwhile() {
    let registry = Registry::new().await;
    let root = registry.layout().root().to_owned();
    let build = |name: Option<&str>, content: &str| {
        let session = Layout::session(&root).expect("a session");
        for bytes in [b"{}".as_slice(), content.as_bytes()] {
            session.put(bytes).expect("a blob");
        }
        let bytes = manifest(content).to_string().into_bytes();
        session.put(&bytes).expect("a blob");
        let mut entry = Descriptor::of(MediaType::ImageManifest, &bytes);
        if let Some(name) = name {
            entry.annotations.insert(IMAGE_NAME.into(), name.into());
        }
        session.finish(vec![entry.clone()]).expect("an index");
        entry.digest
    };
    let pushed = registry.blob("elsewhere", b"no manifest yet").await;
    let ecr = build(Some("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:v1"), "one");
    let nameless = build(None, "two");
    let tag = async |path: &str| header(&registry.send("HEAD", path).await, "docker-content-digest");
    assert_eq!(tag("/v2/team/app/manifests/v1").await, ecr.to_string());
    assert_eq!(tag("/v2/oci/manifests/latest").await, nameless.to_string());
    // A build that ends must not sweep away what a client is about to refer to.
    assert_eq!(registry.send("HEAD", &format!("/v2/elsewhere/blobs/{pushed}")).await.status(), 200);
    // Pushing over a tag that a build made replaces it, and keeps the old one by its digest.
    let next = registry.image("team/app", "v1", "three").await;
    assert_eq!(tag("/v2/team/app/manifests/v1").await, next.digest.to_string());
    assert_eq!(registry.send("HEAD", &format!("/v2/team/app/manifests/{ecr}")).await.status(), 200);
}

#[tokio::test]
async fn lists_in_pages() {
    let registry = Registry::new().await;
    let bytes = registry.prepare("a", "layer").await;
    for tag in ["b", "C", "a", "d", "B"] {
        assert_eq!(registry.put_manifest("a", tag, MANIFEST, &bytes).await.status(), 201);
    }
    assert_eq!(registry.json("/v2/a/tags/list").await["tags"], json!(["a", "B", "b", "C", "d"]));
    let (mut path, mut seen) = ("/v2/a/tags/list?n=2".to_owned(), Vec::new());
    loop {
        let response = registry.send("GET", &path).await;
        let link = header(&response, "link");
        let page: Value = response.json().await.expect("JSON");
        seen.push(page["tags"].as_array().expect("tags").len());
        match link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, [2, 2, 1]);
    assert_eq!(registry.json("/v2/a/tags/list?last=C").await["tags"], json!(["d"]));
    assert_eq!(registry.json("/v2/a/tags/list?n=0").await["tags"], json!([]));
    assert_eq!(registry.refused(registry.request("GET", "/v2/a/tags/list?n=x")).await.0, 400);
    registry.blob("manifests/blobs", b"x").await;
    assert_eq!(registry.json("/v2/_catalog?n=1").await["repositories"], json!(["a"]));
    assert_eq!(registry.json("/v2/_catalog?last=a").await["repositories"], json!(["manifests/blobs"]));
}

#[tokio::test]
async fn referrers_of_a_subject() {
    let registry = Registry::new().await;
    let subject = registry.image("a", "v1", "layer").await;
    let path = format!("/v2/a/referrers/{}", subject.digest);
    assert_eq!(registry.json(&path).await["manifests"], json!([]));
    let mut digests = Vec::new();
    for kind in ["application/spdx+json", "application/vnd.example.signature"] {
        let mut referrer = manifest("layer");
        referrer["subject"] = json!(subject);
        referrer["artifactType"] = json!(kind);
        referrer["annotations"] = json!({ "made": "today" });
        let bytes = referrer.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let response = registry.put_manifest("a", &digest.to_string(), MANIFEST, &bytes).await;
        assert_eq!(header(&response, "oci-subject"), subject.digest.to_string());
        digests.push(digest);
    }
    let response = registry.send("GET", &path).await;
    assert_eq!(header(&response, "content-type"), INDEX);
    assert_eq!(header(&response, "oci-filters-applied"), "");
    let all: Value = response.json().await.expect("JSON");
    assert_eq!(all["manifests"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["manifests"][0]["annotations"]["made"], "today");
    let response = registry.send("GET", &format!("{path}?artifactType=application/spdx%2Bjson")).await;
    assert_eq!(header(&response, "oci-filters-applied"), "artifactType");
    let some: Value = response.json().await.expect("JSON");
    assert_eq!(some["manifests"].as_array().map(Vec::len), Some(1));
    assert_eq!(some["manifests"][0]["digest"], json!(digests[0]));
    assert_eq!(registry.json(&format!("/v2/nobody/referrers/{}", subject.digest)).await["manifests"], json!([]));
    assert_eq!(registry.refused(registry.request("GET", "/v2/a/referrers/x")).await, no(400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn deletes_tags_manifests_and_blobs() {
    let registry = Registry::new().await;
    let image = registry.image("a", "v1", "layer").await;
    registry.image("a", "v2", "layer").await;
    let layer = format!("/v2/a/blobs/{}", Digest::of(b"layer"));
    let by_digest = format!("/v2/a/manifests/{}", image.digest);
    assert_eq!(registry.refused(registry.request("DELETE", &layer)).await, no(405, "UNSUPPORTED"));
    assert_eq!(registry.send("DELETE", "/v2/a/manifests/v1").await.status(), 202);
    assert_eq!(registry.refused(registry.request("DELETE", "/v2/a/manifests/v1")).await, no(404, "MANIFEST_UNKNOWN"));
    assert_eq!(registry.send("DELETE", "/v2/a/manifests/v2").await.status(), 202);
    assert_eq!(registry.send("GET", &by_digest).await.status(), 200);
    assert_eq!(registry.send("DELETE", &by_digest).await.status(), 202);
    assert_eq!(registry.refused(registry.request("GET", &by_digest)).await, no(404, "MANIFEST_UNKNOWN"));
    assert_eq!(registry.send("DELETE", &layer).await.status(), 202);
    assert_eq!(registry.refused(registry.request("DELETE", &layer)).await, no(404, "BLOB_UNKNOWN"));
    assert_eq!(registry.layout().index().expect("an index").manifests, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once() {
    let registry = Arc::new(Registry::new().await);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..24_u32 {
        let registry = registry.clone();
        tasks.spawn(async move {
            let name = format!("team/{}", number % 3);
            // A shared layer, and one of its own of two megabytes.
            let content: String = format!("{number:08}").repeat(250_000);
            registry.blob(&name, b"shared").await;
            registry.image(&name, &format!("v{number}"), &content).await;
            let path = format!("/v2/{name}/blobs/{}", Digest::of(content.as_bytes()));
            let bytes = registry.send("GET", &path).await.bytes().await.expect("the bytes");
            assert_eq!(bytes, content);
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.expect("no panic");
    }
    assert_eq!(registry.layout().index().expect("an index").manifests.len(), 24);
    assert_eq!(registry.json("/v2/team/1/tags/list").await["tags"].as_array().map(Vec::len), Some(8));
}

#[tokio::test]
async fn basic_credentials() {
    let credentials = Credentials { user: "AWS".into(), password: "secret".into() };
    assert!(!format!("{credentials:?}").contains("secret"));
    let registry = Registry::with(|settings| settings.access = Access::Basic(credentials)).await;
    let response = registry.send("GET", "/v2/").await;
    assert_eq!(response.status(), 401);
    assert!(header(&response, "www-authenticate").starts_with("Basic realm=\"http://127.0.0.1:"));
    assert_eq!(refusal(response).await.1, "UNAUTHORIZED");
    let with = |password| registry.request("GET", "/v2/").basic_auth("AWS", Some(password)).send();
    assert_eq!(with("wrong").await.expect("an answer").status(), 401);
    assert_eq!(with("secret").await.expect("an answer").status(), 200);
    assert!(!format!("{:?}", registry.records.lock().expect("no panic")).contains("secret"));
}

#[tokio::test]
async fn a_name_that_only_resolves_to_us_is_not_ours() {
    let registry = Registry::with(|settings| settings.registry = "registry.example:443".into()).await;
    let with = |host: &str| registry.request("GET", "/v2/").header("host", host.to_owned()).send();
    for host in ["localhost", "LOCALHOST:80", "a.localhost:1", "[::1]:80", "127.0.0.1", "registry.example"] {
        assert_eq!(with(host).await.expect("an answer").status(), 200, "{host}");
    }
    assert_eq!(with("attacker.example:80").await.expect("an answer").status(), 421);
}

#[tokio::test]
async fn bearer_tokens() {
    let credentials = Credentials { user: "me".into(), password: "secret".into() };
    let lifetime = Duration::from_millis(400);
    let registry =
        Registry::with(|settings| settings.access = Access::Bearer { credentials: Some(credentials), lifetime }).await;
    let response = registry.send("POST", "/v2/a/b/blobs/uploads/").await;
    assert_eq!(response.status(), 401);
    let url = registry.server.url();
    let challenge = format!("Bearer realm=\"{url}/token\",service=\"{url}\",scope=\"repository:a/b:pull,push\"");
    assert_eq!(header(&response, "www-authenticate"), challenge);

    let token = async |scope: &str| {
        let path = format!("/token?service=x&scope={scope}");
        assert_eq!(registry.send("GET", &path).await.status(), 401);
        let response = registry.request("GET", &path).basic_auth("me", Some("secret")).send().await.expect("a token");
        let body: Value = response.json().await.expect("JSON");
        body["token"].as_str().expect("a token").to_owned()
    };
    let post = async |name: &str, token: &str| {
        let path = format!("/v2/{name}/blobs/uploads/");
        registry.request("POST", &path).bearer_auth(token).send().await.expect("an answer")
    };
    let pull = token("repository:a/b:pull").await;
    let response = post("a/b", &pull).await;
    assert_eq!(response.status(), 401);
    assert!(header(&response, "www-authenticate").ends_with(",error=\"insufficient_scope\""));
    let push = token("repository:a/b:pull,push").await;
    assert_eq!(post("a/b", &push).await.status(), 202);
    assert_eq!(post("a/c", &push).await.status(), 401);
    tokio::time::sleep(lifetime).await;
    let response = post("a/b", &push).await;
    assert_eq!(response.status(), 401);
    assert!(header(&response, "www-authenticate").ends_with(",error=\"invalid_token\""));
}

#[tokio::test]
async fn faults_come_as_they_are_ordered() {
    let fault = |method: Method, endpoint, action| Fault::first(method, endpoint, action);
    let later = Fault { skip: 1, ..fault(Method::PATCH, Endpoint::Upload, Action::LoseAnswer) };
    let registry = Registry::with(|settings| {
        settings.faults = vec![
            fault(Method::GET, Endpoint::Base, Action::Status { status: 429, retry_after: Some(3) }),
            fault(Method::PATCH, Endpoint::Upload, Action::HangUpAfter(5)),
            later,
            fault(Method::GET, Endpoint::Blob, Action::CutAnswer(4)),
        ];
    })
    .await;
    let response = registry.send("GET", "/v2/").await;
    assert_eq!((response.status(), header(&response, "retry-after")), (StatusCode::TOO_MANY_REQUESTS, "3".into()));
    assert_eq!(registry.send("GET", "/v2/").await.status(), 200);

    let location = registry.begin("a").await;
    assert!(registry.request("PATCH", &location).body("0123456789").send().await.is_err());
    assert_eq!(header(&registry.send("GET", &location).await, "range"), "0-4");
    assert!(registry.request("PATCH", &location).body("56789").send().await.is_err());
    assert_eq!(header(&registry.send("GET", &location).await, "range"), "0-9");
    let digest = Digest::of(b"0123456789");
    assert_eq!(registry.send("PUT", &format!("{location}&digest={digest}")).await.status(), 201);

    let path = format!("/v2/a/blobs/{digest}");
    let response = registry.send("GET", &path).await;
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err());
    assert_eq!(registry.send("GET", &path).await.bytes().await.expect("the bytes"), "0123456789");
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_what_it_sent() {
    use tokio::io::AsyncWriteExt;
    let registry = Registry::new().await;
    let location = registry.begin("a").await;
    let mut stream = tokio::net::TcpStream::connect(registry.server.local_addr()).await.expect("a connection");
    let head = format!("PATCH {location} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nhalf a blob");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.shutdown().await.expect("hung up");
    drop(stream);
    let mut range = String::new();
    for _ in 0..100 {
        range = header(&registry.send("GET", &location).await, "range");
        if range != "0-0" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(range, "0-10");
    assert_eq!(std::fs::read_dir(registry.layout().root()).expect("the folder").count(), 3);
}

#[tokio::test]
async fn refuses_what_it_cannot_serve() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("thesis.txt"), "do not touch").expect("a file");
    assert!(Server::bind(Settings::new(folder.path())).await.is_err());
    let settings = Settings { registry: "not a host".into(), ..Settings::new(Path::new("/nowhere")) };
    assert!(Server::bind(settings).await.is_err());
}

#[tokio::test]
async fn an_independent_client_pushes_and_pulls() {
    use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
    use oci_client::secrets::RegistryAuth;

    let registry = Registry::new().await;
    let client = oci_client::Client::new(ClientConfig {
        protocol: ClientProtocol::Http,
        use_monolithic_push: true,
        ..ClientConfig::default()
    });
    let reference: oci_client::Reference =
        format!("{}/team/app:v1", registry.server.local_addr()).parse().expect("a reference");
    let auth = RegistryAuth::Anonymous;
    let media_type = "application/vnd.oci.image.layer.v1.tar";
    let layer = ImageLayer::new(vec![7; 1 << 20], media_type.to_owned(), None);
    let config = Config::oci_v1(b"{\"architecture\":\"amd64\",\"os\":\"linux\"}".to_vec(), None);
    client.push(&reference, std::slice::from_ref(&layer), config, &auth, None).await.expect("a push");
    let image = client.pull(&reference, &auth, vec![media_type]).await.expect("a pull");
    assert_eq!(image.layers[0].data, layer.data);
    let tags = client.list_tags(&reference, &auth, None, None).await.expect("tags");
    assert_eq!(tags.tags, ["v1"]);
}
