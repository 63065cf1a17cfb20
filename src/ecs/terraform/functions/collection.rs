//! Functions over lists and maps. What is known of an open one stays known.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::equality::{Kind, of_one_type};
use super::super::evaluate::{Done, Evaluator, Fail};
use super::super::number;
use super::super::value::{Data, Gap, Map, Val, whole};

/// How many elements `range` and `setproduct` may make.
const MAX_MADE: usize = 4096;

fn items(value: &Val) -> Option<Vec<Val>> {
    match &value.data {
        Data::List(items) => Some(items.iter().map(|item| value.part(item)).collect()),
        Data::Rest(_) => Some(vec![value.clone()]),
        // All that is known of it is that it is a list.
        Data::Unknown(gap) => Some(vec![Val::new(Data::Rest(Rc::clone(gap)))]),
        _ => None,
    }
}

/// The elements, where all of them are there.
fn closed(value: &Val) -> Option<Vec<Val>> {
    let items = items(value)?;
    (!items.iter().any(|item| matches!(item.data, Data::Rest(_)))).then_some(items)
}

fn closed_map(value: &Val) -> Option<&Map> {
    match &value.data {
        Data::Map(map) if map.rest.is_none() => Some(map),
        _ => None,
    }
}

/// As a list or map, whose elements become of one type.
fn typed(value: &Val) -> Val {
    let data = match &value.data {
        // Only of what is known the place in a set is.
        Data::List(items)
            if value.kind == Kind::Set && items.len() > 1 && items.iter().any(|i| i.scalar().is_none()) =>
        {
            let reason = items.iter().find_map(Val::gap).map(|gap| gap.reason.clone());
            let reason = reason.unwrap_or_else(|| "the order of a set is not worked out".into());
            let expression = "(element of a set)".into();
            let gap = Gap { reason, expression, at: value.at, of: Rc::default() };
            Data::List([Val::new(Data::Rest(Rc::new(gap)))].into())
        }
        Data::List(items) => {
            let mut items: Vec<Val> = items.iter().map(|item| item.clone().of_any_type()).collect();
            of_one_type(items.iter_mut());
            Data::List(items.into())
        }
        Data::Map(map) => {
            let mut map = Map::clone(map);
            for item in map.members.values_mut() {
                *item = item.clone().of_any_type();
            }
            of_one_type(map.members.values_mut());
            Data::Map(Rc::new(map))
        }
        other => other.clone(),
    };
    Val { data, kind: Kind::Typed, ..value.clone() }
}

/// What `concat` and `merge` make: a tuple or an object, where one of the arguments is one.
fn together(arguments: &[Val]) -> Kind {
    let written = arguments.iter().any(|argument| argument.kind == Kind::Written && argument.gap().is_none());
    if written { Kind::Written } else { Kind::Open }
}

fn wrong(value: &Val, expected: &str) -> Fail {
    Fail::new(format!("expected {expected}, found {}", value.kind()))
}

impl Evaluator<'_> {
    /// As a set: without repetitions, of one type, numbers and strings in order.
    pub(in super::super) fn set(&self, value: &Val) -> Done {
        let Some(mut items) = items(value) else { return Err(wrong(value, "a list")) };
        of_one_type(items.iter_mut());
        let mut seen = BTreeSet::new();
        let mut kept = Vec::new();
        for item in items {
            self.spend(1)?;
            match item.scalar() {
                Some(text) => {
                    if seen.insert(Rc::clone(&text)) {
                        kept.push((Some(text), item));
                    }
                }
                None => kept.push((None, item)),
            }
        }
        kept.sort_by(|(a, one), (b, other)| match (&one.data, &other.data, a, b) {
            (Data::Number(one), Data::Number(other), Some(_), Some(_)) => one.total_cmp(other),
            (_, _, Some(a), Some(b)) => a.cmp(b),
            (_, _, a, b) => b.is_some().cmp(&a.is_some()),
        });
        let items: Vec<Val> = kept.into_iter().map(|(_, item)| item).collect();
        Ok(Val { data: Data::List(items.into()), kind: Kind::Set, ..value.clone() })
    }

    #[expect(clippy::too_many_lines, reason = "a match arm a function, each a few lines")]
    pub(super) fn collection(&self, name: &str, arguments: &[Val]) -> Result<Option<Val>, Fail> {
        for argument in arguments {
            self.spend(match &argument.data {
                Data::List(items) => items.len(),
                Data::Map(map) => map.members.len(),
                _ => 1,
            })?;
        }
        let unknown = |value: &Val| value.gap().is_some();
        Ok(Some(match (name, arguments) {
            ("concat", lists) => {
                let mut all = Vec::new();
                for list in lists {
                    all.extend(items(list).ok_or_else(|| wrong(list, "a list"))?);
                }
                Val { kind: together(lists), ..Val::list(all) }
            }
            ("flatten", [list]) => {
                let Some(list) = items(list) else { return Err(wrong(list, "a list")) };
                let mut flat = Vec::new();
                self.flatten(list, &mut flat, 0)?;
                Val::written(Data::List(flat.into()), None)
            }
            ("merge", maps) => return self.merge(maps),
            ("length", [value]) => match (&value.data, closed(value), closed_map(value)) {
                (Data::Text(text), ..) => Val::count(text.chars().count()),
                (Data::List(_), Some(items), _) => Val::count(items.len()),
                (_, _, Some(map)) => Val::count(map.members.len()),
                (Data::Null, ..) => return Err(wrong(value, "a list, a map or a string")),
                _ => return Ok(None),
            },
            ("lookup", [map, key, default @ ..]) => match (&map.data, key.scalar()) {
                (Data::Map(members), Some(key)) => match (members.members.get(&key), &members.rest, default.first()) {
                    (Some(value), ..) => map.part(value),
                    (None, Some(_), _) => return Ok(None),
                    (None, None, Some(default)) if map.kind == Kind::Written => default.clone(),
                    // It becomes of the type of the others.
                    (None, None, Some(default)) => default.clone().of_any_type(),
                    (None, None, None) => return Err(Fail::new(format!("there is no {key:?}"))),
                },
                _ if unknown(map) || unknown(key) => return Ok(None),
                _ => return Err(wrong(map, "a map")),
            },
            ("keys", [value]) => match (closed_map(value), &value.data) {
                (Some(map), _) => Val::list(map.members.keys().map(|key| Val::text(Rc::clone(key))).collect()),
                (None, Data::Module(module)) => {
                    Val::list(module.folder.outputs.keys().map(|name| Val::text(name.as_str())).collect())
                }
                _ if self.any_gap(value)?.is_some() => return Ok(None),
                _ => return Err(wrong(value, "a map")),
            },
            ("values", [value]) => match &value.data {
                Data::Map(map) => {
                    let rest = map.rest.iter().map(|gap| Val::new(Data::Rest(Rc::clone(gap))));
                    Val::list(map.members.values().map(|member| value.part(member)).chain(rest).collect())
                }
                _ if unknown(value) => return Ok(None),
                _ => return Err(wrong(value, "a map")),
            },
            ("compact", [list]) => {
                let Some(items) = items(list) else { return Err(wrong(list, "a list")) };
                let empty = |item: &Val| item.is_null() || item.scalar().is_some_and(|text| text.is_empty());
                // What may be empty may be no element.
                let open = |item: Val| match &item.data {
                    Data::Unknown(gap) => Val::new(Data::Rest(Rc::clone(gap))),
                    _ => item,
                };
                Val::list(items.into_iter().filter(|item| !empty(item)).map(open).collect())
            }
            ("coalesce", values) => {
                let empty = |item: &&Val| item.is_null() || item.scalar().is_some_and(|text| text.is_empty());
                match values.iter().find(|value| !empty(value)) {
                    Some(value) if unknown(value) => return Ok(None),
                    Some(value) => value.clone(),
                    None => return Err(Fail::new("every argument is null or empty".into())),
                }
            }
            ("coalescelist", lists) => {
                for list in lists {
                    match closed(list) {
                        Some(items) if items.is_empty() => {}
                        Some(_) => return Ok(Some(list.clone())),
                        None => return Ok(None),
                    }
                }
                return Err(Fail::new("every list is empty".into()));
            }
            ("one", [list]) => match closed(list).as_deref() {
                Some([]) => Val::null(),
                Some([only]) => only.clone(),
                Some(_) => return Err(Fail::new("the list has more than one element".into())),
                None if list.is_null() => Val::null(),
                None if unknown(list) || matches!(list.data, Data::List(_)) => return Ok(None),
                None => list.clone(),
            },
            ("element", [list, index]) => {
                let (Some(items), Some(index)) = (closed(list), index.number()) else { return Ok(None) };
                if items.is_empty() {
                    return Err(Fail::new("the list is empty".into()));
                }
                match whole(index) {
                    Some(index) => items[index % items.len()].clone(),
                    None => return Ok(None),
                }
            }
            ("slice", [list, from, to]) => {
                let (Some(items), Some(from), Some(to)) = (closed(list), from.number(), to.number()) else {
                    return Ok(None);
                };
                match whole(from).zip(whole(to)).and_then(|(from, to)| items.get(from..to)) {
                    Some(part) => Val::list(part.to_vec()),
                    None => return Err(Fail::new("the indices are outside the list".into())),
                }
            }
            ("contains", [list, wanted]) => {
                let Some(all) = items(list) else { return Err(wrong(list, "a list")) };
                let mut open = false;
                for item in &all {
                    match self.equals(item, wanted)? {
                        Ok(true) => return Ok(Some(Val::bool(true))),
                        Ok(false) => {}
                        Err(_) => open = true,
                    }
                }
                if open {
                    return Ok(None);
                }
                Val::bool(false)
            }
            ("distinct", [list]) => {
                let Some(mut items) = closed(list) else { return Ok(None) };
                of_one_type(items.iter_mut());
                let mut kept: Vec<Val> = Vec::new();
                for item in items {
                    let mut known = false;
                    for other in &kept {
                        known = self.equals(other, &item)?.unwrap_or(false);
                        if known {
                            break;
                        }
                    }
                    if !known {
                        kept.push(item);
                    }
                }
                Val::list(kept)
            }
            ("toset", [list]) => return self.set(list).map(Some),
            ("tolist" | "tomap", [value]) => typed(value),
            ("sort", [list]) => match closed(list) {
                Some(mut items) if items.iter().all(|item| item.scalar().is_some()) => {
                    items.iter_mut().for_each(Val::become_text);
                    items.sort_by_key(Val::scalar);
                    Val::list(items)
                }
                _ => return Ok(None),
            },
            ("reverse", [list]) => match items(list) {
                Some(items) => Val::list(items.into_iter().rev().collect()),
                None => return Err(wrong(list, "a list")),
            },
            ("setunion", sets) => {
                let all = self.collection("concat", sets)?;
                return all.map(|all| self.set(&all)).transpose();
            }
            ("setsubtract" | "setintersection", [a, b]) => {
                let (Some(a), Some(b)) = (closed(a), closed(b)) else { return Ok(None) };
                let others: Option<BTreeSet<Rc<str>>> = b.iter().map(Val::scalar).collect();
                let Some(others) = others.filter(|_| a.iter().all(|item| item.scalar().is_some())) else {
                    return Ok(None);
                };
                let keep =
                    |item: &Val| item.scalar().is_some_and(|text| others.contains(&text)) == (name != "setsubtract");
                self.set(&Val::list(a.into_iter().filter(keep).collect()))?
            }
            ("zipmap", [keys, values]) => {
                let (Some(keys), Some(values)) = (closed(keys), closed(values)) else { return Ok(None) };
                let Some(keys) = keys.iter().map(Val::scalar).collect::<Option<Vec<_>>>() else { return Ok(None) };
                Val::map(keys.into_iter().zip(values).collect())
            }
            ("range", numbers) => {
                let Some(numbers) = numbers.iter().map(Val::number).collect::<Option<Vec<_>>>() else {
                    return Ok(None);
                };
                let (from, to, step) = match numbers[..] {
                    [to] => (0.0, to, 1.0),
                    [from, to] => (from, to, if to < from { -1.0 } else { 1.0 }),
                    [from, to, step] => (from, to, step),
                    _ => return Ok(None),
                };
                let mut made = Vec::new();
                let mut next = from;
                while if step < 0.0 { next > to } else { next < to } {
                    if made.len() == MAX_MADE || step == 0.0 {
                        return Err(Fail::new(format!("more than {MAX_MADE} numbers")));
                    }
                    made.push(Val::new(Data::Number(next)));
                    next += step;
                }
                Val::list(made)
            }
            ("setproduct", sets) => {
                let Some(sets) = sets.iter().map(closed).collect::<Option<Vec<_>>>() else { return Ok(None) };
                let count = sets.iter().try_fold(1, |count: usize, set| count.checked_mul(set.len()));
                let Some(count) = count.filter(|count| *count <= MAX_MADE) else {
                    return Err(Fail::new(format!("more than {MAX_MADE} combinations")));
                };
                self.spend(count.saturating_mul(sets.len()))?;
                let mut all: Vec<Vec<Val>> = vec![Vec::new()];
                for set in sets {
                    let extend = |one: &Vec<Val>| {
                        let one = one.clone();
                        set.iter()
                            .map(move |item| one.iter().cloned().chain([item.clone()]).collect())
                            .collect::<Vec<_>>()
                    };
                    all = all.iter().flat_map(extend).collect();
                }
                Val::list(all.into_iter().map(Val::list).collect())
            }
            ("alltrue" | "anytrue", [list]) => {
                let decides = name == "anytrue";
                let Some(all) = items(list) else { return Err(wrong(list, "a list")) };
                // Null is not true.
                if all.iter().any(|item| item.truth() == Some(decides) || item.is_null() && !decides) {
                    return Ok(Some(Val::bool(decides)));
                }
                if all.iter().any(unknown) {
                    return Ok(None);
                }
                Val::bool(!decides)
            }
            ("max" | "min" | "sum", values) => {
                let values = match values {
                    [list] if matches!(list.data, Data::List(_)) => closed(list),
                    values => Some(values.to_vec()),
                };
                let numbers = values.and_then(|values| values.iter().map(Val::number).collect::<Option<Vec<_>>>());
                let Some(numbers) = numbers else { return Ok(None) };
                let folded = match name {
                    "max" => numbers.into_iter().reduce(f64::max),
                    "min" => numbers.into_iter().reduce(f64::min),
                    _ => Some(numbers.into_iter().fold(0.0, number::sum)),
                };
                match folded {
                    Some(number) => Val::new(Data::Number(number)),
                    None => return Err(Fail::new("no number".into())),
                }
            }
            _ => return Ok(None),
        }))
    }

    fn flatten(&self, list: Vec<Val>, flat: &mut Vec<Val>, depth: usize) -> Result<(), Fail> {
        for item in list {
            self.spend(1)?;
            match &item.data {
                Data::List(inner) if depth < 64 => {
                    self.flatten(inner.iter().map(|part| item.part(part)).collect(), flat, depth + 1)?;
                }
                // It may be a list or one element: any number of elements either way.
                Data::Unknown(gap) => flat.push(Val::new(Data::Rest(Rc::clone(gap)))),
                _ => flat.push(item),
            }
        }
        Ok(())
    }

    /// Later members win. One that is not known may hold any member of those before it.
    fn merge(&self, maps: &[Val]) -> Result<Option<Val>, Fail> {
        let mut members: BTreeMap<Rc<str>, Val> = BTreeMap::new();
        let mut rest: Option<Rc<Gap>> = None;
        for value in maps {
            let gap = match &value.data {
                Data::Null => continue,
                Data::Map(map) => {
                    self.spend(map.members.len())?;
                    if let Some(gap) = &map.rest {
                        for member in members.values_mut() {
                            *member = Val::unknown(gap);
                        }
                    }
                    members.extend(map.members.iter().map(|(key, member)| (Rc::clone(key), value.part(member))));
                    map.rest.clone()
                }
                _ => match value.gap() {
                    Some(gap) => {
                        for member in members.values_mut() {
                            *member = Val::unknown(gap);
                        }
                        Some(Rc::clone(gap))
                    }
                    None => return Err(wrong(value, "a map")),
                },
            };
            rest = gap.or(rest);
        }
        Ok(Some(Val { kind: together(maps), ..Val::new(Data::Map(Rc::new(Map { members, rest }))) }))
    }
}
