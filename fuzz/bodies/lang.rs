//! Any definitions evaluate to an end, to JSON and to diagnostics that lie within their text.
use std::sync::Arc;

use esc_injector::{
    lang::{
        Evaluation, Load, LoadError, Mode, Options, Progress, Secrets,
        schema::Schema,
        seam::{Catalogue, NoProviders, ProviderSchema, RotatorSchema},
    },
    secret::Secret,
};

/// Imports by their number.
struct Documents<'t>(Vec<&'t str>);

impl Load for Documents<'_> {
    fn load(&self, name: &str) -> Result<Secret, LoadError> {
        let number: Option<usize> = name.strip_prefix("p/").and_then(|number| number.parse().ok());
        let text = number.and_then(|number| self.0.get(number));
        text.map(|text| Secret::from(*text)).ok_or_else(|| LoadError("none".to_owned()))
    }

    fn decrypt(&self, _: &str, ciphertext: &[u8]) -> Result<Secret, LoadError> {
        Ok(Secret::new(ciphertext.to_vec()))
    }
}

struct Providers;

impl Catalogue for Providers {
    fn provider(&self, name: &str) -> Result<ProviderSchema, String> {
        let any = Arc::new(Schema::always());
        match name {
            "test" => Ok(ProviderSchema { inputs: Arc::clone(&any), outputs: any }),
            _ => NoProviders.provider(name),
        }
    }

    fn rotator(&self, name: &str) -> Result<RotatorSchema, String> {
        let any = Arc::new(Schema::always());
        match name {
            "test" => Ok(RotatorSchema { inputs: Arc::clone(&any), state: Arc::clone(&any), outputs: any }),
            _ => NoProviders.rotator(name),
        }
    }
}

/// The root environment and its imports, with a NUL between them, after a byte that chooses how.
pub fn run(data: &[u8]) {
    let Some((how, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let mut texts: Vec<_> = text.split('\0').collect();
    let root = texts.remove(0);
    let mode = match how % 4 {
        0 => Mode::Open,
        1 => Mode::Check { show_secrets: false },
        2 => Mode::Check { show_secrets: true },
        _ => Mode::Rotate { paths: Vec::new() },
    };
    let secrets = if how & 4 == 0 { Secrets::Stored } else { Secrets::Literal };
    let options = Options { mode, secrets, ..Options::default() };
    let documents = Documents(texts);
    let mut evaluation = Evaluation::new("p/root", Secret::from(root), options);
    let outcome = loop {
        match evaluation.run(&documents, &Providers) {
            Progress::Done(outcome) => break outcome,
            Progress::Waiting(calls) => {
                for call in calls {
                    let answer = call.inputs.clone();
                    evaluation.answer(call.id, Ok(answer));
                }
            }
        }
    };
    for json in [outcome.value.redacted_json(), format!("{:?}", outcome.diagnostics.len())] {
        serde_json::from_str::<serde_json::Value>(&json).expect("JSON");
    }
    for diagnostic in &outcome.diagnostics {
        if *diagnostic.range.environment == *"p/root" {
            assert!(root.get(diagnostic.range.begin.byte..diagnostic.range.end.byte).is_some());
        }
    }
}
