//! Validates the input items of a Responses request and summarizes them.
//!
//! The only text that the summary keeps is the text of the last user message.

use std::collections::HashSet;

use serde_json::Value;

use super::fields::{missing, text, wrong_type, wrong_value};
use crate::chat::text_of;
use crate::errors::ErrorResponse;

/// A summary of the input items of one request.
#[derive(Debug, Default)]
pub(super) struct InputSummary {
    /// The number of words in all texts of the input. The response's `usage` reports each word as one input
    /// token.
    pub(super) words: usize,
    /// The number of characters in all texts of the input. For token limits, the number of tokens is
    /// estimated from this number.
    pub(super) chars: usize,
    /// The text of the last user message in the input. `None` if the input has no user message.
    pub(super) user_text: Option<String>,
    /// The `call_id` of each function call in the input.
    pub(super) calls: HashSet<String>,
    /// The `call_id` of each function call output in the input.
    pub(super) outputs: HashSet<String>,
    /// The ids of the stored items to which the input refers (item references).
    pub(super) references: Vec<String>,
    /// The `encrypted_content` of each reasoning item in the input.
    pub(super) encrypted: Vec<String>,
}

impl InputSummary {
    pub(super) fn parse(input: &Value) -> Result<Self, ErrorResponse> {
        let mut summary = Self::default();
        match input {
            Value::String(text) => {
                summary.count(text);
                summary.user_text = Some(text.clone());
            }
            Value::Array(items) if items.is_empty() => {
                return Err(wrong_value("input", "at least one item"));
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    summary.item(item, &format!("input[{index}]"))?;
                }
            }
            _ => return Err(wrong_type("input", "a string or an array of items")),
        }
        Ok(summary)
    }

    fn count(&mut self, text: &str) {
        self.words += text.split_whitespace().count();
        self.chars += text.chars().count();
    }

    fn item(&mut self, item: &Value, place: &str) -> Result<(), ErrorResponse> {
        if !item.is_object() {
            return Err(wrong_type(place, "an object"));
        }
        match item["type"].as_str() {
            // An item with a role and without a type is a message.
            None if item["type"].is_null() && item["role"].is_string() => self.message(item, place),
            None => Err(missing(&format!("{place}.type"))),
            Some("message") => self.message(item, place),
            Some("function_call") => {
                text(item, place, "name")?;
                text(item, place, "arguments")?;
                self.calls.insert(text(item, place, "call_id")?.to_owned());
                Ok(())
            }
            Some("function_call_output") => self.output(item, place),
            Some("reasoning") => self.reasoning(item, place),
            Some("item_reference") => {
                self.references.push(text(item, place, "id")?.to_owned());
                Ok(())
            }
            Some(other) if is_hosted(other) => Ok(()),
            Some(_) => Err(wrong_value(&format!("{place}.type"), "a type of item")),
        }
    }

    fn message(&mut self, message: &Value, place: &str) -> Result<(), ErrorResponse> {
        let role = text(message, place, "role")?;
        if !["user", "assistant", "system", "developer"].contains(&role) {
            return Err(wrong_value(
                &format!("{place}.role"),
                "user, assistant, system or developer",
            ));
        }
        let content = &message["content"];
        check_content(content, role == "assistant", &format!("{place}.content"))?;
        let text = text_of(content);
        self.count(&text);
        if role == "user" {
            self.user_text = Some(text);
        }
        Ok(())
    }

    fn output(&mut self, item: &Value, place: &str) -> Result<(), ErrorResponse> {
        self.outputs.insert(text(item, place, "call_id")?.to_owned());
        let output = &item["output"];
        match output {
            Value::String(_) | Value::Array(_) => {
                check_content(output, false, &format!("{place}.output"))?;
                self.count(&text_of(output));
                Ok(())
            }
            Value::Null => Err(missing(&format!("{place}.output"))),
            _ => Err(wrong_type(
                &format!("{place}.output"),
                "a string or an array of parts",
            )),
        }
    }

    fn reasoning(&mut self, item: &Value, place: &str) -> Result<(), ErrorResponse> {
        if !item["summary"].is_array() {
            return Err(missing(&format!("{place}.summary")));
        }
        self.encrypted
            .extend(item["encrypted_content"].as_str().map(str::to_owned));
        Ok(())
    }
}

/// Checks that `content` is a string, or a list of parts whose types are allowed in a message of the
/// assistant (`is_assistant`) or of another role.
fn check_content(content: &Value, is_assistant: bool, place: &str) -> Result<(), ErrorResponse> {
    let parts = match content {
        Value::String(_) => return Ok(()),
        Value::Array(parts) => parts,
        Value::Null => return Err(missing(place)),
        _ => return Err(wrong_type(place, "a string or an array of parts")),
    };
    for (index, part) in parts.iter().enumerate() {
        let place = format!("{place}[{index}]");
        match (text(part, &place, "type")?, is_assistant) {
            ("input_text", false) | ("output_text", true) => text(part, &place, "text")?,
            ("refusal", true) => text(part, &place, "refusal")?,
            ("input_image" | "input_file" | "input_audio", false) => continue,
            (_, false) => {
                let expected = "input_text, input_image, input_file or input_audio";
                return Err(wrong_value(&format!("{place}.type"), expected));
            }
            (_, true) => return Err(wrong_value(&format!("{place}.type"), "output_text or refusal")),
        };
    }
    Ok(())
}

/// Returns whether an item of type `kind` belongs to a tool or feature that the provider itself runs, such as
/// web search. The simulator accepts items of these types and ignores their content.
fn is_hosted(kind: &str) -> bool {
    let of_tool = kind.ends_with("_call") || kind.ends_with("_call_output") || kind.starts_with("mcp_");
    of_tool || kind == "compaction" || kind.contains(':')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn invalid_item_is_rejected_without_its_content() {
        let canary = "my secret prompt";
        for (input, param) in [
            (json!(7), "input"),
            (json!([]), "input"),
            (json!([canary]), "input[0]"),
            (json!([{"content": canary}]), "input[0].type"),
            (json!([{"type": canary}]), "input[0].type"),
            (json!([{"role": "tool", "content": canary}]), "input[0].role"),
            (json!([{"role": "user"}]), "input[0].content"),
            (
                json!([{"role": "user", "content": [{"type": "text", "text": canary}]}]),
                "input[0].content[0].type",
            ),
            (
                json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": [{"type": "input_text", "text": canary}]}]),
                "input[1].content[0].type",
            ),
            (
                json!([{"role": "user", "content": [{"type": "input_text"}]}]),
                "input[0].content[0].text",
            ),
            (
                json!([{"type": "function_call", "name": canary, "arguments": "{}"}]),
                "input[0].call_id",
            ),
            (
                json!([{"type": "function_call_output", "call_id": canary}]),
                "input[0].output",
            ),
            (json!([{"type": "reasoning", "id": canary}]), "input[0].summary"),
        ] {
            let error = InputSummary::parse(&input).unwrap_err();
            assert_eq!(
                (error.status.as_u16(), &error.body["error"]["param"]),
                (400, &json!(param)),
                "{input}"
            );
            assert!(!error.body.to_string().contains(canary));
        }
    }

    #[test]
    fn valid_items_are_summarized() {
        let input = InputSummary::parse(&json!([
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "input_text", "text": "one two"}, {"type": "input_image", "image_url": "x"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "three"}, {"type": "refusal", "refusal": "no"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "four"}]},
            {"type": "item_reference", "id": "msg_1"},
            {"type": "web_search_call", "id": "ws_1"},
        ]))
        .unwrap();
        assert_eq!(input.user_text.as_deref(), Some("one two"));
        assert_eq!((input.words, input.chars), (6, 24));
        assert_eq!(input.calls, input.outputs);
        assert_eq!(
            (input.references, input.encrypted),
            (vec!["msg_1".into()], vec!["sealed".into()])
        );
    }
}
