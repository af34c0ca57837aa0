//! What is wrong with manifests, told before they are applied: the judgement of the webhook on every pod, and what the
//! webhook never gets to see. Pure.
//!
//! The rules for pods are `inject`'s own. What is added here is about manifests: annotations where nobody reads them,
//! what the API server refuses before it asks the webhook, namespaces that are not open for injection.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashSet},
};

use serde_json::Value;

use super::{
    finding::{Finding, Place, STDIN, Severity, Spot},
    lines::{Lines, Position},
    locate::{Home, Locator, Span, Step},
    objects,
    stream::{Piece, pieces},
    workload,
};
use crate::{
    agent::plan::Plan,
    codes::{Code, access, manifest as codes},
    inject::{Policy, problem::one_line},
};

mod elsewhere;
mod misplaced;
mod places;
mod pod;
mod resolve;

pub use pod::plan_of;
pub use resolve::Opened;

/// A text of manifests.
#[derive(Debug)]
pub struct Input {
    /// The file's name; none for standard input.
    pub name: Option<String>,
    /// What it holds, or why it can't be read.
    pub text: Result<String, String>,
    /// The directory that was named and has it among others.
    pub directory: Option<String>,
}

impl Input {
    fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}

/// Manifests, read.
#[derive(Debug)]
pub struct Manifests<'a> {
    files: Vec<File<'a>>,
}

#[derive(Debug)]
struct File<'a> {
    input: &'a Input,
    documents: Vec<Document<'a>>,
    /// Counted for the first finding.
    lines: OnceCell<Lines<'a>>,
}

impl<'a> File<'a> {
    fn lines(&self) -> &Lines<'a> {
        self.lines.get_or_init(|| Lines::new(self.input.text()))
    }
}

#[derive(Debug)]
struct Document<'a> {
    piece: Piece<'a>,
    template: Option<&'a str>,
    locator: Locator<'a>,
    /// Looked for with the first finding.
    is_sensitive: OnceCell<bool>,
}

/// An object, and where it stands.
#[derive(Debug, Clone)]
struct Object<'m> {
    file: usize,
    document: usize,
    base: Vec<Step>,
    value: &'m Value,
}

impl Object<'_> {
    fn kind(&self) -> Option<&str> {
        self.value.get("kind")?.as_str()
    }

    fn name(&self) -> String {
        workload::name(self.value)
    }

    fn namespace<'s>(&'s self, default: &'s str) -> &'s str {
        let metadata = self.value.get("metadata");
        metadata.and_then(|metadata| metadata.get("namespace")?.as_str()).unwrap_or(default)
    }
}

/// What was found.
#[derive(Debug)]
pub struct Checked {
    /// Everything wrong or worrying, in the order of the text.
    pub findings: Vec<Finding>,
    /// What was looked at.
    pub summary: Summary,
    /// The pods that will be injected.
    pub asking: Vec<Asking>,
    /// The pods that ask and would be refused: nobody knows what they would open.
    pub refused: Vec<Refused>,
}

/// A pod that asks and would be refused.
#[derive(Debug)]
pub struct Refused {
    at: At,
    object: String,
    namespace: String,
}

/// What was looked at.
#[derive(Debug, Default)]
pub struct Summary {
    /// Objects of any kind.
    pub objects: usize,
    /// Objects whose pods ask for injection, or get it because their namespace asks for all.
    pub asking: usize,
    /// Objects that make pods which don't ask.
    pub silent: Vec<String>,
    /// Namespaces of pods that ask which are not among the input, and so are taken to be open.
    pub unknown_namespaces: Vec<String>,
    /// Environments that were opened.
    pub opened: Vec<String>,
}

/// A pod that will be injected.
#[derive(Debug)]
pub struct Asking {
    file: usize,
    document: usize,
    /// What leads to the pod in its document.
    base: Vec<Step>,
    object: String,
    namespace: String,
    /// Where its namespace stands, if it is among the input: its annotations are defaults.
    home: Option<(usize, usize, Vec<Step>)>,
    /// What its agent will do.
    pub plan: Plan,
}

/// A place of a finding before lines are counted: file, document, bytes of the file.
type At = (usize, usize, Span);

/// Collects what is found.
struct Collector<'m, 'a> {
    manifests: &'m Manifests<'a>,
    findings: Vec<Finding>,
}

impl Collector<'_, '_> {
    fn push(
        &mut self,
        severity: Severity,
        code: Code,
        (file, document, span): At,
        object: Option<(&str, &str)>,
        message: &str,
    ) {
        let Some((holder, found)) = self.manifests.document(file, document) else { return };
        let Position { line, columns, quote } = holder.lines().position(&span);
        let is_sensitive = *found.is_sensitive.get_or_init(|| is_sensitive(&found.piece));
        let place = Place {
            input: file,
            file: holder.input.name.clone(),
            spot: Some(Spot { line, column: columns.start, end_column: columns.end }),
            quote: (!is_sensitive).then_some(quote),
            template: found.template.map(one_line),
        };
        // Fixes for getting to an environment speak of pods, and here it was a person who asked.
        let has_fix = !access::ALL.contains(&code);
        let object = object.map(|(name, namespace)| (one_line(name), one_line(namespace)));
        self.findings.push(Finding { severity, code, message: one_line(message), has_fix, object, place });
    }

    /// Of a whole input.
    fn push_whole(
        &mut self,
        severity: Severity,
        code: Code,
        (input, name): (usize, Option<&str>),
        words: impl Fn(&str) -> String,
    ) {
        let message = words(name.unwrap_or(STDIN));
        let place = Place { input, file: name.map(str::to_owned), spot: None, quote: None, template: None };
        self.findings.push(Finding {
            severity,
            code,
            message: one_line(&message),
            has_fix: true,
            object: None,
            place,
        });
    }

    /// Each finding once, in the order of the text.
    fn finish(mut self) -> Vec<Finding> {
        let mut seen = HashSet::new();
        let is_first: Vec<bool> = self.findings.iter().map(|finding| seen.insert(finding)).collect();
        let mut is_first = is_first.into_iter();
        self.findings.retain(|_| is_first.next().unwrap_or(true));
        self.findings.sort_by(|a, b| (&a.place, a.severity).cmp(&(&b.place, b.severity)));
        self.findings
    }
}

/// Whether a document is, holds or may be a Secret: its lines are nobody's to print. One that can't be read may be
/// anything.
fn is_sensitive(piece: &Piece<'_>) -> bool {
    piece.value.as_ref().map_or_else(|_| !reads_harmless(piece.text), holds_secrets)
}

/// Whether anything in it says that it is a Secret, or holds what Secrets hold: items of a list need no kind.
fn holds_secrets(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_secrets),
        Value::Object(members) => members.iter().any(|(key, value)| match key.as_str() {
            "data" | "stringData" => true,
            "kind" => value.as_str().is_some_and(|kind| kind.starts_with("Secret")),
            _ => holds_secrets(value),
        }),
        _ => false,
    }
}

/// Whether a text that can't be read speaks of pods and namespaces alone, as far as its words tell.
fn reads_harmless(text: &str) -> bool {
    let words = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let is_secret = |word: &str| word == "data" || word.to_ascii_lowercase().contains("secret");
    let mut kinds =
        words().zip(words().skip(1)).filter(|(key, _)| *key == "kind").map(|(_, kind)| kind).peekable();
    !words().any(|word| is_secret(word) || word == "stringData")
        && kinds.peek().is_some()
        && kinds.all(|kind| kind == "Namespace" || workload::pod_path(kind).is_some())
}

impl<'a> Manifests<'a> {
    /// Reads the texts. What can't be read is a finding of [`Manifests::check`].
    pub fn read(inputs: &'a [Input]) -> Self {
        let document = |piece: Piece<'a>| Document {
            template: template(piece.text),
            locator: Locator::new(piece.text, piece.start),
            is_sensitive: OnceCell::new(),
            piece,
        };
        let file = |input: &'a Input| File {
            input,
            documents: pieces(input.text()).into_iter().map(document).collect(),
            lines: OnceCell::new(),
        };
        Self { files: inputs.iter().map(file).collect() }
    }

    fn document(&self, file: usize, document: usize) -> Option<(&File<'a>, &Document<'a>)> {
        let file = self.files.get(file)?;
        Some((file, file.documents.get(document)?))
    }

    fn locator(&self, file: usize, document: usize) -> Option<&Locator<'a>> {
        let (_, document) = self.document(file, document)?;
        Some(&document.locator)
    }

    fn home<'s>(&'s self, object: &Object<'_>, base: &'s [Step]) -> Option<Home<'s, 'a>> {
        Some(Home { locator: self.locator(object.file, object.document)?, base })
    }

    /// Every object, those in lists too.
    fn objects(&self) -> Vec<Object<'_>> {
        let mut objects = Vec::new();
        for (file, texts) in self.files.iter().enumerate() {
            for (document, found) in texts.documents.iter().enumerate() {
                if let Ok(value) = &found.piece.value {
                    objects::visit(value, &mut |value, base| {
                        objects.push(Object { file, document, base: base.to_vec(), value });
                    });
                }
            }
        }
        objects
    }

    /// Finds everything that is wrong or worrying. Objects that name no namespace are taken to be in `namespace`.
    pub fn check(&self, policy: &Policy, namespace: &str) -> Checked {
        let mut collector = Collector { manifests: self, findings: Vec::new() };
        self.unreadable(&mut collector);
        let objects = self.objects();
        self.empty(&objects, &mut collector);
        let namespaces = pod::Namespaces::of(&objects);
        let mut checker = pod::Checker {
            manifests: self,
            policy,
            default_namespace: namespace,
            namespaces: &namespaces,
            collector,
            summary: Summary { objects: objects.len(), ..Summary::default() },
            asking: Vec::new(),
            refused: Vec::new(),
            asked_in: BTreeMap::new(),
        };
        let delivered = misplaced::Delivered::of(&objects);
        for object in &objects {
            checker.object(object);
            misplaced::check(&mut checker, object, &delivered);
            elsewhere::check(&mut checker, object);
        }
        checker.finish()
    }

    /// What was named and has nothing in it: it may be another file or directory that was meant. Of a directory, all files
    /// together.
    fn empty(&self, objects: &[Object<'_>], collector: &mut Collector<'_, '_>) {
        let named = |file: usize| {
            let input = self.files.get(file).map(|file| file.input);
            input.map(|Input { name, directory, .. }| directory.as_ref().or(name.as_ref()))
        };
        let told = collector.findings.iter().map(|finding| finding.place.input);
        // `kubectl get -o yaml` prints one of a namespace that has none.
        let is_empty_list =
            |document: &Document<'_>| document.piece.value.as_ref().is_ok_and(objects::is_empty_list);
        let lists = self.files.iter().enumerate();
        let lists =
            lists.filter(|(_, file)| file.documents.iter().any(is_empty_list)).map(|(index, _)| index);
        let objects = objects.iter().map(|object| object.file);
        let full: BTreeSet<_> = told.chain(objects).chain(lists).map(named).collect();
        let mut seen = BTreeSet::new();
        for file in 0..self.files.len() {
            let Some(name) = named(file) else { continue };
            if !full.contains(&Some(name)) && seen.insert(name) {
                let at = (file, name.map(String::as_str));
                let words = |name: &str| format!("there is no manifest in {name}");
                collector.push_whole(Severity::Warning, codes::EMPTY, at, words);
            }
        }
    }

    fn unreadable(&self, collector: &mut Collector<'_, '_>) {
        for (file, texts) in self.files.iter().enumerate() {
            if let Err(why) = &texts.input.text {
                let at = (file, texts.input.name.as_deref());
                let words = |name: &str| format!("{name} can't be read: {why}");
                collector.push_whole(Severity::Error, codes::UNREADABLE, at, words);
            }
            for (document, found) in texts.documents.iter().enumerate() {
                let Err(error) = &found.piece.value else { continue };
                let start = error.mark.map_or(found.piece.start, |mark| mark.byte);
                let rest = texts.input.text().get(start..).unwrap_or_default();
                // The place itself may be the end of the text or of a line.
                let end =
                    start + rest.chars().next().filter(|c| !c.is_whitespace()).map_or(0, char::len_utf8);
                let at = (file, document, start..end);
                let code = codes::UNREADABLE;
                collector.push(Severity::Error, code, at, None, &error.message);
            }
        }
    }
}

/// The template that Helm notes at the head of each document.
fn template(text: &str) -> Option<&str> {
    let mut comments = text.lines().take_while(|line| line.starts_with('#') || line.trim().is_empty());
    comments.find_map(|line| line.strip_prefix("# Source: ")).map(str::trim)
}
