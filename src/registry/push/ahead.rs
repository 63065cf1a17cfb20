//! Blobs that go to a registry while the image that will name them is still being made.
//!
//! A layer that has just been made is seldom anywhere else, so nothing is gained by waiting for the others; each is asked for
//! first, as are the layers of earlier builds that come with it. What is sent names nothing: if the image does not come about, the registry forgets blobs that no manifest names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Access, Client, Dialect, Error, Job, Options, Tree, Upload};
use crate::blob::BlobSource;
use crate::event::Observer;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::reference::Reference;

/// A blob that is whole, and where it is.
pub type Made = (Arc<dyn BlobSource>, Descriptor);

/// What was sent ahead to one repository, by digest.
pub type Sent = BTreeMap<Digest, Upload>;

/// Where blobs are handed in, and where they are waited for.
pub fn channel() -> (UnboundedSender<Made>, UnboundedReceiver<Made>) {
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
    mut made: UnboundedReceiver<Made>,
) -> Result<Sent, Error> {
    let tree = Tree { manifests: Vec::new(), blobs: Vec::new() };
    let repository = client.repository(&reference, Access::Push)?;
    let dialect = Dialect::of(reference.registry()).with(options.chunk_size);
    let one = async |(source, blob): Made| {
        let (source, repository, dialect) = (&source, repository.clone(), dialect);
        let job =
            Job { repository, source, tree: &tree, dialect, options: &options, earlier: None, observer: &observer };
        if blob.size == 0 && !job.dialect.limits.empty_blob {
            // The push itself says why not.
            return Ok::<_, Error>(None);
        }
        let upload = match job.has(&blob).await? {
            (_, true) => job.present(&blob),
            (_, false) => job.send_one(&blob, None).await?,
        };
        Ok(Some((blob.digest, upload)))
    };
    let (mut running, mut more, mut sent) = (FuturesUnordered::new(), true, Sent::new());
    // A layer that comes out the same for two platforms is handed in twice, often at the same moment.
    let mut begun = BTreeSet::new();
    while more || !running.is_empty() {
        tokio::select! {
            blob = made.recv(), if more && running.len() < options.jobs.max(1) => match blob {
                Some(blob) if begun.insert(blob.1.digest) => running.push(one(blob)),
                Some(_) => {}
                None => more = false,
            },
            Some(done) = running.next(), if !running.is_empty() => sent.extend::<Option<_>>(done?),
        }
    }
    Ok(sent)
}
