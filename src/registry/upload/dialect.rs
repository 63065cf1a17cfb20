//! How a kind of registry wants its uploads, as values: another kind is another value and no other code.

use crate::registry::error::Reply;

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

/// How a kind of registry wants its uploads: data, not code, so that another kind is another value.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// One request or parts.
    pub chunking: Chunking,
    /// The most parts of one upload; a blob that would have more goes in one PUT.
    pub most_parts: Option<u64>,
    /// The offset that a 416 expects, read from the registry's own errors where it sends no `Range`.
    pub expected: fn(&Reply) -> Option<u64>,
}

impl Dialect {
    /// The distribution-spec and nothing else.
    pub const GENERIC: Self = Self {
        chunking: Chunking { monolithic_limit: None, part: 16 << 20, fallback: true },
        most_parts: None,
        expected: |_| None,
    };

    /// The dialect of a registry, by the host of its references.
    pub fn of(_registry: &str) -> Self {
        Self::GENERIC
    }

    /// The same with what the user asked for.
    #[must_use]
    pub fn with(mut self, size: Option<ChunkSize>) -> Self {
        match size {
            None => {}
            Some(ChunkSize::None) => {
                self.chunking.monolithic_limit = None;
                self.chunking.fallback = false;
            }
            Some(ChunkSize::Bytes(part)) => {
                self.chunking.monolithic_limit = Some(part);
                self.chunking.part = part.max(1);
            }
        }
        self
    }

    pub(super) fn plan(&self, size: u64) -> Plan {
        let Chunking { monolithic_limit, part, .. } = self.chunking;
        match monolithic_limit {
            Some(limit) if size > limit && !self.is_too_much(size, part) => Plan::Parts(part),
            _ => Plan::Whole,
        }
    }

    fn is_too_much(&self, size: u64, part: u64) -> bool {
        self.most_parts.is_some_and(|most| size.div_ceil(part.max(1)) > most)
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
        let few = Dialect { most_parts: Some(3), ..generic.with(Some(ChunkSize::Bytes(10))) };
        assert_eq!((few.plan(30), few.plan(31)), (Plan::Parts(10), Plan::Whole));
    }
}
