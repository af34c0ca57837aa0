//! Providers for tests, which answer without asking anybody.

use std::{collections::BTreeMap, sync::Arc};

use super::{Opened, Pending, Provider, ProviderError, Registry, Request, Rotator};
use crate::{
    esc::value::{Kind, Value},
    lang::{
        Load, LoadError,
        schema::Schema,
        seam::{ProviderSchema, RotatorSchema},
    },
    secret::Secret,
};

/// Adds all of them.
pub(super) fn add_to(registry: &mut Registry) {
    registry.providers.insert("test", Arc::new(Test { secret: false }));
    registry.providers.insert("secret-wrapper", Arc::new(Test { secret: true }));
    registry.providers.insert("error", Arc::new(Failing));
    registry.rotators.insert("swap", Arc::new(Swap));
    registry.rotators.insert("echo", Arc::new(Echo));
    registry.test_cipher = true;
}

/// The plaintext of what was hidden by adding 128 to every byte.
fn decipher(ciphertext: &[u8]) -> Secret {
    Secret::new(ciphertext.iter().map(|byte| byte.wrapping_add(128)).collect())
}

/// Opens what tests have hidden by adding 128 to every byte, where the loader itself can't open it.
pub(super) struct WithCipher<L> {
    pub(super) loader: L,
    pub(super) enabled: bool,
}

impl<L: Load> Load for WithCipher<L> {
    fn load(&self, name: &str) -> Result<Secret, LoadError> {
        self.loader.load(name)
    }

    fn decrypt(&self, environment: &str, ciphertext: &[u8]) -> Result<Secret, LoadError> {
        match self.loader.decrypt(environment, ciphertext) {
            Err(_) if self.enabled => Ok(decipher(ciphertext)),
            decrypted => decrypted,
        }
    }
}

/// Gives back its inputs.
struct Test {
    /// Whether they become secret.
    secret: bool,
}

impl Provider for Test {
    fn schema(&self) -> ProviderSchema {
        let any = Arc::new(Schema::always());
        ProviderSchema { inputs: Arc::clone(&any), outputs: any }
    }

    fn open<'a>(&'a self, request: Request<'a>) -> Pending<'a, Opened> {
        let value = Value { kind: Kind::Object(request.inputs.clone()), secret: self.secret };
        Box::pin(std::future::ready(Ok(value.into())))
    }
}

/// Fails with the text of its input.
struct Failing;

impl Provider for Failing {
    fn schema(&self) -> ProviderSchema {
        let inputs = Arc::new(Schema::record([("why", Schema::string())]));
        ProviderSchema { inputs, outputs: Arc::new(Schema::always()) }
    }

    fn open<'a>(&'a self, request: Request<'a>) -> Pending<'a, Opened> {
        let why = match request.inputs.get("why") {
            // What is secret is not for a diagnostic, even if it is asked for.
            Some(Value { kind: Kind::String(why), secret: false }) => why.expose_str().map(str::to_owned),
            _ => None,
        };
        let error = ProviderError::Refused(why.unwrap_or_else(|| "it was told to".to_owned()));
        Box::pin(std::future::ready(Err(error)))
    }
}

/// Exchanges the two halves of its state.
struct Swap;

impl Rotator for Swap {
    fn schema(&self) -> RotatorSchema {
        let pair = Arc::new(Schema::record([("a", Schema::string()), ("b", Schema::string())]));
        RotatorSchema { inputs: Arc::new(Schema::always()), state: Arc::clone(&pair), outputs: pair }
    }

    fn open<'a>(&'a self, _: Request<'a>, state: Option<&'a Value>) -> Pending<'a, Opened> {
        Box::pin(std::future::ready(Ok(whole(state).into())))
    }

    fn rotate<'a>(&'a self, _: Request<'a>, state: Option<&'a Value>) -> Pending<'a, Value> {
        let swapped = object([("a", field(state, "b")), ("b", field(state, "a"))]);
        Box::pin(std::future::ready(Ok(swapped)))
    }
}

/// Takes its next state from an input that only rotations may look at.
struct Echo;

impl Rotator for Echo {
    fn schema(&self) -> RotatorSchema {
        let inputs = Schema::record([("next", Schema::string())]).rotate_only(&["next"]);
        let state = [("current", Schema::string()), ("previous", Schema::string())];
        let state = Arc::new(Schema::record(state).optional(&["previous"]));
        RotatorSchema { inputs: Arc::new(inputs), state: Arc::clone(&state), outputs: state }
    }

    fn open<'a>(&'a self, _: Request<'a>, state: Option<&'a Value>) -> Pending<'a, Opened> {
        Box::pin(std::future::ready(Ok(whole(state).into())))
    }

    fn rotate<'a>(&'a self, request: Request<'a>, state: Option<&'a Value>) -> Pending<'a, Value> {
        let next = request.inputs.get("next").cloned().unwrap_or(NULL);
        let next = object([("current", next), ("previous", field(state, "current"))]);
        Box::pin(std::future::ready(Ok(next)))
    }
}

const NULL: Value = Value { kind: Kind::Null, secret: false };

/// A state's values: none before the first rotation.
fn whole(state: Option<&Value>) -> Value {
    state.cloned().unwrap_or(Value { kind: Kind::Object(BTreeMap::new()), secret: false })
}

fn field(state: Option<&Value>, name: &str) -> Value {
    match state.map(|state| &state.kind) {
        Some(Kind::Object(fields)) => fields.get(name).cloned().unwrap_or(NULL),
        _ => NULL,
    }
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Value { kind: Kind::Object(fields), secret: false }
}
