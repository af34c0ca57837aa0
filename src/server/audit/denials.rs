//! Keeps those whom nobody knows from filling the audit log: what is refused to them again and again is counted.
//!
//! The first refusal has a line of its own at once. Those like it within the next minutes share one more, with their
//! number. What somebody does who has signed in is not for here: each such request has its line.

use std::collections::HashMap;

use super::entry::Entry;
use crate::server::rfc3339;

/// Refusals that are alike share a line for so many seconds: whoever tries all day long leaves some hundred KiB.
const INTERVAL: u64 = 300;

/// Kinds of refusals that are told apart at once. Whoever has more addresses than that shares lines without any.
const MAX_KINDS: usize = 128;

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
    /// Takes a refusal in, and gives the lines that are to be written now.
    pub(super) fn add(&mut self, entry: &Entry, now: u64) -> Vec<Entry> {
        let mut lines = self.due(now);
        let mut kind = Kind::of(entry);
        if self.0.len() >= MAX_KINDS && !self.0.contains_key(&kind) {
            kind = kind.without_origin();
        }
        match self.0.get_mut(&kind) {
            Some(counted) => {
                counted.count = counted.count.saturating_add(1);
                counted.last = now;
            }
            None => {
                self.0.insert(kind, Counted { begun: now, last: now, count: 0 });
                lines.push(entry.clone());
            }
        }
        lines
    }

    /// The lines of what began long enough ago, or before a clock that was set back.
    pub(super) fn due(&mut self, now: u64) -> Vec<Entry> {
        self.take(|counted| !(counted.begun..counted.begun.saturating_add(INTERVAL)).contains(&now))
    }

    /// All that are left.
    pub(super) fn rest(&mut self) -> Vec<Entry> {
        self.take(|_| true)
    }

    fn take(&mut self, mut wanted: impl FnMut(&Counted) -> bool) -> Vec<Entry> {
        let taken = self.0.extract_if(|_, counted| wanted(counted)).filter(|(_, counted)| counted.count > 0);
        let line = |(Kind { action, status, target, from }, Counted { begun, last, count })| Entry {
            target,
            from,
            count: Some(count),
            since: Some(rfc3339(begun)),
            ..Entry::new(last, &action, status)
        };
        taken.map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Denials, Entry, INTERVAL, MAX_KINDS};

    const BEGIN: u64 = 1_769_817_600;

    fn refused(from: &str, now: u64) -> Entry {
        Entry { from: Some(from.to_owned()), ..Entry::new(now, "environment.open", 401) }
    }

    #[test]
    fn what_is_alike_shares_a_line_and_no_number_is_lost() {
        let mut denials = Denials::default();
        let mut add = |from: &str, after: u64| denials.add(&refused(from, BEGIN + after), BEGIN + after);
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
        assert_eq!(denials.due(BEGIN + 10 * INTERVAL), []);
        assert!(denials.0.is_empty());
    }

    #[test]
    fn many_addresses_share_lines_and_are_all_counted() {
        let mut denials = Denials::default();
        let many = MAX_KINDS * 20;
        let mut lines: Vec<Entry> =
            (0..many).flat_map(|number| denials.add(&refused(&number.to_string(), BEGIN), BEGIN)).collect();
        assert_eq!((lines.len(), denials.0.len()), (MAX_KINDS + 1, MAX_KINDS + 1));
        lines.extend(denials.rest());
        let all: u64 = lines.iter().map(|line| line.count.unwrap_or(1)).sum();
        assert_eq!(all, many as u64);
        assert!(lines.last().is_some_and(|line| line.from.is_none() && line.count.is_some()));
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nothing_for_ever() {
        let mut denials = Denials::default();
        for _ in 0..3 {
            denials.add(&refused("a", BEGIN), BEGIN);
        }
        assert_eq!(denials.due(BEGIN - 1).len(), 1);
    }
}
