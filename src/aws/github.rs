//! The OIDC token of a job in GitHub Actions, for which AWS gives credentials of a role
//! (GitHub documentation "OIDC in cloud providers").
//!
//! The URL comes from the runner's environment, and the request token that goes there is worth an identity: it goes
//! over https, or to loopback, and no redirect is followed.

use std::time::Duration;

use reqwest::redirect::Policy;
use serde::Deserialize;
use url::Url;

use super::error::{AwsError, root, tame};
use crate::secret::{Secret, is_loopback};

/// Who the token is for: what AWS's identity provider expects.
const AUDIENCE: &str = "sts.amazonaws.com";

/// The largest reply, in bytes. A token has about two thousand.
const REPLY_LIMIT: usize = 1 << 16;

/// How long the runner may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a job with `permissions: id-token: write` finds in its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`
    pub url: String,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`
    pub token: Secret,
}

#[derive(Deserialize)]
struct Reply {
    value: String,
}

impl TokenRequest {
    /// The token of the job for AWS. It is good for a few minutes.
    pub(super) async fn token(&self, ca: &[Vec<u8>]) -> Result<Secret, AwsError> {
        let failed = |why: String| AwsError::GitHub(why);
        let mut url = Url::parse(&self.url).map_err(|_| failed("ACTIONS_ID_TOKEN_REQUEST_URL is not a URL".into()))?;
        if url.scheme() != "https" && !is_loopback(&url) {
            return Err(failed("ACTIONS_ID_TOKEN_REQUEST_URL is not https".into()));
        }
        url.query_pairs_mut().append_pair("audience", AUDIENCE);
        let mut client = reqwest::Client::builder().redirect(Policy::none()).timeout(PATIENCE);
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        for pem in ca {
            let bundle = reqwest::Certificate::from_pem_bundle(pem);
            for certificate in bundle.map_err(|error| AwsError::Client(root(&error)))? {
                client = client.add_root_certificate(certificate);
            }
        }
        let client = client.build().map_err(|error| AwsError::Client(root(&error)))?;
        // The URL names the job: it is no part of a message.
        let told = |error: reqwest::Error| failed(root(&error.without_url()));
        let request = client.get(url).bearer_auth(self.token.expose()).header("accept", "application/json");
        let mut response = request.send().await.map_err(told)?;
        if !response.status().is_success() {
            return Err(failed(format!("its server answers {}", response.status())));
        }
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(told)? {
            body.extend_from_slice(&bytes);
            if body.len() > REPLY_LIMIT {
                return Err(failed("the reply is too long".into()));
            }
        }
        match serde_json::from_slice(&body) {
            Ok(Reply { value }) if !value.is_empty() => Ok(Secret::new(value)),
            _ => Err(failed(tame("the reply has no value"))),
        }
    }
}
