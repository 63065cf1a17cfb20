//! The references in a task definition against the image that was verified: whether the task runs this image at all.

use crate::aws::ecr::{EcrHost, Kind};
use crate::ecs::target::Target;
use crate::ecs::task_definition::{ContainerDefinition, Location, Stated};
use crate::image::inspect::Facts;
use crate::oci::reference::Reference;

use super::finding::{Finding, Rule, Severity};

/// A reference as a definition has it; what is still to be rendered is none.
fn known(stated: &Stated<String>) -> Option<(Reference, &Location)> {
    match stated {
        Stated::Known { value, at, .. } => Some((value.parse().ok()?, at)),
        Stated::Unset | Stated::Unresolved { .. } => None,
    }
}

/// The name by which the image was verified, where that is one of a registry.
pub(super) fn named(facts: &Facts) -> Option<Reference> {
    let name = facts.name.strip_prefix("docker://").unwrap_or(&facts.name);
    // A path may look like a reference to Docker Hub; nobody writes a registry's host without a dot or colon.
    let host = name.split('/').next().filter(|host| name.contains('/') && !host.starts_with('.'))?;
    if !host.contains(['.', ':']) {
        return None;
    }
    name.parse().ok()
}

/// What is told of the references of a target whose containers with this image are `ours`.
pub(super) fn references(facts: &Facts, target: &Target, ours: &[&ContainerDefinition]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = ours.iter().flat_map(|container| differences(facts, container)).collect();
    findings.extend(mutable(facts, ours));
    findings.extend(target.definition.containers.iter().filter_map(log_region));
    findings
}

fn finding(rule: Rule, severity: Severity, message: String, container: &str, at: &Location) -> Finding {
    let mut finding = Finding::new(rule, severity, message);
    finding.container = Some(container.into());
    finding.location = Some(at.clone());
    finding
}

fn differences(facts: &Facts, container: &ContainerDefinition) -> Vec<Finding> {
    let Some((theirs, at)) = known(&container.image) else { return Vec::new() };
    let Some(ours) = named(facts) else { return Vec::new() };
    let mut findings = Vec::new();
    let mut differs = |rule, severity, what: String, found: &str, wanted: &str, help: &str| {
        let mut finding = finding(rule, severity, what, &container.name, at).help(help);
        (finding.found, finding.wanted) = (Some(found.into()), Some(wanted.into()));
        findings.push(finding);
    };
    let private =
        |reference: &Reference| EcrHost::parse(reference.registry()).filter(|host| host.kind == Kind::Private);
    if let (Some(own), Some(other)) = (private(&ours), private(&theirs))
        && own.region != other.region
    {
        let message =
            format!("the task takes its image from {}, but the image was verified for {}", other.region, own.region);
        let help = "name the region into which the image is pushed, or replicate the repository";
        differs(Rule::RegionDiffers, Severity::Warning, message, &other.region, &own.region, help);
    }
    let same_place = match (private(&ours), private(&theirs)) {
        (Some(own), Some(other)) => own.account == other.account,
        (None, None) => ours.registry() == theirs.registry(),
        _ => false,
    };
    let account = |reference: &Reference| private(reference).and_then(|host| host.account);
    let both_private = account(&ours).is_some() && account(&theirs).is_some();
    if same_place && ours.repository() != theirs.repository() || both_private && !same_place {
        let message = format!("the task runs {}, but {} was verified", theirs.name(), ours.name());
        let help = "name the repository into which the image is pushed; dockless render --image puts it in";
        differs(Rule::RepositoryDiffers, Severity::Warning, message, &theirs.name(), &ours.name(), help);
        return findings;
    }
    let is_ours =
        |digest| digest == facts.top.digest || facts.images.iter().any(|image| image.manifest.digest == digest);
    if same_place && let Some(digest) = theirs.digest().filter(|digest| !is_ours(*digest)) {
        let message = format!("the task runs {digest}, but {} was verified", facts.top.digest);
        let help = "put the verified digest in: dockless render --image CONTAINER=REFERENCE";
        let (found, wanted) = (digest.to_string(), facts.top.digest.to_string());
        differs(Rule::DigestDiffers, Severity::Note, message, &found, &wanted, help);
    }
    findings
}

/// The containers that name the verified image by what may move; one note for all. Nearly every definition names other
/// images by tags, and this one too while it is not pushed.
fn mutable(facts: &Facts, ours: &[&ContainerDefinition]) -> Option<Finding> {
    let verified = named(facts)?;
    // Another tag names another image, and is about to be replaced where the definition is rendered.
    let same = |reference: &Reference| {
        reference.name() == verified.name() && reference.tag_or_latest() == verified.tag_or_latest()
    };
    let mutable: Vec<_> = ours
        .iter()
        .filter_map(|container| Some((*container, known(&container.image)?)))
        .filter(|(_, (reference, _))| reference.digest().is_none() && same(reference))
        .collect();
    let (first, (_, at)) = mutable.first()?;
    let named = |(container, (reference, _)): &(&ContainerDefinition, (Reference, &Location))| {
        format!("{} ({})", container.name, reference.tag_or_latest().unwrap_or_default())
    };
    let names: Vec<String> = mutable.iter().map(named).collect();
    let message = format!("named by a tag, which may move after it was verified: {}", names.join(", "));
    let help = "name images by digest: dockless render --image CONTAINER=REFERENCE";
    Some(finding(Rule::MutableReference, Severity::Note, message, &first.name, at).help(help))
}

/// Logs that go to another region than the image comes from.
fn log_region(container: &ContainerDefinition) -> Option<Finding> {
    let Stated::Known { value: region, at, .. } = &container.details.log_region else { return None };
    let (image, _) = known(&container.image)?;
    let host = EcrHost::parse(image.registry()).filter(|host| host.kind == Kind::Private && host.region != *region)?;
    let message = format!("its image comes from {}, but its logs go to {region}", host.region);
    let mut finding = finding(Rule::LogRegionDiffers, Severity::Note, message, &container.name, at)
        .help("state the region in which the task runs as awslogs-region");
    (finding.found, finding.wanted) = (Some(region.clone()), Some(host.region));
    Some(finding)
}
