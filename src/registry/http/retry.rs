//! How often and after how long a request is made again.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, SystemTime};

/// When a request that failed for the moment is made again: 408, 429, 5xx, lost connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often at most a request is made, the first time included.
    pub attempts: u32,
    /// The first pause; each further one is twice as long, and each is cut by chance to between half and the whole.
    pub first_pause: Duration,
    /// The longest pause of our own.
    pub longest_pause: Duration,
    /// The longest pause that a registry's `Retry-After` may ask for; where it asks for more, the request fails at
    /// once.
    pub longest_asked: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(20),
            longest_asked: Duration::from_mins(2),
        }
    }
}

impl Retry {
    /// The pause after the `failures`-th failure, from 1.
    pub(in crate::registry) fn pause(&self, failures: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let whole = doubled.min(self.longest_pause);
        // The standard library's hasher is keyed at random: enough to keep jobs from knocking all at once.
        let chance = u32::try_from(RandomState::new().hash_one(failures) % 1000).unwrap_or_default();
        let own = whole / 2 + whole / 2000 * chance;
        asked.map_or(own, |asked| asked.min(self.longest_asked).max(own))
    }
}

/// The value of a `Retry-After` header (RFC 9110 section 10.2.3): seconds, or a date.
pub(in crate::registry) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    Some(http_date(value)?.duration_since(now).unwrap_or_default())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`: the one form of dates that is still sent (RFC 9110 section 5.6.7).
fn http_date(value: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = value.split_once(", ")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = words.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| name == month)? + 1;
    if day.len() != 2 || year.len() != 4 {
        return None;
    }
    humantime::parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_seconds_and_dates() {
        let now = humantime::parse_rfc3339("1994-11-06T08:49:07Z").expect("a time");
        let after = |value| retry_after(value, now);
        assert_eq!(after("120"), Some(Duration::from_mins(2)));
        assert_eq!(after(" 0 "), Some(Duration::ZERO));
        assert_eq!(after("99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        for other in ["", "-1", "1.5", "soon", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Now 1994 08:49:37 GMT"] {
            assert_eq!(after(other), None, "{other}");
        }
    }

    #[test]
    fn pauses_grow_and_have_a_limit() {
        let retry = Retry::default();
        for failures in 1..40 {
            let pause = retry.pause(failures, None);
            let whole = (retry.first_pause * (1 << (failures - 1).min(10))).min(retry.longest_pause);
            assert!(pause >= whole / 2 && pause <= whole, "{failures}: {pause:?}");
        }
        assert_eq!(retry.pause(1, Some(Duration::from_secs(5))), Duration::from_secs(5));
        assert_eq!(retry.pause(1, Some(Duration::from_hours(24))), retry.longest_asked);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken(text in "\\PC*", date in "[A-Z][a-z]{2}, [0-9]{2} (Jan|Dec) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT") {
            retry_after(&text, SystemTime::now());
            retry_after(&date, SystemTime::now());
        }
    }
}
