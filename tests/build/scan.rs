//! What code scanning services and people looking into an image are told.

use serde_json::Value;

use super::project::{Project, golden, without_digests};
use super::verify::X86_64;

/// Whether a value has the shape that the schema of SARIF 2.1.0 asks for, as far as we write it.
fn check(document: &Value) {
    let text = |value: &Value| assert!(value.as_str().is_some_and(|text| !text.is_empty()), "{value}");
    assert_eq!(document["version"], "2.1.0");
    text(&document["$schema"]);
    let runs = document["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 1);
    let driver = &runs[0]["tool"]["driver"];
    text(&driver["name"]);
    let rules = driver["rules"].as_array().expect("rules");
    let levels = ["none", "note", "warning", "error"];
    for rule in rules {
        for member in ["id", "name"] {
            text(&rule[member]);
        }
        for member in ["shortDescription", "fullDescription", "help"] {
            text(&rule[member]["text"]);
        }
        text(&rule["help"]["markdown"]);
        assert!(
            rule.get("helpUri").is_none()
                && levels.contains(&rule["defaultConfiguration"]["level"].as_str().expect("a level"))
        );
    }
    for result in runs[0]["results"].as_array().expect("results") {
        let index = usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("small");
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(levels.contains(&result["level"].as_str().expect("a level")), "{result}");
        text(&result["message"]["text"]);
        text(&result["partialFingerprints"]["dockless/v1"]);
        let locations = result["locations"].as_array().expect("locations");
        assert_eq!(locations.len(), 1, "{result}");
        let place = &locations[0]["physicalLocation"];
        text(&place["artifactLocation"]["uri"]);
        assert!(place["region"]["startLine"].as_u64().is_some_and(|line| line > 0), "{result}");
    }
}

/// A project whose image for arm64 has the program of amd64, and a key.
fn project() -> Project {
    let project = Project::programs();
    project.write("bin/app-arm64", project.read("bin/app-amd64"));
    let recipe =
        super::project::PROGRAMS.replace("copy = [", "copy = [{ src = \"server.key\", dest = \"/srv/server.key\" }, ");
    project.write("dockless.toml", recipe).write("server.key", "-----BEGIN PRIVATE KEY-----\nMC4C\n");
    project.write("task definition.json", X86_64.replace("X86_64", "ARM64"));
    project.run(&["build", "-q", "--compression", "none"]).with_code(1);
    project
}

#[test]
fn findings_as_sarif() {
    let project = project();
    let words = ["verify", "-q", "oci", "--task-definition", "task definition.json", "--sarif", "-"];
    let said = project.run(&words).with_code(1);
    let document = said.json();
    check(&document);
    let run = &document["runs"][0];
    assert_eq!(run["properties"]["verdict"], "does-not-run");
    let mut told = run["results"].clone();
    // They change with every byte of the image.
    for result in told.as_array_mut().expect("results") {
        result["partialFingerprints"] = Value::Null;
    }
    golden("sarif-results.json", without_digests(&format!("{told:#}\n")));

    let to_file = ["verify", "-q", "oci", "--task-definition", "task definition.json", "--sarif", "out.sarif"];
    assert_eq!(project.run(&to_file).with_code(1).stdout, "does-not-run\n");
    assert_eq!(serde_json::from_slice::<Value>(&project.read("out.sarif")).expect("JSON"), document);
    let both = [&words[..], &["--json"]].concat();
    assert!(project.run(&both).with_code(2).stderr.contains("--sarif"));
}

#[test]
fn a_finding_is_the_same_alert_after_a_rebuild() {
    let project = project();
    let words = ["verify", "-q", "oci", "--task-definition", "task definition.json", "--sarif", "-"];
    let prints = |document: Value| -> Vec<Value> {
        let results = document["runs"][0]["results"].as_array().expect("results").clone();
        results.into_iter().map(|result| result["partialFingerprints"]["dockless/v1"].clone()).collect()
    };
    let before = project.run(&words).with_code(1).json();
    project.write("server.key", "-----BEGIN PRIVATE KEY-----\nanother\n");
    project.run(&["build", "-q", "--compression", "none"]).with_code(1);
    let after = project.run(&words).with_code(1).json();
    assert_ne!(before["runs"][0]["properties"], after["runs"][0]["properties"]);
    let (before, after) = (prints(before), prints(after));
    assert_eq!(before, after);
    assert!(before.len() > 1 && before.iter().all(|print| before.iter().filter(|other| *other == print).count() == 1));
}

#[test]
fn a_secret_is_told_when_it_is_built_and_may_be_allowed() {
    let project = Project::programs();
    let recipe = super::project::PROGRAMS.replace("copy = [", "copy = [{ src = \".env\", dest = \"/srv/.env\" }, ");
    project.write("dockless.toml", recipe).write(".env", "TOKEN=1\n");
    let said = project.run(&["build", "-q"]).done();
    assert!(said.stderr.contains("secret-in-image") && said.stderr.contains("/srv/.env"), "{said:#?}");
    project.write("x86.json", X86_64);
    let strict = ["verify", "-q", "oci", "--task-definition", "x86.json", "--strict"];
    project.run(&strict).with_code(1);
    let allowed = [&strict[..], &["--allow", "secret-in-image=/srv/**"]].concat();
    project.run(&allowed).done();
}

#[test]
fn inspect_shows_labels_and_annotations() {
    let project = Project::programs();
    let build = [
        "build",
        "-q",
        "--compression",
        "none",
        "--label",
        "org.example.team=a b",
        "--annotation",
        "org.example.note=two\nlines",
    ];
    project.run(&build).done();
    let words = ["inspect", "oci"];
    let said = project.run(&words).done();
    golden("inspect-labels.txt", without_digests(&project.shown(&words, &said)));
    let json = project.run(&["inspect", "oci", "--json"]).done().json();
    assert_eq!(json["annotations"]["org.example.note"], "two\nlines");
    assert_eq!(json["platforms"][0]["configuration"]["Labels"]["org.example.team"], "a b");
}
