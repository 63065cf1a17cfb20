//! A document of either format as one tree in which every value knows its place.

use std::ops::Range;
use std::sync::Arc;

use super::location::Location;

/// How deep arrays and objects may stand in one another. A task definition needs less than ten.
pub(super) const MAX_DEPTH: usize = 64;

/// A value and its bytes in the source.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As it stands: only ports are read as numbers.
    Number(String),
    String(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
    /// A value with a tag that YAML itself does not know, such as `!Ref`.
    Tagged(String, Box<Node>),
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) value: Node,
}

impl Node {
    /// The value of a key, `null` being as good as absent.
    pub(super) fn get(&self, key: &str) -> Option<&Member> {
        match &self.value {
            Value::Object(members) => {
                members.iter().find(|member| member.key == key && !matches!(member.value.value, Value::Null))
            }
            _ => None,
        }
    }
}

/// Where the lines of a text start and how many characters stand before each part of it, so that a place takes the
/// same time wherever it is.
#[derive(Debug)]
pub(super) struct Lines {
    starts: Vec<usize>,
    characters: Vec<usize>,
}

/// How many bytes a part has.
const PART: usize = 64;

fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let starts =
            std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1));
        let before = text.as_bytes().chunks(PART).scan(0, |sum, part| {
            let before = *sum;
            *sum += characters(part);
            Some(before)
        });
        Self { starts: starts.collect(), characters: before.collect() }
    }

    fn characters_before(&self, text: &str, at: usize) -> usize {
        let part = at / PART;
        let rest = text.as_bytes().get(part * PART..at).map_or(0, characters);
        match self.characters.get(part) {
            Some(before) => before + rest,
            None => characters(text.as_bytes()),
        }
    }

    /// The place of a span in this text.
    pub(super) fn location(&self, file: &Arc<str>, text: &str, span: Range<usize>) -> Location {
        let start = span.start.min(text.len());
        let end = span.end.clamp(start, text.len());
        let line = self.starts.partition_point(|at| *at <= start).saturating_sub(1);
        let column = self.characters_before(text, start) - self.characters_before(text, self.starts[line]);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Location { file: Arc::clone(file), line: number(line + 1), column: number(column + 1), span: start..end }
    }

    /// The place of a whole object: what is underlined is its first line.
    pub(super) fn first_line(&self, file: &Arc<str>, text: &str, span: Range<usize>) -> Location {
        let covered = text.get(span.clone()).unwrap_or_default();
        let width = covered.lines().next().map_or(0, |line| line.trim_end().len());
        self.location(file, text, span.start..span.start + width)
    }
}

/// The text of a source and its lines.
#[derive(Debug)]
pub(super) struct Source<'a> {
    file: Arc<str>,
    pub(super) text: &'a str,
    lines: Lines,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &str, text: &'a str) -> Self {
        Self { file: file.into(), text, lines: Lines::of(text) }
    }

    /// Its name.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn location(&self, span: Range<usize>) -> Location {
        self.lines.location(&self.file, self.text, span)
    }

    /// The place of a whole object: what is underlined is its first line.
    pub(super) fn first_line(&self, span: Range<usize>) -> Location {
        self.lines.first_line(&self.file, self.text, span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = format!("a\n{}x\n{}y", "ä".repeat(100), "b".repeat(200));
        let source = Source::new("f", &text);
        for wanted in ["ä", "x", "b", "y"] {
            let at = text.rfind(wanted).expect("it stands there");
            let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
            let location = source.location(at..at + 1);
            assert_eq!(location.column as usize, text[line..at].chars().count() + 1, "{wanted}");
        }
        assert_eq!(source.location(9999..9999).line, 3);
        assert_eq!(Source::new("f", "").location(0..0).column, 1);
    }
}
