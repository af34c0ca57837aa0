//! Hostile documents end in a diagnostic.

use std::{collections::BTreeMap, fmt::Write};

use super::{Documents, evaluate, open_with, summaries, values};
use crate::lang::MAX_DOCUMENT;

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
    assert_eq!(summaries(&outcome), ["imports lead deeper than 128 levels"]);

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
    let root = format!("values: {{a: \"{}\"}}", "x".repeat(MAX_DOCUMENT));
    assert_eq!(summaries(&open_with(&[], &root)), ["the definition is larger than 1048576 bytes"]);
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

#[test]
fn imports_within_references_do_not_exhaust_the_stack() {
    let names: Vec<String> = (0..200).map(|n| format!("p/m{n}")).collect();
    let documents = names.iter().enumerate().map(|(n, name)| {
        let text = format!("values: {{a: [{{b: ['${{environments.p.m{}.a}}']}}]}}", n + 1);
        (&*name.clone().leak(), text)
    });
    let documents = Documents(documents.collect());
    let outcome = evaluate("p/root", "values: {a: '${environments.p.m0.a}'}", &documents);
    let summary = summaries(&outcome)[0].to_owned();
    assert!(summary.contains("too deep") || summary.contains("deeper than"), "{summary}");

    let chain = |length: usize| {
        let documents = names.iter().take(length).enumerate().map(|(n, name)| {
            let import = if n == 0 { String::new() } else { format!("imports: [p/m{}]\n", n - 1) };
            (&*name.clone().leak(), format!("{import}values: {{k{n}: 1}}"))
        });
        evaluate("p/root", &format!("imports: [p/m{}]", length - 1), &Documents(documents.collect()))
    };
    let outcome = chain(100);
    assert_eq!(summaries(&outcome), Vec::<&str>::new());
    assert_eq!(outcome.value.as_object().unwrap().len(), 100);
}

#[test]
fn hostile_suggestions_and_schemas_end() {
    // Many long names, each looked for in vain.
    let mut names = String::new();
    for n in 0..3000 {
        writeln!(names, "property_number_{n}: ${{proberty_nomber_{n}x}}").unwrap();
    }
    assert_eq!(values(&names).diagnostics.len(), 100);

    // A shared list that would have to be compared with itself over and over.
    let mut shared = "x0: [a, b, c, d, e, f, g, h]\n".to_owned();
    for level in 1..6 {
        let below = format!("\"${{x{}}}\"", level - 1);
        writeln!(shared, "x{level}: [{}]", [below.as_str(); 8].join(", ")).unwrap();
    }
    shared.push_str("v: {fn::validate: {schema: {items: {enum: [\"${x5}\"]}}, value: [");
    shared.push_str(&["\"${x5}\""; 200].join(", "));
    shared.push_str("]}}");
    let outcome = values(&shared);
    assert!(outcome.has_errors());
}
