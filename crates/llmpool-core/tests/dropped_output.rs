//! Reports of the parts of an answer that a translation leaves out: equal for complete and for streamed answers.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool_core::chat::{ChatChunk, ChatCompletion};
use llmpool_core::responses::ResponsesRequest;
use llmpool_core::translate::{
    ChunkToEventTranslator, EventToChunkTranslator, ResponseEnvelope, dropped_from_completion,
    dropped_from_response,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn parse<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_str(&value.to_string()).unwrap()
}

#[test]
fn parts_of_a_response_without_equivalent_are_reported() {
    let part = |kind: &str, more: Value| {
        let mut part = json!({"type": kind, "text": "t"});
        part.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        part
    };
    let message = |more: Value, part: Value| {
        let mut item = json!({"type": "message", "role": "assistant", "content": [part]});
        item.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        item
    };
    let call = |name: &str| json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", name: "n"});
    for (item, path) in [
        (
            json!({"type": "web_search_call", "id": "ws", "action": {"sources": [{"url": "u"}]}}),
            "output[0] (web_search_call)",
        ),
        (
            json!({"type": "code_interpreter_call", "id": "ci", "outputs": []}),
            "output[0] (code_interpreter_call)",
        ),
        (
            json!({"type": "image_generation_call", "id": "ig", "result": null}),
            "output[0] (image_generation_call)",
        ),
        (
            json!({"type": "image_generation_call", "id": "ig", "result": "AA==", "revised_prompt": "p"}),
            "output[0].revised_prompt",
        ),
        (json!({"type": "acme:secret"}), "output[0] (unknown type)"),
        (call("namespace"), "output[0].namespace"),
        (
            message(json!({"x": 1}), part("output_text", json!({}))),
            "output[0].x",
        ),
        (
            message(json!({}), part("output_text", json!({"x": 1}))),
            "output[0].content[0].x",
        ),
        (
            message(json!({}), part("acme", json!({}))),
            "output[0].content[0]",
        ),
        // An invalid value of one field does not hide the others.
        (
            json!({"type": "function_call", "arguments": {"a": 1}, "extra_content": {"g": 1}, "namespace": "n"}),
            "output[0].namespace",
        ),
        (
            message(
                json!({"status": 5, "phase": "commentary"}),
                part("output_text", json!({})),
            ),
            "output[0].phase",
        ),
        (
            message(json!({"phase": 7}), part("output_text", json!({}))),
            "output[0].phase",
        ),
        (
            message(json!({"status": 5}), part("output_text", json!({"x": 1}))),
            "output[0].content[0].x",
        ),
        (
            message(json!({}), part("output_text", json!({"annotations": "s"}))),
            "output[0].content[0].annotations",
        ),
        (
            message(json!({}), json!({"type": "output_text", "text": 5})),
            "output[0].content[0]",
        ),
        (
            message(json!({}), part("output_text", json!({"extra_content": 1}))),
            "output[0].content[0].extra_content",
        ),
        (
            message(json!({"phase": "commentary"}), part("output_text", json!({}))),
            "output[0].phase",
        ),
        (
            message(json!({"extra_content": 1}), part("output_text", json!({}))),
            "output[0].extra_content",
        ),
    ] {
        let last = message(
            json!({"phase": "final_answer", "extra_content": 2}),
            part("output_text", json!({"annotations": []})),
        );
        let response =
            json!({"status": "completed", "store": true, "billing": {"payer": "d"}, "output": [item, last]});
        assert_eq!(dropped_from_response(&parse(&response)), [path]);

        let mut translator = EventToChunkTranslator::new();
        for event in [
            json!({"type": "response.output_item.added", "output_index": 0, "item": item}),
            json!({"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws"}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
            json!({"type": "response.completed", "response": response}),
        ] {
            translator.push(parse(&event)).unwrap();
        }
        assert_eq!(translator.dropped_output(), [path]);
    }
    for (name, value, path) in [
        ("odd", json!(1), "odd"),
        ("moderation", json!(true), "moderation"),
        ("moderation", json!([1]), "moderation"),
        // Names that the provider makes up are shortened.
        (
            &format!("a\n{}", "b".repeat(99)),
            json!(1),
            &format!("a{}", "b".repeat(63)),
        ),
    ] {
        let response = json!({"status": "completed", "output": [], name: value, "none": null});
        assert_eq!(dropped_from_response(&parse(&response)), [path]);
    }
}

#[test]
fn tool_usage_is_reported_if_it_counts_anything() {
    for (requests, dropped) in [(0, &[][..]), (2, &["tool_usage"])] {
        let usage = json!({"image_gen": {"input_tokens": 0, "input_tokens_details": {"text_tokens": 0}},
            "web_search": {"num_requests": requests}});
        let response = json!({"status": "completed", "output": [], "tool_usage": usage});
        assert_eq!(dropped_from_response(&parse(&response)), dropped);
    }
}

#[test]
fn reasoning_within_a_message_is_carried_and_not_reported() {
    let part = json!({"type": "reasoning_text", "text": "r"});
    let message = json!({"type": "message", "role": "assistant", "content": [part]});
    let response = json!({"status": "completed", "output": [message]});
    assert_eq!(dropped_from_response(&parse(&response)), [] as [&str; 0]);
}

#[test]
fn item_whose_end_has_no_index_is_reported_with_that_of_its_start() {
    let item = json!({"type": "mcp_call", "id": "m"});
    let mut translator = EventToChunkTranslator::new();
    for event in [
        json!({"type": "response.output_item.added", "output_index": 3, "item": item}),
        json!({"type": "response.output_item.done", "item": item}),
        json!({"type": "response.output_text.delta", "output_index": 4, "delta": "ok"}),
        json!({"type": "response.completed", "response": {"status": "completed", "output": []}}),
    ] {
        translator.push(parse(&event)).unwrap();
    }
    assert_eq!(translator.dropped_output(), ["output[3] (mcp_call)"]);
}

#[test]
fn hosted_items_of_a_stream_whose_last_response_is_empty_are_reported() {
    let mut translator = EventToChunkTranslator::new();
    for event in [
        json!({"type": "response.output_item.done", "output_index": 3, "item": {"type": "mcp_call", "id": "m"}}),
        json!({"type": "response.output_text.delta", "output_index": 4, "delta": "ok"}),
        json!({"type": "response.completed", "response": {"status": "completed", "output": []}}),
    ] {
        translator.push(parse(&event)).unwrap();
    }
    assert_eq!(translator.dropped_output(), ["output[3] (mcp_call)"]);
}

#[test]
fn parts_of_a_completion_without_equivalent_are_reported() {
    let function =
        json!({"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let with = |mut object: Value, name: &str| {
        object[name] = json!({"x": 1});
        object
    };
    for (members, choice, path) in [
        (
            json!({"system_fingerprint": "fp"}),
            json!({}),
            "system_fingerprint",
        ),
        (json!({"odd": 1}), json!({}), "odd"),
        (json!({"moderation": true}), json!({}), "moderation"),
        (json!({"moderation": [1]}), json!({}), "moderation"),
        (
            json!({}),
            json!({"message": {"content": "t", "phase": 5}}),
            "choices[0].message.phase",
        ),
        (
            json!({}),
            json!({"message": {"tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}", "extra_content": 1}}]}}),
            "choices[0].message.tool_calls[0].function.extra_content",
        ),
        (
            json!({}),
            json!({"logprobs": {"content": [], "refusal": [{"token": "t"}]}}),
            "choices[0].logprobs.refusal",
        ),
        (
            json!({}),
            json!({"message": {"content": "t", "audio": {"id": "a"}}}),
            "choices[0].message.audio",
        ),
        (
            json!({}),
            json!({"message": {"content": "t", "odd": 1}}),
            "choices[0].message.odd",
        ),
        (
            json!({}),
            json!({"message": {"tool_calls": [with(function.clone(), "odd")]}}),
            "choices[0].message.tool_calls[0].odd",
        ),
        (json!({}), json!({"odd": 1}), "choices[0].odd"),
        // Without text there is no message that could have these fields.
        (
            json!({}),
            json!({"message": {"tool_calls": [function], "extra_content": 1}}),
            "choices[0].message.extra_content",
        ),
        (
            json!({}),
            json!({"message": {"tool_calls": [function], "phase": "final_answer"}}),
            "choices[0].message.phase",
        ),
        (
            json!({}),
            json!({"message": {"content": "t", "reasoning_details": {"text": "r"}}}),
            "choices[0].message.reasoning_details",
        ),
        (
            json!({}),
            json!({"message": {"content": "t", "name": "n"}}),
            "choices[0].message.name",
        ),
        (
            json!({}),
            json!({"message": {"function_call": {"name": "f", "arguments": "{}", "odd": 1}}}),
            "choices[0].message.tool_calls[0].function.odd",
        ),
    ] {
        let mut whole = json!({"index": 0, "message": {"content": "t"}, "finish_reason": "stop"});
        whole
            .as_object_mut()
            .unwrap()
            .extend(choice.as_object().unwrap().clone());
        let mut completion = members.clone();
        completion["choices"] = json!([whole]);
        let decoded = ChatCompletion::decode(completion.to_string().as_bytes()).unwrap();
        assert_eq!(dropped_from_completion(&decoded), [path]);

        let mut piece = whole.clone();
        let delta = piece.as_object_mut().unwrap().remove("message").unwrap();
        piece["delta"] = delta;
        let mut chunk = members;
        chunk["choices"] = json!([piece]);
        let envelope = ResponseEnvelope::new(&ResponsesRequest::default(), "seed", 1);
        let mut translator = ChunkToEventTranslator::new(envelope);
        // A repeated tool call would be a further call.
        let is_call = |name: &&str| whole["message"].get(name).is_some();
        let has_calls = ["tool_calls", "function_call"].iter().any(is_call);
        let repeats = if has_calls { 1 } else { 3 };
        for _ in 0..repeats {
            translator.push(parse::<ChatChunk>(&chunk));
        }
        translator.finish();
        assert_eq!(translator.dropped_output(), [path]);
    }
    let choices: Vec<Value> = (0..2)
        .map(|index| json!({"index": index, "message": {"content": "t"}}))
        .collect();
    assert_eq!(
        dropped_from_completion(&parse(&json!({"choices": choices}))),
        ["choices[1]"]
    );
}

// In a complete answer, decoding already removes the value.
#[test]
fn annotations_of_a_chunk_that_are_no_list_are_reported() {
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": "t", "annotations": "s"}}]});
    let envelope = ResponseEnvelope::new(&ResponsesRequest::default(), "seed", 1);
    let mut translator = ChunkToEventTranslator::new(envelope);
    translator.push(parse::<ChatChunk>(&chunk));
    assert_eq!(translator.dropped_output(), ["choices[0].message.annotations"]);
}

#[test]
fn number_of_reported_paths_is_bounded() {
    let mut response = json!({"status": "completed", "output": []});
    for number in 0..1000 {
        response[format!("odd{number}")] = json!(1);
    }
    assert_eq!(dropped_from_response(&parse(&response)).len(), 128);
}
