//! When the application is told of a change, and that it is: never more often than the limits allow, and not forgotten
//! over a restart of the sidecar.

use std::time::Duration;

use super::{
    super::{metrics::Telling, notify, plan::OnChange, state::Moment},
    Restart, Sidecar, milliseconds,
    pace::Limit,
};
use crate::{client::chance, codes::refresh as codes};

impl Sidecar<'_> {
    pub(super) fn until_due(&self) -> Option<Duration> {
        let limit = self.limit();
        // A clock that was set back must not put it off for ever.
        let longest = limit.window + limit.pause + self.spread() + self.interval();
        self.state.due.map(|due| due.since(Moment::now()).min(longest))
    }

    fn limit(&self) -> Limit {
        match self.refresh.on_change {
            OnChange::Restart { .. } => self.timing.telling.restart,
            _ => self.timing.telling.call,
        }
    }

    fn spread(&self) -> Duration {
        match self.refresh.on_change {
            OnChange::Restart { .. } => self.timing.seconds(self.refresh.restart_spread_seconds),
            _ => Duration::ZERO,
        }
    }

    /// When the application is told of a change that it was not told of.
    pub(super) fn schedule_telling(&mut self) {
        if self.state.untold_since.is_none() || self.state.due.is_some() {
            return;
        }
        let now = Moment::now();
        let limited = self.limit().wait(self.state.told.iter().rev().map(|told| now.since(*told)));
        if !limited.is_zero() {
            let wait_seconds = limited.as_secs();
            tracing::warn!(
                code = codes::TOLD_TOO_OFTEN.id(),
                more = codes::TOLD_TOO_OFTEN.command(),
                wait_seconds,
                "the application is told of the change later"
            );
        }
        let wait = limited.max(self.spread().mul_f64(chance()));
        if let OnChange::Restart { .. } = self.refresh.on_change {
            tracing::info!(
                wait_seconds = wait.as_secs(),
                "the pod's containers restart to take up the change"
            );
        }
        self.state.due = Some(now + wait);
        self.save();
    }

    /// Tells the application. It is asked to restart by ending, hence the result.
    pub(super) async fn tell(&mut self) -> Option<Restart> {
        let telling = &self.timing.telling;
        let result = match (&self.refresh.on_change, &self.poster) {
            (OnChange::Post { .. }, Some(poster)) => {
                poster.post(telling).await.map(|()| "by a POST".to_owned())
            }
            (OnChange::Signal { signal, process }, _) => notify::signal(*signal, process.as_deref(), telling)
                .await
                .map(|(name, pid)| format!("by {signal} to {} ({pid})", name.escape_debug())),
            (OnChange::Restart { exit_code }, _) => return self.restart(*exit_code),
            (OnChange::None | OnChange::Post { .. }, _) => Ok("by nothing: on-change is none".to_owned()),
        };
        match result {
            Ok(how) => {
                let ms = self.state.untold_since.map(|since| milliseconds(since.elapsed()));
                tracing::info!(after_ms = ms, "told the application of the change {how}");
                self.metrics.told(Telling::Told);
                self.state.told(Moment::now());
            }
            Err(failure) => {
                let code = failure.code;
                tracing::warn!(code = code.id(), fix = failure.fix(), more = code.command(), "{failure}");
                self.metrics.told(Telling::Failed);
                // It still has to learn of it.
                self.state.due = Some(Moment::now() + self.interval().max(self.limit().pause));
            }
        }
        self.save();
        None
    }

    /// Ends with the code, if it is on record that we did: or a restart could follow a restart for ever.
    fn restart(&mut self, exit_code: u8) -> Option<Restart> {
        let now = Moment::now();
        self.state.told(now);
        match self.store.set_state(&self.state) {
            Ok(()) => {
                tracing::info!(exit_code, "ending, so that the pod's containers restart");
                Some(Restart { exit_code })
            }
            Err(error) => {
                let code = error.code;
                tracing::warn!(
                    code = code.id(),
                    more = code.command(),
                    "{error}; the pod's containers are not restarted"
                );
                self.metrics.told(Telling::Failed);
                self.state.changed(now);
                self.state.due = Some(now + self.interval().max(self.limit().pause));
                None
            }
        }
    }
}
