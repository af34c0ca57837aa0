//! Secrets and what becomes of them.

use super::values;

#[test]
fn secrets_stay_marked() {
    let outcome = values(
        "s: {fn::secret: x}\ntext: \"a${s}\"\ncopy: ${s}\nopen: y\nholder: {inner: \"${s}\", public: 1}\n\
         json: {fn::toJSON: \"${holder}\"}\nparsed: {fn::fromJSON: \"{\\\"p\\\": 1}\"}\n\
         back: {fn::fromJSON: \"${json}\"}\nelement: ${back.public}\n\
         both: {fn::concat: [[\"${s}\"], [plain]]}\npublic: \"${both[1]}\"",
    );
    let mark = |path: &[&str]| {
        let mut value = &outcome.value;
        for key in path {
            value = value.as_object().unwrap().get(key).unwrap();
        }
        value.is_secret()
    };
    for (path, expected) in [
        (&["s"] as &[&str], true),
        (&["text"], true),
        (&["copy"], true),
        (&["open"], false),
        (&["holder"], false),
        (&["holder", "inner"], true),
        (&["holder", "public"], false),
        (&["json"], true),
        (&["parsed"], false),
        (&["back"], true),
        (&["element"], true),
        (&["both"], true),
        (&["public"], false),
    ] {
        assert_eq!(mark(path), expected, "{path:?}");
    }
}

#[test]
fn redacted_secrets_do_not_show() {
    for (fragment, expected) in [
        (
            "a: {fn::secret: hunter2}\nb: x${a}\nc: [1, '${a}']",
            r#"{"a":"[secret]","b":"[secret]","c":[1,"[secret]"]}"#,
        ),
        ("a: {fn::open::test: {k: {fn::secret: s}, l: 1}}", r#"{"a":{"k":"[secret]","l":1}}"#),
        ("a: {fn::open::secret-wrapper: {k: s}}\nb: ${a.k}", r#"{"a":"[secret]","b":"[secret]"}"#),
        ("a: {fn::final: {k: {fn::secret: s}}}", r#"{"a":"[secret]"}"#),
        (
            "a: {fn::secret: 'a,b'}\nb: {fn::split: [',', '${a}']}\nc: ${b[0]}",
            r#"{"a":"[secret]","b":"[secret]","c":"[secret]"}"#,
        ),
        (
            "a: {fn::secret: '{\"k\":1}'}\nb: {fn::fromJSON: '${a}'}\nc: ${b.k}",
            r#"{"a":"[secret]","b":"[secret]","c":"[secret]"}"#,
        ),
    ] {
        let outcome = values(fragment);
        assert_eq!(super::summaries(&outcome), Vec::<&str>::new(), "{fragment}");
        assert_eq!(outcome.value.redacted_json(), expected, "{fragment}");
    }
}

#[test]
fn diagnostics_quote_no_secret() {
    for fragment in [
        "a: {fn::secret: '{\"hunter2\":1}'}\nb: {fn::fromJSON: '${a}'}\nc: ${b.hunter1}",
        "a: {fn::secret: hunter2}\nb: {fn::validate: {schema: {const: '${a}'}, value: x}}",
        "a: {fn::secret: hunter2}\nb: {fn::validate: {schema: {enum: [x, '${a}']}, value: y}}",
        "a: {fn::secret: hunter2}\nb: {fn::validate: {schema: {pattern: '${a}'}, value: y}}",
        "a: {fn::secret: hunter2}\nb: {fn::validate: {schema: {type: object, required: ['${a}']}, value: {}}}",
        "a: {fn::secret: '#/$defs/hunter2'}\nb: {fn::validate: {schema: {$ref: '${a}'}, value: {}}}",
        "a: {fn::secret: hunter2}\nb: {fn::fromJSON: '${a}'}",
        "a: {fn::secret: hunter2}\nb: {fn::fromBase64: '${a}'}",
        "a: {fn::secret: hunter2}\nb: {fn::validate: {schema: {type: string, maxLength: 1}, value: '${a}'}}",
    ] {
        let outcome = values(fragment);
        assert_eq!(outcome.diagnostics.len(), 1, "{fragment}: {:?}", outcome.diagnostics);
        assert!(!format!("{:?}", outcome.diagnostics).contains("hunter2"), "{:?}", outcome.diagnostics);
        assert!(!format!("{outcome:?}").contains("hunter2\""), "{fragment}");
    }
}
