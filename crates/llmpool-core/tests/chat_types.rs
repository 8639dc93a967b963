//! Parts of messages, tools and formats: known ones are typed, unknown ones are preserved.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool_core::chat::{
    AllowedTool, Assembler, ChatChunk, ChatCompletion, ChatRequest, Content, Json, Message, NamedTool, Part,
    ResponseFormat, Tool, ToolChoice, ToolMode,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn round_trip<T: Serialize + DeserializeOwned>(value: &Value) -> Value {
    let read: T =
        serde_json::from_str(&value.to_string()).unwrap_or_else(|error| panic!("{error} in {value}"));
    serde_json::to_value(&read).unwrap()
}

/// Arbitrary JSON, often similar to a known type.
fn any_json(kinds: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
        prop::sample::select(kinds).prop_map(Value::from),
    ];
    let names = prop::sample::select(
        &[
            "type",
            "text",
            "name",
            "function",
            "custom",
            "mode",
            "tools",
            "image_url",
            "url",
            "json_schema",
            "schema",
            "strict",
            "allowed_tools",
            "thinking",
            "refusal",
            "x",
        ][..],
    );
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..5).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

const KINDS: &[&str] = &[
    "text",
    "image_url",
    "file",
    "refusal",
    "thinking",
    "function",
    "custom",
    "allowed_tools",
    "json_schema",
    "auto",
];

proptest! {
    /// Any part, tool, tool choice or format decodes, and encodes to the same JSON.
    // L77
    #[test]
    fn any_json_encodes_as_it_was_decoded(value in any_json(KINDS)) {
        // A string stands for a text part.
        let part = match &value {
            Value::String(text) => json!({"type": "text", "text": text}),
            other => other.clone(),
        };
        prop_assert_eq!(round_trip::<Part>(&value), part);
        prop_assert_eq!(&round_trip::<Tool>(&value), &value);
        prop_assert_eq!(&round_trip::<ToolChoice>(&value), &value);
        prop_assert_eq!(&round_trip::<ResponseFormat>(&value), &value);
    }
}

#[test]
fn known_objects_become_typed_variants() {
    let part = |value: Value| {
        serde_json::from_value::<Value>(value).map(|value| Part::from(Json::of(&value).unwrap()))
    };
    let image =
        part(json!({"type": "image_url", "image_url": {"url": "https://h/i.png", "detail": "low"}, "x": 1}))
            .unwrap();
    let Part::Image(image) = image else {
        panic!("{image:?}")
    };
    assert_eq!(
        (image.image_url.url.as_str(), image.image_url.detail.as_deref()),
        ("https://h/i.png", Some("low"))
    );
    let wrong = part(json!({"type": "image_url", "image_url": "https://h/i.png"})).unwrap();
    assert!(
        matches!(wrong, Part::Other(_)),
        "a string in place of an object is preserved"
    );
    assert_eq!(wrong.kind(), "image_url");
    let choice: ToolChoice = serde_json::from_str("\"required\"").unwrap();
    assert_eq!(choice, ToolChoice::Mode(ToolMode::Required));
    let allowed = r#"{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}"#;
    let ToolChoice::Named(NamedTool::Allowed(allowed)) = serde_json::from_str(allowed).unwrap() else {
        panic!("it is a choice among allowed tools")
    };
    assert!(matches!(
        allowed.allowed_tools.tools[..],
        [AllowedTool::Function(_)]
    ));
    let custom: Tool =
        serde_json::from_str(r#"{"type":"custom","custom":{"name":"sh","format":{"type":"text"}}}"#).unwrap();
    assert!(matches!(&custom, Tool::Custom(tool) if tool.custom.name == "sh"));
}

// L77
#[test]
fn empty_lists_nulls_and_missing_fields_are_preserved() {
    for message in [
        json!({"role": "assistant", "content": "a", "tool_calls": []}),
        json!({"role": "assistant", "content": null, "tool_calls": null, "annotations": [], "audio": {"id": "a"}}),
        json!({"content": [{"type": "text"}, {"type": "text", "text": null}, {"type": "text", "text": ""}]}),
        json!({"content": [{"type": "file", "file": {"file_id": "f"}}, {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}),
        json!({"reasoning_details": [{"type": "reasoning.text", "text": "t"}]}),
    ] {
        assert_eq!(round_trip::<Message>(&message), message);
    }
    for answer in [
        json!({"id": "x"}),
        json!({"choices": null}),
        json!({"choices": [{"index": 0}]}),
        json!({"choices": []}),
    ] {
        assert_eq!(round_trip::<ChatCompletion>(&answer), answer);
        assert_eq!(round_trip::<ChatChunk>(&answer), answer);
    }
    let request = json!({"tools": [], "functions": [], "stop": null, "modalities": ["text"], "metadata": {"a": "b"}, "messages": []});
    assert_eq!(round_trip::<ChatRequest>(&request), request);
}

#[test]
fn constructors_give_the_expected_json() {
    let request = ChatRequest {
        response_format: Some(ResponseFormat::json_schema(
            "answer",
            Json::of(&json!({"type": "object"})).unwrap(),
        )),
        tools: vec![Tool::function(
            "f",
            "Does it.",
            Json::of(&json!({"type": "object"})).unwrap(),
        )],
        tool_choice: Some(ToolChoice::function("f")),
        ..ChatRequest::new([Message::user(vec![
            Part::text("What is this?"),
            Part::image("data:image/png;base64,AA=="),
            Part::audio("AA==", "wav"),
            Part::file("a.pdf", "data:application/pdf;base64,AA=="),
        ])])
    };
    let wire = json!({
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        ]}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": true}},
        "tools": [{"type": "function", "function": {"name": "f", "description": "Does it.", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    });
    assert_eq!(serde_json::to_value(&request).unwrap(), wire);
    assert_eq!(
        serde_json::from_value::<Value>(wire)
            .map(|wire| round_trip::<ChatRequest>(&wire))
            .unwrap(),
        serde_json::to_value(&request).unwrap()
    );
}

fn assembled(deltas: &[Value]) -> ChatCompletion {
    let mut assembler = Assembler::new();
    for delta in deltas {
        let chunk = json!({"choices": [{"index": 0, "delta": delta}]}).to_string();
        assembler.push(serde_json::from_str::<ChatChunk>(&chunk).unwrap());
    }
    assembler.finish()
}

/// Mistral's reasoning models stream parts first, then strings.
// L77
#[test]
fn content_parts_are_assembled() {
    let thinking =
        |text: &str| json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]});
    let answer = assembled(&[
        json!({"role": "assistant", "content": ""}),
        thinking("Well"),
        thinking(", so"),
        json!({"content": [{"type": "text", "text": "The "}]}),
        json!({"content": "answer"}),
    ]);
    assert_eq!(answer.text(), "The answer");
    let Some(Content::Parts(parts)) = &answer.choices[0].message.content else {
        panic!("there are parts")
    };
    assert_eq!(
        serde_json::to_value(parts).unwrap(),
        json!([
            {"type": "thinking", "thinking": [{"type": "text", "text": "Well, so"}]},
            {"type": "text", "text": "The answer"},
        ])
    );
}

#[test]
fn custom_tool_calls_are_assembled() {
    let piece = |piece: Value| json!({"tool_calls": [piece]});
    let answer = assembled(&[
        piece(json!({"index": 0, "id": "c", "type": "custom", "custom": {"name": "sh", "input": ""}})),
        piece(json!({"index": 0, "custom": {"input": "ls "}})),
        piece(json!({"index": 0, "custom": {"input": "-l"}})),
    ]);
    let call = &answer.choices[0].message.tool_calls[0];
    assert_eq!(
        serde_json::to_value(call).unwrap(),
        json!({"id": "c", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}})
    );
}

#[test]
fn logprobs_are_typed_and_keep_their_text() {
    let text = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.10000000000000000001,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-2.5,"bytes":null}]}],"refusal":null}}]}"#;
    let answer = ChatCompletion::decode(text.as_bytes()).unwrap();
    let logprobs = answer.choices[0].token_logprobs().unwrap().content.unwrap();
    assert_eq!(
        (logprobs[0].token.as_str(), logprobs[0].top_logprobs[0].logprob),
        ("a", -2.5)
    );
    assert!(
        serde_json::to_string(&answer)
            .unwrap()
            .contains("-0.10000000000000000001")
    );
}

#[test]
fn deeply_nested_json_decodes_in_linear_time() {
    let nested = |open: &str, close: &str| format!("{}null{}", open.repeat(50_000), close.repeat(50_000));
    let thinking = nested(r#"{"type":"thinking","thinking":["#, "]}");
    let answer = format!(r#"{{"choices":[{{"message":{{"role":"assistant","content":[{thinking}]}}}}]}}"#);
    let answer = ChatCompletion::decode(answer.as_bytes()).unwrap();
    let Some(Content::Parts(parts)) = &answer.choices[0].message.content else {
        panic!("{answer:?}")
    };
    assert!(matches!(&parts[..], [Part::Thinking(_)]), "{parts:?}");

    let allowed = nested(
        r#"{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":["#,
        "]}}",
    );
    let request = format!(r#"{{"messages":[],"tool_choice":{allowed}}}"#);
    let read: ChatRequest = serde_json::from_str(&request).unwrap();
    assert!(matches!(
        read.tool_choice,
        Some(ToolChoice::Named(NamedTool::Allowed(_)))
    ));
    assert_eq!(serde_json::to_string(&read).unwrap(), request);
}

#[test]
fn last_of_repeated_unknown_fields_is_kept() {
    let few: ChatRequest = serde_json::from_str(r#"{"messages":[],"x":1,"y":2,"x":3}"#).unwrap();
    assert_eq!(
        serde_json::to_string(&few).unwrap(),
        r#"{"messages":[],"y":2,"x":3}"#
    );
    let members: String = (0..200_000)
        .map(|at| format!(r#","member {}":{at}"#, at % 100_000))
        .collect();
    let many: ChatRequest = serde_json::from_str(&format!(r#"{{"messages":[]{members}}}"#)).unwrap();
    assert_eq!(many.extra.iter().count(), 100_000);
    assert_eq!(many.extra.iter().next().unwrap().1.get(), "100000");
}
