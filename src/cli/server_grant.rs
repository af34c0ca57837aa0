//! `esc-injector server grant`, `revoke` and `grants`: what teams and users may do with an environment.

use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::{
    exit::{Exit, Failure},
    output,
    server_token::{Place, Where},
};
use crate::server::{Grantee, Right};

/// Where the running server manages grants.
const PATH: &str = "/api/esc-injector/grants";

/// Give a team or a user a right on an environment, instead of what they were given before.
#[derive(Debug, clap::Args)]
pub struct Grant {
    /// organization/project/environment
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    /// What they may do; each includes those before it
    #[arg(value_enum)]
    right: Word,
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    place: Where,
}

/// Take away what a team or a user was given of an environment.
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// organization/project/environment
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    place: Where,
}

/// List what teams and users were given of an environment.
#[derive(Debug, clap::Args)]
pub struct List {
    /// organization/project/environment
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// A team of the organization
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// A user of the organization
    #[arg(long, value_name = "LOGIN")]
    user: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Word {
    Read,
    Open,
    Write,
    Admin,
}

impl From<Word> for Right {
    fn from(word: Word) -> Self {
        match word {
            Word::Read => Self::Read,
            Word::Open => Self::Open,
            Word::Write => Self::Write,
            Word::Admin => Self::Admin,
        }
    }
}

impl Whom {
    fn grantee(self) -> Result<Grantee, Failure> {
        match (self.team, self.user) {
            (Some(name), None) => Ok(Grantee::Team(name)),
            (None, Some(login)) => Ok(Grantee::User(login)),
            _ => Err(Failure::new(Exit::Usage, "give --team or --user")),
        }
    }
}

/// Runs `grant`.
pub fn grant(args: Grant) -> Result<ExitCode, Failure> {
    change(&args.environment, &args.whom.grantee()?, Some(args.right.into()), args.place)
}

/// Runs `revoke`.
pub fn revoke(args: Revoke) -> Result<ExitCode, Failure> {
    change(&args.environment, &args.whom.grantee()?, None, args.place)
}

fn change(
    environment: &str,
    grantee: &Grantee,
    right: Option<Right>,
    place: Where,
) -> Result<ExitCode, Failure> {
    match place.open(false)? {
        Place::Data(kept) => kept
            .grant(environment, grantee, right)
            .map_err(|error| Failure::from_error(Exit::Data, &error))?,
        Place::Server(server) => {
            let body = json!({ "grantee": grantee, "right": right });
            server.ask("PUT", &path(environment)?, Some(&body))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `grants`.
pub fn list(args: List) -> Result<ExitCode, Failure> {
    let rows: Vec<Json> = match args.place.open(false)? {
        Place::Data(kept) => kept
            .grants(&args.environment)
            .map_err(|error| Failure::from_error(Exit::Data, &error))?
            .into_iter()
            .map(|(grantee, right)| json!({ "grantee": grantee, "right": right }))
            .collect(),
        Place::Server(server) => {
            let mut answer = server.ask("GET", &path(&args.environment)?, None)?;
            match answer.get_mut("grants").map(Json::take) {
                Some(Json::Array(rows)) => rows,
                _ => return Err(Failure::new(Exit::Unreachable, "the server's answer holds no grants")),
            }
        }
    };
    output::print(|out| rows.iter().try_for_each(|row| writeln!(out, "{row}")))?;
    Ok(ExitCode::SUCCESS)
}

fn path(environment: &str) -> Result<String, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let parts: Vec<_> = environment.split('/').collect();
    if parts.len() == 3 && parts.iter().all(|part| !part.is_empty() && part.chars().all(plain)) {
        return Ok(format!("{PATH}/{environment}"));
    }
    Err(Failure::new(Exit::Data, format!("`{environment}` is no organization/project/environment")))
}
