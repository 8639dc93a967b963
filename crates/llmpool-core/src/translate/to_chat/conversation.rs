//! Items as messages.

use std::collections::HashMap;

use super::request::{ChatCapabilities, ReasoningEcho};
use crate::chat::{
    AudioPart, Content, CustomCall, FilePart, FileSource, ImagePart, ImageUrl, Json, Message, Part, Role,
    TextPart, ToolCall,
};
use crate::responses::{
    Item, ItemPart, ItemText, MessageItem, OutputText, ReasoningItem, ResponsesRequest, ToolOutputItem,
};
use crate::translate::unknown_fields::{carried, left_out};
use crate::translate::{BETWEEN, Untranslatable, reasoning};

const UNKNOWN: &str = "this type is not known, so it cannot be translated";

pub(super) fn conversation(
    request: &ResponsesRequest,
    accent: ChatCapabilities,
    dropped: &mut Vec<String>,
) -> Result<Vec<Message>, Untranslatable> {
    let mut writer = Writer {
        accent,
        messages: Vec::new(),
        thought: Vec::new(),
        details: Vec::new(),
        dropped,
    };
    let instructions = request.instructions.as_ref();
    let instructions = instructions.map(|text| Message::system(text.as_str()));
    writer.messages.extend(instructions);
    match &request.input {
        None => {}
        Some(Content::Text(text)) => writer.messages.push(Message::user(text.as_str())),
        Some(Content::Parts(items)) => {
            for (at, item) in items.iter().enumerate() {
                writer.item(item, &format!("input[{at}]"))?;
            }
        }
    }
    writer.forget();
    writer.close();
    Ok(results_after_their_calls(writer.messages))
}

/// Providers refuse calls that are not followed at once by what became of them.
fn results_after_their_calls(messages: Vec<Message>) -> Vec<Message> {
    let mut created_resources: HashMap<String, usize> = HashMap::new();
    let mut results: HashMap<usize, Vec<Message>> = HashMap::new();
    let mut others = Vec::new();
    for (at, message) in messages.into_iter().enumerate() {
        let calls = message.tool_calls.iter().filter_map(|call| call.id.clone());
        created_resources.extend(calls.map(|id| (id, at)));
        let id = message.tool_call_id.as_ref();
        match id.and_then(|id| created_resources.get(id)) {
            Some(maker) => results.entry(*maker).or_default().push(message),
            None => others.push((at, message)),
        }
    }
    let mut ordered = Vec::new();
    for (at, message) in others {
        ordered.push(message);
        ordered.extend(results.remove(&at).unwrap_or_default());
    }
    ordered
}

/// Writes messages. Calls join the assistant's message before them.
struct Writer<'a> {
    accent: ChatCapabilities,
    messages: Vec<Message>,
    /// Reasoning whose message is still to come, and its path.
    thought: Vec<(String, ReasoningItem)>,
    /// Reasoning of the assistant's message that is being written.
    details: Vec<Json>,
    dropped: &'a mut Vec<String>,
}

impl Writer<'_> {
    fn item(&mut self, item: &Item, path: &str) -> Result<(), Untranslatable> {
        match item {
            Item::Message(message) | Item::EasyMessage(message) => self.message(message, path)?,
            Item::FunctionCall(call) => {
                left_out(&call.extra, path, self.dropped);
                let call = ToolCall::function(&call.call_id, &call.name, &call.arguments);
                self.speaking(true).tool_calls.push(call);
            }
            Item::CustomToolCall(_) if !self.accent.openai_only => {
                let why = "this model has no custom tools";
                return Err(Untranslatable::new(format!("{path}.type"), why));
            }
            Item::CustomToolCall(call) => {
                left_out(&call.extra, path, self.dropped);
                let custom = CustomCall {
                    name: Some(call.name.clone()),
                    input: Some(call.input.clone()),
                    ..CustomCall::default()
                };
                self.speaking(true).tool_calls.push(ToolCall {
                    id: Some(call.call_id.clone()),
                    kind: Some("custom".to_owned()),
                    custom: Some(custom),
                    ..ToolCall::default()
                });
            }
            Item::FunctionCallOutput(output) | Item::CustomToolCallOutput(output) => {
                self.output(output, path)?;
            }
            Item::Reasoning(item) => self.thought.push((path.to_owned(), item.clone())),
            Item::Reference(_) => {
                let why = "this model keeps no responses; send the item itself";
                return Err(Untranslatable::new(path, why));
            }
            other => {
                let why = if matches!(other, Item::Other(_)) {
                    UNKNOWN
                } else {
                    "only the Responses API's own providers run this tool"
                };
                return Err(Untranslatable::new(format!("{path}.type"), why));
            }
        }
        Ok(())
    }

    /// The assistant's message that is being written. `joins`: to what it said just before, unless it thought in between; of calls, which
    /// are made together, also then.
    fn speaking(&mut self, joins: bool) -> &mut Message {
        let goes_on = |last: &Message| self.thought.is_empty() || !last.tool_calls.is_empty();
        let last = self.messages.last();
        let open = last.is_some_and(|last| last.role == Some(Role::Assistant) && goes_on(last));
        if !(joins && open) {
            let mut message = Message {
                role: Some(Role::Assistant),
                ..Message::default()
            };
            message.set_null("content");
            self.add(message);
        }
        self.remember();
        let last = self.messages.len() - 1;
        &mut self.messages[last]
    }

    fn add(&mut self, message: Message) {
        self.close();
        self.messages.push(message);
    }

    /// No more reasoning comes to the last message.
    fn close(&mut self) {
        let details = std::mem::take(&mut self.details);
        if let Some(last) = self.messages.last_mut().filter(|_| !details.is_empty()) {
            last.reasoning_details = Json::of(&details).ok();
        }
    }

    /// Puts the reasoning so far where the provider wants it back.
    fn remember(&mut self) {
        for (path, item) in std::mem::take(&mut self.thought) {
            match self.accent.reasoning {
                ReasoningEcho::Dropped => self.dropped.push(path),
                ReasoningEcho::Content => {
                    if item.encrypted_content.is_some() {
                        self.dropped.push(format!("{path}.encrypted_content"));
                    }
                    if let Some(last) = self.messages.last_mut() {
                        join(&mut last.reasoning_content, &item.text());
                    }
                }
                ReasoningEcho::Details => self.details.extend(reasoning::details_of(&item)),
            }
        }
    }

    /// Reasoning that nothing followed.
    fn forget(&mut self) {
        let thought = std::mem::take(&mut self.thought);
        self.dropped.extend(thought.into_iter().map(|(path, _)| path));
    }

    fn message(&mut self, item: &MessageItem, path: &str) -> Result<(), Untranslatable> {
        if item.phase.is_some() {
            self.dropped.push(format!("{path}.phase"));
        }
        let role = match &item.role {
            Some(Role::Assistant) => return self.assistant(item, path),
            Some(Role::Developer) if !self.accent.developer => Role::System,
            Some(role @ (Role::System | Role::Developer | Role::User)) => role.clone(),
            _ => {
                let why = "this role is not known, so it cannot be translated";
                return Err(Untranslatable::new(format!("{path}.role"), why));
            }
        };
        self.forget();
        let content = self.input(item.content.as_ref(), path)?;
        let extra = carried(&item.extra, Message::FIELD_NAMES, path, self.dropped);
        self.add(Message {
            role: Some(role),
            content,
            extra,
            ..Message::default()
        });
        Ok(())
    }

    fn assistant(&mut self, item: &MessageItem, path: &str) -> Result<(), Untranslatable> {
        left_out(&item.extra, path, self.dropped);
        let mut said = Said::default();
        match &item.content {
            None => {}
            Some(Content::Text(text)) => said.say(text),
            Some(Content::Parts(parts)) => {
                for (at, part) in parts.iter().enumerate() {
                    said.part(part, &format!("{path}.content[{at}]"), self.dropped)?;
                }
            }
        }
        let message = self.speaking(false);
        message.content = said.text.map(Content::Text);
        message.refusal = said.refusal;
        Ok(())
    }

    fn output(&mut self, item: &ToolOutputItem, path: &str) -> Result<(), Untranslatable> {
        self.forget();
        let mut text = String::new();
        match &item.output {
            None => {}
            Some(Content::Text(said)) => text.clone_from(said),
            Some(Content::Parts(parts)) => {
                for (at, part) in parts.iter().enumerate() {
                    let path = format!("{path}.output[{at}]");
                    let Some(said) = part.text() else {
                        let why = "the result of a tool is text in a chat";
                        return Err(Untranslatable::new(path, why));
                    };
                    text += said;
                    if let ItemPart::InputText(part) = part {
                        left_out(&part.extra, &path, self.dropped);
                    }
                }
            }
        }
        let extra = carried(&item.extra, Message::FIELD_NAMES, path, self.dropped);
        self.add(Message {
            extra,
            ..Message::tool(&item.call_id, text)
        });
        Ok(())
    }

    /// A lone text is a text: older servers take no parts.
    fn input(
        &mut self,
        content: Option<&Content<ItemPart>>,
        path: &str,
    ) -> Result<Option<Content>, Untranslatable> {
        Ok(match content {
            None => None,
            Some(Content::Text(text)) => Some(Content::Text(text.clone())),
            Some(Content::Parts(parts)) => match &parts[..] {
                [ItemPart::InputText(part)] if part.extra.is_empty() => {
                    Some(Content::Text(part.text.clone()))
                }
                parts => {
                    let parts = parts.iter().enumerate();
                    let parts = parts
                        .map(|(at, part)| input_part(part, &format!("{path}.content[{at}]"), self.dropped));
                    Some(Content::Parts(parts.collect::<Result<_, _>>()?))
                }
            },
        })
    }
}

fn join(texts: &mut Option<String>, text: &str) {
    if text.is_empty() {
        return;
    }
    match texts {
        Some(known) => {
            known.push_str(BETWEEN);
            known.push_str(text);
        }
        None => *texts = Some(text.to_owned()),
    }
}

/// What the model said.
#[derive(Default)]
struct Said {
    text: Option<String>,
    refusal: Option<String>,
}

impl Said {
    fn say(&mut self, text: &str) {
        self.text.get_or_insert_default().push_str(text);
    }

    fn part(&mut self, part: &ItemPart, path: &str, dropped: &mut Vec<String>) -> Result<(), Untranslatable> {
        match part {
            ItemPart::OutputText(part) => {
                leave_out_origins(part, path, dropped);
                self.say(&part.text);
            }
            ItemPart::InputText(part) => {
                left_out(&part.extra, path, dropped);
                self.say(&part.text);
            }
            ItemPart::Refusal(part) => {
                left_out(&part.extra, path, dropped);
                self.refusal.get_or_insert_default().push_str(&part.refusal);
            }
            _ => {
                let why = "a chat has no such part of an assistant";
                return Err(Untranslatable::new(path, why));
            }
        }
        Ok(())
    }
}

/// How likely a text was is no part of a conversation, and left out without a word.
fn leave_out_origins(part: &OutputText, path: &str, dropped: &mut Vec<String>) {
    if !part.annotations.is_empty() {
        dropped.push(format!("{path}.annotations"));
    }
    left_out(&part.extra, path, dropped);
}

fn input_part(part: &ItemPart, path: &str, dropped: &mut Vec<String>) -> Result<Part, Untranslatable> {
    let said = |ItemText { text, extra }: &ItemText, dropped: &mut Vec<String>| {
        Part::Text(TextPart {
            text: text.clone(),
            extra: carried(extra, &[], path, dropped),
        })
    };
    Ok(match part {
        ItemPart::InputText(part) => said(part, dropped),
        ItemPart::OutputText(part) => {
            leave_out_origins(part, path, dropped);
            Part::text(&part.text)
        }
        ItemPart::InputImage(part) => {
            let why = "a chat's image is a URL; this model has no files";
            let url = part.image_url.clone();
            let url = url.ok_or_else(|| Untranslatable::new(format!("{path}.file_id"), why))?;
            if part.file_id.is_some() {
                dropped.push(format!("{path}.file_id"));
            }
            Part::Image(ImagePart {
                image_url: ImageUrl {
                    url,
                    detail: part.detail.clone(),
                    ..ImageUrl::default()
                },
                extra: carried(&part.extra, &[], path, dropped),
            })
        }
        ItemPart::InputAudio(part) => Part::Audio(AudioPart {
            input_audio: part.input_audio.clone(),
            extra: carried(&part.extra, &[], path, dropped),
        }),
        ItemPart::InputFile(part) if part.file_url.is_none() => Part::File(FilePart {
            file: FileSource {
                file_id: part.file_id.clone(),
                file_data: part.file_data.clone(),
                filename: part.filename.clone(),
                ..FileSource::default()
            },
            extra: carried(&part.extra, &["file"], path, dropped),
        }),
        ItemPart::InputFile(_) => {
            let why = "a chat's file is sent whole; this model fetches none";
            return Err(Untranslatable::new(format!("{path}.file_url"), why));
        }
        _ => return Err(Untranslatable::new(format!("{path}.type"), UNKNOWN)),
    })
}
