//! The proxy that a request goes through: who it is, where it is in the way, and what the environment says that is
//! none.
//!
//! The variables are read by the HTTP client itself, which passes over what it cannot read and then goes past the
//! proxy. Whoever sets one wants neither that nor to be told that the registry is down when the proxy is.

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use crate::registry::error::Error;

/// The variables that name the proxy for https, with those that come first first, each pair as one.
const VARIABLES: [[&str; 2]; 2] = [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];

/// A proxy that a request goes through.
pub(super) struct Proxy {
    /// Its host and port, without the user and password that the environment may have for it.
    pub(super) host: String,
    /// Whether it is spoken to over TLS itself.
    pub(super) tls: bool,
}

/// The proxy that a request to this URL goes through; `None` where it goes by itself.
pub(super) fn of(url: &Url) -> Option<Proxy> {
    let proxy = Matcher::from_system().intercept(&url.as_str().parse().ok()?)?;
    let host = proxy.uri().authority()?.to_string();
    Some(Proxy { host, tls: proxy.uri().scheme_str() == Some("https") })
}

/// Refuses variables that name no proxy which can be spoken to, where a request to this URL would go through it. A
/// value may hold a password and is not repeated.
pub(super) fn check(url: &Url, lookup: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    // In a CGI program a header of the request could set them (httpoxy): nobody reads them there.
    if lookup("REQUEST_METHOD").is_some() {
        return Ok(());
    }
    // An empty one counts as set: it hides the other spelling.
    let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, lookup(name)?)));
    let past = first(["NO_PROXY", "no_proxy"]).map_or_else(String::new, |(_, hosts)| hosts);
    let any = Matcher::builder().https("http://proxy.invalid").no(past).build();
    if url.as_str().parse().is_ok_and(|url| any.intercept(&url).is_none()) {
        return Ok(());
    }
    for names in VARIABLES {
        let Some((name, value)) = first(names) else { continue };
        if value.is_empty() {
            continue;
        }
        let proxy = Matcher::builder().https(value).build().intercept(&Uri::from_static("https://registry.invalid/"));
        // The client takes a host that is none, and finds out when it connects.
        let proxy = proxy.filter(|proxy| Url::parse(&proxy.uri().to_string()).is_ok_and(|url| url.has_host()));
        let why = match proxy.as_ref().and_then(|proxy| proxy.uri().scheme_str()) {
            None => "it is not the URL of a proxy",
            Some(scheme) if scheme.starts_with("socks") => "SOCKS is not spoken",
            Some(_) => return Ok(()),
        };
        return Err(Error::Proxy { variable: name.into(), why });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_proxy_is_refused() {
        let check = |variables: &[(&str, &str)]| {
            let found = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
            let url = Url::parse("https://registry.corp/v2/").expect("a URL");
            check(&url, found).map_err(|error| error.to_string())
        };
        for value in
            ["http://proxy.corp:3128", "proxy.corp:3128", "https://me:hunter2@proxy.corp", "http://[::1]:1/", ""]
        {
            assert_eq!(check(&[("HTTPS_PROXY", value)]), Ok(()), "{value}");
        }
        for value in ["http//proxy:3128", "http://me:hunter2@:x", "ftp://proxy.corp", "socks5://proxy.corp:1080", "a b"]
        {
            for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
                let error = check(&[(name, value)]).expect_err(value);
                assert!(error.starts_with(name) && !error.contains("hunter2"), "{error}");
            }
        }
        assert_eq!(check(&[("HTTPS_PROXY", "proxy.corp:3128"), ("ALL_PROXY", "a b")]), Ok(()));
        assert_eq!(check(&[("HTTP_PROXY", "a b")]), Ok(()), "nothing leaves this machine over plain http");
        assert_eq!(check(&[("HTTPS_PROXY", "a b"), ("REQUEST_METHOD", "GET")]), Ok(()));
        for (past, is_refused) in [("registry.corp", false), (".corp", false), ("*", false), ("other.corp", true)] {
            for name in ["NO_PROXY", "no_proxy"] {
                assert_eq!(check(&[("ALL_PROXY", "a b"), (name, past)]).is_err(), is_refused, "{name}={past}");
            }
        }
    }
}
