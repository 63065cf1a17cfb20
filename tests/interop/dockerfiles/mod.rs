//! Every Dockerfile of `testdata/dockerfiles` in an empty folder with a small project of its kind: `init`, then `build`
//! of the very recipe that it wrote, with the commands of its `run` layers, for two platforms. What lies in the images
//! is looked at as skopeo and umoci unpack them; what `init` says is what the list beside the Dockerfile has.
//!
//! The bases are a few folders, under the names that the Dockerfiles have: nothing of an image is executed here. The
//! tools are this machine's own. Where one is not to be had, a script on the `PATH` stands in for it: it insists on
//! being called as the tool would be, and writes what the tool would write; the test's last line names it.

mod compiled;
mod copied;
mod node;
mod python;
mod unpacked;

use std::env;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use self::unpacked::Image;
use super::support::{Place, Registry, Told, find, run, say};

const TOOLS: [&str; 2] = ["skopeo", "umoci"];

/// The platforms of every recipe, with the machine that ELF files of theirs are for.
const ARCHITECTURES: [(&str, u8); 2] = [("amd64", 62), ("arm64", 183)];

/// What every base has.
const FOLDERS: [&str; 13] = [
    "etc",
    "home",
    "opt",
    "srv",
    "usr/bin",
    "usr/lib",
    "usr/sbin",
    "usr/local/bin",
    "usr/local/lib",
    "usr/share",
    "var/lib",
    "var/log",
    "var/www",
];

/// A project, its Dockerfile, and a registry with the base that this names.
struct Case {
    place: Place,
    registry: Registry,
    name: &'static str,
    stand_ins: Vec<String>,
    begun: Instant,
}

impl Case {
    /// `None`, said aloud, where the tests were not asked for, or where this machine lacks one of `clients`.
    fn new(name: &'static str, clients: &[&str]) -> Option<Self> {
        let case = Self::empty(name, clients)?;
        case.write("Dockerfile", testdata(name, "Dockerfile"));
        Some(case)
    }

    /// The same without a Dockerfile.
    fn empty(name: &'static str, clients: &[&str]) -> Option<Self> {
        let test = format!("dockerfiles: {name}");
        let place = Place::new(&test, &TOOLS)?;
        let missing: Vec<_> = clients.iter().filter(|client| find(client).is_none()).collect();
        if !missing.is_empty() {
            say(&format!("SKIPPED: {test}: not installed are {missing:?}"));
            return None;
        }
        let registry = Registry::dockless(&place, "registry");
        fs::create_dir(place.path("bin")).expect("a folder");
        let case = Self { place, registry, name, stand_ins: Vec::new(), begun: Instant::now() };
        Some(case)
    }

    /// A path of the project.
    fn path(&self, file: &str) -> PathBuf {
        self.place.path("project").join(file)
    }

    /// Writes a file of the project.
    fn write(&self, file: &str, content: impl AsRef<[u8]>) -> &Self {
        write(&self.path(file), content.as_ref(), 0o644);
        self
    }

    /// Writes a program of the project.
    fn program(&self, file: &str, content: impl AsRef<[u8]>) -> &Self {
        write(&self.path(file), content.as_ref(), 0o755);
        self
    }

    /// Puts a base into the registry, with these files beside what all bases have.
    fn base(&self, name: &str, files: &[&str]) -> &Self {
        let root = self.place.path("base");
        for folder in FOLDERS {
            fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        for (folder, mode) in [("root", 0o700), ("tmp", 0o1777)] {
            fs::create_dir(root.join(folder)).expect("a folder");
            fs::set_permissions(root.join(folder), Permissions::from_mode(mode)).expect("a mode");
        }
        for folder in ["bin", "lib", "sbin"] {
            symlink(format!("usr/{folder}"), root.join(folder)).expect("a link");
        }
        // The users that Dockerfiles take from their bases: umoci wants to know each.
        let accounts = [("root", 0), ("node", 1000), ("app", 1654), ("www-data", 33)];
        let passwd = accounts.map(|(name, id)| format!("{name}:x:{id}:{id}::/:/bin/sh\n")).concat();
        let group = accounts.map(|(name, id)| format!("{name}:x:{id}:\n")).concat();
        write(&root.join("etc/passwd"), passwd.as_bytes(), 0o644);
        write(&root.join("etc/group"), group.as_bytes(), 0o644);
        for file in files {
            write(&root.join(file), b"the base's\n", 0o644);
        }
        let words =
            ["build", "--layer", "linux/amd64=base", "--layer", "linux/arm64=base", "-p", "linux/amd64,linux/arm64"];
        let reference = self.registry.reference(name);
        let output = self.place.text("base-image");
        let more = ["--env", "PATH=/usr/local/bin:/bin", "-o", &output, "-t", &reference, "--push"];
        run(self.place.command().args(words).args(more)).ok();
        self
    }

    /// Puts a script in place of a tool that is not to be had.
    fn stand_in(&mut self, tool: &str, script: &str) -> &Self {
        let script = format!("#!/bin/sh\nset -eu\nfail() {{ echo \"{tool}: $*\" >&2; exit 1; }}\n{script}");
        write(&self.place.path("bin").join(tool), script.as_bytes(), 0o755);
        self.stands_in(tool);
        self
    }

    /// Remembers something that is not the real one.
    fn stands_in(&mut self, what: &str) {
        self.stand_ins.push(what.into());
    }

    /// Gives a command the project's folder, the stand-ins, and what every `run` layer sees of the user's: the package
    /// managers are set up in the home.
    fn prepare(&self, command: Command) -> Command {
        let mut command = self.place.prepare(command);
        for name in dockless::layer::run::environment::PASSED {
            if let Some(value) = env::var_os(name) {
                command.env(name, value);
            }
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.place.path("bin")).chain(env::split_paths(&path));
        command.env("PATH", env::join_paths(folders).expect("a PATH")).current_dir(self.path(""));
        command
    }

    /// Runs the binary in the project's folder. The public registries are the test's, and logins are nobody's.
    fn dockless(&self, words: &[&str]) -> Told {
        let mut command = self.prepare(self.place.command());
        self.registry.stand_in_for(&self.place, &mut command, ["docker.io", "gcr.io", "mcr.microsoft.com"]);
        run(command.args(words))
    }

    /// Makes the recipe. Nothing is said but what the list beside the Dockerfile has, and what is not translated are
    /// these lines.
    fn init(&self, untranslated: &[usize]) -> &Self {
        let told = self.dockless(&["init"]).ok();
        assert_eq!(told.line(), "dockless.toml");
        let remarks: Vec<&str> = told.stderr.lines().filter(|line| line.starts_with("Dockerfile:")).collect();
        assert_eq!(remarks.join("\n"), testdata(self.name, "txt").trim_end(), "{told}");
        let lines = remarks.iter().filter(|line| line.contains(": not translated: "));
        let lines: Vec<usize> = lines.filter_map(|line| line.split(':').nth(1)?.parse().ok()).collect();
        assert_eq!(lines, untranslated, "{told}");
        self
    }

    /// Builds the recipe, and unpacks what it makes for each platform.
    fn build(&self) -> [Image; 2] {
        let told = self.dockless(&["build", "-t", "registry.example.com/team/app:v1"]).ok();
        assert!(told.line().starts_with("registry.example.com/team/app@sha256:"), "{told}");
        ARCHITECTURES.map(|(arch, machine)| Image::unpack(&self.place, &self.path("oci"), arch, machine))
    }

    /// As [`Self::build`], and once more without what the first build has kept: the digest is the same.
    fn build_twice(&self) -> [Image; 2] {
        let images = self.build();
        let again = self.place.text("again");
        let build =
            |words: &[&str]| self.dockless(&[&["build", "-t", "registry.example.com/team/app:v1"], words].concat());
        let (kept, anew) = (build(&[]).ok(), build(&["--no-cache", "-o", &again]).ok());
        assert_eq!(kept.line(), anew.line(), "{anew}");
        images
    }

    /// The last word.
    fn done(&self) {
        let real = if self.stand_ins.is_empty() { "with real tools".into() } else { self.stood_in() };
        let seconds = self.begun.elapsed().as_secs();
        say(&format!("DOCKERFILE: {} built for both platforms, {real}: {seconds} s", self.name));
    }

    fn stood_in(&self) -> String {
        format!("STAND-IN: {}", self.stand_ins.join(", "))
    }
}

/// A file of `testdata/dockerfiles`.
fn testdata(name: &str, ending: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dockerfiles").join(format!("{name}.{ending}"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(path: &Path, content: &[u8], mode: u32) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let mut file = fs::File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.write_all(content).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

/// The first bytes of a program: as much of one as is needed where nothing is executed.
fn elf(machine: u8) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    (bytes[16], bytes[18], bytes[20], bytes[52]) = (2, machine, 1, 64);
    bytes
}

/// A Dockerfile that nobody takes to an image would go unnoticed.
#[test]
fn every_dockerfile_has_its_case() {
    let cases = concat!(
        include_str!("compiled.rs"),
        include_str!("copied.rs"),
        include_str!("node.rs"),
        include_str!("python.rs")
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dockerfiles");
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "Dockerfile")).collect();
    assert!(files.len() >= 16, "{files:?}");
    for file in files {
        let name = file.file_stem().and_then(|name| name.to_str()).expect("a name of text");
        assert!(cases.contains(&format!("Case::new(\"{name}\", ")), "{name}");
    }
}
