//! Services of the users': how they are asked, how they know who asks, and what they can't do.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use esc_injector::{
    esc::pattern::Pattern,
    server::{Config, Storage},
};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Value, json};

use crate::{
    harness::{Answer, TOKEN, TestServer},
    https::{Asked, Https},
};

const PATH: &str = "/api/esc/environments/acme/p/e";

/// A server that may call this service.
fn server(service: &Https, change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start_with(&[], |config| {
        config.organizations = vec!["acme".to_owned()];
        config.external.hosts = vec![Pattern::new("localhost")];
        config.external.authorities = Some(service.authority.clone());
        config.storage = Storage::Memory { import: None };
        change(config);
    })
}

fn send(server: &TestServer, method: &str, path: &str, body: &str) -> Answer {
    let authorization = format!("token {TOKEN}");
    server.request(method, path, &[("Authorization", &authorization)], body.as_bytes())
}

fn keep(server: &TestServer, name: &str, definition: &str) {
    let body = json!({"project": "p", "name": name}).to_string();
    send(server, "POST", "/api/esc/environments/acme", &body);
    let kept = send(server, "PATCH", &format!("/api/esc/environments/acme/p/{name}"), definition);
    assert_eq!(kept.status, 200, "{}", kept.body);
}

/// The claims of a token, which the server's own key set verifies, and the algorithm.
fn verified(server: &TestServer, token: &str) -> (Value, String) {
    let discovery = server.request("GET", "/.well-known/openid-configuration", &[], b"").json();
    assert!(discovery["jwks_uri"].as_str().unwrap().ends_with("/.well-known/jwks.json"));
    let keys = server.request("GET", "/.well-known/jwks.json", &[], b"").json();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let json = |text: &str| serde_json::from_slice::<Value>(&decode(text)).unwrap();
    let header = json(header);
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    assert_eq!((&key["alg"], key.as_object().unwrap().contains_key("d")), (&header["alg"], false));
    let part = |name: &str| decode(key[name].as_str().unwrap());
    match key["alg"].as_str().unwrap() {
        "RS256" => RsaPublicKeyComponents { n: part("n"), e: part("e") }
            .verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decode(signature))
            .unwrap(),
        _ => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [vec![4], part("x"), part("y")].concat())
            .verify(signed.as_bytes(), &decode(signature))
            .unwrap(),
    }
    let claims = json(claims);
    assert_eq!(claims["iss"], discovery["issuer"]);
    (claims, header["alg"].as_str().unwrap().to_owned())
}

fn body_hash(asked: &Asked) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, &asked.body);
    format!("sha256-{}", STANDARD.encode(hash.as_ref()))
}

fn echo(asked: &Asked) -> (u16, String, String) {
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    (
        200,
        String::new(),
        json!({"echo": body, "n": 12_345_678_901_234_567_890_u64, "l": [true, null]}).to_string(),
    )
}

fn rsa_key(directory: &Path) -> std::path::PathBuf {
    let der = include_str!("fixtures/rsa-key.der.b64");
    let path = directory.join("signing.pem");
    // Put together here, so that nobody takes the fixture for a key that opens something.
    let label = ["PRIVATE", "KEY"].join(" ");
    fs::write(&path, format!("-----BEGIN {label}-----\n{der}-----END {label}-----\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn a_service_is_asked_and_can_verify_who_asks() {
    let service = Https::start(echo);
    let keys = tempfile::tempdir().unwrap();
    for rsa in [false, true] {
        let key = rsa.then(|| rsa_key(keys.path()));
        let server = server(&service, |config| {
            config.external.signing_key = key;
            config.external.url = rsa.then(|| "https://esc.test/".to_owned());
        });
        let url = service.url("/fetch?x=1");
        keep(
            &server,
            "base",
            &format!("values: {{inner: {{fn::open::external: {{url: '{url}', secret: false}}}}}}"),
        );
        keep(
            &server,
            "e",
            &format!(
                "imports: [p/base]\nvalues:\n  mine:\n    fn::open::external:\n      url: {url}\n      request: {{name: {{fn::secret: c4n4ry}}, n: 1.50}}\n"
            ),
        );
        let before = service.asked().len();
        let values = server.values("acme/p/e");
        assert_eq!(values["mine"]["response"]["echo"], json!({"name": "c4n4ry", "n": 1.5}));
        assert_eq!(values["inner"]["response"]["echo"], json!({}));
        assert_eq!(values["mine"]["response"]["n"].to_string(), "12345678901234567890");
        let session = server.open("acme/p/e");
        let secret = |path: &str| {
            server.read("acme/p/e", &format!("{session}?property={path}")).json()["secret"].clone()
        };
        assert_eq!((secret("mine.response.l[0]"), secret("inner.response.l[0]")), (json!(true), Value::Null));

        let asked: Vec<_> = service.asked().into_iter().skip(before).take(2).collect();
        for asked in &asked {
            assert_eq!(
                (asked.line.as_str(), asked.header("content-type")),
                ("POST /fetch?x=1", Some("application/json"))
            );
            let token = asked.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
            let (claims, algorithm) = verified(&server, token);
            assert_eq!(algorithm, if rsa { "RS256" } else { "ES256" });
            let issuer =
                if rsa { "https://esc.test".to_owned() } else { format!("http://{}", server.address) };
            assert_eq!((&claims["iss"], &claims["aud"]), (&json!(issuer), &json!(url)));
            assert_eq!(claims["sub"], "pulumi:environments:org:acme:env:p/e");
            assert_eq!(
                (&claims["org"], &claims["root_env"], &claims["trigger_user"]),
                (&json!("acme"), &json!("acme/p/e"), &json!("dev"))
            );
            assert_eq!(claims["body_hash"], body_hash(asked));
            assert!(claims["exp"].as_u64().unwrap() > server.now() && claims["iat"] == server.now());
        }
        let current: std::collections::BTreeSet<_> = asked
            .iter()
            .map(|asked| {
                verified(&server, asked.header("authorization").unwrap().strip_prefix("Bearer ").unwrap()).0
            })
            .map(|claims| (claims["current_env"].to_string(), claims["jti"].to_string()))
            .collect();
        assert_eq!(current.len(), 2);
        assert!(
            current.iter().any(|(name, _)| name == "\"acme/p/base\"")
                && current.iter().any(|(name, _)| name == "\"acme/p/e\"")
        );
    }
}

#[test]
fn what_a_service_answers_never_shows_in_a_message() {
    const CANARY: &str = "c4n4ry";
    let replies: [(&str, u16, String, String, &str); 7] = [
        ("/500", 500, String::new(), CANARY.to_owned(), "external: the service answers 500"),
        ("/201", 201, String::new(), "{}".to_owned(), "external: the service answers 201"),
        (
            "/redirect",
            302,
            format!("Location: https://localhost/{CANARY}\r\n"),
            String::new(),
            "external: the service answers 302",
        ),
        ("/text", 200, String::new(), CANARY.to_owned(), "external: the answer is no JSON"),
        ("/list", 200, String::new(), format!("[\"{CANARY}\"]"), "external: the answer is no JSON object"),
        (
            "/large",
            200,
            String::new(),
            format!("{{\"a\":\"{CANARY}{}\"}}", "x".repeat(600 << 10)),
            "external: the answer is larger than",
        ),
        (
            "/deep",
            200,
            String::new(),
            format!("{{\"a\":{}1{}}}", "[".repeat(60), "]".repeat(60)),
            "external: the answer nests too deep",
        ),
    ];
    let all = replies.clone();
    let service = Https::start(move |asked| {
        let path = asked.line.strip_prefix("POST ").unwrap();
        let (_, status, head, body, _) = all.iter().find(|reply| reply.0 == path).unwrap().clone();
        (status, head, body)
    });
    let server = server(&service, |_| {});
    for (path, _, _, _, expected) in &replies {
        keep(
            &server,
            "e",
            &format!("values: {{a: {{fn::open::external: {{url: '{}'}}}}}}", service.url(path)),
        );
        let answer = send(&server, "POST", &format!("{PATH}/open"), "");
        answer.error(400);
        let summary = answer.json()["diagnostics"][0]["summary"].as_str().unwrap().to_owned();
        assert!(summary.starts_with(expected) && !answer.body.contains(CANARY), "{path}: {}", answer.body);
    }
    assert_eq!(service.asked().len(), replies.len(), "no redirect is followed, and nothing is asked twice");
}

#[test]
fn only_hosts_that_may_be_called_are_called() {
    let service = Https::start(echo);
    let port = service.address.port();
    let cannot = "external: this server does not call the host in `url`";
    let unresolved = "external: no answer from the service: the host has no address that may be called";
    let plain = "external: `url` must be an https URL";
    for (hosts, url, expected) in [
        (&[] as &[&str], format!("https://localhost:{port}/"), unresolved),
        (&[], format!("https://127.0.0.1:{port}/"), cannot),
        (&[], format!("https://[::ffff:127.0.0.1]:{port}/"), cannot),
        (&[], "https://169.254.169.254/latest/meta-data".to_owned(), cannot),
        (&["adapter.test"], format!("https://localhost:{port}/"), cannot),
        (&["*"], format!("http://localhost:{port}/"), plain),
        (&["*"], format!("https://u:p@localhost:{port}/"), plain),
        (&["*"], "file:///etc/passwd".to_owned(), plain),
        (&["*"], "x".to_owned(), plain),
    ] {
        let server = server(&service, |config| {
            config.external.hosts = hosts.iter().map(|host| Pattern::new(*host)).collect();
        });
        keep(&server, "e", &format!("values: {{a: {{fn::open::external: {{url: '{url}'}}}}}}"));
        let answer = send(&server, "POST", &format!("{PATH}/open"), "");
        assert_eq!(answer.json()["diagnostics"][0]["summary"], expected, "{hosts:?} {url}");
    }
    // Whose certificate nobody vouches for is not asked either.
    let stranger = server(&service, |config| config.external.authorities = None);
    keep(
        &stranger,
        "e",
        &format!("values: {{a: {{fn::open::external: {{url: 'https://localhost:{port}/'}}}}}}"),
    );
    assert_eq!(send(&stranger, "POST", &format!("{PATH}/open"), "").status, 400);
    assert!(service.asked().is_empty());
}

#[test]
fn a_service_rotates_and_its_answer_becomes_the_state() {
    let service = Https::start(|asked| {
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        let number = body["state"]["number"].as_u64().unwrap_or(0) + 1;
        if number == 3 {
            return (503, String::new(), String::new());
        }
        (
            200,
            String::new(),
            json!({"number": number, "key": format!("k3y-{number}"), "fn::open::external": {"url": "x"}})
                .to_string(),
        )
    });
    let server = server(&service, |_| {});
    let text = format!(
        "values:\n  api: # ours\n    fn::rotate::external:\n      inputs:\n        url: {}\n        request: {{service: db}}\n",
        service.url("/rotate")
    );
    keep(&server, "e", &text);
    assert_eq!(server.values("acme/p/e"), json!({"api": {}}));
    assert!(service.asked().is_empty(), "only rotations ask a rotator's service");
    for number in [1, 2] {
        let event =
            send(&server, "POST", &format!("{PATH}/rotate"), "{}").json()["secretRotationEvent"].clone();
        assert_eq!(event["status"], "succeeded", "{event}");
        let current = server.values("acme/p/e")["api"]["current"].clone();
        assert_eq!(
            current,
            json!({"number": number, "key": format!("k3y-{number}"), "fn::open::external": {"url": "x"}})
        );
    }
    let bodies: Vec<Value> =
        service.asked().iter().map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect();
    assert_eq!(bodies[0], json!({"request": {"service": "db"}, "state": null}));
    assert_eq!(
        (&bodies[1]["state"]["key"], &bodies[1]["request"]),
        (&json!("k3y-1"), &json!({"service": "db"}))
    );
    // The service fails: what there was stays.
    let event = send(&server, "POST", &format!("{PATH}/rotate"), "{}").json()["secretRotationEvent"].clone();
    assert_eq!((&event["status"], event.get("postRotationRevision")), (&json!("failed"), None));
    assert_eq!(event["rotations"][0]["errorMessage"], "external: the service answers 503");
    assert_eq!(server.values("acme/p/e")["api"]["current"]["number"], 2);
    let kept = send(&server, "GET", PATH, "").body;
    assert!(kept.starts_with(&text) && !kept.contains("k3y") && !kept.contains("fn::open"), "{kept}");
}

#[test]
fn what_is_rotated_is_kept_while_others_are_still_asked() {
    let (ask, asked) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (ask, released) = (std::sync::Mutex::new(ask), std::sync::Mutex::new(released));
    // Nothing waits for ever: the server itself gives up after 22 seconds.
    let patience = std::time::Duration::from_secs(20);
    let service = Https::start(move |_| {
        ask.lock().unwrap().send(()).unwrap();
        let _ = released.lock().unwrap().recv_timeout(patience);
        (200, String::new(), r#"{"key": "k3y"}"#.to_owned())
    });
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("audit.jsonl");
    let server = server(&service, |config| config.audit = Some(log.clone()));
    let text = format!(
        "values:\n  a: {{fn::rotate::password: {{inputs: {{}}}}}}\n  b: {{fn::rotate::external: {{inputs: {{url: '{}'}}}}}}\n  \
         c: {{fn::rotate::password: {{inputs: {{}}}}}}\n",
        service.url("/rotate")
    );
    keep(&server, "e", &text);
    let event = std::thread::scope(|scope| {
        let rotating = scope.spawn(|| send(&server, "POST", &format!("{PATH}/rotate"), "{}").json());
        asked.recv_timeout(patience).unwrap();
        // Both passwords are in revisions of their own, before the service has answered, and have their lines.
        let recorded = || fs::read_to_string(&log).unwrap().matches("\"secret.rotate\"").count();
        let kept = (0..500).find_map(|_| {
            let values = server.values("acme/p/e");
            let both = values["a"]["current"].is_string() && values["c"]["current"].is_string();
            if both && recorded() == 2 {
                return Some(values);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
            None
        });
        let kept = kept.expect("two revisions, and two lines");
        assert_eq!(kept["b"], json!({}));
        release.send(()).unwrap();
        let event = rotating.join().unwrap()["secretRotationEvent"].clone();
        assert_eq!(server.values("acme/p/e")["a"], kept["a"]);
        event
    });
    assert_eq!(
        (&event["status"], &event["preRotationRevision"], &event["postRotationRevision"]),
        (&json!("succeeded"), &json!(2), &json!(5))
    );
    assert_eq!(server.values("acme/p/e")["b"], json!({"current": {"key": "k3y"}}));
    assert_eq!(fs::read_to_string(&log).unwrap().matches("\"secret.rotate\"").count(), 3);
}

#[test]
fn a_data_directory_keeps_its_signing_key() {
    let service = Https::start(echo);
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().join("data");
    let key_set = || {
        let server = server(&service, |config| {
            config.storage = Storage::Data { directory: directory.clone(), key: None, import: None };
        });
        server.request("GET", "/.well-known/jwks.json", &[], b"").json()
    };
    let first = key_set();
    assert_eq!(first, key_set());
    let path = directory.join("signing-key.pem");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // Where it can't listen: a key that is taken after all ends it, too.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|address| (taken, address.to_string())).unwrap();
    let start = |content: Option<&str>, mode: u32| {
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_esc-injector"))
            .env_clear()
            .args(["server", "--dev", "--token", "t", "--listen", &taken.1, "--signing-key"])
            .arg(&path)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = start(None, 0o604);
    assert!(code == Some(78) && said.contains("chmod 600"), "{said}");
    let (code, said) = start(Some("no key"), 0o600);
    assert!(code == Some(78) && said.contains("holds no RSA key"), "{said}");
}
