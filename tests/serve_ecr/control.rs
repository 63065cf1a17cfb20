//! The control plane: what the ECR API says, and who it listens to.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::media_type::MediaType;
use dockless::serve::ecr::EcrSettings;
use dockless::serve::{Server, Settings};
use serde_json::{Value, json};

use super::registry::{INDEX, MANIFEST, Registry, authorization, manifest, no, outcome};

fn invalid(name: &str, constraint: &str) -> (u16, String, String) {
    let text = format!("Invalid parameter at '{name}' failed to satisfy constraint: '{constraint}'");
    no(400, "InvalidParameterException", &text)
}

#[tokio::test]
async fn a_request_is_signed_for_this_service_and_region() {
    let registry = Registry::new().await;
    let asked = async |request: reqwest::RequestBuilder| {
        outcome(request.body("{}").send().await.expect("an answer")).await.expect_err("a refusal").1
    };
    let target = "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories";
    let unsigned = registry.bare("POST", "/").header("x-amz-target", target);
    assert_eq!(asked(unsigned).await, "MissingAuthenticationTokenException");
    let nonsense = registry.bare("POST", "/").header("x-amz-target", target).header("authorization", "Basic QQ==");
    assert_eq!(asked(nonsense).await, "IncompleteSignatureException");
    let describe = "DescribeRepositories";
    assert_eq!(asked(registry.signed("eu-west-1", "ecr", describe)).await, "InvalidSignatureException");
    assert_eq!(asked(registry.signed("us-east-1", "sts", describe)).await, "InvalidSignatureException");
    assert_eq!(asked(registry.signed("us-east-1", "ecr", "Nonsense")).await, "UnknownOperationException");
    let broken = registry.signed("us-east-1", "ecr", describe).body("{").send().await.expect("an answer");
    assert_eq!(outcome(broken).await.expect_err("a refusal").1, "SerializationException");
    assert_eq!(registry.send("GET", "/").await.status(), 404);
}

#[tokio::test]
async fn a_token_with_its_end_and_its_endpoint() {
    let registry = Registry::new().await;
    let output = registry.ask("GetAuthorizationToken", json!({})).await.expect("a token");
    let data = &output["authorizationData"][0];
    assert_eq!(data["proxyEndpoint"], "https://123456789012.dkr.ecr.us-east-1.amazonaws.com");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs_f64();
    let left = data["expiresAt"].as_f64().expect("a number") - now;
    assert!((43_000.0..43_300.0).contains(&left), "{left}");
    let token = STANDARD.decode(data["authorizationToken"].as_str().expect("text")).expect("base64");
    assert!(token.starts_with(b"AWS:"));
}

#[tokio::test]
async fn the_caller_has_an_identity() {
    let registry = Registry::new().await;
    let ask = async |body: &'static str| {
        let request = registry
            .bare("POST", "/")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", authorization("eu-west-1", "sts"));
        let response = request.body(body).send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a text"))
    };
    let (status, text) = ask("Action=GetCallerIdentity&Version=2011-06-15").await;
    assert_eq!(status, 200);
    assert!(text.contains("<Account>123456789012</Account>"), "{text}");
    assert!(text.contains("<Arn>arn:aws:sts::123456789012:assumed-role/dockless/rehearsal</Arn>"), "{text}");
    assert_eq!(ask("Action=AssumeRole").await.0, 400);
}

#[tokio::test]
async fn repositories_come_and_go() {
    let registry = Registry::new().await;
    let input = json!({
        "repositoryName": "team/new",
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{ "filterType": "WILDCARD", "filter": "dev-*" }],
        "imageScanningConfiguration": { "scanOnPush": true },
        "encryptionConfiguration": { "encryptionType": "KMS" },
    });
    let output = registry.ask("CreateRepository", input.clone()).await.expect("a repository");
    let made = &output["repository"];
    assert_eq!(made["repositoryArn"], "arn:aws:ecr:us-east-1:123456789012:repository/team/new");
    assert_eq!(made["repositoryUri"], "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/new");
    assert_eq!(made["imageTagMutabilityExclusionFilters"][0]["filter"], "dev-*");
    assert_eq!(made["imageScanningConfiguration"]["scanOnPush"], true);
    assert_eq!(made["encryptionConfiguration"]["encryptionType"], "KMS");
    let text = "The repository with name 'team/new' already exists in the registry with id '123456789012'";
    assert_eq!(registry.ask("CreateRepository", input).await, Err(no(400, "RepositoryAlreadyExistsException", text)));
    let pattern = "must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*'";
    let bad = registry.ask("CreateRepository", json!({ "repositoryName": "Team/New" })).await;
    assert_eq!(bad, Err(invalid("repositoryName", pattern)));
    let bad = registry.ask("CreateRepository", json!({ "repositoryName": "x" })).await;
    assert_eq!(bad, Err(invalid("repositoryName", "must have length greater than or equal to 2")));
    let bad = json!({ "repositoryName": "team/bad", "imageTagMutability": "SOMETIMES" });
    assert_eq!(registry.ask("CreateRepository", bad).await.expect_err("a refusal").1, "InvalidParameterException");

    let mut names = Vec::new();
    let mut input = json!({ "maxResults": 2 });
    loop {
        let output = registry.ask("DescribeRepositories", input.clone()).await.expect("a page");
        let page = output["repositories"].as_array().expect("a list");
        names
            .extend(page.iter().map(|repository| repository["repositoryName"].as_str().unwrap_or_default().to_owned()));
        match &output["nextToken"] {
            Value::Null => break,
            token => input["nextToken"] = token.clone(),
        }
    }
    assert_eq!(names, ["team/app", "team/base", "team/new"]);
    let text = "The repository with name 'team/none' does not exist in the registry with id '123456789012'";
    let missing = no(400, "RepositoryNotFoundException", text);
    let asked = json!({ "repositoryNames": ["team/app", "team/none"] });
    assert_eq!(registry.ask("DescribeRepositories", asked).await, Err(missing.clone()));

    registry.image("team/new", "v1", "layer").await;
    let delete = json!({ "repositoryName": "team/new" });
    let refused = registry.ask("DeleteRepository", delete).await.expect_err("it holds an image");
    assert_eq!(refused.1, "RepositoryNotEmptyException");
    let delete = json!({ "repositoryName": "team/new", "force": true });
    registry.ask("DeleteRepository", delete).await.expect("deleted");
    assert_eq!(registry.send("GET", "/v2/team/new/tags/list").await.status(), 404);
    assert_eq!(registry.ask("ListImages", json!({ "repositoryName": "team/none" })).await, Err(missing));
}

#[tokio::test]
async fn settings_are_kept() {
    let registry = Registry::new().await;
    let app = || json!({ "repositoryName": "team/app" });
    let missing = registry.ask("GetLifecyclePolicy", app()).await.expect_err("none yet");
    assert_eq!(missing.1, "LifecyclePolicyNotFoundException");
    let selection = json!({ "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 3 });
    let rule = json!({ "rulePriority": 1, "selection": selection, "action": { "type": "expire" } });
    let policy = json!({ "rules": [rule] }).to_string();
    let input = json!({ "repositoryName": "team/app", "lifecyclePolicyText": policy });
    registry.ask("PutLifecyclePolicy", input).await.expect("kept");
    let output = registry.ask("GetLifecyclePolicy", app()).await.expect("the policy");
    assert_eq!(output["lifecyclePolicyText"], json!(policy));
    // Shorter or longer ones no client of AWS's sends: its model of the API has the lengths.
    for wrong in ["{}".to_owned(), " ".repeat(30_721), format!("{{{}}}", " ".repeat(100))] {
        let input = json!({ "repositoryName": "team/app", "lifecyclePolicyText": wrong });
        assert_eq!(registry.ask("PutLifecyclePolicy", input).await.expect_err("none").1, "InvalidParameterException");
    }

    let input = json!({ "repositoryName": "team/app", "imageTagMutability": "IMMUTABLE" });
    registry.ask("PutImageTagMutability", input).await.expect("kept");
    let output = registry.ask("DescribeRepositories", json!({ "repositoryNames": ["team/app"] })).await.expect("one");
    assert_eq!(output["repositories"][0]["imageTagMutability"], "IMMUTABLE");
    registry.image("team/app", "v1", "one").await;
    registry.blob("team/app", b"two").await;
    let response = registry.put_manifest("team/app", "v1", MANIFEST, manifest("two").to_string().as_bytes()).await;
    assert_eq!(response.status(), 400);

    let setting = registry.ask("GetAccountSetting", json!({ "name": "BLOB_MOUNTING" })).await.expect("a setting");
    assert_eq!(setting["value"], "DISABLED");
    let bad = json!({ "name": "BLOB_MOUNTING", "value": "YES" });
    assert_eq!(registry.ask("PutAccountSetting", bad).await.expect_err("no").1, "InvalidParameterException");
}

#[tokio::test]
async fn layers_are_there_or_not() {
    let archived = Digest::of(b"old");
    let registry = Registry::start(&[&format!("archived={archived}")], |_| {}).await;
    let there = registry.blob("team/app", b"layer").await;
    registry.blob("team/app", b"old").await;
    let missing = Digest::of(b"missing");
    let ask = async |digests: Value| {
        let input = json!({ "repositoryName": "team/app", "layerDigests": digests });
        registry.ask("BatchCheckLayerAvailability", input).await
    };
    let output = ask(json!([there, archived, missing, "sha256:1"])).await.expect("an answer");
    let states: Vec<&Value> =
        output["layers"].as_array().expect("layers").iter().map(|layer| &layer["layerAvailability"]).collect();
    assert_eq!(states, ["AVAILABLE", "ARCHIVED", "UNAVAILABLE"]);
    assert_eq!(output["layers"][0]["layerSize"], 5);
    assert_eq!(output["failures"][0]["failureCode"], "InvalidLayerDigest");
    let constraint = "must have length less than or equal to 100";
    assert_eq!(ask(json!(vec![there; 101])).await, Err(invalid("layerDigests", constraint)));
    assert_eq!(ask(json!([])).await.expect_err("none").1, "InvalidParameterException");
}

#[tokio::test]
async fn layers_in_parts_and_an_image_of_them() {
    let registry = Registry::with(|ecr| (ecr.part_min, ecr.part_max) = (5, 10)).await;
    let part = async |id: &Value, first: usize, bytes: &[u8]| {
        let input = json!({
            "repositoryName": "team/app", "uploadId": id, "partFirstByte": first,
            "partLastByte": first + bytes.len() - 1, "layerPartBlob": STANDARD.encode(bytes),
        });
        registry.ask("UploadLayerPart", input).await
    };
    let complete = async |id: &Value, digest: Digest| {
        let input = json!({ "repositoryName": "team/app", "uploadId": id, "layerDigests": [digest] });
        registry.ask("CompleteLayerUpload", input).await
    };
    let begin = async || {
        let output = registry.ask("InitiateLayerUpload", json!({ "repositoryName": "team/app" })).await.expect("begun");
        assert_eq!(output["partSize"], 10);
        output["uploadId"].clone()
    };
    let layer = "0123456789abcd";
    let digest = Digest::of(layer.as_bytes());
    let id = begin().await;
    let output = part(&id, 0, &layer.as_bytes()[..10]).await.expect("kept");
    assert_eq!(output["lastByteReceived"], 9);
    let text = "First byte of the layer part is 12 instead of 10";
    assert_eq!(part(&id, 12, b"cd").await, Err(no(400, "InvalidLayerPartException", text)));
    part(&id, 10, &layer.as_bytes()[10..]).await.expect("kept");
    assert_eq!(complete(&id, digest).await.expect("a layer")["layerDigest"], json!(digest));
    assert_eq!(part(&id, 14, b"x").await.expect_err("over").1, "UploadNotFoundException");

    let id = begin().await;
    part(&id, 0, layer.as_bytes()).await.expect("kept");
    assert_eq!(complete(&id, digest).await.expect_err("there").1, "LayerAlreadyExistsException");
    let id = begin().await;
    assert_eq!(complete(&id, digest).await.expect_err("empty").1, "EmptyUploadException");
    let id = begin().await;
    part(&id, 0, b"x").await.expect("kept");
    part(&id, 1, b"y").await.expect("kept");
    assert_eq!(complete(&id, Digest::of(b"xy")).await.expect_err("small").1, "LayerPartTooSmallException");
    let id = begin().await;
    part(&id, 0, b"x").await.expect("kept");
    assert_eq!(complete(&id, digest).await.expect_err("other bytes").1, "InvalidLayerException");

    let id = begin().await;
    part(&id, 0, b"{}").await.expect("kept");
    complete(&id, Digest::of(b"{}")).await.expect("a configuration");
    let mut document = manifest(layer);
    let text = document.to_string();
    let put = async |manifest: &str, tag: &str| {
        let input = json!({ "repositoryName": "team/app", "imageManifest": manifest, "imageTag": tag });
        registry.ask("PutImage", input).await
    };
    let output = put(&text, "v1").await.expect("an image");
    assert_eq!(output["image"]["imageId"]["imageDigest"], json!(Digest::of(text.as_bytes())));
    assert_eq!(put(&text, "v1").await.expect_err("there").1, "ImageAlreadyExistsException");
    put(&text, "v2").await.expect("another tag");
    document["layers"][0]["digest"] = json!(Digest::of(b"missing"));
    assert_eq!(put(&document.to_string(), "v3").await.expect_err("missing").1, "LayersNotFoundException");
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests":
        [Descriptor::of(MediaType::ImageManifest, b"x")] });
    assert_eq!(put(&index.to_string(), "v3").await.expect_err("missing").1, "ReferencedImagesNotFoundException");
    assert_eq!(put("{", "v3").await.expect_err("no JSON").1, "InvalidParameterException");
    assert_eq!(registry.send("GET", "/v2/team/app/manifests/v2").await.text().await.expect("the text"), text);
}

#[tokio::test]
async fn images_are_described_listed_and_deleted() {
    let registry = Registry::new().await;
    let one = registry.image("team/app", "v1", "one").await;
    assert_eq!(registry.put_manifest("team/app", "latest", MANIFEST, &one).await.status(), 201);
    let two = registry.image("team/app", "v2", "second").await;
    let ask = async |operation: &str, mut input: Value| {
        input["repositoryName"] = json!("team/app");
        registry.ask(operation, input).await
    };
    let output = ask("DescribeImages", json!({ "imageIds": [{ "imageTag": "v1" }] })).await.expect("one");
    let detail = &output["imageDetails"][0];
    assert_eq!(detail["imageDigest"], json!(Digest::of(&one)));
    assert_eq!(detail["imageTags"], json!(["latest", "v1"]));
    assert_eq!(detail["imageManifestMediaType"], MANIFEST);
    assert_eq!(detail["artifactMediaType"], "application/vnd.oci.image.config.v1+json");
    assert_eq!(detail["imageSizeInBytes"], json!(one.len() + 2 + 3));
    assert_eq!(detail["imageStatus"], "ACTIVE");
    let text = "The image with imageId {imageDigest:'null', imageTag:'v9'} does not exist within the repository with \
                name 'team/app' in the registry with id '123456789012'";
    let missing = ask("DescribeImages", json!({ "imageIds": [{ "imageTag": "v9" }] })).await;
    assert_eq!(missing, Err(no(400, "ImageNotFoundException", text)));
    let output = ask("DescribeImages", json!({ "maxResults": 1 })).await.expect("a page");
    assert!(output["nextToken"].is_string());
    let output = ask("ListImages", json!({})).await.expect("a list");
    assert_eq!(output["imageIds"].as_array().map(Vec::len), Some(3));

    let wanted = json!({ "imageIds": [
        { "imageTag": "v2" }, { "imageTag": "v9" }, { "imageTag": "v1", "imageDigest": Digest::of(&two) }, {},
    ] });
    let output = ask("BatchGetImage", wanted).await.expect("a batch");
    assert_eq!(output["images"][0]["imageManifest"].as_str().map(str::as_bytes), Some(&two[..]));
    let codes: Vec<&Value> =
        output["failures"].as_array().expect("failures").iter().map(|failure| &failure["failureCode"]).collect();
    assert_eq!(codes, ["ImageNotFound", "ImageTagDoesNotMatchDigest", "MissingDigestAndTag"]);

    ask("BatchDeleteImage", json!({ "imageIds": [{ "imageTag": "v1" }] })).await.expect("a tag less");
    assert_eq!(registry.send("HEAD", "/v2/team/app/manifests/latest").await.status(), 200);
    ask("BatchDeleteImage", json!({ "imageIds": [{ "imageTag": "latest" }] })).await.expect("the image");
    let gone = format!("/v2/team/app/manifests/{}", Digest::of(&one));
    assert_eq!(registry.send("HEAD", &gone).await.status(), 404);
}

#[tokio::test]
async fn images_outlive_a_restart() {
    let registry = Registry::new().await;
    registry.image("team/app", "v1", "layer").await;
    let Registry { folder, server, .. } = registry;
    server.stop().await.expect("a good end");
    let settings = Settings::like_ecr(&folder.path().join("oci"), EcrSettings::default());
    let server = Server::start(settings).await.expect("a server");
    let registry = Registry::over(folder, server).await;
    let output = registry.ask("DescribeRepositories", json!({})).await.expect("a list");
    assert_eq!(output["repositories"].as_array().map(Vec::len), Some(1));
    assert_eq!(registry.send("GET", "/v2/team/app/manifests/v1").await.status(), 200);
    // A repository is no less one for being empty.
    let input = json!({ "repositoryName": "team/app", "imageIds": [{ "imageTag": "v1" }] });
    registry.ask("BatchDeleteImage", input).await.expect("deleted");
    assert_eq!(registry.send("GET", "/v2/team/app/tags/list").await.status(), 200);
}
