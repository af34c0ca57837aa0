//! ESC's own projections: what `environmentVariables` and `files` deliver, as `esc run` does.

use std::collections::BTreeMap;

use super::{
    path::below_key,
    value::{Kind, Value},
};
use crate::secret::Secret;

/// The texts of one projection by name. Names are ESC's, unchecked.
pub type Projected = BTreeMap<String, Secret>;

/// A projected value could not be computed by ESC.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is unknown: ESC could not compute it")]
pub struct UnknownValue {
    /// Path of the value.
    pub path: String,
}

/// The `environmentVariables` of an environment: scalars as text, arrays and objects dropped.
pub fn variables(environment: &Value) -> Result<Projected, UnknownValue> {
    project(environment, "environmentVariables")
}

/// The `files` of an environment, by the same rules.
pub fn files(environment: &Value) -> Result<Projected, UnknownValue> {
    project(environment, "files")
}

/// ESC ignores a projection that is no object, and what in it is no scalar. Where ESC would write `[unknown]`, we fail.
fn project(environment: &Value, name: &str) -> Result<Projected, UnknownValue> {
    let Kind::Object(properties) = &environment.kind else { return Ok(Projected::new()) };
    let Some(projection) = properties.get(name) else { return Ok(Projected::new()) };
    let unknown = |rest: &str| UnknownValue { path: below_key(name, rest) };
    let entries = match &projection.kind {
        Kind::Object(entries) => entries,
        Kind::Unknown => return Err(unknown("")),
        _ => return Ok(Projected::new()),
    };
    let mut projected = Projected::new();
    for (key, value) in entries {
        if value.kind == Kind::Unknown {
            return Err(unknown(&below_key(key, "")));
        }
        if let Some(text) = value.scalar_text() {
            projected.insert(key.clone(), Secret::new(text.to_vec()));
        }
    }
    Ok(projected)
}

#[cfg(test)]
mod tests {
    use super::{files, variables};
    use crate::esc::value::Value;

    fn show(payload: &str) -> Result<Vec<String>, String> {
        let wire = format!(r#"{{"properties":{{"environmentVariables":{payload},"files":{payload}}}}}"#);
        let environment = Value::from_environment(wire.as_bytes()).map_err(|error| error.to_string())?;
        let projected = variables(&environment).map_err(|error| error.to_string())?;
        assert_eq!(files(&environment).as_ref(), Ok(&projected));
        Ok(projected
            .iter()
            .map(|(name, text)| format!("{name}={}", String::from_utf8_lossy(text.expose())))
            .collect())
    }

    #[test]
    fn projects_scalars_and_drops_the_rest() {
        let payload = r#"{"value":{
            "A":{"value":1},"B":{"value":true},"C":{"value":null},"D":{"value":"str"},"E":{"value":[{"value":1}]},
            "F":{"value":{"x":{"value":1}}},"G":{"value":1.5},"H":{"value":"q","secret":true},"I":{"value":""},
            "bad name":{"value":"ok"},"L":{"value":12345678901234567890}}}"#;
        assert_eq!(
            show(payload).unwrap(),
            ["A=1", "B=true", "C=", "D=str", "G=1.5", "H=q", "I=", "L=12345678901234567890", "bad name=ok"]
        );
    }

    #[test]
    fn ignores_a_projection_that_is_no_object() {
        for payload in [r#"{"value":[{"value":"a"}]}"#, r#"{"value":"x"}"#, "{}", r#"{"value":{}}"#] {
            assert_eq!(show(payload).unwrap(), [""; 0], "{payload}");
        }
        assert_eq!(variables(&Value::from_environment(b"{}").unwrap()).unwrap().len(), 0);
    }

    #[test]
    fn an_unknown_value_is_an_error_and_not_a_text() {
        for (payload, path) in [
            (r#"{"unknown":true}"#, "`environmentVariables`"),
            (r#"{"value":{"A":{"value":1},"B-C":{"unknown":true}}}"#, r#"`environmentVariables["B-C"]`"#),
        ] {
            assert_eq!(show(payload).unwrap_err(), format!("{path} is unknown: ESC could not compute it"));
        }
    }
}
