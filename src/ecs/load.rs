//! From a source that someone names to targets. The only file of this room that opens files.
//!
//! A file is read up to the limit of its format and no further, so that a device or an endless pipe does no harm.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::json::{self, ParseError};
use super::target::{SelectError, Target, TargetOptions, select};

/// What a source held.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The targets that were asked for.
    pub targets: Vec<Target>,
    /// The texts by file name, as [`Location`](super::task_definition::Location) names them.
    pub sources: BTreeMap<Arc<str>, Arc<str>>,
}

/// Why a source gave no targets.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("failed to read {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is larger than any task definition.
    #[error("{source_name} is larger than {} MiB: it cannot be a task definition", json::MAX_BYTES / 1024 / 1024)]
    TooLarge {
        /// Which.
        source_name: String,
    },
    /// It is not text.
    #[error("{source_name} is not UTF-8 text")]
    NotText {
        /// Which.
        source_name: String,
    },
    /// A kind of source that is not read yet.
    #[error("{source_name}: {message}")]
    NotSupported {
        /// Which.
        source_name: String,
        /// What it is.
        message: String,
        /// The way round.
        help: String,
    },
    /// `-`, but no text came with it.
    #[error("the task definition is to come from standard input, which was not given")]
    NoInput,
    /// It is not a task definition.
    #[error("{error}")]
    Parse {
        /// Why, and where.
        error: ParseError,
        /// The text, to show the place.
        text: Arc<str>,
    },
    /// No target is left.
    #[error(transparent)]
    Select(#[from] SelectError),
}

impl LoadError {
    /// What to do, where something can be said.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::NotSupported { help, .. } => Some(help),
            Self::Parse { error, .. } => error.help.as_deref(),
            Self::NotText { .. } => Some("save it as UTF-8 (PowerShell's `>` writes UTF-16)"),
            _ => None,
        }
    }
}

/// The targets of a source: the path of a file, or `-` for the text that came by standard input.
pub fn load(source: &str, input: Option<&str>, options: &TargetOptions) -> Result<Loaded, LoadError> {
    let text = match (source, input) {
        ("-", Some(text)) => text.to_owned(),
        ("-", None) => return Err(LoadError::NoInput),
        _ => read(source)?,
    };
    let text: Arc<str> = text.strip_prefix('\u{feff}').unwrap_or(&text).into();
    let definitions =
        json::parse(source, &text).map_err(|error| LoadError::Parse { error, text: Arc::clone(&text) })?;
    let targets = select(definitions, options)?;
    Ok(Loaded { targets, sources: BTreeMap::from([(source.into(), text)]) })
}

fn read(source: &str) -> Result<String, LoadError> {
    let path = Path::new(source);
    let remote = source.starts_with("ecs:") || source.starts_with("ecs-service:");
    if remote && !path.exists() {
        return Err(LoadError::NotSupported {
            source_name: source.into(),
            message: "reading a task definition from AWS is not supported yet".into(),
            help: "save it first: aws ecs describe-task-definition --task-definition FAMILY > task-definition.json"
                .into(),
        });
    }
    let failed = |error: io::Error| LoadError::Io { path: path.into(), source: error };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(LoadError::NotSupported {
            source_name: source.into(),
            message: "this is a folder: reading Terraform folders is not supported yet".into(),
            help: "name a file with a task definition in JSON or YAML".into(),
        });
    }
    let mut bytes = Vec::new();
    file.take(json::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > json::MAX_BYTES {
        return Err(LoadError::TooLarge { source_name: source.into() });
    }
    String::from_utf8(bytes).map_err(|_| LoadError::NotText { source_name: source.into() })
}
