//! All that an index reaches: its manifests, the indexes within it and theirs, and the blobs that these name.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::de::DeserializeOwned;
use thiserror::Error;

use super::{BlobError, BlobSource};
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::{Index, Manifest};
use crate::oci::media_type::{Kind, kind};

/// How many documents may stand within each other: an index, the index that it names, …, a manifest. Deeper than
/// anybody makes them; what is deeper is an error wherever images are read, and nowhere left out.
pub const DEPTH: usize = 8;

/// A document that names others.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and by reference")]
pub enum Document {
    /// It names manifests and indexes.
    Index(Index),
    /// It names a configuration and layers.
    Manifest(Manifest),
}

impl Document {
    /// What it names, the lowest layer first and the configuration last. A subject is not part of an image.
    pub fn names(&self) -> impl Iterator<Item = &Descriptor> {
        let (entries, config) = match self {
            Self::Index(index) => (&index.manifests, None),
            Self::Manifest(manifest) => (&manifest.layers, Some(&manifest.config)),
        };
        entries.iter().chain(config)
    }
}

/// Why not all could be reached.
#[derive(Debug, Error)]
pub enum ReachError {
    /// A document that cannot be had.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A document that is not what its media type says.
    #[error("{digest} of {place} is no image manifest or index")]
    Document {
        /// Its digest.
        digest: Digest,
        /// Where it is.
        place: String,
        /// Why.
        source: serde_json::Error,
    },
    /// Indexes within indexes, deeper than [`DEPTH`].
    #[error("{digest} of {place} is nested too deeply: at most {DEPTH} documents may stand within each other")]
    Nested {
        /// The digest where we stopped.
        digest: Digest,
        /// Where it is.
        place: String,
    },
    /// Two descriptors of one blob disagree about its size.
    #[error("blob {digest} of {place} has {first} bytes in one descriptor and {second} in another")]
    SizeConflict {
        /// Which blob.
        digest: Digest,
        /// Where it is.
        place: String,
        /// One size in bytes.
        first: u64,
        /// The other.
        second: u64,
    },
}

/// Reads every index and manifest that the entries reach, each once and after those that it names, and hands it over
/// with its bytes. What is neither names nothing that is known here, and is not read.
///
/// # Errors
/// Where a document is missing, damaged or nested too deeply, or two descriptors of a blob do not agree.
pub fn reach(
    source: &dyn BlobSource,
    entries: &[Descriptor],
    visit: &mut dyn FnMut(&Descriptor, Vec<u8>, &Document),
) -> Result<(), ReachError> {
    let mut walk = Walk { source, visit, read: HashSet::new(), sizes: HashMap::new() };
    entries.iter().try_for_each(|entry| walk.descriptor(entry, 0))
}

/// Everything that the entries reach, the entries included: each blob once.
///
/// # Errors
/// As [`reach`].
pub fn blobs(source: &dyn BlobSource, entries: &[Descriptor]) -> Result<BTreeMap<Digest, Descriptor>, ReachError> {
    let of = |descriptor: &Descriptor| (descriptor.digest, descriptor.clone());
    let mut blobs: BTreeMap<Digest, Descriptor> = entries.iter().map(of).collect();
    reach(source, entries, &mut |_, _, document| blobs.extend(document.names().map(of)))?;
    Ok(blobs)
}

struct Walk<'a> {
    source: &'a dyn BlobSource,
    visit: &'a mut dyn FnMut(&Descriptor, Vec<u8>, &Document),
    /// Seen is not read: another document may name this one as a layer.
    read: HashSet<Digest>,
    sizes: HashMap<Digest, u64>,
}

impl Walk<'_> {
    fn descriptor(&mut self, descriptor: &Descriptor, depth: usize) -> Result<(), ReachError> {
        self.size(descriptor)?;
        let digest = descriptor.digest;
        let kind = kind(&descriptor.media_type);
        if !matches!(kind, Kind::Index | Kind::Manifest) {
            return Ok(());
        }
        if depth == DEPTH {
            return Err(ReachError::Nested { digest, place: self.source.place() });
        }
        if !self.read.insert(digest) {
            return Ok(());
        }
        let bytes = self.source.document(descriptor)?;
        let document = match kind {
            Kind::Index => Document::Index(self.parse(digest, &bytes)?),
            _ => Document::Manifest(self.parse(digest, &bytes)?),
        };
        for below in document.names() {
            match &document {
                Document::Index(_) => self.descriptor(below, depth + 1)?,
                // Blobs to a registry, whatever they are made of.
                Document::Manifest(_) => self.size(below)?,
            }
        }
        (self.visit)(descriptor, bytes, &document);
        Ok(())
    }

    fn size(&mut self, descriptor: &Descriptor) -> Result<(), ReachError> {
        let (digest, second) = (descriptor.digest, descriptor.size);
        match *self.sizes.entry(digest).or_insert(second) {
            first if first == second => Ok(()),
            first => Err(ReachError::SizeConflict { digest, place: self.source.place(), first, second }),
        }
    }

    fn parse<T: DeserializeOwned>(&self, digest: Digest, bytes: &[u8]) -> Result<T, ReachError> {
        serde_json::from_slice(bytes).map_err(|source| ReachError::Document {
            digest,
            place: self.source.place(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;
    use crate::oci::canonical;
    use crate::oci::media_type::MediaType;

    #[derive(Default)]
    struct Memory(HashMap<Digest, Vec<u8>>);

    impl Memory {
        fn keep(&mut self, media_type: MediaType, bytes: Vec<u8>) -> Descriptor {
            let descriptor = Descriptor::of(media_type, &bytes);
            self.0.insert(descriptor.digest, bytes);
            descriptor
        }

        fn image(&mut self, layer: &Descriptor) -> Descriptor {
            let config = Descriptor::of(MediaType::ImageConfig, b"{}");
            let manifest = Manifest::new(config, vec![layer.clone()], BTreeMap::new());
            self.keep(MediaType::ImageManifest, canonical(&manifest))
        }

        fn index(&mut self, entries: &[Descriptor]) -> Descriptor {
            self.keep(MediaType::ImageIndex, canonical(&Index::new(entries.to_vec(), BTreeMap::new())))
        }

        fn reached(&self, top: &Descriptor) -> Result<Vec<Digest>, ReachError> {
            let mut reached = Vec::new();
            let top = std::slice::from_ref(top);
            reach(self, top, &mut |descriptor, _, _| reached.push(descriptor.digest)).map(|()| reached)
        }
    }

    impl BlobSource for Memory {
        fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BlobError> {
            match self.0.get(&descriptor.digest) {
                Some(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
                None => Err(BlobError::Missing { digest: descriptor.digest, place: self.place() }),
            }
        }

        fn place(&self) -> String {
            "memory".into()
        }
    }

    #[test]
    fn each_document_comes_once_and_after_what_it_names() {
        let mut memory = Memory::default();
        let (one, two) = (Descriptor::of(MediaType::ImageLayer, b"1"), Descriptor::of(MediaType::ImageLayer, b"2"));
        let (one, two) = (memory.image(&one), memory.image(&two));
        let inner = memory.index(std::slice::from_ref(&two));
        // The inner index is named twice, once below another and once beside it.
        let middle = memory.index(&[inner.clone(), one.clone()]);
        let top = memory.index(&[middle.clone(), inner.clone(), one.clone()]);
        let wanted = [two.digest, inner.digest, one.digest, middle.digest, top.digest];
        assert_eq!(memory.reached(&top).expect("all there"), wanted);
    }

    #[test]
    fn what_is_nested_too_deeply_is_an_error() {
        let mut memory = Memory::default();
        let mut top = memory.image(&Descriptor::of(MediaType::ImageLayer, b"1"));
        for _ in 1..DEPTH {
            top = memory.index(&[top]);
        }
        assert_eq!(memory.reached(&top).expect("all there").len(), DEPTH);
        top = memory.index(&[top]);
        assert!(matches!(memory.reached(&top), Err(ReachError::Nested { .. })));
    }

    #[test]
    fn one_blob_has_one_size() {
        let mut memory = Memory::default();
        let layer = Descriptor::of(MediaType::ImageLayer, b"1");
        let (one, two) = (memory.image(&layer), memory.image(&Descriptor { size: 2, ..layer }));
        let top = memory.index(&[one, two]);
        assert!(matches!(memory.reached(&top), Err(ReachError::SizeConflict { first: 1, second: 2, .. })));
    }
}
