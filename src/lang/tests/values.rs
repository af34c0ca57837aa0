//! Values, references and functions.

use super::{plain, summaries, values};

#[test]
fn evaluates_values() {
    for (fragment, expected) in [
        ("a: 1\nb: [x, true, null, 1.50]", r#"{"a":1,"b":["x",true,null,1.5]}"#),
        ("a: ${b}\nb: {c: 0x1F}", r#"{"a":{"c":31},"b":{"c":31}}"#),
        ("a: ${b.c[1]}\nb: {c: [1, [2]]}", r#"{"a":[2],"b":{"c":[1,[2]]}}"#),
        ("n: null\nt: true\nw: \"a${n}b${t}c\"", r#"{"n":null,"t":true,"w":"abtruec"}"#),
        (
            "o: {k: 1}\narr: [1, x, [2]]\ni: \"${o} ${arr}\"",
            r#"{"arr":[1,"x",[2]],"i":"\"k\"=\"1\" \"1\",\"x\",\"\\\"2\\\"\"","o":{"k":1}}"#,
        ),
        ("a: \"$${x} $$ $1\"", r#"{"a":"${x} $ $1"}"#),
        ("o: {w: \"${o.x}\", x: 1}", r#"{"o":{"w":1,"x":1}}"#),
        ("me: ${context.currentEnvironment.name}", r#"{"me":"p/root"}"#),
        ("root: ${context.rootEnvironment.name}", r#"{"root":"p/root"}"#),
        ("\"a b\": 1\nc: ${[\"a b\"]}", r#"{"a b":1,"c":1}"#),
        ("a: {fn::secret: 'cost $$5 ${x}'}", r#"{"a":"cost $$5 ${x}"}"#),
        (
            "a: {fn::toJSON: {b: \"<&>\", a: [1, null, true]}}",
            r#"{"a":"{\"a\":[1,null,true],\"b\":\"\\u003c\\u0026\\u003e\"}"}"#,
        ),
        ("a: {fn::fromJSON: \"{\\\"x\\\":1.0,\\\"y\\\":[{}]}\"}", r#"{"a":{"x":1.0,"y":[{}]}}"#),
        ("a: {fn::fromJSON: \"{\\\"x\\\":1} trailing\"}", r#"{"a":{"x":1}}"#),
        ("a: {fn::fromJSON: 2020-01-01}", r#"{"a":2020}"#),
        ("a: {fn::fromJSON: 'truely'}", r#"{"a":true}"#),
        ("a: {fn::fromJSON: \"{\\\"x\\\":1,\\\"x\\\":2}\"}", r#"{"a":{"x":2}}"#),
        (
            "a: {fn::toString: {z: 1, a: [x, true, null]}}",
            r#"{"a":"\"a\"=\"\\\"x\\\",\\\"true\\\",\\\"\\\"\",\"z\"=\"1\""}"#,
        ),
        ("a: {fn::toString: [a, {b: c}]}", r#"{"a":"\"a\",\"\\\"b\\\"=\\\"c\\\"\""}"#),
        ("a: {fn::concat: [[1], [2, [3]]]}", r#"{"a":[1,2,[3]]}"#),
        ("a: {fn::concat: []}", r#"{"a":[]}"#),
        ("a: {fn::join: [\"\", []]}", r#"{"a":""}"#),
        ("a: {fn::join: [\"-\", [x, y]]}", r#"{"a":"x-y"}"#),
        ("a: {fn::split: [\",\", \"a,b,,\"]}", r#"{"a":["a","b","",""]}"#),
        ("a: {fn::split: [\"\", abc]}", r#"{"a":["a","b","c"]}"#),
        ("a: {fn::toBase64: hi}", r#"{"a":"aGk="}"#),
        ("a: {fn::toBase64: {fn::fromBase64: /+A=}}", r#"{"a":"/+A="}"#),
        ("a: {fn::fromBase64: /+A=}", "{\"a\":\"\u{fffd}\u{fffd}\"}"),
        ("a: {fn::final: {b: 1}}", r#"{"a":{"b":1}}"#),
        ("a: {fn::toYAML: {b: [1, x]}}", r#"{"a":"b:\n- \"1\"\n- x\n"}"#),
        ("a: {\"b$$c\": 1}", r#"{"a":{"b$c":1}}"#),
        ("a: {fn::open::test: {k: {fn::secret: s}}}", r#"{"a":{"k":"s"}}"#),
        ("a: {fn::open: {provider: test, inputs: {k: 1}}}", r#"{"a":{"k":1}}"#),
        ("a: {fn::secret: {ciphertext: ZXNjeAAAAAHz5ePy5fTB4+Pl8/PL5fnJxPD7}}", r#"{"a":"secretAccessKey"}"#),
        ("b: \"line1\\nline2\\n\"", r#"{"b":"line1\nline2\n"}"#),
        ("a: {fn::fromBase64: \"a\\nGk=\"}", r#"{"a":"hi"}"#),
    ] {
        assert_eq!(plain(&values(fragment)), expected, "{fragment}");
    }
}

#[test]
fn diagnoses_values() {
    for (fragment, expected) in [
        ("s: ${s}", "cyclic reference to s"),
        ("a: ${b.c}\nb: {c: \"x${a}\"}", "cyclic reference to a"),
        ("o: {a: \"${o}\"}", "cyclic reference to o"),
        ("b: ${c.x}\nc: {x: \"${o}\"}\no: ${c}", "cyclic reference to c.x"),
        ("b: ${c[0][\"x y\"]}\nc: [{x y: \"${o}\"}]\no: ${c}", "cyclic reference to c[0][\"x y\"]"),
        ("hello: 1\na: ${helo}", "unknown property \"helo\"; did you mean \"hello\"?"),
        ("hello: 1\na: ${goodbye}", "unknown property \"goodbye\""),
        ("n: null\nx: ${n.y}", "receiver must be an array or an object"),
        ("s: str\nz: ${s.y}", "receiver must be an array or an object"),
        ("l: [1]\nz: ${l.y}", "cannot access an array element using a property name"),
        ("o: {a: 1}\nz: \"${o[0]}\"", "cannot access an object property using an integer index"),
        ("l: [1]\nz: \"${l[5]}\"", "array index 5 out-of-bounds for array of length 1"),
        ("l: [1]\nz: \"${l[-1]}\"", "array indices must not be negative"),
        ("a: \"${\"", "missing closing brace '}' in interpolation"),
        ("a: {b: 1, b: 2}", "duplicate key \"b\""),
        ("1: a", "mapping keys must be strings"),
        ("a: &x 1\nb: *x", "alias nodes are not supported"),
        ("imports: 1", "\"imports\" is a reserved key"),
        ("fn::toJSON: 1", "builtin function call \"fn::toJSON\" not allowed at the top level"),
        ("a: {Fn::toJSON: 1}", "'fn::' is a reserved prefix"),
        ("a: {fn::nothing: 1}", "'fn::' is a reserved prefix"),
        (
            "a: {fn::toJSON: 1, b: 2}",
            "illegal call to builtin function: \"fn::toJSON\" must be the only key within its containing object",
        ),
        ("a: {fn::secret: 5}", "secret values must be string literals"),
        ("a: {fn::secret: null}", "secret values must be string literals"),
        ("a: {fn::secret: {a: b}}", "secret values must be string literals"),
        ("a: {fn::secret: {ciphertext: AAAA}}", "invalid ciphertext: EOF"),
        ("a: {fn::secret: {ciphertext: '!!'}}", "invalid ciphertext: illegal base64 data at input byte 0"),
        ("a: {fn::secret: {ciphertext: AAAAAAAAAAAAAAAAAAAAAAAA}}", "invalid ciphertext: invalid header"),
        ("a: {fn::secret: x}\nb: ${a.x}", "receiver must be an array or an object"),
        (
            "a: {fn::secret: {ciphertext: ZXNjeAAAAAHz5ePy5fTB4+Pl8/PL5fnJxPD7}}\nb: ${a.x}",
            "internal error: no receiver",
        ),
        ("a: {fn::open::nope: {}}", "unknown provider \"nope\""),
        ("a: {fn::rotate::nope: {inputs: {}}}", "unknown rotator \"nope\""),
        ("a: {fn::join: [a]}", "the argument to fn::join must be a two-valued list"),
        ("a: {fn::split: x}", "the argument to fn::split must be a two-valued list"),
        ("a: {fn::concat: 1}", "the argument to fn::concat must be an array of arrays"),
        ("a: {fn::open: 1}", "the argument to fn::open must be an object containing 'provider' and 'inputs'"),
        (
            "a: {fn::rotate: 1}",
            "the argument to fn::rotate must be an object containing 'provider', 'inputs' and 'state'",
        ),
        (
            "a: {fn::rotate::swap: 1}",
            "the argument to fn::rotate must be an object containing 'inputs' and 'state'",
        ),
        ("a: {fn::open: {inputs: {}}}", "missing provider name ('provider')"),
        ("a: {fn::open: {provider: 1, inputs: {}}}", "provider name must be a string literal"),
        ("a: {fn::open: {provider: test}}", "missing provider inputs ('inputs')"),
        ("a: {fn::rotate::swap: {}}", "missing provider inputs ('inputs')"),
        ("a: {fn::rotate::swap: {inputs: {}, state: 1}}", "rotation state must be an object literal"),
        ("a: {fn::open::test: 1}", "expected object, got number"),
        ("a: {fn::join: [\",\", 1]}", "expected array, got number"),
        ("a: {\"${x}\": 1}", "object keys must be strings"),
        ("o: {MY_KEY: 1}\na: ${o.mykez}", "unknown property \"mykez\"; did you mean \"MY_KEY\"?"),
        ("a: .nan", "the number can't be written as JSON"),
        ("a: {fn::fromJSON: \"{\"}", "decoding JSON string: unexpected EOF"),
        ("a: {fn::fromJSON: \"\"}", "decoding JSON string: EOF"),
        ("a: {fn::fromBase64: aGk}", "decoding base64 string: illegal base64 data at input byte 0"),
        ("a: {fn::toBase64: 5}", "expected string, got number"),
        ("a: {fn::split: [1, a]}", "expected string, got number"),
        ("a: {fn::concat: [[1], 2]}", "expected array, got number"),
    ] {
        let outcome = values(fragment);
        assert_eq!(summaries(&outcome), [expected], "{fragment}");
        assert!(outcome.has_errors(), "{fragment}");
    }
}

#[test]
fn numbers_and_scalars_read_as_go_reads_them() {
    for (text, expected) in [
        ("1.0", "1"),
        ("1.50", "1.5"),
        ("1e3", "1000"),
        ("1e21", "1e+21"),
        ("100000000000000000000", "1e+20"),
        ("12345678901234567890", "12345678901234567890"),
        ("0.1e-7", "1e-08"),
        ("3.14159265358979323846", "3.141592653589793"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("017", "15"),
        ("0b11", "3"),
        ("1_000", "1000"),
        (".5", "0.5"),
        ("+5", "5"),
        ("-0", "0"),
        ("1000000.0", "1e+06"),
        ("1234567.5", "1.2345675e+06"),
        ("1e6", "1e+06"),
        ("16777216.0", "1.6777216e+07"),
        ("20000000", "20000000"),
        ("08", "8"),
        ("1__0", "10"),
        ("0777", "511"),
        ("0o8", "\"0o8\""),
        ("_1", "\"_1\""),
        ("'-'", "\"-\""),
        ("-9223372036854775809", "-9.223372036854776e+18"),
        ("yes", "\"yes\""),
        ("off", "\"off\""),
        ("2024-01-02", "\"2024-01-02\""),
        ("TRUE", "true"),
        ("~", "null"),
        ("!!str 42", "\"42\""),
        ("!!binary aGk=", "\"aGk=\""),
    ] {
        assert_eq!(plain(&values(&format!("a: {text}"))), format!("{{\"a\":{expected}}}"), "{text}");
    }
}

#[test]
fn half_a_reference_into_the_environments_is_unknown_without_a_word() {
    for reference in ["${environments.p}", "${environments}"] {
        let outcome = values(&format!("v: {reference}"));
        assert_eq!(plain(&outcome), r#"{"v":"[unknown]"}"#);
        assert!(outcome.value.any_unknown());
    }
}
