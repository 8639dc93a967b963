//! The fuzzers' kept corpus, replayed on stable: what once was interesting stays harmless.
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
fn the_corpus_of_the_decoder_reads_the_same_in_any_pieces() {
    replay("sse", checks::sse);
}

#[test]
fn the_corpus_of_the_provider_file_is_read_or_refused_with_words() {
    replay("provider_json", checks::provider_json);
}

#[test]
fn the_corpus_of_the_vocabulary_is_written_as_it_was_read() {
    replay("vocabulary", checks::vocabulary);
}

#[test]
fn the_corpus_of_the_translation_is_translated_or_refused_by_name() {
    replay("translate", checks::translated);
}

#[test]
fn the_corpus_of_streams_is_put_together_in_order() {
    replay("assemble", checks::assembled);
}
