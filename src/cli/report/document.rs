//! The JSON that scripts depend on. A field never changes its meaning within a version; what is absent is left out,
//! except where `null` says something.

use dockless::oci::digest::Digest;
use dockless::oci::media_type::MediaType;
use serde::Serialize;
use serde_json::Value;

use super::finding::FindingView;

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
    pub findings: Vec<FindingView>,
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

/// The answer of `targets`.
#[derive(Debug, Clone, Serialize)]
pub struct TargetsReport {
    /// Always [`VERSION`].
    pub version: u32,
    /// The task definitions, in the order of the source.
    pub targets: Vec<TargetReport>,
}

/// A task definition and what it asks for.
#[derive(Debug, Clone, Serialize)]
pub struct TargetReport {
    /// The Terraform address, the `CloudFormation` logical ID, or the family.
    pub id: String,
    /// The family.
    pub family: String,
    /// `X86_64`, `ARM64`, `UNSET` or `UNRESOLVED`
    pub architecture: String,
    /// Where the architecture is stated, or why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture_source: Option<String>,
    /// `LINUX`, ..., `UNSET` or `UNRESOLVED`
    pub operating_system: String,
    /// `FARGATE`, `EC2`, ...; empty where nothing states one.
    pub launch_types: Vec<String>,
    /// What will be asked for at run time; `null` when that is undetermined.
    pub platform: Option<String>,
    /// The container definitions.
    pub containers: Vec<ContainerReport>,
}

/// A container definition.
#[derive(Debug, Clone, Serialize)]
pub struct ContainerReport {
    /// Its name.
    pub name: String,
    /// Its image, or the expression as it stands.
    pub image: String,
    /// Its ports: numbers, or expressions as they stand.
    pub ports: Vec<Value>,
}

/// Whether an image runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It runs.
    Runs,
    /// It does not run.
    DoesNotRun,
    /// It cannot be said.
    Undetermined,
}

/// The answer of `verify`.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// Always [`VERSION`].
    pub version: u32,
    /// The image as it was named.
    pub image: String,
    /// The digest of its top.
    pub digest: Digest,
    /// The verdict over all targets.
    pub verdict: Verdict,
    /// Each target.
    pub targets: Vec<JudgedTarget>,
    /// What was found that belongs to no target.
    pub findings: Vec<FindingView>,
}

/// A target and what was found there.
#[derive(Debug, Clone, Serialize)]
pub struct JudgedTarget {
    /// The task definition.
    #[serde(flatten)]
    pub target: TargetReport,
    /// Whether the image runs there.
    pub verdict: Verdict,
    /// What was found.
    pub findings: Vec<FindingView>,
}

/// A duration in seconds as reports have it, to the millisecond.
pub fn seconds(duration: std::time::Duration) -> f64 {
    // Rounded to whole milliseconds first: f64 then prints no digits that were not measured.
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::finding::Severity;
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
            findings: vec![FindingView {
                rule: "port-not-exposed".into(),
                severity: Severity::Note,
                message: "m".into(),
                ..FindingView::default()
            }],
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
        assert_eq!(json["findings"][0].to_string(), r#"{"message":"m","rule":"port-not-exposed","severity":"note"}"#);
        assert_eq!(serde_json::to_value(Verdict::DoesNotRun).expect("JSON"), "does-not-run");
    }
}
