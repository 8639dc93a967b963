//! The fuzzers' kept corpus, replayed on stable: what once was interesting stays harmless.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use llmpool::provider_file::ProviderFile;
use llmpool_core::chat::ChunkDecoder;
use llmpool_core::frame::StreamView;
use llmpool_core::sse::{Decoder, Event};

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let inputs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(inputs.len() >= 7, "the corpus of {target} is missing");
    inputs
}

/// A decoder that has learned from the chunks before reads what a new one reads.
fn read_chunks(events: &[Event]) {
    let mut learned = ChunkDecoder::new();
    for event in events {
        let (known, fresh) = (
            learned.decode(&event.data),
            ChunkDecoder::new().decode(&event.data),
        );
        assert!(known.ok() == fresh.ok());
    }
}

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Event>> {
    let mut decoder = Decoder::new(1 << 16);
    let mut view = StreamView::new();
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(event) = decoder.next_event().ok()? {
            view.see(&event);
            events.push(event);
        }
    }
    Some(events)
}

#[test]
fn the_corpus_of_the_decoder_reads_the_same_in_any_pieces() {
    for input in corpus("sse") {
        let (size, bytes) = input.split_first().unwrap();
        let whole = decode(std::iter::once(bytes)).unwrap();
        assert!(whole == decode(bytes.chunks(usize::from(*size).max(1))).unwrap());
        read_chunks(&whole);
    }
}

#[test]
fn the_corpus_of_the_provider_file_is_read_or_refused_with_words() {
    for input in corpus("provider_json") {
        let text = std::str::from_utf8(&input).unwrap();
        if let Err(error) = ProviderFile::parse(text, "corpus", &|_| Some("key".to_owned())) {
            assert!(!error.defects().is_empty() && !error.to_string().is_empty());
        }
    }
}
