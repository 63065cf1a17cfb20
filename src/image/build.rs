//! A plan becomes an image: layers made side by side, then for each platform a configuration and a manifest, then the
//! index that names them.

mod from_archive;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use thiserror::Error;

use super::base::holds;
use super::config::{ConfigRecipe, Merged, merge};
use super::inspect::{Facts, ImageFacts};
use super::plan::content::Content;
use super::plan::{Plan, PlatformPlan, Task, Times};
use super::recipe::Recipe;
use super::recipe::place::RecipeError;
use super::root::Root;
use crate::blob::BlobSource;
use crate::blob::growing::Growing;
use crate::event::{Event, Observer};
use crate::layer::cache::{Known, LayerCache};
use crate::layer::compress::{Codec, Pool};
use crate::layer::contents::Contents;
use crate::layer::pack::{self, Packed, Packing};
use crate::layout::session::Session;
use crate::layout::{Layout, LayoutError};
use crate::mutex::{lock, unpoisoned};
use crate::oci::config::{History, ImageConfiguration, RootFs};
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::{Index, Manifest};
use crate::oci::media_type::{self, MediaType};
use crate::oci::platform::Platform;

/// Why an image was not built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// Something that the recipe names.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The layout that the image goes into.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// What a build is made with, beside the plan.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What flags say of the configuration.
    pub flags: &'a ConfigRecipe,
    /// Annotations of flags: they win over the recipe's.
    pub annotations: &'a BTreeMap<String, String>,
    /// The compression of the layers.
    pub codec: Codec,
    /// `SOURCE_DATE_EPOCH`: when the image was made, and the latest time of a file that keeps its own.
    pub source_date_epoch: Option<i64>,
    /// The threads.
    pub pool: &'a Pool,
    /// Layers that were made before.
    pub cache: Caching<'a>,
    /// Whoever wants the bytes of each layer while it is made.
    pub begun: Option<&'a Begun<'a>>,
    /// Whoever wants each layer as soon as it is whole.
    pub made: Option<&'a Made<'a>>,
    /// Who wants to know.
    pub observer: &'a dyn Observer,
}

/// Takes a layer that is about to be made, and the bytes that its tar will have, nearly; returns soon.
pub type Begun<'a> = dyn Fn(Growing, u64) + Sync + 'a;

/// Takes a layer that is whole, the layout that has it, and whether it was made just now; returns soon.
pub type Made<'a> = dyn Fn(&Layout, &Descriptor, bool) + Sync + 'a;

/// How a build uses layers that were made before.
#[derive(Clone, Copy, Default)]
pub struct Caching<'a> {
    /// Where they are. `None`: each layer is made anew, and none is kept.
    pub layers: Option<&'a LayerCache>,
    /// Make each layer anew all the same, and say where the cache has another.
    pub check: bool,
}

/// A layer of a built image.
#[derive(Debug, Clone)]
pub struct BuiltLayer {
    /// The recipe's name; `None` for a layer of the base.
    pub name: Option<String>,
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of the tar.
    pub diff_id: Digest,
    /// What is inside.
    pub contents: Arc<Contents>,
    /// Whether it was there already: in the cache, or in the base.
    pub cached: bool,
}

/// The image of one platform.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// The platform.
    pub platform: Platform,
    /// The manifest, with its platform: the index's entry.
    pub manifest: Descriptor,
    /// The configuration's blob.
    pub config: Descriptor,
    /// The configuration.
    pub configuration: ImageConfiguration,
    /// The layers, lowest first.
    pub layers: Vec<BuiltLayer>,
    /// The merged root file system.
    pub root: Arc<Root>,
}

/// A built image: all of its blobs are in the layout.
#[derive(Debug, Clone)]
pub struct Built {
    /// The index.
    pub index: Descriptor,
    /// The images.
    pub images: Vec<BuiltImage>,
}

impl Built {
    /// What is known of the image, by the name that it shall have in messages.
    pub fn facts(&self, name: &str) -> Facts {
        let images = self.images.iter().map(|image| ImageFacts {
            stated: Some(image.platform.clone()),
            manifest: image.manifest.clone(),
            config: image.configuration.clone(),
            layers: image.layers.iter().map(|layer| layer.descriptor.clone()).collect(),
            root: Arc::clone(&image.root),
        });
        Facts { name: name.into(), top: self.index.clone(), is_index: true, images: images.collect() }
    }
}

/// Builds what was planned into a layout.
///
/// # Errors
/// Where a file cannot be read or the layout not be written; nothing is in the layout's index then.
pub fn build(recipe: &Recipe, plan: Plan, options: Options<'_>, session: &Session) -> Result<Built, BuildError> {
    // The files of commands are ours until the layers are made.
    let Plan { platforms, tasks, produced: _produced } = plan;
    let made = make_layers(&platforms, tasks, options, session)?;
    let mut images = Vec::new();
    for platform in platforms {
        if let Some(base) = &platform.base {
            for layer in &base.layers {
                copy_blob(base.source.as_ref(), &layer.descriptor, options.cache.layers, session)?;
            }
        }
        let base = platform.base.iter().flat_map(|base| &base.layers).map(|layer| BuiltLayer {
            name: None,
            descriptor: layer.descriptor.clone(),
            diff_id: layer.diff_id,
            contents: Arc::clone(&layer.contents),
            cached: true,
        });
        let own = platform.tasks.iter().map(|task| made[*task].clone());
        let layers: Vec<BuiltLayer> = base.chain(own).collect();
        from_archive::check_links(recipe, &platform.platform, &layers)?;
        let root = platform.root.completed(layers.iter().map(|layer| Arc::clone(&layer.contents)).collect());
        let base_config = platform.base.as_ref().map(|base| &base.config);
        let merged = merge(base_config, platform.config_file.as_ref(), &recipe.config, options.flags);
        let configuration = configuration(&platform.platform, base_config, merged, &layers, options);
        let bytes = crate::oci::canonical(&configuration);
        session.put(&bytes)?;
        let config = Descriptor::of(MediaType::ImageConfig, &bytes);
        let manifest = Manifest::new(
            config.clone(),
            layers.iter().map(|layer| layer.descriptor.clone()).collect(),
            annotations(recipe, options),
        );
        let bytes = crate::oci::canonical(&manifest);
        session.put(&bytes)?;
        let mut manifest = Descriptor::of(MediaType::ImageManifest, &bytes);
        manifest.platform = Some(platform.platform.clone());
        images.push(BuiltImage {
            platform: platform.platform,
            manifest,
            config,
            configuration,
            layers,
            root: Arc::new(root),
        });
    }
    let manifests = images.iter().map(|image| image.manifest.clone()).collect();
    let bytes = crate::oci::canonical(&Index::new(manifests, annotations(recipe, options)));
    session.put(&bytes)?;
    Ok(Built { index: Descriptor::of(MediaType::ImageIndex, &bytes), images })
}

fn annotations(recipe: &Recipe, options: Options<'_>) -> BTreeMap<String, String> {
    let mut annotations = recipe.annotations.clone();
    annotations.extend(options.annotations.iter().map(|(key, value)| (key.clone(), value.clone())));
    annotations
}

fn configuration(
    platform: &Platform,
    base: Option<&ImageConfiguration>,
    merged: Merged,
    layers: &[BuiltLayer],
    options: Options<'_>,
) -> ImageConfiguration {
    let created = rfc3339(options.source_date_epoch.unwrap_or(0));
    let mut history: Vec<History> = base.map(|base| base.history.clone()).unwrap_or_default();
    // Readers match the entries that made a layer with the layers: a base without a history gets one.
    let told = history.iter().filter(|entry| !entry.empty_layer).count();
    let of_base = layers.iter().filter(|layer| layer.name.is_none()).count();
    if told != of_base {
        history = vec![History { created_by: Some("base".into()), ..History::default() }; of_base];
    }
    history.extend(layers.iter().filter_map(|layer| layer.name.as_ref()).map(|name| History {
        created: Some(created.clone()),
        created_by: Some(format!("dockless: {name}")),
        ..History::default()
    }));
    ImageConfiguration {
        created: Some(created),
        author: merged.author,
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        os_version: platform.os_version.clone(),
        os_features: platform.os_features.clone(),
        variant: platform.variant.clone(),
        config: merged.config,
        rootfs: RootFs::layers(layers.iter().map(|layer| layer.diff_id).collect()),
        history,
        extra: merged.extra,
    }
}

/// The last second that [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) can write, and the last that an image can be
/// made at: 9999-12-31T23:59:59Z.
pub const LAST_SECOND: i64 = 253_402_300_799;

/// A time as the specification wants it (RFC 3339, section 5.6).
fn rfc3339(seconds: i64) -> String {
    let since = std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string()
}

/// Copies a base's blob, verified, unless it is there and whole.
fn copy_blob(
    source: &dyn BlobSource,
    descriptor: &Descriptor,
    cache: Option<&LayerCache>,
    session: &Session,
) -> Result<(), BuildError> {
    if holds(session, cache, descriptor) {
        return Ok(());
    }
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        BuildError::Recipe(
            RecipeError::new(format!("cannot copy layer {} of the base", descriptor.digest)).caused_by(error),
        )
    };
    let mut blob = source.open(descriptor).map_err(|error| failed(error.into()))?;
    let mut writer = session.writer()?;
    io::copy(&mut blob, &mut writer).map_err(|error| failed(error.into()))?;
    session.commit(writer)?;
    if let Some(cache) = cache {
        cache.keep_whole(&session.layout().blob_path(descriptor.digest), descriptor.digest);
    }
    Ok(())
}

/// Makes all layers, as many at a time as there are threads. The largest is first, so that the last is not long alone;
/// but where they are sent meanwhile the smallest is, so that something is on its way soon.
fn make_layers(
    platforms: &[PlatformPlan],
    tasks: Vec<Task>,
    options: Options<'_>,
    session: &Session,
) -> Result<Vec<BuiltLayer>, BuildError> {
    let names: Vec<String> = tasks.iter().map(|task| event_id(task, platforms)).collect();
    let sizes: Vec<u64> = tasks.iter().map(|task| task.content.expected_size()).collect();
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    order.sort_by_key(|index| sizes[*index]);
    if options.made.is_none() {
        order.reverse();
    }
    let slots: Vec<Mutex<Option<Task>>> = tasks.into_iter().map(|task| Mutex::new(Some(task))).collect();
    let results: Vec<Mutex<Option<Result<BuiltLayer, BuildError>>>> = slots.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
            let Some(task) = lock(&slots[index]).take() else { continue };
            options.observer.note(Event::LayerStarted { id: &names[index], bytes: sizes[index] });
            let result = make_layer(task, (&names[index], sizes[index]), options, session);
            match &result {
                Ok(layer) => {
                    let size = layer.descriptor.size;
                    options.observer.note(Event::LayerFinished { id: &names[index], size, cached: layer.cached });
                    if let Some(made) = options.made {
                        made(session.layout(), &layer.descriptor, !layer.cached);
                    }
                }
                // What is not begun need not be: the build has failed.
                Err(_) => next.store(order.len(), Ordering::Relaxed),
            }
            *lock(&results[index]) = Some(result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..options.pool.width().min(order.len()) {
            scope.spawn(work);
        }
        work();
    });
    options.pool.rest();
    let mut made = Vec::new();
    let mut missing = false;
    for result in results {
        match unpoisoned(result.into_inner()) {
            Some(result) => made.push(result?),
            None => missing = true,
        }
    }
    if missing {
        return Err(RecipeError::new("a layer was not made: please report this as an error of dockless").into());
    }
    Ok(made)
}

/// A layer's name in events: with its platform where not every image has it.
fn event_id(task: &Task, platforms: &[PlatformPlan]) -> String {
    if task.platforms.len() == platforms.len() {
        return task.name.clone();
    }
    let only: Vec<String> = task.platforms.iter().map(|index| platforms[*index].platform.to_string()).collect();
    format!("{} ({})", task.name, only.join(", "))
}

fn make_layer(
    task: Task,
    (id, size): (&str, u64),
    options: Options<'_>,
    session: &Session,
) -> Result<BuiltLayer, BuildError> {
    let what = match &task.content {
        Content::Known(known) => return adopt(&task, id, known, options, session),
        Content::Entries(_) => String::new(),
        Content::Archive(archive) => format!(" from {}", archive.path.display()),
    };
    // A check takes no chunks, and leaves its own for later builds.
    let reuse =
        options.cache.layers.map(|cache| if options.cache.check { Arc::default() } else { cache.reuse(options.codec) });
    let (codec, observer) = (options.codec, options.observer);
    let packing = Packing { pool: options.pool, codec, reuse: reuse.as_ref(), observer, id };
    let mut writer = session.writer()?;
    // Without a handle to read along it has to wait until it is whole.
    if let Some(begun) = options.begun
        && let Ok(growing) = writer.growing()
    {
        begun(growing, size);
    }
    let result = match task.content {
        Content::Known(_) => return Err(RecipeError::new("a layer is made twice").into()),
        Content::Entries(entries) => pack::entries(entries, packing, writer),
        Content::Archive(archive) => from_archive::pack(&archive, packing, options.source_date_epoch, writer),
    };
    let (writer, packed) = result.map_err(|error| {
        RecipeError::new(format!("cannot make layer {}{what}", task.name)).or_at(task.place.clone()).caused_by(error)
    })?;
    let (digest, size) = session.commit(writer)?;
    if let Some(cache) = options.cache.layers {
        let blob = session.layout().blob_path(digest);
        cache.keep(task.key.as_ref(), codec, &packed, (&blob, digest, size));
    }
    if packed.reused > 0 {
        let text = format!("layer {id}: {} of {} chunks were compressed before", packed.reused, packed.pieces.len());
        observer.note(Event::Detail(&text));
    }
    if let Some(expected) = task.expected.filter(|expected| *expected != digest) {
        let text = format!(
            "layer {id}: the cache has {expected} for these files, but they make {digest}, which counts: a file was changed \
             behind its times"
        );
        observer.note(Event::Warning(&text));
    }
    let Packed { diff_id, contents, timed_pyc, .. } = packed;
    warn_of_pyc(id, (timed_pyc, task.times), observer);
    let descriptor = Descriptor::new(media_type::layer(codec.compression()), digest, size);
    Ok(BuiltLayer { name: Some(task.name), descriptor, diff_id, contents: Arc::new(contents), cached: false })
}

/// A layer as it was made before.
fn adopt(
    task: &Task,
    id: &str,
    known: &Known,
    options: Options<'_>,
    session: &Session,
) -> Result<BuiltLayer, BuildError> {
    let descriptor = Descriptor::new(media_type::layer(options.codec.compression()), known.digest, known.size);
    let cache = options.cache.layers;
    if !holds(session, cache, &descriptor) {
        session.adopt((&known.path, &known.file), &descriptor)?;
        if let Some(cache) = cache {
            cache.keep_whole(&session.layout().blob_path(known.digest), known.digest);
        }
    }
    warn_of_pyc(id, (known.timed_pyc, task.times), options.observer);
    let contents = Arc::clone(&known.contents);
    Ok(BuiltLayer { name: Some(task.name.clone()), descriptor, diff_id: known.diff_id, contents, cached: true })
}

/// Says how many `.pyc` files are stale where the times of their sources do not stay.
fn warn_of_pyc(id: &str, (timed_pyc, times): (u64, Times), observer: &dyn Observer) {
    if timed_pyc > 0 && times != Times::Kept {
        let exclude = if times == Times::Copied { "exclude them from the copy (**/__pycache__), " } else { "" };
        let text = format!(
            "layer {id}: {timed_pyc} .pyc files hold the time of their source, so Python ignores them where that time is \
             another in the image; remove them before the build, {exclude}or compile them with --invalidation-mode \
             checked-hash"
        );
        observer.note(Event::Warning(&text));
    }
}
