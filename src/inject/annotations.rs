//! Annotations ▶ [`Layer`](super::layer::Layer): every key is parsed into its type, and every problem is collected.

use std::{collections::BTreeMap, str::FromStr};

use super::{
    config,
    keys::{self, Family, Key, PREFIX, Parsed},
    layer::{Absent, File, Read, Resource, TokenSecret, Variable},
    problem::{Problem, Warning},
    subject::{Source, Subject},
    values,
};
use crate::{
    agent::plan,
    codes::{Code, annotations as codes},
    esc::{names::FileName, path::Path},
};

/// Reads the annotations of ours among `annotations`.
pub fn read<'a>(source: Source, annotations: impl Iterator<Item = (&'a str, &'a str)>) -> Read {
    let mut reader = Reader { source, out: Read::default() };
    // `config` last: what it repeats is then known.
    let mut config = None;
    for (full, value) in annotations {
        let key = match (source, full.strip_prefix(PREFIX)) {
            (_, Some(key)) => key,
            (Source::Operator, None) => full,
            _ => continue,
        };
        match keys::parse(key) {
            Ok(Parsed::Key(Key::Config)) => config = Some(value),
            Ok(Parsed::Key(key)) => reader.key(key, value),
            Ok(Parsed::Named(family, name)) => reader.named(family, name, value),
            Err(nearest) => {
                let hint = nearest.map_or_else(
                    || "docs/annotations.md lists the known ones".to_owned(),
                    |nearest| format!("did you mean `{PREFIX}{nearest}`?"),
                );
                reader.problem(codes::UNKNOWN_ANNOTATION, key, format!("no such annotation; {hint}"));
            }
        }
    }
    if let Some(text) = config {
        config::read(text, source, &mut reader.out);
    }
    reader.out
}

/// Whether the annotations hold a key of ours that asks for something.
pub fn ask<'a>(mut keys: impl Iterator<Item = &'a str>) -> bool {
    keys.any(|key| key.strip_prefix(PREFIX).is_some_and(|key| key != Key::Status.name()))
}

struct Reader {
    source: Source,
    out: Read,
}

impl Reader {
    fn subject(&self, key: &str) -> Subject {
        Subject::Annotation { source: self.source, key: key.to_owned() }
    }

    fn problem(&mut self, code: Code, key: &str, message: impl Into<String>) {
        let subject = self.subject(key);
        self.out.problems.push(Problem::invalid(code, subject, message));
    }

    /// The parsed value, or a problem and nothing.
    fn parsed<T>(&mut self, code: Code, key: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.problem(code, key, message)).ok()
    }

    /// The path; one that can't be read is a problem, and asks for its destination all the same.
    fn path(&mut self, key: &str, value: &str) -> Option<Path> {
        self.parsed(codes::PATH, key, from_text(value)).or_else(|| from_text(".").ok())
    }

    fn key(&mut self, key: Key, value: &str) {
        let name = key.name();
        let code = codes::VALUE;
        match key {
            Key::Environment => {
                let references = values::list(value).and_then(|names| {
                    names.iter().map(|name| from_text(name)).collect::<Result<Vec<_>, _>>()
                });
                self.out.layer.environments = self.parsed(codes::REFERENCE, name, references);
            }
            Key::Inject | Key::Status if self.source == Source::Pod => {
                if key == Key::Inject {
                    self.parsed(code, name, values::boolean(value));
                }
            }
            Key::Inject | Key::Status => {
                let subject = self.subject(name);
                let code = codes::NO_MEANING;
                let message = format!("{subject} has no meaning here and is ignored");
                self.out.warnings.push(Warning::new(code, subject, message));
            }
            Key::AllowedEnvironments => {
                if self.source != Source::Namespace {
                    self.problem(
                        codes::UNKNOWN_ANNOTATION,
                        name,
                        "belongs on the namespace, and nowhere else",
                    );
                }
            }
            Key::Projections => {
                self.out.layer.projections = self.parsed(code, name, values::projections(value));
            }
            Key::Containers => {
                let names = self.parsed(code, name, values::list(value));
                // Nobody, rather than everybody, whose troubles would be reported for nothing.
                self.out.layer.containers = Some(names.unwrap_or_default());
            }
            Key::MountPath => self.out.layer.mount_path = self.parsed(code, name, values::mount_path(value)),
            Key::OnFailure => self.out.layer.on_failure = self.parsed(code, name, values::on_failure(value)),
            Key::Timeout => self.out.layer.timeout = self.parsed(code, name, values::timeout(value)),
            Key::InitFirst => self.out.layer.init_first = self.parsed(code, name, values::boolean(value)),
            Key::TokenType => self.out.layer.token_type = self.parsed(code, name, from_text(value)),
            Key::ServiceAccountAudience => {
                self.out.layer.audience = self.parsed(code, name, values::not_blank(value));
            }
            Key::AccessTokenSecret => {
                self.out.layer.token_secret = self.parsed(code, name, token_secret(value));
            }
            Key::ApiUrl => self.out.layer.api_url = self.parsed(code, name, values::api_url(value)),
            Key::VolumeSize => {
                self.out.layer.volume_size = self.parsed(code, name, values::volume_size(value));
            }
            Key::LogLevel => self.out.layer.log_level = self.parsed(code, name, values::log_level(value)),
            Key::AgentCpuRequest => self.resource(key, Resource::CpuRequest, value),
            Key::AgentCpuLimit => self.resource(key, Resource::CpuLimit, value),
            Key::AgentMemoryRequest => self.resource(key, Resource::MemoryRequest, value),
            Key::AgentMemoryLimit => self.resource(key, Resource::MemoryLimit, value),
            Key::AgentEphemeralStorageRequest => self.resource(key, Resource::EphemeralStorageRequest, value),
            Key::AgentEphemeralStorageLimit => self.resource(key, Resource::EphemeralStorageLimit, value),
            Key::Refresh => {
                self.out.layer.refresh.interval = self.parsed(code, name, values::refresh(value));
            }
            Key::OnChange => {
                self.out.layer.refresh.on_change = self.parsed(code, name, values::on_change(value));
            }
            Key::RestartSpread => {
                self.out.layer.refresh.restart_spread = self.parsed(code, name, values::spread(value));
            }
            Key::MetricsPort => {
                self.out.layer.refresh.metrics_port = self.parsed(code, name, values::port(value));
            }
            Key::ShareProcessNamespace => {
                self.out.layer.refresh.share_processes = self.parsed(code, name, values::boolean(value));
            }
            Key::EnvMode => self.out.layer.env_mode = self.parsed(code, name, values::env_mode(value)),
            // Read by the caller, after everything else.
            Key::Config => {}
        }
    }

    fn resource(&mut self, key: Key, resource: Resource, value: &str) {
        let quantity = if value.is_empty() { Ok(None) } else { from_text(value).map(Some) };
        if let Some(quantity) = self.parsed(codes::VALUE, key.name(), quantity) {
            self.out.layer.resources.insert(resource, quantity);
        }
    }

    fn named(&mut self, family: Family, name: &str, value: &str) {
        let key = format!("{family}.{name}");
        match family {
            Family::Env => {
                let variable = self.parsed(codes::VARIABLE_NAME, &key, from_text(name));
                let path = self.path(&key, value);
                match (variable, path) {
                    (Some(variable), Some(path)) => {
                        let variable_asked =
                            Variable { path, format: None, absent: Absent::Refused, containers: None };
                        self.out.layer.variables.insert(variable, variable_asked);
                    }
                    _ => self.out.layer.names_unreadable = true,
                }
            }
            Family::Command => {
                let command = self.parsed(codes::VALUE, &key, values::command(value));
                // There is one, even where it can't be read.
                self.out.layer.commands.insert(name.to_owned(), command.unwrap_or_default());
            }
            Family::File | Family::Template | Family::Format | Family::Decode | Family::Mode => {
                self.file(family, name, &key, value);
            }
        }
    }

    fn file(&mut self, family: Family, name: &str, key: &str, value: &str) {
        let Some(file_name) = self.parsed::<FileName>(codes::FILE_NAME, key, from_text(name)) else {
            self.out.layer.names_unreadable |= matches!(family, Family::File | Family::Template);
            return;
        };
        let said = match family {
            Family::File => File { source: self.path(key, value).map(plan::Source::Path), ..File::default() },
            Family::Template => {
                let template = self.parsed(codes::VALUE, key, values::template(value)).unwrap_or_default();
                File { source: Some(plan::Source::Template(template)), ..File::default() }
            }
            Family::Format => {
                let format = self.parsed(codes::VALUE, key, values::format(value));
                File { format, ..File::default() }
            }
            Family::Decode => {
                let decode = self.parsed(codes::VALUE, key, values::decode(value));
                File { decode, ..File::default() }
            }
            _ => File { mode: self.parsed(codes::VALUE, key, values::mode(value)), ..File::default() },
        };
        let file = self.out.layer.files.entry(file_name).or_default();
        let is_twice = file.source.is_some() && said.source.is_some();
        *file = std::mem::take(file).overlaid(said);
        if is_twice {
            self.problem(codes::SAID_TWICE, key, "`file.` and `template.` name the same file");
        }
    }
}

/// `FromStr` with the error as a message.
fn from_text<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn token_secret(value: &str) -> Result<TokenSecret, String> {
    let (name, key) = value.split_once('/').unwrap_or((value, "accessToken"));
    if !values::is_dns_subdomain(name) {
        return Err(format!("`{name}` is no name of a Secret; write name or name/key"));
    }
    if !values::is_secret_key(key) {
        return Err(format!("`{key}` is no key of a Secret; write name or name/key"));
    }
    Ok(TokenSecret { name: name.to_owned(), key: key.to_owned() })
}

/// The patterns of a namespace's `allowed-environments`, if it has any.
pub fn allowed_environments(namespace: &BTreeMap<String, String>) -> Option<Vec<&str>> {
    let patterns = namespace.get(&format!("{PREFIX}{}", Key::AllowedEnvironments))?;
    Some(patterns.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()).collect())
}
