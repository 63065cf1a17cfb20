//! Pushes to a registry like ECR, through everything that can go wrong there.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use dockless::serve::fault::named::KNOWN;

use super::debian::noise;
use super::images::{Layout, sources, words};
use super::rehearsal::{HOST, REPOSITORY, Rehearsal, side_by_side};
use super::support::{Place, Told, say};
use super::transcript;

const MIB: u64 = 1 << 20;
/// How many pushes meet faults by chance.
const SEEDS: u64 = 200;

/// An image of two platforms, 30 MiB in seven blobs of different sizes, one of which is four parts of 5 MiB.
const IMAGE: &[&str] = &[
    "build",
    "-p",
    "linux/amd64,linux/arm64",
    "--layer",
    "linux/amd64=rootfs-amd64",
    "--layer",
    "linux/arm64=rootfs-arm64",
    "--layer",
    "app:/app",
    "--layer",
    "models:/models",
    // Configurations of one length could not be told apart in the log.
    "--layer",
    "linux/arm64=app/hello.txt:/arm64/hello.txt",
    "--entrypoint",
    "/bin/busybox",
];

/// An image in a layout, and what the log of its push is held to.
struct Image {
    folder: PathBuf,
    layout: Layout,
    /// The sizes of its blobs, manifests left out.
    sizes: Vec<u64>,
}

impl Image {
    fn new(place: &Place) -> Self {
        sources(place);
        fs::create_dir(place.path("models")).expect("a folder");
        fs::write(place.path("models/weights"), noise(17 << 20, 3)).expect("a file");
        place.dockless(words(IMAGE, &["-o", "image"])).ok();
        let layout = Layout(place.path("image"));
        let documents = [vec![layout.top()], layout.manifests()].concat();
        let is_blob = |name: &String| !documents.contains(&format!("sha256:{name}"));
        let size = |name: String| fs::metadata(layout.blob_path(&name)).expect("a blob").len();
        let sizes: Vec<u64> = layout.blobs().into_iter().filter(is_blob).map(size).collect();
        let mut distinct = sizes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 7, "{sizes:?}");
        assert!((29 * MIB..34 * MIB).contains(&sizes.iter().sum()), "{sizes:?}");
        assert!(distinct[6] > 15 * MIB && distinct[6] < 20 * MIB, "{sizes:?}");
        Self { folder: place.path("image"), layout, sizes }
    }

    /// Whether all of it is in the registry, byte for byte.
    #[track_caller]
    fn arrived(&self, rehearsal: &Rehearsal, fault: &str) {
        if fault == "deny=ecr:BatchGetImage" {
            // Nobody may pull: what the server keeps is looked at.
            let kept = rehearsal.kept();
            assert_eq!((kept.top(), kept.blobs()), (self.layout.top(), self.layout.blobs()));
            self.layout.blobs().iter().for_each(|name| drop(kept.blob(&format!("sha256:{name}"))));
            return;
        }
        let pulled = rehearsal.image(REPOSITORY, "v1").expect("a tag");
        assert_eq!(pulled.files(), self.layout.blobs());
    }
}

/// What a push makes of a fault.
enum End {
    /// It gets through.
    Done,
    /// It gives up with exit code 2 and these words.
    Refused(&'static [&'static str]),
}

/// Ways to switch a fault on, and what comes of it.
fn ways(name: &str, blob: &str) -> Vec<(String, End)> {
    use End::{Done, Refused};
    let done = |values: &[&str]| values.iter().map(|value| (format!("{name}{value}"), Done)).collect();
    match name {
        "drop-patch" | "drop-after-patch" | "drop-after-put-image" => done(&["", "=2", "=3"]),
        "drop-put" | "drop-after-put" => done(&["", "=3", "=6"]),
        "throttle" => done(&["", "=4"]),
        "server-error" | "throttle-put-image" => done(&["", "=2"]),
        "slow" => done(&["=20"]),
        "expire-token" => done(&["", "=3"]),
        "archived" => done(&[&format!("={blob}")]),
        "chunk-min-length" => done(&["=5242880", "=7340032"]),
        "immutable" => done(&["", "=v*"]),
        "random"
        | "silent-when-missing"
        | "pace"
        | "anonymous"
        | "immutable-same-digest"
        | "older-texts"
        | "blob-mounting"
        | "no-mount"
        | "stale-range"
        | "no-stale-range"
        | "upload-status"
        | "loose-manifests" => done(&[""]),
        "deny" => vec![
            ("deny=ecr:BatchGetImage".into(), Done),
            // Asked as a GET, which is another action.
            ("deny=ecr:BatchCheckLayerAvailability".into(), Done),
            ("deny=ecr:InitiateLayerUpload".into(), Refused(&["ecr:InitiateLayerUpload", "iam-policy push"])),
            ("deny=ecr:UploadLayerPart".into(), Refused(&["ecr:UploadLayerPart", "iam-policy push"])),
            ("deny=ecr:CompleteLayerUpload".into(), Refused(&["ecr:CompleteLayerUpload", "iam-policy push"])),
            ("deny=ecr:PutImage".into(), Refused(&["ecr:PutImage", "iam-policy push"])),
        ],
        "deny-silently" => vec![
            ("deny-silently=ecr:InitiateLayerUpload".into(), Refused(&["hangs up", "permission is missing"])),
            ("deny-silently=ecr:PutImage".into(), Refused(&[REPOSITORY])),
        ],
        other => panic!("{other} is a fault that no push has met: say here what comes of it"),
    }
}

#[test]
fn a_push_gets_through_each_fault_of_ecr() {
    let Some(place) = Place::new("a_push_gets_through_each_fault_of_ecr", &["busybox", "bash"]) else { return };
    let image = Image::new(&place);
    let blob = format!("sha256:{}", image.layout.blobs()[0]);
    let jobs: Vec<_> = KNOWN.iter().flat_map(|known| ways(known.name, &blob)).enumerate().collect();
    let count = jobs.len();
    let begun = Instant::now();
    side_by_side(6, jobs, |(number, (fault, end))| {
        let rehearsal = Rehearsal::new(&place, &format!("served-{number}"), &[&fault]);
        if fault.starts_with("expire-token") {
            rehearsal.log_in_by_helper();
        }
        let mut told = rehearsal.push(&place, &image.folder, &["--chunk-size", "5MiB"]);
        told.command = format!("{} # {fault}", told.command);
        match end {
            End::Done => {
                let told = told.ok();
                assert_eq!(told.line(), format!("{HOST}/{REPOSITORY}@{}", image.layout.top()));
                let part = if fault.ends_with("=7340032") { 7 } else { 5 } * MIB;
                transcript::holds(&rehearsal.records(), REPOSITORY, part, &image.sizes, 3);
                image.arrived(&rehearsal, &fault);
            }
            End::Refused(words) => {
                let told = told.failed(2, words);
                assert!(told.text().is_empty(), "{fault}: {told}");
                assert_eq!(rehearsal.image(REPOSITORY, "v1"), None, "{fault} leaves no tag");
            }
        }
    });
    say(&format!("MEASURED: {count} pushes of 30 MiB, each with a fault: {:.0?}", begun.elapsed()));
}

#[test]
fn two_hundred_pushes_meet_faults_by_chance() {
    let Some(place) = Place::new("two_hundred_pushes_meet_faults_by_chance", &["busybox"]) else { return };
    let image = Image::new(&place);
    let begun = Instant::now();
    let struck = AtomicUsize::new(0);
    side_by_side(8, 1..=SEEDS, |seed| {
        let rehearsal = Rehearsal::new(&place, &format!("served-{seed}"), &[&format!("random={seed}")]);
        let told = rehearsal.push(&place, &image.folder, &["--chunk-size", "5MiB"]);
        assert_eq!(told.code, Some(0), "random={seed}: {told}");
        let records = rehearsal.records();
        let failed = records.iter().filter(|record| record.status.is_none_or(|status| status == 429 || status >= 500));
        struck.fetch_add(failed.count(), Ordering::Relaxed);
        transcript::holds(&records, REPOSITORY, 5 * MIB, &image.sizes, 3);
        image.arrived(&rehearsal, "random");
    });
    let struck = struck.into_inner();
    assert!(struck > usize::try_from(SEEDS).expect("a number"), "{struck} faults are no test");
    say(&format!("MEASURED: {SEEDS} pushes of 30 MiB through {struck} faults by chance: {:.0?}", begun.elapsed()));
}

#[test]
fn a_push_that_cannot_get_through_says_why() {
    let Some(place) = Place::new("a_push_that_cannot_get_through_says_why", &["busybox"]) else { return };
    sources(&place);
    for image in ["image", "other"] {
        place.dockless(["build", "-p", "linux/amd64", "--layer", "app:/app", "--cmd", image, "-o", image]).ok();
    }
    let push = |name: &str, faults: &[&str], repositories: &[&str], images: &[&str]| {
        let rehearsal = Rehearsal::with(&place, name, faults, repositories);
        let push = |image: &&str| rehearsal.push(&place, &place.path(image), &[]);
        images.iter().map(push).collect::<Vec<Told>>()
    };
    let missing = |told: Vec<Told>, words: &[&str]| {
        let told = told.into_iter().next().expect("a push").failed(2, words);
        assert!(told.text().is_empty(), "{told}");
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let told = push("missing", &[], &["team/other"], &["image"]);
            missing(told, &["team/app' does not exist", "aws ecr create-repository"]);
        });
        // Nothing but a closed connection, again and again.
        scope.spawn(|| {
            let told = push("silent", &["silent-when-missing"], &["team/other"], &["image"]);
            missing(told, &["hangs up", "the repository does not exist"]);
        });
        scope.spawn(|| {
            // A token that nobody renews.
            let told = push("expired", &["expire-token"], &[REPOSITORY], &["image"]);
            missing(told, &["authorization token has expired"]);
        });
        scope.spawn(|| {
            for fault in ["immutable", "immutable-same-digest"] {
                let more = if fault == "immutable" { &["image", "image", "other"][..] } else { &["image", "image"] };
                for (number, told) in push(fault, &[fault], &[REPOSITORY], more).into_iter().enumerate() {
                    match number {
                        // The same image again is a success, whatever ECR says to it.
                        0 | 1 => drop(told.ok()),
                        _ => drop(told.failed(2, &["the tag is immutable"])),
                    }
                }
            }
        });
    });
}
