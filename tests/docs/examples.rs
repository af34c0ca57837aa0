//! Every YAML example goes through what reads it: with annotations of ours, the injector.
//!
//! | Words | What it is |
//! |---|---|
//! | `yaml` | a manifest of Kubernetes; of those with our annotations also a pod without its `kind`, or annotations alone |
//! | `yaml refused ESC202` | what is refused, with the codes of the refusal |
//! | `yaml untouched` | what asks for nothing |
//! | `yaml values` | values of the chart |
//! | `yaml environment file=NAME` | a definition of an environment, which commands of the page open |
//! | `yaml foreign` | a file of somebody else's software: only read |

use std::collections::BTreeSet;

use esc_injector::{
    inject::{Policy, keys::PREFIX},
    manifest::{rewrite, stream::Stream, workload},
    yaml::{self, Dialect},
};
use serde_json::{Value, json};

use super::{Block, kinds, pages, read, schema};

#[test]
fn examples_do_what_the_pages_say() {
    let mut tried = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        for block in read(&page.text).0 {
            if block.info.first() == Some(&"yaml") {
                tried += 1;
                if let Err(why) = attempt(&block) {
                    wrong.push(format!("{}:{}: {why}", page.name, block.line));
                }
            }
        }
    }
    assert!(tried > 10, "the pages have examples");
    assert!(wrong.is_empty(), "examples that don't do what their page says:\n{}", wrong.join("\n"));
}

fn attempt(block: &Block<'_>) -> Result<(), String> {
    let nodes = yaml::parse(&block.text).map_err(|error| error.to_string())?;
    let mut objects = Vec::new();
    for node in &nodes {
        objects.push(yaml::to_json(node, Dialect::Kubernetes).map_err(|error| error.to_string())?);
    }
    let words: Vec<_> = block.info.iter().copied().filter(|word| !word.contains('=')).collect();
    match words.as_slice() {
        ["yaml", "foreign"] => return Ok(()),
        ["yaml", "environment"] if block.info.len() == 3 && objects[0].get("values").is_some() => {
            return Ok(());
        }
        ["yaml", "values"] => return none(objects.iter().flat_map(schema::wrong_values)),
        _ => none(objects.iter().filter(|object| object.get("kind").is_some()).flat_map(kinds::wrong))?,
    }
    if block.is_held && !block.text.contains(PREFIX) {
        return Ok(());
    }
    if !block.text.contains(PREFIX) {
        let are_manifests = words == ["yaml"] && objects.iter().all(|object| object.get("kind").is_some());
        return if are_manifests { Ok(()) } else { Err("neither a manifest nor marked".to_owned()) };
    }
    let mut objects: Vec<_> = objects.into_iter().map(manifest).collect();
    if objects.iter().all(|object| workload::pod(object).is_none()) {
        objects.push(pod(json!({"metadata": {"annotations": {(format!("{PREFIX}inject")): "true"}}})));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let mut streams = [Stream::read(&list).map_err(|error| error.to_string())?];
    let rewritten = rewrite::rewrite(&mut streams, &policy(), "shop");
    let mut refused = BTreeSet::new();
    let mut changed = false;
    for object in &rewritten {
        match &object.result {
            Ok(injected) => changed |= !injected.patch.is_empty(),
            Err(problems) => refused.extend(problems.iter().map(|problem| problem.code.id())),
        }
    }
    match words.as_slice() {
        ["yaml"] if refused.is_empty() && changed => Ok(()),
        ["yaml", "untouched"] if refused.is_empty() && !changed => Ok(()),
        ["yaml", "refused", codes @ ..] if refused == codes.iter().copied().collect() => Ok(()),
        expected => Err(format!("marked {expected:?}, but refused with {refused:?}, changed: {changed}")),
    }
}

fn none(problems: impl Iterator<Item = String>) -> Result<(), String> {
    let problems: Vec<_> = problems.collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// As lenient as it has to be: examples of a token from a Secret, and of another ESC, are legal for some operator.
fn policy() -> Policy {
    Policy { allowed_api_urls: vec!["https://esc.example.com".to_owned()], ..Policy::default() }
}

/// A whole manifest, whatever of it the example shows.
fn manifest(value: Value) -> Value {
    let object = value.as_object().expect("an example is a mapping");
    if object.contains_key("kind") {
        return value;
    }
    if !object.keys().all(|key| key.starts_with(PREFIX)) {
        return pod(value);
    }
    if object.contains_key(&format!("{PREFIX}allowed-environments")) {
        return json!({"kind": "Namespace", "metadata": {"name": "shop", "annotations": value}});
    }
    pod(json!({"metadata": {"annotations": value}}))
}

/// A pod with what the example leaves out.
fn pod(mut value: Value) -> Value {
    value["kind"] = json!("Pod");
    value["metadata"]["name"] = json!("example");
    let annotations = &mut value["metadata"]["annotations"];
    let environment = format!("{PREFIX}environment");
    let config = format!("{PREFIX}config");
    let names_one = annotations.get(&environment).is_some()
        || annotations.get(&config).is_some_and(|config| config.as_str().unwrap().contains("environments:"));
    if !names_one {
        annotations[environment] = json!("acme/shop/prod");
    }
    if value["spec"].get("containers").is_none() {
        let has_command = value["metadata"]["annotations"].get(format!("{PREFIX}command.app")).is_some();
        let mut container = json!({"name": "app", "image": "app"});
        if !has_command {
            container["command"] = json!(["/app"]);
        }
        value["spec"]["containers"] = json!([container]);
    }
    value
}
