//! The chain of credentials: the links of the SDK's own chain, in its order, asked one by one so that each can say what
//! it lacks (AWS SDKs and Tools Reference Guide "Standardized credential providers").

use std::error::Error;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;

use super::error::{Attempt, AwsError, Lacks, tame};
use crate::cause;

/// The role of a job in GitHub Actions, by its own token.
pub(super) const GITHUB: &str = "GitHub OIDC";

/// The role of an EC2 instance, by its metadata service.
const INSTANCE: &str = "instance metadata";

/// Credentials, and how they were found.
#[derive(Debug, Clone)]
pub struct Known {
    /// The keys. Their `Debug` hides the secret ones.
    pub(super) credentials: Credentials,
    /// The links that were asked; the last one answered.
    pub attempts: Vec<Attempt>,
}

impl Known {
    /// The link that answered.
    pub fn link(&self) -> &'static str {
        self.attempts.last().map_or("nobody", |last| last.link)
    }

    /// The account, where the credentials name it.
    pub fn account(&self) -> Option<&str> {
        self.credentials.account_id().map(aws_credential_types::attributes::AccountId::as_str)
    }
}

/// Asks the links in turn; the first that has credentials is taken. One that is set up and fails ends the search, as in
/// the SDK: another identity than the one that was meant would be worse than none.
pub(super) async fn ask(config: &ProviderConfig) -> Result<Known, AwsError> {
    let environment = EnvironmentVariableCredentialsProvider::new();
    let profile = ProfileFileCredentialsProvider::builder().configure(config).build();
    let web_identity = WebIdentityTokenCredentialsProvider::builder().configure(config).build();
    let container = EcsCredentialsProvider::builder().configure(config).build();
    let instance = ImdsCredentialsProvider::builder().configure(config).build();
    let links: [(&'static str, &dyn ProvideCredentials, &'static str); 5] = [
        ("environment", &environment, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set"),
        ("profile", &profile, "~/.aws/config and ~/.aws/credentials have no profile that says how"),
        ("web identity", &web_identity, "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN are not both set"),
        ("container", &container, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not set"),
        (INSTANCE, &instance, "no metadata service answers here"),
    ];
    let mut attempts = Vec::new();
    for (link, provider, unset) in links {
        match provider.provide_credentials().await {
            Ok(credentials) => {
                attempts.push(Attempt { link, lacks: None });
                return Ok(Known { credentials, attempts });
            }
            Err(error @ CredentialsError::CredentialsNotLoaded(_)) => {
                let said = words(&error);
                let lacks = match link {
                    "profile" if said != NOT_LOADED => Lacks::Wrong(said),
                    _ => Lacks::Unset(unset),
                };
                attempts.push(Attempt { link, lacks: Some(lacks) });
            }
            // Nobody sets it up: what answers in its place, and refuses, is no identity that was meant.
            Err(error) if link == INSTANCE => {
                attempts.push(Attempt { link, lacks: Some(Lacks::Wrong(words(&error))) });
            }
            Err(error) => return Err(AwsError::Link { link, why: words(&error) }),
        }
    }
    Err(AwsError::NoCredentials(attempts))
}

/// What the SDK says where there is no reason.
const NOT_LOADED: &str = "the credential provider was not enabled";

/// What an error of a link says, with its causes. They name files, profiles and exceptions, and hold no keys.
pub(super) fn words(error: &(dyn Error + 'static)) -> String {
    let said = cause::in_one_line(error);
    // How the SDK opens what it says, whatever it is.
    let opening = [
        "the credential provider was not enabled: ",
        "an error occurred while loading credentials: ",
        "the credentials provider was not properly configured: ",
    ];
    for opening in opening {
        if let Some(rest) = said.strip_prefix(opening) {
            return tame(rest);
        }
    }
    tame(&said)
}
