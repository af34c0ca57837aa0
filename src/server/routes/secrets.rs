//! Single secrets: sealing texts for an environment's definition, and opening what such a definition holds.

use axum::{
    extract::{Request, State},
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{
    super::{error::ApiError, right::Right},
    AppState, Entered, answer, body,
};
use crate::secret::Secret;

#[derive(Deserialize)]
struct Plaintexts {
    plaintexts: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Ciphertexts {
    ciphertexts: Vec<String>,
}

/// The texts of secrets, which leave with the answer to whoever may open them.
#[derive(Serialize)]
struct Opened<'s> {
    plaintexts: Vec<&'s str>,
}

/// `POST …/encrypt-secrets`: envelopes that the definition of this environment can hold, in the order of the texts.
pub(super) async fn encrypt(
    State(app): AppState,
    entered: Entered,
    request: Request,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Write).await?;
    let Plaintexts { plaintexts } = body::large_json(request).await?;
    let plaintexts: Vec<_> = plaintexts.into_iter().map(Secret::from).collect();
    app.evaluating(move |app| {
        let id = app.store.environment(&entered.environment)?.id;
        let sealed = plaintexts.into_iter().map(|text| app.vault.seal_text(id, text));
        let ciphertexts = sealed.collect::<Result<_, _>>().map_err(|_| ApiError::internal())?;
        answer(&Ciphertexts { ciphertexts })
    })
    .await
}

/// `POST …/decrypt-secrets`: the texts in envelopes of this environment. Those of others are refused.
pub(super) async fn decrypt(
    State(app): AppState,
    entered: Entered,
    request: Request,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Open).await?;
    let Ciphertexts { ciphertexts } = body::large_json(request).await?;
    app.evaluating(move |app| {
        let id = app.store.environment(&entered.environment)?.id;
        let open = |(index, text): (usize, &String)| {
            let refused = |reason| ApiError::bad_request(format!("ciphertexts[{index}]: {reason}"));
            app.vault.open_text(id, text).map_err(refused)
        };
        let opened: Vec<_> = ciphertexts.iter().enumerate().map(open).collect::<Result<_, _>>()?;
        // Only texts are sealed.
        let plaintexts = opened.iter().filter_map(Secret::expose_str).collect();
        answer(&Opened { plaintexts })
    })
    .await
}
