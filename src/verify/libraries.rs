//! The dynamic loader of a program and the libraries that it maps, found as that loader finds them: glibc's
//! (ld.so(8), "DESCRIPTION") or musl's (`ldso/dynlink.c`, `load_library`), whichever the program names.
//!
//! A library that the image has nowhere is missing whatever the loader looks at. One that stands where the loader is
//! not known to look is judged by what is known of its search: musl's is known, glibc's as far as `/etc/ld.so.cache`
//! says it.

use std::collections::BTreeSet;

use crate::elf::{Elf, Machine};
use crate::image::inspect::{Fit, machine};
use crate::image::root::Found;
use crate::layer::contents::{Head, Kind};
use crate::layer::entry::split;

use super::executable::{Judge, Role, made_for};
use super::finding::{Finding, Rule, Severity};
use super::lookup::{Sought, shown};
use super::script::MAX_SCRIPTS;

/// More than any program has.
const MAX_LIBRARIES: usize = 4096;

/// How often the whole image is searched for one that is not where the loader looks: a hostile program may ask for
/// thousands.
const MAX_SEARCHES: usize = 64;

/// Whose loader maps the libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loader {
    Glibc,
    Musl,
    /// Another one, or one that cannot be told: nothing is known of its search.
    Other,
}

/// A file that is mapped.
struct Mapped {
    path: Box<[u8]>,
    elf: Elf,
    /// The one that asked for it, by its place in the list; the program asks for itself.
    by: usize,
}

/// What the name of a library led to.
enum Library<'a> {
    /// This file.
    Found(Found<'a>, Elf),
    /// There are only files of that name for other machines.
    Foreign(Found<'a>, Elf),
    /// A file where the loader is not known to look.
    Elsewhere(Found<'a>, Elf),
    /// No file has that name.
    Missing,
    /// [`MAX_SEARCHES`] are not where the loader looks.
    TooMany,
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
        let loader = self.whose(elf, &loader_path);
        let mut mapped = vec![Mapped { path: program.path.clone(), elf: elf.clone(), by: 0 }];
        let mut names: BTreeSet<Box<[u8]>> = BTreeSet::new();
        names.insert(split(&loader_path).1.into());
        let (mut at, mut searches) = (0, 0);
        while let Some(object) = mapped.get(at) {
            let (needing, needed) = (object.path.clone(), object.elf.needed.clone());
            if needed.is_none() {
                let why = "the libraries that it asks for cannot be read";
                self.unknown(Rule::ForeignExecutable, &shown(&needing), why);
            }
            for name in needed.unwrap_or_default() {
                if names.len() >= MAX_LIBRARIES || names.contains(&name) || built_in(loader, &name) {
                    continue;
                }
                names.insert(name.clone());
                let (found, library) = match self.library(&name, (&mapped, at), (loader, &loader_path), &mut searches) {
                    Library::Found(found, library) => (found, library),
                    Library::Elsewhere(found, library) => {
                        self.elsewhere(&name, &needing, &found, loader);
                        (found, library)
                    }
                    Library::Foreign(found, library) => {
                        if self.visited.insert(found.path.clone()) {
                            self.foreign_library(&found, &library, &needing);
                        }
                        continue;
                    }
                    Library::TooMany => {
                        let why = "too many of its libraries are not where the loader looks";
                        return self.unknown(Rule::LibraryMissing, &shown(&program.path), why);
                    }
                    Library::Missing => {
                        // A library that is mapped already may go by this name.
                        let known = |object: &Mapped| object.elf.soname.as_deref() == Some(&*name);
                        if !mapped.iter().any(known) {
                            self.missing_library(&name, &needing, loader);
                        }
                        continue;
                    }
                };
                if mapped.iter().any(|object| object.path == found.path) {
                    continue;
                }
                self.visited.insert(found.path.clone());
                if library.truncated {
                    self.elf(&shown(&found.path), &found, &library, &Role::Library(shown(&needing)));
                }
                mapped.push(Mapped { path: found.path, elf: library, by: at });
            }
            at += 1;
        }
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
        let has_musl = self.image().root.iter().any(|(path, ..)| musl(split(path).1));
        if glibc && !has_musl { Loader::Glibc } else { Loader::Other }
    }

    /// The file that the loader takes for a name. It passes over files of another machine.
    fn library(
        &self,
        name: &[u8],
        (mapped, by): (&[Mapped], usize),
        (loader, loader_path): (Loader, &[u8]),
        searches: &mut usize,
    ) -> Library<'a> {
        let text = String::from_utf8_lossy(name);
        let root = &self.image().root;
        let mut foreign = None;
        let mut take = |candidate: &[u8]| {
            let found = root.resolve(candidate).ok()?;
            let Kind::File { head: Head::Elf(library), .. } = &found.node.kind else { return None };
            let library = library.as_ref().clone();
            match self.fit(&library) {
                Fit::Native => return Some((found, library)),
                Fit::Foreign | Fit::Compatible => _ = foreign.get_or_insert((found, library)),
                Fit::Irrelevant => {}
            }
            None
        };
        if text.contains('/') {
            // A relative one is relative to the working folder.
            let folder = self.surroundings.folder.as_deref().filter(|_| !text.starts_with('/')).unwrap_or_default();
            if let Some((found, library)) = take(format!("{folder}/{text}").as_bytes()) {
                return Library::Found(found, library);
            }
        } else {
            for folder in self.folders(mapped, by, loader, loader_path) {
                if let Some((found, library)) = take(format!("{folder}/{text}").as_bytes()) {
                    return Library::Found(found, library);
                }
            }
            let cached =
                self.cache().into_iter().flatten().filter(|(known, _)| loader != Loader::Musl && **known == *name);
            for (_, path) in cached {
                if let Some((found, library)) = take(path) {
                    return Library::Found(found, library);
                }
            }
        }
        *searches += 1;
        if *searches > MAX_SEARCHES {
            return Library::TooMany;
        }
        let mut elsewhere = root.iter().filter(|(path, ..)| split(path).1 == split(name).1).map(|(path, ..)| path);
        if let Some((found, library)) = elsewhere.find_map(&mut take) {
            return Library::Elsewhere(found, library);
        }
        foreign.map_or(Library::Missing, |(found, library)| Library::Foreign(found, library))
    }

    /// The folders that are searched for what `mapped[by]` needs, in order.
    fn folders(&self, mapped: &[Mapped], by: usize, loader: Loader, loader_path: &[u8]) -> Vec<String> {
        let mut folders = Vec::new();
        let own = &mapped[by];
        let run_path = own.elf.search_path.is_some() && !own.elf.inherited;
        // glibc: DT_RPATH of it and of those above, unless it has DT_RUNPATH itself; musl knows no difference.
        let mut at = by;
        loop {
            let object = &mapped[at];
            if loader == Loader::Musl || object.elf.inherited && !run_path {
                folders.extend(self.expanded(object));
            }
            if at == object.by {
                break;
            }
            at = object.by;
        }
        let stated = self.surroundings.library_path.iter().flat_map(|path| path.split([':', ';']));
        folders.extend(stated.filter(|folder| !folder.is_empty()).map(str::to_owned));
        folders.extend(self.expanded(own));
        if loader == Loader::Musl {
            folders.extend(["/lib", "/usr/local/lib", "/usr/lib"].map(str::to_owned));
        } else {
            // Those of Debian, of Fedora, and the loader's own, as Nix builds it.
            let triplet = self.triplet();
            folders.extend([format!("/lib/{triplet}"), format!("/usr/lib/{triplet}")]);
            folders.extend(["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(str::to_owned));
            folders.push(shown(split(loader_path).0));
        }
        folders
    }

    fn triplet(&self) -> &'static str {
        match machine(self.architecture) {
            Some(Machine::X86_64) => "x86_64-linux-gnu",
            Some(Machine::AARCH64) => "aarch64-linux-gnu",
            Some(Machine::I386) => "i386-linux-gnu",
            _ => "",
        }
    }

    /// `DT_RUNPATH` or `DT_RPATH` with `$ORIGIN` and `$LIB` filled in.
    fn expanded(&self, object: &Mapped) -> Vec<String> {
        let origin = shown(split(&object.path).0);
        let path = String::from_utf8_lossy(object.elf.search_path.as_deref().unwrap_or_default());
        let folders = path.split(':').filter(|folder| !folder.is_empty()).flat_map(|folder| {
            let folder = folder.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin).replace("${LIB}", "$LIB");
            // Debian's loader and Fedora's say different things for it.
            let libs = if folder.contains("$LIB") {
                vec![format!("lib/{}", self.triplet()), "lib64".into(), "lib".into()]
            } else {
                vec![String::new()]
            };
            libs.into_iter().map(move |lib| folder.replace("$LIB", &lib))
        });
        folders.collect()
    }

    /// What glibc's loader knows without looking; `None` where the image has no such file.
    fn cache(&self) -> Option<&'a [crate::elf::cache::Cached]> {
        match &self.image().root.lookup(b"etc/ld.so.cache")?.0.kind {
            Kind::File { head: Head::LoaderCache(libraries), .. } => Some(libraries),
            _ => None,
        }
    }

    /// A library where the loader is not known to look.
    fn elsewhere(&mut self, name: &[u8], needing: &[u8], found: &Found<'_>, loader: Loader) {
        let root = &self.image().root;
        let told = match loader {
            Loader::Glibc => self.cache().is_some(),
            // musl reads the folders from a file, where there is one.
            Loader::Musl => {
                !root.iter().any(|(path, ..)| path.starts_with(b"etc/ld-musl-") && path.ends_with(b".path"))
            }
            Loader::Other => false,
        };
        let told = told
            && self.surroundings.library_path.is_some()
            && !self.surroundings.preloads
            && !self.surroundings.has_volumes();
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

    fn missing_library(&mut self, name: &[u8], needing: &[u8], loader: Loader) {
        let name = String::from_utf8_lossy(name).into_owned();
        let needing = shown(needing);
        let words = Role::Library(needing.clone()).words(&name);
        let message = format!("{words} is nowhere in the image");
        let mut finding = Finding::new(Rule::LibraryMissing, Severity::Error, message)
            .help("install the package that has it, or link the program statically");
        if loader == Loader::Other || self.surroundings.has_volumes() || self.surroundings.preloads {
            finding.severity = Severity::Note;
            finding.message.push_str("; a volume, a preloaded library or the loader itself may have it");
            finding = finding.undecided();
        }
        finding.path = Some(needing);
        finding.found = Some("nothing".into());
        finding.wanted = Some(name);
        self.push(finding);
    }
}

/// Whether the loader has the library within itself: musl's is the whole C library, by each of its old names.
fn built_in(loader: Loader, name: &[u8]) -> bool {
    const PARTS: [&[u8]; 7] = [b"c.", b"pthread.", b"rt.", b"m.", b"dl.", b"util.", b"xnet."];
    let part = name.strip_prefix(b"lib").unwrap_or_default();
    loader == Loader::Musl && PARTS.iter().any(|own| part.starts_with(own))
}
