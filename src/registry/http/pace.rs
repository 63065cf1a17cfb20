//! How fast we ask: no faster than ECR's quotas, which hold for an account's pipelines together, so that ours is not
//! the one that runs into them (Amazon ECR User Guide "Amazon ECR service quotas").
//!
//! A bucket of tokens for each action of each registry, shared by everything that a client does. A token comes back a
//! second and a quarter after it was taken: the first ones go at once, in no second there are more than the quota, and
//! what was on the way for a quarter of a second does not meet those of the next one there.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::aws::ecr::{EcrHost, Kind};
use crate::mutex::lock;

/// What ECR counts a request as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::registry) enum Action {
    /// POST of an upload session.
    InitiateLayerUpload,
    /// PATCH of a part.
    UploadLayerPart,
    /// The PUT that ends an upload.
    CompleteLayerUpload,
    /// PUT of a manifest.
    PutImage,
}

/// The time in which a token comes back. With a second, a line or machine that is slow for a moment makes of two bursts
/// that keep the quota here one that does not keep it there.
const BACK: Duration = Duration::from_millis(1250);

/// The quota of an action at a registry, in requests a second; `None` where there is none.
fn quota(registry: &str, action: Action) -> Option<usize> {
    let kind = EcrHost::parse(registry)?.kind;
    Some(match (kind, action) {
        (Kind::Private, Action::InitiateLayerUpload | Action::CompleteLayerUpload) => 100,
        (Kind::Private, Action::UploadLayerPart) => 500,
        (Kind::Public, Action::UploadLayerPart) => 260,
        // PutImage is what an index of several platforms meets first: each manifest counts.
        (_, Action::PutImage) | (Kind::Public, Action::InitiateLayerUpload | Action::CompleteLayerUpload) => 10,
    })
}

/// The tokens of one action.
#[derive(Debug)]
struct Bucket {
    size: usize,
    /// When those that are out were taken, or will be: in order, as many as the bucket holds.
    taken: VecDeque<Instant>,
}

impl Bucket {
    fn new(size: usize) -> Self {
        Self { size, taken: VecDeque::new() }
    }

    /// Takes a token; when it may be used. Whoever comes later is never let go earlier.
    fn take(&mut self, now: Instant) -> Instant {
        let last = self.taken.back().copied().unwrap_or(now);
        let back = if self.taken.len() < self.size { None } else { self.taken.pop_front().map(|taken| taken + BACK) };
        let when = now.max(last).max(back.unwrap_or(now));
        self.taken.push_back(when);
        when
    }
}

/// The buckets of a client.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<(String, Action), Bucket>>);

impl Pace {
    /// How long a request has to wait for its turn, which is taken thereby.
    pub(super) fn turn(&self, registry: &str, action: Action, now: Instant) -> Duration {
        let Some(quota) = quota(registry, action) else { return Duration::ZERO };
        let mut buckets = lock(&self.0);
        let bucket = buckets.entry((registry.to_owned(), action)).or_insert_with(|| Bucket::new(quota));
        bucket.take(now).saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ECR: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    #[test]
    fn a_burst_goes_at_once_and_the_rest_later() {
        let (pace, now) = (Pace::default(), Instant::now());
        let waits: Vec<_> = (0..25).map(|_| pace.turn(ECR, Action::PutImage, now)).collect();
        assert_eq!(waits, [vec![Duration::ZERO; 10], vec![BACK; 10], vec![2 * BACK; 5]].concat());
        // The first ten are back by then; the queue goes before.
        assert_eq!(pace.turn(ECR, Action::PutImage, now + BACK), BACK);
    }

    #[test]
    fn actions_and_registries_have_buckets_of_their_own() {
        let (pace, now) = (Pace::default(), Instant::now());
        let free =
            |registry: &str, action| (0..1000).take_while(|_| pace.turn(registry, action, now).is_zero()).count();
        assert_eq!(free(ECR, Action::PutImage), 10);
        assert_eq!(free(ECR, Action::InitiateLayerUpload), 100);
        assert_eq!(free(ECR, Action::CompleteLayerUpload), 100);
        assert_eq!(free(ECR, Action::UploadLayerPart), 500);
        assert_eq!(free("210987654321.dkr.ecr.eu-central-1.amazonaws.com", Action::PutImage), 10);
        assert_eq!(free("public.ecr.aws", Action::InitiateLayerUpload), 10);
        assert_eq!(free("public.ecr.aws", Action::UploadLayerPart), 260);
        assert_eq!(free("example.com", Action::PutImage), 1000);
    }

    proptest! {
        #[test]
        fn in_no_second_there_are_more_than_the_quota(
            size in 1..=10_usize,
            pauses in proptest::collection::vec(0..400_u64, 1..80),
        ) {
            let (mut bucket, mut now) = (Bucket::new(size), Instant::now());
            let mut turns: Vec<Instant> = Vec::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                let turn = bucket.take(now);
                prop_assert!(turn >= now && turns.last().is_none_or(|last| turn >= *last));
                turns.push(turn);
            }
            // Whatever second is looked at: the one that begins with some request has `size` of them at most. So it is
            // where they arrive, a quarter of a second sooner or later.
            for window in turns.windows(size + 1) {
                prop_assert!(window[size] - window[0] >= BACK);
            }
        }
    }
}
