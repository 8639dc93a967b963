//! A chat completion as a response.

use super::envelope::ResponseEnvelope;
use crate::chat::{
    ChatCompletion, Content, FinishClass, FinishReason, Json, Message, Part, Thought, ToolCall,
};
use crate::responses::{
    CustomToolCallItem, FunctionCallItem, Item, ItemPart, ItemText, MessageItem, OutputText, ReasoningItem,
    Response,
};
use crate::translate::{Failed, annotation, images, reasoning};

/// How an answer ended, where it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    Cut,
    Filtered,
}

impl End {
    /// `None` where the provider broke. Some say nothing of an answer that is whole.
    pub(super) fn of(reason: Option<&FinishReason>) -> Option<Self> {
        match reason.map_or(FinishClass::Missing, FinishReason::class) {
            FinishClass::Complete | FinishClass::Missing => Some(Self::Whole),
            FinishClass::Truncated => Some(Self::Cut),
            FinishClass::Filtered => Some(Self::Filtered),
            FinishClass::Failed => None,
        }
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
pub fn response_of(completion: ChatCompletion, frame: &ResponseEnvelope) -> Result<Response, Failed> {
    let usage = completion.usage;
    let choices = completion.choices.into_iter();
    let Some(choice) = choices.min_by_key(crate::chat::Choice::index) else {
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

fn items_of(message: Message, logprobs: Option<&Json>, frame: &ResponseEnvelope) -> Vec<Item> {
    let mut items = reasoning_of(&message, frame);
    let said = message_of(&message, logprobs, frame, items.len());
    items.extend(said);
    for mut item in message
        .extra
        .get("images")
        .map(images::calls_of)
        .unwrap_or_default()
    {
        item.id = Some(frame.id("ig", items.len()));
        items.push(Item::ImageGenerationCall(item));
    }
    let old = message.function_call.map(|function| ToolCall {
        function: Some(function),
        ..ToolCall::default()
    });
    for call in old.into_iter().chain(message.tool_calls) {
        let number = items.len();
        items.extend(call_of(call, frame, number));
    }
    items
}

/// Reasoning items as they were, else one of whatever the provider shows.
fn reasoning_of(message: &Message, frame: &ResponseEnvelope) -> Vec<Item> {
    if let Some(items) = message.reasoning_details.as_ref().and_then(reasoning::items_of) {
        return items;
    }
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let text = said(&message.reasoning_content)
        .or_else(|| said(&message.reasoning))
        .or_else(|| thinking_of(message.content.as_ref()))
        .or_else(|| reasoning::text_in(message.reasoning_details.as_ref()?));
    let item = text.map(|text| {
        Item::Reasoning(ReasoningItem {
            id: Some(frame.id("rs", 0)),
            content: Some(vec![ItemPart::ReasoningText(ItemText::new(text))]),
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
    let text: String = thinking.flatten().filter_map(Thought::as_text).collect();
    Some(text).filter(|text| !text.is_empty())
}

fn message_of(
    message: &Message,
    logprobs: Option<&Json>,
    frame: &ResponseEnvelope,
    number: usize,
) -> Option<Item> {
    let mut parts = Vec::new();
    let text = message
        .content
        .iter()
        .flat_map(Content::texts)
        .collect::<String>();
    let text = Some(text).filter(|text| !text.is_empty());
    parts.extend(text.map(|text| {
        ItemPart::OutputText(OutputText {
            text,
            annotations: message
                .annotations
                .iter()
                .flatten()
                .map(annotation::flat)
                .collect(),
            logprobs: Some(tokens_of(logprobs)),
            ..OutputText::default()
        })
    }));
    let refusal = refusal_of(message);
    parts.extend(
        Some(refusal)
            .filter(|text| !text.is_empty())
            .map(ItemPart::refusal),
    );
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

/// In its own member, or in parts of the content.
fn refusal_of(message: &Message) -> String {
    let parts = match &message.content {
        Some(Content::Parts(parts)) => &parts[..],
        _ => &[],
    };
    let in_parts = parts.iter().filter_map(|part| match part {
        Part::Refusal(part) => Some(part.refusal.as_str()),
        _ => None,
    });
    in_parts.chain(message.refusal.as_deref()).collect()
}

fn call_of(call: ToolCall, frame: &ResponseEnvelope, number: usize) -> Option<Item> {
    let id = call.id.filter(|id| !id.is_empty());
    let call_id = id.unwrap_or_else(|| frame.id("call", number));
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
        (None, Some(custom)) => Some(Item::CustomToolCall(CustomToolCallItem {
            id: Some(frame.id("ctc", number)),
            call_id,
            name: custom.name.unwrap_or_default(),
            input: custom.input.unwrap_or_default(),
            status,
            ..CustomToolCallItem::default()
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
