//! What one replica knows and serves, and how it decides. PURE but for the randomness of new keys.
//!
//! The rules that keep a served leaf trusted while authorities change:
//!
//! - A leaf is made of an authority that the Secret was just seen to name, or, by a replica that can't see the Secret,
//!   of the one that it last named, as long as no replica can have begun to replace that one. So no leaf of an
//!   authority is made after its successor took over, and the successor's bundle has outlasted every leaf of the former.
//! - A new leaf takes the former's place only if the bundles that are in place trust it, or don't trust the former
//!   either.
//! - A leaf of the previous authority stays until the bundle that knows the new one was in place for the overlap: some
//!   API server may still believe what overwrote it a moment ago.

use std::time::{Duration, SystemTime};

use super::{
    Lifetimes,
    authority::{Authority, AuthorityError, Leaf},
    bundle::Bundles,
    state::{Stage, State, Step, Trust, View, next_step},
};

/// When things were seen. Whatever lives from a moment on lives from the earlier one, whatever waits waits from the
/// later one: a process may be stopped in between for any time.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Before the first look.
    pub before: SystemTime,
    /// After the last one.
    pub after: SystemTime,
}

/// One replica.
#[derive(Debug)]
pub struct Replica {
    names: Vec<String>,
    lifetimes: Lifetimes,
    memory: Option<Trust>,
    leaf: Option<Leaf>,
    /// Since when the Secret has been seen empty.
    empty_since: Option<SystemTime>,
}

impl Replica {
    /// One that knows nothing yet, and will serve these names. The first one is the one that the API server checks.
    pub fn new(names: Vec<String>, lifetimes: Lifetimes) -> Self {
        Self { names, lifetimes, memory: None, leaf: None, empty_since: None }
    }

    /// What it serves.
    pub fn leaf(&self) -> Option<&Leaf> {
        self.leaf.as_ref()
    }

    /// Whether the API server trusts what it serves, by these bundles.
    pub fn is_trusted(&self, bundles: &Bundles, now: SystemTime) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| self.trusts(leaf, bundles, now))
    }

    /// Takes in what was seen of the cluster (the configurations before the Secret), brings the leaf up to date, and
    /// says what to do next.
    pub fn look(
        &mut self,
        state: &State,
        bundles: Option<&Bundles>,
        moment: Moment,
    ) -> Result<Step, AuthorityError> {
        if let State::Kept { trust, .. } = state {
            self.renew(trust, bundles, moment)?;
        }
        let empty_for = self.empty_for(state, moment.after);
        let lifetimes = self.lifetimes;
        let view = View {
            state,
            memory: self.memory.as_ref(),
            bundles,
            empty_for,
            now: moment.after,
            lifetimes: &lifetimes,
        };
        let step = next_step(&view, || Authority::generate(moment.after, &lifetimes))?;
        if let State::Kept { trust, untidy: false } = state {
            self.memory = Some(trust.clone());
        }
        Ok(step)
    }

    /// This is in the Secret now, by its own hand.
    pub fn wrote(&mut self, trust: Trust) {
        self.memory = Some(trust);
    }

    /// What it can do without sight of the Secret.
    pub fn carry_on(&mut self, now: SystemTime) -> Result<(), AuthorityError> {
        let Some(trust) = self.memory.clone() else { return Ok(()) };
        // From here on others may have begun to replace it: only the Secret can tell.
        if now >= trust.current.root().due(&self.lifetimes) {
            return Ok(());
        }
        self.renew(&trust, None, Moment { before: now, after: now })
    }

    /// When it has to look again for the sake of its leaf.
    pub fn renew_at(&self) -> Option<SystemTime> {
        self.leaf.as_ref().map(Leaf::renew)
    }

    /// Makes a new leaf if it is time, and serves it if that is no step back.
    fn renew(
        &mut self,
        trust: &Trust,
        bundles: Option<&Bundles>,
        moment: Moment,
    ) -> Result<(), AuthorityError> {
        let authority = &trust.current;
        let fresh = self
            .leaf
            .as_ref()
            .is_some_and(|leaf| leaf.is_of(authority.root()) && !leaf.is_due(moment.after, &self.lifetimes));
        if fresh || authority.root().has_ended(moment.after) || self.stays(trust, bundles, moment.after) {
            return Ok(());
        }
        let next = authority.issue(&self.names, moment.before, &self.lifetimes)?;
        let is_step_back = match (&self.leaf, bundles) {
            (Some(former), Some(bundles)) => {
                !self.trusts(&next, bundles, moment.after) && self.trusts(former, bundles, moment.after)
            }
            _ => false,
        };
        if !is_step_back {
            self.leaf = Some(next);
        }
        Ok(())
    }

    /// Whether what it serves is of the previous authority, and still the better one: it is trusted, lasts for a while,
    /// and its successor may not be trusted everywhere.
    fn stays(&self, trust: &Trust, bundles: Option<&Bundles>, now: SystemTime) -> bool {
        let Stage::Retiring { previous, since } = &trust.stage else { return false };
        let overlap = self.lifetimes.overlap;
        let is_known_everywhere = since.is_some_and(|since| now >= since + overlap);
        let former = self.leaf.as_ref().filter(|leaf| leaf.is_of(previous));
        let is_good = |leaf: &Leaf| {
            let lasts = leaf.certificate().not_after().is_some_and(|end| end > now + overlap);
            lasts && bundles.is_none_or(|bundles| self.trusts(leaf, bundles, now))
        };
        !is_known_everywhere && former.is_some_and(is_good)
    }

    fn trusts(&self, leaf: &Leaf, bundles: &Bundles, now: SystemTime) -> bool {
        let Some(name) = self.names.first() else { return false };
        let mut texts: Vec<_> = bundles.texts().collect();
        // Mostly they are all the same.
        texts.dedup();
        !texts.is_empty() && texts.into_iter().all(|bundle| leaf.is_trusted(bundle.as_bytes(), name, now))
    }

    fn empty_for(&mut self, state: &State, now: SystemTime) -> Duration {
        match state {
            State::Empty => {
                let since = *self.empty_since.get_or_insert(now);
                now.duration_since(since).unwrap_or_default()
            }
            _ => {
                self.empty_since = None;
                Duration::ZERO
            }
        }
    }
}
