//! Findings for people, as rustc writes its own.

use std::io::{self, Write};
use std::ops::Range;

use annotate_snippets::Level;
use serde::Serialize;

use crate::cli::snippet::{Snippet, renderer, tame, underlined};
use crate::cli::text::printable;
use dockless::verify::finding::{Finding, Verdict};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// It may go wrong.
    Warning,
    /// It does not run.
    #[default]
    Error,
}

/// A finding as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FindingView {
    /// The rule's name.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, in a sentence.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The platform that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The container that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The path in the image that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The digest of the layer that has the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// What there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What there should be, and who says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// The place in the task definition or recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

/// A place in a file; lines and columns count from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The file as the user named it.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// The bytes of `text` that are meant.
    #[serde(skip)]
    pub span: Range<usize>,
    /// The file's text, where it is at hand.
    #[serde(skip)]
    pub text: Option<String>,
}

impl Severity {
    /// `error`, `warning`, `note`
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl FindingView {
    /// The view of a finding; `text` gives the text of a file that a finding may point into.
    pub fn new(finding: &Finding, text: impl Fn(&str) -> Option<String>) -> Self {
        use dockless::verify::finding::Severity as Library;
        let severity = match finding.severity {
            Library::Note => Severity::Note,
            Library::Warning => Severity::Warning,
            Library::Error => Severity::Error,
        };
        Self {
            rule: finding.rule.name().into(),
            severity,
            message: finding.message.clone(),
            help: finding.help.clone(),
            platform: finding.platform.clone(),
            container: finding.container.clone(),
            path: finding.path.clone(),
            layer: finding.layer.map(|layer| layer.to_string()),
            found: finding.found.clone(),
            wanted: finding.wanted.clone(),
            location: finding.location.as_ref().map(|location| Location {
                file: location.file.to_string(),
                line: location.line as usize,
                column: location.column as usize,
                span: location.span.clone(),
                text: text(&location.file),
            }),
        }
    }

    /// Writes the finding for people. The text is styled: give it a writer that drops styles where there is no colour.
    pub fn print(&self, writer: &mut dyn Write) -> io::Result<()> {
        match self.location.as_ref().and_then(|location| location.text.as_ref().map(|text| (location, text))) {
            Some((location, text)) => self.print_snippet(location, text, writer),
            None => self.print_lines(writer),
        }
    }

    fn facts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let facts = [
            ("platform", &self.platform),
            ("container", &self.container),
            ("path", &self.path),
            ("layer", &self.layer),
            ("found", &self.found),
            ("wanted", &self.wanted),
        ];
        facts.into_iter().filter_map(|(name, fact)| fact.as_deref().map(|fact| (name, fact)))
    }

    fn print_snippet(&self, location: &Location, text: &str, writer: &mut dyn Write) -> io::Result<()> {
        let level = match self.severity {
            Severity::Note => Level::NOTE,
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        };
        let snippet = Snippet {
            file: location.file.clone(),
            text: text.to_owned(),
            span: location.span.clone(),
            label: self.wanted.as_ref().map(|wanted| format!("wanted: {wanted}")).unwrap_or_default(),
        };
        // What is wanted stands beside the line already.
        let facts = self.facts().filter(|(name, _)| *name != "wanted");
        let group = underlined(level, Some(&self.rule), &self.message, &snippet)
            .elements(facts.map(|(name, fact)| Level::NOTE.with_name(name).message(tame(fact))))
            .elements(self.help.iter().map(|help| Level::HELP.message(tame(help))));
        writeln!(writer, "{}\n", renderer().render(&[group]))
    }

    fn print_lines(&self, writer: &mut dyn Write) -> io::Result<()> {
        let color = match self.severity {
            Severity::Note => anstyle::AnsiColor::BrightGreen,
            Severity::Warning => anstyle::AnsiColor::Yellow,
            Severity::Error => anstyle::AnsiColor::BrightRed,
        };
        let level = color.on_default().bold();
        let bold = anstyle::Style::new().bold();
        let (word, rule, message) = (self.severity.word(), printable(&self.rule), printable(&self.message));
        writeln!(writer, "{level}{word}[{rule}]{level:#}{bold}: {message}{bold:#}")?;
        if let Some(Location { file, line, column, .. }) = &self.location {
            writeln!(writer, "  --> {}:{line}:{column}", printable(file))?;
        }
        for (name, fact) in self.facts().chain(self.help.as_deref().map(|help| ("help", help))) {
            writeln!(writer, "  {bold}{name}:{bold:#} {}", printable(fact))?;
        }
        writeln!(writer)
    }
}

/// The line that ends a verification: `app: runs on ARM64 (task-definition.json)`
pub fn summary(target: &str, verdict: Verdict, architecture: &str, source: &str) -> String {
    let (target, architecture, source) = (printable(target), printable(architecture), printable(source));
    match verdict {
        Verdict::Runs => format!("{target}: runs on {architecture} ({source})"),
        Verdict::DoesNotRun => format!("{target}: does not run on {architecture} ({source})"),
        Verdict::Undetermined => format!("{target}: undetermined whether it runs on {architecture} ({source})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(finding: &FindingView) -> String {
        let mut plain = anstream::StripStream::new(Vec::new());
        finding.print(&mut plain).expect("a vector takes everything");
        String::from_utf8(plain.into_inner()).expect("text")
    }

    fn foreign() -> FindingView {
        FindingView {
            rule: "foreign-executable".into(),
            message: "/usr/bin/app does not run on arm64".into(),
            help: Some("build it for aarch64".into()),
            path: Some("/usr/bin/app".into()),
            layer: Some("sha256:44136fa3".into()),
            found: Some("x86_64".into()),
            wanted: Some("ARM64, from main.tf:2".into()),
            ..FindingView::default()
        }
    }

    #[test]
    fn a_finding_without_a_source_is_lines() {
        let expected = "\
error[foreign-executable]: /usr/bin/app does not run on arm64
  path: /usr/bin/app
  layer: sha256:44136fa3
  found: x86_64
  wanted: ARM64, from main.tf:2
  help: build it for aarch64

";
        snapbox::assert_data_eq!(printed(&foreign()), expected);
    }

    #[test]
    fn a_finding_with_a_source_underlines_it() {
        let text = "runtime_platform {\n  cpu_architecture = \"ARM64\"\n}\n".to_owned();
        let span = 40..47;
        let location = Location { file: "main.tf".into(), line: 2, column: 22, span, text: Some(text) };
        let finding = FindingView { location: Some(location), ..foreign() };
        let expected = "\
error[foreign-executable]: /usr/bin/app does not run on arm64
 --> main.tf:2:22
  |
2 |   cpu_architecture = \"ARM64\"
  |                      ^^^^^^^ wanted: ARM64, from main.tf:2
  |
  = path: /usr/bin/app
  = layer: sha256:44136fa3
  = found: x86_64
  = help: build it for aarch64

";
        snapbox::assert_data_eq!(printed(&finding), expected);
    }

    #[test]
    fn a_summary_is_a_sentence() {
        let said = summary("app", Verdict::Runs, "ARM64", "task-definition.json");
        assert_eq!(said, "app: runs on ARM64 (task-definition.json)");
    }
}
