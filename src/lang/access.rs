//! Walking into a value that has been computed.

use super::{
    interpolation::Accessor,
    value::{Kind, Value},
};

/// Suggestions farther away than this would rather confuse.
const MAX_DISTANCE: usize = 2;

pub(super) const NO_RECEIVER: &str = "receiver must be an array or an object";
pub(super) const NAME_ON_ARRAY: &str = "cannot access an array element using a property name";
pub(super) const INDEX_ON_OBJECT: &str = "cannot access an object property using an integer index";

/// Follows the accessors. Below something unknown everything is unknown, without another complaint.
pub(super) fn get(value: &Value, accessors: &[Accessor]) -> Result<Value, String> {
    let mut value = value;
    for accessor in accessors {
        value = match (value.kind(), accessor) {
            (Kind::Unknown, _) => return Ok(value.clone()),
            (Kind::Object(properties), Accessor::Key(key)) => match properties.get(key.as_str()) {
                Some(property) => property,
                None => return Err(unknown_property(key, properties.keys().map(AsRef::as_ref))),
            },
            (Kind::Array(items), Accessor::Index(index)) => {
                let position = position(*index, items.len())?;
                items.get(position).ok_or_else(|| out_of_bounds(*index, items.len()))?
            }
            (Kind::Object(_), Accessor::Index(_)) => return Err(INDEX_ON_OBJECT.to_owned()),
            (Kind::Array(_), Accessor::Key(_)) => return Err(NAME_ON_ARRAY.to_owned()),
            _ => return Err(NO_RECEIVER.to_owned()),
        };
    }
    Ok(value.clone())
}

/// An index that lies within a list of `length`.
pub(super) fn position(index: i64, length: usize) -> Result<usize, String> {
    if index < 0 {
        return Err("array indices must not be negative".to_owned());
    }
    usize::try_from(index)
        .ok()
        .filter(|position| *position < length)
        .ok_or_else(|| out_of_bounds(index, length))
}

fn out_of_bounds(index: i64, length: usize) -> String {
    format!("array index {index} out-of-bounds for array of length {length}")
}

/// Says that a property is missing, and which near one exists.
pub(super) fn unknown_property<'n>(key: &str, names: impl Iterator<Item = &'n str>) -> String {
    let nearest = names
        .map(|name| (strsim::damerau_levenshtein(key, name), name))
        .filter(|(distance, name)| *distance <= MAX_DISTANCE && *distance < name.chars().count())
        .min();
    match nearest {
        Some((_, name)) => format!("unknown property \"{key}\"; did you mean \"{name}\"?"),
        None => format!("unknown property \"{key}\""),
    }
}
