//! `push`: an image that exists to a registry.

use std::process::ExitCode;
use std::time::Duration;

use dockless::aws::ecr::EcrHost;
use dockless::aws::registry::NewRepository;
use dockless::blob::BlobSource;
use dockless::image::inspect::{InspectError, documents, facts};
use dockless::image::open::Location;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::reference::Reference;
use dockless::registry::push::mount::{MountSource, ParseMountError};
use dockless::registry::push::{Pushed, Upload};
use dockless::registry::upload::dialect::ChunkSize as Chunks;
use dockless::release::deliver::{Sending, Undelivered, deliver, survey};

use super::args::push::{Credentials, Push, Registry, Sending as Flags};
use super::args::values::ChunkSize;
use super::context::Context;
use super::failure::Failure;
use super::gate::{self, Wanted};
use super::report::document::{LayerReport, PlatformReport, Report, UploadReport, VERSION, seconds};
use super::report::place::{self, Input};
use super::verify::threads;
use super::{image, inputs, report};

/// Runs `dockless push`.
pub fn run(args: &Push, context: &Context) -> Result<ExitCode, Failure> {
    let wanted = wanted(args, context).inspect_err(|_| forget(args))?;
    let (image, opened) = image::open(&args.image, context, &args.registry)?;
    // Before anything is sent: what cannot be read fails here.
    let platforms = platforms(image.source.as_ref(), &image.top)?;
    let whole = |pushed: Pushed, findings| Report {
        version: VERSION,
        digest: image.top.digest,
        uploads: uploads(&pushed),
        references: pushed.references,
        platforms: platforms.clone(),
        findings,
        warnings: context.progress.warnings(),
    };
    let mut findings = Vec::new();
    // Reading every layer takes as long as sending it: only who asks for the verdict waits for it.
    if !wanted.targets.is_empty() {
        let facts = facts(&args.image, image.source.as_ref(), &image.top, threads(), context.progress.as_ref())
            .map_err(Failure::new)?;
        let (verification, passes) = wanted.judge(&facts, context);
        findings = verification.all().cloned().collect();
        if !passes {
            report::refuse(context, &args.records, &whole(Pushed::default(), findings))?;
            context.say("nothing was pushed: see the findings above");
            return Ok(ExitCode::from(1));
        }
    }
    let network = match opened {
        Some(network) => network,
        None => image::network(context, &args.registry)?,
    };
    let (sending, observer) = (sending(&args.sending, &args.references, &args.registry)?, context.observer());
    let ground = network.runtime.block_on(survey(&network, &args.references, &sending, &*observer));
    let mut ground = ground.map_err(image::undelivered)?;
    if let Ok(Location::Registry(from)) = Location::parse(&args.image) {
        // All of it is there.
        ground.mount_from.insert(0, MountSource::of(&from));
    }
    let what = (image.source.clone(), &image.top);
    match deliver(&network, what, &args.references, &sending, ground, &observer) {
        Ok(pushed) => report::finish(context, &args.records, &whole(pushed, findings), Ok(None))?,
        Err(undelivered) => {
            let Undelivered { error, pushed } = *undelivered;
            let tags = pushed.tags.clone();
            report::reached(context, &args.records, &whole(pushed, findings), &tags);
            return Err(image::undelivered(error));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the image is verified against, once the files are in nobody's way.
fn wanted(args: &Push, context: &Context) -> Result<Wanted, Failure> {
    report::check(context, &args.records.files())?;
    let wanted = || gate::wanted(&args.gate, None, context, &args.registry);
    inputs::keep_apart(&args.records.written(), &read(args), wanted)
}

fn read(args: &Push) -> Vec<Input> {
    let read = [inputs::of_gate(&args.gate), inputs::of_registry(&args.registry)].concat();
    inputs::of_image(&args.image).into_iter().chain(read).collect()
}

/// Removes what an earlier push wrote, as far as it is known what is read.
pub fn forget(args: &Push) {
    place::forget(&args.records.written(), &read(args));
}

/// What the flags say about how an image is sent to these references.
pub fn sending(flags: &Flags, references: &[Reference], registry: &Registry) -> Result<Sending, Failure> {
    let is_ecr = |reference: &Reference| EcrHost::parse(reference.registry()).is_some();
    if flags.create_repository && !references.iter().any(is_ecr) {
        return Err(Failure::new("--create-repository is for repositories of Amazon ECR, and no reference names one")
            .hint("a reference there begins with ACCOUNT.dkr.ecr.REGION.amazonaws.com"));
    }
    if flags.create_repository && registry.credentials == Credentials::Docker {
        return Err(Failure::new("--create-repository needs AWS credentials, which --credentials docker excludes"));
    }
    let mount = |text: &String| {
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
    Ok(Sending {
        chunk_size: flags.chunk_size.map(|size| match size {
            ChunkSize::None => Chunks::None,
            ChunkSize::Bytes(bytes) => Chunks::Bytes(bytes),
        }),
        mount_from: flags.mount_from.iter().map(mount).collect::<Result<_, _>>()?,
        create: flags.create_repository.then_some(NewRepository {
            scan_on_push: flags.scan_on_push,
            immutable_tags: flags.immutable_tags,
            keep_images: flags.keep_images,
        }),
    })
}

/// The uploads of a push as they stand in a report.
pub fn uploads(pushed: &Pushed) -> Vec<UploadReport> {
    let upload = |upload: &Upload| UploadReport {
        digest: upload.digest,
        bytes_sent: upload.bytes_sent,
        status: upload.status.word(),
        retries: upload.retries,
        seconds: seconds(Duration::from_secs_f64(upload.seconds)),
    };
    pushed.uploads.iter().map(upload).collect()
}

/// The images of the report: none where it is another artifact, such as a chart or a signature, which a registry takes
/// as well.
fn platforms(source: &dyn BlobSource, top: &Descriptor) -> Result<Vec<PlatformReport>, Failure> {
    let images = match documents(source, top) {
        Ok((_, images)) => images,
        Err(InspectError::Shape { .. }) => Vec::new(),
        Err(error) => return Err(Failure::new(error)),
    };
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
    Ok(platforms.collect())
}
