//! Which of a base's manifests is for a platform, and what it says.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::unreadable;
use crate::blob::BlobSource;
use crate::blob::reach::{DEPTH, ReachError};
use crate::image::recipe::place::RecipeError;
use crate::oci::config::ImageConfiguration;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::{Index, Manifest};
use crate::oci::media_type::{Compression, Kind, kind};
use crate::oci::platform::{Os, Platform};

/// One platform's image of a base, its layers not read yet.
pub(super) struct Found {
    /// The manifest.
    pub(super) manifest: Digest,
    /// The configuration.
    pub(super) config: ImageConfiguration,
    /// The layers, lowest first.
    pub(super) layers: Vec<Layer>,
}

/// A layer as the base's manifest states it.
pub(super) struct Layer {
    /// The blob.
    pub(super) descriptor: Descriptor,
    /// How its tar is compressed.
    pub(super) compression: Compression,
    /// The digest of its tar.
    pub(super) diff_id: Digest,
}

/// The documents of a base, each fetched once.
pub(super) struct Documents<'a> {
    place: &'a str,
    source: &'a dyn BlobSource,
    known: BTreeMap<Digest, Vec<u8>>,
}

/// The entry of an index for a platform.
enum Entry {
    Found(Box<Descriptor>),
    /// There is none; these are the platforms that it has.
    Other(Vec<String>),
}

impl<'a> Documents<'a> {
    /// The documents of a source; `place` is what the user calls it.
    pub(super) fn new(place: &'a str, source: &'a dyn BlobSource) -> Self {
        Self { place, source, known: BTreeMap::new() }
    }

    /// Remembers a document that came already.
    pub(super) fn keep(&mut self, digest: Digest, bytes: Vec<u8>) {
        self.known.insert(digest, bytes);
    }

    /// A platform's image of what `top` names.
    ///
    /// # Errors
    /// Where it has none, or documents cannot be read or do not agree.
    pub(super) fn image(&mut self, top: &Descriptor, platform: &Platform) -> Result<Found, RecipeError> {
        let place = self.place;
        let descriptor = match self.entry(top, platform)? {
            Entry::Found(descriptor) => *descriptor,
            Entry::Other(has) if has.is_empty() => {
                return Err(RecipeError::new(format!(
                    "the base {place} has no {platform}: it names no platform at all"
                )));
            }
            Entry::Other(has) => {
                let has = has.join(", ");
                return Err(RecipeError::new(format!("the base {place} has no {platform}; it has {has}")));
            }
        };
        let manifest: Manifest = self.document(&descriptor, "image manifest")?;
        if kind(&manifest.config.media_type) != Kind::Config {
            let what = manifest.artifact_type.as_deref().unwrap_or(manifest.config.media_type.as_ref());
            return Err(RecipeError::new(format!("the base {place} is no image, but an artifact of the type {what}")));
        }
        let config: ImageConfiguration = self.document(&manifest.config, "image configuration")?;
        let own = config.platform();
        if !own.satisfies(platform) {
            return Err(RecipeError::new(format!("the base {place} is for {own}, not for {platform}")));
        }
        let (count, diff_ids) = (manifest.layers.len(), &config.rootfs.diff_ids);
        if diff_ids.len() != count {
            let found = diff_ids.len();
            return Err(RecipeError::new(format!("the base {place} is damaged: {count} layers, but {found} diff IDs")));
        }
        let mut layers = Vec::new();
        for (descriptor, diff_id) in manifest.layers.into_iter().zip(diff_ids.iter().copied()) {
            let Kind::Layer(compression) = kind(&descriptor.media_type) else {
                return Err(RecipeError::new(format!(
                    "the base {place} has a layer of the unknown media type {}",
                    descriptor.media_type
                )));
            };
            layers.push(Layer { descriptor, compression, diff_id });
        }
        Ok(Found { manifest: descriptor.digest, config, layers })
    }

    /// Those of the platforms that dockless builds which `top` has.
    pub(super) fn platforms(&mut self, top: &Descriptor) -> Result<Vec<Platform>, RecipeError> {
        let mut found = Vec::new();
        let built = [Platform::linux_amd64(), Platform::linux_arm64()];
        if kind(&top.media_type) != Kind::Index {
            let manifest: Manifest = self.document(top, "image manifest")?;
            let config: ImageConfiguration = self.document(&manifest.config, "image configuration")?;
            return Ok(built.into_iter().filter(|platform| config.platform().satisfies(platform)).collect());
        }
        for platform in built {
            if let Entry::Found(_) = self.entry(top, &platform)? {
                found.push(platform);
            }
        }
        Ok(found)
    }

    /// The first entry that matches, as a runtime takes it; a single manifest as it is.
    fn entry(&mut self, top: &Descriptor, platform: &Platform) -> Result<Entry, RecipeError> {
        let mut top = top.clone();
        for _ in 0..DEPTH {
            if kind(&top.media_type) != Kind::Index {
                return Ok(Entry::Found(Box::new(top)));
            }
            let index: Index = self.document(&top, "image index")?;
            let stated = |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|own| own.satisfies(platform));
            // An entry that says nothing may be for any platform; its configuration tells.
            let silent = |entry: &&Descriptor| entry.platform.is_none() && entry.artifact_type.is_none();
            let entries = &index.manifests;
            let Some(found) = entries.iter().find(stated).or_else(|| entries.iter().find(silent)) else {
                return Ok(Entry::Other(names(&index)));
            };
            top = found.clone();
        }
        let nested = ReachError::Nested { digest: top.digest, place: self.place.into() };
        Err(RecipeError::new(format!("cannot read the base {}", self.place)).caused_by(nested))
    }

    fn document<T: DeserializeOwned>(&mut self, descriptor: &Descriptor, what: &str) -> Result<T, RecipeError> {
        let digest = descriptor.digest;
        if !self.known.contains_key(&digest) {
            let bytes = self.source.document(descriptor).map_err(|error| unreadable(self.place, error))?;
            self.known.insert(digest, bytes);
        }
        let bytes = self.known.get(&digest).map(Vec::as_slice).unwrap_or_default();
        serde_json::from_slice(bytes).map_err(|error| {
            RecipeError::new(format!("cannot read the base {}: {digest} is no {what}", self.place)).caused_by(error)
        })
    }
}

/// The platforms of an index, each once. The attestations that `BuildKit` adds say `unknown/unknown`.
fn names(index: &Index) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let platforms = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
    for platform in platforms.filter(|platform| !matches!(&platform.os, Os::Other(os) if os == "unknown")) {
        let name = platform.to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
