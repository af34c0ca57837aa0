//! A `ServiceAccount`'s identity: the token that a pod of it would have, what it says, and whether ESC takes it. The
//! token itself is shown to ESC and to nobody else.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Api, Check, Refusal, Settings, chain, list, namespace, replicas, text, unasked};
use crate::{
    client::{AccessError, Budget, Cause, Client, Credentials, Repeat},
    codes::access as codes,
    esc::token_type::TokenType,
    inject::{Policy, keys::PREFIX, policy::AuthMode},
    secret::Secret,
};

/// How long ESC may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The shortest lifetime that the API server gives, in seconds.
const LIFETIME: u64 = 600;

/// What a token says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claims {
    issuer: String,
    subject: String,
    audience: String,
}

/// Tries the identity, if one was named.
pub async fn check(
    api: &Api,
    settings: &Settings,
    namespace: &str,
    object: &Result<Value, Refusal>,
    (policy, arguments): (&Policy, &[String]),
) -> Vec<Check> {
    let Some(account) = &settings.account else {
        return vec![Check::unknown("identity", "not checked: name a ServiceAccount with --service-account")];
    };
    let subject = format!("ServiceAccount {namespace}/{account}");
    let defaults = object.as_ref().map(namespace::annotations).unwrap_or_default();
    let said = |key: &str| defaults.get(&format!("{PREFIX}{key}")).cloned();
    if policy.auth == AuthMode::Token || said("access-token-secret").is_some() {
        return vec![Check::unknown(
            subject,
            "not checked: pods here show a static token, not their identity",
        )];
    }
    let of_environment = || Some(said("environment")?.trim().split('/').next()?.to_owned());
    let Some(organization) = settings.organization.clone().or_else(of_environment) else {
        let why =
            "not checked: the namespace names no environment; name the organization with --organization";
        return vec![Check::unknown(subject, why)];
    };
    let audience = said("service-account-audience")
        .or_else(|| policy.audience.clone())
        .unwrap_or_else(|| format!("urn:pulumi:org:{organization}"));
    let question = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [audience], "expirationSeconds": LIFETIME},
    });
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
    let token = match api.post(&path, &question).await {
        Ok(answer) => text(&answer, "/status/token").map(Secret::from),
        Err(Refusal::Absent) => {
            let check = Check::bad(&subject, "does not exist", codes::TOKEN_FILE);
            return vec![check.fix("Correct --service-account, or create it.")];
        }
        Err(refusal) => return vec![unasked(&subject, &refusal)],
    };
    let Some((token, claims)) =
        token.and_then(|token| Some((claims(token.expose_str()?)?, token))).map(|(c, t)| (t, c))
    else {
        return vec![Check::unknown(subject, "not checked: the API server's answer holds no token")];
    };
    let Claims { issuer, subject: name, audience } = &claims;
    let mut checks =
        vec![Check::good(&subject, format!("its token says iss {issuer}, sub {name}, aud {audience}"))];
    let token_type = said("token-type").and_then(|text| text.parse().ok());
    let token_type = token_type.unwrap_or_else(|| policy.token_type.clone());
    let ca = match policy.ca_pem.clone() {
        None if replicas::flag(arguments, "ca-file").is_some() => {
            match api.get(&replicas::config_map(settings)).await {
                Ok(map) => replicas::certificates(&map),
                Err(refusal) => {
                    checks.push(unasked("ESC's certificate authority", &refusal));
                    None
                }
            }
        }
        known => known,
    };
    let url = said("api-url")
        .map_or_else(|| policy.api_url.clone(), |url| url.trim_end_matches("/api/esc").to_owned());
    let settings = crate::client::Settings {
        url: url.clone(),
        ca,
        https_proxy: policy.https_proxy.clone(),
        no_proxy: policy.no_proxy.clone(),
        opens: Repeat::WithCare,
    };
    let result = exchange(&settings, &organization, token_type.clone(), token).await;
    checks.extend(judge(result, &url, &organization, &token_type, &claims));
    checks
}

/// Shows the token to ESC. What it gives for it is thrown away.
async fn exchange(
    settings: &crate::client::Settings,
    organization: &str,
    token_type: TokenType,
    token: Secret,
) -> Result<(), AccessError> {
    let mut client = Client::new(settings, Credentials::Held { token_type, token })?;
    client.sign_in(organization, &Budget::once(PATIENCE)).await
}

fn judge(
    result: Result<(), AccessError>,
    url: &str,
    organization: &str,
    token_type: &TokenType,
    claims: &Claims,
) -> Vec<Check> {
    let reached = format!("ESC at {url}");
    const SUBJECT: &str = "exchange";
    match result {
        Ok(()) => vec![
            Check::good(reached, "answers"),
            Check::good(
                SUBJECT,
                format!("ESC takes the identity for organization {organization} ({token_type})"),
            ),
        ],
        Err(error) if matches!(error.cause, Cause::ExchangeRefused { .. }) => {
            let Claims { issuer, subject, audience } = claims;
            let fix = format!(
                "In Pulumi's organization {organization}, under OIDC issuers: register issuer {issuer} (with its keys, if it can't be reached from the internet), and give it a policy that allows token type {token_type} for aud {audience} and sub {subject}."
            );
            vec![
                Check::good(reached, "answers"),
                Check::bad(SUBJECT, chain(&error), codes::EXCHANGE_REFUSED).fix(fix),
            ]
        }
        Err(error) => {
            let code = error.code();
            let unknown = Check::unknown(SUBJECT, "not checked: ESC was not reached");
            vec![Check::bad(reached, chain(&error), code), unknown]
        }
    }
}

/// What a token says of itself; nobody vouches for it here.
fn claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let audience = match payload.get("aud")? {
        Value::String(one) => one.clone(),
        _ => list(&payload, "/aud").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
    };
    Some(Claims {
        issuer: text(&payload, "/iss")?.to_owned(),
        subject: text(&payload, "/sub")?.to_owned(),
        audience,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::Action, doctor::Verdict};

    #[test]
    fn claims_are_read_and_nothing_else_is() {
        let token = |payload: Value| format!("x.{}.y", URL_SAFE_NO_PAD.encode(payload.to_string()));
        let expected =
            Claims { issuer: "i".to_owned(), subject: "s".to_owned(), audience: "a, b".to_owned() };
        assert_eq!(claims(&token(json!({"iss": "i", "sub": "s", "aud": ["a", "b"]}))), Some(expected));
        for broken in ["", "a.b", "a.%.c", &token(json!({})), &token(json!([]))] {
            assert_eq!(claims(broken), None);
        }
    }

    #[test]
    fn a_refusal_says_what_pulumi_has_to_allow() {
        let error =
            |cause| AccessError { action: Action::Exchange { organization: "acme".to_owned() }, cause };
        let claims = Claims {
            issuer: "https://issuer".to_owned(),
            subject: "sub".to_owned(),
            audience: "aud".to_owned(),
        };
        let judge = |result| judge(result, "https://esc", "acme", &TokenType::default(), &claims);
        let refused = judge(Err(error(Cause::ExchangeRefused { status: 401 })));
        assert_eq!((refused[0].verdict, refused[1].verdict), (Verdict::Good, Verdict::Bad));
        for part in ["https://issuer", "sub", "aud", "acme"] {
            assert!(refused[1].fix.contains(part), "{}", refused[1].fix);
        }
        let cause = Cause::Unreachable { why: "gone".to_owned(), attempts: 1, refused: true };
        let silent = judge(Err(error(cause)));
        assert_eq!((silent[0].verdict, silent[1].verdict), (Verdict::Bad, Verdict::Unknown));
        assert!(judge(Ok(())).iter().all(|check| check.verdict == Verdict::Good));
    }
}
