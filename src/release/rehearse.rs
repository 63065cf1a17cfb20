//! A push to a registry of one's own that stands for all that the tags name.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Builder;

use super::deliver::{DeliverError, Sending, Undelivered, send};
use super::preflight::Ground;
use super::ship::Shipped;
use crate::aws::ecr::EcrHost;
use crate::event::{Event, Observer};
use crate::oci::reference::Reference;
use crate::registry::auth::NoCredentials;
use crate::registry::client::{self, Client};
use crate::registry::endpoints::Endpoints;
use crate::registry::push::Pushed;
use crate::serve::ecr::{EcrSettings, Switch};
use crate::serve::{Server, Settings};

fn failed<E: Into<Box<dyn StdError + Send + Sync>>>(what: &'static str) -> impl Fn(E) -> DeliverError {
    move |error| DeliverError::Rehearsal { what, source: error.into() }
}

/// Pushes an image to an embedded registry over a folder, else over one that is gone afterwards.
pub(super) fn rehearse(
    folder: Option<&Path>,
    shipped: &Shipped,
    tags: &[Reference],
    sending: &Sending,
    observer: &Arc<dyn Observer>,
) -> Result<Pushed, Box<Undelivered>> {
    let scratch;
    let folder = if let Some(folder) = folder {
        folder
    } else {
        scratch = tempfile::tempdir().map_err(failed("create a folder for the rehearsal"))?;
        scratch.path()
    };
    let mut hosts: Vec<&str> = Vec::new();
    for host in tags.iter().map(Reference::registry) {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(failed("start the threads for the network"))?;
    runtime.block_on(async {
        let server =
            Server::start(stand_in(folder, &hosts)).await.map_err(failed("start the registry of the rehearsal"))?;
        let url = server.url();
        let mut endpoints = Endpoints::default();
        for host in &hosts {
            endpoints.insert(host, url.as_str()).map_err(failed("send a registry's traffic to the rehearsal"))?;
        }
        let settings = client::Settings { endpoints, authenticator: Arc::new(NoCredentials), ..Default::default() };
        let client = Client::new(settings, Arc::clone(observer));
        observer.note(Event::Told(&format!("rehearsing the push at {url}, not at {}", hosts.join(", "))));
        let ground = Ground { mount_from: sending.mount_from.clone(), ..Ground::default() };
        let what = (shipped.source.clone(), &shipped.built.index);
        let pushed = send(&client, what, tags, sending, ground, observer).await?;
        server.stop().await.map_err(failed("stop the registry of the rehearsal"))?;
        Ok(pushed)
    })
}

/// The settings of the registry that stands in: where a tag is of Amazon ECR it answers as ECR does.
fn stand_in(folder: &Path, hosts: &[&str]) -> Settings {
    let ecr = hosts.iter().find_map(|host| {
        let host = EcrHost::parse(host)?;
        Some(EcrSettings::new(host.account.as_deref()?, &host.region))
    });
    match ecr {
        // The repositories of a rehearsal are nobody's, and so are the credentials.
        Some(ecr) => Settings::like_ecr(
            folder,
            EcrSettings { switches: [Switch::CreateOnPush, Switch::Anonymous].into(), ..ecr },
        ),
        None => Settings::new(folder),
    }
}
