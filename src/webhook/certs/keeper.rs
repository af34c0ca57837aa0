//! Keeps the certificates that the webhook makes itself: the loop that looks, decides by [`super::replica`], and acts.
//!
//! Every round looks at everything anew and does at most one thing, so that a crash, a conflict or a lost answer costs
//! a round and nothing else. Watches only wake it; when none is left, it wakes by itself.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Map, Value};
use tokio::{sync::Notify, time::sleep};

use super::{
    Lifetimes, Served,
    authority::{Leaf, service_names},
    bundle::{Bundles, Configuration, FIELD_MANAGER, Kind},
    clock::Clock,
    pace::{Repair, Repairs, back_off, jitter},
    replica::{Moment, Replica},
    state::{self, Change, Data, State, Step, Trust},
    trouble::Trouble,
    watch,
};
use crate::{
    codes::{Code, cluster as codes},
    secret::Secret,
    webhook::{
        cluster::{self, Cluster, ClusterError},
        health::Part,
        metrics::Metrics,
    },
};

/// Certificates of an authority that all replicas share: kept in a Secret, told to the API server by `caBundle`.
#[derive(Debug, Clone)]
pub struct SelfManaged {
    /// Where Secret and webhook configurations are.
    pub cluster: Cluster,
    /// The namespace of Secret and Service.
    pub namespace: String,
    /// The Service that the API server calls; its name is the certificate's.
    pub service: String,
    /// The Secret with the authority. It must exist; empty is enough.
    pub secret: String,
    /// The name of both webhook configurations.
    pub configuration: String,
    /// How long things live.
    pub lifetimes: Lifetimes,
}

/// What a round came to.
enum Round {
    /// Something was changed, or somebody was faster: look again.
    Again,
    /// All is well until then.
    Settled(Option<SystemTime>),
    /// Something overwrites the bundle again and again: not before then.
    Held(Duration),
}

impl SelfManaged {
    /// Keeps the served certificate good, forever.
    pub(in crate::webhook) async fn keep(self, part: Part, served: Arc<Served>, metrics: Metrics) {
        metrics.certificates_are_kept();
        let changed = Notify::new();
        let watches = watch::all(&self, &changed);
        let names = service_names(&self.service, &self.namespace);
        let keeper = Keeper {
            replica: Replica::new(names, self.lifetimes),
            own: &self,
            part,
            served,
            metrics,
            shown: None,
            clock: Clock::default(),
            repairs: Repairs::default(),
            complaint: None,
            failures: 0,
            changes: 0,
        };
        tokio::join!(watches, keeper.run(&changed));
    }
}

struct Keeper<'a> {
    own: &'a SelfManaged,
    part: Part,
    served: Arc<Served>,
    metrics: Metrics,
    replica: Replica,
    /// When the leaf that is served was made; tells one leaf from another.
    shown: Option<Vec<u8>>,
    clock: Clock,
    repairs: Repairs,
    /// What was complained about last, so that it is said once.
    complaint: Option<String>,
    /// Rounds that failed in a row.
    failures: u32,
    /// Rounds in a row that changed something, or came too late to.
    changes: u32,
}

impl Keeper<'_> {
    async fn run(mut self, changed: &Notify) {
        loop {
            let wait = match self.round().await {
                Ok(Round::Again) => {
                    self.failures = 0;
                    self.again()
                }
                Ok(Round::Settled(next)) => {
                    (self.failures, self.changes) = (0, 0);
                    self.settled(next)
                }
                Ok(Round::Held(wait)) => wait,
                Err(trouble) => self.failed(&trouble),
            };
            let mut slept = pin!(sleep(wait));
            tokio::select! {
                () = &mut slept => {}
                () = changed.notified() => {
                    // Changes come in bunches: ours, the other replica's, both configurations.
                    sleep(wait.min(jitter(Duration::from_millis(20)))).await;
                }
            }
        }
    }

    /// How long to rest when there is more to do.
    fn again(&mut self) -> Duration {
        /// From nothing to all in order takes three changes. Who needs many more meets somebody who undoes them.
        const MANY: u32 = 10;
        self.changes = self.changes.saturating_add(1);
        let Lifetimes { retry, resync, .. } = self.own.lifetimes;
        match self.changes.checked_sub(MANY) {
            None => jitter(Duration::from_millis(20)),
            Some(more) => back_off(retry, resync, more),
        }
    }

    /// How long to rest when all is well.
    fn settled(&mut self, next: Option<SystemTime>) -> Duration {
        self.metrics.certificates_in_order();
        if self.complaint.take().is_some() {
            tracing::info!("the certificates are in order again");
        }
        let now = self.clock.now();
        let until = |moment: SystemTime| moment.duration_since(now).unwrap_or_default();
        let resync = self.own.lifetimes.resync;
        // By the wall clock, so in short sleeps: a machine that was suspended has slept through its alarm.
        let due = [next, self.replica.renew_at()].into_iter().flatten().map(until).min();
        due.map_or(resync, |due| due.min(resync)) + jitter(self.own.lifetimes.retry / 4)
    }

    /// Tells what failed, does what can be done without it, and how long to wait before the next attempt.
    fn failed(&mut self, trouble: &Trouble) -> Duration {
        if let Err(error) = self.replica.carry_on(self.clock.now()) {
            tracing::error!(code = codes::CERTIFICATE_NOT_MADE.id(), %error, "the certificate was not renewed");
        }
        self.show();
        let text = trouble.to_string();
        self.part.waits_for(text.clone());
        if self.complaint.as_ref() != Some(&text) {
            let code = trouble.code().map(Code::id);
            tracing::warn!(code, error = text, "the certificates can't be kept up; trying again");
            self.complaint = Some(text);
        }
        self.failures = self.failures.saturating_add(1);
        let Lifetimes { retry, resync, .. } = self.own.lifetimes;
        back_off(retry, resync, self.failures - 1)
    }

    /// Looks at everything, and does one thing.
    async fn round(&mut self) -> Result<Round, Trouble> {
        let before = SystemTime::now();
        // Before the Secret: what is decided from the Secret then holds for configurations that are unchanged since,
        // and a replica that was slow can't put an older bundle over a newer one.
        let (bundles, absent) = self.configurations().await?;
        let (secret, at) = self.secret().await?;
        let after = SystemTime::now();
        self.clock.compare(at, before, after);
        let moment = Moment { before: self.clock.of(before), after: self.clock.of(after) };
        let state = State::parse(&data_of(&secret));
        let step = self.replica.look(&state, bundles.as_ref(), moment)?;
        self.show();
        if let Some(bundles) = bundles.as_ref().filter(|_| !self.part.is_done()) {
            self.latch(bundles, moment.after);
        }
        match step {
            Step::Write(change, trust) => self.write(secret, change, *trust).await,
            Step::Stuck(damage) => Err(Trouble::SecretDamaged { secret: self.own.secret.clone(), damage }),
            Step::Publish(bundle) => match bundles {
                Some(bundles) => self.publish(&bundles, &bundle).await,
                None => Ok(Round::Again),
            },
            Step::Wait(next) => {
                if let (State::Kept { trust, .. }, Some(bundles)) = (&state, &bundles) {
                    self.repairs.seen(trust.bundle(), bundles);
                }
                absent.map_or(Ok(Round::Settled(next)), Err)
            }
        }
    }

    /// Serves the replica's leaf, if it is another one than before.
    fn show(&mut self) {
        let Some(leaf) = self.replica.leaf().map(Leaf::certificate) else { return };
        let der = leaf.leaf().map(|der| der.to_vec());
        if der == self.shown {
            return;
        }
        self.served.replace(leaf);
        self.metrics.certificate(leaf);
        let until = leaf.not_after().map(httpdate::fmt_http_date);
        tracing::info!(until, "serving a new certificate");
        self.shown = der;
    }

    /// Ready, once the API server would accept what is served.
    fn latch(&self, bundles: &Bundles, now: SystemTime) {
        if self.replica.is_trusted(bundles, now) {
            self.part.done();
        } else {
            self.part.waits_for("the caBundle in the cluster does not trust the certificate yet");
        }
    }

    /// What there is to keep, and what is missing. Without the configuration for pods there is nothing: nobody calls
    /// that matters. The one for workloads only advises, and without it the other goes on to be kept.
    async fn configurations(&self) -> Result<(Option<Bundles>, Option<Trouble>), ClusterError> {
        let [mutating, validating] = Kind::ALL.map(|kind| self.configuration(kind));
        Ok(match tokio::try_join!(mutating, validating)? {
            (Ok(mutating), Ok(validating)) => (Some(Bundles(vec![mutating, validating])), None),
            (Ok(mutating), Err(missing)) => (Some(Bundles(vec![mutating])), Some(missing)),
            (Err(missing), _) => (None, Some(missing)),
        })
    }

    async fn configuration(&self, kind: Kind) -> Result<Result<Configuration, Trouble>, ClusterError> {
        let name = &self.own.configuration;
        let attempt = format!("reading {} {name}", kind.name());
        let found = match self.call(&attempt, Method::GET, &kind.path(name), "application/json", None).await {
            Ok((object, _)) => Configuration::parse(kind, &object),
            Err(ClusterError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let (kind_name, name) = (kind.name(), name.clone());
        Ok(match found {
            None => Err(Trouble::ConfigurationMissing { kind: kind_name, name }),
            Some(found) if found.has_no_entry() => {
                let entries = kind.entries().join(", ");
                Err(Trouble::ConfigurationForeign { kind: kind_name, name, entries })
            }
            Some(found) => Ok(found),
        })
    }

    fn secret_path(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets/{}", self.own.namespace, self.own.secret)
    }

    async fn secret(&self) -> Result<(Value, Option<SystemTime>), Trouble> {
        let SelfManaged { secret, namespace, .. } = self.own;
        let attempt = format!("reading Secret {secret} of namespace {namespace}");
        match self.call(&attempt, Method::GET, &self.secret_path(), "application/json", None).await {
            Err(ClusterError::NotFound { .. }) => {
                Err(Trouble::SecretMissing { secret: secret.clone(), namespace: namespace.clone() })
            }
            answer => Ok(answer?),
        }
    }

    /// Writes the Secret as it was read, with other authorities. Its resourceVersion goes along: whoever was faster
    /// wins, and is read in the next round.
    async fn write(&mut self, mut secret: Value, change: Change, trust: Trust) -> Result<Round, Trouble> {
        let SelfManaged { secret: name, namespace, .. } = self.own;
        put_data(&mut secret, &trust.data());
        let attempt = format!("writing Secret {name} of namespace {namespace}");
        let path = format!("{}?fieldManager={FIELD_MANAGER}", self.secret_path());
        match self.call(&attempt, Method::PUT, &path, "application/json", Some(&secret)).await {
            Ok(_) => {
                self.replica.wrote(trust);
                self.tell(change);
                Ok(Round::Again)
            }
            // Also not found: it was deleted between two looks, and the next one says so.
            Err(ClusterError::Conflict { .. } | ClusterError::NotFound { .. }) => Ok(Round::Again),
            Err(error) => Err(error.into()),
        }
    }

    fn tell(&self, change: Change) {
        let secret = &self.own.secret;
        match change {
            Change::Restored => tracing::warn!(
                code = codes::CA_SECRET_RESTORED.id(),
                secret,
                "the authority's Secret was emptied or damaged, and was put back from memory"
            ),
            Change::Replaced => tracing::warn!(
                code = codes::CA_ENDED.id(),
                secret,
                "the authority had ended, and was replaced without an overlap"
            ),
            change => tracing::info!(secret, change = ?change, "the authority's Secret was written"),
        }
    }

    async fn publish(&mut self, bundles: &Bundles, bundle: &str) -> Result<Round, Trouble> {
        let name = &self.own.configuration;
        let Lifetimes { retry, resync, overlap, .. } = self.own.lifetimes;
        if let Some(configuration) = bundles.without(bundle).next() {
            match self.repairs.overwritten(bundle, configuration.uid(), retry, resync, overlap) {
                Repair::Ours => {}
                Repair::Now => {
                    self.metrics.bundle_overwritten();
                    let trouble = Trouble::Overwritten {
                        kind: configuration.kind().name(),
                        name: name.clone(),
                        by: configuration.last_manager().map_or_else(
                            || "somebody who took it away".to_owned(),
                            |manager| format!("`{manager}`"),
                        ),
                    };
                    tracing::warn!(code = codes::BUNDLE_OVERWRITTEN.id(), "{trouble}; putting it back");
                }
                Repair::Hold(wait) => return Ok(Round::Held(wait)),
            }
        }
        for configuration in bundles.without(bundle) {
            let kind = configuration.kind();
            let attempt = format!("setting the caBundle of {} {name}", kind.name());
            let path = format!("{}?fieldManager={FIELD_MANAGER}&force=true", kind.path(name));
            let body = configuration.with_bundle(bundle);
            let answer =
                self.call(&attempt, Method::PATCH, &path, "application/apply-patch+yaml", Some(&body));
            match answer.await {
                Ok(_) => tracing::info!(kind = kind.name(), name, "the caBundle was set"),
                // It changed, or is gone: the next look tells.
                Err(ClusterError::Conflict { .. } | ClusterError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Round::Again)
    }

    async fn call(
        &self,
        attempt: &str,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Option<&Value>,
    ) -> Result<(Value, Option<SystemTime>), ClusterError> {
        let request = cluster::request(attempt, method, path, content_type, body)?;
        let answer = self.own.cluster.call(attempt, request).await?;
        Ok((answer.object, answer.at))
    }
}

/// The Secret's data. What is no base64 is no data; the API server never sends it.
fn data_of(secret: &Value) -> Data {
    let data = secret.get("data").and_then(Value::as_object);
    let decode = |value: &Value| STANDARD.decode(value.as_str()?).ok().map(Secret::new);
    data.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), decode(value)?))).collect()
}

/// Replaces our keys of the Secret's data, and leaves all else as it was.
fn put_data(secret: &mut Value, data: &Data) {
    let Some(secret) = secret.as_object_mut() else { return };
    let slot = secret.entry("data").or_insert(Value::Null);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    if let Some(slot) = slot.as_object_mut() {
        slot.retain(|key, _| !state::key::ALL.contains(&key.as_str()));
        for (key, value) in data {
            slot.insert(key.clone(), Value::String(STANDARD.encode(value.expose())));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_our_keys_of_the_secret_are_replaced() {
        let mut secret = json!({
            "metadata": {"name": "x", "labels": {"a": "b"}},
            "data": {"ca.crt": "b2xk", "next.crt": "b2xk", "mine": "a2VwdA=="},
            "type": "Opaque",
        });
        put_data(&mut secret, &Data::from([("ca.crt".to_owned(), Secret::from("new"))]));
        assert_eq!(
            secret,
            json!({
                "metadata": {"name": "x", "labels": {"a": "b"}},
                "data": {"mine": "a2VwdA==", "ca.crt": "bmV3"},
                "type": "Opaque",
            })
        );
        for empty in [json!({}), json!({"data": null})] {
            let mut secret = empty;
            put_data(&mut secret, &Data::from([("ca.crt".to_owned(), Secret::from("new"))]));
            assert_eq!(data_of(&secret)["ca.crt"].expose(), b"new");
        }
    }
}
