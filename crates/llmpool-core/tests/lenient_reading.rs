//! Answers whose text or types a strict parser refuses: read as well as possible, plain and streamed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{Assembler, ChatChunk, ChatCompletion, ChunkDecoder, ToolCall};
use llmpool_core::embeddings::EmbeddingResponse;
use llmpool_core::models::ModelList;
use llmpool_core::responses::{Item, Response, ResponseEvent};
use llmpool_core::sse::SseEvent;
use llmpool_core::stream_view::{StreamView, estimated_tokens};
use llmpool_core::translate::{EventToChunkTranslator, parse_usage, response_to_completion};
use proptest::prelude::*;

/// Bytes within a JSON string, with the text that is read.
const TEXTS: &[(&[u8], &str)] = &[
    (br"a\ud83db", "a\u{fffd}b"),
    (br"\ude00\ud83d", "\u{fffd}\u{fffd}"),
    (br"\ud83d\ude00", "😀"),
    (b"a\xffb", "a\u{fffd}b"),
    (b"a\xf0\x9f\x98", "a\u{fffd}"),
    (b"\x98\x80b", "\u{fffd}\u{fffd}b"),
    (b"a\nb\tc\x01", "a\nb\tc\u{1}"),
];

/// Puts bytes in place of each `@` of a text.
fn with(template: &str, bytes: &[u8]) -> Vec<u8> {
    let pieces: Vec<&[u8]> = template.split('@').map(str::as_bytes).collect();
    pieces.join(bytes)
}

fn completion(json: &[u8]) -> ChatCompletion {
    ChatCompletion::decode(json).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(json)))
}

/// Observes and decodes the events of one stream, as a typed stream does.
fn streamed(events: &[Vec<u8>]) -> (StreamView, Vec<ChatChunk>) {
    let (mut view, mut decoder, mut chunks) = (StreamView::default(), ChunkDecoder::new(), Vec::new());
    for data in events {
        let text = String::from_utf8_lossy(data);
        let event = SseEvent {
            data: Bytes::copy_from_slice(data),
            name: None,
        };
        let observed = view.observe(&event);
        assert!(!observed.flags.corrupt && !observed.flags.error, "{text}");
        let chunk = decoder.decode_observed(data, observed.repeat.as_ref());
        chunks.push(chunk.unwrap_or_else(|error| panic!("{error}: {text}")));
    }
    (view, chunks)
}

fn assembled(events: &[Vec<u8>]) -> ChatCompletion {
    let (view, chunks) = streamed(events);
    assert!(view.is_complete());
    let mut assembler = Assembler::new();
    chunks.into_iter().for_each(|chunk| assembler.push(chunk));
    assembler.finish()
}

#[test]
fn odd_text_is_read_in_a_completion() {
    for (bytes, text) in TEXTS {
        let message = r#"{"content":"@","reasoning":"@","tool_calls":[{"id":"@","function":{"name":"f","arguments":"@"}}],"x@":"@"}"#;
        let body = with(
            &format!(
                r#"{{"id":"@","choices":[{{"index":0,"message":{message},"finish_reason":"stop"}}],"usage":{{"total_tokens":3}}}}"#
            ),
            bytes,
        );
        let read = completion(&body);
        assert_eq!((read.text().as_str(), read.id.as_deref()), (*text, Some(*text)));
        let message = &read.choices[0].message;
        assert_eq!(message.reasoning.as_deref(), Some(*text));
        assert!(message.extra.get(&format!("x{text}")).is_some());
        let call = &message.tool_calls[0];
        assert_eq!(call.id.as_deref(), Some(*text));
        assert_eq!(call.function.as_ref().unwrap().arguments.as_deref(), Some(*text));
        assert_eq!(parse_usage(&body).unwrap().total_tokens(), Some(3));
        assert!(estimated_tokens(&body).unwrap() > 0);
    }
}

#[test]
fn odd_text_is_read_in_chunks() {
    for (bytes, text) in TEXTS {
        let chunk = r#"{"id":"c","choices":[{"index":0,"delta":{"content":"@"},"finish_reason":null}]}"#;
        let [before, odd, after] = [&b"before "[..], bytes, b" after"].map(|bytes| with(chunk, bytes));
        let end =
            br#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"total_tokens":3}}"#
                .to_vec();
        for events in [
            vec![before, odd.clone(), after.clone(), end.clone()],
            vec![odd, after, end],
        ] {
            let (view, chunks) = streamed(&events);
            let read: String = chunks.iter().map(|chunk| chunk.text()).collect();
            assert!(read.ends_with(&format!("{text} after")), "{read}");
            assert!(view.has_content() && view.is_complete() && view.usage().is_some());
        }
        let first = with(
            r#"{"id":"@","choices":[{"index":0,"delta":{"role":"assistant","x":"@"}}]}"#,
            bytes,
        );
        assert_eq!(streamed(&[first]).1[0].id.as_deref(), Some(*text));
    }
}

#[test]
fn odd_text_is_read_in_content_parts_and_unknown_members() {
    for (bytes, text) in TEXTS {
        let body = with(
            r#"{"choices":[{"message":{"content":[{"type":"text","text":"@"}]}}]}"#,
            bytes,
        );
        assert_eq!(completion(&body).text(), *text);
        let chunk = with(r#"{"choices":[{"index":0,"delta":{"x":"@"}}]}"#, bytes);
        let end = br#"{"choices":[{"index":0,"delta":{"x":"b"},"finish_reason":"stop"}]}"#.to_vec();
        let read = assembled(&[chunk, end]);
        let x: String = serde_json::from_str(read.choices[0].message.extra.get("x").unwrap().get()).unwrap();
        assert_eq!(x, format!("{text}b"));
    }
}

#[test]
fn odd_text_is_read_in_a_response() {
    for (bytes, text) in TEXTS {
        let body = with(
            r#"{"id":"@","status":"completed","model":"m","output":[{"type":"message","id":"@","role":"assistant","content":[{"type":"output_text","text":"@"}]}],"usage":{"input_tokens":3}}"#,
            bytes,
        );
        let read = Response::decode(&body).unwrap();
        assert_eq!((read.text().as_str(), read.id.as_deref()), (*text, Some(*text)));
        assert_eq!(response_to_completion(read).unwrap().text(), *text);
        assert_eq!(parse_usage(&body).unwrap().prompt_tokens(), Some(3));
        assert!(estimated_tokens(&body).unwrap() > 0);
        let delta = with(r#"{"type":"response.output_text.delta","delta":"@"}"#, bytes);
        let event = ResponseEvent::decode(&delta).unwrap();
        assert_eq!(event.delta_text(), Some(*text));
        let completed = [br#"{"type":"response.completed","response":"#, &body[..], b"}"].concat();
        let mut view = StreamView::new(ApiFormat::Responses);
        let mut translator = EventToChunkTranslator::new();
        for data in [delta, completed] {
            let event = SseEvent {
                data: Bytes::copy_from_slice(&data),
                name: None,
            };
            let observed = view.observe(&event);
            assert!(observed.flags.content && !observed.flags.corrupt);
            translator.push_data(&data, observed.repeat.as_ref()).unwrap();
        }
        assert!(view.is_complete() && view.usage().is_some());
        let chunks = std::iter::from_fn(|| translator.next_chunk());
        let read: String = chunks.map(|chunk| chunk.text().into_owned()).collect();
        assert_eq!(read, *text);
    }
}

#[test]
fn numbers_of_other_languages_are_null() {
    let body = br#"{"choices":[{"index":0,"message":{"content":"x"},"logprobs":{"content":[{"token":"x","logprob":-Infinity,"top_logprobs":[{"token":"y","logprob":NaN}]}]},"score":Infinity}],"usage":{"total_tokens":NaN,"prompt_tokens":2}}"#;
    let read = completion(body);
    let choice = &read.choices[0];
    assert_eq!(
        choice.logprobs.as_ref().unwrap().get(),
        r#"{"content":[{"token":"x","logprob":-9999.0,"top_logprobs":[{"token":"y","logprob":null}]}]}"#
    );
    assert_eq!(choice.extra.get("score").unwrap().get(), "null");
    let usage = read.usage.as_ref().unwrap();
    assert_eq!((usage.prompt_tokens(), usage.total_tokens()), (Some(2), None));
    let text = String::from_utf8_lossy(body).replace("message", "delta");
    let (view, chunks) = streamed(&[text.into_bytes()]);
    assert!(view.usage().is_some() && chunks[0].choices[0].logprobs == choice.logprobs);
    let vectors = EmbeddingResponse::decode(b"{\"data\":[{\"embedding\":[1]}],\"score\":NaN}").unwrap();
    assert_eq!(vectors.vectors().unwrap(), [[1.0]]);
    for models in [
        &b"\xef\xbb\xbf{\"data\":[{\"id\":\"a\xff\"}]}"[..],
        b"[{\"id\":\"a\xff\"}]",
    ] {
        let models = ModelList::decode_lenient(models).unwrap();
        assert_eq!(models.data[0].id.as_deref(), Some("a\u{fffd}"));
    }
}

#[test]
fn number_beyond_any_type_is_an_absent_count() {
    let usage = r#"{"prompt_tokens":1e400,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":-1e400,"audio_tokens":1}}"#;
    let body = format!(
        r#"{{"created":1e999,"x":1e400,"choices":[{{"index":1e400,"message":{{"content":"x"}}}}],"usage":{usage}}}"#
    );
    let read = completion(body.as_bytes());
    assert_eq!((read.text().as_str(), read.created()), ("x", None));
    assert_eq!(read.extra.get("x").unwrap().get(), "1e400");
    let check = |usage: &llmpool_core::chat::Usage| {
        assert_eq!((usage.prompt_tokens(), usage.total_tokens()), (None, Some(7)));
        let details = usage.prompt_tokens_details.as_ref().unwrap();
        assert_eq!(details.audio_tokens(), Some(1));
    };
    check(read.usage.as_ref().unwrap());
    check(&parse_usage(body.as_bytes()).unwrap());
    let (view, chunks) = streamed(&[body.replace("message", "delta").into_bytes()]);
    check(chunks[0].usage.as_ref().unwrap());
    check(&serde_json::from_slice(view.usage().unwrap()).unwrap());
}

#[test]
fn details_of_another_type_do_not_hide_the_counts() {
    for details in ["[]", "0", r#""""#, "true"] {
        let usage = format!(
            r#"{{"prompt_tokens":2,"prompt_tokens_details":{details},"completion_tokens_details":{details}}}"#
        );
        for chunk in [
            format!(r#"{{"choices":[],"usage":{usage}}}"#),
            format!(r#"{{"choices":[],"x_groq":{{"usage":{usage}}}}}"#),
            format!(r#"{{"choices":[{{"index":0,"delta":{{}},"usage":{usage}}}]}}"#),
        ] {
            let (view, chunks) = streamed(&[chunk.clone().into_bytes()]);
            let seen: llmpool_core::chat::Usage = serde_json::from_slice(view.usage().unwrap()).unwrap();
            assert_eq!(seen.prompt_tokens(), Some(2), "{chunk}");
            assert_eq!(chunks[0].usage().unwrap().prompt_tokens(), Some(2), "{chunk}");
        }
        let body = format!(r#"{{"choices":[],"usage":{usage}}}"#);
        assert_eq!(parse_usage(body.as_bytes()).unwrap().prompt_tokens(), Some(2));
        let body = format!(
            r#"{{"status":"completed","output":[],"usage":{{"input_tokens":2,"input_tokens_details":{details}}}}}"#
        );
        assert_eq!(parse_usage(body.as_bytes()).unwrap().prompt_tokens(), Some(2));
        let read = Response::decode(body.as_bytes()).unwrap();
        assert_eq!(read.usage.unwrap().input_tokens(), Some(2));
        let event = format!(r#"{{"type":"response.completed","response":{body}}}"#);
        let read = ResponseEvent::decode(event.as_bytes()).unwrap();
        assert_eq!(read.response.unwrap().usage.unwrap().input_tokens(), Some(2));
        let mut view = StreamView::new(ApiFormat::Responses);
        view.observe(&SseEvent {
            data: Bytes::from(event),
            name: None,
        });
        assert!(view.usage().is_some());
    }
}

#[test]
fn arguments_as_an_object_keep_digits_and_order() {
    let arguments = r#"{"b":123456789012345678901234567890,"a":1.10,"c":"\u00e9"}"#;
    let nested = format!("{{\"a\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
    for arguments in [arguments, &nested] {
        let call = format!(
            r#"{{"tool_calls":[{{"index":0,"id":7,"function":{{"name":"f","arguments":{arguments}}}}}]}}"#
        );
        let body = format!(r#"{{"choices":[{{"index":0,"message":{call}}}]}}"#);
        let check = |call: &ToolCall| {
            assert_eq!(call.id.as_deref(), Some("7"));
            assert_eq!(
                call.function.as_ref().unwrap().arguments.as_deref(),
                Some(arguments)
            );
        };
        check(&completion(body.as_bytes()).choices[0].message.tool_calls[0]);
        let chunk = format!(r#"{{"choices":[{{"index":0,"delta":{call},"finish_reason":"tool_calls"}}]}}"#);
        check(&assembled(&[chunk.into_bytes()]).choices[0].message.tool_calls[0]);
        let item =
            format!(r#"{{"type":"function_call","id":"i","call_id":7,"name":"f","arguments":{arguments}}}"#);
        let body = format!(r#"{{"status":"completed","output":[{item}]}}"#);
        let read = Response::decode(body.as_bytes()).unwrap();
        let Item::FunctionCall(call) = &read.output[0] else {
            panic!("no call: {:?}", read.output[0].kind());
        };
        assert_eq!((&*call.call_id, &*call.arguments), ("7", arguments));
        check(
            &response_to_completion(read).unwrap().choices[0]
                .message
                .tool_calls[0],
        );
        for event in [
            format!(
                r#"{{"type":"response.function_call_arguments.delta","item_id":"i","delta":{arguments}}}"#
            ),
            format!(
                r#"{{"type":"response.function_call_arguments.done","item_id":"i","arguments":{arguments}}}"#
            ),
        ] {
            let mut translator = EventToChunkTranslator::new();
            let added = r#"{"type":"response.output_item.added","item":{"type":"function_call","id":"i","call_id":"7","name":"f","arguments":""}}"#;
            translator.push_data(added.as_bytes(), None).unwrap();
            translator.push_data(event.as_bytes(), None).unwrap();
            let mut assembler = Assembler::new();
            while let Some(chunk) = translator.next_chunk() {
                assembler.push(chunk);
            }
            check(&assembler.finish().choices[0].message.tool_calls[0]);
        }
    }
}

#[test]
fn fields_of_a_response_in_its_event_are_the_response() {
    let fields = r#""id":"r","status":"completed","output":[{"type":"message","content":"x"}],"text":{}"#;
    let event = format!(r#"{{"type":"response.completed","sequence_number":3,{fields}}}"#);
    let event = ResponseEvent::decode(event.as_bytes()).unwrap();
    assert_eq!(event.response.as_ref().unwrap().text(), "x");
    assert!(event.extra.is_empty());
    let other = ResponseEvent::decode(br#"{"type":"response.completed","model":"m"}"#).unwrap();
    assert!(other.response.is_none() && other.extra.get("model").is_some());
}

/// The arguments stream as text, and the complete item has them as an object.
#[test]
fn complete_arguments_in_another_notation_are_not_appended() {
    let item = |arguments: &str| {
        format!(r#"{{"type":"function_call","id":"i","call_id":"7","name":"f","arguments":{arguments}}}"#)
    };
    let added = format!(
        r#"{{"type":"response.output_item.added","item":{}}}"#,
        item(r#""""#)
    );
    let delta = r#"{"type":"response.function_call_arguments.delta","item_id":"i","delta":"{\"a\":\"é\"}"}"#;
    let complete = item(r#"{ "a" : "\u00e9" }"#);
    let done = format!(r#"{{"type":"response.output_item.done","item":{complete}}}"#);
    let last = format!(
        r#"{{"type":"response.completed","response":{{"status":"completed","output":[{complete}]}}}}"#
    );
    let mut translator = EventToChunkTranslator::new();
    let mut assembler = Assembler::new();
    for event in [&added, delta, &done, &last] {
        translator.push_data(event.as_bytes(), None).unwrap();
    }
    while let Some(chunk) = translator.next_chunk() {
        assembler.push(chunk);
    }
    let completion = assembler.finish();
    assert_eq!(
        completion.choices[0].message.tool_calls[0].arguments(),
        r#"{"a":"é"}"#
    );
}

#[test]
fn repaired_chunks_have_the_facts_of_plain_ones() {
    for (odd, plain) in [
        (
            r#"{"choices":{"index":0,"delta":{"content":"x"}}}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"x"}}]}"#,
        ),
        (
            r#"{"choices":[null,{"index":0,"delta":"x","finish_reason":"stop"}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}"#,
        ),
        (
            r#"{"choices":[{"index":0,"text":"x","finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}"#,
        ),
        (
            r#"{"choices":[{"index":[],"delta":null,"finish_reason":{"type":"stop"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        ),
        (
            r#"{"choices":[{"delta":{"content":"x","tool_calls":null},"delta":{"content":"x"}}]}"#,
            r#"{"choices":[{"delta":{"content":"x"}}]}"#,
        ),
        (
            r#"{"choices":[],"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}],"usage":[]}"#,
            r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}"#,
        ),
        (
            r#"{"choices":[{"delta":{"content":"x"}}],"x_groq":5}"#,
            r#"{"choices":[{"delta":{"content":"x"}}]}"#,
        ),
    ] {
        let [odd, plain] = [odd, plain].map(|data| streamed(&[data.as_bytes().to_vec()]));
        assert_eq!(odd.0.has_content(), plain.0.has_content());
        assert_eq!(odd.0.is_complete(), plain.0.is_complete());
        assert_eq!(odd.0.estimated_tokens(), plain.0.estimated_tokens());
        assert_eq!(odd.1[0].text(), plain.1[0].text());
        let reason = |chunk: &ChatChunk| {
            chunk.choices[0]
                .finish_reason
                .clone()
                .map(|reason| reason.as_str().to_owned())
        };
        assert_eq!(reason(&odd.1[0]), reason(&plain.1[0]));
    }
}

#[test]
fn choice_without_a_message_is_read_from_its_text() {
    for choice in [
        r#"{"message":"x"}"#,
        r#"{"delta":{"content":"x"}}"#,
        r#"{"message":null,"delta":{"content":"x"}}"#,
        r#"{"message":null,"delta":"x"}"#,
        r#"{"text":"x","finish_reason":"stop"}"#,
        r#"{"message":null,"text":"x"}"#,
    ] {
        let read = completion(format!(r#"{{"choices":[{choice}]}}"#).as_bytes());
        assert_eq!(read.text(), "x", "{choice}");
        assert_eq!(
            serde_json::to_value(&read).unwrap()["choices"][0]["message"]["content"],
            "x"
        );
    }
    let message =
        completion(br#"{"choices":[{"message":{"content":"x"},"text":"y","delta":{"content":"z"}}]}"#);
    assert_eq!(message.text(), "x");
    assert_eq!(message.choices[0].extra.get("text").unwrap().get(), r#""y""#);
}

#[test]
fn response_with_one_odd_field_keeps_the_others_in_its_event() {
    let event = br#"{"type":"response.completed","response":{"id":5,"status":"incomplete","output":[],"usage":{"input_tokens":1}}}"#;
    let mut translator = EventToChunkTranslator::new();
    translator.push_data(event, None).unwrap();
    let mut assembler = Assembler::new();
    while let Some(chunk) = translator.next_chunk() {
        assembler.push(chunk);
    }
    let read = assembler.finish();
    assert_eq!(read.choices[0].finish_reason.as_ref().unwrap().as_str(), "length");
    assert_eq!(read.usage.unwrap().prompt_tokens(), Some(1));
}

#[test]
fn odd_text_is_read_in_linear_time() {
    for piece in [r"\ud800", "\u{1}", r#"",NaN,""#] {
        let text = piece.repeat(200_000);
        let body = format!(r#"{{"choices":[{{"message":{{"content":"x"}}}}],"x":["{text}"]}}"#);
        assert_eq!(completion(body.as_bytes()).text(), "x");
    }
}

proptest! {
    #[test]
    fn code_units_of_a_response_cut_anywhere_are_read_as_text(
        units in prop::collection::vec(prop_oneof![0x20_u16..0x7f, 0xd7f0_u16..0xe010], 1..16),
        lengths in prop::collection::vec(0_usize..4, 0..16),
    ) {
        let escaped = |units: &[u16]| -> String { units.iter().map(|unit| format!("\\u{unit:04x}")).collect() };
        let (mut view, mut translator) = (StreamView::new(ApiFormat::Responses), EventToChunkTranslator::new());
        let (mut events, mut rest) = (Vec::new(), &units[..]);
        for length in lengths.into_iter().chain([usize::MAX]) {
            let (piece, left) = rest.split_at(length.min(rest.len()));
            let piece = escaped(piece);
            events.push(format!(r#"{{"type":"response.output_text.delta","item_id":"m","delta":"{piece}"}}"#));
            rest = left;
        }
        let whole = escaped(&units);
        let item = format!(r#"{{"type":"message","id":"m","content":[{{"type":"output_text","text":"{whole}"}}]}}"#);
        events.push(format!(r#"{{"type":"response.output_item.done","item":{item}}}"#));
        events.push(format!(r#"{{"type":"response.completed","response":{{"status":"completed","output":[{item}]}}}}"#));
        let mut assembler = Assembler::new();
        for data in events {
            let observed = view.observe(&SseEvent { data: Bytes::from(data.clone()), name: None });
            translator.push_data(data.as_bytes(), observed.repeat.as_ref()).unwrap();
            while let Some(chunk) = translator.next_chunk() {
                assembler.push(chunk);
            }
        }
        prop_assert_eq!(assembler.finish().text(), String::from_utf16_lossy(&units));
    }
}
