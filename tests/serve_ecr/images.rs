//! Manifests, tags and referrers, as ECR's registry API has them.

use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::media_type::MediaType;
use serde_json::{Value, json};

use super::registry::{INDEX, MANIFEST, Registry, header, manifest, no, refusal};

#[tokio::test]
async fn a_manifest_is_kept_and_nobody_says_where() {
    let registry = Registry::new().await;
    registry.blob("team/app", b"{}").await;
    registry.blob("team/app", b"layer").await;
    let bytes = manifest("layer").to_string().into_bytes();
    let response = registry.put_manifest("team/app", "v1", MANIFEST, &bytes).await;
    assert_eq!((response.status().as_u16(), header(&response, "location")), (201, String::new()));
    assert_eq!(header(&response, "docker-content-digest"), Digest::of(&bytes).to_string());
    // What is there already may be put again.
    assert_eq!(registry.put_manifest("team/app", "v1", MANIFEST, &bytes).await.status(), 201);
    let response = registry.send("GET", "/v2/team/app/manifests/v1").await;
    assert_eq!(response.bytes().await.expect("the bytes"), bytes);
}

#[tokio::test]
async fn a_manifest_is_read_strictly() {
    let registry = Registry::new().await;
    registry.image("team/app", "v0", "layer").await;
    let loose = Registry::faulty(&["loose-manifests"]).await;
    loose.image("team/app", "v0", "layer").await;
    let text = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'";
    let platform = json!({ "architecture": "amd64", "os": "linux" });
    let subject = json!({ "mediaType": MANIFEST, "digest": Digest::of(b"x"), "size": 1, "platform": platform });
    let cases: [(&str, &str, Value); 6] = [
        ("/config", "platform", platform),
        ("/config", "annotations", json!({ "a": "b" })),
        ("/config", "data", json!("e30=")),
        ("/layers/0", "data", json!("bGF5ZXI=")),
        ("", "subject", subject),
        ("", "mediaType", Value::Null),
    ];
    for (pointer, key, value) in cases {
        let mut document = manifest("layer");
        let object = document.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
        match value {
            Value::Null => object.remove(key),
            value => object.insert(key.into(), value),
        };
        let bytes = document.to_string().into_bytes();
        let response = registry.put_manifest("team/app", "v1", MANIFEST, &bytes).await;
        assert_eq!(refusal(response).await, no(405, "UNSUPPORTED", text), "{pointer} {key}");
        assert_eq!(loose.put_manifest("team/app", "v1", MANIFEST, &bytes).await.status(), 201, "{pointer} {key}");
    }
    let response = registry.put_manifest("team/app", "v1", MANIFEST, b"{").await;
    assert_eq!(refusal(response).await, no(405, "UNSUPPORTED", text));
    let response = registry.put_manifest("team/app", "v1", INDEX, manifest("layer").to_string().as_bytes()).await;
    assert_eq!(refusal(response).await, no(405, "UNSUPPORTED", text));
    assert_eq!(registry.send("HEAD", "/v2/team/app/manifests/1+2").await.status(), 400);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let registry = Registry::new().await;
    let place = "required for pushing image into repository with name 'team/app' in the registry with id \
                 '123456789012' do not exist";
    let response = registry.put_manifest("team/app", "v1", MANIFEST, manifest("layer").to_string().as_bytes()).await;
    let text = format!("Layers with digests '[{}, {}]' {place}", Digest::of(b"{}"), Digest::of(b"layer"));
    assert_eq!(refusal(response).await, no(400, "MANIFEST_BLOB_UNKNOWN", &text));
    let child = Descriptor::of(MediaType::ImageManifest, b"x");
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [child] }).to_string();
    let response = registry.put_manifest("team/app", "v1", INDEX, index.as_bytes()).await;
    let text = format!("Images with digests '[{}]' {place}", child.digest);
    assert_eq!(refusal(response).await, no(400, "MANIFEST_BLOB_UNKNOWN", &text));
}

#[tokio::test]
async fn immutable_tags_stay_where_they_are() {
    let text = |what: &str| {
        format!(
            "The image tag 'v1' already exists in the 'team/app' repository and cannot be overwritten because the \
             {what} is immutable."
        )
    };
    for (faults, what, same) in [
        (&["immutable"][..], "tag", 201),
        (&["immutable", "older-texts"], "repository", 201),
        (&["immutable=latest*", "immutable-same-digest"], "tag", 400),
    ] {
        let registry = Registry::faulty(faults).await;
        let first = registry.image("team/app", "v1", "one").await;
        registry.blob("team/app", b"two").await;
        let second = manifest("two").to_string().into_bytes();
        let response = registry.put_manifest("team/app", "v1", MANIFEST, &second).await;
        assert_eq!(refusal(response).await, no(400, "TAG_INVALID", &text(what)));
        assert_eq!(registry.put_manifest("team/app", "v1", MANIFEST, &first).await.status(), same);
        let response = registry.send("GET", "/v2/team/app/manifests/v1").await;
        assert_eq!(response.bytes().await.expect("the bytes"), first);
        // Another tag, the digest, and a tag that the filter matches.
        assert_eq!(registry.put_manifest("team/app", "v2", MANIFEST, &second).await.status(), 201);
        let digest = Digest::of(&second).to_string();
        assert_eq!(registry.put_manifest("team/app", &digest, MANIFEST, &second).await.status(), 201);
        if faults[0] == "immutable=latest*" {
            for bytes in [&first, &second] {
                assert_eq!(registry.put_manifest("team/app", "latest-1", MANIFEST, bytes).await.status(), 201);
            }
        }
    }
}

#[tokio::test]
async fn lists_at_most_a_thousand() {
    let registry = Registry::new().await;
    registry.image("team/app", "v1", "layer").await;
    assert_eq!(registry.send("GET", "/v2/team/app/tags/list?n=1000").await.status(), 200);
    let response = registry.send("GET", "/v2/team/app/tags/list?n=1001").await;
    let text = "Invalid parameter at 'maxResults' failed to satisfy constraint: 'must be less than or equal to 1000'";
    assert_eq!(refusal(response).await, no(405, "UNSUPPORTED", text));
}

#[tokio::test]
async fn referrers() {
    let registry = Registry::new().await;
    let subject = registry.image("team/app", "v1", "layer").await;
    let mut referrer = manifest("layer");
    referrer["artifactType"] = json!("application/spdx+json");
    referrer["subject"] = json!(Descriptor::of(MediaType::ImageManifest, &subject));
    let bytes = referrer.to_string().into_bytes();
    let digest = Digest::of(&bytes);
    let response = registry.put_manifest("team/app", &digest.to_string(), MANIFEST, &bytes).await;
    assert_eq!(header(&response, "oci-subject"), Digest::of(&subject).to_string());
    let response = registry.send("GET", &format!("/v2/team/app/referrers/{}", Digest::of(&subject))).await;
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["manifests"][0]["digest"], json!(digest));
}
