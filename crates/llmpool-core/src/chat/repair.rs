//! Repairs completions and chunks whose values have unexpected types.
//!
//! Some providers send an ID as a number, tool call arguments as an object, or usage as an empty list. JSON
//! is repaired only if it cannot be decoded as it is, so a valid completion is never changed.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Decodes a completion or chunk after converting all values of unexpected types. Drops values whose meaning
/// is unclear. Returns `None` if the repaired JSON still cannot be decoded.
pub(super) fn repair<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    repair_completion(value.as_object_mut()?);
    // Goes through JSON text, because `RawValue` can be decoded from text only.
    serde_json::from_str(&value.to_string()).ok()
}

fn repair_completion(fields: &mut Map<String, Value>) {
    make_strings(
        fields,
        &["id", "object", "model", "system_fingerprint", "service_tier"],
    );
    retain_if(fields, "usage", Value::is_object);
    if let Some(Value::Object(usage)) = fields.get_mut("usage") {
        repair_usage(usage);
    }
    let Some(choices) = fields.get_mut("choices") else {
        return;
    };
    make_list(choices);
    for choice in choices.as_array_mut().into_iter().flatten() {
        if let Value::Object(choice) = choice {
            repair_choice(choice);
        }
    }
}

fn repair_usage(usage: &mut Map<String, Value>) {
    for name in ["prompt_tokens_details", "completion_tokens_details"] {
        retain_if(usage, name, Value::is_object);
    }
}

fn repair_choice(choice: &mut Map<String, Value>) {
    if let Some(reason) = choice.get_mut("finish_reason") {
        if let Some(kind) = reason.get("type") {
            *reason = kind.clone();
        }
        make_string(reason);
    }
    for name in ["message", "delta"] {
        match choice.get_mut(name) {
            Some(Value::Object(message)) => repair_message(message),
            Some(other) => *other = Value::Object(Map::new()),
            None => {}
        }
    }
}

fn repair_message(message: &mut Map<String, Value>) {
    make_strings(message, &["role", "name", "tool_call_id"]);
    for name in ["refusal", "reasoning_content", "reasoning"] {
        if let Some(value) = message.get_mut(name) {
            join_text(value);
        }
    }
    match message.get_mut("content") {
        None | Some(Value::Null | Value::String(_)) => {}
        Some(content @ (Value::Object(_) | Value::Array(_))) => make_list(content),
        Some(content) => make_string(content),
    }
    retain_if(message, "annotations", Value::is_array);
    retain_if(message, "function_call", Value::is_object);
    if let Some(Value::Object(function)) = message.get_mut("function_call") {
        repair_function(function);
    }
    retain_if(message, "tool_calls", |calls| {
        calls.is_array() || calls.get("function").is_some()
    });
    let Some(calls) = message.get_mut("tool_calls") else {
        return;
    };
    make_list(calls);
    for call in calls.as_array_mut().into_iter().flatten() {
        if let Value::Object(call) = call {
            repair_call(call);
        }
    }
}

fn repair_call(call: &mut Map<String, Value>) {
    make_strings(call, &["id", "type"]);
    for name in ["function", "custom"] {
        retain_if(call, name, Value::is_object);
        if let Some(Value::Object(function)) = call.get_mut(name) {
            repair_function(function);
        }
    }
}

fn repair_function(function: &mut Map<String, Value>) {
    make_strings(function, &["name", "arguments", "input"]);
}

/// Wraps a value in a list. If the value is already a list, only removes nulls from the list. Null stays
/// null.
fn make_list(value: &mut Value) {
    match value {
        Value::Array(items) => items.retain(|item| !item.is_null()),
        Value::Null => {}
        other => *other = Value::Array(vec![other.take()]),
    }
}

/// Converts a value to a string. A list becomes the concatenation of its converted items, and an object with
/// a string in its `text` field becomes that string. `false` becomes null. Strings and null stay unchanged.
/// Any other value becomes its JSON text.
fn join_text(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(join_text);
            let texts: String = items.iter().filter_map(Value::as_str).collect();
            *value = Value::String(texts);
        }
        Value::Object(members) if members.get("text").is_some_and(Value::is_string) => {
            *value = members.remove("text").unwrap_or_default();
        }
        Value::Bool(false) => *value = Value::Null,
        other => make_string(other),
    }
}

fn make_strings(fields: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        if let Some(value) = fields.get_mut(*name) {
            make_string(value);
        }
    }
}

/// Replaces a value with its JSON text. Strings and null stay unchanged.
fn make_string(value: &mut Value) {
    if !value.is_string() && !value.is_null() {
        *value = Value::String(value.to_string());
    }
}

/// Removes the field `name` if its value is invalid. A null value counts as valid.
fn retain_if(fields: &mut Map<String, Value>, name: &str, is_valid: impl Fn(&Value) -> bool) {
    if fields
        .get(name)
        .is_some_and(|value| !value.is_null() && !is_valid(value))
    {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::{ChatCompletion, ChunkDecoder};

    // L77
    #[test]
    fn values_of_unexpected_types_are_repaired() {
        let message = json!({"role": "assistant", "content": "x"});
        let of =
            |message: Value| json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
        let with = |name: &str, value: Value| {
            let mut answer = of(message.clone());
            answer[name] = value;
            answer
        };
        for (case, answer) in [
            ("id as a number", with("id", json!(123))),
            ("model as a number", with("model", json!(1))),
            ("fingerprint as a number", with("system_fingerprint", json!(1))),
            (
                "created as a date",
                with("created", json!("2025-01-01T00:00:00Z")),
            ),
            ("service tier as an object", with("service_tier", json!({}))),
            ("usage as a list", with("usage", json!([]))),
            ("usage as a string", with("usage", json!(""))),
            (
                "details as a list",
                with("usage", json!({"prompt_tokens": 1, "prompt_tokens_details": []})),
            ),
            (
                "details as a number",
                with("usage", json!({"completion_tokens_details": 0})),
            ),
            (
                "tokens as an empty string",
                with("usage", json!({"prompt_tokens": ""})),
            ),
            (
                "content as an object",
                of(json!({"content": {"type": "text", "text": "x"}})),
            ),
            (
                "tool calls as an object",
                of(json!({"content": "x", "tool_calls": {}})),
            ),
            (
                "null tool call",
                of(json!({"content": "x", "tool_calls": [null]})),
            ),
            (
                "annotations as an object",
                of(json!({"content": "x", "annotations": {}})),
            ),
            ("refusal as false", of(json!({"content": "x", "refusal": false}))),
            ("role as a number", of(json!({"content": "x", "role": 1}))),
            (
                "finish reason as a number",
                json!({"choices": [{"message": message, "finish_reason": 1}]}),
            ),
            (
                "choices as a single object",
                json!({"choices": {"message": message}}),
            ),
        ] {
            let read = ChatCompletion::decode(answer.to_string().as_bytes());
            let read = read.unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(read.text(), "x", "{case}");
            assert!(read.choices[0].message.refusal.is_none(), "{case}");
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
        let reasoning = of(
            json!({"content": "x", "reasoning": {"text": "y"}, "reasoning_content": ["a", {"text": "b"}]}),
        );
        let read = ChatCompletion::decode(reasoning.to_string().as_bytes()).unwrap();
        let message = &read.choices[0].message;
        assert_eq!(
            (message.reasoning.as_deref(), message.reasoning_content.as_deref()),
            (Some("y"), Some("ab"))
        );
        for invalid in ["[]", "5", "null", "{", "{\"choices\": 5}"] {
            let read = ChatCompletion::decode(invalid.as_bytes());
            assert!(read.is_err() || read.unwrap().text().is_empty(), "{invalid}");
        }
    }
}
