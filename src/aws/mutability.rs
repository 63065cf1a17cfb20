//! Whether tags can be moved (ECR user guide "Preventing image tags from being overwritten").

/// `imageTagMutability` (ECR API reference: `Repository`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mutability {
    /// `MUTABLE`
    #[default]
    Mutable,
    /// `IMMUTABLE`
    Immutable,
    /// `IMMUTABLE_WITH_EXCLUSION`: immutable but for tags that a filter matches.
    ImmutableWithExclusion,
    /// `MUTABLE_WITH_EXCLUSION`: mutable but for tags that a filter matches.
    MutableWithExclusion,
}

impl Mutability {
    /// As the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mutable => "MUTABLE",
            Self::Immutable => "IMMUTABLE",
            Self::ImmutableWithExclusion => "IMMUTABLE_WITH_EXCLUSION",
            Self::MutableWithExclusion => "MUTABLE_WITH_EXCLUSION",
        }
    }

    /// What the API's word means.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Mutable, Self::Immutable, Self::ImmutableWithExclusion, Self::MutableWithExclusion]
            .into_iter()
            .find(|mutability| mutability.name() == text)
    }
}

/// What a repository says of its tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagRule {
    /// What holds for all of them.
    pub mutability: Mutability,
    /// Wildcards of the tags for which it is the other way round.
    pub filters: Vec<String>,
}

impl TagRule {
    /// Whether a tag that exists cannot be moved.
    pub fn is_immutable(&self, tag: &str) -> bool {
        let excluded = || self.filters.iter().any(|filter| matches(filter, tag));
        match self.mutability {
            Mutability::Mutable => false,
            Mutability::Immutable => true,
            Mutability::ImmutableWithExclusion => !excluded(),
            Mutability::MutableWithExclusion => excluded(),
        }
    }
}

/// Whether a wildcard matches a tag: `*` is any text, nothing else is special. ECR takes two of them at most; more cost
/// time, not a stack: what stands between two is looked for once, from the left.
fn matches(filter: &str, tag: &str) -> bool {
    let Some((first, rest)) = filter.split_once('*') else { return filter == tag };
    let Some(mut tag) = tag.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = tag.find(part) else { return false };
        tag = &tag[at + part.len()..];
    }
    tag.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (filter, tag, expected) in [
            ("v1", "v1", true),
            ("v1", "v10", false),
            ("v*", "v", true),
            ("v*", "v1.0", true),
            ("v*", "1v", false),
            ("*-dev", "1-dev", true),
            ("*-dev", "1-dev-2", false),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("*", "", true),
            ("**", "x", true),
            ("ab*ba", "aba", false),
            ("v.", "vx", false),
        ] {
            assert_eq!(matches(filter, tag), expected, "{filter} {tag}");
        }
    }

    #[test]
    fn filters_turn_it_round() {
        let rule = |mutability| TagRule { mutability, filters: vec!["dev-*".into()] };
        assert!(!rule(Mutability::ImmutableWithExclusion).is_immutable("dev-1"));
        assert!(rule(Mutability::ImmutableWithExclusion).is_immutable("v1"));
        assert!(rule(Mutability::MutableWithExclusion).is_immutable("dev-1"));
        assert!(!rule(Mutability::MutableWithExclusion).is_immutable("v1"));
        assert_eq!(Mutability::parse("IMMUTABLE"), Some(Mutability::Immutable));
    }
}
