//! One entry of a layer, and the order that entries stand in.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::contents::{self, Head, Node, Xattrs};
use super::pathname::Pathname;
use super::stamp::Stamp;

/// The prefix of a whiteout's name (image-spec layer.md "Whiteouts").
pub const WHITEOUT: &[u8] = b".wh.";
/// The name of an opaque whiteout (image-spec layer.md "Opaque Whiteout").
pub const OPAQUE: &[u8] = b".wh..wh..opq";

/// Whether a name is that of a whiteout of nothing, `.` or `..`: no folder has a name that it could hide, and runtimes
/// refuse it or remove the folder itself.
pub fn hides_nothing(name: &[u8]) -> bool {
    name != OPAQUE && matches!(name.strip_prefix(WHITEOUT), Some(b"" | b"." | b".."))
}

/// What an entry is in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Directory,
    /// A regular file of so many bytes. A whiteout is one, empty, by its name.
    File(u64),
    /// A symbolic link and its target as it stands.
    Symlink(Pathname),
    /// A hard link to the path of an earlier entry.
    Hardlink(Pathname),
    /// A character device, major and minor.
    Character(u32, u32),
    /// A block device, major and minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// An entry: where it goes and what it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path in the archive without a leading or trailing slash; empty for the root.
    pub path: Pathname,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky (07777).
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The owner's group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Extended attributes, sorted by name.
    pub xattrs: Option<Box<Xattrs>>,
    /// What it was made of on the disk. `None` where there is nothing to read, or it comes from an archive.
    pub source: Option<Source>,
}

/// What an entry was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it lies in, by a thin pointer: there are as many of them as entries.
    pub tree: Arc<Tree>,
    /// How it stood there when it was listed.
    pub stamp: Stamp,
}

/// A folder of the disk, or a file alone, and where in the archive it goes: a large tree has each path once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The folder, or the file.
    pub folder: PathBuf,
    /// Its path in the archive.
    pub dest: Box<[u8]>,
    /// Whether the layer has the extended attributes of what lies in it.
    pub attributes: bool,
}

impl Tree {
    /// The path on the disk of what has this path in the archive.
    pub fn path(&self, entry: &[u8]) -> PathBuf {
        let below = entry.strip_prefix(&*self.dest).unwrap_or(entry);
        match below.strip_prefix(b"/").unwrap_or(below) {
            [] => self.folder.clone(),
            below => self.folder.join(OsStr::from_bytes(below)),
        }
    }
}

impl Entry {
    /// Where its source is on the disk.
    pub fn source_path(&self) -> Option<PathBuf> {
        Some(self.source.as_ref()?.tree.path(&self.path))
    }

    /// What is remembered of it.
    pub fn into_node(self, head: Head) -> Node {
        let (folder, name) = split(&self.path);
        let (path, kind) = match (name.strip_prefix(WHITEOUT), self.kind) {
            (Some(_), _) if name == OPAQUE => (folder.into(), contents::Kind::Opaque),
            (Some(hidden), _) => (join(folder, hidden).into(), contents::Kind::Whiteout),
            (None, kind) => {
                let kind = match kind {
                    Kind::Directory => contents::Kind::Directory,
                    Kind::File(size) => contents::Kind::File { size, head },
                    Kind::Symlink(target) => contents::Kind::Symlink(target),
                    Kind::Hardlink(target) => contents::Kind::Hardlink(target),
                    Kind::Character(..) | Kind::Block(..) | Kind::Fifo => contents::Kind::Special,
                };
                (self.path, kind)
            }
        };
        Node { path, kind, mode: self.mode, uid: self.uid, gid: self.gid, xattrs: self.xattrs }
    }
}

/// Splits a path into its folder (empty for the root) and its name.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// The last part of a path.
pub fn file_name(path: &[u8]) -> &[u8] {
    split(path).1
}

/// `folder/name`, or the name alone in the root.
pub fn join(folder: &[u8], name: &[u8]) -> Box<[u8]> {
    let mut path = Vec::with_capacity(folder.len() + 1 + name.len());
    path.extend_from_slice(folder);
    if !folder.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path.into()
}

/// A path without empty parts and `.`; `None` where a part is `..`, or holds a zero byte.
pub fn clean(path: &[u8]) -> Option<Box<[u8]>> {
    let mut out = Vec::with_capacity(path.len());
    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        if part == b".." || part.contains(&0) {
            return None;
        }
        if !out.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(part);
    }
    Some(out.into())
}

/// The order of names in a folder: the opaque whiteout, whiteouts, then all others, by their bytes.
pub fn name_order(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |name: &[u8]| match name {
        OPAQUE => 0,
        name if name.starts_with(WHITEOUT) => 1,
        _ => 2,
    };
    rank(a).cmp(&rank(b)).then_with(|| a.cmp(b))
}

/// The order of paths: a folder before what it holds, names by [`name_order`].
pub fn path_order(a: &[u8], b: &[u8]) -> Ordering {
    // The root has no part, and comes before all that it holds.
    fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
        path.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }
    let (mut a, mut b) = (parts(a), parts(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match name_order(a, b) {
                Ordering::Equal => {}
                order => return order,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteouts_come_before_their_siblings() {
        let mut paths = ["a/b", "a-b", "a", "a/.wh.z", "a/.a", "a/.wh..wh..opq", "a/b/c", "a/b.c", ".wh.q", ""];
        paths.sort_by(|a, b| path_order(a.as_bytes(), b.as_bytes()));
        assert_eq!(paths, ["", ".wh.q", "a", "a/.wh..wh..opq", "a/.wh.z", "a/.a", "a/b", "a/b/c", "a/b.c", "a-b"]);
    }
}
