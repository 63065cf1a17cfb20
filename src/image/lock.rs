//! `dockless.lock`: the base's digest for each platform, as it was when it was chosen. A tag moves; with this file
//! beside the recipe the same recipe gives the same image, years later.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::recipe::load::FILE_NAME;
use super::recipe::place::RecipeError;
use crate::layout::replace_file;
use crate::oci::digest::Digest;
use crate::oci::platform::Platform;
use crate::oci::reference::Reference;

/// The version of the file that is written.
const VERSION: u32 = 1;

/// What the file's name ends with; before that stands the recipe's name.
const EXTENSION: &str = "lock";

/// A base as it was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBase {
    /// The reference, as the recipe means it.
    pub name: String,
    /// What the reference named: the digest of an index, or of the only manifest.
    pub digest: Digest,
    /// The digest of the manifest, by platform.
    pub platforms: BTreeMap<String, Digest>,
}

/// A platform's manifest that is another now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The platform.
    pub platform: String,
    /// The digest that is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Digest>,
    /// The digest that would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Digest>,
}

/// The file, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The file.
    pub path: PathBuf,
    /// The base; `None` where there is no file, or it locks nothing.
    pub base: Option<LockedBase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: u32,
    base: Option<LockedBase>,
}

impl Lock {
    /// Reads the file beside a recipe, which is named as a file or as its folder.
    ///
    /// # Errors
    /// Where it cannot be read, or is no such file. One that is not there locks nothing.
    pub fn load(recipe: &Path) -> Result<Self, RecipeError> {
        let Self { path, .. } = Self::none(recipe);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { path, base: None }),
            Err(error) => {
                return Err(RecipeError::new(format!("cannot read {}", path.display())).caused_by(error));
            }
        };
        let base = parse(&text).map_err(|message| {
            RecipeError::new(format!("{} is damaged: {message}", path.display()))
                .help("take it from version control again, or choose the base anew: dockless lock")
        })?;
        Ok(Self { path, base })
    }

    /// The file beside a recipe as if it said nothing.
    pub fn none(recipe: &Path) -> Self {
        let file = if recipe.is_dir() { recipe.join(FILE_NAME) } else { recipe.to_path_buf() };
        let path = file.with_extension(EXTENSION);
        Self { path: path.strip_prefix(".").unwrap_or(&path).to_path_buf(), base: None }
    }

    /// The manifests that are locked for a base, in the order of the platforms.
    ///
    /// # Errors
    /// Where the file does not say them all: why, in a sentence.
    pub fn pinned(&self, base: &Reference, platforms: &[Platform]) -> Result<Vec<Digest>, String> {
        let file = self.path.display();
        let Some(locked) = &self.base else { return Err(format!("there is no {file}")) };
        if locked.name != base.to_string() {
            return Err(format!("{file} locks {}, but the base is {base}", locked.name));
        }
        let missing = platforms.iter().find(|platform| !locked.platforms.contains_key(&platform.to_string()));
        if let Some(missing) = missing {
            let has: Vec<&str> = locked.platforms.keys().map(String::as_str).collect();
            return Err(format!("{file} has no {missing} of {base}, only {}", has.join(", ")));
        }
        Ok(platforms.iter().filter_map(|platform| locked.platforms.get(&platform.to_string()).copied()).collect())
    }

    /// What would be another if this base were locked.
    pub fn changes(&self, base: &LockedBase) -> Vec<Change> {
        let none = BTreeMap::new();
        let old = self.base.as_ref().filter(|old| old.name == base.name).map_or(&none, |old| &old.platforms);
        let mut platforms: Vec<&String> = old.keys().chain(base.platforms.keys()).collect();
        platforms.sort();
        platforms.dedup();
        let change = |platform: &String| {
            let (from, to) = (old.get(platform).copied(), base.platforms.get(platform).copied());
            (from != to).then(|| Change { platform: platform.clone(), from, to })
        };
        platforms.into_iter().filter_map(change).collect()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn write(&self) -> io::Result<()> {
        replace_file(&self.path, self.text().as_bytes())
    }

    /// The file's text. Names and digests have nothing in them that TOML would have escaped.
    fn text(&self) -> String {
        let mut text = format!(
            "# The image that the recipe builds upon, as it was when it was chosen. Written by `dockless lock`: commit it.\n\
             version = {VERSION}\n"
        );
        let Some(LockedBase { name, digest, platforms }) = &self.base else { return text };
        let _ = write!(text, "\n[base]\nname = \"{name}\"\ndigest = \"{digest}\"\n\n[base.platforms]\n");
        for (platform, digest) in platforms {
            let _ = writeln!(text, "\"{platform}\" = \"{digest}\"");
        }
        text
    }
}

fn parse(text: &str) -> Result<Option<LockedBase>, String> {
    // The version goes before all else: what a later one has beside it is not known here.
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    match table.get("version").and_then(toml::Value::as_integer) {
        Some(version) if version == i64::from(VERSION) => {}
        Some(version) => return Err(format!("its version is {version}, expected {VERSION}")),
        None => return Err("it states no version".into()),
    }
    let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    Ok(file.base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(platforms: &[(&str, &str)]) -> Lock {
        let platforms = platforms.iter().map(|(name, of)| ((*name).to_owned(), Digest::of(of.as_bytes()))).collect();
        let base = LockedBase { name: "example.com/base:1".into(), digest: Digest::of(b"index"), platforms };
        Lock { path: "dockless.lock".into(), base: Some(base) }
    }

    #[test]
    fn what_is_written_is_read() {
        let lock = lock(&[("linux/arm64", "b"), ("linux/amd64", "a")]);
        let text = lock.text();
        assert_eq!(parse(&text), Ok(lock.base.clone()));
        assert!(text.starts_with("# ") && text.find("amd64") < text.find("arm64"), "{text}");
        for (damage, reason) in [
            (text.replace("version = 1", "version = 2"), "its version is 2, expected 1"),
            (text.replace("version = 1\n", ""), "it states no version"),
            (text.replace("name =", "nam ="), "unknown field"),
            (text.replace("sha256:", "md5:"), "digest"),
            ("version = ".into(), ""),
        ] {
            let error = parse(&damage).expect_err(&damage);
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn all_platforms_or_none_are_pinned() {
        let lock = lock(&[("linux/amd64", "a")]);
        let (amd64, arm64) = (Platform::linux_amd64(), Platform::linux_arm64());
        let base: Reference = "example.com/base:1".parse().expect("a reference");
        assert_eq!(lock.pinned(&base, std::slice::from_ref(&amd64)), Ok(vec![Digest::of(b"a")]));
        let error = lock.pinned(&base, &[amd64.clone(), arm64]).expect_err("a platform too many");
        assert_eq!(error, "dockless.lock has no linux/arm64 of example.com/base:1, only linux/amd64");
        let other: Reference = "example.com/base:2".parse().expect("a reference");
        let error = lock.pinned(&other, &[amd64]).expect_err("another base");
        assert_eq!(error, "dockless.lock locks example.com/base:1, but the base is example.com/base:2");
    }

    #[test]
    fn changes_are_by_platform() {
        let old = lock(&[("linux/amd64", "a"), ("linux/arm64", "b")]);
        let new = lock(&[("linux/amd64", "a"), ("linux/arm64", "c")]).base.expect("a base");
        let change = |from: Option<&str>, to: &str| Change {
            platform: "linux/arm64".into(),
            from: from.map(|from| Digest::of(from.as_bytes())),
            to: Some(Digest::of(to.as_bytes())),
        };
        assert_eq!(old.changes(&new), [change(Some("b"), "c")]);
        assert_eq!(lock(&[("linux/amd64", "a")]).changes(&new), [change(None, "c")]);
        assert_eq!(Lock { path: PathBuf::new(), base: None }.changes(&new).len(), 2);
    }
}
