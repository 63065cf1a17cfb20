//! Is every blob that an index reaches there and whole, and do documents and layers agree? Problems are data: all of
//! them are found, not the first alone.

use std::collections::BTreeSet;
use std::io::{self, Write as _};

use serde::Serialize;

use crate::blob::{BlobSource, Tally};
use crate::layer::sniff;
use crate::oci::config::ImageConfiguration;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::{Index, Manifest};
use crate::oci::media_type::{Kind, kind};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The blob that it concerns.
    pub digest: Digest,
    /// Who refers to it: the digest of a manifest or index, or `index.json`.
    pub referrer: String,
    /// What is wrong, each cause after a colon.
    pub message: String,
}

/// What a check saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The number of blobs that were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Reads everything that an index reaches, once.
pub fn check(source: &dyn BlobSource, index: &Index) -> Checked {
    let mut check = Check { source, seen: BTreeSet::new(), checked: Checked::default() };
    for entry in &index.manifests {
        check.descriptor(entry, "index.json", 0);
    }
    check.checked
}

struct Check<'a> {
    source: &'a dyn BlobSource,
    seen: BTreeSet<Digest>,
    checked: Checked,
}

impl Check<'_> {
    fn problem(&mut self, digest: Digest, referrer: &str, message: impl Into<String>) {
        self.checked.problems.push(Problem { digest, referrer: referrer.into(), message: message.into() });
    }

    fn descriptor(&mut self, descriptor: &Descriptor, referrer: &str, depth: usize) {
        let digest = descriptor.digest;
        if !self.seen.insert(digest) {
            return;
        }
        self.checked.blobs += 1;
        self.checked.bytes += descriptor.size;
        let own = digest.to_string();
        match kind(&descriptor.media_type) {
            Kind::Index if depth > 8 => self.problem(digest, referrer, "indexes within indexes, too deep"),
            Kind::Index => {
                if let Some(index) = self.document::<Index>(descriptor, referrer, "an image index") {
                    for entry in &index.manifests {
                        self.descriptor(entry, &own, depth + 1);
                    }
                }
            }
            Kind::Manifest => {
                if let Some(manifest) = self.document::<Manifest>(descriptor, referrer, "an image manifest") {
                    self.manifest(&manifest, &own, depth);
                }
            }
            Kind::Layer(_) | Kind::Config | Kind::Other => {
                self.whole(descriptor, referrer);
            }
        }
    }

    fn manifest(&mut self, manifest: &Manifest, own: &str, depth: usize) {
        if kind(&manifest.config.media_type) != Kind::Config {
            for descriptor in std::iter::once(&manifest.config).chain(&manifest.layers) {
                self.descriptor(descriptor, own, depth + 1);
            }
            return;
        }
        if self.seen.insert(manifest.config.digest) {
            self.checked.blobs += 1;
            self.checked.bytes += manifest.config.size;
        }
        let config = self.document::<ImageConfiguration>(&manifest.config, own, "an image configuration");
        let diff_ids = config.map(|config| config.rootfs.diff_ids).unwrap_or_default();
        if !diff_ids.is_empty() && diff_ids.len() != manifest.layers.len() {
            let message = format!("{} layers, but {} diff IDs", manifest.layers.len(), diff_ids.len());
            self.problem(manifest.config.digest, own, message);
        }
        for (index, layer) in manifest.layers.iter().enumerate() {
            if !self.seen.insert(layer.digest) {
                continue;
            }
            self.checked.blobs += 1;
            self.checked.bytes += layer.size;
            match self.diff_id(layer) {
                Err(message) => self.problem(layer.digest, own, message),
                Ok(found) => {
                    if let Some(promised) = diff_ids.get(index).filter(|promised| **promised != found) {
                        let message = format!("its tar has the digest {found}, but the diff ID is {promised}");
                        self.problem(layer.digest, own, message);
                    }
                }
            }
        }
    }

    fn document<T: serde::de::DeserializeOwned>(
        &mut self,
        descriptor: &Descriptor,
        referrer: &str,
        what: &str,
    ) -> Option<T> {
        let bytes = match self.source.document(descriptor) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problem(descriptor.digest, referrer, chain(&error));
                return None;
            }
        };
        match serde_json::from_slice(&bytes) {
            Ok(document) => Some(document),
            Err(error) => {
                self.problem(descriptor.digest, referrer, format!("it is not {what}: {error}"));
                None
            }
        }
    }

    fn whole(&mut self, descriptor: &Descriptor, referrer: &str) {
        let read = || -> Result<u64, Box<dyn std::error::Error>> {
            Ok(io::copy(&mut self.source.open(descriptor)?, &mut io::sink())?)
        };
        if let Err(error) = read() {
            let message = chain(error.as_ref());
            self.problem(descriptor.digest, referrer, message);
        }
    }

    fn diff_id(&self, layer: &Descriptor) -> Result<Digest, String> {
        let Kind::Layer(compression) = kind(&layer.media_type) else {
            return Err(format!("its media type {} is not that of a layer", layer.media_type));
        };
        let read = || -> Result<Digest, Box<dyn std::error::Error>> {
            let mut blob = self.source.open(layer)?;
            let mut tally = Tally::new(io::sink());
            let read = sniff::decompress(&mut blob, compression).and_then(|mut tar| io::copy(&mut tar, &mut tally));
            // A blob that is damaged is the reason for whatever the decompressor had to say.
            io::copy(&mut blob, &mut io::sink())?;
            read?;
            tally.flush()?;
            Ok(tally.digest())
        };
        read().map_err(|error| chain(error.as_ref()))
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
