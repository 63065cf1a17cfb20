//! What an image's layers lie on: nothing, or an image of a layout folder.

use std::path::Path;
use std::sync::Arc;

use super::recipe::place::RecipeError;
use super::recipe::{Base, Recipe};
use crate::blob::BlobSource;
use crate::layer::contents::Contents;
use crate::layer::sniff;
use crate::layout::{IMAGE_NAME, Layout, REF_NAME};
use crate::oci::config::ImageConfiguration;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::{Index, Manifest};
use crate::oci::media_type::{self, Compression, Kind, kind};
use crate::oci::platform::Platform;

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

/// Opens a recipe's base for a platform; `None` for `scratch`. `known` has the layers that were read already.
///
/// # Errors
/// Where it cannot be read, or has no such platform: the error says what it has.
pub fn open(
    recipe: &Recipe,
    platform: &Platform,
    known: &mut Vec<BaseLayer>,
) -> Result<Option<PlatformBase>, RecipeError> {
    let at = |error: RecipeError| error.or_at(recipe.base.place.clone());
    match &recipe.base.value {
        Base::Scratch => Ok(None),
        Base::Registry(reference) => Err(at(RecipeError::new(format!("a base in a registry is not supported yet: {reference}"))
            .help(format!("copy it to a layout first, for example: skopeo copy --all docker://{reference} oci:base, and write base = \"oci:base\"")))),
        Base::Layout { path, name } => {
            let folder = recipe.folder.join(path.expand(platform));
            from_layout(&folder, name.as_deref(), platform, known).map(Some).map_err(at)
        }
    }
}

fn from_layout(
    folder: &Path,
    name: Option<&str>,
    platform: &Platform,
    known: &mut Vec<BaseLayer>,
) -> Result<PlatformBase, RecipeError> {
    let failed = |what: &str| {
        let message = format!("cannot read the base {}{what}", folder.display());
        move |error: Box<dyn std::error::Error + Send + Sync>| RecipeError::new(message).caused_by(error)
    };
    let layout = Layout::open(folder).map_err(|error| failed("")(error.into()))?;
    let index = layout.index().map_err(|error| failed("")(error.into()))?;
    let top =
        choose(&index, name).map_err(|message| RecipeError::new(format!("base {}: {message}", folder.display())))?;
    let document = |descriptor: &Descriptor| layout.document(descriptor).map_err(|error| failed("")(error.into()));
    let descriptor = manifest_for(&top, platform, &document, &folder.display().to_string())?;
    let parsed = |bytes: &[u8], descriptor: &Descriptor| {
        let digest = descriptor.digest;
        serde_json::from_slice::<Manifest>(bytes)
            .map_err(|error| failed(&format!(": {digest} is no image manifest"))(error.into()))
    };
    let manifest = parsed(&document(&descriptor)?, &descriptor)?;
    let config: ImageConfiguration = serde_json::from_slice(&document(&manifest.config)?)
        .map_err(|error| failed(&format!(": {} is no image configuration", manifest.config.digest))(error.into()))?;
    if !config.platform().satisfies(platform) {
        return Err(RecipeError::new(format!(
            "the base {} is for {}, not for {platform}",
            folder.display(),
            config.platform()
        )));
    }
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        return Err(RecipeError::new(format!(
            "the base {} is damaged: {} layers, but {} diff IDs",
            folder.display(),
            manifest.layers.len(),
            config.rootfs.diff_ids.len()
        )));
    }
    let mut layers = Vec::new();
    for (descriptor, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        if let Some(layer) = known.iter().find(|layer| layer.descriptor.digest == descriptor.digest) {
            layers.push(layer.clone());
            continue;
        }
        let Kind::Layer(compression) = kind(&descriptor.media_type) else {
            return Err(RecipeError::new(format!(
                "the base {} has a layer of the unknown media type {}",
                folder.display(),
                descriptor.media_type
            )));
        };
        let contents = read_layer(&layout, descriptor, compression)
            .map_err(|error| failed(&format!(": layer {}", descriptor.digest))(error))?;
        let mut converted = Descriptor::new(media_type::layer(compression), descriptor.digest, descriptor.size);
        converted.annotations.clone_from(&descriptor.annotations);
        let layer = BaseLayer { descriptor: converted, diff_id: *diff_id, contents: Arc::new(contents) };
        known.push(layer.clone());
        layers.push(layer);
    }
    Ok(PlatformBase { config, layers, source: Arc::new(layout) })
}

/// Reads a layer's blob to its end, verified, and keeps what matters.
pub fn read_layer(
    source: &dyn BlobSource,
    descriptor: &Descriptor,
    compression: Compression,
) -> Result<Contents, Box<dyn std::error::Error + Send + Sync>> {
    let mut blob = source.open(descriptor)?;
    let read = sniff::decompress(&mut blob, compression)
        .map_err(Into::into)
        .and_then(|tar| sniff::contents(tar).map_err(Box::<dyn std::error::Error + Send + Sync>::from));
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
    let names = |entry: &Descriptor| -> Vec<String> {
        let named = [REF_NAME, IMAGE_NAME].iter().filter_map(|key| entry.annotations.get(*key).cloned());
        named.chain(std::iter::once(entry.digest.to_string())).collect()
    };
    let all = || {
        let list: Vec<String> = index
            .manifests
            .iter()
            .map(|entry| crate::layout::name(entry).map_or_else(|| entry.digest.to_string(), Into::into))
            .collect();
        list.join(", ")
    };
    let matching: Vec<&Descriptor> = index
        .manifests
        .iter()
        .filter(|entry| name.is_none_or(|name| names(entry).iter().any(|own| own == name)))
        .collect();
    match (matching.as_slice(), name) {
        ([], _) if index.manifests.is_empty() => Err("it holds no image".into()),
        ([], Some(name)) => Err(format!("it holds no image named {name:?}; it holds: {}", all())),
        ([], None) => Err("it holds no image".into()),
        ([only], _) => Ok((*only).clone()),
        ([first, rest @ ..], _) if rest.iter().all(|other| other.digest == first.digest) => Ok((*first).clone()),
        (_, None) => Err(format!("it holds several images, say which with :NAME after its path: {}", all())),
        (_, Some(name)) => Err(format!("several of its images are named {name:?}, use the full reference: {}", all())),
    }
}

/// The manifest for a platform: the first in the index that matches, as a runtime takes it; a single manifest as it is.
fn manifest_for(
    top: &Descriptor,
    platform: &Platform,
    document: &dyn Fn(&Descriptor) -> Result<Vec<u8>, RecipeError>,
    place: &str,
) -> Result<Descriptor, RecipeError> {
    let mut top = top.clone();
    // Layouts may nest one index in another.
    for _ in 0..4 {
        if kind(&top.media_type) != Kind::Index {
            return Ok(top);
        }
        let index: Index = serde_json::from_slice(&document(&top)?).map_err(|error| {
            RecipeError::new(format!("the base {place} is damaged: {} is no image index", top.digest)).caused_by(error)
        })?;
        let stated = |entry: &&Descriptor| entry.platform.as_ref().is_none_or(|own| own.satisfies(platform));
        let Some(found) = index.manifests.iter().find(stated) else {
            let has: Vec<String> =
                index.manifests.iter().filter_map(|entry| entry.platform.as_ref()).map(Platform::to_string).collect();
            return Err(RecipeError::new(format!("the base {place} has no {platform}; it has {}", has.join(", "))));
        };
        top = found.clone();
    }
    Err(RecipeError::new(format!("the base {place} has indexes within indexes, too deep")))
}
