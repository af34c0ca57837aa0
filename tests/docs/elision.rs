//! What a page shows of an output, `…` standing for what it leaves out: alone on a line for any lines, else for any text.

/// Whether `printed` is what `shown` shows. White space at the ends of lines and of the whole does not count.
pub fn agrees(shown: &str, printed: &str) -> bool {
    let lines = |text| str::lines(text).map(str::trim_end).collect::<Vec<_>>();
    match_lines(&lines(shown.trim()), &lines(printed.trim()))
}

fn match_lines(shown: &[&str], printed: &[&str]) -> bool {
    match (shown, printed) {
        ([], []) => true,
        ([first, rest @ ..], _) if first.trim() == "…" => {
            (0..=printed.len()).any(|skipped| match_lines(rest, &printed[skipped..]))
        }
        ([first, rest @ ..], [line, others @ ..]) => match_line(first, line) && match_lines(rest, others),
        _ => false,
    }
}

fn match_line(shown: &str, printed: &str) -> bool {
    match shown.split_once('…') {
        None => shown == printed,
        Some((before, after)) => printed.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| match_line(after, &rest[at..]))
        }),
    }
}

#[test]
fn only_what_is_left_out_may_differ() {
    for (shown, printed, agree) in [
        ("a\nb", "a\nb\n", true),
        ("a\nb", "a\nc", false),
        ("a\nb", "a\nb\nc", false),
        ("a\n…\nd", "a\nb\nc\nd", true),
        ("a\n    …\nd", "a\nd", true),
        ("a\n…", "a", true),
        ("…\nd", "a\nb", false),
        ("pul-0f3c…", "pul-99", false),
        ("token …, alive", "token 12, alive", true),
        ("{\"id\":\"…\"}", "{\"id\":\"45\"}", true),
        ("{\"id\":\"…\"}", "{\"id\":\"45\"", false),
    ] {
        assert_eq!(agrees(shown, printed), agree, "{shown:?} {printed:?}");
    }
}
