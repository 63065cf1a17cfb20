//! Pushes that are killed: what they leave is whole, and the next push sends only what is missing.

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::debian::noise;
use super::images::{BOTH, sources, words};
use super::rehearsal::{HOST, Rehearsal, side_by_side};
use super::support::{Place, run, say};
use super::transcript;

/// How many pushes are killed.
const KILLS: u32 = 50;
const PART: u64 = 5 << 20;

/// By chance, the same in every run: a number from 0 to 1.
fn chance(number: u32) -> f64 {
    let chance = noise(4, number.into()).iter().fold(0, |sum, &byte| sum * 256 + u32::from(byte));
    f64::from(chance) / f64::from(u32::MAX)
}

#[test]
fn killed_pushes_leave_nothing_broken() {
    let Some(place) = Place::new("killed_pushes_leave_nothing_broken", &["busybox"]) else { return };
    sources(&place);
    // Configurations of one length could not be told apart in the log.
    let build = words(BOTH, &["--layer", "linux/arm64=app/hello.txt:/arm64/hello.txt", "-o"]);
    place.dockless(words(&build, &["before"])).ok();
    fs::write(place.path("app/data/noise"), noise(17 << 20, 4)).expect("a file");
    place.dockless(words(&build, &["after"])).ok();

    let repositories: Vec<String> = (0..=KILLS).map(|number| format!("team/app-{number}")).collect();
    let repositories: Vec<&str> = repositories.iter().map(String::as_str).collect();
    let rehearsal = Rehearsal::with(&place, "served", &["slow=10"], &repositories);
    let push = |repository: &str, image: &str| {
        let mut command = rehearsal.command(&place);
        command.args(["push", image, &format!("{HOST}/{repository}:latest"), "--chunk-size", "5MiB"]);
        command
    };
    // Undisturbed: what is there then, and how many requests it takes.
    let calm = repositories[KILLS as usize];
    run(&mut push(calm, "before")).ok();
    let before = rehearsal.image(calm, "latest").expect("a tag");
    let so_far = rehearsal.records_of(calm).len();
    run(&mut push(calm, "after")).ok();
    let requests = u32::try_from(rehearsal.records_of(calm).len() - so_far).expect("a number");
    let after = rehearsal.image(calm, "latest").expect("a tag");
    assert_ne!(before, after);

    let (begun, killed, partly) = (Instant::now(), AtomicU32::new(0), AtomicU32::new(0));
    side_by_side(2, 0..KILLS, |number| {
        let repository = repositories[number as usize];
        // Every other tag names another image already.
        let first = (number % 2 == 0).then_some(&before);
        if first.is_some() {
            run(&mut push(repository, "before")).ok();
        }
        let mut command = push(repository, "after");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let so_far = rehearsal.records_of(repository).len();
        let mut child = command.spawn().expect("the binary starts");
        // Everywhere between its first request and its last, and then somewhere in the next: a machine that is slow for
        // a moment moves nothing.
        let answered = (number * requests / KILLS) as usize;
        while rehearsal.records_of(repository).len() < so_far + answered && child.try_wait().expect("a child").is_none()
        {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(12).mul_f64(chance(number)));
        child.kill().expect("a child");
        if child.wait().expect("a child").code().is_none() {
            killed.fetch_add(1, Ordering::Relaxed);
        }
        rehearsal.settle(repository);

        // The tag names one of the images, whole, or nothing.
        let found = rehearsal.image(repository, "latest");
        let is_done = found.as_ref() == Some(&after);
        assert!(is_done || found.as_ref() == first, "{repository}: {found:?}");
        let missing: Vec<u64> =
            after.blobs.iter().filter(|(name, _)| !rehearsal.has(repository, name)).map(|(_, &size)| size).collect();
        if !is_done && missing.len() < after.blobs.len() {
            partly.fetch_add(1, Ordering::Relaxed);
        }

        let so_far = rehearsal.records_of(repository).len();
        run(&mut push(repository, "after")).ok();
        let records = rehearsal.records_of(repository).split_off(so_far);
        transcript::holds(&records, repository, PART, &missing, if is_done { 0 } else { 3 });
        assert_eq!(rehearsal.image(repository, "latest").as_ref(), Some(&after), "{repository}");
    });
    let (killed, partly) = (killed.into_inner(), partly.into_inner());
    assert!(killed > KILLS / 5 * 4, "only {killed} of {KILLS} were still at it");
    say(&format!(
        "MEASURED: {killed} of {KILLS} pushes killed within {requests} requests, {partly} of them with some blobs there, and done \
         by the next: {:.0?}",
        begun.elapsed()
    ));
}
