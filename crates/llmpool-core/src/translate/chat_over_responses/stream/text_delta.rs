//! Fast path for the most frequent event, a text delta in the middle of a message.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::output_items::StreamedItem;

#[derive(Deserialize)]
struct TextDelta<'a> {
    #[serde(borrow)]
    item_id: Option<Cow<'a, str>>,
    output_index: Option<u64>,
    #[serde(borrow)]
    delta: Cow<'a, str>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
}

/// Parses the text of a delta that continues `item` and has no log probabilities. Returns `None` for any other event.
pub(super) fn parse(data: &[u8], item: &StreamedItem) -> Option<String> {
    if !data.starts_with(b"{\"type\":\"response.output_text.delta\",") {
        return None;
    }
    let event: TextDelta<'_> = serde_json::from_str(std::str::from_utf8(data).ok()?).ok()?;
    let has_logprobs = event
        .logprobs
        .is_some_and(|logprobs| !matches!(logprobs.get(), "[]" | "null"));
    let continues_item = match &event.item_id {
        Some(id) => Some(&**id) == item.id.as_deref(),
        None => event.output_index.is_none() || event.output_index == item.output_index,
    };
    (continues_item && !has_logprobs && !event.delta.is_empty()).then(|| event.delta.into_owned())
}
