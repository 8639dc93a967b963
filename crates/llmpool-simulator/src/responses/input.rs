//! The input of a request: whether its items are such, and what an answer needs to know of them.
//!
//! Nothing of a message is kept but the text of the user's last one.

use std::collections::HashSet;

use serde_json::Value;

use super::fields::{missing, text, wrong_type, wrong_value};
use crate::chat::{Refusal, text_of};

/// What items say, in all.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) words: usize,
    pub(super) chars: usize,
    /// `Some` if there is a message of the user; the text of the last one.
    pub(super) user_text: Option<String>,
    /// The calls that are here, by `call_id`.
    pub(super) calls: HashSet<String>,
    /// The calls whose outputs are here.
    pub(super) outputs: HashSet<String>,
    /// Items that stand here only by their ids.
    pub(super) references: Vec<String>,
    /// What reasoning items carry as `encrypted_content`.
    pub(super) encrypted: Vec<String>,
}

impl Input {
    pub(super) fn read(input: &Value) -> Result<Self, Refusal> {
        let mut read = Self::default();
        match input {
            Value::String(text) => {
                read.count(text);
                read.user_text = Some(text.clone());
            }
            Value::Array(items) if items.is_empty() => {
                return Err(wrong_value("input", "at least one item"));
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    read.item(item, &format!("input[{index}]"))?;
                }
            }
            _ => return Err(wrong_type("input", "a string or an array of items")),
        }
        Ok(read)
    }

    fn count(&mut self, text: &str) {
        self.words += text.split_whitespace().count();
        self.chars += text.chars().count();
    }

    fn item(&mut self, item: &Value, place: &str) -> Result<(), Refusal> {
        if !item.is_object() {
            return Err(wrong_type(place, "an object"));
        }
        match item["type"].as_str() {
            // With a role and without a type it is a message.
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

    fn message(&mut self, message: &Value, place: &str) -> Result<(), Refusal> {
        let role = text(message, place, "role")?;
        if !["user", "assistant", "system", "developer"].contains(&role) {
            return Err(wrong_value(
                &format!("{place}.role"),
                "user, assistant, system or developer",
            ));
        }
        let content = &message["content"];
        check_content(content, role == "assistant", &format!("{place}.content"))?;
        let said = text_of(content);
        self.count(&said);
        if role == "user" {
            self.user_text = Some(said);
        }
        Ok(())
    }

    fn output(&mut self, item: &Value, place: &str) -> Result<(), Refusal> {
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

    fn reasoning(&mut self, item: &Value, place: &str) -> Result<(), Refusal> {
        if !item["summary"].is_array() {
            return Err(missing(&format!("{place}.summary")));
        }
        self.encrypted
            .extend(item["encrypted_content"].as_str().map(str::to_owned));
        Ok(())
    }
}

/// Content is a string, or a list of parts that this side of the conversation can send.
fn check_content(content: &Value, of_assistant: bool, place: &str) -> Result<(), Refusal> {
    let parts = match content {
        Value::String(_) => return Ok(()),
        Value::Array(parts) => parts,
        Value::Null => return Err(missing(place)),
        _ => return Err(wrong_type(place, "a string or an array of parts")),
    };
    for (index, part) in parts.iter().enumerate() {
        let place = format!("{place}[{index}]");
        match (text(part, &place, "type")?, of_assistant) {
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

/// Items of tools that the provider would run by itself: they are let pass, and mean nothing.
fn is_hosted(kind: &str) -> bool {
    let of_tool = kind.ends_with("_call") || kind.ends_with("_call_output") || kind.starts_with("mcp_");
    of_tool || kind == "compaction" || kind.contains(':')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_item_is_refused_with_its_place_and_without_its_content() {
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
            let refusal = Input::read(&input).unwrap_err();
            assert_eq!(
                (refusal.status.as_u16(), &refusal.body["error"]["param"]),
                (400, &json!(param)),
                "{input}"
            );
            assert!(!refusal.body.to_string().contains(canary));
        }
    }

    #[test]
    fn every_item_is_read_for_what_it_is() {
        let input = Input::read(&json!([
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
