//! Images that a stranger made so that judging them takes long, or all of the stack.

use std::time::{Duration, Instant};

use dockless::elf::{self, Elf};
use dockless::image::inspect::Facts;
use dockless::layer::contents::{Head, Node};
use dockless::oci::config::Config;
use dockless::oci::platform::Platform;
use dockless::verify::finding::Verdict::{self, Runs, Undetermined};

use crate::build::*;

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// What took minutes takes less than one, also where nothing is optimized and others use the machine.
#[track_caller]
fn is_soon(facts: &Facts, definition: &str, verdict: Verdict) {
    let begun = Instant::now();
    let answer = judge(facts, definition);
    assert_eq!(answer.verdict, verdict, "{:?}", brief(answer.all()));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn scripts_that_name_one_another_by_env_take_no_stack() {
    let chain = |length: usize| {
        let name = |n: usize| script(&format!("s/{n}"), &format!("/usr/bin/env /s/{}", n + 1));
        let mut nodes: Vec<Node> = (0..length).map(name).collect();
        nodes.extend([exe("usr/bin/env", program(X86)), exe(&format!("s/{length}"), program(X86))]);
        amd64(nodes, &["/s/0"])
    };
    is_soon(&chain(8), &task(X86_64, ""), Runs);
    is_soon(&chain(20_000), &task(X86_64, ""), Undetermined);
}

/// Each library has thousands of folders of its own, and inherits those of all above it.
#[test]
fn folders_and_names_of_libraries_do_not_multiply() {
    let looking = |elf: Elf| Elf { search_path: Some(b"/:".repeat(2000).into()), inherited: true, ..elf };
    let names: Vec<String> = (0..3000).map(|n| format!("libn{n}.so")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut nodes = vec![exe("lib64/ld-linux-x86-64.so.2", program(X86))];
    nodes.push(exe("app", looking(dynamic(X86, LOADER, &["l0.so"]))));
    for n in 0..30 {
        let next = format!("l{}.so", n + 1);
        let needed = if n == 29 { names.clone() } else { vec![next.as_str()] };
        let library = Elf { interpreter: None, kind: elf::Kind::Shared, ..dynamic(X86, "", &needed) };
        nodes.push(exe(&format!("l{n}.so"), looking(library)));
    }
    nodes.extend(names.iter().map(|name| link(&format!("opt/{name}"), "/l0.so")));
    is_soon(&amd64(nodes, &["/app"]), &task(X86_64, ""), Undetermined);
}

/// A script starts others, and each of these the same many times.
fn starting(line: &str, more: Vec<Node>) -> Facts {
    let mut nodes = vec![exe("bin/sh", program(X86))];
    for n in 0..8 {
        let next = if n < 7 { format!("sh /run{}\n", n + 1) } else { String::new() };
        let text = format!("/bin/sh\n{}{next}", format!("{line}\n").repeat(62));
        nodes.push(file(&format!("run{n}"), Head::Script(text.into_bytes().into())));
    }
    nodes.extend(more);
    amd64(nodes, &["/run0"])
}

#[test]
fn what_is_started_again_is_not_judged_again() {
    let files =
        |folder: &str| -> Vec<Node> { (0..50_000).map(|n| file(&format!("{folder}/{n}"), Head::Other)).collect() };
    let names: Vec<String> = (0..60).map(|n| format!("lib{n}.so")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut more = files("d");
    more.push(exe("app", dynamic(X86, LOADER, &names)));
    more.push(exe("lib64/ld-linux-x86-64.so.2", program(X86)));
    is_soon(&starting("/app", more), &task(X86_64, ""), Undetermined);
    is_soon(&starting("sh /d/missing", files("d")), &task(X86_64, ""), Undetermined);
}

#[test]
fn a_path_of_any_length_is_gone_through_a_limited_number_of_times() {
    let config = Config { env: vec![format!("PATH={}/bin", "/:".repeat(300_000))], ..Config::default() };
    let names: Vec<String> = (0..60).map(|n| format!("tool{n}")).collect();
    let text = names.join("\n");
    let config = Config { entrypoint: ["/bin/sh", "-c", &text].map(str::to_owned).into(), ..config };
    let nodes = vec![exe("bin/sh", program(X86))];
    is_soon(&index(vec![image(&Platform::linux_amd64(), vec![nodes], config)]), &task(X86_64, ""), Runs);
}
