//! Files that other programs wait for: whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use dockless::image::archive::ImageArchive;
use serde::Serialize;
use serde_json::Value;

use super::super::args::push::Records;
use super::super::context::to_stdout;
use super::super::failure::Failure;
use super::document::Report;

/// Writes `--report` and `--image-refs`, as far as they were asked for; the one also where the other cannot be written.
pub fn write_records(records: &Records, report: &Report) -> Result<(), Failure> {
    let lines = || report.references.iter().flat_map(|reference| [reference, "\n"]).collect::<String>();
    let references = records.image_refs.as_ref().map_or(Ok(()), |path| write(path, lines().as_bytes()));
    references.and(write_report(records, report))
}

/// Writes `--report`, if it was asked for.
pub fn write_report(records: &Records, report: &Report) -> Result<(), Failure> {
    match &records.report {
        Some(path) => write(path, &json(report)?),
        None => Ok(()),
    }
}

/// A file or folder that a command reads.
#[derive(Debug, Clone)]
pub struct Input {
    /// What the user knows it as.
    what: String,
    path: PathBuf,
    /// Whether it may be what an earlier run wrote, and be written anew.
    soft: bool,
}

impl Input {
    /// A file, or a folder of which any file may be read.
    pub fn new(what: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { what: what.into(), path: path.into(), soft: false }
    }

    /// What was found to belong to a source, among which may be what an earlier run wrote.
    pub fn part(what: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { soft: true, ..Self::new(what, path) }
    }
}

/// A file that a command writes.
#[derive(Debug, Clone)]
pub struct Written<'a> {
    /// The flag that names it.
    pub flag: &'a str,
    /// The file, where one was asked for.
    pub path: Option<&'a Path>,
    /// The input that it may replace: a task definition that is rendered where it stands.
    pub over: Option<PathBuf>,
}

impl<'a> Written<'a> {
    /// A file that replaces nothing that is read.
    pub fn new(flag: &'a str, path: Option<&'a Path>) -> Self {
        Self { flag, path, over: None }
    }

    /// Whether it is the input that it may replace.
    fn is_in_place(&self) -> bool {
        let over = self.over.as_deref().and_then(place);
        over.is_some() && over == self.path.and_then(place)
    }
}

/// Refuses a file that would be written in the place of another one: what is read, or what another flag writes. In a
/// folder that is read, what an earlier run wrote may be replaced, and nothing else. What is no file (`-`, a device, a
/// pipe) is in nobody's way.
pub fn apart(written: &[Written<'_>], read: &[Input]) -> Result<(), Failure> {
    let mut taken: Vec<(&str, PathBuf)> = Vec::new();
    for one @ Written { flag, path, .. } in written {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else { continue };
        let Some(own) = place(path) else { continue };
        let lost = |what: &str| {
            Failure::new(format!("{flag} {}: that is {what}, which would be lost", path.display()))
                .hint("write it to a file of its own")
        };
        if let Some((what, _)) = taken.iter().find(|(_, other)| *other == own) {
            return Err(lost(what));
        }
        for input in read.iter().filter(|_| !one.is_in_place()) {
            let Ok(there) = input.path.canonicalize() else { continue };
            let renewed = || !own.exists() || record(&own).is_some() || ImageArchive::open(&own).is_ok();
            if there == own && !(input.soft && renewed()) {
                return Err(lost(&input.what));
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

/// What a record of an earlier run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Record {
    /// A report, or the references.
    Told,
    /// A task definition that names an image by digest, or the values for one.
    Rendered,
    /// The findings.
    Findings,
    /// Nothing yet, as `mktemp` makes it.
    Empty,
}

/// The longest record that is known as one, in bytes.
const LONGEST: u64 = 64 << 20;

/// What a file holds, if it may have been written by an earlier run.
fn record(path: &Path) -> Option<Record> {
    let there = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    if there.len() == 0 {
        return Some(Record::Empty);
    }
    let text = fs::read_to_string(path).ok().filter(|_| there.len() <= LONGEST)?;
    let by_digest = |text: &str| text.contains("@sha256:");
    if text.lines().all(by_digest) && !text.trim_start().starts_with(['{', '[']) {
        return Some(Record::Told);
    }
    let rendered = by_digest(&text) && (text.contains("containerDefinitions") || is_values(&text));
    if rendered {
        return Some(Record::Rendered);
    }
    let json: Value = serde_json::from_str(&text).ok()?;
    let has = |key: &str| json.get(key).is_some();
    match json.get("version") {
        Some(Value::Number(_)) if has("digest") && has("platforms") && has("uploads") => Some(Record::Told),
        Some(Value::String(_)) if has("runs") => Some(Record::Findings),
        _ => None,
    }
}

/// Whether a text is the values of variables or parameters that hold images, and nothing else.
fn is_values(text: &str) -> bool {
    let is_image = |value: &Value| value.as_str().is_some_and(|value| value.contains("@sha256:"));
    match serde_json::from_str(text) {
        Ok(Value::Object(values)) => values.values().all(is_image),
        Ok(Value::Array(values)) => values.iter().all(|one| one.get("ParameterValue").is_some_and(is_image)),
        _ => false,
    }
}

/// Removes what an earlier run wrote there, so that after a failure or a no nobody takes it for this run's. Any other
/// file stays until there is something to put in its place, and so does what is rendered where it stands.
pub fn clear(written: &Written<'_>) -> Result<(), Failure> {
    clear_if(written, |what| what != Record::Empty)
}

/// The same for reports and references alone.
pub fn clear_told(written: &Written<'_>) -> Result<(), Failure> {
    clear_if(written, |what| what == Record::Told)
}

fn clear_if(written: &Written<'_>, is_meant: impl Fn(Record) -> bool) -> Result<(), Failure> {
    let Some(path) = written.path.filter(|path| *path != Path::new("-")) else { return Ok(()) };
    if written.is_in_place() || !record(path).is_some_and(is_meant) {
        return Ok(());
    }
    // What a link leads to is emptied: the link is the user's.
    let removed = if path.is_symlink() { File::create(path).map(drop) } else { fs::remove_file(path) };
    removed.map_err(|error| {
        let what = format!("{} {}: what an earlier run wrote cannot be removed", written.flag, path.display());
        Failure::new(error).during(what)
    })
}

/// Refuses a file that cannot be written, before anything is built or sent whose record it shall be.
pub fn check(flag: &str, path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path.filter(|path| *path != Path::new("-")) else { return Ok(()) };
    let what = format!("{flag} {}", path.display());
    let failed = |error| Failure::new(error).during(format!("{what} cannot be written"));
    // As it will be written: a link is followed.
    let target = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(target) {
        Ok(there) if there.is_dir() => Err(Failure::new(format!("{what}: that is a folder, not a file"))),
        // A full device says so of nothing as well. A pipe is left alone: to open it would wait for its reader.
        Ok(there) if there.file_type().is_char_device() => {
            File::options().write(true).open(target).and_then(|mut file| file.write(&[])).map(drop).map_err(failed)
        }
        Ok(there) if !there.is_file() => Ok(()),
        _ => {
            let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if !folder.is_dir() {
                return Err(Failure::new(format!("{what}: there is no folder {}", folder.display())));
            }
            tempfile::tempfile_in(folder).map(drop).map_err(failed)
        }
    }
}

fn json<T: Serialize>(document: &T) -> Result<Vec<u8>, Failure> {
    let mut bytes = serde_json::to_vec_pretty(document).map_err(Failure::new)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Writes a file so that whoever looks sees the old one or the whole new one; `-` is stdout.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if path == Path::new("-") {
        return to_stdout(bytes);
    }
    replace(path, bytes).map_err(|error| Failure::new(error).during(format!("cannot write {}", path.display())))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link is followed, as a plain write would do.
    let path = &match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    // Not over /dev/stderr, a pipe or a process substitution: these are written to.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return File::options().write(true).open(path)?.write_all(bytes);
    }
    dockless::layout::replace_file(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::super::document::VERSION;
    use super::*;

    #[test]
    fn files_are_replaced_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("refs");
        write(&path, b"one\n").expect("made");
        write(&path, b"two\n").expect("replaced");
        assert_eq!(fs::read(&path).expect("there"), b"two\n");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        let missing = folder.path().join("no/such/folder");
        assert!(write(&missing, b"").is_err());
    }

    #[test]
    fn records_are_what_was_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let digest = dockless::oci::digest::Digest::of(b"{}");
        let report = Report {
            version: VERSION,
            digest,
            references: vec!["a.example/app@x".into(), "b.example/app@x".into()],
            platforms: Vec::new(),
            uploads: Vec::new(),
            findings: Vec::new(),
            warnings: Vec::new(),
        };
        let records =
            Records { image_refs: Some(folder.path().join("refs")), report: Some(folder.path().join("report")) };
        write_records(&Records::default(), &report).expect("nothing to write");
        write_records(&records, &report).expect("written");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("there");
        assert_eq!(read("refs"), "a.example/app@x\nb.example/app@x\n");
        assert!(read("report").contains(&format!("\"digest\": \"{digest}\"")));
    }

    #[test]
    fn links_and_pipes_stay_what_they_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").expect("made");
        std::os::unix::fs::symlink("target", &link).expect("linked");
        write(&link, b"new").expect("written");
        assert_eq!(fs::read(&target).expect("there"), b"new");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe)
        });
        write(&pipe, b"through").expect("written");
        assert_eq!(reader.join().expect("a reader").expect("read"), b"through");
    }
}
