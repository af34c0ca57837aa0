//! Compares what a container received with what stands in ESC.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    agent::plan::{Source, View},
    esc::{
        lookup::NotFound,
        path::Path,
        projection::{self, UnknownValue},
        render::{
            self, Format, RenderError,
            template::{Root, TemplateError},
        },
        value::{Kind, Value},
    },
    secret::Secret,
};

/// What a process found in its environment and under the mount path. Carries values: it goes through a pipe from the
/// stand-in for the application to the demo, and nowhere else.
#[derive(Serialize, Deserialize)]
pub struct Received {
    /// Variables by name.
    pub variables: BTreeMap<String, String>,
    /// Files by name below the mount path, in base64.
    pub files: BTreeMap<String, String>,
}

/// One thing that was to arrive.
#[derive(Debug)]
pub struct Row {
    /// `DATABASE_URL`, or the file's name.
    pub name: String,
    /// Whether it is a file.
    pub is_file: bool,
    /// Where in the environment it comes from.
    pub origin: String,
    /// Whether it arrived, byte by byte.
    pub arrived: bool,
    /// Its size in bytes.
    pub size: usize,
    /// The value, where ESC does not mark it secret and it fits a line.
    pub shown: Option<String>,
}

/// The source itself can't say what should arrive.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A path leads nowhere.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// A value is unknown.
    #[error(transparent)]
    Unknown(#[from] UnknownValue),
    /// A value can't be written as asked.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// A template can't be rendered.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Something that is to arrive, with its value.
struct Expected {
    name: String,
    is_file: bool,
    origin: String,
    value: Secret,
    is_secret: bool,
}

/// Everything that a view delivers, held against what was received. `own` are the names that the container sets
/// itself; `place` is where it sees the view's files.
pub fn compare(
    environment: &Value,
    view: &View,
    (own, place): (&[String], &str),
    received: &Received,
) -> Result<Vec<Row>, CheckError> {
    let rows = expected(environment, view, (own, place))?.into_iter().map(|expected| {
        let arrived = if expected.is_file {
            let content =
                received.files.get(&expected.name).and_then(|content| STANDARD.decode(content).ok());
            content.is_some_and(|content| content == expected.value.expose())
        } else {
            let content = received.variables.get(&expected.name);
            content.is_some_and(|content| content.as_bytes() == expected.value.expose())
        };
        let shown = expected.value.expose_str().filter(|_| !expected.is_secret).and_then(one_line);
        Row {
            name: expected.name,
            is_file: expected.is_file,
            origin: expected.origin,
            arrived,
            size: expected.value.len(),
            shown,
        }
    });
    Ok(rows.collect())
}

fn expected(
    environment: &Value,
    view: &View,
    (own, place): (&[String], &str),
) -> Result<Vec<Expected>, CheckError> {
    let mut all: BTreeMap<(bool, String), Expected> = BTreeMap::new();
    let mut add = |expected: Expected| {
        all.insert((expected.is_file, expected.name.clone()), expected);
    };
    // Later ones win: environmentVariables, files, what annotations name.
    if view.projections.env() {
        for (name, value) in projection::variables(environment)? {
            let origin = format!("environmentVariables.{name}");
            let is_secret = is_marked(environment, &["environmentVariables", &name]);
            add(Expected { name, is_file: false, origin, value, is_secret });
        }
    }
    if view.projections.files() {
        for (name, value) in projection::files(environment)? {
            let origin = format!("files.{name}");
            let is_secret = is_marked(environment, &["files", &name]);
            if view.wrapper {
                let path = Secret::from(format!("{place}/{name}"));
                let (name, origin) = (name.clone(), format!("{origin} (its path)"));
                add(Expected { name, is_file: false, origin, value: path, is_secret: false });
            }
            add(Expected { name, is_file: true, origin, value, is_secret });
        }
    }
    all.retain(|(is_file, name), _| *is_file || !own.contains(name));
    let mut add = |expected: Expected| {
        all.insert((expected.is_file, expected.name.clone()), expected);
    };
    for entry in &view.variables {
        let absent = (entry.optional, entry.default.as_deref());
        let Some((text, is_secret)) = text(environment, &entry.path, absent, |value| {
            let format = entry.format.unwrap_or(match value.kind {
                Kind::Array(_) | Kind::Object(_) => Format::Json,
                _ => Format::Raw,
            });
            render::render(value, format)
        })?
        else {
            continue;
        };
        let (name, origin) = (entry.name.to_string(), entry.path.to_string());
        add(Expected { name, is_file: false, origin, value: text, is_secret });
    }
    for entry in &view.files {
        let absent = (entry.optional, entry.default.as_deref());
        let (written, origin) = match &entry.source {
            Source::Path(path) => {
                let written = text(environment, path, absent, |value| {
                    let format =
                        entry.format.unwrap_or_else(|| Format::for_value(entry.name.as_str(), value));
                    render::render(value, format)
                })?;
                (written, path.to_string())
            }
            // Whatever it uses of the environment, it may be secret.
            Source::Template(template) => {
                let text = Root::new(environment.clone()).render(template)?;
                let text = match (text.is_empty(), &entry.default) {
                    (true, Some(default)) => Some(Secret::from(default.as_str())),
                    (true, None) if entry.optional => None,
                    _ => Some(text),
                };
                (text.map(|text| (text, true)), "a template".to_owned())
            }
        };
        let Some((mut value, is_secret)) = written else { continue };
        if let Some(decode) = entry.decode {
            value = render::decode(&value, decode)?;
        }
        add(Expected { name: entry.name.to_string(), is_file: true, origin, value, is_secret });
    }
    Ok(all.into_values().collect())
}

/// The text at a path and whether it is secret; none where nothing is to arrive.
fn text(
    environment: &Value,
    path: &Path,
    (optional, default): (bool, Option<&str>),
    write: impl FnOnce(&Value) -> Result<Secret, RenderError>,
) -> Result<Option<(Secret, bool)>, CheckError> {
    let found = match path.get(environment) {
        Err(missing) if default.is_none() && !optional => return Err(missing.into()),
        found => found.ok().filter(|value| value.kind != Kind::Null || (default.is_none() && !optional)),
    };
    let found = found.map(|value| write(&value).map(|text| (text, holds_secret(&value)))).transpose()?;
    let is_empty = found.as_ref().is_none_or(|(text, _)| text.is_empty());
    Ok(match (is_empty, default) {
        (true, Some(default)) => Some((Secret::from(default), false)),
        (true, None) if optional => None,
        _ => found,
    })
}

fn is_marked(environment: &Value, keys: &[&str]) -> bool {
    let found = keys.iter().try_fold(environment, |value, key| match &value.kind {
        Kind::Object(map) => map.get(*key),
        _ => None,
    });
    found.is_none_or(holds_secret)
}

/// Whether a value, or anything in it, is marked secret.
fn holds_secret(value: &Value) -> bool {
    value.secret
        || match &value.kind {
            Kind::Array(items) => items.iter().any(holds_secret),
            Kind::Object(map) => map.values().any(holds_secret),
            _ => false,
        }
}

/// Every secret text of the environment, longest first, for hiding them in what an application prints.
pub fn secrets(environment: &Value) -> Vec<String> {
    fn collect(value: &Value, inherited: bool, out: &mut Vec<String>) {
        let secret = inherited || value.secret;
        match &value.kind {
            Kind::Array(items) => items.iter().for_each(|item| collect(item, secret, out)),
            Kind::Object(map) => map.values().for_each(|item| collect(item, secret, out)),
            Kind::String(text) | Kind::Number(text) if secret => {
                out.extend(text.expose_str().filter(|text| !text.is_empty()).map(str::to_owned));
            }
            _ => {}
        }
    }
    let mut secrets = Vec::new();
    collect(environment, false, &mut secrets);
    secrets.sort_by_key(|text| std::cmp::Reverse(text.len()));
    secrets.dedup();
    secrets
}

/// Longer values say little on a line.
const SHOWN: usize = 60;

fn one_line(text: &str) -> Option<String> {
    (text.len() <= SHOWN && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::plan::Plan;

    const ENVIRONMENT: &str = r#"{"properties":{
        "db":{"value":{"url":{"value":"pg://s3cret","secret":true}}},
        "environmentVariables":{"value":{"A":{"value":"from esc"},"OWN":{"value":"x"}}}}}"#;
    const PLAN: &str = r#"{"version":1,"api":{"url":"https://x"},"auth":{"kind":"token","tokenFile":"/t"},
        "environments":["acme/shop/prod"],"timeoutSeconds":1,"views":[{"containers":["app"],"mountPath":"/m",
        "filesDir":"/f","envDir":"/e","wrapper":true,"projections":"all",
        "files":[{"name":"url","path":"db.url"}],"variables":[{"name":"URL","path":"db.url"}]}]}"#;

    fn rows(variables: &[(&str, &str)], files: &[(&str, &str)]) -> BTreeMap<String, (bool, Option<String>)> {
        let environment = Value::from_environment(ENVIRONMENT.as_bytes()).unwrap();
        let plan = Plan::from_variable(PLAN).unwrap();
        let received = Received {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            files: files.iter().map(|(name, value)| ((*name).to_owned(), STANDARD.encode(value))).collect(),
        };
        compare(&environment, &plan.views[0], (&["OWN".to_owned()], "/m"), &received)
            .unwrap()
            .into_iter()
            .map(|row| (row.name, (row.arrived, row.shown)))
            .collect()
    }

    #[test]
    fn notices_what_did_not_arrive_or_differs() {
        let good = rows(&[("URL", "pg://s3cret"), ("A", "from esc")], &[("url", "pg://s3cret")]);
        assert!(good.values().all(|(arrived, _)| *arrived), "{good:?}");
        assert!(!good.contains_key("OWN"), "the container's own variable is not ESC's");
        let bad = rows(&[("URL", "pg://s3cret "), ("A", "from esc")], &[]);
        assert_eq!((bad["URL"].0, bad["A"].0, bad["url"].0), (false, true, false));
    }

    #[test]
    fn never_shows_a_secret() {
        let rows = rows(&[("URL", "pg://s3cret")], &[]);
        assert_eq!((&rows["URL"].1, rows["A"].1.as_deref()), (&None, Some("from esc")));
    }
}
