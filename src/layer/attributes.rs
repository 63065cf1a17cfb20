//! Extended attributes of what is on the disk, and which of them a layer keeps.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{fgetxattr, flistxattr, flistxattr_query, lgetxattr, llistxattr, llistxattr_query};
use rustix::io::Errno;

use super::contents::Xattrs;

/// The most bytes that a value has (`XATTR_SIZE_MAX` of Linux).
const VALUE_LIMIT: usize = 64 << 10;

/// What attributes are of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of<'a> {
    /// What stands at a path. A link is not followed.
    Path(&'a Path),
    /// An open file: the kernel does not walk its path again.
    File(&'a File),
}

impl Of<'_> {
    /// All that can be read, sorted by name.
    pub(super) fn all(self) -> io::Result<Xattrs> {
        // With an empty buffer the call for names says 0, whatever there is: the size is another call.
        let size = match self {
            Self::Path(path) => llistxattr_query(path),
            Self::File(file) => flistxattr_query(file),
        };
        let size = match size {
            Ok(0) | Err(Errno::NOTSUP | Errno::PERM | Errno::ACCESS) => return Ok(Xattrs::new()),
            result => result?,
        };
        let mut names = vec![0; size];
        let size = match self {
            Self::Path(path) => llistxattr(path, names.as_mut_slice()),
            Self::File(file) => flistxattr(file, names.as_mut_slice()),
        }?;
        let mut out = Xattrs::new();
        for name in names[..size].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let mut value = vec![0; VALUE_LIMIT];
            let size = match self {
                Self::Path(path) => lgetxattr(path, name, value.as_mut_slice()),
                Self::File(file) => fgetxattr(file, name, value.as_mut_slice()),
            };
            match size {
                Ok(size) => {
                    value.truncate(size);
                    out.push((name.into(), value.into()));
                }
                Err(Errno::NODATA | Errno::NOTSUP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        out.sort();
        Ok(out)
    }
}

/// Whether a folder with these shows nothing of what lies below it: overlayfs' own opaque whiteout.
pub(super) fn is_opaque(all: &Xattrs) -> bool {
    let names = [b"trusted.overlay.opaque".as_slice(), b"user.overlay.opaque"];
    all.iter().any(|(name, value)| names.contains(&&**name) && **value == *b"y")
}

/// Why a file or folder of overlayfs' upper folder is not all there: with `metacopy` a file whose mode or owner was
/// changed has no data of its own, and with `redirect_dir` a folder that was renamed has nothing of what was in it. Of
/// a file `redirect` alone says nothing, and an opaque folder shows nothing of the lower one, wherever that is.
pub(super) fn is_elsewhere(all: &Xattrs, of_folder: bool) -> Option<String> {
    let (ending, what) = if of_folder { ("redirect", "content") } else { ("metacopy", "data") };
    let says = |name: &[u8]| {
        let name = name.strip_prefix(b"trusted.overlay.").or_else(|| name.strip_prefix(b"user.overlay."));
        name == Some(ending.as_bytes())
    };
    let (name, _) = all.iter().find(|(name, _)| says(name))?;
    (!of_folder || !is_opaque(all)).then(|| {
        format!(
            "overlayfs has its {what} in a lower folder, as the attribute {} says; take the folder where the overlay is \
             mounted, or make the changes in one that is mounted with redirect_dir=off,metacopy=off",
            String::from_utf8_lossy(name)
        )
    })
}

/// The attributes that a layer keeps: what the program needs, nothing that belongs to this host.
pub fn keep(all: &Xattrs) -> Option<Box<Xattrs>> {
    let kept: Xattrs = all
        .iter()
        .filter(|(name, _)| {
            (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
                || &**name == b"security.capability"
                || name.starts_with(b"system.posix_acl_")
        })
        .cloned()
        .collect();
    (!kept.is_empty()).then(|| Box::new(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_the_same_of_a_path_and_of_an_open_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "x").expect("a file");
        let flags = rustix::fs::XattrFlags::empty();
        for (name, value) in [("user.colour", "blue"), ("user.overlay.origin", "no"), ("user.a", "1\n2")] {
            if let Err(error) = rustix::fs::setxattr(&path, name, value.as_bytes(), flags) {
                // Some file systems have none; the interop tests have one that does.
                assert_eq!(error, Errno::NOTSUP);
                return;
            }
        }
        let all = Of::Path(&path).all().expect("attributes");
        assert_eq!(all, Of::File(&File::open(&path).expect("the file")).all().expect("attributes"));
        let kept = keep(&all).expect("some");
        let names: Vec<_> = kept.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        assert_eq!(names, ["user.a", "user.colour"]);
        assert_eq!(&*kept[0].1, b"1\n2");
    }
}
