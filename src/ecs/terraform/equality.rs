//! `==`, as Terraform compares: values of different types are never equal, not even a list and a tuple that hold the
//! same. Where the type is not worked out, or a number is not exact here, it is not known.
//!
//! What goes through a value to any depth counts its steps: a few lines can nest one in itself without end.

use std::rc::Rc;

use super::evaluate::{Evaluator, Fail};
use super::value::{Data, Gap, Map, Val};

/// What type of collection a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it is written: a tuple or an object.
    Written,
    /// A list or map, by a type constraint, `tolist` or `tomap`.
    Typed,
    /// A set, whose elements are their own keys.
    Set,
    /// One or another, by a function or a condition; or no collection at all.
    Open,
}

/// The first whole number that not all its neighbours are: Terraform's numbers have more digits.
const INEXACT: f64 = 9_007_199_254_740_992.0;

/// Whether two numbers are equal, where that is certain.
pub(super) fn same_number(a: f64, b: f64) -> Option<bool> {
    let exact = |number: f64| number.fract() == 0.0 && number.abs() < INEXACT;
    let near = (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    match near {
        _ if exact(a) && exact(b) => Some((a - b) == 0.0),
        false => Some(false),
        // 0.25 is itself; 0.1 + 0.2 may be 0.3.
        true => (a.to_bits() == b.to_bits() && a.abs() < INEXACT).then_some(true),
    }
}

fn unsettled(reason: &str) -> Rc<Gap> {
    let reason = format!("{reason}: a plan has the value (`terraform show -json`)");
    Rc::new(Gap { reason, expression: String::new(), at: None, of: Rc::default() })
}

/// Makes one type of several: beside a string, numbers and booleans are strings as well.
pub(super) fn of_one_type<'v>(values: impl Iterator<Item = &'v mut Val>) {
    let values: Vec<&mut Val> = values.collect();
    if values.iter().any(|value| value.is_text()) {
        values.into_iter().for_each(Val::become_text);
    }
}

impl Evaluator<'_> {
    /// Whether two values are equal; the gap in the way where that is not known.
    pub(super) fn equals(&self, one: &Val, other: &Val) -> Result<Result<bool, Rc<Gap>>, Fail> {
        self.spend(1)?;
        for side in [one, other] {
            if let Some(gap) = side.gap() {
                return Ok(Err(Rc::clone(gap)));
            }
        }
        let same = match (&one.data, &other.data) {
            (Data::Null, Data::Null) => Ok(true),
            (Data::Bool(a), Data::Bool(b)) => Ok(a == b),
            (Data::Number(a), Data::Number(b)) => {
                same_number(*a, *b).ok_or_else(|| unsettled("numbers that are this near are not compared"))
            }
            (Data::Text(a), Data::Text(b)) => Ok(a == b),
            // What is one and the same is equal, whatever is in it; and what is nested in itself many times over would
            // be gone through as many times.
            (Data::List(a), Data::List(b)) if Rc::ptr_eq(a, b) => one.same_type(other, a.is_empty()),
            (Data::Map(a), Data::Map(b)) if Rc::ptr_eq(a, b) => one.same_type(other, a.members.is_empty()),
            (Data::List(a), Data::List(b)) => {
                let rest = a.iter().chain(b.iter()).find_map(|item| match &item.data {
                    Data::Rest(gap) => Some(gap),
                    _ => None,
                });
                match rest {
                    Some(gap) => Err(Rc::clone(gap)),
                    None if a.len() != b.len() => Ok(false),
                    None => self
                        .all(a.iter().zip(b.iter()))?
                        .and_then(|same| if same { one.same_type(other, a.is_empty()) } else { Ok(false) }),
                }
            }
            (Data::Map(a), Data::Map(b)) => match a.rest.as_ref().or(b.rest.as_ref()) {
                Some(gap) => Err(Rc::clone(gap)),
                None if !a.members.keys().eq(b.members.keys()) => Ok(false),
                None => self
                    .all(a.members.values().zip(b.members.values()))?
                    .and_then(|same| if same { one.same_type(other, a.members.is_empty()) } else { Ok(false) }),
            },
            (Data::Null, _) | (_, Data::Null) => Ok(false),
            (Data::Module(_) | Data::Resource(_), _) | (_, Data::Module(_) | Data::Resource(_)) => {
                Err(unsettled("a whole module or resource is not compared"))
            }
            _ => Ok(false),
        };
        Ok(same)
    }

    /// Whether all pairs are equal. One that is not decides, whatever is not known of the others.
    fn all<'v>(&self, pairs: impl Iterator<Item = (&'v Val, &'v Val)>) -> Result<Result<bool, Rc<Gap>>, Fail> {
        let mut open = None;
        for (a, b) in pairs {
            match self.deeper(|| self.equals(a, b))? {
                Ok(false) => return Ok(Ok(false)),
                Ok(true) => {}
                Err(gap) => open = open.or(Some(gap)),
            }
        }
        Ok(open.map_or(Ok(true), Err))
    }

    /// Whether two values hold the same, whatever their types.
    pub(super) fn alike(&self, one: &Val, other: &Val) -> Result<bool, Fail> {
        self.spend(1)?;
        let all = |pairs: &mut dyn Iterator<Item = (&Val, &Val)>| {
            for (a, b) in pairs {
                if !self.deeper(|| self.alike(a, b))? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        match (&one.data, &other.data) {
            (Data::List(a), Data::List(b)) if Rc::ptr_eq(a, b) => Ok(true),
            (Data::Map(a), Data::Map(b)) if Rc::ptr_eq(a, b) => Ok(true),
            (Data::List(a), Data::List(b)) => Ok(a.len() == b.len() && all(&mut a.iter().zip(b.iter()))?),
            (Data::Map(a), Data::Map(b)) => {
                let closed = a.rest.is_none() && b.rest.is_none();
                let same_keys = closed && a.members.keys().eq(b.members.keys());
                Ok(same_keys && all(&mut a.members.values().zip(b.members.values()))?)
            }
            _ => Ok(self.equals(one, other)?.unwrap_or(false)),
        }
    }

    /// The first thing that is not known in a value, at any depth.
    pub(super) fn any_gap(&self, value: &Val) -> Result<Option<Rc<Gap>>, Fail> {
        self.spend(1)?;
        let first = |values: &mut dyn Iterator<Item = &Val>| {
            for value in values {
                if let Some(gap) = self.deeper(|| self.any_gap(value))? {
                    return Ok(Some(gap));
                }
            }
            Ok(None)
        };
        match &value.data {
            Data::List(items) => first(&mut items.iter()),
            Data::Map(map) => match &map.rest {
                Some(gap) => Ok(Some(Rc::clone(gap))),
                None => first(&mut map.members.values()),
            },
            _ => Ok(value.gap().cloned()),
        }
    }
}

impl Val {
    /// Whether two collections whose elements are equal are of one type.
    fn same_type(&self, other: &Val, empty: bool) -> Result<bool, Rc<Gap>> {
        match (self.kind, other.kind) {
            (Kind::Open, _) | (_, Kind::Open) => Err(unsettled("the types of what is compared are not worked out")),
            (Kind::Written, Kind::Written) => Ok(true),
            // Nothing tells what the elements would be.
            (a, b) if a == b && empty => Err(unsettled("the types of empty collections are not worked out")),
            (a, b) => Ok(a == b),
        }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.data, Data::Text(_) | Data::Holes(_))
    }

    /// A number or boolean as the string that it is converted to.
    pub(super) fn become_text(&mut self) {
        if let Some(text) = self.scalar() {
            self.data = Data::Text(text);
        }
    }

    /// Whether another type may become of it by what stands beside it.
    pub(super) fn may_become_text(&self) -> bool {
        let scalar = |value: &Val| matches!(value.data, Data::Number(_) | Data::Bool(_));
        match &self.data {
            Data::List(items) => items.iter().any(scalar),
            Data::Map(map) => map.members.values().any(scalar),
            _ => scalar(self),
        }
    }

    /// The value of a condition with that of the way that is not taken, as one type: objects of the same attributes and
    /// tuples of one length part by part, other lists as lists of one type.
    pub(super) fn beside(mut self, other: &Val) -> Self {
        match (&mut self.data, &other.data) {
            (Data::Number(_) | Data::Bool(_), _) if other.is_text() => self.become_text(),
            (Data::List(items), Data::List(others)) => {
                let mut made = items.to_vec();
                let tuples = self.kind == Kind::Written && other.kind == Kind::Written && made.len() == others.len();
                if tuples {
                    for (item, other) in made.iter_mut().zip(others.iter()) {
                        if other.is_text() {
                            item.become_text();
                        }
                    }
                } else if made.iter().chain(others.iter()).any(Val::is_text) {
                    made.iter_mut().for_each(Val::become_text);
                }
                *items = made.into();
            }
            (Data::Map(map), Data::Map(others)) if map.members.keys().eq(others.members.keys()) => {
                let mut made = Map::clone(map);
                for (member, other) in made.members.values_mut().zip(others.members.values()) {
                    if other.is_text() {
                        member.become_text();
                    }
                }
                *map = Rc::new(made);
            }
            _ => {}
        }
        self
    }

    /// The same, by what may make another type of collection of it: a condition makes one type of its two ways, a
    /// provider that of the argument. A set stays one.
    pub(super) fn of_any_type(self) -> Self {
        if self.kind == Kind::Set { self } else { Self { kind: Kind::Open, ..self } }
    }
}
