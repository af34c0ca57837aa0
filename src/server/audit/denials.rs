//! Keeps those whom nobody knows from filling the audit log: what is refused to them again and again is counted.
//!
//! The first refusal has a line of its own at once. Those like it within the next minutes share one more, with their
//! number. What somebody does who has signed in is not for here: each such request has its line.

use std::{collections::HashMap, io};

use super::entry::Entry;
use crate::server::rfc3339;

/// Refusals that are alike share a line for so many seconds: whoever tries all day long leaves some hundred KiB.
const INTERVAL: u64 = 300;

/// Kinds of refusals that are told apart at once. Whoever has more addresses than that shares lines without any.
const MAX_KINDS: usize = 128;

/// Kinds of one address: nobody alone takes the lines of all others.
const MAX_KINDS_OF_ONE: usize = 16;

/// Writes a line.
pub(super) type Write<'w> = &'w mut dyn FnMut(&Entry) -> io::Result<()>;

/// What makes refusals alike.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    action: String,
    status: u16,
    target: Option<String>,
    from: Option<String>,
}

impl Kind {
    fn of(entry: &Entry) -> Self {
        let Entry { action, status, target, from, .. } = entry.clone();
        Self { action, status, target, from }
    }

    fn line(&self, counted: &Counted) -> Entry {
        Entry {
            target: self.target.clone(),
            from: self.from.clone(),
            count: Some(counted.count),
            since: Some(rfc3339(counted.begun)),
            ..Entry::new(counted.last, &self.action, self.status)
        }
    }

    fn without_origin(self) -> Self {
        Self { target: None, from: None, ..self }
    }
}

/// Refusals after the one that has its line already. Times are seconds since the epoch.
#[derive(Debug)]
struct Counted {
    begun: u64,
    last: u64,
    count: u64,
}

/// The refusals of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Denials(HashMap<Kind, Counted>);

impl Denials {
    /// Takes a refusal in. What has no line yet gets one, and is known only when that is written.
    pub(super) fn add(&mut self, entry: &Entry, now: u64, write: Write<'_>) -> io::Result<()> {
        self.write_due(now, write)?;
        let mut kind = Kind::of(entry);
        if !self.0.contains_key(&kind) && self.is_full_for(&kind) {
            kind = kind.without_origin();
        }
        match self.0.get_mut(&kind) {
            Some(counted) => {
                counted.count = counted.count.saturating_add(1);
                counted.last = now;
            }
            None => {
                write(entry)?;
                self.0.insert(kind, Counted { begun: now, last: now, count: 0 });
            }
        }
        Ok(())
    }

    fn is_full_for(&self, kind: &Kind) -> bool {
        let of_one = || self.0.keys().filter(|known| known.from == kind.from).count();
        self.0.len() >= MAX_KINDS || of_one() >= MAX_KINDS_OF_ONE
    }

    /// Writes the lines of what began long enough ago, or before a clock that was set back.
    pub(super) fn write_due(&mut self, now: u64, write: Write<'_>) -> io::Result<()> {
        let is_due =
            |counted: &Counted| !(counted.begun..counted.begun.saturating_add(INTERVAL)).contains(&now);
        self.write_those(is_due, write)
    }

    /// Writes the lines of all that are left.
    pub(super) fn write_rest(&mut self, write: Write<'_>) -> io::Result<()> {
        self.write_those(|_| true, write)
    }

    /// What can't be written stays, with its number.
    fn write_those(&mut self, wanted: impl Fn(&Counted) -> bool, write: Write<'_>) -> io::Result<()> {
        let mut written = Ok(());
        self.0.retain(|kind, counted| {
            if !wanted(counted) {
                return true;
            }
            if written.is_ok() && counted.count > 0 {
                written = write(&kind.line(counted));
            }
            written.is_err() && counted.count > 0
        });
        written
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Denials, Entry, INTERVAL, MAX_KINDS, MAX_KINDS_OF_ONE, Write};

    const BEGIN: u64 = 1_769_817_600;

    fn refused(from: &str, now: u64) -> Entry {
        Entry { from: Some(from.to_owned()), ..Entry::new(now, "environment.open", 401) }
    }

    /// Lines that are written, or are not.
    #[derive(Default)]
    struct Log {
        denials: Denials,
        lines: Vec<Entry>,
        full: bool,
    }

    impl Log {
        fn with(&mut self, act: impl FnOnce(&mut Denials, Write<'_>) -> io::Result<()>) -> bool {
            let Self { denials, lines, full } = self;
            act(denials, &mut |line| {
                if *full {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                lines.push(line.clone());
                Ok(())
            })
            .is_ok()
        }

        fn add(&mut self, entry: &Entry, now: u64) -> bool {
            self.with(|denials, write| denials.add(entry, now, write))
        }

        fn taken(&mut self) -> Vec<Entry> {
            std::mem::take(&mut self.lines)
        }
    }

    #[test]
    fn what_is_alike_shares_a_line_and_no_number_is_lost() {
        let mut log = Log::default();
        let mut add = |from: &str, after: u64| {
            assert!(log.add(&refused(from, BEGIN + after), BEGIN + after));
            log.taken()
        };
        assert_eq!(add("a", 0), [refused("a", BEGIN)]);
        assert_eq!(add("a", 1), []);
        assert_eq!(add("b", 2), [refused("b", BEGIN + 2)]);
        assert_eq!(add("a", 3), []);
        let counted = Entry {
            count: Some(2),
            since: Some("2026-01-31T00:00:00Z".to_owned()),
            ..refused("a", BEGIN + 3)
        };
        // The next one is the first of its time again.
        assert_eq!(add("a", INTERVAL), [counted, refused("a", BEGIN + INTERVAL)]);
        // Of `b` there was one only, which has its line.
        assert!(log.with(|denials, write| denials.write_due(BEGIN + 10 * INTERVAL, write)));
        assert_eq!(log.taken(), []);
        assert!(log.denials.0.is_empty());
    }

    #[test]
    fn what_can_t_be_written_is_not_taken_for_written() {
        let mut log = Log { full: true, ..Log::default() };
        for _ in 0..3 {
            assert!(!log.add(&refused("a", BEGIN), BEGIN));
        }
        log.full = false;
        for _ in 0..3 {
            assert!(log.add(&refused("a", BEGIN), BEGIN));
        }
        log.full = true;
        assert!(!log.add(&refused("a", BEGIN + INTERVAL), BEGIN + INTERVAL));
        assert!(!log.with(Denials::write_rest));
        log.full = false;
        assert!(log.with(Denials::write_rest));
        assert_eq!(log.taken().iter().map(|line| line.count).collect::<Vec<_>>(), [None, Some(2)]);
    }

    #[test]
    fn many_addresses_share_lines_and_are_all_counted() {
        let mut log = Log::default();
        let many = MAX_KINDS * 20;
        for number in 0..many {
            assert!(log.add(&refused(&number.to_string(), BEGIN), BEGIN));
        }
        assert_eq!((log.lines.len(), log.denials.0.len()), (MAX_KINDS + 1, MAX_KINDS + 1));
        assert!(log.with(Denials::write_rest));
        let all: u64 = log.lines.iter().map(|line| line.count.unwrap_or(1)).sum();
        assert_eq!(all, many as u64);
        assert!(log.lines.last().is_some_and(|line| line.from.is_none() && line.count.is_some()));
    }

    #[test]
    fn one_address_takes_no_lines_from_another() {
        let mut log = Log::default();
        for number in 0..MAX_KINDS * 2 {
            let target = Some(number.to_string());
            assert!(log.add(&Entry { target, ..refused("a", BEGIN) }, BEGIN));
        }
        assert_eq!(log.taken().len(), MAX_KINDS_OF_ONE + 1);
        for _ in 0..2 {
            assert!(log.add(&refused("b", BEGIN), BEGIN));
        }
        assert_eq!(log.taken(), [refused("b", BEGIN)]);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nothing_for_ever() {
        let mut log = Log::default();
        for _ in 0..3 {
            assert!(log.add(&refused("a", BEGIN), BEGIN));
        }
        log.taken();
        assert!(log.with(|denials, write| denials.write_due(BEGIN - 1, write)));
        assert_eq!(log.taken().len(), 1);
    }
}
