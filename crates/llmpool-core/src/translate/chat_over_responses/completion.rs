//! Translation of a complete response to a chat completion.

use super::finish_reason::{finish_reason, or_tool_calls};
use super::lenient_items::repair_item;
use super::message_content::{MessageContent, chat_logprobs};
use crate::chat::{ChatCompletion, Choice, Content, FinishReason, Json, LenientU64, Message, Role, ToolCall};
use crate::responses::{Item, Response};
use crate::translate::echoed::EchoedMessage;
use crate::translate::image_items::{IMAGES, item_to_image};
use crate::translate::moderation::{self, MODERATION};
use crate::translate::reasoning_details::item_to_blocks;
use crate::translate::tool_call_parts::ToolCallParts;
use crate::translate::{FailedResponse, REASONING_SEPARATOR, usage};

/// Translates a complete response to a chat completion with one choice.
///
/// Leaves out what Chat Completions cannot express, such as web searches run by the provider.
/// [`dropped_from_response`](crate::translate::dropped_from_response) lists what is left out.
///
/// # Errors
///
/// Returns an error if the response failed, was cancelled, is not finished, or is complete without any output that
/// a chat can contain. A message without a readable part is no output. An empty text is output.
pub fn response_to_completion(response: Response) -> Result<ChatCompletion, FailedResponse> {
    let finish_reason = finish_reason(&response)?;
    let mut output = CompletionOutput::default();
    response.output.into_iter().for_each(|item| output.push(item));
    if output.is_empty() && finish_reason == FinishReason::Stop {
        return Err(FailedResponse::no_output());
    }
    let usage = response.usage.as_ref().map(usage::to_chat);
    let mut completion = ChatCompletion {
        id: response.id,
        object: Some("chat.completion".to_owned()),
        created: created(response.created_at.as_ref()),
        model: response.model,
        usage: usage.filter(|usage| !usage.is_empty()),
        service_tier: response.service_tier,
        choices: vec![output.into_choice(finish_reason)],
        ..ChatCompletion::default()
    };
    if let Some(moderation) = moderation::to_chat(&response.extra) {
        completion.extra.insert(MODERATION, moderation);
    }
    if let Some(metadata) = non_empty_metadata(response.metadata) {
        completion.extra.insert("metadata", metadata);
    }
    Ok(completion)
}

/// Returns the response's metadata, or `None` if the metadata is absent or an empty object.
pub(super) fn non_empty_metadata(metadata: Option<Json>) -> Option<Json> {
    metadata.filter(|metadata| metadata.get() != "{}")
}

/// Returns the creation time in whole seconds since 1970. Absent if `created_at` is absent or not a number.
pub(super) fn created(created_at: Option<&Json>) -> LenientU64 {
    let number = created_at.and_then(|json| serde_json::from_str(json.get()).ok());
    number.unwrap_or_default()
}

/// The output items of a response, merged into one chat message.
#[derive(Default)]
struct CompletionOutput {
    echoed: EchoedMessage,
    content: MessageContent,
    /// Text of each reasoning item. Reasoning items without text are left out.
    reasoning: Vec<String>,
    reasoning_blocks: Vec<Json>,
    tool_calls: Vec<ToolCall>,
    images: Vec<Json>,
}

impl CompletionOutput {
    fn push(&mut self, item: Item) {
        match repair_item(item) {
            Item::Message(message) | Item::EasyMessage(message) => {
                self.echoed.update(EchoedMessage::of_item(&message));
                self.content.push(message.content);
                self.reasoning.append(&mut self.content.reasoning);
            }
            Item::Reasoning(item) => {
                self.reasoning_blocks.extend(item_to_blocks(&item));
                let text = Some(item.text()).filter(|text| !text.is_empty());
                self.reasoning.extend(text);
            }
            Item::ImageGenerationCall(item) => self.images.extend(item_to_image(&item)),
            item => {
                let call = ToolCallParts::from_item(&item);
                self.tool_calls.extend(call.map(ToolCallParts::into_chat));
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.content.text.is_none()
            && self.content.refusal.is_none()
            && self.reasoning.is_empty()
            && self.reasoning_blocks.is_empty()
            && self.tool_calls.is_empty()
            && self.images.is_empty()
    }

    fn into_choice(self, finish_reason: FinishReason) -> Choice {
        let finish_reason = or_tool_calls(finish_reason, !self.tool_calls.is_empty());
        let non_empty = |list: Vec<Json>| Some(list).filter(|list| !list.is_empty());
        let reasoning = self.reasoning.join(REASONING_SEPARATOR);
        let mut message = Message {
            role: Some(Role::Assistant),
            content: self.content.text.map(Content::Text),
            refusal: self.content.refusal,
            reasoning_content: Some(reasoning).filter(|text| !text.is_empty()),
            reasoning_details: non_empty(self.reasoning_blocks).and_then(|blocks| Json::of(&blocks).ok()),
            tool_calls: self.tool_calls,
            annotations: non_empty(self.content.annotations),
            ..Message::default()
        };
        message.set_null("content");
        message.set_null("refusal");
        if let Some(images) = non_empty(self.images).and_then(|images| Json::of(&images).ok()) {
            message.extra.insert(IMAGES, images);
        }
        self.echoed.write_to_chat(&mut message.extra);
        let mut choice = Choice {
            message,
            finish_reason: Some(finish_reason),
            logprobs: chat_logprobs(&self.content.logprobs),
            ..Choice::with_index(0)
        };
        choice.set_null("logprobs");
        choice
    }
}
