//! Where ESC is, and the addresses of its resources. Pure.

use std::net::IpAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

use crate::esc::reference::Reference;

/// What needs no escape in a path segment (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Lifetime of the sessions we open. We read at once; but environments may derive the lifetime of the credentials
/// that they mint from it, so it is what `esc open` asks for and not less.
const SESSION: &str = "2h0m0s";

/// ESC's root, checked: https, or http on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    root: Url,
    loopback: bool,
}

impl Endpoint {
    /// Checks an address; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // The text itself stays out of errors: it may hold a password.
        let mut root = Url::parse(text).map_err(|error| format!("ESC's address is no URL: {error}"))?;
        let host = root.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        match root.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(format!("a token is not sent to `{host}` over plain http: use https")),
            other => return Err(format!("ESC's address begins with `{other}:`: use https")),
        }
        if !root.username().is_empty() || root.password().is_some() {
            return Err("ESC's address holds a user or a password".to_owned());
        }
        if root.query().is_some() || root.fragment().is_some() {
            return Err("ESC's address holds a query or a fragment".to_owned());
        }
        let path = root.path().trim_end_matches('/').to_owned();
        root.set_path(&path);
        Ok(Self { root, loopback })
    }

    /// Whether it is on this machine, which no proxy can reach.
    pub(super) fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether TLS is spoken there.
    pub(super) fn is_encrypted(&self) -> bool {
        self.root.scheme() == "https"
    }

    /// Any path of the server.
    pub(super) fn at(&self, path: &str) -> Url {
        self.join(path)
    }

    /// The address, for messages.
    pub(super) fn shown(&self) -> String {
        self.root.as_str().trim_end_matches('/').to_owned()
    }

    /// Where tokens are exchanged.
    pub(super) fn exchange(&self) -> Url {
        self.join("/api/oauth/token")
    }

    /// Where an environment is opened.
    pub(super) fn open(&self, reference: &Reference) -> Url {
        let version = reference.version().map(|version| format!("/versions/{}", segment(version)));
        let mut url = self.environment(reference, &format!("{}/open", version.unwrap_or_default()));
        url.set_query(Some(&format!("duration={SESSION}")));
        url
    }

    /// Where an opened session is read. It never carries the version.
    pub(super) fn session(&self, reference: &Reference, session: &str) -> Url {
        self.environment(reference, &format!("/open/{}", segment(session)))
    }

    fn environment(&self, reference: &Reference, rest: &str) -> Url {
        let organization = segment(reference.organization());
        let project = segment(reference.project());
        let environment = segment(reference.environment());
        self.join(&format!("/api/esc/environments/{organization}/{project}/{environment}{rest}"))
    }

    fn join(&self, path: &str) -> Url {
        let mut url = self.root.clone();
        let prefix = self.root.path().trim_end_matches('/');
        url.set_path(&format!("{prefix}{path}"));
        url
    }
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Whether a text survives as a segment of a URL's path: `.` and `..`, escaped or not, would be resolved.
pub(super) fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_https_and_plain_http_on_this_machine_only() {
        let cases = [
            ("https://api.pulumi.com", true),
            ("https://esc.example:8443/base/", true),
            ("http://127.0.0.1:8087", true),
            ("http://127.9.8.7", true),
            ("http://[::1]:8087", true),
            ("http://localhost:8087", true),
            ("http://localhost.evil.example", false),
            ("http://api.pulumi.com", false),
            ("http://10.0.0.1", false),
            ("http://0.0.0.0", false),
            ("http://[::2]", false),
            ("ftp://127.0.0.1", false),
            ("api.pulumi.com", false),
            ("https://user:hunter2@api.pulumi.com", false),
            ("https://api.pulumi.com?x=1", false),
            ("https://api.pulumi.com#x", false),
            ("", false),
        ];
        for (text, accepted) in cases {
            let result = Endpoint::parse(text);
            assert_eq!(result.is_ok(), accepted, "{text}: {result:?}");
            assert!(!format!("{result:?}").contains("hunter2"));
        }
    }

    #[test]
    fn addresses_follow_the_api() {
        let endpoint = Endpoint::parse("https://esc.example/base/").unwrap();
        assert_eq!(endpoint.exchange().as_str(), "https://esc.example/base/api/oauth/token");
        let reference: Reference = "acme/shop/prod@stable".parse().unwrap();
        assert_eq!(
            endpoint.open(&reference).as_str(),
            "https://esc.example/base/api/esc/environments/acme/shop/prod/versions/stable/open?duration=2h0m0s"
        );
        assert_eq!(
            endpoint.session(&reference, "a/b ?").as_str(),
            "https://esc.example/base/api/esc/environments/acme/shop/prod/open/a%2Fb%20%3F"
        );
    }
}
