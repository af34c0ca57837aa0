//! The POST: no body, no redirects, no proxy, and success is any 2xx.

use std::time::Duration;

use reqwest::header;

use super::super::{
    failure::{Failure, Kind},
    sidecar::pace::Telling,
};
use crate::{client, codes::refresh as codes};

/// Attempts for one change.
const ATTEMPTS: u32 = 3;

/// Calls one URL.
pub struct Poster {
    http: reqwest::Client,
    url: String,
}

impl Poster {
    /// Prepares the way; nothing is sent yet. The webhook has checked whether the pod may name this URL.
    pub fn new(url: &str) -> Result<Self, Failure> {
        let http = client::callback(url)
            .map_err(|why| failure(&format!("preparing the POST to {}: {why}", shown(url))))?;
        Ok(Self { http, url: url.to_owned() })
    }

    /// Calls it until it answers with success, a few times.
    pub async fn post(&self, telling: &Telling) -> Result<(), Failure> {
        let mut pause = telling.again;
        let mut attempt = 1;
        loop {
            let Err(why) = self.attempt(telling.post).await else { return Ok(()) };
            if attempt == ATTEMPTS {
                let what = format!("POST {}: {why} (tried {ATTEMPTS} times)", shown(&self.url));
                return Err(failure(&what));
            }
            tracing::debug!(attempt, "POST {}: {why}; trying again", shown(&self.url));
            tokio::time::sleep(pause).await;
            attempt += 1;
            pause *= 2;
        }
    }

    async fn attempt(&self, limit: Duration) -> Result<(), String> {
        // Servers that take no POST without a length are common. The answer's body is nobody's business.
        let request = self.http.post(&self.url).header(header::CONTENT_LENGTH, 0).timeout(limit);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered {}", answer.status().as_u16())),
            Err(error) => Err(client::reason(&error)),
        }
    }
}

fn failure(what: &str) -> Failure {
    Failure::new(codes::POST_FAILED, Kind::Temporary, what)
}

/// A path or a query may hold a token of the application's.
fn shown(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(url) if url.has_host() => url.origin().ascii_serialization(),
        _ => "the URL of on-change".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_no_more_of_the_url_than_its_origin() {
        assert_eq!(shown("http://u:hunter2@127.0.0.1:8080/reload?token=hunter2"), "http://127.0.0.1:8080");
        assert_eq!(shown("hunter2"), "the URL of on-change");
        let error = Poster::new("hunter2").err().unwrap();
        assert_eq!(error.code, codes::POST_FAILED);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
