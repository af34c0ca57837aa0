//! What kubectl shows of a pod in trouble, held to what docs/troubleshooting.md says it shows.
//!
//! A page has it between two marks. Numbers, times and the width of columns differ from run to run, and are not compared.
//! `UPDATE_DOCS=1` writes what was seen.

use std::{
    env,
    fmt::Write,
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

use super::installation::Shop;

/// What a user types and sees.
pub struct Transcript {
    text: String,
}

impl Transcript {
    /// Of the pod `shop`: the line of `kubectl get pods`, the agent in `kubectl describe`, and the end of its log.
    pub fn of(shop: &Shop) -> Self {
        let said =
            |arguments: &[&str]| shop.namespace.kubectl(arguments.iter().copied(), &Value::Null).stdout;
        let pods = said(&["get", "pods"]);
        let described = said(&["describe", "pod", "shop"]);
        let logged = said(&["logs", "shop", "-c", "esc-agent", "--tail=1"]);
        let text = format!(
            "$ kubectl get pods\n{pods}\n$ kubectl describe pod shop\n…\n{}\n…\n\n\
             $ kubectl logs shop -c esc-agent --tail=1\n{logged}",
            agent_of(&described)
        );
        Self { text: text.trim_end().to_owned() }
    }

    /// Adds a command and what it printed.
    pub fn and(mut self, command: &str, printed: &str) -> Self {
        write!(self.text, "\n\n$ {command}\n{}", printed.trim_end()).unwrap();
        self
    }

    /// Names of this run as a reader would have them.
    pub fn with(mut self, name: &str, instead: &str) -> Self {
        self.text = self.text.replace(name, instead);
        self
    }

    /// Fails unless the page shows the same under this name.
    #[track_caller]
    pub fn expect_in_the_docs(&self, name: &str) {
        static PAGE: Mutex<()> = Mutex::new(());
        let _page = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/troubleshooting.md");
        let page = fs::read_to_string(&path).unwrap();
        let (begin, end) = (format!("<!-- captured: {name} -->"), "<!-- end of captured section -->");
        let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("the page has no {begin}"));
        let (shown, after) = rest.split_once(end).unwrap_or_else(|| panic!("{begin} has no end"));
        let fresh = format!("\n\n```console\n{}\n```\n\n", self.text);
        if env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, format!("{before}{begin}{fresh}{end}{after}")).unwrap();
        } else {
            let (shown, fresh) = (comparable(shown), comparable(&fresh));
            assert_eq!(shown, fresh, "docs/troubleshooting.md, {name}: UPDATE_DOCS=1 writes what is seen");
        }
    }
}

/// State of the agent's container, out of `kubectl describe pod`.
fn agent_of(described: &str) -> String {
    let mut block = described.lines().skip_while(|line| *line != "  esc-agent:").skip(1);
    let mut kept = vec!["  esc-agent:".to_owned(), "    …".to_owned()];
    let mut of_interest = false;
    for line in block.by_ref().take_while(|line| line.starts_with("    ") || line.trim().is_empty()) {
        let is_field = !line.starts_with("     ");
        if is_field {
            of_interest = ["State:", "Last State:", "Ready:", "Restart Count:"]
                .iter()
                .any(|field| line.trim_start().starts_with(field));
        }
        let is_time = ["Started:", "Finished:"].iter().any(|field| line.trim_start().starts_with(field));
        if of_interest && !is_time {
            kept.push(line.trim_end().to_owned());
        }
    }
    kept.join("\n")
}

/// Without what differs each time: numbers, white space, and how an attempt to reach nobody ends.
fn comparable(text: &str) -> String {
    let mut out = String::new();
    let text = text.replace("tried once", "tried 1 times");
    // What the last of several attempts met, or that no time was left for it.
    let text = text.replace("Connection refused (os error 111)", "no answer within 111 ms");
    for word in text.split_whitespace() {
        let mut plain = String::new();
        for c in word.chars() {
            let c = if c.is_ascii_digit() { '#' } else { c };
            if c != '#' || !plain.ends_with('#') {
                plain.push(c);
            }
        }
        // 61s, 1m1s.
        out += &plain.replace("#m#s", "#s");
        out.push('\n');
    }
    out
}
