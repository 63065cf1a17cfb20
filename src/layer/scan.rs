//! A folder becomes entries: sorted, with links found, attributes chosen and times clamped. Nothing is opened.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::attributes::{self, Of};
use super::entry::{Entry, Kind, OPAQUE, Source, Tree, WHITEOUT, hides_nothing, name_order, path_order};
use super::own::Own;
use super::pathname::Pathname;
use super::stamp::Clocks;

/// Why a folder could not be made entries.
#[derive(Debug, Error)]
pub enum ScanError {
    /// A file or folder of it.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A name that a layer cannot have, or what no layer can be made of.
    #[error("{path} cannot be in a layer: {reason}")]
    Name {
        /// The file.
        path: String,
        /// Why, and the way round.
        reason: String,
    },
    /// Two sources for one destination.
    #[error("{first} and {second} both go to /{path}")]
    Twice {
        /// The destination without a leading slash.
        path: String,
        /// What came first.
        first: String,
        /// What came then.
        second: String,
    },
}

impl ScanError {
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.display().to_string(), source }
    }
}

/// How the owners of a root file system are changed.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    /// All files get this owner.
    pub all: Option<(u32, u32)>,
    /// Files of one owner get another.
    pub map: std::collections::BTreeMap<(u32, u32), (u32, u32)>,
}

impl Owners {
    /// The owner that a file gets.
    pub fn apply(&self, uid: u32, gid: u32) -> (u32, u32) {
        self.all.or_else(|| self.map.get(&(uid, gid)).copied()).unwrap_or((uid, gid))
    }
}

/// What a scan found beside the entries.
#[derive(Debug, Clone, Default)]
pub struct Remarks {
    /// Sockets that were left out.
    pub sockets: Vec<PathBuf>,
    /// What was left out since the build itself writes it.
    pub own: Vec<PathBuf>,
    /// Whether any file is owned by 0.
    pub owned_by_root: bool,
}

/// The entries of a root file system, taken as it is (`rootfs` layers): those of files get their extended attributes
/// when they are packed.
///
/// # Errors
/// Where a file cannot be read, or has the name of a whiteout that hides nothing.
pub fn rootfs(folder: &Path, owners: &Owners, latest: Option<i64>) -> Result<(Vec<Entry>, Remarks), ScanError> {
    let (entries, remarks) = list(folder, owners, latest, &Own::default())?;
    Ok((with_attributes(entries)?, remarks))
}

/// The same without any extended attributes, which cost a call each: enough to tell whether the folder is what it was,
/// for an attribute does not change without the change time. What the build itself writes is left out.
///
/// # Errors
/// As [`rootfs`].
pub fn list(
    folder: &Path,
    owners: &Owners,
    latest: Option<i64>,
    own: &Own,
) -> Result<(Vec<Entry>, Remarks), ScanError> {
    let data = fs::metadata(folder).map_err(ScanError::read(folder))?;
    let mut scan = Scan {
        tree: Arc::new(Tree { folder: folder.into(), dest: Box::default(), attributes: true }),
        owners,
        latest,
        own,
        clocks: Clocks::default(),
        entries: Vec::new(),
        links: HashMap::new(),
        remarks: Remarks::default(),
        converted: false,
    };
    scan.add(folder, Vec::new().into(), &data)?;
    scan.folder(folder, &mut Vec::new())?;
    if scan.converted {
        // Their new names have another place.
        scan.entries.sort_by(|a, b| path_order(&a.path, &b.path));
    }
    Ok((scan.entries, scan.remarks))
}

/// Adds to the listed folders the attributes that a layer keeps, and the opaque whiteouts that overlayfs has as
/// attributes: what a layer above may ask about.
///
/// # Errors
/// Where attributes cannot be read, or overlayfs has what is in a folder elsewhere.
pub fn with_attributes(mut entries: Vec<Entry>) -> Result<Vec<Entry>, ScanError> {
    let mut markers = Vec::new();
    for (index, entry) in entries.iter_mut().enumerate() {
        if entry.kind != Kind::Directory {
            continue;
        }
        let Some(source) = entry.source_path() else { continue };
        let all = Of::Path(&source).all().map_err(ScanError::read(&source))?;
        if let Some(reason) = attributes::is_elsewhere(&all, true) {
            return Err(ScanError::Name { path: source.display().to_string(), reason });
        }
        // Only once where overlayfs and a file both say it.
        if attributes::is_opaque(&all) && !source.join(OsStr::from_bytes(OPAQUE)).exists() {
            markers.push((index, super::entry::join(&entry.path, OPAQUE)));
        }
        entry.xattrs = attributes::keep(&all);
    }
    if markers.is_empty() {
        return Ok(entries);
    }
    let mut marked = Vec::with_capacity(entries.len() + markers.len());
    let mut markers = markers.into_iter().peekable();
    for (index, entry) in entries.into_iter().enumerate() {
        marked.push(entry);
        // First in its folder.
        if let Some((_, path)) = markers.next_if(|(after, _)| *after == index) {
            marked.push(whiteout(path.into()));
        }
    }
    Ok(marked)
}

/// The device that a special file is. macOS has 32 bits for it, and the standard library widens them.
#[cfg_attr(target_vendor = "apple", expect(clippy::cast_possible_truncation, reason = "it was widened"))]
fn device(data: &Metadata) -> rustix::fs::Dev {
    data.rdev() as rustix::fs::Dev
}

fn whiteout(path: Pathname) -> Entry {
    Entry { path, kind: Kind::File(0), mode: 0, uid: 0, gid: 0, mtime: 0, xattrs: None, source: None }
}

struct Scan<'a> {
    tree: Arc<Tree>,
    owners: &'a Owners,
    latest: Option<i64>,
    own: &'a Own,
    clocks: Clocks,
    entries: Vec<Entry>,
    /// The first path of a file with several links, by device and inode (image-spec layer.md "Hardlinks").
    links: HashMap<(u64, u64), Pathname>,
    remarks: Remarks,
    /// Whether whiteouts of overlayfs became whiteouts of a layer.
    converted: bool,
}

impl Scan<'_> {
    /// `path` is the folder's in the archive, and is so again in the end.
    fn folder(&mut self, folder: &Path, path: &mut Vec<u8>) -> Result<(), ScanError> {
        // The names in one piece: between paths that stay, each by itself would leave a hole that nothing else fits
        // into.
        let (mut names, mut found) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(folder).map_err(ScanError::read(folder))? {
            let entry = entry.map_err(ScanError::read(folder))?;
            // Looked up in the open folder: the kernel does not walk the path again for each file.
            let data = entry.metadata().map_err(|error| ScanError::read(&entry.path())(error))?;
            let start = names.len();
            names.extend_from_slice(entry.file_name().as_bytes());
            found.push((start..names.len(), data));
        }
        found.sort_unstable_by(|(a, _), (b, _)| name_order(&names[a.clone()], &names[b.clone()]));
        self.entries.reserve(found.len());
        for (name, data) in found {
            let name = &names[name];
            let source = folder.join(OsStr::from_bytes(name));
            if self.own.holds(&source, &data) {
                self.remarks.own.push(source);
                continue;
            }
            let above = path.len();
            if above > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            self.add(&source, path.as_slice().into(), &data)?;
            if data.is_dir() {
                self.folder(&source, path)?;
            }
            path.truncate(above);
        }
        Ok(())
    }

    fn add(&mut self, source: &Path, path: Pathname, data: &Metadata) -> Result<(), ScanError> {
        let (uid, gid) = self.owners.apply(data.uid(), data.gid());
        let mtime = self.latest.map_or(data.mtime(), |latest| data.mtime().min(latest));
        self.remarks.owned_by_root |= data.uid() == 0;
        let kind = data.file_type();
        let name = super::entry::file_name(&path);
        if name.starts_with(WHITEOUT) {
            if hides_nothing(name) {
                let reason =
                    format!("the name {} is a whiteout of nothing; remove the file", String::from_utf8_lossy(name));
                return Err(ScanError::Name { path: source.display().to_string(), reason });
            }
            if !kind.is_file() {
                let reason = "a name that begins with .wh. is a whiteout, which is an empty file; rename it".into();
                return Err(ScanError::Name { path: source.display().to_string(), reason });
            }
            self.entries.push(whiteout(path));
            return Ok(());
        }
        let made = if kind.is_dir() {
            Kind::Directory
        } else if kind.is_file() {
            Kind::File(data.size())
        } else if kind.is_symlink() {
            let target = fs::read_link(source).map_err(ScanError::read(source))?;
            Kind::Symlink(target.into_os_string().into_vec().into())
        } else {
            use std::os::unix::fs::FileTypeExt;
            let (major, minor) = (rustix::fs::major(device(data)), rustix::fs::minor(device(data)));
            if kind.is_char_device() && data.rdev() == 0 {
                // overlayfs' own whiteout.
                let (folder, name) = super::entry::split(&path);
                let hidden = super::entry::join(folder, &[WHITEOUT, name].concat());
                self.entries.push(whiteout(hidden.into()));
                self.converted = true;
                return Ok(());
            } else if kind.is_char_device() {
                Kind::Character(major, minor)
            } else if kind.is_block_device() {
                Kind::Block(major, minor)
            } else if kind.is_fifo() {
                Kind::Fifo
            } else {
                self.remarks.sockets.push(source.to_owned());
                return Ok(());
            }
        };
        let mode = (data.mode() & 0o7777) as u16;
        let stamp = self.clocks.stamp(source, data);
        let source = Some(Source { tree: Arc::clone(&self.tree), stamp });
        let mut entry = Entry { path, kind: made, mode, uid, gid, mtime, xattrs: None, source };
        // Links may be of anything but folders: a symlink or a device has them as well.
        if !kind.is_dir() && data.nlink() > 1 {
            let inode = (data.dev(), data.ino());
            if let Some(first) = self.links.get(&inode) {
                // It keeps its source, and so the attributes: runtimes give each entry its owner, which takes the
                // capabilities of the file away, and then the attributes of that entry's header alone.
                entry.kind = Kind::Hardlink(first.clone());
            } else {
                self.links.insert(inode, entry.path.clone());
            }
        }
        self.entries.push(entry);
        Ok(())
    }
}

/// The names in a folder in the order of a layer.
pub(super) fn names(folder: &Path) -> Result<Vec<Vec<u8>>, ScanError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(ScanError::read(folder))? {
        names.push(entry.map_err(ScanError::read(folder))?.file_name().into_vec());
    }
    names.sort_unstable_by(|a, b| name_order(a, b));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(folder: &Path) -> Vec<Entry> {
        rootfs(folder, &Owners::default(), None).expect("entries").0
    }

    fn find<'e>(entries: &'e [Entry], path: &str) -> &'e Entry {
        entries.iter().find(|entry| *entry.path == *path.as_bytes()).unwrap_or_else(|| panic!("no {path}"))
    }

    #[test]
    fn links_of_files_and_of_symlinks_are_links() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("b"), "x").expect("a file");
        fs::hard_link(path("b"), path("c")).expect("a link");
        std::os::unix::fs::symlink("b", path("y")).expect("a link");
        fs::hard_link(path("y"), path("z")).expect("a link");
        let entries = scan(folder.path());
        assert_eq!(find(&entries, "b").kind, Kind::File(1));
        assert_eq!(find(&entries, "c").kind, Kind::Hardlink(b"b".as_slice().into()));
        assert_eq!(find(&entries, "y").kind, Kind::Symlink(b"b".as_slice().into()));
        assert_eq!(find(&entries, "z").kind, Kind::Hardlink(b"y".as_slice().into()));
    }

    #[test]
    fn a_whiteout_of_nothing_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [".wh.", ".wh..", ".wh..."] {
            fs::write(folder.path().join(name), "").expect("a file");
            let error = rootfs(folder.path(), &Owners::default(), None).expect_err("refused");
            assert!(error.to_string().contains("whiteout of nothing"), "{error}");
            fs::remove_file(folder.path().join(name)).expect("the file");
        }
        fs::create_dir(folder.path().join(".wh.folder")).expect("a folder");
        let error = rootfs(folder.path(), &Owners::default(), None).expect_err("refused");
        assert!(error.to_string().contains("rename it"), "{error}");
    }
}
