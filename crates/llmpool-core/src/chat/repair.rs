//! Answers that providers write in ways of their own: read as what they mean, where the strict way of reading gives up.
//!
//! A number where an id should be, arguments that are an object, an empty list in place of a usage. Only what cannot be read otherwise comes
//! here; an answer as it should be keeps every byte of what it says.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The answer, or piece of one, with what is odd put right. `None` where it still cannot be read.
pub(super) fn repaired<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    answer(value.as_object_mut()?);
    // As text: what keeps numbers as they are written is read from nothing else.
    serde_json::from_str(&value.to_string()).ok()
}

fn answer(members: &mut Map<String, Value>) {
    texts(
        members,
        &["id", "object", "model", "system_fingerprint", "service_tier"],
    );
    keep(members, "created", is_number);
    keep(members, "usage", Value::is_object);
    if let Some(Value::Object(usage)) = members.get_mut("usage") {
        self::usage(usage);
    }
    let Some(choices) = members.get_mut("choices") else {
        return;
    };
    listed(choices);
    for choice in choices.as_array_mut().into_iter().flatten() {
        if let Value::Object(choice) = choice {
            self::choice(choice);
        }
    }
}

fn usage(usage: &mut Map<String, Value>) {
    for name in ["prompt_tokens", "completion_tokens", "total_tokens"] {
        keep(usage, name, is_number);
    }
    for name in ["prompt_tokens_details", "completion_tokens_details"] {
        keep(usage, name, Value::is_object);
        if let Some(Value::Object(details)) = usage.get_mut(name) {
            details.retain(|_, count| !count.is_object() && !count.is_array() && is_number(count));
        }
    }
}

fn choice(choice: &mut Map<String, Value>) {
    keep(choice, "index", is_number);
    if let Some(reason) = choice.get_mut("finish_reason") {
        if let Some(kind) = reason.get("type") {
            *reason = kind.clone();
        }
        text(reason);
    }
    for name in ["message", "delta"] {
        match choice.get_mut(name) {
            Some(Value::Object(message)) => self::message(message),
            Some(other) => *other = Value::Object(Map::new()),
            None => {}
        }
    }
}

fn message(message: &mut Map<String, Value>) {
    texts(message, &["role", "name", "tool_call_id"]);
    for name in ["refusal", "reasoning_content", "reasoning"] {
        if let Some(said) = message.get_mut(name) {
            spoken(said);
        }
    }
    match message.get_mut("content") {
        None | Some(Value::Null | Value::String(_)) => {}
        Some(content @ (Value::Object(_) | Value::Array(_))) => listed(content),
        Some(content) => text(content),
    }
    keep(message, "annotations", Value::is_array);
    keep(message, "function_call", Value::is_object);
    if let Some(Value::Object(function)) = message.get_mut("function_call") {
        self::function(function);
    }
    keep(message, "tool_calls", |calls| {
        calls.is_array() || calls.get("function").is_some()
    });
    let Some(calls) = message.get_mut("tool_calls") else {
        return;
    };
    listed(calls);
    for call in calls.as_array_mut().into_iter().flatten() {
        if let Value::Object(call) = call {
            self::call(call);
        }
    }
}

fn call(call: &mut Map<String, Value>) {
    texts(call, &["id", "type"]);
    keep(call, "index", is_number);
    for name in ["function", "custom"] {
        keep(call, name, Value::is_object);
        if let Some(Value::Object(function)) = call.get_mut(name) {
            self::function(function);
        }
    }
}

fn function(function: &mut Map<String, Value>) {
    texts(function, &["name", "arguments", "input"]);
}

/// A list without what is nothing; anything else as a list of one.
fn listed(value: &mut Value) {
    match value {
        Value::Array(items) => items.retain(|item| !item.is_null()),
        Value::Null => {}
        other => *other = Value::Array(vec![other.take()]),
    }
}

/// Texts, lists of texts, objects with a text.
fn spoken(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(spoken);
            let texts: String = items.iter().filter_map(Value::as_str).collect();
            *value = Value::String(texts);
        }
        Value::Object(members) if members.get("text").is_some_and(Value::is_string) => {
            *value = members.remove("text").unwrap_or_default();
        }
        Value::Bool(false) => *value = Value::Null,
        other => text(other),
    }
}

fn texts(members: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        if let Some(value) = members.get_mut(*name) {
            text(value);
        }
    }
}

/// A text; anything else as the text of its JSON.
fn text(value: &mut Value) {
    if !value.is_string() && !value.is_null() {
        *value = Value::String(value.to_string());
    }
}

/// Takes a member out that is not what it should be.
fn keep(members: &mut Map<String, Value>, name: &str, fits: impl Fn(&Value) -> bool) {
    if members
        .get(name)
        .is_some_and(|value| !value.is_null() && !fits(value))
    {
        members.remove(name);
    }
}

fn is_number(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().parse::<f64>().is_ok(),
        other => other.is_number(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::{ChatCompletion, ChunkDecoder};

    // L77
    #[test]
    fn odd_answers_are_read_as_what_they_mean() {
        let said = json!({"role": "assistant", "content": "x"});
        let of =
            |message: Value| json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
        let with = |name: &str, value: Value| {
            let mut answer = of(said.clone());
            answer[name] = value;
            answer
        };
        for (what, answer) in [
            ("an id that is a number", with("id", json!(123))),
            ("a model that is a number", with("model", json!(1))),
            (
                "a fingerprint that is a number",
                with("system_fingerprint", json!(1)),
            ),
            ("a date", with("created", json!("2025-01-01T00:00:00Z"))),
            ("a tier that is an object", with("service_tier", json!({}))),
            ("a usage that is a list", with("usage", json!([]))),
            ("a usage that is a text", with("usage", json!(""))),
            (
                "details that are a list",
                with("usage", json!({"prompt_tokens": 1, "prompt_tokens_details": []})),
            ),
            (
                "details that are a number",
                with("usage", json!({"completion_tokens_details": 0})),
            ),
            (
                "tokens that are an empty text",
                with("usage", json!({"prompt_tokens": ""})),
            ),
            (
                "content that is an object",
                of(json!({"content": {"type": "text", "text": "x"}})),
            ),
            (
                "calls that are an object",
                of(json!({"content": "x", "tool_calls": {}})),
            ),
            (
                "a call that is nothing",
                of(json!({"content": "x", "tool_calls": [null]})),
            ),
            (
                "annotations that are an object",
                of(json!({"content": "x", "annotations": {}})),
            ),
            (
                "a refusal that is false",
                of(json!({"content": "x", "refusal": false})),
            ),
            ("a role that is a number", of(json!({"content": "x", "role": 1}))),
            (
                "a reason that is a number",
                json!({"choices": [{"message": said, "finish_reason": 1}]}),
            ),
            ("a choice by itself", json!({"choices": {"message": said}})),
        ] {
            let read = ChatCompletion::decode(answer.to_string().as_bytes());
            let read = read.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(read.text(), "x", "{what}");
            assert!(read.choices[0].message.refusal.is_none(), "{what}");
        }
        let calls = json!({"tool_calls": [{"id": 7, "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}]});
        let read = ChatCompletion::decode(of(calls.clone()).to_string().as_bytes()).unwrap();
        let call = &read.choices[0].message.tool_calls[0];
        assert_eq!(call.id.as_deref(), Some("7"));
        assert_eq!(
            call.function.as_ref().unwrap().arguments.as_deref(),
            Some(r#"{"a":1}"#)
        );
        let chunk =
            json!({"choices": [{"index": 0, "delta": calls, "finish_reason": {"type": "tool_calls"}}]});
        let read = ChunkDecoder::new().decode(chunk.to_string().as_bytes()).unwrap();
        assert_eq!(read.choices[0].delta.tool_calls[0].id.as_deref(), Some("7"));
        assert_eq!(
            read.choices[0].finish_reason.as_ref().unwrap().as_str(),
            "tool_calls"
        );
        let thought = of(
            json!({"content": "x", "reasoning": {"text": "y"}, "reasoning_content": ["a", {"text": "b"}]}),
        );
        let read = ChatCompletion::decode(thought.to_string().as_bytes()).unwrap();
        let message = &read.choices[0].message;
        assert_eq!(
            (message.reasoning.as_deref(), message.reasoning_content.as_deref()),
            (Some("y"), Some("ab"))
        );
        for none in ["[]", "5", "null", "{", "{\"choices\": 5}"] {
            let read = ChatCompletion::decode(none.as_bytes());
            assert!(read.is_err() || read.unwrap().text().is_empty(), "{none}");
        }
    }
}
