//! Where an issuer's keys come from: its configuration, a file, or the issuer itself.
//!
//! What is fetched is kept. Unknown keys make it fetched anew, at most so often: anybody may send a token that names
//! a key which nobody has.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use reqwest::{Client, StatusCode, Url, header};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::super::jwt::KeySet;
use crate::{client, secret::Secret};

/// Largest key set, and largest discovery document, that is read. A cluster's has one or two keys.
const MAX_KEY_SET: usize = 1 << 20;

/// Largest token file that is read. Kubernetes' tokens are about 1 KiB.
const MAX_TOKEN: u64 = 64 << 10;

/// Longest time for fetching, both documents together: an agent waits for the exchange, and tries again.
const PATIENCE: Duration = Duration::from_secs(8);

/// After this, keys are fetched anew. Issuers publish a new key long before they sign with it.
const FRESH: Duration = Duration::from_secs(600);

/// How long keys count that can't be fetched anew. An issuer may be away for a night; a key that was withdrawn must
/// not count for ever because somebody keeps us from hearing of it.
const USABLE: Duration = Duration::from_secs(24 * 3600);

/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(10);

/// Where keys come from.
#[derive(Debug)]
pub(super) enum Source {
    /// They stand in the configuration.
    Inline(Arc<KeySet>),
    /// From a file, which is read at every exchange, so that keys can be rotated.
    File(PathBuf),
    /// From the issuer.
    Fetched(Box<Fetched>),
}

/// Keys that are fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    /// The issuer.
    url: Url,
    /// The key set itself, where it is not to be found out by discovery.
    key_set: Option<Url>,
    /// A file with a token for the issuer, read anew each time.
    token_file: Option<PathBuf>,
    client: Client,
    kept: ArcSwapOption<Kept>,
    tried: Mutex<Option<SystemTime>>,
}

#[derive(Debug)]
struct Kept {
    keys: Arc<KeySet>,
    at: SystemTime,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum KeysError {
    #[error("the issuer's key set {} can't be used: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("the keys of the issuer `{issuer}` can't be fetched: {reason}")]
    Unavailable { issuer: String, reason: String },
}

impl Source {
    /// The keys. With `missed`, those that are there don't have the key that is needed.
    pub(super) async fn keys(&self, missed: bool, now: SystemTime) -> Result<Arc<KeySet>, KeysError> {
        match self {
            Self::Inline(keys) => Ok(Arc::clone(keys)),
            Self::File(path) => read(path.clone()).await,
            Self::Fetched(fetched) => fetched.keys(missed, now).await,
        }
    }

    /// Whether asking again may give other keys.
    pub(super) fn may_have_others(&self) -> bool {
        matches!(self, Self::Fetched(_))
    }
}

/// Tries a file that is to hold a key set: otherwise the first who signs in would learn what is wrong with it. Blocks.
pub fn check_key_set(path: &Path) -> Result<(), String> {
    read_file(path).map(|_| ())
}

fn read_file(path: &Path) -> Result<KeySet, String> {
    let mut json = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_KEY_SET as u64).read_to_end(&mut json))
        .map_err(|error: io::Error| error.to_string())?;
    KeySet::parse(&json).map_err(|error| error.to_string())
}

async fn read(path: PathBuf) -> Result<Arc<KeySet>, KeysError> {
    let at = path.clone();
    let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
    let keys = read.unwrap_or_else(|_| Err("reading it failed".to_owned()));
    keys.map(Arc::new).map_err(|reason| KeysError::File { path: at, reason })
}

impl Fetched {
    /// Sets it up; fetches nothing yet. `authorities` are trusted beside the public ones.
    pub(super) fn new(
        url: Url,
        key_set: Option<Url>,
        authorities: Option<&str>,
        token_file: Option<PathBuf>,
    ) -> Result<Self, String> {
        let client = client::direct(authorities, None)?;
        let (kept, tried) = (ArcSwapOption::empty(), Mutex::new(None));
        Ok(Self { url, key_set, token_file, client, kept, tried })
    }

    async fn keys(&self, missed: bool, now: SystemTime) -> Result<Arc<KeySet>, KeysError> {
        let age = |kept: &Kept| now.duration_since(kept.at).unwrap_or_default();
        if let Some(kept) = self.kept.load_full().filter(|kept| !missed && age(kept) < FRESH) {
            return Ok(Arc::clone(&kept.keys));
        }
        // One fetches, the others wait, and then have what it got.
        let mut tried = self.tried.lock().await;
        let kept = self.kept.load_full();
        let recently = tried.is_some_and(|at| now.duration_since(at).unwrap_or_default() < PAUSE);
        let failure = if recently {
            "it was tried a moment ago".to_owned()
        } else {
            *tried = Some(now);
            let fetched = tokio::time::timeout(PATIENCE, self.fetch()).await;
            match fetched.unwrap_or_else(|_| Err("it takes too long".to_owned())) {
                Ok(keys) => {
                    let keys = Arc::new(keys);
                    self.kept.store(Some(Arc::new(Kept { keys: Arc::clone(&keys), at: now })));
                    return Ok(keys);
                }
                Err(reason) => {
                    tracing::warn!(issuer = %self.url, reason, "can't fetch the issuer's keys");
                    reason
                }
            }
        };
        match kept.filter(|kept| age(kept) < USABLE) {
            Some(kept) => Ok(Arc::clone(&kept.keys)),
            None => Err(KeysError::Unavailable { issuer: self.url.to_string(), reason: failure }),
        }
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        let key_set = if let Some(url) = &self.key_set {
            url.clone()
        } else {
            let place =
                format!("{}/.well-known/openid-configuration", self.url.as_str().trim_end_matches('/'));
            let place = Url::parse(&place).map_err(|_| "its URL can't be extended".to_owned())?;
            let document: Discovery = serde_json::from_slice(&self.get(&place).await?)
                .map_err(|_| "its discovery document is none".to_owned())?;
            if document.issuer.trim_end_matches('/') != self.url.as_str().trim_end_matches('/') {
                return Err("its discovery document is that of another issuer".to_owned());
            }
            https(&document.jwks_uri).ok_or("its `jwks_uri` is no https URL")?
        };
        KeySet::parse(&self.get(&key_set).await?).map_err(|error| error.to_string())
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
        let mut request = self.client.get(url.clone()).header(header::ACCEPT, "application/json");
        // The token is for the one whom the operator named, not for whom that one names.
        let named = self.key_set.as_ref().unwrap_or(&self.url);
        if let Some(path) = self.token_file.as_ref().filter(|_| url.origin() == named.origin()) {
            let token = token(path.clone()).await?;
            let mut value = header::HeaderValue::from_bytes(&[b"Bearer ", token.expose()].concat())
                .map_err(|_| "the token for it is no token".to_owned())?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let mut response = request.send().await.map_err(|error| client::reason(&error))?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answers {}", response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| client::reason(&error))? {
            if body.len() + chunk.len() > MAX_KEY_SET {
                return Err("its answer is too large".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// An https URL without user, password, query or fragment.
pub(super) fn https(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (url.scheme() == "https" && url.has_host() && plain).then_some(url)
}

async fn token(path: PathBuf) -> Result<Secret, String> {
    let unreadable = || "the token for it can't be read".to_owned();
    let read = tokio::task::spawn_blocking(move || read_token(&path)).await.map_err(|_| unreadable())?;
    read.map_err(|error| format!("{}: {error}", unreadable()))
}

fn read_token(path: &Path) -> io::Result<Secret> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(MAX_TOKEN).read_to_end(&mut text)?;
    let text = Secret::new(text);
    Ok(Secret::new(text.expose().trim_ascii().to_vec()))
}
