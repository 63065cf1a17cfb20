//! What sources hold, one or several together, and what of it was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cloudformation::{Declarations, Note};
use super::target::{SelectError, Target, TargetOptions, select};
use super::task_definition::{Location, Stated, TaskDefinition};

/// What sources hold, before anything of it is chosen.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The task definitions, in the order of the sources.
    pub definitions: Vec<TaskDefinition>,
    /// The texts by file name, as [`Location`] names them.
    pub texts: BTreeMap<Arc<str>, Arc<str>>,
    /// What was not read, and what is so only under a condition.
    pub notes: Vec<Note>,
    /// The variables of Terraform's root modules: those that a flag may give.
    pub variables: BTreeSet<String>,
    /// The parameters of templates that no other nests: those that a flag may give.
    pub parameters: Declarations,
}

/// What was asked for of sources.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The targets that were asked for.
    pub targets: Vec<Target>,
    /// The texts by file name, as [`Location`] names them.
    pub sources: BTreeMap<Arc<str>, Arc<str>>,
    /// What was not read, what is so only under a condition, and what was said in vain.
    pub notes: Vec<Note>,
    /// The variables of Terraform's root modules.
    pub variables: BTreeSet<String>,
    /// The parameters of templates that no other nests.
    pub parameters: Declarations,
}

impl Sources {
    /// Adds what another source holds.
    pub fn add(&mut self, more: Self) {
        self.definitions.extend(more.definitions);
        self.texts.extend(more.texts);
        self.notes.extend(more.notes);
        self.variables.extend(more.variables);
        for (name, declarations) in more.parameters {
            self.parameters.entry(name).or_default().extend(declarations);
        }
    }

    /// What was asked for. A target, container, variable or parameter is refused that none of the sources has: its name
    /// may be misspelt, and then the verdict would be one on something else.
    ///
    /// # Errors
    /// The name that none of the sources has, and those that there are.
    pub fn select(self, options: &TargetOptions) -> Result<Loaded, SelectError> {
        let present = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        if let Some(wanted) = options.variables.names().find(|name| !self.variables.contains(*name)) {
            return Err(SelectError::NoVariable {
                wanted: wanted.into(),
                present: present(self.variables.iter().map(String::as_str).collect()),
            });
        }
        // Pseudo parameters are declared nowhere.
        let unknown = |name: &&String| !name.starts_with("AWS::") && !self.parameters.contains_key(*name);
        if let Some(wanted) = options.parameters.keys().find(unknown) {
            let present = present(self.parameters.keys().map(String::as_str).collect());
            return Err(SelectError::NoParameter { wanted: wanted.clone(), present });
        }
        let targets = select(self.definitions, options)?;
        let mut notes = self.notes;
        notes.extend(in_vain(&targets, options));
        let (variables, parameters) = (self.variables, self.parameters);
        Ok(Loaded { targets, sources: self.texts, notes, variables, parameters })
    }
}

/// What was said beside the sources and changes nothing, since they state otherwise.
fn in_vain(targets: &[Target], options: &TargetOptions) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some(said) = options.architecture {
        let stated = targets.iter().filter_map(|target| match &target.definition.architecture {
            Stated::Known { value, at, .. } if *value != said => Some((value.to_string(), at)),
            _ => None,
        });
        notes.extend(vain(&format!("--architecture {said}"), stated));
    }
    if let Some(said) = options.launch_type {
        let stated = targets.iter().filter_map(|target| match &target.definition.launch_types {
            Stated::Known { value, at, .. }
                if !value.is_empty()
                    && !value.contains(&said)
                    && !target.definition.compatibilities.contains(&said) =>
            {
                let words: Vec<String> = value.iter().map(ToString::to_string).collect();
                Some((words.join(" and "), at))
            }
            _ => None,
        });
        notes.extend(vain(&format!("--launch-type {said}"), stated));
    }
    notes
}

/// One note, at the first place that states otherwise.
fn vain<'t>(said: &str, mut stated: impl Iterator<Item = (String, &'t Location)>) -> Option<Note> {
    let (value, at) = stated.next()?;
    let others = match stated.count() {
        0 => String::new(),
        1 => ", nor what another target states".into(),
        more => format!(", nor what {more} other targets state"),
    };
    Some(Note {
        message: format!("{said} does not change {value}, which is stated here{others}"),
        location: at.clone(),
    })
}
