//! What ECS itself refuses, whatever the image: a task definition that cannot be registered runs no image.

use crate::ecs::target::Target;
use crate::ecs::task_definition::{LaunchType, Location, OperatingSystem, Stated};

use super::finding::{Finding, Rule, Severity};

/// The sizes of Fargate tasks with Linux: CPU units, the least and most memory in MiB, and its steps ("Task CPU and
/// memory" of the developer guide). Of 256 units, 512 MiB is allowed beside the steps.
const FARGATE_SIZES: [(u64, u64, u64, u64); 7] = [
    (256, 512, 2048, 1024),
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

/// Everything in the definition that ECS is known to refuse.
pub(super) fn refused(target: &Target) -> Vec<Finding> {
    network(target).into_iter().chain(size(target)).collect()
}

/// Whether ECS holds the definition to the rules of Fargate: where it is to be compatible with it, or runs there.
pub(super) fn on_fargate(target: &Target) -> bool {
    let definition = &target.definition;
    let said = definition.launch_types.value().into_iter().flatten();
    said.chain(&definition.compatibilities).chain(&target.launch_types).any(|kind| *kind == LaunchType::Fargate)
}

fn error(rule: Rule, message: String, at: &Location, help: impl Into<String>) -> Finding {
    let mut finding = Finding::new(rule, Severity::Error, message).help(help);
    finding.location = Some(at.clone());
    finding
}

fn network(target: &Target) -> Vec<Finding> {
    let definition = &target.definition;
    let Stated::Known { value: mode, at, .. } = &definition.network_mode else { return Vec::new() };
    let mut findings = Vec::new();
    if on_fargate(target) && mode != "awsvpc" {
        let message = format!("Fargate has no networkMode {mode}");
        let mut finding = error(Rule::NetworkMode, message, at, "state \"networkMode\": \"awsvpc\"");
        (finding.found, finding.wanted) = (Some(mode.clone()), Some("awsvpc".into()));
        findings.push(finding);
    }
    if !matches!(mode.as_str(), "awsvpc" | "host") {
        return findings;
    }
    for container in &definition.containers {
        // A host port of 0 asks for none in particular.
        for ports in
            container.details.host_ports.iter().filter(|ports| ports.host != 0 && ports.host != ports.container)
        {
            let message = format!(
                "with networkMode {mode} a container has the ports of its host: hostPort {} is not containerPort {}",
                ports.host, ports.container
            );
            let help = format!("leave hostPort out, or state {}", ports.container);
            let mut finding = error(Rule::HostPortDiffers, message, &ports.at, help);
            finding.container = Some(container.name.clone());
            (finding.found, finding.wanted) = (Some(ports.host.to_string()), Some(ports.container.to_string()));
            findings.push(finding);
        }
    }
    findings
}

fn size(target: &Target) -> Option<Finding> {
    let definition = &target.definition;
    if !on_fargate(target) || matches!(definition.operating_system.value(), Some(OperatingSystem::Windows(_))) {
        return None;
    }
    let (Stated::Known { value: cpu, at, .. }, Stated::Known { value: memory, .. }) =
        (&definition.sizes.cpu, &definition.sizes.memory)
    else {
        return None;
    };
    let (units, mebibytes) = (amount(cpu, "vcpu")?, amount(memory, "gb")?);
    let Some((_, least, most, step)) = FARGATE_SIZES.into_iter().find(|size| size.0 == units) else {
        // Larger ones may be sold one day.
        if units > 16384 {
            return None;
        }
        let message = format!("Fargate has no tasks of {cpu} CPU units");
        let known: Vec<String> = FARGATE_SIZES.iter().map(|size| size.0.to_string()).collect();
        let help = format!("state one of {}", known.join(", "));
        return Some(error(Rule::FargateSize, message, at, help));
    };
    let fits = (least..=most).contains(&mebibytes) && (mebibytes % step == 0 || mebibytes == least);
    if fits {
        return None;
    }
    let message = format!("Fargate has no tasks of {cpu} CPU units with {memory} MiB of memory");
    let help = format!("with {units} CPU units, state {least} to {most} MiB in steps of {step}");
    let mut finding = error(Rule::FargateSize, message, definition.sizes.memory.location().unwrap_or(at), help);
    (finding.found, finding.wanted) = (Some(memory.clone()), Some(format!("{least} to {most}")));
    Some(finding)
}

/// CPU units or MiB: a number, or a number of the unit that is 1024 of them (`.5 vCPU`, `1GB`).
fn amount(text: &str, unit: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let Some(number) = text.strip_suffix(unit).map(str::trim_end) else { return text.parse().ok() };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part = match part.trim_end_matches('0') {
        "" => 0,
        "5" => 512,
        "25" => 256,
        "75" => 768,
        "125" => 128,
        _ => return None,
    };
    whole.checked_mul(1024)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_two_ways() {
        for (text, unit, wanted) in [
            ("256", "vcpu", Some(256)),
            (".25 vCPU", "vcpu", Some(256)),
            ("1 vcpu", "vcpu", Some(1024)),
            ("0.5GB", "gb", Some(512)),
            ("30 GB", "gb", Some(30720)),
            ("x", "gb", None),
            ("99999999999999999999 GB", "gb", None),
        ] {
            assert_eq!(amount(text, unit), wanted, "{text}");
        }
    }
}
