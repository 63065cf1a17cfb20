//! Intrinsic functions as they are written: a short tag in YAML, or an object of one member.

use crate::ecs::node::{Node, Value};

/// The functions that have a short tag (`AWS CloudFormation` User Guide, "Intrinsic function reference").
const TAGS: &[&str] = &[
    "And",
    "Base64",
    "Cidr",
    "Condition",
    "Contains",
    "Equals",
    "FindInMap",
    "ForEach",
    "GetAZs",
    "GetAtt",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "Ref",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
    "Transform",
];

/// A function and what it is called with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'n> {
    /// Its name without `Fn::`.
    pub(super) name: &'n str,
    pub(super) argument: &'n Node,
}

impl<'n> Call<'n> {
    /// The call that a node is, if it is one.
    pub(super) fn of(node: &'n Node) -> Option<Self> {
        match &node.value {
            Value::Tagged(tag, argument) => {
                let name = tag.strip_prefix('!').filter(|name| TAGS.contains(name))?;
                Some(Self { name, argument })
            }
            Value::Object(members) => match members.as_slice() {
                [only] if only.key == "Ref" => Some(Self { name: "Ref", argument: &only.value }),
                [only] if !only.key.starts_with("Fn::ForEach::") => {
                    only.key.strip_prefix("Fn::").map(|name| Self { name, argument: &only.value })
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The elements that it is called with.
    pub(super) fn arguments(&self) -> &'n [Node] {
        match &self.argument.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    /// The one string that it is called with.
    pub(super) fn text(&self) -> Option<&'n str> {
        text(self.argument)
    }
}

/// The string that a node is.
pub(super) fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// A part of what `Fn::Sub` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'t> {
    /// Stands for itself.
    Text(&'t str),
    /// `${Name}`
    Name(&'t str),
}

/// `${Name}` is a name, `${!Name}` stands for `${Name}`.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let Some(length) = rest[at..].find('}') else { break };
        let (before, name, after) = (&rest[..at], &rest[at + 2..at + length], &rest[at + length + 1..]);
        match name.strip_prefix('!') {
            Some(_) => {
                parts.extend([Part::Text(before), Part::Text("${"), Part::Text(&name[1..]), Part::Text("}")]);
            }
            None => parts.extend([Part::Text(before), Part::Name(name.trim())]),
        }
        rest = after;
    }
    parts.push(Part::Text(rest));
    parts.retain(|part| *part != Part::Text(""));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_braces() {
        assert_eq!(parts("a${B}c"), [Part::Text("a"), Part::Name("B"), Part::Text("c")]);
        assert_eq!(parts("${!B}"), [Part::Text("${"), Part::Text("B"), Part::Text("}")]);
        assert_eq!(parts("${ A.B }${"), [Part::Name("A.B"), Part::Text("${")]);
        assert_eq!(parts("$é}"), [Part::Text("$é}")]);
        assert_eq!(parts(""), []);
    }
}
