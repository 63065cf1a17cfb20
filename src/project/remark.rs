//! Remarks: what the reader of a new recipe must know, and which line it is about.

use serde::Serialize;

/// How much a remark weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Translated, with a difference that should be known.
    Note,
    /// Not translated: the image lacks it until somebody does what is said.
    Untranslated,
}

/// What the reader must know of one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The file, as shown to people.
    pub file: String,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: usize,
    /// How much it weighs.
    pub weight: Weight,
    /// The instruction, shortened.
    pub instruction: String,
    /// What is to be known.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// A text of one line that is no longer than it is read: `RUN apt-get install -y …`.
pub fn shortened(text: &str, most: usize) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == most {
            out.push('…');
            break;
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}
