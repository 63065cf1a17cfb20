//! A stack: a template with its parameters, and the stacks that it nests.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use super::assembly::{Named, asset, asset_manifest, templates};
use super::call::{Call, Part, parts, text};
use super::condition::Truth;
use super::evaluate::{Budget, Evaluator, SECRET, Scope};
use super::parameters::{self, Declaration, Given};
use super::resources::Resource;
use super::template::{Declared, Template, members};
use super::{Declarations, Files, MAX_BYTES, Note, Parameters};
use crate::ecs::json::{self, ParseError};
use crate::ecs::node::{self, Node, Source};
use crate::ecs::task_definition::TaskDefinition;
use crate::ecs::value::{Data, Value};

/// How deep stacks may nest.
const MAX_DEPTH: usize = 8;
/// How many templates the stacks of a source may nest.
const MAX_STACKS: usize = 64;
/// How many templates and manifests a cloud assembly may name.
const MAX_NAMED: usize = 512;

/// What goes through all stacks of a source.
pub(super) struct Reading<'r> {
    files: &'r mut dyn Files,
    flags: &'r Parameters,
    budget: Budget,
    pub(super) notes: Vec<Note>,
    /// The asset manifest of the template that is read: its name and text.
    assets: Option<(String, String)>,
    /// How many templates were opened that stacks nest.
    opened: usize,
    /// How many templates and manifests were opened that a cloud assembly names.
    named: usize,
    /// The parameters of the templates that are no other's.
    pub(super) known: Declarations,
}

impl<'r> Reading<'r> {
    pub(super) fn new(files: &'r mut dyn Files, flags: &'r Parameters) -> Self {
        Self {
            files,
            flags,
            budget: Budget::new(),
            notes: Vec::new(),
            assets: None,
            opened: 0,
            named: 0,
            known: Declarations::new(),
        }
    }

    /// The task definitions of a template that no other nests.
    pub(super) fn template(&mut self, name: &str, text: &str) -> Result<Vec<TaskDefinition>, ParseError> {
        let source = Source::new(name, text);
        if text.len() > MAX_BYTES {
            let message = "more than 1 MiB: CloudFormation takes no more".into();
            return Err(ParseError { message, help: None, location: source.location(0..0) });
        }
        let root = json::tree(name, text)?;
        for declared in (Template { root: &root }).parameters() {
            self.known.entry(declared.name().into()).or_default().push(Declaration::of(declared));
            self.allowed(declared, &source)?;
        }
        self.assets = None;
        if let Some(manifest) = asset_manifest(name)
            && text.contains("AWS::CloudFormation::Stack")
        {
            self.assets = self.files.read(name, &manifest).ok();
        }
        self.stack(&source, &root, Given::Flags(self.flags), 0)
    }

    /// Refuses a value that the parameter does not take.
    fn allowed(&self, declared: Declared<'_>, source: &Source<'_>) -> Result<(), ParseError> {
        let name = declared.name();
        match (self.flags.get(name), declared.allowed()) {
            (Some(value), Some(allowed)) if !declared.is_list() && !allowed.contains(value) => {
                let shown = if declared.is_secret() { "its value".into() } else { format!("{value:?}") };
                Err(ParseError {
                    message: format!("--parameter {name}: {shown} is none of {}", allowed.join(", ")),
                    help: None,
                    location: source.location(declared.member.key_span.clone()),
                })
            }
            _ => Ok(()),
        }
    }

    /// The task definitions of a cloud assembly with the names of their stacks.
    pub(super) fn assembly(
        &mut self,
        name: &str,
        text: &str,
        depth: usize,
        found: &mut Vec<(String, TaskDefinition)>,
    ) -> Result<(), ParseError> {
        for named in templates(text) {
            self.named += 1;
            if depth >= MAX_DEPTH || self.named > MAX_NAMED {
                let message = format!(
                    "this cloud assembly names more than {MAX_NAMED} templates, or stages more than {MAX_DEPTH} deep in \
                     one another"
                );
                let help = Some("name the templates of the stacks that are meant".into());
                return Err(ParseError { message, help, location: Source::new(name, text).location(0..0) });
            }
            let (stack, path) = match named {
                Named::Template(stack, path) => (Some(stack), path),
                Named::Assembly(folder) => (None, format!("{folder}/manifest.json")),
            };
            match (self.files.read(name, &path), stack) {
                (Ok((file, text)), Some(stack)) => {
                    let definitions = self.template(&file, &text)?;
                    found.extend(definitions.into_iter().map(|definition| (stack.clone(), definition)));
                }
                (Ok((file, text)), None) => self.assembly(&file, &text, depth + 1, found)?,
                (Err(why), _) => {
                    let location = Source::new(name, text).location(0..0);
                    self.notes.push(Note { message: format!("{path} is not read: {why}"), location });
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, from: &str, path: &str, depth: usize) -> Result<(String, String), String> {
        self.opened += 1;
        if depth >= MAX_DEPTH || self.opened > MAX_STACKS {
            return Err("too many templates are nested".into());
        }
        self.files.read(from, path)
    }

    /// The task definitions of a template and of those that it nests.
    fn stack(
        &mut self,
        source: &Source<'_>,
        root: &Node,
        mut given: Given<'_>,
        depth: usize,
    ) -> Result<Vec<TaskDefinition>, ParseError> {
        let template = Template { root };
        for node in template.macros() {
            let name = text(node).unwrap_or("a macro");
            let message = format!("{name} may rewrite this template: what is read is what stands here");
            self.notes.push(Note { message, location: source.location(node.span.clone()) });
        }
        let evaluator = Evaluator {
            source,
            template,
            parameters: parameters::values(template, source, &mut given),
            conditions: template.conditions().iter().map(|member| (member.key.as_str(), &member.value)).collect(),
            budget: self.budget.clone(),
            decided: RefCell::new(HashMap::new()),
        };
        let mut notes = Vec::new();
        let resources = evaluator.resources(&mut notes);
        let mut definitions = evaluator.definitions(&resources, &mut notes)?;
        let mut nested = Vec::new();
        for resource in resources {
            match resource.kind() {
                "AWS::CloudFormation::Stack" => nested.push(Nested::of(&evaluator, resource, "TemplateURL")),
                "AWS::Serverless::Application" => nested.push(Nested::of(&evaluator, resource, "Location")),
                _ => {}
            }
        }
        drop(evaluator);
        self.notes.append(&mut notes);
        for nested in nested {
            definitions.extend(self.nested(source, nested, depth)?);
        }
        Ok(definitions)
    }

    fn nested(
        &mut self,
        source: &Source<'_>,
        nested: Nested<'_>,
        depth: usize,
    ) -> Result<Vec<TaskDefinition>, ParseError> {
        let Nested { resource, path, end, passed } = nested;
        let of_assets = || {
            let (manifest, text) = self.assets.as_ref()?;
            Some((manifest.clone(), asset(text, &end?)?))
        };
        let path = match path {
            Ok(path) => Ok((source.file().to_owned(), path)),
            Err(why) => of_assets().ok_or(why),
        };
        let found = path.and_then(|(from, path)| self.open(&from, &path, depth));
        let (name, text) = match found {
            Ok(found) => found,
            Err(why) => {
                let message = format!("the stack {} is not read: {why}", resource.id);
                self.notes.push(Note { message, location: resource.at });
                return Ok(Vec::new());
            }
        };
        let inner = Source::new(&name, &text);
        let root = json::tree(&name, &text)?;
        let flags = self.flags;
        let given = Given::Passed { by: resource.id.clone(), values: passed, flags };
        let mut definitions = self.stack(&inner, &root, given, depth + 1)?;
        if let Truth::Open(reason) = &resource.made {
            let message = format!("{} is made only under a condition: {reason}", resource.id);
            self.notes.push(Note { message, location: resource.at.clone() });
        }
        for definition in &mut definitions {
            definition.id = format!("{}.{}", resource.id, definition.id);
        }
        Ok(definitions)
    }
}

/// A stack that another nests.
struct Nested<'a> {
    resource: Resource<'a>,
    /// Where its template is, or why that is not known.
    path: Result<String, String>,
    /// What its URL ends with, as far as that stands there.
    end: Option<String>,
    passed: BTreeMap<String, Value>,
}

impl<'a> Nested<'a> {
    fn of(evaluator: &Evaluator<'a>, resource: Resource<'a>, key: &str) -> Self {
        let scope = Scope::of(&resource.loops);
        // The CDK writes the file that it will upload beside the place where it will be.
        let asset = resource.get("Metadata").and_then(|metadata| metadata.get("aws:asset:path"));
        let path = match asset.and_then(|asset| text(&asset.value)) {
            Some(path) => Ok(path.to_owned()),
            None => match resource.property(key).and_then(|node| evaluator.value(node, scope)) {
                Some(value) if value.sensitive => Err(SECRET.into()),
                Some(Value { data: Data::String(url), .. }) if url.contains("://") => {
                    Err(format!("its template is at {url}"))
                }
                Some(Value { data: Data::String(path), .. }) => Ok(path),
                // To know it all would not help: nothing is fetched.
                Some(Value { data: Data::Unknown { expression, .. }, .. }) if expression.contains("://") => {
                    Err(format!("its template is at {expression}"))
                }
                Some(Value { data: Data::Unknown { reason, .. }, .. }) => Err(reason),
                _ => Err(format!("it names no file as {key}")),
            },
        };
        let end = resource.property(key).and_then(end).map(ToOwned::to_owned);
        let mut passed = BTreeMap::new();
        for member in members(resource.property("Parameters")) {
            if let Some(value) = evaluator.value(&member.value, scope) {
                let value = match value.data {
                    Data::Number(text) => Value { data: Data::String(text), ..value },
                    Data::Bool(truth) => Value { data: Data::String(truth.to_string()), ..value },
                    _ => value,
                };
                passed.insert(member.key.clone(), value);
            }
        }
        Self { resource, path, end, passed }
    }
}

/// The text with which an expression ends.
fn end(node: &Node) -> Option<&str> {
    let Some(call) = Call::of(node) else { return text(node) };
    match (call.name, call.text(), call.arguments()) {
        ("Sub", Some(template), _) => last(template),
        ("Sub", None, [template, ..]) => last(text(template)?),
        ("Join", None, [_, Node { value: node::Value::Array(items), .. }]) => end(items.last()?),
        _ => None,
    }
}

fn last(template: &str) -> Option<&str> {
    match parts(template).pop()? {
        Part::Text(text) => Some(text),
        Part::Name(_) => None,
    }
}
