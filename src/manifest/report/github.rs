//! Findings as workflow commands of GitHub, which shows them beside the lines of a pull request.

use std::io::{self, Write};

use super::summary as count;
use crate::manifest::{
    check::Summary,
    finding::{Finding, Spot},
};

/// Writes one command for each finding, and what was looked at as a line of the log.
pub fn write(out: &mut dyn Write, findings: &[Finding], summary: &Summary) -> io::Result<()> {
    for finding in findings {
        writeln!(out, "{}", command(finding))?;
    }
    writeln!(out, "{}", count(findings, summary))
}

/// A command for what kept everything from being checked.
pub fn failure(message: &str) -> String {
    format!("::error title=esc-injector check::{}", data(message))
}

fn command(finding: &Finding) -> String {
    let Finding { severity, code, message, has_fix, object, place } = finding;
    let mut properties = Vec::new();
    // Without a file of the repository there is nothing to show a line of.
    if let Some(file) = &place.file {
        properties.push(format!("file={}", property(file.strip_prefix("./").unwrap_or(file))));
    }
    if let (Some(_), Some(Spot { line, column, end_column })) = (&place.file, place.spot) {
        properties.push(format!("line={line},endLine={line}"));
        // Inclusive, and at least the one character.
        let last = end_column.max(column + 1) - 1;
        properties.push(format!("col={column},endColumn={last}"));
    }
    properties.push(format!("title={}", property(&format!("{code} {}", code.entry().title))));
    let mut text =
        object.as_ref().map_or_else(String::new, |(name, namespace)| format!("{name} ({namespace}): "));
    text.push_str(message);
    if let Some(template) = &place.template {
        text.push_str(&["\nRendered from ", template, "."].concat());
    }
    if *has_fix {
        text.push_str(&["\nFix: ", code.entry().fix].concat());
    }
    format!("::{} {}::{}", severity.word(), properties.join(","), data(&text))
}

/// What follows the second pair of colons.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value, which ends at a comma or colon.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::command;
    use crate::{
        codes::annotations::PATH,
        manifest::finding::{Finding, Place, Severity, Spot},
    };

    #[test]
    fn nothing_that_a_manifest_holds_ends_a_command_early() {
        let place = Place {
            input: 0,
            file: Some("a,b:c%d\n.yaml".to_owned()),
            spot: Some(Spot { line: 3, column: 5, end_column: 5 }),
            quote: None,
            template: None,
        };
        let message = "100% ::error::\r\nno".to_owned();
        let object = Some(("Pod/p".to_owned(), "n".to_owned()));
        let finding =
            Finding { severity: Severity::Warning, code: PATH, message, has_fix: false, object, place };
        assert_eq!(
            command(&finding),
            "::warning file=a%2Cb%3Ac%25d%0A.yaml,line=3,endLine=3,col=5,endColumn=5,title=ESC105 Not a property path::Pod/p (n): 100%25 ::error::%0D%0Ano"
        );
    }
}
