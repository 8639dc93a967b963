//! What has to hold for any input: for the fuzzers, and for the replay of their corpus by the tests.

use bytes::Bytes;
use llmpool::provider_file::ProviderFile;
use llmpool_core::chat::ChunkDecoder;
use llmpool_core::frame::StreamView;
use llmpool_core::sse::{Decoder, Event};

/// Any bytes, in any pieces, give the same events and chunks. The first byte says how long the pieces are.
pub fn sse(input: &[u8]) {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let whole = decode(std::iter::once(bytes));
    let pieces = decode(bytes.chunks(usize::from(*size).max(1)));
    assert!(whole == pieces);
    read_chunks(&whole.unwrap_or_default());
}

/// Any text is read or refused with words.
pub fn provider_json(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    // A reference to a file would read this machine.
    if text.contains("file:") {
        return;
    }
    if let Err(error) = ProviderFile::parse(text, "fuzz", &|_| Some("key".to_owned())) {
        assert!(!error.defects().is_empty() && !error.to_string().is_empty());
    }
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
