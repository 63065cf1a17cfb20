//! Reading a docker-archive, what `docker save` wrote before it wrote OCI archives, and what podman, skopeo, kaniko and
//! Bazel still write: `manifest.json` names a configuration and layers for each image, and neither manifests nor layer
//! digests are there. We make the manifests, and they are the same whenever the same archive is read.
//!
//! A plain layer's digest is the diff ID that the configuration promises; that the bytes keep the promise is found by
//! whoever reads them (through [`Verified`](crate::blob::Verified)). A compressed layer's digest stands nowhere: it is
//! computed, once, when the archive is opened.
//!
//! Archives come from strangers: the number of images and the bytes of all documents together are limited, and every
//! name in `manifest.json` is looked up among the archive's members, never on the disk.

use std::collections::BTreeMap;
use std::io::{self, Read};

use serde::Deserialize;

use super::members::{Member, Members, Section};
use super::{ArchiveError, Place};
use crate::blob::{DOCUMENT_LIMIT, digest_of};
use crate::layer::sniff;
use crate::layout::{IMAGE_NAME, REF_NAME};
use crate::oci::config::ImageConfiguration;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::{Index, Manifest};
use crate::oci::media_type::{self, Compression, MediaType};
use crate::oci::platform::{Arch, Platform};
use crate::oci::reference::Reference;

/// The file that names the images.
pub(super) const MANIFEST: &str = "manifest.json";

/// The most images and tags together.
const ENTRIES_LIMIT: usize = 10_000;
/// The most bytes of all configurations and of the manifests that we make.
const DOCUMENTS_LIMIT: u64 = 16 * DOCUMENT_LIMIT;

/// One image of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    // Go writes null for none.
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// The index that we make, and where the blobs are that it reaches.
pub(super) fn read(members: &Members, manifest: Member) -> Result<(Index, BTreeMap<Digest, Place>), ArchiveError> {
    let bytes = members.document(MANIFEST, manifest)?;
    let images: Vec<Saved> =
        serde_json::from_slice(&bytes).map_err(|source| ArchiveError::document(&members.shown, MANIFEST, source))?;
    let entries: usize = images.iter().map(|image| image.repo_tags.as_ref().map_or(1, |tags| tags.len().max(1))).sum();
    if entries > ENTRIES_LIMIT {
        return Err(members.damaged(format!("it has {entries} images and tags: at most {ENTRIES_LIMIT} are read")));
    }
    let mut synthesis = Synthesis { members, compressed: BTreeMap::new(), blobs: BTreeMap::new(), documents: 0 };
    let mut manifests = Vec::with_capacity(entries);
    for image in images {
        let entry = synthesis.image(&image)?;
        let tags = image.repo_tags.unwrap_or_default();
        if tags.is_empty() {
            manifests.push(entry);
        } else {
            manifests.extend(tags.iter().map(|tag| named(&entry, tag)));
        }
    }
    Ok((Index::new(manifests, BTreeMap::new()), synthesis.blobs))
}

/// The entry with its names. Docker shortens them; containerd, whose annotation it is, does not.
fn named(entry: &Descriptor, tag: &str) -> Descriptor {
    let mut entry = entry.clone();
    let (full, short) = match tag.parse::<Reference>() {
        Ok(reference) => (reference.to_string(), reference.tag().map(ToOwned::to_owned)),
        // Some builders put any text there; it is still the name that this image goes by.
        Err(_) => (tag.to_owned(), None),
    };
    entry.annotations.insert(IMAGE_NAME.into(), full);
    if let Some(short) = short {
        entry.annotations.insert(REF_NAME.into(), short);
    }
    entry
}

struct Synthesis<'a> {
    members: &'a Members,
    /// Compressed layers by their place: images share them, and each is hashed once.
    compressed: BTreeMap<u64, Descriptor>,
    blobs: BTreeMap<Digest, Place>,
    documents: u64,
}

impl Synthesis<'_> {
    fn count(&mut self, size: u64) -> Result<(), ArchiveError> {
        self.documents += size;
        if self.documents > DOCUMENTS_LIMIT {
            let reason = format!("its documents have more than {DOCUMENTS_LIMIT} bytes together");
            return Err(self.members.damaged(reason));
        }
        Ok(())
    }

    fn find(&self, name: &str, what: &str) -> Result<Member, ArchiveError> {
        self.members.find(name).ok_or_else(|| {
            self.members.damaged(format!("{MANIFEST} names the {what} {name:?}, which is not in it: save it again"))
        })
    }

    /// The manifest of an image as an entry without a name.
    fn image(&mut self, saved: &Saved) -> Result<Descriptor, ArchiveError> {
        let place = self.find(&saved.config, "configuration")?;
        self.count(place.size)?;
        let title = format!("configuration {:?}", saved.config);
        let bytes = self.members.document(&title, place)?;
        let config: ImageConfiguration = serde_json::from_slice(&bytes)
            .map_err(|source| ArchiveError::document(&self.members.shown, &title, source))?;
        let (names, diff_ids) = (saved.layers.as_deref().unwrap_or_default(), &config.rootfs.diff_ids);
        if names.len() != diff_ids.len() {
            return Err(self.members.damaged(format!(
                "{MANIFEST} names {} layers, but its {title} has {}: save it again",
                names.len(),
                diff_ids.len()
            )));
        }
        let layers =
            names.iter().zip(diff_ids).map(|(name, id)| self.layer(name, *id)).collect::<Result<Vec<_>, _>>()?;
        let descriptor = Descriptor::of(MediaType::ImageConfig, &bytes);
        self.blobs.insert(descriptor.digest, Place::Member(place));
        let manifest = crate::oci::canonical(&Manifest::new(descriptor, layers, BTreeMap::new()));
        self.count(manifest.len() as u64)?;
        let mut entry = Descriptor::of(MediaType::ImageManifest, &manifest);
        entry.platform = Some(platform(&config));
        self.blobs.insert(entry.digest, Place::Memory(manifest.into()));
        Ok(entry)
    }

    fn layer(&mut self, name: &str, diff_id: Digest) -> Result<Descriptor, ArchiveError> {
        let place = self.find(name, "layer")?;
        if let Some(known) = self.compressed.get(&place.offset) {
            return Ok(known.clone());
        }
        let mut magic = Vec::new();
        let file = &self.members.file;
        Section::new(file, place).take(4).read_to_end(&mut magic).map_err(self.members.unread())?;
        let compression = sniff::compression(&magic);
        if compression == Compression::None {
            self.blobs.entry(diff_id).or_insert(Place::Member(place));
            return Ok(Descriptor::new(MediaType::ImageLayer, diff_id, place.size));
        }
        let section = io::BufReader::with_capacity(256 << 10, Section::new(file, place));
        let digest = digest_of(section).map_err(self.members.unread())?;
        let layer = Descriptor::new(media_type::layer(compression), digest, place.size);
        self.compressed.insert(place.offset, layer.clone());
        self.blobs.insert(layer.digest, Place::Member(place));
        Ok(layer)
    }
}

/// The platform of an entry: arm64 has one variant, which indexes leave out.
fn platform(config: &ImageConfiguration) -> Platform {
    let mut platform = config.platform();
    if platform.architecture == Arch::ARM64 && platform.variant.as_deref() == Some("v8") {
        platform.variant = None;
    }
    platform.variant = platform.variant.filter(|variant| !variant.is_empty());
    platform.os_version = platform.os_version.filter(|version| !version.is_empty());
    platform
}
