//! A registry like ECR over a folder of its own, and a client that has a token for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dockless::oci::digest::Digest;
use dockless::serve::ecr::EcrSettings;
use dockless::serve::fault::named::Named;
use dockless::serve::{Like, Running, Server, Settings};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) struct Registry {
    pub(crate) folder: TempDir,
    pub(crate) server: Running,
    client: Client,
    token: String,
}

impl Registry {
    /// With the repositories `team/app` and `team/base`.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut EcrSettings)) -> Self {
        Self::start(&[], change).await
    }

    pub(crate) async fn faulty(faults: &[&str]) -> Self {
        Self::start(faults, |_| {}).await
    }

    pub(crate) async fn start(faults: &[&str], change: impl FnOnce(&mut EcrSettings)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ecr = EcrSettings { repositories: vec!["team/app".into(), "team/base".into()], ..EcrSettings::default() };
        let mut settings = Settings::like_ecr(&folder.path().join("oci"), ecr);
        if let Like::Ecr(ecr) = &mut settings.like {
            change(ecr);
        }
        for fault in faults {
            fault.parse::<Named>().expect("a fault").apply(&mut settings).expect("ECR's");
        }
        let server = Server::start(settings).await.expect("a server");
        Self::over(folder, server).await
    }

    pub(crate) async fn over(folder: TempDir, server: Running) -> Self {
        let client = Client::builder().no_proxy().build().expect("a client");
        let mut registry = Self { folder, server, client, token: String::new() };
        registry.token = registry.new_token().await;
        registry
    }

    /// `Authorization: Basic …` as `GetAuthorizationToken` gives it.
    pub(crate) async fn new_token(&self) -> String {
        let mut output = Value::Null;
        // Where faults come by chance one may come here.
        for _ in 0..3 {
            let request = self.signed("us-east-1", "ecr", "GetAuthorizationToken").body("{}");
            if let Ok(response) = request.send().await
                && let Ok(given) = outcome(response).await
            {
                output = given;
                break;
            }
        }
        output["authorizationData"][0]["authorizationToken"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn renew(&mut self) {
        self.token = self.new_token().await;
    }

    pub(crate) fn password(&self) -> String {
        let bytes = STANDARD.decode(&self.token).expect("base64");
        String::from_utf8(bytes).expect("text").strip_prefix("AWS:").expect("the user").to_owned()
    }

    pub(crate) fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let url = if path.starts_with('/') { format!("{}{path}", self.server.url()) } else { path.to_owned() };
        self.client.request(method, url)
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.bare(method, path).header("authorization", format!("Basic {}", self.token))
    }

    pub(crate) async fn send(&self, method: &str, path: &str) -> Response {
        self.request(method, path).send().await.expect("an answer")
    }

    /// The control plane: the output, or the status, exception and message.
    pub(crate) async fn ask(&self, operation: &str, input: Value) -> Result<Value, (u16, String, String)> {
        let request = self.signed("us-east-1", "ecr", operation).body(input.to_string());
        outcome(request.send().await.expect("an answer")).await
    }

    pub(crate) fn signed(&self, region: &str, service: &str, operation: &str) -> RequestBuilder {
        self.bare("POST", "/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("AmazonEC2ContainerRegistry_V20150921.{operation}"))
            .header("authorization", authorization(region, service))
    }

    pub(crate) async fn begin(&self, name: &str) -> String {
        let response = self.send("POST", &format!("/v2/{name}/blobs/uploads/")).await;
        assert_eq!(response.status(), 202);
        header(&response, "location")
    }

    pub(crate) async fn put(&self, location: &str, digest: Digest, bytes: &[u8]) -> Response {
        let path = format!("{location}?digest={digest}");
        self.request("PUT", &path).body(bytes.to_vec()).send().await.expect("an answer")
    }

    pub(crate) async fn patch(&self, location: &str, start: usize, bytes: &[u8]) -> reqwest::Result<Response> {
        let range = format!("{start}-{}", start + bytes.len() - 1);
        self.request("PATCH", location).header("content-range", range).body(bytes.to_vec()).send().await
    }

    pub(crate) async fn blob(&self, name: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        assert_eq!(self.put(&self.begin(name).await, digest, bytes).await.status(), 201);
        digest
    }

    pub(crate) async fn put_manifest(&self, name: &str, reference: &str, kind: &str, bytes: &[u8]) -> Response {
        let path = format!("/v2/{name}/manifests/{reference}");
        self.request("PUT", &path).header("content-type", kind).body(bytes.to_vec()).send().await.expect("an answer")
    }

    /// Pushes an image with one layer; its manifest is the answer.
    pub(crate) async fn image(&self, name: &str, tag: &str, content: &str) -> Vec<u8> {
        self.blob(name, b"{}").await;
        self.blob(name, content.as_bytes()).await;
        let bytes = manifest(content).to_string().into_bytes();
        assert_eq!(self.put_manifest(name, tag, MANIFEST, &bytes).await.status(), 201);
        bytes
    }
}

pub(crate) fn authorization(region: &str, service: &str) -> String {
    let scope = format!("AKIDEXAMPLE/20260801/{region}/{service}/aws4_request");
    format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature=00")
}

pub(crate) async fn outcome(response: Response) -> Result<Value, (u16, String, String)> {
    let status = response.status().as_u16();
    assert_eq!(header(&response, "content-type"), "application/x-amz-json-1.1");
    let body: Value = response.json().await.expect("JSON");
    if status == 200 {
        return Ok(body);
    }
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    Err((status, text("__type"), text("message")))
}

pub(crate) fn manifest(content: &str) -> Value {
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

pub(crate) fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
}

/// The status, code and message of a refusal of the registry API.
pub(crate) async fn refusal(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("an error envelope");
    let text = |key: &str| body["errors"][0][key].as_str().unwrap_or_default().to_owned();
    (status, text("code"), text("message"))
}

pub(crate) fn no(status: u16, code: &str, message: &str) -> (u16, String, String) {
    (status, code.to_owned(), message.to_owned())
}
