//! Faults and habits by their names, as `serve --fault NAME[=N]` has them.
//!
//! [`KNOWN`] has them, and `serve --help` prints it. A name may be given again with another value: what counts requests
//! counts for each, what names actions, tags or digests adds up. Those of the wire are for any registry, the others for
//! ECR.
//!
//! | fault | what happens |
//! |---|---|
//! | `drop-patch[=N]` | the connection is closed in the middle of the Nth PATCH |
//! | `drop-after-patch[=N]` | the bytes of the Nth PATCH are kept, its answer is lost |
//! | `drop-put[=N]` | the connection is closed in the middle of the Nth PUT of a blob |
//! | `drop-after-put[=N]` | the Nth PUT of a blob completes it, its answer is lost |
//! | `drop-after-put-image[=N]` | the Nth manifest is kept, its answer is lost |
//! | `throttle[=N]` | the first N requests of uploads get 429 with Retry-After |
//! | `throttle-put-image[=N]` | the first N manifests get 429 with Retry-After |
//! | `server-error[=N]` | the first N requests of uploads get 500 |
//! | `slow=MS` | every answer comes so many milliseconds later |
//! | `random[=SEED]` | now and then 429, 500, 503, a closed connection or a delay |
//! | `expire-token[=N]` | N tokens expire after four requests: 403 |
//! | `deny=ACTION` | 403 for an action, such as ecr:InitiateLayerUpload or sts:AssumeRole |
//! | `deny-silently=ACTION` | the same, but the connection is closed |
//! | `silent-when-missing` | the connection is closed where the repository is missing |
//! | `pace` | the documented request rates are enforced: PutImage 10 a second, and so on |
//! | `anonymous` | the registry asks for no credentials |
//! | `immutable[=WILDCARD]` | tags are immutable, but for those that the wildcard matches |
//! | `immutable-same-digest` | an immutable tag is refused also for the digest that it has |
//! | `older-texts` | errors read as they did until 2024 |
//! | `blob-mounting` | the account has BLOB_MOUNTING enabled from the start |
//! | `no-mount` | no blob is mounted, whatever the account's setting says |
//! | `archived=DIGEST` | a blob or an image is archived |
//! | `chunk-min-length=BYTES` | OCI-Chunk-Min-Length is sent |
//! | `stale-range` | Range after a PATCH stays at the first chunk (the default) |
//! | `no-stale-range` | Range after a PATCH says what is held |
//! | `upload-status` | an upload's status can be asked for, instead of 404 |
//! | `loose-manifests` | manifests are read as the specification says, instead of as ECR does |

use std::str::FromStr;
use std::time::Duration;

use hyper::Method;
use thiserror::Error;

use super::super::ecr::{EcrSettings, Switch};
use super::super::route::Endpoint;
use super::super::{Like, Settings};
use super::{Action, Fault};

/// A fault that has a name.
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// What its value is called, where it takes one; in brackets where it may be left out.
    pub value: &'static str,
    /// What it does.
    pub says: &'static str,
    does: Does,
}

enum Does {
    /// Faults of the wire, by a number that is 1 where none is given.
    Wire(fn(u32) -> Vec<Fault>),
    /// A seed.
    Chance,
    /// A switch of ECR, on.
    Turns(Switch),
    /// The same, off.
    TurnsOff(Switch),
    /// A setting of ECR, by a number that is 1 where none is given.
    Counts(fn(&mut EcrSettings, u64)),
    /// A setting of ECR, by a text that may be left out only if the value is in brackets.
    Takes(fn(&mut EcrSettings, &str) -> Result<(), &'static str>),
}

/// Why a fault is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FaultError {
    /// There is no such name.
    #[error("{0:?} is no fault; there are {names}", names = names())]
    Unknown(String),
    /// It takes no value, needs one, or needs another one.
    #[error("--fault {name} takes {wants}")]
    Value {
        /// Its name.
        name: &'static str,
        /// What it takes.
        wants: String,
    },
    /// It is a habit of ECR.
    #[error("{0} is a fault of ECR: it needs --like ecr")]
    OnlyEcr(&'static str),
}

/// A fault by its name, with its value.
#[derive(Clone)]
pub struct Named {
    known: &'static Known,
    value: Option<String>,
}

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Named").field("name", &self.known.name).field("value", &self.value).finish()
    }
}

impl FromStr for Named {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let known = KNOWN.iter().find(|known| known.name == name);
        let named = Self { known: known.ok_or_else(|| FaultError::Unknown(name.to_owned()))?, value };
        // Whatever its value is worth is said now, not when the server starts.
        named.apply(&mut Settings::like_ecr(std::path::Path::new(""), EcrSettings::default()))?;
        Ok(named)
    }
}

impl Named {
    /// Adds it to what a server is to do.
    ///
    /// # Errors
    /// Where it is a habit of ECR, and the server is not like ECR.
    pub fn apply(&self, settings: &mut Settings) -> Result<(), FaultError> {
        let Known { name, value: wants, does, .. } = self.known;
        let wrong = |wants: &str| FaultError::Value { name, wants: wants.to_owned() };
        let number = || match self.value.as_deref() {
            None => Ok(1),
            Some(text) => text.parse::<u32>().map_err(|_| wrong("a number")),
        };
        let Settings { like, faults, chance, .. } = settings;
        let ecr = match like {
            Like::Ecr(ecr) => Ok(ecr),
            Like::Plain => Err(FaultError::OnlyEcr(name)),
        };
        match does {
            Does::Wire(_) if self.value.is_none() && *wants == "MS" => Err(wrong("milliseconds")),
            Does::Wire(make) => {
                faults.extend(make(number()?));
                Ok(())
            }
            Does::Chance => {
                *chance = Some(number()?.into());
                Ok(())
            }
            Does::Turns(_) | Does::TurnsOff(_) if self.value.is_some() => Err(wrong("no value")),
            Does::Turns(switch) => {
                ecr?.switches.insert(*switch);
                Ok(())
            }
            Does::TurnsOff(switch) => {
                ecr?.switches.remove(switch);
                Ok(())
            }
            Does::Counts(set) => {
                set(ecr?, number()?.into());
                Ok(())
            }
            Does::Takes(set) => match self.value.as_deref() {
                None if !wants.starts_with('[') => Err(wrong(&format!("a value: {name}={wants}"))),
                value => set(ecr?, value.unwrap_or_default()).map_err(wrong),
            },
        }
    }
}

/// All names, for an error.
fn names() -> String {
    KNOWN.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
}

/// The table as lines, for `--help`.
pub fn table() -> String {
    let line = |known: &Known| {
        let separator = if known.value.starts_with('[') || known.value.is_empty() { "" } else { "=" };
        format!("- {}{separator}{}: {}", known.name, known.value, known.says)
    };
    KNOWN.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Requests of an upload: `POST`, `PATCH` and `PUT`.
fn of_uploads(times: u32, action: Action) -> Vec<Fault> {
    let endpoint = Some(Endpoint::Uploads);
    vec![Fault { method: None, endpoint, or_endpoint: Some(Endpoint::Upload), skip: 0, times, action }]
}

/// The nth request of its kind alone.
fn nth(method: Method, endpoint: Endpoint, number: u32, action: Action) -> Vec<Fault> {
    vec![Fault { skip: number.saturating_sub(1), ..Fault::first(method, endpoint, action) }]
}

const fn throttled() -> Action {
    Action::Status { status: 429, retry_after: Some(1) }
}

/// The faults that there are.
pub const KNOWN: &[Known] = &[
    Known {
        name: "drop-patch",
        value: "[=N]",
        says: "the connection is closed in the middle of the Nth PATCH",
        does: Does::Wire(|n| nth(Method::PATCH, Endpoint::Upload, n, Action::HangUpHalfway)),
    },
    Known {
        name: "drop-after-patch",
        value: "[=N]",
        says: "the bytes of the Nth PATCH are kept, its answer is lost",
        does: Does::Wire(|n| nth(Method::PATCH, Endpoint::Upload, n, Action::LoseAnswer)),
    },
    Known {
        name: "drop-put",
        value: "[=N]",
        says: "the connection is closed in the middle of the Nth PUT of a blob",
        does: Does::Wire(|n| nth(Method::PUT, Endpoint::Upload, n, Action::HangUpHalfway)),
    },
    Known {
        name: "drop-after-put",
        value: "[=N]",
        says: "the Nth PUT of a blob completes it, its answer is lost",
        does: Does::Wire(|n| nth(Method::PUT, Endpoint::Upload, n, Action::LoseAnswer)),
    },
    Known {
        name: "drop-after-put-image",
        value: "[=N]",
        says: "the Nth manifest is kept, its answer is lost",
        does: Does::Wire(|n| nth(Method::PUT, Endpoint::Manifest, n, Action::LoseAnswer)),
    },
    Known {
        name: "throttle",
        value: "[=N]",
        says: "the first N requests of uploads get 429 with Retry-After",
        does: Does::Wire(|n| of_uploads(n, throttled())),
    },
    Known {
        name: "throttle-put-image",
        value: "[=N]",
        says: "the first N manifests get 429 with Retry-After",
        does: Does::Wire(|n| vec![Fault { times: n, ..Fault::first(Method::PUT, Endpoint::Manifest, throttled()) }]),
    },
    Known {
        name: "server-error",
        value: "[=N]",
        says: "the first N requests of uploads get 500",
        does: Does::Wire(|n| of_uploads(n, Action::Status { status: 500, retry_after: None })),
    },
    Known {
        name: "slow",
        value: "MS",
        says: "every answer comes so many milliseconds later",
        does: Does::Wire(|ms| {
            let action = Action::Delay(Duration::from_millis(ms.into()));
            vec![Fault { method: None, endpoint: None, or_endpoint: None, skip: 0, times: u32::MAX, action }]
        }),
    },
    Known {
        name: "random",
        value: "[=SEED]",
        says: "now and then 429, 500, 503, a closed connection or a delay",
        does: Does::Chance,
    },
    Known {
        name: "expire-token",
        value: "[=N]",
        says: "N tokens expire after four requests: 403",
        does: Does::Counts(|ecr, n| ecr.expire_tokens = n.try_into().unwrap_or(u32::MAX)),
    },
    Known {
        name: "deny",
        value: "ACTION",
        says: "403 for an action, such as ecr:InitiateLayerUpload or sts:AssumeRole",
        does: Does::Takes(|ecr, action| {
            ecr.deny.insert(known_action(action, true)?);
            Ok(())
        }),
    },
    Known {
        name: "deny-silently",
        value: "ACTION",
        says: "the same, but the connection is closed",
        does: Does::Takes(|ecr, action| {
            ecr.deny_silently.insert(known_action(action, false)?);
            Ok(())
        }),
    },
    Known {
        name: "silent-when-missing",
        value: "",
        says: "the connection is closed where the repository is missing",
        does: Does::Turns(Switch::SilentWhenMissing),
    },
    Known {
        name: "pace",
        value: "",
        says: "the documented request rates are enforced: PutImage 10 a second, and so on",
        does: Does::Turns(Switch::Pace),
    },
    Known {
        name: "anonymous",
        value: "",
        says: "the registry asks for no credentials",
        does: Does::Turns(Switch::Anonymous),
    },
    Known {
        name: "immutable",
        value: "[=WILDCARD]",
        says: "tags are immutable, but for those that the wildcard matches",
        does: Does::Takes(|ecr, filter| {
            ecr.switches.insert(Switch::Immutable);
            if !filter.is_empty() {
                ecr.mutable_tags.push(filter.to_owned());
            }
            Ok(())
        }),
    },
    Known {
        name: "immutable-same-digest",
        value: "",
        says: "an immutable tag is refused also for the digest that it has",
        does: Does::Turns(Switch::ImmutableSameDigest),
    },
    Known {
        name: "older-texts",
        value: "",
        says: "errors read as they did until 2024",
        does: Does::Turns(Switch::OlderTexts),
    },
    Known {
        name: "blob-mounting",
        value: "",
        says: "the account has BLOB_MOUNTING enabled from the start",
        does: Does::Turns(Switch::BlobMounting),
    },
    Known {
        name: "no-mount",
        value: "",
        says: "no blob is mounted, whatever the account's setting says",
        does: Does::Turns(Switch::NoMount),
    },
    Known {
        name: "archived",
        value: "DIGEST",
        says: "a blob or an image is archived",
        does: Does::Takes(|ecr, digest| {
            ecr.archived.insert(digest.parse().map_err(|_| "a digest: archived=sha256:...")?);
            Ok(())
        }),
    },
    Known {
        name: "chunk-min-length",
        value: "BYTES",
        says: "OCI-Chunk-Min-Length is sent",
        does: Does::Takes(|ecr, bytes| {
            ecr.chunk_min_length = Some(bytes.parse().map_err(|_| "a number of bytes")?);
            Ok(())
        }),
    },
    Known {
        name: "stale-range",
        value: "",
        says: "Range after a PATCH stays at the first chunk (the default)",
        does: Does::TurnsOff(Switch::FreshRange),
    },
    Known {
        name: "no-stale-range",
        value: "",
        says: "Range after a PATCH says what is held",
        does: Does::Turns(Switch::FreshRange),
    },
    Known {
        name: "upload-status",
        value: "",
        says: "an upload's status can be asked for, instead of 404",
        does: Does::Turns(Switch::UploadStatus),
    },
    Known {
        name: "loose-manifests",
        value: "",
        says: "manifests are read as the specification says, instead of as ECR does",
        does: Does::Turns(Switch::LooseManifests),
    },
];

/// An action of ECR's, by the form of its name.
/// An action with its service, which is ECR where it is not said. Only refusals of the API are told by STS.
fn known_action(text: &str, sts: bool) -> Result<String, &'static str> {
    let (service, name) = text.split_once(':').unwrap_or(("ecr", text));
    let good = name == "*" || (!name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic()));
    match service {
        "ecr" if good => Ok(format!("ecr:{name}")),
        "sts" if good && sts => Ok(format!("sts:{name}")),
        _ if sts => Err("an action of ECR or STS, such as ecr:PutImage"),
        _ => Err("an action of ECR, such as ecr:PutImage"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_above_is_whole() {
        let text = include_str!("named.rs");
        for known in KNOWN {
            assert!(text.contains(&format!("//! | `{}", known.name)), "{}", known.name);
            assert!(text.contains(&format!("` | {} |", known.says)), "{}", known.says);
        }
    }
}
