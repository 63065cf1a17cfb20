//! Images as a command line names them, and the client that speaks to registries.

use std::path::Path;
use std::sync::Arc;

use dockless::aws;
use dockless::aws::session::Session;
use dockless::image::archive::ImageArchive;
use dockless::image::open::{Image, Location, OpenError, local};
use dockless::layout::hold::{Held, Hold};
use dockless::layout::{self, Layout};
use dockless::registry::auth::Authenticator;
use dockless::registry::auth::ecr::{EcrTokens, Source};
use dockless::registry::auth::store::{CredentialStore, Places};
use dockless::registry::client::{Client, Settings};
use dockless::registry::endpoints::Endpoints;
use dockless::registry::error::Error;
use dockless::registry::http::transport::CaFile;
use dockless::release::deliver::{DeliverError, Network};

use super::args::push::{Credentials, Registry};
use super::context::{Context, runtime};
use super::failure::Failure;

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
    let docker = Arc::new(CredentialStore::new(places));
    if flags.credentials == Credentials::Docker {
        let client = client(context, flags, docker.clone())?;
        let (stand_ins, region) = (stand_ins(context), settings.aws_region.clone());
        return Ok(Network { client, runtime: runtime()?, aws: None, authenticator: docker, stand_ins, region });
    }
    let session = session(context, flags)?;
    // Who asks for a role would not have another identity instead.
    let source = if flags.credentials == Credentials::Aws || flags.role.is_some() { Source::Aws } else { Source::Auto };
    let observer = Arc::clone(&context.progress) as _;
    let tokens = Arc::new(EcrTokens::new(Arc::clone(&session), source, stand_ins(context), docker, observer));
    let client = client(context, flags, tokens.clone())?;
    let (stand_ins, region) = (stand_ins(context), settings.aws_region.clone());
    Ok(Network { client, runtime: runtime()?, aws: Some(session), authenticator: tokens, stand_ins, region })
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

/// What stands in for registries. A token of AWS's is not for it, and AWS knows nothing of it; unless AWS's API has a
/// stand-in as well.
pub fn stand_ins(context: &Context) -> Endpoints {
    let settings = &context.settings;
    if settings.aws_endpoint { Endpoints::default() } else { settings.endpoints.clone() }
}

fn client(context: &Context, flags: &Registry, authenticator: Arc<dyn Authenticator>) -> Result<Client, Failure> {
    let mut ca = Vec::new();
    if let Some(path) = context.settings.ca_file(flags.ca_file.as_deref()) {
        ca.push(ca_file(path)?);
    }
    let endpoints = context.settings.endpoints.clone();
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

/// Why an image does not get to its registries, with the repair.
pub fn undelivered(error: DeliverError) -> Failure {
    let help = error.help();
    match error {
        DeliverError::Rehearsal { what, source } => Failure::new(source).during(format!("cannot {what}")),
        error => Failure::new(error).hint_if(help),
    }
}

/// The words that say what a path is.
const SCHEMES: [&str; 3] = ["oci", "oci-archive", "docker-archive"];

/// How many images of a layout are offered.
const OFFERED: usize = 8;

/// Why an image on the disk is not found, with what to write instead.
pub fn not_local(error: OpenError, given: &str, path: &Path, name: Option<&str>) -> Failure {
    let scheme = given.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| SCHEMES.contains(scheme));
    match error {
        OpenError::NoPath(_) => {
            // `oci` is also the folder that a build writes.
            let folder = scheme.filter(|scheme| Path::new(scheme).exists());
            let hint = folder.map(|folder| format!("the image of that name in {folder} is written ./{given}"));
            Failure::new(error).hint_if(hint)
        }
        OpenError::Name { .. } => {
            let names = names(path);
            let shown = path.display().to_string();
            let place = match scheme {
                Some(scheme) => format!("{scheme}:{shown}"),
                None if SCHEMES.contains(&shown.as_str()) => format!("./{shown}"),
                None => shown.clone(),
            };
            let several = name.is_none() && names.len() > 1;
            let failure = if several {
                Failure::new(format!("{shown}: it holds several images, say which"))
            } else {
                Failure::new(error)
            };
            let more = names.len().saturating_sub(OFFERED);
            let failure =
                names.iter().take(OFFERED).fold(failure, |failure, name| failure.hint(format!("write {place}:{name}")));
            let failure = failure.hint_if((more > 0).then(|| format!("or one of {more} more")));
            let anew = several && path.is_dir();
            failure.hint_if(anew.then(|| format!("to begin anew, build into another folder (-o), or remove {shown}")))
        }
        error => Failure::new(error),
    }
}

/// The names of the images of a layout or archive, each once; of one without a name its digest.
fn names(path: &Path) -> Vec<String> {
    let index = if path.is_dir() {
        Layout::open(path).and_then(|layout| layout.index()).ok()
    } else {
        ImageArchive::open(path).map(|archive| archive.index().clone()).ok()
    };
    let mut names: Vec<String> = Vec::new();
    for entry in index.iter().flat_map(|index| &index.manifests) {
        let name = layout::name(entry).map_or_else(|| entry.digest.to_string(), str::to_owned);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Finds an image; the network is there where the image is in a registry.
pub fn open(given: &str, context: &Context, flags: &Registry) -> Result<(Image, Option<Network>), Failure> {
    match Location::parse(given).map_err(Failure::new)? {
        Location::Layout { path, name } | Location::Archive { path, name } => {
            // Before the index is read: what it names is to stay until it has been sent.
            let hold = Hold::on(&path);
            let image = local(&path, name.as_deref(), given)
                .map_err(|error| not_local(error, given, &path, name.as_deref()))?;
            let source = Arc::new(Held::new(Arc::clone(&image.source), hold));
            Ok((Image { source, ..image }, None))
        }
        Location::Registry(reference) => {
            let network = network(context, flags)?;
            // A mistyped path is a name at Docker Hub.
            let path =
                reference.registry() == "docker.io" && !given.contains("://") && !given.starts_with("docker.io/");
            let hint = path.then(|| format!("if a path is meant: there is no file or folder {given}"));
            let opened = network.registries().open(&reference);
            let (top, _, blobs) = opened.map_err(|error| refused(error).hint_if(hint))?;
            let image = Image { name: reference.to_string(), top, source: Arc::new(blobs) };
            Ok((image, Some(network)))
        }
    }
}
