//! RFC 9111 from front to back: each requirement that a shared cache can be seen to obey, and the story
//! that shows it. What is not done, and why, is in `ARCHITECTURE.md`.

use std::path::Path;

/// Section, what it asks of a shared cache, and `file::function` under `tests/tests`.
const AUDIT: &[(&str, &str, &str)] = &[
    (
        "3",
        "MUST NOT store unless the method is understood",
        "semantics/storing::answers_to_unsafe_methods_are_not_stored",
    ),
    (
        "3",
        "MUST NOT store unless the status is final",
        "semantics/fields::interim_answers_go_on_and_are_not_stored",
    ),
    (
        "3",
        "MUST NOT store a 206 or 304 that it does not understand",
        "semantics/storing::parts_and_304_nobody_asked_for_are_not_stored",
    ),
    (
        "3",
        "MUST NOT store under no-store, nor private",
        "semantics/storing::directives_that_decide",
    ),
    (
        "3",
        "MUST NOT store without a lifetime, a word or a status that allow it",
        "semantics/freshness::lifetimes",
    ),
    ("3", "may store any final status with a lifetime", "semantics/storing::statuses"),
    (
        "3.1",
        "MUST store all fields, known or not, but those for one hop",
        "semantics/storing::fields_of_one_hop_are_not_stored",
    ),
    ("3.1", "MUST NOT make fields of trailers", "semantics/framing::trailers_are_not_made_fields"),
    (
        "3.2",
        "MUST update the stored fields, but those that describe the body",
        "semantics/validation::a_304_refreshes_what_is_stored",
    ),
    (
        "3.3",
        "MUST NOT use an incomplete response as a complete one",
        "semantics/partial::what_was_cut_is_not_taken_for_the_whole",
    ),
    ("3.3", "the same without a length", "semantics/partial::chunks_that_break_off_are_not_stored"),
    (
        "3.3",
        "a range within what is there may be answered",
        "semantics/partial::what_was_cut_is_not_taken_for_the_whole",
    ),
    (
        "3.4",
        "may combine parts that share a strong validator",
        "semantics/partial::parts_of_one_strong_version_are_combined",
    ),
    (
        "3.4",
        "MUST NOT combine others",
        "semantics/partial::parts_of_other_versions_or_without_a_strong_validator_are_not_combined",
    ),
    (
        "3.5",
        "MUST NOT use an answer to credentials unless it is allowed",
        "semantics/storing::credentials_and_cookies",
    ),
    (
        "4",
        "MUST NOT reuse unless the URI is the same",
        "pass/hygiene::the_key_is_what_the_origin_sees",
    ),
    (
        "4",
        "MUST NOT reuse unless the method allows it",
        "semantics/validation::a_stored_response_answers_head",
    ),
    (
        "4",
        "MUST NOT reuse no-cache, or stale, without validation",
        "semantics/model/mod::a_naive_cache_and_the_node_agree",
    ),
    ("4", "MUST generate Age", "semantics/freshness::an_answer_tells_its_age"),
    (
        "4",
        "MUST write unsafe methods through",
        "pass/invalidation::what_an_unsafe_method_changes_is_asked_for_anew",
    ),
    (
        "4.1",
        "MUST NOT use unless the fields that Vary names match; * never does",
        "semantics/vary::what_matches",
    ),
    ("4.1", "MUST pick the matching one of several", "semantics/vary::variants_lie_side_by_side"),
    ("4.2", "SHOULD take dates in all their forms", "semantics/freshness::dates"),
    (
        "4.2.1",
        "the first of s-maxage, max-age, Expires, heuristics",
        "semantics/freshness::lifetimes",
    ),
    (
        "4.2.1",
        "what is invalid or contradicts itself is stale",
        "semantics/freshness::directives_are_read_as_a_list",
    ),
    ("4.2.2", "MUST NOT use heuristics beside an explicit time", "semantics/freshness::lifetimes"),
    ("4.2.3", "the sum of ages", "semantics/freshness::ages"),
    (
        "4.2.4",
        "MUST NOT use stale what forbids it",
        "semantics/stale::who_may_stand_in_for_a_failing_origin",
    ),
    (
        "4.2.4",
        "MUST NOT use stale unless cut off or allowed",
        "semantics/stale::a_site_may_give_no_grace",
    ),
    (
        "4.3.1",
        "MUST send the entity tag, SHOULD send the date",
        "semantics/validation::what_is_stored_names_the_question",
    ),
    (
        "4.3.1",
        "sends the fields that Vary names",
        "semantics/vary::variants_are_validated_with_the_fields_they_hang_on",
    ),
    (
        "4.3.2",
        "SHOULD answer conditions from what is stored",
        "semantics/validation::clients_conditions_are_answered_from_the_store",
    ),
    (
        "4.3.2",
        "MUST NOT take a client's condition for its own",
        "semantics/validation::a_clients_condition_is_not_the_nodes",
    ),
    (
        "4.3.3",
        "a 304 refreshes, a full answer replaces",
        "semantics/validation::a_new_version_takes_the_place_of_the_old",
    ),
    (
        "4.3.3",
        "a 5xx may be hidden by what is stale",
        "semantics/stale::who_may_stand_in_for_a_failing_origin",
    ),
    (
        "4.3.4",
        "a 304 is for what it names",
        "semantics/validation::a_304_about_something_else_is_not_used",
    ),
    (
        "4.3.5",
        "a HEAD refreshes or invalidates",
        "semantics/validation::a_head_refreshes_or_ends_what_is_stored",
    ),
    (
        "4.4",
        "MUST invalidate the target, and Location of the same origin",
        "pass/invalidation::what_an_unsafe_method_changes_is_asked_for_anew",
    ),
    ("4.4", "MUST NOT invalidate other origins", "pass/invalidation::what_belongs_to_others_stays"),
    ("5.1", "the first Age counts, one that cannot be read does not", "semantics/freshness::ages"),
    (
        "5.2",
        "names have no case, arguments two forms, and what is unknown is passed over",
        "semantics/freshness::directives_are_read_as_a_list",
    ),
    ("5.2.1.1", "max-age of a request", "semantics/requests::directives"),
    ("5.2.1.2", "max-stale", "semantics/requests::directives"),
    ("5.2.1.3", "min-fresh", "semantics/requests::directives"),
    ("5.2.1.4", "no-cache of a request", "semantics/requests::directives"),
    ("5.2.1.5", "no-store of a request", "semantics/storing::directives_that_decide"),
    ("5.2.1.7", "only-if-cached", "semantics/requests::only_if_cached_asks_nobody"),
    ("5.2.2.1", "max-age", "semantics/freshness::lifetimes"),
    (
        "5.2.2.2",
        "must-revalidate; 504 where it cannot be",
        "semantics/stale::who_may_stand_in_for_a_failing_origin",
    ),
    ("5.2.2.3", "must-understand", "semantics/storing::directives_that_decide"),
    ("5.2.2.4", "no-cache", "semantics/storing::directives_that_decide"),
    (
        "5.2.2.4",
        "no-cache with field names",
        "semantics/storing::fields_for_one_are_not_shown_to_others",
    ),
    ("5.2.2.5", "no-store", "semantics/storing::directives_that_decide"),
    ("5.2.2.7", "private", "semantics/storing::directives_that_decide"),
    (
        "5.2.2.7",
        "private with field names",
        "semantics/storing::fields_for_one_are_not_shown_to_others",
    ),
    ("5.2.2.8", "proxy-revalidate", "semantics/stale::who_may_stand_in_for_a_failing_origin"),
    ("5.2.2.9", "public", "semantics/storing::credentials_and_cookies"),
    ("5.2.2.10", "s-maxage", "semantics/freshness::lifetimes"),
    (
        "5.3",
        "Expires; what cannot be read is past; max-age beats it",
        "semantics/freshness::lifetimes",
    ),
    ("5.4", "Pragma, where there is no Cache-Control", "semantics/requests::directives"),
    (
        "7.1",
        "nothing unkeyed is stored",
        "pass/hygiene::nothing_a_client_says_beside_the_key_reaches_what_is_stored",
    ),
    ("7.3", "cookies", "semantics/storing::credentials_and_cookies"),
];

/// Sections that ask something visible of a shared cache.
const SECTIONS: [&str; 40] = [
    "3", "3.1", "3.2", "3.3", "3.4", "3.5", "4", "4.1", "4.2", "4.2.1", "4.2.2", "4.2.3", "4.2.4",
    "4.3.1", "4.3.2", "4.3.3", "4.3.4", "4.3.5", "4.4", "5.1", "5.2", "5.2.1.1", "5.2.1.2",
    "5.2.1.3", "5.2.1.4", "5.2.1.5", "5.2.1.7", "5.2.2.1", "5.2.2.2", "5.2.2.3", "5.2.2.4",
    "5.2.2.5", "5.2.2.7", "5.2.2.8", "5.2.2.9", "5.2.2.10", "5.3", "5.4", "7.1", "7.3",
];

#[test]
fn every_requirement_has_its_story() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for (section, what, story) in AUDIT {
        let (file, function) = story.rsplit_once("::").expect("file::function");
        let path = root.join(file).with_extension("rs");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        let test = format!("#[test]\nfn {function}() {{");
        assert!(text.contains(&test), "§{section} ({what}): no test {function} in {path:?}");
        assert!(SECTIONS.contains(section), "§{section} is not in the list");
    }
    for section in SECTIONS {
        assert!(AUDIT.iter().any(|(of, ..)| *of == section), "§{section} has no story");
    }
}
