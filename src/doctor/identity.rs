//! A `ServiceAccount`'s identity: the token that a pod of it would have, what it says, and whether ESC takes it. The
//! token itself is shown to ESC and to nobody else.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Api, Check, Refusal, Settings, list, namespace, text, unasked};
use crate::{
    agent::plan::{self, Auth, Plan},
    client::{AccessError, Budget, Cause, Client, Credentials, Repeat},
    codes::access as codes,
    esc::token_type::TokenType,
    inject::{
        self, Context, Outcome, Policy,
        keys::{Key, PREFIX},
    },
    kubeconfig::describe,
    secret::Secret,
};

/// What the exchange is called.
const SUBJECT: &str = "exchange";

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

/// What a pod of the namespace would show, and to whom.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    api: plan::Api,
    organization: String,
    token_type: TokenType,
    audience: String,
}

/// Tries the identity, if one was named.
pub async fn check(
    api: &Api,
    settings: &Settings,
    object: &Result<Value, Refusal>,
    policy: Option<&Policy>,
) -> Vec<Check> {
    let (Some(namespace), Some(account)) = (&settings.namespace, &settings.account) else {
        return vec![Check::unknown("identity", "not checked: name a ServiceAccount with --service-account")];
    };
    let subject = format!("ServiceAccount {namespace}/{account}");
    let asked = match (object, policy) {
        (Ok(object), Some(policy)) => asked(object, settings, policy),
        // A token is shown to nobody but the ESC that pods show theirs to.
        _ => Err("what pods of the namespace would show to whom is not known".to_owned()),
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(why) => return vec![Check::unknown(subject, format!("not checked: {why}"))],
    };
    let question = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [asked.audience], "expirationSeconds": LIFETIME},
    });
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
    let answer = match api.post(&path, &question).await {
        Ok(answer) => answer,
        Err(Refusal::Absent) => {
            let check = Check::bad(&subject, "does not exist", codes::TOKEN_FILE);
            return vec![check.fix("Correct --service-account, or create it.")];
        }
        Err(refusal) => return vec![unasked(&subject, &refusal)],
    };
    let token = text(&answer, "/status/token");
    let (Some(token), Some(claims)) = (token.map(Secret::from), token.and_then(claims)) else {
        return vec![Check::unknown(subject, "not checked: the API server's answer holds no token")];
    };
    let Claims { issuer, subject: name, audience } = &claims;
    let mut checks =
        vec![Check::good(&subject, format!("its token says iss {issuer}, sub {name}, aud {audience}"))];
    let result = exchange(&asked, token).await;
    checks.extend(judge(result, &asked, &claims));
    checks
}

/// What the webhook would have a pod of the namespace show, by its own rules: a namespace can't choose an address or
/// an audience that the operator does not allow.
fn asked(object: &Value, settings: &Settings, policy: &Policy) -> Result<Asked, String> {
    let annotations = namespace::annotations(object);
    let mut asks = BTreeMap::from([(format!("{PREFIX}{}", Key::Inject), "true".to_owned())]);
    let environment = format!("{PREFIX}{}", Key::Environment);
    match &settings.organization {
        Some(organization) => {
            asks.insert(environment, format!("{organization}/doctor/doctor"));
        }
        None if !annotations.contains_key(&environment) && !policy.defaults.contains_key("environment") => {
            return Err(
                "the namespace names no environment; name the organization with --organization".to_owned()
            );
        }
        None => {}
    }
    let mut pod = json!({
        "metadata": {"name": "doctor", "annotations": asks},
        "spec": {
            "serviceAccountName": settings.account,
            "containers": [{"name": "doctor", "image": "doctor.invalid/doctor", "command": ["/doctor"]}],
        },
    });
    let context = Context {
        namespace: settings.namespace.as_deref().unwrap_or_default(),
        // A made-up environment is on no list of allowed ones.
        namespace_annotations: Some(&without_list(annotations)),
        everyone: false,
        api_server: None,
        policy,
    };
    match inject::inject(&pod, &context) {
        Outcome::Injected { patch, .. } => json_patch::patch(&mut pod, &json_patch::Patch::from(patch))
            .map_err(|error| format!("the patch of a made-up pod does not apply: {error}"))?,
        Outcome::Refused(problems) => {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            return Err(format!("a pod of this namespace would be refused: {first}"));
        }
        Outcome::Skipped { .. } => return Err("pods of this namespace are never injected".to_owned()),
    }
    read_plan(&pod).ok_or_else(|| "a made-up pod has no plan".to_owned())?
}

fn without_list(mut annotations: BTreeMap<String, String>) -> BTreeMap<String, String> {
    annotations.remove(&format!("{PREFIX}{}", Key::AllowedEnvironments));
    annotations
}

/// What the agent of an injected pod would show; the inner error says that it is a static token.
fn read_plan(pod: &Value) -> Option<Result<Asked, String>> {
    let variables = list(pod, "/spec/initContainers").iter().flat_map(|container| list(container, "/env"));
    let mut variables = variables.filter(|variable| text(variable, "/name") == Some(plan::VARIABLE));
    let plan: Plan = serde_json::from_str(text(variables.next()?, "/value")?).ok()?;
    let Auth::Exchange { token_type, tokens } = plan.auth else {
        return Some(Err("pods here show a static token, not their identity".to_owned()));
    };
    let token = tokens.into_iter().next()?;
    let file = token.token_file.rsplit('/').next()?;
    let mut sources = list(pod, "/spec/volumes").iter().flat_map(|volume| list(volume, "/projected/sources"));
    let source = sources.find(|source| text(source, "/serviceAccountToken/path") == Some(file))?;
    let audience = text(source, "/serviceAccountToken/audience")?.to_owned();
    Some(Ok(Asked { api: plan.api, organization: token.organization, token_type, audience }))
}

/// Shows the token to ESC. What it gives for it is thrown away.
async fn exchange(asked: &Asked, token: Secret) -> Result<(), AccessError> {
    let settings = crate::client::Settings {
        url: asked.api.url.clone(),
        ca: asked.api.ca.clone(),
        https_proxy: asked.api.https_proxy.clone(),
        no_proxy: asked.api.no_proxy.clone(),
        opens: Repeat::WithCare,
    };
    let credentials = Credentials::Held { token_type: asked.token_type.clone(), token };
    let mut client = Client::new(&settings, credentials)?;
    client.sign_in(&asked.organization, &Budget::once(PATIENCE)).await
}

fn judge(result: Result<(), AccessError>, asked: &Asked, claims: &Claims) -> Vec<Check> {
    let Asked { api, organization, token_type, .. } = asked;
    let reached = format!("ESC at {}", api.url);
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
                Check::bad(SUBJECT, describe(&error), codes::EXCHANGE_REFUSED).fix(fix),
            ]
        }
        Err(error) => {
            let code = error.code();
            let unknown = Check::unknown(SUBJECT, "not checked: ESC was not reached");
            vec![Check::bad(reached, describe(&error), code), unknown]
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
        let error = |cause| AccessError {
            action: Action::Exchange { organization: "acme".to_owned() },
            esc: "https://api.pulumi.com".to_owned(),
            cause,
        };
        let claims = Claims {
            issuer: "https://issuer".to_owned(),
            subject: "sub".to_owned(),
            audience: "aud".to_owned(),
        };
        let api = plan::Api { url: "https://esc".to_owned(), ca: None, https_proxy: None, no_proxy: None };
        let (organization, audience) = ("acme".to_owned(), "aud".to_owned());
        let asked = Asked { api, organization, token_type: TokenType::default(), audience };
        let judge = |result| judge(result, &asked, &claims);
        let refused = judge(Err(error(Cause::ExchangeRefused { status: 401, identity: None })));
        assert_eq!((refused[0].verdict, refused[1].verdict), (Verdict::Good, Verdict::Bad));
        for part in ["https://issuer", "sub", "aud", "acme"] {
            assert!(refused[1].fix.contains(part), "{}", refused[1].fix);
        }
        let cause = Cause::Unreachable { why: "gone".to_owned(), attempts: 1, refused: true };
        let silent = judge(Err(error(cause)));
        assert_eq!((silent[0].verdict, silent[1].verdict), (Verdict::Bad, Verdict::Unknown));
        assert!(judge(Ok(())).iter().all(|check| check.verdict == Verdict::Good));
    }

    #[test]
    fn a_token_is_asked_for_as_the_webhook_would_have_it_and_for_nobody_else() {
        let settings = |organization: Option<&str>| Settings {
            name: String::new(),
            home: String::new(),
            namespace: Some("shop".to_owned()),
            account: Some("web".to_owned()),
            organization: organization.map(str::to_owned),
            is_inside: false,
            address: None,
            policy: |_| Err(String::new()),
        };
        let policy = Policy { api_url: "https://esc.example.com".to_owned(), ..Policy::default() };
        let judge = |annotations: &[(&str, &str)], organization| {
            let annotations: serde_json::Map<_, _> =
                annotations.iter().map(|(key, value)| (format!("{PREFIX}{key}"), json!(value))).collect();
            asked(&json!({"metadata": {"annotations": annotations}}), &settings(organization), &policy)
                .map(|asked| (asked.api.url, asked.organization, asked.audience))
        };
        let expected = |organization: &str| {
            let audience = format!("urn:pulumi:org:{organization}");
            Ok(("https://esc.example.com".to_owned(), organization.to_owned(), audience))
        };
        let environment = ("environment", "acme/shop/prod");
        assert_eq!(judge(&[environment], None), expected("acme"));
        assert_eq!(
            judge(&[environment, ("allowed-environments", "acme/*/*")], Some("other")),
            expected("other")
        );
        for (annotations, part) in [
            (&[][..], "--organization"),
            (&[environment, ("access-token-secret", "t")], "static token"),
            (&[environment, ("api-url", "https://thief.example.com")], "refused: [ESC"),
            (&[environment, ("service-account-audience", "https://kubernetes.default.svc")], "refused: [ESC"),
        ] {
            let why = judge(annotations, None).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
