//! Image manifests and image indexes (image-spec manifest.md, image-index.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Extra;
use super::descriptor::Descriptor;
use super::media_type::MediaType;

/// An image manifest: a configuration and its layers, the base first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Always written by us: ECR answers 405 without it, and old Fargate agents cannot pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default, deserialize_with = "super::null_as_default")]
    pub layers: Vec<Descriptor>,
    /// Another manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "super::null_as_default")]
    pub annotations: BTreeMap<String, String>,
    /// What else it says.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Manifest {
    /// An OCI image manifest.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>, annotations: BTreeMap<String, String>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::ImageManifest),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations,
            extra: Extra::new(),
        }
    }
}

/// An image index: a manifest for each platform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Always written by us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests. A runtime takes the first that matches.
    #[serde(default, deserialize_with = "super::null_as_default")]
    pub manifests: Vec<Descriptor>,
    /// Another manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "super::null_as_default")]
    pub annotations: BTreeMap<String, String>,
    /// Images of an `index.json` that cannot be read here, since their digests are of another algorithm. In any other
    /// index such an entry is an error. See [`Index::of_layout`].
    #[serde(skip)]
    pub unsupported: Vec<Unsupported>,
    /// What else it says.
    #[serde(flatten)]
    pub extra: Extra,
}

/// An entry whose digest is registered (image-spec descriptor.md "Registered algorithms"), but not of SHA-256.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unsupported {
    /// The digest as it stands.
    pub digest: String,
    /// Annotations: its names are among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "super::null_as_default")]
    pub annotations: BTreeMap<String, String>,
    /// What else it says.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Unsupported {
    fn is_one(entry: &Value) -> bool {
        let digest = entry.get("digest").and_then(Value::as_str).unwrap_or_default();
        matches!(digest.split_once(':'), Some(("sha512" | "blake3", _)))
    }
}

impl Index {
    /// Reads the `index.json` of an image layout, whose entries do not belong together: one whose digest is not
    /// supported is set aside, and the others can be used.
    ///
    /// # Errors
    /// Where it is no index.
    pub fn of_layout(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes).or_else(|error| {
            // The first error is the one that knows its line.
            let mut document: Value = serde_json::from_slice(bytes)?;
            let Some(entries) = document.get_mut("manifests").and_then(Value::as_array_mut) else { return Err(error) };
            let aside: Vec<Value> = entries.extract_if(.., |entry| Unsupported::is_one(entry)).collect();
            match (serde_json::from_value::<Self>(document), serde_json::from_value(Value::Array(aside))) {
                (Ok(index), Ok(unsupported)) => Ok(Self { unsupported, ..index }),
                _ => Err(error),
            }
        })
    }

    /// The bytes of an `index.json`, with what was set aside behind the others.
    pub fn to_layout(&self) -> Vec<u8> {
        if self.unsupported.is_empty() {
            return super::canonical(self);
        }
        let mut document = serde_json::json!(self);
        if let Some(entries) = document["manifests"].as_array_mut() {
            entries.extend(self.unsupported.iter().map(|entry| serde_json::json!(entry)));
        }
        super::canonical(&document)
    }

    /// An OCI image index.
    pub fn new(manifests: Vec<Descriptor>, annotations: BTreeMap<String, String>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::ImageIndex),
            artifact_type: None,
            manifests,
            subject: None,
            annotations,
            unsupported: Vec::new(),
            extra: Extra::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_another_algorithm_is_set_aside_and_kept() {
        let sha256 = format!("sha256:{}", "0".repeat(64));
        let text = |digests: &[&str]| {
            let entry = |digest: &&str| {
                serde_json::json!({
                    "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 2,
                    "annotations": {"org.opencontainers.image.ref.name": "v1"}, "other": [1]
                })
            };
            let entries: Vec<Value> = digests.iter().map(entry).collect();
            serde_json::json!({"schemaVersion": 2, "manifests": entries}).to_string()
        };
        let sha512 = format!("sha512:{}", "0".repeat(128));
        let index = Index::of_layout(text(&[&sha512, &sha256]).as_bytes()).expect("an index");
        assert_eq!((index.manifests.len(), index.unsupported.len()), (1, 1));
        assert_eq!(index.unsupported[0].digest, sha512);
        let bytes = index.to_layout();
        assert_eq!(Index::of_layout(&bytes).expect("an index"), index);
        let both: Value = serde_json::from_slice(&bytes).expect("JSON");
        let wanted: Value = serde_json::from_str(&text(&[&sha256, &sha512])).expect("JSON");
        assert_eq!(both, wanted);
        // What is no digest at all is damage, with its line; and in an index of one image nothing is set aside.
        assert!(Index::of_layout(text(&[&sha512, "sha265:00"]).as_bytes()).expect_err("damaged").line() > 0);
        assert!(serde_json::from_str::<Index>(&text(&[&sha512])).is_err());
    }
}
