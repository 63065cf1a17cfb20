//! From a source that someone names to targets. What kind it is its content decides, not its name alone.
//!
//! Only this file and `super::disk` open files. A file is read up to the limit of its format and no further, so that
//! a device or an endless pipe does no harm.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::cloudformation::{self, Files};
use super::disk::{Modules, Repository, beside};
use super::json::{self, ParseError};
use super::live::LiveSource;
use super::plan;
use super::sources::{Loaded, Sources};
use super::target::{SelectError, TargetOptions};
use super::task_definition::TaskDefinition;
use super::terraform::{self, Files as _, is_configuration, is_terraform, tidy};

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
    /// It is larger than any task definition or plan.
    #[error("{source_name} is larger than {} MiB: it cannot be a task definition", plan::MAX_BYTES / 1024 / 1024)]
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
    /// It is asked for, not opened: [`live::load`](super::live::load) does that.
    #[error("{source_name} is a task definition that ECS has, and nobody said how to reach ECS")]
    Live {
        /// Which.
        source_name: String,
    },
    /// A file with the values of variables cannot be read.
    #[error("{path} {why}")]
    Variables {
        /// Which, as it was named.
        path: String,
        /// Why, as what follows its name.
        why: String,
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
    pub fn help(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::NotSupported { help, .. } => Some(help.into()),
            Self::Parse { error, .. } => error.help.as_deref().map(Into::into),
            Self::Live { .. } => Some(
                "save it first: aws ecs describe-task-definition --task-definition FAMILY > task-definition.json"
                    .into(),
            ),
            Self::NotText { .. } => Some("save it as UTF-8 (PowerShell's `>` writes UTF-16)".into()),
            Self::Io { path, source } if source.kind() == io::ErrorKind::NotFound => {
                at_ecs(&path.to_string_lossy()).map(Into::into)
            }
            _ => None,
        }
    }
}

/// How a task definition is written that is no file but at ECS, where the source may be one: an ARN has its name in it.
fn at_ecs(source: &str) -> Option<String> {
    let resource = source.strip_prefix("arn:").and_then(|arn| arn.splitn(5, ':').nth(4));
    // What a family is made of: a path or the name of a file has more.
    let is_family = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    match resource.and_then(|resource| resource.split_once('/')) {
        Some(("task-definition", name)) => Some(format!("a task definition at ECS is written ecs:{name}")),
        Some(("service", name)) if name.contains('/') => {
            Some(format!("a service at ECS is written ecs-service:{name}"))
        }
        _ if is_family(source.split(':').next().unwrap_or(source)) => {
            Some(format!("name a file or folder; the task definition {source} at ECS is written ecs:{source}"))
        }
        _ => None,
    }
}

/// The targets of a source: the path of a file or folder, or `-` for the text that came by standard input.
///
/// # Errors
/// As [`read`], and where what was asked for is not in it.
pub fn load(source: &str, input: Option<&str>, options: &TargetOptions) -> Result<Loaded, LoadError> {
    Ok(read(source, input, options)?.select(options)?)
}

/// What a source holds, before anything of it is chosen.
///
/// # Errors
/// Where it cannot be read, is of no kind that is known, or is wrong, with the place.
pub fn read(source: &str, input: Option<&str>, options: &TargetOptions) -> Result<Sources, LoadError> {
    let manifest = manifest(source);
    let source = manifest.as_deref().unwrap_or(source);
    match configuration(source, options)? {
        Some(found) => Ok(found),
        None => document(source, input, options),
    }
}

/// A Terraform configuration: a folder with its root module, or one file that is taken for the whole of it.
fn configuration(source: &str, options: &TargetOptions) -> Result<Option<Sources>, LoadError> {
    let path = Path::new(source);
    let failed = |error: io::Error| LoadError::Io { path: path.into(), source: error };
    let folder = path.is_dir();
    if source == "-" || !(folder || is_terraform(source) && path.is_file()) {
        return Ok(None);
    }
    let (root, only) = if folder {
        (path, None)
    } else {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        (parent, path.file_name().map(|name| name.to_string_lossy().into_owned()))
    };
    let modules =
        Modules::new(root, only, options.variables.files().map(ToOwned::to_owned).collect()).map_err(failed)?;
    // Terraform wants them to be there also where nothing hangs on them; and where something does, it is not to blame.
    if let Some((path, why)) = modules.unread() {
        return Err(LoadError::Variables { path: path.into(), why: why.to_string() });
    }
    let root = tidy(&root.to_string_lossy());
    let names = modules.list(&root).map_err(|why| failed(io::Error::other(why.to_string())))?;
    if !names.iter().any(|name| is_terraform(name)) {
        return Err(LoadError::NotSupported {
            source_name: source.into(),
            message: if names.iter().any(|name| is_configuration(name)) {
                "this folder holds Terraform in JSON (*.tf.json) or OpenTofu's files (*.tofu) only, which are not read"
                    .into()
            } else {
                "this folder holds no Terraform configuration (*.tf)".into()
            },
            help: "name a Terraform root module, a plan (`terraform show -json PLANFILE`), or a file with a task \
                   definition"
                .into(),
        });
    }
    let found = terraform::read(&root, &modules, &options.variables);
    match found.definitions {
        Ok(definitions) => {
            let (texts, notes, variables) = (found.sources, found.notes, found.variables);
            Ok(Some(Sources { definitions, texts, notes, variables, ..Sources::default() }))
        }
        Err(error) => {
            let text = found.sources.get(&error.location.file).cloned().unwrap_or_default();
            Err(LoadError::Parse { error, text })
        }
    }
}

/// One document, by what it holds.
fn document(source: &str, input: Option<&str>, options: &TargetOptions) -> Result<Sources, LoadError> {
    let text = text(source, input)?;
    let text: Arc<str> = text.strip_prefix('\u{feff}').unwrap_or(&text).into();
    if cloudformation::is_template(source, &text) || cloudformation::is_assembly(&text) {
        return template(source, &text, options);
    }
    let definitions = match plan(source, &text) {
        Some(definitions) => definitions,
        None => json::parse(source, &text),
    };
    let definitions = definitions.map_err(|error| LoadError::Parse { error, text: Arc::clone(&text) })?;
    Ok(Sources { definitions, texts: BTreeMap::from([(source.into(), text)]), ..Sources::default() })
}

/// The manifest of the folder that `cdk synth` writes.
fn manifest(source: &str) -> Option<String> {
    let manifest = Path::new(source).join("manifest.json").display().to_string();
    // Other tools have manifests as well, beside a Terraform configuration for example.
    let text = opened(&manifest).ok()?;
    cloudformation::is_assembly(&text).then_some(manifest)
}

/// The targets of a template, or of all templates that the manifest of a cloud assembly names.
fn template(source: &str, text: &Arc<str>, options: &TargetOptions) -> Result<Sources, LoadError> {
    let sources = BTreeMap::from([(source.into(), Arc::clone(text))]);
    let mut opened = Opened { repository: Repository::around(Path::new(source)).ok(), sources };
    let read = if cloudformation::is_assembly(text) {
        cloudformation::parse_assembly(source, text, &options.parameters, &mut opened)
    } else {
        cloudformation::parse(source, text, &options.parameters, &mut opened)
    };
    let stacks = read.map_err(|error| {
        // The text that is meant may be that of a nested template.
        let text = opened.sources.get(&error.location.file).unwrap_or(text);
        LoadError::Parse { text: Arc::clone(text), error }
    })?;
    Ok(Sources {
        definitions: stacks.definitions,
        texts: opened.sources,
        notes: stacks.notes,
        parameters: stacks.parameters,
        ..Sources::default()
    })
}

/// The templates that a template nests, each kept with its name.
struct Opened {
    /// Nothing for standard input.
    repository: Option<Repository>,
    sources: BTreeMap<Arc<str>, Arc<str>>,
}

impl Files for Opened {
    fn read(&mut self, from: &str, path: &str) -> Result<(String, String), String> {
        let Some(repository) = &self.repository else {
            return Err(format!("standard input has no folder in which {path} could be"));
        };
        let path = beside(Path::new(from), Path::new(path));
        let name = path.display().to_string();
        let text = repository.read(&path, cloudformation::MAX_BYTES as u64).map_err(|why| format!("{name} {why}"))?;
        let text = text.strip_prefix('\u{feff}').map(ToOwned::to_owned).unwrap_or(text);
        self.sources.insert(name.as_str().into(), text.as_str().into());
        Ok((name, text))
    }
}

/// The task definitions of a plan or state of Terraform, if it is one.
fn plan(source: &str, text: &str) -> Option<Result<Vec<TaskDefinition>, ParseError>> {
    let has = |key: &str| text.contains(key);
    let is = text.trim_start().starts_with('{')
        && has("\"format_version\"")
        && (has("\"root_module\"") || has("\"planned_values\"") || has("\"resource_changes\""));
    is.then(|| plan::parse(source, text))
}

/// The text of a source that is one document: a file, or `-` for the text that came by standard input.
///
/// # Errors
/// Where it cannot be read, is a folder, is no UTF-8, or is too large.
pub fn text(source: &str, input: Option<&str>) -> Result<String, LoadError> {
    match (source, input) {
        ("-", Some(text)) => Ok(text.to_owned()),
        ("-", None) => Err(LoadError::NoInput),
        _ => opened(source),
    }
}

fn opened(source: &str) -> Result<String, LoadError> {
    let path = Path::new(source);
    if LiveSource::parse(source).is_some() && !path.exists() {
        return Err(LoadError::Live { source_name: source.into() });
    }
    let failed = |error: io::Error| LoadError::Io { path: path.into(), source: error };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(plan::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > plan::MAX_BYTES {
        return Err(LoadError::TooLarge { source_name: source.into() });
    }
    String::from_utf8(bytes).map_err(|_| LoadError::NotText { source_name: source.into() })
}
