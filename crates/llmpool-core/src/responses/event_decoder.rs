//! Decodes the events of one stream.

use super::event::{EventDelta, ResponseEvent};
use crate::chat::wire_object::partial_debug;
use crate::held_halves::HeldHalves;
use crate::lenient_json;
use crate::raw_object::RawObject;

/// A decoder for the events of one response.
///
/// Some servers split a character into surrogate halves over two deltas of one text. The first half is held
/// back until the second one arrives. A half without a counterpart becomes U+FFFD, in front of the text that
/// follows. If no text follows, only the event with the complete text contains it.
#[derive(Clone, Default)]
pub struct EventDecoder {
    halves: HeldHalves<DeltaPlace>,
}

/// The text to which a delta belongs.
#[derive(Clone, PartialEq, Eq)]
struct DeltaPlace {
    kind: String,
    item_id: Option<String>,
    /// Indexes of the item in the output, and of the part in the content and the summary.
    indexes: [Option<u64>; 3],
}

impl EventDecoder {
    /// Creates a decoder for a new stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes the JSON data of the next event, as [`ResponseEvent::decode`] does.
    ///
    /// # Errors
    /// Returns an error if `json` is not a JSON object. The error message may quote the data.
    pub fn decode(&mut self, json: &[u8]) -> Result<ResponseEvent, serde_json::Error> {
        let mut event = ResponseEvent::decode(json)?;
        // A half at the end has been decoded as U+FFFD.
        let may_end_with_half = event.delta_text().is_some_and(|text| text.ends_with('\u{fffd}'));
        if may_end_with_half || !self.is_idle() {
            self.join(json, &mut event);
        }
        Ok(event)
    }

    /// Returns whether no half of a character is held back. While the decoder is idle, an event decodes as it
    /// does on its own.
    pub(crate) fn is_idle(&self) -> bool {
        self.halves.is_empty()
    }

    fn join(&mut self, json: &[u8], event: &mut ResponseEvent) {
        let place = DeltaPlace::of(event);
        if place.kind.ends_with(".done") {
            // The event contains the complete text, after which no delta follows.
            self.halves.take_all(|held| held.is_in_item_of(&place));
        }
        if event.delta_text().is_none() {
            return;
        }
        let text = lenient_json::cleaned_except_halves(json);
        let object = RawObject::parse(&text);
        if let Some(delta) = object.as_ref().and_then(|object| object.get("delta")) {
            let delta = self.halves.join(place, delta);
            let delta: Option<String> = lenient_json::decode_part(&delta);
            event.delta = delta.map(EventDelta::Text).or(event.delta.take());
        }
    }
}

impl DeltaPlace {
    fn of(event: &ResponseEvent) -> Self {
        Self {
            kind: event.kind.as_str().to_owned(),
            item_id: event.item_id.clone(),
            indexes: [event.output_index(), event.content_index(), event.summary_index()],
        }
    }

    /// Returns whether `other` belongs to the same item, as far as the events tell.
    fn is_in_item_of(&self, other: &Self) -> bool {
        self.item_id == other.item_id && self.indexes[0] == other.indexes[0]
    }
}

partial_debug!(EventDecoder { is_idle() });

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(part: usize, text: &str) -> String {
        format!(
            r#"{{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":{part},"delta":"{text}"}}"#
        )
    }

    fn texts(events: &[String]) -> Vec<String> {
        let mut decoder = EventDecoder::new();
        let decoded = events
            .iter()
            .map(|event| decoder.decode(event.as_bytes()).unwrap());
        decoded
            .map(|event| event.delta_text().unwrap_or("-").to_owned())
            .collect()
    }

    #[test]
    fn split_surrogate_pair_is_joined() {
        let ping = r#"{"type":"ping"}"#.to_owned();
        for (events, expected) in [
            (vec![delta(0, r"a\ud83d"), delta(0, r"\ude00b")], vec!["a", "😀b"]),
            (
                vec![delta(0, r"\ud83d"), ping, delta(0, r"\ude00")],
                vec!["", "-", "😀"],
            ),
            (
                vec![
                    delta(0, r"\ud83d"),
                    delta(1, r"\ud83d"),
                    delta(0, r"\ude00"),
                    delta(1, r"\ude01"),
                ],
                vec!["", "", "😀", "😁"],
            ),
            (
                vec![delta(0, r"\ud83d"), delta(0, "b"), delta(0, "c")],
                vec!["", "\u{fffd}b", "c"],
            ),
            (
                vec![delta(0, r"a\ufffd"), delta(0, r"\ude00")],
                vec!["a\u{fffd}", "\u{fffd}"],
            ),
        ] {
            assert_eq!(texts(&events), expected, "{events:?}");
        }
    }

    #[test]
    fn complete_text_ends_a_held_half() {
        let done = r#"{"type":"response.output_text.done","item_id":"i","output_index":0,"content_index":0,"text":"a\ud83d"}"#;
        let mut decoder = EventDecoder::new();
        decoder.decode(delta(0, r"a\ud83d").as_bytes()).unwrap();
        assert!(!decoder.is_idle());
        let done = decoder.decode(done.as_bytes()).unwrap();
        assert_eq!(done.text.as_deref(), Some("a\u{fffd}"));
        assert!(decoder.is_idle());
    }
}
