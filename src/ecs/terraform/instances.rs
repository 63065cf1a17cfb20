//! `count` and `for_each`: which instances a block has, and what their addresses end in.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::evaluate::{Evaluator, Fail};
use super::module::{Name, Scope};
use super::source::Stands;
use super::value::{Data, Gap, Map, Val, whole};

/// How many instances one block may have.
const MAX_INSTANCES: usize = 1024;

/// Which instance of a block.
#[derive(Clone)]
pub(super) enum Key {
    /// The only one, of a block without `count` and `for_each`.
    Only,
    Index(usize),
    Each {
        key: Rc<str>,
        value: Val,
    },
    /// One for all, where nobody knows how many there are: `[*]`.
    Any {
        name: &'static str,
        gap: Rc<Gap>,
    },
}

impl Key {
    /// What an address ends in.
    pub(super) fn suffix(&self) -> String {
        match self {
            Self::Only => String::new(),
            Self::Index(index) => format!("[{index}]"),
            Self::Each { key, .. } => format!("[{key:?}]"),
            Self::Any { .. } => "[*]".into(),
        }
    }

    /// What it makes of `each` and `count`.
    pub(super) fn bind<T>(&self, then: impl FnOnce(Option<&Name<'_>>) -> T) -> T {
        let object = |members: Vec<(&str, Val)>| {
            let members = members.into_iter().map(|(key, value)| (Rc::from(key), value));
            Val::map(members.collect::<BTreeMap<Rc<str>, Val>>())
        };
        let (name, value) = match self {
            Self::Only => return then(None),
            Self::Index(index) => ("count", object(vec![("index", Val::count(*index))])),
            Self::Each { key, value } => {
                ("each", object(vec![("key", Val::text(Rc::clone(key))), ("value", value.clone())]))
            }
            Self::Any { name, gap } => {
                let part = |part: &str| {
                    let expression = format!("${{{name}.{part}}}");
                    Val::unknown(&Rc::new(Gap {
                        reason: gap.reason.clone(),
                        expression,
                        at: gap.at,
                        of: Rc::default(),
                    }))
                };
                let parts: &[&str] = if *name == "count" { &["index"] } else { &["key", "value"] };
                let members = parts.iter().map(|name| (Rc::from(*name), part(name))).collect();
                (*name, Val::new(Data::Map(Rc::new(Map { members, rest: None }))))
            }
        };
        then(Some(&Name { word: name, value, outer: None }))
    }
}

/// The instances of a block.
pub(super) enum Instances<T> {
    Only(T),
    Counted(Vec<T>),
    Keyed(Vec<(Rc<str>, T)>),
    /// One for all; why nobody knows how many.
    Any(T, Rc<Gap>),
}

impl<T> Instances<T> {
    pub(super) fn all(&self) -> Vec<&T> {
        match self {
            Self::Only(one) | Self::Any(one, _) => vec![one],
            Self::Counted(all) => all.iter().collect(),
            Self::Keyed(all) => all.iter().map(|(_, one)| one).collect(),
        }
    }

    pub(super) fn map<U>(self, make: impl Fn(T) -> Result<U, Fail>) -> Result<Instances<U>, Fail> {
        Ok(match self {
            Self::Only(one) => Instances::Only(make(one)?),
            Self::Any(one, gap) => Instances::Any(make(one)?, gap),
            Self::Counted(all) => Instances::Counted(all.into_iter().map(make).collect::<Result<_, _>>()?),
            Self::Keyed(all) => {
                let pair = |(key, one)| Ok((key, make(one)?));
                Instances::Keyed(all.into_iter().map(pair).collect::<Result<_, Fail>>()?)
            }
        })
    }

    /// What a reference to the block is: an object, a list or a map of objects.
    pub(super) fn value(&self, one: impl Fn(&T) -> Val) -> Val {
        match self {
            Self::Only(only) => one(only),
            Self::Counted(all) => Val::list(all.iter().map(one).collect()),
            Self::Keyed(all) => Val::map(all.iter().map(|(key, each)| (Rc::clone(key), one(each))).collect()),
            Self::Any(_, gap) => Val::unknown(gap),
        }
    }
}

impl Evaluator<'_> {
    /// The instances of a block. Where their number cannot be worked out, one stands for all.
    pub(super) fn instances(&self, stands: &Stands, scope: &Scope<'_>) -> Result<Instances<Key>, Fail> {
        match self.counted(stands, scope) {
            Err(fail) if !fail.fatal => {
                let name = if stands.attribute("count").is_some() { "count" } else { "each" };
                let expression = format!("${{{name}}}");
                let gap = Rc::new(Gap { reason: fail.message, expression, at: fail.at, of: Rc::default() });
                Ok(Instances::Any(Key::Any { name, gap: Rc::clone(&gap) }, gap))
            }
            other => other,
        }
    }

    fn counted(&self, stands: &Stands, scope: &Scope<'_>) -> Result<Instances<Key>, Fail> {
        if let Some(count) = stands.attribute("count") {
            let count = self.settled(count, scope)?;
            if let Some(gap) = count.gap() {
                return Ok(Instances::Any(Key::Any { name: "count", gap: Rc::clone(gap) }, Rc::clone(gap)));
            }
            let too_many = || Err(Fail::fatal(format!("count: more than {MAX_INSTANCES} instances")));
            return match (count.number(), count.number().and_then(whole)) {
                (_, Some(number)) if number <= MAX_INSTANCES => {
                    Ok(Instances::Counted((0..number).map(Key::Index).collect()))
                }
                (_, Some(_)) => too_many(),
                (Some(number), None) if number > 0.0 && number.fract() == 0.0 => too_many(),
                _ => Err(Fail::new(format!("count: expected a whole number, found {}", count.kind()))),
            };
        }
        let Some(each) = stands.attribute("for_each") else { return Ok(Instances::Only(Key::Only)) };
        let each = self.settled(each, scope)?;
        let any = |gap: &Rc<Gap>| Ok(Instances::Any(Key::Any { name: "each", gap: Rc::clone(gap) }, Rc::clone(gap)));
        let pairs = match self.pairs(&each) {
            Ok(pairs) => pairs,
            Err(Some(gap)) => return any(&gap),
            Err(None) => return Err(Fail::new(format!("for_each: expected a map or a set, found {}", each.kind()))),
        };
        if pairs.len() > MAX_INSTANCES {
            return Err(Fail::fatal(format!("for_each: more than {MAX_INSTANCES} instances")));
        }
        let mut keyed = Vec::new();
        for (key, value) in pairs {
            let key = if matches!(each.data, Data::List(_)) { &value } else { &key };
            match (key.scalar(), key.gap()) {
                (Some(key), _) => keyed.push((Rc::clone(&key), Key::Each { key, value })),
                (None, Some(gap)) => return any(gap),
                (None, None) => return Err(Fail::new("for_each: expected a set of strings".into())),
            }
        }
        Ok(Instances::Keyed(keyed))
    }
}
