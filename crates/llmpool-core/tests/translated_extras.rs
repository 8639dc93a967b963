//! Fields that a model writes and gets back in the next request, and moderation results, in translated requests and answers.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool_core::chat::{Assembler, ChatChunk};
use llmpool_core::responses::{Response, ResponseEvent, ResponsesRequest};
use llmpool_core::translate::{
    self, ChatCapabilities, ChunkToEventTranslator, EventToChunkTranslator, ResponseEnvelope,
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

fn gemini() -> ChatCapabilities {
    ChatCapabilities {
        openai_extensions: false,
        ..ChatCapabilities::default()
    }
}

fn mark() -> Value {
    json!({"google": {"thought_signature": "MARK"}})
}

/// A chat completion and a response with the same content: a text and a function call, both with `extra_content`, and a phase.
fn answers() -> (Value, Value) {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": mark()});
    let message = json!({"role": "assistant", "content": "t", "tool_calls": [call], "extra_content": mark(), "phase": "final_answer"});
    let completion = json!({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]});
    let text = json!({"type": "output_text", "text": "t", "annotations": []});
    let response = json!({"id": "r", "status": "completed", "output": [
        {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text], "extra_content": mark(), "phase": "final_answer"},
        {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed", "extra_content": mark()},
    ]});
    (completion, response)
}

#[test]
fn echoed_fields_of_answers_are_translated_both_ways() {
    let (completion, response) = answers();
    let to_chat = to_json(&translate::response_to_completion(parse(&response)).unwrap());
    let message = &to_chat["choices"][0]["message"];
    assert_eq!(message["tool_calls"][0]["extra_content"], mark());
    assert_eq!(message["extra_content"], mark());
    assert_eq!(message["phase"], "final_answer");

    let to_responses = to_json(&translate::completion_to_response(parse(&completion), &envelope()).unwrap());
    let output = &to_responses["output"];
    assert_eq!(output[0]["extra_content"], mark());
    assert_eq!(output[0]["phase"], "final_answer");
    assert_eq!(output[1]["extra_content"], mark());
}

#[test]
fn echoed_fields_beside_invalid_ones_are_translated() {
    let (_, mut response) = answers();
    response["output"][0]["status"] = json!(5);
    response["output"][1]["arguments"] = json!({"a": 1});
    let events = [json!({"type": "response.completed", "response": response})];
    let whole = to_json(&translate::response_to_completion(parse(&response)).unwrap());
    for answer in [&whole, &assembled(&events)] {
        let message = &answer["choices"][0]["message"];
        assert_eq!(message["tool_calls"][0]["extra_content"], mark());
        assert_eq!(message["phase"], "final_answer");
        assert_eq!(message["extra_content"], mark());
    }
    response["output"][0]["phase"] = json!(7);
    let whole = to_json(&translate::response_to_completion(parse(&response)).unwrap());
    assert_eq!(whole["choices"][0]["message"]["extra_content"], mark());
}

#[test]
fn echoed_fields_of_requests_are_translated_both_ways() {
    let (completion, response) = answers();
    let request = json!({"messages": [completion["choices"][0]["message"]]});
    let translated = translate::chat_request_to_responses(&parse(&request)).unwrap();
    assert_eq!(translated.dropped, Vec::<String>::new());
    let input = &to_json(&translated.request)["input"];
    assert_eq!(
        (&input[0]["extra_content"], &input[1]["extra_content"]),
        (&mark(), &mark())
    );
    assert_eq!(input[0]["phase"], "final_answer");

    let request = json!({"input": response["output"]});
    let translated = translate::responses_request_to_chat(&parse(&request), gemini()).unwrap();
    assert_eq!(translated.dropped, ["input[0].phase"]);
    let message = &to_json(&translated.request)["messages"][0];
    assert_eq!(message["tool_calls"][0]["extra_content"], mark());
    assert_eq!(message["extra_content"], mark());
}

#[test]
fn extra_content_is_not_sent_to_openai() {
    let (_, response) = answers();
    let request = json!({"input": response["output"]});
    let translated =
        translate::responses_request_to_chat(&parse(&request), ChatCapabilities::default()).unwrap();
    assert!(!to_json(&translated.request).to_string().contains("MARK"));
    assert_eq!(
        translated.dropped,
        [
            "input[0].phase",
            "input[0].extra_content",
            "input[1].extra_content"
        ]
    );
}

fn assembled(events: &[Value]) -> Value {
    let (mut translator, mut assembler) = (EventToChunkTranslator::new(), Assembler::new());
    for event in events {
        translator.push(parse(event)).unwrap();
        while let Some(chunk) = translator.next_chunk() {
            assembler.push(chunk);
        }
    }
    to_json(&assembler.finish())
}

fn events_of(chunks: &[Value]) -> Vec<ResponseEvent> {
    let mut translator = ChunkToEventTranslator::new(envelope());
    chunks
        .iter()
        .for_each(|chunk| translator.push(parse::<ChatChunk>(chunk)));
    translator.finish();
    std::iter::from_fn(|| translator.next_event()).collect()
}

fn delta(delta: &Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta}]})
}

#[test]
fn echoed_fields_of_event_streams_are_in_the_assembled_chat() {
    let (_, response) = answers();
    let plain = to_json(&translate::response_to_completion(parse(&response)).unwrap());
    // The call is added without its `extra_content`, which arrives with the complete item.
    let events = [
        json!({"type": "response.output_item.added", "output_index": 1,
            "item": {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "", "status": "in_progress"}}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "fc", "output_index": 1, "delta": "{}"}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": response["output"][1]}),
        json!({"type": "response.completed", "response": response}),
    ];
    for events in [&events[..], &events[3..]] {
        let message = &assembled(events)["choices"][0]["message"];
        assert_eq!(message["tool_calls"][0]["extra_content"], mark());
        for field in ["extra_content", "phase", "tool_calls"] {
            assert_eq!(message[field], plain["choices"][0]["message"][field], "{field}");
        }
    }
}

#[test]
fn echoed_fields_of_chunk_streams_are_in_the_last_response() {
    let call = |more: Value| {
        let mut call = json!({"index": 0, "id": "c", "type": "function"});
        call.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        delta(&json!({"tool_calls": [call]}))
    };
    let named = json!({"function": {"name": "f", "arguments": "{}"}});
    let with_name = json!({"function": {"name": "f", "arguments": "{}"}, "extra_content": mark()});
    let late = json!({"function": {"arguments": ""}, "extra_content": mark()});
    let early = json!({"extra_content": mark()});
    for pieces in [vec![with_name], vec![named.clone(), late], vec![early, named]] {
        let mut chunks = vec![
            delta(&json!({"content": "t"})),
            delta(&json!({"extra_content": mark()})),
        ];
        chunks.push(delta(&json!({"phase": "final_answer"})));
        chunks.extend(pieces.into_iter().map(call));
        let events = to_json(&events_of(&chunks));
        let events = events.as_array().unwrap();
        let output = &events.last().unwrap()["response"]["output"];
        assert_eq!(output[0]["extra_content"], mark(), "{output}");
        assert_eq!(output[0]["phase"], "final_answer");
        assert_eq!(output[1]["extra_content"], mark());
        let done = |event: &&Value| event["type"] == "response.output_item.done";
        for item in events.iter().filter(done).map(|event| &event["item"]) {
            assert_eq!(item["extra_content"], mark(), "{item}");
        }
    }
}

#[test]
fn moderation_results_are_translated_both_ways() {
    let result = json!({"type": "moderation_result", "model": "m", "flagged": false, "category_scores": {"hate": 0.5}});
    let error = json!({"type": "error", "code": "c", "message": "e"});
    let of_response = json!({"input": result, "output": error});
    let of_chat =
        json!({"input": {"type": "moderation_results", "model": "m", "results": [result]}, "output": error});

    let message =
        json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "t"}]});
    let response = json!({"status": "completed", "output": [message], "moderation": of_response});
    let completion = translate::response_to_completion(parse(&response)).unwrap();
    assert_eq!(to_json(&completion)["moderation"], of_chat);
    let events = [json!({"type": "response.completed", "response": response})];
    assert_eq!(assembled(&events)["moderation"], of_chat);

    let completion = json!({"choices": [{"index": 0, "message": {"content": "t"}, "finish_reason": "stop"}], "moderation": of_chat});
    let response: Response = translate::completion_to_response(parse(&completion), &envelope()).unwrap();
    assert_eq!(to_json(&response)["moderation"], of_response);
    let chunks = [
        delta(&json!({"content": "t"})),
        json!({"choices": [], "moderation": of_chat}),
    ];
    let events = to_json(&events_of(&chunks));
    assert_eq!(
        events.as_array().unwrap().last().unwrap()["response"]["moderation"],
        of_response
    );
}
