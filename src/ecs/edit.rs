//! A task definition with other images in it, and nothing else changed: not an indentation, not an unknown key.
//!
//! What `describe-task-definition` printed is made fit for `register-task-definition`: the wrapper goes, and the fields
//! that only a reply has. Every edit is checked by reading the result: it must be the source's tree with the images
//! that were asked for, or nothing is handed out. An anchor that several values share is so an error, never a surprise.

use std::ops::Range;

use thiserror::Error;

use super::json::{self, ParseError};
use super::node::{Member, Node, Value};

/// The fields of a reply that a request does not take (ECS API reference: `RegisterTaskDefinition` against
/// `TaskDefinition`; the official deploy action drops the same).
const REPLY_FIELDS: [&str; 9] = [
    "compatibilities",
    "deregisteredAt",
    "deleteRequestedAt",
    "registeredAt",
    "registeredBy",
    "requiresAttributes",
    "revision",
    "status",
    "taskDefinitionArn",
];

/// The mark with which some editors begin a text.
const MARK: char = '\u{feff}';

/// A container's new image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewImage {
    /// The name of the container.
    pub container: String,
    /// The reference that becomes its image.
    pub reference: String,
}

/// A text that was edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The whole text.
    pub text: String,
    /// The reply's fields that are no longer in it.
    pub dropped: Vec<&'static str>,
    /// Whether tags stood beside the task definition: they are not part of it.
    pub tags_beside: bool,
}

/// Why a text is not edited.
#[derive(Debug, Error)]
pub enum EditError {
    /// It is not a task definition.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// No container of that name.
    #[error("there is no container {wanted:?}: there is {present}")]
    NoContainer {
        /// The name.
        wanted: String,
        /// Those that there are.
        present: String,
    },
    /// A container has no image to replace.
    #[error("the container {0:?} has no image: write one first, whatever it is")]
    NoImage(String),
    /// The same container twice.
    #[error("the container {0:?} is given two images")]
    Twice(String),
    /// The edit would change something else.
    #[error("the image of {0:?} cannot be replaced where it stands: other values share it by an anchor or an alias")]
    Shared(String),
    /// The edit would come to another value, as in a text of several lines.
    #[error(
        "the image of {0:?} cannot be replaced as it is written: write it on the line of its key, plain or in quotes"
    )]
    Written(String),
}

/// Puts images into a task definition in JSON or YAML. `name` is that of the source, as for [`json::parse`].
///
/// # Errors
/// Where the text is no task definition, or the image of a container cannot be replaced where it stands.
pub fn with_images(name: &str, text: &str, images: &[NewImage]) -> Result<Edited, EditError> {
    let (mark, text) = text.split_at(if text.starts_with(MARK) { MARK.len_utf8() } else { 0 });
    // Whatever is wrong with it is said as everywhere else.
    json::parse(name, text)?;
    let root = json::tree(name, text)?;
    let (inner, tags_beside) = unwrapped(text, &root);
    let text = inner.as_deref().unwrap_or(text);
    let root = json::tree(name, text)?;
    let flow = text[root.span.start.min(text.len())..].starts_with('{');
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut dropped = Vec::new();
    for field in REPLY_FIELDS {
        if let Some(at) = members(&root).iter().position(|member| member.key == field) {
            edits.push((if flow { in_braces(text, &root, at) } else { in_lines(text, &root, at) }, String::new()));
            dropped.push(field);
        }
    }
    let containers = containers(&root);
    for (at, image) in images.iter().enumerate() {
        if images[..at].iter().any(|other| other.container == image.container) {
            return Err(EditError::Twice(image.container.clone()));
        }
        let Some(container) = containers.iter().find(|(name, _)| *name == image.container) else {
            let present: Vec<String> = containers.iter().map(|(name, _)| format!("{name:?}")).collect();
            return Err(EditError::NoContainer { wanted: image.container.clone(), present: present.join(", ") });
        };
        let Some(old) = container.1.get("image") else { return Err(EditError::NoImage(image.container.clone())) };
        let span = old.value.span.start..end(text, &old.value);
        let new = quoted(&text[span.clone()], &image.reference);
        edits.push((span, new));
    }
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut edited = text.to_owned();
    let mut before = text.len();
    for (span, new) in &edits {
        if span.end > before {
            // Two of them meet: the tree has one place for two values.
            return Err(EditError::Shared(images.first().map(|image| image.container.clone()).unwrap_or_default()));
        }
        before = span.start;
        edited.replace_range(span.clone(), new);
    }
    let wanted = expected(&root, images);
    let same = json::tree(name, &edited).is_ok_and(|found| equal(&found, &wanted));
    if !same {
        let container = images.first().map(|image| image.container.clone()).unwrap_or_default();
        let anchors = text.contains('&') && text.contains('*');
        return Err(if anchors { EditError::Shared(container) } else { EditError::Written(container) });
    }
    edited.insert_str(0, mark);
    Ok(Edited { text: edited, dropped, tags_beside })
}

fn members(node: &Node) -> &[Member] {
    match &node.value {
        Value::Object(members) => members,
        _ => &[],
    }
}

/// The containers by name.
fn containers(root: &Node) -> Vec<(&str, &Node)> {
    let Some(Value::Array(items)) = root.get("containerDefinitions").map(|member| &member.value.value) else {
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| match &item.get("name")?.value.value {
            Value::String(name) => Some((name.as_str(), item)),
            _ => None,
        })
        .collect()
}

/// The text of the wrapped task definition, moved to the left; and whether tags stand beside it.
fn unwrapped(text: &str, root: &Node) -> (Option<String>, bool) {
    let Some(inner) = members(root).iter().find(|member| member.key == "taskDefinition") else { return (None, false) };
    if !matches!(inner.value.value, Value::Object(_)) {
        return (None, false);
    }
    let tags = root.get("tags").is_some_and(|tags| matches!(&tags.value.value, Value::Array(tags) if !tags.is_empty()));
    let span = inner.value.span.clone();
    let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let body = &text[span.clone()];
    // In braces the closing one stands where its line begins; a block stands where its first key does.
    let indent = if body.starts_with('{') {
        let last = body.rfind('\n').map_or(0, |at| at + 1);
        body[last..].len() - body[last..].trim_start_matches([' ', '\t']).len()
    } else {
        span.start - start
    };
    let mut moved = String::with_capacity(body.len());
    // Comments above the first key are none of its value.
    let silent = |lines: &str| lines.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#'));
    if !body.starts_with('{') {
        let key = text[..inner.key_span.start].rfind('\n').map_or(0, |at| at + 1);
        let below = text[inner.key_span.end..].find('\n').map_or(start, |at| inner.key_span.end + at + 1).min(start);
        if silent(&text[..key]) {
            moved.push_str(&text[..key]);
        }
        for line in text[below..start].split_inclusive('\n').filter(|line| silent(line)) {
            let lead = line.len() - line.trim_start_matches([' ', '\t']).len();
            moved.push_str(&line[lead.min(indent)..]);
        }
    }
    for (at, line) in body.split_inclusive('\n').enumerate() {
        let lead = line.len() - line.trim_start_matches([' ', '\t']).len();
        moved.push_str(if at == 0 { line } else { &line[lead.min(indent)..] });
    }
    let mut moved = moved.trim_end().to_owned();
    if text.ends_with('\n') {
        moved.push_str(if text.ends_with("\r\n") { "\r\n" } else { "\n" });
    }
    (Some(moved), tags)
}

/// A member in braces, with the comma and the space that go with it.
fn in_braces(text: &str, root: &Node, at: usize) -> Range<usize> {
    let all = members(root);
    let member = &all[at];
    // The comma before it goes with it, unless nothing stands before it any more: then the one behind it does.
    let stays = |member: &Member| !REPLY_FIELDS.contains(&member.key.as_str());
    if all[..at].iter().any(stays) {
        return end(text, &all[at - 1].value)..end(text, &member.value);
    }
    let behind = all.get(at + 1).map_or_else(|| end(text, &member.value), |next| next.key_span.start);
    member.key_span.start..behind
}

/// A member of a block: its lines.
fn in_lines(text: &str, root: &Node, at: usize) -> Range<usize> {
    let member = &members(root)[at];
    let start = text[..member.key_span.start].rfind('\n').map_or(0, |at| at + 1);
    let value = text[..end(text, &member.value).max(member.key_span.end)].trim_end().len();
    let end = text[value..].find('\n').map_or(text.len(), |line| value + line + 1);
    start..end
}

/// Where a value ends. The reader of YAML counts the comments that follow a block or a quoted value as part of it.
fn end(text: &str, node: &Node) -> usize {
    let own = &text[node.span.clone()];
    match (&node.value, own.chars().next()) {
        (Value::Array(items), first) if first != Some('[') => {
            items.last().map_or(node.span.end, |last| end(text, last))
        }
        (Value::Object(members), first) if first != Some('{') => {
            members.last().map_or(node.span.end, |last| end(text, &last.value))
        }
        (Value::String(_), Some(quote @ ('"' | '\''))) => {
            let mut escaped = false;
            let mut rest = own.char_indices().skip(1).peekable();
            while let Some((at, c)) = rest.next() {
                match c {
                    _ if escaped => escaped = false,
                    '\\' if quote == '"' => escaped = true,
                    // A single quote is doubled to stand for itself.
                    '\'' if quote == '\'' && rest.peek().is_some_and(|(_, next)| *next == '\'') => drop(rest.next()),
                    c if c == quote => return node.span.start + at + 1,
                    _ => {}
                }
            }
            node.span.end
        }
        _ => node.span.end,
    }
}

/// The reference as the value before it was written.
fn quoted(old: &str, reference: &str) -> String {
    // A reference has no character that either kind of quote, or a plain value of YAML, would have to escape.
    match old.chars().next() {
        Some(quote @ ('"' | '\'')) => format!("{quote}{reference}{quote}"),
        _ => reference.to_owned(),
    }
}

/// What the result must be.
fn expected(root: &Node, images: &[NewImage]) -> Node {
    let mut wanted = root.clone();
    let Value::Object(members) = &mut wanted.value else { return wanted };
    members.retain(|member| !REPLY_FIELDS.contains(&member.key.as_str()));
    let all = members.iter_mut().find(|member| member.key == "containerDefinitions");
    let Some(Value::Array(items)) = all.map(|member| &mut member.value.value) else { return wanted };
    for item in items {
        let name = match item.get("name").map(|member| &member.value.value) {
            Some(Value::String(name)) => name.clone(),
            _ => continue,
        };
        let Some(new) = images.iter().find(|image| image.container == name) else { continue };
        if let Value::Object(members) = &mut item.value
            && let Some(image) = members.iter_mut().find(|member| member.key == "image")
        {
            image.value.value = Value::String(new.reference.clone());
        }
    }
    wanted
}

/// Whether two trees say the same, wherever their values stand.
fn equal(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Number(one), Value::Number(other)) | (Value::String(one), Value::String(other)) => one == other,
        (Value::Tagged(one, below), Value::Tagged(other, beside)) => one == other && equal(below, beside),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| one.key == other.key && equal(&one.value, &other.value))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/app@sha256:aa";

    fn image(container: &str) -> NewImage {
        NewImage { container: container.into(), reference: REFERENCE.into() }
    }

    fn edited(name: &str, text: &str) -> String {
        with_images(name, text, &[image("app")]).unwrap_or_else(|error| panic!("{error}")).text
    }

    #[test]
    fn json_keeps_its_form() {
        let text = "{\n\t\"family\" : \"app\",\r\n  \"mystery\": [1.0, 2],\"containerDefinitions\": [ {\"image\":\"old\" , \"name\":\"app\"},\n {\"name\":\"side\",\"image\":\"old\"}]}\n";
        let expected = text.replacen("\"old\"", &format!("\"{REFERENCE}\""), 1);
        assert_eq!(edited("task.json", text), expected);
    }

    #[test]
    fn yaml_keeps_its_form() {
        let text = "# ours\nfamily: app\ncontainerDefinitions:\n  - name: app # the service\n    image: old:1 # replaced\n  - {name: side, image: 'old:1'}\nmystery: |\n  two\n    lines\n";
        assert_eq!(edited("task.yaml", text), text.replacen("old:1", REFERENCE, 1));
        let quoted = text.replace("old:1 #", "\"old:1\" #");
        assert_eq!(edited("task.yaml", &quoted), quoted.replacen("\"old:1\"", &format!("\"{REFERENCE}\""), 1));
    }

    #[test]
    fn a_reply_becomes_a_request() {
        let text = r#"{
    "taskDefinition": {
        "taskDefinitionArn": "arn:aws:ecs:eu-central-1:123456789012:task-definition/app:7",
        "containerDefinitions": [
            {
                "name": "app",
                "image": "old"
            }
        ],
        "family": "app",
        "revision": 7,
        "volumes": [],
        "status": "ACTIVE",
        "requiresAttributes": [
            {
                "name": "ecs.capability.execution-role-ecr-pull"
            }
        ],
        "compatibilities": ["EC2", "FARGATE"],
        "cpu": "256",
        "registeredAt": "2026-01-01T00:00:00+00:00"
    },
    "tags": [{"key": "team", "value": "app"}]
}
"#;
        let expected = format!(
            r#"{{
    "containerDefinitions": [
        {{
            "name": "app",
            "image": "{REFERENCE}"
        }}
    ],
    "family": "app",
    "volumes": [],
    "cpu": "256"
}}
"#
        );
        let edited = with_images("-", text, &[image("app")]).expect("a reply");
        assert_eq!(edited.text, expected);
        assert!(edited.tags_beside);
        assert_eq!(edited.dropped.len(), 6);
    }

    #[test]
    fn a_reply_in_yaml_becomes_a_request() {
        let text = "taskDefinition:\n  compatibilities:\n  - EC2\n  - FARGATE\n  # stays\n  containerDefinitions:\n  - image: old\n    name: app\n  family: app\n  revision: 7\n  status: ACTIVE\n";
        let expected = format!("# stays\ncontainerDefinitions:\n- image: {REFERENCE}\n  name: app\nfamily: app\n");
        assert_eq!(edited("task.yaml", text), expected);
    }

    #[test]
    fn a_reply_in_yaml_keeps_its_comments() {
        let text = "# ours\ntaskDefinition:\n  # licence\n\n  cpu: \"256\" # all\n  family: a\n  containerDefinitions:\n  # one\n  - name: app\n    image: x\n";
        let expected = format!(
            "# ours\n# licence\n\ncpu: \"256\" # all\nfamily: a\ncontainerDefinitions:\n# one\n- name: app\n  image: {REFERENCE}\n"
        );
        assert_eq!(edited("task.yaml", text), expected);
        let beside = text.replace("# ours\n", "tags: []\n");
        assert_eq!(edited("task.yaml", &beside), expected.replace("# ours\n", ""));
    }

    #[test]
    fn a_byte_order_mark_stays() {
        let text = "\u{feff}{\"containerDefinitions\":[{\"name\":\"app\",\"image\":\"old\"}]}";
        assert_eq!(edited("task.json", text), text.replace("old", REFERENCE));
    }

    #[test]
    fn a_text_of_several_lines_is_said_to_be_one() {
        let text = "family: a\ncontainerDefinitions:\n  - name: app\n    image: |\n      r/app:1\n";
        let error = with_images("t.yaml", text, &[image("app")]).expect_err("a block");
        assert!(matches!(error, EditError::Written(_)) && error.to_string().contains("in quotes"), "{error}");
    }

    #[test]
    fn what_would_change_more_is_refused() {
        let text = "family: app\ncontainerDefinitions:\n  - name: app\n    image: &image old\n  - name: side\n    image: *image\n";
        assert!(matches!(with_images("t.yaml", text, &[image("app")]), Err(EditError::Shared(_))));
        assert!(matches!(with_images("t.yaml", text, &[image("side")]), Ok(_) | Err(EditError::Shared(_))));
        let text = r#"{"family":"a","containerDefinitions":[{"name":"app","image":"x"},{"name":"bare"}]}"#;
        assert!(matches!(with_images("t.json", text, &[image("other")]), Err(EditError::NoContainer { .. })));
        assert!(matches!(with_images("t.json", text, &[image("app"), image("app")]), Err(EditError::Twice(_))));
        assert!(with_images("t.json", "{", &[]).is_err());
    }
}
