//! Reads a review of a pod's creation as API servers write it: borrowed from the body, and without what no decision
//! needs, such as the old object, the user, and half of the pod (see [`Document`]).
//!
//! Whatever else comes is read again by [`super::review`], whole and leniently, so nothing is refused here.

use std::borrow::Cow;

use serde::Deserialize;

use super::review::{API_VERSION, KIND, MAX_UID, PodCreation, Review};
use crate::inject::document::Document;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    uid: String,
    #[serde(borrow)]
    resource: GroupVersionResource<'a>,
    #[serde(borrow, default)]
    sub_resource: Cow<'a, str>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    namespace: String,
    #[serde(default)]
    dry_run: bool,
    #[serde(borrow)]
    object: Document<'a>,
}

#[derive(Deserialize)]
struct GroupVersionResource<'a> {
    #[serde(borrow)]
    group: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    resource: Cow<'a, str>,
}

/// The review, if there is nothing whatever to say against it.
pub(super) fn pod_creation(body: &[u8]) -> Option<Review<PodCreation<'_>>> {
    // Seen to be UTF-8 once, and not text by text.
    let text = std::str::from_utf8(body).ok()?;
    let Envelope { api_version, kind, request } = serde_json::from_str(text).ok()?;
    let Request { uid, resource, sub_resource, operation, namespace, dry_run, object } = request;
    let GroupVersionResource { group, version, resource } = resource;
    let is_creation = api_version == API_VERSION
        && kind == KIND
        && (group.as_ref(), version.as_ref(), resource.as_ref()) == ("", "v1", "pods")
        && sub_resource.is_empty()
        && operation == "CREATE";
    let is_whole = !uid.is_empty() && uid.len() <= MAX_UID && !namespace.is_empty() && object.is_object();
    let question = Ok(Some(PodCreation { namespace, dry_run, pod: object }));
    (is_creation && is_whole).then_some(Review { uid, question })
}
