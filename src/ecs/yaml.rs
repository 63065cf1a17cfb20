//! YAML with the place of every value, read with `saphyr`.
//!
//! A stranger's text. The reader below nests as deep as the text does, on the stack; it copies what an anchor names
//! for the anchor and for each of its aliases; it limits the number of aliased nodes, but not their bytes, and counts a
//! key as one node whatever it holds. So the text is measured before it is read: how deep block collections can stand
//! (from the columns at which lines begin; flow collections the scanner limits to 255), and how much anchors and
//! aliases can make of it at most.

use std::ops::Range;

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};

use super::node::{MAX_DEPTH, Member, Node, Value};
use super::strict::SyntaxError;

/// ECS takes 64 KiB; comments and indentation may come on top.
const MAX_BYTES: usize = 256 * 1024;
/// The column at which the first word of a line may stand.
const MAX_COLUMN: usize = 200;
/// How many bytes of text may be copied as nodes, which are much larger than the two bytes that make one.
const MAX_COPIED: usize = 4 * 1024 * 1024;
/// How many bytes of text may be copied where the reader limits the nodes.
const MAX_EXPANDED: usize = 256 * 1024 * 1024;
/// How many nodes the reader makes of aliases.
const ALIASED_NODES: usize = 100_000;

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    measure(text)?;
    let offsets = Offsets::of(text);
    let documents = MarkedYaml::load_from_str(text).map_err(|error| {
        let at = offsets.byte(error.marker().index());
        let width = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        SyntaxError { span: at..at + width, message: format!("not YAML: {}", error.info()) }
    })?;
    let mut documents = documents.into_iter();
    let empty = || SyntaxError { span: 0..0, message: "the document is empty".into() };
    let first = documents.next().ok_or_else(empty)?;
    if let Some(second) = documents.next() {
        let span = offsets.span(&second, text);
        return Err(SyntaxError { span, message: "a second YAML document stands here: expected one".into() });
    }
    Builder { offsets, text }.node(first, 0)
}

/// Refuses what the reader could not bear; see the head of this file.
fn measure(text: &str) -> Result<(), SyntaxError> {
    let refuse = |span: Range<usize>, message: &str| Err(SyntaxError { span, message: message.into() });
    if text.len() > MAX_BYTES {
        return refuse(0..0, "more than 256 KiB of YAML: ECS takes a task definition of 64 KiB");
    }
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let lead = line.bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'-' | b'?' | b':')).count();
        if lead > MAX_COLUMN {
            return refuse(at..at + lead, "this line begins after column 200: nested too deep");
        }
        at += line.len();
    }
    let anchors = names(text, '&');
    if anchors.len().saturating_mul(text.len()) > MAX_COPIED {
        return refuse(0..0, "too many anchors (&name) for a text of this size: write the document out");
    }
    let aliases = names(text, '*').iter().filter(|name| anchors.contains(name)).count();
    if aliases == 0 {
        return Ok(());
    }
    // Levels of three aliases each multiply most.
    let copies = 3_usize.saturating_pow(u32::try_from(aliases.div_ceil(3)).unwrap_or(u32::MAX));
    let grown = |copies: usize| copies.saturating_mul(anchors.len() + 1).saturating_mul(text.len());
    if grown(copies.min(ALIASED_NODES)) > MAX_EXPANDED || collection_keys(text.as_bytes()) && grown(copies) > MAX_COPIED
    {
        return refuse(0..0, "too many aliases (*name) for a text of this size: write the document out");
    }
    Ok(())
}

/// What may be names of anchors (`&`) or aliases (`*`), by their first letters and digits: where the reader takes two
/// names for the same, these are the same as well.
fn names(text: &str, sign: char) -> Vec<&str> {
    let starts = text.match_indices(sign).filter(|(at, _)| {
        let before = text[..*at].chars().next_back();
        let after = text[at + 1..].chars().next();
        before.is_none_or(|c| !c.is_alphanumeric()) && after.is_some_and(|c| !matches!(c, ' ' | '\t' | '\n' | '\r'))
    });
    let name = |at: usize| {
        let rest = &text[at + 1..];
        &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len())]
    };
    starts.map(|(at, _)| name(at)).collect()
}

/// Whether a key could be a collection or an alias: `? …`, `[…]:`, `{…}:`, `*name :`.
fn collection_keys(bytes: &[u8]) -> bool {
    let colon_follows = |at: usize| bytes[at..].iter().find(|next| !next.is_ascii_whitespace()) == Some(&b':');
    let mut in_alias = false;
    bytes.iter().enumerate().any(|(at, byte)| match byte {
        b'?' => bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace),
        b']' | b'}' => {
            in_alias = false;
            colon_follows(at + 1)
        }
        b'*' => {
            in_alias = true;
            false
        }
        b':' => in_alias,
        byte if byte.is_ascii_whitespace() => std::mem::take(&mut in_alias) && colon_follows(at),
        b',' | b'[' | b'{' => {
            in_alias = false;
            false
        }
        _ => false,
    })
}

/// From the reader's positions, which count characters, to bytes.
struct Offsets(Option<Vec<usize>>, usize);

impl Offsets {
    fn of(text: &str) -> Self {
        Self((!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect()), text.len())
    }

    fn byte(&self, index: usize) -> usize {
        match &self.0 {
            None => index.min(self.1),
            Some(starts) => starts.get(index).copied().unwrap_or(self.1),
        }
    }

    fn span(&self, node: &MarkedYaml<'_>, text: &str) -> Range<usize> {
        let start = self.byte(node.span.start.index());
        let end = self.byte(node.span.end.index()).max(start);
        // A block collection ends where the next token starts.
        let trimmed = text.get(start..end).map_or(0, |covered| covered.trim_end().len());
        start..start + trimmed
    }
}

struct Builder<'a> {
    offsets: Offsets,
    text: &'a str,
}

impl Builder<'_> {
    fn node(&self, node: MarkedYaml<'_>, depth: usize) -> Result<Node, SyntaxError> {
        let span = self.offsets.span(&node, self.text);
        if depth > MAX_DEPTH {
            return Err(SyntaxError { span, message: format!("nested more than {MAX_DEPTH} deep") });
        }
        let value = match node.data {
            YamlData::Value(Scalar::Null) => Value::Null,
            YamlData::Value(Scalar::Boolean(truth)) => Value::Bool(truth),
            YamlData::Value(Scalar::Integer(number)) => Value::Number(number.to_string()),
            YamlData::Value(Scalar::FloatingPoint(number)) => Value::Number(number.to_string()),
            YamlData::Value(Scalar::String(text)) | YamlData::Representation(text, ..) => {
                Value::String(text.into_owned())
            }
            YamlData::Sequence(items) => {
                Value::Array(items.into_iter().map(|item| self.node(item, depth + 1)).collect::<Result<_, _>>()?)
            }
            YamlData::Mapping(entries) => {
                let mut members = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let key = self.node(key, depth + 1)?;
                    let key_span = key.span.clone();
                    let key = match key.value {
                        Value::String(text) | Value::Number(text) => text,
                        Value::Bool(truth) => truth.to_string(),
                        Value::Null => "null".into(),
                        _ => return Err(SyntaxError { span: key_span, message: "expected a string as key".into() }),
                    };
                    members.push(Member { key, key_span, value: self.node(value, depth + 1)? });
                }
                Value::Object(merged(members)?)
            }
            YamlData::Tagged(tag, _) => Value::Tagged(tag.to_string()),
            YamlData::Alias(_) | YamlData::BadValue => {
                return Err(SyntaxError { span, message: "this value does not fit its tag, or names nothing".into() });
            }
        };
        Ok(Node { value, span })
    }
}

/// `<<: *common` (YAML 1.1 "Merge Key"): what the AWS CLI's reader does as well. The keys that stand here win.
fn merged(mut members: Vec<Member>) -> Result<Vec<Member>, SyntaxError> {
    let Some(at) = members.iter().position(|member| member.key == "<<") else { return Ok(members) };
    let merge = members.remove(at);
    let sources = match merge.value.value {
        Value::Object(_) => vec![merge.value],
        Value::Array(items) => items,
        _ => return Err(SyntaxError { span: merge.value.span, message: "expected a mapping to merge".into() }),
    };
    for source in sources {
        let Value::Object(inner) = source.value else {
            return Err(SyntaxError { span: source.span, message: "expected a mapping to merge".into() });
        };
        for member in inner {
            if members.iter().all(|present| present.key != member.key) {
                members.push(member);
            }
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_place_of_every_value() {
        let text = "# é\nfamily: äpp\ncontainerDefinitions:\n  - name: web\n    ports: [80]\nlast: 1\n";
        let node = parse(text).expect("YAML");
        let family = node.get("family").expect("family");
        assert_eq!(&text[family.value.span.clone()], "äpp");
        assert_eq!(&text[family.key_span.clone()], "family");
        let containers = &node.get("containerDefinitions").expect("containers").value;
        assert!(text[containers.span.clone()].ends_with("ports: [80]"), "{:?}", &text[containers.span.clone()]);
    }

    #[test]
    fn merges_keys() {
        let node = parse("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n").expect("YAML");
        let b = &node.get("b").expect("b").value;
        assert!(matches!(&b.get("x").expect("x").value.value, Value::Number(n) if n == "1"));
        assert!(matches!(&b.get("y").expect("y").value.value, Value::Number(n) if n == "3"));
    }

    #[test]
    fn takes_time_by_size_only() {
        let numbered = |form: &dyn Fn(u32) -> String| (0..12_000).map(form).collect::<Vec<_>>().concat();
        let start = std::time::Instant::now();
        for text in [
            numbered(&|n| format!("key{n}: value\n")),
            format!("[{}]", numbered(&|n| format!("a{n}, "))),
            format!("{{{}}}", numbered(&|n| format!("a{n}: b, "))),
            format!("a: {}", "word ".repeat(50_000)),
            format!("a: \"{}\"", "\\n ".repeat(60_000)),
            "# a\n".repeat(60_000),
            format!("a: |\n{}", "  b\n".repeat(60_000)),
            format!("a: &a x\nb: {}", "* *a".repeat(60_000)),
        ] {
            let _ = parse(&text);
        }
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    #[test]
    fn bears_what_is_made_to_hurt() {
        for depth in ["[", "{a: ", "- ", "? ", "- &a ", "- !t ", "a: ", "[a: ", "? &a ", "- ? ", "[? "] {
            assert!(parse(&depth.repeat(80_000)).is_err(), "{depth}");
        }
        let indented = (0..1000).map(|n| " ".repeat(n) + "a:\n").collect::<Vec<_>>().concat();
        assert!(parse(&indented).is_err());
        // As deep as the measures allow.
        let blocks = (0..100).map(|n| " ".repeat(2 * n) + "- a:\n").collect::<Vec<_>>().concat();
        for flow in ["[", "[a: ", "{a: ", "{? ["] {
            assert!(parse(&(blocks.clone() + &" ".repeat(200) + &flow.repeat(250))).is_err());
        }
        let closed = blocks + &" ".repeat(200) + &"[a: ".repeat(250) + "x" + &"]".repeat(250);
        assert!(parse(&closed).is_err());
        let laughs = |open: &str, close: &str| -> String {
            let level = |n: usize| format!("a{n}: &a{n} {open}{}{close}\n", vec![format!("*a{}", n - 1); 9].join(", "));
            std::iter::once("a0: &a0 [x]\n".to_owned()).chain((1..12).map(level)).collect()
        };
        assert!(parse(&laughs("[", "]")).is_err());
        assert!(parse(&laughs("{? [", "] : 1}")).is_err());
        let nested = "&a [".repeat(200) + &"1,".repeat(50_000) + &"]".repeat(200);
        assert!(parse(&nested).is_err_and(|error| error.message.contains("too many anchors")));
        // A long text behind few nodes.
        let long = format!("a: &a {}\nb: &b [{}]\nc: [{}]\n", "x".repeat(100_000), "*a,".repeat(900), "*b,".repeat(90));
        assert!(parse(&long).is_err_and(|error| error.message.contains("too many aliases")));
        let fair = format!("a: &a {{x: 1}}\n{}", (0..15).map(|n| format!("b{n}: *a\n")).collect::<Vec<_>>().concat());
        assert!(parse(&fair).is_ok());
        assert!(parse("a: 1\na: 2\n").is_err_and(|error| error.message.contains("duplicated key")));
        assert!(parse("a: *b\n").is_err());
    }
}
