//! YAML with the place of every value, made of the events of `saphyr-parser`.
//!
//! A stranger's text. The parser beneath keeps its state on the heap and makes one event after the other, so what could
//! hurt is only what is made of them here: depth is limited as in JSON, and what anchors and aliases copy is counted,
//! in nodes and in bytes, before it is copied. Plain scalars keep their text: `CloudFormation` takes `1.10` for a
//! string.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::node::{MAX_DEPTH, Member, Node, Value};
use super::strict::SyntaxError;

/// ECS takes 64 KiB; `CloudFormation` takes 1 MiB.
const MAX_BYTES: usize = 1024 * 1024;
/// How many nodes anchors, aliases and merge keys may copy.
const MAX_COPIED_NODES: usize = 100_000;
/// How many bytes may be read again, line by line that is indented too little.
const MAX_JOINED: usize = 16 * 1024 * 1024;
/// How many bytes of text they may copy.
const MAX_COPIED_BYTES: usize = 8 * 1024 * 1024;

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    if text.len() > MAX_BYTES {
        let message = "more than 1 MiB of YAML: CloudFormation takes no more, ECS 64 KiB".into();
        return Err(SyntaxError { span: 0..0, message });
    }
    let mut first = None;
    let mut joined = text.to_owned();
    for _ in 0..=MAX_JOINED / text.len().max(1) {
        match document(&joined) {
            Ok(node) => return Ok(node),
            Err((error, None)) => return Err(first.unwrap_or(error)),
            Err((error, Some(line))) => {
                first.get_or_insert(error);
                // As many bytes as before, so that every place stays what it is.
                let ends = if joined[..line].ends_with("\r\n") { line - 2..line } else { line - 1..line };
                joined.replace_range(ends.clone(), &" ".repeat(ends.len()));
            }
        }
    }
    Err(first.unwrap_or_else(|| SyntaxError { span: 0..0, message: "not YAML".into() }))
}

/// Reads a document. An error may come with the start of a line that must be indented more, since it is within
/// brackets: libyaml, and so the tools of AWS, take such a line.
fn document(text: &str) -> Result<Node, (SyntaxError, Option<usize>)> {
    let mut builder = Builder {
        offsets: Offsets::of(text),
        text,
        open: Vec::new(),
        anchors: HashMap::new(),
        copied: Size::default(),
        root: None,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = builder.offsets.byte(error.marker().index());
            let width = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            (
                SyntaxError { span: at..at + width, message: format!("not YAML: {}", error.info()) },
                builder.line_in_brackets(at),
            )
        })?;
        builder.take(event, span).map_err(|error| (error, None))?;
    }
    builder.root.ok_or_else(|| (SyntaxError { span: 0..0, message: "the document is empty".into() }, None))
}

/// From the parser's positions, which count characters, to bytes.
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
}

/// What a node takes, all below it included.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

impl Size {
    fn of(node: &Node) -> Self {
        let mut size = Self { nodes: 1, bytes: 0 };
        match &node.value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(text) | Value::String(text) => size.bytes = text.len(),
            Value::Array(items) => items.iter().for_each(|item| size.add(Self::of(item))),
            Value::Object(members) => {
                for member in members {
                    size.bytes += member.key.len();
                    size.add(Self::of(&member.value));
                }
            }
            Value::Tagged(tag, inner) => {
                size.bytes = tag.len();
                size.add(Self::of(inner));
            }
        }
        size
    }

    fn add(&mut self, other: Self) {
        self.nodes += other.nodes;
        self.bytes += other.bytes;
    }
}

/// A collection that has begun.
struct Open {
    start: usize,
    /// Whether it stands in brackets or braces.
    flow: bool,
    anchor: usize,
    tag: Option<String>,
    kind: Kind,
}

enum Kind {
    Sequence(Vec<Node>),
    Mapping { members: Vec<Member>, keys: HashSet<String>, key: Option<(String, Range<usize>)> },
}

struct Builder<'a> {
    offsets: Offsets,
    text: &'a str,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Size)>,
    copied: Size,
    root: Option<Node>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let (start, end) = (self.offsets.byte(span.start.index()), self.offsets.byte(span.end.index()));
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                let message = "a second YAML document stands here: expected one".into();
                Err(SyntaxError { span: start..end.max(start), message })
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(start..end, anchor, tag.as_deref(), Kind::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let kind = Kind::Mapping { members: Vec::new(), keys: HashSet::new(), key: None };
                self.begin(start..end, anchor, tag.as_deref(), kind)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { start: first, anchor, tag, kind, .. }) = self.open.pop() else { return Ok(()) };
                let value = match kind {
                    Kind::Sequence(items) => Value::Array(items),
                    Kind::Mapping { members, .. } => Value::Object(merged(members)?),
                };
                let flow = end > start;
                let node = Node { value, span: self.covered(first, if flow { end } else { start }) };
                self.finish(tagged(tag, node), anchor)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let span = self.covered(start, end);
                let Some(value) = scalar(&text, style, tag.as_deref()) else {
                    return Err(SyntaxError { span, message: "this value does not fit its tag".into() });
                };
                self.finish(tagged(own(tag.as_deref()), Node { value, span }), anchor)
            }
            Event::Alias(anchor) => {
                let span = self.covered(start, end);
                let Some((_, size)) = self.anchors.get(&anchor) else {
                    let message = "this alias names what it stands in".into();
                    return Err(SyntaxError { span, message });
                };
                self.copy(*size, &span)?;
                let value = self.anchors[&anchor].0.value.clone();
                self.finish(Node { value, span }, 0)
            }
            _ => Ok(()),
        }
    }

    /// The start of the line whose first sign stands at `at`, if it goes on with what stands in brackets before.
    fn line_in_brackets(&self, at: usize) -> Option<usize> {
        let before = self.text.get(..at)?;
        let line = before.rfind('\n')? + 1;
        let above = before[..line - 1].rsplit('\n').next().unwrap_or_default();
        let blank = before[line..].bytes().all(|byte| byte == b' ');
        (blank && !above.contains('#') && self.open.last().is_some_and(|open| open.flow)).then_some(line)
    }

    /// The bytes of a node. A block collection ends where the next token starts.
    fn covered(&self, start: usize, end: usize) -> Range<usize> {
        let trimmed = self.text.get(start..end.max(start)).map_or(0, |covered| covered.trim_end().len());
        start..start + trimmed
    }

    fn copy(&mut self, size: Size, span: &Range<usize>) -> Result<(), SyntaxError> {
        self.copied.add(size);
        if self.copied.nodes > MAX_COPIED_NODES || self.copied.bytes > MAX_COPIED_BYTES {
            let message = "too many anchors (&name) and aliases (*name): write the document out".into();
            return Err(SyntaxError { span: span.clone(), message });
        }
        Ok(())
    }

    fn begin(&mut self, span: Range<usize>, anchor: usize, tag: Option<&Tag>, kind: Kind) -> Result<(), SyntaxError> {
        if self.open.len() > MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} deep");
            return Err(SyntaxError { span: span.start..span.start, message });
        }
        let flow = self.text.get(..span.end).is_some_and(|before| before.ends_with(['[', '{']));
        self.open.push(Open { start: span.start, flow, anchor, tag: own(tag), kind });
        Ok(())
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        if anchor > 0 {
            let size = Size::of(&node);
            self.copy(size, &node.span)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Kind::Sequence(items)) => items.push(node),
            Some(Kind::Mapping { members, keys, key }) => {
                if let Some((key, key_span)) = key.take() {
                    members.push(Member { key, key_span, value: node });
                    return Ok(());
                }
                let text = match node.value {
                    Value::String(text) | Value::Number(text) => text,
                    Value::Bool(truth) => truth.to_string(),
                    Value::Null => "null".into(),
                    _ => return Err(SyntaxError { span: node.span, message: "expected a string as key".into() }),
                };
                if !keys.insert(text.clone()) {
                    let message = "not YAML: duplicated key in mapping".into();
                    return Err(SyntaxError { span: node.span, message });
                }
                *key = Some((text, node.span));
            }
        }
        Ok(())
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
    let mut present: HashSet<String> = members.iter().map(|member| member.key.clone()).collect();
    for source in sources {
        let Value::Object(inner) = source.value else {
            return Err(SyntaxError { span: source.span, message: "expected a mapping to merge".into() });
        };
        members.extend(inner.into_iter().filter(|member| present.insert(member.key.clone())));
    }
    Ok(members)
}

/// A tag that YAML itself does not know, as it is written.
fn own(tag: Option<&Tag>) -> Option<String> {
    tag.filter(|tag| !tag.is_yaml_core_schema() && !unspecific(tag))
        .map(|tag| if tag.handle.starts_with('!') { format!("{}{}", tag.handle, tag.suffix) } else { tag.to_string() })
}

/// `!`
fn unspecific(tag: &Tag) -> bool {
    matches!((tag.handle.as_str(), tag.suffix.as_str()), ("!", "") | ("", "!"))
}

fn tagged(tag: Option<String>, node: Node) -> Node {
    match tag {
        None => node,
        Some(tag) => Node { span: node.span.clone(), value: Value::Tagged(tag, Box::new(node)) },
    }
}

/// YAML 1.2 "Core Schema"; a number keeps its text. `None` where it does not fit its tag.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Option<Value> {
    let string = || Value::String(text.to_owned());
    let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    match core {
        Some("str") => return Some(string()),
        None if style != ScalarStyle::Plain => return Some(string()),
        // `! 80` is a string.
        None if tag.is_some_and(unspecific) => return Some(string()),
        _ => {}
    }
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match number(text) {
            Some(number) => Value::Number(number),
            None => string(),
        },
    };
    let fits = match (core, &value) {
        (Some("int"), Value::Number(number)) => !number.contains(['.', 'e', 'E']),
        (Some("float"), Value::Number(_)) | (Some("bool"), Value::Bool(_)) | (Some("null"), Value::Null) => true,
        (Some("int" | "float" | "bool" | "null"), _) => false,
        _ => true,
    };
    fits.then_some(value)
}

fn number(text: &str) -> Option<String> {
    let radix = |digits: &str, radix| i64::from_str_radix(digits, radix).ok().map(|number| number.to_string());
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    // `inf` and `nan` are words.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    (plain && text.bytes().any(|byte| byte.is_ascii_digit()) && text.parse::<f64>().is_ok())
        .then(|| text.strip_prefix('+').unwrap_or(text).to_owned())
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
    fn keeps_tags_and_the_text_of_numbers() {
        let node = parse("a: !Ref Image\nb: 1.10\nc: 0x10\nd: !!str 1\ne: ! 1\nf: !Join ['', [x, 1]]\n").expect("YAML");
        let value = |key: &str| &node.get(key).expect("it stands there").value;
        assert!(matches!(&value("a").value, Value::Tagged(tag, inner)
            if tag == "!Ref" && matches!(&inner.value, Value::String(name) if name == "Image")));
        assert_eq!(value("a").span.len(), "!Ref Image".len());
        for (key, number) in [("b", "1.10"), ("c", "16")] {
            assert!(matches!(&value(key).value, Value::Number(n) if n == number), "{key}");
        }
        assert!(["d", "e"].iter().all(|key| matches!(&value(key).value, Value::String(text) if text == "1")));
        assert!(matches!(&value("f").value, Value::Tagged(_, inner) if matches!(&inner.value, Value::Array(_))));
        assert!(parse("a: !!int x\n").is_err_and(|error| error.message.contains("does not fit")));
    }

    #[test]
    fn brackets_may_close_at_the_column_of_their_key() {
        for end in ["\n", "\r\n"] {
            let lines = ["a:", "  b: [", "    1,", "  2", "  ]", "  c: {x: 1,", "  }", "  d: ä"];
            let text = lines.join(end);
            let node = parse(&text).expect("YAML");
            let a = &node.get("a").expect("a").value;
            assert!(matches!(&a.get("b").expect("b").value.value, Value::Array(items) if items.len() == 2));
            assert_eq!(&text[a.get("d").expect("d").value.span.clone()], "ä");
        }
        let error = parse("a:\n    b: 1\n  c\n").expect_err("outside of brackets");
        assert_eq!(error.span.start, 14, "{}", error.message);
        assert!(parse("a:\n  b: [ # so\n  ]\n").is_err());
        assert!(parse(&format!("a:\n  b: [\n{}", "  1,\n".repeat(100_000))).is_err());
    }

    #[test]
    fn signs_in_a_text_are_no_anchors() {
        let script = "  - apt update && apt install -y x && echo *done &log\n".repeat(2000);
        let text = format!("script: |\n{script}policy: ['*', \"s3:*\"]\n");
        assert!(parse(&text).is_ok());
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
        let nested = "&a [".repeat(60) + &"1,".repeat(50_000) + &"]".repeat(60);
        assert!(parse(&nested).is_err_and(|error| error.message.contains("too many anchors")));
        // A long text behind few nodes.
        let long = format!("a: &a {}\nb: &b [{}]\nc: [{}]\n", "x".repeat(100_000), "*a,".repeat(900), "*b,".repeat(90));
        assert!(parse(&long).is_err_and(|error| error.message.contains("too many anchors")));
        let fair = format!("a: &a {{x: 1}}\n{}", (0..15).map(|n| format!("b{n}: *a\n")).collect::<Vec<_>>().concat());
        assert!(parse(&fair).is_ok());
        assert!(parse("a: 1\na: 2\n").is_err_and(|error| error.message.contains("duplicated key")));
        assert!(parse("a: *b\n").is_err());
    }
}
