//! Images as a command line names them, and the client that speaks to registries.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use dockless::aws;
use dockless::aws::session::Session;
use dockless::image::open::{Image, Location, local};
use dockless::registry::auth::ecr::{EcrTokens, Source};
use dockless::registry::auth::store::{CredentialStore, Places};
use dockless::registry::auth::{Authenticator, NoCredentials};
use dockless::registry::client::{Client, Settings};
use dockless::registry::error::Error;
use dockless::registry::http::endpoint::Endpoints;
use dockless::registry::http::transport::CaFile;
use dockless::registry::pull::{Registries, RemoteBlobs, resolve};
use tokio::runtime::Runtime;

use super::args::push::{Credentials, Registry};
use super::context::{Context, runtime};
use super::failure::Failure;

/// A client, and the threads that it runs on.
pub struct Network {
    /// The client.
    pub client: Client,
    /// The threads.
    pub runtime: Runtime,
    /// AWS, where its credentials may count.
    pub aws: Option<Arc<Session>>,
    /// Whoever has the client's credentials.
    pub authenticator: Arc<dyn Authenticator>,
}

impl Network {
    /// The way to the bases of images.
    pub fn registries(&self) -> Registries {
        Registries::new(self.client.clone(), self.runtime.handle().clone())
    }
}

/// The client that the environment and the flags describe.
pub fn network(context: &Context, flags: &Registry) -> Result<Network, Failure> {
    let settings = &context.settings;
    let places = Places {
        home: settings.home.clone(),
        docker_config: settings.docker_config.clone(),
        registry_auth_file: settings.registry_auth_file.clone(),
        xdg_runtime_dir: settings.runtime_folder.clone(),
        path: None,
    };
    let mut endpoints = Endpoints::default();
    for (host, url) in &settings.endpoints {
        endpoints.insert(host, url.as_str()).map_err(Failure::new)?;
    }
    let docker = Arc::new(CredentialStore::new(places));
    if flags.credentials == Credentials::Docker {
        let client = client(context, flags, endpoints, docker.clone())?;
        return Ok(Network { client, runtime: runtime()?, aws: None, authenticator: docker });
    }
    let session = session(context, flags)?;
    // Who asks for a role would not have another identity instead.
    let source = if flags.credentials == Credentials::Aws || flags.role.is_some() { Source::Aws } else { Source::Auto };
    let observer = Arc::clone(&context.progress) as _;
    let tokens = Arc::new(EcrTokens::new(Arc::clone(&session), source, stand_ins(context), docker, observer));
    let client = client(context, flags, endpoints, tokens.clone())?;
    Ok(Network { client, runtime: runtime()?, aws: Some(session), authenticator: tokens })
}

/// A session with AWS, as the environment and the flags describe it. No request is made.
pub fn session(context: &Context, flags: &Registry) -> Result<Arc<Session>, Failure> {
    let settings = &context.settings;
    let mut ca = Vec::new();
    if let Some(path) = settings.ca_file(flags.ca_file.as_deref()) {
        ca.push(pem(path)?);
    }
    let aws = aws::session::Settings {
        ca,
        role: flags.role.clone().or_else(|| settings.role.clone()),
        github: settings.github_token.clone(),
        session_name: settings.role_session_name.clone(),
    };
    Session::new(aws).map(Arc::new).map_err(Failure::new)
}

/// The registries that something else stands in for. A token of AWS's is not for it, and AWS knows nothing of it; unless
/// AWS's API has a stand-in as well.
pub fn stand_ins(context: &Context) -> BTreeSet<String> {
    let settings = &context.settings;
    let hosts = settings.endpoints.iter().map(|(host, _)| host.clone());
    if settings.aws_endpoint { BTreeSet::new() } else { hosts.collect() }
}

/// A client that sends all traffic to one place, without credentials: a rehearsal.
pub fn rehearsal(context: &Context, hosts: &[&str], url: &str) -> Result<Client, Failure> {
    let mut endpoints = Endpoints::default();
    for host in hosts {
        endpoints.insert(host, url).map_err(Failure::new)?;
    }
    client(context, &Registry::default(), endpoints, Arc::new(NoCredentials))
}

fn client(
    context: &Context,
    flags: &Registry,
    endpoints: Endpoints,
    authenticator: Arc<dyn Authenticator>,
) -> Result<Client, Failure> {
    let mut ca = Vec::new();
    if let Some(path) = context.settings.ca_file(flags.ca_file.as_deref()) {
        ca.push(ca_file(path)?);
    }
    let settings = Settings { ca, endpoints, authenticator, ..Settings::default() };
    Ok(Client::new(settings, Arc::clone(&context.progress) as _))
}

fn ca_file(path: &Path) -> Result<CaFile, Failure> {
    CaFile::parse(path, &pem(path)?).map_err(refused)
}

fn pem(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(error)
            .during(format!("cannot read the CA file {}", path.display()))
            .hint("it comes from --ca-file, SSL_CERT_FILE or AWS_CA_BUNDLE")
    })
}

/// A registry's failure with its repair.
pub fn refused(error: Error) -> Failure {
    let help = error.help();
    Failure::new(error).hint_if(help)
}

/// Finds an image; the network is there where the image is in a registry.
pub fn open(given: &str, context: &Context, flags: &Registry) -> Result<(Image, Option<Network>), Failure> {
    match Location::parse(given).map_err(Failure::new)? {
        Location::Layout { path, name } | Location::Archive { path, name } => {
            let image = local(&path, name.as_deref(), given).map_err(Failure::new)?;
            Ok((image, None))
        }
        Location::Registry(reference) => {
            let network = network(context, flags)?;
            let (top, _) = network.runtime.block_on(resolve(&network.client, &reference)).map_err(refused)?;
            let handle = network.runtime.handle().clone();
            let blobs = RemoteBlobs::new(&network.client, &reference, handle).map_err(refused)?;
            let image = Image { name: reference.to_string(), top, source: Arc::new(blobs) };
            Ok((image, Some(network)))
        }
    }
}
