//! Who we are to a registry: credentials as values, where they come from, and what a registry asks for.
//!
//! Every source is an [`Authenticator`]: the tokens of AWS ([`ecr`]) stand before the files of
//! [`CredentialStore`](store::CredentialStore).
//!
//! Threats: a registry that names a realm of its own to collect passwords (a Bearer realm must be https, see
//! [`http`](super::http)), a log that keeps what was printed for debugging ([`Secret`] prints nothing), a challenge
//! made to break a parser ([`challenge`] takes any text and never fails).

pub mod challenge;
pub mod ecr;
pub mod store;

use futures_util::future::BoxFuture;

use super::error::Error;
use crate::secret::Secret;

/// What proves to a registry who we are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Nothing: public repositories are pulled so.
    #[default]
    Anonymous,
    /// A user and a password, or a token in a password's place (ECR: user `AWS`).
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// An `OAuth2` refresh token (Docker calls it identity token), exchanged for a bearer token at the realm.
    IdentityToken(Secret),
}

/// Whoever knows credentials.
pub trait Authenticator: Send + Sync {
    /// The credentials for a repository (`registry/repository`), or for a registry as a whole (the host of the
    /// reference, with its port). `Anonymous` where there are none.
    ///
    /// `renew`: those that were given before have been refused, perhaps because they have expired. Whoever keeps some
    /// must get new ones; the same again mean that there are no others. Those that cannot be renewed stay what they
    /// are.
    fn credentials<'a>(&'a self, place: &'a str, renew: bool) -> BoxFuture<'a, Result<Credentials, Error>>;
}

/// No credentials for anybody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCredentials;

impl Authenticator for NoCredentials {
    fn credentials<'a>(&'a self, _: &'a str, _: bool) -> BoxFuture<'a, Result<Credentials, Error>> {
        Box::pin(async { Ok(Credentials::Anonymous) })
    }
}

/// The same credentials for every registry.
impl Authenticator for Credentials {
    fn credentials<'a>(&'a self, _: &'a str, _: bool) -> BoxFuture<'a, Result<Credentials, Error>> {
        Box::pin(async { Ok(self.clone()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let basic = Credentials::Basic { user: "AWS".into(), password: Secret::new("hunter2") };
        let token = Credentials::IdentityToken(Secret::new("hunter2"));
        assert_eq!(format!("{basic:?} {token:?}"), "Basic { user: \"AWS\", password: … } IdentityToken(…)");
    }
}
