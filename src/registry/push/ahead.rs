//! Blobs that go to a registry while the image that will name them is still being made.
//!
//! A layer that has just been made is seldom anywhere else, so nothing is gained by waiting for the others; each is
//! asked for first, as are the layers of earlier builds that come with it. What is sent names nothing: if the image
//! does not come about, the registry forgets blobs that no manifest names.
//!
//! Where the repository is empty nobody need be asked, and a layer need not be whole: it is sent while it grows
//! (`first`).

mod first;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

pub use self::first::is_first;
use self::first::{Fate, First, Streams};
use super::{Access, Client, Dialect, Error, Job, Options, Room, Tree, Upload};
use crate::blob::BlobSource;
use crate::blob::growing::Growing;
use crate::event::Observer;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::reference::Reference;
use crate::registry::upload;

/// A blob that is whole, and where it is.
pub type Made = (Arc<dyn BlobSource>, Descriptor);

/// What is handed in.
#[expect(clippy::large_enum_variant, reason = "there are two for each layer, and none is kept")]
pub enum Handed {
    /// A blob that is being made, and the bytes that it is made of, as far as known. It is handed in again once it is
    /// whole.
    Growing(Growing, u64),
    /// A blob that is whole.
    Whole(Made),
    /// There will be no image: what is under way is given up.
    Nothing,
}

/// What was sent ahead to one repository, by digest.
pub type Sent = BTreeMap<Digest, Upload>;

/// Where blobs are handed in, and where they are waited for.
pub fn channel() -> (UnboundedSender<Handed>, UnboundedReceiver<Handed>) {
    unbounded_channel()
}

/// Sends blobs to the repository of a reference as they come, several side by side, until no more will come.
///
/// # Errors
/// The first that cannot be sent.
pub async fn send(
    client: Client,
    reference: Reference,
    options: Options,
    observer: Arc<dyn Observer>,
    mut handed_in: UnboundedReceiver<Handed>,
) -> Result<Sent, Error> {
    let tree = Tree { manifests: Vec::new(), blobs: Vec::new() };
    let repository = client.repository(&reference, Access::Push)?;
    let dialect = Dialect::of(reference.registry()).with(options.chunk_size);
    let room = Room::new(&repository, options.jobs);
    let one = async |(source, blob): Made, before: upload::Sent| {
        let (repository, room, options) = (repository.clone(), room.clone(), &options);
        let (source, observer) = (&source, &observer);
        let (registry, earlier, lends) = (reference.registry(), None, false);
        let job = Job { repository, source, tree: &tree, dialect, room, options, registry, earlier, lends, observer };
        if blob.size == 0 && !job.dialect.limits.empty_blob {
            // The push itself says why not.
            return Ok::<_, Error>(None);
        }
        let mut upload = match job.has(&blob).await? {
            (_, true) => job.present(&blob),
            (_, false) => job.send_one(&blob, None).await?,
        };
        upload.bytes_sent += before.bytes;
        upload.retries += before.retries;
        Ok(Some((blob.digest, upload)))
    };
    let (stop, stopped) = watch::channel(false);
    let first = First::new(&repository, &dialect, &observer, options.jobs.max(1), stopped);
    let stream = async |number: usize, blob: Growing, size: u64| (number, first.send(blob, size).await);
    let is_first = is_first(&reference, &options);
    let (mut running, mut growing, mut waiting) = (FuturesUnordered::new(), FuturesUnordered::new(), VecDeque::new());
    let (mut more, mut given_up, mut sent, mut failure) = (true, false, Sent::new(), None);
    let (mut streams, mut parked) = (Streams::default(), BTreeMap::new());
    // A layer that comes out the same for two platforms is handed in twice, often at the same moment.
    let mut begun = BTreeSet::new();
    while more || !running.is_empty() || !growing.is_empty() {
        let mut whole = None;
        tokio::select! {
            handed = handed_in.recv(), if more => match handed {
                Some(Handed::Growing(blob, size)) if is_first => {
                    growing.push(stream(streams.add(blob.clone()), blob, size));
                }
                Some(Handed::Growing(..)) => {}
                Some(Handed::Whole(made)) => whole = Some(made).filter(|made| begun.insert(made.1.digest)),
                Some(Handed::Nothing) => given_up = true,
                None => more = false,
            },
            Some(done) = running.next(), if !running.is_empty() => match done {
                Ok(done) => sent.extend::<Option<_>>(done),
                Err(error) => failure = Some(error),
            },
            Some((number, ended)) = growing.next(), if !growing.is_empty() => {
                whole = streams.end(number, &ended).and_then(|digest| parked.remove(&digest));
                sent.extend(ended.ok().map(|upload| (upload.digest, upload)));
            }
        }
        if given_up || failure.is_some() {
            more = false;
            running.clear();
            waiting.clear();
            stop.send_replace(true);
        } else if let Some(made) = whole {
            match streams.fate(made.1.digest) {
                Fate::Sent => {}
                // Its last bytes are on their way, most likely.
                Fate::Open => drop(parked.insert(made.1.digest, made)),
                Fate::Unsent(before) => waiting.push_back((made, before)),
            }
        }
        while running.len() < room.under_way()
            && let Some((made, before)) = waiting.pop_front()
        {
            running.push(one(made, before));
        }
    }
    failure.map_or(Ok(sent), Err)
}
