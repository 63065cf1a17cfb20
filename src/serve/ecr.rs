//! Amazon ECR, as it answers: what differs from the distribution-spec, and the control plane beside it.
//!
//! Two front doors, one state. `/v2/…` is the registry API with ECR's habits: repositories that must exist, `201` for
//! a `PATCH`, a `Range` that stays where it was, parts of at least 5 MiB, manifests read strictly, tags that may be
//! immutable. `POST /` is the ECR API itself (JSON 1.1), and enough of STS to ask who one is. Habits that differ
//! between accounts, or that nobody likes to meet in production, are a [`Switch`]; what goes wrong now and then is a
//! [`fault`](super::fault).
//!
//! Where a text or a status is AWS's, it is the one that users of ECR quote in their reports ("observed" below), or
//! the one of the ECR API reference. Where neither is known the answer is the specification's.
//!
//! What is kept in memory: repositories' settings, tokens, account settings. They die with the process; images and tags
//! are in the layout, so a repository that holds an image is there again after a restart, with default settings.
//!
//! Threats: signatures are not checked and every password that was handed out is good, so this is for loopback, and
//! nothing here protects an image. A web page in a visitor's browser cannot ask the control plane: its requests need
//! `X-Amz-Target` and `Authorization`, which no page may send to another origin unasked, and we answer no preflight.
//! Tokens, repositories and request bodies are bounded. Passwords are in no `Debug` text and in no log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::oci::digest::Digest;

use super::auth::Random;
use crate::mutex::lock;

pub(super) mod admission;
pub(super) mod control;
mod images;
mod layers;
mod pace;
pub(super) mod parts;
mod registry;
mod settings;
pub(super) mod strict;
mod sts;
pub(super) mod texts;

pub(super) use registry::valid_name;
pub use settings::{EcrSettings, Switch};

/// How many tokens are remembered: far more than a rehearsal asks for.
const TOKENS: usize = 1024;
/// After so many good requests a token expires, where a fault says that it shall.
const EXPIRES_AFTER: u32 = 4;

/// The name of the account setting that lets blobs be mounted (ECR API reference: `PutAccountSetting`).
const BLOB_MOUNTING: &str = "BLOB_MOUNTING";

/// What ECR knows besides images.
pub(super) struct Ecr {
    settings: EcrSettings,
    /// The server's own address: locations start with it, whatever the `Host` header says.
    url: String,
    random: Random,
    tokens: Mutex<VecDeque<Token>>,
    repositories: Mutex<BTreeMap<String, registry::Repository>>,
    account: Mutex<BTreeMap<String, String>>,
    pace: pace::Pace,
    /// How many tokens still have to expire early.
    expiries: AtomicU32,
    /// Good requests since a token was handed out.
    shown: AtomicU32,
}

struct Token {
    digest: Digest,
    until: Instant,
}

/// What a token that is shown is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Good,
    Expired,
    Unknown,
}

impl Ecr {
    pub(super) fn new(settings: EcrSettings, url: String) -> Self {
        let mut account = BTreeMap::new();
        if settings.is_on(Switch::BlobMounting) {
            account.insert(BLOB_MOUNTING.to_owned(), "ENABLED".to_owned());
        }
        Self {
            expiries: AtomicU32::new(settings.expire_tokens),
            settings,
            url,
            random: Random::default(),
            tokens: Mutex::default(),
            repositories: Mutex::default(),
            account: Mutex::new(account),
            pace: pace::Pace::default(),
            shown: AtomicU32::new(0),
        }
    }

    pub(super) fn settings(&self) -> &EcrSettings {
        &self.settings
    }

    pub(super) fn is_on(&self, switch: Switch) -> bool {
        self.settings.is_on(switch)
    }

    /// Where something is, absolutely, as ECR says it (observed).
    pub(super) fn location(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// An upload's id: a UUID by its form.
    pub(super) fn upload_id(&self) -> String {
        let word = self.random.word();
        let parts = [&word[..8], &word[8..12], &word[12..16], &word[16..20], &word[20..]];
        parts.join("-")
    }

    /// A new password, and for how long it is good.
    fn new_password(&self) -> (String, Duration) {
        let password = format!("{}{}", self.random.word(), self.random.word());
        let lifetime = self.settings.token_lifetime;
        let mut tokens = lock(&self.tokens);
        if tokens.len() >= TOKENS {
            tokens.pop_front();
        }
        tokens.push_back(Token { digest: Digest::of(password.as_bytes()), until: Instant::now() + lifetime });
        self.shown.store(0, Ordering::Relaxed);
        (password, lifetime)
    }

    /// What a password is worth. Digests are compared: the time that it takes says nothing about it.
    fn shown(&self, password: &str) -> Shown {
        let digest = Digest::of(password.as_bytes());
        let mut tokens = lock(&self.tokens);
        let now = Instant::now();
        match tokens.iter().find(|token| token.digest == digest) {
            None => return Shown::Unknown,
            Some(token) if token.until <= now => return Shown::Expired,
            Some(_) => {}
        }
        if self.expiries.load(Ordering::Relaxed) > 0 && self.shown.fetch_add(1, Ordering::Relaxed) >= EXPIRES_AFTER {
            self.expiries.fetch_sub(1, Ordering::Relaxed);
            for token in tokens.iter_mut() {
                token.until = now;
            }
            return Shown::Expired;
        }
        Shown::Good
    }

    /// Whether blobs may be mounted: the account's setting, unless a switch says no.
    pub(super) fn mounts(&self) -> bool {
        let enabled = lock(&self.account).get(BLOB_MOUNTING).is_some_and(|value| value == "ENABLED");
        enabled && !self.is_on(Switch::NoMount)
    }

    /// Whether an action is refused on purpose.
    pub(super) fn denies(&self, action: &str) -> bool {
        denied(&self.settings.deny, "ecr", action) || denied(&self.settings.deny_silently, "ecr", action)
    }

    fn arn(&self, repository: Option<&str>) -> String {
        match repository {
            Some(name) => {
                format!("arn:aws:ecr:{}:{}:repository/{name}", self.settings.region, self.settings.account)
            }
            None => "*".into(),
        }
    }
}

/// Whether a list of actions, of ECR where no service is before them, has this action of this service.
fn denied(list: &BTreeSet<String>, service: &str, action: &str) -> bool {
    list.iter()
        .map(|entry| entry.split_once(':').unwrap_or(("ecr", entry)))
        .any(|(of, name)| of == service && (name == "*" || name == action))
}
