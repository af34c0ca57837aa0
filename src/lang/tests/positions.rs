//! Where diagnostics point: what Pulumi's evaluator answers for the same documents, columns
//! counted in characters and ends where the text ends.

use super::open_with;

#[test]
fn diagnostics_point_at_what_is_wrong() {
    for (fragment, expected) in [
        ("  a: ${helo.x} b\n  hello: {x: 1}", "values.a 2:8(15)-2:12(19)"),
        ("  a: \"x ${helo.x} b\"\n  hello: {x: 1}", "values.a 2:6(13)-2:21(28)"),
        ("  a: x ${hello.y[0]} b\n  hello: {x: 1}", "values.a 2:15(22)-2:17(24)"),
        ("  a: é ${hello.y[0]} b\n  hello: {x: 1}", "values.a 2:15(23)-2:17(25)"),
        ("  a: ${b} ${b[\"x\"]}\n  b: [1]", "values.a 2:14(21)-2:19(26)"),
        ("  a: x ${foo[1_0]}", "values.a 2:14(21)-2:17(24)"),
        ("  a: ${foo..x}", "values.a 2:11(18)-2:12(19)"),
        ("  a: ${b}\n  b: ${a}", "values.a 2:6(13)-2:10(17)"),
        ("  a: {fn::join: [\"\", [x, 1]]}", "values.a[\"fn::join\"][1][1] 2:26(33)-2:27(34)"),
        ("  a:\n    fn::toBase64: ${b}\n  b: 5", "values.a[\"fn::toBase64\"] 3:19(31)-3:23(35)"),
        ("  a: {fn::fromJSON: '{'}", "values.a 2:6(13)-2:25(32)"),
        ("  a: {fn::open::nope: {}}", "values.a 2:6(13)-2:26(33)"),
        ("  a: {fn::open::error: {why: 5}}", "values.a[\"fn::open::error\"].why 2:30(37)-2:31(38)"),
        ("  a: {fn::foo: 1}", "values.a 2:7(14)-2:14(21)"),
        ("  a: {fn::secret: 1}", "values.a[\"fn::secret\"] 2:19(26)-2:20(27)"),
        ("  a: &x 1\n  b: *x", "values.b 3:6(23)-3:8(25)"),
        ("  1: a", "values[\"1\"] 2:3(10)-2:4(11)"),
        ("  b: {c: 1, c: 2}", "values.b.c 2:13(20)-2:14(21)"),
        ("  imports: 1", "values.imports 2:3(10)-2:10(17)"),
        ("  a: {\"${x}\": 1}", "values.a[\"${x}\"] 2:7(14)-2:13(20)"),
        // A block is where its text is.
        ("  a: |\n    b ${x}\n", "values.a 3:5(19)-4:1(26)"),
    ] {
        let outcome = open_with(&[], &format!("values:\n{fragment}"));
        let found: Vec<_> = outcome
            .diagnostics
            .iter()
            .map(|diagnostic| {
                let (begin, end) = (diagnostic.range.begin, diagnostic.range.end);
                format!(
                    "{} {}:{}({})-{}:{}({})",
                    diagnostic.path, begin.line, begin.column, begin.byte, end.line, end.column, end.byte
                )
            })
            .collect();
        assert_eq!(found, [expected], "{fragment}");
    }
}

#[test]
fn imports_are_blamed_by_their_place() {
    let outcome = open_with(&[], "imports:\n  - p/a\n  - p/b: {merge: x}\n  - 5\n");
    let found: Vec<_> =
        outcome.diagnostics.iter().map(|found| (found.path.as_str(), found.range.begin.line)).collect();
    assert_eq!(found, [("imports[1][\"p/b\"].merge", 3), ("imports[2]", 4)]);
    let outcome = open_with(&[], "imports: [p/a]");
    assert_eq!(
        (outcome.diagnostics[0].path.as_str(), outcome.diagnostics[0].range.begin.byte),
        ("imports[0]", 10)
    );
}
