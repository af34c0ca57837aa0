//! Secret values of tests: made up for one run, so that whoever finds one knows where it came from.

use std::{
    collections::hash_map::RandomState,
    fmt::Write,
    hash::{BuildHasher, Hasher},
    process::Command,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ring::digest::{SHA256, digest};

use super::{cluster::cluster, command::run};

/// A value that is nowhere else in the world.
pub fn value(what: &str) -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("planted-{what}-{:016x}{:016x}", random(), random())
}

/// As `sha256sum` prints it.
pub fn sha256(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// How it looks to those who search bytes: as it is, and in base64, where it makes three texts by where it stands in what
/// was encoded.
pub fn forms(text: &str) -> Vec<String> {
    let encoded = (0..3).map(|before| {
        let whole = STANDARD_NO_PAD.encode([vec![0; before], text.as_bytes().to_vec()].concat());
        // Characters that say something of the neighbours too.
        let (first, last) = ((before * 8).div_ceil(6), (before + text.len()) * 8 / 6);
        whole[first..last].to_owned()
    });
    std::iter::once(text.to_owned()).chain(encoded).collect()
}

/// Files of the cluster that hold one of these texts, plain or in base64: etcd's own files, the logs of everything and of
/// every container, and all that the node has on its disk. Memory volumes are mounted where only the node sees them.
pub fn found_on_disk(texts: &[&str]) -> Vec<String> {
    let mut grep = Command::new("grep");
    grep.args(["--recursive", "--text", "--files-with-matches", "--fixed-strings"]);
    for form in texts.iter().flat_map(|text| forms(text)) {
        grep.args(["-e", &form]);
    }
    // Its standard error tells of files that went meanwhile.
    run(grep.arg(&cluster().state), "").stdout.lines().map(str::to_owned).collect()
}
