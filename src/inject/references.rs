//! Kubelet's `$(NAME)`: where references stand in a text, and what kubelet makes of them.
//!
//! The grammar (k8s.io/kubernetes `third_party/forked/golang/expansion`): `$$` is a `$`, `$(NAME)` is a reference, an
//! unknown name and any other `$` stay as they are.

use std::collections::BTreeSet;

use super::{names::BINARY, pod::Container};
use crate::agent::wrapper::Piece;

/// A part of a text as kubelet reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// Text that stands for itself.
    Text(&'a str),
    /// `$$`.
    Escape,
    /// `$(NAME)`.
    Reference(&'a str),
}

/// Cuts a text into tokens; joined as written, they are the text.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    // Seen once, no text without an end is searched again: it may be megabytes of `$(`.
    let mut no_more_ends = false;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        let after = from.get(1..).unwrap_or_default();
        let (token, length) = if after.starts_with('$') {
            (Token::Escape, 2)
        } else if let Some(inner) = after.strip_prefix('(').filter(|_| !no_more_ends) {
            match inner.split_once(')') {
                Some((name, _)) => (Token::Reference(name), name.len() + 3),
                None => {
                    no_more_ends = true;
                    (Token::Text("$"), 1)
                }
            }
        } else {
            (Token::Text("$"), 1)
        };
        if !before.is_empty() {
            tokens.push(Token::Text(before));
        }
        tokens.push(token);
        rest = from.get(length..).unwrap_or_default();
    }
    if !rest.is_empty() {
        tokens.push(Token::Text(rest));
    }
    tokens
}

/// What kubelet makes of a text, given the variables that it knows.
pub fn expand(text: &str, mut value_of: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    for token in tokens(text) {
        match token {
            Token::Text(text) => out.push_str(text),
            Token::Escape => out.push('$'),
            Token::Reference(name) => match value_of(name) {
                Some(value) => out.push_str(&value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            },
        }
    }
    out
}

/// What the wrapper has to expand in kubelet's stead.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expansions {
    /// Variables of the container, in order.
    pub variables: Vec<(String, Vec<Piece>)>,
    /// Elements of the command line, by index.
    pub arguments: Vec<(usize, Vec<Piece>)>,
    /// Whether a delivered variable, named in an annotation, ends up on the command line.
    pub shows_on_command_line: bool,
}

/// Which names the wrapper delivers to a container.
#[derive(Debug)]
pub struct Delivered<'a> {
    /// Named in annotations.
    pub named: BTreeSet<&'a str>,
    /// Whether ESC's projections may deliver any other name that the container does not set itself.
    pub any_other: bool,
}

/// Finds every reference to a delivered variable in the container's env and in its command line, and every reference
/// to a variable that holds such a reference.
pub fn expansions(container: &Container<'_>, command: &[&str], delivered: &Delivered<'_>) -> Expansions {
    // Most containers refer to nothing, and need no sets of names to find that out.
    let values = container.env.iter().filter_map(|(_, value)| *value);
    if !values.chain(command.iter().chain(&container.arguments).copied()).any(|text| text.contains("$(")) {
        return Expansions::default();
    }
    let own: BTreeSet<&str> = container.env.iter().map(|(name, _)| *name).collect();
    let from_esc =
        |name: &str| delivered.named.contains(name) || (delivered.any_other && !own.contains(name));
    let mut out = Expansions::default();
    // Variables that the wrapper sets because they hold a delivered value.
    let mut replaced: BTreeSet<&str> = BTreeSet::new();
    let mut reveals: BTreeSet<&str> = delivered.named.clone();
    let mut earlier: BTreeSet<&str> = BTreeSet::new();
    for (name, value) in &container.env {
        let pieces = value.and_then(|value| {
            cut(value, |reference| {
                if replaced.contains(reference) || from_esc(reference) {
                    Cut::Reference
                } else if own.contains(reference) && !earlier.contains(reference) {
                    // Kubelet sees only what stands before; in the wrapper's arguments it would see everything.
                    Cut::Escape
                } else {
                    Cut::Keep
                }
            })
        });
        replaced.remove(name);
        if let Some(pieces) = pieces {
            if mentions(&pieces, &reveals) {
                reveals.insert(name);
            }
            replaced.insert(name);
            out.variables.push(((*name).to_owned(), pieces));
        }
        earlier.insert(name);
    }
    let words: Vec<&str> = command.iter().chain(&container.arguments).copied().collect();
    // Another webhook may have put a launcher before an earlier wrapping of ours, which expands its own pieces: to
    // expand them here would put values on the command line.
    let end = words.windows(2).position(|pair| pair == [BINARY, "exec"]).unwrap_or(words.len());
    for (index, argument) in words.into_iter().enumerate().take(end) {
        let pieces = cut(argument, |reference| {
            if replaced.contains(reference) || from_esc(reference) { Cut::Reference } else { Cut::Keep }
        });
        if let Some(pieces) = pieces {
            out.shows_on_command_line |= mentions(&pieces, &reveals);
            out.arguments.push((index, pieces));
        }
    }
    out
}

fn mentions(pieces: &[Piece], names: &BTreeSet<&str>) -> bool {
    pieces.iter().any(|piece| matches!(piece, Piece::Reference { name, .. } if names.contains(name.as_str())))
}

/// What becomes of a reference.
enum Cut {
    /// The wrapper looks it up.
    Reference,
    /// Kubelet expands it.
    Keep,
    /// Nobody expands it.
    Escape,
}

/// Cuts a text at the references that the wrapper looks up; none when it has no such reference.
fn cut(text: &str, judge: impl Fn(&str) -> Cut) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut found = false;
    for token in tokens(text) {
        match token {
            Token::Text(text) => literal.push_str(text),
            Token::Escape => literal.push_str("$$"),
            Token::Reference(name) => match judge(name) {
                Cut::Reference => {
                    found = true;
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Reference { name: name.to_owned(), fallback: format!("$({name})") });
                }
                Cut::Keep => literal.extend(["$(", name, ")"]),
                Cut::Escape => literal.extend(["$$(", name, ")"]),
            },
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    found.then_some(pieces)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::inject::{document::Document, pod::Pod};

    #[test]
    fn expands_as_kubelet_does() {
        // Vectors of kubelet's own documentation and tests, in our words.
        let known = |name: &str| (name == "A").then(|| "1".to_owned());
        for (text, expected) in [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$(B)", "$(B)"),
            ("$(A", "$(A"),
            ("$A ${A} $", "$A ${A} $"),
            ("$()", "$()"),
            ("$$", "$"),
        ] {
            assert_eq!(expand(text, known), expected, "{text}");
        }
    }

    /// What kubelet and then the wrapper make of a container, against what kubelet alone would have made of it had it
    /// known the delivered variables.
    #[test]
    fn wrapper_and_kubelet_together_equal_kubelet_alone() {
        let pod = json!({"spec": {"containers": [{
            "name": "app",
            "env": [
                {"name": "USER", "value": "u"},
                {"name": "URL", "value": "pg://$(USER):$(DB)@$(LATER)/$$(DB)"},
                {"name": "COPY", "value": "<$(URL)>"},
                {"name": "LATER", "value": "l"},
                {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            ],
            "args": ["--dsn=$(COPY)", "$$(DB)", "plain $(USER) $(NOBODY)", "$$$(DB)"],
        }]}});
        let pod = Document::from(pod);
        let pod = Pod::read(&pod).expect("a pod");
        let container = &pod.containers[0];
        let delivered = Delivered { named: BTreeSet::from(["DB"]), any_other: false };
        let found = expansions(container, &["/app", "$(DB)"], &delivered);
        assert!(found.shows_on_command_line);
        // Kubelet, before the wrapper: DB is unknown to it.
        let after_kubelet = |text: &str| {
            expand(text, |name| match name {
                "USER" => Some("u".to_owned()),
                "LATER" => Some("l".to_owned()),
                "URL" => Some("kubelet's url".to_owned()),
                "COPY" => Some("kubelet's copy".to_owned()),
                _ => None,
            })
        };
        let mut set = std::collections::BTreeMap::from([("DB".to_owned(), "s3cret".to_owned())]);
        let join = |pieces: &[Piece], set: &std::collections::BTreeMap<String, String>| {
            pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Literal(text) => after_kubelet(text),
                    Piece::Reference { name, fallback } => {
                        set.get(name).cloned().unwrap_or_else(|| after_kubelet(fallback))
                    }
                })
                .collect::<String>()
        };
        for (name, pieces) in &found.variables {
            let value = join(pieces, &set);
            set.insert(name.clone(), value);
        }
        assert_eq!(set["URL"], "pg://u:s3cret@$(LATER)/$(DB)");
        assert_eq!(set["COPY"], "<pg://u:s3cret@$(LATER)/$(DB)>");
        let arguments: Vec<_> =
            found.arguments.iter().map(|(index, pieces)| (*index, join(pieces, &set))).collect();
        assert_eq!(
            arguments,
            [
                (1, "s3cret".to_owned()),
                (2, "--dsn=<pg://u:s3cret@$(LATER)/$(DB)>".to_owned()),
                (5, "$s3cret".to_owned()),
            ]
        );
    }

    proptest! {
        #[test]
        fn tokens_join_to_the_text(text in "[$()AB ]{0,24}") {
            let joined: String = tokens(&text).into_iter().map(|token| match token {
                Token::Text(text) => text.to_owned(),
                Token::Escape => "$$".to_owned(),
                Token::Reference(name) => format!("$({name})"),
            }).collect();
            prop_assert_eq!(joined, text);
        }

        #[test]
        fn pieces_expand_to_what_the_whole_expands_to(text in "[$()AB ]{0,24}") {
            let value = |name: &str| match name { "A" => Some("a".to_owned()), "B" => Some("b".to_owned()), _ => None };
            let whole = expand(&text, value);
            if let Some(pieces) = cut(&text, |name| if name == "A" { Cut::Reference } else { Cut::Keep }) {
                let joined: String = pieces.iter().map(|piece| match piece {
                    Piece::Literal(text) => expand(text, value),
                    Piece::Reference { name, .. } => value(name).expect("only A is cut"),
                }).collect();
                prop_assert_eq!(joined, whole);
            }
        }
    }
}
