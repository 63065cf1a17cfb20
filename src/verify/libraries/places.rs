//! Where a loader looks for a library, in its order, and what it makes of what it finds there.

use std::iter;

use crate::elf::{Elf, Machine};
use crate::image::inspect::{Fit, machine};
use crate::image::root::Found;
use crate::layer::contents::{Head, Kind};
use crate::layer::entry::split;

use super::super::executable::Judge;
use super::super::lookup::{LONGEST_PATH, May, Sought, User, shown};
use super::Mapped;

/// Whose loader maps the libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loader {
    Glibc,
    Musl,
    /// Another one, or one that cannot be told: nothing is known of its search.
    Other,
}

/// What holds for all libraries of a program.
pub(super) struct Loading {
    pub(super) loader: Loader,
    /// The folders that the loader has within itself.
    own_folders: Vec<Place>,
    /// Whether the kernel may tell the loader that the program has more rights than its user (`AT_SECURE`).
    is_secure: bool,
}

/// A path at which the loader looks.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) path: String,
    /// Why it may not look there.
    pub(super) doubt: Option<&'static str>,
}

/// What a loader makes of what stands at a path.
pub(super) enum Candidate<'a> {
    /// It maps it, where the user may read it.
    Native(Found<'a>, &'a Elf, May),
    /// It is for another machine: glibc's passes over it, musl's maps it.
    Foreign(Found<'a>, &'a Elf),
    /// It passes over it: the user may not read it.
    Closed(Found<'a>),
    /// It ends with an error, since it is this.
    Broken(Found<'a>, &'static str),
    Nothing,
}

const SECURE: &str = "the program has more rights than its user (setuid, setgid, capabilities), and its loader then \
                      passes over LD_LIBRARY_PATH and $ORIGIN";
const STATED: &str =
    "musl looks into the folders that /etc/ld-musl-*.path states, which is not read here, instead of its own";
const LEVEL: &str = "whether the loader looks into glibc-hwcaps hangs on its version and on the CPU";
const DISTRIBUTION: &str = "whether the loader looks into that folder hangs on how it was built, which the image does not \
                            tell";

impl<'a> Judge<'a> {
    /// What holds for the libraries of this program, whose loader stands at this path.
    pub(super) fn loading(&self, program: &Found<'_>, elf: &Elf, loader_path: &[u8]) -> Loading {
        let loader = self.whose(elf, loader_path);
        let own_folders = self.own_folders(loader, loader_path);
        Loading { loader, own_folders, is_secure: self.is_secure(program) }
    }

    /// Whose loader stands at this path. One that goes by glibc's name may be musl's (Alpine's libc6-compat), or none
    /// of both (gcompat).
    fn whose(&self, program: &Elf, path: &[u8]) -> Loader {
        let asked = program.interpreter.as_deref().map(|path| split(path).1).unwrap_or_default();
        let name = split(path).1;
        let musl = |name: &[u8]| name.starts_with(b"ld-musl-") || name.starts_with(b"libc.musl-");
        if musl(name) || musl(asked) || name == b"libc.so" {
            return Loader::Musl;
        }
        let glibc = asked.starts_with(b"ld-linux");
        let has_musl = self.by_name().keys().any(|name| musl(name));
        if glibc && !has_musl { Loader::Glibc } else { Loader::Other }
    }

    /// The folders that the loader has within itself. Those of glibc's hang on the distribution that built it, which is
    /// known by where it keeps the C library.
    fn own_folders(&self, loader: Loader, loader_path: &[u8]) -> Vec<Place> {
        let place = |path: String, doubt| Place { path, doubt };
        if loader == Loader::Musl {
            let doubt = self.has_musl_path().then_some(STATED);
            return ["/lib", "/usr/local/lib", "/usr/lib"].map(|path| place(path.into(), doubt)).into();
        }
        let has_libc = |folder: &String| self.image().root.resolve(format!("{folder}/libc.so.6").as_bytes()).is_ok();
        let triplet = self.triplet();
        let debian = [format!("/lib/{triplet}"), format!("/usr/lib/{triplet}")];
        let plain = ["/lib".to_owned(), "/usr/lib".to_owned()];
        let wide = ["/lib64".to_owned(), "/usr/lib64".to_owned()];
        let own = shown(split(loader_path).0);
        // One that stands elsewhere was built by someone else, and knows neither these folders nor the cache.
        let is_usual = debian.iter().chain(&plain).chain(&wide).any(|folder| *folder == own);
        if loader == Loader::Glibc && is_usual && debian.iter().any(has_libc) {
            return debian.into_iter().chain(plain).map(|path| place(path, None)).collect();
        }
        // Those of Fedora, of Arch, and the loader's own, as Nix builds it.
        let families = [Vec::from(wide), plain.into(), vec![own]];
        let knows = families.clone().map(|family| family.iter().any(has_libc));
        let is_told = loader == Loader::Glibc && knows.contains(&true);
        let doubt = |known: bool| (is_told && !known).then_some(DISTRIBUTION);
        let families = families.into_iter().zip(knows).chain(iter::once((debian.to_vec(), false)));
        families.flat_map(|(family, known)| family.into_iter().map(move |path| place(path, doubt(known)))).collect()
    }

    /// Whether a file states other folders than those that musl has within itself.
    pub(super) fn has_musl_path(&self) -> bool {
        self.image().root.iter().any(|(path, ..)| path.starts_with(b"etc/ld-musl-") && path.ends_with(b".path"))
    }

    fn triplet(&self) -> &'static str {
        match machine(self.architecture) {
            Some(Machine::X86_64) => "x86_64-linux-gnu",
            Some(Machine::AARCH64) => "aarch64-linux-gnu",
            Some(Machine::I386) => "i386-linux-gnu",
            _ => "",
        }
    }

    fn is_secure(&self, program: &Found<'_>) -> bool {
        let node = program.node;
        let (uid, gid) = match self.surroundings.user {
            User::Root => return false,
            User::Id(uid, gid) => (Some(uid), gid),
            User::Named => (None, None),
        };
        let sets_user = node.mode & 0o4000 != 0 && uid != Some(node.uid);
        let sets_group = node.mode & 0o2010 == 0o2010 && gid != Some(node.gid);
        let has_capability =
            node.xattrs.iter().flat_map(|xattrs| xattrs.iter()).any(|(name, _)| **name == *b"security.capability");
        sets_user || sets_group || has_capability
    }

    /// The folders in which is searched for what `mapped[by]` needs, before those that the loader has within itself.
    pub(super) fn stated(&self, (mapped, by): (&[Mapped], usize), loading: &Loading) -> Stated {
        let mut folders = Folders { judge: self, loading, stated: Stated::default() };
        folders.of(mapped, by);
        folders.stated
    }

    /// Where a name with a slash leads that an object of this folder needs.
    pub(super) fn named(&self, origin: &str, name: &str, loading: &Loading) -> Stated {
        let mut folders = Folders { judge: self, loading, stated: Stated::default() };
        folders.add(origin, name, None);
        folders.stated
    }

    /// The paths at which the loader looks for a name, in order. Each is made when it comes to it: a program has
    /// thousands of folders and of names, if it wants to.
    pub(super) fn places<'p>(
        &self,
        name: &'p [u8],
        stated: &'p [Place],
        loading: &'p Loading,
    ) -> impl Iterator<Item = Place> + use<'p, 'a> {
        let is_path = name.contains(&b'/');
        let cache = self.cache().filter(|_| !is_path && loading.loader != Loader::Musl).unwrap_or_default();
        let own = if is_path { &[][..] } else { &loading.own_folders };
        let has_levels = loading.loader == Loader::Glibc && machine(self.architecture) == Some(Machine::X86_64);
        let levels: &[&str] = if has_levels && !is_path { &["x86-64-v4", "x86-64-v3", "x86-64-v2"] } else { &[] };
        let text = String::from_utf8_lossy(name);
        let below = move |folder: &Place| {
            let path = if is_path { folder.path.clone() } else { format!("{}/{text}", folder.path) };
            Place { path, doubt: folder.doubt }
        };
        let all = move || {
            let below = below.clone();
            let cached = cache.iter().filter(move |(known, _)| **known == *name);
            let cached =
                cached.map(|(_, path)| Place { path: String::from_utf8_lossy(path).into_owned(), doubt: None });
            stated.iter().map(below.clone()).chain(cached).chain(own.iter().map(below))
        };
        // Of each folder the loader looks into these first; what it finds there is as good.
        let within = |place: &Place, level: &str| {
            let (folder, name) = place.path.rsplit_once('/')?;
            Some(Place { path: format!("{folder}/glibc-hwcaps/{level}/{name}"), doubt: Some(LEVEL) })
        };
        let plain = all();
        let levelled = move |place: Place| levels.iter().filter_map(move |level| within(&place, level));
        let rest = (!levels.is_empty()).then(all).into_iter().flatten();
        plain.chain(rest.flat_map(levelled))
    }

    /// What the loader makes of what stands at this path.
    pub(super) fn candidate(&self, path: &str) -> Candidate<'a> {
        let Sought::Found(found) = self.surroundings.at(path) else { return Candidate::Nothing };
        let may = self.surroundings.may(4, &found);
        if may == May::No {
            return Candidate::Closed(found);
        }
        match &found.node.kind {
            Kind::File { head: Head::Elf(elf), .. } => match self.fit(elf) {
                Fit::Native => Candidate::Native(found, elf, may),
                Fit::Foreign | Fit::Compatible => Candidate::Foreign(found, elf),
                Fit::Irrelevant => Candidate::Nothing,
            },
            Kind::Directory if may == May::Yes => Candidate::Broken(found, "is a folder"),
            Kind::File { size: 0, .. } if may == May::Yes => Candidate::Broken(found, "is empty"),
            Kind::File { .. } if may == May::Yes => Candidate::Broken(found, "is no ELF file"),
            _ => Candidate::Nothing,
        }
    }

    /// `$ORIGIN` of what was opened by this path.
    pub(super) fn origin(&self, path: &str) -> String {
        match &self.surroundings.folder {
            Some(folder) if !path.starts_with('/') => folder_of(&format!("{folder}/{path}")),
            _ => folder_of(path),
        }
    }
}

/// The folder part of an absolute path.
pub(super) fn folder_of(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder.into(),
        _ => "/".into(),
    }
}

/// The folders that someone states.
pub(super) struct Stated {
    pub(super) folders: Vec<Place>,
    /// Whether these are all of them.
    pub(super) is_known: bool,
}

impl Default for Stated {
    fn default() -> Self {
        Self { folders: Vec::new(), is_known: true }
    }
}

/// These as they are gathered.
struct Folders<'j, 'a> {
    judge: &'j Judge<'a>,
    loading: &'j Loading,
    stated: Stated,
}

impl Folders<'_, '_> {
    /// Those in which is searched for what `mapped[by]` needs.
    fn of(&mut self, mapped: &[Mapped], by: usize) {
        let own = &mapped[by];
        let is_musl = self.loading.loader == Loader::Musl;
        // musl knows no difference between DT_RPATH and DT_RUNPATH, and looks into LD_LIBRARY_PATH before both.
        if is_musl {
            self.library_path(mapped);
        }
        let run_path = own.elf.search_path.is_some() && !own.elf.inherited;
        // glibc: DT_RPATH of it and of those above, unless it has DT_RUNPATH itself.
        let mut at = by;
        while !self.judge.surroundings.looks.are_gone() {
            let object = &mapped[at];
            if is_musl || object.elf.inherited && !run_path {
                self.search_path(object);
            }
            if at == object.by {
                break;
            }
            at = object.by;
        }
        if !is_musl {
            self.library_path(mapped);
            self.search_path(own);
        }
    }

    fn library_path(&mut self, mapped: &[Mapped]) {
        let stated = self.judge.surroundings.library_path.as_deref().unwrap_or_default();
        let separators = if self.loading.loader == Loader::Musl { [':', '\n'] } else { [':', ';'] };
        let doubt = self.loading.is_secure.then_some(SECURE);
        for element in stated.split(separators).filter(|_| !stated.is_empty()) {
            self.add(&mapped[0].origin, element, doubt);
        }
    }

    /// `DT_RUNPATH` or `DT_RPATH`.
    fn search_path(&mut self, object: &Mapped) {
        let path = String::from_utf8_lossy(object.elf.search_path.as_deref().unwrap_or_default());
        for element in path.split(':').filter(|_| !path.is_empty()) {
            let doubt = (self.loading.is_secure && element.contains("ORIGIN")).then_some(SECURE);
            self.add(&object.origin, element, doubt);
        }
    }

    /// An element, with `$ORIGIN` and `$LIB` filled in. An empty one is the working folder to glibc.
    fn add(&mut self, origin: &str, element: &str, doubt: Option<&'static str>) {
        let length = element.matches("ORIGIN").count() * origin.len() + element.len();
        let is_none = element.is_empty() && self.loading.loader == Loader::Musl || length > LONGEST_PATH;
        if is_none || !self.judge.surroundings.looks.take() {
            return;
        }
        let element = if element.is_empty() { "." } else { element };
        let folder = element.replace("${ORIGIN}", origin).replace("$ORIGIN", origin).replace("${LIB}", "$LIB");
        let is_here = self.judge.surroundings.folder.is_some() && !self.judge.has_moved;
        if !folder.starts_with('/') && !is_here {
            self.stated.is_known = false;
            return;
        }
        // Debian's loader and Fedora's say different things for it.
        let libs = if folder.contains("$LIB") {
            vec![format!("lib/{}", self.judge.triplet()), "lib64".into(), "lib".into()]
        } else {
            vec![String::new()]
        };
        self.stated.folders.extend(libs.into_iter().map(|lib| Place { path: folder.replace("$LIB", &lib), doubt }));
    }
}
