//! Pods that ask, created without a pause by several clients, while something goes wrong elsewhere.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Error,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use tokio::task::JoinHandle;

use super::{cluster::cluster, eventually, namespace::Namespace, pods};

/// Each is a connection to the API server, and so at most one from there to a replica.
const CLIENTS: usize = 6;

/// Between two pods of a client: keeps the machine's two processors below their limit.
const PAUSE: Duration = Duration::from_millis(10);

/// Every so many pods is a real one, which is deleted again; the others are dry runs.
const REAL: usize = 8;

/// A running stream.
pub struct Stream {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Tally>>,
    namespace: Namespace,
}

/// What became of a stream's pods.
#[derive(Debug, Default)]
pub struct Tally {
    /// Created with the agent in them.
    pub created: usize,
    /// Refused because of the webhook or a policy, or created without the agent: the text of each.
    pub refused: Vec<String>,
    /// Refused for another reason, such as an API server that restarts: the text of each.
    pub elsewhere: Vec<String>,
}

impl Stream {
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (answered, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let namespace = Namespace::injected("stream");
        let clients = (0..CLIENTS)
            .map(|client| {
                let pods = Api::namespaced(cluster().client(), &namespace.name);
                let counts = (Arc::clone(&answered), Arc::clone(&refused));
                cluster().spawn(create(pods, client, Arc::clone(&stop), counts))
            })
            .collect();
        let stream = Self { stop, answered, refused, clients, namespace };
        stream.flow();
        stream
    }

    /// Waits until this moment lies behind every client: a hundred more pods were answered.
    #[track_caller]
    pub fn flow(&self) {
        let from = self.answered.load(Ordering::Relaxed);
        eventually("the stream flows", || (self.answered.load(Ordering::Relaxed) > from + 100).then_some(()));
    }

    /// Waits until what went wrong lies behind every client, and then that nothing goes wrong any more.
    #[track_caller]
    pub fn expect_recovery(&self) {
        self.flow();
        let before = self.refused.load(Ordering::Relaxed);
        self.flow();
        self.flow();
        assert_eq!(self.refused.load(Ordering::Relaxed), before, "pods are still refused");
    }

    /// Ends the stream, and counts.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = Tally::default();
        for client in self.clients {
            let tally = cluster().block_on(client).unwrap();
            total.created += tally.created;
            total.refused.extend(tally.refused);
            total.elsewhere.extend(tally.elsewhere);
        }
        drop(self.namespace);
        total
    }
}

impl Tally {
    /// Fails unless every pod was injected.
    #[track_caller]
    pub fn expect_no_refusal(&self) {
        assert_eq!(self.refused.len(), 0, "of {}: {:#?}", self.created, self.some());
    }

    /// Some of the refusals.
    pub fn some(&self) -> Vec<&String> {
        self.refused.iter().take(5).collect()
    }
}

async fn create(
    pods: Api<Pod>,
    client: usize,
    stop: Arc<AtomicBool>,
    (answered, refused): (Arc<AtomicUsize>, Arc<AtomicUsize>),
) -> Tally {
    let mut tally = Tally::default();
    let refuse = |tally: &mut Tally, why: String| {
        refused.fetch_add(1, Ordering::Relaxed);
        tally.refused.push(why);
    };
    let mut count = client;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let real = count.is_multiple_of(REAL);
        let name = format!("pod-{client}-{count}");
        let pod = serde_json::from_value(pods::pod(&name, &pods::asks())).unwrap();
        let parameters = PostParams { dry_run: !real, ..PostParams::default() };
        match pods.create(&parameters, &pod).await {
            Ok(pod) if pods::agent(&json!(pod)).is_some() => tally.created += 1,
            Ok(_) => refuse(&mut tally, "created without the agent".to_owned()),
            Err(error) if is_admission(&error) => refuse(&mut tally, error.to_string()),
            Err(error) => tally.elsewhere.push(error.to_string()),
        }
        if real {
            // One that is left goes with the namespace.
            let _ = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
        }
        answered.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    tally
}

/// Whether the webhook or a policy had a part in it.
fn is_admission(error: &Error) -> bool {
    let Error::Api(status) = error else { return false };
    ["webhook", "denied the request"].iter().any(|word| status.message.contains(word))
}
