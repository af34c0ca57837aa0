//! What holds for all documents.

use super::open_with;

proptest::proptest! {
    #[test]
    fn no_document_makes_it_panic(
        lines in proptest::collection::vec("( ){0,4}[abc]: ([abc]|\\$\\{[abc.\\[\\]0]{0,6}\\}|\\[[abc]\\]|\\{fn::(join|split|concat|toJSON|fromJSON|secret): [abc]\\}|)", 0..12),
        imports in "(imports: \\[(p/a|p/root|x)\\]\n)?",
    ) {
        let root = format!("{imports}values:\n  {}\n", lines.join("\n  "));
        open_with(&[("p/a", "values: {a: {b: 1}}")], &root);
    }
}
