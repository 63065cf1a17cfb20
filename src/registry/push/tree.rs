//! What an image is made of, read before anything is sent.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::blob::BlobSource;
use crate::blob::reach::{Document, reach};
use crate::oci::descriptor::Descriptor;
use crate::oci::media_type::{Kind, kind};
use crate::registry::error::Error;

/// All that an index or a manifest names.
pub(super) struct Tree {
    /// Children before their parents, the top last.
    pub(super) manifests: Vec<Manifest>,
    /// Each blob once.
    pub(super) blobs: Vec<Descriptor>,
}

/// A manifest or index.
pub(super) struct Manifest {
    pub(super) descriptor: Descriptor,
    /// Its bytes as they are stored, where they are kept.
    bytes: Option<Bytes>,
}

impl Manifest {
    /// Its bytes as they are stored.
    pub(super) async fn bytes(&self, source: &Arc<dyn BlobSource>) -> Result<Bytes, Error> {
        if let Some(bytes) = &self.bytes {
            return Ok(bytes.clone());
        }
        let (source, descriptor) = (Arc::clone(source), self.descriptor.clone());
        let read = tokio::task::spawn_blocking(move || source.document(&descriptor));
        Ok(read.await.map_err(|_| Error::Worker)??.into())
    }
}

/// How many bytes of manifests are kept: those of any usual image. What goes beyond is read again when it is sent,
/// since an index may name any number.
const KEPT: usize = 4 << 20;

impl Tree {
    pub(super) fn read(source: &dyn BlobSource, top: &Descriptor) -> Result<Self, Error> {
        if !matches!(kind(&top.media_type), Kind::Index | Kind::Manifest) {
            return Err(Error::NoImage {
                digest: top.digest,
                place: source.place(),
                media_type: top.media_type.clone(),
            });
        }
        let mut tree = Self { manifests: Vec::new(), blobs: Vec::new() };
        let (mut known, mut room) = (HashSet::new(), KEPT);
        reach(source, std::slice::from_ref(top), &mut |descriptor, bytes, document| {
            // What an index names beside manifests is a blob as well.
            let is_blob = |named: &&Descriptor| !matches!(kind(&named.media_type), Kind::Index | Kind::Manifest);
            let blobs = document.names().filter(|named| matches!(document, Document::Manifest(_)) || is_blob(named));
            let blobs = blobs.filter(|blob| !blob.is_foreign() && known.insert(blob.digest));
            tree.blobs.extend(blobs.cloned());
            let rest = room.checked_sub(bytes.len());
            room = rest.unwrap_or(room);
            tree.manifests.push(Manifest { descriptor: descriptor.clone(), bytes: rest.map(|_| bytes.into()) });
        })?;
        Ok(tree)
    }
}
