//! The readers against files that nobody here wrote. The folder with `expected.json` is named by `DOCKLESS_CORPUS`.

use std::path::Path;

use dockless::ecs::json::parse;
use dockless::ecs::target::{Target, TargetOptions};
use serde_json::Value;

#[test]
fn agrees_with_the_corpus() {
    let Some(folder) = std::env::var_os("DOCKLESS_CORPUS") else {
        note("SKIPPED: DOCKLESS_CORPUS is not set, the readers were not tried on the corpus");
        return;
    };
    let folder = Path::new(&folder);
    let folder = if folder.join("expected.json").exists() { folder.into() } else { folder.join("task-definitions") };
    let expected = std::fs::read(folder.join("expected.json")).expect("expected.json");
    let expected: Value = serde_json::from_slice(&expected).expect("JSON");
    let (mut right, mut all, mut wrong) = (0, 0, Vec::new());
    for (path, case) in expected.as_object().expect("an object") {
        if !path.starts_with("json/") && !path.starts_with("other/") {
            continue;
        }
        all += 1;
        let Ok(text) = std::fs::read_to_string(folder.join(path)) else { continue };
        let refusal =
            path.starts_with("other/") || case["note"].as_str().is_some_and(|note| note.starts_with("not JSON"));
        match (parse(path, &text), refusal) {
            (Err(_), true) => right += 1,
            (Ok(_), true) => wrong.push(format!("{path}: read, but should be refused")),
            (Err(error), false) => wrong.push(error.to_string()),
            (Ok(definitions), false) => {
                let ours: Vec<Value> = definitions.into_iter().map(answer).collect();
                let theirs: Vec<Value> =
                    case["task_definitions"].as_array().into_iter().flatten().map(comparable).collect();
                if ours == theirs {
                    right += 1;
                } else {
                    wrong.push(format!("{path}:\n  ours   {ours:?}\n  theirs {theirs:?}"));
                }
            }
        }
    }
    note(&format!("corpus: {right} of {all} right"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[expect(clippy::print_stderr, reason = "a test that is skipped, and a score, are said aloud")]
fn note(text: &str) {
    eprintln!("{text}");
}

fn answer(definition: dockless::ecs::task_definition::TaskDefinition) -> Value {
    let target = serde_json::to_value(Target::new(definition, &TargetOptions::default()).json()).expect("JSON");
    let ports = |container: &Value| -> Vec<String> {
        let ports = container["ports"].as_array().into_iter().flatten();
        ports.map(|port| port.to_string().trim_matches('"').to_owned()).collect()
    };
    let containers: Vec<Value> = target["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| serde_json::json!([c["name"], c["image"], ports(c)]))
        .collect();
    serde_json::json!([
        target["family"],
        target["architecture"],
        target["operating_system"],
        target["launch_types"],
        containers
    ])
}

fn comparable(case: &Value) -> Value {
    let text = |value: &Value| value.to_string().trim_matches('"').to_owned();
    let containers: Vec<Value> = case["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| {
            let ports: Vec<String> = c["ports"].as_array().into_iter().flatten().map(text).collect();
            serde_json::json!([c["name"], c["image"], ports])
        })
        .collect();
    let compatibilities = if case["compat"].is_array() { case["compat"].clone() } else { serde_json::json!([]) };
    serde_json::json!([case["family"], case["arch"], case["os"], compatibilities, containers])
}
