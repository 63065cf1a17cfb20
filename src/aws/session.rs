//! A session with AWS: credentials that are found once and kept until they expire, and the SDK's configuration for a
//! region.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{BeforeTransmitInterceptorContextRef, InterceptorContext};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::timeout::TimeoutConfig;
use tokio::sync::Mutex;
use url::Url;

use super::chain::{self, GITHUB, Known};
use super::error::{Attempt, AwsError};
use super::github::TokenRequest;
use super::way;
use crate::secret::is_loopback;

/// How long before they expire credentials are too old to begin with.
const MARGIN: Duration = Duration::from_mins(5);

/// How long one attempt at a call may take, and a call with all its attempts.
const ATTEMPT: Duration = Duration::from_secs(20);
const CALL: Duration = Duration::from_mins(1);

/// What a session is made of. What else the SDK needs it reads itself: its variables and its files.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Certificate authorities that are trusted beside the machine's own, as PEM.
    pub ca: Vec<Vec<u8>>,
    /// The role to take on.
    pub role: Option<String>,
    /// How to ask GitHub for the job's token. Without a role nobody asks.
    pub github: Option<TokenRequest>,
    /// The session of a role is named after it, in the logs of AWS: letters, digits and `=,.@-_`.
    pub session_name: Option<String>,
}

/// A session with AWS. Nothing is asked before somebody needs it.
pub struct Session {
    settings: Settings,
    http: SharedHttpClient,
    /// The last answer. That there are no credentials is one as well: to ask a metadata service that is not there takes
    /// a second each time.
    known: Mutex<Option<Result<Arc<Known>, AwsError>>>,
}

/// Who the credentials belong to (STS API reference: `GetCallerIdentity`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: String,
    /// The user, or the session of a role.
    pub arn: String,
}

impl Session {
    /// A session with these settings. No request is made.
    ///
    /// # Errors
    /// Where a certificate is none.
    pub fn new(settings: Settings) -> Result<Self, AwsError> {
        let mut trust = TrustStore::default().with_native_roots(true);
        for pem in &settings.ca {
            trust.add_pem_certificate(pem.clone());
        }
        let tls = TlsContext::builder().with_trust_store(trust).build();
        let tls = tls.map_err(|error| AwsError::Client(super::error::root(&error)))?;
        let http = way::client(&tls);
        Ok(Self { settings, http, known: Mutex::new(None) })
    }

    /// The credentials, found anew where they are about to expire. The region is that of the STS that is asked for a
    /// role.
    ///
    /// # Errors
    /// Where none are found, with what each link of the chain lacks, or the role may not be taken on.
    pub async fn credentials(&self, region: &str) -> Result<Arc<Known>, AwsError> {
        let mut known = self.known.lock().await;
        match &*known {
            Some(Ok(known)) if is_fresh(&known.credentials) => return Ok(Arc::clone(known)),
            Some(Err(error)) => return Err(error.clone()),
            _ => {}
        }
        let found = self.find(region).await.map(Arc::new);
        *known = Some(found.clone());
        found
    }

    /// Looks for credentials anew. Where there are none any more, those that were found before stay.
    ///
    /// # Errors
    /// Where a source that is set up fails.
    pub async fn renew(&self, region: &str) -> Result<Arc<Known>, AwsError> {
        let mut known = self.known.lock().await;
        let found = self.find(region).await.map(Arc::new)?;
        *known = Some(Ok(Arc::clone(&found)));
        Ok(found)
    }

    async fn find(&self, region: &str) -> Result<Known, AwsError> {
        match (&self.settings.role, &self.settings.github) {
            (Some(role), Some(github)) => self.exchange(role, github, region).await,
            (Some(role), None) => {
                let base = self.chain(region).await?;
                self.assume(role, base, region).await
            }
            (None, _) => self.chain(region).await,
        }
    }

    async fn chain(&self, region: &str) -> Result<Known, AwsError> {
        let config = ProviderConfig::without_region()
            .with_region(Some(Region::new(region.to_owned())))
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_http_client(self.http.clone());
        chain::ask(&config).await
    }

    /// The credentials of a role for the token of a job (STS API reference: `AssumeRoleWithWebIdentity`).
    async fn exchange(&self, role: &str, github: &TokenRequest, region: &str) -> Result<Known, AwsError> {
        let token = github.token(&self.settings.ca).await?;
        let config = self.base(region).await;
        let answer = Self::sts(&config)
            .assume_role_with_web_identity()
            .role_arn(role)
            .role_session_name(self.session_name())
            .web_identity_token(token.expose())
            .send()
            .await
            .map_err(|error| AwsError::of("sts:AssumeRoleWithWebIdentity", &error))?;
        let lacks = |lacks| AwsError::Garbage { operation: "sts:AssumeRoleWithWebIdentity", lacks };
        let keys = answer.credentials.ok_or_else(|| lacks("credentials"))?;
        let expires = SystemTime::try_from(keys.expiration).map_err(|_| lacks("time of expiry"))?;
        let mut credentials =
            Credentials::builder().access_key_id(keys.access_key_id).secret_access_key(keys.secret_access_key);
        credentials = credentials.session_token(keys.session_token).expiry(expires).provider_name(GITHUB);
        let attempts = vec![Attempt { link: GITHUB, lacks: None }];
        Ok(Known { credentials: credentials.build(), attempts })
    }

    /// The credentials of a role for those that are there (STS API reference: `AssumeRole`).
    async fn assume(&self, role: &str, base: Known, region: &str) -> Result<Known, AwsError> {
        let config = self.base(region).await;
        let provider = AssumeRoleProvider::builder(role)
            .configure(&config)
            .session_name(self.session_name())
            .build_from_provider(base.credentials)
            .await;
        let credentials = provider.provide_credentials().await;
        let credentials =
            credentials.map_err(|error| AwsError::Link { link: "the role", why: chain::words(&error) })?;
        Ok(Known { credentials, attempts: base.attempts })
    }

    fn session_name(&self) -> String {
        let fits = |c: &char| c.is_ascii_alphanumeric() || "=,.@-_".contains(*c);
        let name: String =
            self.settings.session_name.iter().flat_map(|name| name.chars()).filter(fits).take(64).collect();
        if name.len() < 2 { "dockless".into() } else { name }
    }

    /// The SDK's configuration without credentials.
    async fn base(&self, region: &str) -> SdkConfig {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .no_credentials()
            .http_client(self.http.clone())
            .timeout_config(
                TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).operation_timeout(CALL).build(),
            );
        if let Ok(name) = AppName::new("dockless") {
            loader = loader.app_name(name);
        }
        loader.load().await
    }

    /// The region that the profile names. The environment's goes before it, and is for the caller to know.
    pub async fn profile_region(&self) -> Option<String> {
        let config = ProviderConfig::without_region().with_http_client(self.http.clone());
        let provider = ProfileFileRegionProvider::builder().configure(&config).build();
        provider.region().await.map(|region| region.as_ref().to_owned())
    }

    /// The SDK's configuration for a region, with credentials. What is called with it needs [`NoPlainHttp`]
    /// and [`NotOfAws`].
    ///
    /// # Errors
    /// Where no credentials are found, with what each link of the chain lacks.
    pub async fn config(&self, region: &str) -> Result<SdkConfig, AwsError> {
        let known = self.credentials(region).await?;
        let base = self.base(region).await.into_builder();
        Ok(base.credentials_provider(SharedCredentialsProvider::new(known.credentials.clone())).build())
    }

    fn sts(config: &SdkConfig) -> aws_sdk_sts::Client {
        let config = aws_sdk_sts::config::Builder::from(config).interceptor(NoPlainHttp).retry_classifier(NotOfAws);
        aws_sdk_sts::Client::from_conf(config.build())
    }

    /// Who we are.
    ///
    /// # Errors
    /// Where no credentials are found, or STS does not know them or cannot be reached.
    pub async fn identity(&self, region: &str) -> Result<Identity, AwsError> {
        let config = self.config(region).await?;
        let operation = "sts:GetCallerIdentity";
        let answer = Self::sts(&config).get_caller_identity().send().await;
        let answer = answer.map_err(|error| AwsError::of(operation, &error))?;
        match (answer.account, answer.arn) {
            (Some(account), Some(arn)) => Ok(Identity { account, arn }),
            _ => Err(AwsError::Garbage { operation, lacks: "account" }),
        }
    }
}

fn is_fresh(credentials: &Credentials) -> bool {
    credentials.expiry().is_none_or(|expiry| expiry > SystemTime::now() + MARGIN)
}

/// Keeps calls to AWS off plain http, unless they stay on this machine: their answers hold passwords.
#[derive(Debug)]
pub struct NoPlainHttp;

impl Intercept for NoPlainHttp {
    fn name(&self) -> &'static str {
        "NoPlainHttp"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let uri = context.request().uri();
        match Url::parse(uri) {
            Ok(url) if url.scheme() == "https" || is_loopback(&url) => Ok(()),
            _ => Err("plain http is for loopback only: see AWS_ENDPOINT_URL".into()),
        }
    }
}

/// Asks no second time where a page of HTML says 500: AWS's errors are JSON or XML, and an imitation that does not know
/// a call will not learn it meanwhile. Gateways before AWS say 502, 503 or 504, which is tried again.
#[derive(Debug)]
pub struct NotOfAws;

impl ClassifyRetry for NotOfAws {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let is_page = context.response().is_some_and(|response| {
            let kind = response.headers().get("content-type").unwrap_or_default();
            response.status().as_u16() == 500 && kind.starts_with("text/html")
        });
        if is_page { RetryAction::RetryForbidden } else { RetryAction::NoActionIndicated }
    }

    fn name(&self) -> &'static str {
        "NotOfAws"
    }
}
