//! Machines that are nearly right, platforms, what is allowed, and the form of the answer.

use std::collections::BTreeMap;

use dockless::ecs::json::parse;
use dockless::ecs::pattern::Pattern;
use dockless::ecs::target::{TargetOptions, select};
use dockless::ecs::task_definition::Stated;
use dockless::elf::Machine;
use dockless::image::inspect::Facts;
use dockless::layer::contents::Node;
use dockless::oci::config::Config;
use dockless::oci::platform::{Arch, Os, Platform};
use dockless::verify::allow::Allow;
use dockless::verify::finding::{Rule, Severity, Verdict};
use dockless::verify::rules::{Options, check_image, verify};

use dockless::verify::finding::Verdict::{DoesNotRun, Runs, Undetermined};

use crate::build::*;

#[test]
fn machines_that_are_nearly_right() {
    let i386 = amd64(vec![exe("app", program(Machine::I386))], &["/app"]);
    let answer = expect(&i386, &task(X86_64, ""), Undetermined, &["note foreign-executable /app"]);
    assert!(answer.targets[0].findings[0].message.contains("32-bit mode"));
    let beside = amd64(vec![exe("app", program(X86)), exe("opt/old", program(Machine::I386))], &["/app"]);
    expect(&beside, &task(X86_64, ""), Runs, &[]);
    let armv7 = arm64(vec![exe("app", program(Machine::ARM))], &["/app"]);
    let answer = expect(&armv7, &task(ARM64, ""), Undetermined, &["note foreign-executable /app"]);
    assert_eq!(answer.targets[0].findings[0].found.as_deref(), Some("EM_ARM"));
    // An image of 32-bit ARM is native to itself, also where nobody asks for it.
    let own = index(vec![image(
        &Platform::new(Os::Linux, Arch::ARM),
        vec![vec![exe("app", program(Machine::ARM))]],
        entry(&["/app"]),
    )]);
    assert_eq!(check_image(&own), []);
    let mut big = program(ARM);
    big.little_endian = false;
    let big = arm64(vec![exe("app", big)], &["/app"]);
    let answer = expect(&big, &task(ARM64, ""), DoesNotRun, &["error foreign-executable /app"]);
    assert_eq!(answer.targets[0].findings[0].found.as_deref(), Some("EM_AARCH64, big-endian"));
    let bpf = amd64(vec![exe("app", program(X86)), exe("opt/x.o", program(Machine::BPF))], &["/app"]);
    expect(&bpf, &task(X86_64, ""), Runs, &[]);
}

#[test]
fn files_that_nobody_starts_are_warnings_and_counted() {
    let many: Vec<Node> = (0..25).map(|n| exe(&format!("opt/qemu/{n:02}"), program(ARM))).collect();
    let facts = || amd64(many.iter().cloned().chain([exe("app", program(X86))]).collect(), &["/app"]);
    let answer = judge(&facts(), &task(X86_64, ""));
    assert_eq!((answer.verdict, answer.findings.len(), answer.targets[0].findings.len()), (Runs, 11, 0));
    assert_eq!(
        answer.findings[10].message,
        "and 15 more files are made for other machines than EM_X86_64: 15 for EM_AARCH64"
    );
    assert!(answer.findings[0].path.as_deref() == Some("/opt/qemu/00") && answer.findings[0].layer.is_some());
    assert!(!answer.fails(false) && answer.fails(true));
    let allow = |rule, path: Option<&str>| Allow { rule, path: path.map(Pattern::path) };
    let options = Options {
        allow: vec![allow(Rule::ForeignExecutable, Some("/opt/qemu/**")), allow(Rule::PlatformMissing, None)],
        ..Options::default()
    };
    let answer = judge_with(&facts(), &task(X86_64, ""), &TargetOptions::default(), &options);
    assert_eq!(brief(answer.all()), ["note allow-unused"]);
    assert_eq!(answer.findings[0].message, "allow platform-missing allowed nothing");
}

#[test]
fn an_allowed_error_does_not_count() {
    let facts = amd64(vec![exe("app", program(ARM))], &["/app"]);
    let allow = vec![Allow { rule: Rule::ForeignExecutable, path: Some(Pattern::path("/app")) }];
    let answer =
        judge_with(&facts, &task(X86_64, ""), &TargetOptions::default(), &Options { allow, ..Options::default() });
    assert_eq!((answer.verdict, brief(answer.all())), (Runs, Vec::new()));
}

fn both() -> Facts {
    index(vec![
        image(&Platform::linux_amd64(), vec![vec![exe("app", program(X86))]], entry(&["/app"])),
        image(&Platform::linux_arm64(), vec![vec![exe("app", program(ARM))]], entry(&["/app"])),
    ])
}

#[test]
fn an_index_must_have_the_platform() {
    let facts = arm64(vec![exe("app", program(ARM))], &["/app"]);
    let answer = expect(&facts, &task(X86_64, ""), DoesNotRun, &["error platform-missing"]);
    assert_eq!(
        answer.targets[0].findings[0].message,
        "the image has nothing for linux/amd64 (X86_64, from td.json:1:52): it has linux/arm64"
    );
    let mut v8 = facts.images[0].clone();
    v8.stated = Some(Platform { variant: Some("v8".into()), ..Platform::linux_arm64() });
    let unknown = Platform::new(Os::from("unknown"), Arch::from("unknown"));
    let attested = index(vec![image(&unknown, vec![vec![]], Config::default()), v8]);
    expect(&attested, &task(ARM64, ""), Runs, &[]);
    expect(&index(vec![]), &task(ARM64, ""), DoesNotRun, &["error platform-missing"]);
}

#[test]
fn the_configuration_must_agree_with_the_index() {
    let mut facts = amd64(vec![exe("app", program(ARM))], &["/app"]);
    facts.images[0].config.architecture = Arch::ARM64;
    let wrong = ["error config-disagrees", "error foreign-executable /app"];
    let answer = expect(&facts, &task(X86_64, ""), DoesNotRun, &wrong);
    assert!(answer.targets[0].findings[0].message.contains("but its configuration says linux/arm64"));
}

#[test]
fn a_single_manifest_is_taken_without_looking() {
    let facts = single(image(&Platform::linux_arm64(), vec![vec![exe("app", program(ARM))]], entry(&["/app"])));
    expect(&facts, &task(ARM64, ""), Runs, &[]);
    let answer = expect(&facts, &task(X86_64, ""), DoesNotRun, &["error platform-missing"]);
    assert!(answer.targets[0].findings[0].message.contains("takes it without looking"));
    // The configuration is wrong, the program is right: it runs.
    let facts = single(image(&Platform::linux_arm64(), vec![vec![exe("app", program(X86))]], entry(&["/app"])));
    expect(&facts, &task(X86_64, ""), Runs, &["warning config-disagrees"]);
}

#[test]
fn what_is_not_stated() {
    let arm = || arm64(vec![exe("app", program(ARM))], &["/app"]);
    let answer =
        expect(&arm(), &task(FARGATE, ""), DoesNotRun, &["error platform-missing", "warning architecture-not-stated"]);
    let help = answer.targets[0].findings[0].help.as_deref().expect("help");
    assert!(help.contains("\"cpuArchitecture\": \"ARM64\"") && help.contains("build linux/amd64"), "{help}");
    // What nearly every definition leaves out is no finding where the default fits.
    expect(&both(), &task(FARGATE, ""), Runs, &[]);
    for fields in [
        r#""requiresCompatibilities":["EC2"]"#,
        r#""requiresCompatibilities":["EXTERNAL"]"#,
        r#""requiresCompatibilities":["EC2","FARGATE"]"#,
        "",
    ] {
        expect(&both(), &task(fields, ""), Runs, &["note architecture-not-stated"]);
        let answer = expect(
            &arm(),
            &task(fields, ""),
            Undetermined,
            &["warning architecture-not-stated", "warning platform-missing"],
        );
        let message = &answer.targets[0].findings[0].message;
        assert!(message.contains("runs on linux/arm64, but not on linux/amd64"), "{message}");
        assert!(!answer.fails(false) && answer.fails(true));
    }
    let neither = arm64(vec![exe("app", program(X86))], &["/app"]);
    let answer = judge(&neither, &task("", ""));
    assert_eq!((answer.verdict, answer.has_errors()), (DoesNotRun, true));
}

#[test]
fn a_broken_half_that_no_target_uses_is_a_warning() {
    let mut facts = both();
    facts.images[1] = image(&Platform::linux_arm64(), vec![vec![exe("app", program(X86))]], entry(&["/app"]));
    let answer = expect(&facts, &task(X86_64, ""), Runs, &["warning foreign-executable /app"]);
    let finding = &answer.findings[0];
    assert_eq!(finding.platform.as_deref(), Some("linux/arm64"));
    assert!(finding.message.ends_with("(no target uses this platform)"), "{}", finding.message);
    // Without a target each platform counts.
    assert_eq!(brief(&check_image(&facts)), ["error foreign-executable /app"]);
    assert_eq!(verify(&facts, &[], &Options::default()).verdict, DoesNotRun);
    assert_eq!(check_image(&both()), []);
}

#[test]
fn windows_is_left_open() {
    let fields = r#""runtimePlatform":{"operatingSystemFamily":"WINDOWS_SERVER_2022_CORE"},"requiresCompatibilities":["FARGATE"]"#;
    let platform = Platform::new(Os::Windows, Arch::Amd64);
    let facts = index(vec![image(&platform, vec![vec![]], entry(&["app.exe"]))]);
    expect(&facts, &task(fields, ""), Undetermined, &["note windows-task"]);
    let linux = judge(&both(), &task(fields, ""));
    assert_eq!(linux.verdict, DoesNotRun);
}

#[test]
fn a_linux_image_does_not_run_on_windows_whatever_is_stated() {
    let windows = r#""runtimePlatform":{"operatingSystemFamily":"WINDOWS_SERVER_2022_CORE"}"#;
    let alone = || single(image(&Platform::linux_amd64(), vec![vec![exe("app", program(X86))]], entry(&["/app"])));
    for facts in [both(), alone()] {
        let answer = judge(&facts, &task(windows, ""));
        assert_eq!(answer.verdict, DoesNotRun, "{:?}", brief(answer.all()));
    }
    let own = index(vec![image(&Platform::new(Os::Windows, Arch::Amd64), vec![vec![]], entry(&["app.exe"]))]);
    assert_eq!(judge(&own, &task(windows, "")).verdict, Undetermined);
}

#[test]
fn an_operating_system_that_is_not_known_leaves_the_verdict_open() {
    for (fields, wrong_verdict) in [("", Undetermined), (X86_64, DoesNotRun), (FARGATE, Undetermined)] {
        let mut definitions = parse("td.json", &task(fields, "")).expect("a task definition");
        let at = definitions[0].location.clone();
        definitions[0].operating_system = Stated::Unresolved { reason: "var.os has no value".into(), at };
        let targets = select(definitions, &TargetOptions::default()).expect("targets");
        let verdict = |facts: &Facts| verify(facts, &targets, &Options::default()).verdict;
        assert_eq!(verdict(&both()), Undetermined, "{fields}");
        // What does not run on Linux does not run on Windows either.
        assert_eq!(verdict(&amd64(vec![exe("app", program(ARM))], &["/app"])), DoesNotRun, "{fields}");
        assert_eq!(verdict(&arm64(vec![exe("app", program(ARM))], &["/app"])), wrong_verdict, "{fields}");
    }
}

#[test]
fn a_variant_that_the_runtime_does_not_take_is_passed_over() {
    let entry_of = |variant: Option<&str>, architecture: Arch, machine| {
        let platform = Platform { variant: variant.map(str::to_owned), ..Platform::new(Os::Linux, architecture) };
        image(&platform, vec![vec![exe("app", program(machine))]], entry(&["/app"]))
    };
    let v3 = || entry_of(Some("v3"), Arch::Amd64, X86);
    let answer = expect(&index(vec![v3()]), &task(X86_64, ""), DoesNotRun, &["error platform-missing"]);
    assert!(answer.targets[0].findings[0].message.ends_with("it has linux/amd64/v3"));
    let plain = index(vec![v3(), entry_of(None, Arch::Amd64, ARM)]);
    assert_eq!(judge(&plain, &task(X86_64, "")).verdict, DoesNotRun);
    // The newest kin counts, not the first.
    let kin = index(vec![entry_of(Some("v6"), Arch::ARM, X86), entry_of(Some("v7"), Arch::ARM, Machine::ARM)]);
    assert_eq!(judge(&kin, &task(ARM64, "")).verdict, Undetermined);
    // As containerd reads it.
    for spelling in ["x86_64", "AMD64"] {
        let other = index(vec![entry_of(None, Arch::from(spelling), X86)]);
        expect(&other, &task(X86_64, ""), Runs, &[]);
        let wrong = index(vec![entry_of(None, Arch::from(spelling), ARM)]);
        expect(&wrong, &task(X86_64, ""), DoesNotRun, &["error foreign-executable /app"]);
    }
    let v1 = index(vec![entry_of(Some("v1"), Arch::Amd64, X86)]);
    expect(&v1, &task(X86_64, ""), Runs, &[]);
}

#[test]
fn the_document_has_the_form_that_scripts_rely_on() {
    let facts = amd64(vec![exe("app", program(X86))], &["/app"]);
    let json = serde_json::to_value(judge(&facts, &task(X86_64, ""))).expect("JSON");
    assert_eq!(
        json,
        serde_json::json!({
            "version": 1, "image": "example.com/team/app:v1", "digest": facts.top.digest.to_string(), "verdict": "runs",
            "targets": [{
                "id": "f", "family": "f", "architecture": "X86_64", "architecture_source": "td.json:1:52",
                "operating_system": "UNSET", "launch_types": [], "platform": "linux/amd64",
                "containers": [{"name": "app", "image": IMAGE, "ports": []}], "verdict": "runs", "findings": []
            }],
            "findings": []
        })
    );
    let words: BTreeMap<&str, Verdict> = [Runs, DoesNotRun, Undetermined].map(|v| (v.word(), v)).into();
    for (word, verdict) in words {
        assert_eq!(serde_json::to_value(verdict).expect("JSON"), word);
    }
    assert!(Severity::Error > Severity::Warning);
}
