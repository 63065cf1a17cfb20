//! Images in one table: how each is made, and what is to be said of it.

use std::fmt::Write as _;

use dockless::ecs::target::TargetOptions;
use dockless::elf::Machine;
use dockless::oci::config::Config;
use dockless::oci::media_type::Compression;
use dockless::oci::platform::Platform;
use dockless::verify::finding::Rule;
use dockless::verify::finding::Verdict::{self, DoesNotRun, Runs, Undetermined};
use dockless::verify::rules::Options;

use crate::build::{ARM, ARM64, X86, X86_64, brief, judge_with, task};
use crate::elf::{Program, made_for};
use crate::layers::{Item, bin, read, sym};

pub(crate) const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";
pub(crate) const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

/// An image for amd64, unless it says otherwise, and what is to be said of it.
pub(crate) struct Case {
    name: &'static str,
    arm: bool,
    layers: Vec<Vec<Item>>,
    config: Config,
    container: &'static str,
    verdict: Verdict,
    findings: &'static [&'static str],
}

pub(crate) fn case(name: &'static str, items: Vec<Item>, entrypoint: &[&str]) -> Case {
    Case {
        name,
        arm: false,
        layers: vec![items],
        config: crate::build::entry(entrypoint),
        container: "",
        verdict: Runs,
        findings: &[],
    }
}

impl Case {
    pub(crate) fn on_arm(self) -> Self {
        Self { arm: true, ..self }
    }

    pub(crate) fn then(mut self, items: Vec<Item>) -> Self {
        self.layers.push(items);
        self
    }

    pub(crate) fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn container(self, container: &'static str) -> Self {
        Self { container, ..self }
    }

    pub(crate) fn says(self, verdict: Verdict, findings: &'static [&'static str]) -> Self {
        Self { verdict, findings, ..self }
    }

    pub(crate) fn fails(self, findings: &'static [&'static str]) -> Self {
        self.says(DoesNotRun, findings)
    }

    pub(crate) fn stays_open(self, findings: &'static [&'static str]) -> Self {
        self.says(Undetermined, findings)
    }
}

pub(crate) fn x86() -> Vec<u8> {
    made_for(X86).bytes()
}

pub(crate) fn arm() -> Vec<u8> {
    made_for(ARM).bytes()
}

pub(crate) fn changed(machine: Machine, change: impl FnOnce(&mut Program)) -> Vec<u8> {
    let mut program = made_for(machine);
    change(&mut program);
    program.bytes()
}

/// A program of glibc, and a root that has glibc.
pub(crate) fn app(needed: &[&'static str]) -> Vec<u8> {
    made_for(X86).with(GLIBC, needed).bytes()
}

pub(crate) fn library(needed: &[&'static str]) -> Vec<u8> {
    made_for(X86).library(needed).bytes()
}

pub(crate) fn with(root: Vec<Item>, more: Vec<Item>) -> Vec<Item> {
    [root, more].concat()
}

pub(crate) fn glibc() -> Vec<Item> {
    vec![
        bin("lib64/ld-linux-x86-64.so.2", library(&[])),
        bin("lib/x86_64-linux-gnu/libc.so.6", library(&["ld-linux-x86-64.so.2"])),
        bin("bin/sh", app(&["libc.so.6"])),
        bin("usr/bin/env", app(&["libc.so.6"])),
    ]
}

pub(crate) fn musl() -> Vec<Item> {
    let busybox = made_for(X86).with(MUSL, &["libc.musl-x86_64.so.1"]).bytes();
    vec![
        bin("lib/ld-musl-x86_64.so.1", library(&[])),
        sym("lib/libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1"),
        bin("bin/busybox", busybox),
        sym("bin/sh", "/bin/busybox"),
        sym("usr/bin/env", "/bin/busybox"),
    ]
}

/// Judges each in every compression.
pub(crate) fn expect_all(cases: &[Case]) {
    let mut table = String::new();
    let mut wrong = 0;
    for case in cases {
        let (platform, fields) =
            if case.arm { (Platform::linux_arm64(), ARM64) } else { (Platform::linux_amd64(), X86_64) };
        for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
            let facts = read(&platform, &case.layers, &case.config, compression);
            let definition = task(fields, case.container);
            let answer = judge_with(&facts, &definition, &TargetOptions::default(), &Options::default());
            let found = brief(answer.all().filter(|finding| finding.rule != Rule::DigestDiffers));
            let right = (answer.verdict, found.as_slice()) == (case.verdict, &own(case.findings)[..]);
            wrong += usize::from(!right);
            let sign = if right { "  " } else { "✗ " };
            let _ = writeln!(table, "{sign}{} ({compression:?}): {}, {found:?}", case.name, answer.verdict);
            if !right {
                let _ = writeln!(table, "    wanted: {}, {:?}", case.verdict, case.findings);
                for finding in answer.all() {
                    let _ = writeln!(table, "    {}", finding.message);
                }
            }
        }
    }
    assert_eq!(wrong, 0, "{wrong} of {} are wrong:\n{table}", cases.len() * 3);
}

fn own(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
