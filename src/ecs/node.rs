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

/// The text of a source and where its lines start.
#[derive(Debug)]
pub(super) struct Source<'a> {
    file: Arc<str>,
    pub(super) text: &'a str,
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &str, text: &'a str) -> Self {
        let lines =
            std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1));
        Self { file: file.into(), text, lines: lines.collect() }
    }

    pub(super) fn location(&self, span: Range<usize>) -> Location {
        let start = span.start.min(self.text.len());
        let end = span.end.clamp(start, self.text.len());
        let line = self.lines.partition_point(|at| *at <= start).saturating_sub(1);
        // A start within a character cannot come from either reader; it must not panic all the same.
        let column = self.text.get(self.lines[line]..start).map_or(0, |before| before.chars().count());
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Location { file: Arc::clone(&self.file), line: number(line + 1), column: number(column + 1), span: start..end }
    }
}
