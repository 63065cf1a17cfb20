//! The resources that are task definitions, or say how one is run.

use super::Note;
use super::call::{Call, Part, parts, text};
use super::condition::Truth;
use super::evaluate::{Evaluator, SECRET, Scope};
use crate::ecs::error::ParseError;
use crate::ecs::node::{self, Node};
use crate::ecs::reader;
use crate::ecs::service::{NEITHER, both, provider, within};
use crate::ecs::spelling::Spelling;
use crate::ecs::task_definition::{LaunchType, Location, Stated, TaskDefinition};
use crate::ecs::value::{Data, Member, Value};

/// How many resources `Fn::ForEach` may make of a template.
const MOST_RESOURCES: usize = 10_000;

/// A resource with its logical ID and the variables of the loops that make it.
pub(super) struct Resource<'a> {
    pub(super) id: String,
    pub(super) at: Location,
    pub(super) node: &'a Node,
    pub(super) loops: Vec<(String, String)>,
    /// What its condition is; [`Truth::True`] without one.
    pub(super) made: Truth,
}

impl<'a> Resource<'a> {
    pub(super) fn kind(&self) -> &'a str {
        self.node.get("Type").and_then(|kind| text(&kind.value)).unwrap_or_default()
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.node.get(key).map(|member| &member.value)
    }

    pub(super) fn property(&self, key: &str) -> Option<&'a Node> {
        self.get("Properties")?.get(key).map(|member| &member.value)
    }
}

/// A service: what it runs, and where.
struct Run {
    /// The logical IDs of the task definitions that it may name.
    names: Vec<String>,
    said: Stated<Vec<LaunchType>>,
}

/// What a strategy has: for certain, and under open conditions with their reasons.
#[derive(Default)]
struct Strategy {
    types: Vec<LaunchType>,
    open: Vec<(LaunchType, String)>,
}

const CLUSTER: &str = "AWS::ECS::Cluster";

/// A cluster, by what tells it from others.
#[derive(PartialEq, Eq)]
enum Cluster {
    /// It is made by the template, under this logical ID.
    Resource(String),
    /// Its name.
    Named(String),
    /// An expression that only the stack settles.
    Written(String),
}

impl<'a> Evaluator<'a> {
    /// The resources that there may be: those under a condition that is false are left out.
    pub(super) fn resources(&self, notes: &mut Vec<Note>) -> Vec<Resource<'a>> {
        let mut found = Vec::new();
        for member in self.template.resources() {
            let at = self.source.location(member.key_span.clone());
            if !member.key.starts_with("Fn::") {
                found.push((member.key.clone(), at, &member.value, Vec::new()));
                continue;
            }
            match self.each(&member.value, Scope::default()) {
                Some(rounds) if found.len() + rounds.len() <= MOST_RESOURCES => {
                    found.extend(rounds.into_iter().map(|each| (each.key, at.clone(), each.node, each.loops)));
                }
                _ => notes.push(Note {
                    message: format!("{} is not resolved: what it makes is not read", member.key),
                    location: at,
                }),
            }
        }
        let resource = |(id, at, node, loops): (String, Location, &'a Node, Vec<(String, String)>)| {
            let condition = node.get("Condition").and_then(|member| text(&member.value));
            let made = condition.map_or(Truth::True, |name| self.condition(name, Scope::of(&loops)));
            (made != Truth::False).then_some(Resource { id, at, node, loops, made })
        };
        found.into_iter().filter_map(resource).collect()
    }

    /// The task definitions among resources.
    pub(super) fn definitions(
        &self,
        resources: &[Resource<'a>],
        notes: &mut Vec<Note>,
    ) -> Result<Vec<TaskDefinition>, ParseError> {
        let runs: Vec<Run> = resources.iter().filter_map(|resource| self.run(resource, resources)).collect();
        let mut definitions = Vec::new();
        for resource in resources {
            let properties = match resource.kind() {
                "AWS::ECS::TaskDefinition" => self.task_definition(resource, notes),
                "AWS::ECS::ExpressGatewayService" if resource.property("TaskDefinitionArn").is_none() => {
                    self.express(resource)
                }
                _ => continue,
            };
            let mut definition = reader::definition(&properties, Spelling::Pascal, &resource.id)?;
            definition.id.clone_from(&resource.id);
            definition.location = resource.at.clone();
            let ours = runs.iter().filter(|run| run.names.contains(&resource.id));
            let said = ours.map(|run| run.said.clone()).fold(Stated::Unset, both);
            definition.launch_types = within(definition.launch_types, said);
            if let Truth::Open(reason) = &resource.made {
                let message = format!("{} is made only under a condition: {reason}", resource.id);
                notes.push(Note { message, location: resource.at.clone() });
            }
            definitions.push(definition);
        }
        Ok(definitions)
    }

    fn task_definition(&self, resource: &Resource<'a>, notes: &mut Vec<Note>) -> Value {
        let scope = Scope::of(&resource.loops);
        let properties = resource.get("Properties").and_then(|node| self.value(node, scope));
        let mut properties = properties.unwrap_or_else(|| Value::new(Data::Object(Vec::new()), resource.at.clone()));
        let missing = match &properties.data {
            Data::Object(_) => Data::Array(Vec::new()),
            // As a whole they hang on something that is not known: then so does each of them.
            unknown => {
                let unknown = unknown.clone();
                let keys = ["RuntimePlatform", "RequiresCompatibilities", "NetworkMode"];
                let member = |key: &str| Member {
                    key: key.into(),
                    key_at: properties.at.clone(),
                    value: Value::new(unknown.clone(), properties.at.clone()),
                };
                let members = keys.map(member).into_iter().collect();
                if matches!(unknown, Data::Unknown { .. }) {
                    properties.data = Data::Object(members);
                }
                unknown
            }
        };
        let at = properties.at.clone();
        let Data::Object(members) = &mut properties.data else { return properties };
        // CloudFormation does not ask for containers.
        if members.iter().all(|member| member.key != "ContainerDefinitions") {
            let value = Value::new(missing, at.clone());
            members.push(Member { key: "ContainerDefinitions".into(), key_at: at, value });
        }
        for unread in without_misspelt(members) {
            let message = format!("{:?} is no property of CloudFormation: it is not read", unread.key);
            notes.push(Note { message, location: unread.key_at });
        }
        properties
    }

    /// What an Express service makes: a task on Fargate whose one container is called Main.
    fn express(&self, resource: &Resource<'a>) -> Value {
        let scope = Scope::of(&resource.loops);
        let plain = |text: &str| Value::new(Data::String(text.into()), resource.at.clone());
        let object = |members: Vec<(&str, Value)>| {
            let member = |(key, value): (&str, Value)| Member { key: key.into(), key_at: resource.at.clone(), value };
            Value::new(Data::Object(members.into_iter().map(member).collect()), resource.at.clone())
        };
        let array = |items| Value::new(Data::Array(items), resource.at.clone());
        let value = |key| resource.property(key).and_then(|node| self.value(node, scope));
        let mut platform = vec![("OperatingSystemFamily", plain("LINUX"))];
        platform.extend(value("CpuArchitecture").map(|value| ("CpuArchitecture", value)));
        let container = match value("PrimaryContainer") {
            Some(Value { data: Data::Object(members), at, .. }) => {
                let mut kept = vec![Member { key: "Name".into(), key_at: at.clone(), value: plain("Main") }];
                for member in members {
                    match member.key.as_str() {
                        "ContainerPort" => {
                            let mapping = object(vec![("ContainerPort", member.value)]);
                            kept.push(Member { key: "PortMappings".into(), value: array(vec![mapping]), ..member });
                        }
                        "Image" | "Command" | "Environment" | "Secrets" => kept.push(member),
                        _ => {}
                    }
                }
                Value::new(Data::Object(kept), at)
            }
            Some(other) => other,
            None => object(vec![("Name", plain("Main"))]),
        };
        let mut members = vec![
            ("RuntimePlatform", object(platform)),
            ("RequiresCompatibilities", array(vec![plain("FARGATE")])),
            ("ContainerDefinitions", array(vec![container])),
        ];
        members.extend(value("ServiceName").map(|name| ("Family", name)));
        object(members)
    }

    /// What a resource that runs tasks says of how.
    fn run(&self, resource: &Resource<'a>, resources: &[Resource<'a>]) -> Option<Run> {
        if !matches!(resource.kind(), "AWS::ECS::Service" | "AWS::ECS::TaskSet") {
            return None;
        }
        let scope = Scope::of(&resource.loops);
        let mut names = Vec::new();
        self.named(resource.property("TaskDefinition")?, scope, &mut names);
        let is_task = |one: &Resource<'a>, name: &String| one.id == *name && one.kind() == "AWS::ECS::TaskDefinition";
        names.retain(|name| resources.iter().any(|one| is_task(one, name)));
        names.dedup();
        let said = match (names.len() > 1, self.launch_types(resource, resources)) {
            (true, _) => {
                let reason = format!("which task definition {} runs is not known", resource.id);
                Stated::Unresolved { reason, at: resource.at.clone() }
            }
            (false, (Ok(value), at, how)) => Stated::Known { value, at, how: vec![how] },
            (false, (Err(reason), at, how)) => Stated::Unresolved { reason: format!("{how}: {reason}"), at },
        };
        Some(Run { names, said })
    }

    /// Where a service runs its tasks, or why that is not known; where that is said, and by what.
    fn launch_types(
        &self,
        resource: &Resource<'a>,
        resources: &[Resource<'a>],
    ) -> (Result<Vec<LaunchType>, String>, Location, String) {
        let scope = Scope::of(&resource.loops);
        let how = |key: &str| format!("{key} of {}", resource.id);
        if let Some(node) = resource.property("LaunchType")
            && let Some(value) = self.value(node, scope)
        {
            let launch_types = match &value.data {
                _ if value.sensitive => Err(SECRET.into()),
                Data::String(word) => word.parse().map(|kind| vec![kind]).map_err(|error| format!("{error}")),
                Data::Unknown { reason, .. } => Err(reason.clone()),
                _ => Err("LaunchType is no text".into()),
            };
            return (launch_types, value.at, how("LaunchType"));
        }
        let own = "CapacityProviderStrategy";
        if let Some(node) = resource.property(own) {
            let launch_types = self.providers(node, scope, resources);
            if !launch_types.as_ref().is_ok_and(Vec::is_empty) {
                return (launch_types, self.at(node), how(own));
            }
        }
        let nobody = || (Err(format!("it {NEITHER}")), resource.at.clone(), resource.id.clone());
        let key = "DefaultCapacityProviderStrategy";
        match self.deciding(resource, resources).and_then(|cluster| Some((cluster, cluster.property(key)?))) {
            Some((cluster, node)) => {
                // A cluster is there where its service is, and so is what is made under the same condition.
                let condition = |one: &Resource<'a>| one.get("Condition").and_then(text);
                let is_with_it = cluster.kind() == CLUSTER || condition(cluster) == condition(resource);
                let launch_types = match &cluster.made {
                    Truth::Open(reason) if !is_with_it => {
                        Err(format!("{} is made only under a condition: {reason}", cluster.id))
                    }
                    _ => self.providers(node, Scope::of(&cluster.loops), resources),
                };
                if launch_types.as_ref().is_ok_and(Vec::is_empty) {
                    return nobody();
                }
                (launch_types, self.at(node), format!("{key} of {}", cluster.id))
            }
            None => nobody(),
        }
    }

    /// What says where the cluster of a service runs tasks for which nobody else says it: what is associated with the
    /// cluster, which is done when that is there, else the cluster itself.
    fn deciding<'r>(&self, service: &Resource<'a>, resources: &'r [Resource<'a>]) -> Option<&'r Resource<'a>> {
        let of = |resource: &Resource<'a>| self.cluster(resource, resources);
        let ours = of(service)?;
        let of_kind = |kind: &'static str| resources.iter().filter(move |one| one.kind() == kind);
        // Of several, one that hangs on an open condition: then the others may be replaced.
        let mut associated: Vec<_> = of_kind("AWS::ECS::ClusterCapacityProviderAssociations")
            .filter(|one| of(one).as_ref() == Some(&ours))
            .collect();
        associated.sort_by_key(|one| one.made == Truth::True);
        let its_own = of_kind(CLUSTER).find(|one| ours == Cluster::Resource(one.id.clone()));
        associated.first().copied().or(its_own)
    }

    /// The cluster that a resource names.
    fn cluster(&self, resource: &Resource<'a>, resources: &[Resource<'a>]) -> Option<Cluster> {
        // ECS takes the cluster of this name where none is named.
        let Some(node) = resource.property("Cluster") else { return Some(Cluster::Named("default".into())) };
        let scope = Scope::of(&resource.loops);
        let mut names = Vec::new();
        self.named(node, scope, &mut names);
        names.retain(|name| resources.iter().any(|one| one.id == *name && one.kind() == CLUSTER));
        names.dedup();
        match (names.as_slice(), self.value(node, scope)?) {
            ([name], _) => Some(Cluster::Resource(name.clone())),
            ([], Value { data: Data::String(name), sensitive: false, .. }) => Some(Cluster::Named(name)),
            // The same expression is the same cluster, but for what loops put in.
            ([], Value { data: Data::Unknown { expression, .. }, .. }) if resource.loops.is_empty() => {
                Some(Cluster::Written(expression))
            }
            _ => None,
        }
    }

    /// The launch types that a capacity provider strategy stands for; none of one that is not there.
    fn providers(
        &self,
        node: &'a Node,
        scope: Scope<'_>,
        resources: &[Resource<'a>],
    ) -> Result<Vec<LaunchType>, String> {
        let Strategy { types, open } = self.strategy(node, scope, resources)?;
        match open.into_iter().find(|(kind, _)| !types.contains(kind)) {
            Some((_, reason)) => Err(reason),
            None => Ok(types),
        }
    }

    /// A strategy, an item of one, or a condition between such.
    fn strategy(&self, node: &'a Node, scope: Scope<'_>, resources: &[Resource<'a>]) -> Result<Strategy, String> {
        let not_known = || "the capacity provider strategy is not known".to_owned();
        let scope = scope.deeper().ok_or_else(not_known)?;
        match Call::of(node) {
            Some(call) if call.name == "If" => {
                let [condition, yes, no] = call.arguments() else { return Err(not_known()) };
                let truth = match text(condition) {
                    Some(name) => self.condition(name, scope),
                    None => self.truth(condition, scope),
                };
                let reason = match truth {
                    Truth::True => return self.strategy(yes, scope, resources),
                    Truth::False => return self.strategy(no, scope, resources),
                    Truth::Open(reason) => reason,
                };
                let (yes, no) = (self.strategy(yes, scope, resources)?, self.strategy(no, scope, resources)?);
                // What both ways have is certain.
                let (types, one): (Vec<LaunchType>, Vec<LaunchType>) =
                    yes.types.into_iter().partition(|kind| no.types.contains(kind));
                let only = one.into_iter().chain(no.types.into_iter().filter(|kind| !types.contains(kind)));
                let mut open: Vec<_> = only.map(|kind| (kind, reason.clone())).collect();
                open.extend(yes.open.into_iter().chain(no.open));
                return Ok(Strategy { types, open });
            }
            Some(_) => return self.value(node, scope).map_or_else(|| Ok(Strategy::default()), |_| Err(not_known())),
            None => {}
        }
        let mut all = Strategy::default();
        let node::Value::Array(items) = &node.value else {
            all.types.push(self.provider(node, scope, resources)?);
            return Ok(all);
        };
        for item in items {
            let Strategy { types, open } = self.strategy(item, scope, resources)?;
            for kind in types {
                if !all.types.contains(&kind) {
                    all.types.push(kind);
                }
            }
            all.open.extend(open);
        }
        Ok(all)
    }

    /// The launch type of an item of a strategy.
    fn provider(&self, item: &'a Node, scope: Scope<'_>, resources: &[Resource<'a>]) -> Result<LaunchType, String> {
        let named = item.get("CapacityProvider").map(|member| &member.value);
        match named.and_then(|node| self.value(node, scope)) {
            Some(value) if value.sensitive => Err(SECRET.into()),
            Some(Value { data: Data::String(name), .. }) => provider(&name),
            Some(Value { data: Data::Unknown { reason, .. }, .. }) => {
                let mut names = Vec::new();
                if let Some(node) = named {
                    self.named(node, scope, &mut names);
                }
                let made = |one: &&Resource<'a>| one.kind() == "AWS::ECS::CapacityProvider" && names.contains(&one.id);
                match resources.iter().find(made) {
                    Some(one) if one.property("ManagedInstancesProvider").is_some() => Ok(LaunchType::ManagedInstances),
                    Some(_) => Ok(LaunchType::Ec2),
                    None => Err(reason),
                }
            }
            _ => Err("the capacity provider strategy is not known".into()),
        }
    }

    /// The names that a node refers to, wherever they stand in it: of an `Fn::If` that is decided, in its branch.
    fn named(&self, node: &'a Node, scope: Scope<'_>, into: &mut Vec<String>) {
        use node::Value::{Array, Object, Tagged};
        if let Some(call) = Call::of(node) {
            match (call.name, call.text(), call.arguments()) {
                ("Ref", Some(name), _) => return into.push(name.into()),
                ("GetAtt", Some(name), _) => return into.push(name.split('.').next().unwrap_or_default().into()),
                ("GetAtt", None, [name, ..]) => return into.extend(text(name).map(ToOwned::to_owned)),
                ("Sub", Some(template), _) => into.extend(substituted(template)),
                ("Sub", None, [template, ..]) => into.extend(text(template).into_iter().flat_map(substituted)),
                ("If", _, [condition, yes, no]) => {
                    let truth = match text(condition) {
                        Some(name) => self.condition(name, scope),
                        None => self.truth(condition, scope),
                    };
                    if truth != Truth::False {
                        self.named(yes, scope, into);
                    }
                    if truth != Truth::True {
                        self.named(no, scope, into);
                    }
                    return;
                }
                _ => {}
            }
        }
        match &node.value {
            Array(items) => items.iter().for_each(|item| self.named(item, scope, into)),
            Object(members) => members.iter().for_each(|member| self.named(&member.value, scope, into)),
            Tagged(_, inner) => self.named(inner, scope, into),
            _ => {}
        }
    }
}

/// The names in the text of an `Fn::Sub`, each without an attribute.
fn substituted(template: &str) -> impl Iterator<Item = String> {
    parts(template).into_iter().filter_map(|part| match part {
        Part::Name(name) => Some(name.split('.').next().unwrap_or_default().to_owned()),
        Part::Text(_) => None,
    })
}

/// Takes out what `CloudFormation` does not know by that spelling and what decides neither platform nor program. The
/// rest of what is misspelt is an error, as anywhere.
fn without_misspelt(members: &mut Vec<Member>) -> Vec<Member> {
    const DEFINITION: &[&str] = &["requiresCompatibilities", "networkMode", "volumes", "cpu", "memory", "family"];
    const CONTAINER: &[&str] = &["portMappings", "essential", "mountPoints", "volumesFrom", "secrets", "environment"];
    let take = |members: &mut Vec<Member>, keys: &[&str]| -> Vec<Member> {
        let (taken, kept) = std::mem::take(members).into_iter().partition(|member| keys.contains(&member.key.as_str()));
        *members = kept;
        taken
    };
    let mut taken = take(members, DEFINITION);
    for member in members.iter_mut().filter(|member| member.key == "ContainerDefinitions") {
        let Data::Array(containers) = &mut member.value.data else { continue };
        for container in containers {
            if let Data::Object(members) = &mut container.data {
                taken.extend(take(members, CONTAINER));
            }
        }
    }
    taken
}
