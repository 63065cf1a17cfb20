//! `inspect`: what is in an image.

use std::collections::BTreeMap;
use std::process::ExitCode;

use dockless::blob::BlobSource;
use dockless::image::inspect::{Documents, documents};
use dockless::oci::config::Config;
use dockless::oci::digest::Digest;
use dockless::oci::manifest::Index;
use dockless::oci::media_type::{Kind, MediaType, kind};
use serde::Serialize;

use super::args::Inspect;
use super::context::Context;
use super::failure::Failure;
use super::image;
use super::report::document::{LayerReport, VERSION};
use super::table::{Align, Table};
use super::text::size;

#[derive(Serialize)]
struct InspectReport {
    version: u32,
    image: String,
    digest: Digest,
    media_type: MediaType,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    platforms: Vec<Inspected>,
}

#[derive(Serialize)]
struct Inspected {
    platform: String,
    manifest: Digest,
    config: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// Those of the manifest, which the index may repeat or differ from.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(rename = "configuration")]
    container: Config,
    layers: Vec<LayerReport>,
}

/// Runs `dockless inspect`.
pub fn run(args: &Inspect, context: &Context) -> Result<ExitCode, Failure> {
    let (image, _network) = image::open(&args.image, context, &args.registry)?;
    let (_, images) = documents(image.source.as_ref(), &image.top).map_err(Failure::new)?;
    // Of a single manifest they are the platform's own.
    let annotations = match kind(&image.top.media_type) {
        Kind::Index => {
            let bytes = image.source.document(&image.top).map_err(Failure::new)?;
            serde_json::from_slice::<Index>(&bytes).map_err(Failure::new)?.annotations
        }
        _ => BTreeMap::new(),
    };
    let report = InspectReport {
        version: VERSION,
        image: args.image.clone(),
        digest: image.top.digest,
        media_type: image.top.media_type,
        annotations,
        platforms: images.into_iter().map(inspected).collect(),
    };
    if context.output.json {
        context.json(&report)?;
        return Ok(ExitCode::SUCCESS);
    }
    let media_type = super::text::printable(report.media_type.as_ref());
    context.result(format!("{}  {}  {media_type}", report.image, report.digest))?;
    for line in pairs("annotation", &report.annotations) {
        context.result(line)?;
    }
    for platform in &report.platforms {
        show(platform, context)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn inspected(image: Documents) -> Inspected {
    let mut names = image
        .config
        .history
        .iter()
        .filter(|entry| !entry.empty_layer)
        .map(|entry| entry.created_by.as_deref().and_then(|by| by.strip_prefix("dockless: ")).map(str::to_owned))
        .collect::<Vec<_>>();
    names.resize(image.manifest.layers.len(), None);
    let diff_ids = image.config.rootfs.diff_ids.clone();
    let layers = image.manifest.layers.iter().zip(diff_ids).zip(names).map(|((layer, diff_id), name)| LayerReport {
        name,
        digest: layer.digest,
        diff_id,
        size: layer.size,
        media_type: layer.media_type.clone(),
        cached: None,
    });
    Inspected {
        platform: image.stated.unwrap_or_else(|| image.config.platform()).to_string(),
        manifest: image.descriptor.digest,
        config: image.manifest.config.digest,
        created: image.config.created,
        annotations: image.manifest.annotations,
        layers: layers.collect(),
        container: image.config.config,
    }
}

/// A line for each key and value: in an image they are public, unlike values of the environment.
fn pairs<'a>(name: &'a str, pairs: &'a BTreeMap<String, String>) -> impl Iterator<Item = String> + 'a {
    pairs.iter().map(move |(key, value)| format!("  {name:<12} {}", super::text::printable(&format!("{key}={value}"))))
}

fn show(image: &Inspected, context: &Context) -> Result<(), Failure> {
    context.result(format!("\n{}  {}", super::text::printable(&image.platform), image.manifest))?;
    let config = &image.container;
    let command = |words: &[String]| serde_json::to_string(words).unwrap_or_default();
    let list = |words: Vec<&str>| words.join(", ");
    let env = config.env.iter().map(|pair| pair.split('=').next().unwrap_or_default());
    let lines = [
        ("created", image.created.clone().unwrap_or_default()),
        ("entrypoint", if config.entrypoint.is_empty() { String::new() } else { command(&config.entrypoint) }),
        ("cmd", if config.cmd.is_empty() { String::new() } else { command(&config.cmd) }),
        ("working dir", config.working_dir.clone()),
        ("user", config.user.clone()),
        ("ports", list(config.exposed_ports.keys().map(String::as_str).collect())),
        ("volumes", list(config.volumes.keys().map(String::as_str).collect())),
        // Names alone: values may be secrets, and --json has them for who needs them.
        ("environment", list(env.collect())),
        ("stop signal", config.stop_signal.clone()),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        context.result(format!("  {name:<12} {}", super::text::printable(value)))?;
    }
    for line in pairs("label", &config.labels).chain(pairs("annotation", &image.annotations)) {
        context.result(line)?;
    }
    let mut table = Table::new([
        ("layer", Align::Left),
        ("size", Align::Right),
        ("digest", Align::Left),
        ("media type", Align::Left),
    ]);
    for layer in &image.layers {
        let digest = layer.digest.to_string();
        table.row(&[layer.name.as_deref().unwrap_or("-"), &size(layer.size), &digest, layer.media_type.as_ref()]);
    }
    for line in table.to_string().lines() {
        context.result(format!("  {line}"))?;
    }
    Ok(())
}
