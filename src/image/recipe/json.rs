//! A JSON document that knows the bytes of every key and value. serde judges the text first; what is left for this
//! walk is to find where things lie in a text that is known to be JSON.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::place::{Place, RecipeError, Source};

/// A value and its bytes.
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    /// Keys, where they are, and their values.
    Object(Vec<(String, Place, Node)>),
    Array(Vec<Node>),
    String(String),
    Null,
    /// A number, `true` or `false`.
    Other,
}

impl Node {
    /// The value as serde reads it.
    pub(super) fn value(&self) -> Value {
        serde_json::from_str(self.place.excerpt()).unwrap_or_default()
    }

    pub(super) fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Object(_) => "an object",
            Kind::Array(_) => "an array",
            Kind::String(_) => "a string",
            Kind::Null => "null",
            Kind::Other if self.place.excerpt().starts_with(['t', 'f']) => "a boolean",
            Kind::Other => "a number",
        }
    }
}

/// Reads a document. A key that is there twice is an error: readers differ in which of the two they take.
pub(super) fn parse(file: &str, text: &str) -> Result<Node, RecipeError> {
    // Some editors begin a file with a byte order mark, which JSON does not know.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Arc::new(Source { file: file.into(), text: text.into() });
    if let Err(error) = serde_json::from_str::<Value>(text) {
        let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let at = line_start + error.column().saturating_sub(1);
        let message = error.to_string();
        // The place is said by the error that carries it.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        return Err(RecipeError::at(Place::new(&source, at..at + 1), format!("not JSON: {message}")));
    }
    Walk { source: &source, at: 0 }.node()
}

struct Walk<'s> {
    source: &'s Arc<Source>,
    at: usize,
}

impl Walk<'_> {
    fn peek(&mut self) -> u8 {
        let bytes = self.source.text.as_bytes();
        while bytes.get(self.at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':')) {
            self.at += 1;
        }
        bytes.get(self.at).copied().unwrap_or(0)
    }

    fn place(&self, span: Range<usize>) -> Place {
        Place::new(self.source, span)
    }

    /// The depth is bounded: serde has refused what is nested too deep.
    fn node(&mut self) -> Result<Node, RecipeError> {
        let first = self.peek();
        let start = self.at;
        let kind = match first {
            b'{' => {
                self.at += 1;
                let mut fields: Vec<(String, Place, Node)> = Vec::new();
                while !matches!(self.peek(), b'}' | 0) {
                    let (key, place) = self.string();
                    if fields.iter().any(|(earlier, ..)| *earlier == key) {
                        return Err(RecipeError::at(place, format!("the key {key:?} is there twice")));
                    }
                    fields.push((key, place, self.node()?));
                }
                self.at += 1;
                Kind::Object(fields)
            }
            b'[' => {
                self.at += 1;
                let mut items = Vec::new();
                while !matches!(self.peek(), b']' | 0) {
                    items.push(self.node()?);
                }
                self.at += 1;
                Kind::Array(items)
            }
            b'"' => Kind::String(self.string().0),
            first => {
                let rest = &self.source.text[start..];
                let length = rest.find(|one: char| !matches!(one, '+' | '-' | '.') && !one.is_ascii_alphanumeric());
                // At least one byte, so that the walk ends on whatever text it is given.
                self.at += length.unwrap_or(rest.len()).max(1);
                if first == b'n' { Kind::Null } else { Kind::Other }
            }
        };
        Ok(Node { place: self.place(start..self.at), kind })
    }

    fn string(&mut self) -> (String, Place) {
        let bytes = self.source.text.as_bytes();
        let start = self.at;
        self.at += 1;
        while let Some(byte) = bytes.get(self.at) {
            self.at += if *byte == b'\\' { 2 } else { 1 };
            if *byte == b'"' {
                break;
            }
        }
        let place = self.place(start..self.at);
        (serde_json::from_str(place.excerpt()).unwrap_or_default(), place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_value_is_found_again() {
        let text = "{ \"a\\\"\\u00e9\": [1.5e+3, true, null,\"x,:\" , {}], \"b\" : {\"c\":-1}}";
        let node = parse("f", text).unwrap_or_else(|error| panic!("{error}"));
        let Kind::Object(fields) = &node.kind else { panic!("an object") };
        assert_eq!(fields[0].0, "a\"é");
        assert_eq!(fields[0].2.place.excerpt(), "[1.5e+3, true, null,\"x,:\" , {}]");
        assert_eq!(node.place.excerpt(), text);
        assert_eq!(node.value(), serde_json::from_str::<Value>(text).expect("JSON"));
    }

    #[test]
    fn says_where_it_is_no_json() {
        let error = |text: &str| parse("config.json", text).err().expect("an error").to_string();
        assert_eq!(error("{\n  \"a\": 1,\n}"), "config.json:3:1: not JSON: trailing comma");
        assert_eq!(error("{\"a\": 1, \"a\": 2}"), "config.json:1:10: the key \"a\" is there twice");
        assert!(error("").starts_with("config.json:1:1: not JSON"));
        assert!(error("{\"é\": x}").starts_with("config.json:1:7: not JSON"), "{}", error("{\"é\": x}"));
    }

    proptest! {
        #[test]
        fn never_panics(text in r#"[\[\]{}:,"\\a1é \n]{0,24}"#) {
            let _ = parse("f", &text);
        }
    }
}
