//! What is known of one stage while its instructions are read.

use std::collections::{BTreeMap, BTreeSet};

use super::super::budget::{Budget, Spent};
use super::super::dockerfile::expand::Variables;
use super::super::draft::{Config, Piece, Run};
use super::taken::Share;

/// What the layers of a stage lie on, as far as its name says.
#[derive(Debug, Clone, Default)]
pub(super) struct Ground {
    /// The reference.
    pub(super) reference: String,
    /// The image's own name: `python` of `docker.io/library/python:3.13-slim`.
    pub(super) image: String,
    /// Its tag; may be empty.
    pub(super) tag: String,
}

impl Ground {
    pub(super) fn new(reference: &str) -> Self {
        let plain = reference.split('@').next().unwrap_or_default();
        let last = plain.rsplit('/').next().unwrap_or_default();
        let (image, tag) = last.split_once(':').unwrap_or((last, ""));
        Self { reference: reference.into(), image: image.into(), tag: tag.into() }
    }

    /// Whether its C library is musl.
    pub(super) fn is_musl(&self) -> bool {
        self.image == "alpine" || self.tag.contains("alpine")
    }

    /// The version that the tag of an image of this name begins with, two numbers at most.
    fn version_of(&self, image: &str) -> Option<String> {
        if self.image != image {
            return None;
        }
        let number = self.tag.split('-').next()?;
        let parts: Vec<&str> = number.split('.').take(2).collect();
        let digits = |part: &&str| !part.is_empty() && part.len() < 4 && part.bytes().all(|byte| byte.is_ascii_digit());
        (parts.len() == 2 && parts.iter().all(digits)).then(|| parts.join("."))
    }

    /// The version of Python, `3.13`, of the official image.
    pub(super) fn python(&self) -> Option<String> {
        self.version_of("python")
    }

    /// The folder that a container starts in where nothing else is said.
    pub(super) fn workdir(&self) -> &'static str {
        match self.image.as_str() {
            "golang" => "/go",
            "php" if self.tag.contains("apache") || self.tag.contains("fpm") => "/var/www/html",
            "httpd" => "/usr/local/apache2",
            "tomcat" => "/usr/local/tomcat",
            _ => "/",
        }
    }

    /// The `PATH` that is usual there.
    pub(super) fn path(&self) -> &'static str {
        match self.image.as_str() {
            "golang" => "/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "rust" => "/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            _ => "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        }
    }

    /// Users that images of this name have.
    pub(super) fn account(&self, name: &str) -> Option<(u32, u32)> {
        Some(match (name, self.image.as_str()) {
            ("root", _) => (0, 0),
            ("node", "node") => (1000, 1000),
            ("nginx", "nginx") => (101, 101),
            ("www-data", _) if self.is_musl() => (82, 82),
            ("www-data", _) => (33, 33),
            ("nobody" | "nogroup", _) => (65534, 65534),
            ("nonroot", _) => (65532, 65532),
            ("app", "aspnet" | "runtime" | "sdk" | "runtime-deps") => (1654, 1654),
            _ => return None,
        })
    }
}

/// Something that a stage has put into its file system.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// Where: absolute, without a slash at the end.
    pub(super) dest: String,
    /// What it is.
    pub(super) what: What,
}

/// What something in a stage's file system is.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// A file or folder of the project.
    Host {
        /// Its path.
        src: String,
        /// The owner and mode that it was given.
        owner: Option<String>,
        /// The mode that it was given.
        mode: Option<String>,
        /// What is left out of it.
        exclude: Vec<String>,
    },
    /// What the command of a `run` layer makes: a folder.
    Layer {
        /// Its name.
        name: String,
        /// The layer, but for its destination.
        run: Run,
        /// The part of its destination that the command makes below `{out}`: `node_modules`.
        below: &'static str,
        /// Comments.
        notes: Vec<String>,
    },
    /// One program: the command with what stands before and behind its file's path.
    Program {
        /// Before.
        before: String,
        /// Behind.
        behind: String,
        /// Comments.
        notes: Vec<String>,
    },
    /// A build in the project's folder, whose files are known only by what is asked for.
    Build {
        /// The commands, `cd` to the folder included.
        lines: Vec<String>,
        /// Where another tool puts what is asked for: the part of the path, and what it is on this machine.
        elsewhere: Option<(&'static str, &'static str)>,
        /// Whether the result is another one for each platform.
        native: bool,
        /// Comments.
        notes: Vec<String>,
    },
    /// Wheels: what was asked of pip.
    Wheels(Vec<String>),
}

/// One stage.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage {
    /// What lies below.
    pub(super) ground: Ground,
    /// Whether its layers are part of the image.
    pub(super) kept: bool,
    /// Variables.
    pub(super) variables: Variables,
    /// The working folder, absolute.
    pub(super) workdir: String,
    /// `SHELL`
    pub(super) shell: Option<Vec<String>>,
    /// Who runs: a name or a number.
    pub(super) user: Option<String>,
    /// Configuration.
    pub(super) config: Config,
    /// Whether `CMD` stands in this stage itself.
    pub(super) cmd_here: bool,
    /// Its layers.
    pub(super) pieces: Vec<Piece>,
    /// What is where.
    pub(super) origins: Vec<Origin>,
    /// Users that were added, and their numbers.
    pub(super) accounts: BTreeMap<String, (u32, u32)>,
    /// Groups that were added.
    pub(super) groups: BTreeMap<String, u32>,
    /// Folders that are known to be there.
    pub(super) folders: BTreeSet<String>,
    /// Commands that prepare a build in the project's folder.
    pub(super) prepared: Vec<String>,
    /// Where Python packages went, and the index of their layer.
    pub(super) python: Option<(String, usize)>,
    /// The virtual environment that was made.
    pub(super) venv: Option<String>,
    /// Python packages, by the folder that they go into.
    pub(super) pips: Vec<Pip>,
    /// The tool and the verb that installed the packages of Node.js.
    pub(super) node: Option<(String, String)>,
    /// The pieces that hold `node_modules`, by the folder above it.
    pub(super) modules: BTreeMap<String, usize>,
    /// Layers of builds.
    pub(super) shares: Vec<Share>,
    /// The line of a build whose result is no layer yet.
    pub(super) built: Option<usize>,
}

/// Python packages of one folder.
#[derive(Debug, Clone)]
pub(super) struct Pip {
    /// The folder.
    pub(super) dest: String,
    /// The piece that holds the layer.
    pub(super) piece: usize,
    /// What is asked for.
    pub(super) arguments: Vec<String>,
    /// What that depends on.
    pub(super) inputs: BTreeSet<String>,
    /// Whether uv is asked, and not pip.
    pub(super) uv: bool,
    /// A command that prints requirements.
    pub(super) source: Option<String>,
}

/// A path relative to a folder made absolute: no `.`, no `..`, no empty names, no slash at the end but the root's.
pub(super) fn absolute(folder: &str, path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { folder };
    for name in base.split('/').chain(path.split('/')) {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

/// What is left of a path below a folder; nothing for the folder itself.
pub(super) fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    if folder == "/" {
        return Some(path.trim_start_matches('/'));
    }
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// Two parts of a path.
pub(super) fn joined(folder: &str, rest: &str) -> String {
    match (folder, rest) {
        (folder, "") => folder.into(),
        (".", rest) => rest.into(),
        (folder, rest) => format!("{}/{rest}", folder.trim_end_matches('/')),
    }
}

/// The folder of a path, and its last name.
pub(super) fn split(path: &str) -> (&str, &str) {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => ("", path),
    }
}

impl Stage {
    /// The file or folder of the project that lies at a path of the stage.
    pub(super) fn host(&self, path: &str, budget: &mut Budget) -> Result<Option<String>, Spent> {
        budget.spend(self.origins.len())?;
        Ok(self.origins.iter().rev().find_map(|origin| match &origin.what {
            What::Host { src, .. } => below(path, &origin.dest).map(|rest| joined(src, rest)),
            _ => None,
        }))
    }

    /// The folder of the project that is the working folder, `.` where nothing says another one.
    pub(super) fn here(&self, folder: &str, budget: &mut Budget) -> Result<String, Spent> {
        budget.spend(self.origins.len())?;
        // Of several it is the largest part of the project, which is copied last.
        let found = self.origins.iter().rev().find_map(|origin| match &origin.what {
            What::Host { src, .. } => below(folder, &origin.dest).map(|rest| joined(src, rest)),
            _ => None,
        });
        if let Some(found) = found {
            return Ok(found);
        }
        let inside = self.origins.iter().rev().find_map(|origin| match &origin.what {
            What::Host { src, .. } => {
                let rest = below(&origin.dest, folder)?;
                let folder = src.strip_suffix(rest)?.trim_end_matches('/');
                Some(if folder.is_empty() { ".".to_owned() } else { folder.to_owned() })
            }
            _ => None,
        });
        Ok(inside.unwrap_or_else(|| ".".into()))
    }

    /// The numbers of a user, where they are known.
    pub(super) fn numbers(&self, name: &str) -> Option<(u32, u32)> {
        if let Ok(number) = name.parse() {
            return Some((number, number));
        }
        self.accounts.get(name).copied().or_else(|| self.ground.account(name))
    }

    /// `UID:GID` of `user[:group]`.
    pub(super) fn owner(&self, text: &str) -> Option<String> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let (uid, own) = self.numbers(if user.is_empty() { "root" } else { user })?;
        let gid = match group {
            "" => own,
            group => group
                .parse()
                .ok()
                .or_else(|| self.groups.get(group).copied())
                .or_else(|| self.numbers(group).map(|(_, gid)| gid))?,
        };
        Some(format!("{uid}:{gid}"))
    }

    /// Whether a path is known to be a folder.
    pub(super) fn is_folder(&self, path: &str) -> bool {
        let known = [
            "/",
            "/app",
            "/bin",
            "/etc",
            "/home",
            "/lib",
            "/opt",
            "/root",
            "/run",
            "/sbin",
            "/srv",
            "/tmp",
            "/usr",
            "/usr/bin",
            "/usr/lib",
            "/usr/local",
            "/usr/local/bin",
            "/usr/local/lib",
            "/usr/sbin",
            "/usr/share",
            "/var",
            "/var/lib",
            "/var/log",
            "/var/www",
            "/usr/local/sbin",
            "/etc/nginx/conf.d",
            "/usr/share/nginx/html",
        ];
        (known.contains(&path) && path != "/app") || path == self.workdir || self.folders.contains(path)
    }
}
