//! What tools are told of a definition. The expected forms are those of Pulumi's own evaluator for the same
//! documents, but that secrets are masked and that ranges of flow collections include their last bracket.

use serde_json::{Value as Json, json};

use super::{Mode, Options, run};
use crate::lang::Outline;

fn outlined(imports: &[(&'static str, &str)], root: &str, show_secrets: bool) -> Outline {
    let mode = Mode::Check { show_secrets };
    run(imports, root, Options { mode, outline: true, ..Options::default() })
        .outline
        .map(|outline| *outline)
        .unwrap()
}

/// The same with every range as `environment@line:column-line:column`.
fn exprs(imports: &[(&'static str, &str)], root: &str) -> Json {
    compact(outlined(imports, root, false).exprs)
}

fn compact(json: Json) -> Json {
    match json {
        Json::Object(map) if map.contains_key("begin") => {
            let at = |mark: &Json| format!("{}:{}", mark["line"], mark["column"]);
            let environment = map["environment"].as_str().unwrap();
            json!(format!("{environment}@{}-{}", at(&map["begin"]), at(&map["end"])))
        }
        Json::Object(map) => map.into_iter().map(|(key, value)| (key, compact(value))).collect(),
        Json::Array(items) => items.into_iter().map(compact).collect(),
        other => other,
    }
}

#[test]
fn literals_show_their_values_and_schemas() {
    let found = exprs(&[], "values:\n  o:\n    n: 5\n    l: [a, true, null]\n  e: {}\n");
    assert_eq!(
        found["o"],
        json!({
            "range": "p/root@3:5-4:23",
            "schema": {
                "type": "object",
                "properties": {
                    "l": {
                        "type": "array",
                        "prefixItems": [
                            { "type": "string", "const": "a" }, { "type": "boolean", "const": true }, { "type": "null" },
                        ],
                        "items": false,
                    },
                    "n": { "type": "number", "const": 5 },
                },
                "required": ["l", "n"],
            },
            "keyRanges": { "l": "p/root@4:5-4:6", "n": "p/root@3:5-3:6" },
            "object": {
                "l": {
                    "range": "p/root@4:8-4:23",
                    "schema": found["o"]["schema"]["properties"]["l"],
                    "list": [
                        { "range": "p/root@4:9-4:10", "schema": { "type": "string", "const": "a" }, "literal": "a" },
                        { "range": "p/root@4:12-4:16", "schema": { "type": "boolean", "const": true }, "literal": true },
                        { "range": "p/root@4:18-4:22", "schema": { "type": "null" } },
                    ],
                },
                "n": { "range": "p/root@3:8-3:9", "schema": { "type": "number", "const": 5 }, "literal": 5 },
            },
        })
    );
    assert_eq!(found["e"], json!({ "range": "p/root@5:6-5:8", "schema": { "type": "object" } }));
}

#[test]
fn every_step_of_a_reference_says_where_it_leads() {
    let imports = [("p/a", "values:\n  db:\n    host: h1\n")];
    let root = "imports: [p/a]\nvalues:\n  l: [{x: 1}]\n  r: ${l[0].x}\n  t: a-${l[0].x}-${db.host}\n  \
                i: ${imports[\"p/a\"].db.host}\n  e: ${environments.p.a.db.host}\n  c: ${context.rootEnvironment.name}\n  \
                u: ${missing.x}\n";
    let found = exprs(&imports, root);
    let symbol = |name: &str| {
        let steps = found[name]["symbol"].as_array().unwrap().iter();
        steps.map(|step| (step["range"].clone(), step["value"].clone())).collect::<Vec<_>>()
    };
    let (none, root) = ("p/root@0:0-0:0", |range: &str| format!("p/root@{range}"));
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(at, value)| (json!(at), json!(value))).collect::<Vec<_>>()
    };
    assert_eq!(
        symbol("r"),
        pairs(&[
            (&root("4:8-4:9"), &root("3:6-3:14")),
            (&root("4:9-4:12"), &root("3:7-3:13")),
            (&root("4:12-4:14"), &root("3:11-3:12")),
        ])
    );
    assert_eq!(found["r"]["symbol"][1]["index"], 0);
    assert_eq!(found["r"]["schema"], json!({ "type": "number", "const": 1 }));
    let values = |name: &str| symbol(name).into_iter().map(|(_, value)| value).collect::<Vec<_>>();
    assert_eq!(values("i"), [json!(none), json!(none), json!("p/a@3:5-3:13"), json!("p/a@3:11-3:13")]);
    assert_eq!(
        values("e"),
        [&root("7:6-7:33"), &root("7:6-7:33"), none, "p/a@3:5-3:13", "p/a@3:11-3:13"].map(|at| json!(at))
    );
    assert_eq!(values("c"), vec![json!(none); 3]);
    assert_eq!(values("u"), vec![json!(root("9:6-9:18")); 2]);
    let template = &found["t"]["interpolate"];
    assert_eq!(template[0]["text"], "a-");
    assert_eq!(template[1]["text"], "-");
    assert_eq!(template[1]["value"][1]["range"], root("5:22-5:27"));
    assert_eq!(template[1]["value"][1]["value"], "p/a@3:11-3:13");
    assert_eq!(found["t"]["schema"], json!({ "type": "string" }));
}

#[test]
fn what_is_overridden_is_told_through_all_imports() {
    let imports = [
        ("p/a", "values: {db: {host: h1, name: n}}"),
        ("p/b", "imports: [p/a]\nvalues: {db: {host: h2}}"),
        ("p/s", "values: {db: {password: {fn::secret: c4n4ry}}}"),
    ];
    let found = exprs(&imports, "imports: [p/b]\nvalues: {db: {host: h3, name: m}}");
    let host = &found["db"]["object"]["host"];
    assert_eq!(host["base"]["literal"], "h2");
    assert_eq!(host["base"]["base"]["literal"], "h1");
    assert_eq!(host["base"]["base"]["base"], Json::Null);
    assert_eq!(found["db"]["object"]["name"]["base"]["literal"], "n");
    assert_eq!(found["db"]["base"]["base"]["keyRanges"]["name"], "p/a@1:25-1:29");
    let found = exprs(&imports, "imports: [p/s]\nvalues: {db: {password: open}}");
    let password = &found["db"]["object"]["password"]["base"];
    assert_eq!(password["builtin"]["arg"]["literal"], "[secret]");
    assert!(!found.to_string().contains("c4n4ry"));
}

#[test]
fn calls_show_their_arguments_and_what_they_take() {
    let root = "values:\n  j: {fn::join: [',', [a]]}\n  s: {fn::split: [',', '${j}']}\n  \
                o: {fn::open: {provider: typed, inputs: {size: 1}}}\n  p: {fn::open::typed: {size: 1}}\n  \
                r: {fn::rotate::swap: {inputs: {}, state: {a: x, b: y}}}\n  v: {fn::validate: {schema: true, value: 1}}\n  \
                b: {fn::toBase64: x}\n";
    let found = exprs(&[], root);
    let call = |name: &str| &found[name]["builtin"];
    assert_eq!(call("j")["name"], "fn::join");
    assert_eq!(call("j")["nameRange"], "p/root@2:7-2:15");
    assert_eq!(call("j")["argSchema"]["prefixItems"][1]["items"], json!({ "type": "string" }));
    assert_eq!(call("j")["arg"]["range"], "p/root@2:17-2:27");
    assert_eq!(call("j")["arg"]["list"][1]["list"][0]["literal"], "a");
    assert_eq!(found["s"]["schema"], json!({ "type": "array", "items": { "type": "string" } }));
    assert_eq!(call("o")["arg"]["object"]["provider"]["literal"], "typed");
    assert_eq!(call("o")["argSchema"]["required"], json!(["inputs", "provider"]));
    assert_eq!(call("p")["argSchema"]["properties"]["size"], json!({ "type": "number" }));
    assert_eq!(call("p")["arg"]["object"]["size"]["literal"], 1);
    assert_eq!(found["p"]["schema"]["properties"]["text"], json!({ "type": "string" }));
    assert_eq!(call("v")["arg"]["object"]["value"]["literal"], 1);
    assert_eq!(call("b")["argSchema"], json!({ "type": "string" }));
    assert_eq!(found["b"]["schema"], json!({ "type": "string" }));
}

#[test]
fn no_secret_stands_in_an_outline() {
    let root = "values:\n  s: {fn::secret: c4n4ry}\n  o: {fn::final: {x: '${s}', y: c4n4ry-name}}\n  \
                t: x-${s}\n  j: {fn::fromJSON: {fn::secret: '{\"c4n4ry\": [1]}'}}\n  r: ${j}\n";
    for show in [false, true] {
        let outline = outlined(&[], root, show);
        let all = format!("{}{}{}", outline.exprs, outline.schema, outline.context_schema);
        assert_eq!(outline.schema["properties"]["s"], json!({ "type": "string" }));
        assert_eq!(
            outline.schema["properties"]["j"],
            json!({ "type": "object", "additionalProperties": true })
        );
        // What stands there for everybody to read may be repeated.
        let all = all.replace("c4n4ry-name", "");
        assert!(!all.contains("c4n4ry"), "{all}");
    }
}

#[test]
fn what_repeats_is_left_out_before_it_grows_without_measure() {
    let mut names = Vec::new();
    for number in 0..60 {
        let import = if number == 0 { String::new() } else { format!("imports: [p/e{}]\n", number - 1) };
        let mut value = "{x: 1, y: 2}".to_owned();
        for _ in 0..12 {
            value = format!("{{a: {value}, b: {number}}}");
        }
        let name: &'static str = Box::leak(format!("p/e{number}").into_boxed_str());
        names.push((name, format!("{import}values: {{o: {value}}}")));
    }
    let imports: Vec<_> = names.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let (last, rest) = imports.split_last().unwrap();
    let outline = outlined(rest, last.1, false);
    assert_eq!(outline.exprs["o"]["base"]["base"]["range"]["environment"], "p/e57");
    assert!(outline.exprs.to_string().len() < 64 << 20);
}

#[test]
fn a_broken_definition_has_no_expressions() {
    let outline = outlined(&[], "values: [", false);
    assert_eq!(outline.exprs, json!({}));
    assert!(run(&[], "values: {}", Options::default()).outline.is_none());
}

#[test]
fn what_an_import_could_not_give_is_no_expression() {
    let root = "imports: [p/missing]\nvalues:\n  a: {a: {b: 1}}\n";
    let found = exprs(&[], root);
    assert_eq!(found["a"]["object"]["a"]["object"]["b"]["literal"], 1);
    assert_eq!(found["a"]["object"]["a"].get("base"), None);
    let cycle =
        [("p/a", "imports: [p/b]\nvalues: {a: {a: 1}}"), ("p/b", "imports: [p/a]\nvalues: {a: {a: 2}}")];
    let found = exprs(&cycle, "imports: [p/a]\nvalues: {a: {a: 3}}");
    assert_eq!(found["a"]["object"]["a"]["base"]["base"]["literal"], 2);
}
