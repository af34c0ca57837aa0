//! Any document that becomes JSON comes back from our own YAML as the same JSON.

use esc_injector::yaml::{Dialect, emit, parse, to_json};

/// A stream of documents.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(documents) = parse(text) else { return };
    for document in &documents {
        assert!(text.get(document.start.byte..document.end.byte).is_some());
        for dialect in [Dialect::Kubernetes, Dialect::Esc] {
            let Ok(json) = to_json(document, dialect) else { continue };
            let again = parse(&emit(&json)).expect("our YAML is YAML");
            // A null at the root is an absent document or a null one; both mean nothing.
            let again = again.first().map(|node| to_json(node, dialect).expect("our YAML is JSON"));
            assert_eq!(again.unwrap_or_default(), json);
        }
    }
}
