//! Which identities get which tokens: policies in the words of Pulumi Cloud. Pure.
//!
//! A token is given if a policy allows it and none denies it, in whatever order they stand. A policy speaks only of
//! requests for its own kind of token, team or user, and holds if each of its rules fits a claim.

use serde_json::Value as Json;

use crate::esc::token_type::TokenType;

/// Longest pattern, in bytes. Matching takes time with its length and the text's.
const MAX_PATTERN: usize = 512;

/// A pattern of Pulumi Cloud's: `*` stands for any characters, `?` for one or none, `.` for exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(Vec<char>);

/// What a policy says of those whom it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// They get the token.
    Allow,
    /// They don't, whatever others say.
    Deny,
}

/// Which tokens a policy speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// The organization's.
    Organization,
    /// Those of teams.
    Team(Glob),
    /// Those of users.
    Personal(Glob),
}

/// A path of a claim, from the top: `sub`, or `"kubernetes.io".namespace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClaimPath(Vec<String>);

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) decision: Decision,
    pub(super) kind: Kind,
    /// At least one.
    pub(super) rules: Vec<(ClaimPath, Glob)>,
}

/// Whether somebody with these claims gets such a token.
pub(super) fn allow(policies: &[Policy], token_type: &TokenType, claims: &Json) -> bool {
    let holding = |decision| {
        policies
            .iter()
            .filter(move |policy| policy.decision == decision)
            .any(|policy| policy.kind.covers(token_type) && policy.fits(claims))
    };
    holding(Decision::Allow) && !holding(Decision::Deny)
}

impl Policy {
    fn fits(&self, claims: &Json) -> bool {
        self.rules.iter().all(|(path, pattern)| {
            path.find(claims).is_some_and(|claim| match claim {
                Json::Array(items) => items.iter().any(|item| pattern.fits(item)),
                one => pattern.fits(one),
            })
        })
    }
}

impl Kind {
    fn covers(&self, token_type: &TokenType) -> bool {
        match (self, token_type) {
            (Self::Organization, TokenType::Organization) => true,
            (Self::Team(pattern), TokenType::Team(name))
            | (Self::Personal(pattern), TokenType::Personal(name)) => pattern.matches(name),
            _ => false,
        }
    }
}

impl ClaimPath {
    /// Reads a path; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut segments = Vec::new();
        let mut rest = text;
        loop {
            let segment = if let Some(quoted) = rest.strip_prefix('"') {
                let (segment, after) = quoted.split_once('"').ok_or("a quote is not closed")?;
                rest = after;
                segment
            } else {
                let (segment, after) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
                rest = after;
                segment
            };
            if segment.is_empty() || segment.contains('"') {
                return Err("it is no path of a claim");
            }
            segments.push(segment.to_owned());
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None if rest.is_empty() => break,
                None => return Err("a dot is missing behind a quoted key"),
            }
        }
        // It would never fit, and a policy that denies would let everybody pass.
        if let [first, second, ..] = segments.as_slice()
            && (first.as_str(), second.as_str()) == ("kubernetes", "io")
        {
            return Err("the key `kubernetes.io` has a dot and needs quotes: '\"kubernetes.io\".namespace'");
        }
        Ok(Self(segments))
    }

    fn find<'c>(&self, claims: &'c Json) -> Option<&'c Json> {
        self.0.iter().try_fold(claims, |claim, segment| claim.get(segment))
    }
}

impl Glob {
    /// Reads a pattern; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        match text.len() {
            0 => Err("an empty pattern fits nothing"),
            1..=MAX_PATTERN => Ok(Self(text.chars().collect())),
            _ => Err("the pattern is longer than 512 bytes"),
        }
    }

    fn fits(&self, claim: &Json) -> bool {
        match claim {
            Json::String(text) => self.matches(text),
            Json::Number(number) => self.matches(number.as_str()),
            Json::Bool(flag) => self.matches(if *flag { "true" } else { "false" }),
            _ => false,
        }
    }

    /// Whether the whole text is of this form. Takes time with the product of the lengths, whatever they hold.
    fn matches(&self, text: &str) -> bool {
        // Which beginnings of the pattern fit the text so far, by their length.
        let mut fitting = vec![false; self.0.len() + 1];
        if let Some(first) = fitting.first_mut() {
            *first = true;
        }
        self.skip(&mut fitting);
        for c in text.chars() {
            let mut next = vec![false; self.0.len() + 1];
            for (index, pattern) in self.0.iter().enumerate() {
                if !fitting.get(index).is_some_and(|fits| *fits) {
                    continue;
                }
                let reached = match pattern {
                    '*' => index,
                    '?' | '.' => index + 1,
                    literal if *literal == c => index + 1,
                    _ => continue,
                };
                if let Some(slot) = next.get_mut(reached) {
                    *slot = true;
                }
            }
            self.skip(&mut next);
            fitting = next;
        }
        fitting.last().is_some_and(|fits| *fits)
    }

    /// What stands for no character at all is fitted by nothing.
    fn skip(&self, fitting: &mut [bool]) {
        for (index, pattern) in self.0.iter().enumerate() {
            if matches!(pattern, '*' | '?')
                && fitting.get(index).is_some_and(|fits| *fits)
                && let Some(slot) = fitting.get_mut(index + 1)
            {
                *slot = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{ClaimPath, Decision, Glob, Kind, Policy, allow};
    use crate::esc::token_type::TokenType;

    fn glob(text: &str) -> Glob {
        Glob::parse(text).unwrap()
    }

    fn policy(decision: Decision, kind: Kind, rules: &[(&str, &str)]) -> Policy {
        let rules = rules.iter().map(|(path, text)| (ClaimPath::parse(path).unwrap(), glob(text))).collect();
        Policy { decision, kind, rules }
    }

    #[test]
    fn patterns_are_those_of_pulumi_cloud() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a", "", false),
            ("*", "", true),
            ("*", "é", true),
            ("a*c", "abbbc", true),
            ("a*c", "ac", true),
            ("a*c", "abd", false),
            ("a?c", "ac", true),
            ("a?c", "abc", true),
            ("a?c", "abbc", false),
            ("a.c", "abc", true),
            ("a.c", "a.c", true),
            ("a.c", "ac", false),
            ("??", "", true),
            ("..", "a", false),
            ("system:serviceaccount:shop:*", "system:serviceaccount:shop2:api", false),
            ("*a*b*", "xxaxxbxx", true),
        ] {
            assert_eq!(glob(pattern).matches(text), expected, "{pattern} {text}");
        }
        assert!(Glob::parse("").is_err() && Glob::parse(&"a".repeat(513)).is_err());
    }

    #[test]
    fn claims_are_found_by_quoted_and_dotted_paths() {
        let claims = json!({
            "sub": "s", "aud": ["x", "y"], "admin": true, "level": 7,
            "kubernetes.io": {"namespace": "shop", "pod": {"name": "api-0"}}, "a b": {"c\"": 1},
        });
        for (path, pattern, expected) in [
            ("sub", "s", true),
            ("aud", "y", true),
            ("aud", "z", false),
            ("admin", "true", true),
            ("level", "7", true),
            ("\"kubernetes.io\".namespace", "sh*", true),
            ("\"kubernetes.io\".pod.name", "api-?", true),
            ("\"kubernetes.io\".pod", "*", false),
            ("\"kubernetes.io\"", "*", false),
            ("none", "*", false),
            ("sub.none", "*", false),
            ("\"sub\"", "s", true),
        ] {
            let one = [policy(Decision::Allow, Kind::Organization, &[(path, pattern)])];
            assert_eq!(allow(&one, &TokenType::Organization, &claims), expected, "{path} {pattern}");
        }
        for path in ["", ".", "a.", ".a", "a..b", "\"a", "\"a\"b", "\"\"", "a\"b", "kubernetes.io.namespace"]
        {
            assert!(ClaimPath::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_policy_speaks_only_of_its_own_kind() {
        let rules = &[("sub", "*")];
        let claims = json!({"sub": "s"});
        let team = |name: &str| TokenType::Team(name.to_owned());
        let user = |name: &str| TokenType::Personal(name.to_owned());
        for (kind, token_type, expected) in [
            (Kind::Organization, TokenType::Organization, true),
            (Kind::Organization, team("pay"), false),
            (Kind::Team(glob("pay*")), team("payments"), true),
            (Kind::Team(glob("pay")), team("payments"), false),
            (Kind::Team(glob("*")), user("payments"), false),
            (Kind::Personal(glob("jo")), user("jo"), true),
            (Kind::Personal(glob("jo")), TokenType::Organization, false),
        ] {
            let allowing = policy(Decision::Allow, kind.clone(), rules);
            assert_eq!(allow(std::slice::from_ref(&allowing), &token_type, &claims), expected, "{kind:?}");
            // What denies another kind denies nothing here.
            let denying = policy(Decision::Deny, kind.clone(), rules);
            assert!(!allow(&[allowing, denying], &token_type, &claims), "{kind:?}");
        }
    }

    proptest! {
        #[test]
        fn denying_wins_in_any_order(order in Just(vec![0, 1, 2]).prop_shuffle(), denied in any::<bool>()) {
            let deny = if denied { "shop" } else { "other" };
            let all = [
                policy(Decision::Allow, Kind::Organization, &[("sub", "*")]),
                policy(Decision::Deny, Kind::Organization, &[("ns", deny)]),
                policy(Decision::Allow, Kind::Organization, &[("sub", "exactly"), ("ns", "shop")]),
            ];
            let policies: Vec<_> = order.iter().map(|index: &usize| all[*index].clone()).collect();
            let claims = json!({"sub": "exactly", "ns": "shop"});
            prop_assert_eq!(allow(&policies, &TokenType::Organization, &claims), !denied);
        }

        #[test]
        fn a_text_without_wildcards_fits_itself_alone(text in "[a-z:/-]{1,40}", other in "[a-z:/-]{1,40}") {
            prop_assert!(glob(&text).matches(&text));
            prop_assert_eq!(glob(&text).matches(&other), text == other);
        }
    }
}
