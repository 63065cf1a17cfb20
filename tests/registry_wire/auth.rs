//! Who gets which `Authorization`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dockless::registry::auth::{Authenticator, Credentials};
use dockless::registry::client::{Access, Client, Repository, Settings};
use dockless::registry::error::{Error, Obstacle};
use dockless::secret::Secret;
use futures_util::future::BoxFuture;

use crate::script::{Script, on};
use crate::{Notes, client, quick, reference};

fn basic(user: &str, password: &str) -> Credentials {
    Credentials::Basic { user: user.into(), password: Secret::new(password) }
}

fn header(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn repository(script: &Script, authenticator: impl Authenticator + 'static) -> Repository {
    let settings = Settings { authenticator: Arc::new(authenticator), ..quick() };
    client(settings).repository(&reference(&script.host, "app"), Access::Push).expect("a repository")
}

const MANIFEST: &str = "/v2/app/manifests/v1";

#[tokio::test]
async fn basic_after_the_challenge_and_from_then_on_at_once() {
    let script = Script::new().await;
    script.expect([
        on("HEAD", MANIFEST).without("authorization").reply(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        on("HEAD", MANIFEST).with("authorization", header("AWS", "token")).reply(404),
        on("HEAD", MANIFEST).with("authorization", header("AWS", "token")).reply(404),
    ]);
    let repository = repository(&script, basic("AWS", "token"));
    assert_eq!(repository.head_manifest("v1").await.expect("an answer"), None);
    assert_eq!(repository.head_manifest("v1").await.expect("an answer"), None);
    script.finish();
}

#[tokio::test]
async fn wrong_credentials_are_said_to_be_wrong_and_are_not_printed() {
    let script = Script::new().await;
    let challenge = "Basic realm=\"x\"";
    script.expect([
        on("PUT", MANIFEST).without("authorization").reply(401).header("WWW-Authenticate", challenge),
        on("PUT", MANIFEST).error(401, "UNAUTHORIZED").header("WWW-Authenticate", challenge),
    ]);
    let repository = repository(&script, basic("me", "hunter2"));
    let error = repository
        .put_manifest("v1", &dockless::oci::media_type::MediaType::ImageManifest, "{}".into())
        .await
        .expect_err("a refusal");
    assert!(matches!(&error, Error::Unauthorized(reply) if !reply.anonymous), "{error}");
    assert!(error.help().expect("help").contains("wrong or have expired"));
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    script.finish();
}

#[tokio::test]
async fn without_credentials_the_help_says_so() {
    let script = Script::new().await;
    script.expect([on("GET", MANIFEST).error(401, "UNAUTHORIZED").header("WWW-Authenticate", "Basic realm=\"x\"")]);
    let error = repository(&script, Credentials::Anonymous).get_manifest("v1").await.expect_err("a refusal");
    assert!(error.help().expect("help").starts_with("no credentials are found for 127.0.0.1"), "{:?}", error.help());
    script.finish();
}

#[tokio::test]
async fn a_bearer_token_is_fetched_once_for_a_scope() {
    let (script, tokens) = (Script::new().await, Script::new().await);
    let challenge =
        format!("Bearer realm=\"http://{}/token\",service=\"registry\",scope=\"repository:app:pull\"", tokens.host);
    script.expect([on("HEAD", MANIFEST).without("authorization").reply(401).header("WWW-Authenticate", challenge)]);
    for _ in 0..2 {
        script.expect([on("HEAD", MANIFEST).with("authorization", "Bearer T1").reply(404)]);
    }
    tokens.expect([on(
        "GET",
        "/token?scope=repository%3Aapp%3Apull%2Cpush&scope=repository%3Aapp%3Apull&service=registry&client_id=dockless",
    )
    .with("authorization", header("me", "pw"))
    .body(r#"{"token":"T1","expires_in":300}"#)]);
    let repository = repository(&script, basic("me", "pw"));
    for _ in 0..2 {
        assert_eq!(repository.head_manifest("v1").await.expect("an answer"), None);
    }
    script.finish();
    tokens.finish();
}

#[tokio::test]
async fn a_refused_token_is_fetched_anew_once() {
    let (script, tokens) = (Script::new().await, Script::new().await);
    let challenge = format!("Bearer realm=\"http://{}/token\"", tokens.host);
    script.expect([
        on("HEAD", MANIFEST).without("authorization").reply(401).header("WWW-Authenticate", &challenge),
        on("HEAD", MANIFEST).with("authorization", "Bearer T1").reply(404),
        on("HEAD", MANIFEST).with("authorization", "Bearer T1").reply(401).header("WWW-Authenticate", &challenge),
        on("HEAD", MANIFEST).with("authorization", "Bearer T2").reply(404),
    ]);
    let query = "/token?scope=repository%3Aapp%3Apull%2Cpush&client_id=dockless";
    tokens.expect([
        on("GET", query).without("authorization").body(r#"{"access_token":"T1","expires_in":300}"#),
        on("GET", query).body(r#"{"token":"T2"}"#),
    ]);
    let repository = repository(&script, Credentials::Anonymous);
    for _ in 0..2 {
        assert_eq!(repository.head_manifest("v1").await.expect("an answer"), None);
    }
    script.finish();
    tokens.finish();
}

#[tokio::test]
async fn an_identity_token_is_exchanged() {
    let (script, tokens) = (Script::new().await, Script::new().await);
    let challenge = format!("Bearer realm=\"http://{}/token\",service=\"r\"", tokens.host);
    script.expect([
        on("HEAD", MANIFEST).without("authorization").reply(401).header("WWW-Authenticate", &challenge),
        on("HEAD", MANIFEST).with("authorization", "Bearer T").reply(404),
    ]);
    tokens.expect([on("POST", "/token")
        .with("content-type", "application/x-www-form-urlencoded")
        .body(r#"{"access_token":"T"}"#)]);
    let repository = repository(&script, Credentials::IdentityToken(Secret::new("refresh")));
    assert_eq!(repository.head_manifest("v1").await.expect("an answer"), None);
    script.finish();
    let body = String::from_utf8(tokens.finish()[0].body.clone()).expect("a form");
    assert_eq!(
        body,
        "grant_type=refresh_token&refresh_token=refresh&client_id=dockless&scope=repository%3Aapp%3Apull%2Cpush&service=r"
    );
}

#[tokio::test]
async fn a_token_server_that_says_no_is_named() {
    let (script, tokens) = (Script::new().await, Script::new().await);
    script.expect([on("HEAD", MANIFEST)
        .reply(401)
        .header("WWW-Authenticate", format!("Bearer realm=\"http://{}/token\"", tokens.host))]);
    for _ in 0..2 {
        tokens.expect([on("GET", "/token*").reply(500).body("oops")]);
    }
    tokens.expect([on("GET", "/token*").reply(401).body(r#"{"details":"incorrect username or password"}"#)]);
    let error = repository(&script, basic("me", "pw")).head_manifest("v1").await.expect_err("a refusal");
    assert!(error.to_string().contains(&format!("/token at {}", tokens.host)), "{error}");
    assert!(error.to_string().contains("incorrect username or password"), "{error}");
    assert!(matches!(error, Error::Unauthorized(_)), "{error}");
    script.finish();
    tokens.finish();
}

#[tokio::test]
async fn a_realm_must_be_https() {
    let script = Script::new().await;
    let challenge = "Bearer realm=\"http://tokens.example.com/token\"";
    script.expect([on("HEAD", MANIFEST).reply(401).header("WWW-Authenticate", challenge)]);
    let error = repository(&script, basic("me", "pw")).head_manifest("v1").await.expect_err("a refusal");
    assert!(matches!(&error, Error::PlainHttp(host) if host == "tokens.example.com"), "{error}");
    script.finish();
}

/// A source whose credentials are new at every renewal.
struct Renewing(AtomicU32);

impl Authenticator for Renewing {
    fn credentials<'a>(&'a self, _: &'a str, renew: bool) -> BoxFuture<'a, Result<Credentials, Error>> {
        let number = self.0.fetch_add(u32::from(renew), Ordering::Relaxed) + u32::from(renew);
        Box::pin(async move { Ok(basic("AWS", &format!("token{number}"))) })
    }
}

/// What ECR says of a token that is too old.
const EXPIRED: &str =
    r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#;

#[tokio::test]
async fn an_expired_token_that_ecr_refuses_by_403_is_renewed_once() {
    let script = Script::new().await;
    script.expect([
        on("GET", MANIFEST).without("authorization").reply(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        on("GET", MANIFEST).with("authorization", header("AWS", "token0")).reply(403).body(EXPIRED),
        on("GET", MANIFEST).with("authorization", header("AWS", "token1")).error(403, "DENIED"),
        on("HEAD", MANIFEST).with("authorization", header("AWS", "token1")).reply(403),
        on("GET", MANIFEST).with("authorization", header("AWS", "token1")).reply(403).body(EXPIRED),
        on("GET", MANIFEST).with("authorization", header("AWS", "token2")).error(403, "DENIED"),
    ]);
    let repository = repository(&script, Renewing(AtomicU32::new(0)));
    let error = repository.get_manifest("v1").await.expect_err("a denial");
    assert!(matches!(error, Error::Denied(_)) && error.to_string().contains("scripted"), "{error}");
    // A HEAD's reply has no body: the GET's says what it is.
    assert!(matches!(repository.head_manifest("v1").await, Err(Error::Denied(_))));
    script.finish();
}

#[tokio::test]
async fn a_denial_costs_no_credentials_and_no_second_request() {
    /// A source that has credentials once.
    struct Once(AtomicU32);
    impl Authenticator for Once {
        fn credentials<'a>(&'a self, _: &'a str, renew: bool) -> BoxFuture<'a, Result<Credentials, Error>> {
            self.0.fetch_add(u32::from(renew), Ordering::Relaxed);
            Box::pin(async move { if renew { Err(Error::Worker) } else { Ok(basic("AWS", "hunter2")) } })
        }
    }
    let script = Script::new().await;
    let asked = |line: crate::script::Line| line.with("authorization", header("AWS", "hunter2"));
    script.expect([
        on("PUT", MANIFEST).without("authorization").reply(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        asked(on("PUT", MANIFEST)).error(403, "DENIED"),
        asked(on("HEAD", MANIFEST)).reply(403),
        asked(on("GET", MANIFEST)).reply(403).body(EXPIRED),
        asked(on("GET", MANIFEST)).reply(403).body(EXPIRED),
        asked(on("HEAD", MANIFEST)).reply(404),
    ]);
    let source = Arc::new(Once(AtomicU32::new(0)));
    let repository = repository(&script, Shared(Arc::clone(&source)));
    let media_type = dockless::oci::media_type::MediaType::ImageManifest;
    let error = repository.put_manifest("v1", &media_type, "{}".into()).await.expect_err("a denial");
    assert!(matches!(error, Error::Denied(_)), "{error}");
    assert_eq!(source.0.load(Ordering::Relaxed), 0, "nobody says that the token has expired");
    // One that has expired and cannot be renewed is told as it is, and asked for once.
    for error in [repository.head_manifest("v1").await.err(), repository.get_manifest("v1").await.err()] {
        let error = error.expect("a denial");
        assert!(error.to_string().contains("has expired"), "{error}");
    }
    assert_eq!(source.0.load(Ordering::Relaxed), 1);
    assert_eq!(repository.head_manifest("v1").await.expect("an answer"), None);
    script.finish();
}

/// A source that the test looks at as well.
struct Shared<A>(Arc<A>);

impl<A: Authenticator> Authenticator for Shared<A> {
    fn credentials<'a>(&'a self, registry: &'a str, renew: bool) -> BoxFuture<'a, Result<Credentials, Error>> {
        self.0.credentials(registry, renew)
    }
}

#[tokio::test]
async fn two_repositories_of_one_registry_may_have_their_own_credentials() {
    struct Namespaces;
    impl Authenticator for Namespaces {
        fn credentials<'a>(&'a self, place: &'a str, _: bool) -> BoxFuture<'a, Result<Credentials, Error>> {
            let (_, repository) = place.split_once('/').expect("a repository");
            Box::pin(async move { Ok(basic(repository, "pw")) })
        }
    }
    let script = Script::new().await;
    let challenge = "Basic realm=\"x\"";
    script.expect([
        on("HEAD", MANIFEST).without("authorization").reply(401).header("WWW-Authenticate", challenge),
        on("HEAD", MANIFEST).with("authorization", header("app", "pw")).reply(404),
        on("HEAD", "/v2/team/other/manifests/v1").with("authorization", header("team/other", "pw")).reply(404),
        on("HEAD", MANIFEST).with("authorization", header("app", "pw")).reply(404),
    ]);
    let client = client(Settings { authenticator: Arc::new(Namespaces), ..quick() });
    for name in ["app", "team/other", "app"] {
        let repository = client.repository(&reference(&script.host, name), Access::Push).expect("a repository");
        assert_eq!(repository.head_manifest("v1").await.expect("an answer"), None);
    }
    script.finish();
}

#[tokio::test]
async fn a_redirect_to_another_origin_carries_no_credentials() {
    let (script, store) = (Script::new().await, Script::new().await);
    let blob = format!("/v2/app/blobs/{}", dockless::oci::digest::Digest::of(b"abc"));
    script.expect([
        on("GET", &blob).without("authorization").reply(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        on("GET", &blob)
            .with("authorization", header("me", "pw"))
            .reply(307)
            .header("Location", format!("http://{}/signed?X-Amz-Signature=s3cret", store.host)),
    ]);
    store.expect([on("GET", "/signed?X-Amz-Signature=s3cret").without("authorization").reply(403).body("<Error/>")]);
    let repository = repository(&script, basic("me", "pw"));
    let error = repository.get_blob(dockless::oci::digest::Digest::of(b"abc"), 0).await.err().expect("a refusal");
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    assert!(error.to_string().contains(&store.host), "{error}");
    script.finish();
    store.finish();
}

#[tokio::test]
async fn obstacles_are_told_apart() {
    // Nobody listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let obstacle = async |host: &str, endpoints: &str| {
        let settings = Settings { endpoints: endpoints.parse().expect("endpoints"), ..quick() };
        let repository = client(settings).repository(&reference(host, "app"), Access::Pull).expect("a repository");
        match repository.get_manifest("v1").await.expect_err("no connection") {
            Error::Connect { obstacle, .. } => obstacle,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(obstacle(&host, "").await, Obstacle::Refused);
    assert_eq!(obstacle("no-such-host.invalid", "").await, Obstacle::Name);
    // A registry of plain http that is spoken to over TLS.
    let script = Script::new().await;
    let endpoint = format!("example.com=https://{}", script.host);
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let answering = format!("example.com=https://{}", plain.local_addr().expect("an address"));
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = plain.accept().await {
            let mut bytes = [0; 16];
            let _ = stream.read(&mut bytes).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    assert_eq!(obstacle("example.com", &answering).await, Obstacle::NotTls);
    drop(endpoint);
    script.finish();
}

#[tokio::test]
async fn a_registry_that_repeats_a_secret_does_not_put_it_into_a_message() {
    let script = Script::new().await;
    let sent = header("bob", "s3cr3tPW");
    let words = |text: &str| format!(r#"{{"errors":[{{"code":"DENIED","message":"{text}"}}]}}"#);
    script.expect([
        on("PUT", MANIFEST).without("authorization").reply(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        on("PUT", MANIFEST)
            .reply(403)
            .header("Content-Type", "application/json")
            .body(words(&format!("you sent {sent}, bob:s3cr3tPW"))),
    ]);
    let manifest = dockless::oci::media_type::MediaType::ImageManifest;
    let denied = repository(&script, basic("bob", "s3cr3tPW")).put_manifest("v1", &manifest, "{}".into()).await;
    let error = denied.expect_err("a denial");
    assert!(error.to_string().ends_with("DENIED (you sent Basic …, …)"), "{error}");
    assert!(!format!("{error:?}").contains("s3cr3t") && !format!("{error:?}").contains(&sent), "{error:?}");

    let challenge = format!("Bearer realm=\"http://{}/token\"", script.host);
    script.expect([
        on("PUT", MANIFEST).without("authorization").reply(401).header("WWW-Authenticate", challenge),
        on("GET", "/token?*").body(r#"{"token":"tok-leak-3"}"#),
        on("PUT", MANIFEST).reply(403).header("Content-Type", "text/plain").body("token tok-leak-3 lacks push"),
    ]);
    let denied = repository(&script, basic("bob", "s3cr3tPW")).put_manifest("v1", &manifest, "{}".into()).await;
    let error = denied.expect_err("a denial");
    assert!(error.to_string().ends_with("answers 403: token … lacks push"), "{error}");
    script.finish();
}

/// Its tries were multiplied by those of the request that waits for the token: sixteen here, and thirty-six by default.
#[tokio::test]
async fn a_token_server_in_trouble_is_asked_as_often_as_any() {
    let (script, tokens) = (Script::new().await, Script::new().await);
    let challenge = format!("Bearer realm=\"http://{}/token\"", tokens.host);
    let attempts = usize::try_from(quick().retry.attempts).expect("a number");
    script.expect([on("HEAD", MANIFEST).reply(401).header("WWW-Authenticate", &challenge)]);
    tokens.expect((0..attempts).map(|_| on("GET", "/token?*").reply(503)));
    let error = repository(&script, Credentials::Anonymous).head_manifest("v1").await.expect_err("trouble");
    assert!(error.to_string().contains("/token"), "{error}");
    script.finish();
    tokens.finish();

    // One that redirects is told as one.
    script.expect([on("HEAD", MANIFEST).reply(401).header("WWW-Authenticate", &challenge)]);
    tokens.expect([on("GET", "/token?*").reply(302).header("Location", "/other")]);
    let error = repository(&script, Credentials::Anonymous).head_manifest("v1").await.expect_err("a redirect");
    assert!(error.help().is_some_and(|help| help.starts_with("the token server of")), "{:?}", error.help());

    // And one that nobody ever reached is tried twice, though the registry has answered.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
    script.expect([on("HEAD", MANIFEST)
        .reply(401)
        .header("WWW-Authenticate", format!("Bearer realm=\"http://{nobody}/\""))]);
    let notes = Arc::new(Notes::default());
    let settings = Settings { authenticator: Arc::new(Credentials::Anonymous), ..quick() };
    let client = Client::new(settings, notes.clone());
    let repository = client.repository(&reference(&script.host, "app"), Access::Push).expect("a repository");
    assert!(matches!(repository.head_manifest("v1").await, Err(Error::Connect { .. })));
    assert_eq!(notes.all().len(), 1, "one more try");
}
