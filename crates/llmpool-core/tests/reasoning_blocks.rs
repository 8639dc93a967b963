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

#[test]
fn blocks_with_other_ids_or_data_stay_apart() {
    let encrypted =
        |id: &str, data: &str| json!({"type": "reasoning.encrypted", "index": 0, "id": id, "data": data});
    let data = |data: &str| json!({"type": "reasoning.encrypted", "index": 0, "data": data});
    let text = |more: Value| {
        let mut block = json!({"type": "reasoning.text", "index": 0});
        block
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        block
    };
    for (fragments, blocks) in [
        (
            vec![
                encrypted("rs_1", "a"),
                encrypted("rs_2", "b"),
                encrypted("rs_1", "a"),
            ],
            vec![encrypted("rs_1", "a"), encrypted("rs_2", "b")],
        ),
        (vec![data("a"), data("b")], vec![data("a"), data("b")]),
        (vec![data("a"), data("a")], vec![data("a")]),
        (
            vec![
                text(json!({"id": "1", "text": "a"})),
                text(json!({"id": "2", "text": "x"})),
                text(json!({"id": "1", "text": "b"})),
            ],
            vec![
                text(json!({"id": "1", "text": "ab"})),
                text(json!({"id": "2", "text": "x"})),
            ],
        ),
        // A fragment without an id belongs to the last block, and an id may arrive late.
        (
            vec![
                text(json!({"text": "a"})),
                text(json!({"id": "1", "text": "b"})),
                text(json!({"id": null, "text": "c"})),
            ],
            vec![text(json!({"text": "abc", "id": "1"}))],
        ),
        (
            vec![
                text(json!({"text": "a", "signature": ""})),
                text(json!({"text": "b", "signature": "SIG"})),
                text(json!({"signature": ""})),
            ],
            vec![text(json!({"text": "ab", "signature": "SIG"}))],
        ),
    ] {
        let chunks: Vec<Value> = fragments
            .into_iter()
            .map(|block| details_chunk(json!([block])))
            .collect();
        assert_eq!(assembled_details(&chunks), json!(blocks));
    }
}

#[test]
fn reasoning_text_in_two_fields_is_streamed_once() {
    let details = details_chunk(json!([{"type": "reasoning.text", "index": 0, "text": "think"}]));
    let field = json!({"choices": [{"index": 0, "delta": {"reasoning_content": "think"}}]});
    for chunks in [[&details, &field], [&field, &details]] {
        let mut translator = ChunkToEventTranslator::new(envelope());
        chunks.iter().for_each(|chunk| translator.push(parse(chunk)));
        translator.finish();
        let last = std::iter::from_fn(|| translator.next_event()).last().unwrap();
        let output = to_json(&last)["response"]["output"].take();
        assert_eq!(output[0]["content"][0]["text"], "think", "{output}");
    }
}

#[test]
fn blocks_end_before_every_kind_of_output() {
    for delta in [
        json!({"refusal": "no"}),
        json!({"content": [{"type": "refusal", "refusal": "no"}]}),
        json!({"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}),
        json!({"function_call": {"name": "f", "arguments": "{}"}}),
    ] {
        let signed = json!([{"type": "reasoning.text", "text": "t", "signature": "S", "index": 0}]);
        let mut translator = ChunkToEventTranslator::new(envelope());
        translator.push(parse(&details_chunk(signed)));
        translator.push(parse(&json!({"choices": [{"index": 0, "delta": delta}]})));
        translator.finish();
        let events = to_json(&std::iter::from_fn(|| translator.next_event()).collect::<Vec<_>>());
        let done = |event: &&Value| event["type"] == "response.output_item.done";
        let first = events.as_array().unwrap().iter().find(done).unwrap();
        let encrypted = &first["item"]["encrypted_content"];
        assert!(encrypted.to_string().contains("signature"), "{delta}: {first}");
    }
}

/// Returns the message that is assembled from a stream whose item ends as `done` and is `last` in the last event.
fn message_of_late(done: &Value, last: &Value) -> Value {
    let (mut translator, mut assembler) = (EventToChunkTranslator::new(), Assembler::new());
    let text = json!({"type": "message", "id": "m2", "role": "assistant", "content": [{"type": "output_text", "text": "t"}]});
    for event in [
        json!({"type": "response.output_item.done", "output_index": 0, "item": done}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": text}),
        json!({"type": "response.completed", "response": {"status": "completed", "output": [last, text]}}),
    ] {
        translator.push(parse(&event)).unwrap();
        std::iter::from_fn(|| translator.next_chunk()).for_each(|chunk| assembler.push(chunk));
    }
    to_json(&assembler.finish())["choices"][0]["message"].take()
}

#[test]
fn fields_that_only_the_last_event_has_are_streamed() {
    let message = |annotations: Value| json!({"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": annotations}]});
    let image = |result: Value| json!({"type": "image_generation_call", "id": "ig", "result": result});
    let reasoning = |more: Value| {
        let mut item =
            json!({"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "s"}]});
        item.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        item
    };
    let citation = |url: &str| json!({"type": "url_citation", "url": url});
    for (done, last) in [
        (message(json!([])), message(json!([citation("u")]))),
        (
            message(json!([citation("u")])),
            message(json!([citation("u"), citation("v")])),
        ),
        (image(Value::Null), image(json!("AA=="))),
        (reasoning(json!({})), reasoning(json!({"encrypted_content": "e"}))),
        (
            reasoning(json!({"encrypted_content": "e"})),
            reasoning(json!({"encrypted_content": "e"})),
        ),
    ] {
        assert_eq!(
            message_of_late(&done, &last),
            message_of_late(&last, &last),
            "{last}"
        );
    }
    for (done, last) in [
        (json!({}), json!({"signature": "S", "encrypted_content": "e"})),
        (
            json!({"status": "completed"}),
            json!({"status": "completed", "encrypted_content": "e"}),
        ),
        (
            json!({"status": "in_progress"}),
            json!({"encrypted_content": "e"}),
        ),
    ] {
        let last = reasoning(last);
        let message = message_of_late(&reasoning(done), &last);
        let request = json!({"store": true, "messages": [message]});
        let translated = translate::chat_request_to_responses(&parse(&request)).unwrap();
        let input = to_json(&translated.request)["input"].take();
        assert_eq!(input[0], last, "{message}");
        assert_eq!(input[1]["type"], "message", "{input}");
    }
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
