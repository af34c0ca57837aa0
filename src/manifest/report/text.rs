//! Findings as people read them: the line of the manifest, underlined, with what is wrong and what to do.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use anstyle::{AnsiColor, Style};

use super::summary as count;
use crate::{
    codes::Code,
    inject::problem::one_line,
    manifest::{
        check::Summary,
        finding::{Finding, Severity, Spot},
        lines::Quote,
    },
    prose::{some, wrapped},
};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const BOLD: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();

/// Most names of one sort: a few lines.
const SHOWN: usize = 20;

/// Narrower than this nothing can be read; the terminal breaks the lines.
const NARROWEST: usize = 30;

/// Writes the findings, and in the end what was looked at. Lines are broken to fit into `width` columns.
pub fn write(out: &mut dyn Write, findings: &[Finding], summary: &Summary, width: usize) -> io::Result<()> {
    let width = width.max(NARROWEST);
    // What to do about a code is said once.
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for finding in findings {
        one(out, finding, told.insert(finding.code.id()), width)?;
    }
    for line in wrapped(&count(findings, summary), width, 0) {
        writeln!(out, "{BOLD}{line}{BOLD:#}")?;
    }
    let mut quiet = |words: &str, names: &[String]| {
        if names.is_empty() {
            return Ok::<(), io::Error>(());
        }
        for line in wrapped(&one_line(&format!("{words}: {}", some(names, SHOWN))), width, 2) {
            writeln!(out, "{QUIET}{line}{QUIET:#}")?;
        }
        Ok(())
    };
    quiet("opened", &summary.opened)?;
    quiet("don't ask", &summary.silent)?;
    quiet("namespaces not among the input, taken to be labelled", &summary.unknown_namespaces)?;
    if !findings.is_empty() {
        for line in wrapped("`esc-injector explain CODE` tells more of a code", width, 2) {
            writeln!(out, "{QUIET}{line}{QUIET:#}")?;
        }
    }
    Ok(())
}

fn one(out: &mut dyn Write, finding: &Finding, is_first: bool, width: usize) -> io::Result<()> {
    let Finding { severity, code, message, has_fix, object, place } = finding;
    let style = if *severity == Severity::Error { ERROR } else { WARNING };
    let head = format!("{}[{code}]: ", severity.word());
    let indent = 2;
    let lines = wrapped(&format!("{head}{}", one_line(message)), width, indent);
    for (index, line) in lines.iter().enumerate() {
        match line.strip_prefix(head.trim_end()) {
            Some(rest) if index == 0 => {
                writeln!(out, "{style}{}{style:#}{BOLD}{rest}{BOLD:#}", head.trim_end())?;
            }
            _ => writeln!(out, "{BOLD}{line}{BOLD:#}")?,
        }
    }
    let number = place.spot.map_or_else(|| " ".to_owned(), |spot| spot.line.to_string());
    let gutter = " ".repeat(number.len());
    let mut at = place.describe();
    if let Some((object, namespace)) = object {
        at = format!("{at} ({object}, namespace {namespace})");
    }
    arrow(out, &gutter, "-->", &at, width)?;
    if let Some(template) = &place.template {
        arrow(out, &gutter, "  =", &format!("rendered from {template}"), width)?;
    }
    if let (Some(Quote { text, before }), Some(Spot { column, end_column, .. })) = (&place.quote, place.spot)
    {
        let room = width.saturating_sub(number.len() + 4).max(8);
        let (line, from, length) = cropped(text, *before, end_column.saturating_sub(column), room);
        writeln!(out, " {QUIET}{number} |{QUIET:#} {line}")?;
        let marks = "^".repeat(length);
        writeln!(out, " {QUIET}{gutter} |{QUIET:#} {}{style}{marks}{style:#}", " ".repeat(from))?;
    }
    if *has_fix && is_first {
        arrow(out, &gutter, "  =", &format!("fix: {}", fix(*code)), width)?;
    }
    writeln!(out)
}

fn arrow(out: &mut dyn Write, gutter: &str, sign: &str, text: &str, width: usize) -> io::Result<()> {
    let indent = gutter.len() + sign.len() + 1;
    let room = width.saturating_sub(indent).max(NARROWEST / 2);
    for (index, line) in wrapped(&one_line(text), room, 0).iter().enumerate() {
        if index == 0 {
            writeln!(out, "{gutter}{QUIET}{sign}{QUIET:#} {line}")?;
        } else {
            writeln!(out, "{}{line}", " ".repeat(indent))?;
        }
    }
    Ok(())
}

fn fix(code: Code) -> &'static str {
    code.entry().fix
}

/// A line and the marks below it, cut to the room there is, around the marks.
fn cropped(line: &str, from: usize, length: usize, room: usize) -> (String, usize, usize) {
    /// Characters to show before the marks where the line's beginning is cut off.
    const BEFORE: usize = 4;
    let characters: Vec<char> = one_line(line).chars().collect();
    let from = from.min(characters.len());
    let start = if from + length.max(1) <= room { 0 } else { from.saturating_sub(BEFORE) };
    let mut shown: Vec<char> = characters.iter().skip(start).take(room).copied().collect();
    if start > 0
        && let Some(first) = shown.first_mut()
    {
        *first = '…';
    }
    if start + room < characters.len()
        && let Some(last) = shown.last_mut()
    {
        *last = '…';
    }
    let from = from - start;
    let line: String = shown.iter().collect();
    (line.trim_end().to_owned(), from, length.clamp(1, room.saturating_sub(from).max(1)))
}

#[cfg(test)]
mod tests {
    use super::cropped;

    #[test]
    fn long_lines_are_cut_around_the_marks() {
        let line = format!("{}bad value # {}", " ".repeat(40), "x".repeat(80));
        for (room, expected, from, length) in
            [(200, line.as_str(), 40, 9), (20, "…   bad value # xxx…", 4, 9), (8, "…   bad…", 4, 4)]
        {
            assert_eq!(cropped(&line, 40, 9, room), (expected.to_owned(), from, length), "{room}");
        }
        assert_eq!(cropped("a\tb", 2, 0, 10), ("a b".to_owned(), 2, 1));
        assert_eq!(cropped("", 7, 3, 10), (String::new(), 0, 3));
    }
}
