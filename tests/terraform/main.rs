//! Terraform: configurations and plans as people write them, and as strangers might.

mod bounds;
mod disk;
mod modules;
mod plan;
mod platform;
mod values;

use std::collections::BTreeMap;

use dockless::ecs::target::{Asked, Target, TargetOptions, Variables};
use dockless::ecs::task_definition::{Stated, TaskDefinition};
use dockless::ecs::terraform::parse;

fn files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    files.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

fn read(text: &str) -> Vec<TaskDefinition> {
    parse(&files([("main.tf", text)]), &Variables::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// The only task definition of a text.
fn one(text: &str) -> TaskDefinition {
    let mut all = read(text);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// A task definition on Fargate with this in it.
fn task(inside: &str) -> String {
    format!(
        "resource \"aws_ecs_task_definition\" \"app\" {{\n  family = \"app\"\n  \
         requires_compatibilities = [\"FARGATE\"]\n  {inside}\n}}\n"
    )
}

/// A task definition with one container, whose attributes these are.
fn container(attributes: &str) -> String {
    task(&format!("container_definitions = jsonencode([{{\n name = \"app\"\n {attributes}\n }}])"))
}

fn architecture(definition: &TaskDefinition) -> String {
    match &definition.architecture {
        Stated::Known { value, .. } => value.to_string(),
        Stated::Unset => "UNSET".into(),
        Stated::Unresolved { reason, .. } => format!("UNRESOLVED: {reason}"),
    }
}

fn image(definition: &TaskDefinition) -> String {
    Target::new(definition.clone(), &TargetOptions::default()).json().containers[0].image.clone()
}

fn asked(definition: &TaskDefinition) -> Asked {
    Target::new(definition.clone(), &TargetOptions::default()).asked
}
