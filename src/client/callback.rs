//! Clients for what is not ESC: the application's own URL, and services that an operator names. They carry no token of
//! ESC's.

use std::sync::Arc;

use reqwest::{Client, ClientBuilder, Url, dns::Resolve, redirect};

use super::tls;

/// An HTTP client for this URL; the error says what is unusable, without quoting it.
///
/// No proxy: what listens in the pod, or was allowed by the operator, is reached directly. No redirects: they would
/// lead to where nobody allowed.
pub fn callback(url: &str) -> Result<Client, String> {
    let url = Url::parse(url).map_err(|_| "it is no URL".to_owned())?;
    let tls = match url.scheme() {
        "https" => tls::config(None)?,
        "http" => tls::unused()?,
        _ => return Err("it is neither http nor https".to_owned()),
    };
    builder(tls).build().map_err(|error| reason(&error))
}

/// An HTTP client for https URLs: without proxies and redirects, as [`callback`]. `authorities` (PEM) are trusted beside
/// the public ones; `resolver` may refuse addresses. The error says what is unusable.
pub fn direct(authorities: Option<&str>, resolver: Option<Arc<dyn Resolve>>) -> Result<Client, String> {
    let mut builder = builder(tls::config(authorities)?).https_only(true);
    if let Some(resolver) = resolver {
        builder = builder.dns_resolver(resolver);
    }
    builder.build().map_err(|error| reason(&error))
}

fn builder(tls: rustls::ClientConfig) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("esc-injector/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        // The next call is minutes away: no connection is worth keeping.
        .pool_max_idle_per_host(0)
}

/// Why a request failed, without its URL.
pub fn reason(error: &reqwest::Error) -> String {
    super::transport::innermost(error)
}
