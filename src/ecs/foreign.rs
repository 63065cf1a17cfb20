//! Documents that are something else than a task definition, called by their names, with the way round.

use super::node::{Node, Value};

/// What a document is instead of a task definition.
pub(super) struct Foreign {
    pub(super) message: String,
    pub(super) help: &'static str,
}

const PLAIN: &str = "give a task definition as JSON or YAML, such as `aws ecs describe-task-definition` prints it";

const TERRAFORM: &str = "name the folder of the root module, or give what `terraform show -json PLANFILE` prints";

fn foreign(message: &str, help: &'static str) -> Foreign {
    Foreign { message: message.into(), help }
}

/// By the name of the source alone.
pub(super) fn by_name(name: &str) -> Option<Foreign> {
    let lower = name.to_ascii_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| lower.ends_with(end));
    if ends(&[".tf", ".tf.json", ".tfvars", ".hcl"]) {
        return Some(foreign("this is Terraform, but not a *.tf file of a folder", TERRAFORM));
    }
    if ends(&[".tfstate"]) {
        return Some(foreign("this is Terraform's own state file", TERRAFORM));
    }
    if ends(&[".jsonnet", ".libsonnet"]) {
        return Some(foreign(
            "this is Jsonnet, a program that makes JSON",
            "render it first: `ecspresso render taskdef`, or `jsonnet FILE > task-definition.json`",
        ));
    }
    None
}

/// By what a text that is neither JSON nor YAML contains.
pub(super) fn by_text(text: &str) -> Option<Foreign> {
    if text.contains("{{") && text.contains("}}") {
        return Some(foreign(
            "this is a template, not a document: {{ … }} stands where a value should",
            "render it first with the tool that it was written for, such as `ecspresso render taskdef`",
        ));
    }
    if text.lines().any(|line| line.starts_with("resource \"") || line.starts_with("variable \"")) {
        return Some(foreign("this is Terraform, but not a *.tf file of a folder", TERRAFORM));
    }
    if text.lines().any(|line| line.starts_with("local ") || line.contains("std.extVar(")) {
        return Some(foreign(
            "this is Jsonnet, a program that makes JSON",
            "render it first: `ecspresso render taskdef`",
        ));
    }
    None
}

/// By the shape of a document.
pub(super) fn by_shape(root: &Node) -> Option<Foreign> {
    let has = |key: &str| root.get(key).is_some();
    let text = |key: &str| match root.get(key).map(|member| &member.value.value) {
        Some(Value::String(text)) => text.as_str(),
        _ => "",
    };
    if let Value::Array(_) = root.value {
        return Some(foreign(
            "this is an array: expected one task definition",
            "a list of container definitions belongs below the key containerDefinitions of a task definition",
        ));
    }
    if has("containerDefinitions") || has("taskDefinition") {
        return None;
    }
    if has("AWSTemplateFormatVersion") || has("Resources") || has("Transform") {
        return Some(foreign(
            "this is a CloudFormation template, not a task definition",
            "each of its resources needs a Type, such as AWS::ECS::TaskDefinition",
        ));
    }
    if has("terraform_version") && (has("planned_values") || has("resource_changes") || has("values")) {
        return Some(foreign("this is nearly Terraform's JSON of a plan or state", TERRAFORM));
    }
    if has("resource") || has("variable") || has("terraform") {
        return Some(foreign("this is Terraform in JSON, which is not read", TERRAFORM));
    }
    if matches!(root.get("services").map(|member| &member.value.value), Some(Value::Array(_))) {
        return Some(foreign(
            "this is what `aws ecs describe-services` prints: it names a task definition, but does not hold it",
            "name the service itself: ecs-service:CLUSTER/SERVICE; or give what `aws ecs describe-task-definition` prints",
        ));
    }
    if has("services") {
        return Some(foreign(
            "this is a compose file: it says nothing of the task that ECS runs",
            "render it first: `ecs-compose-x render` makes a CloudFormation template of it; or give a task definition",
        ));
    }
    if has("rootfs") && has("architecture") {
        return Some(foreign("this is an image configuration", PLAIN));
    }
    if has("schemaVersion") || has("manifests") || has("layers") {
        return Some(foreign("this is an image manifest or index", PLAIN));
    }
    if text("type").ends_with("Service") || text("type").ends_with("Job") {
        return Some(foreign(
            "this is a Copilot manifest: it says nothing that ECS reads",
            "print the CloudFormation template that Copilot makes of it (`copilot svc package`), or give the task \
             definition as JSON",
        ));
    }
    if has("ContainerDefinitions") || has("TaskDefinition") {
        return Some(foreign(
            "the keys are in PascalCase, as CloudFormation writes them, but this is no template: it has no Resources",
            "give the whole template, or write the keys as register-task-definition takes them: family, containerDefinitions, …",
        ));
    }
    if has("container_definitions") || has("runtime_platform") {
        return Some(foreign(
            "the keys are in snake_case, as Terraform writes them",
            "write them as register-task-definition takes them: family, containerDefinitions, …",
        ));
    }
    if has("cluster") && has("taskDefinitionArn") {
        return Some(foreign("this describes a running task, not a task definition", PLAIN));
    }
    if has("taskDefinitions") || has("taskDefinitionArns") {
        return Some(foreign("this is a list of task definitions: expected one", PLAIN));
    }
    None
}
