//! A line of a document that may hold secrets, fit to be shown: keys, punctuation, and the value that is meant.
//!
//! Task definitions, plans, files of variables and templates have passwords on any line, and a document in one line has
//! all of them there. So every other value is `…`, and the one that is meant as well where its key may name a secret or
//! is not known. The line is looked at alone and as text: most of what is shown did not parse.

use std::ops::Range;

use dockless::project::dockerfile::KEYWORDS;

/// A line as it is shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Masked {
    /// Its number, from 1.
    pub number: usize,
    /// The column of what is meant in the file, in characters, from 1.
    pub column: usize,
    /// Its text.
    pub text: String,
    /// What is meant, within the text.
    pub span: Range<usize>,
}

/// How many bytes stand before and after the start of what is meant.
const BEFORE: usize = 60;
const AFTER: usize = 100;
/// How long a key is at most: what is longer is none.
const LONGEST_KEY: usize = 64;
/// How long a value is shown.
const LONGEST_VALUE: usize = 200;

/// Stands for a value.
const HIDDEN: char = '…';

/// Parts of keys whose values are not shown, without `_` and `-`. The containers of Terraform are a text with
/// everything in it.
const TELLING: &[&str] =
    &["value", "environment", "secret", "passw", "token", "credential", "apikey", "containerdefinitions"];

/// Values that are words of the languages and of the ECS API, and nobody's secret.
const WORDS: &[&str] = &["true", "false", "null", "LINUX", "FARGATE", "EC2", "X86_64", "ARM64"];

/// Tags of templates, which are no values.
const TAGS: &[&str] =
    &["!Ref", "!Sub", "!If", "!Join", "!Select", "!Split", "!GetAtt", "!FindInMap", "!ImportValue", "!Base64"];

/// How a file is written, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// JSON, YAML, or what is taken for either.
    Data,
    /// Terraform's language, and whether each value is one that someone gave.
    Hcl { given: bool },
}

impl Form {
    /// Nothing where lines are shown as they stand.
    fn of(file: &str, line: &str) -> Option<Self> {
        let name = file.to_ascii_lowercase();
        let ends = |end: &str| name.ends_with(end);
        let last = name.rsplit('/').next().unwrap_or_default();
        let is_named = ["dockerfile", "containerfile", ".dockerignore"].iter().any(|word| last.contains(word));
        // A Dockerfile may have any name; but a document has one of these.
        let is_document = [".json", ".yaml", ".yml", ".template"].iter().any(|end| ends(end));
        let first = line.split_whitespace().next().unwrap_or_default();
        // Those that set variables may set a password.
        let is_instruction = KEYWORDS.contains(&first) && !matches!(first, "ARG" | "ENV" | "LABEL");
        if ends(".toml") || is_named || !is_document && is_instruction {
            return None;
        }
        if ends(".tfvars") || ends(".tfvars.json") {
            return Some(Self::Hcl { given: true });
        }
        if ends(".tf") {
            return is_telling(line).then_some(Self::Hcl { given: false });
        }
        Some(Self::Data)
    }
}

fn plain(key: &str) -> String {
    key.replace(['_', '-', '"', '\''], "").to_ascii_lowercase()
}

fn is_telling(text: &str) -> bool {
    let plain = plain(text);
    TELLING.iter().any(|part| plain.contains(part))
}

/// The line on which `span` starts; nothing where it may be shown as it stands.
pub fn masked(file: &str, text: &str, span: &Range<usize>) -> Option<Masked> {
    let at = text.floor_char_boundary(span.start);
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
    let line = text[start..end].trim_end();
    let form = Form::of(file, line)?;
    let from = (at - start).min(line.len());
    let to = text.ceil_char_boundary(span.end).clamp(at, end);
    let meant = from..(to - start).clamp(from, line.len());
    let tokens = tokens(line, form);
    let shown = is_shown(&text[..start], line, &tokens, &meant, form);

    let mut out = String::new();
    let (mut open, mut close) = (None, None);
    for token in &tokens {
        let piece = &line[token.span.clone()];
        if meant.start < token.span.end && open.is_none() {
            // Within a value that is hidden, the whole of it is meant.
            let within = meant.start.saturating_sub(token.span.start);
            let partly = token.kind != Kind::Value || shown;
            open = Some(out.len() + if partly { piece.floor_char_boundary(within) } else { 0 });
        }
        let covered = meant.start <= token.span.start && token.span.end <= meant.end;
        let is_word = form != Form::Hcl { given: true } && WORDS.contains(&piece.trim_matches('"'));
        if token.kind != Kind::Value || is_word || shown && covered {
            if meant.end <= token.span.end && close.is_none() {
                close = Some(out.len() + piece.ceil_char_boundary(meant.end.saturating_sub(token.span.start)));
            }
            out.push_str(piece);
        } else {
            out.push(HIDDEN);
            if meant.end <= token.span.end && close.is_none() {
                close = Some(out.len());
            }
        }
    }
    let open = open.unwrap_or(out.len());
    let close = close.unwrap_or(out.len()).max(open);
    let number = text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = text[start..at].chars().count() + 1;
    Some(bounded(Masked { number, column, text: out, span: open..close }))
}

/// The part of a line around what is meant.
fn bounded(line: Masked) -> Masked {
    let Masked { number, column, text, span } = line;
    let start = match text.floor_char_boundary(span.start.saturating_sub(BEFORE)) {
        few if few < BEFORE => 0,
        start => start,
    };
    let end = text.ceil_char_boundary(span.start + AFTER.max(span.len().min(LONGEST_VALUE)));
    let before = if start > 0 { "…" } else { "" };
    let after = if end < text.len() { "…" } else { "" };
    let moved = |at: usize| at.min(end) - start + before.len();
    let span = moved(span.start)..moved(span.end);
    Masked { number, column, text: format!("{before}{}{after}", &text[start..end]), span }
}

/// Whether the value that is meant may be seen.
fn is_shown(before: &str, line: &str, tokens: &[Token], meant: &Range<usize>, form: Form) -> bool {
    let within = |token: &&Token| token.span.start < meant.end && token.span.end > meant.start;
    if form == (Form::Hcl { given: true }) || meant.len() > LONGEST_VALUE {
        return false;
    }
    if tokens.iter().filter(within).any(|token| token.kind == Kind::Key) {
        return false;
    }
    // The key that a value belongs to: none once it has its value, or another object begins or ends.
    let mut key: Option<&str> = None;
    let mut brackets = 0_usize;
    let mut keys = false;
    for token in tokens.iter().take_while(|token| token.span.start < meant.start) {
        let piece = &line[token.span.clone()];
        match token.kind {
            Kind::Key => (key, brackets, keys) = (Some(piece), 0, true),
            Kind::Value if brackets == 0 => key = None,
            Kind::Value => {}
            Kind::Sign => match piece {
                "[" => brackets += 1,
                "]" if brackets > 1 => brackets -= 1,
                "]" | "{" | "}" => key = None,
                _ => {}
            },
        }
    }
    match key {
        Some(key) => !is_telling(key),
        // An item on a line of its own: of the lists only this one holds nothing else.
        None if !keys => last_key(before).is_some_and(|key| plain(&key) == "requirescompatibilities"),
        None => false,
    }
}

/// The nearest key above a line.
fn last_key(before: &str) -> Option<String> {
    before.lines().rev().take(10).find_map(|line| {
        let tokens = tokens(line, Form::Data);
        let key = tokens.iter().rev().find(|token| token.kind == Kind::Key)?;
        Some(line[key.span.clone()].to_owned())
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Key,
    Value,
    /// Whatever is neither: space, brackets, commas.
    Sign,
}

#[derive(Debug)]
struct Token {
    kind: Kind,
    span: Range<usize>,
}

/// A line in pieces. What is not understood is a value.
fn tokens(line: &str, form: Form) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = line[at..].chars().next() {
        let rest = &line[at..];
        let fresh = at == 0 || line[..at].ends_with([' ', '\t']);
        let list = first == '-' && fresh && rest[1..].chars().next().is_none_or(char::is_whitespace);
        if first.is_whitespace() || "{}[](),:".contains(first) || list || first == '=' && form != Form::Data {
            let end = at + first.len_utf8();
            tokens.push(Token { kind: Kind::Sign, span: at..end });
            at = end;
            continue;
        }
        if let Some(tag) = TAGS.iter().find(|tag| {
            rest.strip_prefix(**tag).is_some_and(|rest| rest.chars().next().is_none_or(char::is_whitespace))
        }) {
            tokens.push(Token { kind: Kind::Sign, span: at..at + tag.len() });
            at += tag.len();
            continue;
        }
        let quoted = first == '"' || first == '\'' && form == Form::Data;
        let length = if quoted {
            quoted_length(rest, first)
        } else if first == '#' && fresh {
            rest.len()
        } else {
            bare_length(rest, form)
        };
        let end = at + length;
        let follows = line[end..].trim_start();
        let colon = follows.strip_prefix(':').is_some_and(|rest| quoted || rest.is_empty() || rest.starts_with(' '));
        let equals = form != Form::Data && follows.starts_with('=') && !follows.starts_with("==");
        let word = quoted || !rest[..length].contains(char::is_whitespace);
        let is_key = (colon || equals) && word && length <= LONGEST_KEY;
        // Names and calls of Terraform's language are no values.
        let name = matches!(form, Form::Hcl { given: false }) && !quoted && first != '#';
        let kind = match (is_key, name) {
            (true, _) => Kind::Key,
            (false, true) => Kind::Sign,
            (false, false) => Kind::Value,
        };
        tokens.push(Token { kind, span: at..end });
        at = end;
    }
    tokens
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn bare_length(text: &str, form: Form) -> usize {
    let hcl = form != Form::Data;
    let ends = |(at, c): (usize, char)| {
        let after = &text[at + c.len_utf8()..];
        match c {
            ',' | '{' | '}' | '[' | ']' | '(' | ')' | '"' => true,
            ':' => after.is_empty() || after.starts_with(' '),
            '=' => hcl,
            ' ' | '\t' => hcl || after.trim_start().starts_with('#'),
            _ => false,
        }
    };
    let length = text.char_indices().skip(1).find(|found| ends(*found)).map_or(text.len(), |(at, _)| at);
    text[..length].trim_end().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(file: &str, text: &str, meant: &str) -> String {
        let start = text.find(meant).expect("it stands there");
        let line = masked(file, text, &(start..start + meant.len())).expect("a document");
        assert!(line.text.get(line.span.clone()).is_some(), "{line:?}");
        format!("{}:{} {} [{}]", line.number, line.column, line.text, &line.text[line.span.clone()])
    }

    #[test]
    fn a_line_shows_the_value_that_is_meant_and_no_other() {
        let task = r#"{"family":"a","cpuArchitecture":"arm","environment":[{"name":"PW","value":"hunter2"}]}"#;
        assert_eq!(
            shown("td.json", task, "\"arm\""),
            r#"1:33 {"family":…,"cpuArchitecture":"arm","environment":[{"name":…,"value":…}]} ["arm"]"#
        );
        let yaml = "a: b\n- {image: x, ports: [{containerPort: \"80\"}], environment: [{name: A, value: hunter2}]}\n";
        assert_eq!(
            shown("td.yaml", yaml, "\"80\""),
            "2:38 - {image: …, ports: [{containerPort: \"80\"}], environment: [{name: …, value: …}]} [\"80\"]"
        );
        let launch = r#"{"requiresCompatibilities": ["FARGATE"], "x": "hunter2"}"#;
        let expected = r#"1:29 {"requiresCompatibilities": ["FARGATE"], "x": …} [["FARGATE"]]"#;
        assert_eq!(shown("ecs:app", launch, r#"["FARGATE"]"#), expected);
        let lines = "{\n \"requiresCompatibilities\": [\n  \"FARGAT\"\n ]}";
        assert_eq!(shown("td.json", lines, "\"FARGAT\""), "3:3   \"FARGAT\" [\"FARGAT\"]");
    }

    #[test]
    fn a_value_that_may_be_secret_is_not_shown_though_it_is_meant() {
        for (file, text, meant) in [
            (
                "plan.json",
                r#"{"container_definitions":"[{\"value\":\"hunter2\"}]","cpu":1}"#,
                r#""[{\"value\":\"hunter2\"}]""#,
            ),
            ("td.json", r#"{"name":"A","value":["hunter2"]}"#, r#"["hunter2"]"#),
            ("td.json", r#"{"name":"A","value":["hunter2"]}"#, r#"{"name":"A","value":["hunter2"]}"#),
            ("td.json", r#"{"environment":["A=hunter2"]}"#, r#""A=hunter2""#),
            ("td.json", r#"{"environment":[{"name":"A"},"A=hunter2"]}"#, r#""A=hunter2""#),
            ("td.json", r#"{"value": hunter2}"#, "h"),
            ("td.json", r#"{"value": "hunter2}"#, "\"hunter2}"),
            ("td.yaml", "environment:\n- A=hunter2\n", "A=hunter2"),
            ("td.yaml", "environment:\n- name: A\n- A=hunter2\n", "A=hunter2"),
            ("td.yaml", "environment:\n  A: hunter2\n", "A: hunter2"),
            ("td.yaml", "value: |\n  a hunter2: b\n", "a hunter2"),
            ("td.yaml", "a: b # hunter2\n", "b"),
            ("td.yaml", "a: 'it''s hunter2\n", "a"),
            ("terraform.tfvars.json", r#"{"arch":"hunter2"}"#, "\"hunter2\""),
            ("terraform.tfvars", "arch = \"hunter2\"\n", "\"hunter2\""),
            ("terraform.tfvars", "db_password = hunter2\n", "db"),
            ("main.tf", "  environment = [{ name = \"A\", value = \"hunter2\" }]\n", "environment"),
            ("x", &format!("{{\"{}hunter2\": 1}}", "k".repeat(80)), "{"),
        ] {
            let line = shown(file, text, meant);
            assert!(!line.contains("hunter2") && line.contains('…'), "{text}: {line}");
        }
        for (file, text) in [("main.tf", "cpu = \"ARM\""), ("dockless.toml", "env = { A = \"hunter2\" }")] {
            assert_eq!(masked(file, text, &(0..1)), None);
        }
    }

    #[test]
    fn a_long_line_is_cut_around_what_is_meant() {
        let many = "\"k\":\"hunter2\",".repeat(900);
        let text = format!("{{{many}\"cpuArchitecture\":\"arm\",{many}\"a\":1}}");
        let line = shown("td.json", &text, "\"arm\"");
        assert!(
            line.len() < 250 && line.contains("\"cpuArchitecture\":\"arm\",") && !line.contains("hunter2"),
            "{line}"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_odd(text in "[a-b{}\\[\\]:,\"'\\\\ \n#=!é-]{0,30}", from in 0..40_usize, to in 0..40_usize) {
            for file in ["td.json", "a.tfvars"] {
                let line = masked(file, &text, &(from.min(text.len())..to.min(text.len()))).expect("a document");
                proptest::prop_assert!(line.text.get(line.span).is_some());
            }
        }
    }
}
