//! The merged root file systems of two images, path by path.

use std::cmp;
use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write as _};
use std::sync::Arc;

use super::{Aspect, FileDifference, Standing};
use crate::blob::{BlobSource, Tally, digest_of};
use crate::event::Observer;
use crate::image::check::other_tar;
use crate::image::inspect::{Documents, InspectError, Unread, read_layers};
use crate::image::root::Root;
use crate::layer::contents::{Contents, Head, Kind, Node};
use crate::layer::entry::{self, Entry};
use crate::layer::pathname::Pathname;
use crate::layer::sniff;
use crate::layer::untar::Reader;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::media_type::{self, Compression};

/// What a layer holds, and of each entry what the table of contents does not keep.
pub(super) struct Listing {
    contents: Arc<Contents>,
    prints: HashMap<Pathname, Print>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Print {
    mtime: i64,
    data: Data,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Data {
    None,
    File(Digest),
    Character(u32, u32),
    Block(u32, u32),
    Fifo,
}

/// Reads each layer once, so many at a time, and holds its tar to the diff ID: what a configuration says of a layer is
/// another's word. Two that say different things of one layer have it read twice.
pub(super) fn list(
    both: [(&dyn BlobSource, &Documents); 2],
    threads: usize,
    observer: &dyn Observer,
) -> Result<HashMap<Digest, Arc<Listing>>, InspectError> {
    let mut todo: Vec<Unread<'_, Digest>> = Vec::new();
    for (source, image) in both {
        for (layer, diff_id) in image.manifest.layers.iter().zip(&image.config.rootfs.diff_ids) {
            let said = |layer: &Descriptor| (layer.digest, layer.size, media_type::kind(&layer.media_type));
            if !todo.iter().any(|(_, known, promised)| promised == diff_id && said(known) == said(layer)) {
                todo.push((source, layer, *diff_id));
            }
        }
    }
    read_layers(&todo, threads, observer, |(source, layer, diff_id), compression| {
        listing(*source, layer, compression, *diff_id)
    })
}

fn listing(
    source: &dyn BlobSource,
    layer: &Descriptor,
    compression: Compression,
    diff_id: Digest,
) -> Result<Listing, Box<dyn std::error::Error + Send + Sync>> {
    let mut blob = source.open(layer)?;
    let read = sniff::decompress(&mut blob, compression).map_err(Into::into).and_then(|tar| {
        let mut tar = Tallied { tar, tally: Tally::new(io::sink()) };
        let listing = entries(&mut tar)?;
        match tar.tally.digest() {
            found if found == diff_id => Ok(listing),
            found => Err(other_tar(found, diff_id).into()),
        }
    });
    // Only its end tells that the bytes are the promised ones; where they are not, that is the reason for all else.
    io::copy(&mut blob, &mut io::sink())?;
    read
}

/// A tar, and the digest of what has been read of it.
struct Tallied<R> {
    tar: R,
    tally: Tally<io::Sink>,
}

impl<R: Read> Read for Tallied<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.tar.read(buffer)?;
        self.tally.write_all(&buffer[..count])?;
        Ok(count)
    }
}

fn entries(tar: impl Read) -> Result<Listing, Box<dyn std::error::Error + Send + Sync>> {
    let mut reader = Reader::of_whole(BufReader::with_capacity(64 << 10, tar));
    let (mut nodes, mut prints) = (Vec::new(), HashMap::new());
    let mut room = sniff::Room::default();
    while let Some(entry) = reader.next_entry()? {
        let data = match entry.kind {
            entry::Kind::File(_) => Data::File(digest_of(reader.data())?),
            entry::Kind::Character(major, minor) => Data::Character(major, minor),
            entry::Kind::Block(major, minor) => Data::Block(major, minor),
            entry::Kind::Fifo => Data::Fifo,
            _ => Data::None,
        };
        let Entry { mtime, .. } = entry;
        let node = entry.into_node(Head::Other);
        room.keep(&node, reader.offset())?;
        // The marker of an opaque folder has the path of that folder.
        if !matches!(node.kind, Kind::Whiteout | Kind::Opaque) {
            prints.insert(node.path.clone(), Print { mtime, data });
        }
        nodes.push(node);
    }
    reader.drain()?;
    Ok(Listing { contents: Arc::new(Contents { nodes }), prints })
}

/// The root file system of one image.
pub(super) struct Merged {
    root: Root,
    /// Its layers, lowest first, and their diff IDs.
    layers: Vec<(Arc<Listing>, Digest)>,
}

impl Merged {
    pub(super) fn of(image: &Documents, listings: &HashMap<Digest, Arc<Listing>>) -> Self {
        let layers = image.manifest.layers.iter().zip(&image.config.rootfs.diff_ids);
        let layers: Vec<_> =
            layers.filter_map(|(layer, diff_id)| Some((Arc::clone(listings.get(&layer.digest)?), *diff_id))).collect();
        Self { root: Root::of(layers.iter().map(|(listing, _)| Arc::clone(&listing.contents)).collect()), layers }
    }

    fn print(&self, node: &Node, layer: usize) -> Print {
        let none = Print { mtime: 0, data: Data::None };
        self.layers[layer].0.prints.get(&node.path).copied().unwrap_or(none)
    }

    fn standing(&self, node: &Node, layer: usize) -> Standing {
        let Print { mtime, data } = self.print(node, layer);
        let shown = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned());
        let (kind, size, target) = match (&node.kind, data) {
            (Kind::Directory, _) => ("directory", None, None),
            (Kind::Symlink(target), _) => ("symlink", None, shown(target)),
            // Its target is in no layer.
            (Kind::Hardlink(target), _) => ("hardlink", None, shown(target)),
            (Kind::File { size, .. }, _) => ("file", Some(*size), None),
            (_, Data::Character(major, minor)) => ("character device", None, Some(format!("{major}:{minor}"))),
            (_, Data::Block(major, minor)) => ("block device", None, Some(format!("{major}:{minor}"))),
            _ => ("fifo", None, None),
        };
        let digest = match data {
            Data::File(digest) => Some(digest),
            _ => None,
        };
        let (mode, owner) = (format!("{:04o}", node.mode), format!("{}:{}", node.uid, node.gid));
        Standing { kind, size, digest, target, mode, owner, mtime, layer: self.layers[layer].1 }
    }
}

pub(super) fn files(a: &Merged, b: &Merged) -> Vec<FileDifference> {
    let mut found = Vec::new();
    let (mut left, mut right) = (a.root.iter().peekable(), b.root.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (Some((a, ..)), Some((b, ..))) => a.cmp(b),
            (Some(_), None) => cmp::Ordering::Less,
            (None, Some(_)) => cmp::Ordering::Greater,
            (None, None) => return found,
        };
        let in_a = if order.is_le() { left.next() } else { None };
        let in_b = if order.is_ge() { right.next() } else { None };
        let path = in_a.or(in_b).map(|(path, ..)| path).unwrap_or_default();
        let what = match (in_a, in_b) {
            (Some((_, a_node, a_layer)), Some((_, b_node, b_layer))) => {
                let same_layer = a.layers[a_layer].1 == b.layers[b_layer].1;
                if same_layer && a_node.path == b_node.path {
                    continue;
                }
                let what = aspects((a_node, a.print(a_node, a_layer)), (b_node, b.print(b_node, b_layer)));
                if what.is_empty() {
                    continue;
                }
                what
            }
            _ => Vec::new(),
        };
        found.push(FileDifference {
            path: format!("/{}", String::from_utf8_lossy(path)),
            what,
            a: in_a.map(|(_, node, layer)| a.standing(node, layer)),
            b: in_b.map(|(_, node, layer)| b.standing(node, layer)),
        });
    }
}

fn aspects((a, print_a): (&Node, Print), (b, print_b): (&Node, Print)) -> Vec<Aspect> {
    let mut what = Vec::new();
    match (&a.kind, &b.kind) {
        (Kind::File { size: a, .. }, Kind::File { size: b, .. }) => {
            if a != b || print_a.data != print_b.data {
                what.push(Aspect::Content);
            }
        }
        (a, b) if a == b => {
            if print_a.data != print_b.data {
                what.push(Aspect::Target);
            }
        }
        (Kind::Symlink(_), Kind::Symlink(_)) => what.push(Aspect::Target),
        _ => what.push(Aspect::Kind),
    }
    let others = [
        (Aspect::Mode, a.mode != b.mode),
        (Aspect::Owner, (a.uid, a.gid) != (b.uid, b.gid)),
        (Aspect::Time, print_a.mtime != print_b.mtime),
        (Aspect::Xattrs, a.xattrs != b.xattrs),
    ];
    what.extend(others.into_iter().filter(|(_, differs)| *differs).map(|(aspect, _)| aspect));
    what
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some kilobytes once they are compressed, and gigabytes in memory.
    #[test]
    fn what_is_kept_of_a_layer_is_bounded() {
        let xattrs = Some(Box::new(vec![(b"user.a".as_slice().into(), vec![b'x'; 1_000_000].into())]));
        let (path, kind) = (b"a".as_slice().into(), entry::Kind::Directory);
        let entry = Entry { path, kind, mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs, source: None };
        let mut one = Vec::new();
        crate::layer::tar::header(&entry, &mut one);
        let many = |count: usize| entries(io::Cursor::new(one.repeat(count)).chain([0; 1024].as_slice()));
        assert_eq!(many(2).expect("a listing").contents.nodes.len(), 2);
        let error = many(140).err().expect("too much").to_string();
        assert!(error.contains("128 MiB would be kept"), "{error}");
    }
}
