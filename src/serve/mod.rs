//! An OCI registry over an image layout folder: the distribution-spec, version 1.1, on HTTP/1.1.
//!
//! It is what `serve` runs, what a rehearsal pushes to, and what the registry client is tested against. It answers
//! as the specification says, or [as Amazon ECR does](ecr), and [`fault`] makes it fail on purpose.
//!
//! A request goes its way through the files: [`route`] says what the path names, [`auth`] whether the client may,
//! `inbound` reads its body, `blobs`, `uploads`, `manifests` and `listings` answer, from what
//! `repositories` reads in the layout and `place` calls it.
//!
//! Threats: whoever can connect can write, so nothing but loopback is listened on unless the caller says so.
//! Connections, sessions, heads, manifests and buffers are bounded; names, tags and digests are parsed before they are
//! used, and only digests become file names; locations are relative, so that no `Host` header sends a client elsewhere.
//! A server on loopback answers to names of this machine only, so that a web page whose own name suddenly resolves to
//! 127.0.0.1 (DNS rebinding) cannot read or write images through its visitor's browser.
//! A client that is slow to read keeps one connection and one open file, and nobody waits for it.

pub mod auth;
mod blobs;
pub mod ecr;
pub mod fault;
mod inbound;
mod listings;
pub mod log;
mod manifests;
mod place;
mod reply;
mod repositories;
pub mod route;
mod server;
mod uploads;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::layout::session::Session;
use crate::layout::{Layout, LayoutError};
use auth::Hosts;
use auth::{Access, Door};
use ecr::{Ecr, EcrSettings};
use fault::{Fault, Faults};
use log::Log;
use place::Names;
use repositories::Repositories;
use uploads::Uploads;

/// What a server serves, and how.
#[derive(Clone)]
pub struct Settings {
    /// The layout folder; it is made where there is none.
    pub folder: PathBuf,
    /// Where to listen. Port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The registry's name in the references of what is pushed here. On loopback, requests may name it as their host.
    pub registry: String,
    /// What a client must show. Like ECR it is a token that the control plane gave out, or Basic credentials that are
    /// set here. The realm of Bearer tokens is the address that is listened on: give one that clients can reach.
    pub access: Access,
    /// After how long an upload session that nobody touches is forgotten.
    pub idle: Duration,
    /// What goes wrong on purpose.
    pub faults: Vec<Fault>,
    /// The seed of faults that come by chance; nothing: none do.
    pub chance: Option<u64>,
    /// As what it answers.
    pub like: Like,
    /// Who is told about requests.
    pub log: Option<Log>,
}

impl Settings {
    /// A folder, open to everyone on this machine, on any port that is free.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            registry: "localhost".into(),
            access: Access::Open,
            idle: Duration::from_hours(1),
            faults: Vec::new(),
            chance: None,
            like: Like::Plain,
            log: None,
        }
    }

    /// The same, answering as ECR does, under the registry's name in AWS.
    pub fn like_ecr(folder: &Path, ecr: EcrSettings) -> Self {
        Self { registry: ecr.host(), like: Like::Ecr(Box::new(ecr)), ..Self::new(folder) }
    }
}

/// As what a registry answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Like {
    /// As the distribution-spec says.
    #[default]
    Plain,
    /// As Amazon ECR does.
    Ecr(Box<EcrSettings>),
}

/// Why a server does not run.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The layout.
    #[error("cannot serve the layout")]
    Layout(#[from] LayoutError),
    /// The address.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The name of the registry is not a host's.
    #[error("{0:?} is not a registry's name: expected a host with an optional port")]
    Registry(String),
    /// The name of a repository that ECR would not create.
    #[error("{0:?} is not a repository's name in ECR: expected 2 to 256 lower-case letters, digits and . _ - /")]
    Repository(String),
    /// The server's task did not end as it should.
    #[error("the server broke down")]
    Task(#[from] tokio::task::JoinError),
}

/// What all requests share.
struct Shared {
    repositories: Repositories,
    uploads: Uploads,
    door: Door,
    ecr: Option<Ecr>,
    faults: Faults,
    log: Option<Log>,
    /// The hosts that requests may name, where the server listens on loopback.
    hosts: Option<Hosts>,
    /// While we run, nobody removes blobs that nothing refers to yet.
    _session: Session,
}

/// A registry that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    /// Opens the folder and listens.
    ///
    /// # Errors
    /// Where the folder holds other things than a layout or the address is taken.
    pub async fn bind(settings: Settings) -> Result<Self, ServeError> {
        let names = Names::new(&settings.registry, &settings.folder);
        if !names.valid("a") {
            return Err(ServeError::Registry(settings.registry));
        }
        let (layout, session) = {
            let folder = settings.folder.clone();
            tokio::task::spawn_blocking(move || open(&folder)).await??
        };
        let failed = |source| ServeError::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let repositories = Repositories::new(layout, names);
        let ecr = match settings.like {
            Like::Plain => None,
            Like::Ecr(ecr) => {
                if let Some(name) = ecr.repositories.iter().find(|name| !ecr::valid_name(&repositories, name)) {
                    return Err(ServeError::Repository(name.clone()));
                }
                ecr.repositories.iter().for_each(|name| repositories.create(name));
                Some(Ecr::new(*ecr, format!("http://{address}")))
            }
        };
        let shared = Shared {
            repositories,
            ecr,
            uploads: Uploads::new(settings.idle),
            door: Door::new(settings.access, format!("http://{address}")),
            faults: Faults::new(settings.faults, settings.chance),
            log: settings.log,
            hosts: address.ip().is_loopback().then(|| Hosts::of_loopback(&settings.registry)),
            _session: session,
        };
        Ok(Self { listener, address, shared: Arc::new(shared) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers requests until `shutdown` is done; those that are being answered then have a few seconds to end.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        server::run(self.listener, self.shared, shutdown).await;
    }

    /// Binds, and answers in a task of its own.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub async fn start(settings: Settings) -> Result<Running, ServeError> {
        let server = Self::bind(settings).await?;
        let address = server.address;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            // A sender that was dropped says the same.
            let _ = stopped.await;
        }));
        Ok(Running { address, stop, task })
    }
}

/// A server that answers in the background; dropped, it stops.
pub struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it and waits until it has.
    ///
    /// # Errors
    /// Where it broke down.
    pub async fn stop(self) -> Result<(), ServeError> {
        // It may have ended already.
        let _ = self.stop.send(());
        Ok(self.task.await?)
    }
}

/// Makes or opens the layout, removes the temporary files of a server that was killed, and keeps others from doing so
/// from now on. Blobs stay: whoever serves a folder has not asked for it to be changed.
fn open(folder: &Path) -> Result<(Layout, Session), LayoutError> {
    Layout::session(folder)?.keep();
    let session = Layout::session(folder)?;
    Ok((session.layout().clone(), session))
}
