//! What `cdk synth` makes: a folder with a `manifest.json` that names the templates (aws-cdk, "Cloud Assembly").

use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    artifacts: BTreeMap<String, Artifact>,
}

#[derive(Deserialize)]
struct Artifact {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    template_file: Option<String>,
    directory_name: Option<String>,
}

/// What an asset manifest says: the files that are uploaded, and where to.
#[derive(Deserialize)]
struct Assets {
    #[serde(default)]
    files: BTreeMap<String, Asset>,
}

#[derive(Deserialize)]
struct Asset {
    #[serde(default)]
    source: AssetSource,
    #[serde(default)]
    destinations: BTreeMap<String, Destination>,
}

#[derive(Default, Deserialize)]
struct AssetSource {
    path: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Destination {
    #[serde(default)]
    object_key: String,
}

/// A file or folder that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// A stack: its name and the file of its template, relative to the manifest.
    Template(String, String),
    /// The folder of a stage, with a manifest of its own.
    Assembly(String),
}

/// Whether a text is the manifest of a cloud assembly.
pub fn is_assembly(text: &str) -> bool {
    text.contains("\"artifacts\"") && !templates(text).is_empty()
}

/// What the manifest of a cloud assembly names, by the artifacts' names; nothing where it is none.
pub(super) fn templates(text: &str) -> Vec<Named> {
    let Ok(manifest) = serde_json::from_str::<Manifest>(text) else { return Vec::new() };
    let named = |(name, artifact): (String, Artifact)| match artifact.kind.as_str() {
        "aws:cloudformation:stack" => artifact.properties.template_file.map(|file| Named::Template(name, file)),
        "cdk:cloud-assembly" => artifact.properties.directory_name.map(Named::Assembly),
        _ => None,
    };
    manifest.artifacts.into_iter().filter_map(named).collect()
}

/// The asset manifest that stands beside a stack's template.
pub(super) fn asset_manifest(template: &str) -> Option<String> {
    let name = template.rsplit('/').next()?;
    Some(format!("{}.assets.json", name.strip_suffix(".template.json")?))
}

/// The file that an asset manifest uploads to a URL with this end, relative to the manifest.
pub(super) fn asset(manifest: &str, end: &str) -> Option<String> {
    let Assets { files } = serde_json::from_str(manifest).ok()?;
    let is_there = |key: &str| !key.is_empty() && end.strip_suffix(key).is_some_and(|before| before.ends_with('/'));
    let uploaded = |asset: &Asset| asset.destinations.values().any(|destination| is_there(&destination.object_key));
    files.into_values().find(uploaded)?.source.path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_templates_and_stages() {
        let text = r#"{"version":"36.0.0","artifacts":{
            "App.assets":{"type":"cdk:asset-manifest","properties":{"file":"App.assets.json"}},
            "App":{"type":"aws:cloudformation:stack","properties":{"templateFile":"App.template.json"}},
            "assembly-Prod":{"type":"cdk:cloud-assembly","properties":{"directoryName":"assembly-Prod"}}}}"#;
        let app = Named::Template("App".into(), "App.template.json".into());
        assert_eq!(templates(text), [app, Named::Assembly("assembly-Prod".into())]);
        assert!(is_assembly(text));
        assert!(!is_assembly("{\"artifacts\": {}}"));
        assert!(!is_assembly("{\"artifacts\""));
    }

    #[test]
    fn an_asset_is_found_by_the_end_of_its_url() {
        let manifest = r#"{"files":{
            "a":{"source":{"path":"a.json"},"destinations":{"here":{"bucketName":"b-${AWS::Region}","objectKey":"pre/12.json"}}},
            "b":{"source":{"executable":["x"]},"destinations":{"here":{"objectKey":"34.json"}}},
            "c":{"source":{"path":"c"},"destinations":{"here":{}}}}}"#;
        let found = |end: &str| asset(manifest, end);
        assert_eq!(found("https://s3/bucket/pre/12.json").as_deref(), Some("a.json"));
        assert_eq!(found("/pre/12.json").as_deref(), Some("a.json"));
        assert_eq!((found("2.json"), found("/4/pre12.json"), found("/34.json"), found("/")), (None, None, None, None));
        assert_eq!(asset_manifest("cdk.out/App.template.json").as_deref(), Some("App.assets.json"));
        assert_eq!(asset_manifest("cdk.out/App.yaml"), None);
    }
}
