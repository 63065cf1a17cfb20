//! Files that other programs wait for: whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use serde::Serialize;

use super::super::args::push::Records;
use super::super::context::to_stdout;
use super::super::failure::Failure;
use super::super::text::json_without_commands;
use super::document::Report;
use super::is_stdout;

/// Writes `--report` and `--image-refs`, as far as they were asked for; the one also where the other cannot be written.
pub fn write_records(records: &Records, report: &Report) -> Result<(), Failure> {
    let lines = || report.references.iter().flat_map(|reference| [reference, "\n"]).collect::<String>();
    let references = records.image_refs.as_ref().map_or(Ok(()), |path| write(path, lines().as_bytes()));
    references.and(write_report(records, report))
}

/// Writes `--report`, if it was asked for.
pub fn write_report(records: &Records, report: &Report) -> Result<(), Failure> {
    match &records.report {
        Some(path) => write(path, json(report)?.as_bytes()),
        None => Ok(()),
    }
}

/// Refuses a file that cannot be written, before anything is built or sent whose record it shall be.
pub fn check(flag: &str, path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path.filter(|path| !is_stdout(path)) else { return Ok(()) };
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

/// A document, indented, since people read it as well. Wherever it goes, it may come to a job's output from there.
pub fn json<T: Serialize>(document: &T) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(document).map_err(Failure::new)?;
    text.push('\n');
    Ok(json_without_commands(&text).into_owned())
}

/// Writes a file so that whoever looks sees the old one or the whole new one; `-` is stdout.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if is_stdout(path) {
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
