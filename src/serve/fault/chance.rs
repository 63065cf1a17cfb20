//! Faults by chance: the same seed gives the same sequence, and they never come so close together that a client that
//! tries again a few times could not get through.

use std::sync::Mutex;
use std::time::Duration;

use super::Action;
use crate::mutex::lock;

/// So many requests go well after one that did not.
const CALM: u32 = 4;
/// One request of so many meets a fault, once the calm is over.
const ONE_IN: u64 = 4;

/// The dice.
pub(super) struct Chance(Mutex<(u64, u32)>);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new((seed, 0)))
    }

    /// What happens to the next request.
    pub(super) fn strike(&self) -> Option<Action> {
        let (state, calm) = &mut *lock(&self.0);
        if *calm > 0 {
            *calm -= 1;
            return None;
        }
        let roll = next(state);
        if !roll.is_multiple_of(ONE_IN) {
            return None;
        }
        *calm = CALM;
        Some(match (roll / ONE_IN) % 6 {
            0 => Action::Status { status: 429, retry_after: Some(0) },
            1 => Action::Status { status: 500, retry_after: None },
            2 => Action::Status { status: 503, retry_after: None },
            3 => Action::HangUpHalfway,
            4 => Action::LoseAnswer,
            _ => Action::Delay(Duration::from_millis(50)),
        })
    }
}

/// The next number of `SplitMix64` (Steele, Lea, Flood 2014), which is small, even and needs no crate.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_the_same_faults_and_calm_between_them() {
        let run = |seed| {
            let chance = Chance::new(seed);
            (0..200).map(|_| chance.strike()).collect::<Vec<_>>()
        };
        let faults = run(7);
        assert_eq!(faults, run(7));
        assert_ne!(faults, run(8));
        let struck: Vec<usize> = faults.iter().enumerate().filter(|(_, f)| f.is_some()).map(|(n, _)| n).collect();
        assert!((15..=40).contains(&struck.len()), "{struck:?}");
        assert!(struck.windows(2).all(|pair| pair[1] - pair[0] > 4), "{struck:?}");
    }
}
