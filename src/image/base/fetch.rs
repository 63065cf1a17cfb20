//! The layers of a base, from a registry into a layout: several at a time, each in one pass.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::find::Layer;
use super::{Known, read_through, unreadable_layer};
use crate::blob::BlobSource;
use crate::event::{Event, Observer};
use crate::image::recipe::place::RecipeError;
use crate::layer::cache::LayerCache;
use crate::layer::contents::Contents;
use crate::layout::session::Session;
use crate::mutex;
use crate::oci::descriptor::Descriptor;

/// How many layers come at a time: as many as Docker takes.
const AT_A_TIME: usize = 3;

/// After how many bytes progress is told again.
const STEP: u64 = 1 << 20;

/// Brings layers into the session's layout and tells what is inside. What the layout has whole is read there.
pub(super) fn all(
    place: &str,
    source: &dyn BlobSource,
    layers: &[&Layer],
    (session, cache): (&Session, Option<&LayerCache>),
    observer: &dyn Observer,
) -> Result<Known, RecipeError> {
    let mut seen = BTreeSet::new();
    let layers: Vec<&Layer> = layers.iter().copied().filter(|layer| seen.insert(layer.descriptor.digest)).collect();
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let done: Mutex<Result<Known, RecipeError>> = Mutex::new(Ok(Known::new()));
    let work = || {
        while let Some(layer) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
            let descriptor = &layer.descriptor;
            let read = one(source, layer, (session, cache), &stop, observer)
                .map_err(|error| unreadable_layer(place, descriptor, error));
            let mut done = mutex::lock(&done);
            match (read, done.as_mut()) {
                (Ok(contents), Ok(known)) => {
                    known.insert(descriptor.digest, contents);
                }
                (Err(error), Ok(_)) => {
                    // What is not begun need not be, and what is on its way need not come.
                    next.store(layers.len(), Ordering::Relaxed);
                    stop.store(true, Ordering::Relaxed);
                    *done = Err(error);
                }
                (_, Err(_)) => return,
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..AT_A_TIME.min(layers.len()) {
            scope.spawn(work);
        }
        work();
    });
    mutex::unpoisoned(done.into_inner())
}

fn one(
    source: &dyn BlobSource,
    layer: &Layer,
    (session, cache): (&Session, Option<&LayerCache>),
    stop: &AtomicBool,
    observer: &dyn Observer,
) -> Result<Arc<Contents>, Box<dyn Error + Send + Sync>> {
    let descriptor = &layer.descriptor;
    let id = format!("{} of the base", short(descriptor));
    let size = descriptor.size;
    observer.note(Event::LayerStarted { id: &id, bytes: size });
    let kept = || cache?.blob_of(descriptor.digest, size);
    let adopted = || kept().is_some_and(|(path, file)| session.adopt((&path, &file), descriptor).is_ok());
    let here = || here(layer, (session, cache));
    let there = here().or_else(|| if adopted() { here() } else { None });
    let cached = there.is_some();
    let contents = if let Some(contents) = there {
        contents
    } else {
        let mut writer = session.writer()?;
        let blob = source.open(descriptor)?;
        let contents = {
            let through = Through { from: blob, to: &mut writer, passed: 0, told: 0, stop, id: &id, observer };
            read_through(through, layer.compression)?
        };
        session.commit(writer)?;
        super::remember(cache, descriptor, &contents);
        if let Some(cache) = cache {
            cache.keep_foreign(&session.layout().blob_path(descriptor.digest), descriptor.digest, size);
        }
        Arc::new(contents)
    };
    observer.note(Event::LayerFinished { id: &id, size, cached });
    Ok(contents)
}

/// What is inside a layer that the layout has. One that is damaged there is none: its registry is not to blame.
fn here(layer: &Layer, (session, cache): (&Session, Option<&LayerCache>)) -> Option<Arc<Contents>> {
    let Layer { descriptor, compression, .. } = layer;
    if let Some(contents) = cache.and_then(|cache| cache.contents(descriptor.digest)) {
        return super::holds(session, cache, descriptor).then_some(contents);
    }
    let contents = super::looked_into(cache, session.layout(), descriptor, *compression).ok()?;
    // To its end it was what it should be.
    session.holds(descriptor, |_| true).then_some(contents)
}

/// The first twelve digits, as people know them.
fn short(descriptor: &Descriptor) -> String {
    descriptor.digest.encoded().chars().take(12).collect()
}

/// Reads, and writes what it has read.
struct Through<'a, R, W> {
    from: R,
    to: W,
    passed: u64,
    told: u64,
    /// Another layer has failed.
    stop: &'a AtomicBool,
    id: &'a str,
    observer: &'a dyn Observer,
}

impl<R: Read, W: Write> Read for Through<'_, R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("another layer has failed"));
        }
        let count = self.from.read(buffer)?;
        self.to.write_all(&buffer[..count])?;
        self.passed += count as u64;
        if self.passed - self.told >= STEP {
            self.told = self.passed;
            self.observer.note(Event::LayerAdvanced { id: self.id, bytes: self.passed });
        }
        Ok(count)
    }
}
