//! Globs as the source of a `copy` layer: `dist/*.js`, `../shared/**/*.json`. `**` as a whole name is any number of
//! folders, and at the end every file below; `*` matches names that begin with a dot too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Automaton;

/// Why a glob could not be expanded.
#[derive(Debug, Error)]
pub enum GlobError {
    /// It is not well-formed.
    #[error("the pattern {pattern:?} {reason}")]
    Pattern {
        /// The glob.
        pattern: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

enum Name {
    Plain(String),
    Wild(Automaton),
    Deep,
}

/// Whether a text has an unescaped `*`, `?` or `[`. A file that has exactly this name (`[id].js`) is for the caller
/// to look for first.
pub fn is_glob(text: &str) -> bool {
    let mut escaped = false;
    text.chars().any(|character| {
        let special = !escaped && matches!(character, '*' | '?' | '[');
        escaped = character == '\\' && !escaped;
        special
    })
}

/// The paths that match, each `root` joined with what matched, sorted by the bytes of their names. None is no
/// error. A symlink to a folder matches but is not entered by a name with a wildcard or by what follows it.
///
/// # Errors
/// Where the pattern is none, or a folder cannot be read.
pub fn expand(root: &Path, pattern: &str) -> Result<Vec<PathBuf>, GlobError> {
    let wrong = |reason| GlobError::Pattern { pattern: pattern.into(), reason };
    let mut names = Vec::new();
    for name in pattern.split('/').filter(|name| !name.is_empty() && *name != ".") {
        names.push(match name {
            "**" if matches!(names.last(), Some(Name::Deep)) => continue,
            "**" => Name::Deep,
            name if is_glob(name) => Name::Wild(Automaton::new(&single_stars(name)).map_err(wrong)?),
            name => Name::Plain(unescape(name)),
        });
    }
    let mut found = Vec::new();
    let start = if pattern.starts_with('/') { PathBuf::from("/") } else { root.to_path_buf() };
    descend(&start, &names, false, &mut found)?;
    found.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    found.dedup();
    Ok(found)
}

/// The folder that a pattern names before its first wildcard, joined to `root` as [`expand`] does it.
pub fn fixed(root: &Path, pattern: &str) -> PathBuf {
    let start = if pattern.starts_with('/') { Path::new("/") } else { root };
    let names = pattern.split('/').filter(|name| !name.is_empty() && *name != ".");
    start.join(names.take_while(|name| !is_glob(name)).map(unescape).collect::<PathBuf>())
}

/// Within one name two stars are as good as one; only a name of its own crosses folders.
fn single_stars(name: &str) -> String {
    let mut text = String::new();
    let (mut escaped, mut star) = (false, false);
    for character in name.chars() {
        let is_star = character == '*' && !escaped;
        if !(is_star && star) {
            text.push(character);
        }
        star = is_star;
        escaped = character == '\\' && !escaped;
    }
    text
}

fn unescape(name: &str) -> String {
    let mut text = String::new();
    let mut rest = name.chars();
    while let Some(character) = rest.next() {
        text.push(if character == '\\' { rest.next().unwrap_or('\\') } else { character });
    }
    text
}

fn descend(folder: &Path, names: &[Name], wild_above: bool, found: &mut Vec<PathBuf>) -> Result<(), GlobError> {
    let Some((name, rest)) = names.split_first() else { return Ok(()) };
    if let Name::Plain(name) = name {
        let path = folder.join(name);
        match fs::symlink_metadata(&path) {
            Ok(_) if rest.is_empty() => found.push(path),
            // A link that was written down is meant; one that a wildcard leads to may lead anywhere.
            Ok(metadata) if metadata.is_dir() || (metadata.is_symlink() && !wild_above) => {
                descend(&path, rest, wild_above, found)?;
            }
            Ok(_) => {}
            Err(error) if is_absent(&error) => {}
            Err(source) => return Err(GlobError::Read { path, source }),
        }
        return Ok(());
    }
    let unreadable = |source| GlobError::Read { path: folder.to_path_buf(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(source) => return Err(unreadable(source)),
    };
    if matches!(name, Name::Deep) {
        descend(folder, rest, true, found)?;
    }
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let is_folder = entry.file_type().map_err(unreadable)?.is_dir();
        match name {
            Name::Deep => {
                if is_folder {
                    descend(&entry.path(), names, true, found)?;
                } else if rest.is_empty() {
                    // Not the folders: what is in them would be there twice.
                    found.push(entry.path());
                }
            }
            Name::Wild(automaton) if automaton.matches(entry.file_name().as_encoded_bytes()) => {
                if rest.is_empty() {
                    found.push(entry.path());
                } else if is_folder {
                    descend(&entry.path(), rest, true, found)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_list_what_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        for name in ["a/x.js", "a/.y.js", "a/b/z.js", "a/b/n.txt", "[id].js", "é.js", "../side/s.js"] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "").expect("a file");
        }
        std::os::unix::fs::symlink(root.join("a"), root.join("link")).expect("a link");
        let listed = |pattern: &str| -> Vec<String> {
            let found = expand(&root, pattern).unwrap_or_else(|error| panic!("{error}"));
            found.iter().map(|path| path.strip_prefix(&root).expect("below").display().to_string()).collect()
        };
        assert_eq!(listed("a/*.js"), ["a/.y.js", "a/x.js"]);
        assert_eq!(listed("**/*.js"), ["[id].js", "a/.y.js", "a/b/z.js", "a/x.js", "é.js"]);
        assert_eq!(listed("a/**"), ["a/.y.js", "a/b/n.txt", "a/b/z.js", "a/x.js"]);
        assert_eq!(listed("?.js"), ["é.js"]);
        assert_eq!(listed("\\[id].*"), ["[id].js"]);
        assert_eq!(listed("../s*/*.js"), ["../side/s.js"]);
        assert_eq!(listed("link/*.js"), ["link/.y.js", "link/x.js"]);
        assert_eq!(listed("li*"), ["link"]);
        assert_eq!(listed("li*/*.js"), [] as [&str; 0]);
        assert_eq!(listed("absent/*"), [] as [&str; 0]);
        assert_eq!(listed("a/x.js/*"), [] as [&str; 0]);
        assert!(matches!(expand(&root, "[a"), Err(GlobError::Pattern { .. })));
        for (pattern, fixed_part) in [("a/*.js", "a"), ("*.js", ""), ("./../s*/x", ".."), ("\\[a]/b/**", "[a]/b")] {
            assert_eq!(fixed(&root, pattern), root.join(fixed_part), "{pattern}");
        }
        assert!(is_glob("a*") && is_glob("[id]") && !is_glob("a\\*") && is_glob("a\\\\*"));
    }
}
