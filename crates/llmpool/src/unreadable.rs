//! Complete answers in which nothing can be read, and why.
//!
//! The provider was paid for such an answer, so the call fails without another attempt.

use std::collections::HashMap;

use bytes::Bytes;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{ChatCompletion, Choice, FinishReason, Message};
use llmpool_core::failure::{Failure, FailureKind};
use llmpool_core::framing::EventCollector;
use llmpool_core::provider_error::ProviderError;
use llmpool_core::responses::Response;
use llmpool_core::translate;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::stream::{RawEvent, RawEventStream};
use crate::target::Target;

/// Returns the failure of the answer `body`, which has no output that a caller could read. A message that stands in
/// place of the output is that of the provider.
#[cold]
pub(crate) fn failure(target: &Target, body: &[u8]) -> Failure {
    if is_blocked(body) {
        return Failure::new(FailureKind::ContentFilter);
    }
    let detail = match target.format {
        ApiFormat::ChatCompletions => why_no_completion(body),
        ApiFormat::Responses => why_no_response(body),
    };
    let is_object = body.trim_ascii_start().starts_with(b"{");
    let said = ProviderError::parse(body).filter(|_| is_object);
    target.provider.masked(Failure {
        message: said.and_then(|said| said.message),
        ..Failure::new(FailureKind::InvalidResponse).with_detail(detail)
    })
}

/// Returns a complete answer without content as a document: the document that came in place of a stream, or one made of
/// the events in `prefix` if a token count shows that they were paid for. `None` for other events, which may be requested
/// again.
#[cold]
pub(crate) fn billed_document(events: &RawEventStream, prefix: &[RawEvent]) -> Option<Bytes> {
    if let Some(document) = events.document() {
        return Some(document.clone());
    }
    if !events.view().is_billed() {
        return None;
    }
    let mut collector = EventCollector::new(events.view().api_format());
    for event in prefix {
        // An unreadable event takes nothing away from an answer without content.
        let _ = collector.push(&event.event.data);
    }
    collector.finish().map(Bytes::from)
}

fn why_no_completion(body: &[u8]) -> &'static str {
    match ChatCompletion::decode(body) {
        Ok(completion) => why_unreadable(&completion).unwrap_or("an answer without output"),
        Err(_) if is_broken(body) => "broken JSON",
        Err(_) => "the completion cannot be read",
    }
}

fn why_no_response(body: &[u8]) -> &'static str {
    let response = match Response::decode(body) {
        Ok(response) => response,
        Err(_) if is_broken(body) => return "broken JSON",
        Err(_) => return "the response cannot be read",
    };
    let is_readable = response.has_readable_output();
    match translate::response_to_completion(response) {
        Err(failed) if is_readable => failed.detail(),
        _ => "a response without output",
    }
}

fn is_broken(json: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(json).is_err()
}

/// Returns why a completion has no output that a caller could read. `None` if it has some.
pub(crate) fn why_unreadable(completion: &ChatCompletion) -> Option<&'static str> {
    if completion.choices.is_empty() {
        return Some("a completion without choices");
    }
    completion
        .choices
        .iter()
        .all(is_empty)
        .then_some("a completion without a message")
}

/// Returns whether a choice has neither output nor a reason why it has none.
fn is_empty(choice: &Choice) -> bool {
    let is_finished = choice.finish_reason.as_ref().is_some_and(FinishReason::is_stated);
    !is_finished && !has_output(&choice.message)
}

/// Returns whether a member other than the role contains anything.
fn has_output(message: &Message) -> bool {
    let Ok(Value::Object(members)) = serde_json::to_value(message) else {
        return true;
    };
    members.iter().any(|(name, value)| {
        let is_empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        name != "role" && !is_empty
    })
}

/// Returns whether a filter of the provider has blocked the prompt.
fn is_blocked(body: &[u8]) -> bool {
    let members: HashMap<String, &RawValue> = serde_json::from_slice(body).unwrap_or_default();
    // Azure lists here what its filters found in the prompt.
    let results = members.get("prompt_filter_results");
    let results = results.and_then(|results| serde_json::from_str(results.get()).ok());
    results.is_some_and(|results: Value| has_filtered(&results))
}

/// Returns whether any object in `results` says that something was filtered.
fn has_filtered(results: &Value) -> bool {
    match results {
        Value::Object(members) => {
            members.get("filtered") == Some(&Value::Bool(true)) || members.values().any(has_filtered)
        }
        Value::Array(items) => items.iter().any(has_filtered),
        _ => false,
    }
}
