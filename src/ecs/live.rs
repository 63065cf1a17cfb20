//! Task definitions as ECS has them: `ecs:FAMILY[:REVISION]` and `ecs-service:CLUSTER/SERVICE`.
//!
//! What ECS answers is written down as `describe-task-definition` prints it and read like any other source, so that a
//! finding has a place to show. Only what decides what runs is written down; of the values of `environment` that of
//! `PATH` alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ecs::types::{
    CapacityProviderStrategyItem, Compatibility, ContainerDefinition, LaunchType as Launch, NetworkMode,
    TaskDefinition, TaskDefinitionStatus,
};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::json::{self, ParseError};
use super::sources::{Loaded, Sources};
use super::target::{SelectError, TargetOptions};
use super::task_definition::{LaunchType, Location, Stated};
use crate::aws::refusal;
use crate::aws::session::{NoPlainHttp, NotOfAws};
use crate::cause;

/// A source that is asked for, not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveSource {
    /// `ecs:FAMILY[:REVISION]`: the newest active revision where none is named.
    TaskDefinition {
        /// As `DescribeTaskDefinition` takes it.
        name: String,
    },
    /// `ecs-service:CLUSTER/SERVICE`: what the service runs, and where.
    Service {
        /// The cluster's name.
        cluster: String,
        /// The service's name.
        service: String,
    },
}

impl fmt::Display for LiveSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TaskDefinition { name } => write!(f, "ecs:{name}"),
            Self::Service { cluster, service } => write!(f, "ecs-service:{cluster}/{service}"),
        }
    }
}

impl LiveSource {
    /// The live source that a name is; nothing where it is the path of a file.
    pub fn parse(source: &str) -> Option<Result<Self, LiveError>> {
        let malformed = |expected| LiveError::Malformed { source_name: source.into(), expected };
        let word = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if let Some(rest) = source.strip_prefix("ecs-service:") {
            return Some(match rest.split_once('/') {
                Some((cluster, service)) if word(cluster) && word(service) => {
                    Ok(Self::Service { cluster: cluster.into(), service: service.into() })
                }
                _ => Err(malformed("ecs-service:CLUSTER/SERVICE")),
            });
        }
        let name = source.strip_prefix("ecs:")?;
        let (family, revision) = name.split_once(':').unwrap_or((name, "1"));
        let number = !revision.is_empty() && revision.bytes().all(|byte| byte.is_ascii_digit());
        Some(if word(family) && number {
            Ok(Self::TaskDefinition { name: name.into() })
        } else {
            Err(malformed("ecs:FAMILY or ecs:FAMILY:REVISION"))
        })
    }
}

/// Why ECS gave no task definition.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The source is not spelt so.
    #[error("{source_name} names no task definition: expected {expected}")]
    Malformed {
        /// As it was given.
        source_name: String,
        /// How it is spelt.
        expected: &'static str,
    },
    /// ECS refused.
    #[error("ECS refused {action} of {source_name}: {code}: {message}")]
    Refused {
        /// Which.
        source_name: String,
        /// What was asked for.
        action: &'static str,
        /// The name of the error.
        code: String,
        /// In the words of ECS.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// ECS does not have it.
    #[error("{source_name}: {message}")]
    Missing {
        /// Which.
        source_name: String,
        /// What is missing.
        message: String,
        /// What to do.
        help: String,
    },
    /// ECS was not reached.
    #[error("failed to ask ECS for {source_name}: {message}")]
    Unreachable {
        /// Which.
        source_name: String,
        /// Why.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// What ECS answered is no task definition.
    #[error("{error}")]
    Parse {
        /// Why, and where.
        error: ParseError,
        /// The text, to show the place.
        text: Arc<str>,
    },
    /// No target is left.
    #[error(transparent)]
    Select(#[from] SelectError),
}

impl LiveError {
    /// What to do, where something can be said.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Refused { help, .. } | Self::Unreachable { help, .. } => help.as_deref(),
            Self::Missing { help, .. } => Some(help),
            Self::Parse { error, .. } => error.help.as_deref(),
            Self::Malformed { .. } | Self::Select(_) => None,
        }
    }
}

/// How a service runs its task definition.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Runs {
    On(Vec<LaunchType>),
    /// Capacity providers of the account, whose instances decide.
    Providers(String),
    Unsaid,
}

/// The targets of a live source.
///
/// # Errors
/// As [`read`], and where what was asked for is not in it.
pub async fn load(config: &SdkConfig, source: &LiveSource, options: &TargetOptions) -> Result<Loaded, LiveError> {
    Ok(read(config, source).await?.select(options)?)
}

/// What a live source holds.
///
/// # Errors
/// Where ECS does not have it, the credentials may not ask, or the API cannot be reached.
pub async fn read(config: &SdkConfig, source: &LiveSource) -> Result<Sources, LiveError> {
    let service = aws_sdk_ecs::config::Builder::from(config).interceptor(NoPlainHttp).retry_classifier(NotOfAws);
    let client = Client::from_conf(service.build());
    let asked = Asked { client: &client, source, region: config.region().map(|region| region.as_ref().to_owned()) };
    let (name, runs) = match source {
        LiveSource::TaskDefinition { name } => (name.clone(), None),
        LiveSource::Service { cluster, service } => {
            let (name, runs) = asked.service(cluster, service).await?;
            (name, Some((runs, format!("service {service} of cluster {cluster}"))))
        }
    };
    let found = asked.task_definition(&name).await?;
    let family = found.family().unwrap_or(&name);
    let file = format!("ecs:{family}:{}", found.revision());
    let text: Arc<str> = format!("{:#}\n", document(&found)).into();
    let mut definitions =
        json::parse(&file, &text).map_err(|error| LiveError::Parse { error, text: Arc::clone(&text) })?;
    if let Some((runs, service)) = runs {
        for definition in &mut definitions {
            let at = Location { span: 0..0, ..definition.location.clone() };
            match &runs {
                Runs::On(types) => {
                    // The question is where this service runs it, not where it may run besides.
                    definition.compatibilities.clone_from(types);
                    let how = vec![format!("where {service} runs it")];
                    definition.launch_types = Stated::Known { value: types.clone(), at, how };
                }
                Runs::Providers(names) if definition.launch_types == Stated::Unset => {
                    let reason = format!("{service} runs it on {names}, whose instances decide");
                    definition.launch_types = Stated::Unresolved { reason, at };
                }
                Runs::Providers(_) | Runs::Unsaid => {}
            }
        }
    }
    Ok(Sources { definitions, texts: BTreeMap::from([(file.into(), text)]), ..Sources::default() })
}

/// A question to ECS.
struct Asked<'a> {
    client: &'a Client,
    source: &'a LiveSource,
    region: Option<String>,
}

impl Asked<'_> {
    fn here(&self) -> String {
        format!("in this account and {}", self.region.as_deref().unwrap_or("region"))
    }

    fn missing(&self, message: String, help: &str) -> LiveError {
        let region = self.region.as_ref().map(|region| format!(" --region {region}")).unwrap_or_default();
        LiveError::Missing { source_name: self.source.to_string(), message, help: format!("{help}{region}`") }
    }

    async fn task_definition(&self, name: &str) -> Result<TaskDefinition, LiveError> {
        let answer = self.client.describe_task_definition().task_definition(name).send().await;
        match answer {
            Ok(answer) => answer.task_definition.ok_or_else(|| self.no_task_definition(name)),
            Err(error) if says(&error, "ClientException", "Unable to describe task definition") => {
                Err(self.no_task_definition(name))
            }
            Err(error) => Err(self.failed("DescribeTaskDefinition", &error)),
        }
    }

    fn no_task_definition(&self, name: &str) -> LiveError {
        let message = format!("there is no task definition {name} {}", self.here());
        self.missing(message, "list what there is with `aws ecs list-task-definition-families")
    }

    /// The task definition that a service runs, and where it runs it.
    async fn service(&self, cluster: &str, service: &str) -> Result<(String, Runs), LiveError> {
        let help = format!("list what there is with `aws ecs list-services --cluster {cluster}");
        let absent = || self.missing(format!("cluster {cluster} has no service {service} {}", self.here()), &help);
        let answer = match self.client.describe_services().cluster(cluster).services(service).send().await {
            Ok(answer) => answer,
            Err(error) if says(&error, "ClusterNotFoundException", "") => {
                let message = format!("there is no cluster {cluster} {}", self.here());
                return Err(self.missing(message, "list what there is with `aws ecs list-clusters"));
            }
            Err(error) if says(&error, "ServiceNotFoundException", "") => return Err(absent()),
            Err(error) => return Err(self.failed("DescribeServices", &error)),
        };
        let Some(found) = answer.services().first() else {
            return Err(match answer.failures().first().and_then(|failure| failure.reason()) {
                Some(reason) if reason != "MISSING" => {
                    self.missing(format!("ECS does not describe service {service}: {reason}"), &help)
                }
                _ => absent(),
            });
        };
        if found.status() == Some("INACTIVE") {
            return Err(self.missing(format!("service {service} of cluster {cluster} is deleted"), &help));
        }
        // Under CodeDeploy and external controllers the task sets have it.
        let primary = found.task_sets().iter().find(|set| set.status() == Some("PRIMARY"));
        let (arn, launch_type, strategy) = match (found.task_definition(), primary) {
            (_, Some(set)) if set.task_definition().is_some() => {
                (set.task_definition(), set.launch_type(), set.capacity_provider_strategy())
            }
            (arn, _) => (arn, found.launch_type(), found.capacity_provider_strategy()),
        };
        let Some(arn) = arn else {
            return Err(
                self.missing(format!("service {service} of cluster {cluster} has no task definition yet"), &help)
            );
        };
        // Its own name and revision: an ARN of another region cannot be.
        let name = arn.rsplit('/').next().unwrap_or(arn);
        Ok((name.into(), runs(launch_type, strategy)))
    }

    fn failed<E>(&self, action: &'static str, error: &SdkError<E>) -> LiveError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let source_name = self.source.to_string();
        if let Some(service) = error.as_service_error() {
            let message = service.message().unwrap_or("no message").to_owned();
            let code = service.code().unwrap_or("an error without a name").to_owned();
            let help = refusal::advice(&message)
                .or_else(|| refusal::advice(&code))
                .map(|advice| advice.to_string())
                .or_else(|| match code.as_str() {
                    "AccessDeniedException" => Some(format!("allow ecs:{action} in a policy of the role")),
                    "ThrottlingException" | "Throttling" | "TooManyRequestsException" => {
                        Some("ECS asks to be asked less often: try again in a minute".into())
                    }
                    _ => None,
                });
            return LiveError::Refused { source_name, action, code, message, help };
        }
        // The causes as sentences, not the request, which is signed.
        let message = cause::in_one_line(error);
        let help = match refusal::advice(&message) {
            Some(advice) => Some(advice.to_string()),
            None if self.region.is_none() => Some("name a region: AWS_REGION=eu-central-1, or in the profile".into()),
            None => None,
        };
        LiveError::Unreachable { source_name, message, help }
    }
}

fn says<E: ProvideErrorMetadata>(error: &SdkError<E>, code: &str, message: &str) -> bool {
    error
        .as_service_error()
        .is_some_and(|error| error.code() == Some(code) && error.message().unwrap_or_default().contains(message))
}

fn runs(launch_type: Option<&Launch>, strategy: &[CapacityProviderStrategyItem]) -> Runs {
    if strategy.is_empty() {
        return match launch_type.map(|kind| kind.as_str().parse()) {
            Some(Ok(kind)) => Runs::On(vec![kind]),
            _ => Runs::Unsaid,
        };
    }
    let own = |item: &&CapacityProviderStrategyItem| !matches!(item.capacity_provider(), "FARGATE" | "FARGATE_SPOT");
    let others: Vec<&str> = strategy.iter().filter(own).map(CapacityProviderStrategyItem::capacity_provider).collect();
    if others.is_empty() {
        Runs::On(vec![LaunchType::Fargate])
    } else {
        Runs::Providers(format!("capacity provider {}", others.join(", ")))
    }
}

/// The task definition as `describe-task-definition` prints it, as far as it decides what runs.
fn document(definition: &TaskDefinition) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            object.insert(key.into(), value);
        }
    };
    put("family", json!(definition.family()));
    put("revision", json!(definition.revision()));
    put("status", json!(definition.status().map(TaskDefinitionStatus::as_str)));
    let containers: Vec<Value> = definition.container_definitions().iter().map(container).collect();
    put("containerDefinitions", json!(containers));
    put("cpu", json!(definition.cpu()));
    put("memory", json!(definition.memory()));
    put(
        "ephemeralStorage",
        definition.ephemeral_storage().map_or(Value::Null, |size| json!({ "sizeInGiB": size.size_in_gib() })),
    );
    put("networkMode", json!(definition.network_mode().map(NetworkMode::as_str)));
    let types: Vec<&str> = definition.requires_compatibilities().iter().map(Compatibility::as_str).collect();
    put("requiresCompatibilities", if types.is_empty() { Value::Null } else { json!(types) });
    if let Some(platform) = definition.runtime_platform() {
        let mut words = Map::new();
        if let Some(word) = platform.cpu_architecture() {
            words.insert("cpuArchitecture".into(), json!(word.as_str()));
        }
        if let Some(word) = platform.operating_system_family() {
            words.insert("operatingSystemFamily".into(), json!(word.as_str()));
        }
        put("runtimePlatform", json!(words));
    }
    json!({ "taskDefinition": object })
}

fn container(container: &ContainerDefinition) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        let empty = value.as_array().is_some_and(Vec::is_empty);
        if !value.is_null() && !empty {
            object.insert(key.into(), value);
        }
    };
    put("name", json!(container.name().unwrap_or_default()));
    put("image", json!(container.image()));
    put("essential", json!(container.essential()));
    put("entryPoint", json!(container.entry_point()));
    put("command", json!(container.command()));
    put("workingDirectory", json!(container.working_directory()));
    put("user", json!(container.user()));
    let ports = container.port_mappings().iter().filter_map(|mapping| match mapping.container_port_range() {
        Some(range) => Some(json!({ "containerPortRange": range })),
        None => mapping.container_port().map(|port| match mapping.host_port() {
            Some(host) => json!({ "containerPort": port, "hostPort": host }),
            None => json!({ "containerPort": port }),
        }),
    });
    put("portMappings", ports.collect());
    let environment = container.environment().iter().filter_map(|pair| match pair.name()? {
        "PATH" => Some(json!({ "name": "PATH", "value": pair.value() })),
        name => Some(json!({ "name": name })),
    });
    put("environment", environment.collect());
    // What they set is not asked for, but that they may.
    put("environmentFiles", container.environment_files().iter().map(|_| json!({})).collect());
    put("healthCheck", container.health_check().map_or(Value::Null, |check| json!({ "command": check.command() })));
    put(
        "logConfiguration",
        container.log_configuration().map_or(Value::Null, |log| {
            // The other options may be secrets.
            let region = log.options().and_then(|options| options.get("awslogs-region"));
            let options = region.map_or_else(|| json!({}), |region| json!({ "awslogs-region": region }));
            json!({ "logDriver": log.log_driver().as_str(), "options": options })
        }),
    );
    put("secrets", container.secrets().iter().map(|secret| json!({ "name": secret.name() })).collect());
    let mounts = container.mount_points().iter().filter_map(|mount| mount.container_path());
    put("mountPoints", mounts.map(|path| json!({ "containerPath": path })).collect());
    let tmpfs = container.linux_parameters().map(aws_sdk_ecs::types::LinuxParameters::tmpfs).unwrap_or_default();
    let tmpfs: Vec<Value> = tmpfs.iter().map(|mount| json!({ "containerPath": mount.container_path() })).collect();
    put("linuxParameters", if tmpfs.is_empty() { Value::Null } else { json!({ "tmpfs": tmpfs }) });
    put("volumesFrom", container.volumes_from().iter().map(|_| json!({})).collect());
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_live_sources() {
        for (given, shown) in
            [("ecs:app", "ecs:app"), ("ecs:app:42", "ecs:app:42"), ("ecs-service:prod/web_1", "ecs-service:prod/web_1")]
        {
            assert_eq!(LiveSource::parse(given).expect("live").expect("well formed").to_string(), shown);
        }
        for malformed in
            ["ecs:", "ecs:app:", "ecs:app:x", "ecs:a/b", "ecs-service:web", "ecs-service:/web", "ecs-service:a/b/c"]
        {
            assert!(LiveSource::parse(malformed).expect("live").is_err(), "{malformed}");
        }
        assert!(LiveSource::parse("task.json").is_none());
        assert!(LiveSource::parse("./ecs:app").is_none());
    }
}
