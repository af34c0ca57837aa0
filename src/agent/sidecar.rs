//! The agent that stays: fetches like [`init`](super::init()), then looks again and again, publishes what changed, and
//! tells the application.
//!
//! Whatever goes wrong after the first set is in place, that set stays. A restarted sidecar adopts the whole that lies
//! there, whatever its age: an outage of ESC must not take a healthy pod out of service. Nothing here awaits between
//! the first switched set and the last, so that ending the future at any moment leaves a whole.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{
    binary,
    deliver::{self, Delivery, Undeliverable},
    failure::Failure,
    fetch::{self, FetchError},
    init::{self, Options},
    metrics::{Metrics, Outcome},
    notify::Poster,
    plan::{OnChange, OnFailure, Plan, Refresh},
    publish::{self, Staged},
    state::{Fingerprint, Mark, Moment, Sets, State, Store},
};
use crate::client::{Budget, Client, chance};

pub mod pace;
mod scraping;
mod telling;
mod trouble;

use pace::Timing;
use trouble::{Trouble, Troubles};

/// All containers of the pod are to start anew: the sidecar ends with this code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// The code that the container's rules wait for.
    pub exit_code: u8,
}

/// Does what the plan says, for as long as it is polled. Dropped, it leaves a whole set.
pub async fn sidecar(
    plan: &Plan,
    fingerprint: &Fingerprint,
    options: &Options,
    timing: &Timing,
) -> Result<Restart, Failure> {
    let mut sidecar = Sidecar::new(plan, fingerprint, timing)?;
    // Stopped when dropped.
    let mut tasks = JoinSet::new();
    if let Some(port) = sidecar.refresh.metrics_port {
        tasks.spawn(scraping::serve(port, sidecar.metrics.clone(), *timing));
    }
    let mut wait = sidecar.start(options).await?;
    let mut fetch_at = tokio::time::Instant::now() + wait;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(fetch_at) => {
                wait = sidecar.look_again().await;
                fetch_at = tokio::time::Instant::now() + wait;
            }
            () = after(sidecar.until_tidy()) => sidecar.tidy(),
            () = after(sidecar.until_due()) => {
                if let Some(restart) = sidecar.tell().await {
                    return Ok(restart);
                }
            }
        }
    }
}

/// Whether a whole set of the plan lies there: what the startup probe asks.
pub fn is_ready(plan: &Plan, fingerprint: &Fingerprint) -> Result<bool, Failure> {
    let refresh = refresh(plan)?;
    Ok(Store::new(&refresh.state_dir).is_ready(plan, fingerprint))
}

fn refresh(plan: &Plan) -> Result<&Refresh, Failure> {
    plan.refresh.as_ref().ok_or_else(|| init::unreadable("it asks for no refresh, which the sidecar is for"))
}

async fn after(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

struct Sidecar<'a> {
    plan: &'a Plan,
    client: Client,
    refresh: &'a Refresh,
    fingerprint: &'a Fingerprint,
    timing: &'a Timing,
    store: Store,
    state: State,
    metrics: Metrics,
    poster: Option<Poster>,
    troubles: Troubles,
    /// What lies there is a whole of this plan.
    whole: bool,
    /// When a former set was left beside the new one.
    left: Option<Instant>,
}

impl<'a> Sidecar<'a> {
    fn new(plan: &'a Plan, fingerprint: &'a Fingerprint, timing: &'a Timing) -> Result<Self, Failure> {
        init::check(plan)?;
        let refresh = refresh(plan)?;
        let poster = match &refresh.on_change {
            OnChange::Post { url } => Some(Poster::new(url)?),
            _ => None,
        };
        let store = Store::new(&refresh.state_dir);
        let state = store.state();
        Ok(Self {
            plan,
            client: fetch::client(plan)?,
            refresh,
            fingerprint,
            timing,
            store,
            state,
            metrics: Metrics::new(),
            poster,
            troubles: Troubles::new(timing.remind),
            whole: false,
            left: None,
        })
    }

    fn interval(&self) -> Duration {
        self.timing.seconds(self.refresh.interval_seconds)
    }

    /// Until something whole lies there. Returns how long to wait before the next fetch.
    async fn start(&mut self, options: &Options) -> Result<Duration, Failure> {
        self.whole = self.store.is_ready(self.plan, self.fingerprint);
        self.copy_binary(options)?;
        if self.whole {
            return Ok(self.adopt());
        }
        let budget = Budget::new(Duration::from_secs(self.plan.timeout_seconds));
        let start = Instant::now();
        let environment = match fetch::first(self.plan, &mut self.client, &budget).await {
            Err(error) if error.is_outage() && self.plan.on_failure == OnFailure::Start => {
                return self.start_without(&error);
            }
            result => result?,
        };
        let ms = milliseconds(start.elapsed());
        tracing::info!(environments = self.plan.environments.len(), ms, "opened");
        let delivery = deliver::render(self.plan, &environment).map_err(Undeliverable::told)?;
        self.put(&delivery, false)?;
        self.succeeded();
        Ok(self.timing.next(self.interval(), true, chance()))
    }

    /// The wrapper, for containers that start after us. One of an earlier run is as good.
    fn copy_binary(&self, options: &Options) -> Result<(), Failure> {
        let Some(directory) = self.plan.binary_dir.as_deref().map(Path::new) else { return Ok(()) };
        match binary::copy(&options.executable, directory) {
            Err(error) if self.whole && directory.join(binary::NAME).is_file() => {
                tracing::warn!("{error}; the copy of an earlier run stays");
                Ok(())
            }
            result => Ok(result?),
        }
    }

    fn adopt(&mut self) -> Duration {
        self.metrics.freshness(self.state.last_success, self.state.stale_since);
        let age = self.state.last_success.map(Moment::elapsed);
        tracing::info!(age_seconds = age.map(|age| age.as_secs()), "ready with the set that lies there");
        self.schedule_telling();
        // Not more often than asked for, however often we are restarted.
        let rest = age.map_or(Duration::ZERO, |age| self.interval().saturating_sub(age));
        rest + self.timing.retry_first.min(self.interval()).mul_f64(chance())
    }

    fn start_without(&mut self, error: &FetchError) -> Result<Duration, Failure> {
        init::degrade(self.plan, error)?;
        self.settle(Sets::current(self.plan))?;
        self.metrics.fetched(Outcome::Outage);
        self.state.stale_since.get_or_insert(Moment::now());
        self.save();
        Ok(self.timing.after_outage(self.interval(), 1, self.client.asked_to_wait(), chance()))
    }

    /// One refresh. Returns how long to wait before the next.
    async fn look_again(&mut self) -> Duration {
        let delivery = self.fetch().await;
        match delivery.and_then(|delivery| self.put(&delivery, true).map_err(Trouble::volume)) {
            Ok(changed) => {
                if let Some(trouble) = self.troubles.over() {
                    let stale_seconds = self.state.last_success.map(|moment| moment.elapsed().as_secs());
                    tracing::info!(code = trouble.id(), stale_seconds, "the values are fresh again");
                }
                tracing::debug!(changed, "looked again");
                self.succeeded();
                self.schedule_telling();
                self.timing.next(self.interval(), false, chance())
            }
            Err(trouble) => self.failed(&trouble),
        }
    }

    async fn fetch(&mut self) -> Result<Delivery<'a>, Trouble> {
        // Nobody waits for it, so that each request is made once; the first fetch has the plan's budget.
        let budget = Budget::once(self.timing.fetch);
        let environment = fetch::fetch(self.plan, &mut self.client, &budget).await?;
        deliver::render(self.plan, &environment).map_err(Trouble::content)
    }

    fn succeeded(&mut self) {
        self.metrics.fetched(Outcome::Success);
        self.state.last_success = Some(Moment::now());
        self.state.stale_since = None;
        self.save();
    }

    fn failed(&mut self, trouble: &Trouble) -> Duration {
        let times = self.troubles.again(trouble.code);
        let interval = self.interval();
        let wait = match trouble.outcome {
            Outcome::Outage => {
                self.timing.after_outage(interval, times, self.client.asked_to_wait(), chance())
            }
            Outcome::Refused => self.timing.after_refusal(interval, times, chance()),
            // It opened: the next look is as good as any.
            Outcome::Success | Outcome::Undeliverable => self.timing.next(interval, false, chance()),
        };
        let now = Moment::now();
        self.metrics.fetched(trouble.outcome);
        self.state.stale_since.get_or_insert(now);
        self.save();
        let stale_seconds = self.state.last_success.map(|moment| now.since(moment).as_secs());
        let (code, next_ms) = (trouble.code.id(), milliseconds(wait));
        if self.troubles.is_to_be_told() {
            deliver::tell(&trouble.missing);
            tracing::warn!(
                code,
                stale_seconds,
                times,
                next_ms,
                fix = trouble.code.entry().fix,
                more = trouble.code.command(),
                "{}; the values in place stay",
                trouble.failure
            );
        } else {
            tracing::debug!(code, stale_seconds, times, next_ms, "{}", trouble.failure);
        }
        wait
    }

    /// Puts in place what is not there yet; tells whether there was such. All sets are written before the first is
    /// switched. Before the first set there is no application that a change could be told.
    fn put(&mut self, delivery: &Delivery<'_>, is_change: bool) -> Result<bool, Failure> {
        let start = Instant::now();
        let mut staged: Vec<Staged> = Vec::new();
        for (directory, entries) in &delivery.sets {
            if !publish::is_published(directory, entries)? {
                staged.push(publish::stage(directory, entries)?);
            }
        }
        let current = Sets::current(self.plan);
        if staged.is_empty() {
            if !self.whole {
                self.settle(current)?;
            }
            return Ok(false);
        }
        let mut next = current.clone();
        for set in &staged {
            next.set(set.path(), set.name());
        }
        // What is no whole must not be taken for one. What is, stays one until the last set is switched.
        let before = if self.whole { current } else { Sets::default() };
        self.mark(before, Some(next.clone()))?;
        if is_change && self.refresh.on_change != OnChange::None {
            // Before it is visible: told once too often is better than never.
            self.state.changed(Moment::now());
            self.store.set_state(&self.state)?;
        }
        // Should a switch fail, what lies there is no whole until a later one succeeds.
        self.whole = false;
        for set in staged {
            set.publish_beside()?;
        }
        self.left = Some(Instant::now());
        self.settle(next)?;
        self.state.last_publish = Some(Moment::now());
        self.metrics.published();
        let Delivery { files, variables, .. } = delivery;
        let ms = milliseconds(start.elapsed());
        tracing::info!(files, variables, ms, "published");
        Ok(true)
    }

    fn settle(&mut self, sets: Sets) -> Result<(), Failure> {
        self.mark(sets, None)?;
        self.whole = true;
        Ok(())
    }

    fn mark(&self, sets: Sets, next: Option<Sets>) -> Result<(), Failure> {
        self.store.set_mark(&Mark { plan: self.fingerprint.clone(), sets, next })
    }

    /// Times are worth a warning when they can't be kept, and no more.
    fn save(&mut self) {
        self.metrics.freshness(self.state.last_success, self.state.stale_since);
        if let Err(error) = self.store.set_state(&self.state) {
            tracing::warn!(code = error.code.id(), more = error.code.command(), "{error}");
        }
    }

    fn until_tidy(&self) -> Option<Duration> {
        self.left.map(|left| self.timing.keep_former.saturating_sub(left.elapsed()))
    }

    /// Old secrets should not lie about.
    fn tidy(&mut self) {
        self.left = None;
        let directories = self.plan.views.iter().flat_map(|view| [&view.files_dir, &view.env_dir]).flatten();
        for directory in directories {
            if let Err(error) = publish::tidy(Path::new(directory)) {
                tracing::warn!("{error}");
            }
        }
    }
}
