//! Whose place a file may take that a command writes: nobody's but that of what an earlier run wrote for the same flag.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use dockless::ecs::json::{self, MAX_BYTES};
use dockless::image::archive::ImageArchive;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::super::failure::Failure;
use super::is_stdout;

/// A file or folder that a command reads.
#[derive(Debug, Clone)]
pub struct Input {
    /// What the user knows it as.
    what: String,
    path: PathBuf,
    role: Role,
}

/// What is read of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// All of it: a file, or any file of a folder.
    Whole,
    /// Part of a source; it may be what an earlier run wrote, and be written anew.
    Part,
    /// A Terraform configuration: its files, and whatever file a function of it names.
    Configuration,
}

impl Input {
    /// A file, or a folder of which any file may be read.
    pub fn new(what: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { what: what.into(), path: path.into(), role: Role::Whole }
    }

    /// What was found to belong to a source, among which may be what an earlier run wrote.
    pub fn part(what: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { role: Role::Part, ..Self::new(what, path) }
    }

    /// A Terraform configuration: a folder, or one file that is taken for the whole of it.
    pub fn configuration(what: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { role: Role::Configuration, ..Self::new(what, path) }
    }
}

/// What a flag writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An archive or a layout.
    Image,
    /// The report of a build or a push.
    Report,
    /// References, a line each.
    References,
    /// A task definition that names an image by digest.
    TaskDefinition,
    /// The values of variables or parameters that hold images.
    Values,
    /// Findings as SARIF.
    Findings,
    /// A recipe that was made.
    Recipe,
}

impl Kind {
    /// Whether a file may be what an earlier run wrote.
    fn wrote(self, path: &Path) -> bool {
        // To open a pipe would wait for its other end.
        let Some(there) = fs::metadata(path).ok().filter(fs::Metadata::is_file) else { return false };
        let by_digest = |text: &str| text.contains("@sha256:");
        let text = || {
            let text = (there.len() <= MAX_BYTES as u64).then(|| fs::read_to_string(path).ok());
            text.flatten().filter(|text| by_digest(text))
        };
        match self {
            Self::Image => ImageArchive::open(path).is_ok(),
            // It is its user's from then on.
            Self::Recipe => false,
            Self::Report => has(path, &["version", "digest", "references", "platforms", "uploads"]),
            Self::Findings => has(path, &["$schema", "version", "runs"]),
            Self::References => {
                text().is_some_and(|text| text.lines().all(by_digest) && !text.trim_start().starts_with(['{', '[']))
            }
            // Whatever the file is called: where YAML is meant, JSON is read as well.
            Self::TaskDefinition => text().is_some_and(|text| json::parse("task-definition.yaml", &text).is_ok()),
            Self::Values => text().is_some_and(|text| are_values(&text)),
        }
    }
}

/// Whether a file is a JSON object with these keys. Nothing of it is kept but its keys.
fn has(path: &Path, keys: &[&str]) -> bool {
    let Ok(file) = File::open(path) else { return false };
    #[expect(clippy::zero_sized_map_values, reason = "a set is read from a list, not from the keys of an object")]
    let found: Result<BTreeMap<String, IgnoredAny>, _> = serde_json::from_reader(BufReader::new(file));
    found.is_ok_and(|found| keys.iter().all(|key| found.contains_key(*key)))
}

/// Whether a text is the values of variables or parameters that hold images, and nothing else.
fn are_values(text: &str) -> bool {
    let is_image = |value: &Value| value.as_str().is_some_and(|value| value.contains("@sha256:"));
    match serde_json::from_str(text) {
        Ok(Value::Object(values)) => values.values().all(is_image),
        Ok(Value::Array(values)) => values.iter().all(|one| one.get("ParameterValue").is_some_and(is_image)),
        _ => false,
    }
}

/// A file that a command writes.
#[derive(Debug, Clone)]
pub struct Written<'a> {
    /// What it will be.
    kind: Kind,
    /// The flag that names it.
    flag: &'a str,
    /// The file, where one was asked for.
    path: Option<&'a Path>,
    /// The input that it may replace: a task definition that is rendered where it stands.
    over: Option<PathBuf>,
}

impl<'a> Written<'a> {
    /// A file that replaces nothing that is read.
    pub fn new(kind: Kind, flag: &'a str, path: Option<&'a Path>) -> Self {
        Self { kind, flag, path, over: None }
    }

    /// The same, where it may replace this input.
    #[must_use]
    pub fn over(self, over: Option<PathBuf>) -> Self {
        Self { over, ..self }
    }

    /// The file, and where it is or will be; nothing where what it is written to is no file (`-`, a device, a pipe).
    fn own(&self) -> Option<(&'a Path, PathBuf)> {
        let path = self.path.filter(|path| !is_stdout(path))?;
        Some((path, place(path)?))
    }

    /// Whether it is the input that it may replace.
    fn is_in_place(&self) -> bool {
        let over = self.over.as_deref().and_then(place);
        over.is_some() && over == self.path.and_then(place)
    }

    /// Whether an input may be made of it. Which files a configuration opens is not known; a task definition may be
    /// anywhere, values are within its folder.
    fn may_be_read(&self, input: &Input) -> bool {
        let (Some((_, own)), Ok(there)) = (self.own(), input.path.canonicalize()) else { return false };
        match (input.role, self.kind) {
            (Role::Configuration, Kind::TaskDefinition) => true,
            (Role::Configuration, Kind::Values) => {
                own.starts_with(if there.is_dir() { &there } else { there.parent().unwrap_or(&there) })
            }
            _ => there == own,
        }
    }

    /// Removes what an earlier run wrote there.
    fn clear(&self) -> Result<(), Failure> {
        let Some((path, _)) = self.own() else { return Ok(()) };
        // Of an image nothing is taken away before there is another.
        if self.kind == Kind::Image || self.is_in_place() || !self.kind.wrote(path) {
            return Ok(());
        }
        // What a link leads to is emptied: the link is the user's.
        let removed = if path.is_symlink() { File::create(path).map(drop) } else { fs::remove_file(path) };
        removed.map_err(|error| {
            let what = format!("{} {}: what an earlier run wrote cannot be removed", self.flag, path.display());
            Failure::new(error).during(what)
        })
    }
}

/// Refuses a file that would be written in the place of another one: what is read, or looked for, or what another flag
/// writes. In a folder that is read, what an earlier run wrote may be replaced, and nothing else.
pub fn apart(written: &[Written<'_>], read: &[Input]) -> Result<(), Failure> {
    let mut taken: Vec<(&str, PathBuf)> = Vec::new();
    for one @ Written { kind, flag, .. } in written {
        let Some((path, own)) = one.own() else { continue };
        let refused = |what: String| {
            Failure::new(format!("{flag} {}: that is {what}", path.display())).hint("write it to a file of its own")
        };
        let lost = |what: &str| refused(format!("{what}, which would be lost"));
        if let Some((what, _)) = taken.iter().find(|(_, other)| *other == own) {
            return Err(lost(what));
        }
        for input in read.iter().filter(|_| !one.is_in_place()) {
            let Some(there) = input.path.canonicalize().ok().or_else(|| place(&input.path)) else { continue };
            // An empty file is one that `mktemp` made.
            let is_empty = || fs::metadata(&own).is_ok_and(|own| own.len() == 0);
            let renewed = || !own.exists() || is_empty() || kind.wrote(&own);
            // The task definition that a source is made of is not one that was rendered from it.
            if there == own && !(input.role == Role::Part && *kind != Kind::TaskDefinition && renewed()) {
                let what = &input.what;
                return Err(if own.exists() { lost(what) } else { refused(format!("where {what} would be")) });
            }
            if there.is_dir() && own.starts_with(&there) && !renewed() {
                return Err(lost(&format!("a file of {}, {}", input.what, input.path.display())));
            }
        }
        taken.push((flag, own));
    }
    Ok(())
}

/// Where a file is or will be; nothing where there is something else.
fn place(path: &Path) -> Option<PathBuf> {
    if let Ok(there) = path.canonicalize() {
        return there.is_file().then_some(there);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}

/// Removes what an earlier run wrote, so that after a failure or a no nobody takes it for this run's. Any other file
/// stays until there is something to put in its place, and so does what may be read: it may be written anew, but the
/// next run needs it.
pub fn clear(written: &[Written<'_>], read: &[Input]) -> Result<(), Failure> {
    written.iter().filter(|one| !read.iter().any(|input| one.may_be_read(input))).try_for_each(Written::clear)
}

/// The same where a command fails before it knows all that it reads. The failure that is under way says more than that
/// something cannot be removed.
pub fn forget(written: &[Written<'_>], read: &[Input]) {
    for one in written.iter().map(std::slice::from_ref) {
        let _ = apart(one, read).and_then(|()| clear(one, read));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 6] =
        [Kind::Image, Kind::Report, Kind::References, Kind::TaskDefinition, Kind::Values, Kind::Findings];

    #[test]
    fn a_file_is_of_one_kind() {
        let folder = tempfile::tempdir().expect("a folder");
        let digest = "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945";
        let reference = format!("a.example/app@{digest}");
        let texts: [(Option<Kind>, String); 13] = [
            (
                Some(Kind::Report),
                format!(r#"{{"version":1,"digest":"{digest}","references":[],"platforms":[],"uploads":[]}}"#),
            ),
            (Some(Kind::References), format!("{reference}\n{reference}\n")),
            (
                Some(Kind::TaskDefinition),
                format!(r#"{{"family":"a","containerDefinitions":[{{"name":"a","image":"{reference}"}}]}}"#),
            ),
            (
                Some(Kind::TaskDefinition),
                format!("family: a\ncontainerDefinitions:\n  - name: a\n    image: {reference}\n"),
            ),
            (
                Some(Kind::TaskDefinition),
                format!("{{family: a, containerDefinitions: [{{name: a, image: {reference}}}]}}"),
            ),
            (Some(Kind::Values), format!(r#"{{"image":"{reference}"}}"#)),
            (Some(Kind::Values), format!(r#"[{{"ParameterKey":"Image","ParameterValue":"{reference}"}}]"#)),
            (Some(Kind::Findings), r#"{"$schema":"s","version":"2.1.0","runs":[]}"#.into()),
            (None, String::new()),
            (None, r#"{"family":"a","containerDefinitions":[{"name":"a","image":"a.example/app:1"}]}"#.into()),
            (None, r#"{"image":"a.example/app:1"}"#.into()),
            (None, format!("FROM {reference}\nCMD [\"a\"]\n")),
            (
                None,
                format!("locals {{\n  a = jsondecode(file(\"a\")).containerDefinitions\n  b = \"{reference}\"\n}}\n"),
            ),
        ];
        for (kind, text) in texts {
            let path = folder.path().join("file");
            fs::write(&path, &text).expect("written");
            let kinds: Vec<Kind> = KINDS.into_iter().filter(|kind| kind.wrote(&path)).collect();
            assert_eq!(kinds, Vec::from_iter(kind), "{text}");
        }
    }

    /// All of it was in memory before its length was looked at: an archive that was written anew.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_large_file_is_not_read_to_see_what_it_is() {
        let peak = || {
            let status = fs::read_to_string("/proc/self/status").expect("Linux");
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
            line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
        };
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(512 << 20).expect("a hole");
        let before = peak();
        assert!(KINDS.into_iter().all(|kind| !kind.wrote(file.path())));
        assert!(peak() - before < 256, "{before} MiB, then {} MiB", peak());
    }
}
