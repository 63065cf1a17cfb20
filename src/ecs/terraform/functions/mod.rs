//! The functions of Terraform that task definitions are made with. One that is not among them gives a value that is
//! not known.

mod collection;
mod text;

use std::rc::Rc;

use hcl_edit::expr::{Expression, FuncCall};

use super::evaluate::{Done, Evaluator, Fail};
use super::module::Scope;
use super::value::{Data, Gap, Val};

impl Evaluator<'_> {
    pub(super) fn call(&self, call: &FuncCall, expression: &Expression, scope: &Scope<'_>) -> Done {
        let name = call.name.name.as_str();
        if let Some(lazy) = self.lazy(name, call, expression, scope) {
            return lazy;
        }
        let mut arguments = Vec::with_capacity(call.args.len());
        for argument in &call.args {
            arguments.push(self.eval(argument, scope)?);
        }
        if call.args.expand_final()
            && let Some(last) = arguments.pop()
        {
            match &last.data {
                Data::List(items) => arguments.extend(items.iter().map(|item| last.part(item))),
                _ => match last.gap() {
                    Some(gap) => arguments.push(Val::new(Data::Rest(Rc::clone(gap)))),
                    None => return Err(Fail::new(format!("{name}: expected a list before …, found {}", last.kind()))),
                },
            }
        }
        let sensitive = arguments.iter().any(|argument| argument.sensitive) && name != "nonsensitive";
        let mut value = match self.apply(name, &arguments, scope) {
            Ok(Some(value)) => value,
            // A function wants to look into what is not known, or is none of ours.
            Ok(None) => {
                let none_of_ours = || {
                    let reason = format!("{name}() is not evaluated: a plan has its value (`terraform show -json`)");
                    let at = Self::place(expression, scope.file);
                    Rc::new(Gap { reason, expression: String::new(), at, of: Rc::default() })
                };
                let mut gap = None;
                for argument in &arguments {
                    gap = self.any_gap(argument)?;
                    if gap.is_some() {
                        break;
                    }
                }
                let gap = gap.unwrap_or_else(none_of_ours);
                self.open(&gap, expression, scope)
            }
            Err(fail) => return Err(Fail { message: format!("{name}(): {}", fail.message), ..fail }),
        };
        if let Data::Unknown(gap) = &value.data
            && gap.expression.is_empty()
        {
            value = self.open(&Rc::clone(gap), expression, scope);
        }
        // What a collection function picks keeps its own place; what is made here stands here.
        value.at = value.at.or(Self::place(expression, scope.file));
        if sensitive && !matches!(name, "jsonencode" | "length" | "keys") {
            value.sensitive = true;
            value.written.get_or_insert_with(|| format!("${{{}}}", self.written(expression, scope.file)).into());
        }
        Ok(value)
    }

    /// The functions whose arguments are evaluated one after another, if at all.
    fn lazy(&self, name: &str, call: &FuncCall, expression: &Expression, scope: &Scope<'_>) -> Option<Done> {
        let arguments = call.args.iter();
        match name {
            "try" => Some(self.first_that_works(arguments, scope)),
            "can" => {
                let argument = call.args.get(0)?;
                Some(match self.strictly(true, || self.eval(argument, scope)) {
                    Err(fail) if fail.fatal => Err(fail),
                    Err(_) => Ok(Val::bool(false)),
                    Ok(value) => Ok(match value.gap() {
                        Some(gap) => self.open(gap, expression, scope),
                        None => Val::bool(true),
                    }),
                })
            }
            "coalesce" if !call.args.expand_final() => Some(self.first_that_is(arguments, expression, scope)),
            _ => None,
        }
    }

    fn first_that_works<'e>(&self, arguments: impl Iterator<Item = &'e Expression>, scope: &Scope<'_>) -> Done {
        let mut last = Fail::new("try(): no argument has a value".into());
        for argument in arguments {
            match self.strictly(true, || self.eval(argument, scope)) {
                Err(fail) if fail.fatal => return Err(fail),
                Err(fail) => last = fail,
                Ok(value) => return Ok(value),
            }
        }
        Err(last)
    }

    fn first_that_is<'e>(
        &self,
        arguments: impl Iterator<Item = &'e Expression>,
        expression: &Expression,
        scope: &Scope<'_>,
    ) -> Done {
        for argument in arguments {
            let value = self.eval(argument, scope)?;
            match &value.data {
                Data::Null => {}
                Data::Text(text) if text.is_empty() => {}
                // It may be null or empty, but what comes to be known later may not.
                Data::Unknown(gap) | Data::Rest(gap) => return Ok(self.open(gap, expression, scope)),
                _ => return Ok(value),
            }
        }
        Err(Fail::new("coalesce(): every argument is null or empty".into()))
    }

    /// `None` where the function is not known, or wants to know what is not.
    fn apply(&self, name: &str, arguments: &[Val], scope: &Scope<'_>) -> Result<Option<Val>, Fail> {
        let first = arguments.first();
        let done = |done: Done| done.map(Some);
        match (name, first) {
            ("jsonencode", Some(value)) => done(self.encode(value)),
            ("jsondecode", Some(text)) => match text.data {
                Data::Unknown(_) => Ok(None),
                _ => done(self.decode(text)),
            },
            ("sensitive", Some(value)) => Ok(Some(Val { sensitive: true, ..value.clone() })),
            ("nonsensitive", Some(value)) => Ok(Some(Val { sensitive: false, ..value.clone() })),
            ("file" | "templatefile" | "fileexists" | "filebase64", Some(path)) => {
                let Some(path) = path.scalar() else { return Ok(None) };
                match name {
                    "file" => done(self.file(&path)),
                    "templatefile" => {
                        let Some(vars) = arguments.get(1) else { return Ok(None) };
                        let text = self.file(&path)?;
                        done(self.deeper(|| self.render(&text, vars, scope.module)))
                    }
                    "fileexists" => match self.file(&path) {
                        Err(fail) if fail.fatal => Err(fail),
                        Ok(text) if text.gap().is_some() => Ok(Some(text)),
                        found => Ok(Some(Val::bool(found.is_ok()))),
                    },
                    _ => Ok(None),
                }
            }
            ("tostring" | "tonumber" | "tobool", Some(value)) => {
                if value.is_null() {
                    return Ok(Some(value.clone()));
                }
                let data = match name {
                    "tostring" => value.scalar().map(Data::Text),
                    "tonumber" => value.number().map(Data::Number),
                    _ => value.truth().map(Data::Bool),
                };
                match (data, value.gap()) {
                    (Some(data), _) => Ok(Some(Val { data, ..value.clone() })),
                    (None, Some(_)) if name == "tostring" => Ok(Some(value.clone())),
                    (None, Some(_)) => Ok(None),
                    (None, None) => Err(Fail::new(format!("{} cannot become that", value.kind()))),
                }
            }
            _ => match self.collection(name, arguments)? {
                Some(value) => Ok(Some(value)),
                None => self.text_function(name, arguments),
            },
        }
    }
}
