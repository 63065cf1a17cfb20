//! What services and task sets say of the task definitions that they run.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::service::{NEITHER, both};
use super::super::task_definition::{LaunchType, Location, Stated, TaskDefinition};
use super::clusters::{Clusters, Declared, launch_types};
use super::evaluate::{Evaluator, Fail};
use super::module::{Module, Scope};
use super::source::Stands;
use super::value::{Data, Piece, Val};

const TASK: &str = "aws_ecs_task_definition.";

/// What is said of task definitions, by their addresses or families.
#[derive(Default)]
pub(super) struct Services(BTreeMap<Rc<str>, Stated<Vec<LaunchType>>>);

impl Services {
    /// What is said of one. An address without a key stands for all instances.
    pub(super) fn of(&self, task: &TaskDefinition) -> Stated<Vec<LaunchType>> {
        let name = task.id.rfind(TASK).map_or(0, |at| at + TASK.len());
        let all = task.id[name..].find('[').map(|key| &task.id[..name + key]);
        let names = [Some(task.id.as_str()), all, task.family.value().map(String::as_str)];
        let said = names.into_iter().flatten().filter_map(|name| self.0.get(name).cloned());
        said.fold(Stated::Unset, both)
    }

    fn add(&mut self, name: Rc<str>, said: &Stated<Vec<LaunchType>>) {
        let before = self.0.remove(&name).unwrap_or(Stated::Unset);
        self.0.insert(name, both(before, said.clone()));
    }
}

impl Evaluator<'_> {
    /// Adds what a service says, each instance that it has.
    pub(super) fn service(
        &self,
        declared: &Declared,
        clusters: &Clusters,
        services: &mut Services,
    ) -> Result<(), Fail> {
        let Declared { module, stands } = declared;
        let Some(wanted) = stands.attribute("task_definition") else { return Ok(()) };
        let at = self.heading(stands);
        let instances = self.instances(stands, &Scope { module, file: stands.file, names: None, given: None })?;
        for key in instances.all() {
            let service = format!("{}{}", declared.address(), key.suffix());
            key.bind(|names| {
                let scope = Scope { module, file: stands.file, names, given: None };
                let value = self.settled(wanted, &scope)?;
                let mut names = self.runs(&value)?;
                if names.is_empty() && value.gap().is_some() {
                    names = mentioned(&self.written(wanted, stands.file), module);
                }
                let mut said = self.said(stands, &scope, &service, &at, clusters)?;
                if let ([_, _, ..], Some(gap)) = (names.as_slice(), value.gap()) {
                    let reason = format!("which task definition {service} runs is not known: {}", gap.reason);
                    said = Stated::Unresolved { reason, at: at.clone() };
                }
                for name in names {
                    self.spend(1)?;
                    services.add(name, &said);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Where a service runs its tasks.
    fn said(
        &self,
        stands: &Stands,
        scope: &Scope<'_>,
        service: &str,
        at: &Location,
        clusters: &Clusters,
    ) -> Result<Stated<Vec<LaunchType>>, Fail> {
        let named = stands.attribute("launch_type").map(|expression| self.settled(expression, scope)).transpose()?;
        let named = named.filter(|value| !value.is_null());
        let named = named.map(|value| word(&value, service, "launch_type").and_then(|word| kind(&word, service)));
        let providers = self.strategy(stands, "capacity_provider_strategy", scope, service, clusters)?;
        let kinds: Vec<_> = named.into_iter().chain(providers).collect();
        if !kinds.is_empty() {
            return Ok(launch_types(kinds, at, service));
        }
        let open = || Stated::Unresolved { reason: format!("{service} {NEITHER}"), at: at.clone() };
        Ok(self.by_cluster(stands, scope, clusters)?.unwrap_or_else(open))
    }

    /// The task definitions that a value names: by the resources that it is made from, else by the family in it, as in
    /// `app:3` or an ARN.
    pub(super) fn runs(&self, value: &Val) -> Result<Vec<Rc<str>>, Fail> {
        let family = |text: &str, more: bool| {
            let name = text.split_once(":task-definition/").map_or(text, |(_, name)| name);
            let name = match name.split_once(':') {
                Some((name, _)) => Some(name),
                // What follows may be the rest of the name.
                None if more => None,
                None => Some(name),
            };
            name.filter(|name| !name.is_empty()).map(Rc::from).into_iter().collect()
        };
        // A family has no dot; clusters may be among what a value stands for.
        let is_task = |name: &&Rc<str>| name.contains(TASK) || !name.contains('.');
        Ok(match &value.data {
            Data::Unknown(gap) => gap.of.iter().filter(is_task).cloned().collect(),
            Data::Text(text) => family(text, false),
            Data::Holes(pieces) => {
                let mut seen = BTreeSet::new();
                let mut names: Vec<Rc<str>> = Vec::new();
                for piece in pieces.iter() {
                    if let Piece::Hole(gap) = piece {
                        self.spend(gap.of.len())?;
                        let tasks = gap.of.iter().filter(is_task);
                        names.extend(tasks.filter(|name| seen.insert(Rc::clone(name))).cloned());
                    }
                }
                match pieces.first() {
                    Some(Piece::Known(text)) if names.is_empty() => family(text, true),
                    _ => names,
                }
            }
            _ => Vec::new(),
        })
    }
}

fn kind(word: &str, service: &str) -> Result<LaunchType, String> {
    word.parse().map_err(|error| format!("launch_type of {service}: {error}"))
}

pub(super) fn word(value: &Val, service: &str, argument: &str) -> Result<Rc<str>, String> {
    match (value.scalar(), value.gap()) {
        (Some(_), _) if value.sensitive => Err(format!("{argument} of {service} is sensitive")),
        (Some(word), _) => Ok(word),
        (None, Some(gap)) => Err(format!("{argument} of {service}: {}", gap.reason)),
        (None, None) => Err(format!("{argument} of {service}: expected a string, found {}", value.kind())),
    }
}

/// The task definitions of a module that an expression mentions.
fn mentioned(expression: &str, module: &Module) -> Vec<Rc<str>> {
    let mut names: Vec<Rc<str>> = Vec::new();
    for after in expression.split(TASK).skip(1) {
        let end = after.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').unwrap_or(after.len());
        let name: Rc<str> = module.within(&format!("{TASK}{}", &after[..end])).into();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
