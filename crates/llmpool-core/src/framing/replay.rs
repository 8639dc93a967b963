//! Converts complete answers to the events of a stream.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::DONE;
use super::piece::added;
use crate::api_format::ApiFormat;
use crate::chat::LenientU64;
use crate::chat::repair::{AnswerKind, repaired};
use crate::chat::wire_object::opaque_debug;
use crate::raw_object::RawObject;
use crate::responses::{Response, ResponseEvent, response_to_events};
use crate::sse::SseEvent;

/// Converts a complete answer to the events of a stream, `[DONE]` included.
///
/// Returns `None` if the document is not an answer of this API format. All members of the answer are kept, as
/// they were sent.
pub fn document_to_events(api_format: ApiFormat, document: &[u8]) -> Option<Vec<SseEvent>> {
    let mut events = AnswerReplay::new(api_format).events_of(document)?;
    if api_format == ApiFormat::ChatCompletions {
        events.push(unnamed(Bytes::from_static(DONE)));
    }
    Some(events)
}

/// Converts the complete answers that some servers send in place of the events of a stream.
///
/// The stream view marks such events ([`EventFlags::whole`](crate::stream_view::EventFlags::whole)). If several
/// of them follow each other, each contains the whole text so far, and only what is new becomes an event.
#[derive(Clone, Default)]
pub struct AnswerReplay {
    api_format: ApiFormat,
    /// The choices of the last answer, as JSON text, by their index.
    choices: HashMap<u64, String>,
    /// Whether a response has been converted.
    has_response: bool,
}

impl AnswerReplay {
    /// Creates a converter for one stream.
    pub fn new(api_format: ApiFormat) -> Self {
        Self {
            api_format,
            ..Self::default()
        }
    }

    /// Returns the events in place of an answer. `answer` is the data of an event, or a whole document.
    ///
    /// Returns `None` if `answer` is not an answer of the API format.
    pub fn events_of(&mut self, answer: &[u8]) -> Option<Vec<SseEvent>> {
        match self.api_format {
            ApiFormat::ChatCompletions => Some(vec![self.chunk_of(answer)?]),
            ApiFormat::Responses => self.response_events_of(answer),
        }
    }

    fn chunk_of(&mut self, answer: &[u8]) -> Option<SseEvent> {
        let answer = repaired(answer, AnswerKind::Completion)?;
        let mut chunk = RawObject::parse(&answer)?;
        let choices: Vec<&RawValue> = serde_json::from_str(chunk.get("choices")?).ok()?;
        if choices.is_empty() {
            return None;
        }
        let mut pieces = Vec::new();
        for (place, choice) in choices.into_iter().enumerate() {
            pieces.extend(self.piece_of(choice.get(), place as u64)?);
        }
        let choices = format!("[{}]", pieces.join(","));
        chunk.set("choices", choices);
        chunk.set("object", r#""chat.completion.chunk""#.to_owned());
        Some(unnamed(chunk.to_json().into()))
    }

    /// Returns what a choice adds to the same choice of the last answer. The inner `None` means that it adds
    /// nothing, the outer `None` that the choice is not an object. `place` is its position among the choices.
    fn piece_of(&mut self, choice: &str, place: u64) -> Option<Option<String>> {
        let mut choice = RawObject::parse(choice)?;
        if choice.is_missing("index") {
            choice.set("index", place.to_string());
        }
        let index: LenientU64 = serde_json::from_str(choice.get("index")?).ok()?;
        let message = choice.remove("message");
        choice.set("delta", delta_of(message.as_deref().unwrap_or_default()));
        let choice = choice.to_json();
        let sent = self.choices.insert(index.get().unwrap_or(0), choice.clone());
        Some(match sent {
            Some(sent) => added(&sent, &choice).map(with_delta),
            None => Some(choice),
        })
    }

    fn response_events_of(&mut self, answer: &[u8]) -> Option<Vec<SseEvent>> {
        let response = Response::decode(answer).ok()?;
        if !response.has("output") {
            return None;
        }
        if std::mem::replace(&mut self.has_response, true) {
            return Some(Vec::new());
        }
        let events = response_to_events(response).into_iter();
        events.map(|event| encode(&event)).collect()
    }
}

opaque_debug!(AnswerReplay);

/// Returns the delta with the content of a message. Clients expect an index in each of its tool calls.
fn delta_of(message: &str) -> String {
    let Some(mut delta) = RawObject::parse(message) else {
        return "{}".to_owned();
    };
    delta.edit("tool_calls", |calls| {
        let calls: Vec<&RawValue> = serde_json::from_str(calls).ok()?;
        let calls = calls.into_iter().enumerate().map(|(place, call)| {
            let Some(mut call) = RawObject::parse(call.get()) else {
                return call.get().to_owned();
            };
            if call.is_missing("index") {
                call.set("index", place.to_string());
            }
            call.to_json()
        });
        Some(format!("[{}]", calls.collect::<Vec<_>>().join(",")))
    });
    delta.to_json()
}

/// Returns a choice to which an empty delta is added if it has none.
fn with_delta(choice: String) -> String {
    match RawObject::parse(&choice) {
        Some(mut object) if object.is_missing("delta") => {
            object.set("delta", "{}".to_owned());
            object.to_json()
        }
        _ => choice,
    }
}

fn encode(event: &ResponseEvent) -> Option<SseEvent> {
    Some(SseEvent {
        data: serde_json::to_vec(event).ok()?.into(),
        name: Some(Bytes::copy_from_slice(event.kind.as_str().as_bytes())),
    })
}

fn unnamed(data: Bytes) -> SseEvent {
    SseEvent { data, name: None }
}
