//! What the parameters of a template are: what was given, else what is declared.

use std::collections::BTreeMap;

use thiserror::Error;

use super::Parameters;
use super::evaluate::step;
use super::template::{Declared, Template, scalar};
use crate::ecs::node::Source;
use crate::ecs::value::{Data, Value};

/// How long the value of a parameter may be (`CloudFormation`'s own quota).
const LONGEST: usize = 4096;

/// What a parameter takes, as far as its declaration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    kind: String,
    /// Whether its value is the name of another in the Parameter Store.
    is_stored: bool,
    default: Option<String>,
    allowed: Option<Vec<String>>,
    length: (Option<usize>, Option<usize>),
    /// `AllowedPattern`, which only `CloudFormation` tries.
    pub pattern: Option<String>,
}

/// Why a parameter does not take a text as its whole value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It takes a name, and its value is kept under that name.
    #[error("its value is read from the SSM Parameter Store")]
    Stored {
        /// The name that it has by default.
        name: Option<String>,
    },
    /// It is a list, a number, or of a type of AWS.
    #[error("its type is {0}, not String")]
    Kind(String),
    /// The text is none of its values.
    #[error("its AllowedValues are {0}")]
    NotAllowed(String),
    /// The text is longer than `MaxLength` or shorter than `MinLength`.
    #[error("its {0}")]
    Length(String),
}

impl Refusal {
    /// What to do in its place, where something can be said.
    pub fn help(&self) -> Option<String> {
        let Self::Stored { name } = self else { return None };
        let name = name.as_deref().unwrap_or("NAME");
        Some(format!("aws ssm put-parameter --overwrite --name {name} --value …, and deploy the stack again"))
    }
}

impl Declaration {
    pub(super) fn of(declared: Declared<'_>) -> Self {
        let is_secret = declared.is_secret();
        Self {
            kind: declared.kind().to_owned(),
            is_stored: declared.is_stored(),
            default: declared.default().and_then(scalar).filter(|_| !is_secret),
            allowed: declared.allowed(),
            length: (declared.number("MinLength"), declared.number("MaxLength")),
            pattern: declared.pattern(),
        }
    }

    /// Why the parameter does not take this text as its whole value; its `AllowedPattern` is not tried.
    pub fn refuses(&self, text: &str) -> Option<Refusal> {
        let (least, most) = self.length;
        let length = text.chars().count();
        match self {
            Self { is_stored: true, default, .. } => Some(Refusal::Stored { name: default.clone() }),
            Self { kind, .. } if kind != "String" => Some(Refusal::Kind(kind.clone())),
            Self { allowed: Some(allowed), .. } if !allowed.iter().any(|one| one == text) => {
                Some(Refusal::NotAllowed(allowed.join(", ")))
            }
            _ => match (least.filter(|least| length < *least), most.filter(|most| length > *most)) {
                (Some(least), _) => Some(Refusal::Length(format!("MinLength is {least}"))),
                (_, Some(most)) => Some(Refusal::Length(format!("MaxLength is {most}"))),
                _ => None,
            },
        }
    }
}

/// What a template was given.
pub(super) enum Given<'g> {
    /// By flags.
    Flags(&'g Parameters),
    /// By the stack that nests it.
    Passed { by: String, values: BTreeMap<String, Value>, flags: &'g Parameters },
}

impl Given<'_> {
    fn flags(&self) -> &Parameters {
        match self {
            Self::Flags(flags) | Self::Passed { flags, .. } => flags,
        }
    }
}

/// The values of all parameters, and of the pseudo parameters that were given.
pub(super) fn values(template: Template<'_>, source: &Source<'_>, given: &mut Given<'_>) -> BTreeMap<String, Value> {
    let top = source.location(template.root.span.start..template.root.span.start);
    let pseudo = given.flags().iter().filter(|(name, _)| name.starts_with("AWS::")).map(|(name, text)| {
        let value = Value::new(Data::String(text.clone()), top.clone());
        (name.clone(), Value { how: vec![flag(name)], ..value })
    });
    let mut values: BTreeMap<String, Value> = pseudo.collect();
    for declared in template.parameters() {
        values.insert(declared.name().into(), value(declared, source, given));
    }
    values
}

fn flag(name: &str) -> String {
    format!("given by --parameter {name}")
}

fn value(declared: Declared<'_>, source: &Source<'_>, given: &mut Given<'_>) -> Value {
    let name = declared.name();
    let declaration = source.location(declared.member.key_span.clone());
    let plain =
        |text: String, how: String| Value { how: vec![how], ..Value::new(Data::String(text), declaration.clone()) };
    let unknown = |reason: String| Value::new(Data::Unknown { reason, expression: name.into() }, declaration.clone());
    let allowed = declared.allowed();
    let say = match given {
        Given::Flags(_) => format!("(--parameter {name}=…)"),
        Given::Passed { by, .. } if declared.is_stored() => format!("under the name that {by} passes, if it does"),
        Given::Passed { by, .. } => format!("and {by} passes none"),
    };
    let mut value = match given {
        Given::Flags(flags) => flags.get(name).map(|text| plain(text.clone(), flag(name))),
        Given::Passed { by, values, .. } => values.remove(name).map(|mut value| {
            step(&mut value, format!("passed by {by} as parameter {name}"));
            value
        }),
    };
    // What a stack passes is the name of what is stored; what a flag gives, its value.
    let stored = declared.is_stored() && (value.is_none() || matches!(given, Given::Passed { .. }));
    if value.is_none()
        && let Some(default) = declared.default()
    {
        value = scalar(default).map(|text| {
            let at = source.location(default.span.clone());
            Value { how: vec![format!("the default of parameter {name}")], ..Value::new(Data::String(text), at) }
        });
    }
    if stored {
        return unknown(format!("parameter {name} is read from the SSM Parameter Store {say}"));
    }
    let mut value = match (value, allowed.as_deref()) {
        (Some(value), _) => value,
        (None, Some([only])) => plain(only.clone(), format!("the only allowed value of parameter {name}")),
        (None, _) => return unknown(format!("parameter {name} has no default {say}")),
    };
    if let (Data::String(text), Some(allowed)) = (&value.data, &allowed)
        && !allowed.contains(text)
        && !declared.is_list()
    {
        return unknown(format!(
            "parameter {name} has a value that is none of its AllowedValues: {}",
            allowed.join(", ")
        ));
    }
    if matches!(&value.data, Data::String(text) if text.len() > LONGEST) {
        return unknown(format!("parameter {name} is longer than {LONGEST} bytes"));
    }
    value.sensitive |= declared.is_secret();
    if declared.is_list()
        && let Data::String(text) = &value.data
    {
        // "" is an empty list.
        let parts = text.split(',').map(str::trim).filter(|part| !text.is_empty() || !part.is_empty());
        let (how, sensitive) = (&value.how, value.sensitive);
        let item = |part: &str| {
            let item = Value::new(Data::String(part.into()), value.at.clone());
            Value { how: how.clone(), sensitive, ..item }
        };
        value.data = Data::Array(parts.map(item).collect());
    }
    value
}
