//! Terraform configurations: the task definitions of a root module and of the modules that it calls, as far as the
//! files say.
//!
//! The files come from strangers. Only what a task definition asks for is evaluated, lazily and with the reasons for
//! what is not known kept; nothing is executed and nothing fetched. Depth, steps, text, instances and modules are
//! limited; the parser limits nesting itself, and everything runs on a stack that bears these limits.

mod clusters;
mod equality;
mod evaluate;
mod folders;
mod functions;
mod given;
mod heredoc;
mod instances;
mod json;
mod module;
mod number;
mod resource;
mod services;
mod source;
mod tasks;
mod template;
mod traversal;
mod types;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::ParseError;
use super::target::Variables;
use super::task_definition::{Location, TaskDefinition};
use crate::ecs::cloudformation::Note;
use evaluate::Evaluator;
pub(super) use folders::{Files, Unread, is_configuration, is_terraform, tidy};
use module::Module;

/// For the deepest evaluation that is allowed, in a build without optimisation.
const STACK: usize = 128 << 20;

/// What was read.
pub(super) struct Found {
    pub(super) definitions: Result<Vec<TaskDefinition>, ParseError>,
    /// The texts by file name, as locations name them.
    pub(super) sources: BTreeMap<Arc<str>, Arc<str>>,
    /// What may hold others.
    pub(super) notes: Vec<Note>,
    /// The variables of the root module.
    pub(super) variables: BTreeSet<String>,
}

/// The task definitions of the root module in a folder.
pub(super) fn read(root: &str, files: &(dyn Files + Sync), variables: &Variables) -> Found {
    let work = || {
        let evaluator = Evaluator::new(root, files, variables);
        let mut variables = BTreeSet::new();
        let definitions = evaluator.folder(root).map_err(|fail| evaluator.error(fail)).and_then(|folder| {
            variables.extend(folder.variables.keys().cloned());
            evaluator.tasks(&Module::new(folder, String::new(), None))
        });
        let sources =
            evaluator.files.borrow().iter().map(|file| (Arc::clone(&file.name), Arc::clone(&file.text))).collect();
        Found { definitions, sources, notes: evaluator.left_out.take(), variables }
    };
    let failed = |message: &str| {
        let location = Location { file: root.into(), line: 1, column: 1, span: 0..0 };
        let error = ParseError { message: message.into(), help: None, location };
        Found { definitions: Err(error), sources: BTreeMap::new(), notes: Vec::new(), variables: BTreeSet::new() }
    };
    std::thread::scope(|scope| match std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work) {
        Ok(thread) => thread.join().unwrap_or_else(|_| failed("reading this configuration failed")),
        Err(_) => failed("there is no memory for a stack to read this configuration on"),
    })
}

/// The task definitions of a configuration that is not on disk: texts by path, of which those without a folder are the
/// root module.
///
/// # Errors
/// Where a file is no HCL, is in a form that is not read and may decide, or a variable has a value that it refuses.
pub fn parse(files: &BTreeMap<String, String>, variables: &Variables) -> Result<Vec<TaskDefinition>, ParseError> {
    read(".", &Texts(files), variables).definitions
}

struct Texts<'a>(&'a BTreeMap<String, String>);

impl Files for Texts<'_> {
    fn read(&self, path: &str) -> Result<Arc<str>, Unread> {
        self.0.get(path).map(|text| text.as_str().into()).ok_or(Unread::Absent)
    }

    fn absolute(&self, _folder: &str) -> Option<String> {
        None
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, Unread> {
        let within = |path: &String| match folder {
            "." => Some(path.clone()),
            folder => path.strip_prefix(folder)?.strip_prefix('/').map(ToOwned::to_owned),
        };
        let names: Vec<String> = self.0.keys().filter_map(within).filter(|name| !name.contains('/')).collect();
        if names.is_empty() { Err(Unread::Absent) } else { Ok(names) }
    }
}
