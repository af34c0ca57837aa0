//! The language from the outside: definitions in, plain JSON and diagnostics out.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Evaluation, Load, LoadError, Mode, Options, Outcome, Progress, Secrets,
    schema::Schema,
    seam::{Answer, Call, Catalogue, NoProviders, Operation, ProviderSchema, RotatorSchema},
    value::Value,
};
use crate::{esc, secret::Secret};

mod bounds;
mod checks;
mod documents;
mod imports;
mod outline;
mod positions;
mod properties;
mod providers;
mod schemas;
mod secrets;
mod values;

/// Definitions by name. Ciphertexts are decrypted by adding 128 to every byte.
struct Documents(BTreeMap<&'static str, String>);

impl Load for Documents {
    fn load(&self, name: &str) -> Result<Secret, LoadError> {
        let text = self.0.get(name).ok_or_else(|| LoadError(format!("no {name} here")))?;
        Ok(Secret::from(text.as_str()))
    }

    fn decrypt(&self, _: &str, ciphertext: &[u8]) -> Result<Secret, LoadError> {
        if ciphertext == b"broken" {
            return Err(LoadError("the key does not fit".to_owned()));
        }
        Ok(Secret::new(ciphertext.iter().map(|byte| byte.wrapping_add(128)).collect()))
    }
}

/// Providers that answer at once, and remember what they were asked.
#[derive(Default)]
struct Providers(Mutex<Vec<String>>);

impl Catalogue for Providers {
    fn provider(&self, name: &str) -> Result<ProviderSchema, String> {
        let any = Arc::new(Schema::always());
        match name {
            "test" | "secret-wrapper" => Ok(ProviderSchema { inputs: Arc::clone(&any), outputs: any }),
            "error" => {
                let inputs = Arc::new(Schema::record([("why", Schema::string())]));
                Ok(ProviderSchema { inputs, outputs: any })
            }
            "typed" => {
                let inputs = Arc::new(Schema::record([("size", Schema::of_type("number"))]));
                let outputs =
                    Schema::record([("text", Schema::string()), ("list", Schema::list_of(Schema::string()))]);
                Ok(ProviderSchema { inputs, outputs: Arc::new(outputs) })
            }
            _ => NoProviders.provider(name),
        }
    }

    fn rotator(&self, name: &str) -> Result<RotatorSchema, String> {
        let pair = || Arc::new(Schema::record([("a", Schema::string()), ("b", Schema::string())]));
        let state = || {
            let all = [("current", Schema::string()), ("previous", Schema::string())];
            Arc::new(Schema::record(all).optional(&["previous"]))
        };
        match name {
            "swap" => {
                Ok(RotatorSchema { inputs: Arc::new(Schema::always()), state: pair(), outputs: pair() })
            }
            "echo" => {
                let inputs = Arc::new(Schema::record([("next", Schema::string())]).rotate_only(&["next"]));
                Ok(RotatorSchema { inputs, state: state(), outputs: state() })
            }
            _ => NoProviders.rotator(name),
        }
    }
}

impl Providers {
    fn answer(&self, call: &Call) -> Answer {
        use esc::value::{Kind, Value};
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call.name.to_string());
        let field = |value: &Value, name: &str| match &value.kind {
            Kind::Object(fields) => fields.get(name).cloned(),
            _ => None,
        };
        let object = |fields: Vec<(&str, Option<Value>)>| {
            let fields = fields.into_iter().map(|(name, value)| {
                (name.to_owned(), value.unwrap_or(Value { kind: Kind::Null, secret: false }))
            });
            Value { kind: Kind::Object(fields.collect()), secret: false }
        };
        match (&*call.name, &call.operation) {
            ("test" | "typed", _) => Ok(call.inputs.clone()),
            ("secret-wrapper", _) => Ok(Value { secret: true, ..call.inputs.clone() }),
            ("error", _) => match field(&call.inputs, "why") {
                Some(Value { kind: Kind::String(why), .. }) => {
                    Err(why.expose_str().unwrap_or_default().to_owned())
                }
                _ => panic!("inputs fit their schema"),
            },
            ("swap", Operation::Rotate(Some(state))) => {
                Ok(object(vec![("a", field(state, "b")), ("b", field(state, "a"))]))
            }
            ("echo", Operation::Rotate(state)) => {
                let previous = state.as_ref().and_then(|state| field(state, "current"));
                Ok(object(vec![("current", field(&call.inputs, "next")), ("previous", previous)]))
            }
            (_, Operation::OpenState(Some(state))) => Ok(state.clone()),
            (_, Operation::OpenState(None)) => Ok(object(vec![])),
            _ => panic!("{call:?}"),
        }
    }
}

fn documents(imports: &[(&'static str, &str)]) -> Documents {
    Documents(imports.iter().map(|(name, text)| (*name, (*text).to_owned())).collect())
}

/// Opens a stored definition that may call no provider.
fn evaluate(name: &str, text: &str, loader: &dyn Load) -> Outcome {
    let mut evaluation = Evaluation::new(name, Secret::from(text), Options::default());
    match evaluation.run(loader, &NoProviders) {
        Progress::Done(outcome) => outcome,
        Progress::Waiting(calls) => panic!("{calls:?}"),
    }
}

/// Evaluates with providers.
fn run(imports: &[(&'static str, &str)], root: &str, options: Options) -> Outcome {
    run_with(&Providers::default(), imports, root, options).0
}

/// The same, with the number of times that the caller had to answer.
fn run_with(
    providers: &Providers,
    imports: &[(&'static str, &str)],
    root: &str,
    options: Options,
) -> (Outcome, usize) {
    let documents = documents(imports);
    let mut evaluation = Evaluation::new("p/root", Secret::from(root), options);
    let mut rounds = 0;
    loop {
        match evaluation.run(&documents, providers) {
            Progress::Done(outcome) => return (outcome, rounds),
            Progress::Waiting(calls) => {
                rounds += 1;
                for call in calls {
                    evaluation.answer(call.id.clone(), providers.answer(&call));
                }
            }
        }
    }
}

fn open_with(imports: &[(&'static str, &str)], root: &str) -> Outcome {
    run(imports, root, Options::default())
}

fn in_mode(mode: Mode) -> Options {
    Options { mode, ..Options::default() }
}

fn summaries(outcome: &Outcome) -> Vec<&str> {
    outcome.diagnostics.iter().map(|diagnostic| diagnostic.summary.as_str()).collect()
}

fn json(value: &Value) -> String {
    value.plain_json().expose_str().unwrap().to_owned()
}

fn plain(outcome: &Outcome) -> String {
    assert_eq!(summaries(outcome), Vec::<&str>::new());
    json(&outcome.value)
}

/// A document with these values.
fn document(fragment: &str) -> String {
    let mut root = "values:\n".to_owned();
    for line in fragment.lines() {
        writeln!(root, "  {line}").unwrap();
    }
    root
}

/// The value of a document with these values.
fn values(fragment: &str) -> Outcome {
    open_with(&[], &document(fragment))
}

#[test]
fn opens_without_providers_in_one_go() {
    let outcome = evaluate("p/root", "values: {a: 1}", &documents(&[]));
    assert_eq!(plain(&outcome), r#"{"a":1}"#);
    let outcome = evaluate("p/root", "values: {a: {fn::open::aws-login: {}}}", &documents(&[]));
    assert_eq!(summaries(&outcome), ["unknown provider \"aws-login\""]);
}

#[test]
fn every_literal_of_a_plaintext_reads_as_it_is_meant() {
    let read = |text: &str, secrets: Secrets| {
        run(
            &[],
            &document(&format!("a: {{fn::secret: '{text}'}}")),
            Options { secrets, ..Options::default() },
        )
    };
    for (text, stored, literal) in [
        ("cost $$5", "cost $$5", Ok("cost $5")),
        ("$5", "$5", Ok("$5")),
        ("v${x}", "v${x}", Err("secret values must be string literals")),
        ("${x}", "${x}", Err("secret values must be string literals")),
    ] {
        assert_eq!(plain(&read(text, Secrets::Stored)), format!("{{\"a\":\"{stored}\"}}"));
        let outcome = read(text, Secrets::Literal);
        match literal {
            Ok(expected) => assert_eq!(plain(&outcome), format!("{{\"a\":\"{expected}\"}}")),
            Err(expected) => assert_eq!(summaries(&outcome), [expected]),
        }
    }
}
