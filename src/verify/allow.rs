//! What the user allows, and whether it was of use.

use std::cell::Cell;

use crate::ecs::pattern::Pattern;

use super::finding::{Finding, Rule, Severity};

/// A rule that is allowed to find something, everywhere or at some paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// The rule.
    pub rule: Rule,
    /// The paths; without it, all findings of the rule.
    pub path: Option<Pattern>,
}

/// The allowed findings are taken out; each allow remembers whether it took any.
pub(super) struct Allowed<'a> {
    list: &'a [Allow],
    used: Vec<Cell<bool>>,
}

impl<'a> Allowed<'a> {
    pub(super) fn new(list: &'a [Allow]) -> Self {
        Self { list, used: vec![Cell::new(false); list.len()] }
    }

    /// Whether such a finding is allowed. All that allow it count as used.
    pub(super) fn covers(&self, rule: Rule, path: Option<&str>) -> bool {
        let mut covered = false;
        for (allow, used) in self.list.iter().zip(&self.used) {
            let matches = match (&allow.path, path) {
                (None, _) => true,
                (Some(pattern), Some(path)) => pattern.matches(path),
                (Some(_), None) => false,
            };
            if allow.rule == rule && matches {
                used.set(true);
                covered = true;
            }
        }
        covered
    }

    pub(super) fn filter(&self, findings: Vec<Finding>) -> Vec<Finding> {
        findings.into_iter().filter(|finding| !self.covers(finding.rule, finding.path.as_deref())).collect()
    }

    /// A note for each that took none.
    pub(super) fn unused(&self) -> Vec<Finding> {
        let idle = self.list.iter().zip(&self.used).filter(|(_, used)| !used.get()).map(|(allow, _)| allow);
        idle.map(|allow| {
            let what = match &allow.path {
                Some(path) => format!("{}={path}", allow.rule),
                None => allow.rule.to_string(),
            };
            Finding::new(Rule::AllowUnused, Severity::Note, format!("allow {what} allowed nothing")).help("remove it")
        })
        .collect()
    }
}
