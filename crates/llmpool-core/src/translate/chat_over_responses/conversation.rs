//! Translation of the messages of a chat request to the input items of a Responses request.

use std::collections::HashSet;

use crate::chat::{Content, Message, Part, Role, ToolCall, UnknownFields};
use crate::responses::{
    AudioInput, FileInput, ImageInput, Item, ItemPart, ItemText, MessageItem, ReasoningItem, ToolOutputItem,
};
use crate::translate::dropped_fields::{DroppedFields, copy_unknown};
use crate::translate::echoed::{EchoedMessage, PHASE, not_echoed};
use crate::translate::reasoning_details::{REASONING_DETAILS, ReasoningDetails};
use crate::translate::tool_call_parts::ToolCallParts;
use crate::translate::unsupported_field::{UNKNOWN_ROLE, UNKNOWN_TYPE, translate_each, unsupported};
use crate::translate::{REASONING_SEPARATOR, UnsupportedField};

/// The conversation of a chat request, translated to instructions and input items of a Responses request.
pub(super) struct ConversationInput {
    /// Text of the first message, if that message is the only system message and contains nothing but plain
    /// text. Otherwise, or if the request already has instructions, `None`.
    pub(super) instructions: Option<String>,
    pub(super) items: Vec<Item>,
    /// Whether the input items include reasoning from earlier responses.
    pub(super) has_reasoning: bool,
}

/// Translates chat messages to instructions and input items of a Responses request.
///
/// `has_instructions` tells whether the request already has instructions. In that case, a leading system
/// message becomes an input item. `is_stored` tells whether the request asks the provider to store the
/// response. If not, reasoning items that consist only of an id are left out.
pub(super) fn input_items(
    messages: &[Message],
    has_instructions: bool,
    is_stored: bool,
    dropped: &mut DroppedFields,
) -> Result<ConversationInput, UnsupportedField> {
    let instructions = if has_instructions {
        None
    } else {
        instructions(messages)
    };
    let mut builder = InputBuilder {
        path: String::new(),
        items: Vec::new(),
        custom_call_ids: HashSet::new(),
        is_stored,
        has_reasoning: false,
        dropped,
    };
    let messages = messages.iter().enumerate();
    for (index, message) in messages.skip(usize::from(instructions.is_some())) {
        builder.path = format!("messages[{index}]");
        builder.push_message(message)?;
    }
    Ok(ConversationInput {
        instructions,
        items: builder.items,
        has_reasoning: builder.has_reasoning,
    })
}

fn instructions(messages: &[Message]) -> Option<String> {
    let is_system = |message: &&Message| message.role == Some(Role::System);
    let first = messages.first().filter(is_system)?;
    let is_only = messages.iter().filter(is_system).count() == 1;
    match &first.content {
        Some(Content::Text(text)) if is_only && first.name.is_none() && first.extra.is_empty() => {
            Some(text.clone())
        }
        _ => None,
    }
}

/// Translates chat messages and appends them to a list of input items.
struct InputBuilder<'a> {
    /// Path of the message that is being translated, such as `messages[2]`.
    path: String,
    items: Vec<Item>,
    /// Ids of the custom tool calls so far. Needed because the output of a custom tool call and the output of
    /// a function call have different item types.
    custom_call_ids: HashSet<String>,
    is_stored: bool,
    has_reasoning: bool,
    dropped: &'a mut DroppedFields,
}

impl InputBuilder<'_> {
    fn push_message(&mut self, message: &Message) -> Result<(), UnsupportedField> {
        match &message.role {
            Some(role @ (Role::System | Role::Developer | Role::User)) => {
                self.push_input_message(role, message)
            }
            Some(Role::Assistant) => self.push_assistant_message(message),
            Some(Role::Tool) => self.push_tool_output(message),
            Some(Role::Function) => {
                self.unsupported("role", "this deprecated role has no equivalent; use tools")
            }
            Some(Role::Other(_)) | None => self.unsupported("role", UNKNOWN_ROLE),
        }
    }

    fn unsupported<T>(&self, field: &str, reason: &'static str) -> Result<T, UnsupportedField> {
        unsupported(format!("{}.{field}", self.path), reason)
    }

    fn keep_unknown(&mut self, message: &Message, reserved: &[&str]) -> UnknownFields {
        self.dropped.keep_unknown(&message.extra, reserved, &self.path)
    }

    fn push_input_message(&mut self, role: &Role, message: &Message) -> Result<(), UnsupportedField> {
        self.drop_fields(message, &[]);
        let content = self.input_content(message)?;
        let extra = self.keep_unknown(message, MessageItem::FIELD_NAMES);
        self.items.push(Item::Message(MessageItem {
            role: Some(role.clone()),
            content,
            extra,
            ..MessageItem::default()
        }));
        Ok(())
    }

    /// Reports as dropped all known fields of `message` except the role, the content and the fields named in
    /// `kept`.
    fn drop_fields(&mut self, message: &Message, kept: &[&str]) {
        let fields = [
            ("name", message.name.is_some()),
            ("refusal", message.refusal.is_some()),
            ("reasoning_content", message.reasoning_content.is_some()),
            ("reasoning", message.reasoning.is_some()),
            (REASONING_DETAILS, message.reasoning_details.is_some()),
            ("tool_calls", !message.tool_calls.is_empty()),
            ("tool_call_id", message.tool_call_id.is_some()),
            ("function_call", message.function_call.is_some()),
            ("audio", message.audio.is_some()),
            ("annotations", message.annotations.iter().flatten().count() > 0),
        ];
        let is_dropped = |(name, is_set): &(&str, bool)| *is_set && !kept.contains(name);
        let names = fields.into_iter().filter(is_dropped).map(|(name, _)| name);
        self.dropped.push_members(names, &self.path);
    }

    /// Translates the content of a system, developer, user or tool message. Returns `None` if the message has
    /// no content.
    fn input_content(&mut self, message: &Message) -> Result<Option<Content<ItemPart>>, UnsupportedField> {
        Ok(match &message.content {
            None => None,
            Some(Content::Text(text)) => Some(Content::Text(text.clone())),
            Some(Content::Parts(parts)) => {
                let translate = |part: &Part, path: String| input_part(part, &path, self.dropped);
                Some(Content::Parts(translate_each(
                    parts,
                    &format!("{}.content", self.path),
                    translate,
                )?))
            }
        })
    }

    fn push_assistant_message(&mut self, message: &Message) -> Result<(), UnsupportedField> {
        if message.audio.is_some() {
            return self.unsupported("audio", "the Responses API has no audio output");
        }
        if message.function_call.is_some() {
            let reason = "function_call is deprecated and has no equivalent; use tool_calls";
            return self.unsupported("function_call", reason);
        }
        let mut kept = self.push_reasoning(message);
        kept.extend(["refusal", "tool_calls"]);
        self.drop_fields(message, &kept);
        let echoed = EchoedMessage::of_chat(&message.extra);
        let parts = self.output_parts(message)?;
        if parts.is_empty() {
            self.dropped.push_unknown(&message.extra, &self.path);
        } else {
            let names = not_echoed(&message.extra).filter(|name| *name != PHASE || !echoed.has_phase());
            self.dropped.push_members(names, &self.path);
            let mut item = MessageItem {
                role: Some(Role::Assistant),
                content: Some(Content::Parts(parts)),
                ..MessageItem::default()
            };
            echoed.write_to_item(&mut item);
            self.items.push(Item::Message(item));
        }
        let mut calls = message.tool_calls.iter().enumerate();
        calls.try_for_each(|(index, call)| self.push_tool_call(index, call))
    }

    /// Appends the reasoning items of a message. Returns the names of the message's reasoning fields whose
    /// whole content is in the appended items.
    fn push_reasoning(&mut self, message: &Message) -> Vec<&'static str> {
        let details = message.reasoning_details.as_ref().map(ReasoningDetails::parse);
        let has_other_blocks = details.as_ref().is_some_and(ReasoningDetails::has_other_blocks);
        let items = details.map(ReasoningDetails::into_items).unwrap_or_default();
        if items.is_empty() {
            return Vec::new();
        }
        self.has_reasoning = true;
        let texts = items.iter().map(ReasoningItem::text);
        let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
        let text = texts.join(REASONING_SEPARATOR);
        // The provider looks up an item that has only an id, and fails if it did not store the response that contains the item.
        let is_sent = |item: &ReasoningItem| {
            self.is_stored || item.encrypted_content.is_some() || !item.text().is_empty()
        };
        let mut kept = Vec::new();
        if !has_other_blocks && items.iter().all(is_sent) {
            kept.push(REASONING_DETAILS);
        }
        let items = items.into_iter().filter(is_sent);
        self.items.extend(items.map(Item::Reasoning));
        let is_same = |field: &Option<String>| field.as_ref().is_none_or(|field| *field == text);
        if is_same(&message.reasoning_content) && is_same(&message.reasoning) {
            kept.extend(["reasoning_content", "reasoning"]);
        }
        kept
    }

    /// Translates the content and the refusal of an assistant message to content parts.
    fn output_parts(&mut self, message: &Message) -> Result<Vec<ItemPart>, UnsupportedField> {
        let mut output = Vec::new();
        match &message.content {
            Some(Content::Text(text)) if !text.is_empty() => output.push(ItemPart::output_text(text)),
            Some(Content::Text(_)) | None => {}
            Some(Content::Parts(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    let path = format!("{}.content[{index}]", self.path);
                    output.extend(output_part(part, path, self.dropped)?);
                }
            }
        }
        output.extend(message.refusal.as_ref().map(ItemPart::refusal));
        Ok(output)
    }

    fn push_tool_call(&mut self, index: usize, call: &ToolCall) -> Result<(), UnsupportedField> {
        let path = format!("{}.tool_calls[{index}]", self.path);
        if call.id.as_ref().is_none_or(String::is_empty) {
            return unsupported(path, "a tool call needs an id, to which its output refers");
        }
        let (kind, extra) = match (&call.function, &call.custom) {
            (Some(function), None) => ("function", &function.extra),
            (None, Some(custom)) => ("custom", &custom.extra),
            _ => return unsupported(path, UNKNOWN_TYPE),
        };
        self.dropped.push_members(not_echoed(&call.extra), &path);
        self.dropped.push_unknown(extra, &format!("{path}.{kind}"));
        let parts = ToolCallParts::from_chat(
            call.id.clone(),
            call.function.clone(),
            call.custom.clone(),
            &call.extra,
        );
        // Some providers restart the numbering of ids in each turn, so that a later call of another kind can have the same id.
        if parts.is_custom {
            self.custom_call_ids.insert(parts.call_id.clone());
        } else {
            self.custom_call_ids.remove(&parts.call_id);
        }
        self.items.push(parts.into_item(None, None));
        Ok(())
    }

    fn push_tool_output(&mut self, message: &Message) -> Result<(), UnsupportedField> {
        self.drop_fields(message, &["tool_call_id"]);
        let call_id = message.tool_call_id.clone().unwrap_or_default();
        if call_id.is_empty() {
            return self.unsupported("tool_call_id", "a tool message needs the id of its tool call");
        }
        let is_custom = self.custom_call_ids.contains(&call_id);
        let output = self.input_content(message)?;
        let item = ToolOutputItem {
            call_id,
            output,
            extra: self.keep_unknown(message, ToolOutputItem::FIELD_NAMES),
            ..ToolOutputItem::default()
        };
        self.items.push(if is_custom {
            Item::CustomToolCallOutput(item)
        } else {
            Item::FunctionCallOutput(item)
        });
        Ok(())
    }
}

/// Translates a content part of a system, developer, user or tool message.
fn input_part(part: &Part, path: &str, dropped: &mut DroppedFields) -> Result<ItemPart, UnsupportedField> {
    Ok(match part {
        Part::Text(part) => ItemPart::InputText(ItemText {
            text: part.text.clone(),
            extra: copy_unknown(&part.extra),
        }),
        Part::Image(part) => {
            let image = &part.image_url;
            dropped.push_unknown(&image.extra, &format!("{path}.image_url"));
            ItemPart::InputImage(ImageInput {
                image_url: Some(image.url.clone()),
                detail: image.detail.clone().or_else(|| Some("auto".to_owned())),
                extra: dropped.keep_unknown(&part.extra, ImageInput::FIELD_NAMES, path),
                ..ImageInput::default()
            })
        }
        Part::Audio(part) => ItemPart::InputAudio(AudioInput {
            input_audio: part.input_audio.clone(),
            extra: copy_unknown(&part.extra),
        }),
        Part::File(part) => {
            let file = &part.file;
            dropped.push_unknown(&file.extra, &format!("{path}.file"));
            ItemPart::InputFile(FileInput {
                file_id: file.file_id.clone(),
                file_data: file.file_data.clone(),
                filename: file.filename.clone(),
                file_url: None,
                extra: dropped.keep_unknown(&part.extra, FileInput::FIELD_NAMES, path),
            })
        }
        Part::Refusal(_) | Part::Thinking(_) | Part::Other(_) => {
            return unsupported(path, "the Responses API has no such part in this message");
        }
    })
}

/// Translates a content part of an assistant message. Returns `None` for a thinking part, which is dropped.
fn output_part(
    part: &Part,
    path: String,
    dropped: &mut DroppedFields,
) -> Result<Option<ItemPart>, UnsupportedField> {
    let (part, extra) = match part {
        Part::Text(part) => (ItemPart::output_text(&part.text), &part.extra),
        Part::Refusal(part) => (ItemPart::refusal(&part.refusal), &part.extra),
        Part::Thinking(_) => {
            dropped.push(path);
            return Ok(None);
        }
        _ => {
            return unsupported(path, "the Responses API has no such part in an assistant message");
        }
    };
    dropped.push_unknown(extra, &path);
    Ok(Some(part))
}
