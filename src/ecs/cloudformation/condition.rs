//! Conditions: true, false, or open because something that they hang on is not known.

use super::call::{Call, text};
use super::evaluate::{Evaluator, Scope, TOO_MUCH, VALUE, same};
use crate::ecs::node::{Node, Value as Written};
use crate::ecs::value::Data;

/// What a condition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    /// Not decided, and why.
    Open(String),
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }
}

impl<'a> Evaluator<'a> {
    /// A condition by its name.
    pub(super) fn condition(&self, name: &str, scope: Scope<'_>) -> Truth {
        let Some((&name, &node)) = self.conditions.get_key_value(name) else {
            return Truth::Open(format!("the template has no condition {name:?}"));
        };
        match self.decided.borrow().get(name) {
            Some(Some(truth)) => return truth.clone(),
            Some(None) => return Truth::Open(format!("condition {name} hangs on itself")),
            None => {}
        }
        self.decided.borrow_mut().insert(name, None);
        let truth = self.truth(node, scope);
        self.decided.borrow_mut().insert(name, Some(truth.clone()));
        truth
    }

    /// What a function of conditions says.
    pub(super) fn truth(&self, node: &'a Node, scope: Scope<'_>) -> Truth {
        let Some(scope) = scope.deeper() else { return Truth::Open("its conditions are nested too deep".into()) };
        if !self.budget.spend(VALUE) {
            return Truth::Open(TOO_MUCH.into());
        }
        if let Written::Object(members) = &node.value
            && let [only] = members.as_slice()
            && only.key == "Condition"
        {
            return self.condition(text(&only.value).unwrap_or_default(), scope);
        }
        let Some(call) = Call::of(node) else { return self.plain(node, scope) };
        match call.name {
            "Condition" => self.condition(call.text().unwrap_or_default(), scope),
            "Not" => match call.arguments() {
                [one] => match self.truth(one, scope) {
                    Truth::True => Truth::False,
                    Truth::False => Truth::True,
                    open @ Truth::Open(_) => open,
                },
                _ => Truth::Open("Fn::Not takes one condition".into()),
            },
            "And" => self.all(call.arguments(), scope, &Truth::False),
            "Or" => self.all(call.arguments(), scope, &Truth::True),
            "Equals" => self.equals(call, scope),
            _ => self.plain(node, scope),
        }
    }

    /// One that is `decisive` decides; else one that is open leaves it open.
    fn all(&self, conditions: &'a [Node], scope: Scope<'_>, decisive: &Truth) -> Truth {
        let mut open = None;
        for condition in conditions {
            match self.truth(condition, scope) {
                truth if truth == *decisive => return truth,
                Truth::Open(reason) => open = open.or(Some(Truth::Open(reason))),
                Truth::True | Truth::False => {}
            }
        }
        open.unwrap_or_else(|| Truth::from(*decisive == Truth::False))
    }

    fn equals(&self, call: Call<'a>, scope: Scope<'_>) -> Truth {
        let [one, other] = call.arguments() else { return Truth::Open("Fn::Equals takes two values".into()) };
        let (Some(one), Some(other)) = (self.value(one, scope), self.value(other, scope)) else {
            return Truth::Open("Fn::Equals takes no AWS::NoValue".into());
        };
        match (&one.data, &other.data) {
            (Data::Unknown { reason, .. }, _) | (_, Data::Unknown { reason, .. }) => Truth::Open(reason.clone()),
            (one, other) => Truth::from(same(one, other)),
        }
    }

    /// A value in the place of a condition: only a boolean is one.
    fn plain(&self, node: &'a Node, scope: Scope<'_>) -> Truth {
        match &node.value {
            Written::Bool(truth) => Truth::from(*truth),
            Written::String(word) if word == "true" || word == "false" => Truth::from(word == "true"),
            Written::Tagged(..) | Written::Object(_) => match self.value(node, scope).map(|value| value.data) {
                Some(Data::Bool(truth)) => Truth::from(truth),
                Some(Data::String(word)) if word == "true" || word == "false" => Truth::from(word == "true"),
                Some(Data::Unknown { reason, .. }) => Truth::Open(reason),
                _ => Truth::Open("what stands there is no condition".into()),
            },
            _ => Truth::Open("what stands there is no condition".into()),
        }
    }
}
