//! Failures: what went wrong, why, and what to do about it, on stderr and as an exit code.
//!
//! Exit codes: **0** done, **1** asked and the answer is no, **2** could not do it, **129**, **130** and **143**
//! interrupted. A stdout that nobody reads changes none of them: whoever read it has seen enough.
//!
//! A failure is text on stderr also with `--json`: stdout carries only results. What is there does not say how it ended
//! (a push that failed prints what was reached), the exit code does. Whoever turns a library's error into a failure
//! adds the hints here, at the border; nothing is ever decided by an error's text.

use std::error::Error;
use std::io::{self, Write};

use annotate_snippets::Level;
use dockless::cause;
use thiserror::Error;

use super::snippet::{Snippet, renderer, tame, underlined};
use super::text::printable;

/// The exit code of every failure; a no is an answer, not a failure. (An interrupted command ends by its signal, which
/// a shell reports as 129, 130 or 143.)
pub const EXIT_CODE: u8 = 2;

/// Why a command came to nothing.
#[derive(Debug)]
pub struct Failure {
    error: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
    snippet: Option<Box<Snippet>>,
}

/// An error below a sentence that says what was being done.
#[derive(Debug, Error)]
#[error("{message}")]
struct While {
    message: String,
    source: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// A command that could not do it: an error, or a sentence.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { error: error.into(), hints: Vec::new(), snippet: None }
    }

    /// The same failure, below a sentence that says what was being done.
    #[must_use]
    pub fn during(self, message: impl Into<String>) -> Self {
        Self { error: Box::new(While { message: message.into(), source: self.error }), ..self }
    }

    /// The same failure with a repair.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same failure with a repair, where there is one.
    #[must_use]
    pub fn hint_if(self, hint: Option<impl Into<String>>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// The same failure with the place in a file.
    #[must_use]
    pub fn at(self, snippet: Snippet) -> Self {
        Self { snippet: Some(Box::new(snippet)), ..self }
    }

    /// What went wrong, without what made it so.
    pub fn message(&self) -> String {
        cause::messages(&*self.error).into_iter().next().unwrap_or_default()
    }

    /// Whether a place in a file is known.
    pub fn has_place(&self) -> bool {
        self.snippet.is_some()
    }

    /// The failure and its causes in one line.
    pub fn in_one_line(&self) -> String {
        cause::in_one_line(&*self.error)
    }

    /// Writes the failure for people. The text is styled: give it a writer that drops styles where there is no colour.
    pub fn print(&self, writer: &mut dyn Write) -> io::Result<()> {
        let mut messages = cause::messages(&*self.error).into_iter();
        let message = messages.next().unwrap_or_default();
        let renderer = renderer();
        if let Some(snippet) = &self.snippet {
            let group = underlined(Level::ERROR, None, &message, snippet)
                .elements(messages.map(|cause| Level::NOTE.with_name("because").message(tame(&cause))))
                .elements(self.hints.iter().map(|hint| Level::HELP.message(tame(hint))));
            return writeln!(writer, "{}", renderer.render(&[group]));
        }
        let error = anstyle::AnsiColor::BrightRed.on_default().bold();
        let aside = anstyle::Style::new().bold();
        writeln!(writer, "{error}error{error:#}{aside}:{aside:#} {}", printable(&message))?;
        for cause in messages {
            writeln!(writer, "  {aside}because:{aside:#} {}", printable(&cause))?;
        }
        for hint in &self.hints {
            writeln!(writer, "  {aside}help:{aside:#} {}", printable(hint))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Chain(&'static [&'static str]);

    impl fmt::Display for Chain {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0[0])
        }
    }

    impl Error for Chain {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            // Tests only: a link of the chain lives as long as the process.
            (self.0.len() > 1).then(|| &*Box::leak(Box::new(Chain(&self.0[1..]))) as _)
        }
    }

    fn printed(failure: &Failure) -> String {
        let mut plain = anstream::StripStream::new(Vec::new());
        failure.print(&mut plain).expect("a vector takes everything");
        String::from_utf8(plain.into_inner()).expect("text")
    }

    #[test]
    fn each_cause_is_said_once() {
        let chain = ["cannot push app", "PUT /v2/app: denied", "denied", "token of role ci", "token of role ci"];
        let failure = Failure::new(Chain(Box::leak(Box::new(chain)))).hint("allow ecr:PutImage");
        let expected = "\
error: cannot push app
  because: PUT /v2/app: denied
  because: token of role ci
  help: allow ecr:PutImage
";
        assert_eq!(printed(&failure), expected);
    }

    #[test]
    fn the_line_is_underlined() {
        let text = "[image]\nplatform = [\"linux/arm64\"]\n".to_owned();
        let snippet = Snippet { file: "dockless.toml".into(), text, span: 8..16, label: "not a key of [image]".into() };
        let failure = Failure::new("unknown key platform").at(snippet).hint("write platforms");
        let expected = "\
error: unknown key platform
 --> dockless.toml:2:1
  |
2 | platform = [\"linux/arm64\"]
  | ^^^^^^^^ not a key of [image]
  |
  = help: write platforms
";
        assert_eq!(printed(&failure), expected);
    }

    #[test]
    fn a_span_beside_the_text_is_no_panic() {
        let backwards = std::ops::Range { start: 3, end: 1 };
        for span in [0..900, 900..901, backwards, 1..2] {
            let snippet = Snippet { file: "a".into(), text: "ééé\n".into(), span, label: String::new() };
            assert!(printed(&Failure::new("wrong").at(snippet)).starts_with("error: wrong\n"));
            let empty = Snippet { file: "a".into(), text: String::new(), span: 0..1, label: "here".into() };
            assert!(printed(&Failure::new("wrong").at(empty)).starts_with("error: wrong\n"));
        }
    }
}
