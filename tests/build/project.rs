//! A folder with a recipe, and the binary that runs in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use dockless::blob::BlobSource;
use dockless::image::base::read_layer;
use dockless::image::root::Root;
use dockless::layer::contents::{Contents, Kind};
use dockless::layout::Layout;
use dockless::oci::config::ImageConfiguration;
use dockless::oci::manifest::{Index, Manifest};
use dockless::oci::media_type::{self, kind};
use serde_json::Value;
use snapbox::{Data, assert_data_eq};
use tempfile::TempDir;

use super::elf::{AARCH64, X86_64, program};
use super::files::{Tree, walk};

/// A folder of its own.
pub(crate) struct Project {
    folder: TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Nothing but success will do.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// It ended with this exit code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The result's only line.
    #[track_caller]
    pub(crate) fn line(&self) -> &str {
        let line = self.stdout.strip_suffix('\n').expect("a line");
        assert!(!line.contains('\n'), "{self:#?}");
        line
    }
}

impl Project {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    /// A project with this recipe.
    pub(crate) fn with(recipe: &str) -> Self {
        let project = Self::new();
        project.write("dockless.toml", recipe);
        project
    }

    /// A project whose image holds one static program for each platform.
    pub(crate) fn programs() -> Self {
        let project = Self::with(PROGRAMS);
        project.write("bin/app-amd64", program(X86_64)).write("bin/app-arm64", program(AARCH64));
        project
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    /// A folder in it that is being filled.
    pub(crate) fn tree(&self, path: &str) -> Tree {
        Tree::new(self.at(path))
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
        self
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.at(path)).expect("a file")
    }

    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8(self.read(path)).expect("text")
    }

    /// The command in this folder, with an empty environment: neither CI's nor a developer's settings matter.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockless"));
        command.args(words).env_clear().current_dir(self.path());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Said {
        Said::of(&self.command(words).output().expect("the binary runs"))
    }

    pub(crate) fn run_with(&self, words: &[&str], variables: &[(&str, &str)]) -> Said {
        Said::of(&self.command(words).envs(variables.iter().copied()).output().expect("the binary runs"))
    }

    /// Every path in it.
    pub(crate) fn listing(&self) -> Vec<PathBuf> {
        walk(self.path())
    }

    /// A command that must fail with exit code 2, say nothing on stdout, and leave nothing behind; as a golden file
    /// shows it.
    #[track_caller]
    pub(crate) fn refused(&self, words: &[&str]) -> String {
        let before = self.listing();
        let said = self.run(words).with_code(2);
        assert_eq!(said.stdout, "", "{said:#?}");
        assert_eq!(self.listing(), before, "something was left behind: {said:#?}");
        let errors = said.stderr.lines().filter(|line| line.starts_with("error")).count();
        assert_eq!(errors, 1, "one message: {said:#?}");
        self.shown(words, &said)
    }

    /// A command and what it said.
    pub(crate) fn shown(&self, words: &[&str], said: &Said) -> String {
        let code = said.code.map_or("a signal".into(), |code| code.to_string());
        let text =
            format!("$ dockless {}\n{}--- stderr\n{}--- exit code {code}\n", words.join(" "), said.stdout, said.stderr);
        tame(&text.replace(&self.path().display().to_string(), "[PROJECT]"))
    }

    /// An image of a layout folder.
    pub(crate) fn image(&self, layout: &str, name: Option<&str>) -> Image {
        let layout = Layout::open(&self.at(layout)).expect("a layout");
        let top = dockless::image::base::choose(&layout.index().expect("an index"), name).expect("an image");
        Image { index: serde_json::from_slice(&layout.document(&top).expect("a document")).expect("an index"), layout }
    }
}

/// A recipe for two platforms with one program each.
pub(crate) const PROGRAMS: &str = r#"
[image]
platforms = ["linux/amd64", "linux/arm64"]

[config]
entrypoint = ["/bin/app"]

[[layer]]
name = "app"
copy = [{ src = "bin/app-{arch}", dest = "/bin/app", mode = "0755" }]
"#;

/// An image in a layout, as the library reads it.
pub(crate) struct Image {
    pub layout: Layout,
    pub index: Index,
}

impl Image {
    pub(crate) fn manifest(&self, platform: usize) -> Manifest {
        let bytes = self.layout.document(&self.index.manifests[platform]).expect("a manifest");
        serde_json::from_slice(&bytes).expect("a manifest")
    }

    pub(crate) fn config(&self, platform: usize) -> ImageConfiguration {
        let bytes = self.layout.document(&self.manifest(platform).config).expect("a configuration");
        serde_json::from_slice(&bytes).expect("a configuration")
    }

    /// What each layer holds, lowest first.
    pub(crate) fn layers(&self, platform: usize) -> Vec<Arc<Contents>> {
        let layers = self.manifest(platform).layers.into_iter().map(|layer| {
            let media_type::Kind::Layer(compression) = kind(&layer.media_type) else { panic!("{layer:?}") };
            Arc::new(read_layer(&self.layout, &layer, compression).expect("a layer"))
        });
        layers.collect()
    }

    /// The root file system, a line each: mode, owner, path, and what it is.
    pub(crate) fn root(&self, platform: usize) -> Vec<String> {
        let root = Root::of(self.layers(platform));
        let line = |(path, node, layer): (&[u8], &dockless::layer::contents::Node, usize)| {
            let what = match &node.kind {
                Kind::Directory => "/".to_owned(),
                Kind::File { size, .. } => format!(" {size}"),
                Kind::Symlink(target) => format!(" -> {}", String::from_utf8_lossy(target)),
                other => format!(" {other:?}"),
            };
            let path = String::from_utf8_lossy(path);
            format!("{layer} {:04o} {}:{} /{path}{what}", node.mode, node.uid, node.gid)
        };
        root.iter().map(line).collect()
    }

    /// The paths of a layer's entries in their order, folders with a slash.
    pub(crate) fn paths(&self, platform: usize, layer: usize) -> Vec<String> {
        let path = |node: &dockless::layer::contents::Node| {
            let slash = if node.kind == Kind::Directory { "/" } else { "" };
            format!("{}{slash}", String::from_utf8_lossy(&node.path))
        };
        self.layers(platform)[layer].nodes.iter().map(path).collect()
    }
}

/// A text without what another system or another time says otherwise: numbers of errors, names of temporary files.
fn tame(text: &str) -> String {
    let mut text = text.to_owned();
    for (start, end) in [(" (os error ", ")"), (".dockless-", "\"")] {
        let mut parts = text.split(start);
        let first = parts.next().unwrap_or_default().to_owned();
        text = parts.fold(first, |out, part| {
            let rest = part.find(end).map_or("", |at| &part[at..]);
            out + start + "[..]" + rest
        });
    }
    text
}

/// A text in which every digest that is no name in brackets is one.
pub(crate) fn without_digests(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        let name = if part.len() - rest.len() == 64 { "[DIGEST]" } else { "" };
        let kept = if name.is_empty() { part } else { rest };
        out = out + "sha256:" + name + kept;
    }
    out
}

/// Compares a text with a golden file.
#[track_caller]
pub(crate) fn golden(name: &str, text: String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/build").join(name);
    assert_data_eq!(text, Data::read_from(&path, None).raw());
}
