//! Imports and merging.

use super::{Value, evaluate, open_with, plain, summaries};

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
fn final_values_hold_against_importers_but_not_against_siblings() {
    let f = "values: {k: {fn::final: base}, o: {x: {fn::final: 1}, y: 2}}";
    let warning = "cannot override final value";
    let child = open_with(&[("p/f", f)], "imports: [p/f]\nvalues: {k: over, o: {x: 3, z: 4}}");
    assert_eq!(summaries(&child), [warning, warning]);
    assert!(!child.has_errors());
    assert_eq!(super::json(&child.value), r#"{"k":"base","o":{"x":1,"y":2,"z":4}}"#);

    let sibling = open_with(&[("p/f", f), ("p/g", "values: {k: sib}")], "imports: [p/f, p/g]");
    assert_eq!(plain(&sibling), r#"{"k":"sib","o":{"x":1,"y":2}}"#);

    let passed = "values: {k: {fn::validate: {schema: true, value: {fn::final: 1}}}}";
    let over = open_with(&[("p/v", passed)], "imports: [p/v]\nvalues: {k: 2}");
    assert_eq!(plain(&over), r#"{"k":2}"#);

    let cut =
        open_with(&[("p/a", "values: {o: {x: 1}}")], "imports: [p/a]\nvalues: {o: {fn::final: {only: 1}}}");
    assert_eq!(plain(&cut), r#"{"o":{"only":1}}"#);
}

#[test]
fn values_know_what_they_override() {
    let outcome = open_with(
        &[("p/a", "values: {s: a, o: {x: 1}}"), ("p/b", "values: {s: b}")],
        "imports: [p/a, p/b]\nvalues: {s: top, o: {x: 2, y: 3}}",
    );
    let mut chain = Vec::new();
    let mut value = outcome.value.as_object().unwrap().get("s");
    while let Some(found) = value {
        chain.push((super::json(found), found.range().environment.to_string()));
        value = found.base();
    }
    let expected = [("\"top\"", "p/root"), ("\"b\"", "p/b"), ("\"a\"", "p/a")];
    assert_eq!(chain, expected.map(|(json, environment)| (json.to_owned(), environment.to_owned())));
    let object = outcome.value.as_object().unwrap().get("o").unwrap();
    assert_eq!(super::json(object.base().unwrap()), r#"{"x":1}"#);
}

#[test]
fn without_a_name_the_first_named_environment_is_the_root() {
    let who = "values: {me: '${context.currentEnvironment.name}', root: '${context.rootEnvironment.name}'}";
    let nested = format!("imports: [p/low: {{merge: false}}]\n{who}");
    let documents = super::documents(&[
        ("p/mid", &nested),
        ("p/low", "values: {root: '${context.rootEnvironment.name}'}"),
    ]);
    let anonymous = "imports: [p/mid]\nvalues: {low: '${environments.p.low.root}', here: '${context.rootEnvironment.name}'}";
    let outcome = evaluate(crate::lang::ANONYMOUS, anonymous, &documents);
    assert_eq!(plain(&outcome), r#"{"here":"\u003cyaml\u003e","low":"p/mid","me":"p/mid","root":"p/mid"}"#);
}

#[test]
fn an_environment_is_loaded_once_however_often_it_is_named() {
    struct Counting(std::cell::Cell<usize>);
    impl crate::lang::Load for Counting {
        fn load(&self, name: &str) -> Result<crate::secret::Secret, crate::lang::LoadError> {
            self.0.set(self.0.get() + 1);
            match name {
                "p/low" => Ok("values: {a: 1}".into()),
                "p/mid" => Ok("imports: [p/low]".into()),
                _ => Err(crate::lang::LoadError("none".to_owned())),
            }
        }
    }
    let loader = Counting(std::cell::Cell::new(0));
    let root = "imports: [p/mid, p/low, p/mid]\nvalues: {b: '${environments.p.low.a}', c: '${environments.p.mid.a}', d: '${environments.p.x.a}', e: '${environments.p.x.a}'}";
    let outcome = evaluate("p/root", root, &loader);
    assert_eq!(summaries(&outcome), ["none"]);
    assert_eq!(loader.0.get(), 3);
}

/// Where a value and all that it overrides is defined: environment and line.
fn stack(value: &Value) -> Vec<String> {
    let all = std::iter::successors(Some(value), |value| value.base());
    all.map(|value| format!("{}:{}", value.range().environment, value.range().begin.line)).collect()
}

/// As seen with the reference.
#[test]
fn a_value_keeps_what_it_stood_on_when_it_is_laid_over_more() {
    let diamond = [
        ("p/a", "imports: [p/c]\nvalues: {k: a, o: {k: a}}"),
        ("p/b", "imports: [p/c]\nvalues: {k: b, o: {k: b}}"),
        ("p/c", "values: {k: c, o: {k: c}, j: c}"),
    ];
    let found = open_with(&diamond, "imports: [p/a, p/b]\nvalues: {k: r, o: {k: r}, r: '${k}', j: '${k}'}");
    let get = |path: &[&str]| {
        let found = path.iter().try_fold(&found.value, |value, key| value.as_object()?.get(key));
        stack(found.unwrap())
    };
    let both_sides = ["p/root:2", "p/b:2", "p/c:1", "p/a:2", "p/c:1"];
    for path in [&["k"][..], &["o"], &["o", "k"], &["r"]] {
        assert_eq!(get(path), both_sides, "{path:?}");
    }
    assert_eq!(get(&["j"]), ["p/root:2", "p/b:2", "p/c:1", "p/a:2", "p/c:1", "p/c:1", "p/c:1"]);
}

/// Both sides of a diamond stand on all that is below: with each row of diamonds there is twice as much.
#[test]
fn what_values_stood_on_stays_small_through_rows_of_diamonds() {
    let texts: Vec<(String, String)> = (0..40)
        .flat_map(|row| {
            let imports =
                if row == 0 { String::new() } else { format!("imports: [p/a{0}, p/b{0}]\n", row - 1) };
            ["a", "b"].map(|side| {
                (
                    format!("p/{side}{row}"),
                    format!("{imports}values: {{k: {side}, o: {{o: {{o: {{k: {row}}}}}}}}}"),
                )
            })
        })
        .collect();
    let imports: Vec<(&'static str, &str)> =
        texts.iter().map(|(name, text)| (&*String::leak(name.clone()), text.as_str())).collect();
    let found = open_with(&imports, "imports: [p/a39, p/b39]\n");
    assert_eq!(plain(&found), r#"{"k":"b","o":{"o":{"o":{"k":39}}}}"#);
    let stack = stack(found.value.as_object().unwrap().get("k").unwrap());
    assert!((40..=256).contains(&stack.len()), "{}", stack.len());
}

/// What is carried along for tools must never be what an environment fails for.
#[test]
fn many_environments_on_a_large_common_one_merge_as_before() {
    let keys: Vec<String> = (0..1300).map(|key| format!("k{key}: c")).collect();
    let common = format!("values: {{o: {{{}}}}}", keys.join(", "));
    let over = "imports: [p/common]\nvalues: {o: {k: o}}";
    let names: Vec<&'static str> = (0..200).map(|number| &*String::leak(format!("p/e{number}"))).collect();
    let imports: Vec<_> = names.iter().map(|name| (*name, over)).chain([("p/common", &*common)]).collect();
    let found = open_with(&imports, &format!("imports: [{}]", names.join(", ")));
    assert_eq!(summaries(&found), Vec::<&str>::new());
}
