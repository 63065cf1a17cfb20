//! The recipe: what an image is made of, read from `dockless.toml` or from flags. Every value that can be wrong later
//! (a path that does not exist, a platform without its files) keeps the place where it was written, so that whoever
//! finds out can underline it.
//!
//! Paths are as written; they are relative to [`Recipe::folder`], and for a layer of the command line to the working
//! folder, which the caller makes the recipe's folder.

pub mod config_file;
mod json;
pub mod load;
pub(crate) mod nearest;
pub mod place;
mod read;
mod read_config;
mod read_run;
mod table;
pub mod template;

use std::collections::BTreeMap;
use std::path::PathBuf;

use self::place::{Place, Spanned};
use self::template::Template;
use super::config::ConfigRecipe;
use crate::layer::pattern::Patterns;
use crate::oci::platform::Platform;
use crate::oci::reference::Reference;

/// What an image is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The folder that paths are relative to.
    pub folder: PathBuf,
    /// What the layers lie on.
    pub base: Spanned<Base>,
    /// The platforms to build; empty where the recipe does not say.
    pub platforms: Vec<Spanned<Platform>>,
    /// Annotations of the manifests and of the index.
    pub annotations: BTreeMap<String, String>,
    /// How a container starts.
    pub config: ConfigRecipe,
    /// The layers, lowest first.
    pub layers: Vec<LayerRecipe>,
    /// What the image is verified against.
    pub verify: VerifyRecipe,
}

/// What the layers lie on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An image of an OCI layout folder.
    Layout {
        /// The folder.
        path: Template,
        /// Which of its images.
        name: Option<String>,
    },
    /// An image of a registry.
    Registry(Reference),
}

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerRecipe {
    /// Its name in messages, reports and the image's history; no two layers have the same.
    pub name: String,
    /// The key that says what kind it is (`copy`), or its name where it has one.
    pub place: Option<Place>,
    /// The only platforms that have it, at least one; `None`: all.
    pub platforms: Option<Vec<Spanned<Platform>>>,
    /// Where its content comes from.
    pub kind: LayerKind,
}

impl LayerRecipe {
    /// Whether an image of this platform has the layer.
    pub fn is_for(&self, platform: &Platform) -> bool {
        self.platforms.as_ref().is_none_or(|only| only.iter().any(|one| one.value.satisfies(platform)))
    }

    /// Whether it is made once for all platforms: it names neither a platform nor a placeholder.
    pub fn is_shared(&self) -> bool {
        self.platforms.is_none()
            && match &self.kind {
                LayerKind::Rootfs { source, .. } | LayerKind::Tar { source } => source.value.is_shared(),
                LayerKind::Copy { items, .. } => {
                    items.iter().all(|item| item.source.value.is_shared() && item.dest.value.is_shared())
                }
                // Its environment says the platform, whatever its words say.
                LayerKind::Run(_) => false,
            }
    }
}

/// Where a layer's content comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum LayerKind {
    /// A root file system, taken as it is.
    Rootfs {
        /// The folder.
        source: Spanned<Template>,
        /// Everything belongs to this user and group instead of what the file system says.
        owner: Option<(u32, u32)>,
        /// What belongs to the first belongs to the second instead. Empty where `owner` is given.
        owners: BTreeMap<(u32, u32), (u32, u32)>,
    },
    /// Application files, normalised.
    Copy {
        /// What goes where.
        items: Vec<CopyItem>,
        /// The time of each file.
        mtime: Mtime,
    },
    /// A tar archive, entry by entry.
    Tar {
        /// The archive: plain, gzip or zstd.
        source: Spanned<Template>,
    },
    /// What a command puts into a folder, normalised.
    Run(Box<RunRecipe>),
}

/// A `run` layer: a command of the host that fills `{out}` for each platform.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecipe {
    /// What is run.
    pub command: Command,
    /// Where it stands.
    pub place: Option<Place>,
    /// What the result depends on: files, folders or globs. `None`: nobody says, so it is run each time.
    pub inputs: Option<Vec<Spanned<Template>>>,
    /// Where the content of `{out}` goes: an absolute path in the image without `..`.
    pub dest: Spanned<Template>,
    /// Variables of its environment, by name.
    pub env: BTreeMap<String, Spanned<Template>>,
    /// The host's variables that it sees as well, by name.
    pub pass_env: Vec<Spanned<String>>,
    /// What of `{out}` is left out, relative to it.
    pub exclude: Patterns,
    /// User and group; 0 and 0 unless said.
    pub owner: (u32, u32),
    /// The time of each file; never each file's last commit.
    pub mtime: Mtime,
}

/// The command of a `run` layer.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A text for a shell.
    Shell(Template),
    /// A program and its arguments, at least one word.
    Words(Vec<Template>),
}

/// The modification time of copied files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mtime {
    /// 1970, so that the bytes depend on the content alone.
    #[default]
    Zero,
    /// Seconds since 1970, of every file.
    At(u64),
    /// Each file's last commit.
    Git,
}

/// One source of a `copy` layer and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyItem {
    /// A file, a folder whose content is meant, or a glob.
    pub source: Spanned<Template>,
    /// An absolute path in the image without `..`; ends in `/` to go into that folder.
    pub dest: Spanned<Template>,
    /// What of a folder is left out, relative to it.
    pub exclude: Patterns,
    /// User and group; 0 and 0 unless said.
    pub owner: (u32, u32),
    /// The mode of each regular file (07777); folders stay 0755. `None`: 0755 where its owner may execute it, else
    /// 0644.
    pub mode: Option<u16>,
}

/// What the image is verified against: the flags of the same names, as strings. Paths are relative to the recipe's
/// folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyRecipe {
    /// `task-definition`
    pub task_definitions: Vec<Spanned<String>>,
    /// `target`
    pub targets: Vec<Spanned<String>>,
    /// `container`
    pub container: Option<Spanned<String>>,
    /// `var`, each `NAME=VALUE`.
    pub vars: Vec<Spanned<String>>,
    /// `var-file`
    pub var_files: Vec<Spanned<String>>,
    /// `parameter`, each `NAME=VALUE`.
    pub parameters: Vec<Spanned<String>>,
    /// `launch-type`: fargate, ec2, external or managed-instances.
    pub launch_type: Option<Spanned<String>>,
    /// `architecture`: `X86_64` or `ARM64`.
    pub architecture: Option<Spanned<String>>,
    /// `strict`
    pub strict: bool,
    /// `allow`
    pub allow: Vec<Spanned<Allow>>,
}

/// A rule whose findings are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// The rule's name.
    pub rule: String,
    /// Only below these paths.
    pub path: Option<String>,
}
