//! Descriptors (image-spec descriptor.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Extra;
use super::digest::Digest;
use super::media_type::{self, MediaType};
use super::platform::Platform;

/// What a piece of content is, how large, and by which digest it is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the content.
    pub media_type: MediaType,
    /// The digest of the content's raw bytes.
    pub digest: Digest,
    /// The size of the content in bytes.
    pub size: u64,
    /// Where the content may be downloaded from; foreign layers have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "super::null_as_default")]
    pub urls: Vec<String>,
    /// In an index: the platform of the manifest. Nowhere else: ECR refuses it (405) on a config or a subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Annotations (image-spec annotations.md).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "super::null_as_default")]
    pub annotations: BTreeMap<String, String>,
    /// What else it says.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Descriptor {
    /// A descriptor with its three required properties.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            platform: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
            extra: Extra::new(),
        }
    }

    /// Whether it is a layer that is fetched from elsewhere, and that a registry need not have (image-spec layer.md
    /// "Non-Distributable Layers"). URLs alone say only where it may be had as well.
    pub fn is_foreign(&self) -> bool {
        !self.urls.is_empty() && media_type::is_non_distributable(&self.media_type)
    }

    /// The descriptor of these bytes.
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type::DOCKER_FOREIGN_LAYER_GZIP;

    #[test]
    fn urls_alone_make_no_foreign_layer() {
        let is_foreign = |media_type: MediaType, urls: &[&str]| {
            let urls = urls.iter().map(|url| (*url).to_owned()).collect();
            Descriptor { urls, ..Descriptor::of(media_type, b"") }.is_foreign()
        };
        let url = "https://example.com/layer";
        assert!(is_foreign(MediaType::ImageLayerNonDistributableGzip, &[url]));
        assert!(is_foreign(MediaType::from(DOCKER_FOREIGN_LAYER_GZIP), &[url]));
        assert!(!is_foreign(MediaType::ImageLayerNonDistributableGzip, &[]));
        assert!(!is_foreign(MediaType::ImageLayerGzip, &[url]));
    }
}
