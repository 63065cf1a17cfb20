//! Credentials stay where they belong: what a registry sends us to on another origin gets none, even where it asks.

use std::sync::Arc;

use dockless::blob::BlobSource;
use dockless::event::{Observer, Silent};
use dockless::oci::digest::Digest;
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
