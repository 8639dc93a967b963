//! The directions in which llmpool translates, and requests and answers that contain an object of the official SDKs' types.

use llmpool_core::chat::{Assembler, ChatChunk, ChatCompletion, ChatRequest};
use llmpool_core::responses::{Response, ResponsesRequest};
use llmpool_core::translate::{
    self, ChatCapabilities, ChunkToEventTranslator, EventToChunkTranslator, FailedResponse, ReasoningEcho,
    ResponseEnvelope, UnsupportedField,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) const TO_RESPONSES: &str = "Chat request to a Responses model";
pub(crate) const TO_CHAT: &str = "Responses request to a chat model";
pub(crate) const FROM_CHAT: &str = "Chat completion to a Responses client";
pub(crate) const FROM_RESPONSES: &str = "Response to a chat client";

/// The result of a translation: its JSON and the paths that it dropped, or the path that it refused.
pub(crate) type Translated = Result<(Value, Vec<String>), String>;

/// A direction of translation, for objects of one type that are put into a request or an answer.
pub(crate) struct Direction {
    pub(crate) name: &'static str,
    pub(crate) root: &'static str,
    /// Path of the object in the request or answer.
    pub(crate) place: &'static str,
    /// Returns the request or answer that contains the object at a path such as `responses.tool(function)`.
    pub(crate) wrap: fn(Value, head: &str) -> Value,
    pub(crate) translate: fn(&Value) -> Translated,
}

pub(crate) fn parse<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_str(&value.to_string()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap()
}

fn refused(error: UnsupportedField) -> String {
    error.param
}

fn chat_request(value: &Value) -> Translated {
    let translated = translate::chat_request_to_responses(&parse::<ChatRequest>(value)).map_err(refused)?;
    Ok((to_json(&translated.request), translated.dropped))
}

fn responses_request(value: &Value) -> Translated {
    request_with(
        value,
        ChatCapabilities {
            reasoning_echo: ReasoningEcho::Details,
            ..ChatCapabilities::default()
        },
    )
}

/// Translates a request for a provider without any extensions.
pub(crate) fn basic_request(value: &Value) -> Translated {
    request_with(
        value,
        ChatCapabilities {
            developer_role: false,
            max_completion_tokens: false,
            openai_extensions: false,
            reasoning_echo: ReasoningEcho::Dropped,
        },
    )
}

fn request_with(value: &Value, capabilities: ChatCapabilities) -> Translated {
    let request = parse::<ResponsesRequest>(value);
    let translated = translate::responses_request_to_chat(&request, capabilities).map_err(refused)?;
    Ok((to_json(&translated.request), translated.dropped))
}

fn failed(_: FailedResponse) -> String {
    // The failure takes the code and message of the error.
    "error".to_owned()
}

fn completion(value: &Value) -> Translated {
    let completion = parse::<ChatCompletion>(value);
    let dropped = translate::dropped_from_completion(&completion);
    let envelope = ResponseEnvelope::new(&ResponsesRequest::default(), "seed", 1);
    let response = translate::completion_to_response(completion, &envelope).map_err(failed)?;
    Ok((to_json(&response), dropped))
}

fn response(value: &Value) -> Translated {
    let response = Response::decode(value.to_string().as_bytes()).unwrap();
    let dropped = translate::dropped_from_response(&response);
    let completion = translate::response_to_completion(response).map_err(failed)?;
    Ok((to_json(&completion), dropped))
}

/// A message of the model. An answer without any output is an error.
fn answer_message() -> Value {
    json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "t", "annotations": []}]})
}

/// Completes an object with what gives its fields a meaning: a chat format needs a schema, a message a content, and a response output. A
/// response is finished, for the reason that it gives.
pub(crate) fn itself(mut object: Value, head: &str) -> Value {
    if let Some(schema) = object.pointer_mut("/response_format/json_schema")
        && schema.get("schema").is_none()
    {
        schema["schema"] = json!({});
    }
    if let Some(message) = object.pointer_mut("/choices/0/message")
        && message.get("content").is_none()
    {
        message["content"] = json!("t");
    }
    if head == "responses.answer" {
        let status = match &object {
            _ if !object["error"].is_null() => "failed",
            _ if !object["incomplete_details"].is_null() => "incomplete",
            _ => "completed",
        };
        object["status"] = json!(status);
        object["output"] = json!([answer_message()]);
    }
    object
}

fn in_chat(name: &str, value: Value) -> Value {
    json!({"messages": [{"role": "user", "content": "t"}], name: value})
}

fn in_responses(name: &str, value: Value) -> Value {
    json!({"input": "t", name: value})
}

/// Without `allowed_tools`, the tools that the choice names are the only ones that are sent.
fn with_choice(choice: Value) -> Value {
    let tools = ["canary-1", "canary-2"].map(|name| json!({"type": "function", "name": name}));
    json!({"input": "t", "tools": tools, "tool_choice": choice})
}

/// The message after the item is needed because reasoning belongs to the next message.
fn as_input(item: Value, _: &str) -> Value {
    json!({"input": [item, {"type": "message", "role": "assistant", "content": "t"}]})
}

fn as_output(mut item: Value, _: &str) -> Value {
    if item["type"] == "image_generation_call" && item.get("result").is_none() {
        item["result"] = json!("AA==");
    }
    if item["type"] == "message" {
        let message = answer_message();
        item["role"] = message["role"].clone();
        item["content"] = message["content"].clone();
    }
    json!({"status": "completed", "output": [item, answer_message()]})
}

fn item_with_part(mut part: Value) -> Value {
    if part["type"] == "input_image" && part.get("file_id").is_none() {
        part["image_url"] = part.get("image_url").cloned().unwrap_or_else(|| json!("u"));
    }
    match part["type"].as_str().unwrap() {
        "summary_text" => json!({"type": "reasoning", "id": "rs", "summary": [part]}),
        "reasoning_text" => json!({"type": "reasoning", "id": "rs", "summary": [], "content": [part]}),
        "output_text" | "refusal" => json!({"type": "message", "role": "assistant", "content": [part]}),
        _ => json!({"type": "message", "role": "user", "content": [part]}),
    }
}

pub(crate) const DIRECTIONS: [Direction; 13] = [
    Direction {
        name: TO_RESPONSES,
        root: "chat.request",
        place: "",
        wrap: itself,
        translate: chat_request,
    },
    Direction {
        name: TO_RESPONSES,
        root: "chat.message",
        place: "messages",
        wrap: |message, _| json!({"messages": [message]}),
        translate: chat_request,
    },
    Direction {
        name: TO_RESPONSES,
        root: "chat.tool",
        place: "tools",
        wrap: |tool, _| in_chat("tools", json!([tool])),
        translate: chat_request,
    },
    Direction {
        name: TO_RESPONSES,
        root: "chat.tool_choice",
        place: "tool_choice",
        wrap: |choice, _| in_chat("tool_choice", choice),
        translate: chat_request,
    },
    Direction {
        name: TO_CHAT,
        root: "responses.request",
        place: "",
        wrap: itself,
        translate: responses_request,
    },
    Direction {
        name: TO_CHAT,
        root: "responses.item",
        place: "input",
        wrap: as_input,
        translate: responses_request,
    },
    Direction {
        name: TO_CHAT,
        root: "responses.part",
        place: "input.content",
        wrap: |part, head| as_input(item_with_part(part), head),
        translate: responses_request,
    },
    Direction {
        name: TO_CHAT,
        root: "responses.tool",
        place: "tools",
        wrap: |tool, _| in_responses("tools", json!([tool])),
        translate: responses_request,
    },
    Direction {
        name: TO_CHAT,
        root: "responses.tool_choice",
        place: "tool_choice",
        wrap: |choice, _| with_choice(choice),
        translate: responses_request,
    },
    Direction {
        name: FROM_CHAT,
        root: "chat.answer",
        place: "",
        wrap: itself,
        translate: completion,
    },
    Direction {
        name: FROM_RESPONSES,
        root: "responses.answer",
        place: "",
        wrap: itself,
        translate: response,
    },
    Direction {
        name: FROM_RESPONSES,
        root: "responses.item",
        place: "output",
        wrap: as_output,
        translate: response,
    },
    Direction {
        name: FROM_RESPONSES,
        root: "responses.part",
        place: "output.content",
        // A response whose only message has no readable part is an error.
        wrap: |part, _| {
            let text = json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "t"}]});
            json!({"status": "completed", "output": [item_with_part(part), text]})
        },
        translate: response,
    },
];

/// Returns what a chat client gets from a stream that ends with the response, and, if `has_items`, also contains its items.
pub(crate) fn streamed_response(value: &Value, has_items: bool) -> Translated {
    let (mut translator, mut assembler) = (EventToChunkTranslator::new(), Assembler::new());
    let items = value["output"].as_array().into_iter().flatten().enumerate();
    let items = items.filter(|_| has_items).map(
        |(index, item)| json!({"type": "response.output_item.done", "output_index": index, "item": item}),
    );
    let last = json!({"type": "response.completed", "response": value});
    for event in items.chain([last]) {
        translator.push(parse(&event)).map_err(failed)?;
        std::iter::from_fn(|| translator.next_chunk()).for_each(|chunk| assembler.push(chunk));
    }
    Ok((to_json(&assembler.finish()), translator.dropped_output().to_vec()))
}

/// Returns what a Responses client gets from a stream of one chunk that contains the whole completion.
pub(crate) fn streamed_completion(value: &Value) -> Translated {
    let mut chunk = value.clone();
    for choice in chunk["choices"].as_array_mut().unwrap() {
        choice["delta"] = choice["message"].take();
    }
    let envelope = ResponseEnvelope::new(&ResponsesRequest::default(), "seed", 1);
    let mut translator = ChunkToEventTranslator::new(envelope);
    translator.push(parse::<ChatChunk>(&chunk));
    translator.finish();
    let last = std::iter::from_fn(|| translator.next_event()).last().unwrap();
    Ok((
        to_json(&last)["response"].take(),
        translator.dropped_output().to_vec(),
    ))
}
