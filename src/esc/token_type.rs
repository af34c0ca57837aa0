//! Which kind of ESC access token a pod's identity is exchanged for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// `organization`, `team:NAME` or `personal:LOGIN`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TokenType {
    /// Acts for the whole organization.
    #[default]
    Organization,
    /// Acts for one team.
    Team(String),
    /// Acts for one user.
    Personal(String),
}

/// The text names no token type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no token type: use `organization`, `team:NAME` or `personal:LOGIN`")]
pub struct TokenTypeError(String);

impl TokenType {
    /// The RFC 8693 `requested_token_type`.
    pub fn urn(&self) -> &'static str {
        match self {
            Self::Organization => "urn:pulumi:token-type:access_token:organization",
            Self::Team(_) => "urn:pulumi:token-type:access_token:team",
            Self::Personal(_) => "urn:pulumi:token-type:access_token:personal",
        }
    }

    /// The `scope` of the exchange: empty, `team:NAME` or `user:LOGIN`.
    pub fn scope(&self) -> String {
        match self {
            Self::Organization => String::new(),
            Self::Team(name) => format!("team:{name}"),
            Self::Personal(login) => format!("user:{login}"),
        }
    }
}

impl FromStr for TokenType {
    type Err = TokenTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "organization" => Ok(Self::Organization),
            Some(("team", name)) if !name.is_empty() => Ok(Self::Team(name.to_owned())),
            Some(("personal", login)) if !login.is_empty() => Ok(Self::Personal(login.to_owned())),
            _ => Err(TokenTypeError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for TokenType {
    type Error = TokenTypeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TokenType> for String {
    fn from(kind: TokenType) -> Self {
        kind.to_string()
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization => f.write_str("organization"),
            Self::Team(name) => write!(f, "team:{name}"),
            Self::Personal(login) => write!(f, "personal:{login}"),
        }
    }
}
