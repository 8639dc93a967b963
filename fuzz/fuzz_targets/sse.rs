//! The decoder reads any bytes, in any pieces, without a panic, and the same events and chunks from the same bytes.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use llmpool_core::chat::ChunkDecoder;
use llmpool_core::frame::StreamView;
use llmpool_core::sse::{Decoder, Event};

/// A decoder that has learned from the chunks before reads what a new one reads.
fn read_chunks(events: &[Event]) {
    let mut learned = ChunkDecoder::new();
    for event in events {
        let (known, fresh) = (learned.decode(&event.data), ChunkDecoder::new().decode(&event.data));
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

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else { return };
    let whole = decode(std::iter::once(bytes));
    let pieces = decode(bytes.chunks(usize::from(*size).max(1)));
    assert!(whole == pieces);
    read_chunks(&whole.unwrap_or_default());
});
