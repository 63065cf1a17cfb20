//! A document of either format as one tree in which every value knows its place.

use std::ops::Range;
use std::sync::Arc;

use super::task_definition::Location;

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
    Tagged(String),
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) value: Node,
}

impl Node {
    /// What it is, for a message: `a string`.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
            Value::Tagged(_) => "a tagged value",
        }
    }

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

/// The text of a source, where its lines start and how many characters stand before each part of it, so that a place
/// takes the same time wherever it is.
#[derive(Debug)]
pub(super) struct Source<'a> {
    file: Arc<str>,
    pub(super) text: &'a str,
    lines: Vec<usize>,
    characters: Vec<usize>,
}

/// How many bytes a part has.
const PART: usize = 64;

fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &str, text: &'a str) -> Self {
        let lines =
            std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1));
        let before = text.as_bytes().chunks(PART).scan(0, |sum, part| {
            let before = *sum;
            *sum += characters(part);
            Some(before)
        });
        Self { file: file.into(), text, lines: lines.collect(), characters: before.collect() }
    }

    fn characters_before(&self, at: usize) -> usize {
        let part = at / PART;
        let rest = self.text.as_bytes().get(part * PART..at).map_or(0, characters);
        match self.characters.get(part) {
            Some(before) => before + rest,
            None => characters(self.text.as_bytes()),
        }
    }

    pub(super) fn location(&self, span: Range<usize>) -> Location {
        let start = span.start.min(self.text.len());
        let end = span.end.clamp(start, self.text.len());
        let line = self.lines.partition_point(|at| *at <= start).saturating_sub(1);
        let column = self.characters_before(start) - self.characters_before(self.lines[line]);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Location { file: Arc::clone(&self.file), line: number(line + 1), column: number(column + 1), span: start..end }
    }

    /// The place of a whole object: what is underlined is its first line.
    pub(super) fn first_line(&self, span: Range<usize>) -> Location {
        let text = self.text.get(span.clone()).unwrap_or_default();
        let width = text.lines().next().map_or(0, |line| line.trim_end().len());
        self.location(span.start..span.start + width)
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
