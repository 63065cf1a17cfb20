//! Services as people have them, from a Dockerfile in an empty folder to an answer over HTTP: `init`, `build --push`
//! for two platforms, and what was pushed runs, amd64 in runc and arm64 in qemu.
//!
//! The bases are Debian's, in a registry of the test's own that stands in for the public ones: the Dockerfiles name
//! those. What a story installs comes from the package manager's own registry, as its ordinary client finds it.

mod bases;
mod django;
mod fastapi;
mod go;
mod nginx;
mod node;
mod rust;
mod serving;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use self::bases::{ARCHITECTURES, Kind};
use self::serving::Bundle;
use super::support::{Place, Registry, Told, find, run, say};

const TOOLS: [&str; 7] = ["debootstrap", "dpkg-deb", "skopeo", "umoci", "runc", "qemu-aarch64-static", "unshare"];

/// What the machines call themselves.
const MACHINES: [&str; 2] = ["x86_64", "aarch64"];

/// A folder with a service, a registry with bases, and a port.
struct Story {
    place: Place,
    registry: Registry,
    name: &'static str,
    port: u16,
    begun: Instant,
}

impl Story {
    /// `None`, said aloud, where the tests were not asked for, or where this machine has no `client`.
    fn new(test: &str, name: &'static str, client: &str) -> Option<Self> {
        Self::over(test, name, client, Registry::dockless)
    }

    /// The same over another registry.
    fn over(test: &str, name: &'static str, client: &str, registry: fn(&Place, &str) -> Registry) -> Option<Self> {
        let place = Place::new(test, &TOOLS)?;
        if find(client).is_none() {
            say(&format!("SKIPPED: {test}: {client} is not installed"));
            return None;
        }
        let registry = registry(&place, "registry");
        fs::create_dir(place.path(name)).expect("a folder");
        Some(Self { place, registry, name, port: serving::port(), begun: Instant::now() })
    }

    fn path(&self, file: &str) -> PathBuf {
        self.place.path(self.name).join(file)
    }

    /// Writes a file of the service. `PORT` in it is the story's, `REGISTRY` the registry's address.
    fn write(&self, file: &str, text: &str) -> &Self {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text.replace("PORT", &self.port.to_string()).replace("REGISTRY", &self.registry.address))
            .expect("a file");
        self
    }

    /// Puts a base into the registry, under the name that the Dockerfile has for it.
    fn base(&self, kind: Kind, name: &str) -> &Self {
        kind.push(&self.place, &self.registry.reference(name));
        self
    }

    /// Gives a command the service's folder and the user's home, where the package managers are set up.
    fn prepare(&self, command: Command) -> Command {
        let mut command = self.place.prepare(command);
        if let Some(home) = env::var_os("HOME") {
            command.env("HOME", home);
        }
        command.current_dir(self.path(""));
        command
    }

    /// Runs the binary in the service's folder. The public registries are the story's, and logins are nobody's.
    fn dockless(&self, words: &[&str]) -> Told {
        let mut command = self.prepare(self.place.command());
        self.registry.stand_in_for(&self.place, &mut command, ["docker.io", "gcr.io", "registry.example.com"]);
        run(command.args(words))
    }

    /// The name that the service is pushed to.
    fn image(&self) -> String {
        format!("team/{}:v1", self.name)
    }

    /// Builds both platforms, pushes them, and tells the reference by digest.
    fn build(&self) -> String {
        let image = self.registry.reference(&self.image());
        let told = self.dockless(&["build", "-p", "linux/amd64,linux/arm64", "-t", &image, "--push"]).ok();
        let line = told.line();
        assert!(line.contains("@sha256:"), "{told}");
        line
    }

    /// Runs what was pushed for each platform; `greeting` is what it answers, with the machine's name for `MACHINE`.
    fn serves(&self, path: &str, greeting: &str, machines: [&str; 2]) {
        let built = self.begun.elapsed();
        for (arch, machine) in ARCHITECTURES.into_iter().zip(machines) {
            let bundle = Bundle::pull(&self.place, &self.registry.docker(&self.image()), arch);
            let answer = match arch {
                "amd64" => bundle.ask_in_runc(self.port, path),
                _ => bundle.ask_in_qemu(self.port, path),
            };
            assert_eq!(answer.trim_end(), greeting.replace("MACHINE", machine), "{arch}");
        }
        let (built, all) = (built.as_secs(), self.begun.elapsed().as_secs());
        say(&format!("STORY: {} served on both platforms: built after {built} s, {all} s in all", self.name));
    }
}
