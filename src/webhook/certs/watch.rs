//! Watches that wake the keeper. They carry metadata only: what changed is read by the keeper, so that the Secret's
//! content never passes through a library that might log it.

use std::fmt::Debug;

use futures_util::StreamExt;
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::Secret,
};
use kube::{
    Api, Resource,
    core::PartialObjectMeta,
    runtime::{WatchStreamExt, watcher},
};
use tokio::sync::Notify;

use super::SelfManaged;

/// Wakes at every change of the Secret and of both configurations, forever.
pub(super) async fn all(own: &SelfManaged, changed: &Notify) {
    let client = || own.cluster.client();
    tokio::join!(
        one::<Secret>(Api::namespaced(client(), &own.namespace), &own.secret, changed),
        one::<MutatingWebhookConfiguration>(Api::all(client()), &own.configuration, changed),
        one::<ValidatingWebhookConfiguration>(Api::all(client()), &own.configuration, changed),
    );
}

async fn one<K>(api: Api<PartialObjectMeta<K>>, name: &str, changed: &Notify)
where
    K: Resource + Clone + Debug + Send + Sync + 'static,
{
    // The only selector that a right on one named object covers.
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = Box::pin(watcher(api, config).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(_) => changed.notify_one(),
            // The keeper meets the same trouble, and tells it with a code.
            Err(error) => tracing::debug!(%error, name, "a watch broke off"),
        }
    }
}
