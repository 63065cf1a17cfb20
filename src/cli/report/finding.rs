//! Findings for people, as rustc writes its own.

use std::io::{self, Write};

use annotate_snippets::Level;
use dockless::ecs::task_definition::Location;
use dockless::verify::finding::{Finding, Severity, Verdict};

use crate::cli::snippet::{Snippet, renderer, tame, underlined};
use crate::cli::text::{one_line, printable};

/// A finding as it is shown: with the text of the file that it points into, where that is at hand.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The finding.
    pub finding: &'a Finding,
    /// The text of its location's file.
    pub text: Option<&'a str>,
}

impl Shown<'_> {
    /// Writes the finding for people. The text is styled: give it a writer that drops styles where there is no colour.
    pub fn print(&self, writer: &mut dyn Write) -> io::Result<()> {
        match (&self.finding.location, self.text) {
            (Some(location), Some(text)) => self.print_snippet(location, text, writer),
            _ => self.print_lines(writer),
        }
    }

    fn facts(&self) -> impl Iterator<Item = (&'static str, String)> {
        let Finding { platform, container, path, layer, found, wanted, .. } = self.finding;
        let facts = [
            ("platform", platform.clone()),
            ("container", container.clone()),
            ("path", path.clone()),
            ("layer", layer.map(|layer| layer.to_string())),
            ("found", found.clone()),
            ("wanted", wanted.clone()),
        ];
        facts.into_iter().filter_map(|(name, fact)| fact.map(|fact| (name, fact)))
    }

    fn print_snippet(&self, location: &Location, text: &str, writer: &mut dyn Write) -> io::Result<()> {
        let finding = self.finding;
        let level = match finding.severity {
            Severity::Note => Level::NOTE,
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        };
        let snippet = Snippet {
            file: location.file.to_string(),
            text: text.to_owned(),
            span: location.span.clone(),
            label: finding.wanted.as_ref().map(|wanted| format!("wanted: {wanted}")).unwrap_or_default(),
        };
        // What is wanted stands beside the line already.
        let facts: Vec<_> = self.facts().filter(|(name, _)| *name != "wanted").collect();
        let group = underlined(level, Some(finding.rule.name()), &finding.message, &snippet)
            .elements(facts.iter().map(|(name, fact)| Level::NOTE.with_name(*name).message(tame(&one_line(fact)))))
            .elements(finding.help.iter().map(|help| Level::HELP.message(tame(help))));
        writeln!(writer, "{}\n", renderer().render(&[group]))
    }

    fn print_lines(&self, writer: &mut dyn Write) -> io::Result<()> {
        let finding = self.finding;
        let (word, color) = match finding.severity {
            Severity::Note => ("note", anstyle::AnsiColor::BrightGreen),
            Severity::Warning => ("warning", anstyle::AnsiColor::Yellow),
            Severity::Error => ("error", anstyle::AnsiColor::BrightRed),
        };
        let level = color.on_default().bold();
        let bold = anstyle::Style::new().bold();
        let (rule, message) = (finding.rule.name(), one_line(&finding.message));
        writeln!(writer, "{level}{word}[{rule}]{level:#}{bold}: {message}{bold:#}")?;
        if let Some(Location { file, line, column, .. }) = &finding.location {
            writeln!(writer, "  --> {}:{line}:{column}", one_line(file))?;
        }
        for (name, fact) in self.facts() {
            writeln!(writer, "  {bold}{name}:{bold:#} {}", one_line(&fact))?;
        }
        if let Some(help) = &finding.help {
            writeln!(writer, "  {bold}help:{bold:#} {}", printable(help))?;
        }
        writeln!(writer)
    }
}

/// The line that ends a verification: `app: runs on ARM64 (task-definition.json)`
pub fn summary(target: &str, verdict: Verdict, architecture: &str, source: &str) -> String {
    let (target, architecture, source) = (one_line(target), one_line(architecture), one_line(source));
    match verdict {
        Verdict::Runs => format!("{target}: runs on {architecture} ({source})"),
        Verdict::DoesNotRun => format!("{target}: does not run on {architecture} ({source})"),
        Verdict::Undetermined => format!("{target}: undetermined whether it runs on {architecture} ({source})"),
    }
}

#[cfg(test)]
mod tests {
    use dockless::oci::digest::Digest;
    use dockless::verify::finding::Rule;

    use super::*;

    fn printed(finding: &Finding, text: Option<&str>) -> String {
        let mut plain = anstream::StripStream::new(Vec::new());
        Shown { finding, text }.print(&mut plain).expect("a vector takes everything");
        String::from_utf8(plain.into_inner()).expect("text")
    }

    fn foreign() -> Finding {
        Finding {
            help: Some("build it for aarch64".into()),
            path: Some("/usr/bin/app".into()),
            layer: Some(Digest::of(b"{}")),
            found: Some("x86_64".into()),
            wanted: Some("ARM64, from main.tf:2".into()),
            ..Finding::new(Rule::ForeignExecutable, Severity::Error, "/usr/bin/app does not run on arm64")
        }
    }

    #[test]
    fn a_finding_without_a_source_is_lines() {
        let expected = "\
error[foreign-executable]: /usr/bin/app does not run on arm64
  path: /usr/bin/app
  layer: sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
  found: x86_64
  wanted: ARM64, from main.tf:2
  help: build it for aarch64

";
        snapbox::assert_data_eq!(printed(&foreign(), None), expected);
    }

    #[test]
    fn a_finding_with_a_source_underlines_it() {
        let text = "runtime_platform {\n  cpu_architecture = \"ARM64\"\n}\n";
        let span = 40..47;
        let location = Location { file: "main.tf".into(), line: 2, column: 22, span };
        let finding = Finding { location: Some(location), ..foreign() };
        let expected = "\
error[foreign-executable]: /usr/bin/app does not run on arm64
 --> main.tf:2:22
  |
2 |   cpu_architecture = \"ARM64\"
  |                      ^^^^^^^ wanted: ARM64, from main.tf:2
  |
  = path: /usr/bin/app
  = layer: sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
  = found: x86_64
  = help: build it for aarch64

";
        snapbox::assert_data_eq!(printed(&finding, Some(text)), expected);
    }

    #[test]
    fn a_finding_in_a_document_shows_no_other_value() {
        let text = r#"{"cpuArchitecture":"X86_64","environment":[{"name":"A","value":"hunter2"}]}"#;
        let location = Location { file: "td.json".into(), line: 1, column: 20, span: 19..27 };
        let finding =
            Finding { location: Some(location), ..Finding::new(Rule::ForeignExecutable, Severity::Error, "a") };
        let expected = "\
error[foreign-executable]: a
 --> td.json:1:20
  |
1 | {\"cpuArchitecture\":\"X86_64\",\"environment\":[{\"name\":…,\"value\":…}]}
  |                    ^^^^^^^^

";
        snapbox::assert_data_eq!(printed(&finding, Some(text)), expected);
    }

    #[test]
    fn a_summary_is_a_sentence() {
        let said = summary("app", Verdict::Runs, "ARM64", "task-definition.json");
        assert_eq!(said, "app: runs on ARM64 (task-definition.json)");
    }
}
