//! An image to a repository: in which order, and what is not sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dockless::event::{BlobStatus, Silent};
use dockless::oci::canonical;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::manifest::{Index, Manifest};
use dockless::oci::media_type::MediaType;
use dockless::oci::platform::Platform;
use dockless::registry::client::Access;
use dockless::registry::error::Error;
use dockless::registry::push::mount::MountSource;
use dockless::registry::push::{Failed, Options, Pushed, ahead, push};
use dockless::registry::upload::{Started, start};

use crate::script::{Line, Request, Script, on};
use crate::{Memory, client, layer, quick, reference};

/// An index of two manifests with a shared layer, one of them with a foreign one.
struct Image {
    source: Memory,
    top: Descriptor,
    children: Vec<Descriptor>,
    shared: Descriptor,
    configs: Vec<Descriptor>,
}

fn image() -> Image {
    let shared = b"a shared layer".as_slice();
    let mut source = Memory::default().with(shared);
    let (mut children, mut configs) = (Vec::new(), Vec::new());
    for platform in [Platform::linux_amd64(), Platform::linux_arm64()] {
        let config = format!("{{\"architecture\":\"{}\"}}", platform.architecture);
        let config_descriptor = Descriptor::of(MediaType::ImageConfig, config.as_bytes());
        let mut layers = vec![layer(shared)];
        if children.is_empty() {
            let mut foreign = Descriptor::of(MediaType::ImageLayerNonDistributableGzip, b"not ours to give");
            foreign.urls = vec!["https://example.com/layer".into()];
            layers.push(foreign);
        }
        let manifest = canonical(&Manifest::new(config_descriptor.clone(), layers, BTreeMap::new()));
        let mut descriptor = Descriptor::of(MediaType::ImageManifest, &manifest);
        descriptor.platform = Some(platform);
        source = source.with(config.as_bytes()).with(&manifest);
        children.push(descriptor);
        configs.push(config_descriptor);
    }
    let index = canonical(&Index::new(children.clone(), BTreeMap::new()));
    let top = Descriptor::of(MediaType::ImageIndex, &index);
    Image { source: source.with(&index), top, children, shared: layer(shared), configs }
}

async fn run(image: Image, references: &[String], options: Options) -> Result<Pushed, Error> {
    run_whole(image, references, options).await.map_err(Error::from)
}

async fn run_whole(image: Image, references: &[String], options: Options) -> Result<Pushed, Box<Failed>> {
    let references: Vec<_> = references.iter().map(|text| text.parse().expect("a reference")).collect();
    let client = client(quick());
    let task =
        async move { push(&client, Arc::new(image.source), &image.top, &references, &options, Arc::new(Silent)).await };
    // On a thread of the runtime, as the command line does it.
    tokio::spawn(task).await.expect("a task")
}

fn head_tag(tag: &str) -> Line {
    on("HEAD", format!("/v2/app/manifests/{tag}"))
}

fn head_blob(blob: &Descriptor) -> Line {
    on("HEAD", format!("/v2/app/blobs/{}", blob.digest))
}

fn put_manifest(name: &str) -> Line {
    // ECR answers without a location.
    on("PUT", format!("/v2/app/manifests/{name}")).reply(201)
}

fn places(requests: &[Request], method: &str, start: &str) -> Vec<usize> {
    let hits = requests.iter().enumerate();
    hits.filter(|(_, one)| one.method == method && one.target.starts_with(start)).map(|(at, _)| at).collect()
}

#[tokio::test]
async fn the_same_digest_is_one_request() {
    let (script, image) = (Script::new().await, image());
    script.expect([head_tag("v1")
        .header("Docker-Content-Digest", image.top.digest.to_string())
        .header("Content-Type", "application/vnd.oci.image.index.v1+json")
        .header("Content-Length", image.top.size.to_string())]);
    let digest = image.top.digest;
    let pushed = run(image, &[format!("{}/app:v1", script.host)], Options::default()).await.expect("pushed");
    assert_eq!(pushed.references, [format!("{}/app@{digest}", script.host)]);
    assert!(pushed.uploads.iter().all(|upload| upload.status == BlobStatus::Present) && pushed.uploads.len() == 3);
    script.finish();
}

/// docker-registry lets a manifest be deleted that an index names.
#[tokio::test]
async fn another_tag_repairs_what_has_been_deleted_under_the_first() {
    let (script, image) = (Script::new().await, image());
    script.expect([head_tag("v1")
        .header("Docker-Content-Digest", image.top.digest.to_string())
        .header("Content-Type", "application/vnd.oci.image.index.v1+json")
        .header("Content-Length", image.top.size.to_string())]);
    script.expect([head_tag("v2").reply(404)]);
    script.expect([on("PUT", "/v2/app/manifests/v2").error(400, "MANIFEST_BLOB_UNKNOWN")]);
    for blob in [&image.shared, &image.configs[0], &image.configs[1]] {
        script.expect([head_blob(blob).header("Content-Length", blob.size.to_string())]);
    }
    script.expect(image.children.iter().map(|child| put_manifest(&child.digest.to_string())));
    script.expect([put_manifest("v2")]);
    let references = ["v1", "v2"].map(|tag| format!("{}/app:{tag}", script.host));
    run(image, &references, Options::default()).await.expect("pushed");
    script.finish();
}

/// What was seen before a long build may be gone, or the tag be another's.
#[tokio::test]
async fn that_a_tag_names_the_image_counts_for_a_moment() {
    let (script, image) = (Script::new().await, image());
    let (name, top) = (format!("{}/app:v1", script.host), image.top);
    let seen = |at| Options { seen: BTreeMap::from([(name.clone(), (at, Some(top.digest)))]), ..Options::default() };
    let now = Instant::now();
    run(self::image(), std::slice::from_ref(&name), seen(now)).await.expect("nothing to do");
    script.expect([head_tag("v1")
        .header("Docker-Content-Digest", top.digest.to_string())
        .header("Content-Type", "application/vnd.oci.image.index.v1+json")
        .header("Content-Length", top.size.to_string())]);
    let before = now.checked_sub(Duration::from_secs(6)).expect("a machine that has been up for so long");
    run(self::image(), std::slice::from_ref(&name), seen(before)).await.expect("nothing to do");
    assert_eq!(script.finish().len(), 1);
}

#[tokio::test]
async fn blobs_then_children_then_tags() {
    let (script, image) = (Script::new().await, image());
    script.expect([head_tag("v1").reply(404), head_tag("latest").reply(404)]);
    // One config is there.
    script.expect([head_blob(&image.shared).reply(404), head_blob(&image.configs[0]).reply(404)]);
    script.expect([head_blob(&image.configs[1]).header("Content-Length", image.configs[1].size.to_string())]);
    for number in 1..=2 {
        let at = format!("/v2/app/blobs/uploads/{number}");
        script.expect([on("POST", "/v2/app/blobs/uploads/").reply(202).header("Location", &at)]);
        script.expect([on("PUT", format!("{at}?digest=*")).reply(201)]);
    }
    for child in &image.children {
        script
            .expect([put_manifest(&child.digest.to_string())
                .with("content-type", "application/vnd.oci.image.manifest.v1+json")]);
    }
    for tag in ["v1", "latest"] {
        script.expect([put_manifest(tag).with("content-type", "application/vnd.oci.image.index.v1+json")]);
    }
    let bytes = image.source.0[&image.top.digest].clone();
    let references = [format!("{}/app:v1", script.host), format!("{}/app", script.host)];
    let pushed = run(image, &references, Options::default()).await.expect("pushed");
    assert_eq!(pushed.references.len(), 1);
    let words: Vec<_> = pushed.uploads.iter().map(|upload| (upload.status.word(), upload.bytes_sent)).collect();
    assert_eq!(words, [("uploaded", 14), ("uploaded", 24), ("present", 0)]);
    let requests = script.finish();
    let at = |method, start: &str| places(&requests, method, start);
    let (posts, puts) = (at("POST", "/v2/app/blobs"), at("PUT", "/v2/app/blobs"));
    let (children, tags) = (at("PUT", "/v2/app/manifests/sha256:"), at("PUT", "/v2/app/manifests/"));
    assert!(posts.iter().all(|post| *post > 4) && puts.iter().all(|put| *put < children[0]), "{posts:?} {puts:?}");
    assert_eq!(tags[..2], children[..]);
    assert!(requests[tags[2]].target.ends_with("/v1") && requests[tags[2]].body == bytes);
}

#[tokio::test]
async fn a_missing_repository_is_known_before_a_byte_is_sent() {
    let (script, image) = (Script::new().await, image());
    script.expect([head_tag("v1").reply(404)]);
    script.expect([&image.shared, &image.configs[0], &image.configs[1]].map(|blob| head_blob(blob).reply(404)));
    script.expect([on("POST", "/v2/app/blobs/uploads/").error(404, "NAME_UNKNOWN")]);
    let error = run(image, &[format!("{}/app:v1", script.host)], Options::default()).await.expect_err("no repository");
    assert!(matches!(&error, Error::NameUnknown(reply) if reply.attempt.repository == "app"), "{error}");
    assert!(script.finish().iter().all(|request| request.body.is_empty()));
}

#[tokio::test]
async fn mounts_where_it_may_and_uses_the_session_where_not() {
    let (script, image) = (Script::new().await, image());
    script.expect([head_tag("v1").reply(404)]);
    let blobs = [&image.configs[0], &image.configs[1], &image.shared];
    script.expect(blobs.map(|blob| head_blob(blob).reply(404)));
    for (number, blob) in blobs.iter().enumerate() {
        let digest = blob.digest.to_string().replace(':', "%3A");
        let from = if number == 2 { "base%2Fpython" } else { "other" };
        let line = on("POST", format!("/v2/app/blobs/uploads/?mount={digest}&from={from}"));
        script.expect(match number {
            2 => [line.reply(201).header("Location", "/v2/app/blobs/x")],
            _ => [line.reply(202).header("Location", format!("/v2/app/blobs/uploads/{number}"))],
        });
    }
    script.expect((0..2).map(|number| on("PUT", format!("/v2/app/blobs/uploads/{number}?digest=*")).reply(201)));
    script.expect(image.children.iter().map(|child| put_manifest(&child.digest.to_string())));
    script.expect([put_manifest("v1")]);
    let source = |name: &str| MountSource { registry: None, repository: name.into() };
    let (mounts, other) = (BTreeMap::from([(image.shared.digest, source("base/python"))]), source("other"));
    let options = Options { mount_from: vec![other], mounts, ..Options::default() };
    let shared = image.shared.digest;
    let pushed = run(image, &[format!("{}/app:v1", script.host)], options).await.expect("pushed");
    let mounted: Vec<_> =
        pushed.uploads.iter().filter(|upload| upload.status == BlobStatus::Mounted).map(|one| one.digest).collect();
    assert_eq!(mounted, [shared]);
    script.finish();
}

/// A blob in one request.
fn sent_whole(number: usize) -> [Line; 2] {
    let at = format!("/v2/app/blobs/uploads/{number}");
    [
        on("POST", "/v2/app/blobs/uploads/").reply(202).header("Location", &at),
        on("PUT", format!("{at}?digest=*")).reply(201),
    ]
}

/// Only the first of them counted.
#[tokio::test]
async fn one_repository_after_the_other_is_asked_to_lend_a_blob() {
    let (script, image) = (Script::new().await, image());
    script.expect([head_tag("v1").reply(404)]);
    for (number, blob) in [&image.shared, &image.configs[0], &image.configs[1]].into_iter().enumerate() {
        script.expect([head_blob(blob).reply(404)]);
        let digest = blob.digest.to_string().replace(':', "%3A");
        let ask = |from: &str| on("POST", format!("/v2/app/blobs/uploads/?mount={digest}&from={from}"));
        let (first, second) = (format!("/v2/app/blobs/uploads/{number}a"), format!("/v2/app/blobs/uploads/{number}b"));
        script.expect([ask("one").reply(202).header("Location", &first)]);
        // The session that is not needed is given back.
        script.expect([on("DELETE", &first).reply(204)]);
        if number == 0 {
            script.expect([ask("two").reply(202).header("Location", &second)]);
            script.expect([on("PUT", format!("{second}?digest=*")).reply(201)]);
        } else {
            script.expect([ask("two").reply(201)]);
        }
    }
    script.expect(image.children.iter().map(|child| put_manifest(&child.digest.to_string())));
    script.expect([put_manifest("v1")]);
    let elsewhere = MountSource { registry: Some("elsewhere.example".into()), repository: "three".into() };
    let here = |name: &str| MountSource { registry: None, repository: name.into() };
    let options = Options { mount_from: vec![elsewhere, here("one"), here("two")], ..Options::default() };
    let pushed = run(image, &[format!("{}/app:v1", script.host)], options).await.expect("pushed");
    let words: Vec<_> = pushed.uploads.iter().map(|upload| upload.status.word()).collect();
    assert_eq!(words, ["uploaded", "mounted", "mounted"]);
    script.finish();
}

/// That one of the tags is in another registry was enough for all of a base to be sent.
#[tokio::test]
async fn what_a_base_has_is_mounted_in_its_own_registry_alone() {
    let (home, away, image) = (Script::new().await, Script::new().await, image());
    let base = MountSource { registry: Some(home.host.clone()), repository: "base/python".into() };
    let options = Options { mounts: BTreeMap::from([(image.shared.digest, base)]), ..Options::default() };
    for script in [&home, &away] {
        script.expect([head_tag("v1").reply(404), head_blob(&image.shared).reply(404)]);
        let there = |config: &Descriptor| head_blob(config).header("Content-Length", config.size.to_string());
        script.expect(image.configs.iter().map(there));
        script.expect(image.children.iter().map(|child| put_manifest(&child.digest.to_string())));
        script.expect([put_manifest("v1")]);
    }
    let digest = image.shared.digest.to_string().replace(':', "%3A");
    home.expect([on("POST", format!("/v2/app/blobs/uploads/?mount={digest}&from=base%2Fpython")).reply(201)]);
    away.expect(sent_whole(1));
    let references = [&home, &away].map(|script| format!("{}/app:v1", script.host));
    run(image, &references, options).await.expect("pushed");
    home.finish();
    away.finish();
}

#[tokio::test]
async fn no_tag_is_moved_before_every_registry_has_the_image() {
    let (first, second, image) = (Script::new().await, Script::new().await, image());
    for script in [&first, &second] {
        script.expect([head_tag("v1").reply(404)]);
        script.expect([&image.shared, &image.configs[0], &image.configs[1]].map(|blob| head_blob(blob).reply(404)));
    }
    first.expect((1..=3).flat_map(sent_whole));
    first.expect(image.children.iter().map(|child| put_manifest(&child.digest.to_string())));
    second.expect([on("POST", "/v2/app/blobs/uploads/").error(403, "DENIED")]);
    let references = [&first, &second].map(|script| format!("{}/app:v1", script.host));
    let failed = run_whole(image, &references, Options::default()).await.expect_err("denied");
    assert!(matches!(failed.error, Error::Denied(_)), "{failed:?}");
    assert_eq!((failed.pushed.tags.len(), failed.pushed.references.len(), failed.pushed.uploads.len()), (0, 0, 3));
    first.finish();
    second.finish();
}

#[tokio::test]
async fn a_push_that_fails_at_the_last_tag_says_which_are_there() {
    let (first, second, image) = (Script::new().await, Script::new().await, image());
    for (number, script) in [&first, &second].into_iter().enumerate() {
        script.expect([head_tag("v1").reply(404)]);
        let blobs = [&image.shared, &image.configs[0], &image.configs[1]];
        script.expect(blobs.map(|blob| head_blob(blob).header("Content-Length", blob.size.to_string())));
        script.expect(image.children.iter().map(|child| put_manifest(&child.digest.to_string())));
        let put = on("PUT", "/v2/app/manifests/v1");
        script.expect([if number == 0 { put.reply(201) } else { put.error(400, "TAG_INVALID") }]);
    }
    // Where a tag is refused, it is looked up once more.
    second.expect([head_tag("v1").reply(404)]);
    let digest = image.top.digest;
    let references = [&first, &second].map(|script| format!("{}/app:v1", script.host));
    let failed = run_whole(image, &references, Options::default()).await.expect_err("refused");
    assert_eq!(failed.pushed.tags, [format!("{}/app:v1", first.host)]);
    assert_eq!(failed.pushed.references, [format!("{}/app@{digest}", first.host)]);
    assert_eq!(failed.pushed.uploads.len(), 6);
    first.finish();
    second.finish();
}

#[tokio::test]
async fn no_tag_is_written_where_a_blob_is_missing_or_has_another_size() {
    let (script, mut image) = (Script::new().await, image());
    image.source.0.remove(&image.shared.digest);
    script.expect([head_tag("v1").reply(404), head_blob(&image.shared).reply(404)]);
    for config in &image.configs {
        script.expect([head_blob(config).header("Content-Length", config.size.to_string())]);
    }
    script.expect([on("POST", "/v2/app/blobs/uploads/").reply(202).header("Location", "/v2/app/blobs/uploads/1")]);
    script.expect([on("DELETE", "/v2/app/blobs/uploads/1").reply(204)]);
    let digest = image.shared.digest.to_string();
    let references = [format!("{}/app:v1", script.host)];
    let error = run(image, &references, Options::default()).await.expect_err("a missing blob");
    assert!(error.to_string().starts_with(&format!("blob {digest} is missing from memory")), "{error}");

    let image = self::image();
    script.expect([head_tag("v1").reply(404), head_blob(&image.shared).header("Content-Length", "1")]);
    script.expect(image.configs.iter().map(|config| head_blob(config).reply(404)));
    let error = run(image, &references, Options::default()).await.expect_err("another size");
    assert!(matches!(error, Error::Size { found: 1, promised: 14, .. }), "{error}");
}

#[tokio::test]
async fn a_reference_with_another_digest_is_refused() {
    let script = Script::new().await;
    let other = Digest::of(b"other");
    let error = run(image(), &[format!("{}/app@{other}", script.host)], Options::default()).await;
    assert!(matches!(error, Err(Error::OtherDigest { .. })));
    let named = reference(&script.host, "app").at(image().top.digest);
    script.expect([on("HEAD", format!("/v2/app/manifests/{}", image().top.digest))
        .header("Content-Length", "1")
        .header("Content-Type", "application/vnd.oci.image.index.v1+json")]);
    run(image(), &[named.to_string()], Options::default()).await.expect("pushed");
    script.finish();
}

#[tokio::test]
async fn what_is_handed_in_twice_is_sent_ahead_once() {
    let (script, image) = (Script::new().await, image());
    let shared = image.shared;
    script.expect([head_blob(&shared).reply(404)]);
    script.expect([on("POST", "/v2/app/blobs/uploads/").reply(202).header("Location", "/v2/app/blobs/uploads/1")]);
    script.expect([on("PUT", "/v2/app/blobs/uploads/1?digest=*").reply(201)]);
    let (made, handed_in) = ahead::channel();
    let source = Arc::new(image.source);
    for _ in 0..2 {
        made.send(ahead::Handed::Whole((source.clone(), shared.clone()))).expect("a sender that is waited for");
    }
    drop(made);
    let (client, to) = (client(quick()), reference(&script.host, "app:v1"));
    let sending = ahead::send(client, to, Options::default(), Arc::new(Silent), handed_in);
    let sent = tokio::spawn(sending).await.expect("a task").expect("sent");
    assert_eq!(sent[&shared.digest].status, BlobStatus::Uploaded);
    script.finish();
}

#[tokio::test]
async fn a_manifest_is_stored_where_the_registry_says_201_or_has_it() {
    let script = Script::new().await;
    let repository = client(quick()).repository(&reference(&script.host, "app"), Access::Push).expect("a repository");
    let digest = Digest::of(b"{}").to_string();
    let put = async |line: Line, head: Option<Line>| {
        script.expect([line]);
        script.expect(head.map(|head| head.header("Content-Type", "application/vnd.oci.image.manifest.v1+json")));
        let result = repository.put_manifest("v1", &MediaType::ImageManifest, "{}".into()).await;
        script.finish();
        result.map_err(|error| error.to_string())
    };
    let page = || on("PUT", "/v2/app/manifests/v1").header("Content-Type", "text/html").body("<html>welcome</html>");
    let there = || head_tag("v1").header("Docker-Content-Digest", digest.as_str()).header("Content-Length", "2");
    let other = Digest::of(b"other").to_string();
    assert_eq!(put(put_manifest("v1").header("Docker-Content-Digest", digest.as_str()), None).await, Ok(()));
    assert_eq!(put(page().reply(202), Some(there())).await, Ok(()));
    assert_eq!(put(put_manifest("v1").header("Docker-Content-Digest", other.as_str()), Some(there())).await, Ok(()));
    let error = put(page(), Some(head_tag("v1").reply(404))).await.expect_err("a page");
    assert!(error.ends_with(": it answers 200 instead of 201, and v1 is not there"), "{error}");
    let line = put_manifest("v1").header("Docker-Content-Digest", other.as_str());
    let head = head_tag("v1").header("Docker-Content-Digest", other.as_str()).header("Content-Length", "5");
    let error = put(line, Some(head)).await.expect_err("another digest");
    assert!(error.ends_with(&format!("another digest than the manifest has, and v1 is {other} there")), "{error}");
}

#[tokio::test]
async fn a_mount_that_is_not_taken_is_asked_for_once() {
    let challenge = |script: &Script| format!("Bearer realm=\"http://{}/token\"", script.host);
    let from = &["lib/a"];
    for status in [400, 404, 405, 429, 500, 503] {
        let script = Script::new().await;
        let to = reference(&script.host, "app");
        let repository = client(quick()).repository(&to, Access::Push).expect("a repository");
        script.expect([on("POST", "/v2/app/blobs/uploads/?mount=*").reply(status)]);
        script.expect([on("POST", "/v2/app/blobs/uploads/").reply(202).header("Location", "/v2/app/blobs/uploads/1")]);
        let started = start(&repository, Digest::of(b"x"), from).await.expect("a session");
        assert!(matches!(started, Started::Session(_)), "{status}");
        script.finish();

        // A token server that does not know the scope.
        script.expect([
            on("POST", "/v2/app/blobs/uploads/?mount=*").reply(401).header("WWW-Authenticate", challenge(&script)),
            on("GET", "/token?scope=repository%3Aapp%3Apull%2Cpush&scope=repository%3Alib%2Fa%3Apull*").reply(status),
            on("GET", "/token?scope=repository%3Aapp%3Apull%2Cpush&client_id=dockless").body(r#"{"token":"t"}"#),
            on("POST", "/v2/app/blobs/uploads/")
                .with("authorization", "Bearer t")
                .reply(202)
                .header("Location", "/v2/app/blobs/uploads/1"),
        ]);
        let repository = client(quick()).repository(&to, Access::Push).expect("a repository");
        let started = start(&repository, Digest::of(b"x"), from).await.expect("a session");
        assert!(matches!(started, Started::Session(_)), "{status}");
        script.finish();
    }
}

#[tokio::test]
async fn whoever_may_push_need_not_be_allowed_to_read() {
    let (script, image) = (Script::new().await, image());
    let denied = |path: &str| [on("HEAD", path).reply(403), on("GET", path).error(403, "DENIED")];
    script.expect(denied("/v2/app/manifests/v1"));
    for (number, blob) in [&image.shared, &image.configs[0], &image.configs[1]].into_iter().enumerate() {
        script.expect(denied(&format!("/v2/app/blobs/{}", blob.digest)));
        let session = format!("/v2/app/blobs/uploads/{number}");
        script.expect([on("POST", "/v2/app/blobs/uploads/").reply(202).header("Location", session.clone())]);
        script.expect([on("PUT", format!("{session}?digest=*")).reply(201)]);
    }
    script.expect(image.children.iter().map(|child| put_manifest(&child.digest.to_string())));
    script.expect([put_manifest("v1")]);
    let pushed = run(image, &[format!("{}/app:v1", script.host)], Options::default()).await.expect("pushed");
    assert!(pushed.uploads.iter().all(|upload| upload.status == BlobStatus::Uploaded));
    script.finish();
}

/// Between the content and the first tag lie the uploads to other repositories, and a clean-up may come.
#[tokio::test]
async fn what_has_gone_before_the_first_tag_is_sent_again() {
    let (script, image) = (Script::new().await, image());
    let blobs = [&image.shared, &image.configs[0], &image.configs[1]];
    let there = || blobs.map(|blob| head_blob(blob).header("Content-Length", blob.size.to_string()));
    let children = || image.children.iter().map(|child| put_manifest(&child.digest.to_string()));
    script.expect([head_tag("v1").reply(404)]);
    script.expect(there());
    script.expect(children());
    script.expect([on("PUT", "/v2/app/manifests/v1").error(400, "MANIFEST_BLOB_UNKNOWN")]);
    script.expect(there());
    script.expect(children());
    script.expect([put_manifest("v1")]);
    let references = [format!("{}/app:v1", script.host)];
    let pushed = run(self::image(), &references, Options::default()).await.expect("pushed");
    assert_eq!(pushed.uploads.len(), 3);
    script.finish();
}

/// As docker-registry refuses layers that are kept elsewhere.
#[tokio::test]
async fn content_that_is_refused_with_500_is_not_sent_again() {
    let (script, image) = (Script::new().await, image());
    script.expect([head_tag("v1").reply(404)]);
    let blobs = [&image.shared, &image.configs[0], &image.configs[1]];
    script.expect(blobs.map(|blob| head_blob(blob).header("Content-Length", blob.size.to_string())));
    script.expect(image.children.iter().map(|child| put_manifest(&child.digest.to_string())));
    script.expect([on("PUT", "/v2/app/manifests/v1").error(500, "MANIFEST_BLOB_UNKNOWN")]);
    let references = [format!("{}/app:v1", script.host)];
    let error = run(image, &references, Options::default()).await.expect_err("refused");
    assert!(error.help().is_some_and(|help| help.contains("`urls`")), "{:?}", error.help());
    script.finish();
}
