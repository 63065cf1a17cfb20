//! Templates that nobody here wrote.

#[path = "../corpus/mod.rs"]
mod folder;

use std::collections::BTreeMap;

use dockless::ecs::cloudformation::{NoFiles, Parameters, parse};
use dockless::ecs::target::{Target, TargetOptions};
use serde_json::Value;

#[test]
#[ignore = "needs DOCKLESS_CORPUS"]
fn agrees_with_the_corpus() {
    let (folder, expected) = folder::task_definitions();
    let mut wrong = Vec::new();
    let (mut definitions, mut details, mut short) = (0, 0, Vec::new());
    for (path, case) in expected.as_object().expect("an object") {
        if !["cfn/", "cdk/"].iter().any(|kind| path.starts_with(kind)) && !path.contains("cloudformation-conversion") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(folder.join(path)) else { continue };
        let stacks = match parse(path, &text, &Parameters::new(), &mut NoFiles) {
            Ok(stacks) => stacks,
            Err(error) => {
                wrong.push(error.to_string());
                continue;
            }
        };
        let launch_types: BTreeMap<String, String> = stacks
            .definitions
            .iter()
            .filter_map(|definition| Some((definition.id.clone(), definition.launch_types.source()?)))
            .collect();
        let targets: Vec<Value> = stacks
            .definitions
            .into_iter()
            .map(|definition| {
                serde_json::to_value(Target::new(definition, &TargetOptions::default()).json()).expect("JSON")
            })
            .collect();
        for theirs in case["task_definitions"].as_array().into_iter().flatten() {
            definitions += 1;
            let Some(ours) = targets.iter().find(|ours| ours["id"] == theirs["id"]) else {
                // Left out where its condition is false.
                if !theirs["note"].as_str().is_some_and(|note| note.contains("Condition=")) {
                    wrong.push(format!("{path}: {} is missing", theirs["id"]));
                }
                continue;
            };
            let place = format!("{path} {}", theirs["id"]);
            for (ours, theirs) in
                [("architecture", "arch"), ("operating_system", "os")].map(|(o, t)| (&ours[o], &theirs[t]))
            {
                let unresolved = theirs.as_str().is_some_and(|word| word.starts_with("UNRESOLVED"));
                if ours != theirs && !(unresolved && ours == "UNRESOLVED") {
                    wrong.push(format!("{place}: ours {ours} theirs {theirs}"));
                }
            }
            let run = |pair: &(&str, String, String)| {
                let service = launch_types.get(theirs["id"].as_str().unwrap_or_default());
                pair.0 == "launch types" && pair.2.is_empty() && service.is_some_and(|how| how.contains(" of "))
            };
            for (what, ours, theirs) in compared(ours, theirs).into_iter().filter(|pair| !run(pair)) {
                details += 1;
                if !agrees(&ours, &theirs, &theirs_notes(case)) {
                    short.push(format!("{place}: {what}: ours {ours} theirs {theirs}"));
                }
            }
        }
        let wanted = case["task_definitions"].as_array().map_or(0, Vec::len);
        if targets.len() > wanted {
            wrong.push(format!("{path}: {} definitions, expected {wanted}", targets.len()));
        }
    }
    note(&format!(
        "cloudformation: {definitions} definitions, {} wrong; {} of {details} details right",
        wrong.len(),
        details - short.len()
    ));
    for line in &short {
        note(line);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(definitions > 50 || expected.as_object().is_some_and(|all| all.len() < 100), "the corpus was not read");
    assert!(short.len() * 100 <= details * 3, "{} of {details} fall short", short.len());
}

fn theirs_notes(case: &Value) -> Vec<&str> {
    case["task_definitions"].as_array().into_iter().flatten().filter_map(|one| one["note"].as_str()).collect()
}

/// What is compared beside the platform: family, launch types, names, images and ports.
fn compared(ours: &Value, theirs: &Value) -> Vec<(&'static str, String, String)> {
    let list = |value: &Value| {
        let items: Vec<String> = value.as_array().into_iter().flatten().map(plain).collect();
        items.join(", ")
    };
    let mut pairs = vec![
        ("family", plain(&ours["family"]), plain(&theirs["family"])),
        ("launch types", list(&ours["launch_types"]), list(&theirs["compat"])),
    ];
    let containers = |value: &Value| value["containers"].as_array().cloned().unwrap_or_default();
    let (ours, theirs) = (containers(ours), containers(theirs));
    for at in 0..ours.len().max(theirs.len()) {
        let (one, other) = (ours.get(at).unwrap_or(&Value::Null), theirs.get(at).unwrap_or(&Value::Null));
        pairs.push(("name", plain(&one["name"]), plain(&other["name"])));
        pairs.push(("image", plain(&one["image"]), plain(&other["image"])));
        pairs.push(("ports", list(&one["ports"]), list(&other["ports"])));
    }
    pairs
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The same expression however it is spelt, or what the defaults make of it.
fn agrees(ours: &str, theirs: &str, notes: &[&str]) -> bool {
    let bare = |text: &str| text.replace("Fn::", "").chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let unset = theirs.starts_with("(none") && ours == "UNSET";
    // An entry under a condition that the defaults decide.
    if theirs == "(conditional entry)" || theirs.starts_with("{\"!If\"") {
        return true;
    }
    if ours == theirs || bare(ours) == bare(theirs) || unset {
        return true;
    }
    let mut filled = theirs.to_owned();
    for parameter in notes.iter().filter_map(|note| note.strip_prefix("params: ")).flat_map(|note| note.split("; ")) {
        if let Some((name, default)) = parameter.split_once(" default=") {
            let default = default.trim_matches('\'');
            for form in
                [format!("{{\"!Ref\": \"{name}\"}}"), format!("{{\"Ref\": \"{name}\"}}"), format!("${{{name}}}")]
            {
                filled = filled.replace(&form, default);
            }
        }
    }
    let open =
        filled.contains("!Ref") || filled.contains("\"Ref\"") || filled.contains("${") || filled.contains("!GetAtt");
    let mut bare_filled = bare(&filled);
    for function in ["Sub", "Join"] {
        if filled.starts_with(&format!("{{\"!{function}\"")) {
            bare_filled = bare_filled.replacen(function, "", 1);
        }
    }
    bare_filled == bare(ours) || open && ours == "UNRESOLVED" || open && ours.is_empty()
}

#[expect(clippy::print_stderr, reason = "a test that is skipped, and a score, are said aloud")]
fn note(text: &str) {
    eprintln!("{text}");
}
