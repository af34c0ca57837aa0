//! What goes wrong is told in ESC's error JSON, and nothing outside of the directory is ever read.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::symlink,
};

use esc_injector::{
    secret::Secret,
    server::{Clock, Config, ConfigError, Server, Storage},
};

use crate::harness::{self, TOKEN, TestServer};

const ENVIRONMENT: &str = "/api/esc/environments/acme/p/e";

#[test]
fn unknown_things_are_404_and_wrong_methods_405() {
    let server = TestServer::start(&[("acme/p/e.yaml", "values: {a: 1}")]);
    for (method, path, status) in [
        ("GET", "/", 404),
        ("PUT", "/api/esc/environments", 405),
        ("GET", "/api/esc/environments/none", 404),
        ("GET", "/api/esc/environments/a", 404),
        ("GET", "/api/esc/environments/acme/p/none", 404),
        ("GET", "/api/esc/environments/acme/p/e/nothing", 404),
        ("POST", "/api/esc/environments/acme/p/none/open", 404),
        ("POST", "/api/esc/environments/acme/none/e/open", 404),
        ("POST", "/api/esc/environments/none/p/e/open", 404),
        ("GET", "/api/esc/environments/acme/p/e/open/00000000000000000000000000000000", 404),
        ("GET", "/api/esc/environments/acme/p/e/open//x", 404),
        ("GET", "/api/esc/environments/acme/p/e/open", 405),
        ("PUT", "/api/esc/environments/acme/p/e/open/x", 405),
        ("DELETE", "/api/user", 405),
        ("GET", "/api/oauth/token", 405),
    ] {
        server.send(method, path).error(status);
    }
    let missing = server.send("POST", "/api/esc/environments/acme/p/none/open");
    assert_eq!(missing.error(404), "environment `acme/p/none` does not exist");
    let organization = server.send("POST", "/api/esc/environments/none/p/e/open");
    assert_eq!(organization.error(404), "organization `none` does not exist");
    assert!(server.send("GET", &format!("{ENVIRONMENT}/open")).head.contains("allow: POST"));
}

#[test]
fn an_environment_with_errors_does_not_open() {
    let server =
        TestServer::start(&[("acme/p/e.yaml", "values:\n  a: ${nope}\n  b: {fn::open::aws-login: {}}\n")]);
    let answer = server.send("POST", &format!("{ENVIRONMENT}/open"));
    assert_eq!(answer.error(400), "environment `acme/p/e` has errors");
    let diagnostics = answer.json()["diagnostics"].clone();
    assert_eq!(diagnostics[0]["summary"], "unknown property \"nope\"");
    assert_eq!(diagnostics[1]["summary"], "provider \"aws-login\" is not supported by this server yet");
    for diagnostic in diagnostics.as_array().unwrap() {
        assert_eq!(diagnostic["severity"], "error");
        assert_eq!(diagnostic["range"]["environment"], "p/e");
    }
    // The step of the reference that leads nowhere.
    assert_eq!(diagnostics[0]["range"]["begin"], serde_json::json!({"line": 2, "column": 8, "byte": 15}));
    assert_eq!(diagnostics[0]["path"], "values.a");
}

#[test]
fn diagnostics_do_not_quote_values() {
    let canary = "c4n4ry";
    for text in [
        format!("values: {{a: {{fn::secret: {{nested: {canary}}}}}}}"),
        format!("values: {{a: {{fn::fromJSON: '{canary}'}}}}"),
        format!("values: {{a: {{fn::fromBase64: '{canary}!'}}}}"),
        format!("values: {{a: \"{canary}${{\"}}"),
        format!("values:\n  a: \"{canary}\n"),
        format!("values: {{a: {canary}: x}}}}"),
        format!("values: {{a: 1, b: [{canary}}}"),
        canary.to_owned(),
    ] {
        let server = TestServer::start(&[("acme/p/e.yaml", text.as_str())]);
        let answer = server.send("POST", &format!("{ENVIRONMENT}/open"));
        answer.error(400);
        assert!(!answer.body.contains(canary), "{text}: {}", answer.body);
    }
}

#[test]
fn no_path_leads_out_of_the_directory() {
    let outside = tempfile::tempdir().unwrap();
    harness::write(outside.path(), "p/e.yaml", "values: {leaked: true}");
    let server = TestServer::start(&[("acme/p/e.yaml", "values: {a: 1}")]);
    harness::write(server.directory.path(), "top.yaml", "values: {leaked: true}");
    harness::write(server.directory.path(), "acme/up.yaml", "values: {leaked: true}");
    for path in [
        "/api/esc/environments/acme/../top/open",
        "/api/esc/environments/acme/p/../up/open",
        "/api/esc/environments/acme/%2e%2e/top/open",
        "/api/esc/environments/acme/p/%2e%2e%2fup/open",
        "/api/esc/environments/acme/p/..%2fup/open",
        "/api/esc/environments/acme/./up/open",
        "/api/esc/environments/%2e%2e/acme/up/open",
        "/api/esc/environments/acme/p%2fe/open",
        "/api/esc/environments/acme/p/e%00/open",
        "/api/esc/environments/acme/p/%ff/open",
        "/api/esc/environments/acme//up/open",
        "/api/esc/environments/acme/p/%2fetc%2fpasswd/open",
        "//api/esc/environments/acme/p/e/open",
    ] {
        let answer = server.send("POST", path);
        // 405: what has the shape of an environment takes other methods.
        assert!(matches!(answer.status, 400 | 404 | 405), "{path}: {}", answer.status);
        assert!(!answer.body.contains("\"id\""), "{path}");
    }
}

#[test]
fn symlinks_are_followed_only_within_the_directory() {
    let outside = tempfile::tempdir().unwrap();
    harness::write(outside.path(), "p/e.yaml", "values: {leaked: true}");
    let server = TestServer::start(&[("acme/p/e.yaml", "values: {a: 1}")]);
    let at = |path: &str| server.directory.path().join(path);
    symlink(outside.path().join("p/e.yaml"), at("acme/p/file.yaml")).unwrap();
    symlink(outside.path().join("p"), at("acme/folder")).unwrap();
    symlink("e.yaml", at("acme/p/inside.yaml")).unwrap();
    symlink("nowhere.yaml", at("acme/p/dangling.yaml")).unwrap();
    for environment in ["p/file", "folder/e"] {
        let answer = server.send("POST", &format!("/api/esc/environments/acme/{environment}/open"));
        assert!(answer.error(404).contains("does not exist"), "{environment}");
    }
    // Nor do they hide the others.
    let names = |path: &str| {
        let listed = server.send("GET", path).json();
        let listed = listed["environments"].as_array().unwrap();
        listed.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("/api/esc/environments/acme"), ["e", "inside"]);
    assert_eq!(names("/api/esc/environments"), ["e", "inside"]);
    for path in ["tags", "p/e/referrers"] {
        assert_eq!(server.send("GET", &format!("/api/esc/environments/acme/{path}")).status, 200, "{path}");
    }
    server.send("POST", "/api/esc/environments/acme/p/dangling/open").error(404);
    assert_eq!(server.values("acme/p/inside")["a"], 1);
}

#[test]
fn imports_stay_within_their_organization() {
    let server = TestServer::start(&[
        ("acme/p/e.yaml", "imports: [../other/p/e]"),
        ("acme/p/f.yaml", "imports: [other/p/e]"),
        ("acme/p/g.yaml", "imports: [p/../../other/p/e]"),
        ("other/p/e.yaml", "values: {leaked: true}"),
    ]);
    for name in ["e", "f", "g"] {
        let answer = server.send("POST", &format!("/api/esc/environments/acme/p/{name}/open"));
        answer.error(400);
        let summary = answer.json()["diagnostics"][0]["summary"].as_str().unwrap().to_owned();
        assert!(summary.ends_with("is no environment name"), "{summary}");
    }
}

#[test]
fn definitions_that_are_no_text_or_no_file_are_told() {
    let server = TestServer::start(&[("acme/p/e.yaml", "values: {a: 1}")]);
    std::fs::write(server.directory.path().join("acme/p/binary.yaml"), b"values: {a: \xff}").unwrap();
    std::fs::create_dir(server.directory.path().join("acme/p/folder.yaml")).unwrap();
    let binary = server.send("POST", "/api/esc/environments/acme/p/binary/open");
    assert!(binary.error(400).contains("no UTF-8"));
    server.send("POST", "/api/esc/environments/acme/p/folder/open").error(500);
    // Never a part of one, as if it were all.
    server.write("acme/p/long.yaml", &format!("values:\n  a: 1\n{}", "  # more\n".repeat(150_000)));
    for path in ["", "/decrypt", "/versions/1"] {
        let answer = server.send("GET", &format!("/api/esc/environments/acme/p/long{path}"));
        assert!(answer.error(400).contains("larger than 1048576 bytes"), "{path}");
    }
}

#[test]
fn hostile_documents_end_in_a_diagnostic() {
    let mut bomb = "values:\n  x0: \"0123456789abcdef\"\n".to_owned();
    let mut chain = "values:\n".to_owned();
    for level in 1..60 {
        writeln!(bomb, "  x{level}: [\"${{x{0}}}\", \"${{x{0}}}\"]", level - 1).unwrap();
    }
    for link in 1000..3000 {
        writeln!(chain, "  x{link}: ${{x{}}}", link + 1).unwrap();
    }
    let nested = format!("values: {{a: {}{}}}", "[".repeat(500), "]".repeat(500));
    let large = format!("values: {{a: \"{}\"}}", "x".repeat(5 << 20));
    let server = TestServer::start(&[
        ("acme/p/bomb.yaml", bomb.as_str()),
        ("acme/p/chain.yaml", chain.as_str()),
        ("acme/p/nested.yaml", nested.as_str()),
        ("acme/p/large.yaml", large.as_str()),
    ]);
    for (name, message) in [
        ("bomb", "larger than this server allows"),
        ("chain", "lead too deep"),
        ("nested", "yaml: line 1"),
        ("large", "larger than 1048576 bytes"),
    ] {
        let answer = server.send("POST", &format!("/api/esc/environments/acme/p/{name}/open"));
        answer.error(400);
        let summary = answer.json()["diagnostics"][0]["summary"].as_str().unwrap().to_owned();
        assert!(summary.contains(message), "{name}: {summary}");
    }
}

#[test]
fn a_client_that_sends_half_a_request_is_let_go() {
    let server = TestServer::start(&[]);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"GET /api/user HTTP/1.1\r\nHost:").unwrap();
    // Meanwhile others are served.
    assert_eq!(server.send("GET", "/api/user").status, 200);
    // Ends only when the server closes.
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn large_bodies_are_refused() {
    let server = TestServer::start(&[("acme/p/e.yaml", "values: {a: 1}")]);
    let token = format!("token {TOKEN}");
    let length = [("Authorization", token.as_str()), ("Content-Length", "70000")];
    for path in ["/api/oauth/token", "/api/esc/environments/acme/p/e/open"] {
        server.request("POST", path, &length, b"").error(413);
    }
}

#[test]
fn large_bodies_of_unknown_length_are_refused() {
    let server = TestServer::start_with_issuer(&[("acme/p/e.yaml", "")], |directory| {
        crate::issuer::trusting(directory, "*", &crate::issuer::Signer::new("k"))
    });
    let mut request = harness::request("POST", "/api/oauth/token", &[("Transfer-Encoding", "chunked")], b"");
    for _ in 0..20 {
        request.extend_from_slice(b"1000\r\n");
        request.extend_from_slice(&[b'a'; 0x1000]);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    harness::exchange(TcpStream::connect(server.address).unwrap(), &request).error(413);
}

#[test]
fn a_server_that_nobody_can_use_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let config = |directory: &std::path::Path, tokens: &[&str], organizations: &[&str]| Config {
        storage: Storage::Files(directory.to_owned()),
        organizations: organizations.iter().map(|&name| name.to_owned()).collect(),
        tokens: tokens.iter().map(|&token| Secret::from(token)).collect(),
        users: None,
        issuers: Vec::new(),
        audit: None,
        external: esc_injector::server::External::default(),
        test_providers: false,
        tls: None,
        clock: Clock::system(),
    };
    let start = |config| Server::new(config).unwrap_err();
    assert!(matches!(start(config(directory.path(), &[], &[])), ConfigError::NobodyCanSignIn));
    let missing = start(config(&directory.path().join("none"), &["t"], &[]));
    assert!(missing.to_string().contains("none as the directory of environments"));
    let name = start(config(directory.path(), &["t"], &["../x"]));
    assert!(name.to_string().contains("`../x` is no organization name"));
}
