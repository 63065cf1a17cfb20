//! What kind of ECR is answered as.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::oci::digest::Digest;

/// A habit of ECR that is on or off. All are off to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Switch {
    /// A push makes the repository that is missing (what a repository creation template does).
    CreateOnPush,
    /// No credentials are asked for at the registry API.
    Anonymous,
    /// `Range` after a `PATCH` says what is held, as the specification has it. Off: it stays at the first chunk
    /// (observed).
    FreshRange,
    /// An upload's status can be asked for. Off: 404, always (observed).
    UploadStatus,
    /// Manifests are read as the specification has it. Off: what ECR's own reader refuses is refused (observed).
    LooseManifests,
    /// New repositories have immutable tags.
    Immutable,
    /// A tag that is immutable is refused also for the digest that it has (observed).
    ImmutableSameDigest,
    /// "the repository is immutable", as it read until 2024, instead of "the tag is immutable" (observed).
    OlderTexts,
    /// `BLOB_MOUNTING` is enabled from the beginning. Off, as in a new account: a mount is answered with an upload.
    BlobMounting,
    /// No blob is ever mounted, whatever the account's setting says.
    NoMount,
    /// The connection is closed on whoever uploads to a repository that is not there (observed).
    SilentWhenMissing,
    /// The documented request rates are enforced (ECR service quotas).
    Pace,
}

/// An account's registry in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcrSettings {
    /// The account: twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// Repositories that are there from the beginning, besides those that the layout has images of.
    pub repositories: Vec<String>,
    /// The switches that are on.
    pub switches: BTreeSet<Switch>,
    /// With [`Switch::Immutable`]: tags that match one of these can be moved all the same.
    pub mutable_tags: Vec<String>,
    /// For how long a token is good (ECR API reference: 12 hours).
    pub token_lifetime: Duration,
    /// So many tokens expire in the middle of their use.
    pub expire_tokens: u32,
    /// Actions that are refused, as `ecr:InitiateLayerUpload`, or `ecr:*`.
    pub deny: BTreeSet<String>,
    /// Actions whose connection is closed instead.
    pub deny_silently: BTreeSet<String>,
    /// Blobs and images that are archived.
    pub archived: BTreeSet<Digest>,
    /// What `OCI-Chunk-Min-Length` says, if it is sent at all.
    pub chunk_min_length: Option<u64>,
    /// The least bytes that a part has, unless it is the last one (ECR service quotas: 5 MiB).
    pub part_min: u64,
    /// Into parts of how many bytes uploads are cut (ECR service quotas: 10 MiB).
    pub part_max: u64,
    /// How many parts a layer has at most (ECR service quotas: 4,200).
    pub parts: u64,
}

impl EcrSettings {
    /// The registry of an account in a region.
    pub fn new(account: &str, region: &str) -> Self {
        Self {
            account: account.into(),
            region: region.into(),
            repositories: Vec::new(),
            switches: BTreeSet::new(),
            mutable_tags: Vec::new(),
            token_lifetime: Duration::from_hours(12),
            expire_tokens: 0,
            deny: BTreeSet::new(),
            deny_silently: BTreeSet::new(),
            archived: BTreeSet::new(),
            chunk_min_length: None,
            part_min: 5 << 20,
            part_max: 10 << 20,
            parts: 4200,
        }
    }

    /// Whether a switch is on.
    pub fn is_on(&self, switch: Switch) -> bool {
        self.switches.contains(&switch)
    }

    /// The registry's host name in AWS: `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, in China with `.cn`.
    pub fn host(&self) -> String {
        let suffix = if self.region.starts_with("cn-") { ".cn" } else { "" };
        format!("{}.dkr.ecr.{}.amazonaws.com{suffix}", self.account, self.region)
    }
}

impl Default for EcrSettings {
    fn default() -> Self {
        Self::new("123456789012", "us-east-1")
    }
}
