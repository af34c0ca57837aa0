//! Recipes that say what their containers print are run: the webhook injects the manifest, the agent delivers from a local
//! ESC, and the containers' own commands run as processes, as in the demo.

use std::path::Path;

use esc_injector::demo::{
    apiserver::{self, Verdict},
    kubelet::{Cluster, Node},
    services::Services,
};
use serde_json::Value;

use super::{
    Block,
    blocks::{is_there, name, skipped},
    elision, pages, read, root, session,
};

/// A manifest, the programs that it takes, and what its containers print.
struct Recipe<'a> {
    place: String,
    manifest: &'a str,
    programs: Vec<&'a str>,
    prints: &'a str,
    files: Vec<&'a Block<'a>>,
}

fn programs<'a>(block: &Block<'a>) -> Option<Vec<&'a str>> {
    block.info.iter().find_map(|word| word.strip_prefix("run=")).map(|names| names.split(',').collect())
}

#[test]
fn recipes_print_what_the_page_shows() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut seen = 0;
    for page in pages() {
        let blocks = read(&page.text).0;
        for (index, block) in blocks.iter().enumerate() {
            let Some(programs) = programs(block) else { continue };
            let rest = &blocks[index + 1..];
            let output = rest.iter().position(|block| block.info == ["text", "output"]);
            let output = output.unwrap_or_else(|| panic!("{}:{}: no output", page.name, block.line));
            let recipe = Recipe {
                place: format!("{}:{}", page.name, block.line),
                manifest: &block.text,
                programs,
                prints: &rest[output].text,
                files: rest[..output].iter().filter(|block| name(block).is_some()).collect(),
            };
            seen += 1;
            if recipe.programs.iter().any(|program| !is_there(program)) {
                skipped(&format!("{}: one of {:?} is not there", recipe.place, recipe.programs));
            } else {
                let printed = runtime.block_on(cook(&recipe));
                assert!(elision::agrees(recipe.prints, &printed), "{} prints:\n{printed}", recipe.place);
            }
        }
    }
    assert!(seen > 2, "the pages have recipes");
}

/// What the containers print, one after the other.
#[expect(clippy::disallowed_methods, reason = "files of the test's own")]
async fn cook(recipe: &Recipe<'_>) -> String {
    let directory = tempfile::tempdir().unwrap();
    let services = Services::start(directory.path(), None).await.unwrap();
    // The server reads definitions anew at each open.
    session::copy(
        &root().join("deploy/examples/environments/acme/recipes"),
        &directory.path().join("environments/acme/recipes"),
    );
    for file in &recipe.files {
        std::fs::write(directory.path().join(name(file).unwrap()), &file.text).unwrap();
    }
    let mut admitted = apiserver::pod_of(recipe.manifest).unwrap();
    let tls = services.authority.client_config().unwrap();
    match apiserver::admit(&admitted, services.webhook, tls).await.unwrap() {
        Verdict::Denied(why) => panic!("{}: {why}", recipe.place),
        Verdict::Allowed { patch, .. } => json_patch::patch(&mut admitted.pod, &patch).unwrap(),
    }
    let cluster = Cluster {
        issuer: &services.issuer,
        namespace: &admitted.namespace,
        service_account: &admitted.service_account,
        secret: &services.token,
    };
    let containers = ["initContainers", "containers"];
    let containers =
        containers.iter().filter_map(|list| admitted.pod["spec"].get(list)?.as_array()).flatten();
    let names: Vec<_> = containers.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect();
    let executable = Path::new(env!("CARGO_BIN_EXE_esc-injector")).to_owned();
    let pod: Value = admitted.pod.clone();
    let node = Node::new(pod, directory.path(), executable, &cluster).unwrap();
    let mut printed = String::new();
    for name in names {
        let container = node.container(&name).unwrap();
        let output = tokio::task::block_in_place(|| container.run()).unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: container {name}: {stderr}", recipe.place);
        printed.push_str(&String::from_utf8_lossy(&output.stdout));
    }
    services.stop().await;
    printed
}
