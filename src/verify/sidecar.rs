//! The other containers of a task: all of them are started on the same machine.

use std::collections::BTreeMap;

use crate::ecs::target::{Asked, Target};
use crate::ecs::task_definition::Stated;
use crate::oci::platform::Platform;

use super::finding::{Finding, Rule, Severity};

/// `sidecar-platform-missing`: the containers whose images lack the platform of the task. `platforms` says for a
/// container what its image has; one that is not in it is not judged. A target whose platform is undetermined has no
/// findings: which side fails is said of the image itself.
pub fn sidecars(target: &Target, platforms: &BTreeMap<String, Vec<Platform>>) -> Vec<Finding> {
    let Asked::Platform { platform: wanted, why, .. } = &target.asked else { return Vec::new() };
    let mut findings = Vec::new();
    for container in &target.definition.containers {
        let Some(has) = platforms.get(&container.name) else { continue };
        if has.iter().any(|platform| platform.satisfies(wanted)) {
            continue;
        }
        let present = has.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ");
        let present = if present.is_empty() { "no image".into() } else { present };
        let image = container.image.value().map_or("its image", String::as_str);
        let message =
            format!("{image} of container {:?} has nothing for {wanted} ({why}): it has {present}", container.name);
        // A task goes on without a container that is not essential, as far as its start is concerned.
        let optional = matches!(container.essential, Stated::Known { value: false, .. } | Stated::Unresolved { .. });
        let severity = if optional { Severity::Warning } else { Severity::Error };
        let mut finding = Finding::new(Rule::SidecarPlatformMissing, severity, message)
            .help(format!("take an image that has {wanted}, or run the task on the other architecture"));
        finding.platform = Some(wanted.to_string());
        finding.container = Some(container.name.clone());
        (finding.found, finding.wanted) = (Some(present), Some(wanted.to_string()));
        finding.location = container.image.location().or(Some(&container.location)).cloned();
        findings.push(finding);
    }
    findings
}
