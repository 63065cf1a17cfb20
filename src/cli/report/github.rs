//! GitHub Actions: annotations on the lines of a pull request, and the outputs of a step.
//!
//! The runner reads commands from a step's stdout and stderr alike. Ours go to stderr: stdout carries only results.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use dockless::oci::digest::Digest;
use dockless::verify::finding::{Finding, Severity};

/// A file as the steps of a job know it: relative to the workspace where it lies within it, else absolute. A step may
/// run in another folder, and what reads its outputs does not. What is no file keeps its name, and so does every file
/// where there is no workspace.
pub fn named<'a>(file: &'a str, workspace: Option<&Path>) -> Cow<'a, str> {
    let absolute = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    let workspace = workspace.filter(|_| Path::new(file).exists()).and_then(|folder| folder.canonicalize().ok());
    let Some((workspace, path)) = workspace.zip(absolute(Path::new(file))) else { return file.into() };
    path.strip_prefix(workspace).unwrap_or(&path).display().to_string().into()
}

/// Writes a finding as a workflow command, which the runner shows beside the line.
pub fn annotate(finding: &Finding, workspace: Option<&Path>, writer: &mut dyn Write) -> io::Result<()> {
    let command = match finding.severity {
        Severity::Note => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let mut properties = Vec::new();
    // What came by standard input is in no file.
    if let Some(location) = finding.location.as_ref().filter(|location| &*location.file != "-") {
        properties.push(format!("file={}", escape_property(&named(&location.file, workspace))));
        properties.push(format!("line={}", location.line));
        properties.push(format!("col={}", location.column));
    }
    properties.push(format!("title={}", finding.rule.name()));
    let asides = [("found", &finding.found), ("wanted", &finding.wanted), ("help", &finding.help)];
    let asides = asides.into_iter().filter_map(|(name, text)| text.as_ref().map(|text| format!("{name}: {text}")));
    let message: Vec<_> = [finding.message.clone()].into_iter().chain(asides).collect();
    writeln!(writer, "::{command} {}::{}", properties.join(","), escape_data(&message.join("\n")))
}

fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The outputs of a step; what is absent is not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outputs {
    /// `image`: the references by digest, a line each.
    pub image: Vec<String>,
    /// `digest`: the digest of the image index.
    pub digest: Option<Digest>,
    /// `task-definition`: the file with the image put in.
    pub task_definition: Option<String>,
}

impl Outputs {
    /// Appends the outputs to the file that `GITHUB_OUTPUT` names.
    pub fn append(&self, path: &Path) -> io::Result<()> {
        // One write: steps may run processes side by side that append to the same file.
        opened(path)?.write_all(self.text().as_bytes())
    }

    fn text(&self) -> String {
        let digest = self.digest.map(|digest| digest.to_string());
        let image = (!self.image.is_empty()).then(|| self.image.join("\n"));
        let outputs = [("image", image), ("digest", digest), ("task-definition", self.task_definition.clone())];
        outputs.into_iter().filter_map(|(name, value)| value.map(|value| assignment(name, &value))).collect()
    }
}

/// Refuses a file that cannot be appended to.
pub fn check(path: &Path) -> io::Result<()> {
    // A full device says so of nothing as well.
    opened(path)?.write(&[]).map(drop)
}

fn opened(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// `name<<delimiter`, the value, the delimiter: the only form that takes every value.
fn assignment(name: &str, value: &str) -> String {
    // A value that knew its own digest could end early and set other outputs: none does.
    let delimiter = format!("end-{}", Digest::of(value.as_bytes()).encoded());
    format!("{name}<<{delimiter}\n{value}\n{delimiter}\n")
}

#[cfg(test)]
mod tests {
    use dockless::ecs::task_definition::Location;
    use dockless::verify::finding::Rule;

    use super::*;

    #[test]
    fn nothing_ends_a_command_early() {
        let location = Location { file: "a,b:c%.tf".into(), line: 12, column: 3, span: 0..0 };
        let finding = Finding {
            help: Some("build it, too".into()),
            location: Some(location),
            ..Finding::new(Rule::PlatformMissing, Severity::Error, "100%: no arm64\r\n::stop-commands::x")
        };
        let mut said = Vec::new();
        annotate(&finding, None, &mut said).expect("a vector takes everything");
        let expected = "::error file=a%2Cb%3Ac%25.tf,line=12,col=3,title=platform-missing::\
                        100%25: no arm64%0D%0A::stop-commands::x%0Ahelp: build it, too\n";
        assert_eq!(String::from_utf8(said).expect("text"), expected);
    }

    #[test]
    fn files_are_named_from_the_workspace() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("there");
        std::fs::create_dir_all(root.join("work/svc")).expect("a folder");
        for name in ["work/svc/task.json", "beside.json"] {
            std::fs::write(root.join(name), "{}").expect("a file");
        }
        std::os::unix::fs::symlink("work", root.join("link")).expect("linked");
        let named = |file: &str, workspace: Option<&Path>| {
            named(&root.join(file).display().to_string(), workspace).into_owned()
        };
        for workspace in ["work", "link", "work/svc/.."] {
            let workspace = root.join(workspace);
            let named = |file| named(file, Some(&workspace));
            assert_eq!(named("work/svc/task.json"), "svc/task.json");
            assert_eq!(named("link/svc/../svc/task.json"), "svc/task.json");
            assert_eq!(named("beside.json"), root.join("beside.json").display().to_string());
        }
        assert_eq!(named("beside.json", None), root.join("beside.json").display().to_string());
        assert_eq!(super::named("ecs:app", Some(&root)), "ecs:app");
    }

    #[test]
    fn outputs_are_appended() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("output");
        std::fs::write(&path, "before=1\n").expect("a file");
        let image = vec!["a.example/app@sha256:0".to_owned(), "b.example/app@sha256:0".to_owned()];
        let outputs = Outputs { image, digest: Some(Digest::of(b"{}")), task_definition: None };
        outputs.append(&path).expect("appended");
        let text = std::fs::read_to_string(&path).expect("a file");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "before=1");
        let delimiter = lines[1].strip_prefix("image<<").expect("a heredoc");
        assert_eq!(&lines[2..5], ["a.example/app@sha256:0", "b.example/app@sha256:0", delimiter]);
        assert!(lines[5].starts_with("digest<<end-") && lines[6].starts_with("sha256:44136fa3"));
        assert_eq!(lines.len(), 8);
    }
}
