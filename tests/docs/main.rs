//! The documentation keeps its word: what is generated is current, commands print what is shown, examples are accepted,
//! links lead somewhere. [`blocks`] says what becomes of each block of code.
//!
//! `UPDATE_DOCS=1 cargo test --test docs` rewrites the generated sections.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests fail by panicking"
)]

mod blocks;
mod claims;
mod cluster;
mod demo;
mod elision;
mod examples;
mod kinds;
mod links;
mod maps;
mod newcomer;
mod offline;
mod recipes;
mod rooms;
mod schema;
mod sections;
mod session;
mod tables;
mod values;

use std::path::{Path, PathBuf};

/// A page of the documentation.
struct Page {
    /// From the repository's root.
    name: String,
    path: PathBuf,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page that people read.
fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    for folder in ["", "docs", "deploy", "certs", "charts/esc-injector"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                pages.push(Page { name, text: std::fs::read_to_string(&path).unwrap(), path });
            }
        }
    }
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(pages.iter().any(|page| page.name == "README.md"), "the README is a page");
    pages
}

/// A block of code in a page.
struct Block<'a> {
    /// Line of the opening fence, from 1.
    line: usize,
    /// Words after the opening fence: the language first.
    info: Vec<&'a str>,
    text: String,
    /// It stands in a section that is written from what the code or the cluster says, and is held to it there.
    is_held: bool,
}

/// The code blocks of a page, and the lines outside of them with their numbers.
fn read(text: &str) -> (Vec<Block<'_>>, Vec<(usize, &str)>) {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut prose = Vec::new();
    let mut open: Option<&str> = None;
    let mut is_held = false;
    for (index, line) in text.lines().enumerate() {
        let content = line.trim_start();
        match content.strip_prefix("<!-- ") {
            Some(mark) if mark.starts_with("generated: ") || mark.starts_with("captured: ") => is_held = true,
            Some(mark) if mark.starts_with("end of ") => is_held = false,
            _ => {}
        }
        match (open, content.strip_prefix("```")) {
            (None, Some(info)) => {
                open = line.strip_suffix(content);
                let info = info.split_whitespace().collect();
                blocks.push(Block { line: index + 1, info, text: String::new(), is_held });
            }
            (Some(_), Some("")) => open = None,
            (Some(indent), _) => {
                let block = blocks.last_mut().unwrap();
                block.text.push_str(line.strip_prefix(indent).unwrap_or(content));
                block.text.push('\n');
            }
            (None, None) => prose.push((index + 1, line)),
        }
    }
    assert!(open.is_none(), "a code block is not closed");
    (blocks, prose)
}
