//! A chat completion as a response.

use serde_json::json;

use super::answer::Failed;
use super::reasoning;
use crate::chat::{
    ChatCompletion, Content, FinishReason, Json, Message, Part, Plain, Thought, ToolCall, Usage, Whole,
};
use crate::responses::{
    CustomCallItem, FunctionCallItem, IncompleteDetails, InputTokensDetails, Item, ItemPart, MessageItem,
    OutputText, OutputTokensDetails, PartText, Reasoning, ReasoningItem, Response, ResponsesRequest,
    ResponsesUsage, Status, TextFormat, TextOptions,
};

/// What a response says of itself and its request, whatever the answer.
#[derive(Clone, Debug)]
pub struct Frame {
    blank: Response,
    seed: String,
}

impl Frame {
    /// For the answer to this request. `seed` makes its ids and must be unique; `created_at` is in seconds since 1970.
    pub fn new(request: &ResponsesRequest, seed: impl Into<String>, created_at: u64) -> Self {
        let seed = seed.into();
        let mut blank = Response {
            id: Some(format!("resp_{seed}")),
            object: Some("response".to_owned()),
            created_at: Json::of(&created_at).ok(),
            status: Some(Status::InProgress),
            instructions: request.instructions.as_ref().and_then(|text| Json::of(text).ok()),
            model: request.model.clone(),
            max_output_tokens: request.max_output_tokens,
            max_tool_calls: request.max_tool_calls,
            parallel_tool_calls: Some(request.parallel_tool_calls.unwrap_or(true)),
            previous_response_id: request.previous_response_id.clone(),
            reasoning: Some(request.reasoning.clone().unwrap_or_else(no_reasoning)),
            temperature: Some(request.temperature.unwrap_or(1.0)),
            top_p: Some(request.top_p.unwrap_or(1.0)),
            text: Some(text_of(request)),
            tool_choice: request.tool_choice.clone().or_else(|| Json::of("auto").ok()),
            tools: request.tools.clone(),
            truncation: Some(
                request
                    .truncation
                    .clone()
                    .unwrap_or_else(|| "disabled".to_owned()),
            ),
            metadata: request.metadata.clone().or_else(|| Json::of(&json!({})).ok()),
            service_tier: request.service_tier.clone(),
            ..Response::default()
        };
        const MAY_BE_NULL: [&str; 9] = [
            "completed_at",
            "error",
            "incomplete_details",
            "instructions",
            "usage",
            "max_output_tokens",
            "max_tool_calls",
            "previous_response_id",
            "model",
        ];
        MAY_BE_NULL.iter().for_each(|name| blank.say_null(name));
        Self { blank, seed }
    }

    /// The response that has but begun.
    pub fn begun(&self) -> Response {
        self.blank.clone()
    }

    /// An id of an item.
    pub(super) fn id(&self, prefix: &str, number: usize) -> String {
        format!("{prefix}_{}_{number}", self.seed)
    }

    /// The response that failed.
    pub fn failed(&self, failed: &Failed) -> Response {
        let mut response = self.begun();
        response.status = Some(Status::Failed);
        response.error = Some(crate::responses::ResponseError {
            code: Some(failed.code.clone().unwrap_or_else(|| "server_error".to_owned())),
            message: failed.message.clone(),
            ..Default::default()
        });
        response
    }

    /// The response that is over.
    pub(super) fn over(&self, output: Vec<Item>, end: End, usage: Option<&Usage>) -> Response {
        let mut response = self.begun();
        response.output = output;
        response.usage = usage.map(usage_of);
        let (status, reason) = match end {
            End::Whole => (Status::Completed, None),
            End::Cut => (Status::Incomplete, Some("max_output_tokens")),
            End::Filtered => (Status::Incomplete, Some("content_filter")),
        };
        response.status = Some(status);
        response.incomplete_details = reason.map(|reason| IncompleteDetails {
            reason: Some(reason.to_owned()),
            ..IncompleteDetails::default()
        });
        response
    }
}

fn no_reasoning() -> Reasoning {
    let mut reasoning = Reasoning::default();
    reasoning.say_null("effort");
    reasoning.say_null("summary");
    reasoning
}

fn text_of(request: &ResponsesRequest) -> TextOptions {
    let said = request.text.clone().unwrap_or_default();
    TextOptions {
        format: said.format.or_else(|| Some(TextFormat::Text(Plain::default()))),
        ..said
    }
}

/// How an answer ended, where it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    Cut,
    Filtered,
}

impl End {
    /// `None` where the provider broke.
    pub(super) fn of(reason: Option<&FinishReason>) -> Option<Self> {
        Some(match reason {
            Some(FinishReason::Length) => Self::Cut,
            Some(FinishReason::ContentFilter) => Self::Filtered,
            Some(FinishReason::Other(other)) => match &**other {
                "model_length" | "max_tokens" | "model_context_window_exceeded" => Self::Cut,
                "sensitive" => Self::Filtered,
                "error" | "insufficient_system_resource" | "network_error" => return None,
                _ => Self::Whole,
            },
            _ => Self::Whole,
        })
    }

    /// Of the item that was being written when it ended.
    pub(super) fn status(self) -> String {
        let status = if self == Self::Whole {
            "completed"
        } else {
            "incomplete"
        };
        status.to_owned()
    }
}

/// The answer in the other format: the first choice, since a response has but one.
pub fn response_of(completion: ChatCompletion, frame: &Frame) -> Result<Response, Failed> {
    let usage = completion.usage;
    let Some(choice) = completion.choices.into_iter().next() else {
        return Err(Failed {
            code: None,
            message: Some("the answer has no choice".to_owned()),
        });
    };
    let Some(end) = End::of(choice.finish_reason.as_ref()) else {
        return Err(Failed {
            code: None,
            message: choice.finish_reason.map(|reason| reason.as_str().to_owned()),
        });
    };
    let logprobs = choice.logprobs.as_ref();
    let mut output = items_of(choice.message, logprobs, frame);
    if let Some(last) = output.last_mut() {
        last.set_status(end.status());
    }
    let mut response = frame.over(output, end, usage.as_ref());
    response.model = completion.model.or(response.model);
    response.service_tier = completion.service_tier.or(response.service_tier);
    Ok(response)
}

fn items_of(message: Message, logprobs: Option<&Json>, frame: &Frame) -> Vec<Item> {
    let mut items = reasoning_of(&message, frame);
    let said = message_of(&message, logprobs, frame, items.len());
    items.extend(said);
    for call in message.tool_calls {
        let number = items.len();
        items.extend(call_of(call, frame, number));
    }
    items
}

/// Reasoning items as they were, else one of whatever the provider shows.
fn reasoning_of(message: &Message, frame: &Frame) -> Vec<Item> {
    if let Some(items) = message.reasoning_details.as_ref().and_then(reasoning::items_of) {
        return items;
    }
    let thinking = thinking_of(message.content.as_ref());
    let text = message
        .reasoning_content
        .clone()
        .or_else(|| message.reasoning.clone());
    let text = text.or(thinking).filter(|text| !text.is_empty());
    let item = text.map(|text| {
        Item::Reasoning(ReasoningItem {
            id: Some(frame.id("rs", 0)),
            content: Some(vec![ItemPart::ReasoningText(PartText::new(text))]),
            ..ReasoningItem::default()
        })
    });
    item.into_iter().collect()
}

fn thinking_of(content: Option<&Content>) -> Option<String> {
    let Some(Content::Parts(parts)) = content else {
        return None;
    };
    let thinking = parts.iter().filter_map(|part| match part {
        Part::Thinking(part) => Some(&part.thinking),
        _ => None,
    });
    Some(thinking.flatten().filter_map(Thought::as_text).collect())
}

fn message_of(message: &Message, logprobs: Option<&Json>, frame: &Frame, number: usize) -> Option<Item> {
    let mut parts = Vec::new();
    let text = match &message.content {
        Some(Content::Text(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
        Some(Content::Parts(parts)) => {
            let texts: String = parts.iter().filter_map(Part::as_text).collect();
            Some(texts).filter(|text| !text.is_empty())
        }
        None => None,
    };
    parts.extend(text.map(|text| {
        ItemPart::OutputText(OutputText {
            text,
            annotations: message
                .annotations
                .iter()
                .flatten()
                .map(flat_annotation)
                .collect(),
            logprobs: Some(tokens_of(logprobs)),
            ..OutputText::default()
        })
    }));
    let refusal = message.refusal.as_ref().filter(|refusal| !refusal.is_empty());
    parts.extend(refusal.map(ItemPart::refusal));
    (!parts.is_empty()).then(|| {
        Item::Message(MessageItem {
            id: Some(frame.id("msg", number)),
            role: Some(crate::chat::Role::Assistant),
            status: Some("completed".to_owned()),
            content: Some(Content::Parts(parts)),
            ..MessageItem::default()
        })
    })
}

fn call_of(call: ToolCall, frame: &Frame, number: usize) -> Option<Item> {
    let call_id = call.id.unwrap_or_else(|| frame.id("call", number));
    let status = Some("completed".to_owned());
    match (call.function, call.custom) {
        (Some(function), _) => Some(Item::FunctionCall(FunctionCallItem {
            id: Some(frame.id("fc", number)),
            call_id,
            name: function.name.unwrap_or_default(),
            arguments: function.arguments.unwrap_or_default(),
            status,
            ..FunctionCallItem::default()
        })),
        (None, Some(custom)) => Some(Item::CustomToolCall(CustomCallItem {
            id: Some(frame.id("ctc", number)),
            call_id,
            name: custom.name.unwrap_or_default(),
            input: custom.input.unwrap_or_default(),
            status,
            ..CustomCallItem::default()
        })),
        (None, None) => None,
    }
}

/// `{"content": [tokens], …}` without what is around them.
pub(super) fn tokens_of(logprobs: Option<&Json>) -> Vec<Json> {
    #[derive(serde::Deserialize)]
    struct Tokens {
        content: Option<Vec<Json>>,
    }
    let tokens = logprobs.and_then(|logprobs| serde_json::from_str::<Tokens>(logprobs.get()).ok());
    tokens.and_then(|tokens| tokens.content).unwrap_or_default()
}

/// `{"type": "url_citation", "url_citation": {…}}` is flat in a response.
pub(super) fn flat_annotation(annotation: &Json) -> Json {
    let value = annotation.value();
    let flat = value.get("type").and_then(|kind| {
        let mut flat = value.get(kind.as_str()?)?.as_object()?.clone();
        flat.insert("type".to_owned(), kind.clone());
        Json::of(&flat).ok()
    });
    flat.unwrap_or_else(|| annotation.clone())
}

/// Members that the schema wants are 0 where the provider did not say them; the totals are made where they can be.
fn usage_of(usage: &Usage) -> ResponsesUsage {
    let cached = usage.cached_tokens().or_else(|| elsewhere(usage));
    let details = usage.prompt_tokens_details.as_ref();
    let written = details.and_then(crate::chat::PromptTokensDetails::cache_write_tokens);
    let (input, output) = (usage.prompt_tokens(), usage.completion_tokens());
    let total = usage
        .total_tokens()
        .or_else(|| Some(input?.saturating_add(output?)));
    let whole = |tokens: Option<u64>| Some(Whole(tokens.unwrap_or(0)));
    ResponsesUsage {
        input_tokens: whole(input),
        input_tokens_details: Some(InputTokensDetails {
            cached_tokens: whole(cached),
            cache_write_tokens: whole(written),
            ..InputTokensDetails::default()
        }),
        output_tokens: whole(output),
        output_tokens_details: Some(OutputTokensDetails {
            reasoning_tokens: whole(usage.reasoning_tokens()),
            ..OutputTokensDetails::default()
        }),
        total_tokens: whole(total),
        ..ResponsesUsage::default()
    }
}

/// Cached tokens as DeepSeek and Moonshot tell them.
fn elsewhere(usage: &Usage) -> Option<u64> {
    let names = ["prompt_cache_hit_tokens", "cached_tokens"];
    let said = names.iter().find_map(|name| usage.extra.get(name))?;
    serde_json::from_str::<Whole>(said.get())
        .ok()
        .map(|tokens| tokens.0)
}
