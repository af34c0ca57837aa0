//! Where what a problem is about stands in a manifest.

use super::{Locator, Part, Span, Step, text_of};
use crate::{
    inject::{
        keys::{Key, PREFIX},
        subject::{Focus, Source, Subject},
    },
    yaml::NodeKind,
};

/// A pod in a document: what annotations and fields are looked for in.
#[derive(Debug)]
pub struct Home<'l, 'a> {
    /// The document.
    pub locator: &'l Locator<'a>,
    /// What leads to the pod, or to the object of annotations.
    pub base: &'l [Step],
}

impl Home<'_, '_> {
    /// A field below.
    pub fn path(&self, below: &[&str]) -> Vec<Step> {
        self.base.iter().cloned().chain(below.iter().map(|&key| key.into())).collect()
    }

    fn annotation_path(&self, key: &str) -> Vec<Step> {
        self.path(&["metadata", "annotations", &format!("{PREFIX}{key}")])
    }

    /// An annotation of ours.
    pub fn annotation(&self, key: &str, part: Part) -> Option<Span> {
        self.locator.field(&self.annotation_path(key), part)
    }

    fn config(&self, at: &[&str]) -> Option<Span> {
        let at: Vec<String> = at.iter().map(|&key| key.to_owned()).collect();
        self.locator.inside(&self.annotation_path(Key::Config.name()), &at, &Focus::Whole, Part::Value)
    }

    /// An annotation, or what says the same in `config`.
    fn asked(&self, key: &str, part: Part) -> Option<Span> {
        self.annotation(key, part).or_else(|| match key {
            "environment" => self.config(&["environments"]),
            "containers" => self.config(&["containers"]),
            // Without the annotation it is what the environment says by itself.
            "projections" => self.asked("environment", part),
            _ => None,
        })
    }

    fn variable(&self, name: &str) -> Option<Span> {
        self.annotation(&format!("env.{name}"), Part::Value).or_else(|| self.config(&["env", name, "path"]))
    }

    fn file(&self, name: &str) -> Option<Span> {
        let annotation = |family: &str| self.annotation(&format!("{family}.{name}"), Part::Value);
        annotation("file")
            .or_else(|| annotation("template"))
            .or_else(|| self.config(&["files", name, "path"]))
    }

    /// The mode of a file.
    fn mode(&self, name: &str) -> Option<Span> {
        let annotation = self.annotation(&format!("mode.{name}"), Part::Value);
        annotation.or_else(|| self.config(&["files", name, "mode"]))
    }

    /// An element of a list of the specification by one of its members.
    fn element(&self, list: &str, member: &str, text: &str) -> Option<Vec<Step>> {
        let list = self.path(&["spec", list]);
        self.element_of(&list, member, text)
    }

    fn element_of(&self, list: &[Step], member: &str, text: &str) -> Option<Vec<Step>> {
        let found = self.locator.target(self.locator.find(list)?.value)?;
        let NodeKind::Sequence(items, _) = &found.kind else { return None };
        let member = Step::from(member);
        let is_it = |item| {
            let field = self.locator.enter(item, &member);
            field.is_some_and(|field| text_of(field.value) == Some(text))
        };
        let index = items.iter().position(is_it)?;
        Some([list, &[Step::Index(index), member]].concat())
    }

    fn container_path(&self, name: &str) -> Option<Vec<Step>> {
        self.element("initContainers", "name", name).or_else(|| self.element("containers", "name", name))
    }

    fn container(&self, name: &str) -> Option<Span> {
        self.locator.field(&self.container_path(name)?, Part::Value)
    }

    fn mount(&self, container: &str, path: &str) -> Option<Span> {
        let name = self.container_path(container)?;
        let (_, container) = name.split_last()?;
        let mounts = [container, &["volumeMounts".into()]].concat();
        self.locator.field(&self.element_of(&mounts, "mountPath", path)?, Part::Value)
    }

    /// Where to point when nothing better is known: at the first annotation of ours, or at the name.
    pub fn default(&self) -> Span {
        self.first_of_ours().unwrap_or_else(|| self.locator.nearest(&self.path(&["metadata", "name"])))
    }

    fn first_of_ours(&self) -> Option<Span> {
        let annotations = self.locator.find(&self.path(&["metadata", "annotations"]))?.value;
        let NodeKind::Mapping(entries, _) = &self.locator.target(annotations)?.kind else {
            return None;
        };
        let key = entries.iter().filter_map(|(key, _)| text_of(key)).find(|key| key.starts_with(PREFIX))?;
        self.annotation(key.strip_prefix(PREFIX)?, Part::Key)
    }
}

/// Where a problem stands: in the manifest of the pod, or in that of its namespace, whose annotations are defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// With the pod.
    Pod(Span),
    /// With the namespace.
    Namespace(Span),
}

/// Finds what a problem is about. `part` says what of an annotation is wrong.
pub fn subject(subject: &Subject, part: Part, pod: &Home<'_, '_>, namespace: Option<&Home<'_, '_>>) -> Place {
    let found = |own: Option<Span>, of_namespace: &dyn Fn(&Home<'_, '_>) -> Option<Span>| {
        let own = own.map(Place::Pod);
        own.or_else(|| namespace.and_then(of_namespace).map(Place::Namespace))
    };
    let pods = |own: Option<Span>| found(own, &|_| None);
    let place = match subject {
        Subject::Annotation { source: Source::Pod, key } => {
            found(pod.asked(key, part), &|home| home.asked(key, part))
        }
        Subject::Annotation { source: Source::Namespace, key } => found(None, &|home| home.asked(key, part)),
        Subject::Annotation { source: Source::Operator, .. }
        | Subject::Config { source: Source::Operator, .. }
        | Subject::Words(_, None) => None,
        Subject::Config { source, at, focus } => {
            let inside = |home: &Home<'_, '_>| {
                let config = home.annotation_path(Key::Config.name());
                let place = home.locator.inside(&config, at, focus, part);
                place.or_else(|| home.locator.field(&config, Part::Key))
            };
            let own = if *source == Source::Pod { inside(pod) } else { None };
            found(own, &inside)
        }
        Subject::Container(name) => pods(pod.container(name)),
        Subject::Mount { container, path } => pods(
            pod.mount(container, path)
                .or_else(|| pod.annotation(Key::MountPath.name(), Part::Value))
                .or_else(|| pod.container(container)),
        ),
        Subject::Volume(name) => {
            let path = pod.element("volumes", "name", name);
            pods(path.and_then(|path| pod.locator.field(&path, Part::Value)))
        }
        Subject::Variable(name) => found(pod.variable(name), &|home| home.variable(name)),
        Subject::File { name, mode } => {
            let place = |home: &Home<'_, '_>| {
                let mode = mode.and_then(|_| home.mode(name));
                mode.or_else(|| home.file(name))
            };
            found(place(pod), &place)
        }
        Subject::Receivers(of) => {
            let at: Option<[&str; 3]> = match &**of {
                Subject::Variable(name) => Some(["env", name, "containers"]),
                Subject::File { name, .. } => Some(["files", name, "containers"]),
                _ => None,
            };
            let place = |home: &Home<'_, '_>| home.config(&at?);
            return found(place(pod), &place).unwrap_or_else(|| self::subject(of, part, pod, namespace));
        }
        Subject::Field(field) => {
            let path: Vec<Step> = pod.base.iter().cloned().chain(steps(field)).collect();
            Some(Place::Pod(pod.locator.nearest(&path)))
        }
        Subject::Words(_, Some(key)) => {
            let key = key.name();
            found(pod.annotation(key, part), &|home| home.annotation(key, part))
        }
    };
    place.unwrap_or_else(|| Place::Pod(pod.default()))
}

/// The steps of a field as problems write it: `metadata.annotations[a.b/c]`, `spec.containers[0].name`.
fn steps(field: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = field;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (name, after) = inner.split_once(']').unwrap_or((inner, ""));
            steps.push(name.parse().map_or_else(|_| name.into(), Step::Index));
            rest = after.strip_prefix('.').unwrap_or(after);
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            steps.push(name.into());
            rest = after.strip_prefix('.').unwrap_or(after);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "\
kind: Pod
metadata:
  name: web
  annotations: &a
    esc.pulumi.com/environment: acme/shop/prod
    esc.pulumi.com/config: |

      env:
        A: db.url
        B: {path: 'x y', format: jsn}

      files:
        tls/ca.crt: tls.ca
    other: >-
      folded
      text
spec:
  initContainers:
  - name: first
  containers:
  - {name: app, volumeMounts: [{name: v, mountPath: /data}]}
  volumes: [{name: esc-bin}]
";

    fn found(text: &str, what: &Subject, part: Part) -> String {
        let locator = Locator::new(text, 0);
        let pod = Home { locator: &locator, base: &[] };
        match subject(what, part, &pod, None) {
            Place::Pod(span) => text[span].to_owned(),
            Place::Namespace(_) => panic!("there is no namespace"),
        }
    }

    fn config(at: &[&str], focus: Focus) -> Subject {
        let at = at.iter().map(|&key| key.to_owned()).collect();
        Subject::Config { source: Source::Pod, at, focus }
    }

    #[test]
    fn finds_what_problems_are_about() {
        let mount = |path: &str| Subject::Mount { container: "app".to_owned(), path: path.to_owned() };
        for (what, part, expected) in [
            (Subject::own("environment"), Part::Value, "acme/shop/prod"),
            (Subject::own("environment"), Part::Key, "esc.pulumi.com/environment"),
            (Subject::own("config"), Part::Value, "esc.pulumi.com/config"),
            (Subject::own("nowhere"), Part::Key, "esc.pulumi.com/environment"),
            (config(&[], Focus::Key("files".to_owned())), Part::Value, "files"),
            (config(&["env", "A"], Focus::Whole), Part::Value, "db.url"),
            (config(&["env", "B", "path"], Focus::Whole), Part::Value, "'x y'"),
            (config(&["env", "B"], Focus::Key("format".to_owned())), Part::Value, "format"),
            (config(&["files", "tls/ca.crt"], Focus::Whole), Part::Value, "tls.ca"),
            (config(&["env", "C"], Focus::Whole), Part::Value, "esc.pulumi.com/config"),
            (Subject::Variable("A".to_owned()), Part::Value, "db.url"),
            (Subject::file(&"tls/ca.crt"), Part::Value, "tls.ca"),
            (Subject::container("first"), Part::Value, "first"),
            (Subject::container("app"), Part::Value, "app"),
            (Subject::container("none"), Part::Value, "esc.pulumi.com/environment"),
            (mount("/data"), Part::Value, "/data"),
            (mount("/run"), Part::Value, "app"),
            (Subject::Volume("esc-bin".to_owned()), Part::Value, "esc-bin"),
            (Subject::Field("spec.containers[0].name".to_owned()), Part::Value, "app"),
            (Subject::Field("metadata.annotations[other]".to_owned()), Part::Value, "other"),
            (
                Subject::Field("spec.containers[0].nothing".to_owned()),
                Part::Value,
                "{name: app, volumeMounts: [{name: v, mountPath: /data}]}",
            ),
            (Subject::from("the pod"), Part::Value, "esc.pulumi.com/environment"),
        ] {
            assert_eq!(found(POD, &what, part), expected, "{what:?}");
        }
    }

    #[test]
    fn finds_places_in_config_however_it_is_quoted() {
        let env = config(&["env", "A"], Focus::Whole);
        for (config, expected) in [
            ("'env: {A: b}'", "b"),
            ("\"env: {A: b}\"", "b"),
            ("\"env:\\n  A: b\"", "esc.pulumi.com/config"),
            ("|\n        env: {A: b}", "b"),
            ("|2\n      env:\n       A: b\n", "b"),
            ("|- # why\n\n\n        env:\n          A: b\n", "b"),
            (">\n        env:\n          A: b\n", "b"),
            (">\n        env: {\n        A: b}\n", "esc.pulumi.com/config"),
        ] {
            let text = format!("metadata:\n  annotations:\n    esc.pulumi.com/config: {config}\n");
            let span = found(&text, &env, Part::Value);
            assert_eq!(span, expected, "{config}");
        }
    }

    #[test]
    fn follows_aliases_and_merge_keys() {
        let text = "base: &b {esc.pulumi.com/timeout: soon}\nmetadata:\n  annotations: {<<: *b, x: y}\n";
        assert_eq!(found(text, &Subject::own("timeout"), Part::Value), "soon");
        let text = "base: &b {esc.pulumi.com/timeout: soon}\nmetadata:\n  annotations: *b\n";
        assert_eq!(found(text, &Subject::own("timeout"), Part::Value), "soon");
    }

    /// Such a `config` is refused, and then other problems of the pod are looked for in it.
    #[test]
    fn nobody_follows_aliases_in_circles() {
        for inner in ["&a {<<: *a}", "&a {env: &b {<<: *b}, <<: [*a, *a]}", "env: &a [*a]"] {
            let text = format!("metadata:\n  annotations:\n    esc.pulumi.com/config: '{inner}'\n");
            for what in [Subject::own("environment"), Subject::Variable("A".to_owned())] {
                assert_eq!(found(&text, &what, Part::Value), "esc.pulumi.com/config", "{inner}");
            }
        }
    }

    #[test]
    fn json_has_places_too() {
        let text = r#"{"kind": "Pod", "metadata": {"annotations": {"esc.pulumi.com/timeout": "soon"}}}"#;
        assert_eq!(found(text, &Subject::own("timeout"), Part::Value), "\"soon\"");
    }
}
