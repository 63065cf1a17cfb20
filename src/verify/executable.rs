//! What the kernel and the dynamic loader do with the program that a container starts, followed without running it:
//! `#!` lines, `PT_INTERP`, `DT_NEEDED`, and the machine of each file on that way.
//!
//! Names and links come from strangers. Lookups stay within the root, a chain of scripts has at most [`MAX_SCRIPTS`]
//! parts, every library is visited once, and at most [`MAX_LIBRARIES`] of them.

use std::collections::{BTreeSet, VecDeque};

use crate::elf::{Elf, Machine};
use crate::image::inspect::{Fit, ImageFacts, fit, machine};
use crate::image::root::Found;
use crate::layer::contents::{Head, Kind};
use crate::layer::entry::split;
use crate::oci::platform::Arch;

use super::finding::{Finding, Rule, Severity};
use super::lookup::{Sought, Surroundings, shown};
use super::process::{Process, shell_command};

/// How many scripts may interpret one another, as on Linux.
const MAX_SCRIPTS: usize = 4;
/// More than any program has.
const MAX_LIBRARIES: usize = 4096;

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
}

/// What a file is on the way.
#[derive(Clone)]
enum Role {
    Program,
    /// Of the script at this path.
    Interpreter(String),
    /// Of the program at this path.
    Loader(String),
    /// That the file at this path needs.
    Library(String),
}

impl Role {
    fn words(&self, path: &str) -> String {
        match self {
            Self::Program => format!("the entrypoint {path}"),
            Self::Interpreter(of) => format!("{path}, the interpreter of the script {of},"),
            Self::Loader(of) => format!("{path}, the dynamic loader of {of},"),
            Self::Library(of) => format!("{path}, a library that {of} needs,"),
        }
    }
}

impl<'a> Judge<'a> {
    pub(super) fn run(&mut self) {
        let process = self.process;
        if let Some(reason) = &process.unknown {
            let message = format!("what starts is not known: {} ({reason})", process.origin);
            self.push(Finding::new(Rule::EntrypointNotFound, Severity::Note, message).undecided());
            return;
        }
        let Some(name) = process.words.first() else {
            let message = "nothing starts: neither the image nor the container definition names a command";
            self.push(
                Finding::new(Rule::EntrypointNotFound, Severity::Error, message)
                    .help("set entrypoint or cmd in the image, or command in the container definition"),
            );
            return;
        };
        let (path, sought) = self.surroundings.find(name);
        match sought {
            Sought::Found(found) => self.file(&path, &found, &Role::Program, 0),
            Sought::Unknown(why) => self.unknown(Rule::EntrypointNotFound, &path, &why),
            Sought::Missing(end) => self.missing_program(name, end),
        }
        if let Some(word) = shell_command(&process.words)
            && let (_, Sought::Missing(_)) = self.surroundings.find(word)
        {
            let message = format!("the shell that starts will not find {word} ({})", process.origin);
            let mut note = Finding::new(Rule::EntrypointNotFound, Severity::Note, message);
            note.found = Some("nothing".into());
            note.wanted = Some(word.into());
            self.push(note);
        }
    }

    fn push(&mut self, mut finding: Finding) {
        finding.location = finding.location.or_else(|| self.process.location.clone());
        self.findings.push(finding);
    }

    fn unknown(&mut self, rule: Rule, path: &str, why: &str) {
        let mut note = Finding::new(rule, Severity::Note, format!("{path} cannot be judged: {why}")).undecided();
        note.path = path.starts_with('/').then(|| path.into());
        self.push(note);
    }

    fn missing_program(&mut self, name: &str, end: Option<String>) {
        let origin = &self.process.origin;
        let (message, help) = if name.is_empty() {
            (format!("the name of the program is empty ({origin})"), "name the program".to_owned())
        } else if name.contains('/') {
            let from = match &self.surroundings.folder {
                Some(folder) if !name.starts_with('/') => format!(", relative to {folder}"),
                _ => String::new(),
            };
            let end = end.map_or_else(|| "does not exist in the image".into(), |end| format!("is not there: {end}"));
            (format!("the entrypoint {name}{from} {end} ({origin})"), "name a file that the image has".to_owned())
        } else {
            let path = self.surroundings.path.as_deref().unwrap_or_default();
            (
                format!("the entrypoint {name} is in no folder of PATH ({path}) ({origin})"),
                format!("put {name} into one of these folders, or name its path"),
            )
        };
        let mut finding = Finding::new(Rule::EntrypointNotFound, Severity::Error, message).help(help);
        finding.path = name.contains('/').then(|| name.into());
        finding.found = Some("nothing".into());
        finding.wanted = Some(name.into());
        self.push(finding);
    }

    fn image(&self) -> &'a ImageFacts {
        self.surroundings.image
    }

    /// A finding about a file, which names it and its layer.
    fn about(&mut self, rule: Rule, typed: &str, found: &Found<'_>, role: &Role, what: &str) -> Finding {
        let path = shown(&found.path);
        let typed = if typed == path || !typed.starts_with('/') { path.clone() } else { format!("{typed} ({path})") };
        let layer = self.image().layers.get(found.layer).map(|layer| layer.digest);
        let from = layer.map_or_else(String::new, |digest| format!(" from layer {} ({digest})", found.layer + 1));
        let mut finding = Finding::new(rule, Severity::Error, format!("{}{from} {what}", role.words(&typed)));
        finding.path = Some(path);
        finding.layer = layer;
        finding
    }

    fn file(&mut self, typed: &str, found: &Found<'_>, role: &Role, scripts: usize) {
        self.visited.insert(found.path.clone());
        let rule = Rule::EntrypointNotExecutable;
        let (what, help) = match &found.node.kind {
            Kind::Directory => ("is a folder", "name a file in it"),
            Kind::File { .. } if !self.surroundings.user.may_execute(found.node) => {
                let message = format!(
                    "has mode {:04o} and owner {}:{}: no x bit for the user that runs it",
                    found.node.mode, found.node.uid, found.node.gid
                );
                let mut finding = self.about(rule, typed, found, role, &message);
                finding.found = Some(format!("{:04o}", found.node.mode));
                finding.wanted = Some("0755".into());
                self.push(finding.help("give it the mode 0755"));
                return;
            }
            Kind::File { head: Head::Elf(elf), .. } => return self.elf(typed, found, elf, role),
            Kind::File { head: Head::Script(line), .. } => return self.script(found, line, role, scripts),
            Kind::File { size: 0, .. } => ("is empty", "put the program into it"),
            Kind::File { head: Head::Other, .. } => (
                "is neither an ELF file nor a script with `#!` in its first line (exec format error)",
                "write `#!/bin/sh` into its first line, or start it by a shell: [\"/bin/sh\", \"FILE\"]",
            ),
            _ => ("is no regular file", "name a program"),
        };
        let finding = self.about(rule, typed, found, role, what);
        self.push(finding.help(help));
    }

    fn script(&mut self, found: &Found<'_>, line: &[u8], role: &Role, scripts: usize) {
        let script = shown(&found.path);
        if scripts >= MAX_SCRIPTS {
            let what = "is a script of a script of a script: Linux follows no more";
            let finding = self.about(Rule::EntrypointNotExecutable, &script, found, role, what);
            self.push(finding.help("name a program after `#!`"));
            return;
        }
        let text = String::from_utf8_lossy(line);
        if text.ends_with('\r') {
            let what =
                format!("asks for {:?}: its lines end with CR LF, and the CR belongs to the name", text.trim_start());
            let mut finding = self.about(Rule::InterpreterMissing, &script, found, role, &what);
            finding.found = Some(text.trim_start().to_owned());
            finding.wanted = Some(text.trim().to_owned());
            self.push(finding.help("save it with LF line ends (git: `*.sh text eol=lf` in .gitattributes)"));
            return;
        }
        let text = text.trim_matches([' ', '\t']);
        let (interpreter, argument) = match text.split_once([' ', '\t']) {
            Some((interpreter, argument)) => (interpreter, argument.trim_matches([' ', '\t'])),
            None => (text, ""),
        };
        if interpreter.is_empty() {
            let what = "names no interpreter after `#!` (exec format error)";
            let finding = self.about(Rule::EntrypointNotExecutable, &script, found, role, what);
            self.push(finding.help("write `#!/bin/sh` into its first line"));
            return;
        }
        // The kernel looks up no PATH.
        match self.surroundings.at(interpreter) {
            Sought::Found(next) => {
                self.file(interpreter, &next, &Role::Interpreter(script.clone()), scripts + 1);
            }
            Sought::Unknown(why) => return self.unknown(Rule::InterpreterMissing, interpreter, &why),
            Sought::Missing(end) => return self.missing_interpreter((found, role), interpreter, end, ""),
        }
        if interpreter.rsplit('/').next() == Some("env") {
            self.env(found, argument, role, scripts);
        }
    }

    /// `#!/usr/bin/env NAME`: the kernel hands over everything after it as one argument; `-S` splits it.
    fn env(&mut self, found: &Found<'_>, argument: &str, role: &Role, scripts: usize) {
        let split = argument.strip_prefix("-S").or_else(|| argument.strip_prefix("--split-string="));
        let assignment = |word: &&str| !word.starts_with('-') && !word.contains('=');
        let name = match split {
            Some(rest) => rest.split_whitespace().find(assignment).unwrap_or_default(),
            None if argument.starts_with('-') || argument.contains('=') => return,
            None => argument,
        };
        if name.is_empty() {
            return;
        }
        let (typed, sought) = self.surroundings.find(name);
        match sought {
            Sought::Found(next) => {
                let script = shown(&found.path);
                self.file(&typed, &next, &Role::Interpreter(script), scripts + 1);
            }
            Sought::Unknown(why) => self.unknown(Rule::InterpreterMissing, &typed, &why),
            Sought::Missing(end) => {
                let aside = if name.contains(' ') { "; Linux hands it over as one word: write `env -S`" } else { "" };
                self.missing_interpreter((found, role), name, end, aside);
            }
        }
    }

    fn missing_interpreter(
        &mut self,
        (script, role): (&Found<'_>, &Role),
        interpreter: &str,
        end: Option<String>,
        aside: &str,
    ) {
        let end = end.map_or_else(String::new, |end| format!(": {end}"));
        let place = if interpreter.contains('/') { "in the image" } else { "in PATH" };
        let what = format!("asks for the interpreter {interpreter}, which is not {place}{end}{aside}");
        let mut finding = self.about(Rule::InterpreterMissing, &shown(&script.path), script, role, &what);
        finding.found = Some("nothing".into());
        finding.wanted = Some(interpreter.into());
        self.push(finding.help(format!("install {interpreter} in the image, or name another after `#!`")));
    }

    fn elf(&mut self, typed: &str, found: &Found<'_>, elf: &Elf, role: &Role) {
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
                    "is made for {}; wanted is {wanted} ({}): it runs only where the kernel has 32-bit system calls",
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
        if matches!(role, Role::Program | Role::Interpreter(_)) {
            if let Some(interpreter) = &elf.interpreter {
                self.loader(found, role, &String::from_utf8_lossy(interpreter));
            }
            self.libraries(found, elf);
        }
    }

    /// Whether it runs here; a 32-bit image's files are of its own machine.
    fn fit(&self, elf: &Elf) -> Fit {
        match (fit(elf, self.architecture), self.architecture) {
            (Fit::Foreign, Arch::Amd64 | Arch::ARM64) => Fit::Foreign,
            (Fit::Foreign, other) if machine(other).is_none_or(|wanted| wanted == elf.machine) => Fit::Native,
            (other, _) => other,
        }
    }

    fn loader(&mut self, program: &Found<'_>, role: &Role, interpreter: &str) {
        match self.surroundings.at(interpreter) {
            Sought::Found(next) => {
                if self.visited.contains(&next.path) {
                    return;
                }
                self.file(interpreter, &next, &Role::Loader(shown(&program.path)), MAX_SCRIPTS);
            }
            Sought::Unknown(why) => self.unknown(Rule::InterpreterMissing, interpreter, &why),
            Sought::Missing(end) => {
                let end = end.map_or_else(String::new, |end| format!(": {end}"));
                let (found, help) = self.c_library(interpreter);
                let what = format!("needs the dynamic loader {interpreter}, which is not in the image{end}; {found}");
                let path = shown(&program.path);
                let mut finding = self.about(Rule::InterpreterMissing, &path, program, role, &what).help(help);
                finding.found = Some(found.into());
                finding.wanted = Some(interpreter.into());
                self.push(finding);
            }
        }
    }

    /// Which C library the image has, where its loader is missing, and what that means.
    fn c_library(&self, interpreter: &str) -> (&'static str, &'static str) {
        let root = &self.image().root;
        let any = |paths: &[&str]| paths.iter().any(|path| root.resolve(path.as_bytes()).is_ok());
        let musl = any(&["lib/ld-musl-x86_64.so.1", "lib/ld-musl-aarch64.so.1"]);
        let glibc = any(&["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1", "lib/ld-linux-x86-64.so.2"]);
        if interpreter.contains("ld-musl") && glibc {
            (
                "it is linked with musl, but the image has glibc",
                "link it with glibc or statically, or use an Alpine base",
            )
        } else if interpreter.contains("ld-linux") && musl {
            (
                "it is linked with glibc, but the image has musl",
                "link it with musl or statically, or use a base with glibc such as Debian",
            )
        } else if !musl && !glibc {
            ("the image has no C library", "link it statically, or use a base that has its C library")
        } else {
            ("the image has another one", "use a base that has this loader, or link it statically")
        }
    }

    /// Every library that the program reaches, breadth first, as the loader finds them.
    fn libraries(&mut self, program: &Found<'_>, elf: &Elf) {
        let inherited = elf.search_path.as_deref().map(|path| expanded(path, &program.path)).unwrap_or_default();
        let mut queue: VecDeque<(Box<[u8]>, Elf)> = VecDeque::from([(program.path.clone(), elf.clone())]);
        let mut names: BTreeSet<Box<[u8]>> = BTreeSet::new();
        while let Some((needing, elf)) = queue.pop_front() {
            if elf.needed.is_none() {
                self.unknown(
                    Rule::ForeignExecutable,
                    &shown(&needing),
                    "the libraries that it asks for cannot be read",
                );
            }
            for name in elf.needed.iter().flatten() {
                if names.len() >= MAX_LIBRARIES || !names.insert(name.clone()) {
                    continue;
                }
                let Some((found, library)) = self.library(name, &needing, &elf, &inherited) else { continue };
                if !self.visited.insert(found.path.clone()) {
                    continue;
                }
                let typed = shown(&found.path);
                self.elf(&typed, &found, &library, &Role::Library(shown(&needing)));
                if self.fit(&library) == Fit::Native {
                    queue.push_back((found.path.clone(), library));
                }
            }
        }
    }

    /// The file that the loader takes for a name. It passes over files of another machine, so one of them counts only
    /// where no other is found, not even in a folder that `/etc/ld.so.conf` may name.
    fn library(&self, name: &[u8], needing: &[u8], elf: &Elf, inherited: &[String]) -> Option<(Found<'a>, Elf)> {
        let text = String::from_utf8_lossy(name);
        let candidates: Vec<String> = if text.contains('/') {
            vec![text.into_owned()]
        } else {
            let own = elf.search_path.as_deref().map(|path| expanded(path, needing)).unwrap_or_default();
            let folders = own.iter().chain(inherited).cloned().chain(self.default_folders());
            folders.map(|folder| format!("{folder}/{text}")).collect()
        };
        let mut foreign = None;
        for candidate in candidates {
            let Ok(found) = self.image().root.resolve(candidate.as_bytes()) else { continue };
            let Kind::File { head: Head::Elf(library), .. } = &found.node.kind else { continue };
            let library = library.as_ref().clone();
            match self.fit(&library) {
                Fit::Native => return Some((found, library)),
                Fit::Foreign => _ = foreign.get_or_insert((found, library)),
                // 32-bit libraries beside 64-bit ones, and files without code, are passed over.
                Fit::Compatible | Fit::Irrelevant => {}
            }
        }
        let elsewhere = |path: &[u8], kind: &Kind| match kind {
            Kind::File { head: Head::Elf(library), .. } => split(path).1 == name && self.fit(library) == Fit::Native,
            _ => false,
        };
        foreign.filter(|_| !self.image().root.iter().any(|(path, node, _)| elsewhere(path, &node.kind)))
    }

    fn default_folders(&self) -> impl Iterator<Item = String> + use<> {
        let triplet = match machine(self.architecture) {
            Some(Machine::X86_64) => "x86_64-linux-gnu",
            Some(Machine::AARCH64) => "aarch64-linux-gnu",
            _ => "",
        };
        let folders = [
            format!("/lib/{triplet}"),
            format!("/usr/lib/{triplet}"),
            "/lib64".into(),
            "/usr/lib64".into(),
            "/lib".into(),
            "/usr/lib".into(),
            "/usr/local/lib".into(),
        ];
        folders.into_iter()
    }
}

/// `DT_RUNPATH` with `$ORIGIN` filled in.
fn expanded(path: &[u8], file: &[u8]) -> Vec<String> {
    let origin = shown(split(file).0);
    let path = String::from_utf8_lossy(path);
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    folders.map(|folder| folder.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin)).collect()
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
    words
}
