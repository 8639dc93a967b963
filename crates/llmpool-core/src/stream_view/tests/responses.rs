use bytes::Bytes;
use serde_json::{Value, json};

use crate::api_format::ApiFormat;
use crate::chat::Usage;
use crate::sse::SseEvent;
use crate::stream_view::{EventFlags, StreamView};

fn observe(view: &mut StreamView, event: &Value) -> EventFlags {
    view.observe(&SseEvent {
        data: Bytes::from(event.to_string()),
        name: None,
    })
    .flags
}

#[test]
fn only_events_with_output_are_content() {
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
        assert_eq!(observe(&mut view, &event).content, content, "{event}");
        assert_eq!(view.has_content(), content);
        assert!(!view.is_complete());
    }
}

#[test]
fn repeated_text_delta_is_classified_like_a_first_one() {
    let piece = |delta: &str| {
        let data = json!({"type": "response.output_text.delta", "delta": delta, "logprobs": []}).to_string();
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
        let full = StreamView::new(ApiFormat::Responses).observe(&event).flags;
        assert_eq!(view.observe(&event).flags, full, "{delta}");
        assert_eq!(full.content, !delta.is_empty());
    }
    assert!(view.has_content() && !view.is_complete());
    assert!(view.estimated_tokens() >= 4);
}

// L52
#[test]
fn stream_is_complete_only_after_a_terminal_event() {
    for kind in ["response.completed", "response.incomplete"] {
        let mut view = StreamView::new(ApiFormat::Responses);
        let usage = json!({"input_tokens": 5, "output_tokens": 7, "total_tokens": 12, "output_tokens_details": {"reasoning_tokens": 3}});
        observe(&mut view, &json!({"type": kind, "response": {"usage": usage}}));
        assert!(view.is_complete() && !view.is_done());
        let usage: Usage = serde_json::from_slice(view.usage().unwrap()).unwrap();
        assert_eq!(
            (usage.prompt_tokens(), usage.reasoning_tokens()),
            (Some(5), Some(3))
        );
    }
    let mut view = StreamView::new(ApiFormat::Responses);
    observe(
        &mut view,
        &json!({"type": "response.completed", "response": {"usage": null}}),
    );
    assert!(view.usage().is_none(), "missing usage is not zero");
}

// L75
#[test]
fn bare_response_as_terminal_event_is_accepted() {
    let mut view = StreamView::new(ApiFormat::Responses);
    let end = json!({"type": "response.completed", "id": "r", "status": "completed", "usage": {"input_tokens": 1, "output_tokens": 2}});
    assert!(!observe(&mut view, &end).error);
    assert!(view.is_complete());
    let usage: Usage = serde_json::from_slice(view.usage().unwrap()).unwrap();
    assert_eq!(
        (usage.prompt_tokens(), usage.completion_tokens()),
        (Some(1), Some(2))
    );
    let failed = json!({"type": "response.completed", "response": {"status": "failed", "output": []}});
    assert!(observe(&mut view, &failed).error);
    assert!(view.usage().is_some(), "usage of the earlier event is kept");
}

// U15
#[test]
fn error_events_are_flagged() {
    for event in [
        json!({"type": "error", "code": "server_error", "message": "m"}),
        json!({"type": "response.failed", "response": {"error": {"code": "server_error"}}}),
        json!({"error": {"message": "m"}}),
    ] {
        assert!(
            observe(&mut StreamView::new(ApiFormat::Responses), &event).error,
            "{event}"
        );
    }
}
