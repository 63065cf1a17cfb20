//! The sections of a template.

use super::call::text;
use crate::ecs::node::{Member, Node, Value};

/// A template's sections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Template<'n> {
    pub(super) root: &'n Node,
}

/// A parameter as it is declared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declared<'n> {
    pub(super) member: &'n Member,
}

impl<'n> Template<'n> {
    /// The members of a section; none where it is missing.
    fn section(self, name: &str) -> &'n [Member] {
        members(self.root.get(name).map(|section| &section.value))
    }

    pub(super) fn parameters(self) -> impl Iterator<Item = Declared<'n>> {
        self.section("Parameters").iter().map(|member| Declared { member })
    }

    pub(super) fn mapping(self, name: &str) -> Option<&'n Node> {
        self.section("Mappings").iter().find(|member| member.key == name).map(|member| &member.value)
    }

    pub(super) fn conditions(self) -> &'n [Member] {
        self.section("Conditions")
    }

    pub(super) fn resources(self) -> &'n [Member] {
        self.section("Resources")
    }

    /// Macros that may rewrite anything, other than those of AWS whose work is known.
    pub(super) fn macros(self) -> Vec<&'n Node> {
        let known = |node: &Node| {
            matches!(
                text(node),
                Some(
                    "AWS::Serverless-2016-10-31"
                        | "AWS::LanguageExtensions"
                        | "AWS::CodeDeployBlueGreen"
                        | "AWS::SecretsManager-2020-07-23"
                        | "AWS::SecretsManager-2024-09-16"
                        | "AWS::ServiceCatalog"
                )
            )
        };
        let Some(transform) = self.root.get("Transform").map(|member| &member.value) else { return Vec::new() };
        let all = match &transform.value {
            Value::Array(items) => items.iter().collect(),
            _ => vec![transform],
        };
        all.into_iter().filter(|node| !known(node)).collect()
    }
}

/// The members of an object; none where it is something else.
pub(super) fn members(node: Option<&Node>) -> &[Member] {
    match node.map(|node| &node.value) {
        Some(Value::Object(members)) => members,
        _ => &[],
    }
}

impl<'n> Declared<'n> {
    pub(super) fn name(self) -> &'n str {
        &self.member.key
    }

    fn get(self, key: &str) -> Option<&'n Node> {
        self.member.value.get(key).map(|member| &member.value)
    }

    pub(super) fn default(self) -> Option<&'n Node> {
        self.get("Default")
    }

    pub(super) fn kind(self) -> &'n str {
        self.get("Type").and_then(text).unwrap_or("String")
    }

    pub(super) fn number(self, key: &str) -> Option<usize> {
        self.get(key).and_then(scalar)?.parse().ok()
    }

    pub(super) fn pattern(self) -> Option<String> {
        self.get("AllowedPattern").and_then(scalar)
    }

    /// Whether its value is the name of another that is kept in the Parameter Store.
    pub(super) fn is_stored(self) -> bool {
        self.kind().starts_with("AWS::SSM::Parameter::Value")
    }

    pub(super) fn is_list(self) -> bool {
        let kind = self.kind();
        kind == "CommaDelimitedList"
            || kind.starts_with("List<")
            || kind.contains("Value<List<")
            || kind == "AWS::SSM::Parameter::Value<CommaDelimitedList>"
    }

    pub(super) fn is_secret(self) -> bool {
        self.get("NoEcho").is_some_and(|node| match &node.value {
            Value::Bool(truth) => *truth,
            Value::String(text) => text.eq_ignore_ascii_case("true"),
            _ => false,
        })
    }

    /// What it may be, where that is said.
    pub(super) fn allowed(self) -> Option<Vec<String>> {
        match &self.get("AllowedValues")?.value {
            Value::Array(items) => Some(items.iter().filter_map(scalar).collect()),
            _ => None,
        }
    }
}

/// A string, number or boolean as text: `CloudFormation` takes each for the other.
pub(super) fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::String(text) | Value::Number(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
