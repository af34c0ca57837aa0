//! The maps of the repository name everything that is there.

use super::{pages, root};

fn folders(below: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(below)).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.path().is_dir());
    folders.map(|entry| format!("{below}/{}", entry.file_name().to_str().unwrap())).collect()
}

fn names_all(page: &str, wanted: &[String]) {
    let page = pages().into_iter().find(|found| found.name == page).unwrap();
    let missing: Vec<_> = wanted.iter().filter(|name| !page.text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{} does not name {missing:?}", page.name);
}

#[test]
fn the_architecture_names_every_module() {
    names_all("docs/architecture.md", &folders("src"));
}

#[test]
fn contributing_names_every_test_suite() {
    names_all("CONTRIBUTING.md", &folders("tests"));
}

#[test]
fn the_readme_links_every_page_of_docs() {
    let pages = pages();
    let readme = pages.iter().find(|page| page.name == "README.md").unwrap();
    for page in pages.iter().filter(|page| page.name.starts_with("docs/")) {
        assert!(readme.text.contains(&format!("]({})", page.name)), "the README does not link {}", page.name);
    }
}

#[test]
fn the_map_of_docs_links_every_page() {
    let pages = pages();
    let map = pages.iter().find(|page| page.name == "docs/README.md").unwrap();
    for page in pages.iter().filter_map(|page| page.name.strip_prefix("docs/")) {
        let is_linked = page == "README.md" || map.text.contains(&format!("]({page})"));
        assert!(is_linked, "docs/README.md does not link {page}");
    }
}
