//! Faults by their names.

use std::time::{Duration, Instant};

use dockless::oci::digest::Digest;
use dockless::serve::Settings;
use dockless::serve::ecr::EcrSettings;
use dockless::serve::fault::named::{FaultError, KNOWN, Named, table};
use serde_json::json;

use super::registry::{MANIFEST, Registry, authorization, header, manifest, no, refusal};

fn small(ecr: &mut EcrSettings) {
    (ecr.part_min, ecr.part_max) = (10, 20);
}

#[test]
fn names_and_values() {
    for known in KNOWN {
        assert!(known.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", known.name);
        assert!(table().contains(&format!("- {}", known.name)));
    }
    let wrong = |text: &str| text.parse::<Named>().expect_err("no fault").to_string();
    let unknown = wrong("drop-everything");
    assert!(unknown.starts_with("\"drop-everything\" is no fault; there are drop-patch, "), "{unknown}");
    assert_eq!(wrong("drop-patch=x"), "--fault drop-patch takes a number");
    assert_eq!(wrong("pace=3"), "--fault pace takes no value");
    assert_eq!(wrong("slow"), "--fault slow takes milliseconds");
    assert_eq!(wrong("deny"), "--fault deny takes a value: deny=ACTION");
    assert_eq!(wrong("deny=ecr:Put Image"), "--fault deny takes an action of ECR or STS, such as ecr:PutImage");
    assert_eq!(
        wrong("deny-silently=sts:AssumeRole"),
        "--fault deny-silently takes an action of ECR, such as ecr:PutImage"
    );
    assert_eq!(wrong("archived=x"), "--fault archived takes a digest: archived=sha256:...");
    let mut plain = Settings::new(std::path::Path::new("oci"));
    let named = |text: &str| text.parse::<Named>().expect("a fault");
    assert_eq!(named("pace").apply(&mut plain), Err(FaultError::OnlyEcr("pace")));
    assert_eq!(named("drop-patch=2").apply(&mut plain), Ok(()));
    assert_eq!((plain.faults.len(), plain.faults[0].skip), (1, 1));
}

/// `deny=sts:…` was no fault by its name, and all of ECR took STS with it.
#[tokio::test]
async fn roles_are_refused_apart_from_the_registry() {
    let asked = async |fault: &str| {
        let registry = Registry::faulty(&[fault]).await;
        let request = registry
            .bare("POST", "/")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", authorization("us-east-1", "sts"))
            .body("Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/ci&RoleSessionName=ci");
        let role = request.send().await.expect("an answer").status().as_u16();
        (role, registry.ask("DescribeRepositories", json!({})).await.is_ok())
    };
    assert_eq!(asked("deny=sts:AssumeRole").await, (403, true));
    assert_eq!(asked("deny=sts:*").await, (403, true));
    assert_eq!(asked("deny=ecr:*").await, (200, false));
}

#[tokio::test]
async fn a_chunk_that_breaks_off_spoils_the_session() {
    let registry = Registry::start(&["drop-patch=2"], small).await;
    let location = registry.begin("team/app").await;
    let bytes: Vec<u8> = (0..60).collect();
    assert_eq!(registry.patch(&location, 0, &bytes[..20]).await.expect("an answer").status(), 201);
    assert!(registry.patch(&location, 20, &bytes[20..38]).await.is_err());
    let response = registry.patch(&location, 20, &bytes[20..38]).await.expect("an answer");
    let text = "First byte of the layer part is 20 instead of 29";
    assert_eq!(refusal(response).await, no(416, "BLOB_UPLOAD_INVALID", text));
    let response = registry.patch(&location, 29, &bytes[29..49]).await.expect("an answer");
    assert_eq!(response.status(), 201);
    let response = registry.put(&location, Digest::of(&bytes), &bytes[49..]).await;
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn an_answer_that_is_lost() {
    let faults = ["drop-after-patch", "drop-after-put", "drop-after-put-image"];
    let registry = Registry::start(&faults, small).await;
    let location = registry.begin("team/app").await;
    let bytes = [5; 30];
    assert!(registry.patch(&location, 0, &bytes[..20]).await.is_err());
    let response = registry.patch(&location, 0, &bytes[..20]).await.expect("an answer");
    assert_eq!(refusal(response).await.2, "First byte of the layer part is 0 instead of 20");
    let digest = Digest::of(&bytes);
    let put = registry.request("PUT", &format!("{location}?digest={digest}")).body(bytes[20..].to_vec());
    assert!(put.send().await.is_err());
    assert_eq!(registry.send("HEAD", &format!("/v2/team/app/blobs/{digest}")).await.status(), 200);
    registry.blob("team/app", b"{}").await;
    registry.blob("team/app", b"layer").await;
    let put = registry.request("PUT", "/v2/team/app/manifests/v1").header("content-type", MANIFEST);
    assert!(put.body(manifest("layer").to_string()).send().await.is_err());
    assert_eq!(registry.send("HEAD", "/v2/team/app/manifests/v1").await.status(), 200);
}

#[tokio::test]
async fn a_put_that_breaks_off() {
    let registry = Registry::faulty(&["drop-put"]).await;
    let location = registry.begin("team/app").await;
    let put = registry.request("PUT", &format!("{location}?digest={}", Digest::of(b"layer"))).body("layer");
    assert!(put.send().await.is_err());
    registry.blob("team/app", b"layer").await;
}

#[tokio::test]
async fn throttled_and_broken() {
    let registry = Registry::faulty(&["throttle=2", "throttle-put-image"]).await;
    for _ in 0..2 {
        let response = registry.send("POST", "/v2/team/app/blobs/uploads/").await;
        assert_eq!(header(&response, "retry-after"), "1");
        assert_eq!(refusal(response).await, no(429, "TOOMANYREQUESTS", "Rate exceeded"));
    }
    registry.blob("team/app", b"{}").await;
    registry.blob("team/app", b"layer").await;
    let bytes = manifest("layer").to_string().into_bytes();
    assert_eq!(registry.put_manifest("team/app", "v1", MANIFEST, &bytes).await.status(), 429);
    assert_eq!(registry.put_manifest("team/app", "v1", MANIFEST, &bytes).await.status(), 201);

    let registry = Registry::faulty(&["server-error", "slow=120"]).await;
    let started = Instant::now();
    assert_eq!(registry.send("POST", "/v2/team/app/blobs/uploads/").await.status(), 500);
    assert!(started.elapsed() >= Duration::from_millis(120));
    registry.begin("team/app").await;
}

#[tokio::test]
async fn rates_are_enforced() {
    let registry = Registry::faulty(&["pace"]).await;
    let bytes = registry.image("team/app", "v0", "layer").await;
    // At once: what is let in is counted before it is written, however slow the disk is.
    let tags: Vec<String> = (1..=40).map(|number| format!("v{number}")).collect();
    let puts = tags.iter().map(|tag| registry.put_manifest("team/app", tag, MANIFEST, &bytes));
    let mut refused = Vec::new();
    for response in futures_util::future::join_all(puts).await {
        if response.status() != 201 {
            refused.push(refusal(response).await);
        }
    }
    assert!((1..=31).contains(&refused.len()), "{refused:?}");
    assert_eq!(refused[0], no(429, "TOOMANYREQUESTS", "Rate exceeded"));
}

#[tokio::test]
async fn a_token_expires_in_the_middle() {
    let mut registry = Registry::faulty(&["expire-token"]).await;
    for _ in 0..4 {
        assert_eq!(registry.send("GET", "/v2/").await.status(), 200);
    }
    let text = "Your authorization token has expired. Reauthenticate and try again.";
    for _ in 0..2 {
        let response = registry.send("GET", "/v2/team/app/tags/list").await;
        assert_eq!(refusal(response).await, no(403, "DENIED", text));
    }
    let response = registry.send("HEAD", "/v2/team/app/manifests/v1").await;
    assert_eq!(response.status(), 403);
    assert!(response.bytes().await.expect("no body").is_empty());
    registry.renew().await;
    for _ in 0..9 {
        assert_eq!(registry.send("GET", "/v2/").await.status(), 200);
    }
}

#[tokio::test]
async fn actions_without_a_permission() {
    let registry = Registry::faulty(&["deny=ecr:InitiateLayerUpload", "deny=BatchGetImage"]).await;
    let text = |action: &str| {
        format!(
            "User: arn:aws:sts::123456789012:assumed-role/dockless/rehearsal is not authorized to perform: {action} on \
             resource: arn:aws:ecr:us-east-1:123456789012:repository/team/app because no identity-based policy allows \
             the {action} action"
        )
    };
    let response = registry.send("POST", "/v2/team/app/blobs/uploads/").await;
    assert_eq!(refusal(response).await, no(403, "DENIED", &text("ecr:InitiateLayerUpload")));
    let response = registry.send("HEAD", "/v2/team/app/manifests/v1").await;
    assert_eq!(response.status(), 403);
    assert!(response.bytes().await.expect("no body").is_empty());
    let response = registry.send("GET", "/v2/team/app/manifests/v1").await;
    assert_eq!(refusal(response).await, no(403, "DENIED", &text("ecr:BatchGetImage")));
    let asked = registry.ask("InitiateLayerUpload", json!({ "repositoryName": "team/app" })).await;
    assert_eq!(asked, Err(no(400, "AccessDeniedException", &text("ecr:InitiateLayerUpload"))));

    let registry = Registry::faulty(&["deny-silently=ecr:InitiateLayerUpload", "silent-when-missing"]).await;
    assert!(registry.request("POST", "/v2/team/app/blobs/uploads/").send().await.is_err());
    assert!(registry.request("POST", "/v2/team/none/blobs/uploads/").send().await.is_err());
    assert!(registry.request("PUT", "/v2/team/none/manifests/v1").body("{}").send().await.is_err());
    assert_eq!(registry.send("GET", "/v2/team/none/tags/list").await.status(), 404);
}

#[tokio::test]
async fn chance_lets_the_patient_through() {
    let registry = Registry::faulty(&["random=3", "anonymous"]).await;
    let mut good = 0;
    for _ in 0..60 {
        // At most one of five in a row fails.
        if registry.request("GET", "/v2/").send().await.is_ok_and(|response| response.status() == 200) {
            good += 1;
        }
    }
    assert!((48..60).contains(&good), "{good}");
}
