//! References from requests to resources that only one account can use.
//!
//! Only the account that created a response or conversation can refer to it, and only the account that
//! received encrypted reasoning can send that reasoning back. Each field of a request is parsed separately.
//! An invalid or deeply nested field therefore does not hide the references in other fields.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::chat::wire_object::FieldName;
use crate::raw_object::{JsonMembers, parse_members};

/// Start of the encrypted content that llmpool writes for reasoning of other formats. No account is needed for it,
/// because it is not encrypted: llmpool restores the reasoning for a chat target, and no provider can read it.
pub(crate) const FOREIGN_PREFIX: &str = "llmpool.blocks.1:";

/// A reference from a request to a resource that only one account can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRef<'a> {
    /// Name of the field or item type that contains the reference, such as `previous_response_id` or
    /// `item_reference`.
    pub field: &'static str,
    /// ID of the resource. For encrypted reasoning, the encrypted text itself.
    pub resource: Cow<'a, str>,
    /// Whether the request fails if the account does not have the resource. `false` only for a reasoning item
    /// with neither full text nor encrypted content, because not all providers look up such an item by its
    /// ID.
    pub required: bool,
}

/// Returns the references from a request to resources that only one account can use. `request` is the body of
/// the request. The list is empty if the body is not a JSON object.
pub fn resource_refs(request: &[u8]) -> Vec<ResourceRef<'_>> {
    let mut refs = Vec::new();
    let mut add = |field, resource: Option<_>, required| {
        refs.extend(resource.map(|resource| ResourceRef {
            field,
            resource,
            required,
        }));
    };
    for (name, value) in fields_of(request) {
        match &*name {
            "previous_response_id" => add("previous_response_id", string(value), true),
            "conversation" => add("conversation", conversation_id(value), true),
            "input" => items(value).for_each(|item| {
                if item.is_bare_reasoning() {
                    add("reasoning", item.id.clone(), false);
                }
                if item.is("item_reference") {
                    add("item_reference", item.id, true);
                }
                let is_ours = |text: &Cow<'_, str>| text.starts_with(FOREIGN_PREFIX);
                add(
                    "encrypted_content",
                    item.encrypted_content.filter(|text| !is_ours(text)),
                    true,
                );
            }),
            _ => {}
        }
    }
    refs
}

/// Returns the IDs and encrypted texts in `answer` to which later requests can refer. `answer` is the JSON of
/// a response, or of an event that contains a response or an item.
pub fn created_resources(answer: &[u8]) -> Vec<String> {
    let fields = fields_of(answer);
    let field = |name: &str| fields.iter().find(|(known, _)| known == name);
    let inner = field("response").or_else(|| field("item"));
    let inner = inner.and_then(|(_, value)| parse_members(value.get().as_bytes()));
    let mut resources: Vec<Cow<'_, str>> = Vec::new();
    for (name, value) in inner.unwrap_or(fields) {
        match &*name {
            "id" | "encrypted_content" => resources.extend(string(value)),
            "conversation" => resources.extend(conversation_id(value)),
            "output" => {
                let items = items(value);
                resources.extend(items.flat_map(|item| item.id.into_iter().chain(item.encrypted_content)));
            }
            _ => {}
        }
    }
    resources.into_iter().map(Cow::into_owned).collect()
}

/// Returns the fields of a JSON object. Empty if `json` is not an object.
fn fields_of(json: &[u8]) -> JsonMembers<'_> {
    parse_members(json).unwrap_or_default()
}

fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(value.get()).ok().map(|FieldName(text)| text)
}

/// Returns the ID of a conversation that is given as a string or as an object with an `id` field.
fn conversation_id(value: &RawValue) -> Option<Cow<'_, str>> {
    string(value).or_else(|| RawItem::parse(value).id)
}

fn items(value: &RawValue) -> impl Iterator<Item = RawItem<'_>> {
    let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
    items.into_iter().map(RawItem::parse)
}

#[derive(Default)]
struct RawItem<'a> {
    kind: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    encrypted_content: Option<Cow<'a, str>>,
    /// Whether the item has a non-empty field other than its type, id, encrypted content, summary and status.
    has_content: bool,
}

impl<'a> RawItem<'a> {
    fn parse(value: &'a RawValue) -> Self {
        let mut item = Self::default();
        for (name, value) in fields_of(value.get().as_bytes()) {
            match &*name {
                "type" => item.kind = string(value),
                "id" => item.id = string(value),
                "encrypted_content" => item.encrypted_content = string(value),
                "summary" | "status" => {}
                _ => item.has_content |= !matches!(value.get(), "null" | "[]"),
            }
        }
        item
    }

    fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }

    fn is_bare_reasoning(&self) -> bool {
        self.is("reasoning") && self.encrypted_content.is_none() && !self.has_content
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    // L10
    #[test]
    fn invalid_fields_do_not_hide_references() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for (request, field) in [
            (
                r#"{"input":[{"type":"reasoning","encrypted_content":"e"},{"id":5,"content":"x"},7,null]}"#,
                "encrypted_content",
            ),
            (
                r#"{"previous_response_id":"r","input":"x","input":"y","conversation":5}"#,
                "previous_response_id",
            ),
            (
                &format!(
                    r#"{{"previous_response_id":"r","input":[{{"type":"function_call_output","y":{deep}}}]}}"#
                ),
                "previous_response_id",
            ),
        ] {
            let refs = resource_refs(request.as_bytes());
            assert!(
                matches!(&refs[..], [only] if only.field == field && only.required),
                "{refs:?}"
            );
        }
        assert_eq!(
            created_resources(br#"{"id": "resp_1", "conversation": null, "output": [{"id": 5}, 7]}"#),
            ["resp_1"]
        );
        assert_eq!(
            created_resources(br#"{"response": {"id": "resp_1", "output": {"odd": 1}}}"#),
            ["resp_1"]
        );
    }

    // L10
    #[test]
    fn bare_reasoning_id_is_an_optional_reference() {
        let required = |item: Value| {
            let request = json!({"input": [item]}).to_string();
            resource_refs(request.as_bytes())
                .first()
                .map(|first| first.required)
        };
        assert_eq!(
            required(json!({"type": "reasoning", "id": "rs", "summary": []})),
            Some(false)
        );
        let empty = json!({"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "t"}], "content": []});
        assert_eq!(required(empty), Some(false));
        let full = json!({"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]});
        assert_eq!(required(full), None);
        assert_eq!(
            required(json!({"type": "reasoning", "id": "rs", "encrypted_content": "e"})),
            Some(true)
        );
    }

    fn refs(request: &Value) -> Vec<(&'static str, String)> {
        let text = request.to_string();
        let refs = resource_refs(text.as_bytes());
        refs.into_iter()
            .map(|found| (found.field, found.resource.into_owned()))
            .collect()
    }

    // L10
    #[test]
    fn all_references_of_a_request_are_found() {
        let free =
            json!({"model": "m", "input": "resp_1", "previous_response_id": null, "conversation": null});
        assert_eq!(refs(&free), []);
        let items = json!([
            {"role": "user", "content": "hi"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secr\"et"},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": []},
            {"type": "item_reference", "id": "msg_2"},
            {"type": "compaction", "encrypted_content": "much"},
            {"type": "reasoning", "id": "rs_2", "encrypted_content": null},
        ]);
        let tied =
            json!({"previous_response_id": "resp_1", "conversation": {"id": "conv_1"}, "input": items});
        let expected = [
            ("previous_response_id", "resp_1"),
            ("conversation", "conv_1"),
            ("encrypted_content", "secr\"et"),
            ("item_reference", "msg_2"),
            ("encrypted_content", "much"),
            ("reasoning", "rs_2"),
        ];
        assert_eq!(
            refs(&tied),
            expected.map(|(field, resource)| (field, resource.to_owned()))
        );
        let named = json!({"conversation": "conv_2", "input": {"odd": true}});
        assert_eq!(refs(&named), [("conversation", "conv_2".to_owned())]);
    }

    // L10
    #[test]
    fn created_resources_are_found_in_responses_and_events() {
        let answer = json!({"id": "resp_1", "conversation": {"id": "conv_1"}, "output": [
            {"type": "reasoning", "id": "rs_1", "encrypted_content": "secret"},
            {"type": "message", "id": "msg_1", "content": []},
        ]});
        let expected = ["resp_1", "conv_1", "rs_1", "secret", "msg_1"];
        assert_eq!(created_resources(answer.to_string().as_bytes()), expected);
        let event = json!({"type": "response.completed", "response": answer});
        assert_eq!(created_resources(event.to_string().as_bytes()), expected);
        let event = json!({"type": "response.output_item.done", "item": {"id": "rs_1", "encrypted_content": "secret"}});
        assert_eq!(
            created_resources(event.to_string().as_bytes()),
            ["rs_1", "secret"]
        );
        assert_eq!(created_resources(b"[DONE]"), [""; 0]);
        assert_eq!(
            created_resources(br#"{"type": "response.output_text.delta", "delta": "a"}"#),
            [""; 0]
        );
    }
}
