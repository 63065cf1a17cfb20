//! What an image is made of, read before anything is sent.

use std::collections::HashSet;

use bytes::Bytes;

use crate::blob::BlobSource;
use crate::blob::reach::{Document, reach};
use crate::oci::descriptor::Descriptor;
use crate::oci::media_type::{Kind, kind};
use crate::registry::error::Error;

/// All that an index or a manifest names.
pub(super) struct Tree {
    /// Children before their parents, the top last. The bytes as they are stored.
    pub(super) manifests: Vec<(Descriptor, Bytes)>,
    /// Each blob once.
    pub(super) blobs: Vec<Descriptor>,
}

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
        let mut known = HashSet::new();
        reach(source, std::slice::from_ref(top), &mut |descriptor, bytes, document| {
            // What an index names beside manifests is a blob as well.
            let is_blob = |named: &&Descriptor| !matches!(kind(&named.media_type), Kind::Index | Kind::Manifest);
            let blobs = document.names().filter(|named| matches!(document, Document::Manifest(_)) || is_blob(named));
            let blobs = blobs.filter(|blob| !blob.is_foreign() && known.insert(blob.digest));
            tree.blobs.extend(blobs.cloned());
            tree.manifests.push((descriptor.clone(), bytes.into()));
        })?;
        Ok(tree)
    }
}
