//! The one tree in which every format ends: values that know where they come from, in whatever file that is.
//!
//! The readers of the formats build it, [`super::reader`] makes task definitions of it. What a source does not settle
//! is a value like another, with its reason and the expression as it stands.

use super::location::Location;
use super::node::{self, Node, Source};

/// A value with the place that it comes from.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) data: Data,
    /// Where the value finally stands: the line of the default for a variable's default. Of an array or object, its
    /// first line.
    pub(super) at: Location,
    /// How it was found, from the place on: `the default of var.cpu_architecture`, `passed by module.app`.
    pub(super) how: Vec<String>,
    /// The expression that it was made from, where that is not the value itself.
    pub(super) written: Option<String>,
    /// Whether its source calls it sensitive (Terraform) or `NoEcho` (CloudFormation): it is never shown.
    pub(super) sensitive: bool,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Null,
    Bool(bool),
    /// As it stands: only ports are read as numbers.
    Number(String),
    String(String),
    Array(Vec<Value>),
    Object(Vec<Member>),
    /// What the source alone does not settle: why, and the expression as it stands.
    Unknown {
        reason: String,
        expression: String,
    },
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) key_at: Location,
    pub(super) value: Value,
}

impl Value {
    /// A value that simply stands there.
    pub(super) fn new(data: Data, at: Location) -> Self {
        Self { data, at, how: Vec::new(), written: None, sensitive: false }
    }

    /// What it is, for a message: `a string`.
    pub(super) fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "null",
            Data::Bool(_) => "a boolean",
            Data::Number(_) => "a number",
            Data::String(_) => "a string",
            Data::Array(_) => "an array",
            Data::Object(_) => "an object",
            Data::Unknown { .. } => "a value that is not known",
        }
    }

    /// The members, where it is an object.
    pub(super) fn members(&self) -> &[Member] {
        match &self.data {
            Data::Object(members) => members,
            _ => &[],
        }
    }

    /// A document as values. A tag that YAML does not know is a value that is not known.
    pub(super) fn of(node: Node, source: &Source<'_>) -> Self {
        let at = match node.value {
            node::Value::Array(_) | node::Value::Object(_) => source.first_line(node.span),
            _ => source.location(node.span),
        };
        let data = match node.value {
            node::Value::Null => Data::Null,
            node::Value::Bool(truth) => Data::Bool(truth),
            node::Value::Number(number) => Data::Number(number),
            node::Value::String(text) => Data::String(text),
            node::Value::Array(items) => Data::Array(items.into_iter().map(|item| Self::of(item, source)).collect()),
            node::Value::Object(members) => {
                let member = |member: node::Member| Member {
                    key: member.key,
                    key_at: source.location(member.key_span),
                    value: Self::of(member.value, source),
                };
                Data::Object(members.into_iter().map(member).collect())
            }
            node::Value::Tagged(tag, _) => {
                Data::Unknown { reason: format!("the tag {tag} is not resolved"), expression: tag }
            }
        };
        Self::new(data, at)
    }
}
