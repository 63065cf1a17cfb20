//! The merged root file system of an image: its layers' contents applied in order as a runtime applies them
//! (image-spec layer.md "Applying Changesets"), and paths resolved in it as a runtime resolves them.
//!
//! Paths and link targets come from strangers: a resolution never leaves the root, follows at most [`MAX_LINKS`] links
//! and takes at most [`MAX_STEPS`] steps, and what a layer hides is looked for once, however often it says so.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, LazyLock};

use crate::layer::contents::{Contents, Kind, Node};
use crate::layer::entry::{join, split};
use crate::layer::pathname::Pathname;

/// How many symbolic links a resolution follows, as Linux does.
pub const MAX_LINKS: usize = 40;

/// How many parts of paths a resolution passes. Links among deep folders take some hundreds; forty that go to and fro
/// take fifty thousand.
pub const MAX_STEPS: usize = 1024;

/// The root file system of one image.
#[derive(Debug, Clone, Default)]
pub struct Root {
    layers: Vec<Arc<Contents>>,
    /// By path, without a leading slash. The root itself stands at the empty path where a layer has it.
    paths: BTreeMap<Pathname, Place>,
}

/// A folder that no layer names: a runtime makes it when the first entry below is unpacked.
static UNNAMED: LazyLock<Node> = LazyLock::new(|| Node {
    path: Pathname::from(b"".as_slice()),
    kind: Kind::Directory,
    mode: 0o755,
    uid: 0,
    gid: 0,
    xattrs: None,
});

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    layer: u32,
    node: u32,
}

/// An entry that a path led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'a> {
    /// The path at which it was found, free of links, without a leading slash.
    pub path: Box<[u8]>,
    /// The entry. Never a link when links were followed.
    pub node: &'a Node,
    /// The layer that it comes from, counted from the lowest.
    pub layer: usize,
}

/// Why a path led nowhere. Paths are without a leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// Nothing stands at this path.
    Missing(Box<[u8]>),
    /// What stands at this path is no folder, but the path goes on.
    NotADirectory(Box<[u8]>),
    /// More than [`MAX_LINKS`] links or [`MAX_STEPS`] steps, the last of them here.
    Loop(Box<[u8]>),
}

impl Root {
    /// The file system that these layers make, lowest first.
    pub fn of(layers: Vec<Arc<Contents>>) -> Self {
        let mut root = Self { layers: Vec::with_capacity(layers.len()), paths: BTreeMap::new() };
        for layer in layers {
            root.apply(&layer);
        }
        root
    }

    /// The same root, now that its layers are whole and some have been put on top: `layers` are all of them, lowest
    /// first. Those that this one has are applied, so they stay where they name the same paths.
    #[must_use]
    pub fn completed(mut self, layers: Vec<Arc<Contents>>) -> Self {
        let same_node = |(old, new): (&Node, &Node)| {
            let same_kind = matches!((&old.kind, &new.kind), (Kind::File { .. }, Kind::File { .. }));
            old.path == new.path && (same_kind || old.kind == new.kind)
        };
        let same_places = |(old, new): (&Arc<Contents>, &Arc<Contents>)| {
            Arc::ptr_eq(old, new)
                || old.nodes.len() == new.nodes.len() && old.nodes.iter().zip(&new.nodes).all(same_node)
        };
        if self.layers.len() > layers.len() || !self.layers.iter().zip(&layers).all(same_places) {
            return Self::of(layers);
        }
        let applied = self.layers.len();
        self.layers.clone_from_slice(&layers[..applied]);
        for layer in &layers[applied..] {
            self.apply(layer);
        }
        self
    }

    /// Puts one more layer on top.
    pub fn apply(&mut self, contents: &Arc<Contents>) {
        let layer = u32::try_from(self.layers.len()).unwrap_or(u32::MAX);
        self.layers.push(Arc::clone(contents));
        // The folders that the entry before is in, outermost first, each as written and as it resolves: a tree is told
        // in order, so that each folder of it is looked up once.
        let mut open: Vec<[Box<[u8]>; 2]> = Vec::new();
        // What this layer has hidden: of the layers below nothing more will be there.
        let mut hidden: HashSet<Box<[u8]>> = HashSet::new();
        for (index, node) in contents.nodes.iter().enumerate() {
            let place = Place { layer, node: u32::try_from(index).unwrap_or(u32::MAX) };
            let (folder, name) = split(&node.path);
            let path: Pathname = if folder.is_empty() {
                open.clear();
                node.path.clone()
            } else {
                open.truncate(open.iter().take_while(|[written, _]| is_within(folder, written)).count());
                if open.last().is_none_or(|[written, _]| **written != *folder) {
                    open.push([folder.into(), self.folder_for(folder)]);
                }
                match open.last() {
                    Some([_, resolved]) if **resolved != *folder => join(resolved, name).into(),
                    _ => node.path.clone(),
                }
            };
            // Where a link comes or goes, the folders may be elsewhere from now on.
            let moves = match &node.kind {
                Kind::Symlink(_) | Kind::Whiteout => {
                    self.paths.contains_key(&path) || open.iter().any(|[_, resolved]| is_within(resolved, &path))
                }
                kind => *kind == Kind::Opaque,
            };
            if moves {
                open.clear();
            }
            match &node.kind {
                Kind::Whiteout => {
                    self.hide_below(&path, layer, &mut hidden);
                    if self.paths.get(&path).is_some_and(|place| place.layer < layer) {
                        self.paths.remove(&path);
                    }
                }
                // It lies in the folder, whose own name may be a link.
                Kind::Opaque => {
                    let folder = self.folder_for(&node.path);
                    self.hide_below(&folder, layer, &mut hidden);
                }
                Kind::Directory => {
                    self.paths.insert(path, place);
                }
                Kind::Hardlink(target) => {
                    // The link is the file: it shows what its target is at this moment.
                    let at = || {
                        let (folder, name) = split(target);
                        self.paths.get(&*join(&self.folder_for(folder), name)).copied()
                    };
                    let place = self.paths.get(target.as_ref()).copied().or_else(at).unwrap_or(place);
                    self.remove_below(&path);
                    self.paths.insert(path, place);
                }
                Kind::File { .. } | Kind::Symlink(_) | Kind::Special => {
                    self.remove_below(&path);
                    self.paths.insert(path, place);
                }
            }
        }
    }

    /// The folder that an entry written below `folder` lands in: links of lower layers are followed, as runtimes do.
    fn folder_for(&self, folder: &[u8]) -> Box<[u8]> {
        match self.resolve(folder) {
            Ok(found) => found.path,
            // A folder that no layer names is one all the same.
            Err(Unresolved::Missing(at)) if self.holds_entries(&at) => at,
            Err(_) => folder.into(),
        }
    }

    fn below(&self, path: &[u8]) -> Vec<Pathname> {
        let mut start = path.to_vec();
        if !start.is_empty() {
            start.push(b'/');
        }
        self.paths
            .range::<[u8], _>((Bound::Excluded(start.as_slice()), Bound::Unbounded))
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(&start))
            .cloned()
            .collect()
    }

    /// Hides what the layers below have in a folder. To do it again takes a stranger's layer no byte, so it is done
    /// once.
    fn hide_below(&mut self, path: &[u8], layer: u32, hidden: &mut HashSet<Box<[u8]>>) {
        let above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| &path[..end]);
        if above.chain([path]).chain([b"".as_slice()]).any(|folder| hidden.contains(folder)) {
            return;
        }
        hidden.insert(path.into());
        for key in self.below(path) {
            if self.paths.get(&key).is_some_and(|place| place.layer < layer) {
                self.paths.remove(&key);
            }
        }
    }

    fn remove_below(&mut self, path: &[u8]) {
        // Only a folder has anything below it, be it one that no layer names.
        if self.lookup(path).is_none_or(|(node, _)| node.kind == Kind::Directory) {
            for key in self.below(path) {
                self.paths.remove(&key);
            }
        }
    }

    fn node(&self, place: Place) -> &Node {
        &self.layers[place.layer as usize].nodes[place.node as usize]
    }

    /// What stands at exactly this path (without a leading slash), no link followed, and its layer.
    pub fn lookup(&self, path: &[u8]) -> Option<(&Node, usize)> {
        self.paths.get(path).map(|place| (self.node(*place), place.layer as usize))
    }

    /// Every path with its entry and layer, sorted by bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Node, usize)> {
        self.paths.iter().map(|(path, place)| (path.as_ref(), self.node(*place), place.layer as usize))
    }

    /// What each layer holds, lowest first, whether or not a later one hides it.
    pub fn layers(&self) -> &[Arc<Contents>] {
        &self.layers
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether there is no entry at all.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Follows a path, absolute or relative to the root, and every link on it, within the root.
    ///
    /// A folder that no layer names but that holds an entry counts as a folder; it has no node, so a path that ends
    /// there is `Missing`. What stands before a slash at the end must be a folder.
    ///
    /// # Errors
    /// Where nothing stands there, something on the way is no folder, or links lead in a circle.
    pub fn resolve(&self, path: &[u8]) -> Result<Found<'_>, Unresolved> {
        let mut must_be_folder = ends_as_folder(path);
        let mut at: Vec<u8> = Vec::new();
        let mut todo: Vec<Box<[u8]>> = parts_reversed(path);
        let (mut links, mut steps) = (0, 0);
        while let Some(part) = todo.pop() {
            steps += 1;
            if steps > MAX_STEPS {
                return Err(Unresolved::Loop(join(&at, &part)));
            }
            if part.as_ref() == b".." {
                let cut = at.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                at.truncate(cut);
                continue;
            }
            let next = join(&at, &part);
            match self.lookup(&next).map(|(node, _)| &node.kind) {
                Some(Kind::Symlink(target)) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Unresolved::Loop(next));
                    }
                    if target.starts_with(b"/") {
                        at.clear();
                    }
                    must_be_folder |= todo.is_empty() && ends_as_folder(target);
                    todo.extend(parts_reversed(target));
                }
                Some(Kind::Directory) => at = next.into_vec(),
                Some(_) if todo.is_empty() => at = next.into_vec(),
                Some(_) => return Err(Unresolved::NotADirectory(next)),
                None if self.holds_entries(&next) => at = next.into_vec(),
                None => return Err(Unresolved::Missing(next)),
            }
        }
        match self.lookup(&at) {
            Some((node, _)) if must_be_folder && node.kind != Kind::Directory => {
                Err(Unresolved::NotADirectory(at.into()))
            }
            Some((node, layer)) => Ok(Found { path: at.into(), node, layer }),
            None => Err(Unresolved::Missing(at.into())),
        }
    }

    /// As [`Self::resolve`], where a folder that no layer names is found as well: one of root's with mode 0755, from
    /// the layer of the first entry in it.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn locate(&self, path: &[u8]) -> Result<Found<'_>, Unresolved> {
        self.resolve(path).or_else(|unresolved| match unresolved {
            Unresolved::Missing(at) => match self.first_below(&at) {
                Some((_, place)) => Ok(Found { path: at, node: &UNNAMED, layer: place.layer as usize }),
                None => Err(Unresolved::Missing(at)),
            },
            other => Err(other),
        })
    }

    /// Whether an entry stands below a path that itself may have none.
    pub fn holds_entries(&self, path: &[u8]) -> bool {
        self.first_below(path).is_some()
    }

    fn first_below(&self, path: &[u8]) -> Option<(&Pathname, &Place)> {
        let mut start = path.to_vec();
        if !start.is_empty() {
            start.push(b'/');
        }
        let from = self.paths.range::<[u8], _>((Bound::Included(start.as_slice()), Bound::Unbounded)).next();
        from.filter(|(key, _)| key.starts_with(&start))
    }
}

/// Whether a path is a folder's own or lies below it.
fn is_within(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Whether a path says itself that it leads to a folder.
fn ends_as_folder(path: &[u8]) -> bool {
    path.ends_with(b"/") || path.ends_with(b"/.")
}

fn parts_reversed(path: &[u8]) -> Vec<Box<[u8]>> {
    path.split(|byte| *byte == b'/').rev().filter(|part| !part.is_empty() && *part != b".").map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::contents::Head;

    fn node(path: &str, kind: Kind) -> Node {
        Node { path: path.as_bytes().into(), kind, mode: 0o755, uid: 0, gid: 0, xattrs: None }
    }

    fn file(path: &str) -> Node {
        node(path, Kind::File { size: 1, head: Head::Other })
    }

    fn link(path: &str, target: &str) -> Node {
        node(path, Kind::Symlink(target.as_bytes().into()))
    }

    fn root(layers: Vec<Vec<Node>>) -> Root {
        Root::of(layers.into_iter().map(|nodes| Arc::new(Contents { nodes })).collect())
    }

    fn paths(root: &Root) -> Vec<String> {
        root.iter().map(|(path, _, layer)| format!("{layer}:{}", String::from_utf8_lossy(path))).collect()
    }

    #[test]
    fn whiteouts_hide_lower_layers_only() {
        let root = root(vec![
            vec![node("a", Kind::Directory), file("a/x"), file("a/y"), file("ab")],
            vec![node("a", Kind::Directory), node("a/x", Kind::Whiteout), file("a/z")],
            vec![node("a", Kind::Directory), node("a", Kind::Opaque), file("a/y")],
        ]);
        assert_eq!(paths(&root), ["2:a", "2:a/y", "0:ab"]);
    }

    #[test]
    fn a_root_is_completed_as_if_made_at_once() {
        let lower = vec![link("bin", "usr/bin"), node("usr", Kind::Directory), file("usr/x")];
        let upper = vec![file("bin/app"), node("usr/x", Kind::Whiteout)];
        let known = |name: &str| node(name, Kind::File { size: 1, head: Head::PrivateKey });
        let whole = |layers: &[&Vec<Node>]| -> Vec<Arc<Contents>> {
            layers.iter().map(|nodes| Arc::new(Contents { nodes: (*nodes).clone() })).collect()
        };
        // What is known of the files later; a layer that came out otherwise than it was seen before.
        let later = vec![lower[0].clone(), lower[1].clone(), known("usr/x")];
        let other = vec![link("bin", "usr/sbin"), lower[1].clone(), known("usr/x")];
        for lowest in [&later, &other, &vec![]] {
            let completed = root(vec![lower.clone()]).completed(whole(&[lowest, &upper]));
            let at_once = Root::of(whole(&[lowest, &upper]));
            assert_eq!(completed.iter().collect::<Vec<_>>(), at_once.iter().collect::<Vec<_>>());
        }
        let kept = root(vec![lower]).completed(whole(&[&later]));
        assert_eq!(kept.lookup(b"usr/x").expect("the file").0.kind, later[2].kind);
    }

    #[test]
    fn a_file_replaces_a_folder_and_all_below() {
        let root = root(vec![vec![node("a", Kind::Directory), file("a/x"), file("a-b")], vec![file("a")]]);
        assert_eq!(paths(&root), ["1:a", "0:a-b"]);
    }

    /// Archives without entries for their folders are frequent.
    #[test]
    fn what_replaces_a_folder_that_no_layer_names_replaces_all_below() {
        for upper in [file("a"), link("a", "b"), node("a", Kind::Hardlink(b"a-b".as_slice().into()))] {
            let root = root(vec![vec![file("a/x"), file("a/y/z"), file("a-b")], vec![upper]]);
            assert_eq!(root.iter().map(|(path, ..)| path).collect::<Vec<_>>(), [b"a".as_slice(), b"a-b"]);
        }
    }

    #[test]
    fn links_of_lower_layers_are_followed_when_applying() {
        let root = root(vec![
            vec![link("bin", "usr/bin"), node("usr", Kind::Directory), node("usr/bin", Kind::Directory)],
            vec![file("bin/app")],
        ]);
        assert_eq!(paths(&root), ["0:bin", "0:usr", "0:usr/bin", "1:usr/bin/app"]);
        assert_eq!(root.resolve(b"/bin/app").expect("the file").path.as_ref(), b"usr/bin/app");
    }

    /// As a runtime has it: each entry finds what the ones before it have made.
    #[test]
    fn a_folder_that_becomes_a_link_within_a_layer_leads_elsewhere_from_then_on() {
        let mut layer = vec![node("a", Kind::Directory), node("b", Kind::Directory), file("a/x")];
        layer.extend([link("a", "b"), file("a/y"), file("c/x"), node("c", Kind::Whiteout), file("c/z")]);
        let shallow = root(vec![vec![link("c", "a")], layer]);
        assert_eq!(paths(&shallow), ["1:a", "1:b", "1:b/x", "1:b/y", "1:c/z"]);
    }

    #[test]
    fn an_opaque_whiteout_lies_where_a_link_leads() {
        let layers = |marker: Node| {
            let below = vec![node("usr/lib", Kind::Directory), file("usr/lib/app"), link("lib", "usr/lib")];
            root(vec![below, vec![marker, file("lib/new")]])
        };
        assert_eq!(paths(&layers(node("lib", Kind::Opaque))), ["0:lib", "0:usr/lib", "1:usr/lib/new"]);
        assert_eq!(paths(&layers(node("usr/lib", Kind::Opaque))), ["0:lib", "0:usr/lib", "1:usr/lib/new"]);
    }

    /// Each of these repetitions looked through all files: minutes for some hundred kilobytes.
    #[test]
    fn what_is_hidden_is_hidden_once() {
        let many = |layer: usize| (0..20_000).map(move |number| file(&format!("d/{layer}-{number}")));
        let mut top: Vec<Node> =
            [node("d", Kind::Directory), node("d", Kind::Opaque)].into_iter().chain(many(1)).collect();
        top.extend(std::iter::repeat_n(node("d", Kind::Opaque), 20_000));
        let root = root(vec![many(0).collect(), top]);
        assert_eq!(root.len(), 20_001);
    }

    #[test]
    fn a_resolution_takes_few_steps() {
        let target = "d/../".repeat(800);
        let root = root(vec![vec![node("d", Kind::Directory), link("l", &format!("{target}d"))]]);
        assert!(matches!(root.resolve(b"l"), Err(Unresolved::Loop(_))));
    }

    #[test]
    fn the_target_of_a_hard_link_is_found_through_links() {
        let hard = node("app", Kind::Hardlink(b"bin/sh".as_slice().into()));
        // No layer names the folder usr/bin itself.
        let root = root(vec![vec![link("bin", "usr/bin"), file("usr/bin/sh")], vec![hard, file("bin/env")]]);
        assert!(matches!(root.resolve(b"app").expect("the file").node.kind, Kind::File { .. }));
        assert_eq!(root.resolve(b"bin/env").expect("the file").path.as_ref(), b"usr/bin/env");
    }

    #[test]
    fn resolution_stays_inside_and_ends() {
        let root = root(vec![vec![
            link("up", "../../../etc/passwd"),
            node("etc", Kind::Directory),
            file("etc/passwd"),
            link("loop", "loop"),
            link("gone", "nowhere"),
            node("hard", Kind::Hardlink(b"etc/passwd".as_slice().into())),
            file("deep/er"),
        ]]);
        assert_eq!(root.resolve(b"up").expect("the file").path.as_ref(), b"etc/passwd");
        assert_eq!(root.resolve(b"loop"), Err(Unresolved::Loop(b"loop".as_slice().into())));
        assert_eq!(root.resolve(b"gone"), Err(Unresolved::Missing(b"nowhere".as_slice().into())));
        assert_eq!(root.resolve(b"up/x"), Err(Unresolved::NotADirectory(b"etc/passwd".as_slice().into())));
        assert!(matches!(root.resolve(b"hard").expect("the file").node.kind, Kind::File { .. }));
        assert_eq!(root.resolve(b"./deep//er").expect("the file").path.as_ref(), b"deep/er");
        for folder in ["deep", "/deep/", "deep/.", "/", "etc/", "etc/.."] {
            assert_eq!(root.locate(folder.as_bytes()).expect("a folder").node.kind, Kind::Directory, "{folder}");
        }
        for file in ["etc/passwd/", "up/", "hard/."] {
            assert!(matches!(root.locate(file.as_bytes()), Err(Unresolved::NotADirectory(_))), "{file}");
        }
    }
}
