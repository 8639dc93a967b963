//! Translation of a complete chat completion to a response.

use super::envelope::ResponseEnvelope;
use super::incomplete_reason::{incomplete_reason, item_status};
use crate::chat::{ChatCompletion, Choice, Content, Json, Message, Part, Role, ThinkingPart, ToolCall};
use crate::responses::{Item, ItemPart, MessageItem, OutputText, ReasoningItem, Response};
use crate::translate::echoed::EchoedMessage;
use crate::translate::image_items::{IMAGES, images_to_items};
use crate::translate::moderation::{self, MODERATION};
use crate::translate::reasoning_details::{DetailsPart, ReasoningDetails, blocks_text, foreign_to_item};
use crate::translate::tool_call_parts::ToolCallParts;
use crate::translate::{FailedResponse, tagged_object};

/// Translates a chat completion to a response. Ignores all choices except the choice with the lowest index,
/// because a response contains only one answer.
///
/// [`dropped_from_completion`](crate::translate::dropped_from_completion) lists what is left out.
///
/// # Errors
///
/// Returns an error if `choices` is empty, or if the finish reason reports a failure of the provider.
pub fn completion_to_response(
    completion: ChatCompletion,
    envelope: &ResponseEnvelope,
) -> Result<Response, FailedResponse> {
    let first = completion.choices.into_iter().min_by_key(Choice::index);
    let choice = first.ok_or_else(|| FailedResponse {
        code: None,
        message: Some("the completion contains no choices".to_owned()),
    })?;
    let incomplete_reason = incomplete_reason(choice.finish_reason.as_ref())?;
    let mut output = output_items(choice.message, choice.logprobs.as_ref(), envelope);
    if let Some(last) = output.last_mut() {
        last.set_status(item_status(incomplete_reason.is_some()));
    }
    let mut response = envelope.finished(
        output,
        incomplete_reason,
        completion.usage.as_ref(),
        completion.model,
        completion.service_tier,
    );
    if let Some(moderation) = moderation::to_responses(&completion.extra) {
        response.extra.insert(MODERATION, moderation);
    }
    Ok(response)
}

/// Returns the log probabilities in the `content` list of a chat choice's `logprobs`. Empty if `logprobs` or
/// its `content` is absent or invalid.
pub(super) fn token_logprobs(logprobs: Option<&Json>) -> Vec<Json> {
    #[derive(serde::Deserialize)]
    struct ChatLogprobs {
        content: Option<Vec<Json>>,
    }
    let logprobs = logprobs.and_then(|logprobs| serde_json::from_str::<ChatLogprobs>(logprobs.get()).ok());
    logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default()
}

/// Returns the texts of a thinking part (a content part with the model's reasoning), concatenated without a
/// separator.
pub(super) fn thinking_text(part: &ThinkingPart) -> String {
    part.texts().collect()
}

fn output_items(message: Message, logprobs: Option<&Json>, envelope: &ResponseEnvelope) -> Vec<Item> {
    let mut items = reasoning_items(&message, envelope);
    items.extend(message_item(&message, logprobs, envelope, items.len()));
    let images = message.extra.get(IMAGES).map(images_to_items);
    for mut item in images.unwrap_or_default() {
        item.id = Some(envelope.item_id("ig", items.len()));
        items.push(Item::ImageGenerationCall(item));
    }
    let deprecated_call = message.function_call.map(|function| ToolCall {
        function: Some(function),
        ..ToolCall::default()
    });
    for call in deprecated_call.into_iter().chain(message.tool_calls) {
        items.extend(tool_call_item(call, envelope, items.len()));
    }
    items
}

/// Returns the reasoning of a chat message as items: those from which its reasoning blocks were made, and an
/// item for each run of other blocks. Without blocks, returns one item with the message's reasoning text, or no
/// item if that text is empty.
fn reasoning_items(message: &Message, envelope: &ResponseEnvelope) -> Vec<Item> {
    let details = message.reasoning_details.as_ref();
    let details = details.map(ReasoningDetails::parse).unwrap_or_default();
    let candidates = [
        message.reasoning_content.clone(),
        message.reasoning.clone(),
        Some(content_parts(message).filter_map(thinking).collect()),
    ];
    let text = candidates.into_iter().flatten().find(|text| !text.is_empty());
    let with_id = |index: usize, item: ReasoningItem| {
        Item::Reasoning(ReasoningItem {
            id: Some(envelope.item_id("rs", index)),
            ..item
        })
    };
    match (&details.parts[..], text) {
        ([], Some(text)) => vec![with_id(0, foreign_to_item(&[], text))],
        // The message's text is that of the blocks, except for redacted blocks.
        ([DetailsPart::Foreign(blocks)], Some(text)) => vec![with_id(0, foreign_to_item(blocks, text))],
        _ => {
            let parts = details.parts.into_iter().enumerate();
            let items = parts.map(|(index, part)| match part {
                DetailsPart::Item(item) => Item::Reasoning(item),
                DetailsPart::Foreign(blocks) => {
                    with_id(index, foreign_to_item(&blocks, blocks_text(&blocks)))
                }
            });
            items.collect()
        }
    }
}

fn content_parts(message: &Message) -> impl Iterator<Item = &Part> {
    let parts = match &message.content {
        Some(Content::Parts(parts)) => &parts[..],
        _ => &[],
    };
    parts.iter()
}

fn thinking(part: &Part) -> Option<String> {
    match part {
        Part::Thinking(part) => Some(thinking_text(part)),
        _ => None,
    }
}

fn message_item(
    message: &Message,
    logprobs: Option<&Json>,
    envelope: &ResponseEnvelope,
    index: usize,
) -> Option<Item> {
    let mut parts = Vec::new();
    let text: String = message.content.iter().flat_map(Content::texts).collect();
    if !text.is_empty() {
        let annotations = message.annotations.iter().flatten();
        parts.push(ItemPart::OutputText(OutputText {
            text,
            annotations: annotations.map(tagged_object::flatten).collect(),
            logprobs: Some(token_logprobs(logprobs)),
            ..OutputText::default()
        }));
    }
    let refusal = refusal(message);
    if !refusal.is_empty() {
        parts.push(ItemPart::refusal(refusal));
    }
    (!parts.is_empty()).then(|| {
        let mut item = MessageItem {
            id: Some(envelope.item_id("msg", index)),
            role: Some(Role::Assistant),
            status: Some(item_status(false)),
            content: Some(Content::Parts(parts)),
            ..MessageItem::default()
        };
        EchoedMessage::of_chat(&message.extra).write_to_item(&mut item);
        Item::Message(item)
    })
}

/// Returns the refusal of a chat message: the refusal parts of its content, followed by its `refusal` field.
/// Empty if the message contains no refusal.
fn refusal(message: &Message) -> String {
    let in_content = content_parts(message).filter_map(|part| match part {
        Part::Refusal(part) => Some(part.refusal.as_str()),
        _ => None,
    });
    in_content.chain(message.refusal.as_deref()).collect()
}

fn tool_call_item(call: ToolCall, envelope: &ResponseEnvelope, index: usize) -> Option<Item> {
    if call.function.is_none() && call.custom.is_none() {
        return None;
    }
    let mut parts = ToolCallParts::from_chat(call.id, call.function, call.custom, &call.extra);
    if parts.call_id.is_empty() {
        parts.call_id = envelope.item_id("call", index);
    }
    let id = envelope.item_id(parts.item_prefix(), index);
    Some(parts.into_item(Some(id), Some(item_status(false))))
}
