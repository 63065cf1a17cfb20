//! Credentials, repositories that must exist, and uploads in ECR's parts.

use dockless::oci::digest::Digest;
use dockless::serve::ecr::{EcrSettings, Switch};

use super::registry::{Registry, header, no, refusal};

/// Parts of 10 to 20 bytes instead of 5 to 10 MiB.
fn small(ecr: &mut EcrSettings) {
    (ecr.part_min, ecr.part_max, ecr.parts) = (10, 20, 8);
}

#[tokio::test]
async fn only_a_token_opens_the_door() {
    let registry = Registry::new().await;
    let response = registry.bare("GET", "/v2/").send().await.expect("an answer");
    assert_eq!(response.status(), 401);
    let realm = "https://123456789012.dkr.ecr.us-east-1.amazonaws.com/";
    assert_eq!(header(&response, "www-authenticate"), format!("Basic realm=\"{realm}\",service=\"ecr.amazonaws.com\""));
    let with = async |user: &str, password: &str| {
        let request = registry.bare("GET", "/v2/").basic_auth(user, Some(password));
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(with("AWS", &registry.password()).await, 200);
    assert_eq!(with("me", &registry.password()).await, 401);
    assert_eq!(with("AWS", "guess").await, 401);
    let host = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
    let response = registry.request("GET", "/v2/").header("host", host).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let response = registry.request("GET", "/v2/").header("host", "attacker.example").send().await.expect("an answer");
    assert_eq!(response.status(), 421);
}

#[tokio::test]
async fn repositories_must_exist() {
    let registry = Registry::new().await;
    let text = "The repository with name 'team/other' does not exist in the registry with id '123456789012'";
    let missing = no(404, "NAME_UNKNOWN", text);
    for (method, path) in [("POST", "blobs/uploads/"), ("GET", "tags/list"), ("GET", "manifests/v1")] {
        let response = registry.send(method, &format!("/v2/team/other/{path}")).await;
        assert_eq!(refusal(response).await, missing, "{path}");
    }
    let response = registry.send("POST", "/v2/a/blobs/uploads/").await;
    assert_eq!(refusal(response).await.2.split(": ").last(), Some("'must have length greater than or equal to 2'"));
    let digest = Digest::of(b"");
    assert_eq!(registry.send("HEAD", &format!("/v2/team/app/blobs/{digest}")).await.status(), 404);
    let response = registry.send("GET", "/v2/team/app/manifests/v1").await;
    assert_eq!(refusal(response).await, no(404, "MANIFEST_UNKNOWN", "Requested image not found"));

    let registry = Registry::with(|ecr| {
        ecr.switches.insert(Switch::CreateOnPush);
    })
    .await;
    assert_eq!(registry.send("GET", "/v2/team/other/tags/list").await.status(), 404);
    registry.begin("team/other").await;
    assert_eq!(registry.send("GET", "/v2/team/other/tags/list").await.status(), 200);
}

#[tokio::test]
async fn chunks_are_answered_with_201_and_a_stale_range() {
    let registry = Registry::with(small).await;
    let location = registry.begin("team/app").await;
    let url = registry.server.url();
    assert!(location.starts_with(&format!("{url}/v2/team/app/blobs/uploads/")), "{location}");
    assert!(!location.contains('?'));
    assert_eq!(location.rsplit('/').next().map(str::len), Some(36));
    let bytes = [7; 47];
    for start in [0, 20] {
        let response = registry.patch(&location, start, &bytes[start..start + 20]).await.expect("an answer");
        assert_eq!((response.status().as_u16(), header(&response, "range")), (201, "0-19".into()));
        assert_eq!(header(&response, "location"), location);
    }
    let response = registry.send("GET", &location).await;
    assert_eq!((response.status().as_u16(), refusal(response).await.1), (404, "BLOB_UPLOAD_UNKNOWN".into()));
    // Who believes the range is told better.
    let response = registry.patch(&location, 20, &bytes[20..40]).await.expect("an answer");
    let text = "First byte of the layer part is 20 instead of 40";
    assert_eq!(refusal(response).await, no(416, "BLOB_UPLOAD_INVALID", text));
    let digest = Digest::of(&bytes);
    let put = registry.request("PUT", &format!("{location}?digest={digest}")).header("content-range", "40-46");
    let response = put.body(bytes[40..].to_vec()).send().await.expect("an answer");
    assert_eq!(response.status(), 201);
    assert_eq!(header(&response, "location"), format!("{url}/v2/team/app/blobs/{digest}"));
    assert_eq!(header(&response, "docker-content-digest"), digest.to_string());
    assert_eq!(registry.send("HEAD", &format!("/v2/team/app/blobs/{digest}")).await.status(), 200);
    let response = registry.patch(&location, 47, &bytes).await.expect("an answer");
    let id = location.rsplit('/').next().expect("an id");
    let text = format!(
        "The upload with id '{id}' in the repository with name 'team/app' in registry with id '123456789012' could not \
         be found."
    );
    assert_eq!(refusal(response).await, no(404, "BLOB_UPLOAD_UNKNOWN", &text));
}

#[tokio::test]
async fn habits_can_be_turned_off() {
    let faults = ["no-stale-range", "upload-status", "chunk-min-length=5242880", "anonymous"];
    let registry = Registry::start(&faults, small).await;
    let response = registry.bare("POST", "/v2/team/app/blobs/uploads/").send().await.expect("an answer");
    assert_eq!(header(&response, "oci-chunk-min-length"), "5242880");
    let location = header(&response, "location");
    for (start, range) in [(0, "0-19"), (20, "0-39")] {
        let response = registry.patch(&location, start, &[1; 20]).await.expect("an answer");
        assert_eq!(header(&response, "range"), range);
    }
    let response = registry.send("GET", &location).await;
    assert_eq!((response.status().as_u16(), header(&response, "range")), (204, "0-39".into()));
}

#[tokio::test]
async fn parts_have_a_size_and_a_number() {
    let registry = Registry::with(small).await;
    let upload = async |sizes: &[usize], last: usize| {
        let location = registry.begin("team/app").await;
        let bytes = vec![3; sizes.iter().sum::<usize>() + last];
        let mut start = 0;
        for size in sizes {
            let response = registry.patch(&location, start, &bytes[start..start + size]).await.expect("an answer");
            if response.status() != 201 {
                return Err(refusal(response).await);
            }
            start += size;
        }
        match registry.put(&location, Digest::of(&bytes), &bytes[start..]).await {
            response if response.status() == 201 => Ok(()),
            response => Err(refusal(response).await),
        }
    };
    assert_eq!(upload(&[20, 20], 1).await, Ok(()));
    assert_eq!(upload(&[20, 3], 0).await, Ok(()));
    // Larger requests are cut again, evenly.
    assert_eq!(upload(&[64, 44], 5).await, Ok(()));
    assert_eq!(upload(&[], 100).await, Ok(()));
    let small = "All layer parts except the last part should be at least 5MB";
    assert_eq!(upload(&[9, 20], 0).await, Err(no(400, "BLOB_UPLOAD_INVALID", small)));
    let many = "The layer has more than the limit of 8 parts";
    assert_eq!(upload(&[100, 100], 0).await, Err(no(400, "BLOB_UPLOAD_INVALID", many)));
    assert_eq!(upload(&[], 161).await, Err(no(400, "BLOB_UPLOAD_INVALID", many)));
}

#[tokio::test]
async fn an_upload_without_parts_and_one_with_other_bytes() {
    let registry = Registry::new().await;
    let location = registry.begin("team/app").await;
    let response = registry.put(&location, Digest::of(b""), b"").await;
    let id = location.rsplit('/').next().expect("an id");
    let text = format!(
        "The upload with id '{id}' in the repository with name 'team/app' in registry with id '123456789012' cannot be \
         completed because it does not have any parts."
    );
    assert_eq!(refusal(response).await, no(400, "BLOB_UPLOAD_INVALID", &text));
    let location = registry.begin("team/app").await;
    let response = registry.put(&location, Digest::of(b"one"), b"two").await;
    let text = "None of the provided layer digests match the calculated layer digest";
    assert_eq!(refusal(response).await, no(400, "BLOB_UPLOAD_INVALID", text));
}

#[tokio::test]
async fn mounts_only_what_a_manifest_refers_to() {
    let registry = Registry::new().await;
    registry.blob("team/base", b"loose").await;
    registry.image("team/base", "v1", "layer").await;
    let mount = async |content: &str| {
        let digest = Digest::of(content.as_bytes());
        let path = format!("/v2/team/app/blobs/uploads/?mount={digest}&from=team/base");
        registry.send("POST", &path).await.status().as_u16()
    };
    // Off in a new account.
    assert_eq!(mount("layer").await, 202);
    let setting = |value: &str| serde_json::json!({ "name": "BLOB_MOUNTING", "value": value });
    let output = registry.ask("PutAccountSetting", setting("ENABLED")).await.expect("set");
    assert_eq!(output["value"], "ENABLED");
    assert_eq!(mount("loose").await, 202);
    assert_eq!(mount("layer").await, 201);
    // Not between repositories that are encrypted differently.
    let kms =
        serde_json::json!({ "repositoryName": "team/kms", "encryptionConfiguration": { "encryptionType": "KMS" } });
    registry.ask("CreateRepository", kms).await.expect("a repository");
    let path = format!("/v2/team/kms/blobs/uploads/?mount={}&from=team/base", Digest::of(b"layer"));
    assert_eq!(registry.send("POST", &path).await.status(), 202);
    registry.ask("PutAccountSetting", setting("DISABLED")).await.expect("set");
    assert_eq!(mount("{}").await, 202);

    for (faults, status) in [
        (&["blob-mounting"][..], 201),
        (&["blob-mounting", "no-mount"], 202),
        (&["blob-mounting", "deny=ecr:GetDownloadUrlForLayer"], 202),
    ] {
        let registry = Registry::faulty(faults).await;
        registry.image("team/base", "v1", "layer").await;
        let path = format!("/v2/team/app/blobs/uploads/?mount={}&from=team/base", Digest::of(b"layer"));
        assert_eq!(registry.send("POST", &path).await.status(), status, "{faults:?}");
    }
}
