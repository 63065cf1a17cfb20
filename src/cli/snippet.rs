//! A place in a file, shown as rustc shows it: the file's name, the line, an underline, a label. Of a line that may
//! hold secrets only what is meant is shown.

mod masked;

use std::ops::Range;

use annotate_snippets::renderer::{DecorStyle, Renderer};
use annotate_snippets::{AnnotationKind, Group, Level, Origin};
use masked::masked;

use super::text::one_line;

/// Where in a file something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The file's name for people.
    pub file: String,
    /// The file's text, whole.
    pub text: String,
    /// The bytes that are underlined.
    pub span: Range<usize>,
    /// What is said beside the line; may be empty.
    pub label: String,
}

/// A message above the lines of a file that it is about.
pub fn underlined<'a>(level: Level<'a>, rule: Option<&'a str>, message: &'a str, snippet: &'a Snippet) -> Group<'a> {
    let mut title = level.primary_title(one_line(message));
    if let Some(rule) = rule {
        title = title.id(rule);
    }
    // A span may come from another version of the file, or from a parser that counts differently: it is trimmed, since
    // a failure that cannot be printed is worse than one underlined in the wrong place.
    let start = snippet.text.floor_char_boundary(snippet.span.start);
    let end = snippet.text.ceil_char_boundary(snippet.span.end).max(start);
    let annotation = |span: Range<usize>| {
        let annotation = AnnotationKind::Primary.span(span);
        if snippet.label.is_empty() { annotation } else { annotation.label(tame(&one_line(&snippet.label))) }
    };
    let Some(line) = masked(&snippet.file, &snippet.text, &(start..end)) else {
        let source = annotate_snippets::Snippet::source(&*snippet.text).path(one_line(&snippet.file));
        return title.element(source.annotation(annotation(start..end)));
    };
    let place = Origin::path(one_line(&snippet.file)).line(line.number).char_column(line.column);
    let source = annotate_snippets::Snippet::source(line.text).line_start(line.number);
    title.element(place).element(source.annotation(annotation(line.span)))
}

/// A text fit to stand in a snippet, whose renderer takes styles from labels and messages.
pub fn tame(text: &str) -> String {
    annotate_snippets::normalize_untrusted_str(text.trim_end())
}

/// The renderer's look, the same everywhere.
pub fn renderer() -> Look {
    Look(Renderer::styled().decor_style(DecorStyle::Ascii))
}

/// Renders groups of messages.
pub struct Look(Renderer);

impl Look {
    /// The text of groups, styled.
    pub fn render(&self, groups: &[Group<'_>]) -> String {
        let text = self.0.render(groups);
        // A line that is not the file's own has its place above it, and then the sign of another file.
        let is_sign = |line: &&str| anstream::adapter::strip_str(line).to_string().trim() == ":::";
        text.split('\n').filter(|line| !is_sign(line)).collect::<Vec<_>>().join("\n")
    }
}
