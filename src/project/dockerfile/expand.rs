//! Variables: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:+other}`, quotes and escapes, as `BuildKit` reads them.
//!
//! A value may hold `$TARGETARCH`, which is another one for each platform. So values are kept in the form that a
//! recipe's paths have, with placeholders, and braces of their own written twice.

use std::collections::BTreeMap;
use std::fmt;

use super::super::budget::{Budget, Spent};

/// A text in a recipe's form: `{arch}` and its kind are placeholders, `{{` is a brace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// A text that is meant as it stands.
    pub fn literal(text: &str) -> Self {
        Self(doubled(text))
    }

    /// A text that is in this form already.
    pub fn template(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as it stands; `None` where it holds a placeholder.
    pub fn plain(&self) -> Option<String> {
        let mut out = String::with_capacity(self.0.len());
        let mut chars = self.0.chars();
        while let Some(c) = chars.next() {
            if matches!(c, '{' | '}') && chars.next() != Some(c) {
                return None;
            }
            out.push(c);
        }
        Some(out)
    }

    /// The text in a recipe's form.
    pub fn as_template(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A text with its braces written twice.
pub fn doubled(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// The variables of a stage.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// `ENV`, which wins.
    pub env: BTreeMap<String, Text>,
    /// `ARG`.
    pub args: BTreeMap<String, Text>,
}

impl Variables {
    /// The value of a variable, those included that `BuildKit` sets by itself.
    pub fn get(&self, name: &str) -> Option<Text> {
        self.env.get(name).or_else(|| self.args.get(name)).cloned()
    }

    /// What `BuildKit` sets for the platform, once `ARG NAME` asks for it.
    pub fn automatic(name: &str) -> Option<Text> {
        let text = match name {
            "TARGETARCH" => "{arch}",
            "TARGETOS" => "{os}",
            "TARGETVARIANT" => "{variant}",
            "TARGETPLATFORM" => "{os}/{arch}",
            _ => return None,
        };
        Some(Text::template(text))
    }
}

/// Why a text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpandError {
    /// It asks for too much work.
    Spent,
    /// It is not well-formed, or uses what only a newer syntax has.
    Form(String),
}

impl From<Spent> for ExpandError {
    fn from(_: Spent) -> Self {
        Self::Spent
    }
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spent => Spent.fmt(f),
            Self::Form(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ExpandError {}

/// One value was expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The value.
    pub text: Text,
    /// Names without a value; they count as empty.
    pub unset: Vec<String>,
}

/// Defaults within defaults: more than anyone writes.
const DEEPEST: usize = 16;

/// Expands one word: variables, and quotes unless `keep_quotes`, as in the content of a here-document.
///
/// # Errors
/// Where it is not well-formed, or too much.
pub fn expand(
    text: &str,
    escape: char,
    variables: &Variables,
    keep_quotes: bool,
    budget: &mut Budget,
) -> Result<Expanded, ExpandError> {
    budget.spend(text.len())?;
    let chars: Vec<char> = text.chars().collect();
    let mut expander = Expander { chars: &chars, at: 0, escape, variables, keep_quotes, budget, unset: Vec::new() };
    let text = expander.until(None, 0)?;
    let mut unset = expander.unset;
    unset.sort_unstable();
    unset.dedup();
    Ok(Expanded { text: Text(text), unset })
}

struct Expander<'a> {
    chars: &'a [char],
    at: usize,
    escape: char,
    variables: &'a Variables,
    keep_quotes: bool,
    budget: &'a mut Budget,
    unset: Vec<String>,
}

impl Expander<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// Up to a closing brace, or to the end.
    fn until(&mut self, end: Option<char>, depth: usize) -> Result<String, ExpandError> {
        let mut out = String::new();
        let mut quoted = false;
        while let Some(c) = self.peek() {
            if Some(c) == end && !quoted {
                return Ok(out);
            }
            self.at += 1;
            match c {
                '\'' if !quoted && !self.keep_quotes => {
                    while let Some(c) = self.peek() {
                        self.at += 1;
                        if c == '\'' {
                            break;
                        }
                        push(&mut out, c);
                    }
                }
                '"' if !self.keep_quotes => quoted = !quoted,
                c if c == self.escape => match self.peek() {
                    Some(next) => {
                        let special = matches!(next, '$' | '"') || next == self.escape;
                        if (quoted && !special) || (self.keep_quotes && next != '$' && next != self.escape) {
                            push(&mut out, c);
                        }
                        push(&mut out, next);
                        self.at += 1;
                    }
                    None => push(&mut out, c),
                },
                '$' => {
                    let value = self.variable(depth)?;
                    self.budget.spend(value.len())?;
                    out.push_str(&value);
                }
                c => push(&mut out, c),
            }
        }
        match end {
            Some(_) => Err(ExpandError::Form("`${` is not closed".into())),
            None => Ok(out),
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
            self.at += 1;
        }
        name
    }

    /// Behind a `$`.
    fn variable(&mut self, depth: usize) -> Result<String, ExpandError> {
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".into());
            }
            return Ok(self.value(&name));
        }
        if depth == DEEPEST {
            return Err(ExpandError::Form("variables stand in each other's defaults too deeply".into()));
        }
        self.at += 1;
        let name = self.name();
        if name.is_empty() {
            return Err(ExpandError::Form("`${` names no variable".into()));
        }
        if self.peek() == Some('}') {
            self.at += 1;
            return Ok(self.value(&name));
        }
        let colon = self.peek() == Some(':');
        if colon {
            self.at += 1;
        }
        let how = self.peek();
        self.at += 1;
        let found = self.variables.get(&name).filter(|value| !(colon && value.is_empty()));
        let Some(how @ ('-' | '+' | '?')) = how else {
            return Err(ExpandError::Form(format!("the modifier of ${{{name}…}} is not understood")));
        };
        let unset = self.unset.len();
        let word = self.until(Some('}'), depth + 1)?;
        self.at += 1;
        if (how == '+') != found.is_some() {
            // What stands in a default that is not taken has no need of a value.
            self.unset.truncate(unset);
        }
        match (how, found) {
            ('-', None) => Ok(word),
            ('+', found) => Ok(if found.is_some() { word } else { String::new() }),
            ('?', None) => Err(ExpandError::Form(format!("{name} needs a value: {word}"))),
            (_, Some(value)) => Ok(value.0),
            (_, None) => Ok(String::new()),
        }
    }

    fn value(&mut self, name: &str) -> String {
        if let Some(value) = self.variables.get(name) {
            return value.0;
        }
        self.unset.push(name.into());
        String::new()
    }
}

fn push(out: &mut String, c: char) {
    if matches!(c, '{' | '}') {
        out.push(c);
    }
    out.push(c);
}

/// The words of a line, split at spaces that are not quoted; quotes stay.
pub fn words(text: &str, escape: char) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && quote.is_none() && !escaped {
            if let Some(start) = start.take() {
                found.push(&text[start..at]);
            }
            continue;
        }
        start.get_or_insert(at);
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('\''), '\'') => quote = None,
            (Some('\''), _) => {}
            (_, c) if c == escape => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            _ => {}
        }
    }
    if let Some(start) = start {
        found.push(&text[start..]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let mut variables = Variables::default();
        for (name, value) in [("A", "a"), ("EMPTY", ""), ("BRACE", "{x}")] {
            variables.env.insert(name.into(), Text::literal(value));
        }
        variables.args.insert("TARGETARCH".into(), Text::template("{arch}"));
        variables
    }

    fn expanded(text: &str) -> Result<String, ExpandError> {
        expand(text, '\\', &variables(), false, &mut Budget::new()).map(|expanded| expanded.text.0)
    }

    #[test]
    fn expands_as_buildkit_does() {
        for (text, wanted) in [
            ("$A/${A}b$", "a/ab$"),
            ("${A:-x}${B:-x}${EMPTY:-x}${EMPTY-x}", "axx"),
            ("${A:+y}${B:+y}${EMPTY:+y}${EMPTY+y}", "yy"),
            ("${B:-${C:-$A}}", "a"),
            (r#"'$A' "$A 'x'" \$A"#, "$A a 'x' $A"),
            ("{$BRACE}", "{{{{x}}}}"),
            ("app-$TARGETARCH", "app-{arch}"),
            ("$B", ""),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(wanted), "{text}");
        }
        for text in ["${", "${A", "${A#x}", "${B:?no}", "${-}"] {
            assert!(matches!(expanded(text), Err(ExpandError::Form(_))), "{text}");
        }
        assert_eq!(Text::template("a{{b").plain().as_deref(), Some("a{b"));
        assert_eq!(Text::template("a{arch}").plain(), None);
    }

    #[test]
    fn words_keep_their_quotes() {
        assert_eq!(words(r#"a="b c" d\ e  'f g'"#, '\\'), [r#"a="b c""#, r"d\ e", "'f g'"]);
    }

    #[test]
    fn depth_and_size_are_limited() {
        assert!(expanded(&"${A:-".repeat(100_000)).is_err());
        let mut variables = variables();
        let mut budget = Budget::new();
        let doubled = (0..100).try_for_each(|_| {
            let text = expand("$A$A", '\\', &variables, false, &mut budget)?.text;
            variables.env.insert("A".into(), text);
            Ok(())
        });
        assert_eq!(doubled, Err(ExpandError::Spent));
    }
}
