//! Reads the events of a response stream and checks that they build the response in the last event.

use serde_json::{Value, json};

use crate::client::Reply;

/// Returns the events of a stream, and whether it ends with `[DONE]`. Checks that each event is a chunk of its own.
pub(crate) fn events(reply: &Reply) -> (Vec<Value>, bool) {
    let mut pieces: Vec<&str> = reply
        .pieces
        .iter()
        .map(|piece| std::str::from_utf8(piece).unwrap())
        .collect();
    let done = pieces.last() == Some(&"data: [DONE]\n\n");
    pieces.truncate(pieces.len() - usize::from(done));
    let events = pieces.into_iter().enumerate().map(|(number, piece)| {
        let (kind, data) = piece.split_once('\n').unwrap();
        let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap().trim_end()).unwrap();
        assert_eq!(kind.strip_prefix("event: "), event["type"].as_str());
        assert_eq!(event["sequence_number"], number);
        event
    });
    (events.collect(), done)
}

pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

/// Returns the final response of a complete stream, after checking the order and content of all events.
pub(crate) fn response(reply: &Reply) -> Value {
    let (events, done) = events(reply);
    assert!(done, "no [DONE]");
    let (last, events) = events.split_last().unwrap();
    let (opening, events) = events.split_at(2);
    assert_eq!(types(opening), ["response.created", "response.in_progress"]);
    for event in opening {
        let started = &event["response"];
        assert_eq!(
            (&started["status"], &started["output"]),
            (&json!("in_progress"), &json!([]))
        );
        assert_eq!(
            (&started["usage"], &started["id"]),
            (&Value::Null, &last["response"]["id"])
        );
    }
    let mut output = Vec::new();
    let mut rest = events;
    while !rest.is_empty() {
        let (item, left) = item(rest, output.len());
        output.push(item);
        rest = left;
    }
    let response = &last["response"];
    assert_eq!(response["output"], json!(output));
    assert_eq!(
        last["type"],
        format!("response.{}", response["status"].as_str().unwrap())
    );
    response.clone()
}

/// Reads the events of one item and returns it with the remaining events.
fn item(events: &[Value], index: usize) -> (Value, &[Value]) {
    let end = events
        .iter()
        .position(|event| event["type"] == "response.output_item.done");
    let (events, left) = events.split_at(end.expect("an item without an output_item.done event") + 1);
    let (first, rest) = events.split_first().unwrap();
    let (last, inner) = rest.split_last().unwrap();
    assert_eq!(first["type"], "response.output_item.added");
    for event in events {
        assert_eq!(event["output_index"], index);
    }
    for event in inner {
        assert_eq!(event["item_id"], first["item"]["id"]);
    }
    let (opened, closed) = (&first["item"], &last["item"]);
    for member in ["id", "type", "name", "call_id", "role"] {
        assert_eq!(opened.get(member), closed.get(member));
    }
    assert_eq!(opened["status"], "in_progress");
    let closed = closed.clone();
    match closed["type"].as_str().unwrap() {
        "function_call" => {
            assert_eq!(opened["arguments"], "");
            let (text, done) = text(inner, "response.function_call_arguments");
            assert_eq!(
                (&done["arguments"], &done["name"]),
                (&json!(text), &closed["name"])
            );
            assert_eq!(closed["arguments"], text);
        }
        "reasoning" => {
            let open = (opened.get("content"), &opened["summary"]);
            assert_eq!(open, (None, &json!([])));
            if let Some(summary) = closed["summary"].get(0) {
                assert_eq!(
                    *summary,
                    part(inner, "response.reasoning_summary", "summary_index")
                );
            } else if closed.get("content").is_some() {
                assert_eq!(
                    closed["content"][0],
                    part(inner, "response.reasoning", "content_index")
                );
            } else {
                assert!(inner.is_empty() && closed["encrypted_content"].is_string());
            }
        }
        _ => {
            assert_eq!(opened["content"], json!([]));
            let name = match closed["content"][0]["type"].as_str() {
                Some("refusal") => "response.refusal",
                _ => "response.output",
            };
            assert_eq!(closed["content"][0], part(inner, name, "content_index"));
        }
    }
    (closed, left)
}

/// Reads the events of a content part and returns the part.
fn part(events: &[Value], name: &str, index: &str) -> Value {
    let frame = match name {
        "response.reasoning_summary" => "response.reasoning_summary_part",
        _ => "response.content_part",
    };
    let (first, rest) = events.split_first().unwrap();
    let (last, inner) = rest.split_last().unwrap();
    assert_eq!(
        (&first["type"], &last["type"]),
        (&json!(format!("{frame}.added")), &json!(format!("{frame}.done")))
    );
    assert!(events.iter().all(|event| event[index] == 0), "{index}");
    let member = if name == "response.refusal" {
        "refusal"
    } else {
        "text"
    };
    let name = if member == "refusal" {
        name.to_owned()
    } else {
        format!("{name}_text")
    };
    let (text, done) = text(inner, &name);
    assert_eq!(
        (&first["part"][member], &done[member]),
        (&json!(""), &json!(text))
    );
    assert_eq!(last["part"][member], text);
    if name == "response.output_text" {
        assert!(inner.iter().all(|event| event["logprobs"] == json!([])));
        assert_eq!(last["part"]["annotations"], json!([]));
    }
    last["part"].clone()
}

/// Joins the deltas and returns the text with the event that ends them.
fn text<'a>(events: &'a [Value], name: &str) -> (String, &'a Value) {
    let (done, deltas) = events.split_last().unwrap();
    assert_eq!(done["type"], format!("{name}.done"));
    let text = deltas.iter().map(|event| {
        assert_eq!(event["type"], format!("{name}.delta"));
        event["delta"].as_str().unwrap()
    });
    (text.collect(), done)
}
