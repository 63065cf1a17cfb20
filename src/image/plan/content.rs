//! What a layer will hold, before it is made.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::layer::cache::Known;
use crate::layer::contents::{self, Contents, Head};
use crate::layer::entry::{Entry, Kind};
use crate::layer::stamp::{Clocks, Stamp};
use crate::layer::{attributes, sniff};
use crate::oci::media_type::Compression;

/// What a layer will hold.
#[derive(PartialEq)]
pub enum Content {
    /// Files of the disk.
    Entries(Vec<Entry>),
    /// The entries of an archive.
    Archive(Archive),
    /// What was made before.
    Known(Known),
}

/// The file of an archive.
#[derive(PartialEq)]
pub struct Archive {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// How it stood there when it was looked at.
    pub stamp: Stamp,
}

impl Archive {
    /// The archive at a path, as it is now.
    ///
    /// # Errors
    /// Where the path cannot be asked about.
    pub fn at(path: &Path) -> io::Result<Self> {
        let data = fs::metadata(path)?;
        Ok(Self { path: path.into(), size: data.len(), stamp: Clocks::default().stamp(path, &data) })
    }
}

impl Content {
    /// What a later layer may ask about: folders, links and what hides them.
    pub(super) fn skeleton(&self) -> Result<Arc<Contents>, Box<dyn std::error::Error + Send + Sync>> {
        match self {
            Self::Known(known) => Ok(Arc::clone(&known.contents)),
            Self::Entries(entries) => {
                let node = |entry: &Entry| Entry { source: None, ..entry.clone() }.into_node(Head::Other);
                Ok(Arc::new(Contents { nodes: entries.iter().map(node).collect() }))
            }
            Self::Archive(Archive { path, .. }) => {
                let (file, compression) = open_archive(path)?;
                let mut contents = sniff::contents(sniff::decompress(file, compression)?)?;
                // As the layer will have them: a folder above a copy's destination gets its attributes from here.
                contents.nodes.retain(|node| !(node.path.is_empty() && node.kind == contents::Kind::Directory));
                for node in &mut contents.nodes {
                    node.xattrs = node.xattrs.take().and_then(|xattrs| attributes::keep(&xattrs));
                }
                Ok(Arc::new(contents))
            }
        }
    }

    /// The bytes that its tar will have, nearly.
    pub fn expected_size(&self) -> u64 {
        match self {
            Self::Known(known) => known.tar_size,
            Self::Entries(entries) => entries
                .iter()
                .map(|entry| match entry.kind {
                    Kind::File(size) => 512 + size.next_multiple_of(512),
                    _ => 512,
                })
                .sum(),
            Self::Archive(archive) => archive.size,
        }
    }
}

/// Opens an archive and tells its compression. One in xz or bzip2 is refused: image layers have neither, so no reader
/// of it is at hand.
///
/// # Errors
/// Where it cannot be read, or is in xz or bzip2.
pub fn open_archive(path: &Path) -> io::Result<(BufReader<File>, Compression)> {
    use std::io::BufRead;
    let mut file = BufReader::with_capacity(256 << 10, File::open(path)?);
    let magic = file.fill_buf()?;
    let compression = sniff::compression(magic);
    if compression == Compression::None
        && let Some(program) = sniff::program(magic)
    {
        return Err(io::Error::other(format!(
            "it is compressed by {program}; decompress it first ({program} -dk {})",
            path.display()
        )));
    }
    Ok((file, compression))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_lies_below_as_its_layer_will() {
        use crate::layer::{entry::Entry, tar};
        let attribute = |name: &str| (Box::from(name.as_bytes()), Box::from(*b"x"));
        let mut bytes = Vec::new();
        for (path, kind) in [("", Kind::Directory), (".wh..wh..opq", Kind::File(0)), ("etc", Kind::Directory)] {
            let entry = Entry {
                path: path.as_bytes().into(),
                kind,
                mode: 0o700,
                uid: 0,
                gid: 0,
                mtime: 0,
                xattrs: Some(Box::new(vec![attribute("security.selinux"), attribute("user.note")])),
                source: None,
            };
            tar::header(&entry, &mut bytes);
        }
        bytes.resize(bytes.len() + 2 * tar::BLOCK, 0);
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), bytes).expect("a file");
        let nodes = &Content::Archive(Archive::at(file.path()).expect("a file")).skeleton().expect("contents").nodes;
        assert_eq!((nodes.len(), &nodes[0].kind), (2, &contents::Kind::Opaque));
        assert_eq!(nodes[1].xattrs.as_deref(), Some(&vec![attribute("user.note")]));
    }
}
