//! What is in an image, as others unpack it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::support::{Place, run, skopeo, tool};

/// One platform's image: its root file system on disk, and its configuration.
pub(super) struct Image {
    root: PathBuf,
    /// `amd64`, `arm64`
    pub(super) arch: &'static str,
    /// The number of the machine in ELF files.
    pub(super) machine: u8,
    config: Value,
}

impl Image {
    /// Takes an architecture's image out of a layout.
    pub(super) fn unpack(place: &Place, layout: &Path, arch: &'static str, machine: u8) -> Self {
        let source = format!("oci:{}", layout.to_str().expect("a path of text"));
        let one = place.text(&format!("image-{arch}"));
        let choice = ["--override-os", "linux", "--override-arch", arch];
        skopeo([&["copy"], &choice[..], &[&source, &format!("oci:{one}:v1")]].concat()).ok();
        let told = skopeo(["inspect", "--config", &format!("oci:{one}:v1")]).ok();
        let config: Value = serde_json::from_slice(&told.stdout).expect("JSON");
        assert_eq!(config["architecture"], arch);
        let bundle = place.path(&format!("bundle-{arch}"));
        run(tool("umoci").args(["unpack", "--image", &format!("{one}:v1")]).arg(&bundle)).ok();
        Self { root: bundle.join("rootfs"), arch, machine, config }
    }

    /// Where a path of the image is on disk.
    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.strip_prefix('/').expect("an absolute path"))
    }

    /// Mode and owner of a path that must be there, `0644 0:0`.
    #[track_caller]
    pub(super) fn has(&self, path: &str, wanted: &str) -> &Self {
        let data = fs::symlink_metadata(self.at(path)).unwrap_or_else(|error| {
            let above = self.at(path).parent().map(fs::read_dir).and_then(Result::ok);
            let names: BTreeSet<_> = above.into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
            panic!("{} of {}: {error}; beside it are {names:?}", path, self.arch)
        });
        let found = format!("{:04o} {}:{}", data.mode() & 0o7777, data.uid(), data.gid());
        assert_eq!(found, wanted, "{path} of {}", self.arch);
        self
    }

    /// A path that must not be there.
    #[track_caller]
    pub(super) fn lacks(&self, path: &str) -> &Self {
        assert!(self.at(path).symlink_metadata().is_err(), "{path} is in the image for {}", self.arch);
        self
    }

    /// What is in a file.
    #[track_caller]
    pub(super) fn bytes(&self, path: &str) -> Vec<u8> {
        fs::read(self.at(path)).unwrap_or_else(|error| panic!("{path} of {}: {error}", self.arch))
    }

    /// A file that must hold a text.
    #[track_caller]
    pub(super) fn says(&self, path: &str, text: &str) -> &Self {
        let found = String::from_utf8(self.bytes(path)).expect("text");
        assert!(found.contains(text), "{path} of {}: {found}", self.arch);
        self
    }

    /// The names in a folder.
    #[track_caller]
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(path)).unwrap_or_else(|error| panic!("{path} of {}: {error}", self.arch));
        let names = entries.map(|entry| entry.expect("a name").file_name().into_string().expect("a name of text"));
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Where a link leads.
    #[track_caller]
    pub(super) fn leads(&self, path: &str, target: &str) -> &Self {
        let found = fs::read_link(self.at(path)).unwrap_or_else(|error| panic!("{path} of {}: {error}", self.arch));
        assert_eq!(found, Path::new(target), "{path} of {}", self.arch);
        self
    }

    /// An ELF file that must be for this platform's machine.
    #[track_caller]
    pub(super) fn runs(&self, path: &str) -> &Self {
        let bytes = self.bytes(path);
        assert_eq!(&bytes[..4], b"\x7fELF", "{path} of {}", self.arch);
        assert_eq!([bytes[18], bytes[19]], [self.machine, 0], "{path} of {}", self.arch);
        self
    }

    /// A word of the configuration.
    #[track_caller]
    pub(super) fn config(&self, name: &str, wanted: impl Into<Value>) -> &Self {
        assert_eq!(self.config["config"][name], wanted.into(), "{name} of {}", self.arch);
        self
    }

    /// A variable of the configuration.
    #[track_caller]
    pub(super) fn variable(&self, text: &str) -> &Self {
        let all = &self.config["config"]["Env"];
        assert!(all.as_array().is_some_and(|all| all.iter().any(|one| one == text)), "{text} is not in {all}");
        self
    }
}
