//! A response as a chat completion.

use serde_json::json;

use crate::chat::{ChatCompletion, Choice, Content, CustomCall, FinishReason, Json, Message, Role, ToolCall};
use crate::responses::{IncompleteDetails, Item, ItemPart, OutputText, Response, Status};
use crate::translate::{BETWEEN, Failed, annotation, reasoning, usage};

/// The answer in the other format. Items that a chat has no place for (searches and other tools that the provider ran) are left out.
pub fn completion_of(response: Response) -> Result<ChatCompletion, Failed> {
    if matches!(response.status, Some(Status::Failed | Status::Cancelled)) {
        let error = response.error.unwrap_or_default();
        return Err(Failed {
            code: error.code,
            message: error.message,
        });
    }
    let mut said = Said::default();
    let Response {
        output,
        incomplete_details,
        status,
        usage: used,
        ..
    } = response;
    output.into_iter().for_each(|item| said.item(item));
    let finish_reason = finish_reason(
        status.as_ref(),
        incomplete_details.as_ref(),
        said.calls_something(),
    );
    let mut completion = ChatCompletion {
        id: response.id,
        object: Some("chat.completion".to_owned()),
        created: created_of(response.created_at.as_ref()),
        model: response.model,
        usage: used.as_ref().map(usage::as_chat),
        service_tier: response.service_tier,
        choices: vec![said.choice(finish_reason)],
        ..ChatCompletion::default()
    };
    if let Some(metadata) = response.metadata.filter(|metadata| metadata.get() != "{}") {
        completion.extra.insert("metadata", metadata);
    }
    Ok(completion)
}

/// What the output says, put together as one message.
#[derive(Default)]
struct Said {
    text: Option<String>,
    refusal: Option<String>,
    reasoning: Vec<String>,
    details: Vec<Json>,
    calls: Vec<ToolCall>,
    annotations: Vec<Json>,
    logprobs: Vec<Json>,
}

impl Said {
    fn item(&mut self, item: Item) {
        match item {
            Item::Message(message) | Item::EasyMessage(message) => match message.content {
                Some(Content::Text(text)) => *self.text.get_or_insert_default() += &text,
                Some(Content::Parts(parts)) => parts.into_iter().for_each(|part| self.part(part)),
                None => {}
            },
            Item::FunctionCall(call) => {
                self.calls
                    .push(ToolCall::function(call.call_id, call.name, call.arguments));
            }
            Item::CustomToolCall(call) => self.calls.push(ToolCall {
                id: Some(call.call_id),
                kind: Some("custom".to_owned()),
                custom: Some(CustomCall {
                    name: Some(call.name),
                    input: Some(call.input),
                    ..CustomCall::default()
                }),
                ..ToolCall::default()
            }),
            Item::Reasoning(item) => {
                self.details.extend(reasoning::details_of(&item));
                self.reasoning
                    .extend(Some(item.text()).filter(|text| !text.is_empty()));
            }
            _ => {}
        }
    }

    fn part(&mut self, part: ItemPart) {
        match part {
            ItemPart::OutputText(OutputText {
                text,
                annotations,
                logprobs,
                ..
            }) => {
                *self.text.get_or_insert_default() += &text;
                self.annotations
                    .extend(annotations.iter().map(annotation::nested));
                self.logprobs.extend(logprobs.into_iter().flatten());
            }
            ItemPart::Refusal(part) => *self.refusal.get_or_insert_default() += &part.refusal,
            _ => {}
        }
    }

    fn calls_something(&self) -> bool {
        !self.calls.is_empty()
    }

    fn choice(self, finish_reason: FinishReason) -> Choice {
        let some = |list: Vec<Json>| Some(list).filter(|list| !list.is_empty());
        let mut message = Message {
            role: Some(Role::Assistant),
            content: self.text.map(Content::Text),
            refusal: self.refusal,
            reasoning_content: Some(self.reasoning.join(BETWEEN)).filter(|text| !text.is_empty()),
            reasoning_details: some(self.details).and_then(|details| Json::of(&details).ok()),
            tool_calls: self.calls,
            annotations: some(self.annotations),
            ..Message::default()
        };
        message.say_null("content");
        message.say_null("refusal");
        let logprobs = some(self.logprobs).map(|tokens| json!({"content": tokens, "refusal": null}));
        let mut choice = Choice {
            message,
            finish_reason: Some(finish_reason),
            logprobs: logprobs.and_then(|logprobs| Json::of(&logprobs).ok()),
            ..Choice::at(0)
        };
        choice.say_null("logprobs");
        choice
    }
}

pub(super) fn finish_reason(
    status: Option<&Status>,
    details: Option<&IncompleteDetails>,
    calls_something: bool,
) -> FinishReason {
    let why = details.and_then(|details| details.reason.as_deref());
    match (status, why) {
        (Some(Status::Incomplete), Some("content_filter")) => FinishReason::ContentFilter,
        (Some(Status::Incomplete), _) => FinishReason::Length,
        _ if calls_something => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    }
}

pub(super) fn created_of(created_at: Option<&Json>) -> Option<crate::chat::Whole> {
    serde_json::from_str(created_at?.get()).ok()
}
