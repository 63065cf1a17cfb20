//! A release: an image is built while its registries are asked, judged, and sent where it is to go.
//!
//! Where nobody has a say about the image, its layers leave while others are being made. Where a task definition has
//! one nothing is sent before the verdict.

use std::path::Path;
use std::sync::Arc;

use thiserror::Error as ThisError;

use super::ahead::{Ahead, Asked, Coming};
use super::deliver::{DeliverError, Network, Sending, Undelivered, deliver};
use super::preflight::Ground;
use super::rehearse::rehearse;
use super::ship::{self, Output, Request, ShipError, Shipped, make, mounts};
use crate::blob::growing::Growing;
use crate::ecs::target::Target;
use crate::event::Observer;
use crate::image::build::{Begun, Made, Options};
use crate::layout::Layout;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::reference::Reference;
use crate::registry::push::Pushed;
use crate::verify::finding::Verification;
use crate::verify::rules;

/// What is to be made, judged and sent.
pub struct Release<'a> {
    /// The image. Whether the build goes on, and what becomes of layers while they are made, is for the release to say.
    pub image: Request<'a>,
    /// Who has a say about it.
    pub gate: Gate<'a>,
    /// Where it goes from its output.
    pub destination: Destination<'a>,
    /// How it is sent there.
    pub sending: &'a Sending,
    /// Who is told of the push.
    pub observer: &'a Arc<dyn Observer>,
}

/// Where an image goes.
#[derive(Clone, Copy)]
pub enum Destination<'a> {
    /// It stays where it was built.
    Stays,
    /// To the registries of its tags.
    Registries(&'a Network),
    /// To a registry of one's own instead, over this folder or one that is gone afterwards.
    Rehearsal(Option<&'a Path>),
}

/// What an image must pass before it goes anywhere.
pub struct Gate<'a> {
    /// The task definitions that it must run on.
    pub targets: &'a [Target],
    /// What is accepted, and what else is known.
    pub options: &'a rules::Options,
    /// Whether warnings and what is undetermined count as errors.
    pub strict: bool,
    /// Told of the verdict before anything follows from it.
    pub told: &'a (dyn Fn(&Verification) + Sync),
}

/// What came of a release, once there was an image.
pub struct Outcome {
    /// The image.
    pub shipped: Shipped,
    /// The digest by which it is known where it went: the index's, but that of the manifest in a docker-archive, which
    /// has no index.
    pub digest: Digest,
    /// `registry/repository@sha256:…` of each distinct repository: what was pushed, or would be. None where the answer
    /// is no, since a name by which nothing can be pulled must not be deployed; what was reached where the push failed.
    pub references: Vec<String>,
    /// What was found.
    pub verification: Verification,
    /// Whether it passed the gate.
    pub passes: bool,
    /// Whether layers may have been sent before the verdict. Nothing names them, and nobody can pull them.
    pub early: bool,
    /// What was sent.
    pub pushed: Pushed,
    /// Why the push failed.
    pub failure: Option<DeliverError>,
}

/// Why there is no image.
#[derive(Debug, ThisError)]
pub enum ReleaseError {
    /// It cannot be made.
    #[error(transparent)]
    Ship(#[from] ShipError),
    /// It could not be pushed, which was known before it was made.
    #[error(transparent)]
    Deliver(Box<DeliverError>),
    /// A tag with a digest.
    #[error("{0} has a digest, and an image that is yet to be built has none")]
    Digest(String),
    /// No tag, but somewhere to go.
    #[error("the image is to go to a registry, and no tag says to which")]
    NoTag,
}

/// Builds an image, judges it, and sends it where it is to go. It blocks until that is done.
///
/// # Errors
/// Where there is no image. That it does not pass or does not arrive is part of the outcome.
///
/// # Panics
/// On a thread of an async runtime, once there is something to send: call it from another (`spawn_blocking`).
pub fn release(release: &Release<'_>) -> Result<Outcome, ReleaseError> {
    let Release { image, gate, destination, .. } = release;
    if let Some(tag) = image.tags.iter().find(|tag| tag.digest().is_some()) {
        return Err(ReleaseError::Digest(tag.to_string()));
    }
    if !matches!(destination, Destination::Stays) && image.tags.is_empty() {
        return Err(ReleaseError::NoTag);
    }
    let (shipped, asked) = build(release)?;
    let verification = ship::judge(&shipped.facts, gate.targets, gate.options);
    (gate.told)(&verification);
    let passes = !verification.fails(gate.strict);
    let early = asked.as_ref().is_some_and(|asked| asked.ahead.is_some());
    let sent = if passes {
        send(release, &shipped, asked)
    } else {
        if let (Some(Asked { ahead: Some(ahead), .. }), Destination::Registries(network)) = (asked, release.destination)
        {
            ahead.abandon(network);
        }
        Ok(Pushed::default())
    };
    let (pushed, failure) = match sent {
        Ok(pushed) => (pushed, None),
        Err(undelivered) => (undelivered.pushed, Some(undelivered.error)),
    };
    let digest = match (image.output, shipped.built.images.as_slice()) {
        (Output::DockerArchive(_), [only]) if pushed.references.is_empty() => only.manifest.digest,
        _ => shipped.built.index.digest,
    };
    let references = if passes && failure.is_none() && pushed.references.is_empty() {
        repositories(image.tags).iter().map(|tag| tag.at(digest).to_string()).collect()
    } else {
        pushed.references.clone()
    };
    Ok(Outcome { shipped, digest, references, verification, passes, early, pushed, failure })
}

/// Makes the image while its registries are asked, and sends its layers ahead where that may be.
fn build(release: &Release<'_>) -> Result<(Shipped, Option<Asked>), ReleaseError> {
    let Release { image, gate, destination, sending, observer } = release;
    let network = match destination {
        Destination::Registries(network) => Some(network),
        Destination::Stays | Destination::Rehearsal(_) => None,
    };
    // Where a task definition has the last word nothing is sent before it has spoken.
    let early = network.is_some() && gate.targets.is_empty() && !image.tags.is_empty();
    std::thread::scope(|scope| {
        let push = network.map(|network| Coming::begin(scope, network, image.tags, sending, early, observer));
        let coming = push.as_ref();
        let ahead = || coming.and_then(Coming::ahead);
        let take = |layout: &Layout, layer: &Descriptor, new| {
            if let Some(ahead) = ahead() {
                ahead.take(layout, layer, new);
            }
        };
        let begun = |layer: Growing, size| {
            if let Some(ahead) = ahead() {
                ahead.begun(layer, size);
            }
        };
        // A registry that cannot be reached and a mistyped repository are told before anything is made.
        let ready = || coming.is_none_or(Coming::is_ready);
        let options = Options {
            made: early.then_some(&take as &Made<'_>),
            begun: early.then_some(&begun as &Begun<'_>),
            ..image.options
        };
        let request = Request { options, ready: Some(&ready), ..*image };
        // Nor is anything fetched or run in vain.
        let made = if image.recipe.fetches_or_runs() && !ready() { Err(ShipError::CalledOff) } else { make(&request) };
        match made {
            Ok(shipped) => Ok((shipped, push.and_then(Coming::into_asked))),
            Err(error) => Err(push
                .and_then(Coming::give_up)
                .map_or_else(|| error.into(), |failure| ReleaseError::Deliver(Box::new(failure)))),
        }
    })
}

/// Sends an image that has passed.
fn send(release: &Release<'_>, shipped: &Shipped, asked: Option<Asked>) -> Result<Pushed, Box<Undelivered>> {
    let Release { image, destination, sending, observer, .. } = release;
    match (destination, asked) {
        (Destination::Registries(network), Some(Asked { ground, ahead })) => {
            if let Some(ahead) = &ahead {
                for made in &shipped.built.images {
                    ahead.follow(&shipped.source, &made.config);
                }
            }
            let sent = ahead
                .map(|ahead: Ahead| ahead.finish(network))
                .transpose()
                .map_err(DeliverError::from)?
                .unwrap_or_default();
            let ground = Ground { sent, mounts: mounts(image.recipe, &shipped.built), ..ground };
            let what = (shipped.source.clone(), &shipped.built.index);
            deliver(network, what, image.tags, sending, ground, observer)
        }
        (Destination::Rehearsal(folder), _) => rehearse(*folder, shipped, image.tags, sending, observer),
        (Destination::Stays | Destination::Registries(_), _) => Ok(Pushed::default()),
    }
}

/// One reference of each repository.
fn repositories(tags: &[Reference]) -> Vec<&Reference> {
    let mut distinct: Vec<&Reference> = Vec::new();
    for tag in tags {
        if !distinct.iter().any(|known| known.name() == tag.name()) {
            distinct.push(tag);
        }
    }
    distinct
}
