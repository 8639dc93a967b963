//! What ties a request to the account that made something, and what an answer holds that will tie those that follow.
//!
//! A provider keeps responses and conversations for one account, and only that account can read what it has encrypted. Members that are odd
//! or nested deeply hide nothing: each is looked at on its own.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::chat::wire_object::FieldName;

/// Something a request refers to that only the account that made it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRef<'a> {
    /// The member of the request that refers to it.
    pub member: &'static str,
    /// Its id, or the encrypted text itself.
    pub made: Cow<'a, str>,
    /// Whether the request makes no sense without it. A reasoning item that is but an id is looked for by some providers, and by others not.
    pub needed: bool,
}

/// What ties a request; nothing where it is no JSON object.
pub fn resource_refs(request: &[u8]) -> Vec<ResourceRef<'_>> {
    let mut ties = Vec::new();
    let mut tie = |member, made: Option<_>, needed| {
        ties.extend(made.map(|made| ResourceRef { member, made, needed }));
    };
    for (name, value) in read(request).unwrap_or(Members(Vec::new())).0 {
        match &*name {
            "previous_response_id" => tie("previous_response_id", text(value), true),
            "conversation" => tie("conversation", conversation(value), true),
            "input" => items(value).for_each(|item| {
                if item.is_bare_reasoning() {
                    tie("reasoning", item.id.clone(), false);
                }
                if item.is("item_reference") {
                    tie("item_reference", item.id, true);
                }
                tie("encrypted_content", item.encrypted_content, true);
            }),
            _ => {}
        }
    }
    ties
}

/// What an answer, or an event with one or with an item, holds that requests will refer to.
pub fn created_resources(answer: &[u8]) -> Vec<String> {
    let Some(answer) = read(answer) else {
        return Vec::new();
    };
    let mut made: Vec<Cow<'_, str>> = Vec::new();
    let is = |name: &str| answer.0.iter().find(|(known, _)| known == name);
    let inner = is("response").or_else(|| is("item"));
    let whole = match inner {
        Some((_, value)) => read(value.get().as_bytes()).unwrap_or(answer),
        None => answer,
    };
    for (name, value) in whole.0 {
        match &*name {
            "id" | "encrypted_content" => made.extend(text(value)),
            "conversation" => made.extend(conversation(value)),
            "output" => {
                made.extend(items(value).flat_map(|item| item.id.into_iter().chain(item.encrypted_content)));
            }
            _ => {}
        }
    }
    made.into_iter().map(Cow::into_owned).collect()
}

/// The members of an object, those said twice twice.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(FieldName(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn read(json: &[u8]) -> Option<Members<'_>> {
    serde_json::from_slice(json).ok()
}

fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(value.get()).ok().map(|FieldName(text)| text)
}

/// By its name, or as an object with an id.
fn conversation(value: &RawValue) -> Option<Cow<'_, str>> {
    text(value).or_else(|| Item::of(value).id)
}

fn items(value: &RawValue) -> impl Iterator<Item = Item<'_>> {
    let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
    items.into_iter().map(Item::of)
}

#[derive(Default)]
struct Item<'a> {
    kind: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    encrypted_content: Option<Cow<'a, str>>,
    /// Whether it says more than its summary and how far it is.
    says_more: bool,
}

impl<'a> Item<'a> {
    fn of(value: &'a RawValue) -> Self {
        let mut item = Self::default();
        for (name, value) in read(value.get().as_bytes()).map_or(Vec::new(), |members| members.0) {
            match &*name {
                "type" => item.kind = text(value),
                "id" => item.id = text(value),
                "encrypted_content" => item.encrypted_content = text(value),
                "summary" | "status" => {}
                _ => item.says_more |= !matches!(value.get(), "null" | "[]"),
            }
        }
        item
    }

    fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }

    fn is_bare_reasoning(&self) -> bool {
        self.is("reasoning") && self.encrypted_content.is_none() && !self.says_more
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    // L10
    #[test]
    fn what_is_odd_hides_nothing() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for (request, member) in [
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
            let ties = resource_refs(request.as_bytes());
            assert!(
                matches!(&ties[..], [tie] if tie.member == member && tie.needed),
                "{ties:?}"
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
    fn reasoning_that_is_but_an_id_is_better_sent_to_its_maker() {
        let needs = |item: Value| {
            let request = json!({"input": [item]}).to_string();
            resource_refs(request.as_bytes()).first().map(|tie| tie.needed)
        };
        assert_eq!(
            needs(json!({"type": "reasoning", "id": "rs", "summary": []})),
            Some(false)
        );
        let seen = json!({"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "t"}], "content": []});
        assert_eq!(needs(seen), Some(false));
        let told = json!({"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]});
        assert_eq!(needs(told), None);
        assert_eq!(
            needs(json!({"type": "reasoning", "id": "rs", "encrypted_content": "e"})),
            Some(true)
        );
    }

    fn ties(request: &Value) -> Vec<(&'static str, String)> {
        let text = request.to_string();
        let ties = resource_refs(text.as_bytes());
        ties.into_iter()
            .map(|tie| (tie.member, tie.made.into_owned()))
            .collect()
    }

    // L10
    #[test]
    fn everything_that_only_its_maker_knows_ties_a_request() {
        let free =
            json!({"model": "m", "input": "resp_1", "previous_response_id": null, "conversation": null});
        assert_eq!(ties(&free), []);
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
            ties(&tied),
            expected.map(|(member, made)| (member, made.to_owned()))
        );
        let named = json!({"conversation": "conv_2", "input": {"odd": true}});
        assert_eq!(ties(&named), [("conversation", "conv_2".to_owned())]);
    }

    // L10
    #[test]
    fn an_answer_tells_what_it_made_whole_or_in_an_event() {
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
