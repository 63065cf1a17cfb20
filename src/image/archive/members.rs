//! What is in an archive, found in one pass over its headers: name -> where the bytes are. Data is sought over, so
//! that an archive of gigabytes is open in the time of a few reads.
//!
//! Archives come from strangers. What they try, and our defence:
//! - Data that lies beyond the end of the file, headers that are none: [`untar`](crate::layer::untar) checks each, and
//!   data is compared with the file's length before it is sought over.
//! - Millions of names, to eat memory: the table has a limit ([`TABLE_LIMIT`]).
//! - Names and links with `..` or `/etc/passwd`: nothing here becomes a path of the disk. A name is a key of the
//!   table, a link is followed from key to key and at most [`HOPS`] times.
//! - Documents of gigabytes: at most [`DOCUMENT_LIMIT`] bytes are read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::{ArchiveError, failed};
use crate::blob::DOCUMENT_LIMIT;
use crate::layer::entry::clean;
use crate::layer::entry::{Kind, split};
use crate::layer::pathname::Pathname;
use crate::layer::sniff;
use crate::layer::untar::Reader;

/// The most bytes that the table of names takes, at about [`NAME_COST`] beside the name: some 350,000 blobs.
const TABLE_LIMIT: usize = 64 << 20;
const NAME_COST: usize = 100;
/// How many links are followed until it is a circle.
const HOPS: usize = 16;

/// Where a member's bytes are in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) offset: u64,
    pub(super) size: u64,
}

enum Place {
    Data(Member),
    /// The name of another member.
    Link(Pathname),
}

/// The members of an archive by name.
pub(super) struct Members {
    pub(super) file: Arc<File>,
    /// The archive, for messages.
    pub(super) shown: String,
    table: BTreeMap<Pathname, Place>,
}

impl Members {
    /// Reads the headers.
    pub(super) fn read(path: &Path) -> Result<Self, ArchiveError> {
        let shown = path.display().to_string();
        let refused = |reason: &str| ArchiveError::NotAnArchive { path: shown.clone(), reason: reason.into() };
        // Before the file is opened: that of a pipe would wait for a writer.
        let kind = fs::metadata(path).map_err(failed("read", path))?.file_type();
        if kind.is_dir() {
            return Err(refused("it is a folder; an image layout in a folder is named as oci:PATH"));
        }
        if !kind.is_file() {
            return Err(refused("it is no regular file, and is read at several places: write it to a file first"));
        }
        let file = File::open(path).map_err(failed("read", path))?;
        let length = file.metadata().map_err(failed("read", path))?.len();
        let mut magic = Vec::new();
        (&file).take(6).read_to_end(&mut magic).map_err(failed("read", path))?;
        if magic.is_empty() {
            return Err(ArchiveError::Damaged { path: shown, reason: "it is empty".into() });
        }
        if let Some(program) = sniff::program(&magic) {
            return Err(ArchiveError::Compressed { path: shown, program });
        }
        let mut members = Self { file: Arc::new(file), shown, table: BTreeMap::new() };
        members.scan(length).map(|()| members)
    }

    fn scan(&mut self, length: u64) -> Result<(), ArchiveError> {
        let file = Arc::clone(&self.file);
        let mut reader = Reader::new(BufReader::new(At { file: &file, offset: 0 }));
        let tar = |source| ArchiveError::Tar { path: self.shown.clone(), source };
        let mut cost = 0;
        while let Some(entry) = reader.next_entry().map_err(tar)? {
            let (path, offset) = (entry.path, reader.offset());
            let place = match entry.kind {
                Kind::File(size) if offset.saturating_add(size) > length => {
                    return Err(self.damaged(format!(
                        "it ends within the data of {:?}: copy or download it again",
                        String::from_utf8_lossy(&path)
                    )));
                }
                Kind::File(size) => Some(Place::Data(Member { offset, size })),
                Kind::Hardlink(target) => Some(Place::Link(target)),
                Kind::Symlink(target) => resolve(split(&path).0, &target).map(Place::Link),
                Kind::Directory | Kind::Character(..) | Kind::Block(..) | Kind::Fifo => None,
            };
            cost += NAME_COST + path.len() + if let Some(Place::Link(target)) = &place { target.len() } else { 0 };
            if cost > TABLE_LIMIT {
                return Err(self.damaged(format!("the names of its members take more than {TABLE_LIMIT} bytes")));
            }
            // The last of a name wins, as when the archive is unpacked.
            match place {
                Some(place) => self.table.insert(path, place),
                None => self.table.remove(&path),
            };
            reader.seek_over().map_err(tar)?;
        }
        Ok(())
    }

    /// Where a member's bytes are; links are followed.
    pub(super) fn find(&self, name: &str) -> Option<Member> {
        let mut name = &*clean(name.as_bytes())?;
        for _ in 0..HOPS {
            match self.table.get(name)? {
                Place::Data(member) => return Some(*member),
                Place::Link(target) => name = target,
            }
        }
        None
    }

    /// The names that begin with this.
    pub(super) fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let prefix = prefix.as_bytes();
        self.table
            .range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded))
            .map(|(name, _)| &**name)
            .take_while(move |name| name.starts_with(prefix))
            .filter_map(|name| std::str::from_utf8(name).ok())
    }

    /// A whole document.
    pub(super) fn document(&self, name: &str, member: Member) -> Result<Vec<u8>, ArchiveError> {
        if member.size > DOCUMENT_LIMIT {
            let reason = format!("its {name} has {} bytes: at most {DOCUMENT_LIMIT} are read", member.size);
            return Err(self.damaged(reason));
        }
        let mut bytes = Vec::new();
        Section::new(&self.file, member).read_to_end(&mut bytes).map_err(self.unread())?;
        Ok(bytes)
    }

    /// What a failed read becomes.
    pub(super) fn unread(&self) -> impl FnOnce(io::Error) -> ArchiveError {
        failed("read", Path::new(&self.shown))
    }

    /// An error about the archive.
    pub(super) fn damaged(&self, reason: impl Into<String>) -> ArchiveError {
        ArchiveError::Damaged { path: self.shown.clone(), reason: reason.into() }
    }
}

/// The name that a symbolic link in a folder points at; `None` where it leaves the archive.
fn resolve(folder: &[u8], target: &[u8]) -> Option<Pathname> {
    let folder = if target.starts_with(b"/") { &[] } else { folder };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in folder.split(|byte| *byte == b'/').chain(target.split(|byte| *byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join(&b'/').into())
}

/// Reads a file from a place on without its cursor, which all readers of the archive would share.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

impl io::Seek for At<'_> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let to = match to {
            io::SeekFrom::Start(to) => Some(to),
            io::SeekFrom::Current(step) => self.offset.checked_add_signed(step),
            io::SeekFrom::End(step) => self.file.metadata()?.len().checked_add_signed(step),
        };
        self.offset = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset)
    }
}

/// A member's bytes. It holds the file open: an archive that is replaced meanwhile is read to its old end.
pub(super) struct Section {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl Section {
    pub(super) fn new(file: &Arc<File>, member: Member) -> Self {
        Self { file: Arc::clone(file), offset: member.offset, left: member.size }
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let count = self.file.read_at(&mut buffer[..most], self.offset)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive became shorter while it was read"));
        }
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_within_the_archive() {
        let resolved = |folder: &str, target: &str| {
            resolve(folder.as_bytes(), target.as_bytes()).map(|name| String::from_utf8_lossy(&name).into_owned())
        };
        assert_eq!(resolved("ab", "../cd/layer.tar").as_deref(), Some("cd/layer.tar"));
        assert_eq!(resolved("ab", "./layer.tar").as_deref(), Some("ab/layer.tar"));
        assert_eq!(resolved("ab/c", "/layer.tar").as_deref(), Some("layer.tar"));
        assert_eq!(resolved("ab", "../../layer.tar"), None);
    }
}
