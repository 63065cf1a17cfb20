//! `push`: an image that exists to a registry.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use dockless::aws::ecr::EcrHost;
use dockless::aws::registry::NewRepository;
use dockless::blob::BlobSource;
use dockless::event::{Event, Observer as _};
use dockless::image::inspect::{documents, facts};
use dockless::image::open::Location;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::reference::Reference;
use dockless::registry::client::Client;
use dockless::registry::push::mount::{MountSource, ParseMountError};
use dockless::registry::push::{Options, Pushed, check_chunks};
use dockless::registry::upload::dialect::ChunkSize as Chunks;
use dockless::release::preflight::{Ground, PreflightError, create, preflight};
use dockless::verify::finding::Finding;

use super::args::push::{Push, Sending};
use super::args::values::ChunkSize;
use super::context::Context;
use super::failure::Failure;
use super::image::Network;
use super::report::document::{LayerReport, PlatformReport, Report, UploadReport, VERSION, seconds};
use super::report::files::{self, Written};
use super::verify::threads;
use super::{gate, image, inputs, report};

/// Runs `dockless push`.
pub fn run(args: &Push, context: &Context) -> Result<ExitCode, Failure> {
    let written = args.records.files().map(|(flag, path)| Written::new(flag, path));
    report::check(context, &args.records.files())?;
    let read = [inputs::of_gate(&args.gate), inputs::of_registry(&args.registry)].concat();
    files::apart(&written, &inputs::of_image(&args.image).into_iter().chain(read).collect::<Vec<_>>())?;
    written.iter().try_for_each(files::clear)?;
    let wanted = gate::wanted(&args.gate, None, context, &args.registry)?;
    files::apart(&written, &inputs::of_sources(&wanted))?;
    let (image, opened) = image::open(&args.image, context, &args.registry)?;
    let whole = |pushed, findings| document(image.source.as_ref(), &image.top, pushed, findings, context);
    let mut findings = Vec::new();
    // Reading every layer takes as long as sending it: only who asks for the verdict waits for it.
    if !wanted.targets.is_empty() {
        let facts = facts(&args.image, image.source.as_ref(), &image.top, threads(), context.progress.as_ref())
            .map_err(Failure::new)?;
        let (verification, passes) = wanted.judge(&facts, context);
        findings = verification.all().cloned().collect();
        if !passes {
            report::refuse(context, &args.records, &whole(Pushed::default(), findings)?)?;
            context.say("nothing was pushed: see the findings above");
            return Ok(ExitCode::from(1));
        }
    }
    let network = match opened {
        Some(network) => network,
        None => image::network(context, &args.registry)?,
    };
    let mut ground = network.runtime.block_on(ground(&network, &args.references, &args.sending, context))?;
    if let Ok(Location::Registry(from)) = Location::parse(&args.image) {
        // All of it is there.
        ground.mount_from.insert(0, MountSource::of(&from));
    }
    let what = (image.source.clone(), &image.top);
    match deliver(&network, what, &args.references, &args.sending, ground, context) {
        Ok(pushed) => report::finish(context, &args.records, &whole(pushed, findings)?, Ok(None))?,
        Err(Undone { failure, pushed }) => {
            let tags = pushed.tags.clone();
            report::reached(context, &args.records, &whole(pushed, findings)?, &tags)?;
            return Err(failure);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A push that failed, and what was done before.
pub struct Undone {
    /// Why.
    pub failure: Failure,
    /// What was reached.
    pub pushed: Pushed,
}

impl From<Failure> for Undone {
    fn from(failure: Failure) -> Self {
        Self { failure, pushed: Pushed::default() }
    }
}

/// The repositories that `--mount-from` names.
pub fn mount_from(references: &[Reference], sending: &Sending) -> Result<Vec<MountSource>, Failure> {
    let parse = |text: &String| {
        MountSource::parse(text, references).map_err(|error| {
            let help = match &error {
                ParseMountError::Elsewhere { text, .. } => {
                    let registry = references.first().map_or("REGISTRY", Reference::registry);
                    Some(format!("if it is a repository's name, write {registry}/{text}"))
                }
                ParseMountError::Name(_) => None,
            };
            Failure::new(error).during("--mount-from").hint_if(help)
        })
    };
    sending.mount_from.iter().map(parse).collect()
}

/// What is known of the repositories before anything is built or sent.
pub async fn ground(
    network: &Network,
    references: &[Reference],
    sending: &Sending,
    context: &Context,
) -> Result<Ground, Failure> {
    let observer = context.progress.as_ref();
    check_chunks(references, chunk_size(sending), observer).map_err(image::refused)?;
    let mount_from = mount_from(references, sending)?;
    let ecr: Vec<(&Reference, EcrHost)> =
        references.iter().filter_map(|reference| Some((reference, EcrHost::parse(reference.registry())?))).collect();
    if sending.create_repository && ecr.is_empty() {
        return Err(Failure::new("--create-repository is for repositories of Amazon ECR, and no reference names one")
            .hint("a reference there begins with ACCOUNT.dkr.ecr.REGION.amazonaws.com"));
    }
    let Some(aws) = &network.aws else {
        if sending.create_repository {
            return Err(Failure::new("--create-repository needs AWS credentials, which --credentials docker excludes"));
        }
        return Ok(Ground { mount_from, ..Ground::default() });
    };
    let stand_ins = image::stand_ins(context);
    let mut asked = Vec::new();
    for (reference, host) in ecr.into_iter().filter(|(reference, _)| !stand_ins.contains(reference.registry())) {
        if let Some(region) = context.settings.aws_region.as_ref().filter(|region| **region != host.region) {
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
        Ok(())
    };
    let (tokens, found) = tokio::join!(tokens, preflight(aws, &asked, sending.create_repository, observer));
    tokens.map_err(image::refused)?;
    let found = found.map_err(unprepared)?;
    Ok(Ground { mount_from, ..found })
}

fn unprepared(error: PreflightError) -> Failure {
    let help = error.help();
    Failure::new(error).hint_if(help)
}

fn chunk_size(sending: &Sending) -> Option<Chunks> {
    sending.chunk_size.map(|size| match size {
        ChunkSize::None => Chunks::None,
        ChunkSize::Bytes(bytes) => Chunks::Bytes(bytes),
    })
}

/// Creates what is missing, and sends an image to all its references.
pub fn deliver(
    network: &Network,
    (source, top): (Arc<dyn BlobSource>, &Descriptor),
    references: &[Reference],
    sending: &Sending,
    ground: Ground,
    context: &Context,
) -> Result<Pushed, Undone> {
    if let Some(aws) = &network.aws {
        let new = NewRepository {
            scan_on_push: sending.scan_on_push,
            immutable_tags: sending.immutable_tags,
            keep_images: sending.keep_images,
        };
        network.runtime.block_on(create(aws, &ground, &new)).map_err(unprepared)?;
        for (_, name) in &ground.missing {
            context.say(format!("created the repository {name}"));
        }
    }
    network.runtime.block_on(send(&network.client, source, top, references, sending, ground, context))
}

/// Sends an image to all its references.
pub async fn send(
    client: &Client,
    source: Arc<dyn BlobSource>,
    top: &Descriptor,
    references: &[Reference],
    sending: &Sending,
    ground: Ground,
    context: &Context,
) -> Result<Pushed, Undone> {
    let options = Options {
        mounts: ground.mounts,
        mount_from: ground.mount_from,
        tag_rules: ground.tag_rules,
        sent: ground.sent,
        seen: ground.seen,
        ..options(sending)
    };
    let observer = Arc::clone(&context.progress) as _;
    let pushed = dockless::registry::push::push(client, source, top, references, &options, observer).await;
    pushed.map_err(|failed| Undone { failure: image::refused(failed.error), pushed: failed.pushed })
}

/// What flags say about how a push is done.
pub fn options(sending: &Sending) -> Options {
    Options { chunk_size: chunk_size(sending), ..Options::default() }
}

/// The uploads of a push as they stand in a report.
pub fn uploads(pushed: &Pushed) -> Vec<UploadReport> {
    let upload = |upload: &dockless::registry::push::Upload| UploadReport {
        digest: upload.digest,
        bytes_sent: upload.bytes_sent,
        status: upload.status.word(),
        retries: upload.retries,
        seconds: seconds(Duration::from_secs_f64(upload.seconds)),
    };
    pushed.uploads.iter().map(upload).collect()
}

fn document(
    source: &dyn BlobSource,
    top: &Descriptor,
    pushed: Pushed,
    findings: Vec<Finding>,
    context: &Context,
) -> Result<Report, Failure> {
    let (_, images) = documents(source, top).map_err(Failure::new)?;
    let platforms = images.into_iter().map(|image| PlatformReport {
        platform: image.stated.unwrap_or_else(|| image.config.platform()).to_string(),
        manifest: image.descriptor.digest,
        config: image.manifest.config.digest,
        layers: image
            .manifest
            .layers
            .into_iter()
            .zip(image.config.rootfs.diff_ids)
            .map(|(layer, diff_id)| LayerReport {
                name: None,
                digest: layer.digest,
                diff_id,
                size: layer.size,
                media_type: layer.media_type,
                cached: None,
            })
            .collect(),
    });
    Ok(Report {
        version: VERSION,
        digest: top.digest,
        uploads: uploads(&pushed),
        references: pushed.references,
        platforms: platforms.collect(),
        findings,
        warnings: context.progress.warnings(),
    })
}
