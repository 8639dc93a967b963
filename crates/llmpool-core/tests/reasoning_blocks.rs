//! Reasoning blocks (`reasoning_details`): assembled from fragments, and restored after a translation there and back.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool_core::chat::{Assembler, ChatChunk};
use llmpool_core::responses::{ResponsesRequest, resource_refs};
use llmpool_core::translate::{
    self, ChatCapabilities, ChunkToEventTranslator, EventToChunkTranslator, ReasoningEcho, ResponseEnvelope,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn parse<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_str(&value.to_string()).unwrap()
}

fn to_json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap()
}

fn envelope() -> ResponseEnvelope {
    ResponseEnvelope::new(&ResponsesRequest::default(), "seed", 1)
}

fn details_chunk(blocks: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": {"reasoning_details": blocks}}]})
}

fn assembled_details(chunks: &[Value]) -> Value {
    let mut assembler = Assembler::new();
    chunks
        .iter()
        .for_each(|chunk| assembler.push(parse::<ChatChunk>(chunk)));
    to_json(&assembler.finish())["choices"][0]["message"]["reasoning_details"].clone()
}

#[test]
fn fragments_of_one_block_are_joined() {
    let text = |text: &str| json!([{"type": "reasoning.text", "index": 0, "text": text}]);
    let signed =
        json!([{"type": "reasoning.text", "index": 0, "text": null, "signature": "S", "format": "f"}]);
    let encrypted = json!([{"type": "reasoning.encrypted", "index": 1, "data": "d"}]);
    let chunks = [
        text("a"),
        text("b"),
        signed,
        encrypted,
        json!([{"text": "x"}]),
        json!([{"text": "y"}]),
    ];
    assert_eq!(
        assembled_details(&chunks.map(details_chunk)),
        json!([
            {"type": "reasoning.text", "index": 0, "text": "ab", "signature": "S", "format": "f"},
            {"type": "reasoning.encrypted", "index": 1, "data": "d"},
            {"text": "x"},
            {"text": "y"},
        ])
    );
}

/// Returns the input items of the next request, after a translation of the items to a chat and back.
fn restored(items: &Value) -> Value {
    let mut output = items.as_array().unwrap().clone();
    output.push(json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "t", "annotations": []}]}));
    let response = json!({"id": "r", "status": "completed", "output": output});
    let completion = to_json(&translate::response_to_completion(parse(&response)).unwrap());
    let request = json!({"store": true, "messages": [completion["choices"][0]["message"]]});
    let mut input = to_json(
        &translate::chat_request_to_responses(&parse(&request))
            .unwrap()
            .request,
    )["input"]
        .take();
    input.as_array_mut().unwrap().pop();
    input
}

#[test]
fn items_without_id_stay_apart() {
    for items in [
        json!([{"type": "reasoning", "summary": [], "encrypted_content": "a"}, {"type": "reasoning", "summary": [], "encrypted_content": "b"}]),
        json!([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}]}, {"type": "reasoning", "summary": [{"type": "summary_text", "text": "b"}]}]),
    ] {
        assert_eq!(restored(&items), items);
    }
}

#[test]
fn further_members_of_reasoning_items_are_restored() {
    let items = json!([{"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "a", "y": 1}],
        "content": [], "status": "completed", "encrypted_content": "e", "x": "MARK"}]);
    assert_eq!(restored(&items), items);
}

#[test]
fn summary_that_streams_only_in_deltas_is_in_the_blocks() {
    let item = json!({"type": "reasoning", "id": "rs", "summary": []});
    let delta = |index: u8, text: &str| json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs", "output_index": 0, "summary_index": index, "delta": text});
    let (mut translator, mut assembler) = (EventToChunkTranslator::new(), Assembler::new());
    for event in [
        json!({"type": "response.output_item.added", "output_index": 0, "item": item}),
        delta(0, "a"),
        delta(0, "b"),
        delta(1, "c"),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": {"status": "completed", "output": [item]}}),
    ] {
        translator.push(parse(&event)).unwrap();
        std::iter::from_fn(|| translator.next_chunk()).for_each(|chunk| assembler.push(chunk));
    }
    let message = to_json(&assembler.finish())["choices"][0]["message"].take();
    let texts: Vec<&Value> = message["reasoning_details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| &block["summary"])
        .collect();
    assert_eq!(
        (texts, &message["reasoning_content"]),
        (vec![&json!("ab"), &json!("c")], &json!("ab\n\nc"))
    );
}

fn foreign() -> Value {
    json!([{"type": "reasoning.text", "text": "t", "signature": "SIGNED", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "d", "format": null},
        {"type": "reasoning.text", "text": "u"}])
}

/// Returns the `reasoning_details` and the dropped fields of the next chat request, which repeats `output`.
fn echoed(output: &Value, echo: ReasoningEcho) -> (Value, Vec<String>) {
    let capabilities = ChatCapabilities {
        reasoning_echo: echo,
        ..ChatCapabilities::default()
    };
    let request = json!({"input": output});
    let translated = translate::responses_request_to_chat(&parse(&request), capabilities).unwrap();
    (
        to_json(&translated.request)["messages"][0]["reasoning_details"].take(),
        translated.dropped,
    )
}

#[test]
fn foreign_blocks_are_restored_in_the_next_request() {
    let own =
        json!({"type": "reasoning.summary", "id": "rs", "summary": "s", "format": "openai-responses-v1"});
    let mut mixed = foreign();
    mixed.as_array_mut().unwrap().insert(1, own);
    for blocks in [foreign(), mixed] {
        let message = json!({"content": "a", "reasoning": "t", "reasoning_details": blocks});
        let completion = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
        let response = to_json(&translate::completion_to_response(parse(&completion), &envelope()).unwrap());
        let output = &response["output"];
        assert_eq!(output[0]["content"][0]["text"], "t", "{output}");
        assert_eq!(echoed(output, ReasoningEcho::Details), (blocks, Vec::new()));
        let (_, dropped) = echoed(output, ReasoningEcho::Content);
        assert_eq!(dropped[0], "input[0].encrypted_content");
        let request = json!({"input": output}).to_string();
        assert_eq!(
            resource_refs(request.as_bytes())
                .iter()
                .filter(|found| found.required)
                .count(),
            0
        );
    }
}

#[test]
fn foreign_blocks_of_a_stream_are_restored_in_the_next_request() {
    let signed =
        json!({"type": "reasoning.text", "index": 0, "signature": "S", "format": "anthropic-claude-v1"});
    let text = |text: &str, format: &str| json!({"type": "reasoning.text", "index": 0, "text": text, "format": format});
    let content = json!({"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]});
    let chunks = [
        details_chunk(json!([text("a", "anthropic-claude-v1")])),
        details_chunk(json!([text("b", "anthropic-claude-v1")])),
        details_chunk(json!([signed])),
        content,
    ];
    let whole = assembled_details(&chunks);
    for position in [3, 0] {
        let mut chunks = chunks.to_vec();
        let content = chunks.pop().unwrap();
        chunks.insert(position, content);
        let mut translator = ChunkToEventTranslator::new(envelope());
        chunks.iter().for_each(|chunk| translator.push(parse(chunk)));
        translator.finish();
        let events: Vec<Value> = std::iter::from_fn(|| translator.next_event())
            .map(|event| to_json(&event))
            .collect();
        let output = &events.last().unwrap()["response"]["output"];
        assert!(output.to_string().contains("ab"), "{output}");
        let done: Vec<&Value> = events
            .iter()
            .filter(|event| event["type"] == "response.output_item.done")
            .map(|event| &event["item"])
            .collect();
        if position == 3 {
            assert_eq!(json!(done), *output);
            assert_eq!(echoed(output, ReasoningEcho::Details).0, whole);
        } else {
            assert!(output.to_string().contains("llmpool.blocks.1:"), "{output}");
        }
    }
}

#[test]
fn fragments_of_own_blocks_without_other_text_are_complete() {
    let fragment = |text: &str| {
        details_chunk(
            json!([{"type": "reasoning.summary", "summary": text, "index": 0, "format": "openai-responses-v1"}]),
        )
    };
    let mut translator = ChunkToEventTranslator::new(envelope());
    for text in ["a", "b", "c"] {
        translator.push(parse(&fragment(text)));
    }
    translator.finish();
    let last = std::iter::from_fn(|| translator.next_event()).last().unwrap();
    assert_eq!(
        to_json(&last)["response"]["output"][0]["content"][0]["text"],
        "abc"
    );
}
