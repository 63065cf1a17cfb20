//! Names to files as the runtime and the kernel find them: `PATH`, the working folder, links within the image, and the
//! volumes that cover what the image has.

use std::cell::Cell;

use crate::image::inspect::ImageFacts;
use crate::image::root::{Found, Unresolved};
use crate::layer::contents::{Kind, Node};

/// What containerd and Docker set where nobody states `PATH`.
pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How many places are looked at for one process: in `PATH` for names, and by loaders for libraries. Real images need
/// some thousands; a stranger's `PATH`, `DT_RPATH` and names multiply.
const MOST_LOOKS: usize = 1 << 17;

/// A path beyond this is no path to the kernel (`PATH_MAX`).
pub(super) const LONGEST_PATH: usize = 4096;

/// What is left of [`MOST_LOOKS`].
pub(super) struct Looks(Cell<usize>);

impl Default for Looks {
    fn default() -> Self {
        Self(Cell::new(MOST_LOOKS))
    }
}

impl Looks {
    /// Takes one; whether there was one left.
    pub(super) fn take(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }

    pub(super) fn are_gone(&self) -> bool {
        self.0.get() == 0
    }
}

/// Who runs the process, as far as numbers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum User {
    /// The superuser: any x bit is enough.
    Root,
    /// A number, and the group where one was given.
    Id(u32, Option<u32>),
    /// A name: who that is stands in a file whose content is not kept.
    Named,
}

impl User {
    pub(super) fn of(text: &str) -> Self {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        match (user, user.parse()) {
            ("" | "root", _) | (_, Ok(0)) => Self::Root,
            (_, Ok(id)) => match group.map(str::parse) {
                Some(Ok(group)) => Self::Id(id, Some(group)),
                // A group by name: it may be the file's.
                None | Some(Err(_)) => Self::Id(id, None),
            },
            (_, Err(_)) => Self::Named,
        }
    }

    /// Who that is, for people.
    pub(super) fn words(self) -> String {
        match self {
            Self::Root => "root".into(),
            Self::Id(id, Some(group)) => format!("the user {id}:{group}"),
            Self::Id(id, None) => format!("the user {id}"),
            Self::Named => "the user, known by name only,".into(),
        }
    }

    /// Whether the mode lets the user do it: 1 execute a file or go through a folder, 4 read.
    pub(super) fn may(self, bit: u16, node: &Node) -> May {
        let [owner, group, others] = [6, 3, 0].map(|shift| node.mode >> shift & bit != 0);
        let known = |right: bool| if right { May::Yes } else { May::No };
        let either = |mut rights: Vec<bool>| {
            rights.dedup();
            if let [right] = rights.as_slice() { known(*right) } else { May::Unknown }
        };
        match self {
            // The superuser needs an x bit of anybody to execute a file, and nothing else.
            Self::Root => known(bit != 1 || node.kind == Kind::Directory || owner || group || others),
            Self::Id(id, _) if id == node.uid => known(owner),
            Self::Id(_, Some(own)) if own == node.gid => known(group),
            // The image's /etc/group may add the user to more groups, but no runtime looks for a number there.
            Self::Id(_, Some(_)) => known(others),
            Self::Id(_, None) => either(vec![group, others]),
            Self::Named => either(vec![owner, group, others]),
        }
    }
}

/// An answer that may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    Yes,
    No,
    Unknown,
}

impl May {
    /// Whether both.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }
}

/// Who looks a name up in `PATH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seeker {
    /// The runtime, for the process of the container: runc takes nothing from a folder that is relative (Go's
    /// `os/exec`, `ErrDot`), and finds nothing in an empty `PATH`.
    Runtime,
    /// A program, by `execvp`: an empty element is the working folder.
    Program,
}

/// Why the runtime refuses what a relative folder of `PATH` has.
const RELATIVE: &str = "the runtime takes no program from a relative folder of PATH";

/// Where names are looked up.
pub(super) struct Surroundings<'a> {
    pub(super) image: &'a ImageFacts,
    /// The working folder; `None` where it is not known.
    pub(super) folder: Option<String>,
    /// `PATH`; `None` where it is not known.
    pub(super) path: Option<String>,
    /// `LD_LIBRARY_PATH`, empty where it is not set; `None` where it is not known.
    pub(super) library_path: Option<String>,
    /// Whether `LD_PRELOAD` loads a library that nobody asks for.
    pub(super) preloads: bool,
    pub(super) user: User,
    /// Where volumes cover the image, as it is stated, and where that lands: links are followed.
    pub(super) mounts: Vec<String>,
    /// Whether volumes stand at paths that are not known.
    pub(super) unknown_mounts: bool,
    pub(super) looks: Looks,
}

/// What a name led to.
pub(super) enum Sought<'a> {
    /// An entry.
    Found(Found<'a>),
    /// Nothing; the text says where the way ended, where that is not the path itself.
    Missing(Option<String>),
    /// It cannot be known, for this reason.
    Unknown(String),
}

/// Where volumes at these paths cover the image.
pub(super) fn covered(image: &ImageFacts, stated: &[String]) -> Vec<String> {
    let lands = |path: &String| match image.root.locate(path.as_bytes()) {
        Ok(found) => shown(&found.path),
        // The runtime makes what is missing there.
        Err(Unresolved::Missing(end)) => shown(&end),
        Err(_) => path.clone(),
    };
    stated.iter().flat_map(|path| [path.clone(), lands(path)]).collect()
}

impl<'a> Surroundings<'a> {
    /// A path, absolute or relative to the working folder.
    pub(super) fn at(&self, path: &str) -> Sought<'a> {
        let absolute = match (path.starts_with('/'), &self.folder) {
            (true, _) => path.to_owned(),
            (false, Some(folder)) => format!("{folder}/{path}"),
            (false, None) => return Sought::Unknown("the working folder is not known".into()),
        };
        if let Some(mount) = self.covering(absolute.as_bytes()) {
            return Sought::Unknown(format!("a volume covers {mount}"));
        }
        match self.image.root.locate(absolute.as_bytes()) {
            Ok(found) => match self.covering(&found.path) {
                Some(mount) => Sought::Unknown(format!("a volume covers {mount}")),
                None => Sought::Found(found),
            },
            Err(unresolved) => {
                let (end, how) = told(&unresolved);
                if let Some(mount) = self.covering(end) {
                    return Sought::Unknown(format!("a volume covers {mount}"));
                }
                if self.unknown_mounts {
                    return Sought::Unknown("volumes of another container may stand there".into());
                }
                let itself = matches!(unresolved, Unresolved::Missing(_)) && shown(end) == clean(&absolute);
                Sought::Missing((!itself).then(|| format!("{} {how}", shown(end))))
            }
        }
    }

    /// A name without a slash, in `PATH`: the first regular file that the user may execute and come to. The path as it
    /// was built comes with it.
    pub(super) fn in_path(&self, name: &str, seeker: Seeker) -> (String, Sought<'a>) {
        let Some(path) = &self.path else {
            return (name.into(), Sought::Unknown("the value of PATH is not known".into()));
        };
        if path.is_empty() && seeker == Seeker::Runtime {
            return (name.into(), Sought::Missing(None));
        }
        let (mut unknown, mut refused) = (None, None);
        for folder in path.split(':') {
            if !self.looks.take() {
                let why = "more folders of PATH would have to be looked into than is done here";
                return (name.into(), Sought::Unknown(why.into()));
            }
            let candidate = if folder.is_empty() { format!("./{name}") } else { format!("{folder}/{name}") };
            match self.at(&candidate) {
                Sought::Found(found) if matches!(found.node.kind, Kind::File { .. }) => match self.may(1, &found) {
                    May::Yes if seeker == Seeker::Runtime && !candidate.starts_with('/') => {
                        if unknown.is_some() {
                            break;
                        }
                        let why = format!("{} is there, but {RELATIVE}", shown(&found.path));
                        return (candidate, Sought::Missing(Some(why)));
                    }
                    May::Yes => return (candidate, Sought::Found(found)),
                    May::No => _ = refused.get_or_insert((candidate, found)),
                    May::Unknown => {
                        let why = format!("whether {} may execute it depends on who that is", self.user.words());
                        unknown.get_or_insert((candidate, why));
                    }
                },
                Sought::Unknown(why) => {
                    unknown.get_or_insert((candidate, why));
                }
                Sought::Found(_) | Sought::Missing(_) => {}
            }
        }
        match (unknown, refused) {
            (Some((candidate, why)), _) => (candidate, Sought::Unknown(why)),
            (None, Some((candidate, found))) => (candidate, Sought::Found(found)),
            (None, None) => (name.into(), Sought::Missing(None)),
        }
    }

    /// A name or a path.
    pub(super) fn find(&self, name: &str, seeker: Seeker) -> (String, Sought<'a>) {
        if name.contains('/') { (name.into(), self.at(name)) } else { self.in_path(name, seeker) }
    }

    /// Whether the user may do it to a file, by its mode, and go through the folders above it.
    pub(super) fn may(&self, bit: u16, found: &Found<'_>) -> May {
        self.user.may(bit, found.node).and(self.closed_folder(&found.path).map_or(May::Yes, |(_, may)| may))
    }

    /// Whether a volume may put files where the image has none.
    pub(super) fn has_volumes(&self) -> bool {
        self.unknown_mounts || !self.mounts.is_empty()
    }

    /// A folder above this path that the user may not go through.
    pub(super) fn closed_folder(&self, path: &[u8]) -> Option<(String, May)> {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let closed = |end: usize| {
            // A folder that no layer names is made by the runtime, open to all.
            let (node, _) = self.image.root.lookup(&path[..end])?;
            let may = self.user.may(1, node);
            (may != May::Yes).then(|| (shown(&path[..end]), may))
        };
        ends.filter_map(closed).max_by_key(|(_, may)| *may == May::No)
    }

    fn covering(&self, path: &[u8]) -> Option<&str> {
        let path = clean(&String::from_utf8_lossy(path));
        self.mounts.iter().map(String::as_str).find(|mount| {
            let mount = clean(mount);
            mount != "/" && path.strip_prefix(&mount).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// Where a path ends that leads nowhere, and how.
fn told(unresolved: &Unresolved) -> (&[u8], &'static str) {
    match unresolved {
        Unresolved::Missing(end) => (end, "does not exist"),
        Unresolved::NotADirectory(end) => (end, "is not a folder"),
        Unresolved::Loop(end) => (end, "is one of a chain of links that does not end"),
    }
}

/// A path of the root for people, with a leading slash.
pub(super) fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

/// A path with one slash between its parts and none at its end.
fn clean(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("/{}", parts.join("/"))
}
