//! Responses as providers write them: documents and events.

use serde_json::{Value, json};

use crate::answer::{Choice, Finish, Usage};
use crate::provider::{Detail, Oddity, Provider};
use crate::wire::{raw_json, with_split_pairs, with_whole_pairs};

/// Returns the complete answer.
pub fn response(provider: &Provider) -> Value {
    let items = items(provider);
    let mut response = envelope(provider, items.iter().map(|item| item.done.clone()).collect());
    let finish = provider.answer.choices[0].finish;
    response["status"] = match finish {
        Finish::Stop => "completed".into(),
        Finish::Length | Finish::Filter => "incomplete".into(),
    };
    match finish {
        Finish::Stop => {}
        Finish::Length => response["incomplete_details"] = json!({"reason": "max_output_tokens"}),
        Finish::Filter => response["incomplete_details"] = json!({"reason": "content_filter"}),
    }
    if let Some(usage) = &provider.answer.usage {
        response["usage"] = usage_object(usage);
    }
    response
}

/// Returns the events of the stream.
pub fn events(provider: &Provider) -> Vec<Value> {
    let detail = provider.style.detail;
    let mut events = Vec::new();
    if detail != Detail::Last {
        for kind in ["response.created", "response.in_progress"] {
            let mut response = envelope(provider, Vec::new());
            response["status"] = "in_progress".into();
            events.push(json!({"type": kind, "response": response}));
        }
        for (place, item) in items(provider).into_iter().enumerate() {
            events.extend(item_events(provider, place, item));
        }
    }
    let mut last = response(provider);
    if matches!(
        detail,
        Detail::WithoutFinalOutput | Detail::DeltasWithoutFinalOutput
    ) {
        last["output"] = json!([]);
    }
    let kind = format!("response.{}", last["status"].as_str().unwrap());
    if provider.has(Oddity::FieldsInLastEvent) {
        last["type"] = kind.into();
        events.push(last);
    } else {
        events.push(json!({"type": kind, "response": last}));
    }
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = number.into();
        if provider.has(Oddity::OddNumbers) {
            event["score"] = raw_json("Infinity");
        }
    }
    events
}

fn envelope(provider: &Provider, output: Vec<Value>) -> Value {
    let mut response =
        json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": output});
    if provider.has(Oddity::OddNumbers) {
        response["score"] = raw_json("NaN");
    }
    if provider.has(Oddity::NullMembers) {
        for name in [
            "error",
            "incomplete_details",
            "usage",
            "instructions",
            "previous_response_id",
        ] {
            response[name] = Value::Null;
        }
    }
    response
}

/// An item of output, and how a stream sends it.
struct Item {
    done: Value,
    /// The item before its texts.
    added: Value,
    part: Option<Part>,
    deltas: Vec<String>,
    kind: &'static str,
}

/// The part of an item that contains its text.
struct Part {
    name: &'static str,
    index_name: &'static str,
    added: Value,
    done: Value,
}

fn items(provider: &Provider) -> Vec<Item> {
    let choice = &provider.answer.choices[0];
    let mut items = Vec::new();
    if !choice.reasoning.concat().is_empty() {
        items.push(reasoning_item(provider, choice));
    }
    if !choice.text.concat().is_empty() {
        items.push(message_item(provider, choice));
    }
    for (number, call) in choice.calls.iter().enumerate() {
        let done = |arguments: Value| {
            json!({"type": "function_call", "id": format!("fc_{number}"), "call_id": call.id,
                "name": call.whole_name(), "arguments": arguments, "status": "completed"})
        };
        let arguments = call.arguments.concat();
        let is_object = provider.has(Oddity::ArgumentsAsObject);
        items.push(Item {
            done: done(match is_object {
                true => serde_json::from_str(&arguments).unwrap(),
                false => arguments.into(),
            }),
            added: done("".into()),
            part: None,
            deltas: pieces(provider, &call.arguments),
            kind: "response.function_call_arguments",
        });
    }
    if provider.has(Oddity::NoItemIds) {
        for item in &mut items {
            for item in [&mut item.done, &mut item.added] {
                item.as_object_mut().unwrap().remove("id");
            }
        }
    }
    items
}

fn pieces(provider: &Provider, pieces: &[String]) -> Vec<String> {
    if provider.has(Oddity::SplitPairs) {
        with_split_pairs(pieces)
    } else {
        pieces.to_vec()
    }
}

fn reasoning_item(provider: &Provider, choice: &Choice) -> Item {
    let part = |text: &str| json!({"type": "summary_text", "text": text});
    let item = |summary: Value| json!({"type": "reasoning", "id": "rs_0", "summary": summary});
    let done = part(&choice.reasoning.concat());
    Item {
        done: item(json!([done])),
        added: item(json!([])),
        part: Some(Part {
            name: "response.reasoning_summary_part",
            index_name: "summary_index",
            added: part(""),
            done,
        }),
        deltas: pieces(provider, &choice.reasoning),
        kind: "response.reasoning_summary_text",
    }
}

fn message_item(provider: &Provider, choice: &Choice) -> Item {
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    let item = |content: Value| json!({"type": "message", "id": "msg_0", "role": "assistant", "status": "completed", "content": content});
    let text = choice.text.concat();
    Item {
        done: item(if provider.has(Oddity::PartsOfEveryKind) {
            content_of_any_kind(&with_whole_pairs(&choice.text))
        } else {
            json!([part(&text)])
        }),
        added: item(json!([])),
        part: Some(Part {
            name: "response.content_part",
            index_name: "content_index",
            added: part(""),
            done: part(&text),
        }),
        deltas: pieces(provider, &choice.text),
        kind: "response.output_text",
    }
}

/// Returns the content of a message, in a form that depends on the number of pieces of its text.
fn content_of_any_kind(pieces: &[String]) -> Value {
    let text = pieces.concat();
    match pieces.len() % 4 {
        0 => json!(text),
        1 => json!({"type": "output_text", "text": text}),
        2 => json!([{"type": "text", "text": text}]),
        _ => {
            let parts = pieces
                .iter()
                .map(|piece| json!({"type": "output_text", "text": piece}));
            parts.collect()
        }
    }
}

fn item_events(provider: &Provider, place: usize, item: Item) -> Vec<Value> {
    let detail = provider.style.detail;
    let has_done = !matches!(detail, Detail::Deltas | Detail::DeltasWithoutFinalOutput);
    let id = item.done.get("id").cloned();
    let event = |kind: &str, name: &str, value: Value| {
        let mut event = json!({"type": kind, name: value});
        if !provider.has(Oddity::NoIndexes) {
            event["output_index"] = place.into();
        }
        if let Some(id) = id.as_ref().filter(|_| name != "item") {
            event["item_id"] = id.clone();
        }
        if let Some(part) = item
            .part
            .as_ref()
            .filter(|_| name != "item" && !provider.has(Oddity::NoIndexes))
        {
            event[part.index_name] = 0.into();
        }
        event
    };
    let mut events = Vec::new();
    if detail != Detail::Items {
        events.push(event("response.output_item.added", "item", item.added.clone()));
        if let Some(part) = item.part.as_ref().filter(|_| has_done) {
            events.push(event(&format!("{}.added", part.name), "part", part.added.clone()));
        }
        for delta in &item.deltas {
            events.push(event(
                &format!("{}.delta", item.kind),
                "delta",
                delta.as_str().into(),
            ));
        }
        if has_done {
            let name = if item.part.is_some() { "text" } else { "arguments" };
            let text: Value = match &item.part {
                Some(part) => part.done["text"].clone(),
                None => item.done["arguments"].clone(),
            };
            events.push(event(&format!("{}.done", item.kind), name, text));
            if let Some(part) = &item.part {
                events.push(event(&format!("{}.done", part.name), "part", part.done.clone()));
            }
        }
    }
    if has_done {
        events.push(event("response.output_item.done", "item", item.done.clone()));
    }
    events
}

fn usage_object(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt.to_json(),
        "output_tokens": usage.completion.to_json(),
        "total_tokens": usage.total.to_json(),
    })
}
