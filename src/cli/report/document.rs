//! The JSON that scripts depend on. A field never changes its meaning within a version; what is absent is left out,
//! except where `null` says something.

use dockless::ecs::target::TargetJson;
use dockless::oci::digest::Digest;
use dockless::oci::media_type::MediaType;
use dockless::verify::finding::Finding;
use serde::Serialize;

/// The version of every document here.
pub const VERSION: u32 = 1;

/// The report of a build or a push.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Always [`VERSION`].
    pub version: u32,
    /// The digest of the image index.
    pub digest: Digest,
    /// `registry/repository@sha256:...`, one per distinct repository.
    pub references: Vec<String>,
    /// What was made, in the order of the index.
    pub platforms: Vec<PlatformReport>,
    /// What was sent.
    pub uploads: Vec<UploadReport>,
    /// What was found by verifying.
    pub findings: Vec<Finding>,
    /// What else the user should know.
    pub warnings: Vec<String>,
}

/// The image of one platform.
#[derive(Debug, Clone, Serialize)]
pub struct PlatformReport {
    /// `linux/arm64`
    pub platform: String,
    /// The digest of the image manifest.
    pub manifest: Digest,
    /// The digest of the image configuration.
    pub config: Digest,
    /// The layers, lowest first.
    pub layers: Vec<LayerReport>,
}

/// A layer.
#[derive(Debug, Clone, Serialize)]
pub struct LayerReport {
    /// The recipe's name for it; layers of a base have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The digest of its blob.
    pub digest: Digest,
    /// The digest of its tar.
    pub diff_id: Digest,
    /// The size of its blob in bytes.
    pub size: u64,
    /// The media type of its blob.
    pub media_type: MediaType,
    /// Whether it was there already; left out where nothing was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached: Option<bool>,
}

/// A blob or manifest at a registry.
#[derive(Debug, Clone, Serialize)]
pub struct UploadReport {
    /// Which.
    pub digest: Digest,
    /// How many bytes went over the wire for it, those of failed attempts included.
    pub bytes_sent: u64,
    /// `uploaded`, `mounted` or `present`
    pub status: &'static str,
    /// How many requests were made again.
    pub retries: u32,
    /// How long it took, in milliseconds' precision.
    pub seconds: f64,
}

/// What a source holds.
#[derive(Debug, Clone, Serialize)]
pub struct TargetsReport {
    /// Always [`VERSION`].
    pub version: u32,
    /// The task definitions.
    pub targets: Vec<TargetJson>,
}

/// A duration in seconds as reports have it, to the millisecond.
pub fn seconds(duration: std::time::Duration) -> f64 {
    // Rounded to whole milliseconds first: f64 then prints no digits that were not measured.
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dockless::verify::finding::{Rule, Severity};
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_report_has_the_promised_words() {
        let digest = Digest::of(b"{}");
        let layer = LayerReport {
            name: Some("app".into()),
            digest,
            diff_id: digest,
            size: 7,
            media_type: MediaType::ImageManifest,
            cached: Some(true),
        };
        let report = Report {
            version: VERSION,
            digest,
            references: vec![format!("example.com/app@{digest}")],
            platforms: vec![PlatformReport {
                platform: "linux/arm64".into(),
                manifest: digest,
                config: digest,
                layers: vec![layer],
            }],
            uploads: vec![UploadReport {
                digest,
                bytes_sent: 7,
                status: "uploaded",
                retries: 0,
                seconds: seconds(Duration::from_micros(1_234_567)),
            }],
            findings: vec![Finding::new(Rule::PlatformMissing, Severity::Note, "m")],
            warnings: Vec::new(),
        };
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["version"], 1);
        assert_eq!(json["uploads"][0]["seconds"], 1.235);
        let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>().join(" ");
        let sorted = |value: &Value| {
            let mut keys: Vec<_> = keys(value).split(' ').map(str::to_owned).collect();
            keys.sort();
            keys.join(" ")
        };
        assert_eq!(sorted(&json), "digest findings platforms references uploads version warnings");
        assert_eq!(sorted(&json["platforms"][0]), "config layers manifest platform");
        assert_eq!(sorted(&json["platforms"][0]["layers"][0]), "cached diff_id digest media_type name size");
        assert_eq!(sorted(&json["uploads"][0]), "bytes_sent digest retries seconds status");
        assert_eq!(json["findings"][0].to_string(), r#"{"message":"m","rule":"platform-missing","severity":"note"}"#);
    }
}
