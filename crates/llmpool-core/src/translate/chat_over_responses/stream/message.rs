//! Text, refusals and annotations of a message in a stream of response events.

use super::chunk_queue::ChunkQueue;
use super::output_items::{StreamedItem, unsent};
use crate::chat::{Content, Delta, Json};
use crate::responses::ItemPart;
use crate::translate::REASONING_SEPARATOR;
use crate::translate::chat_over_responses::message_content::MessageContent;

pub(super) fn push_text(item: &mut StreamedItem, text: String, logprobs: &[Json], chunks: &mut ChunkQueue) {
    item.text_bytes += text.len();
    let delta = Delta {
        content: Some(Content::Text(text)),
        ..Delta::default()
    };
    chunks.push_with_logprobs(delta, logprobs);
}

pub(super) fn push_refusal(
    item: &mut StreamedItem,
    text: String,
    logprobs: &[Json],
    chunks: &mut ChunkQueue,
) {
    item.refusal_bytes += text.len();
    let delta = Delta {
        refusal: Some(text),
        ..Delta::default()
    };
    chunks.push_with_logprobs(delta, logprobs);
}

/// Sends the part of a complete message that earlier deltas did not contain. A complete message arrives
/// twice, when the message ends and in the last event of the stream. `is_first` tells whether this is its
/// first arrival.
pub(super) fn push_unsent(
    item: &mut StreamedItem,
    content: Option<Content<ItemPart>>,
    is_first: bool,
    chunks: &mut ChunkQueue,
) {
    let mut message = MessageContent::default();
    message.push(content);
    let reasoning = message.reasoning.join(REASONING_SEPARATOR);
    if let Some(text) = unsent(&reasoning, item.other_bytes) {
        chunks.push_reasoning(&text, item.other_bytes == 0);
        item.other_bytes += text.len();
    }
    if let Some(text) = &message.text {
        let has_sent = item.text_bytes > 0;
        // If only a part of the text is sent, the log probabilities of that part are unknown.
        let logprobs = if has_sent { &[] } else { &message.logprobs[..] };
        match unsent(text, item.text_bytes) {
            Some(text) => push_text(item, text, logprobs, chunks),
            None if is_first && text.is_empty() && !has_sent => push_text(item, String::new(), &[], chunks),
            None => {}
        }
    }
    let refusal = message.refusal.unwrap_or_default();
    if let Some(refusal) = unsent(&refusal, item.refusal_bytes) {
        push_refusal(item, refusal, &[], chunks);
    }
    if let Some(annotations) = message.annotations.get(item.annotations..) {
        chunks.push_list("annotations", annotations);
        item.annotations = message.annotations.len();
    }
}
