//! What the runtime refuses before it executes anything: a working folder that is none, a user that the image does not
//! know.

use crate::ecs::task_definition::{ContainerDefinition, Location, Stated};
use crate::image::inspect::ImageFacts;
use crate::image::root::Unresolved;
use crate::layer::contents::Kind;

use super::finding::{Finding, Rule, Severity};
use super::lookup::{Sought, Surroundings, shown};

/// What is refused of a container's process, or of the image's by itself.
pub(super) fn refused(
    image: &ImageFacts,
    container: Option<&ContainerDefinition>,
    surroundings: &Surroundings<'_>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let stated = container.map_or(&Stated::Unset, |container| &container.working_directory);
    let (folder, at) = word(stated, &image.config.config.working_dir);
    if let Some(folder) = folder
        && let Some(what) = folder_fault(folder, surroundings)
    {
        let mut finding = error(at, format!("the working folder {folder} {what}"))
            .help("state an absolute path of a folder, which is made where it does not exist");
        finding.found = Some(folder.to_owned());
        findings.push(finding);
    }
    let stated = container.map_or(&Stated::Unset, |container| &container.user);
    let (user, at) = word(stated, &image.config.config.user);
    let (user, group) = user.map_or(("", ""), |user| user.split_once(':').unwrap_or((user, "")));
    for (name, kind, file) in [(user, "user", "/etc/passwd"), (group, "group", "/etc/group")] {
        // A number is taken as it is.
        if name.is_empty() || name.parse::<u32>().is_ok() {
            continue;
        }
        let Some(what) = file_fault(file, surroundings) else { continue };
        let message = format!("the {kind} {name} is stated by name, but {file} {what}: no {kind} has a name");
        let mut finding = error(at, message).help(format!("state the {kind} by number, or put {file} into the image"));
        if name == "root" {
            finding.severity = Severity::Note;
            finding.message.push_str(", unless the runtime knows root without looking");
            finding = finding.undecided();
        }
        (finding.path, finding.wanted) = (Some(file.into()), Some(name.into()));
        findings.push(finding);
    }
    findings
}

fn error(at: Option<&Location>, message: String) -> Finding {
    let mut finding = Finding::new(Rule::ProcessRefused, Severity::Error, message);
    finding.location = at.cloned();
    finding
}

/// What the container definition states, else the image; `None` where it is not known, or nothing is stated.
fn word<'a>(stated: &'a Stated<String>, own: &'a str) -> (Option<&'a str>, Option<&'a Location>) {
    let (text, at) = match stated {
        Stated::Known { value, at, .. } if !value.is_empty() => (value.as_str(), Some(at)),
        Stated::Unresolved { .. } => ("", None),
        Stated::Known { .. } | Stated::Unset => (own, None),
    };
    (Some(text).filter(|text| !text.is_empty()), at)
}

fn folder_fault(folder: &str, surroundings: &Surroundings<'_>) -> Option<String> {
    if !folder.starts_with('/') {
        return Some("is relative".into());
    }
    if let Sought::Unknown(_) = surroundings.at(folder) {
        return None;
    }
    match surroundings.image.root.locate(folder.as_bytes()) {
        Ok(found) if found.node.kind != Kind::Directory => Some("is no folder in the image".into()),
        Err(Unresolved::NotADirectory(end)) => Some(format!("cannot be: {} is no folder in the image", shown(&end))),
        Err(Unresolved::Loop(end)) => Some(format!("cannot be: the links at {} do not end", shown(&end))),
        Ok(_) | Err(Unresolved::Missing(_)) => None,
    }
}

fn file_fault(file: &str, surroundings: &Surroundings<'_>) -> Option<&'static str> {
    match surroundings.at(file) {
        Sought::Missing(_) => Some("is not in the image"),
        Sought::Found(found) => matches!(found.node.kind, Kind::File { size: 0, .. }).then_some("is empty"),
        Sought::Unknown(_) => None,
    }
}
