//! The side view of events of the Responses API.

use std::borrow::Cow;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{EventFlags, StreamView, are_an_error, says_something, unread};
use crate::responses::{Item, Response, ResponseStatus, ResponsesUsage};
use crate::sse::SseEvent;
use crate::translate::usage;

/// What is read of an event.
#[derive(Deserialize)]
struct Light<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    /// Said by some errors that are no events.
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error_code: Option<&'a RawValue>,
}

impl Light<'_> {
    fn is_error(&self, kind: &str) -> bool {
        matches!(kind, "error" | "response.failed")
            || self.error.is_some_and(says_something)
            || (kind.is_empty() && are_an_error(self.object, self.code, self.error_code))
            || are_an_error(self.object, None, None)
    }
}

impl StreamView {
    /// Looks at the next event of a response.
    pub(super) fn see_response(&mut self, event: &SseEvent) -> EventFlags {
        // As with chunks: two are read, to know what is around a piece.
        if self.answer.pieces >= 2 && is_plain_piece(event) {
            self.answer.note_plain_piece(event.data.len());
            return EventFlags {
                content: true,
                ..EventFlags::default()
            };
        }
        let Ok(light) = serde_json::from_slice::<Light<'_>>(&event.data) else {
            return unread(event);
        };
        let kind = light.kind.as_deref().unwrap_or_default();
        let mut flags = EventFlags {
            error: light.is_error(kind),
            // An item that only its maker can read may be all that comes of an answer that breaks off.
            creates_resources: matches!(
                kind,
                "response.created"
                    | "response.completed"
                    | "response.incomplete"
                    | "response.output_item.done"
            ),
            ..EventFlags::default()
        };
        match kind {
            "response.completed" | "response.incomplete" => {
                // Some write the response without anything around it.
                let response = light
                    .response
                    .map_or(&event.data[..], |response| response.get().as_bytes());
                let end = End::of(response);
                flags.error |= end.failed;
                flags.content = true;
                self.over = true;
                self.usage = end.usage.or(self.usage.take());
            }
            "response.output_item.added" => flags.content = light.item.is_some_and(|item| calls(item.get())),
            // Whatever did not come in pieces is told now.
            "response.output_item.done" => flags.content = light.item.is_some(),
            "response.output_text.done"
            | "response.refusal.done"
            | "response.function_call_arguments.done"
            | "response.custom_tool_call_input.done" => flags.content = true,
            _ if kind.ends_with(".delta") => {
                let said = light.delta.filter(|delta| says_something(delta));
                flags.content = said.is_some();
                let said = said.map_or(0, |delta| delta.get().trim_matches('"').len());
                self.answer.note(said, event.data.len());
            }
            _ => {}
        }
        self.content |= flags.content;
        flags
    }
}

/// Whether the event is a piece of text that says something: its name and its first member say so, and inside a JSON string a quote is
/// escaped, so no text looks like an empty piece.
fn is_plain_piece(event: &SseEvent) -> bool {
    static EMPTY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"delta\":\"\""));
    event.name.as_deref() == Some(b"response.output_text.delta")
        && event
            .data
            .starts_with(b"{\"type\":\"response.output_text.delta\",")
        && event.data.ends_with(b"}")
        && EMPTY.find(&event.data).is_none()
}

/// Whether an item is a call, with a name.
fn calls(item: &str) -> bool {
    match serde_json::from_str(item) {
        Ok(Item::FunctionCall(call)) => !call.name.is_empty(),
        Ok(Item::CustomToolCall(call)) => !call.name.is_empty(),
        _ => false,
    }
}

/// What the last response of a stream says of the whole.
struct End {
    failed: bool,
    /// In the words of a chat.
    usage: Option<Bytes>,
}

impl End {
    fn of(response: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        struct Said {
            #[serde(default)]
            status: Option<ResponseStatus>,
            #[serde(default)]
            usage: Option<ResponsesUsage>,
        }
        let said: Said = serde_json::from_slice(response).unwrap_or_default();
        let used = said.usage.map(|used| usage::to_chat(&used));
        let used = used.filter(|used| !used.is_empty());
        Self {
            failed: matches!(
                said.status,
                Some(ResponseStatus::Failed | ResponseStatus::Cancelled)
            ),
            usage: used.and_then(|used| serde_json::to_vec(&used).ok().map(Bytes::from)),
        }
    }
}

/// In bytes, all that a response says.
pub(super) fn said_by(body: &[u8]) -> Option<usize> {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api_format::ApiFormat;
    use crate::chat::Usage;

    fn see(view: &mut StreamView, event: &Value) -> EventFlags {
        view.see(&SseEvent {
            data: Bytes::from(event.to_string()),
            name: None,
        })
    }

    #[test]
    fn what_shows_something_is_content_and_the_rest_is_prefix() {
        for (content, event) in [
            (false, json!({"type": "response.created", "response": {}})),
            (false, json!({"type": "response.in_progress", "response": {}})),
            (
                false,
                json!({"type": "response.output_item.added", "item": {"type": "message", "content": []}}),
            ),
            (
                false,
                json!({"type": "response.content_part.added", "part": {"type": "output_text", "text": ""}}),
            ),
            (false, json!({"type": "response.output_text.delta", "delta": ""})),
            (false, json!({"type": "response.brand_new"})),
            (true, json!({"type": "response.output_text.delta", "delta": "x"})),
            (true, json!({"type": "response.refusal.delta", "delta": "x"})),
            (
                true,
                json!({"type": "response.reasoning_summary_text.delta", "delta": "x"}),
            ),
            (
                true,
                json!({"type": "response.function_call_arguments.delta", "delta": "{"}),
            ),
            (
                true,
                json!({"type": "response.output_item.added", "item": {"type": "function_call", "name": "f", "call_id": "c", "arguments": ""}}),
            ),
            (
                true,
                json!({"type": "response.output_item.done", "item": {"type": "message", "content": []}}),
            ),
        ] {
            let mut view = StreamView::new(ApiFormat::Responses);
            assert_eq!(see(&mut view, &event).content, content, "{event}");
            assert_eq!(view.has_content(), content);
            assert!(!view.is_complete());
        }
    }

    #[test]
    fn a_plain_piece_is_seen_as_when_it_is_read() {
        let piece = |delta: &str| {
            let data =
                json!({"type": "response.output_text.delta", "delta": delta, "logprobs": []}).to_string();
            // Members in the order in which servers send them.
            let rest = data.replace(r#""type":"response.output_text.delta""#, r#""x":0"#);
            SseEvent {
                data: Bytes::from(format!(r#"{{"type":"response.output_text.delta",{}"#, &rest[1..])),
                name: Some(Bytes::from_static(b"response.output_text.delta")),
            }
        };
        let mut view = StreamView::new(ApiFormat::Responses);
        for delta in ["one ", "two ", "\"delta\":\"\"", "", "five"] {
            let event = piece(delta);
            let read = StreamView::new(ApiFormat::Responses).see(&event);
            assert_eq!(view.see(&event), read, "{delta}");
            assert_eq!(read.content, !delta.is_empty());
        }
        assert!(view.has_content() && !view.is_complete());
        assert!(view.estimated_tokens() >= 4);
    }

    // L52
    #[test]
    fn only_a_terminal_event_is_an_end_and_its_usage_is_told() {
        for kind in ["response.completed", "response.incomplete"] {
            let mut view = StreamView::new(ApiFormat::Responses);
            let usage = json!({"input_tokens": 5, "output_tokens": 7, "total_tokens": 12, "output_tokens_details": {"reasoning_tokens": 3}});
            see(&mut view, &json!({"type": kind, "response": {"usage": usage}}));
            assert!(view.is_complete() && !view.is_done());
            let usage: Usage = serde_json::from_slice(view.usage().unwrap()).unwrap();
            assert_eq!(
                (usage.prompt_tokens(), usage.reasoning_tokens()),
                (Some(5), Some(3))
            );
        }
        let mut view = StreamView::new(ApiFormat::Responses);
        see(
            &mut view,
            &json!({"type": "response.completed", "response": {"usage": null}}),
        );
        assert!(view.usage().is_none(), "what was not said is not 0");
    }

    // L75
    #[test]
    fn an_end_without_anything_around_its_response_is_an_end() {
        let mut view = StreamView::new(ApiFormat::Responses);
        let end = json!({"type": "response.completed", "id": "r", "status": "completed", "usage": {"input_tokens": 1, "output_tokens": 2}});
        assert!(!see(&mut view, &end).error);
        assert!(view.is_complete());
        let usage: Usage = serde_json::from_slice(view.usage().unwrap()).unwrap();
        assert_eq!(
            (usage.prompt_tokens(), usage.completion_tokens()),
            (Some(1), Some(2))
        );
        let failed = json!({"type": "response.completed", "response": {"status": "failed", "output": []}});
        assert!(see(&mut view, &failed).error);
        assert!(view.usage().is_some(), "what was said of usage stays said");
    }

    // U15
    #[test]
    fn errors_are_errors() {
        for event in [
            json!({"type": "error", "code": "server_error", "message": "m"}),
            json!({"type": "response.failed", "response": {"error": {"code": "server_error"}}}),
            json!({"error": {"message": "m"}}),
        ] {
            assert!(
                see(&mut StreamView::new(ApiFormat::Responses), &event).error,
                "{event}"
            );
        }
    }
}
