//! Before a push, and before the build that it ends: is there a repository of that name, and whose credentials are
//! these?
//!
//! It asks the API of ECR, so that a mistyped name costs a second instead of a build. What the credentials may not ask
//! is no failure: the registry itself has the last word.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use thiserror::Error as ThisError;

use crate::aws::ecr::{EcrHost, Kind};
use crate::aws::error::AwsError;
use crate::aws::mutability::TagRule;
use crate::aws::registry::{NewRepository, Registry, RepositoryState};
use crate::aws::session::{Identity, Session};
use crate::event::{Event, Observer};
use crate::oci::digest::Digest;
use crate::oci::reference::Reference;
use crate::registry::client::{Access, Client};
use crate::registry::error::Error;
use crate::registry::push::Seen;
use crate::registry::push::ahead::Sent;
use crate::registry::push::mount::MountSource;

/// How many names are offered for one that does not exist.
const OFFERED: usize = 3;

/// What is known of the ground before a push.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ground {
    /// What holds for the tags of each repository that was seen, by `registry/repository`.
    pub tag_rules: BTreeMap<String, TagRule>,
    /// The repositories that are still to be created, for [`create`].
    pub missing: Vec<(EcrHost, String)>,
    /// Repositories that single blobs can be taken over from: a base image's layers.
    pub mounts: BTreeMap<Digest, MountSource>,
    /// Repositories that any blob may be taken over from.
    pub mount_from: Vec<MountSource>,
    /// What was sent ahead, while the image was being made.
    pub sent: Sent,
    /// What tags named before the build.
    pub seen: Seen,
}

impl Ground {
    /// Whether the tag of a reference, once it names an image, names it for good.
    pub fn is_immutable(&self, reference: &Reference) -> bool {
        let rule = self.tag_rules.get(&reference.name());
        rule.zip(reference.tag_or_latest()).is_some_and(|(rule, tag)| rule.is_immutable(tag))
    }
}

/// Why there is no ground to push to.
#[derive(Debug, ThisError)]
pub enum PreflightError {
    /// There is no repository of that name.
    #[error("there is no repository {name:?} in account {account} in {region}")]
    Missing {
        /// Its name.
        name: String,
        /// The account.
        account: String,
        /// The region.
        region: String,
        /// Names that are like it, the likest first.
        similar: Vec<String>,
        /// The account of the credentials, where it is another one.
        elsewhere: Option<Elsewhere>,
    },
    /// It could not be created.
    #[error("cannot create the repository {name:?}")]
    Create {
        /// Its name.
        name: String,
        /// Why.
        source: AwsError,
    },
    /// It is a repository of the public registry.
    #[error("a repository of the public registry is not created on the way")]
    Public {
        /// Its name, without the registry's alias.
        name: String,
    },
}

impl PreflightError {
    /// What to do.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Missing { name, account, region, elsewhere: Some(elsewhere), .. } => {
                Some(elsewhere.help(name, account, region))
            }
            Self::Missing { name, region, similar, .. } => {
                let mut help = String::new();
                if let Some((first, rest)) = similar.split_first() {
                    help.push_str("did you mean ");
                    help.push_str(first);
                    for other in rest {
                        // Writing to a String cannot fail.
                        let _ = write!(help, ", or {other}");
                    }
                    help.push_str("? Otherwise ");
                }
                let create = format!("`{}`", create_command(name, region));
                let _ = write!(help, "create it with {create}, or let --create-repository do it");
                Some(help)
            }
            Self::Create { source, .. } => source.advice().map(|advice| advice.to_string()),
            Self::Public { name } => Some(format!(
                "create it with `aws ecr-public create-repository --repository-name {name} --region us-east-1`"
            )),
        }
    }
}

/// The account of the credentials, where it is not the registry's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    account: String,
    /// Whether it has a repository of the name that the registry does not have.
    has: bool,
}

impl Elsewhere {
    /// What to do about a repository that the registry's account does not have.
    pub(super) fn help(&self, name: &str, account: &str, region: &str) -> String {
        let ours = &self.account;
        if self.has {
            return format!(
                "{name} exists in {ours}, the account of the credentials: correct the account in the reference"
            );
        }
        let create = create_command(name, region);
        format!(
            "the credentials are of account {ours}: correct the account in the reference, or create it with credentials \
             of {account}, by `{create}`"
        )
    }
}

/// Whether the credentials are of another account than the registry, and what that account has.
pub(super) async fn elsewhere(session: &Session, host: &EcrHost, name: &str) -> Option<Elsewhere> {
    let (Identity { account, .. }, _) = apart(session, host).await.ok()??;
    let ours = EcrHost { account: Some(account.clone()), ..host.clone() };
    let has = matches!(Registry::new(session, &ours).repository(name).await, Ok(Some(_)));
    Some(Elsewhere { account, has })
}

/// The command of the AWS CLI that creates a repository.
pub fn create_command(name: &str, region: &str) -> String {
    format!("aws ecr create-repository --repository-name {name} --region {region}")
}

/// Looks at the repositories of ECR among these references. One that is missing is an error, unless it is to be created
/// later: before the verdict nothing is written.
///
/// # Errors
/// Where a repository is missing, or a tag names another image for good. What may not be asked is no error.
pub async fn preflight(
    session: &Session,
    references: &[Reference],
    creates: bool,
    observer: &dyn Observer,
) -> Result<Ground, PreflightError> {
    let mut ground = Ground::default();
    let mut seen: Vec<&Reference> = Vec::new();
    let mut asked_who: Vec<EcrHost> = Vec::new();
    for reference in references {
        if seen.iter().any(|known| known.name() == reference.name()) {
            continue;
        }
        seen.push(reference);
        let Some(host) = EcrHost::parse(reference.registry()) else { continue };
        if host.kind == Kind::Public {
            if creates {
                let name = reference.repository().split_once('/').map_or("", |(_, name)| name);
                return Err(PreflightError::Public { name: name.into() });
            }
            continue;
        }
        let registry = Registry::new(session, &host);
        let who = async { if asked_who.contains(&host) { Ok(None) } else { other_account(session, &host).await } };
        let (state, stranger) = tokio::join!(registry.repository(reference.repository()), who);
        match stranger {
            Ok(Some(warning)) => observer.note(Event::Warning(&warning)),
            Ok(None) => {}
            Err(error) => observer.note(Event::Detail(&format!("whose credentials these are is not known: {error}"))),
        }
        asked_who.push(host.clone());
        let name = reference.name();
        match state {
            Ok(Some(RepositoryState { tags, .. })) => drop(ground.tag_rules.insert(name, tags)),
            Ok(None) if creates => ground.missing.push((host.clone(), reference.repository().to_owned())),
            Ok(None) => Box::pin(missing(session, &host, reference.repository(), observer)).await?,
            Err(error) => {
                let why = format!("whether {name} exists cannot be asked: {error}");
                // Who asked for a repository wants to know why there will be none.
                observer.note(if creates { Event::Warning(&why) } else { Event::Detail(&why) });
            }
        }
    }
    Ok(ground)
}

/// Asks each registry for what the first of its references names: one that cannot be reached, or that does not know us,
/// is an error before a build instead of after it. What was seen on the way need not be asked again.
///
/// # Errors
/// Where a registry cannot be reached, or does not know us.
pub async fn reach(client: &Client, references: &[Reference]) -> Result<Seen, Error> {
    let mut seen = Seen::new();
    let mut asked: Vec<&str> = Vec::new();
    for reference in references {
        if asked.contains(&reference.registry()) {
            continue;
        }
        asked.push(reference.registry());
        let Some(tag) = reference.tag_or_latest() else { continue };
        match client.repository(reference, Access::Push)?.head_manifest(tag).await {
            Ok(head) => {
                let found = (Instant::now(), head.map(|head| head.digest));
                seen.insert(format!("{}:{tag}", reference.name()), found);
            }
            // Whoever may push need not be allowed to read, and the first push may create the repository.
            Err(Error::Denied(_) | Error::NameUnknown(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(seen)
}

/// Creates the repositories that were missing.
///
/// # Errors
/// Where one cannot be created, with the permission that is missing.
pub async fn create(session: &Session, ground: &Ground, new: &NewRepository) -> Result<(), PreflightError> {
    for (host, name) in &ground.missing {
        let failed = |source| PreflightError::Create { name: name.clone(), source };
        Registry::new(session, host).create(name, new).await.map_err(failed)?;
    }
    Ok(())
}

/// A warning where the credentials are of another account than the registry.
async fn other_account(session: &Session, host: &EcrHost) -> Result<Option<String>, AwsError> {
    let other = apart(session, host).await?;
    Ok(other.map(|(Identity { account: ours, arn, .. }, account)| {
        format!(
            "the credentials are of account {ours} ({arn}), the registry is of account {account}: it must let them in"
        )
    }))
}

/// Whose the credentials are and of which account the registry is, where these are two.
async fn apart<'h>(session: &Session, host: &'h EcrHost) -> Result<Option<(Identity, &'h str)>, AwsError> {
    let identity = session.identity(&host.region).await?;
    let other = host.account.as_deref().filter(|account| *account != identity.account);
    Ok(other.map(|account| (identity, account)))
}

/// What to make of a repository that is not there: a template may create it by the push.
async fn missing(session: &Session, host: &EcrHost, name: &str, observer: &dyn Observer) -> Result<(), PreflightError> {
    let registry = Registry::new(session, host);
    let (templates, names, elsewhere) =
        tokio::join!(registry.creates_on_push(name), registry.names(), elsewhere(session, host, name));
    match templates {
        Ok(true) => {
            let text = format!("the repository {name:?} does not exist yet: the push creates it by a template");
            observer.note(Event::Warning(&text));
            return Ok(());
        }
        Ok(false) => {}
        // Whether a push creates it is not known, so that the push must show it.
        Err(error) if error.is_denied() => {
            observer.note(Event::Detail(&format!("the templates for repositories cannot be seen: {error}")));
            return Ok(());
        }
        // An imitation of ECR without templates, or a fault: what does not exist is not created by a push there.
        Err(error) => observer.note(Event::Detail(&format!("there are no templates for repositories: {error}"))),
    }
    Err(PreflightError::Missing {
        name: name.into(),
        account: host.account.clone().unwrap_or_default(),
        region: host.region.clone(),
        similar: similar(name, &names.unwrap_or_default()),
        elsewhere,
    })
}

/// The names that are most like one, if they are like it at all.
pub(super) fn similar(name: &str, names: &[String]) -> Vec<String> {
    let mut near: Vec<(usize, &String)> = names
        .iter()
        .filter(|other| other.len().abs_diff(name.len()) <= 2 || last(other) == last(name))
        .map(|other| {
            let distance = strsim::damerau_levenshtein(name, other);
            // The same name in another folder is a likely slip as well.
            (if last(other) == last(name) { distance.min(2) } else { distance }, other)
        })
        .filter(|(distance, _)| *distance <= 2.max(name.len() / 6))
        .collect();
    near.sort();
    near.into_iter().take(OFFERED).map(|(_, other)| other.clone()).collect()
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likely_names_are_offered() {
        let names = ["team/app", "team/api", "other/app", "web", "team/application"].map(str::to_owned);
        assert_eq!(similar("team/ap", &names), ["team/api", "team/app"]);
        assert_eq!(similar("tema/app", &names), ["team/app", "other/app", "team/api"]);
        assert_eq!(similar("app", &names), ["other/app", "team/app"]);
        assert_eq!(similar("wbe", &names), ["web"]);
        assert!(similar("database", &names).is_empty());
    }
}
