//! What differs between two images: settings, layers, and the merged root file systems file by file.
//!
//! A digest says that two images differ and never in what. Here each layer is read once, held to its digest and its tar
//! to the diff ID, and of every file the digest of its data is kept, so that two builds that should have been the same
//! can be told apart to the file. Names, times and sizes come from strangers; what is kept of an entry is bounded, its
//! data never.

mod files;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use self::files::{Merged, files, list};
use super::check::uneven;
use super::inspect::{Documents, InspectError, documents};
use crate::blob::BlobSource;
use crate::event::Observer;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::Index;
use crate::oci::media_type;
use crate::oci::platform::Platform;

/// One of the two images.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// Where its blobs are.
    pub source: &'a dyn BlobSource,
    /// Its top: an index or a manifest.
    pub top: &'a Descriptor,
}

/// What differs between image A and image B.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Annotations of the index.
    pub settings: Vec<Setting>,
    /// Platforms that only A has.
    pub only_a: Vec<String>,
    /// Platforms that only B has.
    pub only_b: Vec<String>,
    /// The platforms that both have.
    pub platforms: Vec<PlatformDifference>,
}

impl Difference {
    /// Whether nothing differs of what was compared.
    pub fn is_none(&self) -> bool {
        self.settings.is_empty()
            && self.only_a.is_empty()
            && self.only_b.is_empty()
            && self.platforms.iter().all(|platform| platform.a == platform.b)
    }
}

/// What differs between the two images of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformDifference {
    /// `linux/arm64`
    pub platform: String,
    /// The digest of A's manifest.
    pub a: Digest,
    /// The digest of B's manifest; where it is the same, nothing more is said.
    pub b: Digest,
    /// Keys of the configuration, annotations of the manifest and the like.
    pub settings: Vec<Setting>,
    /// Layers that are not the same blobs, lowest first.
    pub layers: Vec<LayerDifference>,
    /// Paths of the merged root file systems at which not the same stands, sorted by bytes.
    pub files: Vec<FileDifference>,
}

/// A key that has two values; absent where one image does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// `Entrypoint`, `Env PATH`, `Labels team`, `created`, `annotation KEY`, in the words of the specification.
    pub name: String,
    /// A's value; what is no text is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<String>,
    /// B's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<String>,
}

/// Two layers in the same place that are not the same blob; absent where one image has fewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerDifference {
    /// The recipe's name for it, where the history has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A's layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<LayerOf>,
    /// B's layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<LayerOf>,
}

impl LayerDifference {
    /// Whether both hold the same tar, compressed in two ways.
    pub fn is_compression(&self) -> bool {
        matches!((&self.a, &self.b), (Some(a), Some(b)) if a.diff_id == b.diff_id)
    }
}

/// A layer of one of the images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerOf {
    /// The digest of its blob.
    pub digest: Digest,
    /// The digest of its tar.
    pub diff_id: Digest,
    /// The size of its blob in bytes.
    pub size: u64,
}

/// A path at which not the same stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDifference {
    /// The path from the root; what is no UTF-8 in it is replaced.
    pub path: String,
    /// In what the two differ; empty where only one image has it.
    pub what: Vec<Aspect>,
    /// What A has there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<Standing>,
    /// What B has there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<Standing>,
}

/// In what two entries differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// A file, a folder, a link.
    Kind,
    /// The data of a file.
    Content,
    /// The target of a link, or which device it is.
    Target,
    /// The permission bits.
    Mode,
    /// Owner or group.
    Owner,
    /// The modification time.
    Time,
    /// Extended attributes.
    Xattrs,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// `file`, `directory`, `symlink`, `device`, `fifo`
    pub kind: &'static str,
    /// The size of a file in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The digest of a file's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The target of a link, or the numbers of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Permission bits with setuid, setgid and sticky: `0755`.
    pub mode: String,
    /// `UID:GID`
    pub owner: String,
    /// The modification time in seconds since 1970.
    pub mtime: i64,
    /// The layer that it comes from, by its diff ID.
    pub layer: Digest,
}

/// Compares two images, on so many threads. Layers are read, each once, where a platform's are not the same.
///
/// # Errors
/// Where a document or layer of one is missing, damaged or not what it should be.
pub fn difference(
    a: Side<'_>,
    b: Side<'_>,
    platforms: &[Platform],
    threads: usize,
    observer: &dyn Observer,
) -> Result<Difference, InspectError> {
    let mut all = Difference::default();
    if a.top.digest == b.top.digest && platforms.is_empty() {
        return Ok(all);
    }
    let (images_a, images_b) = (images(a, platforms)?, images(b, platforms)?);
    if platforms.is_empty() {
        all.settings = settings(&annotations(a)?, &annotations(b)?);
    }
    let only = |of: &Images, other: &Images| of.keys().filter(|key| !other.contains_key(*key)).cloned().collect();
    (all.only_a, all.only_b) = (only(&images_a, &images_b), only(&images_b, &images_a));
    for (platform, image_a) in &images_a {
        let Some(image_b) = images_b.get(platform) else { continue };
        let both = [(a.source, image_a), (b.source, image_b)];
        all.platforms.push(compare(platform, both, threads, observer)?);
    }
    Ok(all)
}

type Images = BTreeMap<String, Documents>;

/// The images by platform, as the index says it, else the configuration: in one form, since `arm64`, `arm64/v8` and
/// `aarch64` are what the same task runs. Of one platform twice the first counts.
fn images(side: Side<'_>, platforms: &[Platform]) -> Result<Images, InspectError> {
    let mut images = Images::new();
    for image in documents(side.source, side.top)?.1 {
        let platform = image.stated.clone().unwrap_or_else(|| image.config.platform()).normalized();
        if platforms.is_empty() || platforms.iter().any(|wanted| platform.satisfies(wanted)) {
            images.entry(platform.to_string()).or_insert(image);
        }
    }
    if images.is_empty() {
        let names: Vec<String> = platforms.iter().map(Platform::to_string).collect();
        let reason = format!("it holds no image for {}", names.join(" or "));
        return Err(InspectError::Shape { place: side.source.place(), reason });
    }
    Ok(images)
}

type Settings = BTreeMap<String, String>;

fn annotations(side: Side<'_>) -> Result<Settings, InspectError> {
    if media_type::kind(&side.top.media_type) != media_type::Kind::Index {
        return Ok(Settings::new());
    }
    let digest = side.top.digest;
    let index: Index = serde_json::from_slice(&side.source.document(side.top)?).map_err(|source| {
        InspectError::Document { digest, place: side.source.place(), what: "an image index", source }
    })?;
    Ok(index.annotations.into_iter().map(|(key, value)| (format!("annotation {key}"), value)).collect())
}

fn compare(
    platform: &str,
    both: [(&dyn BlobSource, &Documents); 2],
    threads: usize,
    observer: &dyn Observer,
) -> Result<PlatformDifference, InspectError> {
    let [(_, a), (_, b)] = both;
    let mut found = PlatformDifference {
        platform: platform.to_owned(),
        a: a.descriptor.digest,
        b: b.descriptor.digest,
        settings: Vec::new(),
        layers: Vec::new(),
        files: Vec::new(),
    };
    if found.a == found.b {
        return Ok(found);
    }
    for (source, image) in both {
        let diff_ids = &image.config.rootfs.diff_ids;
        if image.manifest.layers.len() != diff_ids.len() {
            let reason = format!("{} has {}", image.descriptor.digest, uneven(&image.manifest, diff_ids));
            return Err(InspectError::Shape { place: source.place(), reason });
        }
    }
    found.settings = settings(&stated(a), &stated(b));
    found.layers = layers(a, b);
    // That two blobs hold the same tar is known once they have been read.
    if !found.layers.is_empty() {
        let listings = list(both, threads, observer)?;
        found.files = files(&Merged::of(a, &listings), &Merged::of(b, &listings));
    }
    Ok(found)
}

/// What a configuration and its manifest say, key by key, without what is compared elsewhere.
fn stated(image: &Documents) -> Settings {
    let mut all = Settings::new();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Ok(Value::Object(keys)) = serde_json::to_value(&image.config) {
        for (key, value) in keys {
            match (key.as_str(), &value) {
                ("rootfs", _) => {}
                ("config", Value::Object(words)) => {
                    for (word, value) in words {
                        match value {
                            Value::Object(pairs) => {
                                all.extend(pairs.iter().map(|(name, value)| (format!("{word} {name}"), text(value))));
                            }
                            Value::Array(pairs) if word == "Env" => all.extend(pairs.iter().map(|pair| {
                                let pair = text(pair);
                                let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
                                (format!("Env {name}"), value.to_owned())
                            })),
                            _ => _ = all.insert(word.clone(), text(value)),
                        }
                    }
                }
                _ => _ = all.insert(key, text(&value)),
            }
        }
    }
    let manifest = &image.manifest;
    all.extend(manifest.annotations.iter().map(|(key, value)| (format!("annotation {key}"), value.clone())));
    all.insert("mediaType of the manifest".into(), image.descriptor.media_type.to_string());
    all.insert("mediaType of the configuration".into(), manifest.config.media_type.to_string());
    all
}

fn settings(a: &Settings, b: &Settings) -> Vec<Setting> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let setting = |name: &String| Setting { name: name.clone(), a: a.get(name).cloned(), b: b.get(name).cloned() };
    names.into_iter().map(setting).filter(|setting| setting.a != setting.b).collect()
}

/// The layers between those that both begin and end with.
fn layers(a: &Documents, b: &Documents) -> Vec<LayerDifference> {
    let of = |image: &Documents| -> Vec<LayerOf> {
        let diff_ids = &image.config.rootfs.diff_ids;
        let layers = image.manifest.layers.iter().zip(diff_ids);
        layers.map(|(layer, id)| LayerOf { digest: layer.digest, diff_id: *id, size: layer.size }).collect()
    };
    let (all_a, all_b) = (of(a), of(b));
    let below = all_a.iter().zip(&all_b).take_while(|(a, b)| a == b).count();
    let (rest_a, rest_b) = (&all_a[below..], &all_b[below..]);
    let above = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (rest_a, rest_b) = (&rest_a[..rest_a.len() - above], &rest_b[..rest_b.len() - above]);
    let name = |image: &Documents, at: usize| {
        let mut named = image.config.history.iter().filter(|entry| !entry.empty_layer);
        Some(named.nth(at)?.created_by.as_deref()?.strip_prefix("dockless: ")?.to_owned())
    };
    (0..rest_a.len().max(rest_b.len()))
        .map(|at| LayerDifference {
            name: name(a, below + at).or_else(|| name(b, below + at)),
            a: rest_a.get(at).cloned(),
            b: rest_b.get(at).cloned(),
        })
        .filter(|layer| layer.a != layer.b)
        .collect()
}
