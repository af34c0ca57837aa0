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

use std::fmt;

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

/// The code with this id, in any letter case and with or without the `ESC`.
pub fn find(id: &str) -> Option<Code> {
    let id = id.trim().to_ascii_uppercase();
    all().find(|code| code.id() == id || code.id().strip_prefix("ESC") == Some(id.as_str()))
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
        assert_eq!(super::find("ESC000"), None);
    }
}
