//! Identity tokens for access tokens.

use esc_injector::server::Storage;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Files, TOKEN, TestServer},
    issuer::{Signer, URL, ed25519, encode, trusting, unsigned, write_keys},
};

const FILES: Files<'static> = &[("acme/p/e.yaml", "values: {a: 1}"), ("other/p/e.yaml", "values: {a: 2}")];
const SUBJECT: &str = "system:serviceaccount:shop:api";
const ORGANIZATION: &str = "urn:pulumi:token-type:access_token:organization";

struct Exchange {
    server: TestServer,
    signer: Signer,
}

impl Exchange {
    fn start() -> Self {
        let signer = Signer::new("k1");
        let server = TestServer::start_with_issuer(FILES, |directory| {
            trusting(directory, "system:serviceaccount:shop:*", &signer)
        });
        Self { server, signer }
    }

    fn claims(&self) -> Value {
        let now = self.server.now();
        json!({
            "iss": URL, "sub": SUBJECT, "aud": ["urn:pulumi:org:acme"],
            "iat": now, "nbf": now, "exp": now + 600,
        })
    }

    /// The claims with some of them replaced, or removed by null.
    fn claims_but(&self, changes: &Value) -> Value {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }

    fn exchange(&self, token: &str) -> Answer {
        self.exchange_fields(&fields(token))
    }

    fn exchange_fields(&self, fields: &Value) -> Answer {
        let headers = [("Content-Type", "application/json")];
        self.server.request("POST", "/api/oauth/token", &headers, fields.to_string().as_bytes())
    }
}

fn access_token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn fields(token: &str) -> Value {
    json!({
        "audience": "urn:pulumi:org:acme",
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "requested_token_type": ORGANIZATION,
        "subject_token": token,
        "scope": "",
    })
}

const OPEN: &str = "/api/esc/environments/acme/p/e/open";

#[test]
fn a_workload_signs_in_opens_and_reads() {
    let exchange = Exchange::start();
    let answer = exchange.exchange(&exchange.signer.sign(&exchange.claims()));
    let json = answer.json();
    assert_eq!(json["issued_token_type"], ORGANIZATION);
    assert_eq!(
        (&json["token_type"], &json["expires_in"], &json["scope"]),
        (&json!("token"), &json!(7200), &json!(""))
    );
    let token = access_token(&answer);
    let opened = exchange.server.send_as(&token, "POST", OPEN);
    let id = opened.json()["id"].as_str().unwrap().to_owned();
    let read = exchange.server.send_as(&token, "GET", &format!("{OPEN}/{id}"));
    assert_eq!(read.json()["properties"]["a"]["value"], 1);
    // Another identity has other sessions.
    exchange.server.send("GET", &format!("{OPEN}/{id}")).error(404);
    // The same identity with a new token has the same.
    let again = access_token(&exchange.exchange(&exchange.signer.sign(&exchange.claims())));
    assert_eq!(exchange.server.send_as(&again, "GET", &format!("{OPEN}/{id}")).status, 200);
}

#[test]
fn an_exchanged_token_covers_one_organization_and_expires() {
    let exchange = Exchange::start();
    let mut fields = fields(&exchange.signer.sign(&exchange.claims()));
    fields["expiration"] = json!(600);
    let answer = exchange.exchange_fields(&fields);
    assert_eq!(answer.json()["expires_in"], 600);
    let token = access_token(&answer);
    let other = exchange.server.send_as(&token, "POST", "/api/esc/environments/other/p/e/open");
    assert!(other.error(403).contains("does not cover organization `other`"));
    let user = exchange.server.send_as(&token, "GET", "/api/user").json();
    assert_eq!(user["tokenInfo"], json!({"name": SUBJECT, "organization": "acme"}));
    assert_eq!(user["organizations"][0]["githubLogin"], "acme");
    exchange.server.advance(599);
    assert_eq!(exchange.server.send_as(&token, "POST", OPEN).status, 200);
    exchange.server.advance(1);
    assert!(exchange.server.send_as(&token, "POST", OPEN).error(401).contains("expired"));
}

#[test]
fn accepts_forms_as_the_command_line_sends_them() {
    let exchange = Exchange::start();
    let token = exchange.signer.sign(&exchange.claims());
    let body = format!(
        "audience=urn%3Apulumi%3Aorg%3Aacme&expiration=7200&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
         &requested_token_type=urn%3Apulumi%3Atoken-type%3Aaccess_token%3Aorganization&scope=&subject_token={token}\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token"
    );
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = exchange.server.request("POST", "/api/oauth/token", &headers, body.as_bytes());
    access_token(&answer);
}

#[test]
fn accepts_tokens_that_are_good() {
    let exchange = Exchange::start();
    let now = exchange.server.now();
    for changes in [
        json!({}),
        json!({"aud": "urn:pulumi:org:acme"}),
        json!({"aud": ["x", "urn:pulumi:org:acme"]}),
        json!({"aud": ["https://esc.test"]}),
        json!({"sub": "system:serviceaccount:shop:"}),
        json!({"nbf": null, "iat": null}),
        // Clocks differ a little.
        json!({"nbf": now + 20}),
        json!({"exp": now - 20}),
        json!({"kubernetes.io": {"namespace": "shop"}}),
    ] {
        let token = exchange.signer.sign(&exchange.claims_but(&changes));
        assert_eq!(exchange.exchange(&token).status, 200, "{changes}");
    }
    let unnamed = exchange.signer.sign_with(&json!({"alg": "ES256"}), &exchange.claims());
    assert_eq!(exchange.exchange(&unnamed).status, 200);
}

#[test]
fn refuses_claims_that_do_not_fit() {
    let exchange = Exchange::start();
    let now = exchange.server.now();
    for (changes, status, message) in [
        (json!({"iss": "https://other.test"}), 401, "issuer is not `https://issuer.test`"),
        (json!({"iss": "https://issuer.test/"}), 401, "issuer is not `https://issuer.test`"),
        (json!({"aud": ["urn:pulumi:org:other"]}), 401, "audience is not `urn:pulumi:org:acme`"),
        (json!({"aud": []}), 401, "audience is not"),
        (json!({"aud": "urn:pulumi:org:acme2"}), 401, "audience is not"),
        (
            json!({"sub": "system:serviceaccount:shop2:api"}),
            403,
            "does not match `system:serviceaccount:shop:*`",
        ),
        (json!({"exp": now - 600}), 401, "has expired"),
        (json!({"nbf": now + 600}), 401, "is not valid yet"),
        (json!({"exp": (now + 600).to_string()}), 400, "not the JSON of an identity token"),
        (json!({"exp": -1}), 400, "not the JSON"),
        (json!({"exp": 1.5}), 400, "not the JSON"),
        (json!({"nbf": "soon"}), 400, "not the JSON"),
        (json!({"aud": {"a": 1}}), 400, "not the JSON"),
        (json!({"exp": null}), 400, "not the JSON"),
        (json!({"sub": null}), 400, "not the JSON"),
        (json!({"iss": null}), 400, "not the JSON"),
        (json!({"aud": null}), 400, "not the JSON"),
    ] {
        let token = exchange.signer.sign(&exchange.claims_but(&changes));
        let answer = exchange.exchange(&token);
        let text = answer.error(status);
        assert!(text.contains(message), "{changes}: {text}");
        assert!(!answer.body.contains(&token), "{changes}");
    }
}

#[test]
fn refuses_signatures_that_do_not_count() {
    let exchange = Exchange::start();
    let claims = exchange.claims();
    let good = exchange.signer.sign(&claims);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let stranger = Signer::new("k1");
    let unknown = Signer::new("k2");
    let none = |algorithm: &str| format!("{}.", unsigned(&json!({"alg": algorithm, "kid": "k1"}), &claims));
    let claimed = |header: Value| exchange.signer.sign_with(&header, &claims);
    let swapped = {
        let payload = encode(
            exchange.claims_but(&json!({"sub": "system:serviceaccount:shop:admin"})).to_string().as_bytes(),
        );
        let header = signed.split_once('.').unwrap().0;
        format!("{header}.{payload}.{signature}")
    };
    for (what, token, status) in [
        ("another key of the same name", stranger.sign(&claims), 401),
        ("a key that is not in the set", unknown.sign(&claims), 401),
        ("alg none", none("none"), 401),
        ("alg None", none("None"), 401),
        ("HMAC with the public key", exchange.signer.confuse(&claims), 401),
        ("another algorithm than the key's", claimed(json!({"alg": "RS256", "kid": "k1"})), 401),
        ("an unknown key id", claimed(json!({"alg": "ES256", "kid": "nope"})), 401),
        ("critical extensions", claimed(json!({"alg": "ES256", "kid": "k1", "crit": ["exp"]})), 400),
        ("no signature", format!("{signed}."), 401),
        ("two parts", signed.to_owned(), 400),
        ("claims of another", swapped, 401),
        ("padding", format!("{good}="), 400),
        ("not a token", "x".to_owned(), 400),
    ] {
        let answer = exchange.exchange(&token);
        answer.error(status);
        assert!(!answer.body.contains("access_token"), "{what}");
    }
}

#[test]
fn verifies_every_algorithm_that_issuers_use() {
    let exchange = Exchange::start();
    let (ed25519_key, ed25519_token) = ed25519(&exchange.claims());
    let rsa: Value = serde_json::from_str(include_str!("fixtures/rs256.jwks.json")).unwrap();
    let keys = [exchange.signer.jwk(), ed25519_key, rsa["keys"][0].clone()];
    write_keys(exchange.server.directory.path(), &keys);
    let es256_token = exchange.signer.sign(&exchange.claims());
    for token in [es256_token.as_str(), ed25519_token.as_str(), include_str!("fixtures/rs256.jwt")] {
        assert_eq!(exchange.exchange(token).status, 200);
    }
}

#[test]
fn keys_can_be_rotated_while_it_runs() {
    let exchange = Exchange::start();
    let next = Signer::new("k2");
    let directory = exchange.server.directory.path();
    let (old, new) = (exchange.signer.sign(&exchange.claims()), next.sign(&exchange.claims()));
    exchange.exchange(&new).error(401);
    write_keys(directory, &[exchange.signer.jwk(), next.jwk()]);
    assert_eq!((exchange.exchange(&old).status, exchange.exchange(&new).status), (200, 200));
    write_keys(directory, &[next.jwk()]);
    exchange.exchange(&old).error(401);
    // A broken key set is ours to mend.
    crate::harness::write(directory, "jwks.json", "{");
    exchange.exchange(&new).error(500);
}

#[test]
fn refuses_requests_that_are_not_an_exchange() {
    let exchange = Exchange::start();
    let token = exchange.signer.sign(&exchange.claims());
    for (field, value, message) in [
        ("audience", json!("acme"), "`audience` must be"),
        ("audience", json!("urn:pulumi:org:"), "`audience` must be"),
        ("grant_type", json!("refresh_token"), "`grant_type` must be"),
        ("subject_token_type", json!("x"), "`subject_token_type` must be"),
        ("subject_token", json!(""), "`subject_token` is missing"),
        (
            "requested_token_type",
            json!("urn:pulumi:token-type:access_token:runner"),
            "`requested_token_type` must be",
        ),
        ("requested_token_type", json!(""), "`requested_token_type` must be"),
        ("scope", json!("team:x"), "`scope` must be"),
        ("expiration", json!("soon"), "`expiration` must be"),
        ("expiration", json!(0), "`expiration` must be"),
        ("expiration", json!(-1), "`expiration` must be"),
    ] {
        let mut fields = fields(&token);
        fields[field] = value;
        let text = exchange.exchange_fields(&fields).error(400);
        assert!(text.contains(message), "{field}: {text}");
    }
    let headers = [("Content-Type", "application/json")];
    exchange.server.request("POST", "/api/oauth/token", &headers, b"[]").error(400);
    exchange.server.request("POST", "/api/oauth/token", &[], b"").error(400);
}

#[test]
fn an_organization_that_does_not_exist_gives_no_token() {
    let exchange = Exchange::start();
    let mut fields =
        fields(&exchange.signer.sign(&exchange.claims_but(&json!({"aud": "urn:pulumi:org:none"}))));
    fields["audience"] = json!("urn:pulumi:org:none");
    exchange.exchange_fields(&fields).error(404);
}

#[test]
fn organizations_that_a_stranger_makes_up_share_a_line() {
    let signer = Signer::new("k1");
    let log = tempfile::tempdir().unwrap();
    let path = log.path().join("audit.jsonl");
    let server = TestServer::start_with(FILES, |config| {
        let Storage::Files(directory) = &config.storage else { unreachable!() };
        config.issuers = vec![trusting(directory, "system:serviceaccount:shop:*", &signer)];
        config.audit = Some(path.clone());
    });
    let exchange = |organization: &str| {
        let mut fields = fields("no.token");
        fields["audience"] = json!(format!("urn:pulumi:org:{organization}"));
        let headers = [("Content-Type", "application/json")];
        let answer = server.request("POST", "/api/oauth/token", &headers, fields.to_string().as_bytes());
        answer.error(400);
    };
    for number in 0..200 {
        exchange(&format!("none{number}"));
    }
    exchange("acme");
    exchange("other");
    let lines = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let targets: Vec<_> = lines.iter().map(|line| &line["target"]).collect();
    assert_eq!(targets, [&Value::Null, &json!("acme"), &json!("other")], "{lines:?}");
    assert_eq!(lines[0]["detail"], "there is no organization `none0`");
    assert!(lines.iter().all(|line| line["from"] == "127.0.0.1"), "{lines:?}");
}

#[test]
fn teams_and_users_are_recorded() {
    let exchange = Exchange::start();
    for (kind, scope, login, team) in [
        ("team", "team:payments", "acme", json!("payments")),
        ("personal", "user:jo", "jo", Value::Null),
        ("organization", "admin", "acme", Value::Null),
    ] {
        let mut fields = fields(&exchange.signer.sign(&exchange.claims()));
        fields["requested_token_type"] = json!(format!("urn:pulumi:token-type:access_token:{kind}"));
        fields["scope"] = json!(scope);
        fields["expiration"] = json!("999999");
        let answer = exchange.exchange_fields(&fields);
        assert_eq!(answer.json()["expires_in"], 25 * 3600);
        let user = exchange.server.send_as(&access_token(&answer), "GET", "/api/user").json();
        assert_eq!(user["githubLogin"], login);
        assert_eq!(user["tokenInfo"].get("team").cloned().unwrap_or_default(), team);
    }
}

#[test]
fn an_exchange_opens_what_is_kept_and_changes_nothing() {
    let signer = Signer::new("k1");
    let directory = tempfile::tempdir().unwrap();
    let issuer = trusting(directory.path(), "*", &signer);
    let server = TestServer::start_with(&[], |config| {
        config.storage = Storage::Memory { import: None };
        config.organizations = vec!["acme".to_owned()];
        config.issuers = vec![issuer];
    });
    let exchange = Exchange { server, signer };
    let send = |token: &str, method: &str, path: &str, body: &str| {
        let headers = [("Authorization", format!("token {token}"))];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        exchange.server.request(method, path, &headers, body.as_bytes()).status
    };
    let environment = "/api/esc/environments/acme/p/e";
    let make = r#"{"project":"p","name":"e"}"#;
    assert_eq!(send(TOKEN, "POST", "/api/esc/environments/acme", make), 200);
    for (kind, scope, expected) in [
        ("organization", "", [200, 403, 403]),
        ("personal", "user:jo", [200, 403, 403]),
        ("team", "team:payments", [404, 404, 403]),
    ] {
        let mut fields = fields(&exchange.signer.sign(&exchange.claims()));
        fields["requested_token_type"] = json!(format!("urn:pulumi:token-type:access_token:{kind}"));
        fields["scope"] = json!(scope);
        let token = access_token(&exchange.exchange_fields(&fields));
        let found = [
            send(&token, "POST", &format!("{environment}/open"), ""),
            send(&token, "PATCH", environment, "values: {a: 1}"),
            send(&token, "POST", "/api/esc/environments/acme", r#"{"name":"x"}"#),
        ];
        assert_eq!(found, expected, "{kind}");
    }
    let mut fields = fields(&exchange.signer.sign(&exchange.claims()));
    fields["scope"] = json!("admin");
    assert!(exchange.exchange_fields(&fields).error(403).contains("no tokens with the scope `admin`"));
}

#[test]
fn a_server_without_an_issuer_exchanges_nothing() {
    let server = TestServer::start(FILES);
    let headers = [("Content-Type", "application/json")];
    let body = fields("x").to_string();
    let answer = server.request("POST", "/api/oauth/token", &headers, body.as_bytes());
    assert!(answer.error(400).contains("exchanges no tokens"));
}
