//! Expressions as they are written, on one line: what is shown for an image that cannot be resolved.

use crate::ecs::node::{Node, Value};

/// How long an expression is shown.
const LONGEST: usize = 1024;
/// How much of one text is looked at: a little more, so that one that is cut is known.
const MOST: usize = LONGEST + 4;

/// A node as it is written: `!Ref Image`, `{"Ref": "Image"}`.
pub(super) fn written(node: &Node) -> String {
    let mut text = String::new();
    write(node, &mut text, false);
    if text.len() > LONGEST {
        text.truncate(start(&text, LONGEST).len());
        text.push('…');
    }
    text
}

/// `quoted` within a collection, where a bare text would run into its neighbours.
fn write(node: &Node, into: &mut String, quoted: bool) {
    if into.len() > LONGEST {
        return;
    }
    match &node.value {
        Value::Null => into.push_str("null"),
        Value::Bool(truth) => into.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => into.push_str(number),
        Value::String(text) if quoted => quote(text, into),
        Value::String(text) => into.push_str(start(text, MOST)),
        Value::Tagged(tag, inner) => {
            into.push_str(tag);
            into.push(' ');
            write(inner, into, false);
        }
        Value::Array(items) => {
            into.push('[');
            for (at, item) in items.iter().enumerate() {
                into.push_str(if at == 0 { "" } else { ", " });
                write(item, into, true);
            }
            into.push(']');
        }
        Value::Object(members) => {
            into.push('{');
            for (at, member) in members.iter().enumerate() {
                into.push_str(if at == 0 { "" } else { ", " });
                quote(&member.key, into);
                into.push_str(": ");
                write(&member.value, into, true);
            }
            into.push('}');
        }
    }
}

fn quote(text: &str, into: &mut String) {
    // A string always has a form in JSON.
    into.push_str(&serde_json::to_string(start(text, MOST)).unwrap_or_default());
}

fn start(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}
