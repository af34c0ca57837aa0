//! The catalogue of every problem a person can meet: a stable code, its cause and its fix.
//!
//! Codes are public: `esc-injector explain CODE` and docs/errors.md print them, scripts match on them. They are
//! never renumbered or reused. One file per range:
//!
//! | range | file | who meets it |
//! |---|---|---|
//! | ESC1xx | [`annotations`] | the author of a pod: what the annotations or `config` say |
//! | ESC2xx | [`pod`] | the author of a pod: what the pod looks like |
//! | ESC3xx | [`access`] | on call: the agent can't get to the environment |
//! | ESC4xx | [`delivery`] | on call: the environment's values can't be delivered as asked |
//! | ESC5xx | [`exec`] | on call: the wrapper can't start the application |
//! | ESC6xx | [`refresh`] | on call: values can't be kept fresh, or the application can't be told |
//! | ESC7xx | [`manifest`] | the author of a manifest: what `check` finds before there is a pod |
//! | ESC8xx | [`installation`] | the platform team: what the API server and `probe` think of the installation |
//! | ESC90x–ESC94x | [`admission`] | the platform team: the admission itself |
//! | ESC95x–ESC97x | [`cluster`] | the platform team: the API server, and the certificates kept there |

use std::{
    fmt,
    hash::{Hash, Hasher},
};

pub mod access;
pub mod admission;
pub mod annotations;
pub mod cluster;
pub mod delivery;
pub mod exec;
pub mod installation;
pub mod manifest;
pub mod pod;
pub mod refresh;

/// A stable code with its explanation. Cheap to copy; equal when the ids are equal.
#[derive(Clone, Copy)]
pub struct Code(&'static Entry);

/// What `explain` prints of a code.
#[derive(Debug)]
pub struct Entry {
    /// `ESC` and three digits.
    pub id: &'static str,
    /// One line without a full stop.
    pub title: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What to do about it.
    pub fix: &'static str,
    /// A snippet that shows the fix; empty where there is nothing to show.
    pub example: &'static str,
}

impl Code {
    /// `ESC101`.
    pub fn id(self) -> &'static str {
        self.0.id
    }

    /// What shows the whole explanation, for log lines, which keep things apart in fields.
    pub fn command(self) -> String {
        format!("{COMMAND} {self}")
    }

    /// The whole explanation.
    pub fn entry(self) -> &'static Entry {
        self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.id)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.id)
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Code {}

impl Hash for Code {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

/// Every code, in order of its number.
pub fn all() -> impl Iterator<Item = Code> {
    [
        annotations::ALL,
        pod::ALL,
        access::ALL,
        delivery::ALL,
        exec::ALL,
        refresh::ALL,
        manifest::ALL,
        installation::ALL,
        admission::ALL,
        cluster::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The code with this id, in any letter case, with or without the `ESC` and the brackets of a message.
pub fn find(id: &str) -> Option<Code> {
    let number = number(id);
    all().find(|code| code.id().strip_prefix(PREFIX) == Some(number.as_str()))
}

/// Codes that somebody who typed this may have meant: one slip away, in order of their numbers.
pub fn near(id: &str) -> Vec<Code> {
    let number = number(id);
    let is_near = |code: &Code| strsim::osa_distance(&number, code.id().trim_start_matches(PREFIX)) == 1;
    all().filter(is_near).collect()
}

/// How every hint begins.
const HINT: &str = "More: esc-injector explain ";

/// What shows explanations.
const COMMAND: &str = "esc-injector explain";

/// How every id begins.
const PREFIX: &str = "ESC";

/// The digits of an id as a person may write it.
fn number(id: &str) -> String {
    let id = id.trim().trim_matches(['[', ']']).to_ascii_uppercase();
    id.strip_prefix(PREFIX).unwrap_or(&id).to_owned()
}

/// The last line of whatever tells a person of a failure: where to read on about the codes that it shows in brackets.
/// One hint for a message, however many problems it lists; none for one without a code, or that passes on a message with
/// its hint.
pub fn hint(message: &str) -> Option<String> {
    if message.contains(HINT) {
        return None;
    }
    let ids = shown(message);
    if ids.is_empty() { None } else { Some(format!("{HINT}{}", ids.join(" "))) }
}

/// The codes that a message shows in brackets, each once.
pub fn shown(message: &str) -> Vec<&'static str> {
    let mut ids: Vec<&'static str> = Vec::new();
    for (at, _) in message.match_indices("[ESC") {
        let id = message.get(at + 1..).and_then(|rest| rest.split_once(']')).map(|(id, _)| id);
        if let Some(code) = id.and_then(|id| all().find(|code| code.id() == id))
            && !ids.contains(&code.id())
        {
            ids.push(code.id());
        }
    }
    ids
}

/// Declares the codes of one range as constants, and the range's `ALL`.
macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident = $id:literal { title: $title:literal, cause: $cause:literal, fix: $fix:literal, example: $example:literal $(,)? })+) => {
        $(
            #[doc = concat!($id, ": ", $title, ".")]
            $(#[$meta])*
            pub const $name: $crate::codes::Code = $crate::codes::Code(&$crate::codes::Entry {
                id: $id, title: $title, cause: $cause, fix: $fix, example: $example,
            });
        )+
        /// Every code of this range.
        pub const ALL: &[$crate::codes::Code] = &[$($name),+];
    };
}
use codes;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_ordered_and_explained() {
        let ids: Vec<_> = super::all().map(super::Code::id).collect();
        let sorted: BTreeSet<_> = ids.iter().copied().collect();
        assert_eq!(ids, sorted.into_iter().collect::<Vec<_>>());
        for code in super::all() {
            let entry = code.entry();
            assert!(!entry.title.is_empty() && !entry.title.ends_with('.'), "{code}: title");
            assert!(
                entry.cause.ends_with('.') && entry.fix.ends_with('.'),
                "{code}: cause and fix are sentences"
            );
        }
    }

    #[test]
    fn find_is_lenient_about_the_prefix() {
        let code = super::find("esc101").expect("ESC101 exists");
        assert_eq!(super::find("101"), Some(code));
        assert_eq!(super::find(" [ESC101]"), Some(code));
        for none in ["ESC000", "", "ESC", "1", "ESCESC101"] {
            assert_eq!(super::find(none), None, "{none}");
        }
    }

    #[test]
    fn codes_one_slip_away_are_near() {
        let near = |id: &str| super::near(id).iter().map(|code| code.id()).collect::<Vec<_>>();
        assert!(near("ESC311x").contains(&"ESC311") && near("031").contains(&"ESC301"));
        assert!(near("ESC000").is_empty() && near("nonsense").is_empty() && near("").is_empty());
    }

    #[test]
    fn a_message_gets_one_hint_with_each_code_that_it_shows() {
        for (message, hint) in [
            ("[ESC104] a: no\n[ESC101] b: no\n[ESC104] c", Some("More: esc-injector explain ESC104 ESC101")),
            ("reading it: [ESC301] no answer", Some("More: esc-injector explain ESC301")),
            ("no code at all", None),
            ("denied: [ESC101] a\nMore: esc-injector explain ESC101", None),
            // Not ours, or not a code.
            ("[ESC000] [ESC] [ESC1", None),
            ("ESC301 without brackets", None),
        ] {
            assert_eq!(super::hint(message).as_deref(), hint, "{message}");
        }
    }
}
