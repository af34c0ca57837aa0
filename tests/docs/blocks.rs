//! What becomes of each block of code in the pages. The words after the language say it, so that nothing is left out in
//! silence:
//!
//! | Words | What happens |
//! |---|---|
//! | `console` | run, in order, in one shell for each page; what is shown is what is printed |
//! | `console fails` | the same, and the last command has to fail |
//! | `console serve` | started, and left running until the page ends |
//! | `console needs=node@20,curl` | run where these programs are |
//! | `console esc` | run where Pulumi's `esc` is: `ESC_CLI` says where |
//! | `console cluster tests/cluster/x.rs` | not run here: that part of the suite on a real cluster proves it, in words of its own |
//! | `console cluster typed` | typed on a real cluster, not here: see [`super::cluster`] |
//! | `console cluster` | not run anywhere: it needs a cluster |
//! | `console cargo` | not run here: `.ci/run` does it, or contributors |
//! | `console elsewhere` | not run: it needs what nobody has at hand, such as an account |
//! | `… file=NAME` | a file that the page has its reader write; commands after it find it there |
//! | `yaml …` | see [`super::examples`] |
//! | `json` | read |
//! | `text` | none: it is a picture, or a message |
//! | `yaml run=PROGRAMS`, `text output` | see [`super::recipes`] |
//! | `LANGUAGE file=NAME` | written for commands; `LANGUAGE unrun`: not tried |
//!
//! Of commands that are not run, [`super::claims`] holds what can be held: flags, values, files, suites.
//! `cargo test --test docs blocks -- --nocapture` lists them.

use std::{env, fmt::Write as _, io::Write, path::Path, process::Command};

use super::{
    Block, Page, claims, pages, read, root,
    session::{Session, steps},
};

/// What becomes of a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Treatment<'a> {
    /// Tests of its own hold it.
    Held,
    Run {
        fails: bool,
        needs: Vec<&'a str>,
    },
    Serve,
    /// With Pulumi's command line.
    Esc,
    /// On a real cluster.
    TypedOnACluster,
    /// Not run here, for this reason.
    NotRun(&'static str),
    /// Written for the commands that follow, if it has a name, and looked at by others.
    File,
    /// Nothing to try.
    Text,
}

pub fn treatment<'a>(block: &Block<'a>) -> Result<Treatment<'a>, String> {
    if block.is_held {
        return Ok(Treatment::Held);
    }
    let is_named = |words: &[&str]| matches!(words, [word] if word.starts_with("file="));
    Ok(match block.info.as_slice() {
        ["console"] => Treatment::Run { fails: false, needs: Vec::new() },
        ["console", "fails"] => Treatment::Run { fails: true, needs: Vec::new() },
        ["console", "serve"] => Treatment::Serve,
        ["console", "esc"] => Treatment::Esc,
        ["console", "cluster", "typed"] => Treatment::TypedOnACluster,
        ["console", "cluster"] => Treatment::NotRun("needs a cluster"),
        ["console", "cluster", proof]
            if root().join(proof).is_file() && proof.starts_with("tests/cluster/") =>
        {
            Treatment::NotRun("proved by the suite on a real cluster")
        }
        ["console", "cargo"] => Treatment::NotRun("for contributors"),
        ["console", "elsewhere"] => Treatment::NotRun("needs what is not at hand"),
        ["console", needs] if needs.starts_with("needs=") => {
            Treatment::Run { fails: false, needs: needs["needs=".len()..].split(',').collect() }
        }
        // What examples.rs does not know fails there.
        ["yaml" | "json", ..] => Treatment::File,
        ["text"] | ["text", "output"] => Treatment::Text,
        [language, words @ ..] if *language != "console" && is_named(words) => Treatment::File,
        [language, "unrun"] if *language != "console" => Treatment::NotRun("not tried"),
        words => return Err(format!("nothing is known to do with a block that is marked {words:?}")),
    })
}

/// The file that a page has its reader write.
pub fn name<'a>(block: &Block<'a>) -> Option<&'a str> {
    block.info.iter().find_map(|word| word.strip_prefix("file="))
}

#[test]
fn every_block_is_tried_or_says_why_not() {
    let mut wrong = Vec::new();
    let mut list = String::new();
    for page in pages() {
        for block in read(&page.text).0 {
            let place = format!("{}:{}", page.name, block.line);
            let why_not = match treatment(&block) {
                Ok(Treatment::NotRun(why)) => Some(why),
                Ok(Treatment::TypedOnACluster) => Some("typed on a real cluster"),
                Ok(_) => None,
                Err(why) => {
                    wrong.push(format!("{place}: {why}; tests/docs/blocks.rs has the words"));
                    None
                }
            };
            if let Some(why) = why_not {
                writeln!(list, "{place}: {why}").unwrap();
                if block.info[0] == "console" {
                    let commands = steps(&block.text);
                    let claims = commands.iter().flat_map(|step| claims::wrong(&step.command));
                    wrong.extend(claims.map(|why| format!("{place}: {why}")));
                }
            }
            let written = format!("`{}`", name(&block).unwrap_or_default());
            if name(&block).is_some() && !page.text.contains(&written) {
                wrong.push(format!("{place}: the page does not tell its reader to write {written}"));
            }
        }
    }
    println!("Not run by this suite:\n{list}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn json_can_be_read() {
    for page in pages() {
        for block in read(&page.text).0.iter().filter(|block| block.info == ["json"]) {
            let stream = serde_json::Deserializer::from_str(&block.text).into_iter::<serde_json::Value>();
            for value in stream {
                value.unwrap_or_else(|error| panic!("{}:{}: {error}", page.name, block.line));
            }
        }
    }
}

#[test]
fn commands_print_what_the_pages_show() {
    let pages = pages();
    let pages: Vec<_> = pages.iter().filter(|page| runs_something(page)).collect();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = pages.iter().map(|page| scope.spawn(|| run(page))).collect();
        runs.into_iter().filter_map(|run| run.join().unwrap().err()).collect()
    });
    assert!(pages.len() > 3, "pages have commands");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn runs_something(page: &Page) -> bool {
    let blocks = read(&page.text).0;
    blocks.iter().any(|block| {
        matches!(treatment(block), Ok(Treatment::Run { .. } | Treatment::Serve | Treatment::Esc))
    })
}

/// Runs a page's commands, up to the first that does not do what the page says: others build on it.
fn run(page: &Page) -> Result<(), String> {
    let mut session = Session::new();
    for block in read(&page.text).0 {
        let place = |why: String| format!("{}:{}: {why}", page.name, block.line);
        match treatment(&block).map_err(place)? {
            Treatment::Held | Treatment::TypedOnACluster | Treatment::NotRun(_) | Treatment::Text => {}
            Treatment::File => {
                if let Some(name) = name(&block) {
                    session.write(name, &block.text);
                }
            }
            Treatment::Serve => {
                for step in steps(&block.text) {
                    session.serve(&step).map_err(|why| place(format!("{}\n{why}", step.command)))?;
                }
            }
            Treatment::Run { needs, .. } if needs.iter().any(|program| !is_there(program)) => {
                skipped(&place(format!("one of {needs:?} is not there")));
            }
            Treatment::Esc if env::var_os("ESC_CLI").is_none() => {
                skipped(&place(
                    "the esc command line is not there; ESC_CLI=$(tests/server/esc-cli) says where"
                        .to_owned(),
                ));
            }
            treatment => {
                let fails = treatment == Treatment::Run { fails: true, needs: Vec::new() };
                let steps = steps(&block.text);
                for (index, step) in steps.iter().enumerate() {
                    let should_fail = fails && index + 1 == steps.len();
                    session
                        .run(step, should_fail)
                        .map_err(|why| place(format!("{}\n{why}", step.command)))?;
                }
            }
        }
    }
    Ok(())
}

/// Not captured, as what a test prints would be.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// `node`, or `node@20` for no older one.
pub fn is_there(program: &str) -> bool {
    let (name, oldest) = program.split_once('@').unwrap_or((program, "0"));
    let path = env::var_os("PATH").unwrap_or_default();
    let is_found = env::split_paths(&path).any(|folder| folder.join(name).is_file());
    is_found && (oldest == "0" || version(name) >= oldest.parse().ok())
}

/// The first number of what it calls its version.
fn version(program: &str) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?.parse().ok()
}

#[test]
fn a_block_that_nobody_knows_is_noticed() {
    let block = |info: &'static str| {
        let text = format!("```{info}\n```\n");
        let (blocks, _) = read(&text);
        treatment(&blocks[0]).map(|treatment| format!("{treatment:?}")).map_err(|_| ())
    };
    assert!(Path::new("tests/cluster/main.rs").is_file(), "tests run in the root of the repository");
    for info in ["console", "console serve", "console needs=node", "text", "js file=a.js", "csharp unrun"] {
        block(info).unwrap();
    }
    block("console cluster tests/cluster/main.rs").unwrap();
    for info in ["", "sh", "js", "console skipped", "console cluster tests/cluster/none.rs", "console unrun"]
    {
        block(info).unwrap_err();
    }
}
