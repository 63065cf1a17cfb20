//! What a container definition asks of an image beside its process: ports, a health check, room on the disk.

use crate::ecs::target::Target;
use crate::ecs::task_definition::{ContainerDefinition, Port, Stated};
use crate::image::inspect::ImageFacts;
use crate::layer::contents::Kind;

use super::finding::{Finding, Rule, Severity};
use super::lookup::{Seeker, Sought, Surroundings};
use super::refused::on_fargate;
use super::shell::shell_command;

/// What a container definition asks of the image.
pub(super) fn asked(target: &Target, container: &ContainerDefinition, surroundings: &Surroundings<'_>) -> Vec<Finding> {
    let image = surroundings.image;
    let ports = ports(image, container);
    let health = health_check(container, surroundings);
    ports.into_iter().chain(health).chain(storage(target, image)).collect()
}

/// Ports that the task maps and the image does not expose. ECS does not read `EXPOSE`: it is a word of the image's
/// author on where the program listens.
fn ports(image: &ImageFacts, container: &ContainerDefinition) -> Option<Finding> {
    let exposed: Vec<&str> = image.config.config.exposed_ports.keys().map(String::as_str).collect();
    let number = |port: &str| port.split('/').next().and_then(|port| port.parse::<u16>().ok());
    let is_exposed = |port: u16| exposed.iter().any(|exposed| number(exposed) == Some(port));
    let mapped: Vec<u16> = container
        .ports
        .iter()
        .filter_map(|port| if let Port::Number(port) = port { Some(*port) } else { None })
        .collect();
    // A range may be exposed as such.
    if exposed.iter().any(|port| number(port).is_none()) || exposed.is_empty() {
        return None;
    }
    let other: Vec<u16> = mapped.iter().copied().filter(|port| !is_exposed(*port)).collect();
    if other.is_empty() {
        return None;
    }
    let none_fits = other.len() == mapped.len() && mapped.len() == container.ports.len();
    let severity = if none_fits { Severity::Warning } else { Severity::Note };
    let list = |ports: &[u16]| ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let message = format!("the task maps {}, but the image exposes {}", list(&other), exposed.join(", "));
    let mut finding = Finding::new(Rule::PortNotExposed, severity, message)
        .help("state the port at which the program listens as containerPort, or expose it in the image");
    (finding.found, finding.wanted) = (Some(exposed.join(", ")), Some(list(&other)));
    Some(finding)
}

/// A health check whose program the image does not have never succeeds.
fn health_check(container: &ContainerDefinition, surroundings: &Surroundings<'_>) -> Option<Finding> {
    let Stated::Known { value: words, at, .. } = &container.details.health_check else { return None };
    let (program, by_shell) = match words.split_first()? {
        (first, rest) if first == "CMD" => (rest.first()?.clone(), false),
        (first, rest) if first == "CMD-SHELL" => {
            if let Sought::Missing(_) = surroundings.at("/bin/sh") {
                ("/bin/sh".to_owned(), false)
            } else {
                let shell = ["/bin/sh".to_owned(), "-c".to_owned(), rest.join(" ")];
                (shell_command(&shell)?, true)
            }
        }
        _ => return None,
    };
    let seeker = if by_shell { Seeker::Program } else { Seeker::Runtime };
    let (_, Sought::Missing(_)) = surroundings.find(&program, seeker) else { return None };
    // What follows may be another way to ask, or answer by itself.
    let script = words.join(" ");
    let fails = |rest: &str| {
        let rest = rest.trim();
        rest.is_empty() || rest.starts_with("exit") && !rest.starts_with("exit 0")
    };
    let goes_on = |sign: &&str| script.split(sign).skip(1).any(|rest| !fails(rest));
    let other_way = by_shell && ["||", ";", "\n"].iter().any(goes_on);
    if other_way {
        return None;
    }
    let message = format!(
        "the health check starts {program}, which is not in the image: the container will never be healthy, and ECS \
         replaces the task"
    );
    let mut finding = Finding::new(Rule::HealthCheckNotFound, Severity::Warning, message)
        .help(format!("put {program} into the image, or ask in another way"));
    (finding.found, finding.wanted) = (Some("nothing".into()), Some(program));
    finding.location = Some(at.clone());
    Some(finding)
}

/// A Fargate task keeps the compressed and the unpacked image on its ephemeral storage, 20 GiB where nothing is said.
fn storage(target: &Target, image: &ImageFacts) -> Option<Finding> {
    const GIB: u64 = 1 << 30;
    if !on_fargate(target) {
        return None;
    }
    let room = match &target.definition.sizes.ephemeral_storage {
        Stated::Known { value, .. } => *value,
        Stated::Unset => 20,
        Stated::Unresolved { .. } => return None,
    };
    let files = image.root.layers().iter().flat_map(|layer| &layer.nodes).map(|node| match node.kind {
        Kind::File { size, .. } => size,
        _ => 0,
    });
    let unpacked = files.fold(0, u64::saturating_add);
    let compressed = image.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
    let bytes = room.saturating_mul(GIB);
    let severity = if unpacked > bytes {
        Severity::Error
    } else if unpacked.saturating_add(compressed) > bytes {
        Severity::Warning
    } else {
        return None;
    };
    let message = format!(
        "the image has {} MiB unpacked and {} MiB compressed, the task {room} GiB of ephemeral storage for both",
        unpacked >> 20,
        compressed >> 20
    );
    let wanted = unpacked.saturating_add(compressed).div_ceil(GIB).saturating_add(1);
    let mut finding = Finding::new(Rule::StorageTooSmall, severity, message)
        .help(format!("state \"ephemeralStorage\": {{\"sizeInGiB\": {}}}, or make the image smaller", wanted.max(21)));
    finding.location = target.definition.sizes.ephemeral_storage.location().cloned();
    (finding.found, finding.wanted) = (Some(format!("{room} GiB")), Some(format!("{wanted} GiB")));
    Some(finding)
}
