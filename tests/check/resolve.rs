//! `check --resolve`, against the local server.

use std::path::Path;

use crate::{
    Said, check_with,
    harness::{TOKEN, TestServer},
};

/// Values that must not show anywhere.
const PLANTED: [&str; 3] = ["planted-password-7f3a", "planted-token-91bc", "planted-file-55de"];

const PROD: &str = "values:
  db: {host: planted-token-91bc, password: {fn::secret: planted-password-7f3a}, port: 5432}
  text: planted-file-55de
  environmentVariables: {LEVEL: info, 'bad name': planted-token-91bc}
  files: {CERT: planted-file-55de}
";

const MANIFEST: &str = "kind: Pod
metadata:
  name: web
  annotations:
    esc.pulumi.com/environment: acme/shop/prod,acme/shop/over
    esc.pulumi.com/env.HOST: db.hots
    esc.pulumi.com/env.PORT: db.port
    esc.pulumi.com/file.key: text
    esc.pulumi.com/decode.key: base64
    esc.pulumi.com/template.conf: '{{ values.db.pasword }}'
    esc.pulumi.com/config: |
      env:
        MAYBE: {path: nothing.here, optional: true}
        NONE: {path: 'replicas[0].host'}
      files:
        level.properties: {path: db, format: dotenv}
spec:
  containers:
  - {name: app, command: [/app]}
";

fn server() -> TestServer {
    TestServer::start(&[
        ("acme/shop/prod.yaml", PROD),
        ("acme/shop/over.yaml", "values: {db: {port: 1}}"),
        ("acme/shop/broken.yaml", "values: {a: '${nope}'}"),
    ])
}

fn resolve(url: &str, token: &str, arguments: &[&str], input: &str) -> Said {
    let variables = [("PULUMI_BACKEND_URL", url), ("PULUMI_ACCESS_TOKEN", token), ("COLUMNS", "200")];
    let said = check_with(Path::new("."), &[&["--resolve"], arguments].concat(), &variables, input);
    for planted in PLANTED {
        assert!(!said.out.contains(planted) && !said.err.contains(planted), "{planted}: {said:?}");
    }
    said
}

/// The findings as `code line:column`.
fn found(said: &Said) -> Vec<String> {
    let json: serde_json::Value =
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let one = |finding: &serde_json::Value| {
        format!("{} {}:{}", finding["code"].as_str().unwrap(), finding["line"], finding["column"])
    };
    json["findings"].as_array().unwrap().iter().map(one).collect()
}

fn url(server: &TestServer) -> String {
    format!("http://{}/api/esc", server.address)
}

#[test]
fn every_path_format_and_template_is_proved() {
    let server = server();
    let said = resolve(&url(&server), TOKEN, &["--output", "json"], MANIFEST);
    assert_eq!(said.code, 65, "{said:?}");
    assert_eq!(found(&said), ["ESC404 6:30", "ESC406 8:30", "ESC404 10:35", "ESC404 14:22"]);
    let text = resolve(&url(&server), TOKEN, &[], MANIFEST).out;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in
        ["did you mean `host`", "(it has host, password, port)", "2 environments opened", "acme/shop/over"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let good = MANIFEST
        .replace("db.hots", "db.host")
        .replace("    esc.pulumi.com/decode.key: base64\n", "")
        .replace("pasword", "password")
        .replace("replicas[0].host", "db.host");
    let said = resolve(&url(&server), TOKEN, &[], &good);
    assert_eq!(said.code, 0, "{}", said.out);
}

#[test]
fn projected_names_have_to_be_legal() {
    let server = server();
    let all = "kind: Pod\nmetadata: {name: p, annotations: {esc.pulumi.com/environment: acme/shop/prod}}\nspec: {containers: [{name: a, command: [x]}]}\n";
    let said = resolve(&url(&server), TOKEN, &["--output", "json"], all);
    assert_eq!((said.code, found(&said)), (65, vec!["ESC408 2:63".to_owned()]));
    assert!(said.out.contains("`bad name`"), "{}", said.out);
}

#[test]
fn what_can_not_be_opened_is_a_finding_where_it_is_asked_for() {
    let server = server();
    let pod = |environment: &str| {
        format!(
            "kind: Pod\nmetadata:\n  name: p\n  annotations:\n    esc.pulumi.com/environment: {environment}\nspec: {{containers: [{{name: a, command: [x]}}]}}\n"
        )
    };
    let here = url(&server);
    for (environment, address, token, code, finding) in [
        ("acme/shop/none", here.as_str(), TOKEN, 65, "ESC3"),
        ("acme/shop/broken", &here, TOKEN, 65, "ESC3"),
        ("acme/shop/prod", &here, "nobodys", 77, "ESC3"),
        ("acme/shop/prod", "http://127.0.0.1:1", TOKEN, 69, "ESC3"),
    ] {
        let said = resolve(address, token, &["--output", "json"], &pod(environment));
        assert_eq!(said.code, code, "{environment}: {said:?}");
        let found = found(&said);
        assert!(
            found.len() == 1 && found[0].starts_with(finding) && found[0].ends_with(" 5:33"),
            "{found:?}"
        );
    }
    let said = resolve(&here, "", &[], &pod("acme/shop/prod"));
    assert!(said.code == 64 && said.err.contains("PULUMI_ACCESS_TOKEN"), "{said:?}");
    // Nobody asks, so nobody has to be asked.
    assert_eq!(resolve(&here, "", &[], "kind: Service\n").code, 0);
}

#[test]
fn a_pod_that_was_not_looked_up_is_no_success() {
    let server = server();
    let pod = "kind: Pod\nmetadata:\n  name: p\n  annotations:\n    esc.pulumi.com/inject: \"true\"\n    esc.pulumi.com/env.X: db.nope\nspec: {containers: [{name: a, command: [x]}]}\n";
    let said = resolve(&url(&server), TOKEN, &["--output", "json"], pod);
    assert_eq!((said.code, found(&said)), (65, vec!["ESC108 5:5".to_owned(), "ESC705 5:5".to_owned()]));
    let namespace = "---\nkind: Namespace\nmetadata:\n  name: default\n  labels: {esc.pulumi.com/injection: enabled}\n  annotations: {esc.pulumi.com/environment: acme/shop/prod}\n";
    let pod = pod.replace("db.nope", "db.port");
    let said = resolve(&url(&server), TOKEN, &["--output", "json"], &format!("{pod}{namespace}"));
    assert_eq!((said.code, found(&said)), (0, vec![]));
}

#[test]
fn what_a_namespace_says_is_resolved_where_it_stands() {
    let server = server();
    let text = "kind: Namespace\nmetadata:\n  name: shop\n  labels: {esc.pulumi.com/injection: enabled}\n  annotations:\n    esc.pulumi.com/environment: acme/shop/prod\n    esc.pulumi.com/env.X: db.nope\n---\nkind: Pod\nmetadata: {name: p, namespace: shop, annotations: {esc.pulumi.com/inject: \"true\"}}\nspec: {containers: [{name: a, command: [x]}]}\n";
    let said = resolve(&url(&server), TOKEN, &["--output", "json"], text);
    assert_eq!((said.code, found(&said)), (65, vec!["ESC404 7:27".to_owned()]));
}

#[test]
fn a_token_goes_to_no_address_that_only_a_manifest_names() {
    let server = server();
    let pod = "kind: Pod\nmetadata:\n  name: p\n  annotations:\n    esc.pulumi.com/environment: acme/shop/prod\n    esc.pulumi.com/api-url: https://other.example\nspec: {containers: [{name: a, command: [x]}]}\n";
    let arguments = ["--allow-api-url", "https://other.example", "--output", "json"];
    let said = resolve(&url(&server), TOKEN, &arguments, pod);
    assert_eq!((said.code, found(&said)), (0, vec!["ESC705 6:29".to_owned()]));
    assert_eq!(resolve(&url(&server), TOKEN, &["--strict", arguments[0], arguments[1]], pod).code, 65);
    // Who means that address says so.
    let there = url(&server);
    let pod = pod.replace("https://other.example", &format!("{there}\n    esc.pulumi.com/env.X: db.port"));
    let arguments = ["--allow-api-url", &there, "--output", "json"];
    let said = resolve("http://127.0.0.1:9", TOKEN, &arguments, &pod);
    assert_eq!((said.code, found(&said)), (0, vec!["ESC705 6:29".to_owned()]));
    let said = resolve("http://127.0.0.1:9", TOKEN, &[&["--api-url", &there], &arguments[..]].concat(), &pod);
    assert_eq!((said.code, found(&said)), (0, vec![]));
}

#[test]
fn the_way_to_esc_leads_through_the_proxy() {
    use std::io::{Read, Write};
    let pod = "kind: Pod\nmetadata:\n  name: p\n  annotations: {esc.pulumi.com/environment: acme/shop/prod}\nspec: {containers: [{name: a, command: [x]}]}\n";
    for (variable, is_flag) in [("HTTPS_PROXY", false), ("https_proxy", false), ("HTTPS_PROXY", true)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = format!("http://{address}");
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut begin = [0; 24];
            stream.read_exact(&mut begin).unwrap();
            stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").unwrap();
            String::from_utf8(begin.to_vec()).unwrap()
        });
        // What the flag says comes first.
        let elsewhere = if is_flag { "http://127.0.0.1:1" } else { proxy.as_str() };
        let variables = [(variable, elsewhere), ("PULUMI_ACCESS_TOKEN", TOKEN)];
        let flag = ["--https-proxy", proxy.as_str()];
        let arguments =
            [&["--resolve", "--api-url", "https://esc.example"][..], if is_flag { &flag[..] } else { &[] }];
        let said = check_with(Path::new("."), &arguments.concat(), &variables, pod);
        // Somebody always comes, or the test would wait for ever.
        let _ = std::net::TcpStream::connect(address).and_then(|mut stream| stream.write_all(&[b'-'; 24]));
        assert_eq!(asked.join().unwrap(), "CONNECT esc.example:443 ", "{said:?}");
        assert_eq!(said.code, 69, "{said:?}");
    }
}
