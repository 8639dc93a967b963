//! Replays the checked-in fuzzing corpus on stable Rust.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../../../fuzz/checks.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzzers")]
mod checks;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let inputs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(inputs.len() >= 7, "the corpus of {target} is missing");
    inputs.iter().for_each(|input| check(input));
}

#[test]
fn sse_corpus_decodes_the_same_for_any_split() {
    replay("sse", checks::sse);
}

#[test]
fn provider_file_corpus_parses_or_reports_errors() {
    replay("provider_json", checks::provider_json);
}

#[test]
fn vocabulary_corpus_encodes_as_it_was_decoded() {
    replay("vocabulary", checks::vocabulary);
}

#[test]
fn translation_corpus_translates_or_names_the_field() {
    replay("translate", checks::translate);
}

#[test]
fn stream_corpus_assembles_to_valid_event_sequences() {
    replay("assemble", checks::assemble);
}

#[test]
fn framing_corpus_is_framed_the_same_for_any_split() {
    replay("framing", checks::framing);
}

#[test]
fn lenient_corpus_is_cleaned_once() {
    replay("lenient", checks::lenient);
}

#[test]
fn error_corpus_is_read_the_same_with_any_status() {
    replay("provider_error", checks::provider_error);
}
