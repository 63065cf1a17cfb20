//! References: what a traversal starts from, and its steps into values.

use std::rc::Rc;

use hcl_edit::Decorated;
use hcl_edit::expr::{Expression, Traversal, TraversalOperator};

use super::evaluate::{Done, Evaluator, Fail};
use super::module::Scope;
use super::value::{Data, Gap, Place, Val, whole};

impl Evaluator<'_> {
    pub(super) fn traversal(&self, traversal: &Traversal, expression: &Expression, scope: &Scope<'_>) -> Done {
        let operators: Vec<&TraversalOperator> = traversal.operators.iter().map(Decorated::value).collect();
        let (value, used) = self.head(traversal, &operators, expression, scope)?;
        self.follow(value, operators.get(used..).unwrap_or_default(), expression, scope)
    }

    /// Goes on from a value. `[*]` takes all that follows into its elements, `.*` the attributes and stops at what is
    /// in brackets (HCL native syntax "Splat Operators").
    fn follow(
        &self,
        mut value: Val,
        mut rest: &[&TraversalOperator],
        expression: &Expression,
        scope: &Scope<'_>,
    ) -> Done {
        while let [operator, after @ ..] = rest {
            self.spend(1)?;
            if let Some(gap) = value.gap() {
                return Ok(self.beyond(gap, rest, expression, scope));
            }
            (value, rest) = match operator {
                TraversalOperator::FullSplat(_) => (self.splat(&value, after, expression, scope)?, &[][..]),
                TraversalOperator::AttrSplat(_) => {
                    let attributes = after.iter().take_while(|operator| {
                        matches!(operator, TraversalOperator::GetAttr(_) | TraversalOperator::LegacyIndex(_))
                    });
                    let (each, further) = after.split_at(attributes.count());
                    (self.splat(&value, each, expression, scope)?, further)
                }
                operator => (self.step(&value, operator, expression, scope)?, after),
            };
        }
        Ok(value)
    }

    /// What stands beyond a gap is not known for the same reason. Beyond `${var.a}` stands `${var.a.b}`, by whatever
    /// local it was reached; beyond what is not a mere reference, the expression is what stands here.
    fn beyond(&self, gap: &Rc<Gap>, rest: &[&TraversalOperator], expression: &Expression, scope: &Scope<'_>) -> Val {
        let mut tail = String::new();
        for operator in rest {
            match operator {
                TraversalOperator::GetAttr(name) => tail.extend([".", name.as_str()]),
                _ => return self.open(gap, expression, scope),
            }
        }
        match gap.reference() {
            Some(inner) => {
                let expression = format!("${{{inner}{tail}}}");
                Val::unknown(&Rc::new(Gap { reason: gap.reason.clone(), expression, at: gap.at, of: gap.of.clone() }))
            }
            None => self.open(gap, expression, scope),
        }
    }

    pub(super) fn step(
        &self,
        value: &Val,
        operator: &TraversalOperator,
        expression: &Expression,
        scope: &Scope<'_>,
    ) -> Done {
        let at = Self::place(expression, scope.file);
        match operator {
            TraversalOperator::GetAttr(name) => self.member(value, name.as_str(), at),
            TraversalOperator::LegacyIndex(index) => element(value, usize::try_from(*index.value()).ok()),
            TraversalOperator::Index(index) => {
                let index = self.eval(index, scope)?;
                if let Some(gap) = index.gap() {
                    return Ok(self.open(gap, expression, scope));
                }
                match (&value.data, index.scalar(), index.number()) {
                    (Data::List(_), _, Some(number)) => element(value, whole(number)),
                    (_, Some(name), _) => self.member(value, &name, at),
                    _ => Err(Fail::new(format!("an index: expected a number or a string, found {}", index.kind()))),
                }
            }
            TraversalOperator::AttrSplat(_) | TraversalOperator::FullSplat(_) => Err(Fail::new("a splat".into())),
        }
    }

    pub(super) fn member(&self, value: &Val, name: &str, at: Option<Place>) -> Done {
        match &value.data {
            Data::Map(map) => match (map.members.get(name), &map.rest) {
                (Some(member), _) => Ok(value.part(member)),
                (None, Some(gap)) => Ok(Val::unknown(gap)),
                (None, None) => Err(Fail::new(format!("this object has no attribute {name:?}"))),
            },
            Data::Module(module) => self.output(module, name),
            Data::Resource(resource) => self.resource_attribute(resource, name, at),
            Data::List(_) if name.parse::<usize>().is_ok() => element(value, name.parse().ok()),
            _ => match value.gap() {
                Some(gap) => Ok(Val::unknown(gap)),
                None => Err(Fail::new(format!("{} has no attribute {name:?}", value.kind()))),
            },
        }
    }

    /// What each element comes to; nothing of null, and of what is no list that itself.
    fn splat(&self, value: &Val, each: &[&TraversalOperator], expression: &Expression, scope: &Scope<'_>) -> Done {
        let items: Vec<Val> = match &value.data {
            Data::List(items) => items.to_vec(),
            Data::Null => Vec::new(),
            _ => vec![value.clone()],
        };
        let mut result = Vec::new();
        for item in items {
            self.spend(1)?;
            if matches!(item.data, Data::Rest(_)) {
                result.push(item);
                continue;
            }
            result.push(self.deeper(|| self.follow(value.part(&item), each, expression, scope))?);
        }
        Ok(Val::at(Data::List(result.into()), Self::place(expression, scope.file)))
    }

    /// What a traversal starts from, and how many of its operators name it.
    fn head(
        &self,
        traversal: &Traversal,
        operators: &[&TraversalOperator],
        expression: &Expression,
        scope: &Scope<'_>,
    ) -> Result<(Val, usize), Fail> {
        let Expression::Variable(root) = &traversal.expr else { return Ok((self.eval(&traversal.expr, scope)?, 0)) };
        let root = root.as_str();
        if let Some(value) = scope.name(root) {
            return Ok((value.clone(), 0));
        }
        let at = Self::place(expression, scope.file);
        let attribute = |index: usize| match operators.get(index) {
            Some(TraversalOperator::GetAttr(name)) => Some(name.as_str()),
            _ => None,
        };
        if scope.given.is_some() {
            return Err(Fail::new(format!("{root} is not among the values that this template was given")));
        }
        let unknown = |reason: &str| {
            let expression = self.template_text(expression, scope);
            let gap = Gap { reason: reason.into(), expression, at, of: Rc::default() };
            Ok((Val::unknown(&Rc::new(gap)), operators.len()))
        };
        match (root, attribute(0), attribute(1)) {
            ("var", Some(name), _) => Ok((self.variable(scope.module, name)?, 1)),
            ("local", Some(name), _) => Ok((self.local(scope.module, name)?, 1)),
            ("module", Some(name), _) => Ok((self.module_value(scope.module, name, at)?, 1)),
            ("path", Some("module"), _) => Ok((Val::at(Data::Text(scope.module.folder.path.as_str().into()), at), 1)),
            // Terraform runs in the root module's folder, unless someone says otherwise.
            ("path", Some("cwd"), _) => match self.disk.absolute(&self.root) {
                Some(path) => Ok((Val::at(Data::Text(path.into()), at), 1)),
                None => unknown("the folder in which Terraform runs is not known"),
            },
            ("path", Some("root"), _) => Ok((Val::at(Data::Text(self.root.as_str().into()), at), 1)),
            ("terraform", Some("workspace"), _) => {
                unknown("the workspace is not in the files: a plan has it (`terraform show -json`)")
            }
            ("data", Some(kind), Some(name)) => {
                Ok((self.resource_value(scope.module, &format!("data.{kind}"), name, at)?, 2))
            }
            ("each" | "count" | "self" | "terraform" | "path", ..) => unknown(&format!("{root} means nothing here")),
            (kind, Some(name), _) => Ok((self.resource_value(scope.module, kind, name, at)?, 1)),
            _ => Err(Fail::new(format!("{root} is not a value"))),
        }
    }
}

fn element(value: &Val, index: Option<usize>) -> Done {
    let Data::List(items) = &value.data else {
        return match value.gap() {
            Some(gap) => Ok(Val::unknown(gap)),
            None => Err(Fail::new(format!("{} has no elements by number", value.kind()))),
        };
    };
    let Some(index) = index else { return Err(Fail::new("an index: expected a whole number".into())) };
    let rest = items.iter().position(|item| matches!(item.data, Data::Rest(_)));
    match (items.get(index), rest) {
        (_, Some(rest)) if rest <= index => Ok(items[rest].gap().map_or_else(Val::null, Val::unknown)),
        (Some(item), _) => Ok(value.part(item)),
        (None, _) => Err(Fail::new(format!("a list of {} has no element {index}", items.len()))),
    }
}
