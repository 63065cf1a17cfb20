//! The way to AWS's APIs and to what gives out credentials: through the proxy that the environment names, or past it.
//!
//! Threat: what is spoken to over plain http gives out credentials (the metadata of an instance, the agent of a
//! container) or stays on this machine. A proxy would read all of it, and ask its own machine in our place.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use url::Url;

use crate::secret::is_loopback;

/// A client that goes both ways, each when it is first needed.
pub(super) fn client(tls: &TlsContext) -> SharedHttpClient {
    let one = |proxy: fn() -> ProxyConfig| {
        let tls = tls.clone();
        // The only builder that lets a connector have certificates and proxies of its own; the SDK's default is made
        // so.
        Builder::new().build_with_connector_fn(move |settings, components| {
            let mut connector =
                ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls.clone());
            connector.set_connector_settings(settings.cloned());
            connector.set_proxy_config(Some(proxy()));
            if let Some(components) = components {
                connector.set_sleep_impl(components.sleep_impl());
            }
            connector.build()
        })
    };
    SharedHttpClient::new(Ways { proxied: one(ProxyConfig::from_env), direct: one(ProxyConfig::disabled) })
}

#[derive(Debug, Clone)]
struct Ways {
    proxied: SharedHttpClient,
    direct: SharedHttpClient,
}

/// Both ways for one caller.
#[derive(Debug)]
struct Fork {
    ways: Ways,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
}

impl HttpClient for Ways {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let (ways, settings, components) = (self.clone(), settings.clone(), components.clone());
        SharedHttpConnector::new(Fork { ways, settings, components })
    }
}

impl HttpConnector for Fork {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let way = if may_be_proxied(request.uri()) { &self.ways.proxied } else { &self.ways.direct };
        way.http_connector(&self.settings, &self.components).call(request)
    }
}

fn may_be_proxied(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| url.scheme() == "https" && !is_loopback(&url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_plain_text_never_go_through_a_proxy() {
        for uri in [
            "http://169.254.169.254/latest/api/token",
            "http://169.254.170.2/v2/credentials/1",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::254]/latest/api/token",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://localhost:1234/credentials",
            "https://127.0.0.1:4566/",
            "https://[::1]:4566/",
        ] {
            assert!(!may_be_proxied(uri), "{uri}");
        }
        assert!(may_be_proxied("https://sts.eu-central-1.amazonaws.com/"));
    }
}
