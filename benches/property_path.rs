//! Parsing a property path and looking it up: the work of the agent per key.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench fails by panicking")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use esc_injector::esc::{path::Path, value::Value};

const TYPICAL: &str = "db.url";
const LONG: &str =
    r#"services["payments.eu-1"].replicas[12].endpoints[3]["x-forwarded for"].tls.certificates[0].key"#;

/// An environment in which both paths exist among a thousand other values.
fn environment() -> Value {
    let wrap = |payload: String| format!(r#"{{"value":{payload}}}"#);
    let object = |key: &str, value: String| wrap(format!(r#"{{"{key}":{value}}}"#));
    let nth = |index: usize, value: String| {
        let mut items = vec![wrap("1".to_owned()); index];
        items.push(value);
        wrap(format!("[{}]", items.join(",")))
    };
    let tls = object("certificates", nth(0, object("key", wrap(r#""k""#.to_owned()))));
    let endpoint = object("x-forwarded for", object("tls", tls));
    let replica = object("endpoints", nth(3, endpoint));
    let services = object("payments.eu-1", object("replicas", nth(12, replica)));
    let others: Vec<_> = (0..1000).map(|index| format!(r#""key{index}":{{"value":"v{index}"}}"#)).collect();
    let db = object("url", wrap(r#""postgres://db""#.to_owned()));
    let wire = format!(r#"{{"properties":{{"db":{db},"services":{services},{}}}}}"#, others.join(","));
    Value::from_environment(wire.as_bytes()).unwrap()
}

fn benches(criterion: &mut Criterion) {
    let environment = environment();
    let mut group = criterion.benchmark_group("property path");
    for (name, text) in [("typical", TYPICAL), ("long", LONG)] {
        let path: Path = text.parse().unwrap();
        group.bench_function(format!("parse {name}"), |bencher| {
            bencher.iter(|| black_box(text).parse::<Path>().unwrap());
        });
        group.bench_function(format!("get {name}"), |bencher| {
            bencher.iter(|| black_box(&path).get(&environment).unwrap());
        });
    }
    group.finish();
}

criterion_group!(property_path, benches);
criterion_main!(property_path);
