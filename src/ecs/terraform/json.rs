//! `jsonencode` and `jsondecode` over values with holes, and JSON documents as values.

use std::rc::Rc;

use super::super::{node, strict};
use super::evaluate::{Done, Evaluator, Fail};
use super::number::digits;
use super::template::Pieces;
use super::value::{Data, Gap, Map, Piece, Place, Val};

/// Stands for a hole while JSON is read: its number between two characters that no text may hold.
const HOLE: char = '\u{fdd0}';
const HOLES: &str = "\u{fdd0}";

/// How deep values may stand in one another.
const MAX_DEPTH: usize = 64;

/// Where JSON stands.
#[derive(Clone, Copy)]
enum Whence {
    /// In a string, whose place is that of all parts.
    Text(Option<Place>),
    File(usize),
}

fn quoted(text: &str) -> String {
    // As Terraform does, which escapes what HTML would read.
    let json = serde_json::Value::String(text.into()).to_string();
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

impl Evaluator<'_> {
    /// Without insignificant white space, keys sorted. A value that is not known is a hole.
    pub(super) fn encode(&self, value: &Val) -> Done {
        let mut pieces = Pieces::default();
        self.write(value, &mut pieces, 0)?;
        Ok(pieces.finish())
    }

    fn write(&self, value: &Val, pieces: &mut Pieces, depth: usize) -> Result<(), Fail> {
        self.spend(1)?;
        if depth > MAX_DEPTH {
            return Err(Fail::new(format!("jsonencode: values stand more than {MAX_DEPTH} deep in one another")));
        }
        match &value.data {
            Data::Null => pieces.push_str("null"),
            // A sensitive value goes its way as a hole, lest its neighbours be hidden with it.
            Data::Bool(_) | Data::Number(_) | Data::Text(_) | Data::Holes(_) if value.sensitive => {
                pieces.hole(&Rc::new(hidden(value)));
            }
            Data::Bool(truth) => pieces.push_str(if *truth { "true" } else { "false" }),
            Data::Number(number) => match digits(*number) {
                Some(digits) => pieces.push_str(&digits),
                None => pieces.hole(&Rc::new(many_digits(value))),
            },
            // A string that is not known keeps the expression as it stands.
            Data::Holes(_) if value.written.is_some() => pieces.hole(&Rc::new(whole(value))),
            Data::Text(text) => {
                self.spend_text(text.len())?;
                pieces.push_str(&quoted(text));
            }
            Data::Holes(parts) => {
                self.spend_parts(parts)?;
                pieces.push_str("\"");
                for part in parts.iter() {
                    match part {
                        Piece::Known(text) => {
                            let quoted = quoted(text);
                            pieces.push_str(&quoted[1..quoted.len() - 1]);
                        }
                        Piece::Hole(gap) => pieces.hole(gap),
                    }
                }
                pieces.push_str("\"");
            }
            Data::List(items) => {
                pieces.push_str("[");
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        pieces.push_str(",");
                    }
                    self.write(&value.part(item), pieces, depth + 1)?;
                }
                pieces.push_str("]");
            }
            Data::Map(map) => {
                pieces.push_str("{");
                for (index, (key, member)) in map.members.iter().enumerate() {
                    if index > 0 {
                        pieces.push_str(",");
                    }
                    pieces.push_str(&quoted(key));
                    pieces.push_str(":");
                    self.write(&value.part(member), pieces, depth + 1)?;
                }
                // A key that is not known stands for any number of members.
                if let Some(gap) = &map.rest {
                    pieces.push_str(if map.members.is_empty() { "" } else { "," });
                    pieces.hole(gap);
                    pieces.push_str(":null");
                }
                pieces.push_str("}");
            }
            Data::Rest(gap) | Data::Unknown(gap) => pieces.hole(gap),
            Data::Module(_) | Data::Resource(_) => {
                return Err(Fail::new("jsonencode: a whole module or resource".into()));
            }
        }
        Ok(())
    }

    /// The value of a JSON text. Holes stay where they are: as a value, within a string, or for any number of elements.
    pub(super) fn decode(&self, text: &Val) -> Done {
        let mut holes = Vec::new();
        let json = match &text.data {
            Data::Text(text) => text.to_string(),
            Data::Holes(pieces) => {
                let mut json = String::new();
                let mut in_string = false;
                for piece in pieces.iter() {
                    match piece {
                        Piece::Known(text) => {
                            in_string = ends_in_string(text, in_string);
                            json.push_str(text);
                        }
                        Piece::Hole(gap) => {
                            holes.push(Rc::clone(gap));
                            // Outside a string the hole becomes one, with commas where it has none.
                            let (open, close) = if in_string { ("", "") } else { ("\"", "\"") };
                            let number = (holes.len() - 1).to_string();
                            json.extend([open, HOLES, &number, HOLES, close]);
                        }
                    }
                }
                mend(&json)
            }
            _ => return Err(Fail::new(format!("jsondecode: expected a string, found {}", text.kind()))),
        };
        self.spend(json.len() / 8)?;
        let node = strict::parse(json.trim())
            .map_err(|error| Fail::new(format!("this is not JSON: {} (byte {})", error.message, error.span.start)))?;
        let mut value = self.json_value(node, &holes, Whence::Text(text.at))?;
        value.sensitive = text.sensitive;
        value.how.clone_from(&text.how);
        Ok(value)
    }

    /// The value of a whole file, each part with its place in it.
    pub(super) fn document(&self, node: node::Node, file: usize) -> Done {
        self.json_value(node, &[], Whence::File(file))
    }

    fn json_value(&self, node: node::Node, holes: &[Rc<Gap>], whence: Whence) -> Done {
        self.spend(1)?;
        let at = match whence {
            Whence::File(file) => Some(Place { file, start: node.span.start, end: node.span.end }),
            Whence::Text(at) => at,
        };
        let hole = |text: &str| -> Option<Rc<Gap>> {
            let number = text.strip_prefix(HOLE)?.strip_suffix(HOLE)?;
            holes.get(number.parse::<usize>().ok()?).cloned()
        };
        let data = match node.value {
            node::Value::Bool(truth) => Data::Bool(truth),
            node::Value::Number(number) => Data::Number(number.parse().unwrap_or(0.0)),
            node::Value::String(text) => match hole(&text) {
                Some(gap) => Data::Unknown(gap),
                None if text.contains(HOLE) => Data::Holes(pieces_of(&text, holes)),
                None => Data::Text(text.into()),
            },
            node::Value::Array(items) => {
                let items = items.into_iter().map(|item| self.json_value(item, holes, whence));
                Data::List(items.collect::<Result<Vec<_>, _>>()?.into())
            }
            node::Value::Object(members) => {
                let mut map = Map::default();
                for member in members {
                    let value = self.json_value(member.value, holes, whence)?;
                    match hole(&member.key) {
                        Some(gap) => map.rest = Some(gap),
                        None => {
                            map.members.insert(member.key.into(), value);
                        }
                    }
                }
                Data::Map(Rc::new(map))
            }
            node::Value::Null | node::Value::Tagged(..) => Data::Null,
        };
        Ok(Val::written(data, at))
    }
}

/// Whether a JSON text leaves a string open.
fn ends_in_string(text: &str, mut inside: bool) -> bool {
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ => {}
        }
    }
    inside
}

/// `[{…} "hole" {…}]`: a hole that brings its own comma, or none, gets the ones that JSON wants.
fn mend(json: &str) -> String {
    let open = format!("\"{HOLE}");
    let close = format!("{HOLE}\"");
    let mut mended = String::with_capacity(json.len() + 8);
    let mut rest = json;
    while let Some(at) = rest.find(&open) {
        mended.push_str(&rest[..at]);
        if mended.trim_end().ends_with(['}', ']', '"']) {
            mended.push(',');
        }
        let end = rest[at + open.len()..].find(&close).map_or(rest.len(), |end| at + open.len() + end + close.len());
        mended.push_str(&rest[at..end]);
        rest = &rest[end..];
        if rest.trim_start().starts_with(['{', '[', '"']) {
            mended.push(',');
        }
    }
    mended.push_str(rest);
    mended
}

fn pieces_of(text: &str, holes: &[Rc<Gap>]) -> Rc<[Piece]> {
    let mut pieces = Vec::new();
    for (index, part) in text.split(HOLE).enumerate() {
        let gap = (index % 2 == 1).then(|| part.parse::<usize>().ok().and_then(|number| holes.get(number))).flatten();
        match gap {
            Some(gap) => pieces.push(Piece::Hole(Rc::clone(gap))),
            None if part.is_empty() => {}
            None => pieces.push(Piece::Known(part.into())),
        }
    }
    pieces.into()
}

/// A sensitive value as one that is not known.
pub(super) fn hidden(value: &Val) -> Gap {
    let expression = value.written.as_deref().unwrap_or("(sensitive value)").to_owned();
    Gap { reason: "its value is sensitive".into(), expression, at: value.at, of: Rc::default() }
}

/// A number whose digits are not all known.
pub(super) fn many_digits(value: &Val) -> Gap {
    let reason = "a number with more digits than are worked out here: a plan has it (`terraform show -json`)".into();
    Gap { reason, expression: "(number)".into(), at: value.at, of: Rc::default() }
}

/// A string with holes as one gap.
pub(super) fn whole(value: &Val) -> Gap {
    let reason = value.gap().map(|gap| gap.reason.clone()).unwrap_or_default();
    let expression = match (&value.written, &value.data) {
        (Some(written), _) => written.to_string(),
        (None, Data::Holes(pieces)) => pieces
            .iter()
            .map(|piece| match piece {
                Piece::Known(text) => &**text,
                Piece::Hole(gap) => gap.expression.as_str(),
            })
            .collect(),
        (None, _) => value.gap().map(|gap| gap.expression.clone()).unwrap_or_default(),
    };
    let at = value.at.or(value.gap().and_then(|gap| gap.at));
    Gap { reason, expression, at, of: value.gap().map(|gap| gap.of.clone()).unwrap_or_default() }
}
