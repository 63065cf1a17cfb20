//! What one layer holds, as far as anyone asks later: a path table, links, and what each program runs on.
//!
//! Made while a layer is packed, or by reading a blob; small enough to keep for every layer of a large image
//! (paths, links and heads, never contents).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::pathname::Pathname;
use crate::elf::Elf;
use crate::elf::cache::Cached;

/// What a regular file is to the kernel that should execute it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Head {
    /// An ELF file.
    Elf(Box<Elf>),
    /// A script: what follows `#!`, at most 4096 bytes. Of a short one for a shell all of it; of others the first line,
    /// without the line feed. A carriage return is kept.
    Script(Box<[u8]>),
    /// A zip, such as a jar, that holds native libraries.
    Archive(Box<[Member]>),
    /// What glibc's loader knows of libraries (`/etc/ld.so.cache`).
    LoaderCache(Box<[Cached]>),
    /// A program of another operating system, by the name of its format.
    Elsewhere(Cow<'static, str>),
    /// A private key in PEM form.
    PrivateKey,
    /// Something else. A kernel refuses to execute it (`exec format error`), as all but the first two.
    Other,
}

/// A native library inside an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its path in the archive.
    pub name: Box<[u8]>,
    /// What its first bytes say: nothing of its libraries.
    pub elf: Elf,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A folder.
    Directory,
    /// A regular file of so many bytes.
    File {
        /// Its size in bytes.
        size: u64,
        /// What it is to the kernel.
        head: Head,
    },
    /// A symbolic link and its target as it stands.
    Symlink(Pathname),
    /// A hard link to the path of another entry, relative to the root.
    Hardlink(Pathname),
    /// A device, FIFO or socket.
    Special,
    /// A whiteout: the path is gone from the layers below.
    Whiteout,
    /// An opaque whiteout: the folder at this path shows nothing of the layers below.
    Opaque,
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The path without a leading or trailing slash, empty for the root. Of a whiteout: the path that is gone; of an
    /// opaque whiteout: the folder. Shared with the entry it comes from and the merged root: a large tree has each path
    /// once.
    pub path: Pathname,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky (07777).
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The owner's group.
    pub gid: u32,
    /// Extended attributes that the layer keeps, sorted by name; `None` for nearly every file.
    pub xattrs: Option<Box<Xattrs>>,
}

impl Node {
    /// About how many bytes are kept of it beside its path and its numbers: for nearly every file none.
    pub fn extent(&self) -> usize {
        let pairs = |pairs: &[Pair]| pairs.iter().map(|(a, b)| a.len() + b.len() + 32).sum::<usize>();
        let head = match &self.kind {
            Kind::File { head, .. } => match head {
                Head::Elf(elf) => elf.extent(),
                Head::Script(kept) => kept.len(),
                Head::Archive(members) => members.iter().map(|member| member.name.len() + 128).sum(),
                Head::LoaderCache(libraries) => pairs(libraries),
                Head::Elsewhere(_) | Head::PrivateKey | Head::Other => 0,
            },
            _ => 0,
        };
        head + self.xattrs.as_ref().map_or(0, |xattrs| pairs(xattrs))
    }
}

/// Extended attributes by name.
pub type Xattrs = Vec<Pair>;

/// Two texts that belong together: a name and its value, or a path.
type Pair = (Box<[u8]>, Box<[u8]>);

/// How many bytes of scripts' texts are kept of one layer: a large image has half of that, and a stranger may state
/// gigabytes of them in a few kilobytes. Beyond that, first lines.
const MOST_TEXT: usize = 4 << 20;

/// How much of the texts of a layer's scripts is kept.
#[derive(Debug, Default)]
pub struct Texts(usize);

impl Texts {
    /// Leaves a script its text, or its first line where there is no room.
    pub fn keep(&mut self, head: &mut Head) {
        let Head::Script(kept) = head else { return };
        let Some(end) = kept.iter().position(|byte| *byte == b'\n') else { return };
        if self.0 + kept.len() > MOST_TEXT {
            *kept = kept[..end].into();
        } else {
            self.0 += kept.len();
        }
    }
}

/// The entries of a layer in the order of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The entries.
    pub nodes: Vec<Node>,
}
