//! Credentials stay where they belong: what a registry sends us to on another origin gets none, even where it asks.

use std::sync::Arc;

use dockless::blob::BlobSource;
use dockless::event::{Observer, Silent};
use dockless::oci::digest::Digest;
use dockless::oci::media_type::MediaType;
use dockless::registry::auth::Credentials;
use dockless::registry::client::{Access, Repository, Settings};
use dockless::registry::error::Error;
use dockless::registry::upload::dialect::{ChunkSize, Dialect};
use dockless::registry::upload::upload;
use dockless::secret::Secret;

use crate::script::{Line, Script, on};
use crate::{Memory, client, layer, noise, quick, reference};

const ECR: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
const PUBLIC: &str = "public.ecr.aws";
/// `AWS:hunter2`
const BASIC: &str = "Basic QVdTOmh1bnRlcjI=";
const PART: usize = 1 << 20;

/// A repository of the script's under the name of another registry, for which we have a password.
fn repository(script: &Script, host: &str) -> Repository {
    let endpoints = format!("{host}=http://{}", script.host).parse().expect("endpoints");
    let authenticator = Arc::new(Credentials::Basic { user: "AWS".into(), password: Secret::new("hunter2") });
    let settings = Settings { endpoints, authenticator, ..quick() };
    client(settings).repository(&reference(host, "app"), Access::Push).expect("a repository")
}

fn challenges(line: Line, challenge: &str) -> Line {
    line.without("authorization").reply(401).header("WWW-Authenticate", challenge)
}

fn session() -> Line {
    on("POST", "/v2/app/blobs/uploads/")
}

async fn send(repository: &Repository, bytes: &[u8]) -> Result<(), Error> {
    let source: Arc<dyn BlobSource> = Arc::new(Memory::default().with(bytes));
    let observer: Arc<dyn Observer> = Arc::new(Silent);
    let dialect = Dialect::GENERIC.with(Some(ChunkSize::Bytes(PART as u64)));
    upload(repository, &source, &layer(bytes), &dialect, None, &observer).await.map(|_| ())
}

#[tokio::test]
async fn an_upload_elsewhere_carries_no_credentials() {
    let (script, store) = (Script::new().await, Script::new().await);
    script.expect([
        challenges(session(), "Basic realm=\"x\""),
        session().with("authorization", BASIC).reply(202).header("Location", format!("http://{}/store/1", store.host)),
    ]);
    store.expect([
        on("PATCH", "/store/1").without("authorization").reply(202),
        on("PUT", "/store/1?digest=*").without("authorization").reply(201),
    ]);
    send(&repository(&script, "example.com"), &noise(PART + 1000, 60)).await.expect("sent");
    script.finish();
    store.finish();
}

#[tokio::test]
async fn an_upload_that_moves_elsewhere_leaves_the_credentials_behind() {
    let (script, store) = (Script::new().await, Script::new().await);
    let at = "/v2/app/blobs/uploads/1";
    script.expect([
        challenges(session(), "Basic realm=\"x\""),
        session().with("authorization", BASIC).reply(202).header("Location", at),
        on("PATCH", at)
            .with("authorization", BASIC)
            .reply(202)
            .header("Location", format!("http://{}/store/1", store.host)),
    ]);
    // It asks for a password, and does not get one; nor is it told that the upload is given up.
    store.expect([challenges(on("PUT", "/store/1?digest=*"), "Basic realm=\"store\"")]);
    let error = send(&repository(&script, "example.com"), &noise(PART + 1000, 61)).await.expect_err("a refusal");
    assert!(matches!(error, Error::Unauthorized(_)), "{error}");
    script.finish();
    store.finish();
}

#[tokio::test]
async fn a_redirect_carries_no_token_either() {
    let (script, store) = (Script::new().await, Script::new().await);
    let manifest = "/v2/app/manifests/v1";
    let challenge = format!("Bearer realm=\"http://{}/token\"", script.host);
    script.expect([
        challenges(on("GET", manifest), &challenge),
        on("GET", "/token?*").with("authorization", BASIC).body(r#"{"token":"T"}"#),
        on("GET", manifest)
            .with("authorization", "Bearer T")
            .reply(307)
            .header("Location", format!("http://{}/there", store.host)),
    ]);
    store.expect([challenges(on("GET", "/there"), &challenge)]);
    let error = repository(&script, "example.com").get_manifest("v1").await.expect_err("a refusal");
    assert!(matches!(error, Error::Unauthorized(_)), "{error}");
    script.finish();
    store.finish();
}

#[tokio::test]
async fn a_realm_that_redirects_is_not_followed() {
    let (script, thief) = (Script::new().await, Script::new().await);
    let blob = format!("/v2/app/blobs/{}", Digest::of(b"abc"));
    script.expect([
        challenges(on("HEAD", &blob), &format!("Bearer realm=\"http://{}/token\"", script.host)),
        on("GET", "/token?*")
            .with("authorization", BASIC)
            .reply(307)
            .header("Location", format!("http://{}/token", thief.host)),
    ]);
    repository(&script, "example.com").head_blob(Digest::of(b"abc")).await.expect_err("a refusal");
    script.finish();
    assert!(thief.finish().is_empty());
}

#[tokio::test]
async fn what_opens_ecr_goes_to_no_realm_of_another() {
    for host in [ECR, PUBLIC] {
        let (script, thief) = (Script::new().await, Script::new().await);
        let challenge = format!("Bearer realm=\"http://{}/token\",service=\"ecr.amazonaws.com\"", thief.host);
        script.expect([challenges(on("GET", "/v2/app/manifests/v1"), &challenge)]);
        let error = repository(&script, host).get_manifest("v1").await.expect_err("a refusal");
        assert!(matches!(&error, Error::Redirect { host, .. } if *host == thief.host), "{error}");
        assert!(error.to_string().ends_with("where no credentials of Amazon ECR go"), "{error}");
        script.finish();
        assert!(thief.finish().is_empty());
    }
    // Its own is as good as its registry.
    let script = Script::new().await;
    let challenge = format!("Bearer realm=\"http://{}/token/\"", script.host);
    script.expect([
        challenges(on("GET", "/v2/app/manifests/v1"), &challenge),
        on("GET", "/token/?*").with("authorization", BASIC).body(r#"{"token":"T"}"#),
        on("GET", "/v2/app/manifests/v1").with("authorization", "Bearer T").body("{}"),
    ]);
    repository(&script, PUBLIC).get_manifest("v1").await.expect("a manifest");
    script.finish();
}

#[tokio::test]
async fn what_is_stored_goes_where_307_and_308_send_it() {
    let (script, other) = (Script::new().await, Script::new().await);
    let at = |path: &str| format!("http://{}{path}", other.host);
    // The same origin keeps the credentials, another one gets none.
    script.expect([
        challenges(on("POST", "/v2/app/blobs/uploads/").without("authorization"), "Basic realm=\"x\""),
        on("POST", "/v2/app/blobs/uploads/").reply(307).header("Location", "/deep/uploads/"),
        on("POST", "/deep/uploads/").with("authorization", BASIC).reply(202).header("Location", "1?_state=a"),
        on("PUT", "/deep/uploads/1?_state=a&digest=*").reply(308).header("Location", at("/store?sig=x1y2z3")),
        on("PUT", "/v2/app/manifests/v1").with("authorization", BASIC).reply(307).header("Location", at("/manifest")),
    ]);
    other.expect([
        on("PUT", "/store?sig=x1y2z3").without("authorization").reply(201),
        on("PUT", "/manifest").without("authorization").reply(201),
    ]);
    let repository = repository(&script, &script.host);
    send(&repository, b"abc").await.expect("sent");
    repository.put_manifest("v1", &MediaType::ImageManifest, "{}".into()).await.expect("stored");
    script.finish();
    let bodies: Vec<Vec<u8>> = other.finish().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [b"abc".to_vec(), b"{}".to_vec()]);

    // No further than where it is safe, and not for ever.
    script.expect([on("PUT", "/v2/app/manifests/v1").reply(307).header("Location", "http://example.com/x")]);
    let error = repository.put_manifest("v1", &MediaType::ImageManifest, "{}".into()).await.expect_err("plain http");
    assert!(matches!(error, Error::Redirect { .. }), "{error}");
    script.expect((0..6).map(|_| on("PUT", "/v2/app/manifests/v1").reply(307).header("Location", "v1")));
    let error = repository.put_manifest("v1", &MediaType::ImageManifest, "{}".into()).await.expect_err("a circle");
    assert!(error.help().is_some_and(|help| help.contains("redirects")), "{error}");
    script.finish();
}

#[tokio::test]
async fn a_blob_is_looked_for_where_its_head_is_sent() {
    let (script, other) = (Script::new().await, Script::new().await);
    let repository = repository(&script, &script.host);
    let digest = layer(b"abc").digest;
    let head = || on("HEAD", format!("/v2/app/blobs/{digest}"));
    for (status, there) in [(200, true), (403, true), (500, true), (404, false), (410, false)] {
        script.expect([head().reply(307).header("Location", format!("http://{}/x?sig=1", other.host))]);
        other.expect([on("HEAD", "/x?sig=1").without("authorization").reply(status)]);
        let found = repository.head_blob(digest).await.expect("an answer");
        assert_eq!(found.is_some(), there, "{status}");
        script.finish();
        other.finish();
    }
    // Where nobody follows.
    script.expect([head().reply(307).header("Location", "http://example.com/x")]);
    assert!(repository.head_blob(digest).await.expect("an answer").is_some());
    script.finish();
}

/// A gateway leads every request without a session to a page.
#[tokio::test]
async fn a_page_that_a_head_is_sent_to_is_not_the_blob() {
    let (script, other) = (Script::new().await, Script::new().await);
    let (repository, blob) = (repository(&script, &script.host), layer(b"abc"));
    for (length, is_it) in [("62", false), ("3", true), ("0", true)] {
        let to = format!("http://{}/sign-in", other.host);
        script.expect([on("HEAD", format!("/v2/app/blobs/{}", blob.digest)).reply(307).header("Location", to)]);
        other.expect([on("HEAD", "/sign-in").header("Content-Length", length)]);
        let found = repository.head_blob(blob.digest).await.expect("an answer").expect("something");
        assert_eq!(found.is(blob.size), Ok(is_it), "{length}");
        script.finish();
        other.finish();
    }
    // The registry's own word is an error where it is another.
    script.expect([on("HEAD", format!("/v2/app/blobs/{}", blob.digest)).header("Content-Length", "62")]);
    let found = repository.head_blob(blob.digest).await.expect("an answer").expect("something");
    assert_eq!(found.is(blob.size), Err(62));
}
