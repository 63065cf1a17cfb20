//! What an image's layers lie on: nothing, an image of a layout folder, or an image of a registry.
//!
//! A layer of a registry comes over the wire once: the stream that is held to its digest is the one that is looked into
//! and the one that is written into the layout. Later builds have it from the cache.

mod fetch;
mod find;
mod memory;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use self::find::{Documents, Found, Layer};
use self::memory::Memory;
use super::lock::{Lock, LockedBase};
use super::recipe::place::RecipeError;
use super::recipe::{Base, Recipe};
use crate::blob::BlobSource;
use crate::event::{Event, Observer};
use crate::layer::cache::LayerCache;
use crate::layer::contents::Contents;
use crate::layer::sniff;
use crate::layout::session::Session;
use crate::layout::{IMAGE_NAME, Layout, REF_NAME, is_blob};
use crate::oci::config::ImageConfiguration;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::Index;
use crate::oci::media_type::{self, Compression};
use crate::oci::platform::Platform;
use crate::oci::reference::Reference;
use crate::registry;
use crate::registry::pull::Registries;

/// The base of one platform's image.
#[derive(Clone)]
pub struct PlatformBase {
    /// Its configuration.
    pub config: ImageConfiguration,
    /// Its layers, lowest first, in OCI's media types.
    pub layers: Vec<BaseLayer>,
    /// Where its blobs are.
    pub source: Arc<dyn BlobSource>,
}

/// One layer of a base.
#[derive(Clone)]
pub struct BaseLayer {
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of its tar.
    pub diff_id: Digest,
    /// What is inside.
    pub contents: Arc<Contents>,
}

/// What bases are opened with.
#[derive(Clone, Copy, Default)]
pub struct Bases<'a> {
    /// The way to registries. `None`: a base in a registry is an error.
    pub registries: Option<&'a Registries>,
    /// What the recipe's lock says.
    pub lock: Option<&'a Lock>,
    /// Whether a base that the lock does not say is an error.
    pub locked: bool,
    /// The folder that remembers what a reference named the last time.
    pub memory: Option<&'a Path>,
    /// Where it is kept what is inside layers.
    pub cache: Option<&'a LayerCache>,
}

/// What is inside the layers that were read already.
type Known = BTreeMap<Digest, Arc<Contents>>;

/// Opens a recipe's base for each platform; `None` for `scratch`. The layers that come from a registry are written into
/// the session's layout.
///
/// # Errors
/// Where it cannot be read, or has no such platform: the error says what it has.
pub fn open(
    recipe: &Recipe,
    platforms: &[Platform],
    bases: Bases<'_>,
    session: Option<&Session>,
    observer: &dyn Observer,
) -> Result<Vec<Option<PlatformBase>>, RecipeError> {
    let opened = match &recipe.base.value {
        Base::Scratch => return Ok(vec![None; platforms.len()]),
        Base::Registry(reference) => match (bases.registries, session) {
            (Some(registries), Some(session)) => {
                from_registry(reference, platforms, registries, bases, session, observer)
            }
            _ => Err(RecipeError::new(format!("the base {reference} is in a registry, and there is no way to one"))),
        },
        Base::Layout { path, name } => {
            let mut known = Known::new();
            let open = |platform: &Platform| {
                let folder = recipe.folder.join(path.expand(platform));
                from_layout(&folder, name.as_deref(), platform, (&mut known, bases.cache))
            };
            platforms.iter().map(open).collect()
        }
    };
    let opened = opened.map_err(|error: RecipeError| error.or_at(recipe.base.place.clone()))?;
    Ok(opened.into_iter().map(Some).collect())
}

fn from_layout(
    folder: &Path,
    name: Option<&str>,
    platform: &Platform,
    (known, cache): (&mut Known, Option<&LayerCache>),
) -> Result<PlatformBase, RecipeError> {
    let place = folder.display().to_string();
    let layout = Layout::open(folder).map_err(|error| unreadable(&place, error))?;
    let index = layout.index().map_err(|error| unreadable(&place, error))?;
    let top = choose(&index, name).map_err(|message| RecipeError::new(format!("base {place}: {message}")))?;
    let found = Documents::new(&place, &layout).image(&top, platform)?;
    for Layer { descriptor, compression, .. } in &found.layers {
        if let Entry::Vacant(vacant) = known.entry(descriptor.digest) {
            let contents = looked_into(cache, &layout, descriptor, *compression)
                .map_err(|error| unreadable_layer(&place, descriptor, error))?;
            vacant.insert(contents);
        }
    }
    found.with(known, Arc::new(layout))
}

/// The manifests that the lock says, if it says them all: platforms of different times do not belong together.
fn pins(
    reference: &Reference,
    platforms: &[Platform],
    bases: Bases<'_>,
    observer: &dyn Observer,
) -> Result<Option<Vec<Digest>>, RecipeError> {
    // A digest does not move: it is its own lock.
    if reference.digest().is_some() {
        return Ok(None);
    }
    let pinned = match bases.lock {
        Some(lock) => lock.pinned(reference, platforms),
        None => Err("there is no recipe, and so no lock".into()),
    };
    let why = match pinned {
        Ok(pins) => return Ok(Some(pins)),
        Err(why) => why,
    };
    let help = "`dockless lock` chooses the base and writes it down";
    if bases.locked {
        return Err(RecipeError::new(format!("--locked: {why}")).help(format!("{help}: commit the file")));
    }
    // Who has no lock wants none; who has one for something else has forgotten it.
    if bases.lock.is_some_and(|lock| lock.base.is_some()) {
        observer.note(Event::Warning(&format!("{why}, so it is not used; {help}")));
    }
    Ok(None)
}

fn from_registry(
    reference: &Reference,
    platforms: &[Platform],
    registries: &Registries,
    bases: Bases<'_>,
    session: &Session,
    observer: &dyn Observer,
) -> Result<Vec<PlatformBase>, RecipeError> {
    let place = reference.to_string();
    let memory = bases.memory.map(|folder| Memory { folder, reference });
    let tops = match pins(reference, platforms, bases, observer)? {
        Some(pins) => {
            if let (Some(memory), Some(locked)) = (memory, bases.lock.and_then(|lock| lock.base.as_ref())) {
                memory.replace(locked.digest);
            }
            pins.iter().map(|digest| locked(&reference.at(*digest), registries)).collect::<Result<_, _>>()?
        }
        None => vec![named_now(reference, registries, memory, observer)?; platforms.len()],
    };
    let blobs = registries.repository(reference).map_err(|error| refused(&place, error))?;
    let mut documents = Documents::new(&place, &blobs);
    let mut found: Vec<Found> = Vec::new();
    for (platform, (top, bytes)) in platforms.iter().zip(tops) {
        documents.keep(top.digest, bytes);
        found.push(documents.image(&top, platform)?);
    }
    let layers: Vec<&Layer> = found.iter().flat_map(|found| &found.layers).collect();
    let known = fetch::all(&place, &blobs, &layers, (session, bases.cache), observer)?;
    let source: Arc<dyn BlobSource> = Arc::new(blobs);
    found.into_iter().map(|found| found.with(&known, Arc::clone(&source))).collect()
}

/// The manifest that the lock says.
fn locked(reference: &Reference, registries: &Registries) -> Result<(Descriptor, Vec<u8>), RecipeError> {
    match registries.open(reference) {
        Ok((top, bytes, _)) => Ok((top, bytes)),
        Err(error @ registry::error::Error::ManifestUnknown(_)) => Err(unreadable(&reference.to_string(), error)
            .help("the lock names it, but it is gone: `dockless lock` chooses anew")),
        Err(error) => Err(refused(&reference.to_string(), error)),
    }
}

/// What a reference names at this moment. Where that was another thing the last time, somebody ought to know.
fn named_now(
    reference: &Reference,
    registries: &Registries,
    memory: Option<Memory<'_>>,
    observer: &dyn Observer,
) -> Result<(Descriptor, Vec<u8>), RecipeError> {
    let (top, bytes, _) = registries.open(reference).map_err(|error| refused(&reference.to_string(), error))?;
    let before = memory.and_then(|memory| memory.replace(top.digest));
    if let Some(before) = before.filter(|before| *before != top.digest) {
        observer.note(Event::Warning(&format!(
            "{reference} has moved since the last build: it named {before}, now {}; `dockless lock` keeps a base",
            top.digest
        )));
    }
    Ok((top, bytes))
}

/// Chooses a base anew, for these platforms or, where there are none, for all that dockless builds.
///
/// # Errors
/// Where it cannot be read, or lacks one of them.
pub fn choose_anew(
    reference: &Reference,
    platforms: &[Platform],
    registries: &Registries,
) -> Result<LockedBase, RecipeError> {
    let name = reference.to_string();
    let (top, bytes, blobs) = registries.open(reference).map_err(|error| refused(&name, error))?;
    let mut documents = Documents::new(&name, &blobs);
    documents.keep(top.digest, bytes);
    let all = if platforms.is_empty() { documents.platforms(&top)? } else { platforms.to_vec() };
    if all.is_empty() {
        // Says what it has instead.
        documents.image(&top, &Platform::linux_amd64())?;
    }
    let mut chosen = BTreeMap::new();
    for platform in &all {
        chosen.insert(platform.to_string(), documents.image(&top, platform)?.manifest);
    }
    Ok(LockedBase { name, digest: top.digest, platforms: chosen })
}

impl Found {
    /// The base, once its layers have been read.
    fn with(self, known: &Known, source: Arc<dyn BlobSource>) -> Result<PlatformBase, RecipeError> {
        let mut layers = Vec::new();
        for Layer { descriptor, compression, diff_id } in self.layers {
            let Some(contents) = known.get(&descriptor.digest).map(Arc::clone) else {
                return Err(RecipeError::new(format!("layer {} of the base was not read", descriptor.digest))
                    .help("please report this as an error of dockless"));
            };
            let mut converted = Descriptor::new(media_type::layer(compression), descriptor.digest, descriptor.size);
            converted.annotations = descriptor.annotations;
            layers.push(BaseLayer { descriptor: converted, diff_id, contents });
        }
        Ok(PlatformBase { config: self.config, layers, source })
    }
}

fn unreadable(place: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RecipeError {
    RecipeError::new(format!("cannot read the base {place}")).caused_by(error)
}

fn unreadable_layer(
    place: &str,
    layer: &Descriptor,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> RecipeError {
    let error = RecipeError::new(format!("cannot read the base {place}: layer {}", layer.digest)).caused_by(error);
    if !layer.is_foreign() {
        return error;
    }
    error.help(
        "it is a foreign layer, which its registry need not have; what lies at the URLs that it names is not taken",
    )
}

/// A registry's refusal with its repair.
fn refused(place: &str, error: registry::error::Error) -> RecipeError {
    let help = error.help();
    let error = unreadable(place, error);
    match help {
        Some(help) => error.help(help),
        None => error,
    }
}

/// Whether the session's layout has a layer's blob, and whole: it may have been damaged since it came.
pub(super) fn holds(session: &Session, cache: Option<&LayerCache>, descriptor: &Descriptor) -> bool {
    let Descriptor { digest, size, .. } = *descriptor;
    session.holds(descriptor, |file| match cache {
        Some(cache) => cache.is_whole(file, digest, size),
        None => is_blob(file, digest, size),
    })
}

/// What is inside a layer of a layout, as the cache remembers it, else as the blob shows.
fn looked_into(
    cache: Option<&LayerCache>,
    layout: &Layout,
    descriptor: &Descriptor,
    compression: Compression,
) -> Result<Arc<Contents>, Box<dyn std::error::Error + Send + Sync>> {
    let remembered = || cache?.contents(descriptor.digest).filter(|_| layout.contains(descriptor));
    if let Some(contents) = remembered() {
        return Ok(contents);
    }
    let contents = read_layer(layout, descriptor, compression)?;
    remember(cache, descriptor, &contents);
    Ok(Arc::new(contents))
}

fn remember(cache: Option<&LayerCache>, descriptor: &Descriptor, contents: &Contents) {
    if let Some(cache) = cache {
        // What is not kept is read again.
        let _ = cache.keep_contents(descriptor.digest, contents);
    }
}

/// Reads a layer's blob to its end, verified, and keeps what matters.
///
/// # Errors
/// Where the blob is missing or damaged, or no tar of this compression.
pub fn read_layer(
    source: &dyn BlobSource,
    descriptor: &Descriptor,
    compression: Compression,
) -> Result<Contents, Box<dyn std::error::Error + Send + Sync>> {
    read_through(source.open(descriptor)?, compression)
}

/// The same of bytes that are held to their digest, all of which are read.
fn read_through(
    mut blob: impl Read + Send,
    compression: Compression,
) -> Result<Contents, Box<dyn std::error::Error + Send + Sync>> {
    let read = sniff::decompress(&mut blob, compression)
        .map_err(Into::into)
        .and_then(|tar| sniff::blob_contents(tar).map_err(Box::<dyn std::error::Error + Send + Sync>::from));
    // A decompressor may stop before the blob's end; only the end tells that the bytes are the promised ones. Where
    // they are not, that is the reason for whatever the decompressor had to say.
    std::io::copy(&mut blob, &mut std::io::sink())?;
    read
}

/// The entry of an index that a name means, or the only one.
///
/// # Errors
/// Where there is none, or several and no name: the text lists them.
pub fn choose(index: &Index, name: Option<&str>) -> Result<Descriptor, String> {
    let is_named = |digest: &str, annotations: &BTreeMap<String, String>, name: &str| {
        [REF_NAME, IMAGE_NAME].iter().any(|key| annotations.get(*key).is_some_and(|own| own == name)) || digest == name
    };
    let all = || {
        let supported = index.manifests.iter();
        let supported =
            supported.map(|entry| crate::layout::name(entry).map_or_else(|| entry.digest.to_string(), Into::into));
        let others = index.unsupported.iter().map(|entry| format!("{} (not supported)", entry.digest));
        supported.chain(others).collect::<Vec<String>>().join(", ")
    };
    let matching = |name: &str| -> Vec<&Descriptor> {
        let entries = index.manifests.iter();
        entries.filter(|entry| is_named(&entry.digest.to_string(), &entry.annotations, name)).collect()
    };
    let found = match name {
        None => {
            // What is attached to images need not be named to be left aside.
            let images = index.manifests.iter().filter(|entry| entry.artifact_type.is_none());
            let images: Vec<&Descriptor> = images.collect();
            if images.is_empty() { index.manifests.iter().collect() } else { images }
        }
        Some(name) => {
            let mut exact = matching(name);
            // What has no other name than this one cannot be asked for by another.
            if exact.iter().any(|entry| crate::layout::name(entry) == Some(name)) {
                exact.retain(|entry| crate::layout::name(entry) == Some(name));
            }
            // A name may be short, as docker writes it; the annotation is never.
            if exact.is_empty() { full(name).map(|full| matching(&full)).unwrap_or_default() } else { exact }
        }
    };
    let mut others = index.unsupported.iter();
    let other = others.find(|entry| name.is_none_or(|name| is_named(&entry.digest, &entry.annotations, name)));
    match (found.as_slice(), name, other) {
        ([], _, Some(other)) => {
            let named = name.map(|name| format!(" named {name:?}")).unwrap_or_default();
            Err(format!("its image{named} has the digest {}, which is not supported: only sha256 is", other.digest))
        }
        ([], Some(name), None) if !index.manifests.is_empty() || !index.unsupported.is_empty() => {
            Err(format!("it holds no image named {name:?}; it holds: {}", all()))
        }
        ([], _, None) => Err("it holds no image".into()),
        ([first, rest @ ..], _, other)
            if (name.is_some() || other.is_none()) && rest.iter().all(|other| other.digest == first.digest) =>
        {
            Ok((*first).clone())
        }
        (_, None, _) => Err(format!("it holds several images, say which with :NAME after its path: {}", all())),
        (_, Some(name), _) => {
            Err(format!("several of its images are named {name:?}, use the full reference: {}", all()))
        }
    }
}

/// A reference in full, as containerd's annotation has it.
fn full(name: &str) -> Option<String> {
    let reference: Reference = name.parse().ok()?;
    reference.tag_or_latest().map(|tag| format!("{}:{tag}", reference.name()))
}
