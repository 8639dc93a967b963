//! Classification of events of a Responses API stream.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::event_flags::EventFacts;
use super::json_fields::{is_failure, is_non_empty, output_length};
use super::reported_usage::ReportedUsage;
use crate::chat::repair::decode_usage;
use crate::lenient_json;
use crate::provider_error::{find_error_in_event, is_error_object};
use crate::raw_object::RawObject;
use crate::responses::{Item, Response, ResponseStatus, ResponsesUsage};
use crate::sse::SseEvent;
use crate::translate::usage;

pub(super) fn classify(event: &SseEvent) -> EventFacts {
    if let Ok(fields) = serde_json::from_slice(&event.data) {
        return facts_of(&fields, &event.data);
    }
    let data = rebuilt(&event.data).unwrap_or_default();
    match serde_json::from_str(&data) {
        Ok(fields) => facts_of(&fields, data.as_bytes()),
        Err(_) => EventFacts::unreadable(event.name.as_deref()),
    }
}

/// Returns an object with its text cleaned, and without all but the last of repeated members. `None` if
/// `json` is not an object.
fn rebuilt(json: &[u8]) -> Option<String> {
    let text = lenient_json::cleaned_text(json);
    RawObject::parse(&text).map(|object| object.to_json())
}

/// Returns the facts about an event with these fields. `data` is its JSON text.
fn facts_of(fields: &ResponseEventFields<'_>, data: &[u8]) -> EventFacts {
    let kind = fields.kind.as_deref().unwrap_or_default();
    let mut facts = EventFacts::default();
    facts.flags.error = fields.is_error(kind);
    // Every finished item counts, because a stream that breaks off may contain no later event that names the
    // item.
    facts.flags.creates_resources = matches!(
        kind,
        "response.created" | "response.completed" | "response.incomplete" | "response.output_item.done"
    );
    match kind {
        "response.completed" | "response.incomplete" => {
            // Some servers send the response object itself as the event.
            let response = fields.response.map_or(data, |response| response.get().as_bytes());
            let summary = ResponseSummary::parse(response);
            facts.flags.error |= summary.failed;
            // A complete response without output is no answer.
            facts.flags.content = summary.has_output || kind == "response.incomplete";
            facts.terminal = true;
            facts.usage = summary.usage;
        }
        "response.output_item.added" => {
            facts.flags.content = fields.item.is_some_and(|item| is_named_call(item.get()));
        }
        // This event is the first to carry output that was not streamed as deltas.
        "response.output_item.done" => facts.flags.content = fields.item.is_some(),
        "response.output_text.done"
        | "response.refusal.done"
        | "response.function_call_arguments.done"
        | "response.custom_tool_call_input.done" => facts.flags.content = true,
        "" if !facts.flags.error && find_error_in_event(data).is_some() => facts.flags.error = true,
        "" => facts.flags.whole = !facts.flags.error && is_whole_response(data),
        _ if kind.ends_with(".delta") => {
            let delta = fields.delta.filter(|delta| is_non_empty(delta));
            facts.flags.content = delta.is_some();
            facts.output_bytes = delta.map_or(0, output_length);
        }
        _ if kind.starts_with("response.") => {}
        // An event of an unknown type may have any members, and some servers send an error object in place of an event.
        _ => facts.flags.error |= is_error_object(data),
    }
    facts
}

#[derive(Deserialize)]
struct ResponseEventFields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl ResponseEventFields<'_> {
    fn is_error(&self, kind: &str) -> bool {
        matches!(kind, "error" | "response.failed") || self.error.is_some_and(is_failure)
    }
}

/// Returns whether an object without a type is a response that has ended.
fn is_whole_response(json: &[u8]) -> bool {
    let response = Response::decode(json).ok();
    response.is_some_and(|response| {
        let is_response = response.has("output")
            && response
                .object
                .as_deref()
                .is_none_or(|object| object == "response");
        let has_ended = !matches!(
            response.status,
            Some(ResponseStatus::Queued | ResponseStatus::InProgress)
        );
        is_response && has_ended
    })
}

/// Returns whether `item`, the JSON text of an output item, is a tool call with a name.
fn is_named_call(item: &str) -> bool {
    match serde_json::from_str(item) {
        Ok(Item::FunctionCall(call)) => !call.name.is_empty(),
        Ok(Item::CustomToolCall(call)) => !call.name.is_empty(),
        _ => false,
    }
}

/// Status and usage of a response, taken from the event that ends its stream.
#[derive(Default)]
struct ResponseSummary {
    failed: bool,
    has_output: bool,
    /// The token usage, with the field names of Chat Completions. `None` if the response reports no token count.
    usage: Option<Box<ReportedUsage>>,
}

impl ResponseSummary {
    fn parse(response: &[u8]) -> Self {
        let summary = Self::of(response);
        let rebuilt = || Self::of(rebuilt(response)?.as_bytes());
        summary.or_else(rebuilt).unwrap_or_default()
    }

    /// Returns `None` if `response` cannot be parsed.
    fn of(response: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            status: Option<&'a RawValue>,
            #[serde(borrow)]
            usage: Option<&'a RawValue>,
            #[serde(borrow)]
            output: Option<&'a RawValue>,
        }
        let fields: Fields<'_> = serde_json::from_slice(response).ok()?;
        let status = fields
            .status
            .and_then(|status| serde_json::from_str(status.get()).ok());
        let usage: Option<ResponsesUsage> = fields.usage.and_then(|usage| decode_usage(usage.get()));
        let usage = usage.map(|usage| usage::to_chat(&usage));
        let usage = usage.filter(|usage| !usage.is_empty());
        Some(Self {
            has_output: fields.output.is_some_and(is_non_empty),
            failed: matches!(status, Some(ResponseStatus::Failed | ResponseStatus::Cancelled)),
            usage: usage.and_then(|usage| {
                let json = serde_json::to_vec(&usage).ok()?.into();
                Some(Box::new(ReportedUsage { usage, json }))
            }),
        })
    }
}

/// Returns the length in bytes of the output (text, reasoning and tool calls) in the body of a response.
/// `None` if the body is not a response of the Responses API.
pub(super) fn output_bytes_of(body: &[u8]) -> Option<usize> {
    let response = Response::decode(body)
        .ok()
        .filter(|response| response.has("output"))?;
    let calls = response.output.iter().map(|item| match item {
        Item::FunctionCall(call) => call.name.len() + call.arguments.len(),
        Item::CustomToolCall(call) => call.name.len() + call.input.len(),
        Item::Reasoning(item) => item.text().len(),
        _ => 0,
    });
    Some(response.text().len() + calls.sum::<usize>())
}
