//! The chat vocabulary, tested with captured traffic and with unusual JSON of providers.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::PathBuf;

use bytes::Bytes;
use llmpool_core::chat::{
    Assembler, ChatChunk, ChatCompletion, ChatRequest, ChunkDecoder, Content, FinishReason, Json, Message,
    Role, ToolCall, Usage,
};
use llmpool_core::sse::SseDecoder;
use proptest::prelude::*;
use serde_json::{Value, json};

fn fixtures(ending: &str) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/llama-cpp");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|known| known == ending))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("chat"))
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let body = text
                .split_once("\r\n\r\n")
                .or_else(|| text.split_once("\n\n"))
                .unwrap()
                .1
                .to_owned();
            (name, body)
        })
        .collect();
    found.sort();
    assert!(found.len() >= 15, "the captures are missing");
    found
}

fn round_trip<T: serde::Serialize + serde::de::DeserializeOwned>(text: &str) -> Value {
    let read: T = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    serde_json::to_value(&read).unwrap()
}

/// Replaces numbers by floats, since a `temperature` of `0` is encoded as `0.0`.
fn normalize_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(normalize_numbers).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, normalize_numbers(value)))
            .collect(),
        other => other,
    }
}

fn events(body: &str) -> Vec<String> {
    let mut decoder = SseDecoder::new(1 << 20);
    decoder.push(Bytes::copy_from_slice(body.as_bytes()));
    let mut events = Vec::new();
    while let Some(event) = decoder.next_event().unwrap() {
        events.push(String::from_utf8(event.data.to_vec()).unwrap());
    }
    events
}

// L77
#[test]
fn captured_chat_json_encodes_as_it_was_decoded() {
    for (name, body) in fixtures("request") {
        let original = normalize_numbers(serde_json::from_str(&body).unwrap());
        assert_eq!(
            normalize_numbers(round_trip::<ChatRequest>(&body)),
            original,
            "{name}"
        );
    }
    for (name, body) in fixtures("response") {
        if name == "chat-stream-raw" {
            continue;
        }
        if name.starts_with("chat-stream") {
            for event in events(&body).iter().filter(|event| *event != "[DONE]") {
                assert_eq!(
                    round_trip::<ChatChunk>(event),
                    serde_json::from_str::<Value>(event).unwrap(),
                    "{name}"
                );
            }
        } else {
            assert_eq!(
                round_trip::<ChatCompletion>(&body),
                serde_json::from_str::<Value>(&body).unwrap(),
                "{name}"
            );
        }
    }
}

#[test]
fn nulls_are_kept_and_absent_fields_stay_absent() {
    for text in [
        r#"{"messages":[{"role":"assistant","content":null,"refusal":null}],"stop":null,"tools":null}"#,
        r#"{"messages":[{"role":"user","content":""}]}"#,
        r#"{"messages":[{"role":"wizard","content":[{"type":"text","text":"x"}]}],"x":{"y":[1.0e2,null]}}"#,
    ] {
        assert_eq!(
            round_trip::<ChatRequest>(text),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }
}

// O26
#[test]
fn absent_fields_are_left_out_of_a_request() {
    let request = ChatRequest::new([Message::system("s"), Message::user("u"), Message::tool("id", "r")]);
    let expected = json!({"messages": [
        {"role": "system", "content": "s"}, {"role": "user", "content": "u"},
        {"role": "tool", "content": "r", "tool_call_id": "id"}]});
    assert_eq!(serde_json::to_value(&request).unwrap(), expected);
}

#[test]
fn repeated_unknown_fields_are_replaced_and_deltas_joined() {
    let mut assembler = Assembler::new();
    for number in 1..=3 {
        let chunk = format!(
            r#"{{"provider":"DeepSeek","choices":[{{"index":0,"native":"same","delta":{{"reasoning_details":[{{"text":"{number}"}}],"thought":"{number}"}},"logprobs":{{"content":[{number}],"refusal":null}}}}]}}"#
        );
        assembler.push(serde_json::from_str(&chunk).unwrap());
    }
    let halfway = assembler.partial();
    let answer = assembler.finish();
    assert!(halfway == answer);
    assert_eq!(
        serde_json::to_value(&answer).unwrap(),
        serde_json::json!({"object":"chat.completion","provider":"DeepSeek","choices":[{
            "index":0,"native":"same","logprobs":{"content":[1,2,3],"refusal":null},
            "message":{"reasoning_details":[{"text":"1"},{"text":"2"},{"text":"3"}],"thought":"123"}}]})
    );
}

#[test]
fn extra_content_of_messages_and_calls_survives_plain_and_streamed() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"google": {"thought_signature": "A"}}});
    let message = json!({"role": "assistant", "content": "t", "tool_calls": [call], "extra_content": {"google": {"thought_signature": "B"}}});
    let plain = json!({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]});
    let decoded = ChatCompletion::decode(plain.to_string().as_bytes()).unwrap();
    assert_eq!(serde_json::to_value(&decoded).unwrap(), plain);

    let mut first = message;
    first["tool_calls"][0]["index"] = 0.into();
    first["tool_calls"][0]["function"]["arguments"] = "{".into();
    let rest = json!({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]});
    let mut assembler = Assembler::new();
    for (delta, finish) in [(first, Value::Null), (rest, json!("tool_calls"))] {
        let chunk = json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        assembler.push(serde_json::from_str(&chunk.to_string()).unwrap());
    }
    assert_eq!(assembler.finish().choices, decoded.choices);

    let request = json!({"messages": [plain["choices"][0]["message"]]});
    assert_eq!(round_trip::<ChatRequest>(&request.to_string()), request);
}

#[test]
fn unknown_numbers_keep_their_digits() {
    let text = r#"{"choices":[],"cost":0.10000000000000000000001}"#;
    let read: ChatCompletion = serde_json::from_str(text).unwrap();
    assert!(
        serde_json::to_string(&read)
            .unwrap()
            .contains("0.10000000000000000000001")
    );
}

// L77
#[test]
fn unusual_answers_are_decoded() {
    let read = |text: &str| {
        serde_json::from_str::<ChatCompletion>(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    assert_eq!(read(r#"{"choices":null}"#).choices.len(), 0);
    assert_eq!(read(r#"{"created":"17","choices":[]}"#).created(), Some(17));
    assert_eq!(read(r#"{"created":17.0,"choices":[]}"#).created(), Some(17));
    let odd = read(
        r#"{"choices":[{"finish_reason":"eos","message":{"content":"x"}},{"index":"1","finish_reason":""}]}"#,
    );
    assert_eq!(
        odd.choices[0].finish_reason,
        Some(FinishReason::Other("eos".into()))
    );
    assert_eq!((&*odd.text(), odd.choices[1].index()), ("x", 1));
    let usage: Usage = serde_json::from_str(r#"{"prompt_tokens":3.0,"prompt_cache_hit_tokens":2}"#).unwrap();
    assert_eq!(
        (usage.prompt_tokens(), usage.completion_tokens()),
        (Some(3), None)
    );
    assert_eq!(usage.extra.get("prompt_cache_hit_tokens").unwrap().get(), "2");
}

fn assembled(chunks: &[Value]) -> ChatCompletion {
    let mut decoder = ChunkDecoder::new();
    let mut assembler = Assembler::new();
    for chunk in chunks {
        assembler.push(decoder.decode(chunk.to_string().as_bytes()).unwrap());
    }
    assembler.finish()
}

fn calls(deltas: &[Value]) -> Vec<(String, String, String)> {
    let chunks: Vec<_> = deltas
        .iter()
        .map(|delta| json!({"choices": [{"index": 0, "delta": {"tool_calls": [delta]}}]}))
        .collect();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let read = |call: &ToolCall| {
        let function = call.function.clone().unwrap_or_default();
        (text(&call.id), text(&function.name), text(&function.arguments))
    };
    assembled(&chunks).choices[0]
        .message
        .tool_calls
        .iter()
        .map(read)
        .collect()
}

// L72, L73
#[test]
fn tool_call_deltas_are_assigned_to_their_call() {
    let piece = |index: Option<u64>, id: Option<&str>, name: Option<&str>, arguments: &str| {
        let mut piece = json!({"function": {"arguments": arguments}});
        if let Some(index) = index {
            piece["index"] = json!(index);
        }
        if let Some(id) = id {
            piece["id"] = json!(id);
        }
        if let Some(name) = name {
            piece["function"]["name"] = json!(name);
        }
        piece
    };
    let two = [("a", "f", "{1}"), ("b", "g", "{2}")]
        .map(|(id, name, arguments)| (id.into(), name.into(), arguments.into()));
    let table = [
        // Interleaved, identified by index.
        vec![
            piece(Some(0), Some("a"), Some("f"), "{"),
            piece(Some(1), Some("b"), Some("g"), "{"),
            piece(Some(0), None, None, "1}"),
            piece(Some(1), None, None, "2}"),
        ],
        // Every call at index 0, identified by a new id.
        vec![
            piece(Some(0), Some("a"), Some("f"), "{1}"),
            piece(Some(0), Some("b"), Some("g"), "{"),
            piece(Some(0), None, None, "2}"),
        ],
        // Without index: by id, and without an id by position.
        vec![
            piece(None, Some("a"), Some("f"), "{1}"),
            piece(None, Some("b"), Some("g"), "{"),
            piece(None, None, None, "2}"),
        ],
        // The id is repeated in every delta.
        vec![
            piece(Some(0), Some("a"), Some("f"), "{"),
            piece(Some(0), Some("a"), None, "1}"),
            piece(Some(1), Some("b"), Some("g"), "{"),
            piece(Some(1), Some("b"), None, "2}"),
        ],
    ];
    for pieces in table {
        assert_eq!(calls(&pieces), two, "{pieces:?}");
    }
}

#[test]
fn captured_streams_assemble_to_complete_answers() {
    for (name, body) in fixtures("response")
        .into_iter()
        .filter(|(name, _)| name.starts_with("chat-stream") && name != "chat-stream-raw")
    {
        let chunks: Vec<Value> = events(&body)
            .iter()
            .filter(|event| *event != "[DONE]")
            .map(|event| serde_json::from_str(event).unwrap())
            .collect();
        let answer = assembled(&chunks);
        assert!(!answer.choices.is_empty(), "{name}");
        for choice in &answer.choices {
            assert!(choice.finish_reason.is_some(), "{name}");
            let of_choice = |chunk: &Value| {
                let choices = chunk["choices"].as_array().cloned().unwrap_or_default();
                let mine = choices
                    .into_iter()
                    .filter(|piece| piece["index"] == choice.index());
                mine.filter_map(|piece| piece["delta"]["content"].as_str().map(str::to_owned))
                    .collect::<String>()
            };
            let text: String = chunks.iter().map(of_choice).collect();
            assert_eq!(choice.message.text(), text, "{name}");
        }
    }
}

// U14, L65
#[test]
fn repeated_usage_is_not_summed_and_empty_usage_is_ignored() {
    let usage =
        |count: u64| json!({"choices": [], "usage": {"prompt_tokens": count, "completion_tokens": count}});
    let answer = assembled(&[
        usage(1),
        usage(2),
        json!({"choices": [], "usage": {}}),
        json!({"choices": [], "usage": null}),
    ]);
    assert_eq!(answer.usage.unwrap().prompt_tokens(), Some(2));
    assert_eq!(
        assembled(&[json!({"choices": [], "x_groq": {"usage": {"prompt_tokens": 7}}})])
            .usage
            .unwrap()
            .prompt_tokens(),
        Some(7)
    );
    assert_eq!(assembled(&[json!({"choices": []})]).usage, None);
}

fn piece(delta: Value) -> Value {
    json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta}]})
}

// L77
#[test]
fn empty_finish_reasons_and_empty_chunks_are_ignored() {
    let end = |reason: &str| json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
    for word in ["", "None", "null"] {
        let answer = assembled(&[piece(json!({"content": "a"})), end("length"), end(word)]);
        assert_eq!(answer.choices[0].finish_reason, Some(FinishReason::Length));
        let mut assembler = Assembler::new();
        assembler.push(serde_json::from_value(end(word)).unwrap());
        assert!(!assembler.is_done(), "{word}");
    }
    // Azure starts and ends a stream with such chunks.
    let empty_chunk = json!({"id": "", "object": "", "created": 0, "model": "", "choices": [{"index": 0, "finish_reason": null}]});
    let content_chunk = json!({"id": "c1", "object": "chat.completion.chunk", "created": 17, "model": "m", "choices": [{"index": 0, "delta": {"content": "hi"}}]});
    let answer = assembled(&[empty_chunk.clone(), content_chunk, empty_chunk]);
    assert_eq!(
        (
            answer.id.as_deref(),
            answer.model.as_deref(),
            answer.created(),
            answer.object.as_deref()
        ),
        (Some("c1"), Some("m"), Some(17), Some("chat.completion"))
    );
}

#[test]
fn rare_delta_fields_are_assembled_into_message_fields() {
    let audio = [
        json!({"id": "a1", "transcript": "Hel"}),
        json!({"id": "a1", "transcript": "lo", "data": "QUJD"}),
        json!({"data": "REVG", "expires_at": 5}),
    ];
    let mut chunks: Vec<_> = audio
        .iter()
        .map(|audio| piece(json!({ "audio": audio })))
        .collect();
    chunks.push(piece(
        json!({"annotations": [{"type": "a"}], "reasoning_details": [{"n": 1.50}], "odd": "x"}),
    ));
    chunks.push(piece(
        json!({"annotations": [{"type": "b"}], "reasoning_details": [{"n": 2}], "odd": "y"}),
    ));
    let message = assembled(&chunks).choices.remove(0).message;
    let audio = message.audio.as_ref().unwrap().value();
    assert_eq!(
        audio,
        json!({"id": "a1", "transcript": "Hello", "data": "QUJDREVG", "expires_at": 5})
    );
    assert_eq!(message.annotations.as_ref().map(Vec::len), Some(2));
    assert_eq!(
        message.reasoning_details.as_ref().unwrap().get(),
        r#"[{"n":1.5},{"n":2}]"#
    );
    assert_eq!(message.extra.get("odd").unwrap().get(), r#""xy""#);
}

/// Re-encoding the merged fields for each chunk would be quadratic: about 2 * 10^9 copied elements.
#[test]
fn fields_in_every_chunk_are_merged_in_linear_time() {
    let mut assembler = Assembler::new();
    for number in 0..60_000 {
        let delta = json!({"reasoning_details": [{"text": format!("word {number} ")}], "thinking": "a few words ", "x": number});
        assembler.push(serde_json::from_value(piece(delta)).unwrap());
    }
    let message = assembler.finish().choices.remove(0).message;
    let details: Vec<Value> = serde_json::from_str(message.reasoning_details.unwrap().get()).unwrap();
    assert_eq!(details.len(), 60_000);
    assert_eq!(message.extra.get("x").unwrap().get(), "59999");
}

// L66
#[test]
fn empty_usage_does_not_hide_usage_in_other_places() {
    let nothing = json!({"prompt_tokens": null, "completion_tokens": null});
    for (chunk, tokens) in [
        (
            json!({"choices": [{"index": 0, "delta": {}, "usage": {"prompt_tokens": 2}}], "usage": {}}),
            Some(2),
        ),
        (
            json!({"choices": [], "usage": nothing, "x_groq": {"usage": {"prompt_tokens": 3}}}),
            Some(3),
        ),
        (
            json!({"choices": [{"index": 0, "delta": {}, "usage": nothing}], "x_groq": {"usage": {}}}),
            None,
        ),
    ] {
        let read: ChatChunk = serde_json::from_value(chunk.clone()).unwrap();
        assert_eq!(
            read.usage().and_then(|usage| usage.prompt_tokens()),
            tokens,
            "{chunk}"
        );
        let before = json!({"choices": [], "usage": {"prompt_tokens": 1}});
        let answer = assembled(&[before, chunk]);
        assert_eq!(answer.usage.unwrap().prompt_tokens(), tokens.or(Some(1)));
    }
}

#[test]
fn logprobs_of_all_deltas_are_joined_with_exact_numbers() {
    let chunk = |logprobs: &str| {
        format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"a"}},"logprobs":{logprobs}}}]}}"#)
    };
    let mut assembler = Assembler::new();
    for logprobs in [
        r#"{"content":[{"token":"a","logprob":-1e999}],"refusal":null}"#,
        r#"{"content":null,"refusal":null}"#,
        r#"{"content":[{"token":"b","logprob":-0.10}]}"#,
    ] {
        assembler.push(serde_json::from_str(&chunk(logprobs)).unwrap());
    }
    assert_eq!(
        assembler.finish().choices[0].logprobs.as_ref().unwrap().get(),
        r#"{"content":[{"token":"a","logprob":-1e999},{"token":"b","logprob":-0.10}],"refusal":null}"#
    );
}

#[test]
fn text_joins_the_parts_of_choice_0() {
    let choice = |index: u64, content: Value| json!({"index": index, "message": {"content": content}});
    let parts = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Hello "}, {"type": "text", "text": "world"}]);
    let answer = json!({"choices": [choice(1, json!("one")), choice(0, parts)]});
    let answer = ChatCompletion::decode(answer.to_string().as_bytes()).unwrap();
    assert_eq!(answer.text(), "Hello world");
    assert_eq!(ChatCompletion::default().text(), "");
    let thought =
        piece(json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}));
    let text = |text: &str| piece(json!({"content": text}));
    assert_eq!(assembled(&[thought, text("Hi "), text("you")]).text(), "Hi you");
}

// U08
#[test]
fn debug_shows_no_user_text() {
    const CANARY: &str = "CANARY";
    let mut request = ChatRequest::new([
        Message::user(CANARY),
        Message::new(Role::Other(CANARY.into()), CANARY),
    ]);
    request.stop = Some(llmpool_core::chat::Stop::One(CANARY.into()));
    request.user = Some(CANARY.into());
    request.tools = vec![Json::of(CANARY).unwrap().into()];
    request.extra.insert(CANARY, Json::of(CANARY).unwrap());
    request.messages[0].tool_calls = vec![ToolCall::function(CANARY, CANARY, CANARY)];
    request.messages[0].content = Some(Content::Parts(vec![Json::of(CANARY).unwrap().into()]));
    let chunk: ChatChunk = serde_json::from_value(json!({"id": CANARY, "choices": [{"index": 0, "finish_reason": CANARY, "delta": {
        "content": CANARY, "reasoning": CANARY, "x": CANARY, "tool_calls": [{"id": CANARY, "function": {"arguments": CANARY}}]}}]})).unwrap();
    let mut assembler = Assembler::new();
    assembler.push(chunk.clone());
    let output = format!("{request:?} {chunk:?} {assembler:?} {:?}", assembler.partial());
    assert!(!output.contains(CANARY), "{output}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn unknown_fields_survive_in_every_type(extra in prop::collection::btree_map("x_[a-z\"\\\\\u{e9}]{1,6}", any_json(), 0..5)) {
        let with = |mut value: Value| {
            value.as_object_mut().unwrap().extend(extra.clone());
            value
        };
        let message = with(json!({"role": "user", "content": "x"}));
        let request = with(json!({"messages": [message], "stream_options": with(json!({"include_usage": true}))}));
        prop_assert_eq!(round_trip::<ChatRequest>(&request.to_string()), request);
        let usage = with(json!({"prompt_tokens": 1}));
        let answer = with(json!({"choices": [with(json!({"index": 0, "message": message}))], "usage": usage}));
        prop_assert_eq!(round_trip::<ChatCompletion>(&answer.to_string()), answer);
        let call = with(json!({"index": 0, "function": with(json!({"name": "f"}))}));
        let chunk = with(json!({"choices": [with(json!({"index": 0, "delta": with(json!({"tool_calls": [call]}))}))]}));
        prop_assert_eq!(round_trip::<ChatChunk>(&chunk.to_string()), chunk);
    }
}
