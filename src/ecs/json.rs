//! Task definitions in JSON or YAML: the input of `register-task-definition`, or wrapped in `taskDefinition` as
//! `describe-task-definition` prints it.
//!
//! The text comes from strangers: its size is limited before anything is read, depth and expansion by the readers of
//! the two syntaxes. A key that is nearly one of ours is an error, since a misspelt `runtimePlatform` would otherwise
//! pass for none.

use std::path::Path;

pub use super::error::ParseError;
use super::node::{Member, Node, Source, Value};
use super::spelling::Spelling;
use super::task_definition::{Location, TaskDefinition};
use super::value::Value as Tree;
use super::{foreign, reader, strict, yaml};

/// How large a source may be. ECS takes 64 KiB; comments and white space may come on top.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The task definitions that a text holds: one, today. `name` is that of the source; its ending tells YAML from JSON.
///
/// # Errors
/// Where the text is no document of its kind, or what decides is not what ECS takes, with the place.
pub fn parse(name: &str, text: &str) -> Result<Vec<TaskDefinition>, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = tree(name, text)?;
    let source = Source::new(name, text);
    let scalar = !matches!(root.value, Value::Object(_) | Value::Array(_));
    if let Some(found) = foreign::by_shape(&root).or_else(|| foreign::by_text(text).filter(|_| scalar)) {
        return Err(refused(found, source.location(root.span.start..root.span.start)));
    }
    let root = unwrapped(root);
    if let Some((tag, span)) = first_tag(&root) {
        let message = format!("a task definition has no tags: found {tag}");
        let help = "tags such as !Ref and !Sub belong to CloudFormation templates, which have a section Resources";
        return Err(ParseError { message, help: Some(help.into()), location: source.location(span) });
    }
    Ok(vec![reader::definition(&Tree::of(root, &source), Spelling::Camel, &stem(name))?])
}

/// A document in JSON or YAML, whatever it says.
pub(super) fn tree(name: &str, text: &str) -> Result<Node, ParseError> {
    if text.len() > MAX_BYTES {
        let message = "more than 4 MiB: ECS takes a task definition of 64 KiB".into();
        return Err(ParseError { message, help: None, location: Source::new(name, "").location(0..0) });
    }
    let source = Source::new(name, text);
    if let Some(found) = foreign::by_name(name) {
        return Err(refused(found, source.location(0..0)));
    }
    syntax(name, text).map_err(|error| match foreign::by_text(text) {
        Some(found) => refused(found, source.location(error.span)),
        None => ParseError { message: error.message, help: None, location: source.location(error.span) },
    })
}

fn refused(found: foreign::Foreign, location: Location) -> ParseError {
    ParseError { message: found.message, help: Some(found.help.into()), location }
}

/// YAML where the name says so, JSON where it says that or the text begins so. JSON is nearly YAML, but not quite
/// (surrogate pairs, tabs), so a text of the form of JSON is read as JSON first whatever its name.
fn syntax(name: &str, text: &str) -> Result<Node, strict::SyntaxError> {
    let ending = Path::new(name).extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let braces = text.trim_start().starts_with(['{', '[']);
    if matches!(ending.as_deref(), Some("yaml" | "yml")) {
        return match braces.then(|| strict::parse(text)) {
            Some(Ok(node)) => Ok(node),
            _ => yaml::parse(text),
        };
    }
    if braces || ending.as_deref() == Some("json") || text.trim().is_empty() {
        strict::parse(text)
    } else {
        yaml::parse(text)
    }
}

fn unwrapped(mut root: Node) -> Node {
    let wrapped = |member: &Member| member.key == "taskDefinition" && matches!(member.value.value, Value::Object(_));
    match &mut root.value {
        Value::Object(members) => match members.iter().position(wrapped) {
            Some(at) => members.swap_remove(at).value,
            None => root,
        },
        _ => root,
    }
}

fn first_tag(node: &Node) -> Option<(&str, std::ops::Range<usize>)> {
    match &node.value {
        Value::Tagged(tag, _) => Some((tag, node.span.clone())),
        Value::Array(items) => items.iter().find_map(first_tag),
        Value::Object(members) => members.iter().find_map(|member| first_tag(&member.value)),
        _ => None,
    }
}

/// Without a family the file's name stands for it, as in a fragment that a pipeline completes.
fn stem(name: &str) -> String {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.split('.').next().filter(|stem| !stem.is_empty() && *stem != "-").unwrap_or("task-definition").into()
}
