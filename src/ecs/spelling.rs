//! How the formats spell the keys of ECS.

/// The keys that decide something: what may be missing where a source does not settle which members there are.
pub(super) const KEYS: &[&str] = &[
    "name",
    "image",
    "entryPoint",
    "command",
    "workingDirectory",
    "environment",
    "user",
    "portMappings",
    "mountPoints",
    "environmentFiles",
    "healthCheck",
    "logConfiguration",
    "cpu_architecture",
    "operating_system_family",
];

/// How a format spells the keys of ECS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As `register-task-definition` does: `containerDefinitions`.
    Camel,
    /// As `CloudFormation` does: `ContainerDefinitions`. A number or boolean may be a string there.
    Pascal,
    /// As Terraform does: `container_definitions`, whose text the provider reads as Go reads JSON, with no regard to
    /// the case of a key.
    Terraform,
}

impl Spelling {
    fn pascal(key: &str) -> String {
        let mut letters = key.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
    }

    /// A key of a task definition or its runtime platform.
    pub(super) fn outer(self, key: &str) -> String {
        match self {
            Self::Camel => key.into(),
            Self::Pascal => Self::pascal(key),
            Self::Terraform => {
                let mut snake = String::new();
                for letter in key.chars() {
                    if letter.is_uppercase() {
                        snake.push('_');
                    }
                    snake.extend(letter.to_lowercase());
                }
                snake
            }
        }
    }

    /// A key of a container definition or of what is in it.
    pub(super) fn inner(self, key: &str) -> String {
        match self {
            Self::Camel | Self::Terraform => key.into(),
            Self::Pascal => Self::pascal(key),
        }
    }
}

/// A key without what only spells it.
pub(super) fn plain(key: &str) -> String {
    key.replace(['_', '-'], "").to_ascii_lowercase()
}

/// How many bytes of a key are compared.
const MOST: usize = 40;

/// As many characters as are whole within them.
fn head(key: &str) -> &str {
    &key[..key.floor_char_boundary(MOST)]
}

/// The key that was probably meant by another: at most two characters are wrong, and it is long enough to be no other
/// word.
pub(super) fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    let given = plain(given);
    // A key is a stranger's, and what is much longer than any of ours is far from all of them.
    let given = head(&given);
    let close = |known: &&&str| {
        let plain = plain(known);
        given != plain && known.len() >= 10 && strsim::damerau_levenshtein(given, &plain) <= 2
    };
    known.iter().find(close).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_key_only_the_head_is_compared() {
        for (key, length) in [
            ("é".repeat(1 << 20), 40),
            (format!("a{}", "é".repeat(1 << 20)), 39),
            ("cpu".into(), 3),
            (String::new(), 0),
        ] {
            assert_eq!(head(&key).len(), length);
        }
    }

    #[test]
    fn a_key_is_near_where_two_characters_are_wrong() {
        let known = ["runtimePlatform", "cpu", "requiresCompatibilities", "networkMode"];
        for (given, wanted) in [
            ("runtimePlatfrom", Some("runtimePlatform")),
            ("RuntimePlatforms", Some("runtimePlatform")),
            ("runtime_platfom", Some("runtimePlatform")),
            ("requiredCompatibilities", Some("requiresCompatibilities")),
            ("runtimePlatform", None),
            ("requiresAttributes", None),
            ("cpus", None),
            ("networkModel2", Some("networkMode")),
            ("", None),
            (&format!("runtimePlatfrom{}", "é".repeat(1 << 20)), None),
        ] {
            assert_eq!(nearest(given, &known), wanted, "{given}");
        }
    }
}
