//! What the Secret says, and what is to be done about it. PURE: no clock, no I/O; new keys come in from outside.
//!
//! A change of authorities has three stages, and each is told by the Secret alone, so that any replica carries it on
//! from wherever another one stopped:
//!
//! | the Secret has | stage | in the bundle | leaves are of | it ends when |
//! |---|---|---|---|---|
//! | `ca.*` | stable | ca | ca | a fifth of ca's life is left |
//! | `ca.*`, `next.*` | introducing | ca, next | ca | the bundle was seen in place everywhere, that moment was written as `stage-since`, and the overlap is over |
//! | `ca.*` (which was next), `previous.crt` | retiring | previous, ca | ca, after the same wait | the same, plus the life of a leaf |
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
    let left = view.lifetimes.restore.saturating_sub(view.empty_for);
    let (trust, untidy) = match (view.state, view.memory) {
        (State::Kept { trust, untidy }, _) => (trust, *untidy),
        (_, Some(memory)) => return Ok(write(Change::Restored, memory.clone())),
        (State::Damaged(damage), None) => return Ok(Step::Stuck(damage.clone())),
        // Somebody made the bundle that is published, and may still know its authority.
        (State::Empty, None) if view.bundles.is_some_and(Bundles::is_any_set) && !left.is_zero() => {
            return Ok(Step::Wait(view.now.checked_add(left)));
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
            // What overwrote it may have reached some API server, and may know only one of the two.
            let anew = match &trust.stage {
                Stage::Introducing { next, since: Some(_) } => {
                    Some(Stage::Introducing { next: next.clone(), since: None })
                }
                Stage::Retiring { previous, since: Some(_) } => {
                    Some(Stage::Retiring { previous: previous.clone(), since: None })
                }
                _ => None,
            };
            return Ok(match anew {
                Some(stage) => write(Change::Restarted, Trust { current: trust.current.clone(), stage }),
                None => Step::Publish(bundle),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{
        super::bundle::{Configuration, Kind},
        *,
    };

    const HOUR: Duration = Duration::from_secs(3600);

    fn lifetimes() -> Lifetimes {
        Lifetimes { authority: 1000 * HOUR, ..Lifetimes::default() }
    }

    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + 500_000 * HOUR
    }

    fn authority(made: SystemTime) -> Authority {
        Authority::generate(made, &lifetimes()).unwrap()
    }

    fn bundles(texts: [&str; 3]) -> Bundles {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let mut texts = texts.into_iter();
        Bundles(
            Kind::ALL
                .map(|kind| {
                    let webhooks: Vec<_> = kind
                        .entries()
                        .iter()
                        .zip(&mut texts)
                        .map(|(name, text)| json!({"name": name, "clientConfig": {"caBundle": STANDARD.encode(text)}}))
                        .collect();
                    let metadata = json!({"name": "x", "uid": "u", "resourceVersion": "1"});
                    Configuration::parse(kind, &json!({"metadata": metadata, "webhooks": webhooks})).unwrap()
                })
                .into(),
        )
    }

    fn published(bundle: &str) -> Bundles {
        bundles([bundle; 3])
    }

    /// The next step for a replica that has just begun and sees this.
    fn step(state: &State, bundles: Option<&Bundles>, now: SystemTime) -> Step {
        step_with(state, None, bundles, now, Duration::ZERO)
    }

    fn step_with(
        state: &State,
        memory: Option<&Trust>,
        bundles: Option<&Bundles>,
        now: SystemTime,
        empty_for: Duration,
    ) -> Step {
        let lifetimes = lifetimes();
        let view = View { state, memory, bundles, empty_for, now, lifetimes: &lifetimes };
        next_step(&view, || Ok(authority(now))).unwrap()
    }

    fn kept(trust: &Trust) -> State {
        State::Kept { trust: trust.clone(), untidy: false }
    }

    fn written(step: Step) -> (Change, Trust) {
        match step {
            Step::Write(change, trust) => (change, *trust),
            other => panic!("{other:?}"),
        }
    }

    fn secret_with(trust: &Trust, more: &[(&str, &str)]) -> Data {
        let mut data = trust.data();
        data.extend(more.iter().map(|(key, value)| ((*key).to_owned(), Secret::from(*value))));
        data
    }

    #[test]
    fn every_stage_is_read_as_it_was_written() {
        let (a, b) = (authority(start()), authority(start() + HOUR));
        for since in [None, Some(start() + Duration::from_millis(1_234_567))] {
            for stage in [
                Stage::Stable,
                Stage::Introducing { next: b.clone(), since },
                Stage::Retiring { previous: b.root().clone(), since },
            ] {
                let trust = Trust { current: a.clone(), stage };
                assert_eq!(State::parse(&trust.data()), kept(&trust));
            }
        }
    }

    #[test]
    fn the_bundle_is_the_same_text_before_and_after_the_promotion() {
        let (a, b) = (authority(start()), authority(start() + HOUR));
        let before = Trust { current: a.clone(), stage: Stage::Introducing { next: b.clone(), since: None } };
        let after = Trust { current: b, stage: Stage::Retiring { previous: a.root().clone(), since: None } };
        assert_eq!(before.bundle(), after.bundle());
        assert!(before.bundle().starts_with(&a.root().pem()));
    }

    #[test]
    fn what_a_hand_or_a_tool_left_is_read_as_what_it_is_good_for() {
        let (a, b) = (authority(start()), authority(start() + HOUR));
        let stable = Trust::of(a.clone());
        let a_pem = a.root().pem();
        let b_pem = b.root().pem();
        let b_key = b.key().expose_str().unwrap();
        let untidy = State::Kept { trust: stable.clone(), untidy: true };
        let retiring =
            Trust { current: a.clone(), stage: Stage::Retiring { previous: b.root().clone(), since: None } };
        for (what, more, expected) in [
            ("a foreign key is left alone", &[("mine", "x")][..], kept(&stable)),
            ("empty values are none", &[("next.crt", ""), ("next.key", "")], kept(&stable)),
            ("a stamp without a stage", &[("stage-since", "2026-01-01T00:00:00Z")], kept(&stable)),
            ("half of a next", &[("next.crt", &b_pem)], untidy.clone()),
            ("a next that is damaged", &[("next.crt", "x"), ("next.key", "y")], untidy.clone()),
            ("a next with another's key", &[("next.crt", &a_pem), ("next.key", b_key)], untidy.clone()),
            ("a previous that is damaged", &[("previous.crt", "x")], untidy.clone()),
            ("a previous that is the current", &[("previous.crt", &a_pem)], untidy.clone()),
            (
                "a stamp that is none",
                &[("previous.crt", &b_pem), ("stage-since", "yesterday")],
                kept(&retiring),
            ),
            (
                "a next besides a previous waits for ever",
                &[("previous.crt", &b_pem), ("next.crt", &b_pem), ("next.key", b_key)],
                kept(&retiring),
            ),
        ] {
            assert_eq!(State::parse(&secret_with(&stable, more)), expected, "{what}");
        }
    }

    #[test]
    fn an_authority_that_can_not_sign_is_damage_and_nothing_is_empty() {
        let (a, b) = (Trust::of(authority(start())), authority(start()));
        let foreign = {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec!["corporate".to_owned()]).unwrap();
            (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
        };
        let two = a.bundle() + &b.root().pem();
        let other_key = b.key().expose_str().unwrap();
        for (what, more) in [
            ("no key", &[("ca.key", "")][..]),
            ("no certificate", &[("ca.crt", "")]),
            ("nonsense", &[("ca.crt", "x")]),
            ("another's key", &[("ca.key", other_key)]),
            ("several certificates", &[("ca.crt", &two)]),
            ("a foreign authority", &[("ca.crt", &foreign.0), ("ca.key", &foreign.1)]),
        ] {
            let state = State::parse(&secret_with(&a, more));
            assert!(matches!(&state, State::Damaged(_)), "{what}: {state:?}");
            // Remembered, it is put back; else nobody touches it.
            let now = start() + HOUR;
            let step = step_with(&state, Some(&a), None, now, Duration::ZERO);
            assert_eq!(written(step), (Change::Restored, a.clone()), "{what}");
            assert!(matches!(super::tests::step(&state, None, now), Step::Stuck(_)), "{what}");
        }
        let only_next = Data::from([("next.crt".to_owned(), Secret::from("x"))]);
        assert!(matches!(State::parse(&only_next), State::Damaged(_)));
        assert_eq!(State::parse(&Data::new()), State::Empty);
        let unset = Data::from([("ca.crt".to_owned(), Secret::from("")), ("mine".to_owned(), "x".into())]);
        assert_eq!(State::parse(&unset), State::Empty);
    }

    #[test]
    fn an_empty_secret_is_filled_unless_somebody_may_remember() {
        let (now, trust) = (start(), Trust::of(authority(start())));
        let (unset, set) = (published(""), published(&trust.bundle()));
        let restore = lifetimes().restore;
        assert_eq!(written(step(&State::Empty, None, now)).0, Change::Filled);
        assert_eq!(written(step(&State::Empty, Some(&unset), now)).0, Change::Filled);
        assert_eq!(step(&State::Empty, Some(&set), now), Step::Wait(Some(now + restore)));
        let waited = step_with(&State::Empty, None, Some(&set), now, restore);
        assert_eq!(written(waited).0, Change::Filled);
        let remembered = step_with(&State::Empty, Some(&trust), Some(&set), now, Duration::ZERO);
        assert_eq!(written(remembered), (Change::Restored, trust));
    }

    #[test]
    fn a_whole_change_of_authorities_step_by_step() {
        let lifetimes = lifetimes();
        let mut trust = Trust::of(authority(start()));
        let first = trust.current.root().clone();
        let mut cluster = published("");
        let mut now = start() + HOUR;
        let mut told = Vec::new();
        // Enough rounds for one change, and the wait before the next.
        for _ in 0..14 {
            match step(&kept(&trust), Some(&cluster), now) {
                Step::Write(change, next) => {
                    told.push(format!("{change:?}"));
                    trust = *next;
                }
                Step::Publish(bundle) => {
                    told.push(format!("publish {}", bundle.matches("BEGIN").count()));
                    cluster = published(&bundle);
                }
                Step::Wait(Some(until)) => {
                    told.push(format!("wait {} min", until.duration_since(now).unwrap().as_secs() / 60));
                    now = until;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            told,
            [
                "publish 1",
                "wait 47940 min",
                "Introduced",
                "publish 2",
                "Stamped",
                "wait 20 min",
                "Promoted",
                "Stamped",
                "wait 1460 min",
                "Retired",
                "publish 1",
                "wait 46520 min",
                "Introduced",
                "publish 2",
            ]
        );
        assert_ne!(*trust.current.root(), first);
        assert!(!trust.current.root().has_ended(now + lifetimes.leaf));
    }

    #[test]
    fn nothing_advances_while_an_entry_has_another_bundle() {
        let (a, b) = (authority(start()), authority(start()));
        let now = start() + 900 * HOUR;
        let introducing =
            |since| Trust { current: a.clone(), stage: Stage::Introducing { next: b.clone(), since } };
        let trust = introducing(Some(start()));
        let both = trust.bundle();
        for texts in [["", &both, &both], [&both, "x", &both], [&both, &both, &a.root().pem()]] {
            let there = bundles(texts);
            // Even when the wait was over: what overwrote it may be what somebody still believes.
            let expected = (Change::Restarted, introducing(None));
            assert_eq!(written(step(&kept(&trust), Some(&there), now)), expected);
            assert_eq!(step(&kept(&introducing(None)), Some(&there), now), Step::Publish(both.clone()));
        }
        assert_eq!(step(&kept(&trust), None, now), Step::Wait(None));
    }

    #[test]
    fn a_stamp_of_the_future_is_not_believed() {
        let (a, b) = (authority(start()), authority(start()));
        let Lifetimes { overlap, leaf, .. } = lifetimes();
        let now = start() + HOUR;
        let stages: [&dyn Fn(SystemTime) -> Stage; 2] =
            [&|since| Stage::Introducing { next: b.clone(), since: Some(since) }, &|since| Stage::Retiring {
                previous: b.root().clone(),
                since: Some(since),
            }];
        for (stage, wait) in stages.into_iter().zip([overlap, overlap + leaf]) {
            let at = |since| {
                let trust = Trust { current: a.clone(), stage: stage(since) };
                step(&kept(&trust), Some(&published(&trust.bundle())), now)
            };
            // Another replica's clock may be a little ahead.
            let near = now + overlap / 2;
            assert_eq!(at(near), Step::Wait(Some(near + wait)));
            for far in [near + Duration::from_secs(1), now + 100_000 * HOUR] {
                let (change, trust) = written(at(far));
                assert_eq!((change, trust.stage), (Change::Stamped, stage(now)));
            }
        }
    }

    #[test]
    fn an_authority_that_has_ended_is_not_waited_for() {
        let (a, b) = (authority(start()), authority(start() + 500 * HOUR));
        let end = start() + 1000 * HOUR;
        let old = |stage| kept(&Trust { current: a.clone(), stage });
        let set = published(a.root().pem().as_str());
        let (change, trust) = written(step(&old(Stage::Stable), Some(&set), end));
        assert_eq!((change, trust.stage), (Change::Replaced, Stage::Stable));
        let introducing = || Stage::Introducing { next: b.clone(), since: None };
        let (change, trust) = written(step(&old(introducing()), Some(&set), end));
        assert_eq!((change, trust), (Change::Promoted, Trust::of(b.clone())));
        // Both: nothing is left to keep.
        let later = end + 600 * HOUR;
        assert_eq!(written(step(&old(introducing()), Some(&set), later)).0, Change::Replaced);
        // A next that ended before it was promoted, as after a year without a replica.
        let young = Trust { current: authority(later), stage: introducing() };
        let both = published(&young.bundle());
        let (change, trust) = written(step(&kept(&young), Some(&both), later));
        assert_eq!((change, trust), (Change::Tidied, Trust::of(young.current)));
    }

    #[test]
    fn what_means_nothing_is_taken_away_without_losing_what_is_remembered() {
        let (a, b) = (authority(start()), authority(start()));
        let now = start() + HOUR;
        let untidy = State::Kept { trust: Trust::of(a.clone()), untidy: true };
        assert_eq!(written(step(&untidy, None, now)), (Change::Tidied, Trust::of(a.clone())));
        let retiring =
            Trust { current: a, stage: Stage::Retiring { previous: b.root().clone(), since: None } };
        let step = step_with(&untidy, Some(&retiring), None, now, Duration::ZERO);
        assert_eq!(written(step), (Change::Restored, retiring));
        let unrelated = Trust::of(b);
        let step = step_with(&untidy, Some(&unrelated), None, now, Duration::ZERO);
        assert_eq!(written(step).0, Change::Tidied);
    }

    #[test]
    fn no_key_is_in_what_is_printed() {
        let trust = Trust {
            current: authority(start()),
            stage: Stage::Introducing { next: authority(start()), since: None },
        };
        let said = format!("{trust:?} {:?} {:?}", trust.data(), kept(&trust));
        assert!(!said.contains("PRIVATE") && said.contains("[redacted]"), "{said}");
    }
}
