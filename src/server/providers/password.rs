//! The rotator `password`: makes random passwords, and keeps the current and the previous one.

use std::{collections::BTreeMap, sync::Arc};

use super::{Opened, Pending, ProviderError, Request, Rotator};
use crate::{
    esc::value::{Kind, Value},
    lang::{schema::Schema, seam::RotatorSchema},
    secret::Secret,
    server::random::{NoRandomness, random},
};

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const NUMERIC: &str = "0123456789";
/// ESC's own default.
const SPECIAL: &str = "!@#$%&*()-_=+[]{}<>:?";

/// Lengths of passwords: ESC's own bounds and default.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=100;
const DEFAULT_LENGTH: usize = 16;

/// Characters that may be called special. A random byte chooses among them.
const MAX_SPECIAL: usize = 128;

/// Makes passwords.
pub(super) struct Password;

impl Rotator for Password {
    fn schema(&self) -> RotatorSchema {
        let flag = || Schema::of_type("boolean");
        let number = || Schema::whole_number(0, *LENGTHS.end());
        let inputs = Schema::record([
            ("length", Schema::whole_number(*LENGTHS.start(), *LENGTHS.end())),
            ("lower", flag()),
            ("upper", flag()),
            ("numeric", flag()),
            ("special", flag()),
            ("minLower", number()),
            ("minUpper", number()),
            ("minNumeric", number()),
            ("minSpecial", number()),
            ("overrideSpecial", Schema::text()),
        ])
        .closed()
        .optional(&[
            "length",
            "lower",
            "upper",
            "numeric",
            "special",
            "minLower",
            "minUpper",
            "minNumeric",
            "minSpecial",
            "overrideSpecial",
        ]);
        let state = [("current", Schema::string()), ("previous", Schema::string())];
        let state = Arc::new(Schema::record(state).optional(&["previous"]));
        RotatorSchema { inputs: Arc::new(inputs), state: Arc::clone(&state), outputs: state }
    }

    fn open<'a>(&'a self, _: Request<'a>, state: Option<&'a Value>) -> Pending<'a, Opened> {
        let value = match state {
            Some(Value { kind, .. }) => Value { kind: kind.clone(), secret: true },
            None => Value { kind: Kind::Object(BTreeMap::new()), secret: false },
        };
        Box::pin(std::future::ready(Ok(value.into())))
    }

    fn rotate<'a>(&'a self, request: Request<'a>, state: Option<&'a Value>) -> Pending<'a, Value> {
        let next = Recipe::read(request.inputs).and_then(|recipe| {
            let current = recipe.cook().map_err(|NoRandomness| {
                ProviderError::Refused("the system gives no random numbers".to_owned())
            })?;
            let current = Value { kind: Kind::String(current), secret: true };
            let mut next = BTreeMap::from([("current".to_owned(), current)]);
            if let Some(Kind::Object(state)) = state.map(|state| &state.kind)
                && let Some(previous) = state.get("current")
            {
                next.insert("previous".to_owned(), previous.clone());
            }
            Ok(Value { kind: Kind::Object(next), secret: true })
        });
        Box::pin(std::future::ready(next))
    }
}

/// What a password is made of.
struct Recipe {
    length: usize,
    /// The characters of each class, and how many there are at least.
    classes: Vec<(Vec<char>, usize)>,
}

impl Recipe {
    fn read(inputs: &BTreeMap<String, Value>) -> Result<Self, ProviderError> {
        let refused = |reason: String| Err(ProviderError::Refused(format!("password: {reason}")));
        let length = number(inputs, "length")?.unwrap_or(DEFAULT_LENGTH);
        if !LENGTHS.contains(&length) {
            return refused(format!("`length` must be {} to {}", LENGTHS.start(), LENGTHS.end()));
        }
        let special = match inputs.get("overrideSpecial").map(|value| &value.kind) {
            Some(Kind::String(text)) => text.expose_str().unwrap_or_default().chars().collect(),
            _ => SPECIAL.chars().collect::<Vec<_>>(),
        };
        if special.is_empty() || special.len() > MAX_SPECIAL || special.iter().any(|c| c.is_control()) {
            return refused(format!("`overrideSpecial` must be 1 to {MAX_SPECIAL} printable characters"));
        }
        let mut classes = Vec::new();
        for (flag, least, characters) in [
            ("lower", "minLower", LOWER.chars().collect()),
            ("upper", "minUpper", UPPER.chars().collect()),
            ("numeric", "minNumeric", NUMERIC.chars().collect()),
            ("special", "minSpecial", special),
        ] {
            let wanted = !matches!(inputs.get(flag).map(|value| &value.kind), Some(Kind::Bool(false)));
            let least_of_it = number(inputs, least)?.unwrap_or(0);
            if wanted {
                classes.push((characters, least_of_it));
            } else if least_of_it > 0 {
                return refused(format!("`{least}` can't be had with `{flag}: false`"));
            }
        }
        if classes.is_empty() {
            return refused("no characters are left to make it of".to_owned());
        }
        if classes.iter().map(|(_, least)| least).sum::<usize>() > length {
            return refused("the least numbers of characters are more than `length`".to_owned());
        }
        Ok(Self { length, classes })
    }

    fn cook(&self) -> Result<Secret, NoRandomness> {
        let all: Vec<char> = self.classes.iter().flat_map(|(characters, _)| characters).copied().collect();
        let required =
            self.classes.iter().flat_map(|(characters, least)| std::iter::repeat_n(characters, *least));
        let mut password = zeroize::Zeroizing::new(Vec::<char>::with_capacity(self.length));
        for characters in required.chain(std::iter::repeat(&all)).take(self.length) {
            password.extend(characters.get(below(characters.len())?));
        }
        // What is required must not be known to stand in front.
        for end in (1..password.len()).rev() {
            password.swap(end, below(end + 1)?);
        }
        Ok(Secret::from(password.iter().collect::<String>()))
    }
}

fn number(inputs: &BTreeMap<String, Value>, name: &str) -> Result<Option<usize>, ProviderError> {
    match inputs.get(name).map(|value| &value.kind) {
        Some(Kind::Number(text)) => {
            let number = text
                .expose_str()
                .and_then(|text| text.parse().ok())
                .filter(|number| *number <= *LENGTHS.end());
            number.map(Some).ok_or_else(|| {
                ProviderError::Refused(format!(
                    "password: `{name}` must be a whole number from 0 to {}",
                    LENGTHS.end()
                ))
            })
        }
        _ => Ok(None),
    }
}

/// A number below this one, each as likely as the others.
fn below(end: usize) -> Result<usize, NoRandomness> {
    // A larger number would make the first ones likelier.
    let fair = u32::MAX - u32::MAX % u32::try_from(end).unwrap_or(u32::MAX).max(1);
    loop {
        let number = u32::from_be_bytes(random::<4>()?);
        if number < fair {
            return Ok(usize::try_from(number).unwrap_or_default() % end.max(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Recipe, SPECIAL, below};
    use crate::{
        esc::value::{Kind, Value},
        secret::Secret,
    };

    fn inputs(fields: &[(&str, Kind)]) -> BTreeMap<String, Value> {
        let value = |kind: &Kind| Value { kind: kind.clone(), secret: false };
        fields.iter().map(|(name, kind)| ((*name).to_owned(), value(kind))).collect()
    }

    fn number(text: &str) -> Kind {
        Kind::Number(Secret::from(text))
    }

    #[test]
    fn makes_passwords_of_what_is_asked_for() {
        let of = |fields: &[(&str, Kind)]| {
            let password = Recipe::read(&inputs(fields)).unwrap().cook().unwrap();
            password.expose_str().unwrap().to_owned()
        };
        let many = |fields: &[(&str, Kind)]| (0..50).map(|_| of(fields)).collect::<Vec<_>>();
        for password in many(&[]) {
            assert_eq!(password.len(), 16);
            assert!(password.chars().all(|c| c.is_ascii_alphanumeric() || SPECIAL.contains(c)), "{password}");
        }
        let digits = [
            ("length", number("8")),
            ("lower", Kind::Bool(false)),
            ("upper", Kind::Bool(false)),
            ("special", Kind::Bool(false)),
        ];
        assert!(
            many(&digits)
                .iter()
                .all(|password| password.len() == 8 && password.bytes().all(|byte| byte.is_ascii_digit()))
        );
        let mixed = [
            ("length", number("12")),
            ("minLower", number("3")),
            ("minUpper", number("4")),
            ("minNumeric", number("2")),
            ("minSpecial", number("3")),
            ("overrideSpecial", Kind::String(Secret::from("é~"))),
        ];
        let mut first = std::collections::BTreeSet::new();
        for password in many(&mixed) {
            let count = |test: &dyn Fn(char) -> bool| password.chars().filter(|c| test(*c)).count();
            assert_eq!(count(&|c| c.is_ascii_lowercase()), 3, "{password}");
            assert_eq!(count(&|c| c.is_ascii_uppercase()), 4);
            assert_eq!(count(&|c| c.is_ascii_digit()), 2);
            assert_eq!(count(&|c| "é~".contains(c)), 3);
            first.insert(password.chars().next().unwrap().is_ascii_lowercase());
        }
        assert_eq!(first.len(), 2, "what is required stands anywhere");
    }

    #[test]
    fn refuses_what_can_not_be_made() {
        let no = || Kind::Bool(false);
        for fields in [
            &[("length", number("7"))] as &[(&str, Kind)],
            &[("length", number("101"))],
            &[("length", number("9.5"))],
            &[("length", number("-8"))],
            &[("minLower", number("9")), ("minUpper", number("8"))],
            &[("lower", no()), ("minLower", number("1"))],
            &[("lower", no()), ("upper", no()), ("numeric", no()), ("special", no())],
            &[("overrideSpecial", Kind::String(Secret::from("")))],
            &[("overrideSpecial", Kind::String(Secret::from("a\n")))],
        ] {
            assert!(Recipe::read(&inputs(fields)).is_err(), "{fields:?}");
        }
    }

    #[test]
    fn chooses_among_all_there_are() {
        let chosen: std::collections::BTreeSet<_> = (0..500).map(|_| below(5).unwrap()).collect();
        assert!(chosen.into_iter().eq(0..5));
        assert_eq!(below(1), Ok(0));
    }
}
