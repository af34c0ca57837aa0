//! What the Secret says, and what is to be done about it. PURE: no clock, no I/O; new keys come in from outside.
//!
//! A change of authorities has three stages, and each is told by the Secret alone, so that any replica carries it on
//! from wherever another one stopped:
//!
//! | the Secret has | stage | in the bundle | leaves are of | it ends when |
//! |---|---|---|---|---|
//! | `ca.*` | stable | ca | ca | a fifth of ca's life is left |
//! | `ca.*`, `next.*` | introducing | ca, next | ca | the bundle was seen in place everywhere, that moment was written as `stage-since`, and the overlap is over |
//! | `ca.*` (which was next), `previous.crt` | retiring | previous, ca | ca | the same, plus the life of a leaf |
//!
//! The last wait outlasts every leaf of the previous authority, also those of a replica that has lost sight of the
//! Secret: see [`super::replica`] for why none is made later.
//!
//! Whoever wants to bring an authority of their own making puts it into `next.*`.

use std::{collections::BTreeMap, time::SystemTime};

use jiff::Timestamp;

use super::{
    Lifetimes,
    authority::{Authority, AuthorityError, Root},
    bundle::Bundles,
};
use crate::secret::Secret;

/// Keys of the Secret.
pub mod key {
    /// The authority that signs leaves.
    pub const CA: &str = "ca.crt";
    /// Its key.
    pub const CA_KEY: &str = "ca.key";
    /// The authority on its way in.
    pub const NEXT: &str = "next.crt";
    /// Its key.
    pub const NEXT_KEY: &str = "next.key";
    /// The authority on its way out. Its key is gone: it signs nothing any more.
    pub const PREVIOUS: &str = "previous.crt";
    /// Since when the stage's bundle is known to be in place, RFC 3339.
    pub const SINCE: &str = "stage-since";
    /// All of them. What else is in the Secret is left alone.
    pub const ALL: [&str; 6] = [CA, CA_KEY, NEXT, NEXT_KEY, PREVIOUS, SINCE];
}

/// The data of the Secret, decoded.
pub type Data = BTreeMap<String, Secret>;

/// What the Secret says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing yet, or nothing any more.
    Empty,
    /// Authorities.
    Kept {
        /// Which.
        trust: Trust,
        /// There is more in it that means nothing: half of a pair, or damage in what is not in use.
        untidy: bool,
    },
    /// The authority that signs can't be used.
    Damaged(Damage),
}

/// Which key of the Secret can't be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct Damage {
    /// The key.
    pub key: &'static str,
    /// Why.
    pub why: AuthorityError,
}

/// The authorities of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Signs leaves.
    pub current: Authority,
    /// Where a change of authorities stands.
    pub stage: Stage,
}

/// Where a change of authorities stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// None is under way.
    Stable,
    /// The next one is made known, and signs nothing yet.
    Introducing {
        /// It.
        next: Authority,
        /// Since when the bundle is known to be in place.
        since: Option<SystemTime>,
    },
    /// The previous one signs nothing any more, and is still known.
    Retiring {
        /// It.
        previous: Root,
        /// Since when the bundle is known to be in place.
        since: Option<SystemTime>,
    },
}

impl Trust {
    /// One authority alone.
    pub fn of(current: Authority) -> Self {
        Self { current, stage: Stage::Stable }
    }

    /// What clients must trust: PEM, the oldest first, so that the text changes only when the set does.
    pub fn bundle(&self) -> String {
        let mut roots = vec![self.current.root()];
        match &self.stage {
            Stage::Stable => {}
            Stage::Introducing { next, .. } => roots.push(next.root()),
            Stage::Retiring { previous, .. } => roots.push(previous),
        }
        roots.sort_by_key(|root| root.age_order());
        roots.into_iter().map(Root::pem).collect()
    }

    /// The Secret's data; keys that are not in it are to be removed.
    pub fn data(&self) -> Data {
        let root = |root: &Root| Secret::from(root.pem());
        let since = |since: &Option<SystemTime>| {
            let time = since.and_then(|time| Timestamp::try_from(time).ok());
            time.map(|time| (key::SINCE, Secret::from(time.to_string())))
        };
        let mut data = vec![(key::CA, root(self.current.root())), (key::CA_KEY, self.current.key().clone())];
        match &self.stage {
            Stage::Stable => {}
            Stage::Introducing { next, since: time } => {
                data.extend([(key::NEXT, root(next.root())), (key::NEXT_KEY, next.key().clone())]);
                data.extend(since(time));
            }
            Stage::Retiring { previous, since: time } => {
                data.push((key::PREVIOUS, root(previous)));
                data.extend(since(time));
            }
        }
        data.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

impl State {
    /// Reads the Secret's data. Empty values are as good as none: some tools write them for keys without a value.
    pub fn parse(data: &Data) -> Self {
        let get = |key: &str| data.get(key).map(Secret::expose).filter(|value| !value.is_empty());
        let pair = |certificate, key| match (get(certificate), get(key)) {
            (None, None) => None,
            (certificate, key) => {
                Some(Authority::parse(certificate.unwrap_or_default(), key.unwrap_or_default()))
            }
        };
        let mut untidy = false;
        let since = get(key::SINCE).and_then(time);
        let next = pair(key::NEXT, key::NEXT_KEY);
        let previous = get(key::PREVIOUS).map(Root::parse);
        let current = match pair(key::CA, key::CA_KEY) {
            Some(Ok(current)) => current,
            Some(Err(why)) => return Self::Damaged(Damage { key: key::CA, why }),
            None if next.is_none() && previous.is_none() => return Self::Empty,
            None => {
                let why = AuthorityError::Pair(super::CertificateError::NoCertificate);
                return Self::Damaged(Damage { key: key::CA, why });
            }
        };
        // A previous authority is more than a next one: leaves may depend on it.
        let stage = match (previous, next) {
            (Some(Ok(previous)), _) if previous != *current.root() => Stage::Retiring { previous, since },
            (None, Some(Ok(next))) if next.root() != current.root() => Stage::Introducing { next, since },
            (None, None) => Stage::Stable,
            _ => {
                untidy = true;
                Stage::Stable
            }
        };
        Self::Kept { trust: Trust { current, stage }, untidy }
    }
}

fn time(text: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?;
    Some(text.trim().parse::<Timestamp>().ok()?.into())
}

/// All that a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What the Secret says.
    pub state: &'a State,
    /// What it said when this replica last understood it.
    pub memory: Option<&'a Trust>,
    /// What the webhook configurations said before the Secret was read; none if there are none.
    pub bundles: Option<&'a Bundles>,
    /// For how long this replica has seen nothing in the Secret, without a memory of its own.
    pub empty_for: std::time::Duration,
    /// A moment after all of this was read.
    pub now: SystemTime,
    /// How long things live.
    pub lifetimes: &'a Lifetimes,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write this into the Secret, if it is still what was read.
    Write(Change, Box<Trust>),
    /// Put this bundle into every entry.
    Publish(String),
    /// Nothing, before this moment.
    Wait(Option<SystemTime>),
    /// Nothing that a program should do.
    Stuck(Damage),
}

/// Why the Secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A new authority into an empty Secret.
    Filled,
    /// What was there before it was emptied or damaged.
    Restored,
    /// The next authority, to be made known.
    Introduced,
    /// The bundle of the stage was seen in place.
    Stamped,
    /// The bundle was overwritten: its wait begins anew.
    Restarted,
    /// The next authority signs from now on.
    Promoted,
    /// The previous authority is not needed any more.
    Retired,
    /// A new authority for one that had ended.
    Replaced,
    /// Without what meant nothing.
    Tidied,
}

/// What to do next. `make` gives a new authority.
pub fn next_step(
    view: &View<'_>,
    make: impl FnOnce() -> Result<Authority, AuthorityError>,
) -> Result<Step, AuthorityError> {
    let write = |change, trust: Trust| Step::Write(change, Box::new(trust));
    let (trust, untidy) = match (view.state, view.memory) {
        (State::Kept { trust, untidy }, _) => (trust, *untidy),
        (_, Some(memory)) => return Ok(write(Change::Restored, memory.clone())),
        (State::Damaged(damage), None) => return Ok(Step::Stuck(damage.clone())),
        // Somebody made the bundle that is published, and may still know its authority.
        (State::Empty, None)
            if view.bundles.is_some_and(Bundles::is_any_set) && view.empty_for < view.lifetimes.restore =>
        {
            return Ok(Step::Wait(view.now.checked_add(view.lifetimes.restore - view.empty_for)));
        }
        (State::Empty, None) => return Ok(write(Change::Filled, Trust::of(make()?))),
    };
    if untidy {
        let known = view.memory.filter(|memory| memory.current == trust.current);
        return Ok(match known {
            Some(memory) => write(Change::Restored, memory.clone()),
            None => write(Change::Tidied, trust.clone()),
        });
    }
    if trust.current.root().has_ended(view.now) {
        return replace(trust, view.now, make);
    }
    let bundle = trust.bundle();
    match view.bundles {
        // Without configurations nobody calls, and nothing can be known to be in place.
        None => return Ok(Step::Wait(None)),
        Some(bundles) if !bundles.are_all(&bundle) => {
            return Ok(match &trust.stage {
                // What overwrote it may have reached some API server, and may know the current authority only.
                Stage::Introducing { next, since: Some(_) } => {
                    let stage = Stage::Introducing { next: next.clone(), since: None };
                    write(Change::Restarted, Trust { current: trust.current.clone(), stage })
                }
                _ => Step::Publish(bundle),
            });
        }
        Some(_) => {}
    }
    advance(trust, view, make)
}

/// An authority that has ended signs nothing that anybody trusts: there is nothing to overlap with.
fn replace(
    trust: &Trust,
    now: SystemTime,
    make: impl FnOnce() -> Result<Authority, AuthorityError>,
) -> Result<Step, AuthorityError> {
    let (change, current) = match &trust.stage {
        Stage::Introducing { next, .. } if !next.root().has_ended(now) => (Change::Promoted, next.clone()),
        _ => (Change::Replaced, make()?),
    };
    Ok(Step::Write(change, Box::new(Trust::of(current))))
}

/// The next stage of a change of authorities. The bundle of this stage is in place.
fn advance(
    trust: &Trust,
    view: &View<'_>,
    make: impl FnOnce() -> Result<Authority, AuthorityError>,
) -> Result<Step, AuthorityError> {
    let Lifetimes { overlap, leaf, .. } = *view.lifetimes;
    let write =
        |change, stage| Step::Write(change, Box::new(Trust { current: trust.current.clone(), stage }));
    // Stamps of the future are of a clock that nobody can trust, or of a hand: the wait begins anew.
    let believed = |since: Option<SystemTime>| since.filter(|since| *since <= view.now + overlap / 2);
    Ok(match &trust.stage {
        Stage::Stable => {
            let due = trust.current.root().due(view.lifetimes);
            if view.now < due {
                Step::Wait(Some(due))
            } else {
                write(Change::Introduced, Stage::Introducing { next: make()?, since: None })
            }
        }
        Stage::Introducing { next, .. } if next.root().has_ended(view.now) => {
            write(Change::Tidied, Stage::Stable)
        }
        Stage::Introducing { next, since } => match believed(*since) {
            None => write(Change::Stamped, Stage::Introducing { next: next.clone(), since: Some(view.now) }),
            Some(since) if view.now < since + overlap => Step::Wait(Some(since + overlap)),
            Some(_) => {
                let previous = trust.current.root().clone();
                let stage = Stage::Retiring { previous, since: None };
                Step::Write(Change::Promoted, Box::new(Trust { current: next.clone(), stage }))
            }
        },
        Stage::Retiring { previous, since } => match believed(*since) {
            None => {
                let stage = Stage::Retiring { previous: previous.clone(), since: Some(view.now) };
                write(Change::Stamped, stage)
            }
            Some(since) if view.now < since + overlap + leaf => Step::Wait(Some(since + overlap + leaf)),
            Some(_) => write(Change::Retired, Stage::Stable),
        },
    })
}
