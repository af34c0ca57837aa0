//! Which environments import an environment.

use std::collections::BTreeMap;

use axum::{
    extract::{RawPathParams, State},
    response::Response,
};
use serde_json::{Value as Json, json};

use super::{
    super::{
        App,
        error::ApiError,
        names::{EnvironmentName, ImportName, Version},
        principal::Principal,
        right::Right,
        store::{Page, StoreError},
    },
    AppState, Entered, answer, param, version,
};
use crate::yaml::{self, Node, NodeKind, esc_string};

/// Environments that are looked at in one go.
const LIST: usize = 200;

/// `GET …/referrers` and `GET …/versions/{version}/referrers`: by the version that they name, in their newest
/// revisions, as far as whoever asks may read them.
pub(super) async fn list(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Read).await?;
    let only = match param(&params, "version") {
        "" => None,
        _ => Some(version(&params)?.to_string()),
    };
    app.evaluating(move |app| {
        // Who asks for what is not there is told so.
        app.store.environment(&entered.environment)?;
        let mut found = referrers(app, &entered.principal, &entered.environment)?;
        found.retain(|version, _| only.as_ref().is_none_or(|only| only == version));
        answer(&json!({ "referrers": found, "continuationToken": "" }))
    })
    .await
}

fn referrers(
    app: &App,
    principal: &Principal,
    target: &EnvironmentName,
) -> Result<BTreeMap<String, Vec<Json>>, ApiError> {
    let mut found: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = app.store.list(target.organization(), Page { after: after.as_ref(), count: LIST })?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = Some(last.clone());
        for (name, environment) in page {
            if !app.policy.allows(principal, &name, &environment.grants, Right::Read) {
                continue;
            }
            let definition = match app.store.definition(&name, &Version::Latest) {
                Ok(definition) => definition,
                // Deleted in this moment.
                Err(StoreError::NoEnvironment(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            for import in imports(definition.text.expose_str().unwrap_or_default()) {
                let Some(import) = ImportName::parse(target.organization(), &import) else { continue };
                if import.environment == *target {
                    let referrer = json!({ "environment": {
                        "project": name.project(),
                        "name": name.environment(),
                        "revision": definition.revision.number,
                    }});
                    found.entry(import.version.to_string()).or_default().push(referrer);
                }
            }
        }
    }
}

/// The names in the list of imports.
fn imports(text: &str) -> Vec<String> {
    let documents = yaml::parse(text).unwrap_or_default();
    let Some(Node { kind: NodeKind::Mapping(pairs, _), .. }) = documents.first() else { return Vec::new() };
    let list =
        pairs.iter().find(|(key, _)| esc_string(key).is_some_and(|key| key.eq_ignore_ascii_case("imports")));
    let Some((_, Node { kind: NodeKind::Sequence(items, _), .. })) = list else { return Vec::new() };
    items
        .iter()
        .filter_map(|item| match &item.kind {
            NodeKind::Mapping(pairs, _) => pairs.first().and_then(|(name, _)| esc_string(name)),
            _ => esc_string(item),
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::imports;

    #[test]
    fn finds_what_is_imported() {
        let text = "imports:\n- base\n- p/e@3\n- p/f: {merge: false}\n- [x]\nvalues: {imports: [no]}\n";
        assert_eq!(imports(text), ["base", "p/e@3", "p/f"]);
        for text in ["", "imports: x", "[", "imports:", "[imports]"] {
            assert!(imports(text).is_empty(), "{text}");
        }
    }
}
