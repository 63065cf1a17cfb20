//! A resource or data source as a value: what its block says, and nothing of what AWS will say.

use std::rc::Rc;

use super::clusters::{CLUSTER, PROVIDER};
use super::evaluate::{Done, Evaluator, Fail};
use super::instances::Key;
use super::module::{Module, Scope};
use super::source::Stands;
use super::value::{Data, Gap, Place, Val};

/// One instance of a resource.
pub(super) struct Resource {
    pub(super) module: Rc<Module>,
    pub(super) stands: Stands,
    pub(super) key: Key,
    /// `aws_ecr_repository.app[0]`
    pub(super) address: String,
}

impl Evaluator<'_> {
    /// `aws_ecr_repository.app` as a value.
    pub(super) fn resource_value(&self, module: &Rc<Module>, kind: &str, name: &str, at: Option<Place>) -> Done {
        let Some(stands) = module.folder.resources.get(&(kind.to_owned(), name.to_owned())) else {
            return Err(Fail::new(format!("{kind}.{name} is not declared")));
        };
        let scope = Scope { module, file: stands.file, names: None, given: None };
        let instances = self.deeper(|| self.instances(stands, &scope))?;
        let resources = instances.map(|key| {
            let address = format!("{kind}.{name}{}", key.suffix());
            Ok(Resource { module: Rc::clone(module), stands: stands.clone(), key, address })
        })?;
        Ok(resources.value(|one| {
            let one = Resource {
                module: Rc::clone(&one.module),
                stands: one.stands.clone(),
                key: one.key.clone(),
                address: one.address.clone(),
            };
            Val::at(Data::Resource(Rc::new(one)), at)
        }))
    }

    /// An attribute of a resource: as it is configured, unless that says no more than how it was made; else known only
    /// after `terraform apply`.
    pub(super) fn resource_attribute(&self, resource: &Resource, name: &str, at: Option<Place>) -> Done {
        let kind = resource.stands.block.labels.first().map_or("", |label| label.as_str());
        let data = resource.stands.block.ident.as_str() == "data";
        let evaluate = |expression| {
            self.deeper(|| {
                resource.key.bind(|names| {
                    let scope = Scope { module: &resource.module, file: resource.stands.file, names, given: None };
                    self.eval(expression, &scope)
                })
            })
        };
        let ignored = !data && resource.stands.attribute(name).is_some() && resource.stands.ignores(name);
        match (kind, name, data) {
            ("template_file", "rendered", true) => {
                if let Some(template) = resource.stands.attribute("template") {
                    let vars = match resource.stands.attribute("vars") {
                        Some(vars) => evaluate(vars)?,
                        None => Val::map(std::collections::BTreeMap::new()),
                    };
                    return self.render(&evaluate(template)?, &vars, &resource.module);
                }
            }
            ("aws_ecs_task_definition" | "aws_ecs_container_definition", _, true) => {}
            (_, _, false) if ignored => {}
            // The name under which something is looked up is its name.
            (_, "name" | "family" | "bucket" | "region", _) | (_, _, false)
                if let Some(expression) = resource.stands.attribute(name) =>
            {
                return Ok(evaluate(expression)?.of_any_type());
            }
            _ => {}
        }
        let reason = if data {
            format!("{} is looked up when Terraform runs: a plan has it (`terraform show -json`)", resource.address)
        } else if ignored {
            format!(
                "ignore_changes leaves {name} of {} to others: its state has it (`terraform show -json`)",
                resource.address
            )
        } else {
            format!(
                "{} is known when Terraform has made it: its state has it (`terraform show -json`)",
                resource.address
            )
        };
        let expression = format!("${{{}.{name}}}", resource.address);
        let of = match (kind, data) {
            ("aws_ecs_task_definition" | CLUSTER | PROVIDER, false) => {
                vec![resource.module.within(&resource.address).into()]
            }
            // It is looked up by the family or ARN of another.
            ("aws_ecs_task_definition", true) => match resource.stands.attribute("task_definition") {
                Some(expression) => match evaluate(expression) {
                    Err(fail) if fail.fatal => return Err(fail),
                    Ok(value) => self.runs(&value)?,
                    Err(_) => Vec::new(),
                },
                None => Vec::new(),
            },
            _ => Vec::new(),
        };
        Ok(Val::unknown(&Rc::new(Gap { reason, expression, at, of: of.into() })))
    }
}
