//! Expressions. Each is evaluated when something asks for it; what is not known stays so with its reason.
//!
//! A stranger's expressions: every step counts against a budget, and steps within steps against a depth that the
//! reader's stack bears.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use hcl_edit::Span as _;
use hcl_edit::expr::{
    BinaryOp, BinaryOperator, Conditional, Expression, ForExpr, Object, ObjectKey, UnaryOp, UnaryOperator,
};
use hcl_edit::template::Element;

use super::super::target::Variables;
use super::equality::Kind;
use super::folders::Files;
use super::module::{Name, Scope};
use super::number;
use super::source::{File, Folder};
use super::value::{Data, Gap, Map, Place, Val};
use crate::ecs::cloudformation::Note;

/// How many steps one reading may take.
const MAX_STEPS: usize = 2_000_000;
/// How many bytes of text one reading may make.
const MAX_TEXT: usize = 64 << 20;
/// How deep steps may stand in one another.
const MAX_DEPTH: usize = 400;
/// How many `=` and `:` one text may have, and all together. The parser compares each key of an object with those
/// before it: 20 000 of them take it 1.5 s without optimisation.
const MAX_SIGNS: usize = 20_000;
const MAX_ALL_SIGNS: usize = 200_000;
/// How many modules may be called in all.
const MAX_MODULES: usize = 2048;

/// Why an expression has no value.
#[derive(Debug, Clone)]
pub(super) struct Fail {
    pub(super) message: String,
    /// Whether it ends the reading, rather than what was asked for.
    pub(super) fatal: bool,
    pub(super) at: Option<Place>,
}

impl Fail {
    pub(super) fn new(message: String) -> Self {
        Self { message, fatal: false, at: None }
    }

    pub(super) fn fatal(message: String) -> Self {
        Self { message, fatal: true, at: None }
    }
}

/// What evaluating gives.
pub(super) type Done = Result<Val, Fail>;

/// One reading of a root module.
pub(super) struct Evaluator<'a> {
    pub(super) disk: &'a dyn Files,
    pub(super) variables: &'a Variables,
    pub(super) files: RefCell<Vec<Rc<File>>>,
    pub(super) folders: RefCell<HashMap<String, Rc<Folder>>>,
    pub(super) given: RefCell<Option<Rc<BTreeMap<String, super::given::Given>>>>,
    pub(super) installed: RefCell<Option<Rc<HashMap<String, String>>>>,
    /// What may hold task definitions and is not read.
    pub(super) left_out: RefCell<Vec<Note>>,
    pub(super) root: String,
    steps: Cell<usize>,
    text: Cell<usize>,
    depth: Cell<usize>,
    /// Whether what fails within a value fails the whole of it.
    strict: Cell<bool>,
    modules: Cell<usize>,
    signs: Cell<usize>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(root: &str, disk: &'a dyn Files, variables: &'a Variables) -> Self {
        Self {
            disk,
            variables,
            files: RefCell::default(),
            folders: RefCell::default(),
            given: RefCell::default(),
            installed: RefCell::default(),
            left_out: RefCell::default(),
            root: root.to_owned(),
            steps: Cell::new(0),
            text: Cell::new(0),
            depth: Cell::new(0),
            strict: Cell::new(false),
            modules: Cell::new(0),
            signs: Cell::new(0),
        }
    }

    /// Counts work that was done.
    pub(super) fn spend(&self, steps: usize) -> Result<(), Fail> {
        self.steps.set(self.steps.get().saturating_add(steps));
        if self.steps.get() > MAX_STEPS {
            return Err(Fail::fatal(format!("evaluating this takes more than {MAX_STEPS} steps")));
        }
        Ok(())
    }

    /// Counts text that was made.
    pub(super) fn spend_text(&self, bytes: usize) -> Result<(), Fail> {
        self.text.set(self.text.get().saturating_add(bytes));
        if self.text.get() > MAX_TEXT {
            return Err(Fail::fatal(format!("evaluating this makes more than {} MiB of text", MAX_TEXT >> 20)));
        }
        Ok(())
    }

    /// Measures a text that is to be parsed.
    pub(super) fn measure(&self, text: &str) -> Result<(), Fail> {
        let signs = text.bytes().filter(|byte| matches!(byte, b'=' | b':')).count();
        self.signs.set(self.signs.get() + signs);
        if signs > MAX_SIGNS || self.signs.get() > MAX_ALL_SIGNS {
            return Err(Fail::fatal(format!(
                "more than {MAX_SIGNS} times = and : in one file, or {MAX_ALL_SIGNS} times in all"
            )));
        }
        Ok(())
    }

    pub(super) fn count_module(&self) -> Result<(), Fail> {
        self.modules.set(self.modules.get() + 1);
        if self.modules.get() > MAX_MODULES {
            return Err(Fail::fatal(format!("more than {MAX_MODULES} modules are called")));
        }
        Ok(())
    }

    pub(super) fn deeper<T>(&self, step: impl FnOnce() -> Result<T, Fail>) -> Result<T, Fail> {
        if self.depth.get() >= MAX_DEPTH {
            return Err(Fail::fatal(format!("expressions ask for one another more than {MAX_DEPTH} deep")));
        }
        self.depth.set(self.depth.get() + 1);
        let result = step();
        self.depth.set(self.depth.get() - 1);
        result
    }

    /// Does something while a failure within a value fails the whole of it, as it does for `try` and `can`; or no
    /// longer, for what was asked for by name.
    pub(super) fn strictly<T>(&self, strict: bool, work: impl FnOnce() -> T) -> T {
        let before = self.strict.replace(strict);
        let result = work();
        self.strict.set(before);
        result
    }

    /// The text of an expression as it stands.
    pub(super) fn written(&self, expression: &Expression, file: usize) -> String {
        let files = self.files.borrow();
        let text = files.get(file).zip(expression.span()).and_then(|(file, span)| file.text.get(span));
        text.map_or_else(|| expression.to_string(), ToOwned::to_owned).trim().to_owned()
    }

    /// A value that is not known since a part is not: the reason of the part, the expression of the whole.
    pub(super) fn open(&self, gap: &Rc<Gap>, expression: &Expression, scope: &Scope<'_>) -> Val {
        let gap = Gap {
            reason: gap.reason.clone(),
            expression: self.template_text(expression, scope),
            at: Self::place(expression, scope.file),
            of: gap.of.clone(),
        };
        Val::unknown(&Rc::new(gap))
    }

    /// The value of an expression; where it has none, a value that is not known for that reason (see
    /// [`Self::strictly`]).
    pub(super) fn settled(&self, expression: &Expression, scope: &Scope<'_>) -> Done {
        match self.eval(expression, scope) {
            Err(fail) if !fail.fatal && !self.strict.get() => {
                let at = Self::place(expression, scope.file);
                let gap = Gap {
                    reason: fail.message,
                    expression: self.template_text(expression, scope),
                    at,
                    of: Rc::default(),
                };
                Ok(Val::unknown(&Rc::new(gap)))
            }
            other => other,
        }
    }

    pub(super) fn eval(&self, expression: &Expression, scope: &Scope<'_>) -> Done {
        self.spend(1)?;
        let at = Self::place(expression, scope.file);
        let result = self.deeper(|| match expression {
            Expression::Null(_) => Ok(Val::at(Data::Null, at)),
            Expression::Bool(truth) => Ok(Val::at(Data::Bool(*truth.value()), at)),
            Expression::Number(number) => Ok(Val::at(Data::Number(number.value().as_f64().unwrap_or(0.0)), at)),
            Expression::String(text) => Ok(Val::at(Data::Text(text.as_str().into()), at)),
            Expression::Array(items) => {
                let items = items.iter().map(|item| self.settled(item, scope)).collect::<Result<Vec<_>, _>>()?;
                Ok(Val::written(Data::List(items.into()), at))
            }
            Expression::Object(object) => self.object(object, scope, at),
            Expression::StringTemplate(template) => {
                // A template of one interpolation is the value itself.
                if template.len() == 1
                    && let Some(Element::Interpolation(only)) = template.get(0)
                {
                    return self.eval(&only.expr, scope);
                }
                Ok(Val { at, ..self.template(template.iter(), scope, expression)? })
            }
            Expression::HeredocTemplate(heredoc) => {
                Ok(Val { at, ..self.template(heredoc.template.iter(), scope, expression)? })
            }
            Expression::Parenthesis(inner) => self.eval(inner.inner(), scope),
            Expression::Variable(name) => match scope.name(name.as_str()) {
                Some(value) => Ok(value.clone()),
                None => Err(Fail::new(format!("{} is not a value", name.as_str()))),
            },
            Expression::Conditional(conditional) => self.conditional(conditional, expression, scope),
            Expression::FuncCall(call) => self.call(call, expression, scope),
            Expression::Traversal(traversal) => self.traversal(traversal, expression, scope),
            Expression::UnaryOp(operation) => self.unary(operation, expression, scope),
            Expression::BinaryOp(operation) => self.binary(operation, expression, scope),
            Expression::ForExpr(each) => self.each(each, expression, scope),
        });
        result.map_err(|fail| Fail { at: fail.at.or(at), ..fail })
    }

    fn object(&self, object: &Object, scope: &Scope<'_>, at: Option<Place>) -> Done {
        let mut map = Map::default();
        for (key, value) in object {
            let key: Rc<str> = match key {
                ObjectKey::Ident(name) | ObjectKey::Expression(Expression::Variable(name)) => name.as_str().into(),
                ObjectKey::Expression(expression) => {
                    let key = self.eval(expression, scope)?;
                    match (key.scalar(), key.gap()) {
                        (Some(key), _) => key,
                        (None, Some(gap)) => {
                            map.rest = Some(Rc::clone(gap));
                            continue;
                        }
                        (None, None) => {
                            return Err(Fail::new(format!("a key: expected a string, found {}", key.kind())));
                        }
                    }
                }
            };
            map.members.insert(key, self.settled(value.expr(), scope)?);
        }
        Ok(Val::written(Data::Map(Rc::new(map)), at))
    }

    fn conditional(&self, conditional: &Conditional, expression: &Expression, scope: &Scope<'_>) -> Done {
        let condition = self.eval(&conditional.cond_expr, scope)?;
        if let Some(gap) = condition.gap() {
            // Where both ways lead to the same, the way does not matter.
            // Only one of them will be asked for.
            let [yes, no] = [&conditional.true_expr, &conditional.false_expr]
                .map(|way| self.strictly(false, || self.settled(way, scope)));
            let (yes, no) = (yes?, no?);
            if self.alike(&yes, &no)? {
                return Ok(yes.of_any_type());
            }
            let of = match (yes.gap(), no.gap()) {
                (Some(yes), Some(no)) => self.either(&yes.of, &no.of)?,
                (Some(way), None) | (None, Some(way)) => Rc::clone(&way.of),
                (None, None) => Rc::default(),
            };
            let gap = Gap { of, reason: gap.reason.clone(), expression: String::new(), at: None };
            let open = self.open(&Rc::new(gap), expression, scope);
            let lists = matches!((&yes.data, &no.data), (Data::List(_), Data::List(_)));
            return Ok(match open.gap() {
                // Elements of one of the two, or of both: nobody knows which.
                Some(gap) if lists => Val::at(Data::List([Val::new(Data::Rest(Rc::clone(gap)))].into()), open.at),
                _ => open,
            });
        }
        let Some(truth) = condition.truth() else {
            return Err(Fail::new(format!("a condition: expected true or false, found {}", condition.kind())));
        };
        let (way, other) = match (&conditional.true_expr, &conditional.false_expr) {
            (yes, no) if truth => (yes, no),
            (yes, no) => (no, yes),
        };
        let mut value = self.eval(way, scope)?;
        // The type is that of both ways.
        if value.may_become_text() {
            value = value.beside(&self.strictly(false, || self.settled(other, scope))?);
        }
        let mut value = value.of_any_type();
        value.sensitive |= condition.sensitive;
        if value.sensitive {
            value.written.get_or_insert_with(|| format!("${{{}}}", self.written(expression, scope.file)).into());
        }
        // On the way to the value stands what decided.
        for step in condition.steps() {
            value = value.through(step);
        }
        Ok(value)
    }

    /// The names of both, each once.
    fn either(&self, one: &Rc<[Rc<str>]>, other: &Rc<[Rc<str>]>) -> Result<Rc<[Rc<str>]>, Fail> {
        self.spend(one.len() + other.len())?;
        let mut known: BTreeSet<&Rc<str>> = one.iter().collect();
        let more: Vec<&Rc<str>> = other.iter().filter(|name| known.insert(*name)).collect();
        Ok(if more.is_empty() { Rc::clone(one) } else { one.iter().chain(more).cloned().collect() })
    }

    fn unary(&self, operation: &UnaryOp, expression: &Expression, scope: &Scope<'_>) -> Done {
        let value = self.eval(&operation.expr, scope)?;
        if let Some(gap) = value.gap() {
            return Ok(self.open(gap, expression, scope));
        }
        let at = Self::place(expression, scope.file);
        let data = match operation.operator.value() {
            UnaryOperator::Not => value.truth().map(|truth| Data::Bool(!truth)),
            UnaryOperator::Neg => value.number().map(|number| Data::Number(-number)),
        };
        match data {
            Some(data) => Ok(Val { data, at, ..value }),
            None => Err(Fail::new(format!("an operator does not fit {}", value.kind()))),
        }
    }

    fn binary(&self, operation: &BinaryOp, expression: &Expression, scope: &Scope<'_>) -> Done {
        use BinaryOperator as B;
        let left = self.eval(&operation.lhs_expr, scope)?;
        let operator = *operation.operator.value();
        // `&&` and `||` are settled by one side that decides, whatever the other is.
        let decides = match operator {
            B::And => Some(false),
            B::Or => Some(true),
            _ => None,
        };
        if decides.is_some() && left.truth() == decides {
            return Ok(left);
        }
        let right = self.eval(&operation.rhs_expr, scope)?;
        if decides.is_some() && right.truth() == decides {
            return Ok(right);
        }
        let at = Self::place(expression, scope.file);
        let sensitive = left.sensitive || right.sensitive;
        let how = left.how.clone().or_else(|| right.how.clone());
        let done = |data| Ok(Val { data, at, how, written: None, sensitive, kind: Kind::Open });
        if matches!(operator, B::Eq | B::NotEq) {
            return match self.equals(&left, &right)? {
                Ok(equal) => done(Data::Bool(equal == (operator == B::Eq))),
                Err(gap) => Ok(self.open(&gap, expression, scope)),
            };
        }
        if let Some(gap) = left.gap().or(right.gap()) {
            return Ok(self.open(gap, expression, scope));
        }
        let wrong = || Fail::new(format!("an operator does not fit {} and {}", left.kind(), right.kind()));
        if decides.is_some() {
            return match (left.truth(), right.truth()) {
                (Some(_), Some(right)) => done(Data::Bool(right)),
                _ => Err(wrong()),
            };
        }
        let (Some(a), Some(b)) = (left.number(), right.number()) else { return Err(wrong()) };
        if b == 0.0 && matches!(operator, B::Div | B::Mod) {
            return Err(Fail::new("a division by zero".into()));
        }
        let compares = matches!(operator, B::Less | B::LessEq | B::Greater | B::GreaterEq);
        let numbers = [a, b].map(|number| Val::new(Data::Number(number)));
        if compares && let Err(gap) = self.equals(&numbers[0], &numbers[1])? {
            return Ok(self.open(&gap, expression, scope));
        }
        done(match operator {
            B::Plus => Data::Number(number::sum(a, b)),
            B::Minus => Data::Number(number::sum(a, -b)),
            B::Mul => Data::Number(number::product(a, b)),
            B::Div => Data::Number(number::quotient(a, b)),
            B::Mod => Data::Number(number::remainder(a, b)),
            B::Less => Data::Bool(a < b),
            B::LessEq => Data::Bool(a <= b),
            B::Greater => Data::Bool(a > b),
            B::GreaterEq => Data::Bool(a >= b),
            B::Eq | B::NotEq | B::And | B::Or => return Err(wrong()),
        })
    }

    /// The keys and values of a collection; else the gap, where there is one.
    pub(super) fn pairs(&self, collection: &Val) -> Result<Vec<(Val, Val)>, Option<Rc<Gap>>> {
        match &collection.data {
            Data::List(items) => {
                if let Some(Data::Rest(gap)) = items.iter().map(|item| &item.data).find(|d| matches!(d, Data::Rest(_)))
                {
                    return Err(Some(Rc::clone(gap)));
                }
                let pair = |(index, item): (usize, &Val)| (collection.key(index, item), collection.part(item));
                Ok(items.iter().enumerate().map(pair).collect())
            }
            Data::Map(map) => {
                if let Some(gap) = &map.rest {
                    return Err(Some(Rc::clone(gap)));
                }
                let pair = |(key, value): (&Rc<str>, &Val)| (Val::text(Rc::clone(key)), collection.part(value));
                Ok(map.members.iter().map(pair).collect())
            }
            Data::Module(module) => {
                let names = module.folder.outputs.keys();
                let value = |name: &String| self.output(module, name).unwrap_or_else(|_| Val::null());
                Ok(names.map(|name| (Val::text(name.as_str()), value(name))).collect())
            }
            _ => Err(collection.gap().cloned()),
        }
    }

    fn each(&self, each: &ForExpr, expression: &Expression, scope: &Scope<'_>) -> Done {
        let at = Self::place(expression, scope.file);
        let collection = self.eval(&each.intro.collection_expr, scope)?;
        // What is known of an open collection is gone through, and the result is open.
        let mut rest = None;
        let pairs = match (&collection.data, self.pairs(&collection)) {
            (_, Ok(pairs)) => pairs,
            (Data::List(items), Err(Some(gap))) => {
                rest = Some(gap);
                let known = items.iter().filter(|item| !matches!(item.data, Data::Rest(_)));
                known.enumerate().map(|(at, item)| (collection.key(at, item), item.clone())).collect()
            }
            (Data::Map(map), Err(Some(gap))) => {
                rest = Some(gap);
                map.members.iter().map(|(key, value)| (Val::text(Rc::clone(key)), value.clone())).collect()
            }
            (_, Err(Some(gap))) => return Ok(self.open(&gap, expression, scope)),
            (_, Err(None)) => {
                return Err(Fail::new(format!("for: expected a list or a map, found {}", collection.kind())));
            }
        };
        let mut items = Vec::new();
        let mut groups: BTreeMap<Rc<str>, Vec<Val>> = BTreeMap::new();
        let mut map = Map::default();
        for (key, value) in pairs {
            self.spend(1)?;
            let outer = scope.names;
            let key_name = each.intro.key_var.as_ref().map(|name| Name { word: name.as_str(), value: key, outer });
            let outer = key_name.as_ref().or(outer);
            let value_name = Name { word: each.intro.value_var.as_str(), value, outer };
            let scope = scope.with(&value_name);
            if let Some(condition) = &each.cond {
                let holds = self.eval(&condition.expr, &scope)?;
                match (holds.truth(), holds.gap()) {
                    (Some(true), _) => {}
                    (Some(false), _) => continue,
                    // A member that may not be there is one that is not known; an element that may not be there, any
                    // number of elements.
                    (None, Some(_)) if each.key_expr.is_some() && value_name.value.gap().is_some() => {}
                    (None, Some(gap)) => {
                        rest = Some(Rc::clone(gap));
                        continue;
                    }
                    (None, None) => return Err(Fail::new("for … if: expected true or false".into())),
                }
            }
            let value = self.settled(&each.value_expr, &scope)?;
            let Some(key) = &each.key_expr else {
                items.push(value);
                continue;
            };
            let key = self.eval(key, &scope)?;
            match (key.scalar(), key.gap()) {
                (Some(key), _) if each.grouping => groups.entry(key).or_default().push(value),
                (Some(key), _) => {
                    map.members.insert(key, value);
                }
                (None, Some(gap)) => rest = Some(Rc::clone(gap)),
                (None, None) => return Err(Fail::new("for: expected a string as key".into())),
            }
        }
        if each.key_expr.is_none() {
            items.extend(rest.map(|gap| Val::new(Data::Rest(gap))));
            return Ok(Val { sensitive: collection.sensitive, ..Val::written(Data::List(items.into()), at) });
        }
        map.members.extend(groups.into_iter().map(|(key, values)| (key, Val::list(values))));
        map.rest = rest;
        Ok(Val { sensitive: collection.sensitive, ..Val::written(Data::Map(Rc::new(map)), at) })
    }
}
