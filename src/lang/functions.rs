//! Computes calls of functions: arguments are held against what the function takes, and what comes out is secret
//! or unknown if anything that went in is.

use std::sync::Arc;

use super::{
    Mode,
    builtins::{self, CallError},
    envelope,
    evaluate::Evaluator,
    export,
    place::{Place, push_key},
    schema::Schema,
    seam::{Answer, Call as ProviderCall, CallId, Operation, Rotation, RotationStatus},
    signatures::{self, SCHEMA_OF_SCHEMAS, STRING, STRINGS},
    syntax::{Call, Expr, Function, Unary},
    validate::Finding,
    value::{Kind, Text, Value},
};

impl<'e> Evaluator<'e> {
    /// What a call yields. `expr` is the call.
    pub(super) fn call(&mut self, call: &'e Call, expr: &'e Expr) -> Value {
        let place = &expr.place;
        match &call.function {
            Function::Unary(function, argument) => self.unary(*function, argument, place),
            Function::Join(delimiter, values) => {
                let (delimiter, delimiter_fits) = self.typed(delimiter, &STRING);
                let (values, values_fit) = self.typed(values, &STRINGS);
                let fits = delimiter_fits && values_fit;
                self.binary(&delimiter, &values, fits, &STRING, builtins::join, place)
            }
            Function::Split(delimiter, text) => {
                let (delimiter, delimiter_fits) = self.typed(delimiter, &STRING);
                let (text, text_fits) = self.typed(text, &STRING);
                let fits = delimiter_fits && text_fits;
                self.binary(&delimiter, &text, fits, &STRINGS, builtins::split, place)
            }
            Function::Plaintext(text, place) => {
                Value::new(Kind::String(Arc::clone(text)), true, place.clone())
            }
            Function::Ciphertext(text, _) => self.decrypt(text, place),
            Function::Validate { schema, value } => self.validate(schema, value, place),
            Function::Open { provider, inputs } => self.open(&provider.name, inputs, expr),
            Function::Rotate { provider, inputs, state } => {
                self.rotate(&provider.name, inputs, state.as_ref(), call, expr)
            }
        }
    }

    fn unary(&mut self, function: Unary, argument: &'e Expr, place: &Place) -> Value {
        let (takes, gives) = signatures::unary(function);
        let (value, fits) = match takes {
            Some(takes) => self.typed(argument, takes),
            None => (self.argument(argument), true),
        };
        if function == Unary::Final && value.any_unknown() {
            // Final as far as it is known.
            return builtins::whole(&value, place).sealed(true);
        }
        let secret = fits && value.any_secret();
        if !fits || value.any_unknown() {
            return Value::unknown_of(Some(Arc::clone(gives)), secret, place.clone());
        }
        let result = builtins::unary(function, &value, place, self.program.budget.left());
        match function {
            // These give what is as constant as their arguments.
            Unary::Final | Unary::FromJson => self.computed(result, gives, secret, place),
            _ => {
                self.computed(result.map(|value| value.computed_as(Arc::clone(gives))), gives, secret, place)
            }
        }
    }

    fn binary(
        &mut self,
        first: &Value,
        second: &Value,
        fits: bool,
        gives: &Arc<Schema>,
        compute: impl FnOnce(&Value, &Value, &Place, usize) -> Result<Value, CallError>,
        place: &Place,
    ) -> Value {
        let secret = fits && (first.any_secret() || second.any_secret());
        if !fits || first.any_unknown() || second.any_unknown() {
            return Value::unknown_of(Some(Arc::clone(gives)), secret, place.clone());
        }
        let result = compute(first, second, place, self.program.budget.left());
        self.computed(result.map(|value| value.computed_as(Arc::clone(gives))), gives, secret, place)
    }

    /// What has been computed, or what is known without.
    fn computed(
        &mut self,
        result: Result<Value, CallError>,
        gives: &Arc<Schema>,
        secret: bool,
        place: &Place,
    ) -> Value {
        match result {
            Ok(value) => self.charged(value, place),
            Err(CallError::Argument(summary)) => {
                self.error(place, summary);
                Value::unknown_of(Some(Arc::clone(gives)), secret, place.clone())
            }
            Err(CallError::TooLarge) => self.too_large(place),
        }
    }

    fn decrypt(&mut self, text: &Text, place: &Place) -> Value {
        let unknown = || Value::unknown_of(Some(Arc::clone(&STRING)), true, place.clone());
        let ciphertext = match envelope::open(text.expose()) {
            Ok(ciphertext) => ciphertext,
            Err(error) => {
                self.error(place, format!("invalid ciphertext: {error}"));
                return unknown();
            }
        };
        if self.program.options.mode == (Mode::Check { show_secrets: false }) {
            return unknown();
        }
        match self.world.loader.decrypt(&self.scope.name, &ciphertext) {
            Ok(text) => self.charged(Value::string(text, true, place.clone()), place),
            Err(error) => {
                self.error(place, format!("decrypting: {error}"));
                unknown()
            }
        }
    }

    /// The value itself, whether or not it fits: that is told.
    fn validate(&mut self, schema: &'e Expr, value: &'e Expr, place: &Place) -> Value {
        let (asked, fits) = self.typed(schema, &SCHEMA_OF_SCHEMAS);
        let value = if !fits || asked.any_unknown() {
            self.argument(value)
        } else {
            match Schema::from_value(&asked) {
                Ok(asked) => self.typed(value, &asked).0,
                Err(error) => {
                    self.error(&schema.place, format!("invalid schema: {error}"));
                    self.argument(value)
                }
            }
        };
        builtins::whole(&value, place)
    }

    fn open(&mut self, provider: &Arc<str>, inputs: &'e Expr, expr: &'e Expr) -> Value {
        let place = &expr.place;
        let schemas = match self.world.catalogue.provider(provider) {
            Ok(schemas) => schemas,
            Err(summary) => {
                self.error(place, summary);
                self.argument(inputs);
                return Value::unknown(place.clone());
            }
        };
        let unknown = || Value::unknown_of(Some(Arc::clone(&schemas.outputs)), false, place.clone());
        let (inputs, fits) = self.typed(inputs, &schemas.inputs);
        if !fits || inputs.any_unknown() || self.program.is_check() || !self.is_object(&inputs) {
            return unknown();
        }
        let call = self.provider_call(provider, &inputs, Operation::Open, expr);
        match self.ask(call) {
            None => unknown(),
            Some(Ok(output)) => self.answered(&output, place),
            Some(Err(summary)) => {
                self.error(place, summary);
                unknown()
            }
        }
    }

    fn rotate(
        &mut self,
        rotator: &Arc<str>,
        inputs: &'e Expr,
        state: Option<&'e Expr>,
        call: &Call,
        expr: &'e Expr,
    ) -> Value {
        let place = &expr.place;
        let schemas = match self.world.catalogue.rotator(rotator) {
            Ok(schemas) => schemas,
            Err(summary) => {
                self.error(place, summary);
                self.argument(inputs);
                state.map(|state| self.argument(state));
                self.not_rotated(place);
                return Value::unknown(place.clone());
            }
        };
        let unknown = || Value::unknown_of(Some(Arc::clone(&schemas.outputs)), false, place.clone());
        let (inputs, findings) = self.held(inputs, &schemas.inputs);
        let state_or_none = Schema::one_of(vec![Schema::clone(&schemas.state), Schema::of_type("null")]);
        let state = state.map(|state| self.typed(state, &state_or_none));
        let state_fits = state.as_ref().is_none_or(|(state, fits)| *fits && !state.any_unknown());
        // What was rotated is there, whatever becomes of inputs that only the next rotation needs: those who know their
        // rotators better than the ones that saved it must not take its values away.
        let stays = matches!(self.program.options.mode, Mode::Open)
            && state.as_ref().is_some_and(|(state, fits)| *fits && state.as_object().is_some());
        let inputs_fit = stays || findings.is_empty();
        for Finding { place, summary } in findings {
            if stays {
                self.program.warning(&self.scope.name, &place, summary);
            } else {
                self.error(&place, summary);
            }
        }
        let rotating = self.is_root() && matches!(self.program.options.mode, Mode::Rotate { .. });
        let hidden = if rotating { inputs.any_unknown() } else { inputs.any_observable_unknown() };
        if !inputs_fit || hidden || !state_fits || self.program.is_check() || !self.is_object(&inputs) {
            self.not_rotated(place);
            return unknown();
        }
        let mut state = state.map(|(state, _)| export::export(&state));
        if self.is_rotated(place) {
            let rotation = self.provider_call(rotator, &inputs, Operation::Rotate(state), expr);
            match self.ask(rotation) {
                None => return unknown(),
                Some(Err(summary)) => {
                    self.error(place, format!("rotate: {summary}"));
                    self.rotated(place, RotationStatus::Failed(summary));
                    return unknown();
                }
                Some(Ok(next)) => {
                    let mut state_path = place.path();
                    push_key(&mut state_path, &call.name);
                    state_path.push_str(".state");
                    self.rotated(place, RotationStatus::Succeeded { state_path, state: next.clone() });
                    state = Some(next);
                }
            }
        }
        let opening = self.provider_call(rotator, &inputs, Operation::OpenState(state), expr);
        match self.ask(opening) {
            None => unknown(),
            Some(Ok(output)) => self.answered(&output, place),
            Some(Err(summary)) => {
                self.error(place, summary);
                unknown()
            }
        }
    }

    fn is_object(&mut self, inputs: &Value) -> bool {
        let is = inputs.as_object().is_some();
        if !is {
            let summary = format!("expected object, got {}", inputs.type_name());
            self.error(inputs.place(), summary);
        }
        is
    }

    /// Whether the rotator at this place is to rotate: only the root environment is rotated.
    fn is_rotated(&self, place: &Place) -> bool {
        match &self.program.options.mode {
            Mode::Rotate { paths } => {
                let path = place.path();
                let below = path.strip_prefix("values.").unwrap_or(&path);
                self.is_root() && (paths.is_empty() || paths.iter().any(|path| path == below))
            }
            Mode::Open | Mode::Check { .. } => false,
        }
    }

    fn not_rotated(&mut self, place: &Place) {
        if self.is_rotated(place) {
            self.rotated(place, RotationStatus::NotEvaluated);
        }
    }

    fn rotated(&mut self, place: &Place, status: RotationStatus) {
        self.program.rotations.push(Rotation { path: place.path(), status });
    }

    fn provider_call(
        &self,
        name: &Arc<str>,
        inputs: &Value,
        operation: Operation,
        expr: &Expr,
    ) -> ProviderCall {
        let id = CallId {
            environment: Arc::clone(&self.scope.name),
            expression: expr.id,
            rotation: matches!(operation, Operation::Rotate(_)),
        };
        ProviderCall {
            id,
            name: Arc::clone(name),
            operation,
            inputs: export::export(inputs),
            environment: Arc::clone(&self.scope.name),
            root_environment: Arc::clone(&self.scope.root),
            place: expr.place.clone(),
        }
    }

    fn ask(&mut self, call: ProviderCall) -> Option<Answer> {
        let answer = self.program.ask(call);
        self.unsettled |= answer.is_none();
        answer
    }

    fn answered(&mut self, output: &crate::esc::value::Value, place: &Place) -> Value {
        let value = export::import(output, false, place);
        self.charged(value, place)
    }
}
