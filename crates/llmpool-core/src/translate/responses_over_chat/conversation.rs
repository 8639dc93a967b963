//! Translation of the instructions and input items of a Responses request to the messages of a chat request.

use std::collections::HashMap;

use super::capabilities::{ChatCapabilities, ReasoningEcho};
use crate::chat::{
    AudioPart, Content, FilePart, FileSource, ImagePart, ImageUrl, Json, Message, Part, Role, TextPart,
    UnknownFields,
};
use crate::responses::{
    CustomToolCallItem, FunctionCallItem, Item, ItemPart, MessageItem, OutputText, ReasoningItem,
    ResponsesRequest, ToolOutputItem,
};
use crate::translate::dropped_fields::{DroppedFields, copy_unknown};
use crate::translate::echoed::{echoed, insert_all, not_echoed};
use crate::translate::reasoning_details::item_to_blocks;
use crate::translate::tool_call_parts::ToolCallParts;
use crate::translate::unsupported_field::{
    HOSTED_TOOL, NO_CUSTOM_TOOLS, UNKNOWN_ROLE, UNKNOWN_TYPE, translate_each, unsupported,
};
use crate::translate::{REASONING_SEPARATOR, UnsupportedField};

/// Translates the instructions and the input of a Responses request to chat messages.
pub(super) fn chat_messages(
    request: &ResponsesRequest,
    capabilities: ChatCapabilities,
    dropped: &mut DroppedFields,
) -> Result<Vec<Message>, UnsupportedField> {
    let mut builder = MessageBuilder {
        capabilities,
        messages: Vec::new(),
        pending_reasoning: Vec::new(),
        dropped,
    };
    if let Some(text) = &request.instructions {
        builder.push(Message::system(text.as_str()));
    }
    match &request.input {
        None => {}
        Some(Content::Text(text)) => builder.push(Message::user(text.as_str())),
        Some(Content::Parts(items)) => {
            for (index, item) in items.iter().enumerate() {
                builder.push_item(item, &format!("input[{index}]"))?;
            }
        }
    }
    builder.drop_pending_reasoning();
    let messages = builder.messages.into_iter().map(with_reasoning_details);
    Ok(move_outputs_behind_calls(messages))
}

/// Moves each tool message directly behind the message with its tool call, because providers reject any other
/// order.
fn move_outputs_behind_calls(messages: impl Iterator<Item = Message>) -> Vec<Message> {
    let mut caller_of: HashMap<String, usize> = HashMap::new();
    let mut outputs: HashMap<usize, Vec<Message>> = HashMap::new();
    let mut others = Vec::new();
    for (index, message) in messages.enumerate() {
        let call_ids = message.tool_calls.iter().filter_map(|call| call.id.clone());
        caller_of.extend(call_ids.map(|id| (id, index)));
        let call_id = message.tool_call_id.as_ref();
        match call_id.and_then(|id| caller_of.get(id)) {
            Some(caller) => outputs.entry(*caller).or_default().push(message),
            None => others.push((index, message)),
        }
    }
    let mut ordered = Vec::new();
    for (index, message) in others {
        ordered.push(message);
        ordered.extend(outputs.remove(&index).unwrap_or_default());
    }
    ordered
}

/// Translates input items and appends them to a list of chat messages.
struct MessageBuilder<'a> {
    capabilities: ChatCapabilities,
    /// The translated messages, each with the reasoning blocks for its `reasoning_details` field.
    messages: Vec<(Message, Vec<Json>)>,
    /// Reasoning items that belong to the next assistant message, each with its path in the request, such as
    /// `input[2]`.
    pending_reasoning: Vec<(String, ReasoningItem)>,
    dropped: &'a mut DroppedFields,
}

impl MessageBuilder<'_> {
    fn push_item(&mut self, item: &Item, path: &str) -> Result<(), UnsupportedField> {
        let unsupported_type = |reason| unsupported(format!("{path}.type"), reason);
        match item {
            Item::Message(message) | Item::EasyMessage(message) => self.push_message(message, path)?,
            Item::CustomToolCall(_) if !self.capabilities.openai_extensions => {
                return unsupported_type(NO_CUSTOM_TOOLS);
            }
            Item::FunctionCall(FunctionCallItem { extra, .. })
            | Item::CustomToolCall(CustomToolCallItem { extra, .. }) => {
                let extra = self.echo(extra, path);
                let call =
                    ToolCallParts::from_item(item).map(|call| ToolCallParts { extra, ..call }.into_chat());
                self.assistant_message(true).tool_calls.extend(call);
            }
            Item::FunctionCallOutput(output) | Item::CustomToolCallOutput(output) => {
                self.push_tool_output(output, path)?;
            }
            Item::Reasoning(item) => self.pending_reasoning.push((path.to_owned(), item.clone())),
            Item::Reference(_) => {
                return unsupported(
                    path,
                    "the provider of this model stores no responses; send the item itself",
                );
            }
            Item::Other(_) => return unsupported_type(UNKNOWN_TYPE),
            _ => return unsupported_type(HOSTED_TOOL),
        }
        Ok(())
    }

    /// Returns the unknown fields of an object at `path` that the model needs back. Reports the others as
    /// dropped: another model's provider would refuse them. OpenAI refuses all unknown fields.
    fn echo(&mut self, extra: &UnknownFields, path: &str) -> UnknownFields {
        if self.capabilities.openai_extensions {
            self.dropped.push_unknown(extra, path);
            return UnknownFields::default();
        }
        self.dropped.push_members(not_echoed(extra), path);
        echoed(extra)
    }

    /// Returns the assistant message to which the next item belongs, after adding the pending reasoning to
    /// that message.
    ///
    /// A message item always starts a new message. A tool call starts a new message in two cases:
    ///
    /// - The last message is not an assistant message.
    /// - Reasoning is pending, and the last message has no tool calls. If the last message has tool calls,
    ///   the new call is added to them, which keeps the tool calls of one turn together.
    fn assistant_message(&mut self, is_tool_call: bool) -> &mut Message {
        let continues = |last: &Message| self.pending_reasoning.is_empty() || !last.tool_calls.is_empty();
        let last = self.messages.last().map(|(message, _)| message);
        let is_open = last.is_some_and(|last| last.role == Some(Role::Assistant) && continues(last));
        if !(is_tool_call && is_open) {
            let mut message = Message {
                role: Some(Role::Assistant),
                ..Message::default()
            };
            message.set_null("content");
            self.push(message);
        }
        self.attach_pending_reasoning();
        let last = self.messages.len() - 1;
        &mut self.messages[last].0
    }

    fn push(&mut self, message: Message) {
        self.messages.push((message, Vec::new()));
    }

    /// Adds the pending reasoning to the last message, in the form that [`ChatCapabilities::reasoning_echo`]
    /// selects.
    fn attach_pending_reasoning(&mut self) {
        let Some((message, blocks)) = self.messages.last_mut() else {
            return;
        };
        for (path, item) in std::mem::take(&mut self.pending_reasoning) {
            match self.capabilities.reasoning_echo {
                ReasoningEcho::Dropped => self.dropped.push(path),
                ReasoningEcho::Content => {
                    if item.encrypted_content.is_some() {
                        self.dropped.push(format!("{path}.encrypted_content"));
                    }
                    append_reasoning(&mut message.reasoning_content, &item.text());
                }
                ReasoningEcho::Details => blocks.extend(item_to_blocks(&item)),
            }
        }
    }

    /// Reports the pending reasoning as dropped. Called when no assistant message follows the reasoning.
    fn drop_pending_reasoning(&mut self) {
        for (path, _) in std::mem::take(&mut self.pending_reasoning) {
            self.dropped.push(path);
        }
    }

    fn push_message(&mut self, item: &MessageItem, path: &str) -> Result<(), UnsupportedField> {
        if item.phase.is_some() {
            self.dropped.push(format!("{path}.phase"));
        }
        let role = match &item.role {
            Some(Role::Assistant) => return self.push_assistant_message(item, path),
            Some(Role::Developer) if !self.capabilities.developer_role => Role::System,
            Some(role @ (Role::System | Role::Developer | Role::User)) => role.clone(),
            _ => return unsupported(format!("{path}.role"), UNKNOWN_ROLE),
        };
        self.drop_pending_reasoning();
        let content = self.input_content(item.content.as_ref(), path)?;
        let extra = self.dropped.keep_unknown(&item.extra, Message::FIELD_NAMES, path);
        self.push(Message {
            role: Some(role),
            content,
            extra,
            ..Message::default()
        });
        Ok(())
    }

    fn push_assistant_message(&mut self, item: &MessageItem, path: &str) -> Result<(), UnsupportedField> {
        let extra = self.echo(&item.extra, path);
        let mut output = AssistantContent::default();
        match &item.content {
            None => {}
            Some(Content::Text(text)) => output.push_text(text),
            Some(Content::Parts(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    output.push_part(part, &format!("{path}.content[{index}]"), self.dropped)?;
                }
            }
        }
        let message = self.assistant_message(false);
        message.content = output.text.map(Content::Text);
        message.refusal = output.refusal;
        insert_all(&mut message.extra, extra);
        Ok(())
    }

    fn push_tool_output(&mut self, item: &ToolOutputItem, path: &str) -> Result<(), UnsupportedField> {
        self.drop_pending_reasoning();
        let mut output = String::new();
        match &item.output {
            None => {}
            Some(Content::Text(text)) => output.clone_from(text),
            Some(Content::Parts(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    let path = format!("{path}.output[{index}]");
                    let Some(text) = part.text() else {
                        return unsupported(path, "the output of a tool must be text in a chat");
                    };
                    output += text;
                    if let ItemPart::InputText(part) = part {
                        self.dropped.push_unknown(&part.extra, &path);
                    }
                }
            }
        }
        let extra = self.dropped.keep_unknown(&item.extra, Message::FIELD_NAMES, path);
        self.push(Message {
            extra,
            ..Message::tool(&item.call_id, output)
        });
        Ok(())
    }

    /// Translates the content of a system, developer or user message. A single text part becomes a plain
    /// string, because older servers do not accept content parts.
    fn input_content(
        &mut self,
        content: Option<&Content<ItemPart>>,
        path: &str,
    ) -> Result<Option<Content>, UnsupportedField> {
        let parts = match content {
            None => return Ok(None),
            Some(Content::Text(text)) => return Ok(Some(Content::Text(text.clone()))),
            Some(Content::Parts(parts)) => parts,
        };
        if let [ItemPart::InputText(part)] = &parts[..]
            && part.extra.is_empty()
        {
            return Ok(Some(Content::Text(part.text.clone())));
        }
        let translate = |part: &ItemPart, path: String| input_part(part, &path, self.dropped);
        Ok(Some(Content::Parts(translate_each(
            parts,
            &format!("{path}.content"),
            translate,
        )?)))
    }
}

fn with_reasoning_details((mut message, blocks): (Message, Vec<Json>)) -> Message {
    if !blocks.is_empty() {
        message.reasoning_details = Json::of(&blocks).ok();
    }
    message
}

fn append_reasoning(reasoning: &mut Option<String>, text: &str) {
    if text.is_empty() {
        return;
    }
    let reasoning = reasoning.get_or_insert_default();
    if !reasoning.is_empty() {
        reasoning.push_str(REASONING_SEPARATOR);
    }
    reasoning.push_str(text);
}

/// Text and refusal of an assistant message. Each field is `None` if the message has no such part.
#[derive(Default)]
struct AssistantContent {
    text: Option<String>,
    refusal: Option<String>,
}

impl AssistantContent {
    fn push_text(&mut self, text: &str) {
        self.text.get_or_insert_default().push_str(text);
    }

    fn push_part(
        &mut self,
        part: &ItemPart,
        path: &str,
        dropped: &mut DroppedFields,
    ) -> Result<(), UnsupportedField> {
        match part {
            ItemPart::OutputText(part) => {
                drop_text_details(part, path, dropped);
                self.push_text(&part.text);
            }
            ItemPart::InputText(part) => {
                dropped.push_unknown(&part.extra, path);
                self.push_text(&part.text);
            }
            ItemPart::Refusal(part) => {
                dropped.push_unknown(&part.extra, path);
                self.refusal.get_or_insert_default().push_str(&part.refusal);
            }
            _ => {
                return unsupported(path, "a chat has no such part in an assistant message");
            }
        }
        Ok(())
    }
}

/// Reports the annotations and the unknown fields of a text part as dropped. The part's log probabilities are
/// dropped without a report, because no provider reads log probabilities.
fn drop_text_details(part: &OutputText, path: &str, dropped: &mut DroppedFields) {
    if !part.annotations.is_empty() {
        dropped.push(format!("{path}.annotations"));
    }
    dropped.push_unknown(&part.extra, path);
}

/// Translates a content part of a system, developer or user message.
fn input_part(part: &ItemPart, path: &str, dropped: &mut DroppedFields) -> Result<Part, UnsupportedField> {
    Ok(match part {
        ItemPart::InputText(part) => Part::Text(TextPart {
            text: part.text.clone(),
            extra: copy_unknown(&part.extra),
        }),
        ItemPart::OutputText(part) => {
            drop_text_details(part, path, dropped);
            Part::text(&part.text)
        }
        ItemPart::InputImage(part) => {
            let reason = "a chat accepts images only by URL; send the image itself";
            let url = part.image_url.clone();
            let url = url.ok_or_else(|| UnsupportedField::new(format!("{path}.file_id"), reason))?;
            if part.file_id.is_some() {
                dropped.push(format!("{path}.file_id"));
            }
            Part::Image(ImagePart {
                image_url: ImageUrl {
                    url,
                    detail: part.detail.clone(),
                    ..ImageUrl::default()
                },
                extra: copy_unknown(&part.extra),
            })
        }
        ItemPart::InputAudio(part) => Part::Audio(AudioPart {
            input_audio: part.input_audio.clone(),
            extra: copy_unknown(&part.extra),
        }),
        ItemPart::InputFile(part) if part.file_url.is_none() => Part::File(FilePart {
            file: FileSource {
                file_id: part.file_id.clone(),
                file_data: part.file_data.clone(),
                filename: part.filename.clone(),
                ..FileSource::default()
            },
            extra: dropped.keep_unknown(&part.extra, &["file"], path),
        }),
        ItemPart::InputFile(_) => {
            return unsupported(
                format!("{path}.file_url"),
                "a chat accepts no files by URL; send the file itself",
            );
        }
        _ => return unsupported(format!("{path}.type"), UNKNOWN_TYPE),
    })
}
