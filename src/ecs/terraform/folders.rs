//! The files of a configuration: the root's, those of the modules on disk, and those that expressions name.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use hcl_edit::parser::parse_body;
use hcl_edit::structure::Body;
use thiserror::Error;

use super::super::error::ParseError;
use super::super::node;
use super::super::strict;
use super::evaluate::{Done, Evaluator, Fail};
use super::heredoc;
use super::module::Module;
use super::source::{File, Folder};
use super::value::{Gap, Place, Val};

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

/// Where files come from. Paths have `/`, are relative to where the root's path is, and no `.` or `..` but at the
/// start.
pub(in super::super) trait Files {
    /// The text of a file.
    fn read(&self, path: &str) -> Result<Arc<str>, Unread>;
    /// The names of what a folder has of a configuration, `*.tfvars` included, sorted.
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

/// Whether a file is one of a configuration in any form: HCL or JSON, of Terraform or `OpenTofu`.
pub(in super::super) fn is_configuration(name: &str) -> bool {
    is_read(name) && [".tf", ".tf.json", ".tofu", ".tofu.json"].iter().any(|ending| name.ends_with(ending))
}

/// Whether a block says only how Terraform runs.
fn is_setting(block: &str) -> bool {
    matches!(block, "terraform" | "provider")
}

/// Whether Terraform merges a file into the others, attribute by attribute, by its name without the ending.
fn is_override(stem: &str) -> bool {
    stem == "override" || stem.ends_with("_override")
}

const OVERRIDE: &str = "an override file, which is not merged: give a plan (`terraform show -json`)";

/// The sections of a configuration in JSON to which others refer, or which have task definitions.
const REFERRED: &[&str] = &["variable", "locals", "module", "data", "output"];

fn body(text: &str, number: usize) -> Result<Body, Fail> {
    let mut body = parse_body(text).map_err(|error| {
        let at = error.location().offset().min(text.len());
        let place = Place { file: number, start: at, end: at };
        let message = match error.message() {
            twice if twice.contains("expected unique object key") => {
                "this object has a key twice: Terraform takes the last of them, so remove the first, or give a plan \
                 (`terraform show -json`)"
                    .to_owned()
            }
            message => format!("this is not HCL: {message}"),
        };
        Fail { at: Some(place), ..Fail::fatal(message) }
    })?;
    heredoc::of_body(&mut body, text);
    Ok(body)
}

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
        // The names of files that declare something.
        let mut declaring = Vec::new();
        for name in names.iter().filter(|name| is_terraform(name)) {
            let (number, file) = self.open_file(&join(path, name))?;
            let text = &*file.text;
            let whole = Place { file: number, start: 0, end: 0 };
            self.measure(text).map_err(|fail| Fail { at: Some(whole), ..fail })?;
            let body = body(text, number)?;
            let stem = name.trim_end_matches(".tf");
            let settings = body.blocks().all(|block| is_setting(block.ident.as_str()));
            if is_override(stem) {
                if settings {
                    continue;
                }
                return Err(Fail { at: Some(whole), ..Fail::fatal(OVERRIDE.into()) });
            }
            if !settings {
                declaring.push(stem);
            }
            folder.add(number, body);
        }
        for name in names.iter().filter(|name| is_configuration(name) && !is_terraform(name)) {
            let stem = name.strip_suffix(".tofu");
            let replaces = stem.is_some_and(|stem| declaring.contains(&stem));
            self.other_form(&join(path, name), replaces)?;
        }
        let folder = Rc::new(folder);
        self.folders.borrow_mut().insert(path.to_owned(), Rc::clone(&folder));
        Ok(folder)
    }

    /// Refuses a file in a form that is not read, if it may change what the others say: Terraform's JSON, and
    /// `OpenTofu`'s files, of which `main.tofu` takes the place of `main.tf`.
    fn other_form(&self, path: &str, replaces: bool) -> Result<(), Fail> {
        let (number, file) = self.open_file(path)?;
        let whole = Place { file: number, start: 0, end: 0 };
        let refuse = |what: &str, form: &str, plan: &str| {
            let message = format!("{what} in {form}, which is not read: give a plan (`{plan} show -json`)");
            Err(Fail { at: Some(whole), ..Fail::fatal(message) })
        };
        let tofu = |what: &str| refuse(what, "a file of OpenTofu", "tofu");
        if Path::new(path).extension().is_none_or(|ending| ending != "json") {
            self.measure(&file.text).map_err(|fail| Fail { at: Some(whole), ..fail })?;
            let body = body(&file.text, number)?;
            return match body.blocks().find(|block| !is_setting(block.ident.as_str())) {
                Some(block) => tofu(block.ident.as_str()),
                None if replaces => tofu("what takes the place of a file of Terraform"),
                None => Ok(()),
            };
        }
        let node = strict::parse(&file.text).map_err(|error| Fail {
            at: Some(Place { start: error.span.start, end: error.span.end, ..whole }),
            ..Fail::fatal(format!("this is not JSON: {}", error.message))
        })?;
        let node::Value::Object(members) = node.value else {
            return refuse("a list", "Terraform's JSON", "terraform");
        };
        let of_ecs = [("aws_ecs_task_definition", "a task definition"), ("aws_ecs_", "a resource of ECS")];
        let of_ecs = of_ecs.iter().find(|(kind, _)| file.text.contains(kind)).map(|(_, what)| *what);
        let stem = path.rsplit('/').next().and_then(|name| name.split_once('.')).map_or(path, |(stem, _)| stem);
        let declares = members.iter().map(|member| member.key.as_str()).find(|key| !is_setting(key) && *key != "//");
        match (declares, of_ecs) {
            (Some(what), _) if path.ends_with(".tofu.json") => tofu(what),
            (Some(_), _) if is_override(stem) => Err(Fail { at: Some(whole), ..Fail::fatal(OVERRIDE.into()) }),
            (_, Some(what)) => refuse(what, "Terraform's JSON", "terraform"),
            // Other resources say nothing of a task.
            _ => match members.iter().find(|member| REFERRED.contains(&member.key.as_str())) {
                Some(member) => refuse(&member.key, "Terraform's JSON", "terraform"),
                None => Ok(()),
            },
        }
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
        match self.disk.list(&path) {
            Ok(_) => {}
            Err(Unread::Absent) => return Ok(Err(format!("comes from {source}, but there is no folder {path}"))),
            Err(why) => return Ok(Err(format!("comes from {source}, but {path} {why}"))),
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

    /// `file()`: a path that does not begin with a module's folder is relative to the root, where Terraform runs. What
    /// is there and may not be read is not known; the expression is for the caller to say.
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
                let gap =
                    Gap { reason: format!("{path} {why}"), expression: String::new(), at: None, of: Rc::default() };
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
