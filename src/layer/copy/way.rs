//! The way to a destination: the folders above it, as they are below, and where links below lead.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::path::{Path, PathBuf};

use super::{Copy, Ground, Source};
use crate::layer::entry::{self, Entry, Kind, WHITEOUT, file_name, join};
use crate::layer::scan::ScanError;

/// An entry that was made.
pub(super) struct Made {
    pub(super) entry: Entry,
    /// The folder that a folder came from; `None` for one on the way to a destination, and for a file, which knows.
    pub(super) from: Option<PathBuf>,
}

impl Made {
    /// How a folder on the way to a destination is called.
    pub(super) const ON_THE_WAY: &str = "the folder of another destination";

    pub(super) fn origin(&self) -> String {
        match self.entry.source_path().or_else(|| self.from.clone()) {
            Some(path) => path.display().to_string(),
            None => Self::ON_THE_WAY.into(),
        }
    }
}

impl Copy<'_> {
    /// What is at a path of the layer.
    pub(super) fn at(&self, path: &[u8]) -> Option<&Made> {
        self.places.get(path).map(|place| &self.made[*place])
    }

    /// Puts something at its path, in place of what was there.
    pub(super) fn put(&mut self, made: Made) {
        match self.places.entry(made.entry.path.clone()) {
            Occupied(place) => self.made[*place.get()] = made,
            Vacant(place) => {
                place.insert(self.made.len());
                self.made.push(made);
            }
        }
    }

    /// Whether what comes from `from` may stand at a destination: no folder below gives way to it. A link below to a
    /// folder does, as it does for `COPY`; but who names a file alone and the link may mean the folder.
    pub(super) fn takes(&self, dest: &[u8], from: &Path, is_alone: bool) -> Result<(), ScanError> {
        let Ground::Folder { path: below, .. } = self.rules.below.at(dest) else { return Ok(()) };
        let is_link = *below != *dest;
        if is_alone || !is_link {
            let reason = format!(
                "its destination /{} {} a folder in the layers below (/{}); {}",
                String::from_utf8_lossy(dest),
                if is_link { "leads to" } else { "is" },
                String::from_utf8_lossy(&below),
                if is_alone { "end it with / to go into the folder" } else { "all that is in there would be gone" },
            );
            return Err(ScanError::Name { path: from.display().to_string(), reason });
        }
        // What went through the old link would not be where the new one leads.
        if self.followed.contains(dest) {
            return Err(ScanError::Twice {
                path: String::from_utf8_lossy(dest).into_owned(),
                first: Made::ON_THE_WAY.into(),
                second: from.display().to_string(),
            });
        }
        Ok(())
    }

    /// Makes a folder and all above it; the answer is where it really is.
    pub(super) fn folder(&mut self, wanted: &[u8], from: Option<(&Source<'_>, &Path)>) -> Result<Box<[u8]>, ScanError> {
        let mut at: Box<[u8]> = Box::default();
        let count = wanted.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).count();
        for (index, part) in wanted.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).enumerate() {
            let from = from.filter(|_| index + 1 == count);
            let next = join(&at, part);
            if file_name(&next).starts_with(WHITEOUT) {
                let reason = "a name that begins with .wh. is a whiteout".into();
                return Err(ScanError::Name { path: String::from_utf8_lossy(&next).into_owned(), reason });
            }
            at = match self.at(&next) {
                Some(made) if made.entry.kind == Kind::Directory => {
                    // A folder that was only on the way to something gets the owner of what is copied to it.
                    if let (None, Some((source, path))) = (&made.from, from)
                        && matches!(self.rules.below.at(&next), Ground::Nothing)
                    {
                        let entry = own_folder(&next, source.owner, (self.rules.mtime)(path)?);
                        self.put(Made { entry, from: Some(path.into()) });
                    }
                    next
                }
                Some(made) => {
                    return Err(ScanError::Twice {
                        path: String::from_utf8_lossy(&next).into_owned(),
                        first: made.origin(),
                        second: from.map_or_else(
                            || format!("the folder of /{}", String::from_utf8_lossy(wanted)),
                            |(_, path)| path.display().to_string(),
                        ),
                    });
                }
                None => self.new_folder(next, from)?,
            };
        }
        if *at != *wanted {
            self.copied.rewritten.insert(wanted.into(), at.clone());
        }
        Ok(at)
    }

    fn new_folder(&mut self, next: Box<[u8]>, from: Option<(&Source<'_>, &Path)>) -> Result<Box<[u8]>, ScanError> {
        match self.rules.below.at(&next) {
            Ground::Folder { path, mode, uid, gid, xattrs } => {
                if path != next {
                    self.followed.insert(next);
                    // The folders above the link's end come from below too.
                    let (above, _) = entry::split(&path);
                    if !above.is_empty() {
                        self.folder(above, None)?;
                    }
                }
                if self.at(&path).is_none() {
                    let entry = Entry { mode, uid, gid, xattrs, ..own_folder(&path, (0, 0), 0) };
                    self.put(Made { entry, from: None });
                }
                Ok(path)
            }
            Ground::Nothing => {
                let (owner, mtime, from) = match from {
                    Some((source, path)) => (source.owner, (self.rules.mtime)(path)?, Some(path.to_owned())),
                    None => ((0, 0), 0, None),
                };
                self.put(Made { entry: own_folder(&next, owner, mtime), from });
                Ok(next)
            }
            Ground::Other(what) => Err(ScanError::Name {
                path: format!("/{}", String::from_utf8_lossy(&next)),
                reason: format!("a folder is needed there, but the layers below have {what}"),
            }),
        }
    }
}

fn own_folder(path: &[u8], owner: (u32, u32), mtime: i64) -> Entry {
    let path = path.into();
    Entry { path, kind: Kind::Directory, mode: 0o755, uid: owner.0, gid: owner.1, mtime, xattrs: None, source: None }
}
