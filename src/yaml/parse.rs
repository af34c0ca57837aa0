//! Text to nodes with positions, over granit's event parser. Resolves nothing: what a scalar means is the
//! dialect's business.

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag};

use super::{MAX_DEPTH, Mark, Node, NodeKind, YamlError, resolve};

/// Reads every document of a stream; an empty document is absent. Nesting is limited to 128 levels.
///
/// A scalar whose explicit `!!int`, `!!float`, `!!bool`, `!!null` or `!!binary` fits it in no dialect is an error.
pub fn parse(text: &str) -> Result<Vec<Node>, YamlError> {
    let mut builder = Builder::default();
    // As in Go, a block scalar that the text ends in gets no line break that isn't there.
    let options = granit_parser::options! { block_scalar_eof_without_line_feed: true };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| syntax_error(&error))?;
        builder.event(event, span)?;
    }
    Ok(builder.documents)
}

fn mark(marker: Marker) -> Mark {
    // A reader of text always knows the byte; the character is what is left for one that doesn't.
    let byte = marker.byte_offset().unwrap_or(marker.index());
    Mark { line: marker.line(), column: marker.col() + 1, byte }
}

fn syntax_error(error: &ScanError) -> YamlError {
    YamlError { mark: mark(*error.marker()), message: error.info() }
}

/// Builds the tree with a stack of its own, so that depth is a check and not a crash.
#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    /// Where the last finished node ended: a collection without a closing bracket ends there.
    last_end: Mark,
}

/// A collection whose end is still to come.
struct Open {
    start: Mark,
    /// Whether it stands in brackets.
    flow: bool,
    anchor: Option<usize>,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<(Node, Node)>, key: Option<Node> },
}

impl Content {
    fn sequence() -> Self {
        Self::Sequence(Vec::new())
    }

    fn mapping() -> Self {
        Self::Mapping { entries: Vec::new(), key: None }
    }
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let (start, end) = (mark(span.start), mark(span.end));
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                // granit writes `~` for an absent value; nothing of it stands in the text.
                let text = if plain && span.is_empty() { String::new() } else { text.into_owned() };
                let tag = tag.as_deref().map(short_tag);
                if let Some(tag) = &tag {
                    resolve::check_tag(&text, tag).map_err(|message| YamlError { mark: start, message })?;
                }
                let kind = NodeKind::Scalar { text, plain, tag, anchor: id(anchor) };
                self.finish(Node { kind, start, end });
                Ok(())
            }
            Event::Alias(anchor) => {
                self.finish(Node { kind: NodeKind::Alias(anchor), start, end });
                Ok(())
            }
            Event::SequenceStart(style, anchor, _) => {
                self.begin((start, end), style, anchor, Content::sequence())
            }
            Event::MappingStart(style, anchor, _) => {
                self.begin((start, end), style, anchor, Content::mapping())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.end(end);
                Ok(())
            }
            // The stream's and the document's own ends; the rest has to be asked for.
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        (start, end): (Mark, Mark),
        style: StructureStyle,
        anchor: usize,
        content: Content,
    ) -> Result<(), YamlError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlError { mark: start, message: format!("nested deeper than {MAX_DEPTH} levels") });
        }
        self.last_end = end;
        self.open.push(Open { start, flow: style == StructureStyle::Flow, anchor: id(anchor), content });
        Ok(())
    }

    fn end(&mut self, bracket: Mark) {
        let Some(Open { start, flow, anchor, content }) = self.open.pop() else { return };
        let kind = match content {
            Content::Sequence(items) => NodeKind::Sequence(items, anchor),
            Content::Mapping { entries, .. } => NodeKind::Mapping(entries, anchor),
        };
        // A block collection has no end of its own: it ends with its last child.
        self.finish(Node { kind, start, end: if flow { bracket } else { self.last_end } });
    }

    /// Puts a finished node where it belongs: into the innermost open collection, or as a document.
    fn finish(&mut self, node: Node) {
        self.last_end = node.end;
        match self.open.last_mut().map(|open| &mut open.content) {
            Some(Content::Sequence(items)) => items.push(node),
            Some(Content::Mapping { entries, key }) => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
            None if is_absent(&node) => {}
            None => self.documents.push(node),
        }
    }
}

/// granit counts anchors from 1 and writes 0 for none.
fn id(anchor: usize) -> Option<usize> {
    (anchor > 0).then_some(anchor)
}

fn is_absent(node: &Node) -> bool {
    matches!(&node.kind, NodeKind::Scalar { text, plain: true, tag: None, anchor: None } if text.is_empty())
}

/// `!!int` for YAML's own tags, however they were written; the text as written for others.
fn short_tag(tag: &Tag) -> String {
    let full = format!("{}{}", tag.handle(), tag.suffix());
    full.strip_prefix("tag:yaml.org,2002:").map(|name| format!("!!{name}")).unwrap_or(full)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse;
    use crate::yaml::{Dialect, Node, NodeKind, to_json};

    fn one(text: &str) -> Node {
        let mut documents = parse(text).unwrap();
        assert_eq!(documents.len(), 1, "{text:?}");
        documents.remove(0)
    }

    /// Every node as `what@line:column+bytes`, where bytes is the text between its marks.
    fn spans(text: &str) -> Vec<String> {
        fn walk(node: &Node, text: &str, out: &mut Vec<String>) {
            let what = match &node.kind {
                NodeKind::Scalar { text, .. } => format!("{text:?}"),
                NodeKind::Sequence(..) => "seq".to_owned(),
                NodeKind::Mapping(..) => "map".to_owned(),
                NodeKind::Alias(id) => format!("*{id}"),
            };
            let slice = &text[node.start.byte..node.end.byte];
            out.push(format!("{what}@{}:{} {slice:?}", node.start.line, node.start.column));
            match &node.kind {
                NodeKind::Sequence(items, _) => items.iter().for_each(|item| walk(item, text, out)),
                NodeKind::Mapping(entries, _) => entries.iter().for_each(|(key, value)| {
                    walk(key, text, out);
                    walk(value, text, out);
                }),
                _ => {}
            }
        }
        let mut out = Vec::new();
        walk(&one(text), text, &mut out);
        out
    }

    #[test]
    fn marks_show_where_nodes_stand() {
        assert_eq!(
            spans("é: ü\nlist:\n  - [a, {b: 'c'}]\n  -\nnone:\nend: x # comment\n"),
            [
                r#"map@1:1 "é: ü\nlist:\n  - [a, {b: 'c'}]\n  -\nnone:\nend: x""#,
                r#""é"@1:1 "é""#,
                r#""ü"@1:4 "ü""#,
                r#""list"@2:1 "list""#,
                r#"seq@3:3 "- [a, {b: 'c'}]\n  -""#,
                r#"seq@3:5 "[a, {b: 'c'}]""#,
                r#""a"@3:6 "a""#,
                r#"map@3:9 "{b: 'c'}""#,
                r#""b"@3:10 "b""#,
                r#""c"@3:13 "'c'""#,
                r#"""@4:4 """#,
                r#""none"@5:1 "none""#,
                r#"""@5:5 """#,
                r#""end"@6:1 "end""#,
                r#""x"@6:6 "x""#,
            ]
        );
    }

    #[test]
    fn reads_every_document_and_skips_empty_ones() {
        for (text, count) in [
            ("", 0),
            ("# only a comment\n", 0),
            ("---\n---\n", 0),
            ("a: 1\n---\n# nothing\n---\nb: 2\n", 2),
            ("---\r\na: 1\r\n...\r\n---\r\nb: 2\r\n", 2),
            ("\u{feff}a: 1\n", 1),
            ("~", 1),
            ("''", 1),
        ] {
            assert_eq!(parse(text).unwrap().len(), count, "{text:?}");
        }
    }

    #[test]
    fn keeps_tags_and_anchors() {
        let NodeKind::Sequence(items, Some(_)) =
            one("&all [!!str 1, !mine x, &a b, *a, ! y, !<tag:yaml.org,2002:int> 5]").kind
        else {
            panic!("an anchored sequence")
        };
        let tags: Vec<_> = items
            .iter()
            .map(|item| match &item.kind {
                NodeKind::Scalar { tag, .. } => tag.as_deref().unwrap_or("none"),
                _ => "alias",
            })
            .collect();
        assert_eq!(tags, ["!!str", "!mine", "none", "alias", "!", "!!int"]);
        let NodeKind::Scalar { anchor: Some(anchor), .. } = items[2].kind else {
            panic!("an anchored scalar")
        };
        assert_eq!(items[3].kind, NodeKind::Alias(anchor));
    }

    #[test]
    fn refuses_tags_that_do_not_fit() {
        for text in ["!!int QQ", "!!int 1.5", "!!float QQ", "!!bool QQ", "!!null QQ", "!!binary QQ#"] {
            let error = parse(text).unwrap_err();
            assert!(error.message.contains("does not fit"), "{text}: {error}");
            assert!(!error.message.contains("QQ"), "{text}: {error}");
        }
        for text in
            ["!!int '5'", "!!float 1", "!!bool yes", "!!null ''", "!!str 5", "!!binary aGk=", "!mine x"]
        {
            parse(text).unwrap();
        }
    }

    #[test]
    fn refuses_deep_nesting() {
        assert!(parse(&format!("{}{}", "[".repeat(128), "]".repeat(128))).is_ok());
        let error = parse(&format!("{}{}", "[".repeat(129), "]".repeat(129))).unwrap_err();
        assert_eq!(error.to_string(), "line 1, column 129: nested deeper than 128 levels");
        assert!(parse(&"- ".repeat(100_000)).is_err());
    }

    /// What YAML 1.2 calls wrong indentation and every manifest of the world contains.
    #[test]
    fn accepts_what_kubectl_accepts() {
        for (text, expected) in [
            (
                "s:\n  a: [\n    'x',\n  ]\n  b: {\n    \"y\": 'z'\n  }\n",
                r#"{"s":{"a":["x"],"b":{"y":"z"}}}"#,
            ),
            ("s:\n  a: [\n1,\n2]\n", r#"{"s":{"a":[1,2]}}"#),
            ("s:\n  a: \"x\n  y\"\n", r#"{"s":{"a":"x y"}}"#),
            ("a:\tb\n", r#"{"a":"b"}"#),
            ("a: |\n  text", r#"{"a":"text"}"#),
            ("a: |\n  text\n", r#"{"a":"text\n"}"#),
            ("- a: 1\n  b:\n  - c\n-\n  - d\n", r#"[{"a":1,"b":["c"]},["d"]]"#),
        ] {
            let json = to_json(&one(text), Dialect::Kubernetes).unwrap();
            assert_eq!(json.to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn says_where_a_syntax_error_stands() {
        let error = parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert_eq!(error.mark.line, 3, "{error}");
    }

    proptest! {
        #[test]
        fn never_panics(text in "[-a-z0-9:#,?!&*|>'\"%@`{}\\[\\] \\t\\r\\n~.é\u{feff}]{0,60}") {
            if let Ok(documents) = parse(&text) {
                for node in documents {
                    prop_assert!(text.get(node.start.byte..node.end.byte).is_some());
                }
            }
        }
    }
}
