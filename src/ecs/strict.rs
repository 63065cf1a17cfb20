//! JSON (RFC 8259), strictly, with the place of every value: what the AWS CLI refuses is refused here.
//!
//! A stranger's text: depth is limited, so that neither reading nor dropping the tree can exhaust the stack; nothing is
//! allocated beyond what stands in the text; a duplicate key is an error, since readers disagree on which one counts.

use std::collections::HashSet;
use std::ops::Range;

use super::node::{MAX_DEPTH, Member, Node, Value};

/// Where and why a text is not JSON.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut reader = Reader { text, at: 0, values: 0 };
    let node = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.error("the document ends here, but more follows"));
    }
    Ok(node)
}

/// How many values a document may have: each takes many times the bytes that it stands for.
const MAX_VALUES: usize = 2_000_000;

struct Reader<'a> {
    text: &'a str,
    at: usize,
    values: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn error(&self, message: &str) -> SyntaxError {
        let width = self.text.get(self.at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        SyntaxError { span: self.at..self.at + width, message: message.into() }
    }

    /// Expected something else than what stands here.
    fn unexpected(&self, expected: &str) -> SyntaxError {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(found) => self.error(&format!("expected {expected}, found {found:?}")),
            None => self.error(&format!("expected {expected}, but the document ends")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        self.space();
        if depth > MAX_DEPTH {
            return Err(self.error(&format!("arrays and objects stand more than {MAX_DEPTH} deep in one another")));
        }
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.error("a document of more than two million values"));
        }
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node { value, span: start..self.at })
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, SyntaxError> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(value);
        }
        Err(self.unexpected("a value"))
    }

    fn object(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        let mut keys = HashSet::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let key = self.string()?;
            let key_span = start..self.at;
            if !keys.insert(key.clone()) {
                return Err(SyntaxError { span: key_span, message: format!("the key {key:?} stands here twice") });
            }
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("`:` after the key"));
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            members.push(Member { key, key_span, value });
            if !self.more(b'}', "`,` or `}`")? {
                return Ok(Value::Object(members));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if !self.more(b']', "`,` or `]`")? {
                return Ok(Value::Array(items));
            }
        }
    }

    /// Whether another member follows; else the closing bracket was passed.
    fn more(&mut self, close: u8, expected: &str) -> Result<bool, SyntaxError> {
        self.space();
        match self.peek() {
            Some(b',') => {
                let comma = self.at;
                self.at += 1;
                self.space();
                if self.peek() == Some(close) {
                    return Err(SyntaxError { span: comma..comma + 1, message: "nothing follows this comma".into() });
                }
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading = self.at;
        self.digits()?;
        if self.text.as_bytes()[leading] == b'0' && self.at > leading + 1 {
            return Err(SyntaxError { span: start..self.at, message: "a number does not start with 0".into() });
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Number(self.text[start..self.at].into()))
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected("a digit")) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let open = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let stop = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            let Some(stop) = stop else {
                return Err(SyntaxError { span: open..open + 1, message: "this string does not end".into() });
            };
            text.push_str(&rest[..stop]);
            self.at += stop;
            match rest.as_bytes()[stop] {
                b'"' => {
                    self.at += 1;
                    return Ok(text);
                }
                b'\\' => text.push(self.escape()?),
                b'\n' | b'\r' => {
                    return Err(SyntaxError {
                        span: open..open + 1,
                        message: "this string does not end on its line".into(),
                    });
                }
                _ => return Err(self.error("a control character in a string is written as an escape, such as \\t")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let simple = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode(start);
            }
            _ => return Err(self.unexpected("one of \" \\ / b f n r t u after a backslash")),
        };
        self.at += 1;
        Ok(simple)
    }

    /// One `\u`, or the two of a surrogate pair.
    fn unicode(&mut self, start: usize) -> Result<char, SyntaxError> {
        let wrong = |end: usize| SyntaxError { span: start..end, message: "this escape is no character".into() };
        let high = self.hex().ok_or_else(|| wrong(self.at))?;
        let code = if (0xd800..0xdc00).contains(&high) {
            if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                return Err(wrong(self.at));
            }
            self.at += 2;
            let low = self.hex().filter(|low| (0xdc00..0xe000).contains(low)).ok_or_else(|| wrong(self.at))?;
            0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        char::from_u32(code).ok_or_else(|| wrong(self.at))
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_it_expected() {
        for (text, wanted, at) in [
            ("", "a value, but the document ends", 0),
            ("{\"a\":1,}", "nothing follows this comma", 6),
            ("{\"a\" 1}", "`:` after the key", 5),
            ("[1 2]", "`,` or `]`", 3),
            ("{\"a\":1,\"a\":2}", "twice", 7),
            ("{'a':1}", "a key in double quotes", 1),
            ("[01]", "does not start with 0", 1),
            ("\"a\nb\"", "does not end on its line", 0),
            ("\"\\ud800x\"", "no character", 1),
            ("{} x", "more follows", 3),
            ("…", "found '…'", 0),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.message.contains(wanted), "{text}: {}", error.message);
            assert_eq!(error.span.start, at, "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn reads_every_kind() {
        let node = parse("\t{\"a\":[1,-2.5e3,true,null,\"\\ud83d\\ude00\\/\"]}").expect("JSON");
        let Value::Array(items) = &node.get("a").expect("a").value.value else { panic!("an array") };
        assert!(matches!(&items[4].value, Value::String(text) if text == "😀/"));
        assert!(matches!(&items[1].value, Value::Number(text) if text == "-2.5e3"));
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_serde(text in "[\\[\\]{}:,\"\\\\a0-9.eE tnul-]{0,24}") {
            // serde_json takes the last of two equal keys; all else must agree.
            let ours = parse(&text);
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match (&ours, &theirs) {
                (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
                (Err(error), Ok(_)) => proptest::prop_assert!(error.message.contains("twice"), "{text}"),
                (Ok(_), Err(error)) => proptest::prop_assert!(error.to_string().contains("out of range"), "{text}"),
            }
        }
    }
}
