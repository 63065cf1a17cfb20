//! An image on its way to its registries: what is asked before, what is created, what is sent.

use std::error::Error as StdError;
use std::sync::Arc;

use thiserror::Error as ThisError;
use tokio::runtime::Runtime;

use super::preflight::{Ground, PreflightError, create, preflight};
use crate::aws::ecr::EcrHost;
use crate::aws::registry::NewRepository;
use crate::aws::session::Session;
use crate::blob::BlobSource;
use crate::event::{Event, Observer};
use crate::oci::descriptor::Descriptor;
use crate::oci::reference::Reference;
use crate::registry::auth::Authenticator;
use crate::registry::client::Client;
use crate::registry::endpoints::Endpoints;
use crate::registry::error::Error;
use crate::registry::pull::Registries;
use crate::registry::push::mount::MountSource;
use crate::registry::push::{self, Failed, Options, Pushed, check_chunks};
use crate::registry::upload::dialect::ChunkSize;

/// A client, and the threads that it runs on. It is not to be dropped on a thread of an async runtime.
pub struct Network {
    /// The client.
    pub client: Client,
    /// The threads.
    pub runtime: Runtime,
    /// AWS, where its credentials may count.
    pub aws: Option<Arc<Session>>,
    /// Whoever has the client's credentials.
    pub authenticator: Arc<dyn Authenticator>,
    /// What stands in for registries and is nothing of AWS's: AWS knows nothing of it.
    pub stand_ins: Endpoints,
    /// The region that the environment names; a registry's own counts.
    pub region: Option<String>,
}

impl Network {
    /// The way to the bases of images.
    pub fn registries(&self) -> Registries {
        Registries::new(self.client.clone(), self.runtime.handle().clone())
    }
}

/// How an image is sent.
#[derive(Debug, Clone, Default)]
pub struct Sending {
    /// The size of parts, where the user asked for one.
    pub chunk_size: Option<ChunkSize>,
    /// Repositories that any blob may be taken over from.
    pub mount_from: Vec<MountSource>,
    /// How a repository of Amazon ECR that is missing is created; `None`: it is an error.
    pub create: Option<NewRepository>,
}

impl Sending {
    /// The options of a push, as far as they do not depend on what the registries say.
    pub(super) fn options(&self) -> Options {
        Options { chunk_size: self.chunk_size, ..Options::default() }
    }
}

/// Why an image does not get where it is to go.
#[derive(Debug, ThisError)]
pub enum DeliverError {
    /// A registry.
    #[error(transparent)]
    Registry(#[from] Error),
    /// There is no ground to push to.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// The registry of a rehearsal.
    #[error("cannot {what}")]
    Rehearsal {
        /// What was to be done.
        what: &'static str,
        /// Why not.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl DeliverError {
    /// What to do, where there is something to do.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.help(),
            Self::Preflight(error) => error.help(),
            Self::Rehearsal { .. } => None,
        }
    }
}

/// A push that failed, or had no ground.
pub type Undelivered = Failed<DeliverError>;

impl From<PreflightError> for Box<Undelivered> {
    fn from(error: PreflightError) -> Self {
        DeliverError::from(error).into()
    }
}

/// What is known of the repositories before anything is built or sent.
///
/// # Errors
/// Where a push could only fail: there are no credentials, or no repository.
pub async fn survey(
    network: &Network,
    references: &[Reference],
    sending: &Sending,
    observer: &dyn Observer,
) -> Result<Ground, DeliverError> {
    check_chunks(references, sending.chunk_size, observer)?;
    let mount_from = sending.mount_from.clone();
    let Some(aws) = &network.aws else { return Ok(Ground { mount_from, ..Ground::default() }) };
    let mut asked = Vec::new();
    for reference in references.iter().filter(|reference| !network.stand_ins.stand_in_for(reference.registry())) {
        let Some(host) = EcrHost::parse(reference.registry()) else { continue };
        if let Some(region) = network.region.as_ref().filter(|region| **region != host.region) {
            observer.note(Event::Warning(&format!(
                "AWS_REGION is {region}, but {} is in {}, which counts",
                reference.registry(),
                host.region
            )));
        }
        asked.push(reference.clone());
    }
    // Without a token nothing else matters.
    let tokens = async {
        for reference in &asked {
            network.authenticator.credentials(&reference.name(), false).await?;
        }
        Ok::<_, Error>(())
    };
    let (tokens, found) = tokio::join!(tokens, preflight(aws, &asked, sending.create.is_some(), observer));
    tokens?;
    Ok(Ground { mount_from, ..found? })
}

/// Creates what is missing, and sends an image to all its references. It blocks, on the threads of the network.
///
/// # Panics
/// On a thread of an async runtime: call it from another (`spawn_blocking`).
///
/// # Errors
/// The first thing that went wrong, and what was done before it.
pub fn deliver(
    network: &Network,
    what: (Arc<dyn BlobSource>, &Descriptor),
    references: &[Reference],
    sending: &Sending,
    ground: Ground,
    observer: &Arc<dyn Observer>,
) -> Result<Pushed, Box<Undelivered>> {
    if let (Some(aws), Some(new)) = (&network.aws, &sending.create) {
        network.runtime.block_on(create(aws, &ground, new))?;
        for (_, name) in &ground.missing {
            observer.note(Event::Told(&format!("created the repository {name}")));
        }
    }
    network.runtime.block_on(send(&network.client, what, references, sending, ground, observer))
}

/// Sends an image to all its references.
pub(super) async fn send(
    client: &Client,
    (source, top): (Arc<dyn BlobSource>, &Descriptor),
    references: &[Reference],
    sending: &Sending,
    ground: Ground,
    observer: &Arc<dyn Observer>,
) -> Result<Pushed, Box<Undelivered>> {
    let options = Options {
        mounts: ground.mounts,
        mount_from: ground.mount_from,
        tag_rules: ground.tag_rules,
        sent: ground.sent,
        seen: ground.seen,
        ..sending.options()
    };
    let pushed = push::push(client, source, top, references, &options, Arc::clone(observer)).await;
    pushed.map_err(|failed| Box::new(Undelivered { error: failed.error.into(), pushed: failed.pushed }))
}
