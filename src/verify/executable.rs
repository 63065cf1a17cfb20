//! What the kernel and the dynamic loader do with the program that a container starts, followed without running it:
//! `#!` lines, `PT_INTERP`, `DT_NEEDED`, and the machine of each file on that way.
//!
//! Names and links come from strangers. Lookups stay within the root, and what is followed is limited: scripts that
//! interpret one another, programs that start one another, libraries.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::elf::{Elf, Machine};
use crate::image::inspect::{Fit, ImageFacts, fit, machine};
use crate::image::root::Found;
use crate::layer::contents::{Head, Kind};
use crate::layer::entry::split;
use crate::oci::platform::Arch;

use super::finding::{Finding, Rule, Severity};
use super::lookup::{May, Sought, Surroundings, shown};
use super::process::Process;
use super::wrapper::Changes;

/// Follows the process of one container, or of the image by itself.
pub(super) struct Judge<'a> {
    pub(super) surroundings: Surroundings<'a>,
    pub(super) process: &'a Process,
    /// The architecture that it has to run on.
    pub(super) architecture: &'a Arch,
    /// Whose word that is.
    pub(super) why: &'a str,
    pub(super) findings: Vec<Finding>,
    /// The files on the way, which are not looked at again elsewhere.
    pub(super) visited: BTreeSet<Box<[u8]>>,
    /// Whether a shell reads a script that may start anything: not all that it starts is known.
    pub(super) by_script: bool,
    /// The scripts whose texts have been followed.
    pub(super) read: BTreeSet<String>,
    /// Whether what is followed may run in another working folder than the container's.
    pub(super) has_moved: bool,
    /// How many programs have been followed.
    pub(super) starts: usize,
    /// How many scripts that `env` starts stand before the one that is followed.
    pub(super) by_env: usize,
    /// The paths of the image by their last names, once someone has asked.
    pub(super) by_name: OnceCell<BTreeMap<&'a [u8], Vec<&'a [u8]>>>,
    /// The programs that were judged, with what that hangs on: whether they surely start, whether nothing runs before
    /// them, whether what starts them goes on without them.
    pub(super) judged: BTreeSet<(Box<[u8]>, [bool; 3], Changes)>,
    /// What was said of programs whose start is no condition: rule, path, and what is wanted.
    pub(super) told: BTreeSet<(Severity, Rule, Option<String>, Option<String>)>,
    /// The scripts that interpreters read.
    pub(super) scripts: Vec<Box<[u8]>>,
}

/// What a file is on the way.
#[derive(Clone)]
pub(super) enum Role {
    Program,
    /// That the program of this name starts.
    Started(String),
    /// That the program of this name may start.
    Maybe(String),
    /// Of the script at this path.
    Interpreter(String),
    /// Of the program at this path.
    Loader(String),
    /// That the file at this path needs.
    Library(String),
}

impl Role {
    pub(super) fn words(&self, path: &str) -> String {
        match self {
            Self::Program => format!("the entrypoint {path}"),
            Self::Started(by) => format!("{path}, which {by} starts,"),
            Self::Maybe(by) => format!("{path}, which {by} may start,"),
            Self::Interpreter(of) => format!("{path}, the interpreter of the script {of},"),
            Self::Loader(of) => format!("{path}, the dynamic loader of {of},"),
            Self::Library(of) => format!("{path}, a library that {of} needs,"),
        }
    }
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        surroundings: Surroundings<'a>,
        process: &'a Process,
        architecture: &'a Arch,
        why: &'a str,
    ) -> Self {
        Self {
            surroundings,
            process,
            architecture,
            why,
            findings: Vec::new(),
            visited: BTreeSet::new(),
            by_script: false,
            read: BTreeSet::new(),
            has_moved: false,
            starts: 0,
            by_env: 0,
            by_name: OnceCell::new(),
            judged: BTreeSet::new(),
            told: BTreeSet::new(),
            scripts: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, mut finding: Finding) {
        finding.location = finding.location.or_else(|| self.process.location.clone());
        self.findings.push(finding);
    }

    pub(super) fn unknown(&mut self, rule: Rule, path: &str, why: &str) {
        let whole = path.starts_with('/');
        let help = if whole {
            format!("if you know that it starts, say so: --allow {rule}={path}")
        } else {
            format!("name it by its whole path, or, if you know that it starts, say so: --allow {rule}")
        };
        let message = format!("{path} cannot be judged: {why}");
        let mut note = Finding::new(rule, Severity::Note, message).undecided().help(help);
        note.path = whole.then(|| path.into());
        self.push(note);
    }

    pub(super) fn missing_program(&mut self, name: &str, end: Option<String>, role: &Role) {
        let origin = &self.process.origin;
        let (message, help) = if name.is_empty() {
            (format!("the name of the program is empty ({origin})"), "name the program".to_owned())
        } else if name.contains('/') || !matches!(role, Role::Program | Role::Started(_)) {
            let what = match &self.surroundings.folder {
                Some(folder) if !name.starts_with('/') => role.words(&format!("{name}, relative to {folder}")),
                _ => role.words(name),
            };
            let end = end.map_or_else(|| "does not exist in the image".into(), |end| format!("is not there: {end}"));
            (format!("{what} {end} ({origin})"), "name a file that the image has".to_owned())
        } else {
            let path = self.surroundings.path.as_deref().unwrap_or_default();
            (
                format!(
                    "{} is in no folder of PATH ({path}){} ({origin})",
                    role.words(name),
                    end.map_or_else(String::new, |end| format!(": {end}"))
                ),
                format!("put {name} into one of these folders, or name its path"),
            )
        };
        let mut finding = Finding::new(Rule::EntrypointNotFound, Severity::Error, message).help(help);
        finding.path = name.contains('/').then(|| name.into());
        finding.found = Some("nothing".into());
        finding.wanted = Some(name.into());
        self.push(finding);
    }

    /// The folders in which an interpreter looks for modules beside its own: those of the scripts, the working folder,
    /// and what its variable (`PYTHONPATH`) names in the image.
    pub(super) fn module_roots(&self, variable: &str) -> Vec<Box<[u8]>> {
        let scripts = self.scripts.iter().map(|script| Box::from(split(script).0));
        let image = self.image();
        let named =
            image.config.config.variable(variable).unwrap_or_default().split(':').filter(|part| !part.is_empty());
        let folders = self.surroundings.folder.iter().map(String::as_str).chain(named);
        let found = folders.map(|folder| match self.surroundings.at(folder) {
            Sought::Found(found) => found.path,
            // A folder that no layer names.
            _ => folder.trim_matches('/').as_bytes().into(),
        });
        scripts.chain(found).collect()
    }

    pub(super) fn image(&self) -> &'a ImageFacts {
        self.surroundings.image
    }

    /// A finding about a file, which names it and its layer.
    pub(super) fn about(&mut self, rule: Rule, typed: &str, found: &Found<'_>, role: &Role, what: &str) -> Finding {
        let path = shown(&found.path);
        let typed = if typed == path || !typed.starts_with('/') { path.clone() } else { format!("{typed} ({path})") };
        let layer = self.image().layers.get(found.layer).map(|layer| layer.digest);
        let from = layer.map_or_else(String::new, |digest| format!(" from layer {} ({digest})", found.layer + 1));
        let mut finding = Finding::new(rule, Severity::Error, format!("{}{from} {what}", role.words(&typed)));
        finding.path = Some(path);
        finding.layer = layer;
        finding
    }

    pub(super) fn file(&mut self, typed: &str, found: &Found<'_>, role: &Role, scripts: usize) {
        self.visited.insert(found.path.clone());
        let rule = Rule::EntrypointNotExecutable;
        let (what, help) = match &found.node.kind {
            Kind::Directory => ("is a folder".to_owned(), "name a file in it"),
            Kind::File { head, size } => {
                if !self.executable(typed, found, role) {
                    return;
                }
                match head {
                    Head::Elf(elf) => return self.elf(typed, found, elf, role),
                    Head::Script(kept) => return self.script(found, kept, role, scripts),
                    Head::Elsewhere(system) => {
                        (format!("is a program for {system}, not for Linux (exec format error)"), "build it for Linux")
                    }
                    _ if *size == 0 => ("is empty".into(), "put the program into it"),
                    _ => (
                        "is neither an ELF file nor a script with `#!` in its first line (exec format error)".into(),
                        "write `#!/bin/sh` into its first line, or start it by a shell: [\"/bin/sh\", \"FILE\"]",
                    ),
                }
            }
            _ => ("is no regular file".into(), "name a program"),
        };
        let finding = self.about(rule, typed, found, role, &what);
        self.push(finding.help(help));
    }

    /// Whether the user may execute a file and come to it; where not, that is a finding.
    pub(super) fn executable(&mut self, typed: &str, found: &Found<'_>, role: &Role) -> bool {
        let (node, user) = (found.node, self.surroundings.user);
        let owner = format!("{}:{}", node.uid, node.gid);
        let (may, what) = match (user.may(1, node), self.surroundings.closed_folder(&found.path)) {
            (May::Yes, None) => return true,
            (may @ (May::No | May::Unknown), closed) if may == May::No || closed.is_none() => {
                (may, format!("has mode {:04o} and owner {owner}: no x bit for {}", node.mode, user.words()))
            }
            (_, Some((folder, may))) => {
                (may, format!("stands in {folder}, which is closed for {}: no x bit", user.words()))
            }
            (may, None) => (may, String::new()),
        };
        let mut finding = self.about(Rule::EntrypointNotExecutable, typed, found, role, &what);
        finding.found = Some(format!("{:04o}", node.mode));
        finding.wanted = Some("0755".into());
        if may == May::Unknown {
            finding.severity = Severity::Note;
            finding.message.push_str(", unless it is its owner or of its group");
            self.push(finding.undecided().help("give it the mode 0755, or state the user by number"));
            return true;
        }
        self.push(finding.help("give it, and the folders above it, the mode 0755"));
        false
    }

    /// A script is read by its interpreter, with the rights of the same user.
    pub(super) fn readable(&mut self, found: &Found<'_>, role: &Role) {
        let (node, user) = (found.node, self.surroundings.user);
        let may = self.surroundings.may(4, found);
        if may == May::Yes {
            return;
        }
        let what = match self.surroundings.closed_folder(&found.path) {
            Some((folder, closed)) if closed == may => {
                format!("stands in {folder}, which is closed for {}: no x bit", user.words())
            }
            _ => {
                let (mode, uid, gid) = (node.mode, node.uid, node.gid);
                format!("has mode {mode:04o} and owner {uid}:{gid}: {} may not read it", user.words())
            }
        };
        let rule = Rule::EntrypointNotExecutable;
        let mut finding = self.about(rule, &shown(&found.path), found, role, &what);
        finding.found = Some(format!("{:04o}", node.mode));
        finding.wanted = Some("0755".into());
        if may == May::No {
            self.push(finding.help("give it, and the folders above it, the mode 0755"));
        } else if !self.findings.iter().any(|known| known.rule == rule && known.path == finding.path) {
            finding.severity = Severity::Note;
            finding.message.push_str(", unless it is its owner or of its group");
            self.push(finding.undecided().help("give it the mode 0755, or state the user by number"));
        }
    }

    pub(super) fn elf(&mut self, typed: &str, found: &Found<'_>, elf: &Elf, role: &Role) {
        if elf.truncated {
            let finding =
                self.about(Rule::EntrypointNotExecutable, typed, found, role, "is an ELF file that is cut off");
            self.push(finding.help("copy it again, whole"));
            return;
        }
        let wanted = machine(self.architecture).map_or_else(|| self.architecture.to_string(), |m| m.to_string());
        match self.fit(elf) {
            Fit::Native => {}
            Fit::Foreign => {
                let what = format!("is made for {}; wanted is {wanted} ({})", made_for(elf), self.why);
                let mut finding = self.about(Rule::ForeignExecutable, typed, found, role, &what);
                finding.found = Some(made_for(elf));
                finding.wanted = Some(wanted);
                self.push(finding.help("build it for that machine, or ask for the architecture that it is made for"));
                return;
            }
            Fit::Compatible => {
                let what = format!(
                    "is made for {}; wanted is {wanted} ({}): it runs only where kernel and CPU still have the 32-bit \
                     mode",
                    made_for(elf),
                    self.why
                );
                let mut finding = self.about(Rule::ForeignExecutable, typed, found, role, &what).undecided();
                finding.severity = Severity::Note;
                finding.found = Some(made_for(elf));
                finding.wanted = Some(wanted);
                self.push(finding.help(
                    "build it for 64 bits; or try it where it will run and allow it: --allow foreign-executable=PATH",
                ));
                if let Some(interpreter) = &elf.interpreter {
                    let interpreter = String::from_utf8_lossy(interpreter);
                    // A loader that is missing is missing in every mode.
                    if matches!(self.surroundings.at(&interpreter), Sought::Missing(_)) {
                        self.loader(found, role, &interpreter);
                    }
                }
                return;
            }
            Fit::Irrelevant => {
                let what = "is an ELF file, but no program (exec format error)";
                let finding = self.about(Rule::EntrypointNotExecutable, typed, found, role, what);
                self.push(finding.help("name a program"));
                return;
            }
        }
        // A library may name a loader as well (libc.so.6 does): nobody asks it.
        if matches!(role, Role::Program | Role::Started(_) | Role::Maybe(_) | Role::Interpreter(_)) {
            if elf.interpreter.is_none() && elf.needed.as_ref().is_some_and(|needed| !needed.is_empty()) {
                let what = "names no dynamic loader, but needs libraries: it is a library, and no program";
                let finding = self.about(Rule::EntrypointNotExecutable, typed, found, role, what);
                self.push(finding.help("name a program, or link it as one"));
                return;
            }
            let loader = elf.interpreter.as_deref().and_then(|interpreter| {
                let interpreter = String::from_utf8_lossy(interpreter);
                self.loader(found, role, &interpreter)
            });
            self.libraries(found, elf, loader);
        }
    }

    pub(super) fn fit(&self, elf: &Elf) -> Fit {
        fit(elf, self.architecture)
    }
}

/// The machine of a file, with what else sets it apart from the usual one of that name.
pub(super) fn made_for(elf: &Elf) -> String {
    let mut words = elf.machine.to_string();
    if !elf.little_endian && matches!(elf.machine, Machine::AARCH64 | Machine::ARM | Machine::X86_64 | Machine::I386) {
        words.push_str(", big-endian");
    }
    if !elf.is_64 && matches!(elf.machine, Machine::AARCH64 | Machine::X86_64) {
        words.push_str(", 32-bit");
    }
    let system = match elf.os_abi {
        2 => "NetBSD",
        6 => "Solaris",
        9 => "FreeBSD",
        12 => "OpenBSD",
        _ => return words,
    };
    words.push_str(", ");
    words.push_str(system);
    words
}
