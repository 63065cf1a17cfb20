//! Globs over names and paths: `*` and `?` stay within a segment, `**` does not. Names have no segments.

use std::fmt;

/// A glob. It matches in time proportional to pattern times text, whatever the pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Byte(u8),
    One,
    Many,
    Any,
    /// `**/`: any number of whole segments.
    Segments,
}

impl Pattern {
    /// A glob over names, where `/` is a character like any other.
    pub fn name(text: &str) -> Self {
        let tokens = text.bytes().map(|byte| match byte {
            b'*' => Token::Any,
            b'?' => Token::One,
            other => Token::Byte(other),
        });
        Self { text: text.into(), tokens: tokens.collect() }
    }

    /// A glob over paths from the root; a leading `/` may be left out on either side.
    pub fn path(text: &str) -> Self {
        let bytes = text.trim_start_matches('/').as_bytes();
        let mut tokens = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if rest.starts_with(b"**/") && (at == 0 || bytes[at - 1] == b'/') {
                tokens.push(Token::Segments);
                at += 3;
            } else if rest.starts_with(b"**") {
                tokens.push(Token::Any);
                at += 2;
            } else {
                tokens.push(match rest[0] {
                    b'*' => Token::Many,
                    b'?' => Token::One,
                    other => Token::Byte(other),
                });
                at += 1;
            }
        }
        Self { text: text.into(), tokens }
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let text = text.trim_start_matches('/').as_bytes();
        // reach[i]: the tokens so far can match the first i bytes.
        let mut reach = vec![false; text.len() + 1];
        reach[0] = true;
        for token in &self.tokens {
            let mut next = vec![false; text.len() + 1];
            let mut open = false;
            for at in 0..=text.len() {
                let previous = at.checked_sub(1).map(|before| text[before]);
                match token {
                    Token::Byte(byte) => next[at] = previous == Some(*byte) && reach[at - 1],
                    Token::One => next[at] = previous.is_some_and(|byte| byte != b'/') && reach[at - 1],
                    Token::Any => {
                        open |= reach[at];
                        next[at] = open;
                    }
                    Token::Many => {
                        open = reach[at] || (open && previous != Some(b'/'));
                        next[at] = open;
                    }
                    Token::Segments => {
                        open |= reach[at];
                        next[at] = reach[at] || (open && previous == Some(b'/'));
                    }
                }
            }
            reach = next;
        }
        reach[text.len()]
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_paths_by_segment() {
        for (pattern, path, wanted) in [
            ("/opt/qemu/**", "/opt/qemu/bin/qemu-arm", true),
            ("/opt/qemu/**", "opt/qemu2/x", false),
            ("/opt/*", "/opt/a", true),
            ("/opt/*", "/opt/a/b", false),
            ("**/*.so", "usr/lib/a.so", true),
            ("**/*.so", "a.so", true),
            ("/usr/**/x", "/usr/x", true),
            ("/usr/**/x", "/usr/a/b/x", true),
            ("/usr/**/x", "/usr/ax", false),
            ("/a?", "/ab", true),
        ] {
            assert_eq!(Pattern::path(pattern).matches(path), wanted, "{pattern} {path}");
        }
    }

    #[test]
    fn matches_names_across_everything() {
        assert!(Pattern::name("module.*.app").matches("module.a[\"x/y\"].app"));
        assert!(!Pattern::name("app").matches("app2"));
        assert!(Pattern::name("*").matches(""));
    }
}
