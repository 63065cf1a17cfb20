//! Paths that differ by platform, `bin/server-{arch}`, and the commands of `run` layers, which name `{out}` as well.

use std::fmt;
use std::ops::Range;

use super::nearest::nearest;
use crate::oci::platform::{Arch, Platform};

/// A text with the placeholders `{arch}`, `{machine}`, `{os}`, `{platform}` and `{variant}`. A brace is written twice
/// to stand for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    written: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Arch,
    Machine,
    Os,
    Platform,
    Variant,
    Out,
}

/// The placeholders by name, in the order of the documentation.
pub const PLACEHOLDERS: [&str; 5] = ["arch", "machine", "os", "platform", "variant"];

/// The placeholder that only a command has: the folder that it fills.
pub const OUT: &str = "{out}";

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
    /// The bytes of the text that are meant.
    pub span: Range<usize>,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Reads a text with placeholders.
    ///
    /// # Errors
    /// Where a placeholder is not known, or a brace has no other.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(found) = text[at..].find(['{', '}']) {
            let brace = at + found;
            plain.push_str(&text[at..brace]);
            let rest = &text[brace..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                plain.push_str(&rest[..1]);
                at = brace + 2;
                continue;
            }
            if rest.starts_with('}') {
                return Err(TemplateError {
                    message: "`}` closes no placeholder".into(),
                    help: "write `}}` for a brace that is part of the name".into(),
                    span: brace..brace + 1,
                });
            }
            let Some(length) = rest.find('}') else {
                return Err(TemplateError {
                    message: "`{` is not closed".into(),
                    help: "write `{{` for a brace that is part of the name".into(),
                    span: brace..text.len(),
                });
            };
            let name = &rest[1..length];
            let Some(part) = Part::named(name) else { return Err(unknown(name, brace..brace + length + 1)) };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(part);
            at = brace + length + 1;
        }
        plain.push_str(&text[at..]);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { written: text.into(), parts })
    }

    /// Reads a command, or a variable of its environment. `{out}` is a placeholder there, and a shell, awk or JSON
    /// needs braces of its own: what is none of the placeholders stays as it stands, and so does all that follows a
    /// dollar sign. A name that is nearly one is an error.
    ///
    /// # Errors
    /// Where a name is nearly a placeholder.
    pub fn parse_command(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(found) = text[at..].find('{') {
            let brace = at + found;
            plain.push_str(&text[at..brace]);
            let rest = &text[brace..];
            let name = rest[1..].split_once('}').map_or("", |(name, _)| name);
            // A shorter one is near to too much: `f"{s}"` of Python.
            let is_word = name.len() > 2 && name.bytes().all(|byte| byte.is_ascii_alphabetic());
            let part = match Part::named(name) {
                _ if text[..brace].ends_with('$') => None,
                None if name == "out" => Some(Part::Out),
                None if is_word && (nearest(name, &PLACEHOLDERS).is_some() || nearest(name, &["out"]).is_some()) => {
                    return Err(unknown_in_command(name, brace..brace + name.len() + 2));
                }
                part => part,
            };
            if let Some(part) = part {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(part);
                at = brace + name.len() + 2;
            } else {
                plain.push('{');
                at = brace + 1;
            }
        }
        plain.push_str(&text[at..]);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { written: text.into(), parts })
    }

    /// The text for one platform. `{out}` stays as it is.
    pub fn expand(&self, platform: &Platform) -> String {
        self.expand_with(platform, OUT)
    }

    /// The text for one platform, with this folder for `{out}`.
    pub fn expand_with(&self, platform: &Platform, out: &str) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Arch => text.push_str(&platform.architecture.to_string()),
                Part::Machine => text.push_str(&platform.machine()),
                Part::Os => text.push_str(&platform.os.to_string()),
                Part::Platform => text.push_str(&platform.file_name()),
                // arm64 has one variant, which nobody writes into a file's name.
                Part::Variant if platform.architecture == Arch::ARM64 => {}
                Part::Variant => text.push_str(platform.variant.as_deref().unwrap_or_default()),
                Part::Out => text.push_str(out),
            }
        }
        text
    }

    /// Whether it names no placeholder: the same for every platform.
    pub fn is_shared(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// Whether it names `{out}`.
    pub fn names_out(&self) -> bool {
        self.parts.contains(&Part::Out)
    }

    /// As it was written, placeholders included.
    pub fn as_written(&self) -> &str {
        &self.written
    }
}

/// As it was written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Part {
    /// The placeholder of a path that has this name.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "arch" => Self::Arch,
            "machine" => Self::Machine,
            "os" => Self::Os,
            "platform" => Self::Platform,
            "variant" => Self::Variant,
            _ => return None,
        })
    }
}

fn unknown_in_command(name: &str, span: Range<usize>) -> TemplateError {
    let meant = nearest(name, &PLACEHOLDERS).unwrap_or("out");
    let help = format!("did you mean `{{{meant}}}`? A shell's own is written with a dollar sign: ${{{name}}}");
    TemplateError { message: format!("`{{{name}}}` is not a placeholder"), help, span }
}

fn unknown(name: &str, span: Range<usize>) -> TemplateError {
    let meant = match name {
        "TARGETARCH" | "architecture" => Some("arch"),
        "TARGETPLATFORM" => Some("platform"),
        "TARGETOS" => Some("os"),
        "TARGETVARIANT" => Some("variant"),
        name => nearest(name, &PLACEHOLDERS),
    };
    let help = if name == "out" {
        "`{out}` is the folder that the command of a `run` layer fills: it belongs to `run` and `env`".to_owned()
    } else if let Some(meant) = meant {
        format!("did you mean `{{{meant}}}`?")
    } else {
        let known: Vec<String> = PLACEHOLDERS.iter().map(|name| format!("`{{{name}}}`")).collect();
        format!("the placeholders are {}; write `{{{{` for a brace that is part of the name", known.join(", "))
    };
    TemplateError { message: format!("`{{{name}}}` is not a placeholder"), help, span }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expand(text: &str) -> String {
        Template::parse(text).expect(text).expand(&Platform::linux_arm64())
    }

    #[test]
    fn expands_each_placeholder() {
        assert_eq!(expand("{os}/{arch}/{machine}/{platform}/{variant}/end"), "linux/arm64/aarch64/linux-arm64//end");
        let amd64 = Template::parse("server-{machine}").expect("a template");
        assert_eq!(amd64.expand(&Platform::linux_amd64()), "server-x86_64");
    }

    #[test]
    fn doubled_braces_stand_for_themselves() {
        assert_eq!(expand("a{{arch}}b"), "a{arch}b");
        assert_eq!(expand("{{{arch}}}"), "{arm64}");
        assert!(Template::parse("a{{arch}}").expect("a template").is_shared());
        assert!(!Template::parse("{arch}").expect("a template").is_shared());
    }

    #[test]
    fn points_at_what_is_wrong() {
        let error = |text: &str| Template::parse(text).expect_err(text);
        assert_eq!(error("bin/{archh}/x").span, 4..11);
        assert_eq!(error("bin/{archh}/x").message, "`{archh}` is not a placeholder");
        assert!(error("{out}").help.contains("`run`"));
        assert_eq!(error("a{arch").span, 1..6);
        assert_eq!(error("a}b").span, 1..2);
    }

    #[test]
    fn a_command_keeps_the_braces_that_are_the_shells() {
        let arm = |text: &str| {
            let template = Template::parse_command(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            template.expand_with(&Platform::linux_arm64(), "/o")
        };
        for (text, wanted) in [
            ("cp {arch} {out}/{machine}", "cp arm64 /o/aarch64"),
            ("echo ${out} ${HOME:-x} $out", "echo ${out} ${HOME:-x} $out"),
            ("awk '{print $1}' {a,b}", "awk '{print $1}' {a,b}"),
            ("go list -f '{{.Dir}}' {", "go list -f '{{.Dir}}' {"),
            ("print(f'{s}')", "print(f'{s}')"),
            ("{{arch}} {} {\"os\": 1} }", "{arm64} {} {\"os\": 1} }"),
        ] {
            assert_eq!(arm(text), wanted);
        }
        for (text, span) in [("cp {archh}", 3..10), ("{outt}", 0..6), ("x {TARGETARCH} {machne}", 15..23)] {
            assert_eq!(Template::parse_command(text).expect_err(text).span, span, "{text}");
        }
        assert!(Template::parse_command("{out}").expect("a command").names_out());
        assert!(!Template::parse_command("${out}").expect("a command").names_out());
    }

    proptest! {
        #[test]
        fn no_command_panics(text in "[{}$a-zé/ ]{0,20}") {
            if let Ok(template) = Template::parse_command(&text) {
                template.expand_with(&Platform::linux_amd64(), "/o");
            }
        }

        #[test]
        fn never_panics(text in "[{}a-zé/]{0,20}") {
            if let Ok(template) = Template::parse(&text) {
                template.expand(&Platform::linux_amd64());
            }
        }

        #[test]
        fn any_text_can_be_written(text in ".{0,30}") {
            let doubled = text.replace('{', "{{").replace('}', "}}");
            let template = Template::parse(&doubled).expect("every brace is doubled");
            prop_assert!(template.is_shared());
            prop_assert_eq!(template.expand(&Platform::linux_amd64()), text);
        }
    }
}
