//! AWS as other people imitate it: moto's APIs answer the binary, and boto3 reads what the binary's own registry says.
//!
//! moto has no registry behind its APIs: the images go to Debian's docker-registry, which asks for the password of
//! moto's tokens, or to `dockless serve --like ecr`.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

use super::images::{Layout, digest, text};
use super::support::{Place, Registry, Told, find, run, skopeo};

/// The registry of every test.
const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
pub(crate) const REGION: &str = "eu-central-1";

/// Keys that mean nothing to anybody.
pub(crate) const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
];

const ROLE: &str = "arn:aws:iam::123456789012:role/ci";

/// What every script begins with: clients, and the name of the exception that a call ends with.
const OPENING: &str = r#"
import base64, json
import boto3, botocore.exceptions

ecr, sts = boto3.client("ecr"), boto3.client("sts")

def refused(call, **words):
    try:
        call(**words)
    except botocore.exceptions.ClientError as error:
        return [type(error).__name__, error.response["Error"]["Code"]]
"#;

/// The API of AWS, a registry, and the binary between them.
pub(crate) struct Cloud {
    api: Registry,
    registry: Registry,
    pub(crate) place: Place,
}

impl Cloud {
    /// moto, and a registry of ours that takes everything.
    pub(crate) fn moto(test: &str) -> Option<Self> {
        let place = Place::new(test, &["moto_server"])?;
        let more = ["--like", "ecr", "--region", REGION, "--fault", "anonymous", "--create-on-push"];
        Some(Self { api: Registry::moto(&place), registry: Registry::serve(&place, "registry", &more), place })
    }

    /// A command with the stand-ins in place of AWS.
    fn prepare(&self, command: Command) -> Command {
        prepare(&self.place, command, &self.api, &self.registry)
    }

    pub(crate) fn dockless(&self, words: &[&str], variables: &[(&str, &str)]) -> Told {
        let command = Command::new(env!("CARGO_BIN_EXE_dockless"));
        run(self.prepare(command).args(words).envs(variables.iter().copied()))
    }

    /// Builds `app` and pushes it.
    fn push(&self, name: &str, more: &[&str], variables: &[(&str, &str)]) -> Told {
        fs::create_dir_all(self.place.path("app")).expect("a folder");
        let reference = format!("{HOST}/{name}");
        let words = ["build", "--layer", "app:/app", "-p", "linux/amd64", "-o", "image", "-t", &reference, "--push"];
        self.dockless(&[&words[..], more].concat(), variables)
    }

    /// Changes what there is to push.
    fn write(&self, content: &str) {
        fs::create_dir_all(self.place.path("app")).expect("a folder");
        fs::write(self.place.path("app/file"), content).expect("a file");
    }

    /// What boto3 answers to a script that sets `answer`.
    #[track_caller]
    pub(crate) fn boto3(&self, script: &str) -> Value {
        boto3(&self.place, &self.api, script)
    }

    /// Whether the registry was asked for anything.
    fn is_untouched(&self) -> bool {
        self.registry.requests().is_empty()
    }
}

fn prepare(place: &Place, command: Command, api: &Registry, registry: &Registry) -> Command {
    let mut command = place.prepare(command);
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL", format!("http://{}", api.address))
        .env("DOCKLESS_REGISTRY_ENDPOINT", format!("{HOST}=http://{}", registry.address));
    command
}

#[track_caller]
fn boto3(place: &Place, api: &Registry, script: &str) -> Value {
    // The Python that has moto has boto3 as well.
    let moto = find("moto_server").and_then(|path| fs::canonicalize(path).ok()).expect("moto_server");
    let python = moto.with_file_name("python3");
    let mut command = place.prepare(Command::new(python));
    command.env("AWS_ENDPOINT_URL", format!("http://{}", api.address)).env("AWS_DEFAULT_REGION", REGION).envs(KEYS);
    let script = format!("{OPENING}{script}\nprint(json.dumps(answer, default=lambda time: time.timestamp()))");
    let told = run(command.args(["-c", &script])).ok();
    serde_json::from_slice(&told.stdout).expect("JSON")
}

#[test]
fn a_token_of_moto_opens_debians_registry() {
    let tools = &["moto_server", "docker-registry", "skopeo"];
    let Some(place) = Place::new("a_token_of_moto_opens_debians_registry", tools) else { return };
    let registry = Registry::docker_registry_with_password(&place, "debian");
    let cloud = Cloud { api: Registry::moto(&place), registry, place };
    cloud.write("content");
    cloud.boto3("answer = ecr.create_repository(repositoryName='team/app')");
    // moto says that the token has expired in 2015, which must neither end the push nor renew the token for each
    // request.
    let told = cloud.push("team/app:v1", &[], &KEYS).ok();
    assert!(!told.stderr.contains("warning"), "{told}");
    let top = Layout(cloud.place.path("image")).top();
    assert_eq!(told.line(), format!("{HOST}/team/app@{top}"));
    let calls = cloud.api.told().matches("POST / HTTP/1.1\" 200").count();
    // boto3's own, the token, the repository, the identity.
    assert_eq!(calls, 4, "{}", cloud.api.told());
    let creds = "AWS:123456789012-auth-token";
    let from = cloud.registry.docker("team/app:v1");
    let raw = skopeo(["inspect", "--raw", "--tls-verify=false", "--creds", creds, &from]).ok();
    assert_eq!(digest(&raw.stdout), top);
    // Whose token it is, is known by the answer of the registry alone.
    cloud.push("team/app:v2", &["--credentials", "docker"], &KEYS).failed(2, &["401"]);
}

#[test]
fn a_name_that_moto_does_not_have() {
    let Some(cloud) = Cloud::moto("a_name_that_moto_does_not_have") else { return };
    cloud.boto3("answer = [ecr.create_repository(repositoryName=name) for name in ('team/app', 'web')]");
    let help = "did you mean team/app? Otherwise create it with `aws ecr create-repository --repository-name team/ap \
                --region eu-central-1`";
    let told = cloud.push("team/ap:v1", &[], &KEYS).failed(2, &["there is no repository \"team/ap\"", help]);
    assert!(!told.stderr.contains("html"), "{told}");
    assert!(cloud.is_untouched());
    assert!(!cloud.place.path("image").exists(), "it is known before the build");
}

#[test]
fn moto_has_the_repository_that_was_asked_for() {
    let Some(cloud) = Cloud::moto("moto_has_the_repository_that_was_asked_for") else { return };
    let task = json!({
        "family": "app", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "runtimePlatform": { "cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX" },
        "containerDefinitions": [{ "name": "app", "image": format!("{HOST}/team/app:v1") }],
    });
    fs::write(cloud.place.path("task.json"), task.to_string()).expect("a file");
    let new = ["--create-repository", "--scan-on-push", "--immutable-tags", "--keep-images", "30"];
    // What does not run on the task leaves no repository behind.
    let refused = [&new[..], &["--task-definition", "task.json"]].concat();
    cloud.push("team/app:v1", &refused, &KEYS).failed(1, &["platform-missing"]);
    assert_eq!(cloud.boto3("answer = ecr.describe_repositories()['repositories']"), json!([]));

    cloud.push("team/app:v1", &new, &KEYS).ok();
    let answer = cloud.boto3(
        "name = 'team/app'\n\
         found, = ecr.describe_repositories(repositoryNames=[name])['repositories']\n\
         policy = json.loads(ecr.get_lifecycle_policy(repositoryName=name)['lifecyclePolicyText'])\n\
         tags = ecr.list_tags_for_resource(resourceArn=found['repositoryArn'])['tags']\n\
         answer = [found, policy, tags]",
    );
    let [found, policy, tags] = [&answer[0], &answer[1], &answer[2]];
    assert_eq!(found["repositoryUri"], format!("{HOST}/team/app"));
    assert_eq!(found["imageTagMutability"], "IMMUTABLE");
    assert_eq!(found["imageScanningConfiguration"], json!({ "scanOnPush": true }));
    assert_eq!(*tags, json!([{ "Key": "created-by", "Value": "dockless" }]));
    let rule = json!({
        "rulePriority": 1, "description": "keep 30 images", "action": { "type": "expire" },
        "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 30 },
    });
    assert_eq!(*policy, json!({ "rules": [rule] }));

    // Without the flags a repository has what AWS gives it.
    cloud.push("team/plain:v1", &["--create-repository"], &KEYS).ok();
    let answer = cloud.boto3(
        "found, = ecr.describe_repositories(repositoryNames=['team/plain'])['repositories']\n\
         answer = [found, refused(ecr.get_lifecycle_policy, repositoryName='team/plain')]",
    );
    assert_eq!(answer[0]["imageTagMutability"], "MUTABLE");
    assert_eq!(answer[0]["imageScanningConfiguration"], json!({ "scanOnPush": false }));
    assert_eq!(answer[1][0], "LifecyclePolicyNotFoundException");
}

#[test]
fn tags_that_moto_keeps_are_not_moved() {
    let Some(cloud) = Cloud::moto("tags_that_moto_keeps_are_not_moved") else { return };
    cloud.boto3(
        "answer = ecr.create_repository(\n\
         repositoryName='team/app', imageTagMutability='IMMUTABLE_WITH_EXCLUSION',\n\
         imageTagMutabilityExclusionFilters=[{'filterType': 'WILDCARD', 'filter': 'latest*'}])",
    );
    cloud.write("one");
    cloud.push("team/app:v1", &[], &KEYS).ok();
    cloud.push("team/app:latest-ci", &[], &KEYS).ok();
    let before = cloud.registry.requests().len();
    cloud.write("two");
    cloud.push("team/app:v1", &[], &KEYS).failed(2, &["v1", "immutable"]);
    let sent = cloud.registry.requests().split_off(before);
    assert!(sent.iter().all(|request| request.method == "GET" || request.method == "HEAD"), "{sent:#?}");
    // An excluded one moves.
    cloud.push("team/app:latest-ci", &[], &KEYS).ok();
}

/// What `doctor` says of the identity.
#[track_caller]
fn identity(cloud: &Cloud, more: &[&str], variables: &[(&str, &str)]) -> String {
    let reference = format!("{HOST}/team/app:v1");
    let told = cloud.dockless(&[&["doctor", "ecr", &reference], more].concat(), variables).ok().text();
    let line = told.lines().find(|line| line.starts_with("ok       identity")).expect("an identity");
    line.split_whitespace().last().expect("an ARN").to_owned()
}

#[test]
fn a_web_identity_becomes_a_role_of_moto() {
    let Some(cloud) = Cloud::moto("a_web_identity_becomes_a_role_of_moto") else { return };
    cloud.boto3("answer = ecr.create_repository(repositoryName='team/app')");
    fs::write(cloud.place.path("token"), "a.web.identity").expect("a file");
    let file = cloud.place.text("token");
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.as_str()),
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_ROLE_SESSION_NAME", "from-a-file"),
    ];
    let arn = "arn:aws:sts::123456789012:assumed-role/ci/from-a-file";
    assert_eq!(identity(&cloud, &[], &variables), arn);
    cloud.push("team/app:v1", &[], &variables).ok();
}

#[test]
fn keys_become_a_role_of_moto() {
    let Some(cloud) = Cloud::moto("keys_become_a_role_of_moto") else { return };
    cloud.boto3("answer = ecr.create_repository(repositoryName='team/app')");
    let arn = "arn:aws:sts::123456789012:assumed-role/ci/dockless";
    assert_eq!(identity(&cloud, &["--role", ROLE], &KEYS), arn);
    cloud.push("team/app:v1", &["--role", ROLE], &KEYS).ok();
}

/// The runner's token server: its URL, and the requests that come.
fn token_server() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/token?job=1", listener.local_addr().expect("an address"));
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines().map_while(Result::ok);
            let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            let body = r#"{"count":20,"value":"a.job.token"}"#;
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            if sender.send(head.join("\n")).is_err() {
                return;
            }
        }
    });
    (url, receiver)
}

#[test]
fn a_job_of_github_becomes_a_role_of_moto() {
    let Some(cloud) = Cloud::moto("a_job_of_github_becomes_a_role_of_moto") else { return };
    cloud.boto3("answer = ecr.create_repository(repositoryName='team/app')");
    let (url, requests) = token_server();
    let job = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token"),
        ("GITHUB_RUN_ID", "42"),
    ];
    let arn = "arn:aws:sts::123456789012:assumed-role/ci/dockless-42";
    assert_eq!(identity(&cloud, &["--role", ROLE], &job), arn);
    let asked = requests.try_recv().expect("a request for the token");
    assert!(asked.starts_with("GET /token?job=1&audience=sts.amazonaws.com "), "{asked}");
    assert!(asked.to_ascii_lowercase().contains("authorization: bearer request-token"), "{asked}");
    cloud.push("team/app:v1", &["--role", ROLE], &job).ok();
}

#[test]
fn the_doctor_does_without_what_moto_lacks() {
    let Some(cloud) = Cloud::moto("the_doctor_does_without_what_moto_lacks") else { return };
    let reference = format!("{HOST}/team/app:v1");
    let told = cloud.dockless(&["doctor", "ecr", &reference], &KEYS);
    assert_eq!(told.code, Some(1), "{told}");
    assert!(told.text().contains("FAILED   repository   team/app does not exist"), "{told}");
    cloud.boto3("answer = ecr.create_repository(repositoryName='team/app', imageTagMutability='IMMUTABLE')");
    let told = cloud.dockless(&["doctor", "ecr", &reference], &KEYS).ok();
    let checks: Vec<[String; 2]> = told
        .text()
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            [words.next().expect("an outcome"), words.next().expect("a check")]
        })
        .collect();
    let ok = ["registry", "credentials", "identity", "region", "token", "repository", "push", "tag"];
    let mut wanted: Vec<[&str; 2]> = ok.map(|check| ["ok", check]).to_vec();
    wanted.extend([["skipped", "mounting"], ["ok", "quota"], ["skipped", "upload"]]);
    assert_eq!(checks, wanted, "{told}");
    assert!(told.text().contains("ecr:GetAccountSetting: the answer is 500, and none of AWS's"), "{told}");
    assert!(!told.text().contains("html"), "{told}");
    // Once for the templates of the first run, once for the account's setting.
    let unknown = cloud.api.told().matches("\" 500 -").count();
    assert_eq!(unknown, 2, "{}", cloud.api.told());
}

/// Our registry, which answers as ECR does, and an image in it.
fn ours(test: &str, more: &[&str]) -> Option<(Place, Registry)> {
    let place = Place::new(test, &["moto_server", "skopeo"])?;
    let like = ["--like", "ecr", "--region", REGION, "--repository", "team/app"];
    let registry = Registry::serve(&place, "registry", &[&like[..], more].concat());
    Some((place, registry))
}

/// What a manifest names: the configuration and the layers.
fn blobs(manifest: &Value) -> Vec<String> {
    let layers = manifest["layers"].as_array().expect("layers").iter();
    layers.chain([&manifest["config"]]).map(|blob| text(&blob["digest"])).collect()
}

/// Pushes two small platforms to `team/app:v1`; the layout is in `image`.
fn pushed(place: &Place, registry: &Registry) -> Layout {
    for arch in ["amd64", "arm64"] {
        fs::create_dir_all(place.path(arch)).expect("a folder");
        fs::write(place.path(arch).join("arch"), arch).expect("a file");
    }
    let reference = format!("{HOST}/team/app:v1");
    let command = Command::new(env!("CARGO_BIN_EXE_dockless"));
    let words = ["build", "-p", "linux/amd64,linux/arm64", "--layer", "linux/amd64=amd64", "--layer"];
    let more = ["linux/arm64=arm64", "-o", "image", "-t", &reference, "--push"];
    run(prepare(place, command, registry, registry).args(words).args(more).envs(KEYS)).ok();
    Layout(place.path("image"))
}

#[test]
fn boto3_reads_the_images_of_our_registry() {
    let Some((place, registry)) = ours("boto3_reads_the_images_of_our_registry", &[]) else { return };
    let layout = pushed(&place, &registry);
    let manifests = layout.manifests();
    let mut layers: Vec<String> = manifests.iter().flat_map(|name| blobs(&layout.document(name))).collect();
    layers.sort();
    let unknown = digest(b"nowhere");
    let script = format!(
        "name, layers = 'team/app', {}\n\
         images = {{one['imageDigest']: one for one in ecr.describe_images(repositoryName=name)['imageDetails']}}\n\
         tagged = ecr.describe_images(repositoryName=name, filter={{'tagStatus': 'TAGGED'}})['imageDetails']\n\
         listed = ecr.list_images(repositoryName=name)['imageIds']\n\
         got = ecr.batch_get_image(repositoryName=name, imageIds=[{{'imageTag': 'v1'}}, {{'imageTag': 'v9'}}])\n\
         held = ecr.batch_check_layer_availability(repositoryName=name, layerDigests=layers + [{}])\n\
         paged = sum(len(page['imageIds']) for page in ecr.get_paginator('list_images').paginate(\n\
         repositoryName=name, PaginationConfig={{'PageSize': 1}}))\n\
         answer = [images, tagged, listed, got, held, paged]",
        json!(layers),
        json!(unknown)
    );
    let before = std::time::SystemTime::now();
    let answer = boto3(&place, &registry, &script);
    let [images, tagged, listed, got, held, paged] =
        <[Value; 6]>::try_from(answer.as_array().expect("a list").clone()).expect("six answers");

    let top = layout.top();
    let mut known: Vec<&String> = images.as_object().expect("images").keys().collect();
    let mut wanted: Vec<&String> = manifests.iter().chain([&top]).collect();
    known.sort();
    wanted.sort();
    assert_eq!(known, wanted, "the index and its manifests");
    assert_eq!(images[&top]["imageTags"], json!(["v1"]));
    assert_eq!(images[&top]["imageManifestMediaType"], "application/vnd.oci.image.index.v1+json");
    let seconds = before.duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs_f64();
    for name in &manifests {
        let image = &images[name];
        assert_eq!(image["imageManifestMediaType"], "application/vnd.oci.image.manifest.v1+json");
        assert_eq!(image["artifactMediaType"], "application/vnd.oci.image.config.v1+json");
        assert_eq!(image.get("imageTags"), None);
        let manifest = layout.document(name);
        let size = |blob: &Value| blob["size"].as_u64().expect("a size");
        let blobs: u64 = manifest["layers"].as_array().expect("layers").iter().map(size).sum();
        let all = blobs + size(&manifest["config"]) + layout.blob(name).len() as u64;
        assert_eq!(image["imageSizeInBytes"], all);
        let ago = seconds - image["imagePushedAt"].as_f64().expect("a time");
        assert!((-5.0..600.0).contains(&ago), "{image}");
    }
    assert_eq!(tagged.as_array().map(Vec::len), Some(1));
    assert_eq!(tagged[0]["imageDigest"], top);
    assert_eq!((listed.as_array().map(Vec::len), paged.as_u64()), (Some(3), Some(3)));
    assert!(listed.as_array().expect("a list").contains(&json!({ "imageDigest": top, "imageTag": "v1" })));

    assert_eq!(digest(text(&got["images"][0]["imageManifest"]).as_bytes()), top);
    assert_eq!(got["images"][0]["imageId"], json!({ "imageDigest": top, "imageTag": "v1" }));
    assert_eq!(got["failures"][0]["failureCode"], "ImageNotFound");

    let held = held["layers"].as_array().expect("layers");
    let available: Vec<String> = held
        .iter()
        .filter(|one| one["layerAvailability"] == "AVAILABLE")
        .map(|one| text(&one["layerDigest"]))
        .collect();
    assert_eq!(available, layers);
    assert_eq!(held[layers.len()], json!({ "layerDigest": unknown, "layerAvailability": "UNAVAILABLE" }));
}

#[test]
fn a_token_by_boto3_opens_our_registry() {
    let Some((place, registry)) = ours("a_token_by_boto3_opens_our_registry", &[]) else { return };
    let top = pushed(&place, &registry).top();
    let script = "data, = ecr.get_authorization_token()['authorizationData']\n\
                  answer = [data, base64.b64decode(data['authorizationToken']).decode()]";
    let answer = boto3(&place, &registry, script);
    assert_eq!(answer[0]["proxyEndpoint"], format!("https://{HOST}"));
    let creds = text(&answer[1]);
    assert!(creds.starts_with("AWS:"), "the user is always AWS");
    let from = registry.docker("team/app:v1");
    let raw = skopeo(["inspect", "--raw", "--tls-verify=false", "--creds", &creds, &from]).ok();
    assert_eq!(digest(&raw.stdout), top);
    let to = format!("oci:{}:v1", place.text("pulled"));
    skopeo([
        "copy",
        "--all",
        "--preserve-digests",
        "--quiet",
        "--src-tls-verify=false",
        "--src-creds",
        &creds,
        &from,
        &to,
    ])
    .ok();
    assert_eq!(Layout(place.path("pulled")).top(), top);
    let wrong = skopeo(["inspect", "--raw", "--tls-verify=false", "--creds", "AWS:wrong", &from]);
    assert_ne!(wrong.code, Some(0), "{wrong}");
}

#[test]
fn boto3_sets_up_our_registry() {
    let Some((place, registry)) = ours("boto3_sets_up_our_registry", &[]) else { return };
    let answer = boto3(
        &place,
        &registry,
        "name, policy = 'team/new', json.dumps({'rules': [{'rulePriority': 1, 'action': {'type': 'expire'},\n\
         'selection': {'tagStatus': 'any', 'countType': 'imageCountMoreThan', 'countNumber': 3}}]})\n\
         made = ecr.create_repository(repositoryName=name, imageScanningConfiguration={'scanOnPush': True})['repository']\n\
         ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=policy)\n\
         kept = ecr.get_lifecycle_policy(repositoryName=name)\n\
         rule = {'imageTagMutability': 'IMMUTABLE_WITH_EXCLUSION',\n\
         'imageTagMutabilityExclusionFilters': [{'filterType': 'WILDCARD', 'filter': 'latest*'}]}\n\
         set = ecr.put_image_tag_mutability(repositoryName=name, **rule)\n\
         found, = ecr.describe_repositories(repositoryNames=[name])['repositories']\n\
         names = [one['repositoryName'] for one in ecr.describe_repositories()['repositories']]\n\
         who = sts.get_caller_identity()\n\
         role = 'arn:aws:iam::123456789012:role/ci'\n\
         taken = sts.assume_role(RoleArn=role, RoleSessionName='boto3')\n\
         job = sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName='boto3', WebIdentityToken='a.job.token')\n\
         answer = [made, kept, set, found, names, who, taken, job, json.loads(kept['lifecyclePolicyText']) == json.loads(policy)]",
    );
    let [made, kept, set, found, names, who, taken, job, same] =
        <[Value; 9]>::try_from(answer.as_array().expect("a list").clone()).expect("nine answers");
    assert_eq!(made["repositoryUri"], format!("{HOST}/team/new"));
    assert_eq!(made["repositoryArn"], "arn:aws:ecr:eu-central-1:123456789012:repository/team/new");
    assert_eq!(made["imageScanningConfiguration"], json!({ "scanOnPush": true }));
    assert_eq!(made["imageTagMutability"], "MUTABLE");
    assert!(made["createdAt"].as_f64().is_some_and(|time| time > 1.7e9), "{made}");
    assert_eq!((kept["registryId"].as_str(), same), (Some("123456789012"), json!(true)));
    let filters = json!([{ "filterType": "WILDCARD", "filter": "latest*" }]);
    for answer in [&set, &found] {
        assert_eq!(answer["imageTagMutability"], "IMMUTABLE_WITH_EXCLUSION");
        assert_eq!(answer["imageTagMutabilityExclusionFilters"], filters);
    }
    assert_eq!(names, json!(["team/app", "team/new"]));
    assert_eq!(who["Account"], "123456789012");
    for answer in [&taken, &job] {
        assert_eq!(answer["AssumedRoleUser"]["Arn"], "arn:aws:sts::123456789012:assumed-role/ci/boto3");
        assert!(answer["Credentials"]["Expiration"].as_f64().is_some_and(|time| time > 1.7e9), "{answer}");
    }
}

#[test]
fn boto3_knows_the_errors_of_our_registry() {
    let deny = ["--fault", "deny=ecr:PutLifecyclePolicy", "--fault", "deny=sts:AssumeRole"];
    let Some((place, registry)) = ours("boto3_knows_the_errors_of_our_registry", &deny) else { return };
    pushed(&place, &registry);
    let answer = boto3(
        &place,
        &registry,
        "name, policy = 'team/app', json.dumps({'rules': [{'description': 100 * 'x'}]})\n\
         role = 'arn:aws:iam::123456789012:role/ci'\n\
         answer = [\n\
         refused(ecr.describe_images, repositoryName='team/none'),\n\
         refused(ecr.describe_repositories, repositoryNames=['team/none']),\n\
         refused(ecr.describe_images, repositoryName=name, imageIds=[{'imageTag': 'v9'}]),\n\
         refused(ecr.create_repository, repositoryName=name),\n\
         refused(ecr.get_lifecycle_policy, repositoryName=name),\n\
         refused(ecr.delete_repository, repositoryName=name),\n\
         refused(ecr.list_images, repositoryName='Not_A_Name'),\n\
         refused(ecr.put_lifecycle_policy, repositoryName=name, lifecyclePolicyText=policy),\n\
         refused(sts.assume_role, RoleArn=role, RoleSessionName='boto3'),\n\
         refused(boto3.client('ecr', region_name='us-east-1').describe_repositories),\n\
         ]",
    );
    // What the model of a service has not, botocore calls a ClientError; its code says which.
    let modelled = |name: &str| json!([name, name]);
    assert_eq!(
        answer,
        json!([
            modelled("RepositoryNotFoundException"),
            modelled("RepositoryNotFoundException"),
            modelled("ImageNotFoundException"),
            modelled("RepositoryAlreadyExistsException"),
            modelled("LifecyclePolicyNotFoundException"),
            modelled("RepositoryNotEmptyException"),
            modelled("InvalidParameterException"),
            ["ClientError", "AccessDeniedException"],
            ["ClientError", "AccessDenied"],
            ["ClientError", "InvalidSignatureException"],
        ])
    );
}
