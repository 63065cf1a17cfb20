//! What the stories stand on: small root file systems made of Debian's packages, pushed to a registry as bases.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::debian::kept;
use super::super::support::{Place, cache, run, tool};

/// The platforms of every story.
pub(super) const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// What the stories ask of debootstrap; it finds what these depend on.
const WANTED: &str = "--include=python3,nginx-light,nodejs,media-types,netbase";

/// What every dynamic program here needs. Shells and accounts are for the scripts and servers that ask for them.
const COMMON: &str = "base-files base-passwd coreutils dash libacl1 libattr1 libc-bin libc6 libcrypt1 libgcc-s1 libgmp10 \
                      libpcre2-8-0 libselinux1 libssl3 libstdc++6 media-types netbase tzdata zlib1g";

/// A kind of base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Docker's `python:3.11-slim`.
    Python,
    /// Docker's `node:18-slim`.
    Node,
    /// Debian with nginx: no base, but what a recipe takes as a root file system.
    Nginx,
    /// Nothing that runs: accounts, names and time zones, for programs that are linked statically.
    Static,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
            Self::Nginx => "nginx",
            Self::Static => "static",
        }
    }

    /// The packages whose files it has.
    fn packages(self) -> BTreeSet<&'static str> {
        let own = match self {
            Self::Python => {
                "libbz2-1.0 libexpat1 libffi8 liblzma5 libncursesw6 libpython3-stdlib libpython3.11-minimal \
                 libpython3.11-stdlib libreadline8 libsqlite3-0 libtinfo6 libuuid1 python3 python3-minimal python3.11 \
                 python3.11-minimal"
            }
            Self::Node => {
                "libbrotli1 libc-ares2 libicu72 libnghttp2-14 libnode108 libuv1 node-acorn node-busboy \
                 node-cjs-module-lexer node-undici node-xtend nodejs"
            }
            Self::Nginx => "libnginx-mod-http-echo nginx nginx-common nginx-light",
            Self::Static => return "base-files base-passwd netbase tzdata".split(' ').collect(),
        };
        COMMON.split_whitespace().chain(own.split_whitespace()).collect()
    }

    /// Its root file system, made once and kept. Nothing of it runs on the way, so both platforms are made alike.
    pub(super) fn root(self, arch: &str) -> PathBuf {
        let packages = packages(arch);
        kept(&format!("stories-{}-{arch}", self.name()), |root| {
            fs::create_dir(root).expect("a folder");
            let mut missing = self.packages();
            let mut files: Vec<_> =
                fs::read_dir(&packages).expect("a folder").map(|entry| entry.expect("a name").path()).collect();
            files.sort();
            for file in files {
                let name = file.file_name().and_then(|name| name.to_str()).expect("a name of text");
                if name.split_once('_').is_some_and(|(package, _)| missing.remove(package)) {
                    run(tool("dpkg-deb").arg("-x").arg(&file).arg(root)).ok();
                }
            }
            assert!(missing.is_empty(), "debootstrap brought no {missing:?} for {arch}");
            self.finish(root);
        })
    }

    /// What maintainers' scripts would have done, and what the images that the bases stand for have.
    fn finish(self, root: &Path) {
        for (file, more) in [("passwd", "node:x:1000:1000::/home/node:/bin/sh\n"), ("group", "node:x:1000:\n")] {
            let master = root.join(format!("usr/share/base-passwd/{file}.master"));
            let mut text = fs::read_to_string(master).expect("base-passwd has it");
            if self == Self::Node {
                text.push_str(more);
            }
            fs::write(root.join("etc").join(file), text).expect("a file");
        }
        if self == Self::Python {
            // Docker's Python lies in /usr/local, and so do the packages that are installed for it.
            let path = root.join("usr/lib/python3/dist-packages");
            fs::create_dir_all(&path).expect("a folder");
            fs::write(path.join("local.pth"), "/usr/local/lib/python3.11/site-packages\n").expect("a file");
        }
        for folder in ["usr/share/doc", "usr/share/man"] {
            fs::remove_dir_all(root.join(folder)).expect("a folder that can be removed");
        }
    }

    /// Pushes it as `reference` for both platforms, with our own binary.
    pub(super) fn push(self, place: &Place, reference: &str) {
        let folder = place.path(&format!("base-{}", self.name()));
        fs::create_dir(&folder).expect("a folder");
        let mut recipe = String::from(
            "[image]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
             [config]\nenv = { PATH = \"/usr/local/bin:/usr/bin:/bin\" }\n",
        );
        for arch in ARCHITECTURES {
            let root = self.root(arch);
            let root = root.to_str().expect("a path of text");
            let _ =
                write!(recipe, "[[layer]]\nname = \"{arch}\"\nplatforms = [\"linux/{arch}\"]\nrootfs = \"{root}\"\n");
        }
        fs::write(folder.join("dockless.toml"), recipe).expect("a file");
        let mut build = place.command();
        // The layers of the last run count as long as the root file systems do.
        build.env("DOCKLESS_CACHE_DIR", cache().join("stories-layers")).current_dir(&folder);
        run(build.args(["build", "-t", reference, "--push"])).ok();
    }
}

/// The folder of an architecture's packages.
fn packages(arch: &str) -> PathBuf {
    kept(&format!("stories-packages-{arch}"), |folder| {
        let mut command = tool("debootstrap");
        command.arg(format!("--arch={arch}")).args(["--variant=minbase", "--download-only", WANTED, "bookworm"]);
        run(command.arg(folder)).ok();
    })
    .join("var/cache/apt/archives")
}
