//! From text to logical lines: directives, comments, continuations, here-documents.

use std::ops::Range;

use super::Heredoc;

/// A line with its continuations joined.
#[derive(Debug)]
pub(super) struct Logical {
    /// The first line, from 1.
    pub(super) line: usize,
    /// Its bytes.
    pub(super) span: Range<usize>,
    /// Its text without line feeds, but those that a here-document's command keeps.
    pub(super) text: String,
    /// Its here-documents; where each stands is counted from the start of `text`.
    pub(super) heredocs: Vec<Heredoc>,
}

/// What is wrong with a line, and where.
#[derive(Debug)]
pub(super) struct LineError {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
}

/// The physical lines that are left.
struct Physical<'t> {
    text: &'t str,
    at: usize,
    number: usize,
}

impl<'t> Physical<'t> {
    /// The next line without its end: its bytes and its text.
    fn next(&mut self) -> Option<(Range<usize>, &'t str)> {
        if self.at >= self.text.len() {
            return None;
        }
        let start = self.at;
        let rest = &self.text[start..];
        let (line, length) = match rest.find('\n') {
            Some(feed) => (&rest[..feed], feed + 1),
            None => (rest, rest.len()),
        };
        self.at += length;
        self.number += 1;
        let line = line.strip_suffix('\r').unwrap_or(line);
        Some((start..start + line.len(), line))
    }
}

/// The logical lines of a Dockerfile, and its escape character.
pub(super) fn logical(text: &str) -> Result<(char, Vec<Logical>), LineError> {
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let escape = escape(&text[start..], start)?;
    let mut lines = Physical { text, at: start, number: 0 };
    let mut found = Vec::new();
    while let Some((span, line)) = lines.next() {
        if is_nothing(line) {
            continue;
        }
        let first = lines.number;
        let indent = line.len() - line.trim_start().len();
        let mut whole =
            Logical { line: first, span: span.start + indent..span.end, text: String::new(), heredocs: Vec::new() };
        let mut line = line.trim_start();
        loop {
            let (part, goes_on) = continued(line, escape);
            whole.text.push_str(part);
            if !goes_on {
                break;
            }
            // A comment or an empty line within a continuation is no end of it.
            let next = loop {
                match lines.next() {
                    Some((_, line)) if is_nothing(line) => {}
                    other => break other,
                }
            };
            let Some((span, next)) = next else { break };
            whole.span.end = span.end;
            line = next;
        }
        heredocs(&mut whole, &mut lines)?;
        found.push(whole);
    }
    Ok((escape, found))
}

fn is_nothing(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// A line without the character that continues it, and whether there is one.
fn continued(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end().strip_suffix(escape) {
        Some(part) => (part, true),
        None => (line, false),
    }
}

/// What `# escape=` says. Directives stand first; the first line that is none ends them.
fn escape(text: &str, start: usize) -> Result<char, LineError> {
    let mut lines = Physical { text, at: 0, number: 0 };
    let mut escape = '\\';
    while let Some((span, line)) = lines.next() {
        if lines.number == 1 && line.starts_with("#!") {
            continue;
        }
        let Some((name, value)) = line.trim_start().strip_prefix('#').and_then(|line| line.split_once('=')) else {
            break;
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        match (name.as_str(), value) {
            ("syntax" | "check", _) => {}
            ("escape", "\\") => escape = '\\',
            ("escape", "`") => escape = '`',
            ("escape", _) => {
                return Err(LineError {
                    span: start + span.start..start + span.end,
                    message: "the escape character is neither \\ nor `".into(),
                    help: None,
                });
            }
            _ => break,
        }
    }
    Ok(escape)
}

/// Reads the here-documents that a line of `RUN`, `COPY` or `ADD` opens.
fn heredocs(whole: &mut Logical, lines: &mut Physical<'_>) -> Result<(), LineError> {
    let keyword = whole.text.split_whitespace().next().unwrap_or_default();
    if !["RUN", "COPY", "ADD"].iter().any(|one| one.eq_ignore_ascii_case(keyword)) {
        return Ok(());
    }
    for Opened { at, name, expands, tabs } in opened(&whole.text) {
        let mut content = String::new();
        loop {
            let Some((_, line)) = lines.next() else {
                return Err(LineError {
                    span: whole.span.clone(),
                    message: format!("the here-document {name} does not end"),
                    help: Some("a line that is its name alone ends it"),
                });
            };
            let line = if tabs { line.trim_start_matches('\t') } else { line };
            if line == name {
                break;
            }
            content.push_str(line);
            content.push('\n');
        }
        whole.heredocs.push(Heredoc { name, content, expands, at });
    }
    Ok(())
}

struct Opened {
    at: Range<usize>,
    name: String,
    expands: bool,
    tabs: bool,
}

/// The here-documents that words such as `<<EOF`, `<<-'EOF'` or `3<<EOF` open.
fn opened(text: &str) -> Vec<Opened> {
    let mut found = Vec::new();
    let mut quote = None;
    let mut start = None;
    let mut word = |start: usize, end: usize| {
        let whole = &text[start..end];
        let rest = whole.trim_start_matches(|c: char| c.is_ascii_digit());
        let Some(rest) = rest.strip_prefix("<<") else { return };
        let (tabs, name) = match rest.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, rest),
        };
        let bare: String = name.chars().filter(|c| !matches!(c, '\'' | '"')).collect();
        if bare.is_empty() || bare.contains('<') {
            return;
        }
        found.push(Opened { at: start..end, expands: bare == name, name: bare, tabs });
    };
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => {
                quote = Some(c);
                start.get_or_insert(at);
            }
            (None, c) if c.is_whitespace() || matches!(c, ';' | '|' | '&' | ')') => {
                if let Some(start) = start.take() {
                    word(start, at);
                }
            }
            _ => {
                start.get_or_insert(at);
            }
        }
    }
    if let Some(start) = start {
        word(start, text.len());
    }
    found
}
