//! Findings as SARIF 2.1.0, which code scanning services read (OASIS "Static Analysis Results Interchange Format").
//!
//! Each result has a place in a file, since GitHub shows none without: where a finding is about the image alone, it is
//! the first line of the task definition that asks for it. The file of the image is its logical location.

use std::path::Path;

use dockless::ecs::task_definition::Location;
use dockless::verify::finding::{Finding, Rule, Severity, Verification};
use serde_json::{Map, Value, json};

use super::github::named;

/// The document of a verification. `definitions` are the places of the targets' definitions, in their order; files are
/// named from the workspace of a job, where there is one.
pub fn document(verification: &Verification, definitions: &[Location], workspace: Option<&Path>) -> Value {
    let first = definitions.first();
    let of_targets = verification.targets.iter().enumerate().flat_map(|(index, target)| {
        let place = definitions.get(index).or(first);
        target.findings.iter().map(move |finding| result(finding, place, Some(&target.target.id), workspace))
    });
    let of_image = verification.findings.iter().map(|finding| result(finding, first, None, workspace));
    let results: Vec<Value> = of_targets.chain(of_image).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "dockless",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": Rule::ALL.map(rule),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{ "executionSuccessful": true }],
            "properties": {
                "image": verification.image,
                "digest": verification.digest,
                "verdict": verification.verdict,
            },
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

fn index(rule: Rule) -> usize {
    Rule::ALL.iter().position(|other| *other == rule).unwrap_or_default()
}

/// `platform-missing` as `PlatformMissing`, which viewers show beside the ID.
fn pascal(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    };
    name.split('-').map(word).collect()
}

fn rule(rule: Rule) -> Value {
    let page = rule.explain().trim_end();
    let (title, body) = page.split_once('\n').unwrap_or((page, ""));
    let title = title.split_once(": ").map_or(title, |(_, title)| title);
    json!({
        "id": rule.name(),
        "name": pascal(rule.name()),
        "shortDescription": { "text": title },
        "fullDescription": { "text": title },
        "help": { "text": body.trim(), "markdown": markdown(body.trim()) },
        "defaultConfiguration": { "level": level(rule.severity()) },
    })
}

/// A page for a viewer of Markdown: what is indented is shown as it stands, and nothing else is taken for markup.
fn markdown(page: &str) -> String {
    let mut out = String::new();
    let mut verbatim = false;
    for line in page.lines() {
        let indented = line.starts_with("  ");
        if indented != verbatim && (indented || !line.is_empty()) {
            out.push_str(if indented { "\n```text\n" } else { "```\n\n" });
            verbatim = indented;
        }
        if verbatim {
            out.push_str(line.strip_prefix("  ").unwrap_or(line));
        } else {
            for c in line.chars() {
                if matches!(c, '*' | '_' | '<' | '>' | '[' | ']' | '#') {
                    out.push('\\');
                }
                out.push(c);
            }
        }
        out.push('\n');
    }
    if verbatim {
        out.push_str("```\n");
    }
    out
}

fn result(finding: &Finding, definition: Option<&Location>, target: Option<&str>, workspace: Option<&Path>) -> Value {
    let Finding { rule, severity, message, help, platform, container, path, layer, found, wanted, .. } = finding;
    let text = match help {
        Some(help) => format!("{message}\n{help}"),
        None => message.clone(),
    };
    let mut location = Map::new();
    let place = finding.location.as_ref().map(|place| (place, true)).or(definition.map(|place| (place, false)));
    if let Some((place, exact)) = place {
        let mut region = json!({ "startLine": place.line.max(1) });
        if exact {
            region["startColumn"] = json!(place.column.max(1));
        }
        let file = json!({ "artifactLocation": artifact(&named(&place.file, workspace)), "region": region });
        location.insert("physicalLocation".into(), file);
    }
    if let Some(path) = path {
        let logical = json!([{ "fullyQualifiedName": path, "kind": "resource" }]);
        location.insert("logicalLocations".into(), logical);
    }
    let mut properties = Map::new();
    let layer = layer.map(|layer| layer.to_string());
    let target = target.map(str::to_owned);
    let facts = [
        ("target", &target),
        ("platform", platform),
        ("container", container),
        ("path", path),
        ("layer", &layer),
        ("found", found),
        ("wanted", wanted),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            properties.insert(name.into(), json!(fact));
        }
    }
    // Of two runs on the same lines, the same finding is the same alert, whatever the layers' digests are by now.
    let words = [rule.name(), target.as_deref().unwrap_or_default()].into_iter();
    let words = words.chain([platform, container, path].map(|fact| fact.as_deref().unwrap_or_default()));
    let identity = words.collect::<Vec<_>>().join("\n");
    let identity = dockless::oci::digest::Digest::of(identity.as_bytes()).encoded();
    json!({
        "ruleId": rule.name(),
        "ruleIndex": index(*rule),
        "level": level(*severity),
        "message": { "text": text },
        "locations": if location.is_empty() { Vec::new() } else { vec![Value::Object(location)] },
        "partialFingerprints": { "dockless/v1": identity },
        "properties": properties,
    })
}

/// The URI of a file: relative to the workspace, else to where the command ran, which in a checkout is the repository.
fn artifact(file: &str) -> Value {
    let relative = file.strip_prefix("./").unwrap_or(file);
    let mut uri = String::from(if relative.starts_with('/') { "file://" } else { "" });
    for (index, byte) in relative.bytes().enumerate() {
        match byte {
            // A colon in the first part would make it a scheme.
            b':' if index > 0 && relative[..index].contains('/') => uri.push(':'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'+' | b'@' => {
                uri.push(char::from(byte));
            }
            byte => {
                let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble)]);
                uri.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    json!({ "uri": uri })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_escaped() {
        for (file, wanted) in [
            ("./infra/task definition.json", "infra/task%20definition.json"),
            ("a:b.json", "a%3Ab.json"),
            ("x/a:b%.json", "x/a:b%25.json"),
            ("/srv/\u{fc}.json", "file:///srv/%C3%BC.json"),
        ] {
            assert_eq!(artifact(file), json!({ "uri": wanted }));
        }
    }

    #[test]
    fn what_is_indented_stands_as_it_is() {
        let page = "What ECS says:\n  exec *x*: <y>\n\nTo *repair*\n  last";
        let wanted = "What ECS says:\n\n```text\nexec *x*: <y>\n\n```\n\nTo \\*repair\\*\n\n```text\nlast\n```\n";
        assert_eq!(markdown(page), wanted);
    }
}
