//! Calls of providers and rotators.

use super::{Mode, Options, Providers, document, in_mode, json, plain, run, run_with, summaries, values};
use crate::lang::{
    Evaluation, Progress,
    seam::{NoProviders, RotationStatus},
};

#[test]
fn independent_calls_are_asked_for_at_once_and_dependent_ones_in_turn() {
    let providers = Providers::default();
    let imports = [("p/a", "values: {c: {fn::open::test: {v: 3}}, quiet: 1}")];
    let root = "imports: [p/a]\nvalues:\n  a: {fn::open::test: {v: 1}}\n  b: {fn::open::test: {v: 2}}\n  \
                d: {fn::open::secret-wrapper: {all: '${a.v}${b.v}${c.v}'}}\n  e: ${d.all}\n";
    let (outcome, rounds) = run_with(&providers, &imports, root, Options::default());
    assert_eq!(rounds, 2);
    assert_eq!(*providers.0.lock().unwrap(), ["test", "test", "test", "secret-wrapper"]);
    assert_eq!(
        plain(&outcome),
        r#"{"a":{"v":1},"b":{"v":2},"c":{"v":3},"d":{"all":"123"},"e":"123","quiet":1}"#
    );
}

#[test]
fn a_provider_that_fails_is_told_once_and_its_dependents_are_silent() {
    let outcome = values("a: {fn::open::error: {why: because}}\nb: ${a.x}\nc: {fn::toJSON: '${b}'}");
    assert_eq!(summaries(&outcome), ["because"]);
    assert_eq!(outcome.diagnostics[0].path, "values.a");
    for (inputs, expected) in [
        ("{}", "missing required properties: why"),
        ("{why: 5}", "expected string, got number"),
        ("1", "expected object, got number"),
    ] {
        assert_eq!(summaries(&values(&format!("a: {{fn::open::error: {inputs}}}"))), [expected]);
    }
}

#[test]
fn diagnostics_are_not_repeated_when_evaluation_starts_over() {
    let outcome = super::open_with(
        &[
            ("p/a", "values: {x: '${none}', w: {fn::final: 1}}"),
            ("p/b", "imports: [p/a, p/missing]\nvalues: {w: 2, o: {fn::open::test: {}}}"),
        ],
        "foo: 1\nimports: [p/b]\nvalues: {p: {fn::open::test: {a: 1}}, q: {fn::open::test: {b: '${p.a}'}}, z: '${missing}'}",
    );
    assert_eq!(
        summaries(&outcome),
        [
            "Field 'foo' does not exist on Object 'environment'. Existing fields are: 'imports', 'values', 'description'",
            "no p/missing here",
            "unknown property \"none\"",
        ]
    );
}

#[test]
fn rotators_open_their_state() {
    for (call, expected) in [
        ("fn::rotate::swap: {inputs: {}, state: {a: x, b: y}}", r#"{"a":"x","b":"y"}"#),
        ("fn::rotate::swap: {inputs: {}}", "{}"),
        ("fn::rotate: {provider: swap, inputs: {}, state: {a: x, b: y}}", r#"{"a":"x","b":"y"}"#),
        ("fn::rotate::echo: {inputs: {next: n}}", "{}"),
        ("fn::rotate::echo: {inputs: {next: n}, state: {current: c}}", r#"{"current":"c"}"#),
    ] {
        assert_eq!(plain(&values(&format!("r: {{{call}}}"))), format!("{{\"r\":{expected}}}"), "{call}");
    }
    assert_eq!(
        summaries(&values("r: {fn::rotate::swap: {inputs: {}, state: {a: x}}}")),
        ["missing required properties: b", "expected null, got object", "exactly one subschema must match"]
    );
}

#[test]
fn a_rotation_changes_the_state_and_says_where_to_write_it() {
    let root = document(
        "r: {fn::rotate::swap: {inputs: {}, state: {a: x, b: y}}}\n\
         deep: {\"a b\": [{fn::rotate::echo: {inputs: {next: '${r.a}'}, state: {current: c}}}]}\n\
         broken: {fn::rotate::swap: {inputs: '${none}'}}",
    );
    let rotate = |paths: &[&str]| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        run(&[], &root, in_mode(Mode::Rotate { paths }))
    };
    let told = |outcome: &super::Outcome| -> Vec<String> {
        let told = outcome.rotations.iter().map(|rotation| match &rotation.status {
            RotationStatus::Succeeded { state_path, state } => {
                let json = crate::esc::render::render(state, crate::esc::render::Format::Json).unwrap();
                format!("{} {state_path} {}", rotation.path, json.expose_str().unwrap())
            }
            RotationStatus::Failed(error) => format!("{} failed: {error}", rotation.path),
            RotationStatus::NotEvaluated => format!("{} not evaluated", rotation.path),
        });
        told.collect()
    };
    let all = rotate(&[]);
    assert_eq!(
        told(&all),
        [
            "values.broken not evaluated",
            r#"values.r values.r["fn::rotate::swap"].state {"a":"y","b":"x"}"#,
            r#"values.deep["a b"][0] values.deep["a b"][0]["fn::rotate::echo"].state {"current":"y","previous":"c"}"#,
        ]
    );
    let r = all.value.as_object().unwrap().get("r").unwrap();
    assert_eq!(json(r), r#"{"a":"y","b":"x"}"#);
    assert_eq!(told(&rotate(&["r"])).len(), 1);
    assert!(rotate(&["none"]).rotations.is_empty());
}

#[test]
fn an_evaluation_can_move_between_threads_while_it_waits() {
    fn is_send<T: Send + 'static>(value: T) -> T {
        value
    }
    let evaluation = Evaluation::new("p/root", "values: {a: 1}".into(), Options::default());
    let mut evaluation = is_send(evaluation);
    let progress = std::thread::spawn(move || {
        matches!(evaluation.run(&super::documents(&[]), &NoProviders), Progress::Done(_))
    });
    assert!(progress.join().unwrap());
}

#[test]
fn calls_are_limited() {
    let many: Vec<_> = (0..300).map(|n| format!("k{n}: {{fn::open::test: {{}}}}")).collect();
    let outcome = values(&many.join("\n"));
    assert_eq!(summaries(&outcome)[0], "more than 256 calls of providers");
}
