//! What injection changes in an object, line by line, with the lines around it.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use similar::{Algorithm, ChangeTag, TextDiff};

use crate::inject::problem::one_line;

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const PLACE: Style = AnsiColor::Cyan.on_default();
const NAME: Style = Style::new().bold();

/// Writes the difference in the unified format, which `patch` reads, too.
pub fn write(out: &mut dyn Write, name: &str, before: &str, after: &str) -> io::Result<()> {
    let name = one_line(name);
    // Where many lines change, the usual algorithm takes time by their square. Manifests have enough lines that are there
    // once, such as names, for this one to find its way by.
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).diff_lines(before, after);
    writeln!(out, "{NAME}--- a/{name}{NAME:#}\n{NAME}+++ b/{name}{NAME:#}")?;
    for hunk in diff.unified_diff().iter_hunks() {
        writeln!(out, "{PLACE}{}{PLACE:#}", hunk.header())?;
        for change in hunk.iter_changes() {
            let line = change.value();
            let line = line.strip_suffix('\n').unwrap_or(line);
            match change.tag() {
                ChangeTag::Equal => writeln!(out, " {line}")?,
                ChangeTag::Insert => writeln!(out, "{ADDED}+{line}{ADDED:#}")?,
                ChangeTag::Delete => writeln!(out, "{REMOVED}-{line}{REMOVED:#}")?,
            }
        }
    }
    Ok(())
}
