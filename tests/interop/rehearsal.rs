//! `serve --like ecr` in the test's own process, so that its log can be read, and pushes to it under ECR's real names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use dockless::serve::ecr::EcrSettings;
use dockless::serve::fault::named::Named;
use dockless::serve::log::Record;
use dockless::serve::{Running, Server, Settings};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::images::{Layout, digest, text};
use super::support::{Place, Told, run};

/// The registry as ECR names it.
pub(crate) const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
/// A repository that is there.
pub(crate) const REPOSITORY: &str = "team/app";

/// Who signs for the control plane; nobody checks the rest.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260801/eu-central-1/ecr/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=00";
const OPERATION: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";

/// How often the reader asks: it meets the faults as well.
const TRIES: usize = 8;

/// An image that was pulled, each document and blob held to its digest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pulled {
    /// The index and its manifests.
    pub(crate) manifests: BTreeSet<String>,
    /// Layers and configurations, with their sizes.
    pub(crate) blobs: BTreeMap<String, u64>,
}

impl Pulled {
    /// The files that a layout with the same image has below `blobs/sha256`.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.manifests.iter().chain(self.blobs.keys()).map(|name| name.replace("sha256:", "")).collect();
        names.sort();
        names
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"))
}

/// A registry like ECR, over a folder that goes with it.
pub(crate) struct Rehearsal {
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    /// The folder of the server and of Docker's `config.json`.
    folder: PathBuf,
    log: Arc<Mutex<Vec<Record>>>,
    client: Client,
    token: Mutex<String>,
    running: Option<Running>,
}

impl Rehearsal {
    /// With the repository [`REPOSITORY`].
    pub(crate) fn new(place: &Place, name: &str, faults: &[&str]) -> Self {
        Self::with(place, name, faults, &[REPOSITORY])
    }

    /// With these repositories, and these faults.
    pub(crate) fn with(place: &Place, name: &str, faults: &[&str], repositories: &[&str]) -> Self {
        let folder = place.path(name);
        let repositories = repositories.iter().map(|&name| name.to_owned()).collect();
        let ecr = EcrSettings { repositories, ..EcrSettings::new("123456789012", "eu-central-1") };
        let mut settings = Settings::like_ecr(&folder.join("oci"), ecr);
        for fault in faults {
            fault.parse::<Named>().expect("a fault").apply(&mut settings).expect("a fault of ECR");
        }
        let log = Arc::<Mutex<Vec<Record>>>::default();
        let kept = Arc::clone(&log);
        settings.log = Some(Arc::new(move |record: &Record| held(&kept).push(record.clone())));
        fs::create_dir_all(&folder).expect("a folder");
        let running = runtime().block_on(Server::start(settings)).expect("a server");
        let client = Client::builder().no_proxy().build().expect("a client");
        let mut rehearsal = Self { url: running.url(), folder, log, client, token: Mutex::default(), running: None };
        rehearsal.running = Some(running);
        rehearsal.renew();
        rehearsal.log_in(&json!({ "auths": { HOST: { "auth": *held(&rehearsal.token) } } }));
        held(&rehearsal.log).clear();
        rehearsal
    }

    /// Takes what `aws ecr get-authorization-token` would give.
    fn renew(&self) {
        let (_, output) = asked(|| {
            self.client
                .post(&self.url)
                .header("content-type", "application/x-amz-json-1.1")
                .header("x-amz-target", OPERATION)
                .header("authorization", SIGNED)
                .body("{}")
        });
        let output: Value = serde_json::from_slice(&output).expect("JSON");
        *held(&self.token) = text(&output["authorizationData"][0]["authorizationToken"]);
    }

    fn log_in(&self, config: &Value) {
        let folder = self.folder.join("docker");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("config.json"), config.to_string()).expect("a file");
    }

    /// Gives the client a credential helper, which asks for a new token each time, instead of one token.
    pub(crate) fn log_in_by_helper(&self) {
        let (port, folder) = (self.url.rsplit(':').next().expect("a port"), self.folder.join("bin"));
        let head = format!(
            "POST / HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\nContent-Type: application/x-amz-json-1.1\\r\\nX-Amz-Target: \
             {OPERATION}\\r\\nAuthorization: {SIGNED}\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\n{{}}"
        );
        // As patient as any other client: it meets the faults as well.
        let script = format!(
            "#!/bin/bash\nfor _ in {{1..8}}; do\n  exec 3<>/dev/tcp/127.0.0.1/{port}\n  printf '{head}' >&3\n  \
             token=$(sed -n 's/.*\"authorizationToken\":\"\\([^\"]*\\)\".*/\\1/p' <&3 | base64 -d)\n  \
             [ -n \"$token\" ] && break\ndone\n\
             printf '{{\"ServerURL\":\"{HOST}\",\"Username\":\"AWS\",\"Secret\":\"%s\"}}' \"${{token#AWS:}}\"\n"
        );
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("docker-credential-rehearsal");
        fs::write(&path, script).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
        self.log_in(&json!({ "credHelpers": { HOST: "rehearsal" } }));
    }

    /// The binary with everything that it needs to find this registry, and no other.
    pub(crate) fn command(&self, place: &Place) -> Command {
        let mut command = place.command();
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", self.folder.join("bin").display()))
            .env("DOCKER_CONFIG", self.folder.join("docker"))
            .env("DOCKLESS_REGISTRY_ENDPOINT", format!("{HOST}={}", self.url))
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    /// Pushes a layout to the tag `v1` of [`REPOSITORY`].
    pub(crate) fn push(&self, place: &Place, image: &Path, more: &[&str]) -> Told {
        let reference = format!("{HOST}/{REPOSITORY}:v1");
        run(self.command(place).arg("push").arg(image).arg(reference).args(more))
    }

    /// Waits until nobody has asked a repository for anything for a while: what a client left behind is dealt with.
    pub(crate) fn settle(&self, repository: &str) {
        let mut seen = usize::MAX;
        loop {
            let count = self.records_of(repository).len();
            if count == seen {
                break;
            }
            seen = count;
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// The requests so far.
    pub(crate) fn records(&self) -> Vec<Record> {
        held(&self.log).clone()
    }

    /// Those for one repository.
    pub(crate) fn records_of(&self, repository: &str) -> Vec<Record> {
        let folder = format!("/v2/{repository}/");
        held(&self.log).iter().filter(|record| record.path.starts_with(&folder)).cloned().collect()
    }

    /// A document or blob as it is served, held to its digest where that is its name; `None` where there is none.
    fn get(&self, path: &str, accept: &str) -> Option<Vec<u8>> {
        let url = format!("{}/v2/{path}", self.url);
        let ask = || {
            let authorization = format!("Basic {}", held(&self.token));
            asked(|| self.client.get(&url).header("accept", accept).header("authorization", &authorization))
        };
        let (mut status, mut bytes) = ask();
        if status == 403 {
            // Expired.
            self.renew();
            (status, bytes) = ask();
        }
        if status == 404 {
            return None;
        }
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&bytes));
        let named = path.rsplit('/').next().filter(|name| name.starts_with("sha256:"));
        assert!(named.is_none_or(|name| digest(&bytes) == name), "{path} has other bytes");
        Some(bytes)
    }

    /// Whether a repository has a blob.
    pub(crate) fn has(&self, repository: &str, blob: &str) -> bool {
        self.get(&format!("{repository}/blobs/{blob}"), "*/*").is_some()
    }

    /// Everything below a tag, read over HTTP; `None` where there is no such tag. All that a document names must be
    /// there.
    pub(crate) fn image(&self, repository: &str, tag: &str) -> Option<Pulled> {
        const INDEX: &str = "application/vnd.oci.image.index.v1+json";
        const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
        let must = |kind: &str, name: &str, accept: &str| {
            let bytes = self.get(&format!("{repository}/{kind}/{name}"), accept);
            bytes.unwrap_or_else(|| panic!("{tag} of {repository} names {name}, which is not there"))
        };
        let top = self.get(&format!("{repository}/manifests/{tag}"), INDEX)?;
        let index: Value = serde_json::from_slice(&top).expect("JSON");
        let mut pulled = Pulled { manifests: BTreeSet::from([digest(&top)]), blobs: BTreeMap::new() };
        for child in index["manifests"].as_array().expect("manifests") {
            let name = text(&child["digest"]);
            let manifest: Value = serde_json::from_slice(&must("manifests", &name, MANIFEST)).expect("JSON");
            pulled.manifests.insert(name);
            for blob in manifest["layers"].as_array().expect("layers").iter().chain([&manifest["config"]]) {
                let name = text(&blob["digest"]);
                let size = blob["size"].as_u64().expect("a size");
                if pulled.blobs.insert(name.clone(), size).is_none() {
                    assert_eq!(must("blobs", &name, "*/*").len() as u64, size);
                }
            }
        }
        Some(pulled)
    }

    /// What the server keeps, on its disk.
    pub(crate) fn kept(&self) -> Layout {
        Layout(self.folder.join("oci"))
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // Its requests have ended with its clients; a test that failed has said so already.
            let _ = runtime().block_on(running.stop());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Status and body of a request that is made again where it meets a fault.
fn asked(request: impl Fn() -> RequestBuilder) -> (u16, Vec<u8>) {
    runtime().block_on(async {
        for _ in 0..TRIES {
            let Ok(response) = request().send().await else { continue };
            let status = response.status().as_u16();
            if let (200 | 403 | 404, Ok(body)) = (status, response.bytes().await) {
                return (status, body.to_vec());
            }
        }
        panic!("no answer in {TRIES} tries");
    })
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does jobs side by side, so many at a time.
pub(crate) fn side_by_side<T: Send>(workers: usize, jobs: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
    let mut jobs: Vec<T> = jobs.into_iter().collect();
    jobs.reverse();
    let jobs = Mutex::new(jobs);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(job) = held(&jobs).pop() else { break };
                    work(job);
                }
            });
        }
    });
}
