//! `CloudFormation` templates, in YAML or JSON: what a person writes, what SAM extends and what the CDK makes.
//!
//! A template is evaluated as far as it can be without an account: parameters by `--parameter` or their defaults,
//! mappings, conditions in three values, and the functions that make texts of texts. What is known only when the stack
//! is made stays unknown with its reason, and the expression as it stands is what is shown. Nothing is guessed: an
//! `Fn::If` whose condition is open is known only where both branches agree.
//!
//! Threats: a template comes from a stranger's pull request. Its size and depth are limited by the readers of YAML and
//! JSON, what it makes by a budget (`evaluate`), the templates that it nests by number and depth (`stack`); which
//! files those may be is for `Files` to say. The values of `NoEcho` parameters are never shown.

mod assembly;
mod call;
mod condition;
mod evaluate;
mod functions;
mod parameters;
mod resources;
mod stack;
mod template;
mod written;

use std::collections::BTreeMap;

pub use assembly::is_assembly;
pub use parameters::{Declaration, Refusal};

use super::json::{self, ParseError};
use super::node::{Node, Source, Value};
use super::task_definition::{Location, TaskDefinition};
use call::text;
use stack::Reading;
use template::{Template, members};

/// How large a template may be (`CloudFormation`'s own quota).
pub const MAX_BYTES: usize = 1024 * 1024;

/// `--parameter NAME=VALUE`, also for pseudo parameters such as `AWS::Region`.
pub type Parameters = BTreeMap<String, String>;

/// The parameters that may be given by their names, each as one template or several declare it.
pub type Declarations = BTreeMap<String, Vec<Declaration>>;

/// Opens the templates that a template nests.
pub trait Files {
    /// The name and the text of the file at `path`, which stands in the file `from`; or why there is none.
    ///
    /// # Errors
    /// Why there is none, in words for a message.
    fn read(&mut self, from: &str, path: &str) -> Result<(String, String), String>;
}

/// For a text that comes from no folder.
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&mut self, _from: &str, path: &str) -> Result<(String, String), String> {
        Err(format!("its template is the file {path}"))
    }
}

/// Something that a reader should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// A sentence.
    pub message: String,
    /// Where.
    pub location: Location,
}

/// What a template holds.
#[derive(Debug, Clone, Default)]
pub struct Stacks {
    /// The task definitions, by logical ID; those of a nested stack as `Nested.TaskDefinition`.
    pub definitions: Vec<TaskDefinition>,
    /// What was not read, and what is made only under a condition that is open.
    pub notes: Vec<Note>,
    /// The parameters that may be given: those of templates that no other nests.
    pub parameters: Declarations,
}

/// Whether a text looks like a template, whatever its name.
pub fn is_template(name: &str, text: &str) -> bool {
    text.contains("Resources") && json::tree(name, text).is_ok_and(|root| has_resources(&root))
}

fn has_resources(root: &Node) -> bool {
    let resources = members(root.get("Resources").map(|member| &member.value));
    let types = || {
        let kinds = resources.iter().filter_map(|member| member.value.get("Type")).filter_map(|kind| text(&kind.value));
        kinds.into_iter().any(|kind| kind.contains("::"))
    };
    let is_made = resources.iter().any(|member| member.key.starts_with("Fn::ForEach::"));
    root.get("AWSTemplateFormatVersion").is_some() || is_made || types()
}

/// The task definitions of a template.
///
/// # Errors
/// Where the text is no template, or what decides is written in a way that `CloudFormation` refuses.
pub fn parse(name: &str, text: &str, parameters: &Parameters, files: &mut dyn Files) -> Result<Stacks, ParseError> {
    let mut reading = Reading::new(files, parameters);
    let definitions = reading.template(name, text)?;
    let source = Source::new(name, text);
    if definitions.is_empty() {
        return Err(nothing(Template { root: &json::tree(name, text)? }, &source, &reading.notes));
    }
    Ok(Stacks { definitions, notes: reading.notes, parameters: reading.known })
}

/// The task definitions of all templates that the manifest of a cloud assembly names. Where two of them have the same
/// logical ID, the names of their stacks stand before.
///
/// # Errors
/// Where the text is no manifest of a cloud assembly, or one of its templates cannot be read.
pub fn parse_assembly(
    name: &str,
    text: &str,
    parameters: &Parameters,
    files: &mut dyn Files,
) -> Result<Stacks, ParseError> {
    let mut reading = Reading::new(files, parameters);
    let mut found = Vec::new();
    reading.assembly(name, text, 0, &mut found)?;
    if found.is_empty() {
        let message = "no template of this cloud assembly has an AWS::ECS::TaskDefinition".into();
        let help = reading.notes.first().map(|note| note.message.clone());
        return Err(ParseError { message, help, location: Source::new(name, text).location(0..0) });
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (_, definition) in &found {
        *times.entry(definition.id.clone()).or_default() += 1;
    }
    let named = |(stack, mut definition): (String, TaskDefinition)| {
        if times.get(&definition.id).is_some_and(|times| *times > 1) {
            definition.id = format!("{stack}.{}", definition.id);
        }
        definition
    };
    let definitions = found.into_iter().map(named).collect();
    Ok(Stacks { definitions, notes: reading.notes, parameters: reading.known })
}

fn nothing(template: Template<'_>, source: &Source<'_>, notes: &[Note]) -> ParseError {
    let kind = |node: &Node| {
        node.get("Type").is_some_and(|kind| matches!(text(&kind.value), Some("AWS::ECS::TaskDefinition")))
    };
    let all: Vec<&str> = template.resources().iter().filter(|m| kind(&m.value)).map(|m| m.key.as_str()).collect();
    let message = if all.is_empty() {
        "this template has no AWS::ECS::TaskDefinition".into()
    } else {
        format!("conditions leave out all task definitions of this template: {}", all.join(", "))
    };
    let help = notes.first().map(|note| note.message.clone());
    let at = match template.root.get("Resources").map(|member| &member.value) {
        Some(Node { value: Value::Object(_), span }) => span.start..span.start,
        _ => template.root.span.start..template.root.span.start,
    };
    ParseError { message, help, location: source.location(at) }
}
