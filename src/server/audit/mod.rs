//! The audit log: one JSON line for every request that got as far as an environment, a token or an exchange.
//!
//! Who, what, on what, which revision, from where, and how it ended. Never a value, a token, a session or a body.
//! What is refused to callers who have not signed in may share lines (`denials`): there is no end to it.
//! Append-only; a line is in the file before the answer is on its way, and an answer that can't be recorded is not
//! given.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

mod denials;
mod entry;

use denials::Denials;
pub use entry::{Entry, Outcome};

/// Who does what is done without a server: whoever may write the directory.
pub(super) const LOCAL: &str = "local";

/// The address of a connection's other side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// The file.
#[derive(Debug)]
pub(super) struct Audit(Mutex<Log>);

#[derive(Debug)]
struct Log {
    lines: Lines,
    denials: Denials,
}

#[derive(Debug)]
struct Lines {
    file: File,
    /// Whether the last line may have no end: the next one then begins on a line of its own.
    torn: bool,
}

/// The audit log can't be written.
#[derive(Debug, thiserror::Error)]
#[error("can't write the audit log {}", path.display())]
pub struct AuditError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl Audit {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, AuditError> {
        let open = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
            let mut last = [b'\n'];
            if file.metadata()?.len() > 0 {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
            }
            let lines = Lines { file, torn: last != *b"\n" };
            Ok(Self(Mutex::new(Log { lines, denials: Denials::default() })))
        };
        open().map_err(|source| AuditError { path: path.to_owned(), source })
    }

    /// Adds a line.
    pub(super) fn record(&self, entry: &Entry) -> io::Result<()> {
        self.log().lines.write(entry)
    }

    /// Takes in what was refused to somebody who has not signed in: it has a line, or is counted in one.
    pub(super) fn refused(&self, entry: &Entry, now: u64) -> io::Result<()> {
        let Log { lines, denials } = &mut *self.log();
        denials.add(entry, now, &mut |line| lines.write(line))
    }

    /// Writes the lines of what was counted long enough.
    pub(super) fn write_due(&self, now: u64) -> io::Result<()> {
        let Log { lines, denials } = &mut *self.log();
        denials.write_due(now, &mut |line| lines.write(line))
    }

    /// Writes the lines of all that was counted.
    pub(super) fn write_rest(&self) -> io::Result<()> {
        let Log { lines, denials } = &mut *self.log();
        denials.write_rest(&mut |line| lines.write(line))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = if self.torn { b"\n".to_vec() } else { Vec::new() };
        serde_json::to_writer(&mut line, entry)?;
        line.push(b'\n');
        // One write, so that whoever ends the process leaves a line or none. A full disk may leave a part.
        self.torn = true;
        self.file.write_all(&line)?;
        self.torn = false;
        Ok(())
    }
}

/// What a request is called. None for what tells nothing about an environment: who somebody is.
pub(super) fn action(method: &http::Method, route: &str) -> Option<&'static str> {
    const ENVIRONMENT: &str = "/api/esc/environments/{organization}/{project}/{environment}";
    const ORGANIZATION: &str = "/api/esc/environments/{organization}";
    let changes = !matches!(method.as_str(), "GET" | "HEAD");
    let delete = method == http::Method::DELETE;
    if let Some(rest) = route.strip_prefix(ENVIRONMENT) {
        let rest = rest.strip_prefix("/versions/{version}").unwrap_or(rest);
        return Some(match rest {
            "" if delete => "environment.delete",
            "" if changes => "environment.update",
            "" => "environment.read",
            "/decrypt" | "/decrypt-secrets" => "environment.decrypt",
            "/encrypt-secrets" => "environment.encrypt",
            "/open" => "environment.open",
            "/open/{session}" | "/open//{session}" => "session.read",
            "/check" => "environment.check",
            "/clone" => "environment.clone",
            "/rotate" => "environment.rotate",
            "/retract" => "revision.retract",
            "/settings" if changes => "settings.change",
            "/versions/tags" | "/versions/tags/{tag}" if changes => "revision.tag",
            "/tags" | "/tags/{tag}" if changes => "environment.tag",
            _ => "environment.inspect",
        });
    }
    if let Some(rest) = route.strip_prefix(ORGANIZATION) {
        return Some(match rest {
            "" if changes => "environment.create",
            "/restore" if changes => "environment.restore",
            "/yaml/open" => "definition.open",
            "/yaml/check" => "definition.check",
            "/yaml/open/{session}" | "/yaml/open//{session}" => "session.read",
            _ => "environment.list",
        });
    }
    match route {
        "/api/oauth/token" => Some("token.exchange"),
        "/api/esc/environments" => Some("environment.list"),
        "/api/esc-injector/tokens" if changes => Some("token.create"),
        "/api/esc-injector/tokens/{id}" => Some("token.revoke"),
        "/api/esc-injector/tokens" => Some("token.list"),
        "/api/esc-injector/grants/{organization}/{project}/{environment}" if changes => Some("grant.change"),
        "/api/esc-injector/grants/{organization}/{project}/{environment}" => Some("grant.list"),
        "/api/orgs/{organization}/teams/{team}" => Some("grant.change"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Audit, Entry, Outcome, action};

    #[test]
    fn a_line_that_was_cut_off_spoils_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let entry = Entry::new(1_769_817_600, "environment.open", 401);
        Audit::open(&path).unwrap().record(&entry).unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, b"{\"time\":").unwrap();
        let audit = Audit::open(&path).unwrap();
        audit.record(&entry).unwrap();
        audit.record(&entry).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().map(|line| serde_json::from_str::<Entry>(line).ok()).collect();
        assert_eq!(lines, [Some(entry.clone()), None, Some(entry.clone()), Some(entry)]);
    }

    #[test]
    fn requests_have_names() {
        let environment = "/api/esc/environments/{organization}/{project}/{environment}";
        for (method, rest, expected) in [
            (Method::GET, "", "environment.read"),
            (Method::PATCH, "", "environment.update"),
            (Method::DELETE, "", "environment.delete"),
            (Method::GET, "/versions/{version}/decrypt", "environment.decrypt"),
            (Method::POST, "/versions/{version}/open", "environment.open"),
            (Method::GET, "/open//{session}", "session.read"),
            (Method::GET, "/versions", "environment.inspect"),
            (Method::GET, "/versions/tags", "environment.inspect"),
            (Method::POST, "/versions/tags", "revision.tag"),
            (Method::DELETE, "/tags/{tag}", "environment.tag"),
        ] {
            assert_eq!(action(&method, &format!("{environment}{rest}")), Some(expected), "{method} {rest}");
        }
        assert_eq!(action(&Method::POST, "/api/oauth/token"), Some("token.exchange"));
        assert_eq!(action(&Method::GET, "/api/user"), None);
        assert_eq!(
            [200, 204, 401, 404, 409, 500].map(Outcome::of),
            [
                Outcome::Allowed,
                Outcome::Allowed,
                Outcome::Denied,
                Outcome::Denied,
                Outcome::Failed,
                Outcome::Failed
            ]
        );
    }
}
