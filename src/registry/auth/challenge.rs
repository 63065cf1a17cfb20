//! What a registry asks for: the `WWW-Authenticate` header (RFC 9110 section 11.6.1).
//!
//! Hostile input: any text is taken, what cannot be read is left out, and the number of challenges and parameters is
//! limited.

use std::collections::BTreeMap;

/// More than any registry sends.
const LIMIT: usize = 16;

/// One challenge: a scheme and its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Challenge {
    /// In lower case: `basic`, `bearer`.
    pub scheme: String,
    /// By lower-case name; the first of a name counts.
    pub parameters: BTreeMap<String, String>,
}

impl Challenge {
    /// A parameter's value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// The challenges of one header's value, in order. Several may stand in one value, separated by the same comma that
/// separates their parameters.
pub fn parse(header: &str) -> Vec<Challenge> {
    let mut rest = Scanner { text: header };
    let mut challenges: Vec<Challenge> = Vec::new();
    loop {
        rest.skip(|c| matches!(c, ' ' | '\t' | ','));
        let token = rest.token();
        if token.is_empty() {
            if rest.text.is_empty() {
                return challenges;
            }
            // Something that may not stand here: on to the next element.
            if rest.text.starts_with('"') {
                rest.quoted();
            } else {
                rest.skip(|c| c != ',' && c != '"');
            }
            continue;
        }
        let space = rest.skip(|c| matches!(c, ' ' | '\t'));
        if !rest.text.starts_with('=') {
            if challenges.len() == LIMIT {
                return challenges;
            }
            challenges.push(Challenge { scheme: token.to_ascii_lowercase(), ..Challenge::default() });
            // `Negotiate YII=`: one token and no parameters.
            if space {
                rest.token68();
            }
            continue;
        }
        rest.text = &rest.text[1..];
        rest.skip(|c| matches!(c, ' ' | '\t'));
        let value = if rest.text.starts_with('"') { rest.quoted() } else { rest.token().to_owned() };
        if let Some(challenge) = challenges.last_mut()
            && challenge.parameters.len() < LIMIT
        {
            challenge.parameters.entry(token.to_ascii_lowercase()).or_insert(value);
        }
    }
}

struct Scanner<'a> {
    text: &'a str,
}

impl<'a> Scanner<'a> {
    /// Skips what satisfies the test; whether there was any.
    fn skip(&mut self, test: impl Fn(char) -> bool) -> bool {
        let rest = self.text.trim_start_matches(test);
        let skipped = rest.len() < self.text.len();
        self.text = rest;
        skipped
    }

    fn take(&mut self, test: impl Fn(char) -> bool) -> &'a str {
        let end = self.text.find(|c| !test(c)).unwrap_or(self.text.len());
        let (taken, rest) = self.text.split_at(end);
        self.text = rest;
        taken
    }

    fn token(&mut self) -> &'a str {
        self.take(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c))
    }

    /// Skips a token68 that ends its challenge, if there is one.
    fn token68(&mut self) {
        let before = self.text;
        let token = self.take(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
        let padded = self.skip(|c| c == '=');
        let ends = self.text.is_empty() || self.text.starts_with([',', ' ']);
        // `realm=` with nothing after it looks the same and loses nothing by being skipped.
        if token.is_empty() || !ends || !(padded || self.text.is_empty()) {
            self.text = before;
        }
    }

    fn quoted(&mut self) -> String {
        let mut value = String::new();
        let mut characters = self.text.char_indices().skip(1);
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.text = &self.text[at + 1..];
                    return value;
                }
                '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                c => value.push(c),
            }
        }
        // Never closed: what is there is the value.
        self.text = "";
        value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        let parameters = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Challenge { scheme: scheme.into(), parameters }
    }

    #[test]
    fn reads_what_registries_send() {
        assert_eq!(
            parse(
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#
            ),
            [one(
                "bearer",
                &[
                    ("realm", "https://auth.docker.io/token"),
                    ("service", "registry.docker.io"),
                    ("scope", "repository:a/b:pull,push")
                ]
            )]
        );
        assert_eq!(
            parse(r#"Basic realm="https://1.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com""#),
            [one(
                "basic",
                &[("realm", "https://1.dkr.ecr.eu-west-1.amazonaws.com/"), ("service", "ecr.amazonaws.com")]
            )]
        );
    }

    #[test]
    fn takes_several_and_quotes() {
        assert_eq!(
            parse(
                r#"Negotiate, Basic realm = "a \"quoted\", one", BEARER Realm=https://x/y , error=insufficient_scope"#
            ),
            [
                one("negotiate", &[]),
                one("basic", &[("realm", "a \"quoted\", one")]),
                one("bearer", &[("realm", "https://x/y"), ("error", "insufficient_scope")])
            ]
        );
        assert_eq!(
            parse(r#"Negotiate YII==, Basic realm="x""#),
            [one("negotiate", &[]), one("basic", &[("realm", "x")])]
        );
        assert_eq!(parse("Basic"), [one("basic", &[])]);
        assert_eq!(parse(r#"Basic realm="open"#), [one("basic", &[("realm", "open")])]);
        assert_eq!(parse("=,;\"\u{e9}\\"), []);
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "\\PC*") {
            parse(&text);
        }

        #[test]
        fn any_mix_of_the_grammar_is_taken(text in "[Ba =,\"\\\\\u{e9}]{0,64}") {
            prop_assert!(parse(&text).len() <= LIMIT);
        }

        #[test]
        fn a_quoted_value_comes_back(value in "[ -~]{0,40}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let found = parse(&format!("Bearer realm=\"{quoted}\",service=x"));
            prop_assert_eq!(found[0].parameter("realm"), Some(value.as_str()));
            prop_assert_eq!(found[0].parameter("service"), Some("x"));
        }
    }
}
