//! Links inside the repository lead to files and headings that exist.

use std::collections::{BTreeMap, BTreeSet};

use super::{pages, read, root};

/// The targets of a line's links, code spans left out.
fn targets(line: &str) -> Vec<&str> {
    let prose = line.split('`').step_by(2);
    prose.flat_map(|text| text.split("](").skip(1)).filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let pages = pages();
    let mut anchors: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for page in &pages {
        let headings = read(&page.text).1.into_iter().filter(|(_, line)| line.starts_with('#'));
        let headings = headings.map(|(_, line)| anchor(line.trim_start_matches('#').trim()));
        anchors.insert(page.path.canonicalize().unwrap(), headings.collect());
    }
    let mut seen = 0;
    let mut broken = Vec::new();
    for page in &pages {
        for (number, line) in read(&page.text).1 {
            for target in targets(line).into_iter().filter(|target| !target.contains("://")) {
                seen += 1;
                let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
                let folder = page.path.parent().unwrap();
                let path = if file.is_empty() { page.path.clone() } else { folder.join(file) };
                let found =
                    path.canonicalize().ok().filter(|path| path.starts_with(root().canonicalize().unwrap()));
                let known = found.as_ref().and_then(|path| anchors.get(path));
                let leads = found.is_some()
                    && (fragment.is_empty() || known.is_some_and(|known| known.contains(fragment)));
                if !leads {
                    broken.push(format!("{}:{number}: {target}", page.name));
                }
            }
        }
    }
    assert!(seen > 10, "the pages link to one another");
    assert!(broken.is_empty(), "these links lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn anchors_are_made_as_github_makes_them() {
    for (heading, expected) in [
        ("ESC101: Unknown annotation", "esc101-unknown-annotation"),
        ("Files, modes & `owners`", "files-modes--owners"),
        ("What's *not* there yet", "whats-not-there-yet"),
    ] {
        assert_eq!(anchor(heading), expected);
    }
}
