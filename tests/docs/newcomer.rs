//! Somebody who has a clone, the README and the local quick start, and does what they say, command by command.

use std::{collections::BTreeMap, env, ffi::OsString, path::PathBuf, process::Command};

use super::{
    Block,
    blocks::{Treatment, name, treatment},
    pages, read, root,
    session::{Session, Step, copy_file, steps},
};

/// What cargo needs to know in a home that is not the user's own. Finished builds are reused.
fn variables(home: &std::path::Path) -> BTreeMap<&'static str, OsString> {
    let own = PathBuf::from(env::var_os("HOME").unwrap_or_default());
    let mut variables = BTreeMap::from([
        ("CARGO_HOME", own.join(".cargo").into()),
        ("RUSTUP_HOME", own.join(".rustup").into()),
        ("CARGO_TARGET_DIR", root().join("target").into()),
    ]);
    for name in [
        "CARGO_HOME",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
        "CARGO_TARGET_DIR",
        "CARGO_INCREMENTAL",
        "RUSTFLAGS",
    ] {
        variables.extend(env::var_os(name).map(|value| (name, value)));
    }
    variables.insert("CARGO_INSTALL_ROOT", home.into());
    variables
}

/// What git keeps of this tree, as it lies here.
pub fn clone_into(directory: &std::path::Path) {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    assert!(listed.status.success(), "the repository is a git checkout");
    for file in listed.stdout.split(|byte| *byte == 0).filter(|file| !file.is_empty()) {
        let file = std::str::from_utf8(file).unwrap();
        copy_file(&root().join(file), &directory.join(file));
    }
}

/// Commands of a block that a newcomer types: what is for contributors or needs a cluster is not theirs.
fn typed(block: &Block<'_>) -> Vec<Step> {
    let is_cargo = block.is_held || block.info == ["console", "cargo"];
    let mut steps = if block.info[0] == "console" { steps(&block.text) } else { Vec::new() };
    if is_cargo {
        steps.retain(|step| {
            ["cargo run ", "cargo install "].iter().any(|begin| step.command.starts_with(begin))
        });
        // Held to what it prints by sections.rs.
        for step in &mut steps {
            step.shown.clear();
        }
    }
    steps
}

#[test]
#[ignore = "builds and installs the release binary: .ci/run"]
fn a_newcomer_gets_from_a_clone_to_a_secret_in_a_process() {
    let work = tempfile::tempdir().unwrap();
    clone_into(work.path());
    let home = tempfile::tempdir().unwrap();
    let mut session = Session::start(work, &home.path().join("bin"), &variables(home.path()));
    let pages = pages();
    let page = |name: &str| pages.iter().find(|page| page.name == name).unwrap();
    let (readme, start) = (page("README.md"), page("docs/quickstart-local.md"));
    let readme_blocks = read(&readme.text).0;
    let (first, then): (Vec<_>, Vec<_>) =
        readme_blocks.iter().partition(|block| !typed(block).is_empty() && block.text.contains("cargo run"));
    let start_blocks = read(&start.text).0;
    let in_order = first.into_iter().chain(&start_blocks).chain(then);
    let mut done = 0;
    for block in in_order {
        if let Some(name) = name(block) {
            session.write(name, &block.text);
        }
        let kind = treatment(block).unwrap();
        if matches!(kind, Treatment::NotRun(_) | Treatment::TypedOnACluster)
            && block.info != ["console", "cargo"]
        {
            continue;
        }
        let steps = typed(block);
        for (index, step) in steps.iter().enumerate() {
            let fails = block.info.contains(&"fails") && index + 1 == steps.len();
            let result =
                if kind == Treatment::Serve { session.serve(step) } else { session.run(step, fails) };
            result.unwrap_or_else(|why| panic!("line {}: {}\n{why}", block.line, step.command));
            done += 1;
        }
    }
    assert!(done > 7, "the pages have commands for newcomers: {done}");
}
