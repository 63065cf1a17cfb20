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
    /// As Terraform does: `container_definitions`, whose text the provider reads as Go reads JSON, with no regard to the
    /// case of a key.
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
