//! A response as a chat completion.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::reasoning;
use crate::chat::{
    ChatCompletion, Choice, CompletionTokensDetails, Content, CustomCall, FinishReason, Json, Message,
    PromptTokensDetails, Role, ToolCall, Usage,
};
use crate::failure::plain_word;
use crate::responses::{IncompleteDetails, Item, ItemPart, OutputText, Response, ResponsesUsage, Status};

/// The response failed: it is no answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Failed {
    /// `server_error`, `rate_limit_exceeded`, `invalid_prompt` and others.
    pub code: Option<String>,
    /// The provider's words.
    pub message: Option<String>,
}

impl fmt::Debug for Failed {
    /// Leaves out the provider's words: they may echo the prompt or a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed")
            .field("code", &self.code.as_deref().map(plain_word))
            .finish_non_exhaustive()
    }
}

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
        usage,
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
        usage: usage.as_ref().map(usage_of),
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
                self.annotations.extend(annotations.iter().map(nested_annotation));
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

/// Between one piece of reasoning and the next.
pub(super) const BETWEEN: &str = "\n\n";

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

/// The usage that a plain answer tells, in whichever format it is.
pub fn usage_in(body: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default)]
        usage: Option<&'a RawValue>,
    }
    let body: Body<'_> = serde_json::from_slice(body).ok()?;
    let usage = body.usage?.get();
    let of_response = serde_json::from_str::<ResponsesUsage>(usage).ok();
    match of_response.filter(|usage| usage.input_tokens.is_some() || usage.output_tokens.is_some()) {
        Some(usage) => Some(usage_of(&usage)),
        None => serde_json::from_str(usage).ok(),
    }
}

/// What is not said stays unsaid.
pub(crate) fn usage_of(usage: &ResponsesUsage) -> Usage {
    let input = usage.input_tokens_details.as_ref();
    let output = usage.output_tokens_details.as_ref();
    Usage {
        prompt_tokens: usage.input_tokens,
        completion_tokens: usage.output_tokens,
        total_tokens: usage.total_tokens,
        prompt_tokens_details: input.map(|details| PromptTokensDetails {
            cached_tokens: details.cached_tokens,
            cache_write_tokens: details.cache_write_tokens,
            ..PromptTokensDetails::default()
        }),
        completion_tokens_details: output.map(|details| CompletionTokensDetails {
            reasoning_tokens: details.reasoning_tokens,
            ..CompletionTokensDetails::default()
        }),
        ..Usage::default()
    }
}

/// `{"type": "url_citation", "url": …}` is nested in a chat.
pub(super) fn nested_annotation(annotation: &Json) -> Json {
    let mut value = annotation.value();
    let Some(Value::String(kind)) = value.as_object_mut().and_then(|members| members.remove("type")) else {
        return annotation.clone();
    };
    let nested = json!({"type": kind, kind: value});
    Json::of(&nested).unwrap_or_else(|_| annotation.clone())
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.as_deref().unwrap_or("without a code");
        write!(f, "the response failed ({code})")
    }
}

impl std::error::Error for Failed {}
