//! `esc-injector server audit`: reads the audit log.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::ExitCode,
};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{
    exit::{Exit, Failure},
    output,
};
use crate::{
    esc::pattern::Pattern,
    server::{
        audit::{Entry, Outcome},
        audit_log,
    },
};

/// Show lines of the audit log, oldest first, as they are in it.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("log").args(["data", "audit_log"]).required(true).multiple(true))]
pub struct Args {
    /// Data directory
    #[arg(long, env = "ESC_INJECTOR_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// The audit log, where it is not in the data directory
    #[arg(long, env = "ESC_INJECTOR_AUDIT_LOG", value_name = "FILE")]
    audit_log: Option<PathBuf>,
    /// Only what this login or subject did, with * as wildcard
    #[arg(long, value_name = "PATTERN")]
    actor: Option<String>,
    /// Only what was done, such as environment.open or environment.*
    #[arg(long, value_name = "PATTERN")]
    action: Option<String>,
    /// Only what was done to this, such as acme/shop/*
    #[arg(long, value_name = "PATTERN")]
    target: Option<String>,
    /// Only what ended so
    #[arg(long, value_enum, value_name = "OUTCOME")]
    outcome: Option<Ended>,
    /// Only from this time on: 2026-01-31 or 2026-01-31T12:00:00Z, in UTC where no offset is given
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Ended {
    Allowed,
    Denied,
    Failed,
}

fn time(text: &str) -> Result<Timestamp, String> {
    let without_offset = || {
        let time: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(time).ok()
    };
    text.parse().ok().or_else(without_offset).ok_or_else(|| {
        "expected a date such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z".to_owned()
    })
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let path = match (&args.audit_log, &args.data) {
        (Some(path), _) => path.clone(),
        (None, Some(data)) => audit_log(data),
        (None, None) => return Err(Failure::new(Exit::Usage, "give --data or --audit-log")),
    };
    let unusable = |error: std::io::Error| {
        Failure::new(Exit::Configuration, format!("reading {}: {error}", path.display()))
    };
    let filter = Filter::new(args);
    let mut lines = BufReader::new(File::open(&path).map_err(unusable)?).lines();
    let mut broken = 0_usize;
    output::print(|out| {
        lines.try_for_each(|line| {
            let line = line?;
            match serde_json::from_str::<Entry>(&line).ok().and_then(|entry| filter.wants(&entry)) {
                Some(true) => writeln!(out, "{line}"),
                Some(false) => Ok(()),
                // A crash, or a full disk, in the midst of a line.
                None => {
                    broken += 1;
                    Ok(())
                }
            }
        })
    })?;
    if broken > 0 {
        return Err(Failure::new(Exit::Data, format!("{broken} lines can't be read")));
    }
    Ok(ExitCode::SUCCESS)
}

struct Filter {
    actor: Option<Pattern>,
    action: Option<Pattern>,
    target: Option<Pattern>,
    outcome: Option<Outcome>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Filter {
    fn new(args: Args) -> Self {
        Self {
            actor: args.actor.map(Pattern::new),
            action: args.action.map(Pattern::new),
            target: args.target.map(Pattern::new),
            outcome: args.outcome.map(|outcome| match outcome {
                Ended::Allowed => Outcome::Allowed,
                Ended::Denied => Outcome::Denied,
                Ended::Failed => Outcome::Failed,
            }),
            since: args.since,
            until: args.until,
        }
    }

    /// None for an entry whose time is none.
    fn wants(&self, entry: &Entry) -> Option<bool> {
        let fits = |pattern: &Option<Pattern>, text: &Option<String>| {
            pattern.as_ref().is_none_or(|pattern| text.as_ref().is_some_and(|text| pattern.matches(text)))
        };
        let time: Timestamp = entry.time.parse().ok()?;
        let wanted = (fits(&self.actor, &entry.actor) || fits(&self.actor, &entry.subject))
            && self.action.as_ref().is_none_or(|pattern| pattern.matches(&entry.action))
            && fits(&self.target, &entry.target)
            && self.outcome.is_none_or(|outcome| outcome == entry.outcome)
            && self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until);
        Some(wanted)
    }
}
