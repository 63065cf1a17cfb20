//! Repositories that a registry may take blobs over from, instead of having them sent once more.

use thiserror::Error;

use crate::oci::reference::Reference;

/// A repository that blobs may be taken over from: none is taken over from another registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSource {
    /// The registry that it is in; `None`: the one that is pushed to, whichever that is.
    pub registry: Option<String>,
    /// Its name there.
    pub repository: String,
}

/// Why a text names no repository to take blobs over from.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseMountError {
    /// It begins with a registry that nothing is pushed to.
    #[error(
        "{text} is in the registry {registry}, and blobs are taken over within one registry: nothing is pushed there"
    )]
    Elsewhere {
        /// What was given.
        text: String,
        /// The registry.
        registry: String,
    },
    /// It is no repository's name.
    #[error("{0:?} is no name of a repository: expected such as team/base, without a tag")]
    Name(String),
}

impl MountSource {
    /// The repository of a reference.
    pub fn of(reference: &Reference) -> Self {
        Self { registry: Some(reference.registry().into()), repository: reference.repository().into() }
    }

    /// Reads what a person typed for a push to these references: `team/base`, a repository of each of their registries,
    /// or with one of these registries before it.
    ///
    /// # Errors
    /// Where it names another registry, or no repository.
    pub fn parse(text: &str, references: &[Reference]) -> Result<Self, ParseMountError> {
        let wrong = || ParseMountError::Name(text.into());
        let mut registries = references.iter().map(Reference::registry);
        let stated = registries.find(|registry| text.strip_prefix(registry).is_some_and(|rest| rest.starts_with('/')));
        let whole = match (stated, text.split_once('/')) {
            (Some(_), _) => text.to_owned(),
            (None, Some((first, _))) if first.contains(['.', ':']) || first == "localhost" => {
                return Err(ParseMountError::Elsewhere { text: text.into(), registry: first.into() });
            }
            (None, _) => {
                format!("{}/{text}", references.first().map_or("registry.invalid", Reference::registry))
            }
        };
        let reference: Reference = whole.parse().map_err(|_| wrong())?;
        if reference.tag().is_some() || reference.digest().is_some() {
            return Err(wrong());
        }
        Ok(Self { registry: stated.map(str::to_owned), repository: reference.repository().into() })
    }

    /// Whether it is in this registry.
    pub fn is_in(&self, registry: &str) -> bool {
        self.registry.as_ref().is_none_or(|own| own == registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_named_with_its_registry_or_without() {
        let references = ["one.example/app:1", "localhost:5000/app"].map(|text| text.parse().expect("a reference"));
        let parse = |text: &str| MountSource::parse(text, &references);
        let source = |registry: Option<&str>, repository: &str| {
            Ok(MountSource { registry: registry.map(str::to_owned), repository: repository.into() })
        };
        assert_eq!(parse("team/base"), source(None, "team/base"));
        assert_eq!(parse("localhost:5000/team/base"), source(Some("localhost:5000"), "team/base"));
        assert_eq!(parse("one.example/my.team/base"), source(Some("one.example"), "my.team/base"));
        for elsewhere in ["two.example/base", "localhost/base", "one.example:443/base"] {
            assert!(matches!(parse(elsewhere), Err(ParseMountError::Elsewhere { .. })), "{elsewhere}");
        }
        for none in ["team/base:1", "Team/base", "one.example/base:1", ""] {
            assert!(matches!(parse(none), Err(ParseMountError::Name(_))), "{none}");
        }
    }
}
