//! Encoders for server-sent events.
//!
//! Invariant: decoding the encoded events yields the original events, provided that no data contains a CR.
//! This also holds with comments between the events. An event from [`event_after_truncation`] is decoded
//! correctly after any incomplete event.

use bytes::{BufMut, Bytes, BytesMut};

/// A comment line that keeps an idle connection open. Contains no empty line, because some clients report an
/// event for every empty line.
pub const KEEP_ALIVE: Bytes = Bytes::from_static(b": ping\n");

/// The event `[DONE]`, which ends a stream of chat completion chunks.
pub const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// Encodes an event with the given data and no name.
pub fn event(data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 16);
    put_data(&mut out, data);
    out.freeze()
}

/// Encodes an event with the given name and data.
pub fn named_event(name: &str, data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(name.len() + data.len() + 24);
    out.put_slice(b"event: ");
    out.put_slice(name.as_bytes());
    out.put_u8(b'\n');
    put_data(&mut out, data);
    out.freeze()
}

/// Encodes an event that follows other output, which may have stopped in the middle of an event. First ends
/// the incomplete event, so that the two events are not merged.
pub fn event_after_truncation(data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 16);
    out.put_slice(b"\n\n");
    put_data(&mut out, data);
    out.freeze()
}

fn put_data(out: &mut BytesMut, data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        out.put_slice(b"data: ");
        out.put_slice(line);
        out.put_u8(b'\n');
    }
    out.put_u8(b'\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sse::SseDecoder;

    /// Returns the name and the data of each event.
    fn decode(bytes: &[u8]) -> Vec<(Option<Bytes>, Bytes)> {
        let mut decoder = SseDecoder::new(1 << 20);
        decoder.push(Bytes::copy_from_slice(bytes));
        let events = std::iter::from_fn(|| decoder.next_event().unwrap());
        events.map(|event| (event.name, event.data)).collect()
    }

    /// Counts events as the official clients do: every empty line ends an event, even an event without data.
    fn dispatched(bytes: &[u8]) -> usize {
        let lines = bytes.split(|byte| *byte == b'\n');
        lines.filter(|line| line.is_empty()).count().saturating_sub(1)
    }

    // L50
    #[test]
    fn keep_alive_comments_are_not_events() {
        let events = [event(b"{\"a\":1}"), named_event("x", b"{}"), DONE];
        let quiet = events.concat();
        let mut busy = KEEP_ALIVE.to_vec();
        for event in &events {
            busy.extend_from_slice(event);
            busy.extend_from_slice(&KEEP_ALIVE);
            busy.extend_from_slice(&KEEP_ALIVE);
        }
        assert_eq!(decode(&busy), decode(&quiet));
        assert_eq!(
            (dispatched(&busy) + 1, dispatched(&quiet)),
            (events.len() + 1, events.len())
        );
    }

    // L59
    #[test]
    fn event_after_a_truncated_event_is_decoded() {
        let error = b"{\"error\":{}}";
        let whole = [
            event(b"{\"a\":\"\xc3\xa9\"}"),
            KEEP_ALIVE,
            named_event("x", b"{}"),
            event(b"{}"),
        ]
        .concat();
        for cut in 0..=whole.len() {
            let broken = [&whole[..cut], &event_after_truncation(error)].concat();
            let (name, data) = decode(&broken).pop().unwrap();
            assert_eq!((name, &data[..]), (None, &error[..]), "truncated at {cut}");
        }
    }

    proptest! {
        #[test]
        fn encoded_events_decode(data in prop::collection::vec("[^\r]{1,8}", 0..4), name in "[a-z.]{1,8}") {
            let written: Vec<u8> = data.iter().flat_map(|data| [event(data.as_bytes()), named_event(&name, data.as_bytes())].concat()).collect();
            let decoded = decode(&written);
            let expected: Vec<_> = data.iter().flat_map(|data| {
                let data = Bytes::copy_from_slice(data.as_bytes());
                [(None, data.clone()), (Some(Bytes::from(name.clone())), data)]
            }).collect();
            prop_assert_eq!(decoded, expected);
        }
    }
}
