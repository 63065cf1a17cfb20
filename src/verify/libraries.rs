//! The dynamic loader of a program and the libraries that it maps, found as that loader finds them: glibc's
//! (ld.so(8), "DESCRIPTION") or musl's (`ldso/dynlink.c`, `load_library`), whichever the program names.
//!
//! A library that the image has nowhere is missing whatever the loader looks at. One that stands where the loader is
//! not known to look is judged by what is known of its search: musl's is known, glibc's as far as `/etc/ld.so.cache`
//! says it.

use std::collections::{BTreeMap, BTreeSet};

use crate::elf::Elf;
use crate::image::inspect::machine;
use crate::image::root::Found;
use crate::layer::contents::{Head, Kind};
use crate::layer::entry::split;

use super::executable::{Judge, Role, made_for};
use super::finding::{Finding, Rule, Severity};
use super::lookup::{May, Sought, shown};
use super::script::MAX_SCRIPTS;

mod places;

use places::{Candidate, Loader, Loading, Place, folder_of};

/// More than any program has.
const MAX_LIBRARIES: usize = 4096;

/// How many that are not where the loader looks are searched for elsewhere: a hostile program may ask for thousands.
const MAX_SEARCHES: usize = 64;

/// A file that is mapped.
struct Mapped {
    path: Box<[u8]>,
    elf: Elf,
    /// Its folder, `$ORIGIN`: of the program where links lead, of a library as the loader opened it.
    origin: String,
    /// The one that asked for it, by its place in the list; the program asks for itself.
    by: usize,
}

/// A library that the loader maps.
struct Opened<'a> {
    found: Found<'a>,
    elf: &'a Elf,
    /// Its folder in the path by which it was opened.
    origin: String,
}

/// What the name of a library led to.
enum Library<'a> {
    /// This file.
    Found(Opened<'a>),
    /// This file, unless what is said here is otherwise.
    Unsure(Opened<'a>, String),
    /// There are only files of that name for other machines, or the loader takes such a one.
    Foreign(Found<'a>, &'a Elf),
    /// There are only files of that name that the user may not read.
    Closed(Found<'a>),
    /// A file that is no library, and the loader ends there.
    Broken(Found<'a>, &'static str),
    /// A file where the loader is not known to look.
    Elsewhere(Opened<'a>),
    /// No file has that name.
    Missing,
    /// It was not looked for to the end: of something there is too much.
    TooMany(&'static str),
}

impl<'a> Judge<'a> {
    /// Judges the loader; where it is there, returns the path at which it was found.
    pub(super) fn loader(&mut self, program: &Found<'_>, role: &Role, interpreter: &str) -> Option<Box<[u8]>> {
        match self.surroundings.at(interpreter) {
            Sought::Found(next) => {
                if !self.visited.contains(&next.path) {
                    self.file(interpreter, &next, &Role::Loader(shown(&program.path)), MAX_SCRIPTS);
                }
                return Some(next.path);
            }
            Sought::Unknown(why) => self.unknown(Rule::InterpreterMissing, interpreter, &why),
            Sought::Missing(end) => {
                let end = end.map_or_else(String::new, |end| format!(": {end}"));
                let (found, help) = self.c_library(interpreter);
                let what = format!("needs the dynamic loader {interpreter}, which is not in the image{end}; {found}");
                let path = shown(&program.path);
                let mut finding = self.about(Rule::InterpreterMissing, &path, program, role, &what).help(help);
                finding.found = Some(found.into());
                finding.wanted = Some(interpreter.into());
                self.push(finding);
            }
        }
        None
    }

    /// Which C library the image has, where its loader is missing, and what that means.
    fn c_library(&self, interpreter: &str) -> (&'static str, &'static str) {
        let root = &self.image().root;
        let any = |paths: &[&str]| paths.iter().any(|path| root.resolve(path.as_bytes()).is_ok());
        let musl = any(&["lib/ld-musl-x86_64.so.1", "lib/ld-musl-aarch64.so.1"]);
        let glibc = any(&["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1", "lib/ld-linux-x86-64.so.2"]);
        if interpreter.contains("ld-musl") && glibc {
            (
                "it is linked with musl, but the image has glibc",
                "link it with glibc or statically, or use an Alpine base",
            )
        } else if interpreter.contains("ld-linux") && musl {
            (
                "it is linked with glibc, but the image has musl",
                "link it with musl or statically, or use a base with glibc such as Debian",
            )
        } else if !musl && !glibc {
            ("the image has no C library", "link it statically, or use a base that has its C library")
        } else {
            ("the image has another one", "use a base that has this loader, or link it statically")
        }
    }

    /// Every library that the program reaches, breadth first, as the loader at this path finds them. Without a loader
    /// there are none: the program is static, or does not start.
    pub(super) fn libraries(&mut self, program: &Found<'_>, elf: &Elf, loader: Option<Box<[u8]>>) {
        if elf.needed.is_none() {
            let why = "the libraries that it asks for cannot be read";
            return self.unknown(Rule::ForeignExecutable, &shown(&program.path), why);
        }
        let Some(loader_path) = loader else { return };
        let loading = self.loading(program, elf, &loader_path);
        let origin = shown(split(&program.path).0);
        let mut mapped = vec![Mapped { path: program.path.clone(), elf: elf.clone(), origin, by: 0 }];
        let mut names: BTreeSet<Box<[u8]>> = BTreeSet::new();
        names.insert(split(&loader_path).1.into());
        let (mut at, mut searches) = (0, 0);
        while let Some(object) = mapped.get(at) {
            let (needing, needed) = (object.path.clone(), object.elf.needed.clone());
            if needed.is_none() {
                let why = "the libraries that it asks for cannot be read";
                self.unknown(Rule::ForeignExecutable, &shown(&needing), why);
            }
            let mut stated = None;
            for name in needed.unwrap_or_default() {
                if names.len() >= MAX_LIBRARIES || names.contains(&name) || built_in(loading.loader, &name) {
                    continue;
                }
                names.insert(name.clone());
                // glibc asks first whether a file that is mapped goes by this name (`_dl_map_object`), musl does not.
                let is_mapped = mapped.iter().any(|object| object.elf.soname.as_deref() == Some(&*name));
                if is_mapped && loading.loader == Loader::Glibc {
                    continue;
                }
                let by_path = name.contains(&b'/').then(|| {
                    let name = String::from_utf8_lossy(&name);
                    self.named(&mapped[at].origin, &name, &loading)
                });
                let stated = by_path
                    .as_ref()
                    .unwrap_or_else(|| stated.get_or_insert_with(|| self.stated((&mapped, at), &loading)));
                let is_known = stated.is_known;
                let library = self.library(&name, &stated.folders, &loading, &mut searches);
                let opened = match library {
                    Library::Found(opened) => opened,
                    Library::Unsure(opened, why) => {
                        self.unsure(&name, &needing, &opened.found, &why);
                        opened
                    }
                    Library::Elsewhere(opened) => {
                        self.elsewhere(&name, &needing, &opened.found, (loading.loader, is_known));
                        opened
                    }
                    Library::Foreign(found, library) => {
                        if self.visited.insert(found.path.clone()) {
                            self.foreign_library(&found, library, &needing);
                        }
                        continue;
                    }
                    Library::TooMany(why) => {
                        return self.unknown(Rule::LibraryMissing, &shown(&program.path), why);
                    }
                    library => {
                        if !is_mapped || loading.loader == Loader::Musl {
                            self.no_library(&name, &needing, &library, (loading.loader, is_known));
                        }
                        continue;
                    }
                };
                let Opened { found, elf, origin } = opened;
                if mapped.iter().any(|object| object.path == found.path) {
                    continue;
                }
                self.visited.insert(found.path.clone());
                if elf.truncated {
                    self.elf(&shown(&found.path), &found, elf, &Role::Library(shown(&needing)));
                }
                mapped.push(Mapped { path: found.path, elf: elf.clone(), origin, by: at });
            }
            at += 1;
        }
    }

    /// The file that the loader takes for a name. It passes over those that it cannot open, and glibc's over those of
    /// another machine; it ends with an error at others that are no library.
    fn library(&self, name: &[u8], stated: &[Place], loading: &Loading, searches: &mut usize) -> Library<'a> {
        let (mut foreign, mut closed, mut unsure) = (None, None, None);
        for place in self.places(name, stated, loading) {
            if !self.surroundings.looks.take() {
                break;
            }
            let opened = |found, elf| Opened { found, elf, origin: self.origin(&place.path) };
            match (self.candidate(&place.path), place.doubt) {
                (Candidate::Native(found, elf, May::Yes), None) => return Library::Found(opened(found, elf)),
                (Candidate::Native(found, elf, may), doubt) => {
                    let why = match doubt {
                        Some(doubt) => doubt.to_owned(),
                        None if may == May::Unknown => {
                            format!("whether {} may read it depends on who that is", self.surroundings.user.words())
                        }
                        None => continue,
                    };
                    unsure.get_or_insert_with(|| (opened(found, elf), why));
                }
                (Candidate::Foreign(found, elf), None) if loading.loader == Loader::Musl => {
                    return match unsure {
                        Some((opened, why)) => Library::Unsure(opened, why),
                        None => Library::Foreign(found, elf),
                    };
                }
                (Candidate::Foreign(found, elf), _) => _ = foreign.get_or_insert((found, elf)),
                (Candidate::Closed(found), _) => _ = closed.get_or_insert(found),
                (Candidate::Broken(found, what), None) if loading.loader != Loader::Other => {
                    let broken = Library::Broken(found, what);
                    return unsure.map_or(broken, |(opened, why)| Library::Unsure(opened, why));
                }
                (Candidate::Broken(..) | Candidate::Nothing, _) => {}
            }
        }
        if self.surroundings.looks.are_gone() {
            return Library::TooMany("its libraries would have to be looked for at more places than is done here");
        }
        if let Some((opened, why)) = unsure {
            return Library::Unsure(opened, why);
        }
        *searches += 1;
        if *searches > MAX_SEARCHES {
            return Library::TooMany("too many of its libraries are not where the loader looks");
        }
        for path in self.by_name().get(split(name).1).into_iter().flatten() {
            match self.candidate(&shown(path)) {
                Candidate::Native(found, elf, _) => {
                    let origin = folder_of(&shown(path));
                    return Library::Elsewhere(Opened { found, elf, origin });
                }
                Candidate::Foreign(found, elf) => _ = foreign.get_or_insert((found, elf)),
                _ => {}
            }
        }
        match (closed, foreign) {
            (Some(found), _) => Library::Closed(found),
            (None, Some((found, elf))) => Library::Foreign(found, elf),
            (None, None) => Library::Missing,
        }
    }

    /// The paths of the image by their last names.
    fn by_name(&self) -> &BTreeMap<&'a [u8], Vec<&'a [u8]>> {
        self.by_name.get_or_init(|| {
            let mut by_name: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
            for (path, ..) in self.image().root.iter() {
                by_name.entry(split(path).1).or_default().push(path);
            }
            by_name
        })
    }

    /// What glibc's loader knows without looking; `None` where the image has no such file.
    fn cache(&self) -> Option<&'a [crate::elf::cache::Cached]> {
        match &self.image().root.lookup(b"etc/ld.so.cache")?.0.kind {
            Kind::File { head: Head::LoaderCache(libraries), .. } => Some(libraries),
            _ => None,
        }
    }

    /// A library where the loader is not known to look.
    fn elsewhere(&mut self, name: &[u8], needing: &[u8], found: &Found<'_>, (loader, is_known): (Loader, bool)) {
        let told = match loader {
            Loader::Glibc => self.cache().is_some(),
            // musl reads the folders from a file, where there is one.
            Loader::Musl => !self.has_musl_path(),
            Loader::Other => false,
        };
        let told = told && is_known && !self.may_come_from_outside();
        let (name, needing, path) = (String::from_utf8_lossy(name).into_owned(), shown(needing), shown(&found.path));
        let words = Role::Library(needing).words(&name);
        let mut finding = if told {
            let why =
                if loader == Loader::Glibc { "nor does /etc/ld.so.cache name it" } else { "musl looks nowhere else" };
            let message = format!(
                "{words} stands at {path}, where the loader does not look: no RUNPATH and no LD_LIBRARY_PATH leads \
                 there, {why}"
            );
            Finding::new(Rule::LibraryMissing, Severity::Error, message)
                .help("run ldconfig in the image, or set LD_LIBRARY_PATH to its folder")
        } else {
            let message =
                format!("{words} stands at {path}, and whether the loader looks there cannot be told from the image");
            Finding::new(Rule::LibraryMissing, Severity::Note, message).undecided().help(
                "make /etc/ld.so.cache part of the image (ldconfig), or set LD_LIBRARY_PATH in the image's environment",
            )
        };
        finding.layer = self.image().layers.get(found.layer).map(|layer| layer.digest);
        finding.path = Some(path);
        self.push(finding);
    }

    fn foreign_library(&mut self, found: &Found<'_>, library: &Elf, needing: &[u8]) {
        let wanted = machine(self.architecture).map_or_else(|| self.architecture.to_string(), |m| m.to_string());
        let what = format!("is made for {}; wanted is {wanted} ({})", made_for(library), self.why);
        let role = Role::Library(shown(needing));
        let mut finding = self.about(Rule::ForeignExecutable, &shown(&found.path), found, &role, &what);
        finding.found = Some(made_for(library));
        finding.wanted = Some(wanted);
        self.push(finding.help("build it for that machine, or ask for the architecture that it is made for"));
    }

    /// A library that the loader takes, unless something is otherwise.
    fn unsure(&mut self, name: &[u8], needing: &[u8], found: &Found<'_>, why: &str) {
        let words = Role::Library(shown(needing)).words(&String::from_utf8_lossy(name));
        let path = shown(&found.path);
        let mut finding =
            Finding::new(Rule::LibraryMissing, Severity::Note, format!("{words} stands at {path}, but {why}"))
                .undecided()
                .help(format!(
                    "put it where every loader looks for every user (/usr/lib, with ldconfig), or, if you know that it \
                     is found, say so: --allow library-missing={path}"
                ));
        finding.layer = self.image().layers.get(found.layer).map(|layer| layer.digest);
        finding.path = Some(path);
        self.push(finding);
    }

    /// A library that the loader does not get: none has the name, the user may not read it, or it is none.
    fn no_library(&mut self, name: &[u8], needing: &[u8], library: &Library<'_>, (loader, is_known): (Loader, bool)) {
        let name = String::from_utf8_lossy(name).into_owned();
        let needing = shown(needing);
        let words = Role::Library(needing.clone()).words(&name);
        let (message, help, found) = match library {
            Library::Closed(found) => {
                let (node, user) = (found.node, self.surroundings.user.words());
                let closed = match self.surroundings.closed_folder(&found.path) {
                    Some((folder, _)) => format!("in {folder}, which is closed for {user}"),
                    None => format!("{user} may not read it: mode {:04o}, owner {}:{}", node.mode, node.uid, node.gid),
                };
                let help = "give it the mode 0644, and the folders above it 0755";
                (format!("{words} stands at {}, but {closed}", shown(&found.path)), help, Some(found))
            }
            Library::Broken(found, what) => {
                let help = "take it out of that folder, or put the library there";
                let path = shown(&found.path);
                (
                    format!("{words} is looked for at {path}, which {what}: the loader goes no further"),
                    help,
                    Some(found),
                )
            }
            _ => {
                let help = "install the package that has it, or link the program statically";
                (format!("{words} is nowhere in the image"), help, None)
            }
        };
        let mut finding = Finding::new(Rule::LibraryMissing, Severity::Error, message).help(help);
        // What nobody has is missing wherever the loader looks; what it meets first hangs on that.
        let is_open = match library {
            Library::Broken(..) => !is_known || self.surroundings.library_path.is_none(),
            _ => false,
        };
        if is_open || loader == Loader::Other || self.surroundings.has_volumes() || self.surroundings.preloads {
            finding.severity = Severity::Note;
            finding.message.push_str("; a volume, a preloaded library or the loader itself may have it");
            finding = finding.undecided();
        }
        finding.layer = found.and_then(|found| self.image().layers.get(found.layer)).map(|layer| layer.digest);
        finding.path = Some(found.map_or(needing, |found| shown(&found.path)));
        finding.found = Some("nothing".into());
        finding.wanted = Some(name);
        self.push(finding);
    }

    /// Whether libraries may come that the image does not have, or from folders that are not known.
    fn may_come_from_outside(&self) -> bool {
        let own = &self.surroundings;
        own.library_path.is_none() || own.preloads || own.has_volumes()
    }
}

/// Whether the loader has the library within itself: musl's is the whole C library, by each of its old names.
fn built_in(loader: Loader, name: &[u8]) -> bool {
    const PARTS: [&[u8]; 7] = [b"c.", b"pthread.", b"rt.", b"m.", b"dl.", b"util.", b"xnet."];
    let part = name.strip_prefix(b"lib").unwrap_or_default();
    loader == Loader::Musl && PARTS.iter().any(|own| part.starts_with(own))
}
