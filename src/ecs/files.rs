//! The files of a repository that a source from a stranger may name: only those below its root, links resolved first.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

/// How many bytes may be read beside the source itself.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A folder below which files may be read.
pub(super) struct Repository {
    root: PathBuf,
    left: u64,
}

impl Repository {
    /// The nearest folder above a source that has a `.git`, else the source's own folder.
    pub(super) fn around(source: &Path) -> io::Result<Self> {
        let real = source.canonicalize()?;
        let folder = if real.is_dir() { real.as_path() } else { real.parent().unwrap_or(&real) };
        let root = folder.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(folder);
        Ok(Self { root: root.into(), left: MAX_BYTES })
    }

    /// The text of a file, or why it is not read.
    pub(super) fn read(&mut self, path: &Path, limit: u64) -> Result<String, String> {
        let shown = path.display();
        let real = path.canonicalize().map_err(|error| format!("{shown}: {error}"))?;
        if !real.starts_with(&self.root) {
            return Err(format!("{shown} is outside of {}", self.root.display()));
        }
        // A pipe would wait for ever.
        if !fs::metadata(&real).map_err(|error| format!("{shown}: {error}"))?.is_file() {
            return Err(format!("{shown} is not a file"));
        }
        let limit = limit.min(self.left);
        let mut bytes = Vec::new();
        let read = File::open(&real).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
        let read = read.map_err(|error| format!("{shown}: {error}"))? as u64;
        if read > limit {
            return Err(format!("{shown} is larger than {limit} bytes"));
        }
        self.left -= read;
        let text = String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8 text"))?;
        Ok(text.strip_prefix('\u{feff}').map(ToOwned::to_owned).unwrap_or(text))
    }
}

/// A path as a file names it, without the dots that lead nowhere: `stacks/./app.yaml` is `stacks/app.yaml`.
pub(super) fn beside(from: &Path, path: &Path) -> PathBuf {
    let folder = from.parent().unwrap_or(Path::new(""));
    folder.join(path).components().filter(|part| *part != Component::CurDir).collect()
}
