//! The files of a configuration: the root's, those of the modules on disk, and those that expressions name.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use hcl_edit::parser::parse_body;
use hcl_edit::structure::Block;
use thiserror::Error;

use super::super::json::ParseError;
use super::super::node;
use super::super::strict;
use super::evaluate::{Done, Evaluator, Fail};
use super::module::Module;
use super::source::{File, Folder};
use super::value::{Gap, Val};

/// Why a file is not read, as what follows its name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(in super::super) enum Unread {
    /// There is none, which Terraform would find as well.
    #[error("does not exist")]
    Absent,
    /// What Terraform would find is not known.
    #[error("{0}")]
    Refused(String),
}

/// Where files come from. Paths have `/`, are relative to where the root's path is, and no `.` or `..` but at the start.
pub(in super::super) trait Files {
    /// The text of a file.
    fn read(&self, path: &str) -> Result<Arc<str>, Unread>;
    /// The names in a folder, sorted.
    fn list(&self, folder: &str) -> Result<Vec<String>, Unread>;
    /// The whole path of a folder, where it has one.
    fn absolute(&self, folder: &str) -> Option<String>;
}

/// Whether a file is one of a configuration, by its name. Terraform ignores what is hidden, and what editors leave.
pub(in super::super) fn is_terraform(name: &str) -> bool {
    is_read(name) && Path::new(name).extension().is_some_and(|ending| ending == "tf")
}

fn is_read(path: &str) -> bool {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    !(name.starts_with('.') || name.ends_with('~') || name.starts_with('#') && name.ends_with('#'))
}

/// What the names of configurations in JSON end in.
const JSON: &str = ".tf.json";

/// How large a file may be.
const MAX_FILE: usize = 1 << 20;

/// `a/./b/../c` as `a/c`.
pub(in super::super) fn tidy(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let tidy = parts.join("/");
    match (path.starts_with('/'), tidy.is_empty()) {
        (true, _) => format!("/{tidy}"),
        (false, true) => ".".into(),
        (false, false) => tidy,
    }
}

/// A path from a folder on.
pub(super) fn join(folder: &str, path: &str) -> String {
    if path.starts_with('/') { tidy(path) } else { tidy(&format!("{folder}/{path}")) }
}

impl Evaluator<'_> {
    /// Reads a file to parse it, and keeps its text for places.
    pub(super) fn open_file(&self, path: &str) -> Result<(usize, Rc<File>), Fail> {
        let text = self.disk.read(path).map_err(|why| Fail::fatal(format!("{path} {why}")))?;
        if text.len() > MAX_FILE {
            return Err(Fail::fatal(format!("{path} is larger than {} MiB", MAX_FILE >> 20)));
        }
        // Places count from what follows the mark.
        let text = text.strip_prefix('\u{feff}').map_or_else(|| Arc::clone(&text), Into::into);
        let file = Rc::new(File::new(path, text));
        let mut files = self.files.borrow_mut();
        files.push(Rc::clone(&file));
        Ok((files.len() - 1, file))
    }

    /// The folder of a module, parsed once however often it is called.
    pub(super) fn folder(&self, path: &str) -> Result<Rc<Folder>, Fail> {
        if let Some(folder) = self.folders.borrow().get(path) {
            return Ok(Rc::clone(folder));
        }
        let names = self.disk.list(path).map_err(|why| Fail::fatal(format!("{path} {why}")))?;
        let mut folder = Folder { path: path.to_owned(), ..Folder::default() };
        for name in names.iter().filter(|name| is_terraform(name)) {
            let (number, file) = self.open_file(&join(path, name))?;
            let text = &*file.text;
            let whole = super::value::Place { file: number, start: 0, end: 0 };
            self.measure(text).map_err(|fail| Fail { at: Some(whole), ..fail })?;
            let body = parse_body(text).map_err(|error| {
                let at = error.location().offset().min(text.len());
                let place = super::value::Place { file: number, start: at, end: at };
                Fail { at: Some(place), ..Fail::fatal(format!("this is not HCL: {}", error.message())) }
            })?;
            // Terraform merges such a file into the others, attribute by attribute.
            let stem = name.trim_end_matches(".tf");
            let settings = |block: &Block| matches!(block.ident.as_str(), "terraform" | "provider");
            if stem == "override" || stem.ends_with("_override") {
                if body.blocks().all(settings) {
                    continue;
                }
                let message = "an override file, which is not merged: give a plan (`terraform show -json`)";
                return Err(Fail { at: Some(whole), ..Fail::fatal(message.into()) });
            }
            folder.add(number, body);
        }
        for name in names.iter().filter(|name| is_read(name) && name.ends_with(JSON)) {
            let (number, file) = self.open_file(&join(path, name))?;
            if file.text.contains("aws_ecs_task_definition") {
                let at = Some(super::value::Place { file: number, start: 0, end: 0 });
                let message = "a task definition in Terraform's JSON, which is not read: give a plan \
                               (`terraform show -json`)";
                return Err(Fail { at, ..Fail::fatal(message.into()) });
            }
        }
        let folder = Rc::new(folder);
        self.folders.borrow_mut().insert(path.to_owned(), Rc::clone(&folder));
        Ok(folder)
    }

    /// The folder that a call names, or why it is not on disk.
    pub(super) fn module_folder(
        &self,
        module: &Rc<Module>,
        name: &str,
        source: Option<&str>,
    ) -> Result<Result<Rc<Folder>, String>, Fail> {
        let Some(source) = source else { return Ok(Err("has no source that is known".into())) };
        let path = if source.starts_with("./") || source.starts_with("../") {
            join(&module.folder.path, source)
        } else {
            let installed = self.installed();
            let names = module.address.split('.').filter(|part| *part != "module");
            let key = names.map(|part| part.split('[').next().unwrap_or(part)).chain([name]);
            match installed.get(&key.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")) {
                Some(path) => path.clone(),
                None => {
                    return Ok(Err(format!(
                        "comes from {source}, which is not on disk: run `terraform init`, or give a plan \
                         (`terraform show -json`)"
                    )));
                }
            }
        };
        if self.disk.list(&path).is_err() {
            return Ok(Err(format!("comes from {source}, but there is no folder {path}")));
        }
        self.folder(&path).map(Ok)
    }

    /// The modules that `terraform init` has put on disk, by their place in the tree of calls.
    fn installed(&self) -> Rc<HashMap<String, String>> {
        if let Some(installed) = &*self.installed.borrow() {
            return Rc::clone(installed);
        }
        let mut installed = HashMap::new();
        let text = self.disk.read(&join(&self.root, ".terraform/modules/modules.json")).unwrap_or_default();
        let root = strict::parse(&text).ok();
        let modules = root.as_ref().and_then(|root| root.get("Modules")).map(|member| &member.value.value);
        if let Some(node::Value::Array(modules)) = modules {
            let word = |module: &node::Node, key: &str| match module.get(key).map(|member| &member.value.value) {
                Some(node::Value::String(text)) => Some(text.clone()),
                _ => None,
            };
            for module in modules {
                if let (Some(key), Some(folder)) = (word(module, "Key"), word(module, "Dir")) {
                    installed.insert(key, join(&self.root, &folder));
                }
            }
        }
        let installed = Rc::new(installed);
        *self.installed.borrow_mut() = Some(Rc::clone(&installed));
        installed
    }

    /// `file()`: a path that does not begin with a module's folder is relative to the root, where Terraform runs. What is
    /// there and may not be read is not known; the expression is for the caller to say.
    pub(super) fn file(&self, path: &str) -> Done {
        let path = if self.folders.borrow().keys().any(|folder| path.starts_with(&format!("{folder}/"))) {
            tidy(path)
        } else {
            join(&self.root, path)
        };
        match self.disk.read(&path) {
            Ok(text) => {
                self.spend_text(text.len())?;
                Ok(Val::text(&*text))
            }
            Err(why @ Unread::Absent) => Err(Fail::new(format!("{path} {why}"))),
            Err(why @ Unread::Refused(_)) => {
                let gap = Gap { reason: format!("{path} {why}"), expression: String::new(), at: None, of: Vec::new() };
                Ok(Val::unknown(&Rc::new(gap)))
            }
        }
    }

    /// A failure as an error with its place.
    pub(super) fn error(&self, fail: Fail) -> ParseError {
        let files = self.files.borrow();
        let place = fail.at.and_then(|at| Some((files.get(at.file)?, at)));
        let location = match place {
            Some((file, at)) => file.location(at.start..at.end),
            None => File::new(&self.root, "".into()).location(0..0),
        };
        ParseError { message: fail.message, help: None, location }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_and_those_of_editors_are_none_of_a_configuration() {
        for (name, wanted) in [
            ("main.tf", true),
            ("./infra/main.tf", true),
            (".main.tf", false),
            ("infra/._main.tf", false),
            ("#main.tf#", false),
            ("main.tf~", false),
            (".tf", false),
        ] {
            assert_eq!(is_terraform(name), wanted, "{name}");
        }
    }

    #[test]
    fn tidies_paths() {
        for (path, wanted) in [
            ("a/./b/../c", "a/c"),
            (".", "."),
            ("./", "."),
            ("../a/..", ".."),
            ("a/../../b", "../b"),
            ("/a/../..", "/.."),
        ] {
            assert_eq!(tidy(path), wanted, "{path}");
        }
    }
}
