//! The small grammars of annotation values. Each function says what it expected.

use std::time::Duration;

use super::{layer::EnvMode, pod::MAX_CONTAINERS, quantity::Quantity};
use crate::{
    agent::{
        plan::{OnChange, OnFailure, Projections, RESTART_EXIT_CODE},
        signal::SignalError,
    },
    esc::{
        duration as go_duration,
        render::{Decode, Format, template},
    },
};

/// A pod that waits longer than a day for its secrets is a mistake.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// Who refreshes more rarely than each month does not refresh.
const LONGEST_REFRESH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// One word out of a few.
pub fn one_of<'a>(value: &'a str, words: &[&str]) -> Result<&'a str, String> {
    if words.contains(&value) {
        return Ok(value);
    }
    let nearest = super::keys::nearest(value, words.iter().copied())
        .map_or_else(String::new, |word| format!("; did you mean `{word}`?"));
    Err(format!("`{value}` is none of {}{nearest}", words.join(", ")))
}

/// `"true"` or `"false"`.
pub fn boolean(value: &str) -> Result<bool, String> {
    one_of(value, &["true", "false"]).map(|word| word == "true")
}

/// Comma-separated, at least one, none empty, none twice.
pub fn list(value: &str) -> Result<Vec<String>, String> {
    let mut items = Vec::new();
    if value.split(',').nth(MAX_CONTAINERS).is_some() {
        return Err(format!("more than {MAX_CONTAINERS} names"));
    }
    for item in value.split(',').map(str::trim) {
        if item.is_empty() {
            return Err("expected names separated by commas, and none of them empty".to_owned());
        }
        if items.iter().any(|known| known == item) {
            return Err(format!("`{item}` stands twice"));
        }
        items.push(item.to_owned());
    }
    Ok(items)
}

/// Text with something in it.
pub fn not_blank(value: &str) -> Result<String, String> {
    if value.trim().is_empty() || value.chars().any(char::is_control) {
        return Err("expected text without control characters".to_owned());
    }
    Ok(value.to_owned())
}

/// A Go duration above zero.
pub fn duration(value: &str) -> Result<Duration, String> {
    match go_duration::parse(value) {
        Ok(Duration::ZERO) => Err("expected a duration above zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}

/// Budget of a fetch: from one second to a day.
pub fn timeout(value: &str) -> Result<Duration, String> {
    let timeout = duration(value)?;
    if timeout < Duration::from_secs(1) || timeout > LONGEST_TIMEOUT {
        return Err(format!("`{value}` is out of range: from 1s to 24h"));
    }
    Ok(timeout)
}

/// `projections`.
pub fn projections(value: &str) -> Result<Projections, String> {
    Ok(match one_of(value, &["all", "env", "files", "none"])? {
        "all" => Projections::All,
        "env" => Projections::Env,
        "files" => Projections::Files,
        _ => Projections::None,
    })
}

/// `env-mode`.
pub fn env_mode(value: &str) -> Result<EnvMode, String> {
    Ok(match one_of(value, &["auto", "exec", "kubelet"])? {
        "exec" => EnvMode::Exec,
        "kubelet" => EnvMode::Kubelet,
        _ => EnvMode::Auto,
    })
}

/// `on-failure`.
pub fn on_failure(value: &str) -> Result<OnFailure, String> {
    Ok(if one_of(value, &["block", "start"])? == "start" { OnFailure::Start } else { OnFailure::Block })
}

/// `format.<name>`.
pub fn format(value: &str) -> Result<Format, String> {
    let words = ["raw", "json", "yaml", "dotenv", "properties"];
    one_of(value, &words)?.parse().map_err(|()| format!("`{value}` is none of {}", words.join(", ")))
}

/// `decode.<name>`.
pub fn decode(value: &str) -> Result<Decode, String> {
    one_of(value, &["base64"]).map(|_| Decode::Base64)
}

/// Permission bits in octal; the owner, who writes the file, can always read it.
pub fn mode(value: &str) -> Result<u32, String> {
    let digits = (3..=4).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    match u32::from_str_radix(value, 8) {
        Ok(mode) if digits && mode <= 0o777 && mode & 0o400 != 0 => Ok(mode),
        Ok(mode) if digits && mode <= 0o777 => {
            Err(format!("`{value}` lets not even the owner read the file"))
        }
        _ => Err(format!("`{value}` is no file mode: write three or four octal digits, such as \"0440\"")),
    }
}

/// Text of a template that can be read; whether it fits the environment shows when it is rendered.
pub fn template(value: &str) -> Result<String, String> {
    template::check(value).map(|()| value.to_owned()).map_err(|error| error.to_string())
}

/// A clean absolute path, not the root.
pub fn mount_path(value: &str) -> Result<String, String> {
    let path = value.strip_suffix('/').unwrap_or(value);
    let clean = path.strip_prefix('/').is_some_and(|rest| {
        rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && !rest.contains([':', ','])
            && !rest.contains(char::is_control)
    });
    if clean {
        Ok(path.to_owned())
    } else {
        Err(format!(
            "`{value}` is no mount path: write an absolute path other than /, without `..` and colons"
        ))
    }
}

/// ESC's address: https, or http to this machine; the service root, without `/api/esc`.
pub fn api_url(value: &str) -> Result<String, String> {
    let fail = |why: &str| Err(format!("`{value}` is no address of ESC: {why}"));
    let Ok(uri) = value.parse::<http::Uri>() else { return fail("it is no URL") };
    let Some(host) = uri.host() else { return fail("write https://HOST") };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("the address of ESC must not carry credentials".to_owned());
    }
    if uri.query().is_some() {
        return fail("it must not have a query");
    }
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if is_loopback(host) => {}
        _ => return fail("only https carries tokens; http is for this machine alone"),
    }
    let root = value.trim_end_matches('/');
    Ok(root.strip_suffix("/api/esc").unwrap_or(root).trim_end_matches('/').to_owned())
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A size that something fits into.
pub fn volume_size(value: &str) -> Result<Quantity, String> {
    // The kernel rounds a tmpfs up to a page; a zero means no limit at all.
    const PAGE: u128 = 4096;
    let quantity: Quantity =
        value.parse().map_err(|error: super::quantity::QuantityError| error.to_string())?;
    if quantity.bytes() < PAGE {
        return Err(format!("`{value}` is too small for a volume: at least 4Ki"));
    }
    Ok(quantity)
}

/// `log-level`.
pub fn log_level(value: &str) -> Result<String, String> {
    one_of(value, &["error", "warn", "info", "debug", "trace"]).map(str::to_owned)
}

/// A JSON array of at least one text.
pub fn command(value: &str) -> Result<Vec<String>, String> {
    match serde_json::from_str::<Vec<String>>(value) {
        Ok(command) if command.first().is_some_and(|program| !program.is_empty()) => Ok(command),
        _ => Err("expected a JSON array of texts that begins with the program, such as '[\"/app/server\"]'"
            .to_owned()),
    }
}

/// A port number.
pub fn port(value: &str) -> Result<u16, String> {
    match value.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("`{value}` is no port: from 1 to 65535")),
    }
}

/// Time between refreshes: from one second to thirty days.
pub fn refresh(value: &str) -> Result<Duration, String> {
    let interval = duration(value)?;
    if interval < Duration::from_secs(1) || interval > LONGEST_REFRESH {
        return Err(format!("`{value}` is out of range: from 1s to 720h"));
    }
    Ok(interval)
}

/// Longest delay of a restart: none, or up to a day.
pub fn spread(value: &str) -> Result<Duration, String> {
    let spread = go_duration::parse(value).map_err(|error| error.to_string())?;
    if spread > LONGEST_TIMEOUT {
        return Err(format!("`{value}` is out of range: up to 24h"));
    }
    Ok(spread)
}

/// `on-change`.
pub fn on_change(value: &str) -> Result<OnChange, String> {
    let unknown =
        || format!("`{value}` is none of none, restart, signal:SIGHUP[:process], http://127.0.0.1:PORT/path");
    if let Some(wanted) = value.strip_prefix("signal:") {
        let (signal, process) = match wanted.split_once(':') {
            Some((signal, process)) => (signal, Some(not_blank(process)?)),
            None => (wanted, None),
        };
        let signal = signal.parse().map_err(|error: SignalError| error.to_string())?;
        return Ok(OnChange::Signal { signal, process });
    }
    match value {
        "none" => Ok(OnChange::None),
        "restart" => Ok(OnChange::Restart { exit_code: RESTART_EXIT_CODE }),
        url if url.starts_with("http://") || url.starts_with("https://") => {
            let uri = url.parse::<http::Uri>().map_err(|_| unknown())?;
            let carries_credentials =
                uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
            // What `Uri` takes and other readers of URLs understand in another way would dodge the check of the host.
            if uri.host().is_none_or(str::is_empty) || carries_credentials || url.contains(['#', '\\']) {
                return Err(unknown());
            }
            Ok(OnChange::Post { url: url.to_owned() })
        }
        _ => Err(unknown()),
    }
}

/// Whether a URL leads to this machine, which in a pod is the pod.
pub fn is_loopback_url(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some_and(is_loopback))
}

/// A name of an API object: RFC 1123 labels joined by dots, 253 characters at most.
pub fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let bytes = label.as_bytes();
            edge(bytes.first())
                && edge(bytes.last())
                && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        })
}

/// A key in a Secret's data.
pub fn is_secret_key(key: &str) -> bool {
    !matches!(key, "" | "." | "..")
        && key.len() <= 253
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses_by_table() {
        type Check = fn(&str) -> bool;
        let table: [(&str, Check, &[&str], &[&str]); 9] = [
            ("boolean", |v| boolean(v).is_ok(), &["true", "false"], &["True", "yes", "", "1"]),
            ("list", |v| list(v).is_ok(), &["a", "a,b", " a , b "], &["", "a,", ",a", "a,a", "a,,b"]),
            (
                "mode",
                |v| mode(v).is_ok(),
                &["0444", "444", "0440", "0400", "0755"],
                &["", "4", "0044", "888", "01777", "rw", "+44", "0o44"],
            ),
            (
                "mount path",
                |v| mount_path(v).is_ok(),
                &["/run/x", "/run/x/", "/a"],
                &["", "/", "run", "/a//b", "/a/../b", "/a:b", "//", "/a\tb"],
            ),
            (
                "api url",
                |v| api_url(v).is_ok(),
                &[
                    "https://esc.example",
                    "https://esc.example:8443/api/esc/",
                    "http://127.0.0.1:1",
                    "http://[::1]:1",
                    "http://localhost",
                ],
                &[
                    "",
                    "esc.example",
                    "http://esc.example",
                    "https://user:pw@esc.example",
                    "ftp://esc.example",
                    "https://esc.example/?a=b",
                ],
            ),
            ("volume size", |v| volume_size(v).is_ok(), &["4Ki", "16Mi"], &["0", "1", "-1Mi", "big"]),
            (
                "command",
                |v| command(v).is_ok(),
                &[r#"["/app"]"#, r#"["/app","-x"]"#],
                &["/app", "[]", r#"[""]"#, r#"["a",1]"#, "{}"],
            ),
            (
                "timeout",
                |v| timeout(v).is_ok(),
                &["1s", "2m", "1h30m"],
                &["0s", "1ms", "25h", "-1s", "2", "2 m"],
            ),
            (
                "on-change",
                |v| on_change(v).is_ok(),
                &[
                    "none",
                    "restart",
                    "signal:SIGHUP",
                    "signal:SIGUSR1:nginx",
                    "http://127.0.0.1:80/x",
                    "https://reloader.example/x",
                ],
                &[
                    "",
                    "signal:",
                    "signal:SIGKILL",
                    "signal:SIGHUP:",
                    "reload",
                    "ftp://127.0.0.1",
                    "http://",
                    "http://127.0.0.1@evil.example/",
                    "http://127.0.0.1\\\\@evil.example/",
                ],
            ),
        ];
        for (what, check, good, bad) in table {
            for value in good {
                assert!(check(value), "{what} accepts `{value}`");
            }
            for value in bad {
                assert!(!check(value), "{what} refuses `{value}`");
            }
        }
    }

    #[test]
    fn knows_its_own_machine() {
        for (url, local) in [
            ("http://127.0.0.1:80/x", true),
            ("http://[::1]:80/x", true),
            ("http://localhost/x", true),
            ("http://127.0.0.1.evil.example/x", false),
            ("http://10.0.0.1/x", false),
        ] {
            assert_eq!(is_loopback_url(url), local, "{url}");
        }
    }

    #[test]
    fn service_root_is_kept() {
        assert_eq!(api_url("https://esc.example/api/esc/").as_deref(), Ok("https://esc.example"));
        assert_eq!(api_url("https://proxy.example/pulumi").as_deref(), Ok("https://proxy.example/pulumi"));
    }
}
