//! Repairs completions and chunks that cannot be decoded.
//!
//! Some providers send an ID as a number, tool call arguments as an object, or usage as an empty list. JSON
//! is repaired only if it cannot be decoded as it is, so a valid completion is never changed. Values are
//! moved as text: digits and the order of members are kept, and the depth of a value does not matter.
//!
//! The stream view, the decoders and the readers of usage call the same functions, so they agree on what can
//! be read.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::lenient_u64::LenientU64;
use super::part::Part;
use crate::lenient_json;
use crate::raw_object::{RawObject, quoted};

/// The kind of answer that is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    /// A complete chat completion, whose choices have messages.
    Completion,
    /// A chunk of a stream, whose choices have deltas.
    Chunk,
}

/// Returns a completion or chunk with its text cleaned and all values of unexpected types converted. Drops
/// values whose meaning is unclear, and all but the last of repeated members. Returns `None` if `json` is not
/// an object.
pub(crate) fn repaired(json: &[u8], kind: AnswerKind) -> Option<String> {
    let text = lenient_json::cleaned_text(json);
    let mut answer = RawObject::parse(&text)?;
    for name in ["id", "object", "model", "system_fingerprint", "service_tier"] {
        answer.edit(name, to_string);
    }
    answer.edit("created", to_count);
    answer.edit("usage", repaired_usage);
    answer.edit("choices", |choices| {
        to_list(choices, |choice| repaired_choice(choice, kind))
    });
    Some(answer.to_json())
}

/// Decodes the usage of either API format. A count or breakdown of an unexpected type counts as absent. `None`
/// if `json` is not an object.
pub(crate) fn decode_usage<T: DeserializeOwned>(json: &str) -> Option<T> {
    let decoded = serde_json::from_str(json).ok();
    decoded.or_else(|| serde_json::from_str(&repaired_usage(json)?).ok())
}

/// Returns a usage object of either API format without the values that cannot be decoded. Null stays null.
/// `None` if `json` is any other value.
pub(crate) fn repaired_usage(json: &str) -> Option<String> {
    const COUNTS: [&str; 5] = [
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "input_tokens",
        "output_tokens",
    ];
    const DETAILS: [&str; 4] = [
        "prompt_tokens_details",
        "completion_tokens_details",
        "input_tokens_details",
        "output_tokens_details",
    ];
    const COUNTS_IN_DETAILS: [&str; 6] = [
        "cached_tokens",
        "audio_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "accepted_prediction_tokens",
        "rejected_prediction_tokens",
    ];
    edit_object(json, |usage| {
        COUNTS.iter().for_each(|name| usage.edit(name, to_count));
        for name in DETAILS {
            usage.edit(name, |details| {
                edit_object(details, |details| {
                    COUNTS_IN_DETAILS
                        .iter()
                        .for_each(|name| details.edit(name, to_count));
                })
            });
        }
    })
}

fn repaired_choice(json: &str, kind: AnswerKind) -> Option<String> {
    let Some(mut choice) = RawObject::parse(json) else {
        // The decoder refuses it: a choice must not disappear.
        return Some(json.to_owned());
    };
    choice.edit("index", to_count);
    choice.edit("finish_reason", |reason| {
        let object = RawObject::parse(reason);
        let in_object = object.as_ref().and_then(|object| object.get("type"));
        to_string(in_object.unwrap_or(reason))
    });
    for name in ["message", "delta"] {
        choice.edit(name, repaired_message);
    }
    if kind == AnswerKind::Completion
        && choice.is_missing("message")
        && let Some(delta) = choice.remove("delta")
    {
        choice.set("message", delta.into_owned());
    }
    let name = match kind {
        AnswerKind::Completion => "message",
        AnswerKind::Chunk => "delta",
    };
    // The legacy completions API has its text here.
    if choice.is_missing(name)
        && choice.get("text").is_some_and(is_string)
        && let Some(text) = choice.remove("text")
    {
        choice.set(name, message_of(&text));
    }
    Some(choice.to_json())
}

fn repaired_message(json: &str) -> Option<String> {
    let Some(mut message) = RawObject::parse(json) else {
        return Some(match json {
            "null" => json.to_owned(),
            text if is_string(text) => message_of(text),
            _ => "{}".to_owned(),
        });
    };
    for name in ["role", "name", "tool_call_id"] {
        message.edit(name, to_string);
    }
    for name in ["refusal", "reasoning_content", "reasoning"] {
        message.edit(name, to_text);
    }
    message.edit("content", |content| match content.as_bytes().first() {
        Some(b'{') if !is_part(content) => object_text(content),
        Some(b'{' | b'[') => to_list(content, |part| Some(part.to_owned())),
        _ => to_string(content),
    });
    if message.is_missing("content")
        && message.get("text").is_some_and(is_string)
        && let Some(text) = message.remove("text")
    {
        message.set("content", text.into_owned());
    }
    message.edit("annotations", |list| {
        matches!(list.as_bytes().first(), Some(b'[' | b'n')).then(|| list.to_owned())
    });
    message.edit("function_call", repaired_function);
    message.edit("tool_calls", |calls| {
        let is_call = || RawObject::parse(calls).is_some_and(|call| !call.is_missing("function"));
        let is_list = matches!(calls.as_bytes().first(), Some(b'[' | b'n'));
        if is_list || is_call() {
            to_list(calls, repaired_call)
        } else {
            None
        }
    });
    Some(message.to_json())
}

/// Returns whether an object is a content part: of a known type, or text without a type and without other members
/// than annotations.
fn is_part(json: &str) -> bool {
    let is_text = |object: RawObject<'_>| {
        let members = ["type", "text", "annotations"];
        object.get("type").is_some() || object.names().all(|name| members.contains(&name))
    };
    let is_known = match serde_json::from_str(json) {
        Ok(Part::Text(part)) => part.has("text"),
        Ok(Part::Other(_)) | Err(_) => false,
        Ok(_) => true,
    };
    is_known && RawObject::parse(json).is_some_and(is_text)
}

/// Returns the JSON text of an object as a string, which is how providers send the answers of a JSON mode. Null if
/// the object has no members.
fn object_text(json: &str) -> Option<String> {
    let has_members = json.len() > 2 && !json[1..json.len() - 1].trim_ascii().is_empty();
    Some(if has_members {
        quoted(json)
    } else {
        "null".to_owned()
    })
}

/// Returns a message or delta with the given content, which is JSON text.
fn message_of(content: &str) -> String {
    format!(r#"{{"content":{content}}}"#)
}

fn repaired_call(json: &str) -> Option<String> {
    edit_object(json, |call| {
        for name in ["id", "type"] {
            call.edit(name, to_string);
        }
        call.edit("index", to_count);
        for name in ["function", "custom"] {
            call.edit(name, repaired_function);
        }
    })
}

fn repaired_function(json: &str) -> Option<String> {
    edit_object(json, |function| {
        for name in ["name", "arguments", "input"] {
            function.edit(name, to_string);
        }
    })
}

/// Edits the members of an object. Null stays null. `None` if `json` is any other value.
fn edit_object(json: &str, edit: impl FnOnce(&mut RawObject<'_>)) -> Option<String> {
    if json == "null" {
        return Some(json.to_owned());
    }
    let mut object = RawObject::parse(json)?;
    edit(&mut object);
    Some(object.to_json())
}

/// Wraps a value in a list. If the value is already a list, only removes nulls from the list. Null stays
/// null. Replaces each item with the result of `item`, or drops the item if the result is `None`.
fn to_list(json: &str, item: impl Fn(&str) -> Option<String>) -> Option<String> {
    let items = match json.as_bytes().first() {
        Some(b'n') => return Some(json.to_owned()),
        Some(b'[') => raw_items(json)?,
        _ => vec![json],
    };
    let items = items.into_iter().filter(|item| *item != "null");
    let items: Vec<String> = items.filter_map(item).collect();
    Some(format!("[{}]", items.join(",")))
}

/// Returns the items of a list as JSON text. `None` if `json` is not a list.
fn raw_items(json: &str) -> Option<Vec<&str>> {
    let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    Some(items.into_iter().map(RawValue::get).collect())
}

/// Converts a value to a string. A list becomes the concatenation of its converted items, and an object with
/// a string in its `text` field becomes that string. `false` becomes null. Strings and null stay unchanged.
/// Any other value becomes its JSON text.
fn to_text(json: &str) -> Option<String> {
    match json {
        "false" => Some("null".to_owned()),
        list if list.starts_with('[') => {
            let texts = raw_items(list)?.into_iter().filter_map(item_text);
            Some(quoted(&texts.collect::<String>()))
        }
        object if object.starts_with('{') => Some(quoted(&item_text(object)?)),
        other => to_string(other),
    }
}

/// Returns the text of a string, or of an object with a string in its `text` field. Any other value except
/// null and `false` is its own JSON text.
fn item_text(json: &str) -> Option<Cow<'_, str>> {
    let object = RawObject::parse(json);
    let text = object.as_ref().and_then(|object| object.get("text"));
    match text.filter(|text| is_string(text)).unwrap_or(json) {
        "null" | "false" => None,
        text if is_string(text) => serde_json::from_str(text).ok().map(Cow::Owned),
        _ => Some(Cow::Borrowed(json)),
    }
}

/// Replaces a value with its JSON text. Strings and null stay unchanged.
fn to_string(json: &str) -> Option<String> {
    let is_text = json == "null" || is_string(json);
    Some(if is_text { json.to_owned() } else { quoted(json) })
}

/// Returns a value unchanged if it can be decoded as a count, which may be absent. `None` if it is a number
/// beyond any type.
fn to_count(json: &str) -> Option<String> {
    let count: Option<LenientU64> = serde_json::from_str(json).ok();
    count.map(|_| json.to_owned())
}

fn is_string(json: &str) -> bool {
    json.starts_with('"')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
