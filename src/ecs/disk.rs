//! Files on disk, as far as a stranger's source may name them.
//!
//! Paths are resolved with their links before anything is opened, and only what is below the repository's root is read:
//! the nearest folder above the source that has a `.git`. Without one, a template's files are below its own folder;
//! Terraform's modules may stand as far above the source as `../../..` reaches, but no other file above them.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::terraform::{Files, Unread, is_configuration};

/// How large one file of a Terraform configuration may be.
const MAX_FILE: u64 = 4 << 20;
/// How large all files that are read together may be.
const MAX_ALL: u64 = 64 << 20;
/// How many files of a configuration one folder may have.
const MAX_NAMES: usize = 10_000;
/// How far above the source a module may stand where there is no repository.
const CLIMB: usize = 3;

/// The files below a folder.
///
/// Why one is not read is told as what follows its name.
pub(super) struct Repository {
    root: PathBuf,
    /// How many bytes may still be read.
    left: Mutex<u64>,
}

impl Repository {
    /// What may be read beside a source: below the repository that it is in, else below its own folder.
    pub(super) fn around(source: &Path) -> io::Result<Self> {
        let real = source.canonicalize()?;
        let folder = if real.is_dir() { real.as_path() } else { real.parent().unwrap_or(&real) };
        Ok(Self::below(repository(folder).unwrap_or(folder)))
    }

    fn below(root: &Path) -> Self {
        Self { root: root.into(), left: Mutex::new(MAX_ALL) }
    }

    /// The text of a file of at most so many bytes.
    pub(super) fn read(&self, path: &Path, limit: u64) -> Result<String, Unread> {
        self.text(&self.resolve(path)?, limit)
    }

    /// Where a path leads, if it may be read.
    fn resolve(&self, path: &Path) -> Result<PathBuf, Unread> {
        let resolved = path.canonicalize();
        // Whether there is a file elsewhere is not told either: the nearest folder says where it would be.
        let nearest = match &resolved {
            Ok(resolved) => Some(resolved.clone()),
            Err(_) => path.ancestors().skip(1).find_map(|above| {
                let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
                above.canonicalize().ok()
            }),
        };
        if !nearest.is_some_and(|nearest| nearest.starts_with(&self.root)) {
            return Err(Unread::Refused(format!("stands outside {}, so it is not read", self.root.display())));
        }
        resolved.map_err(|error| unread(&error))
    }

    /// The text of a file that may stand anywhere.
    fn text(&self, path: &Path, limit: u64) -> Result<String, Unread> {
        let refused = |why: &str| Unread::Refused(why.into());
        // A pipe would keep who opens it waiting.
        if !fs::metadata(path).map_err(|error| unread(&error))?.is_file() {
            return Err(refused("is no file"));
        }
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
            .map_err(|error| unread(&error))?;
        if bytes.len() as u64 > limit {
            return Err(Unread::Refused(format!("is larger than {} MiB", limit >> 20)));
        }
        let mut left = self.left.lock().map_err(|_| refused("cannot be read"))?;
        let Some(rest) = left.checked_sub(bytes.len() as u64) else {
            return Err(Unread::Refused(format!("is one too many: all files are larger than {} MiB", MAX_ALL >> 20)));
        };
        *left = rest;
        String::from_utf8(bytes).map_err(|_| refused("is not UTF-8 text"))
    }
}

/// Only what is surely not there is absent: a closed folder or a loop of links may hide anything.
fn unread(error: &io::Error) -> Unread {
    match error.kind() {
        io::ErrorKind::NotFound => Unread::Absent,
        _ => Unread::Refused(format!("cannot be read: {error}")),
    }
}

/// The nearest folder, this one or above it, that has a `.git`.
fn repository(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|ancestor| ancestor.join(".git").exists())
}

/// A path as a file names it, without the dots that lead nowhere: `stacks/./app.yaml` is `stacks/app.yaml`.
pub(super) fn beside(from: &Path, path: &Path) -> PathBuf {
    let folder = from.parent().unwrap_or(Path::new(""));
    folder.join(path).components().filter(|part| *part != Component::CurDir).collect()
}

/// The files of a Terraform configuration.
pub(super) struct Modules {
    /// The repository, or how far modules may climb.
    repository: Repository,
    /// Without a repository: the folders of the modules. Other files are below one of them.
    folders: Option<Mutex<Vec<PathBuf>>>,
    /// The only file of its folder that is meant.
    only: Option<(PathBuf, String)>,
    /// The files that the user named; they may stand anywhere.
    named: Vec<String>,
}

impl Modules {
    /// For a source that is this folder.
    pub(super) fn new(folder: &Path, only: Option<String>, named: Vec<String>) -> io::Result<Self> {
        let folder = folder.canonicalize()?;
        let repository = repository(&folder);
        let root = repository.unwrap_or_else(|| {
            let above: Vec<&Path> = folder.ancestors().take(CLIMB + 1).collect();
            above.iter().rev().find(|above| above.parent().is_some()).copied().unwrap_or(&folder)
        });
        Ok(Self {
            repository: Repository::below(root),
            folders: repository.is_none().then(|| Mutex::new(vec![folder.clone()])),
            only: only.map(|only| (folder, only)),
            named,
        })
    }

    /// The first file that the user named and that cannot be read.
    pub(super) fn unread(&self) -> Option<(&str, Unread)> {
        // What they take of the limit they take when their values are read.
        let apart = Repository::below(&self.repository.root);
        let mut named = self.named.iter();
        named.find_map(|path| Some((path.as_str(), apart.text(Path::new(path), MAX_FILE).err()?)))
    }
}

impl Files for Modules {
    fn absolute(&self, folder: &str) -> Option<String> {
        Path::new(folder).canonicalize().ok()?.into_os_string().into_string().ok()
    }

    fn read(&self, path: &str) -> Result<Arc<str>, Unread> {
        if self.named.iter().any(|named| named == path) {
            return self.repository.text(Path::new(path), MAX_FILE).map(Into::into);
        }
        let resolved = self.repository.resolve(Path::new(path))?;
        if let Some(folders) = &self.folders {
            let folders = folders.lock().map_err(|_| Unread::Refused("cannot be read".into()))?;
            if !folders.iter().any(|folder| resolved.starts_with(folder)) {
                let why = "stands outside the folders of the modules, so it is not read";
                return Err(Unread::Refused(why.into()));
            }
        }
        self.repository.text(&resolved, MAX_FILE).map(Into::into)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, Unread> {
        let resolved = self.repository.resolve(Path::new(folder))?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&resolved).map_err(|error| unread(&error))? {
            // What else the folder holds may be more than the limit.
            match entry.map_err(|error| unread(&error))?.file_name().into_string() {
                Ok(name) if is_configuration(&name) || name.contains(".tfvars") => names.push(name),
                _ => {}
            }
            if names.len() > MAX_NAMES {
                return Err(Unread::Refused(format!("has more than {MAX_NAMES} files of a configuration")));
            }
        }
        names.sort_unstable();
        if let Some((alone, only)) = &self.only
            && *alone == resolved
        {
            names.retain(|name| !is_configuration(name) || name == only);
        }
        if let Some(folders) = &self.folders
            && let Ok(mut folders) = folders.lock()
        {
            folders.push(resolved);
        }
        Ok(names)
    }
}
