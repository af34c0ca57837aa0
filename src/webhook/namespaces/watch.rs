//! Follows the namespaces of the cluster: their metadata, listed once and then watched, for as long as the webhook
//! runs.
//!
//! `kube`'s own watcher keeps bookmarks and reopened watches to itself, and so tells neither an idle watch from a dead
//! one, nor that it recovered before something changes. Here every watch is asked to end after a while: one that
//! opens, sends anything, or ends when it was asked to is alive; one that is silent past its end is dead.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    pin::pin,
    time::Duration,
};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Namespace as Object;
use kube::{
    Api, Client,
    api::{ListParams, PartialObjectMeta, WatchEvent, WatchParams},
    core::Status,
    runtime::{utils::Backoff, watcher::DefaultBackoff},
};
use tokio::time::{sleep, timeout};

use super::Namespaces;
use crate::{
    codes::admission::NAMESPACES_UNWATCHED,
    inject::Namespace,
    kubeconfig::describe,
    webhook::{freshness::Freshness, health::Part, limits::Limits},
};

/// Namespaces in one answer: a few hundred KB at most clusters.
const PAGE: u32 = 500;

/// A watch that ends sooner, with nothing in it, was not meant to end.
const SHORT: Duration = Duration::from_secs(1);

/// HTTP's "gone": the API server has forgotten the version that was to be watched from.
const GONE: u16 = 410;

/// Why there is no watch.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("listing namespaces: {0}")]
    List(#[source] kube::Error),
    #[error("opening a watch on namespaces: {0}")]
    Open(#[source] kube::Error),
    #[error("watching namespaces: {0}")]
    Read(#[source] kube::Error),
    #[error("watching namespaces: {} {}: {}", .0.code, .0.reason, .0.message)]
    Ended(Box<Status>),
    #[error("the API server did not answer within {0:?}")]
    Slow(Duration),
    #[error("the watch on namespaces is silent past its end")]
    Silent,
    #[error("the watch on namespaces ends as soon as it is opened")]
    Short,
    #[error("the list of namespaces has no resourceVersion")]
    NoVersion,
}

impl WatchError {
    /// Whether the version to watch from is of no use any more.
    fn needs_list(&self) -> bool {
        match self {
            Self::Open(kube::Error::Api(status))
            | Self::Read(kube::Error::Api(status))
            | Self::Ended(status) => status.code == GONE,
            _ => false,
        }
    }
}

/// What is followed, and who is told of it.
pub(in crate::webhook) struct Followed {
    /// Where they are kept.
    pub(in crate::webhook) namespaces: Namespaces,
    /// Told when the watch is heard and when it breaks.
    pub(in crate::webhook) watch: Freshness,
    /// Done once all namespaces are known.
    pub(in crate::webhook) part: Part,
}

/// Follows the namespaces forever.
pub(in crate::webhook) async fn follow(client: Client, followed: Followed, limits: Limits) -> Infallible {
    let follower = Follower { api: Api::all(client), followed, limits };
    follower.followed.watch.start();
    let mut backoff = DefaultBackoff::default();
    // Where to watch from, once there was a list.
    let mut version = None;
    loop {
        let error = match &mut version {
            None => match follower.list().await {
                Ok(at) => {
                    version = Some(at);
                    continue;
                }
                Err(error) => error,
            },
            Some(version) => match follower.watch(version).await {
                Ok(()) => {
                    backoff.reset();
                    continue;
                }
                Err(error) => error,
            },
        };
        follower.followed.watch.broke();
        if error.needs_list() {
            // Nothing is wrong: the cluster changed more than it remembers while nobody watched.
            tracing::info!("the version of the watch on namespaces is gone: listing them anew");
            version = None;
        } else {
            let code = NAMESPACES_UNWATCHED;
            follower.followed.part.waits_for(format!("the list of namespaces ({code}, see the log)"));
            tracing::warn!(code = code.id(), error = describe(&error), "namespaces are not watched");
        }
        // The waits never run out.
        sleep(backoff.next().unwrap_or(follower.limits.answer)).await;
    }
}

struct Follower {
    api: Api<Object>,
    followed: Followed,
    limits: Limits,
}

impl Follower {
    /// Puts what there is in the place of what was known, in one step; gives the version that it is of.
    async fn list(&self) -> Result<String, WatchError> {
        let mut params = ListParams::default().limit(PAGE);
        let mut all = HashMap::new();
        loop {
            let page = self.in_time(self.api.list_metadata(&params)).await?.map_err(WatchError::List)?;
            all.extend(page.items.into_iter().filter_map(read));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => {
                    let version = page.metadata.resource_version.filter(|version| !version.is_empty());
                    let version = version.ok_or(WatchError::NoVersion)?;
                    self.followed.namespaces.replace(all);
                    self.followed.watch.lasts();
                    self.followed.part.done();
                    return Ok(version);
                }
            }
        }
    }

    /// Watches from a version until the watch ends as it should, and leaves the version to go on from.
    async fn watch(&self, version: &mut String) -> Result<(), WatchError> {
        // In whole seconds, and none would be as long as the API server likes.
        let seconds = u32::try_from(self.limits.watch.as_secs()).unwrap_or(u32::MAX).max(1);
        let params = WatchParams::default().timeout(seconds);
        let stream = self.in_time(self.api.watch_metadata(&params, version)).await?;
        let mut events = pin!(stream.map_err(WatchError::Open)?);
        self.followed.watch.lasts();
        let mut is_idle = true;
        let opened = tokio::time::Instant::now();
        let patience = Duration::from_secs(seconds.into()) + self.limits.answer;
        loop {
            let Ok(event) = timeout(patience, events.next()).await else { return Err(WatchError::Silent) };
            match event {
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    remember(version, object.metadata.resource_version.as_deref());
                    if let Some((name, namespace)) = read(object) {
                        self.followed.namespaces.put(name, namespace);
                    }
                }
                Some(Ok(WatchEvent::Deleted(object))) => {
                    remember(version, object.metadata.resource_version.as_deref());
                    if let Some(name) = object.metadata.name {
                        self.followed.namespaces.remove(&name);
                    }
                }
                Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                    remember(version, Some(&bookmark.metadata.resource_version));
                }
                Some(Ok(WatchEvent::Error(status))) => return Err(WatchError::Ended(status)),
                Some(Err(error)) => return Err(WatchError::Read(error)),
                // A server that ends every watch at once must not be asked in a tight loop.
                None if is_idle && opened.elapsed() < SHORT => return Err(WatchError::Short),
                None => {
                    self.followed.watch.lasts();
                    return Ok(());
                }
            }
            is_idle = false;
            self.followed.watch.lasts();
        }
    }

    async fn in_time<T>(&self, answer: impl Future<Output = T>) -> Result<T, WatchError> {
        timeout(self.limits.answer, answer).await.map_err(|_| WatchError::Slow(self.limits.answer))
    }
}

/// The name of a namespace, and what it says.
fn read(object: PartialObjectMeta<Object>) -> Option<(String, Namespace)> {
    let metadata = object.metadata;
    let (labels, annotations) =
        (metadata.labels.unwrap_or_default(), metadata.annotations.unwrap_or_default());
    let namespace = Namespace::read(texts(&labels), texts(&annotations));
    Some((metadata.name?, namespace))
}

fn texts(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

/// Where to go on from, if it is said.
fn remember(version: &mut String, seen: Option<&str>) {
    if let Some(seen) = seen.filter(|seen| !seen.is_empty()) {
        seen.clone_into(version);
    }
}
