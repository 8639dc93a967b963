//! A response as a chat completion.

use super::lenient_items::{salvaged, salvaged_part};
use crate::chat::{ChatCompletion, Choice, Content, CustomCall, FinishReason, Json, Message, Role, ToolCall};
use crate::responses::{Item, ItemPart, OutputText, Response, ResponseStatus};
use crate::translate::{BETWEEN, Failed, annotation, images, reasoning, usage};

/// The answer in the other format. Items that a chat has no place for (searches and other tools that the provider ran) are left out.
pub fn completion_of(response: Response) -> Result<ChatCompletion, Failed> {
    let mut said = Said::default();
    let end = End::of(&response)?;
    let Response {
        output, usage: used, ..
    } = response;
    output.into_iter().for_each(|item| said.item(item));
    let finish_reason = end.reason(!said.calls.is_empty());
    let mut completion = ChatCompletion {
        id: response.id,
        object: Some("chat.completion".to_owned()),
        created: created_of(response.created_at.as_ref()),
        model: response.model,
        usage: used.as_ref().map(usage::as_chat).filter(|used| !used.is_empty()),
        service_tier: response.service_tier,
        choices: vec![said.choice(finish_reason)],
        ..ChatCompletion::default()
    };
    if let Some(metadata) = metadata_of(response.metadata) {
        completion.extra.insert("metadata", metadata);
    }
    Ok(completion)
}

/// What somebody said of the request, where it was anything.
pub(super) fn metadata_of(said: Option<Json>) -> Option<Json> {
    said.filter(|metadata| metadata.get() != "{}")
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
    images: Vec<Json>,
}

impl Said {
    fn item(&mut self, item: Item) {
        match salvaged(item) {
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
            Item::ImageGenerationCall(item) => self.images.extend(images::image_of(&item)),
            _ => {}
        }
    }

    fn part(&mut self, part: ItemPart) {
        match salvaged_part(part) {
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
        message.set_null("content");
        message.set_null("refusal");
        if let Some(images) = some(self.images).and_then(|images| Json::of(&images).ok()) {
            message.extra.insert(IMAGES, images);
        }
        let mut choice = Choice {
            message,
            finish_reason: Some(finish_reason),
            logprobs: logprobs_of(&self.logprobs),
            ..Choice::at(0)
        };
        choice.set_null("logprobs");
        choice
    }
}

/// How a response ended, where it is an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    Cut,
    Filtered,
}

impl End {
    /// One that failed is no answer, and neither is one that is not there yet.
    pub(super) fn of(response: &Response) -> Result<Self, Failed> {
        let why = response.incomplete_details.as_ref();
        match &response.status {
            Some(ResponseStatus::Failed | ResponseStatus::Cancelled) => {
                let error = response.error.clone().unwrap_or_default();
                Err(Failed {
                    code: error.code,
                    message: error.message,
                })
            }
            Some(status @ (ResponseStatus::Queued | ResponseStatus::InProgress)) => Err(Failed {
                code: Some("response_not_ready".to_owned()),
                message: Some(format!("the response is {}", status.as_str())),
            }),
            Some(ResponseStatus::Incomplete)
                if why.and_then(|why| why.reason.as_deref()) == Some("content_filter") =>
            {
                Ok(Self::Filtered)
            }
            Some(ResponseStatus::Incomplete) => Ok(Self::Cut),
            _ => Ok(Self::Whole),
        }
    }

    pub(super) fn reason(self, calls_something: bool) -> FinishReason {
        match self {
            Self::Cut => FinishReason::Length,
            Self::Filtered => FinishReason::ContentFilter,
            Self::Whole if calls_something => FinishReason::ToolCalls,
            Self::Whole => FinishReason::Stop,
        }
    }
}

/// Where a message has the images that were made for it.
pub(super) const IMAGES: &str = "images";

/// How likely tokens were, as a chat says it; numbers as they were written.
pub(super) fn logprobs_of(tokens: &[Json]) -> Option<Json> {
    #[derive(serde::Serialize)]
    struct Tokens<'a> {
        content: &'a [Json],
        refusal: (),
    }
    let tokens = (!tokens.is_empty()).then_some(Tokens {
        content: tokens,
        refusal: (),
    })?;
    Json::of(&tokens).ok()
}

pub(super) fn created_of(created_at: Option<&Json>) -> Option<crate::chat::LenientU64> {
    serde_json::from_str(created_at?.get()).ok()
}
