//! The files of an image that nobody is known to execute: those of another machine are a warning.

use std::collections::{BTreeMap, BTreeSet};

use crate::image::inspect::{Fit, ImageFacts, fit, machine};
use crate::layer::contents::{Head, Kind};
use crate::oci::platform::Arch;

use super::allow::Allowed;
use super::executable::made_for;
use super::finding::{Finding, Rule, Severity};
use super::lookup::shown;

/// How many are named one by one.
const MAX_NAMED: usize = 10;

/// A warning for each file of another machine but those in `known`; beyond [`MAX_NAMED`], one for all that are left.
pub(super) fn foreign(image: &ImageFacts, known: &BTreeSet<Box<[u8]>>, allowed: &Allowed<'_>) -> Vec<Finding> {
    let platform = image.platform();
    // Of other architectures it is not known which machines they run.
    let Some(wanted) =
        machine(&platform.architecture).filter(|_| matches!(platform.architecture, Arch::Amd64 | Arch::ARM64))
    else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut rest: BTreeMap<String, usize> = BTreeMap::new();
    for (path, node, layer) in image.root.iter() {
        let Kind::File { head: Head::Elf(elf), .. } = &node.kind else { continue };
        if fit(elf, &platform.architecture) != Fit::Foreign || known.contains(path) {
            continue;
        }
        let path = shown(path);
        if allowed.covers(Rule::ForeignExecutable, Some(&path)) {
            continue;
        }
        if findings.len() >= MAX_NAMED {
            *rest.entry(made_for(elf)).or_default() += 1;
            continue;
        }
        let digest = image.layers.get(layer).map(|layer| layer.digest);
        let from = digest.map_or_else(String::new, |digest| format!(" from layer {} ({digest})", layer + 1));
        let message = format!("{path}{from} is made for {}; the image is for {wanted} ({platform})", made_for(elf));
        let mut finding = Finding::new(Rule::ForeignExecutable, Severity::Warning, message)
            .help(format!("build it for {wanted}, leave it out, or allow it: --allow foreign-executable={path}"));
        finding.platform = Some(platform.to_string());
        finding.path = Some(path);
        finding.layer = digest;
        finding.found = Some(made_for(elf));
        finding.wanted = Some(wanted.to_string());
        findings.push(finding);
    }
    let more: usize = rest.values().sum();
    if more > 0 {
        let kinds: Vec<String> = rest.iter().map(|(machine, count)| format!("{count} for {machine}")).collect();
        let message = format!("and {more} more files are made for other machines than {wanted}: {}", kinds.join(", "));
        let mut finding = Finding::new(Rule::ForeignExecutable, Severity::Warning, message)
            .help("allow a folder of them: --allow foreign-executable=/opt/qemu/**");
        finding.platform = Some(platform.to_string());
        finding.wanted = Some(wanted.to_string());
        findings.push(finding);
    }
    findings
}
