//! From what a template says to values, as far as it settles them.
//!
//! Nothing here fails: what is not settled, or not sensible, is a value that is not known, with the reason. Depth and
//! the bytes that are made of a template are limited, since a name that is used twice in what it names doubles.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::call::{Call, text};
use super::condition::Truth;
use super::template::Template;
use super::written::written;
use crate::ecs::node::{self, Node, Source};
use crate::ecs::value::{Data, Member, Value};

/// How deep values, conditions and functions may stand in one another.
const MAX_DEPTH: usize = 100;
/// How many bytes a source may make, the templates that it nests included.
const MAX_MADE: usize = 32 * 1024 * 1024;
/// What a value costs beside its text.
pub(super) const VALUE: usize = 128;
/// How many members two objects may have to be compared one by one.
const MOST_COMPARED: usize = 1000;
/// How many steps are told of how a value was found.
const MOST_STEPS: usize = 8;

/// What a macro may add to a task definition, to its platform or to a container, as far as it decides something.
const TRANSFORMED: &[&str] = &[
    "RuntimePlatform",
    "RequiresCompatibilities",
    "NetworkMode",
    "ContainerDefinitions",
    "EphemeralStorage",
    "CpuArchitecture",
    "OperatingSystemFamily",
    "Name",
    "Image",
    "EntryPoint",
    "Command",
    "WorkingDirectory",
    "Environment",
    "EnvironmentFiles",
    "User",
    "PortMappings",
    "MountPoints",
    "HealthCheck",
];

/// What may still be made of a source, shared by all its stacks.
#[derive(Clone)]
pub(super) struct Budget(Rc<Cell<usize>>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Rc::new(Cell::new(MAX_MADE)))
    }

    pub(super) fn spend(&self, bytes: usize) -> bool {
        let left = self.0.get().checked_sub(bytes);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// The place of evaluation: how deep, and the variables of the loops around it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scope<'s> {
    depth: usize,
    pub(super) loops: &'s [(String, String)],
}

impl<'s> Scope<'s> {
    pub(super) fn of(loops: &'s [(String, String)]) -> Self {
        Self { depth: 0, loops }
    }

    pub(super) fn deeper(self) -> Option<Self> {
        (self.depth < MAX_DEPTH).then_some(Self { depth: self.depth + 1, ..self })
    }

    pub(super) fn within(self, loops: &[(String, String)]) -> Scope<'_> {
        Scope { depth: self.depth, loops }
    }

    fn variable(self, name: &str) -> Option<&'s str> {
        self.loops.iter().rev().find(|(variable, _)| variable == name).map(|(_, value)| value.as_str())
    }
}

/// A template with its parameters: what turns its nodes into values.
pub(super) struct Evaluator<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) template: Template<'a>,
    pub(super) parameters: BTreeMap<String, Value>,
    pub(super) conditions: HashMap<&'a str, &'a Node>,
    pub(super) budget: Budget,
    /// What was decided; `None` while it is being decided.
    pub(super) decided: RefCell<HashMap<&'a str, Option<Truth>>>,
}

/// The branches of an `Fn::If`.
pub(super) enum Choice {
    Decided(Option<Value>),
    Open { reason: String, yes: Option<Value>, no: Option<Value> },
}

impl<'a> Evaluator<'a> {
    pub(super) fn at(&self, node: &Node) -> crate::ecs::task_definition::Location {
        match node.value {
            node::Value::Array(_) | node::Value::Object(_) => self.source.first_line(node.span.clone()),
            _ => self.source.location(node.span.clone()),
        }
    }

    pub(super) fn unknown(&self, node: &Node, reason: impl Into<String>) -> Value {
        let expression = written(node);
        self.budget.spend(expression.len());
        Value::new(Data::Unknown { reason: reason.into(), expression }, self.at(node))
    }

    /// The value of a node; `None` is `AWS::NoValue`.
    pub(super) fn value(&self, node: &'a Node, scope: Scope<'_>) -> Option<Value> {
        let Some(scope) = scope.deeper() else {
            return Some(self.unknown(node, format!("nested more than {MAX_DEPTH} deep")));
        };
        if !self.budget.spend(VALUE) {
            return Some(self.unknown(node, TOO_MUCH));
        }
        if let Some(call) = Call::of(node) {
            return self.call(node, call, scope);
        }
        let data = match &node.value {
            node::Value::Null => Data::Null,
            node::Value::Bool(truth) => Data::Bool(*truth),
            node::Value::Number(number) => Data::Number(number.clone()),
            node::Value::String(text) => return Some(self.string(node, text, scope)),
            node::Value::Array(items) => Data::Array(self.items(items, scope)),
            node::Value::Object(members) => Data::Object(self.members(members, scope)),
            node::Value::Tagged(tag, _) => {
                return Some(self.unknown(node, format!("{tag} is no function of CloudFormation")));
            }
        };
        Some(Value::new(data, self.at(node)))
    }

    /// A string that stands there. What is filled in when the stack is made is not known.
    fn string(&self, node: &Node, text: &str, scope: Scope<'_>) -> Value {
        if text.contains("{{resolve:") {
            return self.unknown(node, format!("a dynamic reference, {WHEN_MADE}"));
        }
        if !self.budget.spend(text.len()) {
            return self.unknown(node, TOO_MUCH);
        }
        let text = scope.loops.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), value).replace(&format!("&{{{name}}}"), value)
        });
        if !scope.loops.is_empty() && !self.budget.spend(text.len()) {
            return self.unknown(node, TOO_MUCH);
        }
        Value::new(Data::String(text), self.at(node))
    }

    /// An item that is there only under a condition that is not decided stays where it is an object. Of two that differ
    /// both stay, if they have different names. A container says what it is, as a service does that is made under a
    /// condition; of what is said of a container, such as a variable or a port, only the name stays known.
    fn items(&self, items: &'a [Node], scope: Scope<'_>) -> Vec<Value> {
        let mut values = Vec::new();
        for item in items {
            let choice = match Call::of(item) {
                Some(call) if call.name == "If" => self.choose(item, call, scope),
                _ => Choice::Decided(self.value(item, scope)),
            };
            let may_be = |reason: &str, mut value: Value| {
                if let Data::Object(members) = &mut value.data
                    && members.iter().all(|member| member.key != "Image")
                {
                    for member in members.iter_mut().filter(|member| member.key != "Name") {
                        member.value = self.unknown(item, reason);
                    }
                }
                value
            };
            match choice {
                Choice::Decided(value) => values.extend(value),
                Choice::Open { reason, yes, no } => match (yes, no) {
                    (Some(one), None) | (None, Some(one)) if matches!(one.data, Data::Object(_)) => {
                        values.push(may_be(&reason, one));
                    }
                    (Some(yes), Some(no)) if name(&yes).is_some() && name(&yes) != name(&no) => {
                        values.extend([yes, no].map(|one| may_be(&reason, one)));
                    }
                    (yes, no) => values.extend(self.either(item, &reason, yes, no)),
                },
            }
        }
        values
    }

    pub(super) fn members(&self, members: &'a [node::Member], scope: Scope<'_>) -> Vec<Member> {
        let (mut values, mut macros) = (Vec::new(), None);
        for member in members {
            if member.key.starts_with("Fn::ForEach::") {
                if let Some(found) = self.each(&member.value, scope) {
                    for each in found {
                        let key_at = self.source.location(member.key_span.clone());
                        let value = self.value(each.node, scope.within(&each.loops));
                        values.extend(value.map(|value| Member { key: each.key, key_at, value }));
                    }
                }
                continue;
            }
            // A macro adds to the object in which it is called.
            if member.key == "Fn::Transform" {
                macros = Some(member);
                continue;
            }
            if let Some(value) = self.value(&member.value, scope) {
                let key_at = self.source.location(member.key_span.clone());
                values.push(Member { key: member.key.clone(), key_at, value });
            }
        }
        let Some(made) = macros else { return values };
        let absent = TRANSFORMED.iter().filter(|key| members.iter().all(|member| member.key != **key));
        values.extend(absent.map(|key| Member {
            key: (*key).into(),
            key_at: self.source.location(made.key_span.clone()),
            value: Value {
                at: self.source.location(made.key_span.clone()),
                ..self.unknown(&made.value, format!("a macro may add {key}, {WHEN_MADE}"))
            },
        }));
        values
    }

    fn call(&self, node: &'a Node, call: Call<'a>, scope: Scope<'_>) -> Option<Value> {
        Some(match call.name {
            "Ref" => {
                let mut value = self.reference(node, text(call.argument).unwrap_or_default(), scope)?;
                match &mut value.data {
                    Data::Unknown { expression, .. } => *expression = written(node),
                    _ => value.written = Some(written(node)),
                }
                return Some(value);
            }
            "If" => match self.choose(node, call, scope) {
                Choice::Decided(value) => return value,
                Choice::Open { reason, yes, no } => return self.either(node, &reason, yes, no),
            },
            "Sub" => self.sub(node, call, scope),
            "Join" => self.join(node, call, scope),
            "Select" => self.select(node, call, scope),
            "Split" => self.split(node, call, scope),
            "FindInMap" => self.find_in_map(node, call, scope),
            "Base64" => self.base64(node, call, scope),
            "Length" => self.length(node, call, scope),
            "GetAtt" => self.unknown(node, format!("an attribute of a resource, {WHEN_MADE}")),
            "ImportValue" => self.unknown(node, format!("exported by another stack, {WHEN_MADE}")),
            "GetAZs" => self.unknown(node, "the zones of the account"),
            "And" | "Or" | "Not" | "Equals" | "Condition" | "Contains" => match self.truth(node, scope) {
                Truth::Open(reason) => self.unknown(node, reason),
                truth => Value::new(Data::Bool(truth == Truth::True), self.at(node)),
            },
            "Transform" => self.unknown(node, format!("made by a macro, {WHEN_MADE}")),
            name => self.unknown(node, format!("Fn::{name} is not evaluated: its value is {WHEN_MADE}")),
        })
    }

    /// What a name stands for: the variable of a loop, a parameter, a pseudo parameter, a resource.
    pub(super) fn reference(&self, node: &Node, name: &str, scope: Scope<'_>) -> Option<Value> {
        if name == "AWS::NoValue" {
            return None;
        }
        if let Some(value) = scope.variable(name) {
            return Some(Value::new(Data::String(value.into()), self.at(node)));
        }
        if let Some(value) = self.parameters.get(name) {
            if !self.budget.spend(size(value)) {
                return Some(self.unknown(node, TOO_MUCH));
            }
            // The line of the default would show it.
            let at = if value.sensitive { self.at(node) } else { value.at.clone() };
            return Some(Value { at, ..value.clone() });
        }
        let resource = || self.template.resources().iter().any(|member| member.key == name);
        let reason = match name {
            _ if name.starts_with("AWS::") => format!("{name} is known when the stack is made (--parameter {name}=…)"),
            _ if resource() => format!("{name} is a resource, {WHEN_MADE}"),
            _ => format!("the template has neither a parameter nor a resource {name:?}"),
        };
        Some(self.unknown(node, reason))
    }

    /// Both branches, or the one that the condition decides for.
    fn choose(&self, node: &'a Node, call: Call<'a>, scope: Scope<'_>) -> Choice {
        let Some(scope) = scope.deeper() else {
            return Choice::Decided(Some(self.unknown(node, format!("nested more than {MAX_DEPTH} deep"))));
        };
        let [condition, yes, no] = call.arguments() else {
            return Choice::Decided(Some(self.unknown(node, "Fn::If takes a condition and two values")));
        };
        let truth = match text(condition) {
            Some(name) => self.condition(name, scope),
            None => self.truth(condition, scope),
        };
        let how = |value: Option<Value>, word: &str| {
            value.map(|mut value| {
                step(&mut value, format!("since {} is {word}", written(condition)));
                value
            })
        };
        match truth {
            Truth::True => Choice::Decided(how(self.value(yes, scope), "true")),
            Truth::False => Choice::Decided(how(self.value(no, scope), "false")),
            Truth::Open(reason) => {
                let reason = match text(condition) {
                    Some(name) => format!("condition {name} is open: {reason}"),
                    None => reason,
                };
                Choice::Open { reason, yes: self.value(yes, scope), no: self.value(no, scope) }
            }
        }
    }

    /// One of two values: where they agree it is known.
    fn either(&self, node: &Node, reason: &str, yes: Option<Value>, no: Option<Value>) -> Option<Value> {
        let open = || Some(self.unknown(node, reason));
        match (yes, no) {
            (None, None) => None,
            (Some(yes), Some(no)) if same(&yes.data, &no.data) => {
                Some(Value { sensitive: yes.sensitive || no.sensitive, ..yes })
            }
            (Some(Value { data: Data::Object(yes), at, how, .. }), Some(Value { data: Data::Object(mut no), .. }))
                if yes.len() <= MOST_COMPARED && no.len() <= MOST_COMPARED =>
            {
                let mut members = Vec::new();
                for mut member in yes {
                    let other = no.iter().position(|other| other.key == member.key).map(|at| no.swap_remove(at).value);
                    if let Some(value) = self.either(node, reason, Some(member.value), other) {
                        member.value = value;
                        members.push(member);
                    }
                }
                members.extend(no.into_iter().map(|member| Member { value: self.unknown(node, reason), ..member }));
                Some(Value { how, ..Value::new(Data::Object(members), at) })
            }
            (Some(Value { data: Data::Array(yes), at, .. }), Some(Value { data: Data::Array(no), .. }))
                if yes.len() == no.len() =>
            {
                let pairs = yes.into_iter().zip(no);
                let items = pairs.filter_map(|(yes, no)| self.either(node, reason, Some(yes), Some(no)));
                Some(Value::new(Data::Array(items.collect()), at))
            }
            _ => open(),
        }
    }

    /// The text that is made of several values.
    pub(super) fn joined(&self, node: &Node, pieces: Vec<Value>) -> Value {
        let mut made = Value::new(Data::Null, self.at(node));
        let mut text = String::new();
        for piece in pieces {
            let part = match piece.data {
                Data::String(part) | Data::Number(part) => part,
                Data::Bool(truth) => truth.to_string(),
                Data::Unknown { reason, .. } => return self.unknown(node, reason),
                Data::Null | Data::Array(_) | Data::Object(_) => {
                    return self.unknown(node, "a text is made of no text");
                }
            };
            if !self.budget.spend(part.len()) {
                return self.unknown(node, TOO_MUCH);
            }
            text.push_str(&part);
            made.sensitive |= piece.sensitive;
            for one in piece.how {
                step(&mut made, one);
            }
        }
        made.written = Some(written(node));
        made.data = Data::String(text);
        made
    }
}

/// What only the stack decides, and who says it then.
pub(super) const WHEN_MADE: &str =
    "known when the stack is made: what ECS has then says it (`aws ecs describe-task-definition`)";

/// Why a secret is no name of anything that is shown.
pub(super) const SECRET: &str = "it hangs on a NoEcho parameter";

pub(super) const TOO_MUCH: &str = "the templates make too much of their parameters";

/// Tells one step more of how a value was found.
pub(super) fn step(value: &mut Value, how: String) {
    if value.how.len() < MOST_STEPS && !value.how.contains(&how) {
        value.how.push(how);
    }
}

fn name(value: &Value) -> Option<&str> {
    value.members().iter().find_map(|member| match &member.value.data {
        Data::String(name) if member.key == "Name" => Some(name.as_str()),
        _ => None,
    })
}

/// The bytes that a copy of a value takes.
fn size(value: &Value) -> usize {
    VALUE
        + match &value.data {
            Data::String(text) | Data::Number(text) => text.len(),
            Data::Array(items) => items.iter().map(size).sum(),
            Data::Object(members) => members.iter().map(|member| member.key.len() + size(&member.value)).sum(),
            Data::Null | Data::Bool(_) | Data::Unknown { .. } => 0,
        }
}

/// Whether two values are known to be the same; a number and a string are where their texts are.
pub(super) fn same(one: &Data, other: &Data) -> bool {
    match (one, other) {
        (Data::Null, Data::Null) => true,
        (Data::Array(one), Data::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(&one.data, &other.data))
        }
        (Data::Object(one), Data::Object(other)) => {
            one.len() == other.len()
                && one.len() <= MOST_COMPARED
                && one.iter().all(|member| {
                    let twin = other.iter().find(|twin| twin.key == member.key);
                    twin.is_some_and(|twin| same(&twin.value.data, &member.value.data))
                })
        }
        (one, other) => match (scalar(one), scalar(other)) {
            (Some(one), Some(other)) => one == other,
            _ => false,
        },
    }
}

fn scalar(data: &Data) -> Option<&str> {
    match data {
        Data::String(text) | Data::Number(text) => Some(text),
        Data::Bool(true) => Some("true"),
        Data::Bool(false) => Some("false"),
        _ => None,
    }
}
