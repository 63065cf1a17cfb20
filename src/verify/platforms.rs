//! Which image of an index a runtime takes (containerd `images.Manifest`, `platforms.Only`), and whether the image
//! itself agrees.

use crate::ecs::task_definition::{CpuArchitecture, Notation};
use crate::image::inspect::{Facts, ImageFacts};
use crate::oci::platform::{Arch, Os, Platform};

use super::finding::{Finding, Rule, Severity};

/// Whether it is an image at all: attestations stand in an index under `unknown/unknown`.
pub(super) fn is_image(image: &ImageFacts) -> bool {
    let platform = image.platform();
    platform.os != Os::from("unknown") && platform.architecture != Arch::from("unknown")
}

/// The image that a runtime takes: of those that match, the first of the best rank. A single manifest is taken without
/// looking.
pub(super) fn choose<'a>(facts: &'a Facts, wanted: &Platform) -> Option<&'a ImageFacts> {
    if !facts.is_index {
        return facts.images.first();
    }
    let ranked = facts.images.iter().filter(|image| is_image(image));
    let ranked = ranked.filter_map(|image| Some((image.platform().rank(wanted)?, image)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, image)| image)
}

/// The platforms that there are, for people.
fn present(facts: &Facts) -> String {
    let platforms: Vec<String> =
        facts.images.iter().filter(|image| is_image(image)).map(|image| image.platform().to_string()).collect();
    if platforms.is_empty() { "no image".into() } else { platforms.join(", ") }
}

/// `platform-missing`, in an index or for a single manifest of another platform.
///
/// The help is in the definition's words, and depends on whether it states the platform or leaves it to a default.
pub(super) fn missing(
    facts: &Facts,
    wanted: &Platform,
    why: &str,
    (by_default, notation): (bool, Notation),
) -> Finding {
    let present = present(facts);
    let message = if facts.is_index {
        format!("the image has nothing for {wanted} ({why}): it has {present}")
    } else {
        format!(
            "the image is a single manifest for {present}, wanted is {wanted} ({why}): a runtime takes it without \
             looking, and it dies when it starts (exec format error)"
        )
    };
    let build = format!("build {wanted} as well (dockless build -p linux/amd64,linux/arm64)");
    let build = if wanted.os == Os::Linux {
        build
    } else {
        format!("ask for {} LINUX: dockless builds for Linux", notation.operating_system_key())
    };
    let arm = facts.images.iter().any(|image| image.platform().satisfies(&Platform::linux_arm64()));
    let help = match (&wanted.architecture, by_default) {
        _ if wanted.os != Os::Linux => build,
        (Arch::Amd64, true) if arm => {
            format!("state {} in the task definition, or {build}", notation.architecture(CpuArchitecture::Arm64))
        }
        (Arch::Amd64, false) if arm => format!("{build}, or state {} ARM64", notation.architecture_key()),
        (Arch::ARM64, false) => format!("{build}, or state {} X86_64", notation.architecture_key()),
        _ => build,
    };
    let mut finding = Finding::new(Rule::PlatformMissing, Severity::Error, message).help(help);
    finding.platform = Some(wanted.to_string());
    finding.found = Some(present);
    finding.wanted = Some(wanted.to_string());
    finding
}

/// `config-disagrees`: the index's word against the configuration's.
pub(super) fn disagreement(image: &ImageFacts) -> Option<Finding> {
    let stated = image.stated.as_ref()?;
    let config = image.config.platform();
    let (own, other) = (config.normalized(), stated.normalized());
    if own.os == other.os && own.architecture == other.architecture {
        return None;
    }
    let message =
        format!("the index says {stated} of the image {}, but its configuration says {config}", image.manifest.digest);
    let mut finding = Finding::new(Rule::ConfigDisagrees, Severity::Error, message)
        .help("build the image again: one of the two is wrong, and the runtime believes the index");
    finding.platform = Some(stated.to_string());
    finding.found = Some(config.to_string());
    finding.wanted = Some(stated.to_string());
    Some(finding)
}
