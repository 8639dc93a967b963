//! A fast path for the most frequent event, a text delta in the middle of a message.

use super::output_items::StreamedItem;
use crate::responses::{EventKind, ResponseEvent};
use crate::stream_view::{EventRepeat, VaryingField};

/// Returns whether the only effect of `event` is to add text to `item`. If so, later events that differ only
/// in their `delta` can be translated without being decoded.
pub(super) fn is_text_only(
    data: &[u8],
    event: &ResponseEvent,
    repeat: &EventRepeat,
    item: &StreamedItem,
) -> bool {
    let continues_item = match &event.item_id {
        Some(id) => Some(id) == item.id.as_ref(),
        None => event.output_index().is_none() || event.output_index() == item.output_index,
    };
    event.kind == EventKind::TextDelta
        && continues_item
        && event.logprobs.as_ref().is_none_or(Vec::is_empty)
        && varies_in_delta(data, repeat)
}

/// Returns the text that an event adds, without decoding the event. Returns `None` if the text is empty.
/// Requires that [`is_text_only`] was true for an event with the same template number.
pub(super) fn text(data: &[u8], repeat: &EventRepeat) -> Option<String> {
    repeat
        .string(data, VaryingField::Delta)
        .filter(|text| !text.is_empty())
}

/// Returns whether [`ResponseEvent::decode`] reads `delta` from the place in the JSON where repeats of the
/// event differ. Tests this by decoding a copy of the event that has another string in that place.
fn varies_in_delta(data: &[u8], repeat: &EventRepeat) -> bool {
    let (probe, probe_repeat) = repeat.probe(data);
    let text = probe_repeat.string(&probe, VaryingField::Delta);
    text.is_some() && ResponseEvent::decode(&probe).is_ok_and(|event| event.delta_text() == text.as_deref())
}
