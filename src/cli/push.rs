//! `push`: an image that exists to a registry.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use dockless::blob::BlobSource;
use dockless::image::inspect::{documents, facts};
use dockless::oci::descriptor::Descriptor;
use dockless::oci::reference::Reference;
use dockless::registry::client::Client;
use dockless::registry::push::{Options, Pushed};
use dockless::registry::upload::dialect::ChunkSize as Chunks;
use dockless::verify::finding::Finding;

use super::args::push::{Push, Sending};
use super::args::values::ChunkSize;
use super::context::Context;
use super::failure::Failure;
use super::report::document::{LayerReport, PlatformReport, Report, UploadReport, VERSION, seconds};
use super::verify::threads;
use super::{gate, image, report};

/// Runs `dockless push`.
pub fn run(args: &Push, context: &Context) -> Result<ExitCode, Failure> {
    report::files::check(&args.records)?;
    let wanted = gate::wanted(&args.gate, None)?;
    let (image, opened) = image::open(&args.image, context, &args.registry)?;
    let mut findings = Vec::new();
    // Reading every layer takes as long as sending it: only who asks for the verdict waits for it.
    if !wanted.targets.is_empty() {
        let facts = facts(&args.image, image.source.as_ref(), &image.top, threads(), context.progress.as_ref())
            .map_err(Failure::new)?;
        let (verification, passes) = wanted.judge(&facts, context);
        findings = verification.all().cloned().collect();
        if !passes {
            let nothing = Pushed { references: Vec::new(), uploads: Vec::new() };
            let report = document(image.source.as_ref(), &image.top, nothing, findings, context)?;
            report::refuse(context, &args.records, &report)?;
            context.say("nothing was pushed: see the findings above");
            return Ok(ExitCode::from(1));
        }
    }
    let network = match opened {
        Some(network) => network,
        None => image::network(context, &args.registry)?,
    };
    let pushed = network.runtime.block_on(send(
        &network.client,
        image.source.clone(),
        &image.top,
        &args.references,
        &args.sending,
        context,
    ))?;
    let report = document(image.source.as_ref(), &image.top, pushed, findings, context)?;
    report::finish(context, &args.records, &report, None)?;
    Ok(ExitCode::SUCCESS)
}

/// Sends an image to all its references.
pub async fn send(
    client: &Client,
    source: Arc<dyn BlobSource>,
    top: &Descriptor,
    references: &[Reference],
    sending: &Sending,
    context: &Context,
) -> Result<Pushed, Failure> {
    let options = Options {
        chunk_size: sending.chunk_size.map(|size| match size {
            ChunkSize::None => Chunks::None,
            ChunkSize::Bytes(bytes) => Chunks::Bytes(bytes),
        }),
        mount_from: sending.mount_from.first().cloned(),
        ..Options::default()
    };
    let observer = Arc::clone(&context.progress) as _;
    dockless::registry::push::push(client, source, top, references, &options, observer).await.map_err(image::refused)
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
