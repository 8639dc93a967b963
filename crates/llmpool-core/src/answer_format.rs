//! Formats in which a target accepts the request for a structured answer, and requests adapted to them.
//!
//! A provider that does not support a response format refuses the request or ignores the format. The schema then has
//! to be part of the prompt.

use std::borrow::Cow;

use crate::chat::{ChatRequest, Content, EmptyObject, Message, NamedSchema, Part, ResponseFormat, Role};
use crate::type_notation::type_notation;

const REMINDER: &str = "Answer in JSON.";

/// The format in which a request asks for a structured answer. Ordered from the strongest guarantee to the weakest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerFormat {
    /// The response format `json_schema`: the provider enforces the schema.
    #[default]
    JsonSchema,
    /// The response format `json_object`: the provider enforces JSON, and the prompt contains the schema.
    JsonObject,
    /// No response format: the prompt contains the schema, and asks for JSON in a fenced code block.
    Text,
}

impl AnswerFormat {
    /// All formats, from the strongest guarantee to the weakest.
    pub const ALL: [Self; 3] = [Self::JsonSchema, Self::JsonObject, Self::Text];

    /// Returns the next format for a target that refuses this one, or `None` for [`Text`](Self::Text).
    pub fn weaker(self) -> Option<Self> {
        match self {
            Self::JsonSchema => Some(Self::JsonObject),
            Self::JsonObject => Some(Self::Text),
            Self::Text => None,
        }
    }

    /// Returns the name of the format in a provider file: `json_schema`, `json_object` or `text`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonSchema => "json_schema",
            Self::JsonObject => "json_object",
            Self::Text => "text",
        }
    }
}

/// Returns the request with its response format replaced by `format`, and with the form of the answer in its system
/// message: in the notation of types or, if the notation cannot express the schema, as the schema itself. If the last
/// message is the user's, it ends with a reminder.
///
/// The instruction is appended to the first system or developer message. If there is none, a system message is
/// inserted before all others. The instruction contains the word `JSON`, without which providers refuse `json_object`.
/// Returns `None` if the request needs no change: `format` is [`AnswerFormat::JsonSchema`], or the request has no
/// response format with a schema.
pub fn adapt(request: &ChatRequest, format: AnswerFormat) -> Option<ChatRequest> {
    let Some(ResponseFormat::JsonSchema(schema)) = &request.response_format else {
        return None;
    };
    let response_format = match format {
        AnswerFormat::JsonSchema => return None,
        AnswerFormat::JsonObject => Some(ResponseFormat::JsonObject(EmptyObject::default())),
        AnswerFormat::Text => None,
    };
    let mut adapted = ChatRequest {
        response_format,
        ..request.clone()
    };
    append_instruction(&mut adapted.messages, instruction(&schema.json_schema, format));
    append_reminder(&mut adapted.messages);
    Some(adapted)
}

fn instruction(schema: &NamedSchema, format: AnswerFormat) -> String {
    let form = if format == AnswerFormat::Text {
        "Answer with one fenced code block (```json) that contains JSON, and with nothing else."
    } else {
        "Answer with a single JSON object and nothing else, without a code fence."
    };
    let description = schema.description.as_ref();
    let description = description.map_or(Cow::Borrowed(""), |text| format!("\n{text}").into());
    let Some(schema) = &schema.schema else {
        return format!("{form}{description}");
    };
    match type_notation(schema.get()) {
        Some(notation) if format == AnswerFormat::Text => {
            format!("{form} The JSON has this form:{description}\n```json\n{notation}\n```")
        }
        Some(notation) => format!("{form} The JSON has this form:{description}\n{notation}"),
        None => format!(
            "{form} The JSON must match this JSON Schema:{description}\n{}",
            schema.get()
        ),
    }
}

/// Reminds of the form at the end of the conversation. Small models do not look further back.
fn append_reminder(messages: &mut [Message]) {
    let last = messages.last_mut().filter(|last| last.role == Some(Role::User));
    if let Some(last) = last {
        append_text(&mut last.content, REMINDER);
    }
}

fn append_instruction(messages: &mut Vec<Message>, text: String) {
    let is_system = |message: &&mut Message| matches!(message.role, Some(Role::System | Role::Developer));
    let Some(message) = messages.iter_mut().find(is_system) else {
        messages.insert(0, Message::system(text));
        return;
    };
    append_text(&mut message.content, &text);
}

fn append_text(content: &mut Option<Content>, text: &str) {
    match content {
        Some(Content::Text(own)) if !own.is_empty() => own.extend(["\n\n", text]),
        Some(Content::Parts(parts)) if !parts.is_empty() => parts.push(Part::text(text)),
        content => *content = Some(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Json;
    use serde_json::{Value, json};

    const SCHEMA: &str = r#"{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"number"}}}"#;

    /// The schema as the instruction contains it.
    const NOTATION: &str = "{\n  \"b\"?: string,\n  \"a\"?: number\n}";

    fn request(messages: Value, response_format: Value) -> ChatRequest {
        let mut request = json!({
            "messages": messages,
            "temperature": 0.5,
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "top_k": 4,
        });
        if !response_format.is_null() {
            request["response_format"] = response_format;
        }
        serde_json::from_value(request).unwrap()
    }

    fn with_schema(messages: Value) -> ChatRequest {
        let mut request = request(messages, Value::Null);
        let schema: Json = serde_json::from_str(SCHEMA).unwrap();
        request.response_format = Some(ResponseFormat::json_schema("dish", schema));
        request
    }

    fn as_json(request: &ChatRequest) -> Value {
        serde_json::to_value(request).unwrap()
    }

    #[test]
    fn formats_get_weaker_until_text() {
        let mut format = AnswerFormat::default();
        let mut chain = vec![format.as_str()];
        while let Some(weaker) = format.weaker() {
            assert!(weaker > format);
            format = weaker;
            chain.push(format.as_str());
        }
        assert_eq!(chain, ["json_schema", "json_object", "text"]);
        assert_eq!(AnswerFormat::ALL.map(AnswerFormat::as_str), chain[..]);
    }

    #[test]
    fn request_without_a_schema_is_not_adapted() {
        let user = json!([{"role": "user", "content": "hi"}]);
        let others = [
            Value::Null,
            json!({"type": "text"}),
            json!({"type": "json_object"}),
            json!({"type": "x"}),
        ];
        for format in AnswerFormat::ALL {
            for other in &others {
                assert_eq!(
                    adapt(&request(user.clone(), other.clone()), format),
                    None,
                    "{other}"
                );
            }
        }
        assert_eq!(adapt(&with_schema(user), AnswerFormat::JsonSchema), None);
    }

    #[test]
    fn instruction_is_appended_to_the_first_system_message() {
        let user = json!({"role": "user", "content": "hi"});
        for (messages, position, role) in [
            (json!([user]), 0, "system"),
            (json!([]), 0, "system"),
            (json!([{"role": "system", "content": ""}, user]), 0, "system"),
            (json!([{"role": "system"}, user]), 0, "system"),
            (json!([{"role": "system", "content": []}, user]), 0, "system"),
            (
                json!([{"role": "system", "content": "Be brief."}, user]),
                0,
                "system",
            ),
            (
                json!([user, {"role": "developer", "content": "Be brief."}, user]),
                1,
                "developer",
            ),
            (
                json!([{"role": "system", "content": "Be brief."}, {"role": "system", "content": "Be kind."}]),
                0,
                "system",
            ),
            (
                json!([{"role": "system", "content": [{"type": "text", "text": "Be brief."}]}, user]),
                0,
                "system",
            ),
        ] {
            let request = with_schema(messages);
            for format in [AnswerFormat::JsonObject, AnswerFormat::Text] {
                let adapted = adapt(&request, format).unwrap();
                let mut others = adapted.messages.clone();
                let message = others.remove(position);
                assert_eq!(message.role.as_ref().map(Role::as_str), Some(role));
                let text = message.text();
                let form = if format == AnswerFormat::Text {
                    format!("\n```json\n{NOTATION}\n```")
                } else {
                    format!(" has this form:\n{NOTATION}")
                };
                assert!(text.ends_with(&form) && text.contains("JSON"), "{text}");
                let has_own = request.messages.len() == adapted.messages.len();
                let own = if has_own {
                    request.messages[position].text()
                } else {
                    Cow::default()
                };
                assert!(text.starts_with(&*own), "{text}");
                let mut kept = request.messages.clone();
                if has_own {
                    kept.remove(position);
                }
                if kept.last().is_some_and(|last| last.role == Some(Role::User)) {
                    let reminded = others.last_mut().unwrap();
                    assert_eq!(reminded.text(), "hi\n\nAnswer in JSON.");
                    *reminded = Message::user("hi");
                }
                assert_eq!(others, kept);
            }
        }
    }

    #[test]
    fn only_the_format_and_the_messages_change() {
        let request = with_schema(json!([{"role": "user", "content": "hi"}]));
        for (format, expected) in [
            (AnswerFormat::JsonObject, Some(json!({"type": "json_object"}))),
            (AnswerFormat::Text, None),
        ] {
            let (mut before, mut after) = (as_json(&request), as_json(&adapt(&request, format).unwrap()));
            let (before, after) = (before.as_object_mut().unwrap(), after.as_object_mut().unwrap());
            assert_eq!(after.remove("response_format"), expected);
            before.remove("response_format");
            assert_ne!(before.remove("messages"), after.remove("messages"));
            assert_eq!(before, after);
        }
    }

    #[test]
    fn only_text_asks_for_a_fenced_block() {
        let request = with_schema(json!([]));
        let text = |format| adapt(&request, format).unwrap().messages[0].text().into_owned();
        assert!(text(AnswerFormat::Text).contains("(```json)"));
        let object = text(AnswerFormat::JsonObject);
        assert!(object.contains("without a code fence") && !object.contains("```"));
    }

    #[test]
    fn schema_beyond_the_notation_is_sent_as_it_is() {
        let mut request = request(json!([]), Value::Null);
        let schema: Json = serde_json::from_str(r#"{"allOf":[{"type":"object"}]}"#).unwrap();
        request.response_format = Some(ResponseFormat::json_schema("dish", schema));
        let adapted = adapt(&request, AnswerFormat::JsonObject).unwrap();
        let text = adapted.messages[0].text();
        assert!(
            text.ends_with("JSON Schema:\n{\"allOf\":[{\"type\":\"object\"}]}"),
            "{text}"
        );
    }

    #[test]
    fn instruction_has_the_description_and_may_lack_a_schema() {
        let format = json!({"type": "json_schema", "json_schema": {"name": "n", "description": "A dish."}});
        for format in [AnswerFormat::JsonObject, AnswerFormat::Text]
            .map(|to| adapt(&request(json!([]), format.clone()), to))
        {
            let adapted = format.unwrap();
            let text = adapted.messages[0].text();
            assert!(
                text.ends_with("A dish.") && text.contains("JSON") && !text.contains("Schema"),
                "{text}"
            );
        }
    }
}
