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
}
