//! Every limit has a default in the README and a test that meets it; every code has a test that has the host answer it.

use std::{collections::BTreeMap, fs};

use webtask_host::{Limit, Limits};

use super::modules::{read, root, rust_files};

/// Each field of `Limits`, and the test that meets it or shows what it bounds.
const MET: &[(&str, &str)] = &[
    ("cache-bytes", "what_is_compiled_is_kept_within_the_limit"),
    ("cache-disk-bytes", "what_was_longest_of_no_use_goes_first"),
    ("cache-idle", "code_that_nobody_asks_for_is_given_back"),
    ("calls", "outbound_calls_are_counted"),
    ("compile", "a_compilation_is_given_up_in_time"),
    (
        "compile-memory",
        "a_compiler_out_of_memory_is_an_error_of_its_component",
    ),
    ("compiled-bytes", "native_code_is_bounded"),
    (
        "compilers",
        "components_that_are_compiled_at_the_same_time_are_bounded",
    ),
    ("component-bytes", "code_larger_than_the_limit_is_refused"),
    (
        "concurrent-calls",
        "outbound_calls_at_the_same_time_are_bounded",
    ),
    ("connect", "a_name_server_that_does_not_answer_is_given_up"),
    ("connections", "connections_at_the_same_time_are_bounded"),
    (
        "connections-per-address",
        "connections_of_one_address_are_bounded_if_asked",
    ),
    ("cpu", "cpu_time_is_measured_and_bounded"),
    (
        "debug-bytes",
        "a_trap_is_logged_with_the_places_in_the_source",
    ),
    ("fetch", "code_that_does_not_come_is_given_up"),
    ("fetches", "fetches_at_the_same_time_are_bounded"),
    ("head", "half_a_preface_and_silence_are_given_up"),
    ("header-bytes", "a_set_of_headers_is_bounded"),
    ("header-fields", "floods_of_header_fields_are_refused"),
    (
        "hostcall-bytes",
        "what_is_handed_over_in_one_call_is_bounded",
    ),
    ("idle", "an_idle_http_2_connection_is_closed_gracefully"),
    ("instances", "what_a_component_declares_is_bounded"),
    (
        "invocations",
        "the_token_is_checked_before_a_place_is_taken",
    ),
    ("log-bytes", "log_lines_are_bounded_in_length_and_number"),
    ("log-history", "a_history_is_bounded_in_lines_and_bytes"),
    (
        "log-history-lines",
        "a_history_has_its_lines_and_says_what_is_missing",
    ),
    (
        "log-history-total",
        "all_histories_together_are_bounded_and_those_of_no_use_go_first",
    ),
    ("log-line", "log_lines_are_bounded_in_length_and_number"),
    ("log-lines", "a_log_is_cut_once_and_says_so"),
    ("log-readers", "readers_of_live_logs_are_bounded"),
    (
        "memories",
        "a_component_with_too_many_memories_is_refused_when_it_is_loaded",
    ),
    (
        "memory",
        "memory_is_bounded_by_the_host_and_lowered_by_the_token",
    ),
    ("outbound-bytes", "what_an_origin_sends_is_bounded"),
    ("outbound-total", "bytes_of_all_calls_together_are_bounded"),
    ("pool", "kept_connections_are_bounded"),
    ("queue", "who_waits_is_bounded_in_number_and_time"),
    ("queue-time", "who_waits_is_bounded_in_number_and_time"),
    ("random-bytes", "random_bytes_are_bounded"),
    ("random-total", "random_bytes_of_all_calls_are_bounded"),
    ("request-bytes", "a_request_body_is_bounded_declared_or_not"),
    ("resources", "host_resources_are_bounded"),
    ("response-bytes", "a_response_body_is_bounded"),
    ("signed-bytes", "a_body_that_is_signed_is_bounded"),
    ("stack", "the_stack_is_bounded"),
    ("stall", "a_peer_that_answers_no_ping_is_given_up"),
    ("streams", "streams_at_the_same_time_are_bounded"),
    ("table-elements", "a_table_grows_to_its_limit"),
    ("tables", "what_a_component_declares_is_bounded"),
    (
        "tenant-fetches",
        "a_tenant_takes_no_more_than_its_places_for_fetching",
    ),
    (
        "tenant-invocations",
        "a_tenant_and_a_token_are_told_when_they_have_all_of_their_places",
    ),
    ("tenant-log-readers", "readers_of_live_logs_are_bounded"),
    (
        "token-invocations",
        "a_tenant_and_a_token_are_told_when_they_have_all_of_their_places",
    ),
    ("wall", "a_token_lowers_the_deadline"),
];

fn tests() -> String {
    let mut files = Vec::new();
    for dir in ["host/src", "host/tests", "tests/all"] {
        rust_files(&root().join(dir), &mut files);
    }
    let own = |file: &&std::path::PathBuf| {
        !file.ends_with("all/names.rs") && !file.ends_with("all/modules.rs")
    };
    let texts = files
        .iter()
        .filter(own)
        .map(|file| fs::read_to_string(file).expect("a file"));
    texts.collect()
}

/// The rows of the README's table under `heading`: the first two cells of each.
fn rows(heading: &str) -> BTreeMap<String, String> {
    let readme = read("README.md");
    let (_, section) = readme
        .split_once(&format!("\n## {heading}\n"))
        .expect("a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = section.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        match cells[..] {
            ["", key, second, _, ..] if key.starts_with('`') => Some((key, second)),
            _ => None,
        }
    });
    let bare = |text: &str| text.trim_matches('`').to_owned();
    cells
        .map(|(key, second)| (bare(key), bare(second)))
        .collect()
}

#[test]
fn every_limit_is_in_the_readme_with_its_default_and_has_a_test() {
    let limits = serde_json::to_value(Limits::default()).expect("a table");
    let limits = limits.as_object().expect("a table");
    let in_code: BTreeMap<_, _> = limits
        .iter()
        .map(|(name, value)| {
            let text = value.as_str().map(str::to_owned);
            (name.clone(), text.unwrap_or_else(|| value.to_string()))
        })
        .collect();
    assert_eq!(in_code, rows("Limits"));
    let met: Vec<_> = MET.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(met, in_code.keys().cloned().collect::<Vec<_>>());
    let tests = tests();
    for (name, test) in MET {
        assert!(
            tests.contains(&format!("fn {test}(")),
            "{name}: no test {test}"
        );
    }
    // What refuses something is named as it is configured.
    let rates = [Limit::Rate, Limit::TenantRate];
    for limit in Limit::ALL.iter().filter(|limit| !rates.contains(limit)) {
        assert!(
            in_code.contains_key(limit.name()),
            "{limit} is no key of [limits]"
        );
    }
}

#[test]
fn every_code_is_the_answer_to_some_test() {
    let tests = tests();
    let said: String = tests
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let codes = rows("Errors");
    assert!(codes.len() > 30, "{codes:?}");
    for code in codes.keys() {
        assert!(
            said.contains(&format!("\"{code}\"")),
            "no test is answered {code}"
        );
    }
}
