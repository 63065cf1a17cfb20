//! What a source says of a value, and where it says so.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A place in a source: for a person the line and column, for a renderer the bytes to underline.
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    /// The source as it was named.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// The bytes of the source that are meant.
    pub span: Range<usize>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Place<'a> {
            file: &'a str,
            line: u32,
            column: u32,
        }
        Place { file: &self.file, line: self.line, column: self.column }.serialize(serializer)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a source says of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stated<T> {
    /// Nothing.
    Unset,
    /// This.
    Known {
        /// The value.
        value: T,
        /// Where it was found.
        at: Location,
        /// How it was found, from the place on: `the default of var.cpu_architecture`. Empty where it simply stands.
        how: Vec<String>,
    },
    /// Something that the source alone does not settle.
    Unresolved {
        /// What is missing.
        reason: String,
        /// Where it stands.
        at: Location,
    },
}

impl<T> Stated<T> {
    /// A value that simply stands there.
    pub fn known(value: T, at: Location) -> Self {
        Self::Known { value, at, how: Vec::new() }
    }

    /// The value, where it is known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Known { value, .. } => Some(value),
            Self::Unset | Self::Unresolved { .. } => None,
        }
    }

    /// Where it stands.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Known { at, .. } | Self::Unresolved { at, .. } => Some(at),
            Self::Unset => None,
        }
    }

    /// Where it comes from, for a person: `variables.tf:12:3, the default of var.cpu_architecture`.
    pub fn source(&self) -> Option<String> {
        match self {
            Self::Unset => None,
            Self::Known { at, how, .. } => {
                Some(std::iter::once(at.to_string()).chain(how.iter().cloned()).collect::<Vec<_>>().join(", "))
            }
            Self::Unresolved { reason, at } => Some(format!("{at}, {reason}")),
        }
    }
}

/// What a source leaves open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What is missing.
    pub reason: String,
    /// Where it stands.
    pub at: Location,
}

/// As [`Stated::source`] says it.
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.at, self.reason)
    }
}
