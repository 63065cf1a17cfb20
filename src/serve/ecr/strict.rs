//! Manifests that ECR's reader refuses though the image-spec has them: it knows the fields of each object and takes no
//! other one where it does not expect it. The list is what users ran into (observed), not what ECR documents.

use serde_json::Value;

/// Whether ECR reads a manifest.
pub(in super::super) fn readable(bytes: &[u8]) -> bool {
    let Ok(manifest) = serde_json::from_slice::<Value>(bytes) else { return false };
    // Only the native API takes a manifest without it, beside the media type as a parameter.
    if !manifest["mediaType"].is_string() || manifest["schemaVersion"] != 2 {
        return false;
    }
    let config = manifest.get("config");
    if config.is_some_and(|config| has(config, &["platform", "annotations", "data"])) {
        return false;
    }
    let subject = manifest.get("subject");
    if subject.is_some_and(|subject| has(subject, &["platform", "data"])) {
        return false;
    }
    let descriptors = ["layers", "manifests"].into_iter().filter_map(|key| manifest[key].as_array()).flatten();
    !descriptors.into_iter().any(|descriptor| has(descriptor, &["data"]))
}

fn has(object: &Value, fields: &[&str]) -> bool {
    fields.iter().any(|field| object.get(field).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_trigger() {
        let plain = json!({ "schemaVersion": 2, "mediaType": "m", "config": { "size": 2 }, "layers": [{ "size": 1 }] });
        let with = |pointer: &str, key: &str| {
            let mut manifest = plain.clone();
            manifest["subject"] = json!({ "size": 1 });
            manifest.pointer_mut(pointer).expect("the object")[key] = json!({});
            readable(manifest.to_string().as_bytes())
        };
        assert!(readable(plain.to_string().as_bytes()));
        assert!(with("", "annotations") && with("/layers/0", "annotations") && with("/subject", "annotations"));
        for (pointer, key) in [
            ("/config", "platform"),
            ("/config", "annotations"),
            ("/config", "data"),
            ("/subject", "platform"),
            ("/layers/0", "data"),
            ("", "mediaType"),
        ] {
            assert!(!with(pointer, key), "{pointer} {key}");
        }
        assert!(!readable(b"{"));
        assert!(!readable(br#"{"schemaVersion":2}"#));
    }
}
