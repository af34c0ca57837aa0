//! Sections between `<!-- generated: NAME -->` and `<!-- end of generated section -->`, written by [`super::tables`],
//! [`super::demo`] and [`super::offline`].

use std::{collections::BTreeSet, fmt::Write};

use super::{Page, demo, offline, pages, tables};

const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end of generated section -->";

/// A section's generator.
struct Section {
    name: &'static str,
    write: fn() -> String,
    /// What of the text has to agree: times and ports differ each time.
    normalise: fn(&str) -> String,
}

const fn exact(name: &'static str, write: fn() -> String) -> Section {
    Section { name, write, normalise: str::to_owned }
}

const SECTIONS: &[Section] = &[
    exact("annotations", tables::annotations),
    exact("excluded containers", tables::excluded_containers),
    exact("start after", tables::start_after),
    exact("errors", tables::errors),
    exact("flags of webhook", tables::webhook_flags),
    exact("flags of the injection policy", tables::policy_flags),
    exact("flags of server", tables::server_flags),
    exact("metrics", tables::metrics),
    exact("metrics of the sidecar", tables::sidecar_metrics),
    exact("values of the chart", tables::chart_values),
    exact("refusal", demo::refusal),
    exact("convert", demo::converted),
    exact("doctor", demo::doctor),
    exact("check", offline::check),
    exact("check with values", offline::resolve),
    exact("a pod explained", offline::explained),
    Section { name: "demo", write: demo::excerpt, normalise: demo::without_numbers },
];

#[test]
#[expect(clippy::disallowed_methods, reason = "writes the repository's own pages")]
fn generated_sections_are_what_the_code_says() {
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let mut seen = BTreeSet::new();
    let mut stale = Vec::new();
    for Page { name: page, path, text } in pages() {
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once(BEGIN) {
            let (name, after) = after.split_once(" -->\n").expect("the marker ends its line");
            let (old, after) = after.split_once(END).unwrap_or_else(|| panic!("{page}: `{name}` has no end"));
            let section = SECTIONS.iter().find(|section| section.name == name);
            let section = section.unwrap_or_else(|| panic!("{page}: no generator is called `{name}`"));
            seen.insert(section.name);
            let new = format!("\n{}\n\n", (section.write)().trim());
            let keep = (section.normalise)(old) == (section.normalise)(&new);
            if !keep {
                stale.push(format!("{page}: {name}"));
            }
            out.push_str(before);
            write!(out, "{BEGIN}{name} -->\n{}{END}", if keep { old } else { &new }).unwrap();
            rest = after;
        }
        out.push_str(rest);
        if update && out != text {
            std::fs::write(path, out).unwrap();
        }
    }
    let unused: Vec<_> =
        SECTIONS.iter().map(|section| section.name).filter(|name| !seen.contains(name)).collect();
    assert!(unused.is_empty(), "no page has these sections: {unused:?}");
    assert!(
        stale.is_empty() || update,
        "these sections are not what the code says: {stale:?}\n\
         run `UPDATE_DOCS=1 cargo test --test docs`, read the difference, and commit it"
    );
}
