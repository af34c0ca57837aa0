//! Providers: where values come from that no definition holds, and rotators, which renew them.
//!
//! The language says what is to be asked ([`Call`]); here it is asked, everything that can be at once, within a
//! time limit. A provider gets inputs that fit its schema and answers with a tree of values. What it says of a
//! failure is shown to whoever opens the environment: never a secret, and never what a foreign service answered.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use crate::{
    esc::value::{Kind, Value},
    lang::{
        Evaluation, Load, Outcome, Progress,
        seam::{Answer, Call, CallId, Catalogue, NoProviders, Operation, ProviderSchema, RotatorSchema},
    },
};

mod addresses;
mod catalogue;
mod external;
mod password;
mod test;

pub(super) use addresses::Hosts;
pub(super) use external::External;

/// Longest time for one call. A request as a whole may take 30 seconds, and a login is often followed by one more
/// call that needs it.
const CALL_TIMEOUT: Duration = Duration::from_secs(12);

/// Longest time for a rotation. Whoever gives up loses what was rotated, so it is as long as a request may take, all
/// but what saving needs.
const ROTATION_TIMEOUT: Duration = Duration::from_secs(22);

/// Calls that one open has under way at once. Vaults limit the rate of a client long before this.
const MAX_CONCURRENT_CALLS: usize = 16;

/// What is on its way. Dropping it cancels the call.
pub(super) type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, ProviderError>> + Send + 'a>>;

/// Gives values for inputs.
pub(super) trait Provider: Send + Sync {
    /// What it takes and gives.
    fn schema(&self) -> ProviderSchema;

    /// Asks for the values.
    fn open<'a>(&'a self, request: Request<'a>) -> Pending<'a, Opened>;
}

/// Renews a secret whose state is kept in the definition.
pub(super) trait Rotator: Send + Sync {
    /// What it takes, keeps and gives.
    fn schema(&self) -> RotatorSchema;

    /// Asks for the values of a state; there is none before the first rotation.
    fn open<'a>(&'a self, request: Request<'a>, state: Option<&'a Value>) -> Pending<'a, Opened>;

    /// Makes a new state.
    fn rotate<'a>(&'a self, request: Request<'a>, state: Option<&'a Value>) -> Pending<'a, Value>;
}

/// For whom providers are asked.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) organization: String,
    pub(super) login: String,
    /// What is done with new states of rotators.
    pub(super) keep: Option<Keep>,
}

/// Keeps the new state of the rotator at a path: at once, whatever else is still waited for.
#[derive(Clone)]
pub(super) struct Keep(Arc<dyn Fn(String, Value) -> Pending<'static, ()> + Send + Sync>);

impl Keep {
    pub(super) fn new(keep: impl Fn(String, Value) -> Pending<'static, ()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(keep))
    }
}

impl std::fmt::Debug for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keep")
    }
}

/// What a provider is asked with.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    /// For whom.
    pub(super) caller: &'a Caller,
    /// The environment in whose definition the call stands, within its organization.
    pub(super) environment: &'a str,
    /// The environment that is opened.
    pub(super) root_environment: &'a str,
    /// They fit the schema. What only a rotation may look at is unknown outside of one.
    pub(super) inputs: &'a BTreeMap<String, Value>,
}

/// What a provider answers.
pub(super) struct Opened {
    /// The values.
    pub(super) value: Value,
    /// How long they are good for, if that is limited.
    pub(super) lifetime: Option<Duration>,
}

impl From<Value> for Opened {
    fn from(value: Value) -> Self {
        Self { value, lifetime: None }
    }
}

/// Why a provider gives no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProviderError {
    /// It says so itself, in these words.
    #[error("{0}")]
    Refused(String),
    /// It takes too long.
    #[error("{name}: no answer within {} seconds", limit.as_secs())]
    TimedOut {
        /// The provider.
        name: String,
        /// What it was given.
        limit: Duration,
    },
    /// It broke down; the log says more.
    #[error("{name}: internal error")]
    Broken {
        /// The provider.
        name: String,
    },
}

/// The evaluation was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the evaluation was cut off")]
pub(super) struct CutOff;

/// Every provider and rotator that there is.
pub(super) struct Registry {
    providers: BTreeMap<&'static str, Arc<dyn Provider>>,
    rotators: BTreeMap<&'static str, Arc<dyn Rotator>>,
    /// Whether secrets may be hidden by a cipher that hides nothing.
    test_cipher: bool,
    /// Longest time for one call.
    call_timeout: Duration,
}

impl Registry {
    /// The providers of this server, with services of the users' if there is a way to ask them; with `test`, also those
    /// that only tests can want.
    pub(super) fn new(external: Option<External>, test: bool) -> Self {
        let mut registry = Self {
            providers: BTreeMap::new(),
            rotators: BTreeMap::from([("password", Arc::new(password::Password) as Arc<dyn Rotator>)]),
            test_cipher: false,
            call_timeout: CALL_TIMEOUT,
        };
        if let Some(external) = external {
            let external = Arc::new(external);
            registry.providers.insert("external", Arc::clone(&external) as Arc<dyn Provider>);
            registry.rotators.insert("external", external);
        }
        if test {
            test::add_to(&mut registry);
        }
        registry
    }

    /// Evaluates to the end, calling providers as they are needed. Also says how long the values are good for, if
    /// that is limited.
    ///
    /// Of `processors` one is taken while something is computed, none while an answer is awaited. Dropping the
    /// future cancels what is awaited.
    pub(super) async fn evaluate<L: Load + Send + Sync + 'static>(
        self: &Arc<Self>,
        evaluation: Evaluation,
        loader: L,
        processors: &Arc<Semaphore>,
        caller: Caller,
    ) -> Result<(Outcome, Option<Duration>), CutOff> {
        let loader = Arc::new(test::WithCipher { loader, enabled: self.test_cipher });
        let caller = Arc::new(caller);
        let mut evaluation = evaluation;
        let mut lifetime: Option<Duration> = None;
        loop {
            let permit = Arc::clone(processors).acquire_owned().await.map_err(|_| CutOff)?;
            let (loader, registry) = (Arc::clone(&loader), Arc::clone(self));
            let step = tokio::task::spawn_blocking(move || {
                // Held by the work itself: it goes on when the client has gone.
                let _permit = permit;
                let progress = evaluation.run(&*loader, &*registry);
                (evaluation, progress)
            });
            let (next, progress) = step.await.map_err(|_| CutOff)?;
            evaluation = next;
            match progress {
                Progress::Done(outcome) => return Ok((outcome, lifetime)),
                Progress::Waiting(calls) => {
                    for (id, answer, limit) in self.ask(calls, &caller).await {
                        lifetime = lifetime.into_iter().chain(limit).min();
                        evaluation.answer(id, answer);
                    }
                }
            }
        }
    }

    /// Asks all at once, and waits for every answer.
    async fn ask(
        self: &Arc<Self>,
        calls: Vec<Call>,
        caller: &Arc<Caller>,
    ) -> Vec<(CallId, Answer, Option<Duration>)> {
        let room = Arc::new(Semaphore::new(MAX_CONCURRENT_CALLS));
        let mut names = BTreeMap::new();
        // Aborts what is left when it is dropped.
        let mut pending = JoinSet::new();
        for call in calls {
            names.insert(call.id.clone(), call.name.to_string());
            let (registry, room, caller) = (Arc::clone(self), Arc::clone(&room), Arc::clone(caller));
            pending.spawn(async move {
                let _room = room.acquire_owned().await;
                let limit = match call.operation {
                    Operation::Rotate(_) => registry.call_timeout.max(ROTATION_TIMEOUT),
                    Operation::Open | Operation::OpenState(_) => registry.call_timeout,
                };
                let opened = timeout(limit, registry.perform(&call, &caller))
                    .await
                    .unwrap_or_else(|_| Err(ProviderError::TimedOut { name: call.name.to_string(), limit }));
                let opened = match (opened, &call.operation, &caller.keep) {
                    (Ok(opened), Operation::Rotate(_), Some(Keep(keep))) => {
                        keep(call.place.path(), opened.value.clone()).await.map(|()| opened)
                    }
                    (opened, ..) => opened,
                };
                (call.id, opened)
            });
        }
        let mut answers = Vec::new();
        while let Some(finished) = pending.join_next().await {
            if let Ok((id, opened)) = finished {
                names.remove(&id);
                match opened {
                    Ok(Opened { value, lifetime }) => answers.push((id, Ok(value), lifetime)),
                    Err(error) => answers.push((id, Err(error.to_string()), None)),
                }
            }
        }
        // Whoever gave no answer has panicked.
        for (id, name) in names {
            tracing::error!(provider = name, "a provider panicked");
            answers.push((id, Err(ProviderError::Broken { name }.to_string()), None));
        }
        answers
    }

    async fn perform(&self, call: &Call, caller: &Caller) -> Result<Opened, ProviderError> {
        let Kind::Object(inputs) = &call.inputs.kind else {
            return Err(ProviderError::Refused("expected object".to_owned()));
        };
        let (environment, root_environment) = (&*call.environment, &*call.root_environment);
        let request = Request { caller, environment, root_environment, inputs };
        let unknown = || ProviderError::Refused(format!("unknown provider {:?}", call.name));
        match &call.operation {
            Operation::Open => self.providers.get(&*call.name).ok_or_else(unknown)?.open(request).await,
            Operation::OpenState(state) => {
                self.rotators.get(&*call.name).ok_or_else(unknown)?.open(request, state.as_ref()).await
            }
            Operation::Rotate(state) => {
                let rotator = self.rotators.get(&*call.name).ok_or_else(unknown)?;
                rotator.rotate(request, state.as_ref()).await.map(Opened::from)
            }
        }
    }
}

impl Catalogue for Registry {
    fn provider(&self, name: &str) -> Result<ProviderSchema, String> {
        match self.providers.get(name) {
            Some(provider) => Ok(provider.schema()),
            None if catalogue::PROVIDERS.contains(&name) => Err(not_yet("provider", name)),
            None => NoProviders.provider(name),
        }
    }

    fn rotator(&self, name: &str) -> Result<RotatorSchema, String> {
        match self.rotators.get(name) {
            Some(rotator) => Ok(rotator.schema()),
            None if catalogue::ROTATORS.contains(&name) => Err(not_yet("rotator", name)),
            None => NoProviders.rotator(name),
        }
    }
}

fn not_yet(what: &str, name: &str) -> String {
    format!("{what} \"{name}\" is not supported by this server yet")
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.providers.keys().chain(self.rotators.keys());
        f.debug_set().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use tokio::sync::{Barrier, Semaphore};

    use super::{Opened, Pending, Provider, Registry, Request};
    use crate::{
        esc::value::{Kind, Value},
        lang::{Evaluation, Load, LoadError, Options, Outcome, schema::Schema, seam::ProviderSchema},
        secret::Secret,
    };

    struct Nothing;

    impl Load for Nothing {
        fn load(&self, name: &str) -> Result<Secret, LoadError> {
            Err(LoadError(format!("no {name}")))
        }
    }

    /// Answers when all that were to come have come.
    struct Together(Barrier);
    struct Never(Arc<AtomicUsize>);
    struct Panics;
    struct Short(u64);

    fn anything() -> ProviderSchema {
        let any = Arc::new(Schema::always());
        ProviderSchema { inputs: Arc::clone(&any), outputs: any }
    }

    fn done() -> Value {
        Value { kind: Kind::Bool(true), secret: false }
    }

    impl Provider for Together {
        fn schema(&self) -> ProviderSchema {
            anything()
        }

        fn open<'a>(&'a self, _: Request<'a>) -> Pending<'a, Opened> {
            Box::pin(async {
                self.0.wait().await;
                Ok(done().into())
            })
        }
    }

    impl Provider for Never {
        fn schema(&self) -> ProviderSchema {
            anything()
        }

        fn open<'a>(&'a self, _: Request<'a>) -> Pending<'a, Opened> {
            struct Guard(Arc<AtomicUsize>);
            impl Drop for Guard {
                fn drop(&mut self) {
                    self.0.fetch_add(1, Ordering::SeqCst);
                }
            }
            let guard = Guard(Arc::clone(&self.0));
            Box::pin(async move {
                let _guard = guard;
                std::future::pending().await
            })
        }
    }

    impl Provider for Panics {
        fn schema(&self) -> ProviderSchema {
            anything()
        }

        fn open<'a>(&'a self, _: Request<'a>) -> Pending<'a, Opened> {
            Box::pin(async { panic!("as it was told") })
        }
    }

    impl Provider for Short {
        fn schema(&self) -> ProviderSchema {
            anything()
        }

        fn open<'a>(&'a self, _: Request<'a>) -> Pending<'a, Opened> {
            Box::pin(async { Ok(Opened { value: done(), lifetime: Some(Duration::from_secs(self.0)) }) })
        }
    }

    fn registry(providers: Vec<(&'static str, Arc<dyn Provider>)>) -> Arc<Registry> {
        Arc::new(Registry { providers: providers.into_iter().collect(), ..Registry::new(None, false) })
    }

    fn nobody() -> super::Caller {
        super::Caller { organization: "acme".to_owned(), login: "dev".to_owned(), keep: None }
    }

    async fn open(registry: &Arc<Registry>, text: &str) -> (Outcome, Option<Duration>) {
        let evaluation = Evaluation::new("p/e", text.into(), Options::default());
        registry.evaluate(evaluation, Nothing, &Arc::new(Semaphore::new(1)), nobody()).await.unwrap()
    }

    #[tokio::test]
    async fn what_does_not_depend_on_one_another_is_asked_at_once() {
        let registry = registry(vec![("together", Arc::new(Together(Barrier::new(3))))]);
        let call = "{fn::open::together: {}}";
        // With one after the other, none of them would ever answer.
        let (outcome, _) = open(&registry, &format!("values: {{a: {call}, b: {call}, c: {call}}}")).await;
        assert_eq!(outcome.value.redacted_json(), r#"{"a":true,"b":true,"c":true}"#);
    }

    #[tokio::test]
    async fn a_provider_that_never_answers_is_given_up() {
        let mut registry = registry(vec![("never", Arc::new(Never(Arc::default())))]);
        Arc::get_mut(&mut registry).unwrap().call_timeout = Duration::from_millis(5);
        let (outcome, _) = open(&registry, "values: {a: {fn::open::never: {}}, b: 1}").await;
        assert_eq!(outcome.diagnostics[0].summary, "never: no answer within 0 seconds");
        assert_eq!(outcome.diagnostics[0].path, "values.a");
    }

    #[tokio::test]
    async fn calls_end_with_whoever_waits_for_them() {
        let ended = Arc::new(AtomicUsize::new(0));
        let registry = registry(vec![("never", Arc::new(Never(Arc::clone(&ended))))]);
        let waiting = registry.clone();
        let task = tokio::spawn(async move {
            open(&waiting, "values: {a: {fn::open::never: {}}, b: {fn::open::never: {}}}").await
        });
        // One reference is ours, one the test's own registry.
        while Arc::strong_count(&ended) < 4 {
            tokio::task::yield_now().await;
        }
        task.abort();
        assert!(task.await.is_err());
        while ended.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_provider_that_panics_fails_alone() {
        let registry = registry(vec![("panics", Arc::new(Panics)), ("short", Arc::new(Short(1)))]);
        let (outcome, _) =
            open(&registry, "values: {a: {fn::open::panics: {}}, b: {fn::open::short: {}}}").await;
        assert_eq!(outcome.diagnostics[0].summary, "panics: internal error");
        assert_eq!(outcome.value.redacted_json(), r#"{"a":"[unknown]","b":true}"#);
    }

    #[tokio::test]
    async fn the_shortest_life_counts() {
        let registry = registry(vec![("long", Arc::new(Short(90))), ("short", Arc::new(Short(30)))]);
        let (_, lifetime) =
            open(&registry, "values: {a: {fn::open::long: {}}, b: {fn::open::short: {}}}").await;
        assert_eq!(lifetime, Some(Duration::from_secs(30)));
        assert_eq!(open(&registry, "values: {a: 1}").await.1, None);
    }
}
