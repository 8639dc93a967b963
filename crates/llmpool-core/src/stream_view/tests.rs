mod responses;

use bytes::Bytes;

use super::*;
use crate::api_format::ApiFormat;
use crate::sse::SseEvent;

fn event(data: &str) -> SseEvent {
    SseEvent {
        data: Bytes::copy_from_slice(data.as_bytes()),
        name: None,
    }
}

fn flags_of(data: &str) -> EventFlags {
    StreamView::default().observe(&event(data)).flags
}

fn delta(delta: &str) -> String {
    format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
}

#[test]
fn token_estimate_is_independent_of_how_output_is_split() {
    let text = "Four bytes are about a token in many models. ".repeat(20);
    let whole = format!(
        r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}]}}"#
    );
    let expected = (text.len() / 4) as u32;
    assert_eq!(estimated_tokens(whole.as_bytes()), Some(expected));
    for size in [7, 40, text.len()] {
        let mut view = StreamView::default();
        view.observe(&event(&delta(r#"{"role":"assistant","content":""}"#)));
        for piece in text.as_bytes().chunks(size) {
            let piece = std::str::from_utf8(piece).unwrap();
            view.observe(&event(&delta(&format!(r#"{{"content":"{piece}"}}"#))));
        }
        let tokens = view.estimated_tokens();
        assert!(
            tokens.abs_diff(expected) <= 1 + expected / 50,
            "{tokens} of {expected} in chunks of {size} bytes"
        );
    }
    let mut single = StreamView::default();
    let letters = ["a", "b", "c", "d"].map(|letter| delta(&format!(r#"{{"content":"{letter}"}}"#)));
    for letter in &letters {
        single.observe(&event(letter));
    }
    assert_eq!(
        single.estimated_tokens(),
        4,
        "each event counts as at least one token"
    );
    assert_eq!(estimated_tokens(b"{\"error\":1}"), None);
    assert_eq!(StreamView::default().estimated_tokens(), 0);
}

#[test]
fn prefix_events_have_no_content() {
    for empty in [
        r#"{"role":"assistant"}"#,
        r#"{"role":"assistant","content":null}"#,
        r#"{"role":"assistant","content":"","refusal":null,"tool_calls":[]}"#,
        r#"{"tool_calls":[{"index":0,"id":"x","function":{"name":"","arguments":""}}]}"#,
        "{}",
    ] {
        assert_eq!(flags_of(&delta(empty)), EventFlags::default(), "{empty}");
    }
    assert_eq!(
        flags_of(r#"{"choices":[],"prompt_filter_results":[{"x":1}]}"#),
        EventFlags::default()
    );
    assert_eq!(flags_of(r#"{"choices":null}"#), EventFlags::default());
}

#[test]
fn any_visible_output_is_content() {
    for delta_json in [
        r#"{"content":"a"}"#,
        r#"{"refusal":"no"}"#,
        r#"{"reasoning_content":"hm"}"#,
        r#"{"reasoning":"hm"}"#,
        r#"{"reasoning_details":[{"text":"hm"}]}"#,
        r#"{"audio":{"id":"a"}}"#,
        r#"{"tool_calls":[{"index":0,"function":{"name":"f"}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#,
        r#"{"tool_calls":[{"index":0,"custom":{"input":"x"}}]}"#,
        r#"{"function_call":{"name":"f"}}"#,
        r#"{"someday":"new"}"#,
    ] {
        assert!(flags_of(&delta(delta_json)).content, "{delta_json}");
    }
    assert!(flags_of(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#).content);
}

// L56
#[test]
fn errors_are_found_in_every_known_place() {
    for broken in [
        r#"{"error":{"message":"x"}}"#,
        r#"{"error":"text"}"#,
        r#"{"choices":[{"index":0,"error":{"code":502},"delta":{}}]}"#,
        r#"{"x_groq":{"error":"x"},"choices":[]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
        r#"{"code":"rpm_rate_limit_exceeded","msg":"Rate limit"}"#,
        r#"{"error_code":336501,"error_msg":"Rate limit"}"#,
        r#"{"object":"error","message":"x","type":"server_error","param":null,"code":null}"#,
        r#"{"object":"error","message":"x","type":"server_error","param":null,"code":500}"#,
        r#"{"message":"x","type":"BadRequestError","code":400}"#,
        r#"{"base_resp":{"status_code":1004,"status_msg":"login fail"}}"#,
        r#"{"success":false,"message":"x"}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0},"code":"c","message":"x"}"#,
        r#"{"error":{"message":"bad \ud83d"},"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    ] {
        assert!(flags_of(broken).error, "{broken}");
        let as_response = StreamView::new(ApiFormat::Responses)
            .observe(&event(broken))
            .flags
            .error;
        // An event of an unknown type may have a code and a message.
        let is_typed = broken.contains("BadRequestError");
        assert!(as_response || is_typed || broken.contains("choices"), "{broken}");
    }
    for fine in [
        r#"{"error":null,"choices":[]}"#,
        r#"{"error":{},"choices":[]}"#,
        r#"{"error":"","choices":[]}"#,
        r#"{"error":{"message":"","type":"","param":"","code":null},"choices":[{"index":0,"delta":{"content":"x"}}]}"#,
        r#"{"choices":[{"index":0,"error":{"code":0,"message":"success"},"delta":{"content":"x"}}]}"#,
        r#"{"message":"the request is being processed"}"#,
        r#"{"base_resp":{"status_code":0,"status_msg":""},"choices":[]}"#,
        r#"{"code":0,"message":"Success","choices":[]}"#,
        r#"{"code":"200","choices":[{"index":0,"delta":{"content":"x"}}]}"#,
        r#"{"code":5,"choices":[{"index":0,"delta":{"content":"x"}}]}"#,
        r#"{"object":"chat.completion.chunk","usage":{"prompt_tokens":1},"choices":[]}"#,
        "",
    ] {
        let flags = flags_of(fine);
        assert!(!flags.error && !flags.corrupt, "{fine}");
    }
    let named = SseEvent {
        data: Bytes::from_static(b"oops"),
        name: Some(Bytes::from_static(b"error")),
    };
    assert!(StreamView::default().observe(&named).flags.error);
    assert!(flags_of("[<html>").corrupt && flags_of("<html>").blank);
}

#[test]
fn stream_of_several_choices_is_complete_when_all_have_finished() {
    let finish = |index: u32| {
        event(&format!(
            r#"{{"choices":[{{"index":{index},"delta":{{}},"finish_reason":"stop"}}]}}"#
        ))
    };
    for (requested, finished) in [(0, 1), (1, 1), (2, 2), (3, 3), (500, 128)] {
        let mut view = StreamView::default().with_choices(requested);
        for index in 0..finished {
            assert!(!view.is_complete(), "{index} of {requested}");
            view.observe(&finish(index));
        }
        assert!(view.is_complete(), "{requested}");
    }
}

// O18, O19, L52
#[test]
fn complete_needs_done_or_a_finish_reason_for_every_choice() {
    let mut view = StreamView::default();
    view.observe(&event(
        r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}"#,
    ));
    assert!(!view.is_complete());
    view.observe(&event(
        r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#,
    ));
    assert!(!view.is_complete());
    view.observe(&event(
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#,
    ));
    assert!(view.is_complete() && !view.is_done());
    let mut done = StreamView::default();
    assert!(!done.is_complete());
    assert!(done.observe(&event("[DONE]")).flags.done);
    assert!(done.is_complete());
}

#[test]
fn words_for_no_finish_reason_do_not_finish_a_choice() {
    for word in ["null", r#""""#, r#""None""#, r#""null""#] {
        let chunk =
            |delta: &str| format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":{word}}}]}}"#);
        let mut view = StreamView::default();
        for turn in 0..3 {
            view.observe(&event(&chunk(&format!(r#"{{"content":"{turn}"}}"#))));
            assert!(!view.is_complete(), "{word}");
        }
        assert_eq!(
            flags_of(&chunk(r#"{"role":"assistant"}"#)),
            EventFlags::default(),
            "{word} is no content"
        );
    }
    let other = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"none"}]}"#;
    assert!(flags_of(other).content, "other words are unknown reasons");
}

// L77
#[test]
fn last_of_repeated_fields_counts() {
    let mut view = StreamView::default();
    let twice = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}],"usage":null,"usage":{"prompt_tokens":1}}"#;
    assert!(!view.observe(&event(twice)).flags.corrupt && view.is_complete());
    assert_eq!(&view.usage().unwrap()[..], br#"{"prompt_tokens":1}"#);
    let used = r#"{"choices":[],"usage":{"prompt_tokens":null,"completion_tokens":null}}"#;
    assert!(
        !view.observe(&event(used)).flags.usage_only,
        "a usage of nulls is ignored"
    );
    assert_eq!(&view.usage().unwrap()[..], br#"{"prompt_tokens":1}"#);
}

// U14, L65, L66
#[test]
fn last_usage_with_counts_is_kept() {
    let mut view = StreamView::default();
    for data in [
        r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
        r#"{"choices":[{"index":0,"delta":{},"usage":{"prompt_tokens":2}}]}"#,
        r#"{"choices":[],"usage":null}"#,
        r#"{"choices":[],"usage":{}}"#,
        r#"{"choices":[],"x_groq":{"id":"x"}}"#,
    ] {
        view.observe(&event(data));
    }
    assert_eq!(
        view.usage().unwrap(),
        &Bytes::from_static(br#"{"prompt_tokens":2}"#)
    );
    assert!(flags_of(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#).usage_only);
    view.observe(&event(r#"{"choices":[],"x_groq":{"usage":{"prompt_tokens":3}}}"#));
    assert_eq!(
        view.usage().unwrap(),
        &Bytes::from_static(br#"{"prompt_tokens":3}"#)
    );
}

#[test]
fn choice_indexes_are_read_leniently() {
    let mut view = StreamView::default();
    for index in ["\"0\"", "0.0", "0"] {
        let data = format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"a"}}}}]}}"#);
        assert!(view.observe(&event(&data)).flags.content, "{index}");
    }
    view.observe(&event(
        r#"{"choices":[{"index":"0","delta":{},"finish_reason":"stop"}]}"#,
    ));
    assert!(view.is_complete());
}

#[test]
fn done_may_follow_white_space() {
    for done in ["[DONE]", " [DONE]", "[DONE] ", "\t[DONE]"] {
        let mut view = StreamView::default();
        assert!(view.observe(&event(done)).flags.done, "{done:?}");
        assert!(view.is_done());
    }
}

#[test]
fn blank_data_is_ignored_whatever_the_event_name() {
    let flags = |name: Option<&'static str>, data: &str| {
        let mut event = event(data);
        event.name = name.map(|name| Bytes::from_static(name.as_bytes()));
        StreamView::default().observe(&event).flags
    };
    let blank = EventFlags {
        blank: true,
        ..EventFlags::default()
    };
    for data in ["", " ", "\n\n"] {
        assert_eq!(flags(None, data), blank);
        assert_eq!(flags(Some("ping"), data), blank);
        let error = flags(Some("error"), data);
        assert!(error.error && !error.blank);
    }
    assert!(!flags(Some("ping"), "{}").blank);
}

// L56
#[test]
fn errors_in_lists_and_named_events_are_found_in_both_formats() {
    for format in [ApiFormat::ChatCompletions, ApiFormat::Responses] {
        let flags = |name: Option<&'static str>, data: &str| {
            let mut event = event(data);
            event.name = name.map(|name| Bytes::from_static(name.as_bytes()));
            StreamView::new(format).observe(&event).flags
        };
        let list = flags(None, r#"[{"error":{"code":429,"message":"m"}}]"#);
        assert!(list.error && !list.corrupt, "{format:?}");
        let named = flags(Some("error"), r#"{"message":"m"}"#);
        assert!(named.error && !named.corrupt, "{format:?}");
        assert!(flags(None, r#"[{"id":"x"}]"#).corrupt, "{format:?}");
    }
}
