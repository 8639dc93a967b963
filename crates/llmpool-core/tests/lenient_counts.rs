//! Counts of providers: read in every form whose value is clear, otherwise absent.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{Assembler, ChatCompletion, ChunkDecoder, FinishReason, Usage};
use llmpool_core::embeddings::EmbeddingResponse;
use llmpool_core::models::ModelList;
use llmpool_core::responses::Response;
use llmpool_core::sse::SseEvent;
use llmpool_core::stream_view::StreamView;
use llmpool_core::translate::{ChunkToEventTranslator, FailedResponse, ResponseEnvelope};
use llmpool_core::translate::{completion_to_response, parse_usage, response_to_completion};
use serde_json::{Value, json};

/// JSON texts that a provider sent, or could send, as a count, with the count that is read.
const COUNTS: &[(&str, Option<u64>)] = &[
    ("12", Some(12)),
    ("12.0", Some(12)),
    ("12.7", Some(12)),
    ("1.2e1", Some(12)),
    (r#""12""#, Some(12)),
    (r#"" 12.0 ""#, Some(12)),
    ("18446744073709551615", Some(u64::MAX)),
    (r#""18446744073709551615""#, Some(u64::MAX)),
    ("-0.0", Some(0)),
    ("null", None),
    (r#""""#, None),
    (r#""many""#, None),
    (r#""NaN""#, None),
    (r#""nan""#, None),
    (r#""inf""#, None),
    (r#""-inf""#, None),
    (r#""1e400""#, None),
    ("-1", None),
    ("-0.5", None),
    (r#""-1""#, None),
    ("-9223372036854775808", None),
    ("18446744073709551616", None),
    ("123456789012345678901234567890", None),
    ("1e300", None),
    ("true", None),
    ("false", None),
    ("[]", None),
    ("[12]", None),
    ("{}", None),
    (r#"{"value":[12,{}]}"#, None),
];

fn view_of(format: ApiFormat, data: &str) -> StreamView {
    let mut view = StreamView::new(format);
    let event = SseEvent {
        data: Bytes::copy_from_slice(data.as_bytes()),
        name: None,
    };
    assert!(!view.observe(&event).flags.corrupt, "{data}");
    view
}

#[test]
fn counts_of_a_chat_are_read_or_absent() {
    for (json, count) in COUNTS {
        let usage = format!(
            r#"{{"prompt_tokens":{json},"completion_tokens":5,"prompt_tokens_details":{{"cached_tokens":{json}}}}}"#
        );
        let body = format!(
            r#"{{"created":{json},"choices":[{{"index":{json},"message":{{"content":"x"}}}}],"usage":{usage}}}"#
        );
        let read = ChatCompletion::decode(body.as_bytes()).unwrap();
        assert_eq!(read.created(), *count, "{json}");
        assert_eq!(read.choices[0].index(), count.unwrap_or(0), "{json}");
        let check = |usage: &Usage| {
            assert_eq!(usage.prompt_tokens(), *count, "{json}");
            assert_eq!(usage.cached_tokens(), *count, "{json}");
            assert_eq!(usage.completion_tokens(), Some(5), "{json}");
        };
        check(read.usage.as_ref().unwrap());
        check(&parse_usage(body.as_bytes()).unwrap());
        let encoded = serde_json::to_value(&read).unwrap();
        assert_eq!(encoded["created"], json!(count), "{json}");
        let chunk = format!(
            r#"{{"created":{json},"choices":[{{"index":{json},"delta":{{"content":"x"}}}}],"usage":{usage}}}"#
        );
        let read = ChunkDecoder::new().decode(chunk.as_bytes()).unwrap();
        assert_eq!(
            (read.created(), read.choices[0].index()),
            (*count, count.unwrap_or(0)),
            "{json}"
        );
        check(read.usage.as_ref().unwrap());
        let view = view_of(ApiFormat::ChatCompletions, &chunk);
        check(&serde_json::from_slice(view.usage().unwrap()).unwrap());
        assert_eq!(serde_json::to_value(&read).unwrap()["created"], json!(count));
    }
}

#[test]
fn counts_of_a_response_are_read_or_absent() {
    for (json, count) in COUNTS {
        let body = format!(
            r#"{{"status":"incomplete","output":[],"usage":{{"input_tokens":{json},"output_tokens":5,"output_tokens_details":{{"reasoning_tokens":{json}}}}},"max_output_tokens":{json}}}"#
        );
        let read = Response::decode(body.as_bytes()).unwrap();
        assert_eq!(read.max_output_tokens, *count, "{json}");
        assert_eq!(read.usage.as_ref().unwrap().input_tokens(), *count, "{json}");
        let usages = [
            parse_usage(body.as_bytes()).unwrap(),
            response_to_completion(read).unwrap().usage.unwrap(),
        ];
        for usage in usages {
            assert_eq!(usage.prompt_tokens(), *count, "{json}");
            assert_eq!(usage.reasoning_tokens(), *count, "{json}");
            assert_eq!(usage.completion_tokens(), Some(5), "{json}");
        }
        let event = format!(r#"{{"type":"response.completed","response":{body}}}"#);
        let view = view_of(ApiFormat::Responses, &event);
        let usage: Usage = serde_json::from_slice(view.usage().unwrap()).unwrap();
        assert_eq!(
            (usage.prompt_tokens(), usage.completion_tokens()),
            (*count, Some(5))
        );
    }
}

#[test]
fn usage_without_a_readable_count_is_no_usage() {
    for count in ["-1", r#""NaN""#, r#""""#, "[]", "null"] {
        let usage =
            format!(r#"{{"prompt_tokens":{count},"completion_tokens":{count},"total_tokens":{count}}}"#);
        let body = format!(r#"{{"choices":[],"usage":{usage}}}"#);
        assert!(parse_usage(body.as_bytes()).is_none(), "{count}");
        assert!(
            view_of(ApiFormat::ChatCompletions, &body).usage().is_none(),
            "{count}"
        );
        let usage = format!(r#"{{"input_tokens":{count},"output_tokens":{count}}}"#);
        let event = format!(r#"{{"type":"response.completed","response":{{"usage":{usage}}}}}"#);
        assert!(view_of(ApiFormat::Responses, &event).usage().is_none(), "{count}");
    }
}

#[test]
fn cached_tokens_skip_unreadable_counts() {
    let cached = |usage: Value| serde_json::from_value::<Usage>(usage).unwrap().cached_tokens();
    assert_eq!(
        cached(json!({"prompt_cache_hit_tokens": -1, "cached_tokens": 3})),
        Some(3)
    );
    assert_eq!(
        cached(json!({"prompt_tokens_details": {"cached_tokens": -1}, "cached_tokens": 3})),
        Some(3)
    );
    assert_eq!(cached(json!({"prompt_cache_hit_tokens": "inf"})), None);
}

#[test]
fn counts_of_embeddings_and_models_are_read_or_absent() {
    let body = br#"{"data":[{"index":-1,"embedding":[0.5]},{"index":true,"embedding":[1]}],"usage":{"prompt_tokens":-1}}"#;
    let read = EmbeddingResponse::decode(body).unwrap();
    assert_eq!(
        (read.data[0].index(), read.data[1].index()),
        (None, None),
        "the order of the list counts"
    );
    assert_eq!(read.vectors().unwrap(), [[0.5], [1.0]]);
    let models = ModelList::decode(br#"{"data":[{"id":"m","created":""}]}"#).unwrap();
    assert_eq!(models.data[0].created(), None);
}

// L53
#[test]
fn finish_reason_of_another_vocabulary_is_translated_to_a_status() {
    for (reason, status, details) in [
        ("SAFETY", "incomplete", Some("content_filter")),
        ("RECITATION", "incomplete", Some("content_filter")),
        ("MAX_TOKENS", "incomplete", Some("max_output_tokens")),
        ("STOP", "completed", None),
    ] {
        let body = json!({"choices": [{"index": 0, "finish_reason": reason, "message": {"content": "x"}}]});
        let read = ChatCompletion::decode(body.to_string().as_bytes()).unwrap();
        assert_eq!(
            read.choices[0].finish_reason,
            Some(FinishReason::Other(reason.into()))
        );
        assert_eq!(serde_json::to_value(&read).unwrap(), body, "kept as received");
        let response = completion_to_response(read, &envelope()).unwrap();
        let found = response
            .incomplete_details
            .as_ref()
            .and_then(|details| details.reason.as_deref());
        assert_eq!(
            (response.status.as_ref().unwrap().as_str(), found),
            (status, details),
            "{reason}"
        );
    }
    for reason in ["ERROR", "MALFORMED_FUNCTION_CALL"] {
        let body = json!({"choices": [{"index": 0, "finish_reason": reason, "message": {"content": "x"}}]});
        let read = ChatCompletion::decode(body.to_string().as_bytes()).unwrap();
        let failed: Result<Response, FailedResponse> = completion_to_response(read, &envelope());
        assert!(failed.is_err(), "{reason}");
        let chunk = json!({"choices": [{"index": 0, "finish_reason": reason, "delta": {}}]}).to_string();
        let event = SseEvent {
            data: Bytes::from(chunk),
            name: None,
        };
        assert!(StreamView::default().observe(&event).flags.error, "{reason}");
    }
}

fn envelope() -> ResponseEnvelope {
    ResponseEnvelope::new(&llmpool_core::responses::ResponsesRequest::default(), "seed", 0)
}

/// Returns the usage that each reader finds in a completion, or in the chunks of a stream with these usages.
fn usages_of_chat(usages: &[&str]) -> Vec<Option<Usage>> {
    let (mut view, mut decoder) = (StreamView::default(), ChunkDecoder::new());
    let mut assembler = Assembler::new();
    let mut translator = ChunkToEventTranslator::new(envelope());
    for usage in usages {
        let chunk = format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"x"}}}}],"usage":{usage}}}"#);
        view.observe(&SseEvent {
            data: Bytes::from(chunk.clone()),
            name: None,
        });
        let chunk = decoder.decode(chunk.as_bytes()).unwrap();
        assembler.push(chunk.clone());
        translator.push(chunk);
    }
    translator.finish();
    let events = std::iter::from_fn(|| translator.next_event());
    let response = *events.last().unwrap().response.unwrap();
    let reported = response.usage.is_some();
    let translated = response_to_completion(response).unwrap().usage;
    let seen = view.usage().map(|json| serde_json::from_slice(json).unwrap());
    vec![
        seen,
        assembler.finish().usage.filter(|usage| !usage.is_empty()),
        translated.filter(|_| reported),
    ]
}

#[test]
fn counts_with_the_names_of_the_other_format_are_read() {
    let counts = |usage: &Usage| {
        (
            usage.prompt_tokens(),
            usage.completion_tokens(),
            usage.cached_tokens(),
            usage.reasoning_tokens(),
        )
    };
    let expected = (Some(5), Some(7), Some(2), Some(3));
    let of_responses = r#"{"input_tokens":5,"output_tokens":7,"input_tokens_details":{"cached_tokens":2},"output_tokens_details":{"reasoning_tokens":3},"cost":0.10}"#;
    let of_chats = r#"{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":3},"cost":0.10}"#;
    let mixed = of_responses.replace("\"input_tokens\"", r#""prompt_tokens":null,"input_tokens""#);
    for usage in [of_responses, of_chats, &mixed] {
        for read in usages_of_chat(&[usage]) {
            let read = read.unwrap();
            assert_eq!(counts(&read), expected, "{usage}");
            assert_eq!(read.extra.get("cost").unwrap().get(), "0.10", "{usage}");
        }
        let body = format!(r#"{{"choices":[{{"index":0,"message":{{"content":"x"}}}}],"usage":{usage}}}"#);
        let read = ChatCompletion::decode(body.as_bytes()).unwrap();
        assert_eq!(counts(read.usage.as_ref().unwrap()), expected, "{usage}");
        assert_eq!(
            counts(&parse_usage(body.as_bytes()).unwrap()),
            expected,
            "{usage}"
        );
        let translated = completion_to_response(read, &envelope()).unwrap();
        assert_eq!(translated.usage.unwrap().output_tokens(), Some(7), "{usage}");
        let body = format!(
            r#"{{"status":"completed","output":[{{"type":"message","content":"x"}}],"usage":{usage}}}"#
        );
        assert_eq!(
            counts(&parse_usage(body.as_bytes()).unwrap()),
            expected,
            "{usage}"
        );
        let view = view_of(
            ApiFormat::Responses,
            &format!(r#"{{"type":"response.completed","response":{body}}}"#),
        );
        let seen: Usage = serde_json::from_slice(view.usage().unwrap()).unwrap();
        assert_eq!(counts(&seen), expected, "{usage}");
        let read = Response::decode(body.as_bytes()).unwrap();
        let native = read.usage.as_ref().unwrap();
        assert_eq!(
            (native.input_tokens(), native.output_tokens()),
            (Some(5), Some(7)),
            "{usage}"
        );
        let translated = response_to_completion(read).unwrap().usage.unwrap();
        assert_eq!(counts(&translated), expected, "{usage}");
    }
}

#[test]
fn usage_with_a_price_alone_is_no_usage() {
    for usage in [
        r#"{"cost":0.1}"#,
        r#"{"cost":0.1,"prompt_tokens":null,"input_tokens":null,"prompt_tokens_details":{}}"#,
        r#"{"prompt_tokens_details":{"cached_tokens":null},"completion_tokens_details":{}}"#,
    ] {
        assert!(
            serde_json::from_str::<Usage>(usage).unwrap().is_empty(),
            "{usage}"
        );
        assert_eq!(usages_of_chat(&[usage]), [None, None, None], "{usage}");
        let body = format!(r#"{{"choices":[],"usage":{usage}}}"#);
        assert!(parse_usage(body.as_bytes()).is_none(), "{usage}");
        let event = format!(r#"{{"type":"response.completed","response":{{"usage":{usage}}}}}"#);
        assert!(view_of(ApiFormat::Responses, &event).usage().is_none(), "{usage}");
    }
    let price = r#"{"choices":[],"usage":{"cost":0.10}}"#;
    let mut view = StreamView::default();
    let event = SseEvent {
        data: Bytes::from_static(price.as_bytes()),
        name: None,
    };
    assert!(
        view.observe(&event).flags.usage_only,
        "it is not an answer either"
    );
    let chunk = ChunkDecoder::new().decode(price.as_bytes()).unwrap();
    assert!(chunk.is_usage_only());
    let mut assembler = Assembler::new();
    assembler.push(chunk);
    let usage = assembler.finish().usage.unwrap();
    assert_eq!(
        usage.extra.get("cost").unwrap().get(),
        "0.10",
        "kept as in a plain answer"
    );
}

#[test]
fn counts_of_several_chunks_are_merged() {
    let counts = |usage: &Usage| {
        (
            usage.prompt_tokens(),
            usage.completion_tokens(),
            usage.cached_tokens(),
        )
    };
    let zeros = r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"prompt_tokens_details":{"cached_tokens":0}}"#;
    let whole = r#"{"prompt_tokens":25,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":4}}"#;
    for (usages, expected) in [
        (vec![whole, zeros], (Some(25), Some(7), Some(4))),
        (vec![zeros, whole], (Some(25), Some(7), Some(4))),
        (vec![zeros, zeros], (Some(0), Some(0), Some(0))),
        (
            vec![r#"{"prompt_tokens":25}"#, r#"{"completion_tokens":7}"#],
            (Some(25), Some(7), None),
        ),
        (
            vec![r#"{"prompt_tokens":25}"#, r#"{"output_tokens":7}"#],
            (Some(25), Some(7), None),
        ),
        (
            vec![
                r#"{"input_tokens":25,"output_tokens":1}"#,
                r#"{"output_tokens":7}"#,
                zeros,
            ],
            (Some(25), Some(7), Some(0)),
        ),
        (
            vec![
                r#"{"prompt_tokens":25,"completion_tokens":1,"prompt_cache_hit_tokens":4}"#,
                r#"{"prompt_tokens":26,"completion_tokens":2,"prompt_cache_hit_tokens":0}"#,
            ],
            (Some(26), Some(2), Some(4)),
        ),
    ] {
        let read = usages_of_chat(&usages);
        for usage in &read[..2] {
            assert_eq!(counts(usage.as_ref().unwrap()), expected, "{usages:?}");
        }
        let translated = read[2].as_ref().unwrap();
        assert_eq!(counts(translated).0, expected.0, "{usages:?}");
        assert_eq!(counts(translated).1, expected.1, "{usages:?}");
    }
    let once = r#"{"prompt_tokens":25,"completion_tokens":7,"note":"a"}"#;
    let mut view = StreamView::default();
    for usage in [once, once] {
        let chunk = format!(r#"{{"choices":[],"usage":{usage}}}"#);
        view.observe(&SseEvent {
            data: Bytes::from(chunk),
            name: None,
        });
    }
    assert_eq!(view.usage().unwrap(), once, "kept as received");
}
