//! What a definition says beside what starts: sizes, host ports, a health check, where logs go.
//!
//! Only rules ask for it, so nothing here refuses a source: what is not as ECS has it counts as not said, and what is
//! sensitive or not resolved as not known. Keys are compared without case and underscores, as all the formats spell
//! them (`ephemeralStorage.sizeInGiB`, `ephemeral_storage.size_in_gib`).

use super::location::{Location, Stated};
use super::value::{Data, Value};

/// The sizes of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// `cpu`, as it stands.
    pub cpu: Stated<String>,
    /// `memory`, as it stands.
    pub memory: Stated<String>,
    /// `ephemeralStorage.sizeInGiB`.
    pub ephemeral_storage: Stated<u64>,
}

/// A port of a container and the port of its host that it is mapped to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// `containerPort`.
    pub container: u16,
    /// `hostPort`.
    pub host: u16,
    /// Where the latter stands.
    pub at: Location,
}

/// What a container definition says beside what starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// The ports whose host port is stated.
    pub host_ports: Vec<HostPort>,
    /// `healthCheck.command`: `CMD` or `CMD-SHELL`, and what follows.
    pub health_check: Stated<Vec<String>>,
    /// `awslogs-region`, where the log driver is `awslogs`.
    pub log_region: Stated<String>,
    /// Whether files that are not read here set variables as well (`environmentFiles`).
    pub environment_files: bool,
}

/// The sizes of a task definition.
pub(super) fn sizes(definition: &Value) -> Sizes {
    Sizes {
        cpu: word(member(definition, "cpu")),
        memory: word(member(definition, "memory")),
        ephemeral_storage: match word(reach(definition, &["ephemeralstorage", "sizeingib"])) {
            Stated::Known { value, at, how } => match value.parse() {
                Ok(value) => Stated::Known { value, at, how },
                Err(_) => Stated::Unresolved { reason: format!("{value:?} is no number"), at },
            },
            Stated::Unresolved { reason, at } => Stated::Unresolved { reason, at },
            Stated::Unset => Stated::Unset,
        },
    }
}

/// The details of a container definition.
pub(super) fn details(container: &Value) -> Details {
    let driver = reach(container, &["logconfiguration", "logdriver"]);
    let is_other = driver.is_none_or(|driver| matches!(&driver.data, Data::String(word) if word != "awslogs"));
    let region = reach(container, &["logconfiguration", "options", "awslogs-region"]).filter(|_| !is_other);
    let check = reach(container, &["healthcheck", "command"]);
    Details {
        host_ports: items(member(container, "portmappings")).iter().filter_map(host_port).collect(),
        health_check: check.map_or(Stated::Unset, words),
        log_region: word(region),
        environment_files: match member(container, "environmentfiles") {
            Some(files) => !matches!(&files.data, Data::Array(files) if files.is_empty()),
            None => false,
        },
    }
}

/// The value at the end of some keys; where one on the way is not known, that one.
fn reach<'v>(value: &'v Value, keys: &[&str]) -> Option<&'v Value> {
    keys.iter().try_fold(value, |value, key| {
        let own = match &value.data {
            Data::Array(items) if items.len() == 1 => &items[0],
            _ => value,
        };
        if matches!(own.data, Data::Unknown { .. }) { Some(own) } else { member(value, key) }
    })
}

/// The value of a key, within the only element of a list where a block of Terraform is one.
fn member<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    let value = match &value.data {
        Data::Array(items) => items.first().filter(|_| items.len() == 1)?,
        _ => value,
    };
    let plain = |own: &str| own.replace('_', "").to_ascii_lowercase();
    let found = value.members().iter().find(|member| plain(&member.key) == key)?;
    Some(&found.value).filter(|value| !matches!(value.data, Data::Null))
}

fn items(value: Option<&Value>) -> &[Value] {
    match value.map(|value| &value.data) {
        Some(Data::Array(items)) => items,
        _ => &[],
    }
}

fn word(value: Option<&Value>) -> Stated<String> {
    let Some(value) = value else { return Stated::Unset };
    match &value.data {
        _ if value.sensitive => Stated::Unresolved { reason: "its value is sensitive".into(), at: value.at.clone() },
        Data::Unknown { reason, .. } => Stated::Unresolved { reason: reason.clone(), at: value.at.clone() },
        Data::String(text) if text.contains("{{") || text.contains("${") => {
            Stated::Unresolved { reason: format!("{text:?} is not filled in"), at: value.at.clone() }
        }
        Data::String(text) | Data::Number(text) => {
            Stated::Known { value: text.clone(), at: value.at.clone(), how: value.how.clone() }
        }
        _ => Stated::Unset,
    }
}

fn words(value: &Value) -> Stated<Vec<String>> {
    if matches!(value.data, Data::Unknown { .. }) {
        return match word(Some(value)) {
            Stated::Unresolved { reason, at } => Stated::Unresolved { reason, at },
            _ => Stated::Unset,
        };
    }
    let mut all = Vec::new();
    for item in items(Some(value)) {
        match word(Some(item)) {
            Stated::Known { value, .. } => all.push(value),
            Stated::Unresolved { reason, at } => return Stated::Unresolved { reason, at },
            Stated::Unset => return Stated::Unset,
        }
    }
    if all.is_empty() { Stated::Unset } else { Stated::known(all, value.at.clone()) }
}

fn host_port(mapping: &Value) -> Option<HostPort> {
    let host = member(mapping, "hostport")?;
    let number = |value: &Value| word(Some(value)).value()?.parse().ok();
    let (container, port) = (number(member(mapping, "containerport")?)?, number(host)?);
    Some(HostPort { container, host: port, at: host.at.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> super::super::task_definition::TaskDefinition {
        super::super::json::parse("td.json", text).unwrap_or_else(|error| panic!("{error}")).remove(0)
    }

    #[test]
    fn what_rules_ask_for_is_read() {
        let definition = parsed(
            r#"{"family":"f","cpu":"256","memory":512,"ephemeralStorage":{"sizeInGiB":30},"containerDefinitions":[{
                "name":"a","image":"i","portMappings":[{"containerPort":80,"hostPort":8080},{"containerPort":81}],
                "healthCheck":{"command":["CMD","/ok"]},"environmentFiles":[{"value":"x"}],
                "logConfiguration":{"logDriver":"awslogs","options":{"awslogs-region":"eu-west-1"}}}]}"#,
        );
        let known = |stated: &Stated<String>| stated.value().cloned().unwrap_or_default();
        assert_eq!((known(&definition.sizes.cpu), known(&definition.sizes.memory)), ("256".into(), "512".into()));
        assert_eq!(definition.sizes.ephemeral_storage.value(), Some(&30));
        let details = &definition.containers[0].details;
        let ports: Vec<_> = details.host_ports.iter().map(|ports| (ports.container, ports.host)).collect();
        assert_eq!(ports, [(80, 8080)]);
        assert_eq!(details.health_check.value().map(Vec::as_slice), Some(&["CMD".to_owned(), "/ok".to_owned()][..]));
        assert_eq!((known(&details.log_region), details.environment_files), ("eu-west-1".into(), true));
    }

    #[test]
    fn what_is_odd_is_refused_nowhere() {
        let definition = parsed(
            r#"{"cpu":[],"memory":"${MEMORY}","ephemeralStorage":7,"containerDefinitions":[{"name":"a","image":"i",
                "portMappings":[],"healthCheck":"x","logConfiguration":{"logDriver":"splunk","options":{
                "awslogs-region":"x"}}}]}"#,
        );
        assert_eq!(definition.sizes.cpu, Stated::Unset);
        assert!(matches!(definition.sizes.memory, Stated::Unresolved { .. }));
        assert_eq!(definition.sizes.ephemeral_storage, Stated::Unset);
        let details = &definition.containers[0].details;
        assert_eq!((&details.health_check, &details.log_region), (&Stated::Unset, &Stated::Unset));
    }
}
