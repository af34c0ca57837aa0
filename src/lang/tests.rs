//! The language from the outside: definitions in, plain JSON and diagnostics out.

use std::{collections::BTreeMap, fmt::Write};

use super::{Load, LoadError, Outcome, diagnostic::Severity, evaluate, json, value::Value};
use crate::secret::Secret;

struct Documents(BTreeMap<&'static str, String>);

impl Load for Documents {
    fn load(&self, name: &str) -> Result<Secret, LoadError> {
        let text = self.0.get(name).ok_or_else(|| LoadError(format!("no {name} here")))?;
        Ok(Secret::from(text.as_str()))
    }
}

fn open_with(imports: &[(&'static str, &str)], root: &str) -> Outcome {
    let documents = imports.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    evaluate("p/root", root, &Documents(documents))
}

fn summaries(outcome: &Outcome) -> Vec<&str> {
    outcome.diagnostics.iter().map(|diagnostic| diagnostic.summary.as_str()).collect()
}

fn plain(outcome: &Outcome) -> String {
    assert_eq!(summaries(outcome), Vec::<&str>::new());
    String::from_utf8(json::write(&outcome.value).to_vec()).unwrap()
}

/// The value of a document with these values.
fn values(fragment: &str) -> Outcome {
    let mut root = "values:\n".to_owned();
    for line in fragment.lines() {
        writeln!(root, "  {line}").unwrap();
    }
    open_with(&[], &root)
}

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
        ("a: {fn::secret: {ciphertext: AAAA}}", "encrypted secrets are not supported by this server yet"),
        ("a: {fn::open::aws-login: {}}", "fn::open::aws-login is not supported by this server yet"),
        ("a: {fn::final: 1}", "fn::final is not supported by this server yet"),
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
fn reads_documents() {
    for (document, expected) in [
        ("", "{}"),
        ("values: {}", "{}"),
        ("VALUES: {a: 1}", r#"{"a":1}"#),
        ("description: d\nimports: []\nvalues: {a: 1}", r#"{"a":1}"#),
        ("values: {a: 1}\n---\nvalues: {b: 1}", r#"{"a":1}"#),
    ] {
        assert_eq!(plain(&open_with(&[], document)), expected, "{document}");
    }
    for (document, expected) in [
        ("# nothing", "environment must be an object"),
        ("[]", "environment must be an object"),
        ("values:", "values must be an object"),
        ("values: []", "values must be an object"),
        ("imports: null\nvalues: {a: 1}", "imports must be a list"),
        ("imports: p/a", "imports must be a list"),
        ("imports: [{p/a: null}]", "import must be an object"),
        ("imports: [1]", "import must be a string or an object"),
        ("imports: [{a: {}, b: {}}]", "import must have a single key"),
        ("imports: [p/none]", "no p/none here"),
        ("imports: [p/root]", "cyclic import of p/root"),
    ] {
        assert_eq!(summaries(&open_with(&[], document)), [expected], "{document}");
    }
    let merge = open_with(&[("p/a", "")], "imports: [{p/a: {merge: 1}}]");
    assert_eq!(summaries(&merge), ["merge must be a boolean value"]);
}

#[test]
fn an_unknown_field_is_only_a_warning() {
    let outcome = open_with(&[], "foo: 1\nvalues: {a: 1}");
    assert!(!outcome.has_errors());
    assert_eq!(outcome.diagnostics[0].severity, Severity::Warning);
    assert!(outcome.diagnostics[0].summary.starts_with("Field 'foo' does not exist"));
}

#[test]
fn merges_imports() {
    let a = "values: {o: {x: 1, y: 2, d: {k: v}}, arr: [1, 2, 3], s: a}";
    let b = "values: {o: {y: 3, z: 4}, arr: [9], s: b}";
    let c = "values: {o: str}";
    for (root, expected) in [
        ("imports: [p/a, p/b]", r#"{"arr":[9],"o":{"d":{"k":"v"},"x":1,"y":3,"z":4},"s":"b"}"#),
        ("imports: [p/b, p/a]", r#"{"arr":[1,2,3],"o":{"d":{"k":"v"},"x":1,"y":2,"z":4},"s":"a"}"#),
        (
            "imports: [p/a, p/b]\nvalues: {o: {x: top}, arr: [], s: null}",
            r#"{"arr":[],"o":{"d":{"k":"v"},"x":"top","y":3,"z":4},"s":null}"#,
        ),
        ("imports: [p/a]\nvalues: {o: scalar}", r#"{"arr":[1,2,3],"o":"scalar","s":"a"}"#),
        ("imports: [p/a, p/c, p/b]", r#"{"arr":[9],"o":{"y":3,"z":4},"s":"b"}"#),
        ("imports: [p/a: {merge: false}]\nvalues: {got: '${imports[\"p/a\"].o.d.k}'}", r#"{"got":"v"}"#),
        (
            "imports: [p/a]\nvalues: {o: {w: '${o.x}', u: '${s}'}}",
            r#"{"arr":[1,2,3],"o":{"d":{"k":"v"},"u":"a","w":1,"x":1,"y":2},"s":"a"}"#,
        ),
        (
            "imports: [p/a]\nvalues: {s: 'pre-${imports[\"p/a\"].s}'}",
            r#"{"arr":[1,2,3],"o":{"d":{"k":"v"},"x":1,"y":2},"s":"pre-a"}"#,
        ),
        (
            "imports: [p/a]\nvalues: {o: {}, arr: '${imports.p/a.o.d}'}",
            r#"{"arr":{"k":"v"},"o":{"d":{"k":"v"},"x":1,"y":2},"s":"a"}"#,
        ),
        (
            "imports: [p/b]\nvalues: {o: '${extra}', extra: {more: 1}}",
            r#"{"arr":[9],"extra":{"more":1},"o":{"more":1,"y":3,"z":4},"s":"b"}"#,
        ),
    ] {
        let outcome = open_with(&[("p/a", a), ("p/b", b), ("p/c", c)], root);
        assert_eq!(plain(&outcome), expected, "{root}");
    }
    let cyclic = open_with(&[("p/a", a)], "imports: [p/a]\nvalues: {s: '${s}'}");
    assert_eq!(summaries(&cyclic), ["cyclic reference to s"]);
}

#[test]
fn imports_are_early_bound_and_not_transitive_by_name() {
    let documents = [
        ("p/low", "values: {name: low, me: '${context.currentEnvironment.name}'}"),
        (
            "p/mid@2",
            "imports: [p/low]\nvalues: {hello: 'hello ${name}', up: '${context.rootEnvironment.name}'}",
        ),
    ];
    let outcome = open_with(&documents, "imports: [p/mid@2]\nvalues: {name: top}");
    assert_eq!(plain(&outcome), r#"{"hello":"hello low","me":"p/low","name":"top","up":"p/root"}"#);
    for (reference, expected) in [
        ("p/low", "unknown property \"p/low\""),
        ("p/mid", "unknown property \"p/mid\"; did you mean \"p/mid@2\"?"),
    ] {
        let root = format!("imports: [p/mid@2]\nvalues: {{a: '${{imports[\"{reference}\"].name}}'}}");
        assert_eq!(summaries(&open_with(&documents, &root)), [expected]);
    }
}

#[test]
fn a_missing_import_is_reported_once_and_alone() {
    let outcome = open_with(&[], "imports: [p/none]\nvalues: {a: '${x.y}', b: 'v${imports[\"p/none\"].z}'}");
    assert_eq!(summaries(&outcome), ["no p/none here"]);
}

#[test]
fn references_reach_environments_that_are_not_imported() {
    let documents = [("p/a", "values: {k: 1, o: {x: y}}"), ("q/b", "values: {k: '${environments.p.a.k}'}")];
    let open = |reference: &str| open_with(&documents, &format!("values: {{v: '{reference}'}}"));
    for (reference, expected) in [
        ("${environments.p.a.o.x}", r#"{"v":"y"}"#),
        ("${environments[\"p\"][\"a\"].k}", r#"{"v":1}"#),
        ("${environments.p.a}", r#"{"v":{"k":1,"o":{"x":"y"}}}"#),
        ("${environments.p.a.k}${environments.q.b.k}", r#"{"v":"11"}"#),
    ] {
        assert_eq!(plain(&open(reference)), expected, "{reference}");
    }
    for (reference, expected) in [
        ("${environments.p.a.z}", "unknown property \"z\""),
        ("${environments.p}", "${environments…} needs a project and an environment"),
        ("${environments}", "${environments…} needs a project and an environment"),
        ("${environments.p.none.k}", "no p/none here"),
        ("${environments.p.root.k}", "cyclic import of p/root"),
    ] {
        assert_eq!(summaries(&open(reference)), [expected], "{reference}");
    }
}

#[test]
fn finds_import_cycles() {
    let documents = [("p/a", "imports: [p/b]"), ("p/b", "imports: [p/a]")];
    assert_eq!(summaries(&open_with(&documents, "imports: [p/a]")), ["cyclic import of p/a"]);
}

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
            value = &value.as_object().unwrap()[*key];
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
fn values_know_where_they_are_defined() {
    let outcome =
        open_with(&[("p/a", "values:\n  inherited: 1\n")], "imports: [p/a]\nvalues:\n  own: text\n");
    let properties = outcome.value.as_object().unwrap();
    let place = |value: &Value| {
        let range = value.range();
        (range.environment.to_string(), range.begin.line, range.begin.column, range.begin.byte)
    };
    assert_eq!(place(&properties["own"]), ("p/root".to_owned(), 3, 8, 30));
    assert_eq!(place(&properties["inherited"]), ("p/a".to_owned(), 2, 14, 21));
}

#[test]
fn expansion_bombs_are_refused() {
    let levels = 40;
    let bomb = |call: &dyn Fn(usize) -> String| {
        let mut fragment = "x0: \"0123456789abcdef\"\n".to_owned();
        for level in 1..=levels {
            writeln!(fragment, "x{level}: {}", call(level - 1)).unwrap();
        }
        fragment
    };
    for fragment in [
        bomb(&|below| format!("\"${{x{below}}}${{x{below}}}\"")),
        bomb(&|below| format!("[\"${{x{below}}}\", \"${{x{below}}}\"]")),
        bomb(&|below| format!("{{fn::toString: [\"${{x{below}}}\", \"${{x{below}}}\"]}}")),
        bomb(&|below| format!("{{fn::concat: [[\"${{x{below}}}\"], [\"${{x{below}}}\"]]}}")),
    ] {
        assert_eq!(
            summaries(&values(&fragment)),
            ["the environment becomes larger than this server allows"],
            "{fragment}"
        );
    }
}

#[test]
fn long_chains_and_deep_nesting_are_refused_without_exhausting_the_stack() {
    let mut chain = String::new();
    for link in 0..5000 {
        writeln!(chain, "x{link:04}: \"${{x{:04}}}\"", link + 1).unwrap();
    }
    chain.push_str("x5000: end");
    let outcome = values(&chain);
    assert!(outcome.has_errors());
    assert_eq!(summaries(&outcome)[0], "references and nesting lead too deep");

    // In the order of evaluation nothing waits, but every step nests one level deeper.
    let mut tower = "x0000: end\n".to_owned();
    for level in 1..200 {
        writeln!(tower, "x{level:04}: [\"${{x{:04}}}\"]", level - 1).unwrap();
    }
    assert_eq!(summaries(&values(&tower))[0], "the value is nested deeper than 64 levels");
}

#[test]
fn imports_have_limits() {
    let names: Vec<String> = (0..300).map(|n| format!("p/m{n}")).collect();
    let load = |definition: &dyn Fn(usize) -> String| {
        let documents = names.iter().enumerate().map(|(n, name)| (&*name.clone().leak(), definition(n)));
        Documents(documents.collect())
    };
    let chained = load(&|n| format!("imports: [p/m{}]", n + 1));
    let outcome = evaluate("p/root", "imports: [p/m0]", &chained);
    assert_eq!(summaries(&outcome), ["imports lead deeper than 32 levels"]);

    let empty = load(&|_| String::new());
    let outcome = evaluate("p/root", &format!("imports: [{}]", names.join(", ")), &empty);
    assert_eq!(summaries(&outcome), ["more than 256 imports"]);

    let halves = load(&|n| {
        if n == 299 { format!("imports: [{}]", names[150..299].join(", ")) } else { String::new() }
    });
    let outcome = evaluate("p/root", &format!("imports: [p/m299, {}]", names[..150].join(", ")), &halves);
    assert_eq!(summaries(&outcome)[0], "more than 256 imports altogether");
}

#[test]
fn too_large_a_document_is_refused() {
    let root = format!("values: {{a: \"{}\"}}", "x".repeat(super::MAX_DOCUMENT));
    assert_eq!(summaries(&open_with(&[], &root)), ["the definition is larger than 4194304 bytes"]);
}

#[test]
fn many_large_imports_stay_cheap() {
    let names: Vec<String> = (0..50).map(|n| format!("p/m{n}")).collect();
    let documents: BTreeMap<&'static str, String> = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let mut text = "values:\n  shared: {a: 1}\n".to_owned();
            for key in 0..100 {
                writeln!(text, "  k{n}_{key}: v").unwrap();
            }
            (&*name.clone().leak(), text)
        })
        .collect();
    let root = format!("imports: [{}]", names.join(", "));
    let outcome = evaluate("p/root", &root, &Documents(documents));
    assert_eq!(summaries(&outcome), Vec::<&str>::new());
    assert_eq!(outcome.value.as_object().unwrap().len(), 5001);
}

proptest::proptest! {
    #[test]
    fn no_document_makes_it_panic(
        lines in proptest::collection::vec("( ){0,4}[abc]: ([abc]|\\$\\{[abc.\\[\\]0]{0,6}\\}|\\[[abc]\\]|\\{fn::(join|split|concat|toJSON|fromJSON|secret): [abc]\\}|)", 0..12),
        imports in "(imports: \\[(p/a|p/root|x)\\]\n)?",
    ) {
        let root = format!("{imports}values:\n  {}\n", lines.join("\n  "));
        open_with(&[("p/a", "values: {a: {b: 1}}")], &root);
    }
}
