//! Plans and states as `terraform show -json` prints them (format 1.x): the task definitions as Terraform itself worked
//! them out.
//!
//! <https://developer.hashicorp.com/terraform/internals/json-format>

use std::collections::BTreeMap;

use super::error::ParseError;
use super::node::{self, Node, Source};
use super::reader;
use super::service::{NEITHER, both, provider, within};
use super::spelling::Spelling;
use super::strict;
use super::task_definition::{LaunchType, Stated, TaskDefinition};
use super::value::{Data, Member, Value};

/// How large a plan may be: it holds every resource of a configuration.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;
/// How deep modules may stand in one another.
const MAX_MODULES: usize = 32;

/// What is read of a resource.
const KEYS: [&str; 8] = [
    "family",
    "requires_compatibilities",
    "network_mode",
    "cpu",
    "memory",
    "ephemeral_storage",
    "runtime_platform",
    "container_definitions",
];

/// Whether a document is a plan or state.
pub(super) fn is_plan(root: &Node) -> bool {
    let has = |key: &str| root.get(key).is_some();
    has("format_version") && (has("planned_values") || has("values") || has("resource_changes"))
}

/// The task definitions of a plan or state.
///
/// # Errors
/// Where the text is no plan or state, or what decides in it is not what ECS takes, with the place.
pub fn parse(name: &str, text: &str) -> Result<Vec<TaskDefinition>, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source::new(name, text);
    let refuse = |message: &str, span| {
        let help = Some("give what `terraform show -json PLANFILE` prints".to_owned());
        Err(ParseError { message: message.into(), help, location: source.location(span) })
    };
    if text.len() > MAX_BYTES {
        return refuse("more than 32 MiB of plan", 0..0);
    }
    let root = match strict::parse(text) {
        Ok(root) => root,
        Err(error) => return refuse(&error.message, error.span),
    };
    if !is_plan(&root) {
        return refuse("this is not Terraform's JSON of a plan or state", root.span.start..root.span.start);
    }
    let version = word(&root, "format_version").unwrap_or_default();
    if version.split('.').next() != Some("1") && version != "0.1" && version != "0.2" {
        return refuse(&format!("format_version {version:?} is not known: expected 1.x"), 0..0);
    }
    let values = root.get("planned_values").or_else(|| root.get("values"));
    // A state of nothing has no values.
    let Some(module) = values.and_then(|values| values.value.get("root_module")) else { return Ok(Vec::new()) };
    let mut unknown = BTreeMap::new();
    // What is deposed was replaced and is yet to be deleted: it has the address of what took its place.
    let current = |change: &&Node| change.get("deposed").is_none();
    for change in items(root.get("resource_changes").map(|changes| &changes.value)).iter().filter(current) {
        if let (Some(address), Some(after)) =
            (word(change, "address"), change.get("change").and_then(|change| change.value.get("after_unknown")))
        {
            unknown.insert(address, &after.value);
        }
    }
    let configuration = root.get("configuration").and_then(|configuration| configuration.value.get("root_module"));
    let mut plan = Plan { source: &source, unknown, found: Vec::new() };
    plan.module(&module.value, configuration.map(|module| &module.value), 0)?;
    Ok(plan.found)
}

fn word<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    match node.get(key).map(|member| &member.value.value) {
        Some(node::Value::String(text)) => Some(text),
        _ => None,
    }
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(node::Value::Array(items)) => items,
        _ => &[],
    }
}

struct Plan<'a> {
    source: &'a Source<'a>,
    /// What is known only after apply, by the address of its resource.
    unknown: BTreeMap<&'a str, &'a Node>,
    found: Vec<TaskDefinition>,
}

impl<'a> Plan<'a> {
    fn module(&mut self, module: &'a Node, configuration: Option<&'a Node>, depth: usize) -> Result<(), ParseError> {
        if depth > MAX_MODULES {
            let message = format!("modules stand more than {MAX_MODULES} deep in one another");
            return Err(ParseError { message, help: None, location: self.source.location(module.span.clone()) });
        }
        let resources = items(module.get("resources").map(|member| &member.value));
        let managed = |resource: &&Node, kind: &str| {
            word(resource, "type") == Some(kind)
                && word(resource, "mode").is_none_or(|mode| mode == "managed")
                && resource.get("deposed_key").is_none()
        };
        let services: Vec<&Node> = resources.iter().filter(|resource| managed(resource, "aws_ecs_service")).collect();
        for resource in resources.iter().filter(|resource| managed(resource, "aws_ecs_task_definition")) {
            let mut task = self.task(resource)?;
            let said = self.launch_types(resource, &services, resources, configuration);
            task.launch_types = within(task.launch_types, said);
            self.found.push(task);
        }
        for child in items(module.get("child_modules").map(|member| &member.value)) {
            let name = word(child, "address").and_then(|address| address.rsplit("module.").next());
            let name = name.map(|name| name.split('[').next().unwrap_or(name));
            let called = configuration
                .and_then(|module| module.get("module_calls"))
                .zip(name)
                .and_then(|(calls, name)| calls.value.get(name)?.value.get("module"));
            self.module(child, called.map(|member| &member.value), depth + 1)?;
        }
        Ok(())
    }

    fn task(&self, resource: &'a Node) -> Result<TaskDefinition, ParseError> {
        let address = word(resource, "address").unwrap_or("aws_ecs_task_definition");
        let location = self.source.first_line(resource.span.clone());
        let unknown = self.unknown.get(address).copied();
        let sensitive = resource.get("sensitive_values").map(|member| &member.value);
        let values = resource.get("values").map(|member| &member.value);
        let mut members = Vec::new();
        for key in KEYS {
            let [value, unknown, sensitive] = [values, unknown, sensitive].map(|node| node?.get(key));
            let path = format!("{address}.{key}");
            let Some(value) = self.value(
                value.map(|member| &member.value),
                unknown.map(|member| &member.value),
                sensitive.map(|member| &member.value),
                &path,
            ) else {
                continue;
            };
            let value = if key == "container_definitions" { containers(value)? } else { value };
            members.push(Member { key: key.into(), key_at: value.at.clone(), value });
        }
        if !members.iter().any(|member| member.key == "container_definitions") {
            let value = Value::new(Data::Array(Vec::new()), location.clone());
            members.push(Member { key: "container_definitions".into(), key_at: location.clone(), value });
        }
        let tree = Value::new(Data::Object(members), location);
        let mut task = reader::definition(&tree, Spelling::Terraform, address)?;
        task.id = address.into();
        Ok(task)
    }

    /// A value with what Terraform says beside it: where `true` stands in `unknown` it is not known, in `sensitive` not
    /// to be shown.
    fn value(
        &self,
        node: Option<&Node>,
        unknown: Option<&Node>,
        sensitive: Option<&Node>,
        path: &str,
    ) -> Option<Value> {
        let says = |node: Option<&Node>| matches!(node.map(|node| &node.value), Some(node::Value::Bool(true)));
        if says(unknown) {
            let at = self.source.location(node.or(unknown)?.span.clone());
            let reason = format!("{path} is known after apply: the state has it then (`terraform show -json`)");
            return Some(Value::new(Data::Unknown { reason, expression: format!("${{{path}}}") }, at));
        }
        let mut value = match node.map(|node| &node.value) {
            Some(node::Value::Array(values)) => {
                let [unknown, sensitive] = [unknown, sensitive].map(|node| items(node));
                let one = |(index, item): (usize, &Node)| {
                    self.value(Some(item), unknown.get(index), sensitive.get(index), &format!("{path}[{index}]"))
                };
                let values = values.iter().enumerate().filter_map(one).collect();
                Value::new(Data::Array(values), self.source.first_line(node?.span.clone()))
            }
            Some(node::Value::Object(_)) | None if unknown.is_some() || node.is_some() => {
                let keys = |node: Option<&Node>| match node.map(|node| &node.value) {
                    Some(node::Value::Object(members)) => members.iter().map(|member| member.key.clone()).collect(),
                    _ => Vec::new(),
                };
                // A member that is not known stands in `unknown` alone.
                let mut names = keys(node);
                names.extend(keys(unknown).into_iter().filter(|key| node.is_none_or(|node| node.get(key).is_none())));
                names.dedup();
                let place = node.or(unknown)?.span.clone();
                let members = names.into_iter().filter_map(|key| {
                    let path = format!("{path}.{key}");
                    let value = self.value(
                        node.and_then(|node| node.get(&key)).map(|member| &member.value),
                        unknown.and_then(|node| node.get(&key)).map(|member| &member.value),
                        sensitive.and_then(|node| node.get(&key)).map(|member| &member.value),
                        &path,
                    );
                    value.map(|value| Member { key_at: value.at.clone(), key, value })
                });
                let members: Vec<Member> = members.collect();
                if node.is_none() && members.is_empty() {
                    return None;
                }
                Value::new(Data::Object(members), self.source.first_line(place))
            }
            Some(_) => Value::of(node?.clone(), self.source),
            None => return None,
        };
        if says(sensitive) {
            value.sensitive = true;
            value.written = Some(format!("${{{path}}}"));
        }
        Some(value)
    }

    /// What the services that run a task definition say: those that name its ARN or family, or refer to it in the
    /// configuration.
    fn launch_types(
        &self,
        task: &Node,
        services: &[&Node],
        resources: &[Node],
        configuration: Option<&Node>,
    ) -> Stated<Vec<LaunchType>> {
        let configured = items(configuration.and_then(|module| module.get("resources")).map(|member| &member.value));
        let mut all = Stated::Unset;
        for service in services {
            let Some(values) = service.get("values").map(|member| &member.value) else { continue };
            let of_task = |key| task.get("values").and_then(|values| word(&values.value, key));
            let mut several = false;
            let runs = if let Some(wanted) = word(values, "task_definition") {
                let family = wanted.split(':').next();
                Some(wanted) == of_task("arn") || family.is_some() && family == of_task("family")
            } else {
                let names = configured_as(configured, service)
                    .map_or_else(Vec::new, |ours| referred(ours, "task_definition", "aws_ecs_task_definition."));
                several = names.len() > 1;
                names.contains(&word(task, "name").unwrap_or_default())
            };
            if runs {
                let default = default_strategy(service, values, resources, configured);
                all = both(all, self.said(service, values, default, several));
            }
        }
        all
    }

    /// What one service says, or its cluster by `default`; `several` where it may run another task definition as well.
    fn said(&self, service: &Node, values: &Node, default: Option<&Node>, several: bool) -> Stated<Vec<LaunchType>> {
        let address = word(service, "address").unwrap_or("a service");
        let at = self.source.first_line(service.span.clone());
        let open = |reason: String| Stated::Unresolved { reason, at: at.clone() };
        let after_apply = |key: &str| self.unknown.get(address).is_some_and(|unknown| unknown.get(key).is_some());
        if several {
            return open(format!("which task definition {address} runs is known after apply"));
        }
        let strategies = items(values.get("capacity_provider_strategy").map(|member| &member.value));
        let named = word(values, "launch_type").filter(|named| strategies.is_empty() && !named.is_empty());
        let named = named.map(|named| named.parse().map_err(|error| format!("launch_type of {address}: {error}")));
        let default = default.filter(|_| strategies.is_empty() && named.is_none());
        let (address, strategies) = match default {
            Some(owner) => (word(owner, "address").unwrap_or("its cluster"), default_of(owner)),
            None => (address, strategies),
        };
        let providers = strategies.iter().map(|strategy| match word(strategy, "capacity_provider") {
            Some(name) => provider(name).map_err(|reason| format!("{address}: {reason}")),
            None => Err(format!("capacity_provider of {address} is known after apply")),
        });
        match named.into_iter().chain(providers).collect::<Result<Vec<LaunchType>, String>>() {
            Err(reason) => open(reason),
            Ok(types) if types.is_empty() => {
                // What is not configured is computed by the provider: both are known after apply.
                let computed = ["launch_type", "capacity_provider_strategy"].iter().any(|key| after_apply(key));
                open(if computed {
                    format!("launch_type of {address} is known after apply: the state has it then")
                } else {
                    format!("{address} {NEITHER}")
                })
            }
            Ok(mut types) => {
                types.dedup();
                Stated::Known { value: types, at, how: vec![format!("said by {address}")] }
            }
        }
    }
}

/// A resource as it is configured, its instances together.
fn configured_as<'n>(configured: &'n [Node], resource: &Node) -> Option<&'n Node> {
    let (name, kind) = (word(resource, "name")?, word(resource, "type")?);
    let mut named = configured.iter().filter(|other| word(other, "name") == Some(name));
    named.find(|other| word(other, "type").is_none_or(|other| other == kind))
}

fn expression<'n>(configured: &'n Node, key: &str) -> Option<&'n Node> {
    configured.get("expressions")?.value.get(key).map(|member| &member.value)
}

/// The names of the resources of a type, `aws_ecs_cluster.`, to which an argument refers.
fn referred<'n>(configured: &'n Node, key: &str, kind: &str) -> Vec<&'n str> {
    let references = expression(configured, key).and_then(|expression| expression.get("references"));
    let mut names = Vec::new();
    for reference in items(references.map(|member| &member.value)) {
        let node::Value::String(text) = &reference.value else { continue };
        let Some(rest) = text.strip_prefix(kind) else { continue };
        let name = rest.split(['.', '[']).next().unwrap_or(rest);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What gives the cluster of a service a default strategy, where the service is configured with no other word of where
/// it runs: the one that is of the same module and the same cluster.
fn default_strategy<'n>(service: &Node, values: &Node, resources: &'n [Node], configured: &[Node]) -> Option<&'n Node> {
    let ours = configured_as(configured, service)?;
    if ["launch_type", "capacity_provider_strategy"].iter().any(|key| expression(ours, key).is_some()) {
        return None;
    }
    let of_kind = |kind: &'static str| resources.iter().filter(move |one| word(one, "type") == Some(kind));
    // The name of the cluster, by which it is told from others.
    let cluster = match (word(values, "cluster"), referred(ours, "cluster", "aws_ecs_cluster.").as_slice()) {
        (Some(name), _) => name.rsplit('/').next()?,
        (None, [name]) => {
            let mut instances = of_kind("aws_ecs_cluster").filter(|one| word(one, "name") == Some(name));
            let (one, None) = (instances.next()?, instances.next()) else { return None };
            word(&one.get("values")?.value, "name")?
        }
        (None, _) => return None,
    };
    let of_cluster = |one: &&Node| {
        one.get("values").is_some_and(|values| word(&values.value, "cluster_name") == Some(cluster))
            && !default_of(one).is_empty()
    };
    let mut found = of_kind("aws_ecs_cluster_capacity_providers").filter(of_cluster);
    found.next().filter(|_| found.next().is_none())
}

fn default_of(providers: &Node) -> &[Node] {
    let values = providers.get("values").map(|member| &member.value);
    items(values.and_then(|values| values.get("default_capacity_provider_strategy")).map(|member| &member.value))
}

/// The containers: JSON in a string.
fn containers(value: Value) -> Result<Value, ParseError> {
    let Data::String(text) = &value.data else { return Ok(value) };
    let failed = |message: &str| ParseError {
        message: format!("container_definitions: {message}"),
        help: None,
        location: value.at.clone(),
    };
    let node = strict::parse(text).map_err(|error| failed(&error.message))?;
    let mut tree = Value::of(node, &Source::new("", text));
    settle(&mut tree, &value);
    Ok(tree)
}

/// What stands in a string stands where the string does.
fn settle(value: &mut Value, whole: &Value) {
    value.at = whole.at.clone();
    value.sensitive |= whole.sensitive;
    value.written.clone_from(&whole.written);
    match &mut value.data {
        Data::Array(items) => items.iter_mut().for_each(|item| settle(item, whole)),
        Data::Object(members) => {
            for member in members {
                member.key_at = whole.at.clone();
                settle(&mut member.value, whole);
            }
        }
        _ => {}
    }
}
