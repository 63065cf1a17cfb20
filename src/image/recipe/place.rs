//! Places in a recipe's text, and the error that points at one. A library cannot draw carets for a terminal that it
//! does not know, so an error carries the text and the bytes it is about; who prints it, underlines them.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A text that was read, and what the user calls it.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The file as shown to the user.
    pub file: String,
    /// The whole text.
    pub text: String,
}

/// A place in a source file, for messages that underline it.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    source: Arc<Source>,
    span: Range<usize>,
}

impl Place {
    /// The bytes `span` of a source. A span that does not fit the text is cut to it.
    pub fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        let text = &source.text;
        let end = text.floor_char_boundary(span.end.min(text.len()));
        let start = text.floor_char_boundary(span.start.min(end));
        Self { source: Arc::clone(source), span: start..end }
    }

    /// The file as shown to the user.
    pub fn file(&self) -> &str {
        &self.source.file
    }

    /// The whole text of the file.
    pub fn text(&self) -> &str {
        &self.source.text
    }

    /// The bytes of the text that are meant, on character boundaries.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The part of the text that is meant.
    pub fn excerpt(&self) -> &str {
        &self.source.text[self.span.clone()]
    }

    /// Line and column of the start, both from 1, the column in characters.
    pub fn line_and_column(&self) -> (usize, usize) {
        let before = &self.source.text[..self.span.start];
        let line_start = before.rfind('\n').map_or(0, |feed| feed + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// A part of this place, by bytes from its start.
    pub(crate) fn within(&self, part: Range<usize>) -> Self {
        Self::new(&self.source, self.span.start + part.start..self.span.start + part.end)
    }
}

/// `file:line:column`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_and_column();
        write!(f, "{}:{line}:{column}", self.source.file)
    }
}

/// Short, or every value of a recipe would print the whole recipe.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written; `None` for a default or a flag of the command line.
    pub place: Option<Place>,
}

impl<T> Spanned<T> {
    /// A value that was written at a place.
    pub fn at(place: Place, value: T) -> Self {
        Self { value, place: Some(place) }
    }

    /// A value that no file holds.
    pub fn bare(value: T) -> Self {
        Self { value, place: None }
    }

    /// Another value of the same place.
    pub fn with<U>(&self, value: U) -> Spanned<U> {
        Spanned { value, place: self.place.clone() }
    }
}

/// What is wrong with a recipe, a configuration file or a flag that says the same.
///
/// `Display` is the place and the message; label and help are for who draws the text with the place underlined.
#[derive(Debug)]
pub struct RecipeError {
    /// What is wrong.
    pub message: String,
    /// Where, if it is somewhere.
    pub place: Option<Place>,
    /// A word or two beside the underlined text.
    pub label: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// The failure below.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl RecipeError {
    /// An error without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, label: None, help: None, source: None }
    }

    /// An error at a place.
    pub fn at(place: Place, message: impl Into<String>) -> Self {
        Self { place: Some(place), ..Self::new(message) }
    }

    /// The same, with a word beside the underlined text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same, with what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, with the failure below.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same at this place, unless it has one: values are judged by functions that know no file.
    #[must_use]
    pub fn or_at(mut self, place: Option<Place>) -> Self {
        self.place = self.place.or(place);
        self
    }
}

impl fmt::Display for RecipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Error for RecipeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_columns_in_characters() {
        let source = Arc::new(Source { file: "dockless.toml".into(), text: "a = 1\n# é\né = 2\n".into() });
        assert_eq!(Place::new(&source, 0..1).to_string(), "dockless.toml:1:1");
        let two = source.text.find('2').expect("a two");
        assert_eq!(Place::new(&source, two..two + 1).to_string(), "dockless.toml:3:5");
        assert_eq!(Place::new(&source, two..two + 1).excerpt(), "2");
    }

    #[test]
    fn cuts_a_span_to_the_text() {
        let source = Arc::new(Source { file: "f".into(), text: "é".into() });
        assert_eq!(Place::new(&source, 1..9).span(), 0..2);
        assert_eq!(Place::new(&source, 7..9).span(), 2..2);
    }
}
