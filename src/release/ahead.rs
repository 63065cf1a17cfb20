//! The push that a build ends in, while the build goes on: the registry is asked while folders are listed, and layers
//! go to it while others are made.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{Scope, ScopedJoinHandle};

use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use super::deliver::{DeliverError, Network, Sending, survey};
use super::preflight::{Ground, reach};
use crate::blob::BlobSource;
use crate::blob::growing::Growing;
use crate::event::Observer;
use crate::layout::Layout;
use crate::mutex::{lock, unpoisoned};
use crate::oci::descriptor::Descriptor;
use crate::oci::reference::Reference;
use crate::registry::error::Error;
use crate::registry::push::Options;
use crate::registry::push::ahead::{self, Handed, Made, Sent};

/// The thread that asks; its answer is none where it was told to stop.
type Asking<'s> = ScopedJoinHandle<'s, Option<Result<Ground, DeliverError>>>;

/// A push that is to come.
pub(super) struct Coming<'s> {
    network: &'s Network,
    tags: &'s [Reference],
    sending: &'s Sending,
    observer: &'s Arc<dyn Observer>,
    /// Whether layers may be sent before the image is whole.
    early: bool,
    asking: Mutex<Option<Asking<'s>>>,
    stop: Arc<Notify>,
    asked: OnceLock<Asked>,
    failure: Mutex<Option<DeliverError>>,
}

/// What the registry has said, and what is under way to it.
pub(super) struct Asked {
    /// What is known of the repositories.
    pub(super) ground: Ground,
    /// The layers that are sent ahead, where any may be.
    pub(super) ahead: Option<Ahead>,
}

impl<'s> Coming<'s> {
    /// Asks the registries. With `early`, layers are sent before the image is whole, unless a tag may turn out to be
    /// another image's for good, or the repository is yet to be created.
    pub(super) fn begin(
        scope: &'s Scope<'s, '_>,
        network: &'s Network,
        tags: &'s [Reference],
        sending: &'s Sending,
        early: bool,
        observer: &'s Arc<dyn Observer>,
    ) -> Self {
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let ask = async move {
            let mut ground = Box::pin(survey(network, tags, sending, &**observer)).await?;
            ground.seen = reach(&network.client, tags).await?;
            Ok(ground)
        };
        let asking = scope.spawn(move || {
            network.runtime.block_on(async {
                tokio::select! {
                    asked = ask => Some(asked),
                    () = stopped.notified() => None,
                }
            })
        });
        let (asking, asked, failure) = (Mutex::new(Some(asking)), OnceLock::new(), Mutex::new(None));
        Self { network, tags, sending, observer, early, asking, stop, asked, failure }
    }

    /// Waits for what the registries say: whether it is worth to go on.
    pub(super) fn is_ready(&self) -> bool {
        let Some(asking) = lock(&self.asking).take() else {
            return self.asked.get().is_some();
        };
        match asking.join().ok().flatten() {
            Some(Ok(ground)) => {
                let possible = self.early && ground.missing.is_empty();
                let tag =
                    self.tags.first().filter(|_| possible && !self.tags.iter().any(|tag| ground.is_immutable(tag)));
                let ahead = tag.map(|tag| Ahead::begin(self.network, tag, self.sending, &ground, self.observer));
                self.asked.set(Asked { ground, ahead }).is_ok()
            }
            failed => {
                let failure = failed.and_then(Result::err).unwrap_or_else(|| Error::Worker.into());
                *lock(&self.failure) = Some(failure);
                false
            }
        }
    }

    /// What is under way.
    pub(super) fn ahead(&self) -> Option<&Ahead> {
        self.asked.get()?.ahead.as_ref()
    }

    /// What the registries have said, where they were listened to.
    pub(super) fn into_asked(self) -> Option<Asked> {
        self.asked.into_inner()
    }

    /// There will be no push. Why not, where the registries are the reason.
    pub(super) fn give_up(self) -> Option<DeliverError> {
        self.stop.notify_one();
        let failure = unpoisoned(self.failure.into_inner());
        if let Some(ahead) = self.asked.into_inner().and_then(|asked| asked.ahead) {
            ahead.abandon(self.network);
        }
        failure
    }
}

/// Layers on their way to a registry while others are being made.
pub(super) struct Ahead {
    made: UnboundedSender<Handed>,
    /// Whether layers may be sent while they are made.
    first: bool,
    /// Layers of earlier builds: as long as there are no others, the whole image may be there, which one request shows.
    waiting: Mutex<Option<Vec<Made>>>,
    sending: JoinHandle<Result<Sent, Error>>,
}

impl Ahead {
    /// Begins to send what is handed in to the repository of a reference.
    fn begin(
        network: &Network,
        reference: &Reference,
        sending: &Sending,
        ground: &Ground,
        observer: &Arc<dyn Observer>,
    ) -> Self {
        let (made, handed_in) = ahead::channel();
        let (seen, mount_from) = (ground.seen.clone(), ground.mount_from.clone());
        let options = Options { mount_from, seen, ..sending.options() };
        let first = ahead::is_first(reference, &options);
        let send = ahead::send(network.client.clone(), reference.clone(), options, Arc::clone(observer), handed_in);
        Self { made, first, waiting: Mutex::new(Some(Vec::new())), sending: network.runtime.spawn(send) }
    }

    /// Hands in a layer that is about to be made, and the bytes that its tar will have. It leaves while it is made
    /// where the repository may be empty.
    pub(super) fn begun(&self, layer: Growing, size: u64) {
        if self.first {
            // Whoever waited for it has failed, and says so in the end.
            let _ = self.made.send(Handed::Growing(layer, size));
        }
    }

    /// Hands in a layer, and whether it was made just now.
    pub(super) fn take(&self, layout: &Layout, layer: &Descriptor, new: bool) {
        let mut waiting = lock(&self.waiting);
        let mut layers = vec![(Arc::new(layout.clone()) as Arc<dyn BlobSource>, layer.clone())];
        match waiting.as_mut() {
            Some(waiting) if !new => return waiting.append(&mut layers),
            Some(waiting) => layers.append(waiting),
            None => {}
        }
        *waiting = None;
        for layer in layers {
            // Whoever waited for it has failed, and says so in the end.
            let _ = self.made.send(Handed::Whole(layer));
        }
    }

    /// Hands in a configuration: where layers are on their way, it need not wait for the last of them.
    pub(super) fn follow(&self, source: &Arc<dyn BlobSource>, configuration: &Descriptor) {
        if lock(&self.waiting).is_none() {
            // Whoever waited for it has failed, and says so in the end.
            let _ = self.made.send(Handed::Whole((Arc::clone(source), configuration.clone())));
        }
    }

    /// Gives up what is under way, and what was begun at the registry back to it.
    pub(super) fn abandon(self, network: &Network) {
        // What has failed by itself is no news where there is no image.
        let _ = self.made.send(Handed::Nothing);
        let _ = network.runtime.block_on(self.sending);
    }

    /// Waits for all that was handed in.
    pub(super) fn finish(self, network: &Network) -> Result<Sent, Error> {
        drop(self.made);
        let joined = network.runtime.block_on(self.sending);
        joined.unwrap_or(Err(Error::Worker))
    }
}
