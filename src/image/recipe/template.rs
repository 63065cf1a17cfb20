//! Paths that differ by platform: `bin/server-{arch}`.

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
}

/// The placeholders by name, in the order of the documentation.
pub const PLACEHOLDERS: [&str; 5] = ["arch", "machine", "os", "platform", "variant"];

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
            let part = match &rest[1..length] {
                "arch" => Part::Arch,
                "machine" => Part::Machine,
                "os" => Part::Os,
                "platform" => Part::Platform,
                "variant" => Part::Variant,
                name => return Err(unknown(name, brace..brace + length + 1)),
            };
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

    /// The text for one platform.
    pub fn expand(&self, platform: &Platform) -> String {
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
            }
        }
        text
    }

    /// Whether it names no placeholder: the same for every platform.
    pub fn is_shared(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
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

fn unknown(name: &str, span: Range<usize>) -> TemplateError {
    let meant = match name {
        "TARGETARCH" | "architecture" => Some("arch"),
        "TARGETPLATFORM" => Some("platform"),
        "TARGETOS" => Some("os"),
        "TARGETVARIANT" => Some("variant"),
        name => nearest(name, &PLACEHOLDERS),
    };
    let help = if name == "out" {
        "`{out}` is the result of a `run` layer and has no meaning in a path".to_owned()
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

    proptest! {
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
