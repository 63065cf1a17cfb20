//! The entries of a `tar` layer's archive, as they go into the image.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::BufReader;
use std::sync::Arc;

use super::BuiltLayer;
use crate::image::plan::content::{Archive, open_archive};
use crate::image::recipe::place::RecipeError;
use crate::image::recipe::{LayerKind, Recipe};
use crate::image::root::Root;
use crate::layer::contents::{self, Xattrs};
use crate::layer::entry::{Entry, Kind, file_name, hides_nothing};
use crate::layer::pack::{self, PackError, Packed, Packing};
use crate::layer::pathname::Pathname;
use crate::layer::untar::Reader;
use crate::layer::{attributes, sniff};
use crate::layout::BlobWriter;
use crate::oci::platform::Platform;

/// Packs the entries of an archive's file.
pub(super) fn pack(
    archive: &Archive,
    packing: Packing<'_>,
    latest: Option<i64>,
    writer: BlobWriter,
) -> Result<(BlobWriter, Packed), PackError> {
    let failed = |source| PackError::Read { path: archive.path.display().to_string(), source };
    let (file, compression) = open_archive(&archive.path).map_err(failed)?;
    let opened = file.get_ref().try_clone().map_err(failed)?;
    let tar = sniff::decompress(file, compression).map_err(failed)?;
    let mut passed = Passed::default();
    let reader = Reader::new(BufReader::with_capacity(64 << 10, tar));
    let (writer, mut packed) = pack::archive(reader, packing, |entry| passed.take(entry, latest), writer)?;
    passed.end()?;
    packed.as_listed = opened.metadata().is_ok_and(|data| archive.stamp.is_of(&data));
    Ok((writer, packed))
}

/// The entries that have passed. Their names are remembered by their hash: some bytes each, and a clash of two in a
/// layer is once in ages.
#[derive(Default)]
struct Passed {
    /// Whether each is a folder.
    names: HashMap<u64, bool>,
    /// The attributes of those that have any.
    attributes: HashMap<u64, Box<Xattrs>>,
    /// Hard links whose targets have not passed: path and target.
    open: Vec<(Pathname, Pathname)>,
}

fn hash(path: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(path)
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

impl Passed {
    /// The entry as it will be in the layer.
    fn take(&mut self, mut entry: Entry, latest: Option<i64>) -> Result<Option<Entry>, PackError> {
        // The root of an archive made in some folder has that folder's owner and mode, which are not meant.
        if entry.path.is_empty() {
            return Ok(None);
        }
        let path = || shown(&entry.path);
        if hides_nothing(file_name(&entry.path)) {
            let name = shown(file_name(&entry.path));
            let path = path();
            let message = format!("{path} cannot be in a layer: the name {name} is a whiteout of nothing");
            return Err(PackError::Entry(message));
        }
        if let Kind::Hardlink(target) = &entry.kind {
            match self.names.get(&hash(target)) {
                _ if *target == entry.path => {
                    return Err(PackError::Entry(format!("{} is a hard link to itself", path())));
                }
                Some(true) => return Err(to_a_folder(&path(), target)),
                Some(false) => {}
                None => self.open.push((entry.path.clone(), target.clone())),
            }
        }
        if self.names.insert(hash(&entry.path), entry.kind == Kind::Directory).is_some()
            && entry.kind != Kind::Directory
        {
            return Err(PackError::Entry(format!(
                "{} stands twice in the archive: a layer has each path once (it was appended to; make it anew)",
                path()
            )));
        }
        if let Some(latest) = latest {
            entry.mtime = entry.mtime.min(latest);
        }
        entry.xattrs = entry.xattrs.and_then(|xattrs| attributes::keep(&xattrs));
        // Where the header of a link has none, those of the file are lost when a runtime gives the link its owner.
        if let (None, Kind::Hardlink(target)) = (&entry.xattrs, &entry.kind) {
            entry.xattrs = self.attributes.get(&hash(target)).cloned();
        }
        if let Some(xattrs) = &entry.xattrs
            && entry.kind != Kind::Directory
        {
            self.attributes.insert(hash(&entry.path), xattrs.clone());
        }
        Ok(Some(entry))
    }

    /// No runtime makes a link before the file. Targets that have not passed at all may be in the layers below.
    fn end(self) -> Result<(), PackError> {
        match self.open.iter().find(|(_, target)| self.names.contains_key(&hash(target))) {
            None => Ok(()),
            Some((path, target)) if self.names.get(&hash(target)) == Some(&true) => {
                Err(to_a_folder(&shown(path), target))
            }
            Some((path, target)) => Err(PackError::Entry(format!(
                "{} is a hard link to {}, which comes after it in the archive: no runtime could unpack it; make the archive \
                 anew, files before their links",
                shown(path),
                shown(target)
            ))),
        }
    }
}

fn to_a_folder(path: &str, target: &[u8]) -> PackError {
    let target = shown(target);
    PackError::Entry(format!("{path} is a hard link to {target}, which is a folder: only files have hard links"))
}

/// Whether what the hard links of `tar` layers lead to is there: in the archive before them, which was seen when the
/// layer was made, or in the layers below.
pub(super) fn check_links(recipe: &Recipe, platform: &Platform, layers: &[BuiltLayer]) -> Result<(), RecipeError> {
    for (index, layer) in layers.iter().enumerate() {
        let of_archive = |one: &&crate::image::recipe::LayerRecipe| {
            layer.name.as_ref() == Some(&one.name) && matches!(one.kind, LayerKind::Tar { .. })
        };
        let Some(written) = recipe.layers.iter().find(of_archive) else { continue };
        let open = open_links(&layer.contents.nodes);
        if open.is_empty() {
            continue;
        }
        let root = Root::of(layers[..=index].iter().map(|layer| Arc::clone(&layer.contents)).collect());
        for (path, target) in open {
            let reason = match root.resolve(target) {
                Ok(found) if found.node.kind != contents::Kind::Directory => continue,
                Ok(_) => "which is a folder: only files have hard links",
                Err(_) => "which is neither in the archive nor in the layers below: no runtime could unpack it",
            };
            let (path, target) = (shown(path), shown(target));
            return Err(RecipeError::new(format!(
                "layer {}: {path} is a hard link to {target}, {reason} (for {platform})",
                layer.name.as_deref().unwrap_or_default()
            ))
            .or_at(written.place.clone())
            .help("make the archive anew, with the file and before its links"));
        }
    }
    Ok(())
}

/// The hard links of a layer whose targets are not before them: paths and targets.
fn open_links(nodes: &[contents::Node]) -> Vec<(&[u8], &[u8])> {
    let mut open = Vec::new();
    if !nodes.iter().any(|node| matches!(node.kind, contents::Kind::Hardlink(_))) {
        return open;
    }
    let mut before: HashSet<&[u8]> = HashSet::with_capacity(nodes.len());
    for node in nodes {
        match &node.kind {
            contents::Kind::Whiteout | contents::Kind::Opaque => continue,
            contents::Kind::Hardlink(target) if !before.contains(&**target) => open.push((&*node.path, &**target)),
            _ => {}
        }
        before.insert(&node.path);
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        let path = path.as_bytes().into();
        Entry { path, kind, mode: 0o700, uid: 1000, gid: 1000, mtime: 5, xattrs: None, source: None }
    }

    fn link(path: &str, target: &str) -> Entry {
        entry(path, Kind::Hardlink(target.as_bytes().into()))
    }

    #[test]
    fn the_root_of_an_archive_is_not_the_layers() {
        let mut passed = Passed::default();
        assert!(passed.take(entry("", Kind::Directory), None).expect("left out").is_none());
        let kept = passed.take(entry("etc", Kind::Directory), Some(3)).expect("taken").expect("taken");
        assert_eq!((&*kept.path, kept.mtime), (b"etc".as_slice(), 3));
    }

    #[test]
    fn a_bare_hard_link_has_the_attributes_of_its_file() {
        let mut passed = Passed::default();
        let attribute = |name: &str| (Box::from(name.as_bytes()), Box::from(*b"x"));
        let all = Some(Box::new(vec![attribute("security.capability"), attribute("security.selinux")]));
        let file = Entry { xattrs: all, ..entry("ping", Kind::File(1)) };
        let kept = Some(Box::new(vec![attribute("security.capability")]));
        let mut take = |entry| passed.take(entry, None).expect("taken").expect("taken").xattrs;
        assert_eq!(take(file), kept);
        assert_eq!(take(link("ping6", "ping")), kept);
        assert_eq!(take(link("ping4", "ping6")), kept, "and a link to the link");
        let own = Some(Box::new(vec![attribute("user.own")]));
        assert_eq!(take(Entry { xattrs: own.clone(), ..link("other", "ping") }), own);
    }

    #[test]
    fn hard_links_that_nobody_could_make_are_refused() {
        let told = |entries: Vec<Entry>| {
            let mut passed = Passed::default();
            let taken = entries.into_iter().try_for_each(|entry| passed.take(entry, None).map(drop));
            taken.and_then(|()| passed.end()).map_err(|error| error.to_string())
        };
        let file = || entry("z", Kind::File(0));
        assert!(told(vec![file(), link("a", "z")]).is_ok());
        assert!(told(vec![link("a", "bin/sh")]).is_ok(), "it may be in a layer below");
        for (entries, word) in [
            (vec![link("a", "z"), file()], "a is a hard link to z, which comes after it"),
            (vec![link("a", "a")], "a is a hard link to itself"),
            (vec![entry("z", Kind::Directory), link("a", "z")], "a is a hard link to z, which is a folder"),
            (vec![link("a", "z"), entry("z", Kind::Directory)], "a is a hard link to z, which is a folder"),
            (vec![entry("b/.wh..", Kind::File(0))], "the name .wh.. is a whiteout of nothing"),
        ] {
            let error = told(entries).expect_err("refused");
            assert!(error.contains(word), "{error}");
        }
    }
}
