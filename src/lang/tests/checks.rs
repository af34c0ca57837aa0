//! Check mode: no provider is called, and what is known of the unknown is checked.

use super::{Mode, Providers, document, in_mode, run, run_with, summaries};

const CHECK: Mode = Mode::Check { show_secrets: false };

fn check(fragment: &str) -> super::Outcome {
    let providers = Providers::default();
    let (outcome, rounds) = run_with(&providers, &[], &document(fragment), in_mode(CHECK));
    assert_eq!(rounds, 0, "a check calls nobody");
    outcome
}

#[test]
fn unknown_values_follow_their_schema() {
    let open = "p: {fn::open::typed: {size: 1}}";
    for (fragment, expected) in [
        ("a: ${p.text}", &[] as &[&str]),
        ("a: ${p.list[3]}", &[]),
        ("a: ${p.other.deep[0]}", &[]),
        ("a: {fn::toBase64: '${p.text}'}", &[]),
        ("a: {fn::join: [',', '${p.list}']}", &[]),
        ("a: ${p.text.x}", &["receiver must be an array or an object"]),
        ("a: ${p[0]}", &["cannot access an object property using an integer index"]),
        ("a: ${p.list.x}", &["cannot access an array element using a property name"]),
        ("a: ${p.list[-1]}", &["array indices must not be negative"]),
        ("a: {fn::toBase64: '${p}'}", &["expected string, got object"]),
        ("a: {fn::join: [',', '${p.text}']}", &["expected array, got string"]),
        ("a: {fn::open::error: {why: '${p.list}'}}", &["expected string, got array"]),
        ("a: {fn::open::error: '${p}'}", &["why: missing required property"]),
        (
            "a: {fn::validate: {schema: {anyOf: [{type: number}, {type: boolean}]}, value: '${p.text}'}}",
            &[
                "expected number, got string",
                "expected boolean, got string",
                "at least one subschema must match",
            ],
        ),
    ] {
        assert_eq!(summaries(&check(&format!("{open}\n{fragment}"))), expected, "{fragment}");
    }
}

#[test]
fn what_depends_on_a_provider_is_unknown() {
    let outcome = check(
        "p: {fn::open::test: {a: 1}}\ns: {fn::secret: x}\nb: t-${p.a}\nc: [1, '${p}']\nd: {fn::toJSON: '${c}'}\n\
         e: 'a${s}${p.a}'",
    );
    assert_eq!(summaries(&outcome), Vec::<&str>::new());
    assert_eq!(
        outcome.value.redacted_json(),
        r#"{"b":"[unknown]","c":[1,"[unknown]"],"d":"[unknown]","e":"[secret]","p":"[unknown]","s":"[secret]"}"#
    );
}

#[test]
fn an_object_over_what_is_no_object_has_only_its_own_properties() {
    let base = [("p/a", "values: {o: {fn::toBase64: '${p.a}'}, p: {fn::open::test: {a: x}}}")];
    let checked = run(&base, "imports: [p/a]\nvalues: {o: {x: 1}, a: '${o.k}'}", in_mode(CHECK));
    assert_eq!(summaries(&checked), ["unknown property \"k\""]);
}

#[test]
fn ciphertexts_are_decrypted_only_when_they_are_to_be_shown() {
    let root = document("a: {fn::secret: {ciphertext: ZXNjeAAAAAHz5ePy5fTB4+Pl8/PL5fnJxPD7}}");
    for (show_secrets, expected) in [(false, r#"{"a":"[unknown]"}"#), (true, r#"{"a":"secretAccessKey"}"#)] {
        let outcome = run(&[], &root, in_mode(Mode::Check { show_secrets }));
        assert_eq!(super::plain(&outcome), expected);
        assert_eq!(outcome.value.redacted_json(), r#"{"a":"[secret]"}"#);
    }
    let refused = run(
        &[],
        &document(&format!("a: {{fn::secret: {{ciphertext: {}}}}}", crate::lang::envelope::close(b"broken"))),
        in_mode(Mode::Open),
    );
    assert_eq!(summaries(&refused), ["decrypting: the key does not fit"]);
}

#[test]
fn an_object_over_something_unknown_may_have_more_properties() {
    let base = [("p/a", "values: {o: {fn::open::test: {k: v}}}")];
    let root = "imports: [p/a]\nvalues: {o: {x: 1}, a: '${o.k}', b: '${o.x}'}";
    let checked = run(&base, root, in_mode(CHECK));
    assert_eq!(super::plain(&checked), r#"{"a":"[unknown]","b":1,"o":{"x":1}}"#);
    let opened = run(&base, root, in_mode(Mode::Open));
    assert_eq!(super::plain(&opened), r#"{"a":"v","b":1,"o":{"k":"v","x":1}}"#);
}

#[test]
fn what_only_rotations_may_look_at_is_left_alone_but_checked_in_the_root() {
    let call = "values: {r: {fn::rotate::echo: {inputs: {next: 'v ${environments.no.access.x}'}, state: {current: c}}}}";
    let opened = run(&[], call, in_mode(Mode::Open));
    assert_eq!(super::plain(&opened), r#"{"r":{"current":"c"}}"#);
    let checked = run(&[], call, in_mode(CHECK));
    assert_eq!(summaries(&checked), ["no no/access here"]);
    let imported = run(&[("p/a", call)], "imports: [p/a]", in_mode(CHECK));
    assert_eq!(summaries(&imported), Vec::<&str>::new());
    let rotated = run(&[("p/a", call)], "imports: [p/a]", in_mode(Mode::Rotate { paths: vec![] }));
    assert_eq!(super::plain(&rotated), r#"{"r":{"current":"c"}}"#);
}
