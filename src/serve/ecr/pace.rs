//! The documented request rates of a region (ECR service quotas), as buckets that fill up again.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use crate::mutex::lock;

/// Requests a second.
fn rate(action: &str) -> Option<u32> {
    Some(match action {
        "PutImage" => 10,
        "InitiateLayerUpload" | "CompleteLayerUpload" => 100,
        "UploadLayerPart" | "GetAuthorizationToken" => 500,
        "BatchCheckLayerAvailability" => 1000,
        "BatchGetImage" => 2000,
        "GetDownloadUrlForLayer" => 3000,
        _ => return None,
    })
}

/// A bucket for each action: it holds what one second brings.
#[derive(Default)]
pub(super) struct Pace(Mutex<HashMap<String, (f64, Instant)>>);

impl Pace {
    /// Whether one more request of this kind fits in.
    pub(super) fn allows(&self, action: &str) -> bool {
        let Some(rate) = rate(action) else { return true };
        let (full, now) = (f64::from(rate), Instant::now());
        let mut buckets = lock(&self.0);
        let (left, seen) = buckets.entry(action.to_owned()).or_insert((full, now));
        *left = (*left + seen.elapsed().as_secs_f64() * full).min(full);
        *seen = now;
        let fits = *left >= 1.0;
        if fits {
            *left -= 1.0;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_images_fit_in_a_second() {
        let pace = Pace::default();
        let allowed = (0..100).filter(|_| pace.allows("PutImage")).count();
        assert!((10..=12).contains(&allowed), "{allowed}");
        assert!(pace.allows("ListImages"));
    }
}
