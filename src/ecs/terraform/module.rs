//! A module as it is called: its variables, locals, outputs and calls, each evaluated once and when asked for.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;

use super::evaluate::{Done, Evaluator, Fail};
use super::instances::{Instances, Key};
use super::source::{Folder, Stands};
use super::types;
use super::value::{Data, Gap, Place, Val};

/// How deep modules may call one another.
const MAX_CALLS: usize = 24;

/// A module with the arguments of its call. The root has none: its variables come from outside.
pub(super) struct Module {
    pub(super) folder: Rc<Folder>,
    /// `module.a["k"].module.b`, empty for the root.
    pub(super) address: String,
    pub(super) call: Option<Call>,
    pub(super) depth: usize,
    slots: RefCell<HashMap<String, Slot>>,
    children: RefCell<HashMap<String, Rc<Called>>>,
}

/// Where a module is called.
pub(super) struct Call {
    pub(super) parent: Rc<Module>,
    pub(super) stands: Stands,
    pub(super) key: Key,
}

/// The instances of a call, or why there are none on disk.
pub(super) enum Called {
    Instances(Instances<Rc<Module>>),
    Absent(Rc<Gap>),
}

enum Slot {
    Busy,
    Done(Result<Val, Fail>),
}

/// What a name means where an expression stands.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    pub(super) module: &'a Rc<Module>,
    pub(super) file: usize,
    pub(super) names: Option<&'a Name<'a>>,
    /// In a template file only the names that it was given mean something.
    pub(super) given: Option<&'a BTreeMap<Rc<str>, Val>>,
}

/// A name of a `for`, `each`, `count`, or the iterator of a dynamic block.
pub(super) struct Name<'a> {
    pub(super) word: &'a str,
    pub(super) value: Val,
    pub(super) outer: Option<&'a Name<'a>>,
}

impl<'a> Scope<'a> {
    pub(super) fn name(&self, wanted: &str) -> Option<&'a Val> {
        let named = std::iter::successors(self.names, |name| name.outer).find(|name| name.word == wanted);
        named.map(|name| &name.value).or_else(|| self.given?.get(wanted))
    }

    pub(super) fn with<'b>(&self, name: &'b Name<'b>) -> Scope<'b>
    where
        'a: 'b,
    {
        Scope { module: self.module, file: self.file, names: Some(name), given: self.given }
    }
}

impl Module {
    pub(super) fn new(folder: Rc<Folder>, address: String, call: Option<Call>) -> Rc<Self> {
        let depth = call.as_ref().map_or(0, |call| call.parent.depth + 1);
        let (slots, children) = (RefCell::default(), RefCell::default());
        Rc::new(Self { folder, address, call, depth, slots, children })
    }

    /// `module.a.` before the name of something in it.
    pub(super) fn within(&self, name: &str) -> String {
        if self.address.is_empty() { name.to_owned() } else { format!("{}.{name}", self.address) }
    }

    fn scope(self: &Rc<Self>, file: usize) -> Scope<'_> {
        Scope { module: self, file, names: None, given: None }
    }
}

impl Evaluator<'_> {
    /// Evaluates once; what asks for itself on the way is refused.
    fn once(&self, module: &Rc<Module>, name: &str, make: impl FnOnce() -> Result<Val, Fail>) -> Result<Val, Fail> {
        match module.slots.borrow().get(name) {
            Some(Slot::Done(result)) => return result.clone(),
            Some(Slot::Busy) => return Err(Fail::new(format!("{} asks for itself", module.within(name)))),
            None => {}
        }
        module.slots.borrow_mut().insert(name.to_owned(), Slot::Busy);
        let result = self.strictly(false, || self.deeper(make));
        module.slots.borrow_mut().insert(name.to_owned(), Slot::Done(result.clone()));
        result
    }

    pub(super) fn local(&self, module: &Rc<Module>, name: &str) -> Done {
        let Some((file, expression)) = module.folder.locals.get(name) else {
            return Err(Fail::new(format!("local.{name} is not declared")));
        };
        self.once(module, &format!("local.{name}"), || self.eval(expression, &module.scope(*file)))
    }

    pub(super) fn variable(&self, module: &Rc<Module>, name: &str) -> Done {
        let Some(stands) = module.folder.variables.get(name) else {
            return Err(Fail::new(format!("var.{name} is not declared")));
        };
        self.once(module, &format!("var.{name}"), || {
            let mut value = self.argument(module, name, stands)?;
            let word = |name: &str| match stands.attribute(name) {
                Some(Expression::Bool(truth)) => Some(*truth.value()),
                _ => None,
            };
            if value.is_null() && (word("nullable") == Some(false)) && stands.attribute("default").is_some() {
                value = self.default(module, name, stands)?;
            }
            if let Some(constraint) = stands.attribute("type") {
                value = types::convert(self, constraint, value, &module.scope(stands.file), &format!("var.{name}"), 0)?;
            }
            if word("sensitive") == Some(true) {
                value.sensitive = true;
                value.written.get_or_insert_with(|| format!("${{var.{name}}}").into());
            }
            Ok(value)
        })
    }

    fn default(&self, module: &Rc<Module>, name: &str, stands: &Stands) -> Done {
        if let Some(default) = stands.attribute("default") {
            let value = self.eval(default, &module.scope(stands.file))?;
            return Ok(value.through(format!("the default of var.{name}")));
        }
        let reason = if module.call.is_some() {
            format!("{} does not pass {name}, and it has no default", module.address)
        } else {
            format!("var.{name} has no default: pass --var {name}=…")
        };
        let gap = Gap { reason, expression: format!("${{var.{name}}}"), at: stands.place(), of: Rc::default() };
        Ok(Val::unknown(&Rc::new(gap)))
    }

    /// The value that the call or the outside gives a variable, before its type is looked at.
    fn argument(&self, module: &Rc<Module>, name: &str, stands: &Stands) -> Done {
        let Some(call) = &module.call else {
            return match self.given(module, name, stands)? {
                Some(value) => Ok(value),
                None => self.default(module, name, stands),
            };
        };
        let Some(expression) = call.stands.attribute(name) else { return self.default(module, name, stands) };
        let value = call.key.bind(|names| {
            let scope = Scope { module: &call.parent, file: call.stands.file, names, given: None };
            self.eval(expression, &scope)
        })?;
        Ok(value.through(format!("passed by {} as var.{name}", module.address)))
    }

    pub(super) fn output(&self, module: &Rc<Module>, name: &str) -> Done {
        let Some(stands) = module.folder.outputs.get(name) else {
            return Err(Fail::new(format!("{} has no output {name}", module.address)));
        };
        let Some(value) = stands.attribute("value") else {
            return Err(Fail::new(format!("output.{name} has no value")));
        };
        self.once(module, &format!("output.{name}"), || {
            let mut result = self.eval(value, &module.scope(stands.file))?;
            if matches!(stands.attribute("sensitive"), Some(Expression::Bool(truth)) if *truth.value()) {
                result.sensitive = true;
                result.written.get_or_insert_with(|| format!("${{{}.{name}}}", module.address).into());
            }
            Ok(result)
        })
    }

    /// The instances of a module that is called here.
    pub(super) fn called(&self, module: &Rc<Module>, name: &str) -> Result<Rc<Called>, Fail> {
        if let Some(called) = module.children.borrow().get(name) {
            return Ok(Rc::clone(called));
        }
        let Some(stands) = module.folder.modules.get(name) else {
            return Err(Fail::new(format!("module.{name} is not declared")));
        };
        if module.depth >= MAX_CALLS {
            return Err(Fail::fatal(format!(
                "{}: modules call one another more than {MAX_CALLS} deep",
                module.address
            )));
        }
        let scope = module.scope(stands.file);
        let source = match stands.attribute("source") {
            Some(source) => self.settled(source, &scope)?.scalar(),
            None => None,
        };
        let address = module.within(&format!("module.{name}"));
        let absent = |reason: String| {
            let at = stands.attribute("source").and_then(hcl_edit::Span::span);
            let at = at.map(|span| Place { file: stands.file, start: span.start, end: span.end });
            Called::Absent(Rc::new(Gap { reason, expression: format!("${{module.{name}}}"), at, of: Rc::default() }))
        };
        let called = match self.module_folder(module, name, source.as_deref())? {
            Err(reason) => absent(format!("{address} {reason}")),
            Ok(folder) => {
                let instances = self.instances(stands, &scope)?;
                Called::Instances(instances.map(|key| {
                    let call = Call { parent: Rc::clone(module), stands: stands.clone(), key: key.clone() };
                    self.count_module()?;
                    Ok(Module::new(Rc::clone(&folder), format!("{address}{}", key.suffix()), Some(call)))
                })?)
            }
        };
        let called = Rc::new(called);
        module.children.borrow_mut().insert(name.to_owned(), Rc::clone(&called));
        Ok(called)
    }

    /// `module.a` as a value.
    pub(super) fn module_value(&self, module: &Rc<Module>, name: &str, at: Option<Place>) -> Done {
        match &*self.called(module, name)? {
            Called::Absent(gap) => Ok(Val::unknown(gap)),
            Called::Instances(instances) => Ok(instances.value(|module| Val::at(Data::Module(Rc::clone(module)), at))),
        }
    }

    /// The place of an expression.
    pub(super) fn place(expression: &Expression, file: usize) -> Option<Place> {
        expression.span().map(|span| Place { file, start: span.start, end: span.end })
    }
}
