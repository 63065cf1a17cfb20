//! ECR's quotas, and an image of a usual size in parts of 10 MiB.

use std::fs;
use std::path::Path;
use std::time::Instant;

use dockless::serve::log::Record;
use serde_json::{Value, json};

use super::debian::{amd64, arm64, noise};
use super::images::{Layout, digest, sources, words};
use super::rehearsal::{HOST, REPOSITORY, Rehearsal, side_by_side};
use super::support::{Place, run, say};
use super::transcript::{holds, within_quota};

const MIB: u64 = 1 << 20;
const LAYERS: usize = 1_000;
const TAGS: usize = 25;

/// Writes a layout with an image of many small layers, each of a size of its own; the sizes of its blobs.
fn many_layers(folder: &Path) -> Vec<u64> {
    fs::create_dir_all(folder.join("blobs/sha256")).expect("a folder");
    let put = |bytes: &[u8], media_type: &str| {
        let name = digest(bytes);
        fs::write(folder.join("blobs/sha256").join(name.trim_start_matches("sha256:")), bytes).expect("a file");
        json!({ "mediaType": media_type, "digest": name, "size": bytes.len() })
    };
    let document = |value: &Value, media_type: &str| put(value.to_string().as_bytes(), media_type);
    let oci = "application/vnd.oci.image";
    let layers: Vec<Value> =
        (0..LAYERS).map(|number| put(&noise(1024 + number, number as u64), &format!("{oci}.layer.v1.tar"))).collect();
    let diff_ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = document(&config, &format!("{oci}.config.v1+json"));
    let manifest_type = format!("{oci}.manifest.v1+json");
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers }).to_string();
    let mut child = put(manifest.as_bytes(), &manifest_type);
    child["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    let index_type = format!("{oci}.index.v1+json");
    let index = json!({ "schemaVersion": 2, "mediaType": index_type, "manifests": [child] });
    let top = document(&index, &index_type);
    fs::write(folder.join("index.json"), json!({ "schemaVersion": 2, "manifests": [top] }).to_string())
        .expect("a file");
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a file");
    layers.iter().chain([&config]).map(|blob| blob["size"].as_u64().expect("a size")).collect()
}

fn refused(records: &[Record]) -> Vec<&Record> {
    records.iter().filter(|record| record.status == Some(429)).collect()
}

fn of<'a>(records: &'a [Record], method: &str, path: &str) -> Vec<&'a Record> {
    records.iter().filter(|record| record.method == method && record.path.contains(path)).collect()
}

#[test]
fn a_thousand_layers_meet_no_quota() {
    let Some(place) = Place::new("a_thousand_layers_meet_no_quota", &[]) else { return };
    let sizes = many_layers(&place.path("image"));
    let rehearsal = Rehearsal::new(&place, "served", &["pace"]);
    let begun = Instant::now();
    rehearsal.push(&place, &place.path("image"), &[]).ok();
    say(&format!("MEASURED: {LAYERS} layers where the quotas are enforced: {:.1?}", begun.elapsed()));
    let records = rehearsal.records();
    assert!(refused(&records).is_empty(), "{:#?}", refused(&records));
    holds(&records, REPOSITORY, 10 * MIB, &sizes, 2);
    within_quota(&of(&records, "POST", "/blobs/uploads/"), 100);
    within_quota(&of(&records, "PUT", "/blobs/uploads/"), 100);
    assert_eq!(rehearsal.image(REPOSITORY, "v1").expect("a tag").files(), Layout(place.path("image")).blobs());
}

#[test]
fn many_tags_meet_no_quota() {
    let Some(place) = Place::new("many_tags_meet_no_quota", &["busybox"]) else { return };
    sources(&place);
    place.dockless(["build", "-p", "linux/amd64", "--layer", "app:/app", "-o", "image"]).ok();
    let rehearsal = Rehearsal::new(&place, "served", &["pace"]);
    let references: Vec<String> = (1..=TAGS).map(|number| format!("{HOST}/{REPOSITORY}:v{number}")).collect();
    run(rehearsal.command(&place).args(["push", "image"]).args(&references)).ok();
    let records = rehearsal.records();
    assert!(refused(&records).is_empty(), "{:#?}", refused(&records));
    let puts = of(&records, "PUT", "/manifests/");
    assert_eq!(puts.len(), TAGS + 1);
    within_quota(&puts, 10);
}

/// The faults of the wire, each where it hits something in the middle.
const WIRE: &[&str] = &[
    "drop-patch=4",
    "drop-after-patch=5",
    "drop-put=2",
    "drop-after-put=3",
    "drop-after-put-image=3",
    "throttle=3",
    "throttle-put-image=2",
    "server-error=3",
    "slow=30",
    "random=7",
];

#[test]
fn a_usual_image_in_parts_of_ten_mebibytes() {
    let tools = ["busybox", "debootstrap", "dpkg-deb", "setcap"];
    let Some(place) = Place::new("a_usual_image_in_parts_of_ten_mebibytes", &tools) else { return };
    let (amd64, arm64) = (amd64(), arm64());
    fs::create_dir(place.path("models")).expect("a folder");
    fs::write(place.path("models/weights"), noise(110 << 20, 5)).expect("a file");
    fs::write(place.path("models/vocabulary"), "a word and another\n".repeat(3 << 20)).expect("a file");
    let layer = |platform: &str, root: &Path| format!("{platform}={}", root.display());
    let (amd64, arm64) = (layer("linux/amd64", &amd64), layer("linux/arm64", &arm64));
    let build = ["build", "-p", "linux/amd64,linux/arm64", "--layer", &amd64, "--layer", &arm64];
    place.dockless(words(&build, &["--layer", "models:/models", "-o", "image"])).ok();
    let layout = Layout(place.path("image"));

    let begun = Instant::now();
    side_by_side(2, WIRE, |fault| {
        let rehearsal = Rehearsal::new(&place, &format!("served-{fault}"), &[fault]);
        let told = rehearsal.push(&place, &place.path("image"), &[]);
        assert_eq!(told.code, Some(0), "{fault}: {told}");
        let records = rehearsal.records();
        let pulled = rehearsal.image(REPOSITORY, "v1").expect("a tag");
        assert_eq!(pulled.files(), layout.blobs(), "{fault}");
        let sizes: Vec<u64> = pulled.blobs.into_values().collect();
        assert!(sizes.iter().any(|&size| size > 100 * MIB), "{sizes:?}");
        holds(&records, REPOSITORY, 10 * MIB, &sizes, 3);
        assert!(of(&records, "PATCH", "/blobs/uploads/").len() >= 10);
    });
    say(&format!("MEASURED: {} pushes in parts of 10 MiB, each with a fault: {:.0?}", WIRE.len(), begun.elapsed()));
}
