//! Type constraints of variables: what a value becomes, and what `optional(…)` adds to it.

use std::rc::Rc;

use hcl_edit::expr::{Expression, ObjectKey};

use super::equality::{Kind, of_one_type};
use super::evaluate::{Done, Evaluator, Fail};
use super::module::Scope;
use super::value::{Data, Map, Val};

/// A value as its variable's type wants it. `of` names the variable.
pub(super) fn convert(
    evaluator: &Evaluator<'_>,
    constraint: &Expression,
    value: Val,
    scope: &Scope<'_>,
    of: &str,
    depth: usize,
) -> Done {
    evaluator.spend(1)?;
    if depth > 64 {
        return Err(Fail::new(format!("the type of {of} is too deep")));
    }
    if value.is_null() || matches!(value.data, Data::Unknown(_) | Data::Rest(_) | Data::Module(_) | Data::Resource(_)) {
        return Ok(value);
    }
    let wrong = |expected: &str| Err(Fail::new(format!("{of}: expected {expected}, found {}", value.kind())));
    match constraint {
        Expression::Variable(word) => match word.as_str() {
            "string" => match (value.scalar(), value.gap()) {
                (Some(text), _) => Ok(Val { data: Data::Text(text), ..value }),
                (None, Some(_)) => Ok(value),
                (None, None) => wrong("a string"),
            },
            "number" => match (value.number(), value.gap()) {
                (Some(number), _) => Ok(Val { data: Data::Number(number), ..value }),
                (None, Some(_)) => Ok(value),
                (None, None) => wrong("a number"),
            },
            "bool" => match (value.truth(), value.gap()) {
                (Some(truth), _) => Ok(Val { data: Data::Bool(truth), ..value }),
                (None, Some(_)) => Ok(value),
                (None, None) => wrong("true or false"),
            },
            _ => Ok(value),
        },
        Expression::Parenthesis(inner) => convert(evaluator, inner.inner(), value, scope, of, depth + 1),
        Expression::FuncCall(call) => {
            let Some(inner) = call.args.get(0) else { return Ok(value) };
            match (call.name.name.as_str(), inner) {
                ("optional", inner) => convert(evaluator, inner, value, scope, of, depth + 1),
                ("object", Expression::Object(attributes)) => {
                    let Data::Map(map) = &value.data else { return wrong("an object") };
                    let mut made = Map { members: std::collections::BTreeMap::new(), rest: map.rest.clone() };
                    for (key, attribute) in attributes {
                        let name = match key {
                            ObjectKey::Ident(name) | ObjectKey::Expression(Expression::Variable(name)) => {
                                name.as_str().to_owned()
                            }
                            ObjectKey::Expression(Expression::String(name)) => name.as_str().to_owned(),
                            ObjectKey::Expression(_) => continue,
                        };
                        let of = format!("{of}.{name}");
                        let given = map.members.get(name.as_str()).filter(|value| !value.is_null());
                        let member = match (given, &map.rest, default(attribute.expr())) {
                            (Some(given), ..) => {
                                convert(evaluator, attribute.expr(), given.clone(), scope, &of, depth + 1)?
                            }
                            (None, Some(gap), _) => Val::unknown(gap),
                            (None, None, Default::Required) => {
                                return Err(Fail::new(format!("{of} is not given")));
                            }
                            (None, None, Default::Null) => Val::null(),
                            (None, None, Default::Value(default)) => {
                                let default = evaluator.eval(default, scope)?;
                                let default = convert(evaluator, attribute.expr(), default, scope, &of, depth + 1)?;
                                default.through(format!("the default of {of} in its type"))
                            }
                        };
                        made.members.insert(name.into(), member);
                    }
                    Ok(Val { data: Data::Map(Rc::new(made)), kind: Kind::Written, ..value })
                }
                ("tuple", Expression::Array(types)) => {
                    let Data::List(items) = &value.data else { return wrong("a list") };
                    let items = items.iter().enumerate().map(|(index, item)| match types.get(index) {
                        Some(inner) => {
                            let of = format!("{of}[{index}]");
                            convert(evaluator, inner, item.clone(), scope, &of, depth + 1)
                        }
                        None => Ok(item.clone()),
                    });
                    let items = items.collect::<Result<Vec<_>, _>>()?;
                    Ok(Val { data: Data::List(items.into()), kind: Kind::Written, ..value })
                }
                ("map", inner) => {
                    let Data::Map(map) = &value.data else { return wrong("a map") };
                    let mut made = Map { members: std::collections::BTreeMap::new(), rest: map.rest.clone() };
                    for (key, member) in &map.members {
                        let of = format!("{of}[{key:?}]");
                        let member = convert(evaluator, inner, member.clone(), scope, &of, depth + 1)?;
                        made.members.insert(Rc::clone(key), member);
                    }
                    if is_any(inner) {
                        of_one_type(made.members.values_mut());
                    }
                    Ok(Val { data: Data::Map(Rc::new(made)), kind: Kind::Typed, ..value })
                }
                (kind @ ("list" | "set"), inner) => {
                    let Data::List(items) = &value.data else { return wrong("a list") };
                    let items = items
                        .iter()
                        .map(|item| convert(evaluator, inner, item.clone(), scope, &format!("{of}[*]"), depth + 1));
                    let mut items = items.collect::<Result<Vec<_>, _>>()?;
                    if is_any(inner) {
                        of_one_type(items.iter_mut());
                    }
                    let list = Val { data: Data::List(items.into()), kind: Kind::Typed, ..value };
                    if kind == "set" { evaluator.set(&list) } else { Ok(list) }
                }
                _ => Ok(value),
            }
        }
        _ => Ok(value),
    }
}

/// `any` is one type, whatever it is.
fn is_any(constraint: &Expression) -> bool {
    matches!(constraint, Expression::Variable(word) if word.as_str() == "any")
}

enum Default<'e> {
    Required,
    Null,
    Value(&'e Expression),
}

/// What an attribute's type says for when it is not given.
fn default(constraint: &Expression) -> Default<'_> {
    match constraint {
        Expression::FuncCall(call) if call.name.name.as_str() == "optional" => {
            call.args.get(1).map_or(Default::Null, Default::Value)
        }
        _ => Default::Required,
    }
}
