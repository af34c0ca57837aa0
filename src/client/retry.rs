//! When to try again, and when to stop.
//!
//! Exponential delays with full jitter, so that a rollout of thousands of pods does not come back in waves; what
//! ESC asks for with `Retry-After` is honoured by every request of the client, as far as its budget goes.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::StatusCode;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

use super::transport::{Answer, Lost, milliseconds};

/// Upper end of the first delay. The reference client waits this long before its second attempt.
const BASE: Duration = Duration::from_secs(1);

/// Upper end of every delay, as in the reference client.
const CAP: Duration = Duration::from_secs(30);

/// Upper end of what is added to what ESC asks for. Longer than this a place among those that it answers would stay empty:
/// a thousand pods of a rollout still ask for two hundred answers a second.
const SCATTER: Duration = Duration::from_secs(8);

/// The most that is set aside for a last attempt after a long delay.
const RESERVE: Duration = Duration::from_secs(5);

/// The longest budget: nobody waits longer for a pod, and clocks have an end.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long we try altogether.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    deadline: Instant,
    reserve: Duration,
}

/// What an attempt may have done on the server before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Nothing that matters: try again whatever went wrong.
    Freely,
    /// Something that should not happen twice (an open runs providers, mints credentials and writes the audit log):
    /// try again only when the server did not get to it, or says so.
    WithCare,
}

/// Until when ESC has asked us to stay away. It asks the client, and not one request of it.
#[derive(Debug, Default)]
pub(super) struct Patience(Mutex<Option<Instant>>);

impl Patience {
    /// What is left of it.
    pub(super) fn left(&self) -> Duration {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default()
    }

    /// Nobody asks for less than before.
    fn extend(&self, asked: Duration) {
        let until = Instant::now() + asked.min(LONGEST);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = kept.max(Some(until));
    }
}

impl Budget {
    /// A budget that begins now.
    pub fn new(total: Duration) -> Self {
        let total = total.min(LONGEST);
        Self { deadline: Instant::now() + total, reserve: RESERVE.min(total / 8) }
    }

    /// For one attempt that may take this long, and no second one.
    pub fn once(limit: Duration) -> Self {
        let limit = limit.min(LONGEST);
        Self { deadline: Instant::now() + limit, reserve: limit }
    }

    /// What is left.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// How long to wait before the next attempt: as long as wanted, but so that it can still be made. `None` when
    /// there is no time left for one.
    fn pause(&self, wanted: Duration) -> Option<Duration> {
        let room = self.remaining().checked_sub(self.reserve)?;
        (!room.is_zero()).then(|| wanted.min(room))
    }
}

/// Makes attempts until one is final or the budget is used up; tells how many it took.
///
/// An attempt is given the time that is left; `esc` is the address, for the log.
pub(super) async fn run(
    budget: &Budget,
    repeat: Repeat,
    patience: &Patience,
    esc: &str,
    mut attempt: impl AsyncFnMut(Duration) -> Result<Answer, Lost>,
) -> (Result<Answer, Lost>, u32) {
    let asked = patience.left();
    if !asked.is_zero()
        && let Some(pause) = budget.pause(jittered(asked, chance()))
    {
        tracing::info!(pause_ms = milliseconds(pause), "waiting, as ESC has asked an earlier request to");
        tokio::time::sleep(pause).await;
    }
    let mut attempts = 0;
    loop {
        attempts += 1;
        let result = attempt(budget.remaining()).await;
        let mut asked = result.as_ref().ok().and_then(|answer| answer.retry_after);
        if let Some(asked) = asked {
            patience.extend(asked);
        }
        // An earlier answer may have asked for more than this one.
        asked = asked.max(Some(patience.left()).filter(|left| !left.is_zero()));
        let pause = if repeat.again(&result) { budget.pause(delay(attempts, asked, chance())) } else { None };
        let Some(pause) = pause else { return (result, attempts) };
        let why = match &result {
            Ok(answer) => format!("ESC answered {}", answer.status.as_u16()),
            Err(lost) => lost.to_string(),
        };
        tracing::warn!(esc, attempt = attempts, pause_ms = milliseconds(pause), "{why}; trying again");
        tokio::time::sleep(pause).await;
    }
}

impl Repeat {
    fn again(self, result: &Result<Answer, Lost>) -> bool {
        match result {
            Err(Lost::Untrusted { .. } | Lost::TooLarge) => false,
            Err(Lost::Unanswered { .. }) => true,
            Err(Lost::CutOff { .. }) => self == Self::Freely,
            Ok(answer) => match answer.status {
                StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT => true,
                status => self == Self::Freely && status.is_server_error(),
            },
        }
    }
}

/// The delay after this many attempts; `chance` is in `0.0..1.0`.
fn delay(attempts: u32, retry_after: Option<Duration>, chance: f64) -> Duration {
    let doubled = 1_u32.checked_shl(attempts.saturating_sub(1)).and_then(|factor| BASE.checked_mul(factor));
    let doubled = doubled.map_or(CAP, |doubled| doubled.min(CAP));
    match retry_after {
        None => doubled.mul_f64(chance),
        // Who is asked again and again is one of many: scattered ever more widely, they take turns.
        Some(asked) => asked.saturating_add(doubled.min(SCATTER).mul_f64(chance)),
    }
}

/// Not sooner than asked for, and not all pods at the same moment.
fn jittered(asked: Duration, chance: f64) -> Duration {
    asked.saturating_add(BASE.mul_f64(chance))
}

/// A random number in `0.0..1.0`.
pub(crate) fn chance() -> f64 {
    let mut bytes = [0_u8; 4];
    // Without a source of randomness all pods wait the longest delay: herded, but correct.
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    fn answer(status: u16) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
            request_id: None,
            body: Secret::from(""),
        }
    }

    #[test]
    fn repeats_opens_only_when_the_server_did_not_get_to_them() {
        let unanswered = || Err(Lost::Unanswered { why: String::new(), refused: false });
        let cut_off = || Err(Lost::CutOff { why: String::new() });
        let untrusted = || Err(Lost::Untrusted { why: String::new() });
        let cases = [
            (unanswered(), true, true),
            (cut_off(), true, false),
            (untrusted(), false, false),
            (Err(Lost::TooLarge), false, false),
            (Ok(answer(200)), false, false),
            (Ok(answer(302)), false, false),
            (Ok(answer(400)), false, false),
            (Ok(answer(401)), false, false),
            (Ok(answer(403)), false, false),
            (Ok(answer(404)), false, false),
            (Ok(answer(409)), false, false),
            (Ok(answer(429)), true, true),
            (Ok(answer(500)), true, false),
            (Ok(answer(502)), true, true),
            (Ok(answer(503)), true, true),
            (Ok(answer(504)), true, true),
        ];
        for (result, freely, with_care) in cases {
            let shown = result.as_ref().map(|answer| answer.status).map_err(ToString::to_string);
            assert_eq!(Repeat::Freely.again(&result), freely, "{shown:?}");
            assert_eq!(Repeat::WithCare.again(&result), with_care, "{shown:?}");
        }
    }

    proptest! {
        #[test]
        fn delays_grow_to_the_cap_and_never_beyond(attempts in 1_u32.., chance in 0.0..1.0_f64) {
            prop_assert!(delay(attempts, None, chance) <= CAP);
            prop_assert!(delay(1, None, chance) <= BASE);
            let asked = delay(attempts, Some(CAP), chance);
            prop_assert!((CAP..=CAP + SCATTER).contains(&asked));
            prop_assert!(delay(1, Some(CAP), chance) <= CAP + BASE);
            prop_assert!(asked >= delay(1, Some(CAP), chance), "never less than the first time");
        }

        #[test]
        fn pauses_leave_time_for_another_attempt(total in 1_u64..600, wanted in 0_u64..10_000) {
            let budget = Budget::new(Duration::from_secs(total));
            let pause = budget.pause(Duration::from_secs(wanted)).unwrap();
            prop_assert!(pause <= Duration::from_secs(wanted));
            prop_assert!(pause < Duration::from_secs(total));
        }
    }

    #[test]
    fn a_used_up_budget_allows_no_pause() {
        assert_eq!(Budget::new(Duration::ZERO).pause(Duration::ZERO), None);
        assert_eq!(Budget::once(Duration::from_secs(60)).pause(Duration::ZERO), None);
    }

    #[test]
    fn a_budget_without_end_has_one() {
        assert!(Budget::new(Duration::MAX).remaining() <= LONGEST);
    }
}
