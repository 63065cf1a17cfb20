//! A recipe that is being written, and its text. Every text of a Dockerfile reaches the recipe through [`string`] or
//! [`comment`], so that none of it can become a key, a table or an escape sequence of a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A recipe that is being written. Paths and commands are in the recipe's form, braces written twice.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Comments at the top.
    pub head: Vec<String>,
    /// What the layers lie on.
    pub base: String,
    /// Comments above the base.
    pub base_notes: Vec<String>,
    /// The platforms.
    pub platforms: Vec<String>,
    /// How a container starts.
    pub config: Config,
    /// The layers, and comments between them.
    pub pieces: Vec<Piece>,
}

/// How a container starts.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Comments above it.
    pub notes: Vec<String>,
    /// `entrypoint`
    pub entrypoint: Option<Vec<String>>,
    /// `cmd`
    pub cmd: Option<Vec<String>>,
    /// `env`
    pub env: BTreeMap<String, String>,
    /// `working-dir`
    pub working_dir: Option<String>,
    /// `user`
    pub user: Option<String>,
    /// `exposed-ports`
    pub ports: BTreeSet<String>,
    /// `volumes`
    pub volumes: BTreeSet<String>,
    /// `labels`
    pub labels: BTreeMap<String, String>,
    /// `stop-signal`
    pub stop_signal: Option<String>,
}

/// A layer, or a comment in its place.
#[derive(Debug, Clone)]
pub enum Piece {
    /// A layer.
    Layer(Layer),
    /// What stands there instead of one.
    Note(Vec<String>),
}

impl Piece {
    /// The folder that a command fills.
    pub fn filled(&self) -> Option<&str> {
        match self {
            Self::Layer(Layer { kind: Kind::Run(run), .. }) => Some(&run.dest),
            _ => None,
        }
    }
}

/// A layer.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Comments above it.
    pub notes: Vec<String>,
    /// Its name; a number is added where another has the same.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

/// What a layer holds.
#[derive(Debug, Clone)]
pub enum Kind {
    /// `copy`
    Copy(Vec<Item>),
    /// `tar`
    Tar(String),
    /// `run`
    Run(Run),
}

/// An item of `copy`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// `src`
    pub src: String,
    /// `dest`
    pub dest: String,
    /// `exclude`
    pub exclude: Vec<String>,
    /// `owner`
    pub owner: Option<String>,
    /// `mode`
    pub mode: Option<String>,
}

/// A `run` layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// The command, of one or more lines.
    pub command: String,
    /// What its result depends on; none: it runs at each build.
    pub inputs: Vec<String>,
    /// Where the result goes.
    pub dest: String,
    /// `owner`
    pub owner: Option<String>,
}

impl Draft {
    /// The recipe's text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        comments(&mut out, &self.head);
        out.push_str("[image]\n");
        comments(&mut out, &self.base_notes);
        let _ = writeln!(out, "base = {}", string(&self.base));
        if !self.platforms.is_empty() {
            let _ = writeln!(out, "platforms = {}", array(&self.platforms));
        }
        self.config.text(&mut out);
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for piece in &self.pieces {
            out.push('\n');
            match piece {
                Piece::Note(notes) => comments(&mut out, notes),
                Piece::Layer(layer) => {
                    comments(&mut out, &layer.notes);
                    let count = names.entry(&layer.name).or_default();
                    let name = loop {
                        *count += 1;
                        let name = if *count == 1 { layer.name.clone() } else { format!("{}-{count}", layer.name) };
                        if taken.insert(name.clone()) {
                            break name;
                        }
                    };
                    let _ = writeln!(out, "[[layer]]\nname = {}", string(&name));
                    layer.kind.text(&mut out);
                }
            }
        }
        out
    }
}

impl Config {
    fn text(&self, out: &mut String) {
        out.push_str("\n[config]\n");
        comments(out, &self.notes);
        let mut line = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                let _ = writeln!(out, "{name} = {value}");
            }
        };
        line("entrypoint", self.entrypoint.as_deref().map(array));
        line("cmd", self.cmd.as_deref().map(array));
        line("working-dir", self.working_dir.as_deref().map(string));
        line("user", self.user.as_deref().map(string));
        let set = |set: &BTreeSet<String>| (!set.is_empty()).then(|| array(&set.iter().cloned().collect::<Vec<_>>()));
        line("exposed-ports", set(&self.ports));
        line("volumes", set(&self.volumes));
        line("stop-signal", self.stop_signal.as_deref().map(string));
        for (table, values) in [("env", &self.env), ("labels", &self.labels)] {
            if !values.is_empty() {
                let _ = writeln!(out, "\n[config.{table}]");
            }
            for (name, value) in values {
                let _ = writeln!(out, "{} = {}", key(name), string(value));
            }
        }
    }
}

impl Kind {
    fn text(&self, out: &mut String) {
        match self {
            Self::Tar(path) => {
                let _ = writeln!(out, "tar = {}", string(path));
            }
            Self::Copy(items) => {
                let items: Vec<String> = items.iter().map(Item::text).collect();
                let _ = match &items[..] {
                    [one] if one.len() < 100 => writeln!(out, "copy = [{one}]"),
                    items => writeln!(out, "copy = [\n  {},\n]", items.join(",\n  ")),
                };
            }
            Self::Run(run) => {
                let _ = writeln!(out, "run = {}", script(&run.command));
                if !run.inputs.is_empty() {
                    let _ = writeln!(out, "inputs = {}", array(&run.inputs));
                }
                let _ = writeln!(out, "dest = {}", string(&run.dest));
                if let Some(owner) = &run.owner {
                    let _ = writeln!(out, "owner = {}", string(owner));
                }
            }
        }
    }
}

impl Item {
    fn text(&self) -> String {
        let mut out = format!("{{ src = {}, dest = {}", string(&self.src), string(&self.dest));
        if !self.exclude.is_empty() {
            let _ = write!(
                out,
                ", exclude = [{}]",
                self.exclude.iter().map(|one| string(one)).collect::<Vec<_>>().join(", ")
            );
        }
        for (name, value) in [("owner", &self.owner), ("mode", &self.mode)] {
            if let Some(value) = value {
                let _ = write!(out, ", {name} = {}", string(value));
            }
        }
        out.push_str(" }");
        out
    }
}

/// A text as a basic string of TOML, on one line.
pub fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || hides(c) => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A command: on several lines where it has them, without escapes where that is possible.
fn script(text: &str) -> String {
    let tame = |c: char| matches!(c, '\n' | '\t') || !(c.is_control() || hides(c));
    if text.contains('\n') && text.chars().all(tame) && !text.contains("'''") && !text.ends_with('\'') {
        return format!("'''\n{text}'''");
    }
    string(text)
}

/// Characters that make a text look like another one (Unicode TR 36): they change its direction, or cannot be seen.
fn hides(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn array(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| string(word)).collect();
    let line = format!("[{}]", words.join(", "));
    if line.len() <= 100 || words.len() == 1 { line } else { format!("[\n  {},\n]", words.join(",\n  ")) }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { name.into() } else { string(name) }
}

fn comments(out: &mut String, notes: &[String]) {
    for note in notes {
        comment(out, note);
    }
}

/// A text as comments of at most 110 characters, words whole.
pub fn comment(out: &mut String, text: &str) {
    for line in text.split('\n') {
        let line: String = line.chars().map(|c| if c.is_control() || hides(c) { '\u{fffd}' } else { c }).collect();
        let mut width = 0;
        for word in line.split(' ') {
            let length = word.chars().count();
            if width > 0 && width + length + 1 > 110 {
                out.push('\n');
                width = 0;
            }
            out.push_str(if width == 0 { "# " } else { " " });
            out.push_str(word);
            width += length + 1;
        }
        while out.ends_with(' ') {
            out.pop();
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_string_and_a_comment(text in any::<String>()) {
            let mut document = String::new();
            comment(&mut document, &text);
            let name = format!("k{text}");
            let _ = write!(document, "a = {}\nb = {}\n{} = 1\n", string(&text), script(&text), key(&name));
            let table: toml::Table = toml::from_str(&document).expect("TOML");
            prop_assert_eq!(table["a"].as_str(), Some(text.as_str()));
            prop_assert_eq!(table["b"].as_str(), Some(text.as_str()));
            prop_assert!(table.contains_key(&name));
            prop_assert_eq!(table.len(), 3);
        }
    }
}
