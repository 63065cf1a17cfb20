//! `==`, as Terraform compares: values of different types are never equal, not even a list and a tuple that hold the
//! same. Where the type is not worked out, or a number is not exact here, it is not known.

use std::rc::Rc;

use super::value::{Data, Gap, Val};

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
    Rc::new(Gap { reason, expression: String::new(), at: None, of: Vec::new() })
}

impl Val {
    /// Whether two values are equal; the gap in the way where that is not known.
    pub(super) fn equals(&self, other: &Val) -> Result<bool, Rc<Gap>> {
        for side in [self, other] {
            if let Some(gap) = side.gap() {
                return Err(Rc::clone(gap));
            }
        }
        match (&self.data, &other.data) {
            (Data::Null, Data::Null) => Ok(true),
            (Data::Bool(a), Data::Bool(b)) => Ok(a == b),
            (Data::Number(a), Data::Number(b)) => {
                same_number(*a, *b).ok_or_else(|| unsettled("numbers that are this near are not compared"))
            }
            (Data::Text(a), Data::Text(b)) => Ok(a == b),
            (Data::List(a), Data::List(b)) => {
                let rest = a.iter().chain(b.iter()).find_map(|item| match &item.data {
                    Data::Rest(gap) => Some(gap),
                    _ => None,
                });
                if let Some(gap) = rest {
                    return Err(Rc::clone(gap));
                }
                let same = a.len() == b.len() && all(a.iter().zip(b.iter()))?;
                if same { self.same_type(other, a.is_empty()) } else { Ok(false) }
            }
            (Data::Map(a), Data::Map(b)) => {
                if let Some(gap) = a.rest.as_ref().or(b.rest.as_ref()) {
                    return Err(Rc::clone(gap));
                }
                let same = a.members.keys().eq(b.members.keys()) && all(a.members.values().zip(b.members.values()))?;
                if same { self.same_type(other, a.members.is_empty()) } else { Ok(false) }
            }
            (Data::Null, _) | (_, Data::Null) => Ok(false),
            (Data::Module(_) | Data::Resource(_), _) | (_, Data::Module(_) | Data::Resource(_)) => {
                Err(unsettled("a whole module or resource is not compared"))
            }
            _ => Ok(false),
        }
    }

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

    /// The same, by what may make another type of collection of it: a condition makes one type of its two ways, a
    /// provider that of the argument. A set stays one.
    pub(super) fn of_any_type(self) -> Self {
        if self.kind == Kind::Set { self } else { Self { kind: Kind::Open, ..self } }
    }

    /// Whether two values hold the same, whatever their types.
    pub(super) fn alike(&self, other: &Val) -> bool {
        match (&self.data, &other.data) {
            (Data::List(a), Data::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.alike(b)),
            (Data::Map(a), Data::Map(b)) => {
                let closed = a.rest.is_none() && b.rest.is_none();
                let pairs = || a.members.values().zip(b.members.values());
                closed && a.members.keys().eq(b.members.keys()) && pairs().all(|(a, b)| a.alike(b))
            }
            _ => self.equals(other).unwrap_or(false),
        }
    }
}

/// Whether all pairs are equal. One that is not decides, whatever is not known of the others.
fn all<'v>(pairs: impl Iterator<Item = (&'v Val, &'v Val)>) -> Result<bool, Rc<Gap>> {
    let mut open = None;
    for (a, b) in pairs {
        match a.equals(b) {
            Ok(false) => return Ok(false),
            Ok(true) => {}
            Err(gap) => open = open.or(Some(gap)),
        }
    }
    open.map_or(Ok(true), Err)
}
