//! How many blobs of a push are on the line at a time.
//!
//! A blob gives its place up when its last byte has left, not when the registry has answered: a registry may take
//! seconds to look at a layer and to store it for good, and the line is free meanwhile.

use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::event::{Event, Observer};
use crate::mutex::lock;
use crate::registry::client::Repository;

/// How many more may wait for their answers. Each may hold its last part meanwhile.
const UNANSWERED: usize = 4;

/// Places on the line to one repository.
#[derive(Clone)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    size: usize,
}

impl Room {
    /// Room for `jobs` blobs at a time. A registry on this machine shares our processors: with more blobs than those
    /// under way all would be there at the same moment, and what it does with a whole one would come after them instead
    /// of beside them.
    pub(super) fn new(repository: &Repository, jobs: usize) -> Self {
        let jobs = jobs.max(1);
        let size = if repository.registry.is_here() {
            jobs.min(available_parallelism().map_or(jobs, std::num::NonZero::get))
        } else {
            jobs
        };
        Self { places: Arc::new(Semaphore::new(size)), size }
    }

    /// How many blobs may be under way, those that wait for their answers included.
    pub(super) fn under_way(&self) -> usize {
        self.size + UNANSWERED
    }

    /// Waits for a place. It is free again when so many bytes have left, as `observer` is told, or when the answer is
    /// dropped.
    pub(super) async fn take(&self, size: u64, observer: &Arc<dyn Observer>) -> Arc<dyn Observer> {
        // Never closed: there is always one in the end.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        Arc::new(Place { size, held: Mutex::new(place), observer: Arc::clone(observer) })
    }
}

/// One blob's place. What is sent again has none: that is rare, and goes beside the others.
struct Place {
    size: u64,
    held: Mutex<Option<OwnedSemaphorePermit>>,
    observer: Arc<dyn Observer>,
}

impl Observer for Place {
    fn note(&self, event: Event<'_>) {
        if matches!(event, Event::BlobAdvanced { bytes, .. } if bytes >= self.size) {
            drop(lock(&self.held).take());
        }
        self.observer.note(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Silent;

    #[tokio::test]
    async fn a_place_is_free_when_the_last_byte_has_left() {
        let room = Room { places: Arc::new(Semaphore::new(1)), size: 1 };
        let silent: Arc<dyn Observer> = Arc::new(Silent);
        let place = room.take(9, &silent).await;
        place.note(Event::BlobAdvanced { id: "a", bytes: 8 });
        assert_eq!(room.places.available_permits(), 0);
        place.note(Event::BlobAdvanced { id: "a", bytes: 9 });
        assert_eq!(room.places.available_permits(), 1);
        // What is sent again takes nobody's place, and gives none up.
        place.note(Event::BlobAdvanced { id: "a", bytes: 9 });
        assert_eq!(room.places.available_permits(), 1);
        drop(room.take(9, &silent).await);
        assert_eq!(room.places.available_permits(), 1);
    }
}
