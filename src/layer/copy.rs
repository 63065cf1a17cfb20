//! Files and folders become entries of an application layer: normalised, so that every machine makes the same ones.
//!
//! What lies below decides how the way to a destination looks: a folder that is there keeps its mode, owner and
//! attributes (`/tmp` stays 1777), and a link that leads to a folder is followed (`/bin/app` becomes `/usr/bin/app`
//! where `/bin` is a link).

mod choice;
mod way;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use self::choice::Choice;
pub use self::choice::LeftOut;
use self::way::Made;
use super::contents::Xattrs;
use super::entry::{self, Entry, Kind, Tree, WHITEOUT, join, path_order};
use super::own::{self, Own};
use super::pathname::Pathname;
use super::pattern::Patterns;
use super::scan::{ScanError, names};
use super::stamp::Clocks;

/// What lies below a layer.
pub trait Below {
    /// What is at this path (no leading slash, its own folders free of links) in the layers below.
    fn at(&self, path: &[u8]) -> Ground;
}

/// What lies below at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// Nothing.
    Nothing,
    /// A folder, at another path where links led there.
    Folder {
        /// Where it is.
        path: Box<[u8]>,
        /// Its mode.
        mode: u16,
        /// Its owner.
        uid: u32,
        /// Its owner's group.
        gid: u32,
        /// Its extended attributes.
        xattrs: Option<Box<Xattrs>>,
    },
    /// A link to nothing, or to something that is no folder, or a file: what it is, in words.
    Other(String),
}

/// A file or folder to copy: of a folder the content is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// Where it is.
    pub path: PathBuf,
    /// How `exclude` knows it: by its path below the folders that a pattern names before its first wildcard, a file
    /// without a pattern by its name, and a folder without one by nothing, since what is in it is known by its path
    /// from there.
    pub name: Box<[u8]>,
}

/// One thing to copy.
pub struct Source<'a> {
    /// The files and folders.
    pub picks: Vec<Pick>,
    /// Where they go, without a leading or trailing slash.
    pub dest: Box<[u8]>,
    /// Whether a file goes into `dest` rather than becoming it.
    pub into: bool,
    /// The pattern that has found them: what is left out of them then is no error, unless it is all.
    pub pattern: Option<String>,
    /// What is left out.
    pub exclude: &'a Patterns,
    /// The owner.
    pub owner: (u32, u32),
    /// The mode of files; by their own x bit where it is not given.
    pub mode: Option<u16>,
}

/// What holds for all sources of a layer.
pub struct Rules<'a> {
    /// What the project's `.dockerignore` leaves out, relative to the folder.
    pub ignore: Option<(&'a Path, &'a Patterns)>,
    /// The time of a file, by its path on the disk.
    pub mtime: &'a dyn Fn(&Path) -> Result<i64, ScanError>,
    /// What lies below.
    pub below: &'a dyn Below,
    /// What the build itself writes: no sources.
    pub own: &'a Own,
}

/// The entries of a copy layer, sorted.
#[derive(Debug, Clone, Default)]
pub struct Copied {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Destinations that links below led elsewhere: as written, and as they became.
    pub rewritten: BTreeMap<Box<[u8]>, Box<[u8]>>,
    /// Sockets that were left out.
    pub sockets: Vec<PathBuf>,
    /// Folders of which nothing is in the layer but they themselves, and what left the rest out.
    pub emptied: Vec<(PathBuf, LeftOut)>,
    /// Layouts and archives of images that lie within a source: what an earlier build has written, most likely.
    pub images: Vec<PathBuf>,
}

/// The path within a folder, as patterns and git write it; `None` where its name does not say that it is in there.
pub fn within<'p>(path: &'p Path, folder: &Path) -> Option<&'p Path> {
    let below = path.strip_prefix(folder).ok()?;
    // Of the folder without a name, `.`, everything is below.
    let below = below.strip_prefix(".").unwrap_or(below);
    let leaves = |part| matches!(part, Component::ParentDir | Component::RootDir);
    (!below.components().any(leaves)).then_some(below)
}

/// Makes the entries.
///
/// # Errors
/// Where a source cannot be read or cannot be in a layer, or two sources have one destination.
pub fn copy(sources: &[Source<'_>], rules: &Rules<'_>) -> Result<Copied, ScanError> {
    let mut copy = Copy {
        rules,
        choice: Choice::new(rules),
        made: Vec::new(),
        places: HashMap::new(),
        followed: HashSet::new(),
        copied: Copied::default(),
        clocks: Clocks::default(),
        taken: 0,
        left_out: None,
    };
    for source in sources {
        copy.all(source)?;
    }
    let mut entries: Vec<Entry> = copy.made.into_iter().map(|made| made.entry).collect();
    entries.sort_unstable_by(|a, b| path_order(&a.path, &b.path));
    Ok(Copied { entries, ..copy.copied })
}

struct Copy<'a> {
    rules: &'a Rules<'a>,
    choice: Choice<'a>,
    made: Vec<Made>,
    /// Where in `made` a path is.
    places: HashMap<Pathname, usize>,
    /// The links below that the way to a destination leads over.
    followed: HashSet<Box<[u8]>>,
    copied: Copied,
    clocks: Clocks,
    /// How many things of the sources are in the layer.
    taken: usize,
    /// Why the last that is not was left out.
    left_out: Option<LeftOut>,
}

impl<'a> Copy<'a> {
    fn all(&mut self, source: &Source<'a>) -> Result<(), ScanError> {
        let before = self.taken;
        self.choice.next(source);
        self.left_out = None;
        for pick in &source.picks {
            self.pick(source, pick)?;
        }
        match (&source.pattern, self.left_out) {
            (Some(pattern), Some(by)) if self.taken == before => Err(by.whole(pattern, "all that it finds")),
            _ => Ok(()),
        }
    }

    fn pick(&mut self, source: &Source<'_>, pick: &Pick) -> Result<(), ScanError> {
        let path = pick.path.as_path();
        let data = path.symlink_metadata().map_err(ScanError::read(path))?;
        if source.pattern.is_some() && self.rules.own.holds(path, &data) {
            return Ok(());
        }
        let left_out = self.choice.leaves(&pick.name, path);
        if data.is_dir() {
            return self.whole_folder(source, pick, left_out);
        }
        if let Some(by) = left_out {
            self.left_out = left_out;
            return if source.pattern.is_some() { Ok(()) } else { Err(by.whole(&path.display().to_string(), "it")) };
        }
        // Archives whose ending the pattern says are meant.
        let any_file = |pattern: &String| Path::new(pattern).extension().is_none_or(|ending| ending != "tar");
        if source.pattern.as_ref().is_some_and(any_file) && own::is_archive(path, &data) {
            self.copied.images.push(path.into());
        }
        let dest = if source.into {
            let name = path.file_name().map(OsStr::as_bytes).unwrap_or_default();
            join(&source.dest, name)
        } else {
            source.dest.clone()
        };
        self.file(source, path, &dest, None)
    }

    /// A folder that is left out itself may hold what is taken back.
    fn whole_folder(&mut self, source: &Source<'_>, pick: &Pick, left_out: Option<LeftOut>) -> Result<(), ScanError> {
        let path = pick.path.as_path();
        let before = std::mem::take(&mut self.taken);
        let others = self.left_out.take();
        let dest = match left_out {
            None => self.folder(&source.dest, Some((source, path)))?,
            Some(_) => source.dest.clone(),
        };
        let tree = Arc::new(Tree { folder: path.into(), dest: dest.clone(), attributes: false });
        if left_out.is_none() || self.choice.may_return(&pick.name, path) {
            self.content(source, (&tree, pick), path, &dest)?;
        }
        match left_out {
            Some(by) if self.taken == 0 => {
                self.left_out = Some(by);
                if source.pattern.is_none() {
                    return Err(by.whole(&path.display().to_string(), "it"));
                }
            }
            Some(_) => {
                self.folder(&source.dest, Some((source, path)))?;
            }
            None => {
                if let Some(by) = self.left_out.filter(|_| self.taken == 0) {
                    self.copied.emptied.push((path.into(), by));
                }
                // The folder itself is taken.
                self.taken += 1;
            }
        }
        self.taken += before;
        self.left_out = self.left_out.or(others);
        Ok(())
    }

    fn content(
        &mut self,
        source: &Source<'_>,
        (tree, pick): (&Arc<Tree>, &Pick),
        folder: &Path,
        dest: &[u8],
    ) -> Result<(), ScanError> {
        let names = names(folder)?;
        if (folder != tree.folder || source.pattern.is_some()) && own::is_layout(&names) {
            self.copied.images.push(folder.into());
        }
        for name in names {
            let path = folder.join(OsStr::from_bytes(&name));
            let data = path.symlink_metadata().map_err(ScanError::read(&path))?;
            if self.rules.own.holds(&path, &data) {
                continue;
            }
            let below = path.strip_prefix(&tree.folder).map(|path| path.as_os_str().as_bytes()).unwrap_or_default();
            let relative = join(&pick.name, below);
            let left_out = self.choice.leaves(&relative, &path);
            self.left_out = left_out.or(self.left_out);
            let is_folder = data.is_dir();
            let wanted = join(dest, &name);
            if is_folder && left_out.is_none() {
                let dest = self.folder(&wanted, Some((source, &path)))?;
                self.taken += 1;
                self.content(source, (tree, pick), &path, &dest)?;
            } else if is_folder && self.choice.may_return(&relative, &path) {
                // The folder itself is made on the way to what is taken back.
                self.content(source, (tree, pick), &path, &wanted)?;
            } else if !is_folder && left_out.is_none() {
                if own::is_archive(&path, &data) {
                    self.copied.images.push(path.clone());
                }
                self.file(source, &path, &wanted, Some(tree))?;
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        source: &Source<'_>,
        path: &Path,
        wanted: &[u8],
        tree: Option<&Arc<Tree>>,
    ) -> Result<(), ScanError> {
        let shown = || path.display().to_string();
        let (folder, name) = entry::split(wanted);
        if name.is_empty() {
            let reason = "its destination is the root; write a path, or end it with / for a folder".into();
            return Err(ScanError::Name { path: shown(), reason });
        }
        if name.starts_with(WHITEOUT) {
            let reason = "a name that begins with .wh. removes a file of the layers below; \
                          use a rootfs layer if that is meant";
            return Err(ScanError::Name { path: shown(), reason: reason.into() });
        }
        let data = path.symlink_metadata().map_err(ScanError::read(path))?;
        let folder = self.folder(folder, None)?;
        let dest = join(&folder, name);
        self.takes(&dest, path, tree.is_none() && !data.is_symlink())?;
        let kind = data.file_type();
        let (kind, mode) = if kind.is_file() {
            let executable = data.mode() & 0o100 != 0;
            (Kind::File(data.size()), source.mode.unwrap_or(if executable { 0o755 } else { 0o644 }))
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(ScanError::read(path))?;
            (Kind::Symlink(target.into_os_string().into_vec().into()), 0o777)
        } else if std::os::unix::fs::FileTypeExt::is_socket(&kind) {
            self.copied.sockets.push(path.to_owned());
            return Ok(());
        } else {
            let reason = "only files, folders and links are copied; use a rootfs layer for devices and pipes".into();
            return Err(ScanError::Name { path: shown(), reason });
        };
        // Where a link below led to another folder, the file has another place in the tree than on the disk.
        let tree = match tree.filter(|tree| tree.path(&dest) == path) {
            Some(tree) => Arc::clone(tree),
            None => Arc::new(Tree { folder: path.into(), dest: dest.clone(), attributes: false }),
        };
        let entry = Entry {
            path: dest.into(),
            kind,
            mode,
            uid: source.owner.0,
            gid: source.owner.1,
            mtime: (self.rules.mtime)(path)?,
            xattrs: None,
            source: Some(entry::Source { tree, stamp: self.clocks.stamp(path, &data) }),
        };
        self.taken += 1;
        self.add(entry, path)
    }

    fn add(&mut self, entry: Entry, from: &Path) -> Result<(), ScanError> {
        if let Some(first) = self.at(&entry.path) {
            return Err(ScanError::Twice {
                path: String::from_utf8_lossy(&entry.path).into_owned(),
                first: first.origin(),
                second: from.display().to_string(),
            });
        }
        self.put(Made { entry, from: None });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::own::Scratch;

    /// A base with merged /usr, a sticky /tmp and a private /root.
    struct Debian;

    impl Below for Debian {
        fn at(&self, path: &[u8]) -> Ground {
            let folder = |path: &[u8], mode| Ground::Folder { path: path.into(), mode, uid: 0, gid: 0, xattrs: None };
            match path {
                b"bin" | b"usr/bin" => folder(b"usr/bin", 0o755),
                b"usr" => folder(b"usr", 0o755),
                b"tmp" => folder(b"tmp", 0o1777),
                b"root" => folder(b"root", 0o700),
                b"etc/passwd" => Ground::Other("a file".into()),
                b"etc" => folder(b"etc", 0o755),
                _ => Ground::Nothing,
            }
        }
    }

    fn run(folder: &Path, items: &[(&str, &str)]) -> Result<Vec<String>, ScanError> {
        let none = Patterns::default();
        let sources: Vec<Source<'_>> = items
            .iter()
            .map(|(from, to)| Source {
                picks: vec![Pick { path: folder.join(from), name: Box::default() }],
                dest: to.trim_matches('/').as_bytes().into(),
                into: to.ends_with('/'),
                pattern: None,
                exclude: &none,
                owner: (7, 8),
                mode: None,
            })
            .collect();
        let own = Own::of([folder.join("tree/oci")]);
        let rules = Rules { ignore: None, mtime: &|_| Ok(0), below: &Debian, own: &own };
        let copied = copy(&sources, &rules)?;
        Ok(copied
            .entries
            .iter()
            .map(|e| format!("{} {:o} {}:{}", String::from_utf8_lossy(&e.path), e.mode, e.uid, e.gid))
            .collect())
    }

    fn folder() -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("tree/bin")).expect("a folder");
        fs::create_dir_all(folder.path().join("tree/tmp")).expect("a folder");
        fs::write(folder.path().join("tree/bin/x"), "x").expect("a file");
        fs::set_permissions(folder.path().join("tree/bin/x"), fs::Permissions::from_mode(0o700)).expect("a mode");
        fs::write(folder.path().join("tree/tmp/t"), "t").expect("a file");
        fs::write(folder.path().join("file"), "f").expect("a file");
        folder
    }

    #[test]
    fn the_way_to_a_destination_is_as_it_was_below() {
        let folder = folder();
        let made = run(folder.path(), &[("file", "/tmp/file"), ("file", "/root/"), ("file", "/bin/file")]);
        assert_eq!(
            made.expect("entries"),
            [
                "root 700 0:0",
                "root/file 644 7:8",
                "tmp 1777 0:0",
                "tmp/file 644 7:8",
                "usr 755 0:0",
                "usr/bin 755 0:0",
                "usr/bin/file 644 7:8"
            ]
        );
    }

    #[test]
    fn a_tree_copied_to_the_root_keeps_the_links_and_modes_below() {
        let folder = folder();
        let made = run(folder.path(), &[("tree", "/")]).expect("entries");
        let wanted = ["tmp 1777 0:0", "tmp/t 644 7:8", "usr 755 0:0", "usr/bin 755 0:0", "usr/bin/x 755 7:8"];
        assert_eq!(made, wanted);
        let made = run(folder.path(), &[("tree", "/app"), ("file", "/app/y/z")]).expect("entries");
        assert_eq!(made[0], "app 755 7:8");
        assert_eq!(made.last().map(String::as_str), Some("app/y/z 644 7:8"));
    }

    /// A recipe that copies its own folder took in the image that the build before had written there.
    #[test]
    fn what_the_build_writes_is_no_source() {
        let folder = folder();
        fs::create_dir_all(folder.path().join("tree/oci/blobs")).expect("a folder");
        let scratch = Scratch::beside(&folder.path().join("tree")).expect("a folder");
        fs::create_dir(scratch.folder().join("oci")).expect("a folder");
        let made = run(folder.path(), &[("tree", "/app")]).expect("entries");
        assert!(made.iter().all(|path| !path.contains("oci") && !path.contains(".dockless")), "{made:?}");
    }

    /// A new release could not be put over the old one, nor a tree that has merged /usr over a root that has it.
    #[test]
    fn a_link_takes_the_place_of_a_link_to_a_folder() {
        let folder = folder();
        let link = |name: &str, to: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::os::unix::fs::symlink(to, path).expect("a link");
        };
        link("merged/bin", "usr/bin");
        link("real/usr", "opt");
        assert_eq!(run(folder.path(), &[("merged", "/")]).expect("entries"), ["bin 777 7:8"]);
        assert_eq!(run(folder.path(), &[("merged/bin", "/bin")]).expect("entries"), ["bin 777 7:8"]);
        let text = |items: &[_]| run(folder.path(), items).expect_err("an error").to_string();
        assert!(
            text(&[("file", "/bin")]).contains("/bin leads to a folder in the layers below (/usr/bin); end it with /")
        );
        assert!(text(&[("real", "/")]).contains("/usr is a folder in the layers below (/usr); all that is in there"));
        // What goes through the old link would not be where the new one leads.
        for items in [[("file", "/bin/file"), ("merged", "/")], [("merged", "/"), ("file", "/bin/file")]] {
            assert!(text(&items).ends_with("both go to /bin"), "{}", text(&items));
        }
    }

    #[test]
    fn two_sources_for_one_destination_are_refused() {
        let folder = folder();
        let error = run(folder.path(), &[("file", "/a"), ("tree/bin/x", "/a")]).expect_err("twice").to_string();
        assert!(error.contains("file and ") && error.ends_with("both go to /a"), "{error}");
        assert!(matches!(run(folder.path(), &[("file", "/a"), ("file", "/a/b")]), Err(ScanError::Twice { .. })));
        let error = run(folder.path(), &[("file", "/etc/passwd/x")]).expect_err("no folder").to_string();
        assert!(error.contains("the layers below have a file"), "{error}");
        // A file in the place of a folder would hide all that the folder holds.
        let error = run(folder.path(), &[("file", "/usr/bin")]).expect_err("a folder").to_string();
        assert!(error.contains("is a folder in the layers below (/usr/bin); end it with /"), "{error}");
        assert!(run(folder.path(), &[("file", "/bin")]).is_err());
        // The same folder twice is one folder, and links below may bring two destinations together.
        assert!(run(folder.path(), &[("tree", "/a"), ("file", "/a/")]).is_ok());
        assert!(matches!(
            run(folder.path(), &[("file", "/bin/q"), ("file", "/usr/bin/q")]),
            Err(ScanError::Twice { .. })
        ));
    }
}
