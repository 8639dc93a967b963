//! The text of answers whose content is a list of parts, in all forms that providers send.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool_core::chat::{Assembler, ChatChunk, ChatCompletion, ChunkDecoder, Message};
use llmpool_core::responses::{Response, ResponseEvent, ResponsesRequest};
use llmpool_core::translate::{
    ChunkToEventTranslator, EventToChunkTranslator, ResponseEnvelope, response_to_completion,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn message_of(content: &Value) -> Message {
    let body = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]});
    let mut completion = ChatCompletion::decode(body.to_string().as_bytes()).unwrap();
    completion.choices.remove(0).message
}

fn chunk_of(content: &Value) -> ChatChunk {
    serde_json::from_value(json!({"choices": [{"index": 0, "delta": {"content": content}}]})).unwrap()
}

/// Returns the message that is assembled from one chunk for each item of `contents`.
fn assembled(contents: &[Value]) -> Message {
    let mut assembler = Assembler::new();
    contents
        .iter()
        .for_each(|content| assembler.push(chunk_of(content)));
    assembler.finish().choices.remove(0).message
}

// T1 to T3, T5 to T8, T16
#[test]
fn text_and_reasoning_of_every_kind_of_part_are_read() {
    for (part, text, reasoning) in [
        (json!({"type": "text", "text": "Hi"}), "Hi", ""),
        (
            json!({"type": "output_text", "text": "Hi", "annotations": []}),
            "Hi",
            "",
        ),
        (json!({"type": "input_text", "text": "Hi"}), "Hi", ""),
        (json!({"text": "Hi"}), "Hi", ""),
        (json!("Hi"), "Hi", ""),
        (
            json!({"type": "text", "text": {"value": "Hi", "annotations": []}}),
            "Hi",
            "",
        ),
        (
            json!({"type": "thinking", "thinking": "hm", "signature": "s"}),
            "",
            "hm",
        ),
        (
            json!({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}),
            "",
            "hm",
        ),
        (json!({"type": "image_url", "image_url": {"url": "u"}}), "", ""),
        (json!({"type": "new", "text": "x"}), "", ""),
        (json!({"type": "text", "text": 5}), "", ""),
    ] {
        let message = message_of(&json!([part]));
        assert_eq!(
            (&*message.text(), &*message.reasoning_text()),
            (text, reasoning),
            "{part}"
        );
        let chunk = chunk_of(&json!([part]));
        assert_eq!(chunk.text(), text, "{part}");
        assert_eq!(chunk.choices[0].delta.reasoning_text(), reasoning, "{part}");
        assert_eq!(assembled(&[json!([part])]).content, message.content, "{part}");
        let several = [json!("a"), json!([part]), json!([part, "b"])];
        assert_eq!(assembled(&several).text(), format!("a{text}{text}b"), "{part}");
    }
}

#[test]
fn text_of_a_stream_is_that_of_the_choice_whose_text_the_completion_has() {
    let role = |index: u64| json!({"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": null});
    let choice = |index: u64, text: &str| json!({"index": index, "delta": {"content": text}});
    for (choices, text, whole) in [
        (
            vec![vec![choice(1, "a")], vec![], vec![choice(1, "b")]],
            "ab",
            "ab",
        ),
        // Nothing of the other choice has been given out.
        (
            vec![vec![role(1)], vec![choice(0, "a")], vec![choice(1, "x")]],
            "a",
            "a",
        ),
        (
            vec![
                vec![choice(2, "x"), role(1)],
                vec![choice(2, "y")],
                vec![choice(1, "a")],
            ],
            "a",
            "a",
        ),
        // The text that was given out cannot be taken back.
        (
            vec![
                vec![choice(1, "BBB ")],
                vec![choice(0, "AAA")],
                vec![choice(1, "b")],
            ],
            "BBB b",
            "AAA",
        ),
        (
            vec![
                vec![choice(1, "x"), choice(0, "a")],
                vec![choice(1, "y")],
                vec![choice(0, "b")],
            ],
            "ab",
            "ab",
        ),
    ] {
        let (mut decoder, mut assembler) = (ChunkDecoder::new(), Assembler::new());
        let mut translator =
            ChunkToEventTranslator::new(ResponseEnvelope::new(&ResponsesRequest::default(), "x", 0));
        let mut streamed = String::new();
        for choices in choices {
            let data = json!({"choices": choices}).to_string();
            let chunk = decoder.decode(data.as_bytes()).unwrap();
            streamed += &chunk.text();
            translator.push(chunk.clone());
            assembler.push(chunk);
        }
        translator.finish();
        let last = std::iter::from_fn(|| translator.next_event()).last().unwrap();
        let output = serde_json::to_value(&last).unwrap()["response"]["output"].take();
        assert_eq!(
            (streamed, assembler.finish().text()),
            (text.to_owned(), whole.to_owned())
        );
        assert_eq!(output[0]["content"][0]["text"], text, "{output}");
    }
    // A character that is split over two chunks ends with the stream.
    let mut decoder = ChunkDecoder::new();
    let data = br#"{"choices":[{"index":2,"delta":{"content":"\ud83d"}}]}"#;
    assert_eq!(decoder.decode(data).unwrap().text(), "");
    assert_eq!(decoder.finish().unwrap().text(), "\u{fffd}");
}

#[test]
fn parts_are_encoded_as_received() {
    for part in [
        json!({"type": "output_text", "text": "Hi", "annotations": []}),
        json!({"type": "input_text", "text": "Hi"}),
        json!({"type": "thinking", "thinking": "hm", "signature": "s"}),
        json!({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}),
        json!({"type": "thinking", "thinking": ""}),
        json!({"type": "new", "text": "x"}),
        json!({"type": null, "text": "x"}),
        json!({"text": "x", "annotations": []}),
        json!({}),
        json!({"type": "text"}),
    ] {
        let encoded = serde_json::to_value(message_of(&json!([part]))).unwrap();
        assert_eq!(encoded["content"], json!([part]));
    }
    let part = json!({"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi"}]});
    let response = Response::decode(json!({"output": [part]}).to_string().as_bytes()).unwrap();
    assert_eq!(serde_json::to_value(&response).unwrap()["output"], json!([part]));
}

#[test]
fn fields_come_before_parts() {
    let mut message =
        message_of(&json!([{"type": "thinking", "thinking": "part"}, {"type": "refusal", "refusal": "no"}]));
    assert_eq!(
        (&*message.reasoning_text(), &*message.refusal_text()),
        ("part", "no")
    );
    message.reasoning = Some("field".to_owned());
    message.reasoning_content = Some(String::new());
    message.refusal = Some("never".to_owned());
    assert_eq!(
        (&*message.reasoning_text(), &*message.refusal_text()),
        ("field", "never")
    );
}

#[test]
fn pieces_of_thinking_are_joined_in_both_forms() {
    let text = |text: &str| json!([{"type": "thinking", "thinking": text, "signature": text}]);
    let list = |text: &str| json!([{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]);
    for (pieces, content) in [
        (
            [text("a"), text("b")],
            json!([{"type": "thinking", "thinking": "ab", "signature": "b"}]),
        ),
        ([list("a"), list("b")], list("ab")),
        (
            [list("a"), json!([{"type": "thinking", "thinking": "b"}])],
            list("ab"),
        ),
        (
            [json!([{"type": "thinking", "thinking": "a"}]), list("b")],
            list("a\u{0}b"),
        ),
    ] {
        let message = assembled(&pieces);
        assert_eq!(message.reasoning_text(), "ab");
        let encoded = serde_json::to_value(&message).unwrap()["content"].clone();
        let expected: Value = serde_json::from_str(&content.to_string().replace("\\u0000", "")).unwrap();
        assert_eq!(encoded, expected);
    }
}

fn response(item: &Value) -> Response {
    let response = json!({"id": "r", "status": "completed", "output": [item]});
    Response::decode(response.to_string().as_bytes()).unwrap()
}

/// Returns the message that is assembled from a stream that contains the item only in the given events.
fn streamed(item: &Value, in_last_event: bool) -> Message {
    let output = if in_last_event { json!([item]) } else { json!([]) };
    let mut translator = EventToChunkTranslator::new();
    for event in [
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": {"status": "completed", "output": output}}),
    ] {
        if in_last_event && event["item"].is_object() {
            continue;
        }
        let event = ResponseEvent::decode(event.to_string().as_bytes()).unwrap();
        translator.push(event).unwrap();
    }
    let mut assembler = Assembler::new();
    while let Some(chunk) = translator.next_chunk() {
        assembler.push(chunk);
    }
    assembler.finish().choices.remove(0).message
}

// T9 to T12
#[test]
fn text_of_responses_is_read_in_every_form() {
    let message = |content: Value| json!({"type": "message", "role": "assistant", "content": content});
    let part = json!({"type": "output_text", "text": "Hi"});
    for (item, reasoning) in [
        (message(json!([part])), ""),
        (message(json!([{"type": "text", "text": "Hi"}])), ""),
        (message(json!("Hi")), ""),
        (message(json!(["H", "i"])), ""),
        (message(part.clone()), ""),
        (json!({"type": "text", "text": "Hi"}), ""),
        (part.clone(), ""),
        (
            message(json!([{"type": "reasoning_text", "text": "hm"}, part])),
            "hm",
        ),
        (
            message(
                json!([{"type": "summary_text", "text": "a"}, {"type": "reasoning_text", "text": "b"}, part]),
            ),
            "a\n\nb",
        ),
    ] {
        assert_eq!(response(&item).text(), "Hi", "{item}");
        let completion = response_to_completion(response(&item)).unwrap();
        let translated = &completion.choices[0].message;
        assert_eq!(
            (&*translated.text(), &*translated.reasoning_text()),
            ("Hi", reasoning),
            "{item}"
        );
        for in_last_event in [false, true] {
            let streamed = streamed(&item, in_last_event);
            assert_eq!(
                (&*streamed.text(), &*streamed.reasoning_text()),
                ("Hi", reasoning),
                "{item}"
            );
        }
    }
}

// T12
#[test]
fn streamed_reasoning_of_a_message_is_not_repeated() {
    let item = json!({"type": "message", "id": "m", "role": "assistant", "content": [
        {"type": "reasoning_text", "text": "hm"}, {"type": "output_text", "text": "Hi"}]});
    let mut translator = EventToChunkTranslator::new();
    for event in [
        json!({"type": "response.output_item.added", "output_index": 0,
            "item": {"type": "message", "id": "m", "role": "assistant", "content": []}}),
        json!({"type": "response.reasoning_text.delta", "item_id": "m", "content_index": 0, "delta": "hm"}),
        json!({"type": "response.output_text.delta", "item_id": "m", "content_index": 1, "delta": "Hi"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": {"status": "completed", "output": [item]}}),
    ] {
        translator
            .push(ResponseEvent::decode(event.to_string().as_bytes()).unwrap())
            .unwrap();
    }
    let mut assembler = Assembler::new();
    while let Some(chunk) = translator.next_chunk() {
        assembler.push(chunk);
    }
    let message = assembler.finish().choices.remove(0).message;
    assert_eq!((&*message.text(), &*message.reasoning_text()), ("Hi", "hm"));
}

fn any_part() -> impl Strategy<Value = (Value, String)> {
    let part = ("[a-z]{0,3}", 0_usize..7);
    part.prop_map(|(text, kind)| {
        let part = match kind {
            0 => json!({"type": "text", "text": text}),
            1 => json!({"type": "output_text", "text": text}),
            2 => json!({"text": text}),
            3 => json!(text),
            4 => json!({"type": "text", "text": {"value": text}}),
            5 => return (json!({"type": "thinking", "thinking": text}), String::new()),
            _ => return (json!({"type": "new", "text": text}), String::new()),
        };
        (part, text)
    })
}

proptest! {
    #[test]
    fn text_of_parts_does_not_depend_on_the_chunks(
        parts in proptest::collection::vec(any_part(), 1..8),
        cut in 0_usize..8,
    ) {
        let (parts, texts): (Vec<Value>, Vec<String>) = parts.into_iter().unzip();
        let whole = message_of(&json!(parts));
        prop_assert_eq!(whole.text(), texts.concat());
        let (first, second) = parts.split_at(cut.min(parts.len()));
        let message = assembled(&[json!(first), json!(second)]);
        prop_assert_eq!(message.text(), whole.text());
        prop_assert_eq!(message.reasoning_text(), whole.reasoning_text());
    }
}

#[test]
fn content_that_is_an_object_is_its_json_text() {
    let nested = format!("{{\"a\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    for object in [
        r#"{"answer":42}"#,
        r#"{"b":123456789012345678901234567890,"a":1.10,"c":"\u00e9"}"#,
        r#"{"type":"cat","name":"x"}"#,
        r#"{"type":"text","answer":1}"#,
        r#"{"type":5}"#,
        r#"{"text":"x","score":1}"#,
        r#"{"text":5}"#,
        &nested,
    ] {
        for name in ["message", "delta"] {
            let body = format!(
                r#"{{"choices":[{{"index":0,"{name}":{{"role":"assistant","content":{object}}},"finish_reason":"stop"}}]}}"#
            );
            let completion = ChatCompletion::decode(body.as_bytes()).unwrap();
            assert_eq!(completion.text(), object, "{name}");
        }
        let body = format!(r#"{{"choices":[{{"index":0,"delta":{{"content":{object}}}}}]}}"#);
        let chunk = ChunkDecoder::new().decode(body.as_bytes()).unwrap();
        assert_eq!(chunk.text(), object);
    }
    for part in [
        r#"{"type":"text","text":"Hi"}"#,
        r#"{"type":"output_text","text":"Hi","annotations":[]}"#,
        r#"{"text":"Hi"}"#,
        r#"{"text":"Hi","annotations":[]}"#,
        r#"{"type":"text","text":{"value":"Hi","annotations":[]}}"#,
    ] {
        let body = format!(r#"{{"choices":[{{"message":{{"content":{part}}}}}]}}"#);
        let completion = ChatCompletion::decode(body.as_bytes()).unwrap();
        assert_eq!(completion.text(), "Hi", "{part}");
    }
    let body =
        br#"{"choices":[{"message":{"content":{},"tool_calls":[{"id":"a","function":{"name":"f"}}]}}]}"#;
    assert_eq!(
        ChatCompletion::decode(body).unwrap().text(),
        "",
        "an empty object is no content"
    );
}

#[test]
fn text_of_a_delta_or_message_without_content_is_its_content() {
    for (message, text) in [
        (r#"{"text":"Hi"}"#, "Hi"),
        (r#"{"role":"assistant","content":null,"text":"Hi"}"#, "Hi"),
        (r#"{"content":"Hi","text":"other"}"#, "Hi"),
        (r#"{"content":"","text":"other"}"#, ""),
        (r#"{"text":5}"#, ""),
    ] {
        let body = format!(r#"{{"choices":[{{"index":0,"message":{message}}}]}}"#);
        let completion = ChatCompletion::decode(body.as_bytes()).unwrap();
        assert_eq!(completion.text(), text, "{message}");
        let body = format!(r#"{{"choices":[{{"index":0,"delta":{message}}}]}}"#);
        let mut decoder = ChunkDecoder::new();
        let mut assembler = Assembler::new();
        for _ in 0..2 {
            assembler.push(decoder.decode(body.as_bytes()).unwrap());
        }
        assert_eq!(assembler.finish().text(), text.repeat(2), "{message}");
    }
}
