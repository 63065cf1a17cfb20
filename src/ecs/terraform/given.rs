//! The values that variables of the root module are given: from the environment, files and flags, the later winning.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use hcl_edit::expr::Expression;
use hcl_edit::parser::{parse_body, parse_expr};

use super::super::strict;
use super::super::target::Given as Flag;
use super::evaluate::{Evaluator, Fail};
use super::folders::join;
use super::heredoc;
use super::module::{Module, Scope};
use super::source::Stands;
use super::value::{Place, Val};

/// A value as it was given.
#[derive(Clone)]
pub(super) enum Given {
    /// Words, which mean a string where the variable is one, or a number or boolean; else an expression.
    Words { words: String, from: String },
    /// An expression of a file.
    Expression { expression: Rc<Expression>, file: usize },
    /// A value of a JSON file.
    Value(Val),
}

impl Evaluator<'_> {
    pub(super) fn given(&self, module: &Rc<Module>, name: &str, stands: &Stands) -> Result<Option<Val>, Fail> {
        let all = self.all_given()?;
        // A file of values has nothing to refer to.
        let nothing = BTreeMap::new();
        let scope = |file| Scope { module, file, names: None, given: Some(&nothing) };
        match all.get(name) {
            None => Ok(None),
            Some(Given::Value(value)) => Ok(Some(value.clone())),
            Some(Given::Expression { expression, file }) => self.eval(expression, &scope(*file)).map(Some),
            Some(Given::Words { words, from }) => {
                // Without a type, and for the simple ones, Terraform takes words as they are: 1 is true.
                let text = match stands.attribute("type") {
                    None => true,
                    Some(Expression::Variable(word)) => matches!(word.as_str(), "string" | "number" | "bool"),
                    Some(Expression::String(word)) => word.as_str() == "string",
                    Some(_) => false,
                };
                let value = if text {
                    Val::text(words.as_str())
                } else {
                    self.measure(words)?;
                    let expression = parse_expr(words).map_err(|_| {
                        Fail::fatal(format!("{from}: the value of {name} is not an expression of its type"))
                    })?;
                    self.eval(&expression, &scope(usize::MAX))?
                };
                let at = stands.place();
                let at = at.map(|at| Place { end: at.start, ..at });
                Ok(Some(Val { at, ..value }.through(from.clone())))
            }
        }
    }

    fn all_given(&self) -> Result<Rc<BTreeMap<String, Given>>, Fail> {
        if let Some(given) = &*self.given.borrow() {
            return Ok(Rc::clone(given));
        }
        let mut given = BTreeMap::new();
        for (name, words) in &self.variables.environment {
            given.insert(name.clone(), Given::Words { words: words.clone(), from: format!("TF_VAR_{name}") });
        }
        let names = self.disk.list(&self.root).unwrap_or_default();
        for fixed in ["terraform.tfvars", "terraform.tfvars.json"] {
            if names.iter().any(|name| name == fixed) {
                self.given_file(&join(&self.root, fixed), &mut given)?;
            }
        }
        for name in &names {
            if name.ends_with(".auto.tfvars") || name.ends_with(".auto.tfvars.json") {
                self.given_file(&join(&self.root, name), &mut given)?;
            }
        }
        for flag in &self.variables.given {
            match flag {
                Flag::File(file) => self.given_file(file, &mut given)?,
                Flag::Value(name, words) => {
                    given.insert(name.clone(), Given::Words { words: words.clone(), from: format!("--var {name}") });
                }
            }
        }
        let given = Rc::new(given);
        *self.given.borrow_mut() = Some(Rc::clone(&given));
        Ok(given)
    }

    fn given_file(&self, path: &str, given: &mut BTreeMap<String, Given>) -> Result<(), Fail> {
        let (number, file) = self.open_file(path)?;
        let text = &*file.text;
        if Path::new(path).extension().is_some_and(|ending| ending == "json") {
            let whole = Place { file: number, start: 0, end: 0 };
            let node = strict::parse(text).map_err(|error| Fail {
                at: Some(Place { start: error.span.start, end: error.span.end, ..whole }),
                ..Fail::fatal(format!("this is not JSON: {}", error.message))
            })?;
            let value = self.document(node, number)?;
            let pairs = self.pairs(&value).map_err(|_| Fail::fatal(format!("{path}: expected an object")))?;
            given.extend(
                pairs.into_iter().filter_map(|(key, value)| Some((key.scalar()?.to_string(), Given::Value(value)))),
            );
            return Ok(());
        }
        let whole = Place { file: number, start: 0, end: 0 };
        self.measure(text).map_err(|fail| Fail { at: Some(whole), ..fail })?;
        let mut body = parse_body(text)
            .map_err(|error| Fail::fatal(format!("{path}:{}: {}", error.location().line(), error.message())))?;
        heredoc::of_body(&mut body, text);
        for attribute in body.into_attributes() {
            let name = attribute.key.as_str().to_owned();
            given.insert(name, Given::Expression { expression: Rc::new(attribute.value), file: number });
        }
        Ok(())
    }
}
