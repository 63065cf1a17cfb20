//! The tokens of ECR: AWS credentials to a password for the registry, before what `docker login` left behind.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::store::host;
use super::{Authenticator, Credentials};
use crate::aws::ecr::{EcrHost, Kind};
use crate::aws::error::AwsError;
use crate::aws::registry::{Registry, Token};
use crate::aws::session::Session;
use crate::event::{Event, Observer};
use crate::registry::endpoints::Endpoints;
use crate::registry::error::Error;

/// Which credentials count at a host of ECR. Elsewhere AWS's never do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Source {
    /// AWS's, and where there are none or they are refused the others.
    #[default]
    Auto,
    /// AWS's alone: a failure to get them is one.
    Aws,
    /// The others alone.
    Docker,
}

/// Credentials for hosts of ECR out of AWS credentials; for all other hosts those of another source.
pub struct EcrTokens {
    session: Arc<Session>,
    source: Source,
    stand_ins: Endpoints,
    others: Arc<dyn Authenticator>,
    observer: Arc<dyn Observer>,
    /// A token is good for every registry of its region (ECR API reference: `GetAuthorizationToken`).
    kept: Mutex<HashMap<(String, Kind), Token>>,
}

impl EcrTokens {
    /// Tokens by this session, before these others. No request is made. A token of AWS's is not for
    /// what stands in for a registry.
    pub fn new(
        session: Arc<Session>,
        source: Source,
        stand_ins: Endpoints,
        others: Arc<dyn Authenticator>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self { session, source, stand_ins, others, observer, kept: Mutex::default() }
    }

    async fn token(&self, host: &EcrHost, renew: bool) -> Result<Credentials, AwsError> {
        // Held while it is fetched: many uploads that find the token expired ask for one new token.
        let mut kept = self.kept.lock().await;
        let key = (host.region.clone(), host.kind);
        if let Some(token) = kept.get(&key).filter(|token| token.is_fresh() && !renew) {
            return Ok(basic(token));
        }
        let found = async {
            if renew {
                // It ends with the session of the role that got it, sooner than it says.
                self.session.renew(&host.region).await?;
            }
            Registry::new(&self.session, host).token().await
        };
        let token = match (found.await, kept.get(&key)) {
            // Some credentials are to be had only once; what they gave is better than nothing.
            (Err(error), Some(old)) if renew => {
                self.observer.note(Event::Detail(&format!("the token of {} is kept: {error}", host.region)));
                return Ok(basic(old));
            }
            (found, _) => found?,
        };
        let credentials = basic(&token);
        kept.insert(key, token);
        Ok(credentials)
    }
}

fn basic(token: &Token) -> Credentials {
    Credentials::Basic { user: token.user.clone(), password: token.password.clone() }
}

impl Authenticator for EcrTokens {
    fn credentials<'a>(&'a self, place: &'a str, renew: bool) -> BoxFuture<'a, Result<Credentials, Error>> {
        Box::pin(async move {
            let registry = host(place);
            let ours = self.source != Source::Docker && !self.stand_ins.stand_in_for(registry);
            let host = EcrHost::parse(registry).filter(|_| ours);
            let Some(host) = host else { return self.others.credentials(place, renew).await };
            let error = match self.token(&host, renew).await {
                Ok(credentials) => return Ok(credentials),
                Err(error) => error,
            };
            let failed = |source| Error::Aws { registry: registry.into(), source: Box::new(source) };
            if self.source == Source::Aws {
                return Err(failed(error));
            }
            match self.others.credentials(place, renew).await? {
                Credentials::Anonymous if host.kind == Kind::Private => Err(failed(error)),
                // The public registry lets everybody pull.
                credentials => {
                    let whose =
                        if credentials == Credentials::Anonymous { "no credentials" } else { "those of Docker" };
                    self.observer.note(Event::Detail(&format!("{registry}: {error}; using {whose}")));
                    Ok(credentials)
                }
            }
        })
    }
}
