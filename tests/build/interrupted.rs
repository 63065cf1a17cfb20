//! A build that is killed leaves no half blob, and the next one clears up.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::files::noise;
use super::project::Project;

/// Temporary files of a layout that already have bytes.
fn half_written(project: &Project, layout: &str) -> usize {
    let Ok(entries) = fs::read_dir(project.at(layout).join("blobs/sha256")) else { return 0 };
    let half = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(".tmp-");
    let long = |entry: &fs::DirEntry| entry.metadata().is_ok_and(|data| data.len() > 100_000);
    entries.flatten().filter(|entry| half(entry) && long(entry)).count()
}

const PACKING: [&str; 8] = ["build", "large.toml", "-j", "1", "--compression", "zstd:19", "-t", "example.com/large:v1"];

fn wait_for_half_a_blob(project: &Project, child: &mut Child) {
    let started = Instant::now();
    while half_written(project, "oci") == 0 {
        assert!(child.try_wait().expect("a child").is_none(), "it was done before it could be killed");
        assert!(started.elapsed() < Duration::from_mins(1), "nothing is written");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn kill_while_packing(project: &Project) {
    let mut child =
        project.command(&PACKING).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
    wait_for_half_a_blob(project, &mut child);
    child.kill().expect("killed");
    child.wait().expect("a child");
}

fn project() -> Project {
    let project = Project::programs();
    project.write(
        "large.toml",
        "[image]\nplatforms = [\"linux/amd64\"]\n[[layer]]\nrootfs = \"large\"\nowner = \"0:0\"\n",
    );
    project.write("large/noise", noise(17, 32 << 20));
    project
}

#[test]
fn the_first_build() {
    let project = project();
    kill_while_packing(&project);
    assert_eq!(half_written(&project, "oci"), 1);
    let said = project.run(&["check", "oci"]).done();
    assert!(said.stdout.starts_with("oci: whole"), "{said:#?}");
    project.run(&["inspect", "oci"]).with_code(2);
    project.run(&["build", "-q"]).done();
    assert_eq!(half_written(&project, "oci"), 0);
    project.run(&["inspect", "oci"]).done();
}

#[test]
fn a_later_build() {
    let project = project();
    let first = project.run(&["build", "-q", "-t", "example.com/app:v1"]).done();
    kill_while_packing(&project);
    project.run(&["check", "oci"]).done();
    let there = project.run(&["inspect", "oci", "--json"]).done().json();
    assert_eq!(first.line(), format!("example.com/app@{}", there["digest"].as_str().expect("a digest")));
    let blobs = |project: &Project| fs::read_dir(project.at("oci/blobs/sha256")).expect("the blobs").count();
    assert_eq!(blobs(&project), 8, "the image before, and half a blob");
    project.run(&["build", "-q", "-t", "example.com/app:v1"]).done();
    assert_eq!(blobs(&project), 7);
}

/// What makes a command the first process of a PID namespace, where that is allowed.
fn unshare() -> Option<Vec<&'static str>> {
    let plain = vec!["--pid", "--fork", "--kill-child", "--mount-proc"];
    let user = [&["--user", "--map-root-user"], &plain[..]].concat();
    let works = |flags: &Vec<&str>| {
        let said = Command::new("unshare").args(flags).arg("true").stderr(Stdio::null()).status();
        said.is_ok_and(|status| status.success())
    };
    [plain, user].into_iter().find(works)
}

#[expect(clippy::print_stderr, reason = "a test that is skipped is said aloud")]
fn skipped(test: &str) {
    eprintln!("SKIPPED: {test}: unshare cannot make a PID namespace here");
}

/// The command as the first process of a container.
fn first(project: &Project, flags: &[&str], words: &[&str]) -> Command {
    let plain = project.command(words);
    let mut command = Command::new("unshare");
    command.args(flags).arg(plain.get_program()).args(plain.get_args()).current_dir(project.path());
    // unshare is looked for with it.
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Signals what unshare has started; the answer is the exit code, which unshare passes on.
fn signalled(mut child: Child, signal: Signal) -> Option<i32> {
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let first = fs::read_to_string(children).expect("a list of processes");
    let first = first.trim().parse().ok().and_then(Pid::from_raw).expect("one process");
    kill_process(first, signal).expect("signalled");
    let sent = Instant::now();
    while child.try_wait().expect("a child").is_none() && sent.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(2));
    }
    // With it what it started ends, where the signal has not ended that.
    let _ = child.kill();
    child.wait().expect("a child").code()
}

/// The kernel kept the signals from it: the build went on to its end, and `docker stop` had to kill it.
#[test]
fn the_first_process_of_a_container() {
    let Some(flags) = unshare() else { return skipped("the_first_process_of_a_container") };
    let project = project();
    let mut child = first(&project, &flags, &PACKING).spawn().expect("unshare runs");
    wait_for_half_a_blob(&project, &mut child);
    assert_eq!(signalled(child, Signal::TERM), Some(143));
    assert_eq!(half_written(&project, "oci"), 1);
    project.run(&["build", "-q"]).done();
    assert_eq!(half_written(&project, "oci"), 0);
}

#[test]
fn a_registry_as_the_first_process_of_a_container() {
    let Some(flags) = unshare() else { return skipped("a_registry_as_the_first_process_of_a_container") };
    let project = project();
    let serve = ["serve", "folder", "--listen", "127.0.0.1:0"];
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let mut child = first(&project, &flags, &serve).stdout(Stdio::piped()).spawn().expect("unshare runs");
        let mut url = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut url).expect("a line");
        assert!(url.starts_with("http://127.0.0.1:"), "{url:?}");
        assert_eq!(signalled(child, signal), Some(code));
    }
}
