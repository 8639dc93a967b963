//! Messages as items.

use std::collections::HashSet;

use crate::chat::{Content, CustomCall, Message, Part, Role, ToolCall};
use crate::responses::{
    AudioInput, CustomToolCallItem, FileInput, FunctionCallItem, ImageInput, Item, ItemPart, ItemText,
    MessageItem, ReasoningItem, ToolOutputItem,
};
use crate::translate::unknown_fields::{carried, left_out};
use crate::translate::{BETWEEN, Untranslatable, reasoning};

/// What messages tell.
pub(super) struct Told {
    /// The text of the system, where there is but one and it comes first.
    pub(super) instructions: Option<String>,
    pub(super) items: Vec<Item>,
    /// Whether there is reasoning of earlier turns among them.
    pub(super) thought: bool,
}

/// `instructed`: whether there are instructions already; then the system's texts are items as all others. `keeps`: whether the provider
/// keeps what it answers.
pub(super) fn conversation(
    messages: &[Message],
    instructed: bool,
    keeps: bool,
    dropped: &mut Vec<String>,
) -> Result<Told, Untranslatable> {
    let instructions = if instructed { None } else { instructions(messages) };
    let mut writer = Writer {
        path: String::new(),
        items: Vec::new(),
        custom: HashSet::new(),
        keeps,
        thought: false,
        dropped,
    };
    let rest = messages
        .iter()
        .enumerate()
        .skip(usize::from(instructions.is_some()));
    for (at, message) in rest {
        writer.path = format!("messages[{at}]");
        writer.message(message)?;
    }
    Ok(Told {
        instructions,
        items: writer.items,
        thought: writer.thought,
    })
}

fn instructions(messages: &[Message]) -> Option<String> {
    let of_system = |message: &&Message| message.role == Some(Role::System);
    let first = messages.first().filter(of_system)?;
    let alone = messages.iter().filter(of_system).count() == 1;
    match &first.content {
        Some(Content::Text(text)) if alone && first.name.is_none() && first.extra.is_empty() => {
            Some(text.clone())
        }
        _ => None,
    }
}

struct Writer<'a> {
    /// Of the message that is being written.
    path: String,
    items: Vec<Item>,
    /// Ids of calls of custom tools: what became of them is an item of another type.
    custom: HashSet<String>,
    keeps: bool,
    thought: bool,
    dropped: &'a mut Vec<String>,
}

impl Writer<'_> {
    fn message(&mut self, message: &Message) -> Result<(), Untranslatable> {
        match &message.role {
            Some(role @ (Role::System | Role::Developer | Role::User)) => {
                self.leave_out(message, &[]);
                let content = self.input(message.content.as_ref())?;
                let extra = carried(&message.extra, MessageItem::FIELD_NAMES, &self.path, self.dropped);
                self.items.push(Item::Message(MessageItem {
                    role: Some(role.clone()),
                    content,
                    extra,
                    ..MessageItem::default()
                }));
                Ok(())
            }
            Some(Role::Assistant) => self.assistant(message),
            Some(Role::Tool) => self.output(message),
            Some(Role::Function) => Err(self.wrong("role", "this old form has no equivalent; use tools")),
            Some(Role::Other(_)) | None => {
                Err(self.wrong("role", "this role is not known, so it cannot be translated"))
            }
        }
    }

    fn wrong(&self, member: &str, why: &'static str) -> Untranslatable {
        Untranslatable::new(format!("{}.{member}", self.path), why)
    }

    /// Reports what is said of a message, but for its role, its content and these.
    fn leave_out(&mut self, message: &Message, but_for: &[&str]) {
        let said = [
            ("name", message.name.is_some()),
            ("refusal", message.refusal.is_some()),
            ("reasoning_content", message.reasoning_content.is_some()),
            ("reasoning", message.reasoning.is_some()),
            ("reasoning_details", message.reasoning_details.is_some()),
            ("tool_calls", !message.tool_calls.is_empty()),
            ("tool_call_id", message.tool_call_id.is_some()),
            ("function_call", message.function_call.is_some()),
            ("audio", message.audio.is_some()),
            (
                "annotations",
                message.annotations.as_ref().is_some_and(|list| !list.is_empty()),
            ),
        ];
        let said = said
            .into_iter()
            .filter(|(name, said)| *said && !but_for.contains(name));
        self.dropped
            .extend(said.map(|(name, _)| format!("{}.{name}", self.path)));
    }

    /// Of anybody but the model.
    fn input(&mut self, content: Option<&Content>) -> Result<Option<Content<ItemPart>>, Untranslatable> {
        Ok(match content {
            None => None,
            Some(Content::Text(text)) => Some(Content::Text(text.clone())),
            Some(Content::Parts(parts)) => {
                let parts = parts.iter().enumerate();
                let parts = parts.map(|(at, part)| self.input_part(at, part));
                Some(Content::Parts(parts.collect::<Result<_, _>>()?))
            }
        })
    }

    fn input_part(&mut self, at: usize, part: &Part) -> Result<ItemPart, Untranslatable> {
        let path = format!("{}.content[{at}]", self.path);
        let dropped = &mut *self.dropped;
        Ok(match part {
            Part::Text(part) => ItemPart::InputText(ItemText {
                text: part.text.clone(),
                extra: carried(&part.extra, &[], &path, dropped),
            }),
            Part::Image(part) => {
                left_out(&part.image_url.extra, &format!("{path}.image_url"), dropped);
                ItemPart::InputImage(ImageInput {
                    image_url: Some(part.image_url.url.clone()),
                    detail: part.image_url.detail.clone().or_else(|| Some("auto".to_owned())),
                    extra: carried(&part.extra, ImageInput::FIELD_NAMES, &path, dropped),
                    ..ImageInput::default()
                })
            }
            Part::Audio(part) => ItemPart::InputAudio(AudioInput {
                input_audio: part.input_audio.clone(),
                extra: carried(&part.extra, &[], &path, dropped),
            }),
            Part::File(part) => {
                left_out(&part.file.extra, &format!("{path}.file"), dropped);
                ItemPart::InputFile(FileInput {
                    file_id: part.file.file_id.clone(),
                    file_data: part.file.file_data.clone(),
                    filename: part.file.filename.clone(),
                    file_url: None,
                    extra: carried(&part.extra, FileInput::FIELD_NAMES, &path, dropped),
                })
            }
            Part::Refusal(_) | Part::Thinking(_) | Part::Other(_) => {
                return Err(Untranslatable::new(
                    path,
                    "the Responses API has no such part here",
                ));
            }
        })
    }

    fn assistant(&mut self, message: &Message) -> Result<(), Untranslatable> {
        if message.audio.is_some() {
            return Err(self.wrong("audio", "the Responses API has no spoken answers"));
        }
        if message.function_call.is_some() {
            return Err(self.wrong("function_call", "this old form has no equivalent; use tool_calls"));
        }
        let placed = self.reasoning(message);
        self.leave_out(message, &[placed, &["refusal", "tool_calls"]].concat());
        left_out(&message.extra, &self.path, self.dropped);
        let parts = self.said(message)?;
        if !parts.is_empty() {
            self.items.push(Item::Message(MessageItem {
                role: Some(Role::Assistant),
                content: Some(Content::Parts(parts)),
                ..MessageItem::default()
            }));
        }
        let calls = message.tool_calls.iter().enumerate();
        calls.into_iter().try_for_each(|(at, call)| self.call(at, call))
    }

    /// The reasoning items of an earlier turn, where the message has them. Answers which members they have a place for.
    fn reasoning(&mut self, message: &Message) -> &'static [&'static str] {
        let Some(details) = &message.reasoning_details else {
            return &[];
        };
        let known = reasoning::items_of(details).unwrap_or_default();
        if known.is_empty() {
            return &[];
        }
        self.thought = true;
        let texts: Vec<String> = known.iter().filter_map(text_of).collect();
        let text = texts.join(BETWEEN);
        let count = known.len();
        // The provider would look for what it has not kept.
        let sent = |item: &Item| self.keeps || !matches!(item, Item::Reasoning(item) if says_nothing(item));
        let known: Vec<_> = known.into_iter().filter(sent).collect();
        let all = known.len() == count && reasoning::are_ours(details);
        self.items.extend(known);
        let same = |said: &Option<String>| said.as_ref().is_none_or(|said| *said == text);
        match (all, same(&message.reasoning_content) && same(&message.reasoning)) {
            (true, true) => &["reasoning_details", "reasoning_content", "reasoning"],
            (true, false) => &["reasoning_details"],
            (false, true) => &["reasoning_content", "reasoning"],
            (false, false) => &[],
        }
    }

    /// What the model said, in parts of its own.
    fn said(&mut self, message: &Message) -> Result<Vec<ItemPart>, Untranslatable> {
        let mut said = Vec::new();
        match &message.content {
            Some(Content::Text(text)) if !text.is_empty() => said.push(ItemPart::output_text(text)),
            Some(Content::Text(_)) | None => {}
            Some(Content::Parts(parts)) => {
                for (at, part) in parts.iter().enumerate() {
                    let path = format!("{}.content[{at}]", self.path);
                    match part {
                        Part::Text(part) => {
                            left_out(&part.extra, &path, self.dropped);
                            said.push(ItemPart::output_text(&part.text));
                        }
                        Part::Refusal(part) => {
                            left_out(&part.extra, &path, self.dropped);
                            said.push(ItemPart::refusal(&part.refusal));
                        }
                        Part::Thinking(_) => self.dropped.push(path),
                        _ => {
                            let why = "the Responses API has no such part of an assistant";
                            return Err(Untranslatable::new(path, why));
                        }
                    }
                }
            }
        }
        said.extend(message.refusal.as_ref().map(ItemPart::refusal));
        Ok(said)
    }

    fn call(&mut self, at: usize, call: &ToolCall) -> Result<(), Untranslatable> {
        let path = format!("{}.tool_calls[{at}]", self.path);
        let id = call.id.clone().filter(|id| !id.is_empty());
        let why = "it needs an id, by which its output joins it";
        let call_id = id.ok_or_else(|| Untranslatable::new(&path, why))?;
        left_out(&call.extra, &path, self.dropped);
        let item = match (&call.function, &call.custom) {
            (Some(function), None) => {
                left_out(&function.extra, &format!("{path}.function"), self.dropped);
                // Some providers count the ids of each turn from the beginning.
                self.custom.remove(&call_id);
                Item::FunctionCall(FunctionCallItem {
                    call_id,
                    name: function.name.clone().unwrap_or_default(),
                    arguments: function.arguments.clone().unwrap_or_default(),
                    ..FunctionCallItem::default()
                })
            }
            (None, Some(CustomCall { name, input, extra })) => {
                left_out(extra, &format!("{path}.custom"), self.dropped);
                self.custom.insert(call_id.clone());
                Item::CustomToolCall(CustomToolCallItem {
                    call_id,
                    name: name.clone().unwrap_or_default(),
                    input: input.clone().unwrap_or_default(),
                    ..CustomToolCallItem::default()
                })
            }
            _ => {
                let why = "this type is not known, so it cannot be translated";
                return Err(Untranslatable::new(path, why));
            }
        };
        self.items.push(item);
        Ok(())
    }

    fn output(&mut self, message: &Message) -> Result<(), Untranslatable> {
        self.leave_out(message, &["tool_call_id"]);
        let call_id = message.tool_call_id.clone().filter(|id| !id.is_empty());
        let call_id =
            call_id.ok_or_else(|| self.wrong("tool_call_id", "say which call this is the result of"))?;
        let of_custom = self.custom.contains(&call_id);
        let output = self.input(message.content.as_ref())?;
        let item = ToolOutputItem {
            call_id,
            output,
            extra: carried(
                &message.extra,
                ToolOutputItem::FIELD_NAMES,
                &self.path,
                self.dropped,
            ),
            ..ToolOutputItem::default()
        };
        self.items.push(if of_custom {
            Item::CustomToolCallOutput(item)
        } else {
            Item::FunctionCallOutput(item)
        });
        Ok(())
    }
}

fn text_of(item: &Item) -> Option<String> {
    match item {
        Item::Reasoning(item) => Some(item.text()).filter(|text| !text.is_empty()),
        _ => None,
    }
}

/// Whether there is nothing of a reasoning item but its id.
fn says_nothing(item: &ReasoningItem) -> bool {
    item.encrypted_content.is_none() && item.text().is_empty()
}
