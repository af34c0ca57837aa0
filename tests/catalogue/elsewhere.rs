//! Codes whose proof needs the machinery of another suite, and those that nothing can provoke.

use std::{fs, path::Path};

use esc_injector::codes::{self, Code};

/// Each code, the file of its tests, the one that provokes it, and the one in which it goes away by the fix.
const TESTS: &[(&str, &str, &str, &str)] = &[
    ("ESC410", "tests/agent/volumes.rs", "a_full_volume_leaves_nothing_or_the_whole_former_set", SAME),
    ("ESC411", "tests/agent/volumes.rs", "a_read_only_volume_leaves_nothing_or_the_whole_former_set", SAME),
    ("ESC413", "tests/agent/faults.rs", "sigterm_ends_a_fetch_without_a_trace", SAME),
    ("ESC601", "tests/agent/sidecar.rs", "the_last_good_set_outlives_any_outage", SAME),
    ("ESC602", "tests/agent/sidecar.rs", "the_last_good_set_outlives_any_outage", SAME),
    ("ESC603", "tests/agent/sidecar.rs", "the_last_good_set_outlives_any_outage", SAME),
    ("ESC604", "tests/agent/sidecar.rs", "a_full_volume_keeps_the_last_set_until_there_is_room", SAME),
    (
        "ESC605",
        "tests/agent/sidecar.rs",
        "state_that_can_not_be_kept_has_its_code",
        "a_change_arrives_and_nothing_else_is_published",
    ),
    ("ESC606", "tests/agent/sidecar.rs", "metrics_tell_how_fresh_the_values_are", SAME),
    ("ESC607", "tests/agent/telling.rs", "a_post_that_fails_is_tried_again_and_redirects_are_failures", SAME),
    (
        "ESC608",
        "tests/agent/telling.rs",
        "without_a_shared_namespace_nobody_is_signalled",
        "a_signal_reaches_the_process_by_name_and_the_main_process_without",
    ),
    (
        "ESC609",
        "tests/agent/telling.rs",
        "an_unclear_or_missing_target_is_refused_with_its_code",
        "a_signal_reaches_the_process_by_name_and_the_main_process_without",
    ),
    (
        "ESC610",
        "tests/agent/telling.rs",
        "an_unclear_or_missing_target_is_refused_with_its_code",
        "a_signal_reaches_the_process_by_name_and_the_main_process_without",
    ),
    ("ESC612", "tests/agent/telling.rs", "a_restart_ends_with_the_code_of_the_plan_and_not_again_soon", SAME),
    ("ESC613", "tests/agent/sidecar.rs", "a_change_arrives_and_nothing_else_is_published", SAME),
    ("ESC705", "tests/check/resolve.rs", "a_token_goes_to_no_address_that_only_a_manifest_names", SAME),
    // On a real API server.
    (
        "ESC801",
        "tests/cluster/policies.rs",
        "a_pod_that_asks_never_starts_bare_when_the_webhook_is_not_asked",
        SAME,
    ),
    ("ESC802", "tests/cluster/policies.rs", "who_asks_in_a_namespace_that_is_not_injected_is_warned", SAME),
    (
        "ESC803",
        "tests/cluster/policies.rs",
        "of_its_webhook_configurations_it_may_change_the_bundle_and_nothing_else",
        SAME,
    ),
    (
        "ESC811",
        "tests/probe/main.rs",
        "the_command_says_what_it_needs",
        "a_working_installation_is_found_to_work",
    ),
    (
        "ESC812",
        "tests/probe/main.rs",
        "a_missing_configuration_is_told",
        "a_working_installation_is_found_to_work",
    ),
    ("ESC813", "tests/probe/main.rs", "an_empty_bundle_is_told", "a_working_installation_is_found_to_work"),
    (
        "ESC814",
        "tests/probe/main.rs",
        "a_webhook_that_is_not_there_is_told",
        "a_working_installation_is_found_to_work",
    ),
    (
        "ESC815",
        "tests/probe/main.rs",
        "a_webhook_that_answers_what_helps_no_pod_is_told",
        "a_working_installation_is_found_to_work",
    ),
    (
        "ESC816",
        "tests/probe/main.rs",
        "an_api_server_that_does_not_inject_is_told",
        "a_working_installation_is_found_to_work",
    ),
    (
        "ESC821",
        "tests/doctor/main.rs",
        "each_thing_that_is_broken_is_named_with_its_code_and_fix",
        "a_healthy_installation_has_nothing_to_mend",
    ),
    (
        "ESC822",
        "tests/doctor/main.rs",
        "each_thing_that_is_broken_is_named_with_its_code_and_fix",
        "a_healthy_installation_has_nothing_to_mend",
    ),
    (
        "ESC823",
        "tests/doctor/main.rs",
        "each_thing_that_is_broken_is_named_with_its_code_and_fix",
        "a_healthy_installation_has_nothing_to_mend",
    ),
    (
        "ESC824",
        "tests/doctor/main.rs",
        "each_thing_that_is_broken_is_named_with_its_code_and_fix",
        "a_healthy_installation_has_nothing_to_mend",
    ),
    (
        "ESC825",
        "tests/doctor/main.rs",
        "each_thing_that_is_broken_is_named_with_its_code_and_fix",
        "a_healthy_installation_has_nothing_to_mend",
    ),
    (
        "ESC826",
        "tests/doctor/main.rs",
        "an_api_server_that_does_not_know_who_asks_is_refusal_enough",
        "a_healthy_installation_has_nothing_to_mend",
    ),
    (
        "ESC901",
        "tests/admission/answers.rs",
        "bodies_without_a_uid_get_400",
        "pods_that_asked_get_a_patch_that_makes_them_whole",
    ),
    (
        "ESC902",
        "tests/admission/answers.rs",
        "malformed_reviews_are_denied_with_their_uid",
        "pods_that_asked_get_a_patch_that_makes_them_whole",
    ),
    (
        "ESC903",
        "tests/admission/limits.rs",
        "bodies_over_8_mib_get_413_whether_announced_or_not",
        "one_connection_carries_many_requests",
    ),
    (
        "ESC904",
        "tests/admission/limits.rs",
        "a_slow_body_is_answered_within_the_reviews_timeout",
        "one_connection_carries_many_requests",
    ),
    (
        "ESC905",
        "tests/admission/answers.rs",
        "requests_that_are_no_admissions_are_told_so",
        "pods_that_asked_get_a_patch_that_makes_them_whole",
    ),
    // Defects of ours, planted where they would be.
    (
        "ESC910",
        "src/webhook/handler.rs",
        "a_patch_that_does_not_apply_is_denied_as_our_defect",
        "injected_pods_get_their_patch",
    ),
    ("ESC911", "src/webhook/router.rs", "a_panic_is_answered_and_tells_nothing", SAME),
    (
        "ESC920",
        "tests/admission/answers.rs",
        "other_things_than_pod_creations_pass_with_a_warning",
        "pods_that_did_not_ask_pass_untouched",
    ),
    (
        "ESC930",
        "tests/admission/process.rs",
        "what_keeps_it_from_starting_is_said_with_the_file_and_the_reason",
        "sigint_ends_it_as_well",
    ),
    (
        "ESC931",
        "tests/admission/told.rs",
        "a_torn_pair_of_files_is_told_once_and_a_whole_one_is_served",
        SAME,
    ),
    ("ESC932", "tests/admission/process.rs", "an_address_that_is_taken_is_named", SAME),
    (
        "ESC933",
        "tests/admission/told.rs",
        "a_client_that_does_not_trust_the_certificate_is_told_and_one_that_does_gets_through",
        SAME,
    ),
    (
        "ESC941",
        "tests/admission/namespaces.rs",
        "a_pod_waits_for_its_namespace_only_where_that_may_matter",
        SAME,
    ),
    ("ESC942", "tests/admission/namespaces.rs", "it_is_not_ready_before_it_knows_the_namespaces", SAME),
    (
        "ESC950",
        "tests/admission/process.rs",
        "flags_that_leave_it_without_certificates_are_refused_with_the_way_out",
        "sigint_ends_it_as_well",
    ),
    ("ESC951", "tests/admission/authority.rs", "what_the_api_server_refuses_is_said_with_its_code", SAME),
    ("ESC952", "tests/admission/authority.rs", "what_the_api_server_refuses_is_said_with_its_code", SAME),
    ("ESC953", "tests/admission/authority.rs", "what_the_api_server_refuses_is_said_with_its_code", SAME),
    (
        "ESC954",
        "tests/admission/process.rs",
        "flags_that_leave_it_without_certificates_are_refused_with_the_way_out",
        "sigint_ends_it_as_well",
    ),
    (
        "ESC960",
        "tests/admission/authority.rs",
        "until_the_first_certificate_handshakes_fail_and_readyz_says_why",
        SAME,
    ),
    (
        "ESC961",
        "tests/admission/authority.rs",
        "a_damaged_secret_that_nobody_remembers_is_left_alone_and_told",
        SAME,
    ),
    ("ESC962", "tests/admission/told.rs", "a_secret_that_was_put_back_is_told_once", SAME),
    ("ESC963", "tests/admission/told.rs", "an_authority_that_had_ended_is_told_once", SAME),
    (
        "ESC964",
        "tests/admission/authority.rs",
        "until_the_first_certificate_handshakes_fail_and_readyz_says_why",
        SAME,
    ),
    (
        "ESC965",
        "tests/admission/told.rs",
        "a_configuration_without_our_entries_is_told_until_it_has_them",
        SAME,
    ),
    ("ESC966", "tests/admission/told.rs", "an_overwritten_bundle_is_told_with_whoever_wrote_last", SAME),
    (
        "ESC967",
        "tests/admission/told.rs",
        "a_certificate_that_can_not_be_made_is_told_and_one_for_a_real_name_is_made",
        SAME,
    ),
    ("ESC968", "tests/admission/told.rs", "a_clock_that_is_apart_is_told_and_one_that_is_right_is_not", SAME),
];

/// The same test takes the cause away again.
const SAME: &str = "";

/// Each code that no test provokes, and why there is one all the same.
const UNPROVOKED: &[(&str, &str)] = &[
    ("ESC414", "what is taken for impossible: whoever can provoke it has found a defect to mend"),
    (
        "ESC611",
        "the process would have to end between the look and the signal, three times; or a security module of the node to forbid it",
    ),
];

pub fn codes() -> Vec<String> {
    let tests = TESTS.iter().map(|(code, ..)| *code);
    tests.chain(UNPROVOKED.iter().map(|(code, _)| *code)).map(str::to_owned).collect()
}

/// A function's text, from its name to the line that closes it.
fn function<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let from = text.find(&format!("fn {name}("))?;
    let line = text[..from].rfind('\n').map_or(0, |at| at + 1);
    let indent: String = text[line..].chars().take_while(|c| *c == ' ').collect();
    let end = text[from..].find(&format!("\n{indent}}}\n"))?;
    Some(&text[from..from + end])
}

/// Whether a function is a test.
fn is_test(text: &str, name: &str) -> bool {
    let from = text.find(&format!("fn {name}("));
    let attributes = from.and_then(|from| text[..from].rsplit("\n\n").next()).unwrap_or_default();
    attributes.contains("#[test]") || attributes.contains("#[tokio::test")
}

/// Whether a text has a word, whole: `ESC60` is none of `ESC601`.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|other| other == word)
}

/// What stands at the left margin of a file beside its tests: tables and helpers, by name, with their texts.
fn beside(text: &str) -> Vec<(&str, &str)> {
    let mut items: Vec<(&str, &str)> = Vec::new();
    for keyword in ["fn ", "const ", "static "] {
        for (at, _) in text.match_indices(keyword) {
            let line = text[..at].rfind('\n').map_or(0, |at| at + 1);
            let indent = text[line..].len() - text[line..].trim_start_matches(' ').len();
            let (indent, before) = text[line..at].split_at(indent.min(at - line));
            if !before.split_whitespace().all(|word| ["async", "pub", "const"].contains(&word)) {
                continue;
            }
            let name = text[at + keyword.len()..].split(|c: char| !c.is_alphanumeric() && c != '_').next();
            let rest = &text[at..];
            let first = rest.find('\n').unwrap_or(rest.len());
            // To the line that closes it, which is the only one for a short constant.
            let closes = |end: &str| rest.find(&format!("\n{indent}{end}"));
            let end = if rest[..first].ends_with(';') {
                Some(first)
            } else if keyword == "fn " {
                closes("}\n")
            } else {
                closes("]").into_iter().chain(closes("}")).min()
            };
            if let (Some(name), Some(end)) = (name.filter(|name| !name.is_empty()), end) {
                items.push((name, &rest[..end]));
            }
        }
    }
    items
}

#[test]
fn only_whole_words_prove_anything() {
    assert!(has_word("[\"ESC601\"]", "ESC601") && has_word("codes::REFUSED,", "REFUSED"));
    assert!(!has_word("\"ESC6011\"", "ESC601") && !has_word("NOT_REFUSED", "REFUSED"));
    let text = "const TABLE: &[&str] = &[\n    \"ESC1\",\n];\nfn helper() {\n    \"ESC2\"\n}\n#[test]\nfn one() {\n    other_helper(TABLE)\n}\n";
    assert!(is_about(text, "one", &["ESC1"]));
    assert!(!is_about(text, "one", &["ESC2"]), "it names no `helper`");
}

/// Whether a test says one of the words, or a table or helper that it names does.
fn is_about(text: &str, test: &str, words: &[&str]) -> bool {
    let says = |body: &str| words.iter().any(|word| has_word(body, word));
    let Some(body) = function(text, test) else { return false };
    says(body) || beside(text).iter().any(|(name, item)| *name != test && has_word(body, name) && says(item))
}

/// The name of the code's constant, which unit tests use.
fn constant(code: Code) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/codes");
    let line = format!(" = \"{code}\" {{");
    let files = fs::read_dir(folder).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let names: Vec<_> = files
        .flat_map(|text| {
            text.lines()
                .filter_map(|text| Some(text.strip_suffix(&line)?.trim().to_owned()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(names.len(), 1, "{code}: {names:?}");
    names[0].clone()
}

#[test]
fn the_tests_that_are_named_are_there_and_are_about_the_code() {
    for &(id, file, provokes, mends) in TESTS {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let code = codes::find(id).unwrap_or_else(|| panic!("{id}"));
        assert!(
            is_about(&text, provokes, &[id, &constant(code)]),
            "{id}: {provokes} of {file} is not there, or not about it"
        );
        for name in [provokes, mends] {
            assert!(name == SAME || is_test(&text, name), "{id}: {file} has no test {name}");
        }
    }
    for (code, why) in UNPROVOKED {
        assert!(codes::find(code).is_some() && !why.is_empty());
    }
}
