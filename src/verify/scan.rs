//! The files of an image that are on nobody's way for sure: programs and libraries of another machine that no process
//! is known to execute, and extension modules that an interpreter may load.
//!
//! Packages bring files for every machine on purpose (`prebuilds/linux-arm64/` beside `prebuilds/linux-x64/`, the
//! native libraries of a jar). One for another machine is only told of where none of the same name, but for the words
//! of machines in it, is made for this one.

use std::collections::{BTreeMap, BTreeSet};

use crate::elf::{self, Elf};
use crate::image::inspect::{Fit, ImageFacts, fit, machine};
use crate::image::root::Root;
use crate::layer::contents::{Head, Kind};
use crate::layer::entry::split;
use crate::oci::platform::Arch;

use super::allow::Allowed;
use super::executable::made_for;
use super::finding::{Finding, Rule, Severity};
use super::lookup::shown;

/// How many are named one by one.
const MAX_NAMED: usize = 10;

/// A file of another machine that nothing replaces.
struct Foreign<'a> {
    path: &'a [u8],
    /// The library within the archive at `path`.
    member: Option<&'a [u8]>,
    elf: &'a Elf,
    mode: u16,
    layer: usize,
}

/// The interpreters whose modules are native libraries that no `DT_NEEDED` names, and the shell, whose scripts start
/// programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Interpreter {
    Python,
    Node,
    Java,
    /// One that reads a script.
    Shell,
}

impl Interpreter {
    /// By the path of the program, links followed.
    pub(super) fn of(path: &[u8]) -> Option<Self> {
        let name = String::from_utf8_lossy(split(path).1).into_owned();
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        match name {
            "python" | "pypy" => Some(Self::Python),
            "node" | "nodejs" => Some(Self::Node),
            "java" => Some(Self::Java),
            _ => None,
        }
    }

    /// Whether it may load a file; `roots` are the folders in which it looks for modules beside its own.
    fn loads(self, file: &Foreign<'_>, roots: &[Box<[u8]>]) -> bool {
        let (folder, name) = split(file.path);
        let tag = |tag: &[u8]| name.windows(tag.len()).any(|part| part == tag);
        let is_library = name.ends_with(b".so") || tag(b".so.");
        match self {
            Self::Python => {
                const FOLDERS: [&[u8]; 3] = [b"site-packages", b"dist-packages", b"lib-dynload"];
                let module = [b".cpython-".as_slice(), b".abi3.", b".pypy"].into_iter().any(tag);
                let below = folder.split(|byte| *byte == b'/').any(|part| FOLDERS.contains(&part));
                // Below the root itself stands everything.
                let within = |root: &[u8]| {
                    root == folder || !root.is_empty() && folder.strip_prefix(root).is_some_and(|rest| rest[0] == b'/')
                };
                // The libraries that a wheel brings stand in `NAME.libs`.
                is_library && (module || below || folder.ends_with(b".libs") || roots.iter().any(|root| within(root)))
            }
            Self::Node => {
                let packaged = || folder.split(|byte| *byte == b'/').any(|part| part == b"node_modules");
                name.ends_with(b".node") || is_library && packaged()
            }
            Self::Java => file.member.is_some(),
            Self::Shell => {
                let is_program = file.elf.kind == elf::Kind::Executable || file.elf.interpreter.is_some();
                file.member.is_none() && is_program && file.mode & 0o111 != 0
            }
        }
    }
}

/// Warnings for the files of another machine but those in `known`.
pub(super) fn foreign(image: &ImageFacts, known: &BTreeSet<Box<[u8]>>, allowed: &Allowed<'_>) -> Vec<Finding> {
    let platform = image.platform();
    let files = files(&image.root, &platform.architecture, known);
    tell(image, &platform.architecture, files, allowed)
}

/// Warnings for the modules of another machine that this interpreter may load, which are then `known`. Whether it does
/// load them nobody can tell without running it: the verdict hangs on that.
pub(super) fn modules(
    image: &ImageFacts,
    architecture: &Arch,
    interpreter: Interpreter,
    roots: &[Box<[u8]>],
    known: &mut BTreeSet<Box<[u8]>>,
    allowed: &Allowed<'_>,
) -> Vec<Finding> {
    let mut files = files(&image.root, architecture, known);
    files.retain(|file| interpreter.loads(file, roots));
    known.extend(files.iter().map(|file| Box::from(file.path)));
    let mut findings = tell(image, architecture, files, allowed);
    let fails = if interpreter == Interpreter::Shell {
        "; it fails if the script starts it"
    } else {
        findings.extend(strangers(image, architecture, interpreter, roots, allowed));
        "; it fails when it is loaded"
    };
    for finding in &mut findings {
        finding.message.push_str(fails);
        finding.undecided = true;
    }
    findings
}

/// The C library that a file is linked with, by the name that it asks for.
fn c_library(elf: &Elf) -> Option<&[u8]> {
    let mut needed = elf.needed.iter().flatten().map(AsRef::as_ref);
    needed.find(|name: &&[u8]| *name == b"libc.so.6" || name.starts_with(b"libc.musl-"))
}

/// Modules of this machine that are linked with a C library which the image does not have: a wheel of Debian's Python
/// in Alpine, or the reverse. Packages bring both, and one of them is enough.
fn strangers(
    image: &ImageFacts,
    architecture: &Arch,
    interpreter: Interpreter,
    roots: &[Box<[u8]>],
    allowed: &Allowed<'_>,
) -> Vec<Finding> {
    let root = &image.root;
    let mut there: BTreeMap<&[u8], bool> = BTreeMap::new();
    let (mut at_home, mut strangers) = (BTreeSet::new(), Vec::new());
    for (path, node, layer) in root.iter() {
        let Kind::File { head: Head::Elf(elf), .. } = &node.kind else { continue };
        let module = interpreter.loads(&Foreign { path, member: None, elf, mode: node.mode, layer }, roots);
        if !module || fit(elf, architecture) != Fit::Native {
            continue;
        }
        let Some(library) = c_library(elf) else { continue };
        // Names that strangers choose: there are few of them in an honest image, and each costs a walk.
        if there.len() < MAX_NAMED || there.contains_key(library) {
            let has = there.entry(library).or_insert_with(|| root.iter().any(|(path, ..)| split(path).1 == library));
            let name = neutral(&String::from_utf8_lossy(path));
            if *has {
                at_home.insert(name);
            } else {
                strangers.push((name, path, layer, library));
            }
        }
    }
    strangers.retain(|(name, ..)| !at_home.contains(name));
    let mut findings = Vec::new();
    for (_, path, layer, library) in strangers {
        let (path, library) = (shown(path), String::from_utf8_lossy(library).into_owned());
        if findings.len() >= MAX_NAMED || allowed.covers(Rule::LibraryMissing, Some(&path)) {
            continue;
        }
        let message = format!("{path} is linked with {library}, which is nowhere in the image");
        let mut finding = Finding::new(Rule::LibraryMissing, Severity::Warning, message)
            .help("install the package that is made for the C library of the base image");
        finding.layer = image.layers.get(layer).map(|layer| layer.digest);
        finding.path = Some(path);
        (finding.found, finding.wanted) = (Some("nothing".into()), Some(library));
        findings.push(finding);
    }
    findings
}

fn files<'a>(root: &'a Root, architecture: &Arch, known: &BTreeSet<Box<[u8]>>) -> Vec<Foreign<'a>> {
    // Of other architectures it is not known which machines they run.
    if !matches!(architecture, Arch::Amd64 | Arch::ARM64) {
        return Vec::new();
    }
    let mut files = Vec::new();
    for (path, node, layer) in root.iter() {
        if known.contains(path) {
            continue;
        }
        match &node.kind {
            // Its path is looked at last: nearly every file is native, or no program.
            Kind::File { head: Head::Elf(elf), .. }
                if fit(elf, architecture) == Fit::Foreign && !for_another_system(path) =>
            {
                files.push(Foreign { path, member: None, elf, mode: node.mode, layer });
            }
            Kind::File { head: Head::Archive(members), .. } => {
                let foreign = members.iter().filter(|member| fit(&member.elf, architecture) == Fit::Foreign);
                let foreign = foreign.filter(|member| ![path, &member.name].into_iter().any(for_another_system));
                let foreign = foreign.map(|member| (&*member.name, &member.elf));
                let mode = node.mode;
                files.extend(foreign.map(|(name, elf)| Foreign { path, member: Some(name), elf, mode, layer }));
            }
            _ => {}
        }
    }
    if !files.is_empty() {
        let native = native(root, architecture);
        files.retain(|file| {
            let name = match file.member {
                Some(member) => in_archive(file.path, member),
                None => neutral(&String::from_utf8_lossy(file.path)),
            };
            !native.contains(&name)
        });
    }
    files
}

/// The names, neutral of machines, of all that is made for this one.
fn native(root: &Root, architecture: &Arch) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (path, node, _) in root.iter() {
        match &node.kind {
            Kind::File { head: Head::Elf(elf), .. } if fit(elf, architecture) == Fit::Native => {
                names.insert(neutral(&String::from_utf8_lossy(path)));
            }
            Kind::File { head: Head::Archive(members), .. } => {
                let native = members.iter().filter(|member| fit(&member.elf, architecture) == Fit::Native);
                names.extend(native.map(|member| in_archive(path, &member.name)));
            }
            _ => {}
        }
    }
    names
}

/// Jars of one library for several machines stand side by side under names of their own, so the folder of the archive
/// counts, and the name of the library.
fn in_archive(path: &[u8], member: &[u8]) -> String {
    let name = String::from_utf8_lossy(split(member).1).into_owned();
    format!("{}!{}", String::from_utf8_lossy(split(path).0), neutral(&name))
}

/// The words of machines and C libraries in names of files, the longer ones first.
const MACHINES: [&str; 41] = [
    "loongarch64",
    "powerpc64le",
    "gnueabihf",
    "musleabihf",
    "aarch_64",
    "armv6hf",
    "armv7hf",
    "mips64el",
    "ppcle_64",
    "powerpc",
    "ppc64le",
    "riscv64",
    "s390_64",
    "aarch64",
    "gnueabi",
    "loong64",
    "mipsel",
    "x86_64",
    "x86-64",
    "amd64",
    "arm64",
    "armhf",
    "armel",
    "armv6",
    "armv7",
    "armv8",
    "glibc",
    "s390x",
    "sparc64",
    "i386",
    "i486",
    "i586",
    "i686",
    "ia32",
    "mips",
    "musl",
    "ppc64",
    "arm",
    "gnu",
    "x86",
    "x64",
];

/// Whether a folder on the way says that the file is for another system (`prebuilds/android-arm64/`): no package loads
/// it on Linux.
fn for_another_system(path: &[u8]) -> bool {
    const SYSTEMS: [&str; 9] = ["android", "darwin", "freebsd", "macos", "netbsd", "openbsd", "osx", "sunos", "win32"];
    let mut folders = split(path).0.split(|byte| *byte == b'/');
    folders.any(|folder| {
        let name = neutral(&String::from_utf8_lossy(folder));
        // With a machine behind it: a folder `android` alone may hold tools.
        SYSTEMS.iter().any(|system| name.strip_prefix(system).is_some_and(|rest| matches!(rest, "-*" | "_*")))
    })
}

/// A path without the words of machines.
fn neutral(path: &str) -> String {
    let path = path.to_ascii_lowercase().replace("linuxmusl", "linux-musl");
    let path = path.replace("linux64", "linux-x64").replace("linux32", "linux-x86");
    let mut out = String::with_capacity(path.len());
    let mut rest = path.as_str();
    while let Some(first) = rest.chars().next() {
        let free = !out.ends_with(|c: char| c.is_ascii_alphabetic());
        let word = MACHINES.iter().filter(|_| free).find(|word| {
            rest.strip_prefix(**word).is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric()))
        });
        if let Some(word) = word {
            out.push('*');
            rest = &rest[word.len()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    // `linux-x64` beside `linux-arm64-musl`, `linux-arm-v7`.
    while out.contains("*-*") || out.contains("**") {
        out = out.replace("*-*", "*").replace("**", "*");
    }
    out
}

/// A warning for each; beyond [`MAX_NAMED`], one for all that are left.
fn tell(image: &ImageFacts, architecture: &Arch, files: Vec<Foreign<'_>>, allowed: &Allowed<'_>) -> Vec<Finding> {
    let Some(wanted) = machine(architecture) else { return Vec::new() };
    let platform = image.platform();
    let mut findings: Vec<Finding> = Vec::new();
    let mut rest: BTreeMap<String, usize> = BTreeMap::new();
    for Foreign { path, member, elf, layer, .. } in files {
        let path = shown(path);
        if allowed.covers(Rule::ForeignExecutable, Some(&path)) {
            continue;
        }
        if findings.len() >= MAX_NAMED {
            *rest.entry(made_for(elf)).or_default() += 1;
            continue;
        }
        let digest = image.layers.get(layer).map(|layer| layer.digest);
        let from = digest.map_or_else(String::new, |digest| format!(" from layer {} ({digest})", layer + 1));
        let what = member.map_or_else(|| path.clone(), |name| format!("{} in {path}", String::from_utf8_lossy(name)));
        let message = format!("{what}{from} is made for {}; the image is for {wanted} ({platform})", made_for(elf));
        let mut finding = Finding::new(Rule::ForeignExecutable, Severity::Warning, message)
            .help(format!("build it for {wanted}, leave it out, or allow it: --allow foreign-executable={path}"));
        finding.platform = Some(platform.to_string());
        finding.path = Some(path);
        finding.layer = digest;
        finding.found = Some(made_for(elf));
        finding.wanted = Some(wanted.to_string());
        findings.push(finding);
    }
    let more: usize = rest.values().sum();
    if more > 0 {
        let kinds: Vec<String> = rest.iter().map(|(machine, count)| format!("{count} for {machine}")).collect();
        let message = format!("and {more} more files are made for other machines than {wanted}: {}", kinds.join(", "));
        let mut finding = Finding::new(Rule::ForeignExecutable, Severity::Warning, message)
            .help("allow a folder of them: --allow foreign-executable=/opt/qemu/**");
        finding.platform = Some(platform.to_string());
        finding.wanted = Some(wanted.to_string());
        findings.push(finding);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_but_for_the_machine() {
        for (one, other) in [
            ("a/prebuilds/linux-x64/x.node", "a/prebuilds/linux-arm64/x.node"),
            ("p/_core.cpython-312-x86_64-linux-gnu.so", "p/_core.cpython-312-aarch64-linux-gnu.so"),
            ("libnetty_tcnative_linux_x86_64.so", "libnetty_tcnative_linux_aarch_64.so"),
            ("sharp-linux-x64.node", "sharp-linux-arm64-musl.node"),
            ("librocksdbjni-linux64.so", "librocksdbjni-linux-aarch64.so"),
            ("librocksdbjni-linux32.so", "librocksdbjni-linux64-musl.so"),
            ("native/Linux/x86_64/libsqlitejdbc.so", "native/Linux/aarch64/libsqlitejdbc.so"),
        ] {
            assert_eq!(neutral(one), neutral(other));
        }
        // A word within another is no machine.
        assert_eq!(neutral("lib/alarm/charm.so"), "lib/alarm/charm.so");
        assert_ne!(neutral("linux-x64/a.node"), neutral("linux-arm64/b.node"));
    }
}
