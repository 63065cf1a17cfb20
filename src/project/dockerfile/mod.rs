//! The Dockerfile format, by the rules of `BuildKit`'s parser (Dockerfile reference): from text to instructions with
//! their places. What an instruction means is not known here.
//!
//! A Dockerfile may be a stranger's: more than [`MOST_BYTES`] or [`MOST_INSTRUCTIONS`] are refused, and every pass over
//! the text is one pass.

pub mod expand;
mod lines;
mod parse;

use std::ops::Range;
use std::sync::Arc;

use crate::image::recipe::place::{Place, RecipeError, Source};

/// The largest Dockerfile that is read.
pub const MOST_BYTES: usize = 1 << 20;

/// The most instructions of a Dockerfile.
pub const MOST_INSTRUCTIONS: usize = 10_000;

/// The instructions there are.
pub const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// A Dockerfile that was read.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// Its text.
    pub source: Arc<Source>,
    /// What escapes and continues lines: a backslash, or a backtick by `# escape=`.
    pub escape: char,
    /// The instructions in their order; `FROM` is the first, but for `ARG`.
    pub instructions: Vec<Instruction>,
}

/// One instruction, its lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// One of [`KEYWORDS`].
    pub keyword: &'static str,
    /// The line that it starts on, from 1.
    pub line: usize,
    /// Its bytes in the file, without its here-documents.
    pub span: Range<usize>,
    /// `--chown=…` and its kind, without the hyphens.
    pub flags: Vec<(String, Option<String>)>,
    /// What follows the keyword and the flags.
    pub rest: String,
    /// Its here-documents in their order.
    pub heredocs: Vec<Heredoc>,
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, which is the file's name for `COPY`.
    pub name: String,
    /// Its lines.
    pub content: String,
    /// Whether variables in it are expanded: its name has no quotes.
    pub expands: bool,
    /// The byte of [`Instruction::rest`] where its `<<` stands, and behind its name.
    pub at: Range<usize>,
}

/// A command: words, or a line for the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// `["gunicorn", "app"]`
    Exec(Vec<String>),
    /// `gunicorn app`
    Shell(String),
}

impl Dockerfile {
    /// Reads a Dockerfile. `file` is what errors call it.
    ///
    /// # Errors
    /// Where `BuildKit` would refuse it as well, with the place, and where it is larger than any that people write.
    pub fn parse(file: &str, text: &str) -> Result<Self, RecipeError> {
        if text.len() > MOST_BYTES {
            return Err(RecipeError::new(format!("{file} has more than 1 MiB, which no Dockerfile needs")));
        }
        parse::dockerfile(&Arc::new(Source { file: file.into(), text: text.into() }))
    }

    /// The place of an instruction.
    pub fn place(&self, instruction: &Instruction) -> Place {
        Place::new(&self.source, instruction.span.clone())
    }
}

impl Instruction {
    /// The value of a flag; empty where it has none.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(flag, _)| flag == name).map(|(_, value)| value.as_deref().unwrap_or_default())
    }

    /// The rest as a command: words if it is a JSON array of strings, else a line for the shell.
    pub fn form(&self) -> Form {
        match self.array() {
            Some(words) => Form::Exec(words),
            None => Form::Shell(self.rest.clone()),
        }
    }

    /// The rest as a JSON array of strings.
    pub fn array(&self) -> Option<Vec<String>> {
        let text = self.rest.trim();
        text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
    }

    /// The instruction in one line.
    pub fn shown(&self) -> String {
        let flags: String = self.flags.iter().fold(String::new(), |mut out, (name, value)| {
            out.push_str(" --");
            out.push_str(name);
            if let Some(value) = value {
                out.push('=');
                out.push_str(value);
            }
            out
        });
        let rest = super::remark::shortened(&self.rest, 100);
        let words: Vec<&str> = rest.split_whitespace().collect();
        super::remark::shortened(&format!("{}{flags} {}", self.keyword, words.join(" ")), 110)
    }
}
