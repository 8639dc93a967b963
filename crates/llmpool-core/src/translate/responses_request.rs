//! A request for a response as a chat request.

use serde_json::{Value, json};

use super::{Translated, Untranslatable, reasoning};
use crate::chat::{
    AudioPart, ChatRequest, Content, CustomCall, CustomDefinition, CustomTool, FilePart, FileSource,
    FunctionDefinition, FunctionTool, ImagePart, ImageUrl, Json, JsonSchemaFormat, Message, NamedSchema,
    Part, ResponseFormat, Role, StreamOptions, TextPart, Tool, ToolCall, ToolChoice,
};
use crate::responses::{
    Item, ItemPart, MessageItem, OutputItem, ResponsesRequest, ResponsesTool, TextFormat,
};

const LOGPROBS: &str = "message.output_text.logprobs";

/// What the chat's provider understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatAccent {
    /// Messages of a developer; where it does not they are the system's.
    pub developer: bool,
    /// `max_completion_tokens`; where it does not it is `max_tokens`.
    pub max_completion_tokens: bool,
    /// What becomes of reasoning of earlier turns.
    pub reasoning: ReasoningBack,
}

/// What becomes of reasoning of earlier turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReasoningBack {
    /// It is left out and reported.
    #[default]
    Dropped,
    /// Its text comes back, as DeepSeek and Kimi want it.
    Content,
    /// It comes back untouched in `reasoning_details`.
    Details,
}

impl Default for ChatAccent {
    fn default() -> Self {
        Self {
            developer: true,
            max_completion_tokens: true,
            reasoning: ReasoningBack::Dropped,
        }
    }
}

/// The request in the other format.
pub fn to_chat(
    request: &ResponsesRequest,
    accent: ChatAccent,
) -> Result<Translated<ChatRequest>, Untranslatable> {
    refuse(request)?;
    let mut dropped = Vec::new();
    let mut chat = ChatRequest {
        messages: conversation(request, accent, &mut dropped)?,
        model: request.model.clone(),
        temperature: request.temperature,
        top_p: request.top_p,
        parallel_tool_calls: request.parallel_tool_calls,
        tools: request
            .tools
            .iter()
            .enumerate()
            .map(tool)
            .collect::<Result<_, _>>()?,
        tool_choice: request.tool_choice.as_ref().map(tool_choice).transpose()?,
        store: request.store,
        stream: request.stream,
        metadata: request.metadata.clone(),
        service_tier: request.service_tier.clone(),
        safety_identifier: request.safety_identifier.clone(),
        prompt_cache_key: request.prompt_cache_key.clone(),
        prompt_cache_retention: request.prompt_cache_retention.clone(),
        user: request.user.clone(),
        extra: request.extra.unknown(),
        ..ChatRequest::default()
    };
    if accent.max_completion_tokens {
        chat.max_completion_tokens = request.max_output_tokens;
    } else {
        chat.max_tokens = request.max_output_tokens;
    }
    text_options(request, &mut chat)?;
    let reasoning = request.reasoning.as_ref();
    chat.reasoning_effort = reasoning.and_then(|reasoning| reasoning.effort.clone());
    if request.include.iter().any(|what| what == LOGPROBS) {
        chat.logprobs = Some(true);
        chat.top_logprobs = request.top_logprobs;
    }
    chat.stream_options = stream_options(request);
    report(request, &mut dropped);
    Ok(Translated {
        request: chat,
        dropped,
    })
}

fn refuse(request: &ResponsesRequest) -> Result<(), Untranslatable> {
    let table = [
        (
            request.previous_response_id.is_some(),
            "previous_response_id",
            "this model keeps no responses; send the conversation as input",
        ),
        (
            request.conversation.is_some(),
            "conversation",
            "this model keeps no conversations; send it as input",
        ),
        (
            request.prompt.is_some(),
            "prompt",
            "this model keeps no templates; send the text as input",
        ),
        (
            request.background == Some(true),
            "background",
            "this model answers only while somebody waits",
        ),
    ];
    match table.into_iter().find(|(refused, ..)| *refused) {
        Some((_, param, why)) => Err(Untranslatable::new(param, why)),
        None => Ok(()),
    }
}

fn report(request: &ResponsesRequest, dropped: &mut Vec<String>) {
    let asks = |what: &str| request.include.iter().any(|asked| asked == what);
    let others = request.include.iter().filter(|asked| *asked != LOGPROBS);
    dropped.extend(others.map(|asked| format!("include: {asked}")));
    let summary = request
        .reasoning
        .as_ref()
        .is_some_and(|reasoning| reasoning.summary.is_some());
    let table = [
        (summary, "reasoning.summary"),
        (
            request.top_logprobs.is_some_and(|top| top > 0) && !asks(LOGPROBS),
            "top_logprobs",
        ),
        (request.max_tool_calls.is_some(), "max_tool_calls"),
        (request.truncation.as_deref() == Some("auto"), "truncation"),
        (request.context_management.is_some(), "context_management"),
    ];
    let names = table.into_iter().filter(|(said, _)| *said);
    dropped.extend(names.map(|(_, name)| name.to_owned()));
}

fn stream_options(request: &ResponsesRequest) -> Option<StreamOptions> {
    if request.stream != Some(true) {
        return None;
    }
    let mut options = StreamOptions {
        include_usage: Some(true),
        ..StreamOptions::default()
    };
    let said = request.stream_options.as_ref().map(Json::value);
    let obfuscation = said.as_ref().and_then(|said| said.get("include_obfuscation"));
    if let Some(obfuscation) = obfuscation.and_then(|wanted| Json::of(wanted).ok()) {
        options.extra.insert("include_obfuscation", obfuscation);
    }
    Some(options)
}

fn text_options(request: &ResponsesRequest, chat: &mut ChatRequest) -> Result<(), Untranslatable> {
    let Some(text) = &request.text else { return Ok(()) };
    chat.verbosity.clone_from(&text.verbosity);
    chat.response_format = match &text.format {
        None => None,
        Some(TextFormat::Text(plain)) => Some(ResponseFormat::Text(plain.clone())),
        Some(TextFormat::JsonObject(plain)) => Some(ResponseFormat::JsonObject(plain.clone())),
        Some(TextFormat::JsonSchema(schema)) => Some(ResponseFormat::JsonSchema(JsonSchemaFormat {
            json_schema: NamedSchema {
                name: schema.name.clone(),
                description: schema.description.clone(),
                schema: schema.schema.clone(),
                strict: schema.strict,
                extra: schema.extra.unknown(),
            },
            ..JsonSchemaFormat::default()
        })),
        Some(TextFormat::Other(_)) => {
            let why = "this type is not known, so it cannot be translated";
            return Err(Untranslatable::new("text.format.type", why));
        }
    };
    Ok(())
}

fn tool((at, tool): (usize, &ResponsesTool)) -> Result<Tool, Untranslatable> {
    Ok(match tool {
        ResponsesTool::Function(tool) => Tool::Function(FunctionTool {
            function: FunctionDefinition {
                name: tool.name.clone(),
                description: tool.description.clone(),
                parameters: tool.parameters.clone(),
                strict: tool.strict,
                extra: tool.extra.unknown(),
            },
            ..FunctionTool::default()
        }),
        ResponsesTool::Custom(tool) => Tool::Custom(CustomTool {
            custom: CustomDefinition {
                name: tool.name.clone(),
                description: tool.description.clone(),
                format: tool.format.as_ref().map(nested_grammar),
                extra: tool.extra.unknown(),
            },
            ..CustomTool::default()
        }),
        ResponsesTool::Other(_) => {
            let why = "only the Responses API's own providers run this tool";
            return Err(Untranslatable::new(format!("tools[{at}].type"), why));
        }
    })
}

/// `{"type": "grammar", "syntax": …}` is nested in a chat.
fn nested_grammar(format: &Json) -> Json {
    let value = format.value();
    let Value::Object(mut members) = value else {
        return format.clone();
    };
    if members.get("type").and_then(Value::as_str) != Some("grammar") || members.contains_key("grammar") {
        return format.clone();
    }
    members.remove("type");
    Json::of(&json!({"type": "grammar", "grammar": members})).unwrap_or_else(|_| format.clone())
}

fn tool_choice(choice: &Json) -> Result<ToolChoice, Untranslatable> {
    let nested = match choice.value() {
        mode @ Value::String(_) => mode,
        Value::Object(members) => nested_choice(&members, "tool_choice")?,
        _ => {
            return Err(Untranslatable::new(
                "tool_choice",
                "it has to be a text or an object",
            ));
        }
    };
    let json = Json::of(&nested).ok();
    let choice = json.and_then(|json| serde_json::from_str(json.get()).ok());
    choice.ok_or_else(|| Untranslatable::new("tool_choice", "it cannot be read"))
}

fn nested_choice(members: &serde_json::Map<String, Value>, path: &str) -> Result<Value, Untranslatable> {
    let member = |name: &str| members.get(name).cloned().unwrap_or_default();
    Ok(match members.get("type").and_then(Value::as_str) {
        Some(kind @ ("function" | "custom")) => json!({"type": kind, kind: {"name": member("name")}}),
        Some("allowed_tools") => {
            let tools = members.get("tools").and_then(Value::as_array);
            let tools = tools.into_iter().flatten().enumerate().map(|(at, tool)| {
                let path = format!("{path}.tools[{at}]");
                match tool {
                    Value::Object(members) => nested_choice(members, &path),
                    _ => Err(Untranslatable::new(path, "it has to be an object")),
                }
            });
            let tools = tools.collect::<Result<Vec<_>, _>>()?;
            json!({"type": "allowed_tools", "allowed_tools": {"mode": member("mode"), "tools": tools}})
        }
        _ => {
            let why = "only the Responses API's own providers run this tool";
            return Err(Untranslatable::new(format!("{path}.type"), why));
        }
    })
}

fn conversation(
    request: &ResponsesRequest,
    accent: ChatAccent,
    dropped: &mut Vec<String>,
) -> Result<Vec<Message>, Untranslatable> {
    let mut writer = Writer {
        accent,
        messages: Vec::new(),
        thought: Vec::new(),
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
    Ok(writer.messages)
}

/// Writes messages. Calls join the assistant's message before them.
struct Writer<'a> {
    accent: ChatAccent,
    messages: Vec<Message>,
    /// Reasoning whose message is still to come, and its path.
    thought: Vec<(String, crate::responses::ReasoningItem)>,
    dropped: &'a mut Vec<String>,
}

impl Writer<'_> {
    fn item(&mut self, item: &Item, path: &str) -> Result<(), Untranslatable> {
        match item {
            Item::Message(message) | Item::EasyMessage(message) => self.message(message, path)?,
            Item::FunctionCall(call) => {
                let call = ToolCall::function(&call.call_id, &call.name, &call.arguments);
                self.speaking(true).tool_calls.push(call);
            }
            Item::CustomToolCall(call) => {
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
                    "this type is not known, so it cannot be translated"
                } else {
                    "only the Responses API's own providers run this tool"
                };
                return Err(Untranslatable::new(format!("{path}.type"), why));
            }
        }
        Ok(())
    }

    /// The assistant's message that is being written. `joins`: to what it said just before, where there was no reasoning in between.
    fn speaking(&mut self, joins: bool) -> &mut Message {
        let last = self.messages.last();
        let open = last.is_some_and(|last| last.role == Some(Role::Assistant)) && self.thought.is_empty();
        if !(joins && open) {
            let mut message = Message {
                role: Some(Role::Assistant),
                ..Message::default()
            };
            message.say_null("content");
            self.remember(&mut message);
            self.messages.push(message);
        }
        let last = self.messages.len() - 1;
        &mut self.messages[last]
    }

    /// Puts the reasoning so far where the provider wants it back.
    fn remember(&mut self, message: &mut Message) {
        let thought = std::mem::take(&mut self.thought);
        match self.accent.reasoning {
            ReasoningBack::Dropped => self.dropped.extend(thought.into_iter().map(|(path, _)| path)),
            ReasoningBack::Content => {
                let texts: Vec<_> = thought.iter().map(|(_, item)| item.text()).collect();
                let text = texts.join(super::answer::BETWEEN);
                message.reasoning_content = Some(text).filter(|text| !text.is_empty());
            }
            ReasoningBack::Details => {
                let details: Vec<_> = thought
                    .iter()
                    .flat_map(|(_, item)| reasoning::details_of(item))
                    .collect();
                message.reasoning_details = Json::of(&details).ok().filter(|_| !details.is_empty());
            }
        }
    }

    /// Reasoning that nothing followed.
    fn forget(&mut self) {
        let thought = std::mem::take(&mut self.thought);
        self.dropped.extend(thought.into_iter().map(|(path, _)| path));
    }

    fn message(&mut self, item: &MessageItem, path: &str) -> Result<(), Untranslatable> {
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
        let content = input(item.content.as_ref(), path)?;
        self.messages.push(Message {
            role: Some(role),
            content,
            extra: item.extra.unknown(),
            ..Message::default()
        });
        Ok(())
    }

    fn assistant(&mut self, item: &MessageItem, path: &str) -> Result<(), Untranslatable> {
        let parts = match &item.content {
            Some(Content::Text(text)) => vec![ItemPart::output_text(text)],
            Some(Content::Parts(parts)) => parts.clone(),
            None => Vec::new(),
        };
        let message = self.speaking(false);
        for (at, part) in parts.iter().enumerate() {
            match part {
                ItemPart::OutputText(part) => add(&mut message.content, &part.text),
                ItemPart::InputText(part) => add(&mut message.content, &part.text),
                ItemPart::Refusal(part) => *message.refusal.get_or_insert_default() += &part.refusal,
                _ => {
                    let why = "a chat has no such part of an assistant";
                    return Err(Untranslatable::new(format!("{path}.content[{at}]"), why));
                }
            }
        }
        Ok(())
    }

    fn output(&mut self, item: &OutputItem, path: &str) -> Result<(), Untranslatable> {
        self.forget();
        let mut text = String::new();
        match &item.output {
            None => {}
            Some(Content::Text(said)) => text.clone_from(said),
            Some(Content::Parts(parts)) => {
                for (at, part) in parts.iter().enumerate() {
                    let said = part.text();
                    let why = "the result of a tool is text in a chat";
                    text += said.ok_or_else(|| Untranslatable::new(format!("{path}.output[{at}]"), why))?;
                }
            }
        }
        self.messages.push(Message::tool(&item.call_id, text));
        Ok(())
    }
}

fn add(content: &mut Option<Content>, text: &str) {
    match content {
        Some(Content::Text(known)) => *known += text,
        _ => *content = Some(Content::Text(text.to_owned())),
    }
}

/// A lone text is a text: older servers take no parts.
fn input(content: Option<&Content<ItemPart>>, path: &str) -> Result<Option<Content>, Untranslatable> {
    Ok(match content {
        None => None,
        Some(Content::Text(text)) => Some(Content::Text(text.clone())),
        Some(Content::Parts(parts)) => match &parts[..] {
            [ItemPart::InputText(part)] if part.extra.is_empty() => Some(Content::Text(part.text.clone())),
            parts => {
                let parts = parts.iter().enumerate();
                let parts = parts.map(|(at, part)| input_part(part, &format!("{path}.content[{at}]")));
                Some(Content::Parts(parts.collect::<Result<_, _>>()?))
            }
        },
    })
}

fn input_part(part: &ItemPart, path: &str) -> Result<Part, Untranslatable> {
    Ok(match part {
        ItemPart::InputText(part) => Part::Text(TextPart {
            text: part.text.clone(),
            extra: part.extra.unknown(),
        }),
        ItemPart::OutputText(part) => Part::text(&part.text),
        ItemPart::InputImage(part) => {
            let why = "a chat's image is a URL; this model has no files";
            let url = part.image_url.clone();
            Part::Image(ImagePart {
                image_url: ImageUrl {
                    url: url.ok_or_else(|| Untranslatable::new(format!("{path}.file_id"), why))?,
                    detail: part.detail.clone(),
                    ..ImageUrl::default()
                },
                extra: part.extra.unknown(),
            })
        }
        ItemPart::InputAudio(part) => Part::Audio(AudioPart {
            input_audio: part.input_audio.clone(),
            extra: part.extra.unknown(),
        }),
        ItemPart::InputFile(part) if part.file_url.is_none() => Part::File(FilePart {
            file: FileSource {
                file_id: part.file_id.clone(),
                file_data: part.file_data.clone(),
                filename: part.filename.clone(),
                ..FileSource::default()
            },
            extra: part.extra.unknown(),
        }),
        ItemPart::InputFile(_) => {
            let why = "a chat's file is sent whole; this model fetches none";
            return Err(Untranslatable::new(format!("{path}.file_url"), why));
        }
        _ => {
            let why = "this type is not known, so it cannot be translated";
            return Err(Untranslatable::new(format!("{path}.type"), why));
        }
    })
}
