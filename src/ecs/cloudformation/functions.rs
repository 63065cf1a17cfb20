//! The functions that make one value of others.

use base64::Engine as _;

use super::call::{Call, Part, parts, text};
use super::evaluate::{Evaluator, SECRET, Scope, TOO_MUCH, WHEN_MADE, same, step};
use super::template::members;
use super::written::written;
use crate::ecs::node::{self, Node};
use crate::ecs::value::{Data, Value};

/// A collection of an `Fn::ForEach` that is larger than this is refused.
const MOST_ROUNDS: usize = 1000;

/// One round of an `Fn::ForEach`.
pub(super) struct Each<'a> {
    pub(super) key: String,
    pub(super) node: &'a Node,
    pub(super) loops: Vec<(String, String)>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn sub(&self, node: &'a Node, call: Call<'a>, scope: Scope<'_>) -> Value {
        let (template, own): (_, &[node::Member]) = match call.arguments() {
            [template, names] => (text(template), members(Some(names))),
            _ => (call.text(), &[]),
        };
        let Some(template) = template else { return self.unknown(node, "Fn::Sub takes a text, or a text and names") };
        let mut pieces = Vec::new();
        for part in parts(template) {
            pieces.push(match part {
                Part::Text(text) if self.budget.spend(text.len()) => {
                    Value::new(Data::String(text.into()), self.at(node))
                }
                Part::Text(_) => return self.unknown(node, TOO_MUCH),
                Part::Name(name) => match own.iter().find(|member| member.key == name) {
                    Some(member) => match self.value(&member.value, scope) {
                        Some(value) => value,
                        None => return self.unknown(node, "Fn::Sub takes no AWS::NoValue"),
                    },
                    None if name.contains('.') => {
                        return self.unknown(node, format!("{name} is an attribute of a resource, {WHEN_MADE}"));
                    }
                    None => match self.reference(node, name, scope) {
                        Some(Value { data: Data::Unknown { reason, .. }, .. }) => return self.unknown(node, reason),
                        Some(value) => value,
                        None => return self.unknown(node, "Fn::Sub takes no AWS::NoValue"),
                    },
                },
            });
        }
        self.joined(node, pieces)
    }

    pub(super) fn join(&self, node: &'a Node, call: Call<'a>, scope: Scope<'_>) -> Value {
        let [delimiter, list] = call.arguments() else { return self.unknown(node, "Fn::Join takes a text and a list") };
        let Some(delimiter) = self.value(delimiter, scope) else {
            return self.unknown(node, "Fn::Join takes a text and a list");
        };
        let items = match self.value(list, scope) {
            Some(Value { data: Data::Array(items), .. }) => items,
            Some(Value { data: Data::Unknown { reason, .. }, .. }) => return self.unknown(node, reason),
            _ => return self.unknown(node, "Fn::Join takes a text and a list"),
        };
        let mut pieces = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                pieces.push(delimiter.clone());
            }
            pieces.push(item);
        }
        self.joined(node, pieces)
    }

    pub(super) fn select(&self, node: &'a Node, call: Call<'a>, scope: Scope<'_>) -> Value {
        let [index, list] = call.arguments() else { return self.unknown(node, "Fn::Select takes a number and a list") };
        let index = match self.value(index, scope) {
            Some(Value { sensitive: true, .. }) => return self.unknown(node, SECRET),
            Some(Value { data: Data::Number(text) | Data::String(text), .. }) => text.parse::<usize>().ok(),
            Some(Value { data: Data::Unknown { reason, .. }, .. }) => return self.unknown(node, reason),
            _ => None,
        };
        let Some(index) = index else { return self.unknown(node, "Fn::Select takes a number and a list") };
        match self.value(list, scope) {
            Some(Value { data: Data::Array(items), sensitive, how, .. }) => {
                let count = items.len();
                match items.into_iter().nth(index) {
                    Some(Value { data: Data::Unknown { reason, .. }, .. }) => self.unknown(node, reason),
                    Some(mut value) => {
                        value.sensitive |= sensitive;
                        for one in how {
                            step(&mut value, one);
                        }
                        value.written = Some(written(node));
                        value
                    }
                    None => self.unknown(node, format!("a list of {count} has no item {index}")),
                }
            }
            Some(Value { data: Data::Unknown { reason, .. }, .. }) => self.unknown(node, reason),
            _ => self.unknown(node, "Fn::Select takes a number and a list"),
        }
    }

    pub(super) fn split(&self, node: &'a Node, call: Call<'a>, scope: Scope<'_>) -> Value {
        let [delimiter, whole] = call.arguments() else { return self.unknown(node, "Fn::Split takes two texts") };
        let (Some(delimiter), Some(whole)) = (self.value(delimiter, scope), self.value(whole, scope)) else {
            return self.unknown(node, "Fn::Split takes two texts");
        };
        let sensitive = whole.sensitive || delimiter.sensitive;
        match (delimiter.data, whole.data) {
            (Data::Unknown { reason, .. }, _) | (_, Data::Unknown { reason, .. }) => self.unknown(node, reason),
            (Data::String(delimiter), Data::String(text)) if !delimiter.is_empty() => {
                if !self.budget.spend(text.matches(&delimiter).count().saturating_mul(128) + text.len()) {
                    return self.unknown(node, TOO_MUCH);
                }
                let item = |part: &str| Value {
                    sensitive,
                    how: whole.how.clone(),
                    ..Value::new(Data::String(part.into()), whole.at.clone())
                };
                let items = text.split(&delimiter).map(item).collect();
                Value { sensitive, ..Value::new(Data::Array(items), self.at(node)) }
            }
            _ => self.unknown(node, "Fn::Split takes two texts"),
        }
    }

    /// What a mapping says. Where the first key is not known, but every one and the default give the same, it is that.
    pub(super) fn find_in_map(&self, node: &'a Node, call: Call<'a>, scope: Scope<'_>) -> Value {
        let (map, first, second, default) = match call.arguments() {
            [map, first, second] => (map, first, second, None),
            [map, first, second, default] => (map, first, second, default.get("DefaultValue")),
            _ => return self.unknown(node, "Fn::FindInMap takes a mapping and two keys"),
        };
        let key = |node: &'a Node| match self.value(node, scope) {
            Some(Value { sensitive: true, .. }) => Err(SECRET.into()),
            Some(Value { data: Data::String(key) | Data::Number(key), .. }) => Ok(key),
            Some(Value { data: Data::Unknown { reason, .. }, .. }) => Err(reason),
            _ => Err("Fn::FindInMap takes a mapping and two keys".into()),
        };
        let (map, second) = match (key(map), key(second)) {
            (Ok(map), Ok(second)) => (map, second),
            (Err(reason), _) | (_, Err(reason)) => return self.unknown(node, reason),
        };
        let found = |value: &'a Node, first: &str| {
            self.value(value, scope).map(|mut value| {
                step(&mut value, format!("{second} of {first} in mapping {map}"));
                value.written = Some(written(node));
                value
            })
        };
        let entries = members(self.template.mapping(&map));
        let first = match key(first) {
            Ok(first) => first,
            Err(reason) => {
                let otherwise = || default.and_then(|default| self.value(&default.value, scope));
                let of_entry = |entry: &'a node::Member| match entry.value.get(&second) {
                    Some(member) => found(&member.value, "every key"),
                    None => otherwise(),
                };
                // Each entry is looked at only while they agree. A key that is none of them leads to the default.
                let beyond = default.map(|_| otherwise());
                let mut all = entries.iter().map(of_entry).chain(beyond);
                let Some(Some(one)) = all.next() else { return self.unknown(node, reason) };
                let agree = all.all(|other| other.is_some_and(|other| same(&one.data, &other.data)));
                return if agree { one } else { self.unknown(node, reason) };
            }
        };
        let entry = entries.iter().find(|entry| entry.key == first).and_then(|entry| entry.value.get(&second));
        let entry = entry.and_then(|member| found(&member.value, &first));
        entry
            .or_else(|| default.and_then(|default| self.value(&default.value, scope)))
            .unwrap_or_else(|| self.unknown(node, format!("mapping {map} has no {second} of {first}")))
    }

    pub(super) fn base64(&self, node: &'a Node, call: Call<'a>, scope: Scope<'_>) -> Value {
        match self.value(call.argument, scope) {
            Some(Value { data: Data::String(text), how, sensitive, .. }) if self.budget.spend(text.len() * 2) => {
                let text = base64::engine::general_purpose::STANDARD.encode(text);
                let written = Some(written(node));
                Value { how, written, sensitive, ..Value::new(Data::String(text), self.at(node)) }
            }
            Some(Value { data: Data::Unknown { reason, .. }, .. }) => self.unknown(node, reason),
            _ => self.unknown(node, "Fn::Base64 takes a text"),
        }
    }

    pub(super) fn length(&self, node: &'a Node, call: Call<'a>, scope: Scope<'_>) -> Value {
        match self.value(call.argument, scope).map(|value| value.data) {
            Some(Data::Array(items)) => Value::new(Data::Number(items.len().to_string()), self.at(node)),
            Some(Data::Unknown { reason, .. }) => self.unknown(node, reason),
            _ => self.unknown(node, "Fn::Length takes a list"),
        }
    }

    /// The rounds of an `Fn::ForEach`: a name, a collection, an object whose keys hold the name. `None` where the
    /// collection is not known.
    pub(super) fn each(&self, node: &'a Node, scope: Scope<'_>) -> Option<Vec<Each<'a>>> {
        let node::Value::Array(parts) = &node.value else { return None };
        let [variable, collection, body] = parts.as_slice() else { return None };
        let (variable, node::Value::Object(body)) = (text(variable)?, &body.value) else { return None };
        let Some(Value { data: Data::Array(values), .. }) = self.value(collection, scope) else { return None };
        if values.iter().any(|value| value.sensitive) {
            return None;
        }
        let mut rounds = Vec::new();
        for value in values {
            let (Data::String(value) | Data::Number(value)) = value.data else { return None };
            for member in body {
                let mut loops = scope.loops.to_vec();
                loops.push((variable.to_owned(), value.clone()));
                let cost = loops.iter().map(|(_, value)| value.len()).sum::<usize>() + member.key.len();
                if rounds.len() >= MOST_ROUNDS || !self.budget.spend(cost) {
                    return None;
                }
                let key = member.key.replace(&format!("${{{variable}}}"), &value);
                rounds.push(Each { key: key.replace(&format!("&{{{variable}}}"), &value), node: &member.value, loops });
            }
        }
        Some(rounds)
    }
}
