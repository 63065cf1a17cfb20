//! Why a source is not read.

use thiserror::Error;

use super::location::Location;

/// Why a text is not a task definition, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{location}: {message}")]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Where.
    pub location: Location,
}
