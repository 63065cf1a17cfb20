//! A stranger's words, fit for a terminal and a log.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use url::{Url, form_urlencoded};

use crate::secret::Secret;

/// The longest text of a registry that is kept, in characters.
pub(super) const TEXT_LIMIT: usize = 1000;

/// What is shorter is in many a word: its absence would tell more than its presence.
const LEAST: usize = 4;

/// What we put into a query ourselves, which is no secret and is wanted in a message.
const OURS: [&str; 8] = ["digest", "mount", "from", "n", "last", "scope", "service", "client_id"];

/// The secrets that a request carried: a registry that repeats what it was sent would put them into a log.
#[derive(Debug, Clone, Default)]
pub(in crate::registry) struct Carried(Vec<Secret>);

impl Carried {
    /// What a request with these headers, this URL and this form (RFC 6749 section 6) carries.
    pub(in crate::registry) fn by(headers: &HeaderMap, url: &Url, form: Option<&[u8]>) -> Self {
        let mut carried = Self::default();
        for value in headers.get_all(AUTHORIZATION) {
            let text = value.to_str().unwrap_or_default();
            let (scheme, value) = text.split_once(' ').unwrap_or(("", text));
            carried.add(value);
            let decoded = STANDARD.decode(value).or_else(|_| STANDARD_NO_PAD.decode(value)).ok();
            if let Some(pair) = decoded.filter(|_| scheme == "Basic").and_then(|bytes| String::from_utf8(bytes).ok()) {
                carried.add(pair.split_once(':').map_or("", |(_, password)| password));
                carried.add(&pair);
            }
        }
        // An upload's state and the signature of a storage's URL.
        for pair in url.query().unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or(("", pair));
            if !OURS.contains(&name) {
                carried.add(value);
                carried.add(&form_urlencoded::parse(pair.as_bytes()).map(|(_, value)| value).collect::<String>());
            }
        }
        for (_, value) in form_urlencoded::parse(form.unwrap_or_default()).filter(|(name, _)| name == "refresh_token") {
            carried.add(&value);
        }
        // What holds another one goes first.
        carried.0.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        carried
    }

    fn add(&mut self, text: &str) {
        if text.len() >= LEAST {
            self.0.push(Secret::new(text));
            let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
            if encoded != text {
                self.0.push(Secret::new(encoded));
            }
        }
    }

    /// The text without them, on one line, without control characters, cut.
    pub(super) fn clean(&self, text: &str) -> String {
        let hidden = self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), "…"));
        hidden
            .trim()
            .trim_end_matches('.')
            .chars()
            .take(TEXT_LIMIT)
            .map(|c| match c {
                c if c.is_whitespace() => ' ',
                // Bidirectional overrides turn a line around as a control character would.
                c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => '?',
                c => c,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn what_was_carried_is_left_out() {
        let basic = STANDARD.encode("bob:s3cr3t PW");
        let headers =
            |value: &str| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).expect("a value"))]);
        let url = Url::parse("https://a.io/x?_state=a%2Fbcd%3D&sig=x1y2z3&digest=sha256%3A12&n=1000&short=ab")
            .expect("a URL");
        let carried = Carried::by(&headers(&format!("Basic {basic}")), &url, Some(b"refresh_token=r%2Bt+t&scope=pull"));
        for (text, shown) in [
            (format!("you sent Basic {basic}"), "you sent Basic …"),
            ("bob:s3cr3t PW and s3cr3t PW, s3cr3t+PW".into(), "… and …, …"),
            ("state a%2Fbcd%3D or a/bcd=, x1y2z3".into(), "state … or …, …"),
            ("digest sha256:12 at n=1000 short=ab bob".into(), "digest sha256:12 at n=1000 short=ab bob"),
            ("token r+t t".into(), "token …"),
        ] {
            assert_eq!(carried.clean(&text), shown);
        }
        let carried = Carried::by(&headers("Bearer tok-1"), &Url::parse("https://a.io/").expect("a URL"), None);
        assert_eq!(carried.clean("token tok-1 lacks push.\n"), "token … lacks push");
        assert_eq!(format!("{carried:?}"), "Carried([…])");
    }

    #[test]
    fn a_cut_comes_after_what_is_left_out() {
        let url = Url::parse(&format!("https://a.io/?s={}", "k".repeat(40))).expect("a URL");
        let carried = Carried::by(&HeaderMap::new(), &url, None);
        let text = format!("{}{}", "x".repeat(TEXT_LIMIT - 10), "k".repeat(40));
        assert!(!carried.clean(&text).contains('k'));
    }
}
