//! How an upload is cut into parts behind ECR's registry API, which is where its limits come from.
//!
//! The body of a request is cut into parts of 10 MiB. What is left over, if it is below the least size, is shared with
//! the part before it: chunks of 64 MiB are taken (observed), though they are no multiple of 10 MiB. A body that is
//! itself too small makes a part that is too small, and so does the tail of a body that broke off (observed: a session
//! that was interrupted expects the first byte after 10 MiB and a fraction); the upload cannot be completed unless that
//! is its last part.

use super::settings::EcrSettings;

/// The parts of one upload.
#[derive(Debug, Default, Clone, Copy)]
pub(in super::super) struct Parts {
    /// How many there are.
    pub(in super::super) count: u64,
    /// The last one's size.
    last: u64,
    /// Whether one before the last is too small.
    pub(in super::super) too_small: bool,
    /// What was held after the first request that brought something.
    pub(in super::super) first: Option<u64>,
}

impl Parts {
    /// Bytes that one request brought; whether all of its body came.
    pub(in super::super) fn add(&mut self, bytes: u64, whole: bool, rules: &EcrSettings) {
        if bytes == 0 {
            return;
        }
        self.first.get_or_insert(bytes);
        self.too_small |= self.count > 0 && self.last < rules.part_min;
        let (full, tail) = (bytes / rules.part_max, bytes % rules.part_max);
        self.count += full + u64::from(tail > 0);
        self.last = match (full, tail) {
            (_, 0) => rules.part_max,
            // Shared with the part before it, which is one of at least twice the least size.
            (1.., tail) if whole && tail < rules.part_min => rules.part_min,
            (_, tail) => tail,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(requests: &[(u64, bool)]) -> (u64, bool) {
        let rules = EcrSettings { part_min: 5, part_max: 10, ..EcrSettings::default() };
        let mut parts = Parts::default();
        for (bytes, whole) in requests {
            parts.add(*bytes, *whole, &rules);
        }
        (parts.count, parts.too_small)
    }

    #[test]
    fn only_the_last_may_be_small() {
        assert_eq!(parts(&[]), (0, false));
        assert_eq!(parts(&[(1, true)]), (1, false));
        assert_eq!(parts(&[(10, true), (10, true), (1, true)]), (3, false));
        assert_eq!(parts(&[(4, true), (10, true)]), (2, true));
        assert_eq!(parts(&[(64, true), (64, true), (3, true)]), (15, false));
        assert_eq!(parts(&[(11, false), (10, true)]), (3, true));
        assert_eq!(parts(&[(11, false)]), (2, false));
    }
}
