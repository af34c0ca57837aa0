//! What the sidecar remembers across its own restarts: two small files in a volume that only the agent mounts.
//!
//! `ready` names the sets that make up the whole, so that a restarted agent, and the startup probe, can tell a whole
//! from what a crash left half done. `state.json` holds times. Neither ever holds a value, or anything made of one.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest;
use rustix::fs::{CWD, Mode, OFlags};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    failure::{Failure, Kind},
    plan::Plan,
    publish,
};
use crate::codes::refresh as codes;

/// The mark of a whole set.
const READY: &str = "ready";

/// Times, for the next run.
const STATE: &str = "state.json";

/// Nobody but the agent reads them.
const MODE: Mode = Mode::from_raw_mode(0o600);

/// The longest file that can be one of ours.
const LONGEST: u64 = 256 * 1024;

/// More switches in a row than there can be in the time of a few system calls.
const LOOKS: usize = 4;

/// Notifications that are remembered: more than any limit counts.
const REMEMBERED: usize = 64;

/// Which plan a set was made by. Another plan, another fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Of the plan as the webhook wrote it.
    pub fn of(plan: &str) -> Self {
        Self(STANDARD.encode(digest::digest(&digest::SHA256, plan.as_bytes())))
    }
}

/// The set that is published in each of the plan's directories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sets(BTreeMap<PathBuf, Option<String>>);

impl Sets {
    /// As they are now.
    pub fn current(plan: &Plan) -> Self {
        let directories = plan.views.iter().flat_map(|view| [&view.files_dir, &view.env_dir]).flatten();
        Self(directories.map(|path| (PathBuf::from(path), publish::current(Path::new(path)))).collect())
    }

    /// As they will be when this one is published.
    pub fn set(&mut self, directory: &Path, name: String) {
        self.0.insert(directory.to_owned(), Some(name));
    }
}

/// What `ready` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// The plan that was carried out.
    pub plan: Fingerprint,
    /// What makes up the whole.
    pub sets: Sets,
    /// What is going to, while sets are being switched one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Sets>,
}

impl Mark {
    /// Whether what lies there is a whole: the one that the mark names, or the one that was about to replace it.
    pub fn covers(&self, plan: &Fingerprint, current: &Sets) -> bool {
        self.plan == *plan && (self.sets == *current || self.next.as_ref() == Some(current))
    }
}

/// A moment, in milliseconds since the epoch: it has to survive the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(u64);

impl Moment {
    /// By the wall clock.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// From [`Moment::as_millis`].
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long ago it was; zero if the clock was set back since.
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// From an earlier one to this; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// For metrics.
    pub fn as_secs_f64(self) -> f64 {
        Duration::from_millis(self.0).as_secs_f64()
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// What `state.json` holds. Times are milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// When ESC was last read to the end and everything was in place.
    pub last_success: Option<Moment>,
    /// When sets were last switched.
    pub last_publish: Option<Moment>,
    /// Since when the values may be old: the first failure after the last success.
    pub stale_since: Option<Moment>,
    /// Since when a change is in place that the application was not told of.
    pub untold_since: Option<Moment>,
    /// When it is to be told.
    pub due: Option<Moment>,
    /// When it was told, oldest first.
    pub told: Vec<Moment>,
}

impl State {
    /// A change is about to be in place.
    pub fn changed(&mut self, now: Moment) {
        self.untold_since.get_or_insert(now);
    }

    /// The application was told, or is given up on until the next change.
    pub fn told(&mut self, now: Moment) {
        self.untold_since = None;
        self.due = None;
        self.told.push(now);
        let forgotten = self.told.len().saturating_sub(REMEMBERED);
        self.told.drain(..forgotten);
    }
}

/// The volume that holds both files.
#[derive(Debug, Clone)]
pub struct Store(PathBuf);

impl Store {
    /// In this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// The mark, if there is a readable one.
    pub fn mark(&self) -> Option<Mark> {
        self.read(READY)
    }

    /// Replaces the mark.
    pub fn set_mark(&self, mark: &Mark) -> Result<(), Failure> {
        self.write(READY, mark)
    }

    /// Whether a whole of this plan lies there.
    pub fn is_ready(&self, plan: &Plan, fingerprint: &Fingerprint) -> bool {
        let mut mark = self.mark();
        // Sets may be switched between the two looks: then the mark is another one.
        for _ in 0..LOOKS {
            if mark.as_ref().is_some_and(|mark| mark.covers(fingerprint, &Sets::current(plan))) {
                return true;
            }
            let now = self.mark();
            if now == mark {
                return false;
            }
            mark = now;
        }
        false
    }

    /// What an earlier run left; nothing if there was none, or if it can't be read.
    pub fn state(&self) -> State {
        self.read(STATE).unwrap_or_default()
    }

    /// Replaces the state.
    pub fn set_state(&self, state: &State) -> Result<(), Failure> {
        self.write(STATE, state)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.0.join(name);
        let read = || -> io::Result<T> {
            let mut text = Vec::new();
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = File::from(rustix::fs::openat(CWD, &path, flags, Mode::empty())?);
            file.take(LONGEST).read_to_end(&mut text)?;
            Ok(serde_json::from_slice(&text)?)
        };
        match read() {
            Ok(found) => Some(found),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    let code = codes::STATE;
                    tracing::warn!(
                        code = code.id(),
                        more = code.command(),
                        "reading {}: {error}",
                        path.display()
                    );
                }
                None
            }
        }
    }

    /// Whole or not at all, and never longer than an instant missing.
    fn write(&self, name: &str, content: &impl Serialize) -> Result<(), Failure> {
        let path = self.0.join(name);
        let partial = self.0.join(format!(".{name}.partial"));
        let write = || -> io::Result<()> {
            let text = serde_json::to_vec(content)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(rustix::fs::openat(CWD, &partial, flags, MODE)?);
            file.write_all(&text)?;
            std::fs::rename(&partial, &path)
        };
        write().map_err(|error| {
            Failure::new(codes::STATE, Kind::Configuration, format!("writing {}: {error}", path.display()))
        })
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "plain files for tests")]
mod tests {
    use super::*;

    fn sets(names: &[(&str, Option<&str>)]) -> Sets {
        Sets(names.iter().map(|(dir, name)| (PathBuf::from(dir), name.map(str::to_owned))).collect())
    }

    #[test]
    fn a_mark_covers_what_was_or_was_about_to_be_and_nothing_between() {
        let plan = Fingerprint::of("plan");
        let old = sets(&[("/a", Some("..1")), ("/b", Some("..1"))]);
        let torn = sets(&[("/a", Some("..2")), ("/b", Some("..1"))]);
        let new = sets(&[("/a", Some("..2")), ("/b", Some("..2"))]);
        let settled = Mark { plan: plan.clone(), sets: old.clone(), next: None };
        let switching = Mark { next: Some(new.clone()), ..settled.clone() };
        for (mark, current, covered) in [
            (&settled, &old, true),
            (&settled, &new, false),
            (&settled, &torn, false),
            (&switching, &old, true),
            (&switching, &new, true),
            (&switching, &torn, false),
        ] {
            assert_eq!(mark.covers(&plan, current), covered, "{mark:?} {current:?}");
            assert!(!mark.covers(&Fingerprint::of("another plan"), current));
        }
    }

    #[test]
    fn reads_back_what_it_wrote_and_starts_anew_from_anything_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        assert_eq!((store.mark(), store.state()), (None, State::default()));
        let mark =
            Mark { plan: Fingerprint::of("p"), sets: sets(&[("/a", None)]), next: Some(Sets::default()) };
        let mut state = State { last_success: Some(Moment::now()), ..State::default() };
        state.changed(Moment(1));
        state.changed(Moment(2));
        assert_eq!(state.untold_since, Some(Moment(1)));
        state.told(Moment(3));
        assert_eq!((state.untold_since, state.told.as_slice()), (None, [Moment(3)].as_slice()));
        store.set_mark(&mark).unwrap();
        store.set_state(&state).unwrap();
        assert_eq!((store.mark(), store.state()), (Some(mark), state));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        for text in ["", "{", "[]", "\"..1\""] {
            std::fs::write(dir.path().join(READY), text).unwrap();
            std::fs::write(dir.path().join(STATE), text).unwrap();
            assert_eq!((store.mark(), store.state()), (None, State::default()), "{text}");
        }
    }

    #[test]
    fn remembers_as_much_as_it_needs() {
        let mut state = State::default();
        (0..1000).for_each(|moment| state.told(Moment(moment)));
        assert_eq!(state.told.len(), REMEMBERED);
        assert_eq!(state.told.last(), Some(&Moment(999)));
    }

    #[test]
    fn a_volume_that_is_not_there_has_its_code() {
        let store = Store::new("/does/not/exist");
        assert_eq!(store.set_state(&State::default()).unwrap_err().code, codes::STATE);
        assert_eq!(store.mark(), None);
    }

    #[test]
    fn a_clock_set_back_makes_nothing_old() {
        assert_eq!(Moment(5).since(Moment(9)), Duration::ZERO);
        assert_eq!((Moment::now() + Duration::from_secs(60)).elapsed(), Duration::ZERO);
        assert_eq!(Moment(u64::MAX) + Duration::MAX, Moment(u64::MAX));
    }
}
