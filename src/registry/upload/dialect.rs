//! How a kind of registry wants its uploads, as values: another kind is another value and no other code.

use crate::aws::ecr::{EcrHost, Kind};
use crate::registry::error::{Reply, ecr};

/// When a blob goes in one request and when in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunking {
    /// The largest blob that goes in one PUT, in bytes; `None`: any.
    pub monolithic_limit: Option<u64>,
    /// The size of a part in bytes, where there are parts. More where the registry asks for it
    /// (`OCI-Chunk-Min-Length`), less after a 413.
    pub part: u64,
    /// Whether parts are tried after one PUT was too large (413) or its connection was lost.
    pub fallback: bool,
}

/// The sizes that a registry takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The smallest part apart from the last one, in bytes.
    pub least_part: u64,
    /// The largest part that the registry promises to take, in bytes.
    pub most_part: Option<u64>,
    /// The most parts of one upload; a blob that would have more goes in one PUT.
    pub most_parts: Option<u64>,
    /// Whether a blob may be empty.
    pub empty_blob: bool,
}

/// How a kind of registry wants its uploads: data, not code, so that another kind is another value.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// One request or parts.
    pub chunking: Chunking,
    /// The sizes that are taken.
    pub limits: Limits,
    /// Whether what arrives of a part whose connection breaks is kept as a part of its own: then the same part cannot
    /// be sent again, and the session is lost.
    pub keeps_torn_parts: bool,
    /// The offset that a 416 expects, from its words and from what its `Range` says.
    pub expected: fn(&Reply, Option<u64>) -> Option<u64>,
}

/// A mebibyte.
const MIB: u64 = 1 << 20;

impl Dialect {
    /// The distribution-spec and nothing else.
    pub const GENERIC: Self = Self {
        chunking: Chunking { monolithic_limit: None, part: 16 * MIB, fallback: true },
        limits: Limits { least_part: 1, most_part: None, most_parts: None, empty_blob: true },
        keeps_torn_parts: false,
        expected: |_, range| range,
    };

    /// Amazon ECR (its User Guide "Amazon ECR service quotas"; the rest is what others have seen it do).
    pub const ECR: Self = Self {
        // One PUT of many gigabytes works as well; parts lose less when a line breaks.
        chunking: Chunking { monolithic_limit: Some(64 * MIB), part: 10 * MIB, fallback: true },
        limits: Limits {
            // Noticed at the very end only: "All layer parts except the last part should be at least 5MB"
            // (sdk-container-builds#424).
            least_part: 5 * MIB,
            // Larger ones have been seen to pass: the server cuts them again (mise#11376).
            most_part: Some(10 * MIB),
            most_parts: Some(4_200),
            // "… cannot be completed because it does not have any parts" (devcontainers/cli#814).
            empty_blob: false,
        },
        // The tail of a broken part becomes a short part, and the 416 after it expects a byte in its middle
        // (containerization#790).
        keeps_torn_parts: true,
        // `Range` stays at the first part while all of them are stored (containers-roadmap#2831): only the words count.
        expected: |reply, _| ecr::expected_byte(reply),
    };

    /// Amazon ECR Public: fewer parts, hence 10,000 MiB a layer.
    pub const ECR_PUBLIC: Self = Self { limits: Limits { most_parts: Some(1_000), ..Self::ECR.limits }, ..Self::ECR };

    /// The dialect of a registry, by the host of its references.
    pub fn of(registry: &str) -> Self {
        match EcrHost::parse(registry).map(|host| host.kind) {
            Some(Kind::Private) => Self::ECR,
            Some(Kind::Public) => Self::ECR_PUBLIC,
            None => Self::GENERIC,
        }
    }

    /// The same with what the user asked for. Parts are never smaller than the registry takes.
    #[must_use]
    pub fn with(mut self, size: Option<ChunkSize>) -> Self {
        match size {
            None => {}
            Some(ChunkSize::None) => {
                self.chunking.monolithic_limit = None;
                self.chunking.fallback = false;
            }
            Some(ChunkSize::Bytes(part)) => {
                let part = part.max(self.limits.least_part).max(1);
                self.chunking.monolithic_limit = Some(part);
                self.chunking.part = part;
            }
        }
        self
    }

    pub(super) fn plan(&self, size: u64) -> Plan {
        let Chunking { monolithic_limit, part, .. } = self.chunking;
        match monolithic_limit {
            Some(limit) if size > limit && !self.is_too_much(size) => Plan::Parts(part),
            _ => Plan::Whole,
        }
    }

    /// Whether a blob would have too many parts. Those that are larger than promised count as what the registry makes
    /// of them.
    pub(super) fn is_too_much(&self, size: u64) -> bool {
        let part = self.chunking.part.min(self.limits.most_part.unwrap_or(u64::MAX)).max(1);
        self.limits.most_parts.is_some_and(|most| size.div_ceil(part) > most)
    }
}

/// `--chunk-size`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkSize {
    /// One PUT for each blob, whatever happens.
    None,
    /// Parts of so many bytes for blobs larger than that.
    Bytes(u64),
}

/// How one session goes about a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// One PUT.
    Whole,
    /// Parts of so many bytes.
    Parts(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_by_size() {
        let generic = Dialect::GENERIC;
        assert_eq!(generic.plan(1 << 50), Plan::Whole);
        assert_eq!(generic.with(Some(ChunkSize::Bytes(10))).plan(10), Plan::Whole);
        assert_eq!(generic.with(Some(ChunkSize::Bytes(10))).plan(11), Plan::Parts(10));
        assert_eq!(generic.with(Some(ChunkSize::None)).plan(1 << 50), Plan::Whole);
        let few = Limits { most_parts: Some(3), ..generic.limits };
        let few = Dialect { limits: few, ..generic.with(Some(ChunkSize::Bytes(10))) };
        assert_eq!((few.plan(30), few.plan(31)), (Plan::Parts(10), Plan::Whole));
    }

    #[test]
    fn ecr_has_its_sizes() {
        let host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
        let ecr = Dialect::of(host);
        let parts = Plan::Parts(10_485_760);
        assert_eq!((ecr.plan(64 * MIB), ecr.plan(64 * MIB + 1)), (Plan::Whole, parts));
        assert_eq!((ecr.plan(42_000 * MIB), ecr.plan(42_000 * MIB + 1)), (parts, Plan::Whole));
        let asked = |size| ecr.with(Some(ChunkSize::Bytes(size)));
        // A middle part below 5 MiB spoils the upload, whoever asks for it.
        assert_eq!(asked(MIB).plan(6 * MIB), Plan::Parts(5 * MIB));
        assert_eq!(asked(64 * MIB).plan(65 * MIB), Plan::Parts(64 * MIB));
        // What the server cuts again counts as what it makes of it.
        assert_eq!(asked(64 * MIB).plan(42_001 * MIB), Plan::Whole);
        assert_eq!(asked(5 * MIB).plan(21_001 * MIB), Plan::Whole);
        assert_eq!(ecr.with(Some(ChunkSize::None)).plan(1 << 50), Plan::Whole);
        let public = Dialect::of("public.ecr.aws");
        assert_eq!((public.plan(10_000 * MIB), public.plan(10_000 * MIB + 1)), (parts, Plan::Whole));
        assert_eq!(Dialect::of("example.com").plan(1 << 40), Plan::Whole);
    }
}
