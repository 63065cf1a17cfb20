//! Templates of `CloudFormation`, SAM and the CDK, as far as they settle what ECS runs.

mod corpus;
mod functions;
mod hostile;
mod parameters;
mod resources;
mod stacks;

use std::collections::BTreeMap;

use dockless::ecs::cloudformation::{Files, NoFiles, Parameters, Stacks, parse};
use dockless::ecs::target::{Target, TargetOptions};
use dockless::ecs::task_definition::TaskDefinition;
use serde_json::Value;

/// Reads a template with parameters.
fn read(text: &str, parameters: &[(&str, &str)]) -> Result<Stacks, String> {
    read_with(text, parameters, &mut NoFiles)
}

fn read_with(text: &str, parameters: &[(&str, &str)], files: &mut dyn Files) -> Result<Stacks, String> {
    let parameters: Parameters = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let name = if text.trim_start().starts_with('{') { "t.json" } else { "t.yaml" };
    parse(name, text, &parameters, files)
        .map_err(|error| format!("{error} | {}", error.help.as_deref().unwrap_or_default()))
}

/// What `targets --json` says of a definition.
fn json(definition: TaskDefinition) -> Value {
    serde_json::to_value(Target::new(definition, &TargetOptions::default()).json()).expect("JSON")
}

/// The only target of a template.
fn target(text: &str, parameters: &[(&str, &str)]) -> Value {
    let mut definitions = read(text, parameters).expect("a template").definitions;
    assert_eq!(definitions.len(), 1, "{definitions:?}");
    json(definitions.remove(0))
}

/// Lines below `Properties`.
fn indented(lines: &str) -> String {
    lines.lines().flat_map(|line| ["      ", line, "\n"]).collect()
}

/// A template with one task definition: what stands before `Resources`, and the properties.
fn template(before: &str, properties: &str) -> String {
    let properties = indented(properties);
    format!("{before}\nResources:\n  Task:\n    Type: AWS::ECS::TaskDefinition\n    Properties:\n{properties}")
}

/// A template whose one container has this image, an expression.
fn image(before: &str, image: &str) -> String {
    template(before, &format!("ContainerDefinitions:\n  - Name: app\n    Image: {image}"))
}

/// A template whose architecture is this expression.
fn architecture(before: &str, expression: &str) -> String {
    template(before, &format!("RuntimePlatform:\n  CpuArchitecture: {expression}\nContainerDefinitions: []"))
}

/// Files by their paths, in a folder that is nowhere.
struct Memory(BTreeMap<&'static str, String>);

impl Files for Memory {
    fn read(&mut self, _from: &str, path: &str) -> Result<(String, String), String> {
        match self.0.get(path) {
            Some(text) => Ok((path.into(), text.clone())),
            None => Err(format!("{path} does not exist")),
        }
    }
}
