//! What is found at the start, and not by the first who needs it: files that others can use, and configuration that
//! can't work.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{
    harness::write,
    process::{start, stop},
};

const TOKEN: &str = "pul-starting-token";
const KEYS: &str = include_str!("fixtures/rs256.jwks.json");

/// How a command ended, and what it wrote to its outputs.
type Said = (Option<i32>, String, String);

fn binary(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.env_clear().args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A directory with definitions in `files`, a token in `token`, and `data`, which is not there.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "files/acme/p/e.yaml", "values: {a: 1}");
        write(directory.path(), "files/zeta/p/e.yaml", "values: {a: 1}");
        write(directory.path(), "token", TOKEN);
        permit(&directory.path().join("token"), 0o600);
        Self(directory)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    fn server(&self, kept: &[&str]) -> Command {
        let mut command = binary(&["server", "--listen", "127.0.0.1:0"]);
        command.args(kept).arg("--token-file").arg(self.at("token"));
        command
    }
}

#[test]
fn a_token_file_that_others_can_use_is_told_of_once_and_works() {
    let place = Place::new();
    let files = place.name("files");
    for (mode, told) in [
        (0o600, None),
        (0o400, None),
        (0o640, Some("has mode 0640, so that others can read it: chmod 600")),
        (0o444, Some("has mode 0444, so that others can read it: chmod 600")),
        (0o666, Some("has mode 0666, so that others can change it: chmod 600")),
    ] {
        permit(&place.at("token"), mode);
        let (child, url) = start(&mut place.server(&["--dir", &files]));
        let mut get = binary(&["get", "acme/p/e", "a", "--api-url", &url]);
        let (code, out, err) = text(&get.arg("--token-file").arg(place.at("token")).output().unwrap());
        let mut run = binary(&["run", "acme/p/e", "--api-url", &url, "--token-file"]);
        let ran = text(&run.arg(place.at("token")).args(["--", "/bin/echo", "ran"]).output().unwrap());
        assert_eq!((code, out.as_str()), (Some(0), "1\n"), "{err}");
        assert_eq!((ran.0, ran.1.as_str()), (Some(0), "ran\n"), "{}", ran.2);
        let log = stop(child, rustix::process::Signal::TERM).1;
        for said in [&err, &ran.2, &log] {
            let lines: Vec<_> = said.lines().filter(|line| line.contains(&place.name("token"))).collect();
            assert_eq!(lines.len(), usize::from(told.is_some()), "{mode:o}: {said}");
            assert!(told.is_none_or(|told| lines[0].contains(told)), "{mode:o}: {said}");
            assert!(!said.contains(TOKEN), "{said}");
        }
    }
    permit(&place.at("token"), 0o600);
    // What comes through a pipe is nobody else's, though everybody could read the pipe.
    let pipe = place.at("pipe");
    let made = Command::new("mkfifo").args(["-m", "666"]).arg(&pipe).status().unwrap();
    assert!(made.success());
    let writing = pipe.clone();
    let fed = std::thread::spawn(move || fs::write(writing, TOKEN).unwrap());
    let mut server = binary(&["server", "--listen", "127.0.0.1:0", "--dir", &files, "--token-file"]);
    let (child, url) = start(server.arg(&pipe));
    fed.join().unwrap();
    let mut get = binary(&["get", "acme/p/e", "a", "--api-url", &url, "--token-file"]);
    let got = text(&get.arg(place.at("token")).output().unwrap());
    // Who reads a token anew for each request takes no pipe, and says that.
    let mut get = binary(&["get", "acme/p/e", "a", "--api-url", &url, "--token-file"]);
    let (code, out, err) = text(&get.arg(&pipe).output().unwrap());
    let log = stop(child, rustix::process::Signal::TERM).1;
    assert_eq!((got.0, got.1.as_str()), (Some(0), "1\n"), "{}", got.2);
    assert!(code == Some(78) && out.is_empty() && err.contains("it is no regular file"), "{err}");
    assert!(!log.contains("so that others") && !err.contains("so that others"), "{log}{err}");
}

#[test]
fn a_data_directory_that_others_can_change_is_refused_and_one_that_they_can_read_is_told_of() {
    let place = Place::new();
    let data = place.name("data");
    let (child, _) = start(&mut place.server(&["--data", &data]));
    assert_eq!(stop(child, rustix::process::Signal::TERM).0, Some(0));
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    for mode in [0o777, 0o707, 0o702] {
        permit(&place.at("data"), mode);
        let (code, _, err) = text(&place.server(&["--data", &data]).output().unwrap());
        assert!(code == Some(78) && err.contains(&format!("chmod 700 {data}")), "{mode:o}: {err}");
        assert!(err.contains("give --data a directory in it"), "{err}");
        let (code, out, err) = text(&binary(&["server", "token", "list", "--data", &data]).output().unwrap());
        assert!(code == Some(78) && out.is_empty() && err.contains("chmod 700"), "{mode:o}: {err}");
    }
    permit(&place.at("data"), 0o755);
    let (child, _) = start(&mut place.server(&["--data", &data]));
    let (code, log) = stop(child, rustix::process::Signal::TERM);
    let told = log.lines().filter(|line| line.contains("chmod 700") && line.contains("0755")).count();
    assert_eq!((code, told), (Some(0), 1), "{log}");
    for key in ["key", "signing-key.pem"] {
        permit(&place.at("data").join(key), 0o604);
        let (code, _, err) = text(&place.server(&["--data", &data]).output().unwrap());
        assert!(code == Some(78) && err.contains(&format!("chmod 600 {data}/{key}")), "{err}");
        permit(&place.at("data").join(key), 0o600);
    }
}

#[test]
fn an_empty_volume_that_everybody_can_change_is_closed_and_used() {
    let place = Place::new();
    let data = place.name("data");
    fs::create_dir(&data).unwrap();
    for planted in [true, false] {
        permit(&place.at("data"), 0o2777);
        if planted {
            write(&place.at("data"), "anybodys", "");
            let (code, _, err) = text(&place.server(&["--data", &data]).output().unwrap());
            assert!(code == Some(78) && err.contains("chmod 700"), "{err}");
            assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o7777, 0o2777);
            fs::remove_file(place.at("data").join("anybodys")).unwrap();
        }
    }
    let (child, _) = start(&mut place.server(&["--data", &data]));
    let (code, log) = stop(child, rustix::process::Signal::TERM);
    assert!(code == Some(0) && log.contains("it has mode 0700 now"), "{log}");
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_volume_that_its_group_was_given_anew_still_starts() {
    let place = Place::new();
    let data = place.name("data");
    let (child, _) = start(&mut place.server(&["--data", &data]));
    assert_eq!(stop(child, rustix::process::Signal::TERM).0, Some(0));
    // What kubelet does for `fsGroup` whenever a pod mounts a volume.
    permit(&place.at("data"), 0o2770);
    for file in fs::read_dir(place.at("data")).unwrap() {
        permit(&file.unwrap().path(), 0o660);
    }
    let (child, _) = start(&mut place.server(&["--data", &data]));
    let (code, log) = stop(child, rustix::process::Signal::TERM);
    let tells = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!((code, tells("chmod 700"), tells("/key has mode 0660")), (Some(0), 1, 1), "{log}");
}

#[test]
fn what_can_not_work_keeps_it_from_starting() {
    let place = Place::new();
    write(place.0.path(), "jwks.json", KEYS);
    write(place.0.path(), "broken.json", r#"{"keys":[{"kty":"RSA"}]}"#);
    write(place.0.path(), "empty.pem", "nothing\n");
    let issuer = |extra: &str| {
        format!(
            "issuers:\n- name: c\n  url: https://i.test\n  {extra}\n  policies:\n  - {{decision: allow, tokenType: \
             organization, rules: {{sub: '*'}}}}\n"
        )
    };
    write(place.0.path(), "issuers.yaml", &issuer("jwksFile: missing.json"));
    write(place.0.path(), "fetching.yaml", &issuer("jwks: fetch\n  jwksTokenFile: missing-token"));
    let certified = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (one, other) = (certified(), certified());
    write(place.0.path(), "tls.crt", &one.cert.pem());
    write(place.0.path(), "other.key", &other.signing_key.serialize_pem());
    permit(&place.at("other.key"), 0o600);
    permit(&place.at("empty.pem"), 0o600);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let at = |name: &str| place.name(name);
    let oidc = |keys: &str, subject: &str, audience: &str| {
        let flags = ["--oidc-issuer", "https://i", "--oidc-jwks", &at(keys), "--oidc-subject", subject];
        let mut flags: Vec<String> = flags.map(str::to_owned).into();
        flags.extend(["--oidc-audience".to_owned(), audience.to_owned()]);
        flags
    };
    let flags = |flags: &[&str]| flags.iter().map(|&flag| flag.to_owned()).collect::<Vec<_>>();
    for (arguments, code, messages) in [
        (oidc("none.json", "*", "a"), 78, ["--oidc-jwks", "none.json: No such file"]),
        (oidc("broken.json", "*", "a"), 78, ["--oidc-jwks", "with a usable key"]),
        (oidc("jwks.json", "", "a"), 64, ["--oidc-subject is empty", ""]),
        (oidc("jwks.json", "*", ""), 64, ["--oidc-audience is empty", ""]),
        (flags(&["--public-url", "esc.example"]), 78, ["--public-url esc.example", "https://esc.example"]),
        (flags(&["--public-url", "https://u:p@esc.example/"]), 78, ["--public-url", "without user"]),
        (flags(&["--public-url", "https://esc.example/?a"]), 78, ["--public-url", "query"]),
        (flags(&["--organization", "acne"]), 78, ["--organization acne", "there are acme, zeta"]),
        (flags(&["--issuers", &at("none.yaml")]), 78, ["--issuers", "none.yaml: No such file"]),
        (flags(&["--issuers", &at("issuers.yaml")]), 78, ["issuers.yaml:4:13", "missing.json: No such file"]),
        (
            flags(&["--issuers", &at("fetching.yaml")]),
            78,
            ["fetching.yaml:5:18", "missing-token: No such file"],
        ),
        (flags(&["--signing-key", &at("none.pem")]), 78, ["none.pem", "No such file"]),
        (flags(&["--signing-key", &at("empty.pem")]), 78, ["empty.pem", "holds no RSA key"]),
        (flags(&["--external-ca", &at("none.pem")]), 78, ["--external-ca", "No such file"]),
        (flags(&["--external-ca", &at("empty.pem")]), 78, ["--external-ca", "no certificate in it"]),
        (flags(&["--external-host", "https://a.example"]), 64, ["--external-host", "without scheme"]),
        (flags(&["--external-host", "a.example:8443"]), 64, ["--external-host", "port"]),
        (
            flags(&["--tls-cert", &at("tls.crt"), "--tls-key", &at("other.key")]),
            78,
            ["other.key is not the key of the certificate in --tls-cert", "tls.crt"],
        ),
        (
            flags(&["--tls-cert", &at("tls.crt"), "--tls-key", &at("empty.pem")]),
            78,
            ["--tls-key", "empty.pem"],
        ),
        (flags(&["--audit-log", &at("none/audit")]), 78, ["none/audit", "No such file"]),
        (flags(&["--listen", &address]), 69, [&address, "Address already in use"]),
    ] {
        let mut command = binary(&["server", "--dir", &at("files"), "--token", TOKEN]);
        if !arguments.iter().any(|argument| argument == "--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let (found, out, err) = text(&command.args(&arguments).output().unwrap());
        assert_eq!((found, out.as_str()), (Some(code), ""), "{arguments:?}: {err}");
        assert!(messages.iter().all(|message| err.contains(message)), "{arguments:?}: {err}");
    }
}

#[test]
fn files_that_were_imported_are_never_looked_at_again() {
    let place = Place::new();
    let (files, data) = (place.name("files"), place.name("data"));
    let wrong =
        text(&place.server(&["--data", &data, "--dir", &files, "--organization", "acne"]).output().unwrap());
    assert!(wrong.0 == Some(78) && wrong.2.contains("there are acme, zeta"), "{}", wrong.2);
    let serve = |flags: &[&str]| {
        let (child, _) = start(&mut place.server(flags));
        assert_eq!(stop(child, rustix::process::Signal::TERM).0, Some(0));
    };
    // Twice the same: of two organizations, one has files.
    let other = place.name("other");
    for _ in 0..2 {
        let flags = ["--data", &other, "--dir", &files, "--organization", "acme", "--organization", "beta"];
        let (child, url) = start(&mut place.server(&flags));
        let mut get = binary(&["get", "acme/p/e", "a", "--api-url", &url, "--token-file"]);
        assert_eq!(text(&get.arg(place.at("token")).output().unwrap()).1, "1\n");
        let mut get = binary(&["server", "token", "create", "--name", "t", "--organization", "beta"]);
        let made = get.args(["--api-url", &url, "--token-file"]).arg(place.at("token")).output().unwrap();
        assert_eq!(text(&made).0, Some(0), "{}", text(&made).2);
        assert_eq!(stop(child, rustix::process::Signal::TERM).0, Some(0));
    }
    serve(&["--data", &data, "--dir", &files]);
    fs::remove_dir_all(place.at("files")).unwrap();
    serve(&["--data", &data, "--dir", &files, "--organization", "more"]);
}

#[test]
fn a_directory_that_is_filled_later_is_served_and_never_imported() {
    let place = Place::new();
    fs::create_dir(place.at("empty")).unwrap();
    let empty = place.name("empty");
    let flags = ["--data", &place.name("data"), "--dir", &empty, "--organization", "acme"];
    let (code, _, err) = text(&place.server(&flags).output().unwrap());
    assert!(code == Some(78) && err.contains("there is none"), "{err}");
    let (child, url) = start(&mut place.server(&["--dir", &empty, "--organization", "acme"]));
    write(&place.at("empty"), "acme/p/e.yaml", "values: {a: 1}");
    let mut get = binary(&["get", "acme/p/e", "a", "--api-url", &url, "--token-file"]);
    assert_eq!(text(&get.arg(place.at("token")).output().unwrap()).1, "1\n");
    assert_eq!(stop(child, rustix::process::Signal::TERM).0, Some(0));
}

#[test]
fn a_file_that_can_t_be_imported_is_named() {
    let place = Place::new();
    // Too large as it is, and only when its secret is sealed.
    let padded = |length: usize| format!("values:\n  a: {{fn::secret: x}}\n# {}\n", "x".repeat(length));
    for (name, length) in [("big", 2 << 20), ("sealed", (1 << 20) - 50)] {
        write(place.0.path(), &format!("files/acme/p/{name}.yaml"), &padded(length));
        let flags = ["--data", &place.name("data"), "--dir", &place.name("files")];
        let (code, _, err) = text(&place.server(&flags).output().unwrap());
        let said =
            format!("can't import acme/p/{name}: the definition, with its secrets sealed, is larger than");
        assert!(code == Some(78) && err.contains(&said), "{err}");
        fs::remove_file(place.at("files/acme/p").join(format!("{name}.yaml"))).unwrap();
    }
}

#[test]
fn whoever_begins_without_a_database_is_led_to_a_server() {
    let place = Place::new();
    let data = place.name("data");
    let create = |more: &[&str]| {
        let mut command = binary(&["server", "token", "create", "--name", "x", "--data", &data]);
        text(&command.args(more).output().unwrap())
    };
    let (code, _, err) = create(&["--organization", "acme"]);
    assert!(code == Some(78) && err.contains("there is no such file"), "{err}");
    let hint = "esc-injector server token create --name NAME --data ";
    assert!(err.contains(&format!("{hint}{data}")) && err.contains("--organization NAME"), "{err}");
    let server = || binary(&["server", "--listen", "127.0.0.1:0", "--data", &data, "--organization", "acme"]);
    let (code, _, err) = text(&server().output().unwrap());
    assert!(code == Some(64) && err.contains(&format!("{hint}DIR")), "{err}");
    // As it was told.
    fs::remove_dir_all(&data).unwrap();
    assert_eq!(create(&[]).0, Some(0));
    let (child, _) = start(&mut server());
    assert_eq!(stop(child, rustix::process::Signal::TERM).0, Some(0));
    assert_eq!(create(&["--organization", "acme"]).0, Some(0));
}

#[test]
fn tokens_and_grants_are_for_organizations_that_exist() {
    let place = Place::new();
    let data = place.name("data");
    let none = |organization: &str| format!("organization `{organization}` does not exist: there ");
    // Nobody has started a server there yet.
    write(place.0.path(), "data/mine", "");
    permit(&place.at("data"), 0o700);
    let made =
        text(&binary(&["server", "token", "create", "--name", "o", "--data", &data]).output().unwrap());
    assert_eq!(made.0, Some(0), "{}", made.2);
    let token = ["token", "create", "--name", "t", "--organization"];
    let offline = |arguments: &[&str]| {
        text(&binary(&["server"]).args(arguments).args(["--data", &data]).output().unwrap())
    };
    let (code, out, err) = offline(&[&token[..], &["acme"]].concat());
    assert!(code == Some(65) && err.contains(&(none("acme") + "is none yet")), "{err}");
    assert!(out.is_empty() && err.contains("--organization acme"), "{err}");
    let flags = ["--data", &data, "--organization", "acme", "--organization", "zeta"];
    let (child, url) = start(&mut place.server(&flags));
    let online = |arguments: &[&str]| {
        let mut command = binary(&["server"]);
        command.args(arguments).args(["--api-url", &url, "--token-file"]).arg(place.at("token"));
        text(&command.output().unwrap())
    };
    let refuses = |ask: &dyn Fn(&[&str]) -> Said| {
        for holder in
            [&["acne"] as &[&str], &["acne", "--admin"], &["acne", "--team", "a"], &["acne", "--user", "u"]]
        {
            let (code, out, err) = ask(&[&token[..], holder].concat());
            assert!(code == Some(65) && err.contains(&(none("acne") + "are acme, zeta")), "{err}");
            assert!(out.is_empty(), "{out}");
        }
        for change in
            [&["grant", "acne/p/e", "read", "--team", "a"] as &[&str], &["revoke", "acne/p/e", "--user", "u"]]
        {
            let (code, _, err) = ask(change);
            assert!(code == Some(65) && err.contains(&(none("acne") + "are acme, zeta")), "{err}");
        }
        assert_eq!(ask(&[&token[..], &["zeta"]].concat()).0, Some(0));
    };
    refuses(&online);
    assert_eq!(stop(child, rustix::process::Signal::TERM).0, Some(0));
    refuses(&offline);
    assert_eq!(offline(&["token", "list"]).1.lines().count(), 3);
}
