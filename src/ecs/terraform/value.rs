//! What an expression evaluates to. Cheap to clone; an unknown part does not make the whole unknown.
//!
//! A string may have holes and a list or map may be open, so that the image of a container stays known where only the
//! ARN of its secret is not, and a container where only another one depends on a condition.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::equality::Kind;
use super::module::Module;
use super::number::digits;
use super::resource::Resource;

/// How many steps are told of how a value was found.
pub(super) const MOST_STEPS: usize = 8;

/// Bytes of a file, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What is not known: why, and the expression as it stands in a string, `${var.image}`.
#[derive(Debug)]
pub(super) struct Gap {
    pub(super) reason: String,
    pub(super) expression: String,
    pub(super) at: Option<Place>,
    /// The task definitions, clusters and capacity providers that it stands for, where it is made from one or may be
    /// one of several: their addresses.
    pub(super) of: Rc<[Rc<str>]>,
}

impl Gap {
    /// What it refers to, where it is nothing but a reference: `var.image`.
    pub(super) fn reference(&self) -> Option<&str> {
        self.expression.strip_prefix("${")?.strip_suffix('}').filter(|inner| is_reference(inner))
    }
}

/// Whether an expression refers to something and does nothing else.
pub(super) fn is_reference(expression: &str) -> bool {
    expression.chars().all(|c| c.is_alphanumeric() || "._-[]\"".contains(c))
}

/// A value and where it comes from.
#[derive(Clone)]
pub(super) struct Val {
    pub(super) data: Data,
    pub(super) at: Option<Place>,
    pub(super) how: Option<Rc<How>>,
    /// What a sensitive value is made from, to be shown in its place.
    pub(super) written: Option<Rc<str>>,
    pub(super) sensitive: bool,
    /// What type of collection it is.
    pub(super) kind: Kind,
}

/// A step on the way of a value, after those before it.
pub(super) struct How {
    step: Rc<str>,
    before: Option<Rc<How>>,
}

#[derive(Clone)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Number(f64),
    Text(Rc<str>),
    /// A string that is known in part.
    Holes(Rc<[Piece]>),
    List(Rc<[Val]>),
    Map(Rc<Map>),
    /// In a list: any number of elements that are not known.
    Rest(Rc<Gap>),
    Unknown(Rc<Gap>),
    /// The outputs of a module, evaluated when they are asked for.
    Module(Rc<Module>),
    /// The attributes of a resource, the same.
    Resource(Rc<Resource>),
}

#[derive(Clone)]
pub(super) enum Piece {
    Known(Rc<str>),
    Hole(Rc<Gap>),
}

#[derive(Clone, Default)]
pub(super) struct Map {
    pub(super) members: BTreeMap<Rc<str>, Val>,
    /// Why there may be other members.
    pub(super) rest: Option<Rc<Gap>>,
}

impl Val {
    pub(super) fn new(data: Data) -> Self {
        Self { data, at: None, how: None, written: None, sensitive: false, kind: Kind::Open }
    }

    pub(super) fn at(data: Data, at: Option<Place>) -> Self {
        Self { at, ..Self::new(data) }
    }

    /// A tuple or object, as it is written.
    pub(super) fn written(data: Data, at: Option<Place>) -> Self {
        Self { kind: Kind::Written, ..Self::at(data, at) }
    }

    pub(super) fn null() -> Self {
        Self::new(Data::Null)
    }

    pub(super) fn bool(truth: bool) -> Self {
        Self::new(Data::Bool(truth))
    }

    /// A number of things.
    #[expect(clippy::cast_precision_loss, reason = "no list is that long")]
    pub(super) fn count(count: usize) -> Self {
        Self::new(Data::Number(count as f64))
    }

    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::new(Data::Text(text.into()))
    }

    pub(super) fn list(items: Vec<Val>) -> Self {
        Self::new(Data::List(items.into()))
    }

    pub(super) fn map(members: BTreeMap<Rc<str>, Val>) -> Self {
        Self::new(Data::Map(Rc::new(Map { members, rest: None })))
    }

    pub(super) fn unknown(gap: &Rc<Gap>) -> Self {
        Self::at(Data::Unknown(Rc::clone(gap)), gap.at)
    }

    /// What is not known of it itself, its elements aside.
    pub(super) fn gap(&self) -> Option<&Rc<Gap>> {
        match &self.data {
            Data::Unknown(gap) | Data::Rest(gap) => Some(gap),
            Data::Holes(pieces) => pieces.iter().find_map(|piece| match piece {
                Piece::Hole(gap) => Some(gap),
                Piece::Known(_) => None,
            }),
            _ => None,
        }
    }

    /// The same with one more step on its way, unless it went there before or has many behind it.
    pub(super) fn through(mut self, step: impl Into<Rc<str>>) -> Self {
        let step = step.into();
        let (mut told, mut there) = (0, false);
        for how in self.way() {
            told += 1;
            there |= how.step == step;
        }
        if !there && told < MOST_STEPS {
            self.how = Some(Rc::new(How { step, before: self.how.take() }));
        }
        self
    }

    /// Its steps, the last first.
    fn way(&self) -> impl Iterator<Item = &How> {
        std::iter::successors(self.how.as_deref(), |how| how.before.as_deref())
    }

    /// A part of this value: what is so of the whole is so of it.
    pub(super) fn part(&self, part: &Val) -> Val {
        let mut part = part.clone();
        part.sensitive |= self.sensitive;
        // What makes one type of two changes the types of their elements as well.
        if self.kind == Kind::Open && part.kind != Kind::Set {
            part.kind = Kind::Open;
        }
        if part.how.is_none() {
            part.how.clone_from(&self.how);
            return part;
        }
        for step in self.steps() {
            part = part.through(step);
        }
        part
    }

    /// The key of an element: its number, or in a set itself.
    pub(super) fn key(&self, index: usize, item: &Val) -> Val {
        if self.kind == Kind::Set { item.clone() } else { Val::count(index) }
    }

    /// The steps of its way, the first first.
    pub(super) fn steps(&self) -> Vec<Rc<str>> {
        let mut steps: Vec<Rc<str>> = self.way().map(|how| Rc::clone(&how.step)).collect();
        steps.reverse();
        steps
    }

    pub(super) fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "null",
            Data::Bool(_) => "a boolean",
            Data::Number(_) => "a number",
            Data::Text(_) | Data::Holes(_) => "a string",
            Data::List(_) => "a list",
            Data::Map(_) | Data::Module(_) | Data::Resource(_) => "an object",
            Data::Rest(_) | Data::Unknown(_) => "a value that is not known",
        }
    }

    /// A scalar as text, where it is one that is known with all its digits.
    pub(super) fn scalar(&self) -> Option<Rc<str>> {
        match &self.data {
            Data::Text(text) => Some(Rc::clone(text)),
            Data::Number(number) => digits(*number).map(Into::into),
            Data::Bool(truth) => Some(truth.to_string().into()),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match &self.data {
            Data::Number(number) => Some(*number),
            Data::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    pub(super) fn truth(&self) -> Option<bool> {
        match &self.data {
            Data::Bool(truth) => Some(*truth),
            Data::Text(text) if matches!(&**text, "true" | "1") => Some(true),
            Data::Text(text) if matches!(&**text, "false" | "0") => Some(false),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }
}

/// A number as one of a thing in a list, or as how many of them.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is looked at before")]
pub(super) fn whole(number: f64) -> Option<usize> {
    (number >= 0.0 && number < f64::from(u32::MAX) && number.fract() == 0.0).then_some(number as usize)
}
