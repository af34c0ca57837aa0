//! `esc-injector server token`: access tokens of a server that keeps environments.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use serde_json::{Value as Json, json};

use super::{
    exit::{Exit, Failure},
    output,
};
use crate::{
    client::{AccessError, Answered, Budget, Cause, Client, Repeat, Settings},
    esc::duration,
    secret::Secret,
    server::{Kept, tokens::Holder},
};

/// How long a command waits for the server.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the running server manages its tokens.
const PATH: &str = "/api/esc-injector/tokens";

/// Make, list and revoke access tokens of a server with --data.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token and print it, this once
    Create(Create),
    /// List the tokens
    List(Where),
    /// Revoke a token: it counts no more from this moment on
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("place").args(["data", "api_url"]).required(true).multiple(true))]
pub(super) struct Where {
    /// Data directory of a server that is stopped; goes before the address
    // Without a variable: the one of the address is often set, and both would be named.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Key file of the data directory [default: DIR/key]
    #[arg(long, value_name = "FILE", requires = "data")]
    key_file: Option<PathBuf>,
    /// Address of a server that runs; `PULUMI_ACCESS_TOKEN` holds an operator's token
    #[arg(long, env = "PULUMI_BACKEND_URL", value_name = "URL")]
    api_url: Option<String>,
    /// File with the operator's token instead
    #[arg(long, value_name = "FILE", requires = "api_url")]
    token_file: Option<PathBuf>,
    /// Authorities to trust besides the public ones, in PEM
    // Without `requires`: the variable is set for `get` and `run`, too, and means nothing for a directory.
    #[arg(long, env = "ESC_INJECTOR_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Create {
    #[command(flatten)]
    place: Where,
    /// What the token is for
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// The organization that it covers [default: all of them, and this makes it an operator's]
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// A token of this team, which opens what the team may open
    #[arg(long, value_name = "NAME", requires = "organization", conflicts_with_all = ["user", "admin"])]
    team: Option<String>,
    /// A token of this user, who does what --user-rights of the server and grants say
    #[arg(long, value_name = "LOGIN", requires = "organization", conflicts_with = "admin")]
    user: Option<String>,
    /// A token that may do everything in the organization
    #[arg(long, requires = "organization")]
    admin: bool,
    /// How long it lives, such as 720h [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    expires: Option<Duration>,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    #[command(flatten)]
    place: Where,
    /// The token's id, as `list` shows it
    #[arg(value_name = "ID")]
    id: String,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Create(create) => create.run(),
        Command::List(place) => list(place),
        Command::Revoke(Revoke { place, id }) => revoke(place, &id),
    }
    .map(|()| ExitCode::SUCCESS)
}

impl Create {
    fn run(self) -> Result<(), Failure> {
        // An organization is in a directory that a server has made.
        let create = self.organization.is_none();
        let holder = match (self.organization, self.team, self.user) {
            (None, ..) => Holder::Operator,
            (Some(organization), Some(team), _) => Holder::Team { organization, team },
            (Some(organization), None, Some(login)) => Holder::User { organization, login },
            (Some(organization), None, None) => Holder::Organization { organization, admin: self.admin },
        };
        let (id, token) = match self.place.open(create)? {
            Place::Data(tokens) => tokens
                .create(self.name, holder, self.expires)
                .map_err(|error| Failure::from_error(Exit::Data, &error))?,
            Place::Server(server) => {
                let lifetime = self.expires.map(|lifetime| lifetime.as_secs());
                let body = json!({ "name": self.name, "holder": holder, "lifetime": lifetime });
                let answer = server.ask("POST", PATH, Some(&body))?;
                let text = |name: &str| answer.get(name).and_then(Json::as_str).map(str::to_owned);
                match (text("id"), text("token")) {
                    (Some(id), Some(token)) => (id, Secret::from(token)),
                    _ => return Err(Failure::new(Exit::Unreachable, "the server's answer holds no token")),
                }
            }
        };
        // The token alone on standard output, for scripts.
        let _ = std::io::Write::write_fmt(
            &mut anstream::stderr(),
            format_args!("token {id}, shown this once:\n"),
        );
        output::print(|out| writeln!(out, "{}", token.expose_str().unwrap_or_default()))
    }
}

fn list(place: Where) -> Result<(), Failure> {
    let rows: Vec<Json> = match place.open(false)? {
        Place::Data(tokens) => {
            let tokens = tokens.list().map_err(|error| Failure::from_error(Exit::Internal, &error))?;
            tokens.iter().map(crate::server::tokens::Token::described).collect()
        }
        Place::Server(server) => match server.ask("GET", PATH, None)?.get_mut("tokens").map(Json::take) {
            Some(Json::Array(rows)) => rows,
            _ => return Err(Failure::new(Exit::Unreachable, "the server's answer holds no tokens")),
        },
    };
    output::print(|out| rows.iter().try_for_each(|row| writeln!(out, "{row}")))
}

fn revoke(place: Where, id: &str) -> Result<(), Failure> {
    let unknown = || Failure::new(Exit::Data, format!("there is no token `{id}`"));
    match place.open(false)? {
        Place::Data(tokens) => match tokens.revoke(id) {
            Ok(true) => Ok(()),
            Ok(false) => Err(unknown()),
            Err(error) => Err(Failure::from_error(Exit::Internal, &error)),
        },
        Place::Server(server) => {
            if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(unknown());
            }
            server.ask("DELETE", &format!("{PATH}/{id}"), None).map(|_| ())
        }
    }
}

pub(super) enum Place {
    Data(Kept),
    Server(Box<Server>),
}

pub(super) struct Server {
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Where {
    /// `create` makes a data directory that is not there.
    pub(super) fn open(self, create: bool) -> Result<Place, Failure> {
        match (self.data, self.api_url.filter(|url| !url.is_empty())) {
            (Some(directory), _) => {
                let kept = if create {
                    Kept::open_or_create(&directory, self.key_file)
                } else {
                    Kept::open(&directory, self.key_file)
                };
                kept.map(Place::Data).map_err(|error| Failure::from_error(Exit::Configuration, &error))
            }
            (None, Some(url)) => {
                let ca = self.ca_file.as_deref().map(super::access::read_ca).transpose()?;
                let settings =
                    Settings { url, ca, https_proxy: None, no_proxy: None, opens: Repeat::WithCare };
                let credentials = super::access::credentials(self.token_file)?;
                let client =
                    Client::new(&settings, credentials).map_err(|error| super::access::failure(&error))?;
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                        Failure::new(Exit::Internal, format!("starting the runtime: {error}"))
                    })?;
                Ok(Place::Server(Box::new(Server { client, runtime })))
            }
            (None, None) => Err(Failure::new(Exit::Usage, "give --data or --api-url")),
        }
    }
}

impl Server {
    pub(super) fn ask(&self, method: &'static str, path: &str, body: Option<&Json>) -> Result<Json, Failure> {
        let budget = Budget::once(PATIENCE);
        let asked = self.runtime.block_on(self.client.ask(method, path, body, &budget));
        let Answered { status, body } = asked.map_err(|error: AccessError| match error.cause {
            Cause::NoToken { .. } => Failure::from_error(Exit::Configuration, &error),
            _ => super::access::failure(&error),
        })?;
        let json = serde_json::from_slice::<Json>(body.expose()).unwrap_or_default();
        if (200..300).contains(&status) {
            return Ok(json);
        }
        let exit = match status {
            401 | 403 => Exit::Denied,
            400 | 404 => Exit::Data,
            _ => Exit::Unreachable,
        };
        let message = json.get("message").and_then(Json::as_str).unwrap_or("it gave no reason");
        Err(Failure::new(exit, format!("the server refuses ({status}): {message}")))
    }
}
