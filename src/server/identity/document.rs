//! The file that says which issuers are trusted, and for what: read strictly, because a word that is passed over could
//! be the one that denies.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    super::jwt::KeySet,
    Issuer, Trust,
    keys::{Fetched, Source, check_key_set, https},
    policies::{ClaimPath, Decision, Glob, Kind, Policy},
};
use crate::{
    esc::{duration, reference::check_organization},
    yaml::{self, Dialect, Mark, Node, NodeKind, Scalar},
};

/// Largest file that is read: policies of hundreds of teams, key sets included.
const MAX_FILE: usize = 1 << 20;

/// What an issuer may say of itself, in the order of the documentation.
const ISSUER: &[&str] = &[
    "name",
    "url",
    "organization",
    "jwks",
    "jwksFile",
    "jwksUri",
    "caFile",
    "jwksTokenFile",
    "audiences",
    "maxExpiration",
    "maxTokenAge",
    "policies",
];

const POLICY: &[&str] = &["decision", "tokenType", "teamName", "userLogin", "rules"];

/// Why a file of issuers can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {message}", path.display(), Place(*at))]
pub struct DocumentError {
    /// The file.
    pub path: PathBuf,
    /// Line and column of what is wrong, if it has a place; both from 1 on.
    pub at: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
}

struct Place(Option<(usize, usize)>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// What is wrong, and where.
struct Wrong {
    at: Mark,
    message: String,
}

type Read<T> = Result<T, Wrong>;

fn wrong<T>(node: &Node, message: impl Into<String>) -> Read<T> {
    Err(Wrong { at: node.start, message: message.into() })
}

/// Reads issuers and their policies. Files that they name are relative to this one. Blocks.
pub fn read(path: &Path) -> Result<Vec<Issuer>, DocumentError> {
    let failed = |at, message| DocumentError { path: path.to_owned(), at, message };
    let text = fs::read_to_string(path).map_err(|error| failed(None, error.to_string()))?;
    if text.len() > MAX_FILE {
        return Err(failed(None, format!("it is larger than {MAX_FILE} bytes")));
    }
    let documents = yaml::parse(&text)
        .map_err(|error| failed(Some((error.mark.line, error.mark.column)), error.message))?;
    let [document] = documents.as_slice() else {
        return Err(failed(None, "it must hold one document".to_owned()));
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    issuers(document, folder).map_err(|Wrong { at, message }| failed(Some((at.line, at.column)), message))
}

fn issuers(document: &Node, folder: &Path) -> Read<Vec<Issuer>> {
    let top = Fields::read(document, "the file", &["issuers"])?;
    let mut found: Vec<Issuer> = Vec::new();
    for node in list(top.required("issuers")?)? {
        let issuer = issuer(node, folder)?;
        let same = |other: &&Issuer| (&other.url, &other.organization) == (&issuer.url, &issuer.organization);
        if let Some(other) = found.iter().find(same) {
            let message = format!(
                "`{}` and `{}` are the same issuer for the same organization",
                other.name, issuer.name
            );
            return wrong(node, message);
        }
        if found.iter().any(|other| other.name == issuer.name) {
            return wrong(node, format!("there are two issuers with the name `{}`", issuer.name));
        }
        found.push(issuer);
    }
    if found.is_empty() {
        return wrong(document, "there is no issuer in it");
    }
    Ok(found)
}

fn issuer(node: &Node, folder: &Path) -> Read<Issuer> {
    let fields = Fields::read(node, "an issuer", ISSUER)?;
    let url = fields.required("url")?;
    let parsed = https(text(url)?)
        .map_or_else(|| wrong(url, "it must be an https URL, exactly as the `iss` of tokens"), Ok)?;
    let url = text(url)?.to_owned();
    let organization = match fields.get("organization") {
        None => None,
        Some(node) => {
            let name = text(node)?;
            check_organization(name).or_else(|reason| wrong(node, reason))?;
            Some(name.to_owned())
        }
    };
    let keys = keys(&fields, parsed, folder)?;
    let audiences = match fields.get("audiences") {
        None => Vec::new(),
        Some(node) => list(node)?.iter().map(|item| text(item).map(str::to_owned)).collect::<Read<_>>()?,
    };
    let policies = list(fields.required("policies")?)?.iter().map(policy).collect::<Read<Vec<_>>>()?;
    if !policies.iter().any(|policy| policy.decision == Decision::Allow) {
        return wrong(
            fields.required("policies")?,
            "no policy allows anything, so that nobody could sign in",
        );
    }
    Ok(Issuer {
        name: text(fields.required("name")?)?.to_owned(),
        url,
        organization,
        keys,
        audiences,
        max_expiration: fields.get("maxExpiration").map(time).transpose()?,
        max_token_age: fields.get("maxTokenAge").map(time).transpose()?,
        trust: Trust::Policies(policies),
    })
}

fn keys(fields: &Fields<'_>, url: reqwest::Url, folder: &Path) -> Read<Source> {
    let fetched = match (fields.get("jwks"), fields.get("jwksFile")) {
        (Some(node), None) => match scalar(node) {
            Some("fetch") => true,
            Some(_) => return wrong(node, "it must be `fetch` or a JSON Web Key Set"),
            None => false,
        },
        (None, Some(_)) => false,
        (Some(_), Some(node)) => return wrong(node, "give `jwks` or `jwksFile`, not both"),
        (None, None) => return wrong(fields.node, "`jwks` or `jwksFile` is missing"),
    };
    if !fetched
        && let Some(node) = ["jwksUri", "caFile", "jwksTokenFile"].iter().find_map(|name| fields.get(name))
    {
        return wrong(node, "only keys that are fetched need this: `jwks: fetch`");
    }
    if let Some(node) = fields.get("jwksFile") {
        let path = folder.join(text(node)?);
        check_key_set(&path).or_else(|reason| wrong(node, format!("{}: {reason}", path.display())))?;
        return Ok(Source::File(path));
    }
    let jwks = fields.required("jwks")?;
    if !fetched {
        let json = yaml::to_json(jwks, Dialect::Esc)
            .map_err(|error| Wrong { at: error.mark, message: error.message })?;
        let keys =
            KeySet::parse(json.to_string().as_bytes()).or_else(|error| wrong(jwks, error.to_string()))?;
        return Ok(Source::Inline(Arc::new(keys)));
    }
    let key_set = match fields.get("jwksUri") {
        None => None,
        Some(node) => match https(text(node)?) {
            Some(url) => Some(url),
            None => return wrong(node, "it must be an https URL"),
        },
    };
    let authorities = match fields.get("caFile") {
        None => None,
        Some(node) => {
            let path = folder.join(text(node)?);
            let read = fs::read_to_string(&path);
            Some(read.or_else(|error| wrong(node, format!("{}: {error}", path.display())))?)
        }
    };
    let token_file = match fields.get("jwksTokenFile") {
        None => None,
        Some(node) => {
            let path = folder.join(text(node)?);
            // Only tried: it is read anew each time.
            let read = fs::File::open(&path);
            read.or_else(|error| wrong(node, format!("{}: {error}", path.display())))?;
            Some(path)
        }
    };
    let place = fields.get("caFile").unwrap_or(jwks);
    let fetched = Fetched::new(url, key_set, authorities.as_deref(), token_file)
        .or_else(|reason| wrong(place, reason))?;
    Ok(Source::Fetched(Box::new(fetched)))
}

fn policy(node: &Node) -> Read<Policy> {
    let fields = Fields::read(node, "a policy", POLICY)?;
    let decision = fields.required("decision")?;
    let decision = match text(decision)? {
        "allow" => Decision::Allow,
        "deny" => Decision::Deny,
        _ => return wrong(decision, "it must be `allow` or `deny`"),
    };
    let name = |wanted: &str, other: &str| {
        if let Some(node) = fields.get(other) {
            return wrong(node, format!("`{other}` does not belong to this `tokenType`"));
        }
        glob(fields.required(wanted)?)
    };
    let kind = fields.required("tokenType")?;
    let kind = match text(kind)? {
        "organization" => match fields.get("teamName").or(fields.get("userLogin")) {
            Some(node) => return wrong(node, "an organization's token has no team and no user"),
            None => Kind::Organization,
        },
        "team" => Kind::Team(name("teamName", "userLogin")?),
        "personal" => Kind::Personal(name("userLogin", "teamName")?),
        _ => return wrong(kind, "it must be `organization`, `team` or `personal`"),
    };
    let rules = fields.required("rules")?;
    let mut read = Vec::new();
    for (key, pattern) in pairs(rules, "the rules")? {
        let path = text(key).and_then(|text| ClaimPath::parse(text).or_else(|reason| wrong(key, reason)))?;
        read.push((path, glob(pattern)?));
    }
    if read.is_empty() {
        return wrong(rules, "there must be a rule: `sub: \"*\"` fits everybody");
    }
    Ok(Policy { decision, kind, rules: read })
}

fn glob(node: &Node) -> Read<Glob> {
    Glob::parse(text(node)?).or_else(|reason| wrong(node, reason))
}

/// Seconds, or a text such as `90m`.
fn time(node: &Node) -> Read<Duration> {
    let parsed = match yaml::resolve(node, Dialect::Esc) {
        Some(Scalar::Number(seconds)) => seconds.parse().ok().map(Duration::from_secs),
        Some(Scalar::String(text)) => duration::parse(&text).ok(),
        _ => None,
    };
    match parsed {
        Some(time) if time.as_secs() > 0 => Ok(time),
        _ => wrong(node, "it must be a time of at least a second, such as `90m`, or a number of seconds"),
    }
}

/// The entries of a mapping that may have only known keys.
struct Fields<'n> {
    node: &'n Node,
    entries: BTreeMap<&'n str, &'n Node>,
}

impl<'n> Fields<'n> {
    fn read(node: &'n Node, what: &str, known: &[&str]) -> Read<Self> {
        let mut entries = BTreeMap::new();
        for (key, value) in pairs(node, what)? {
            let name = text(key)?;
            if !known.contains(&name) {
                return wrong(key, format!("{what} has no `{name}`: it can have {}", known.join(", ")));
            }
            if entries.insert(name, value).is_some() {
                return wrong(key, format!("`{name}` is there twice"));
            }
        }
        Ok(Self { node, entries })
    }

    fn get(&self, name: &str) -> Option<&'n Node> {
        self.entries.get(name).copied()
    }

    fn required(&self, name: &str) -> Read<&'n Node> {
        self.get(name).map_or_else(|| wrong(self.node, format!("`{name}` is missing")), Ok)
    }
}

fn pairs<'n>(node: &'n Node, what: &str) -> Read<&'n [(Node, Node)]> {
    match &node.kind {
        NodeKind::Mapping(pairs, _) => Ok(pairs),
        _ => wrong(node, format!("{what} must be a mapping")),
    }
}

fn list(node: &Node) -> Read<&[Node]> {
    match &node.kind {
        NodeKind::Sequence(items, _) => Ok(items),
        _ => wrong(node, "it must be a list"),
    }
}

/// A text; `yes` and `1` are none without quotes.
fn text(node: &Node) -> Read<&str> {
    match (yaml::resolve(node, Dialect::Esc), scalar(node)) {
        (Some(Scalar::String(_)), Some(text)) if !text.is_empty() => Ok(text),
        _ => wrong(node, "it must be a text, and not an empty one"),
    }
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.kind {
        NodeKind::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write};

    use super::read;

    const KEYS: &str = include_str!("../../../tests/server/fixtures/rs256.jwks.json");

    /// What reading it says: how many issuers there are, or what is wrong.
    fn file(text: &str) -> String {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("F");
        for (name, text) in [("F", text), ("k", KEYS), ("token", "t")] {
            File::create_new(place.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
        }
        match read(&path) {
            Ok(issuers) => issuers.len().to_string(),
            Err(error) => error.to_string().replace(path.to_str().unwrap(), "F"),
        }
    }

    fn issuer(change: &str) -> String {
        let lines = [
            "name: a",
            "url: https://i.test",
            "jwksFile: k",
            "policies: [{decision: allow, tokenType: organization, rules: {sub: x}}]",
        ];
        let mut text = String::from("issuers:\n-");
        let (key, _) = change.split_once(':').unwrap();
        let kept = lines.iter().filter(|line| !line.starts_with(&format!("{key}:")));
        for line in kept.copied().chain([change].into_iter().filter(|change| !change.ends_with(": -"))) {
            text += &["  ", line, "\n "].concat();
        }
        text.replace("-  ", "- ").replace("\n   ", "\n  ")
    }

    #[test]
    fn reads_what_pulumi_cloud_calls_by_the_same_words() {
        let keys = KEYS.trim();
        let text = format!(
            "issuers:\n- name: one\n  url: https://i.test\n  organization: acme\n  jwks: {keys}\n  maxExpiration: 3600\n  \
             maxTokenAge: 90m\n  audiences: [x]\n  policies:\n  - decision: allow\n    tokenType: team\n    \
             teamName: pay*\n    rules:\n      aud: urn:pulumi:org:acme\n      '\"kubernetes.io\".namespace': shop\n  - {{decision: \
             deny, tokenType: personal, userLogin: jo, rules: {{sub: '*'}}}}\n- name: two\n  url: https://i.test\n  jwks: \
             fetch\n  jwksUri: https://j.test/keys\n  jwksTokenFile: token\n  policies: [{{decision: allow, tokenType: \
             organization, rules: {{sub: x}}}}]\n"
        );
        assert_eq!(file(&text), "2");
    }

    #[test]
    fn tells_where_something_is_wrong() {
        for (text, expected) in [
            ("", "F: it must hold one document"),
            ("a: 1", "F:1:1: the file has no `a`: it can have issuers"),
            ("issuers: {}", "F:1:10: it must be a list"),
            ("issuers: []", "F:1:1: there is no issuer in it"),
            ("issuers: [", "F:1:10: "),
            (&issuer("name: -"), "F:2:3: `name` is missing"),
            (&issuer("url: http://i.test"), "F:5:8: it must be an https URL"),
            (&issuer("url: https://u:p@i.test"), "F:5:8: it must be an https URL"),
            (&issuer("organization: x"), "F:6:17: "),
            (&issuer("jwksFile: -"), "F:2:3: `jwks` or `jwksFile` is missing"),
            (&issuer("jwks: fetch"), "F:4:13: give `jwks` or `jwksFile`, not both"),
            (&issuer("jwksUri: https://j.test"), "F:6:12: only keys that are fetched need this"),
            (&issuer("maxTokenAge: soon"), "F:6:16: it must be a time"),
            (&issuer("maxTokenAge: 0"), "F:6:16: it must be a time"),
            (&issuer("audiences: x"), "F:6:14: it must be a list"),
            (&issuer("policys: []"), "F:6:3: an issuer has no `policys`"),
            (&issuer("policies: []"), "F:5:13: no policy allows anything"),
            (&issuer("policies: [{decision: maybe}]"), "F:5:25: it must be `allow` or `deny`"),
            (&issuer("policies: [{decision: allow, tokenType: team}]"), "F:5:14: `teamName` is missing"),
            (
                &issuer("policies: [{decision: allow, tokenType: runner}]"),
                "F:5:43: it must be `organization`, `team` or `personal`",
            ),
            (
                &issuer("policies: [{decision: allow, tokenType: organization, userLogin: jo}]"),
                "F:5:68: an organization's token has no team and no user",
            ),
            (
                &issuer("policies: [{decision: allow, tokenType: organization, rules: {}}]"),
                "F:5:64: there must be a rule",
            ),
            (
                &issuer(
                    "policies: [{decision: deny, tokenType: organization, rules: {kubernetes.io.namespace: x}}]",
                ),
                "F:5:64: the key `kubernetes.io` has a dot and needs quotes",
            ),
        ] {
            let error = file(text);
            assert!(
                error.starts_with(expected),
                "{text}
{error}"
            );
        }
        let one = issuer("name: a");
        let twice = format!("{}\n{}", one.trim_end(), one.trim_start_matches("issuers:\n"));
        assert!(file(&twice).contains("are the same issuer"), "{twice}");
    }
}
