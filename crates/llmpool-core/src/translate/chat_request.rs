//! A chat request as a request for a response.

use serde_json::json;

use super::{Translated, Untranslatable, reasoning};
use crate::chat::{
    AllowedTool, ChatRequest, Content, CustomCall, Json, Message, NamedTool, Part, ResponseFormat, Role,
    Stop, Tool, ToolCall, ToolChoice,
};
use crate::responses::{
    AudioInput, CustomCallItem, CustomResponsesTool, FileInput, FlatSchema, FunctionCallItem,
    FunctionResponsesTool, ImageInput, Item, ItemPart, MessageItem, OutputItem, Reasoning, ResponsesRequest,
    ResponsesTool, TextFormat, TextOptions,
};

/// The least that `max_output_tokens` may be.
const LEAST_OUTPUT: u64 = 16;
const LOGPROBS: &str = "message.output_text.logprobs";

/// The request in the other format. `store` is false where it was not said, since a chat leaves no trace unless that is asked for.
pub fn to_responses(chat: &ChatRequest) -> Result<Translated<ResponsesRequest>, Untranslatable> {
    let mut dropped = Vec::new();
    refuse(chat)?;
    let (instructions, input) = conversation(&chat.messages, &mut dropped)?;
    let mut request = ResponsesRequest {
        model: chat.model.clone(),
        input: Some(Content::Parts(input)),
        instructions,
        max_output_tokens: most_tokens(chat, &mut dropped),
        temperature: chat.temperature,
        top_p: chat.top_p,
        text: text_options(chat)?,
        tools: chat
            .tools
            .iter()
            .enumerate()
            .map(tool)
            .collect::<Result<_, _>>()?,
        tool_choice: chat.tool_choice.as_ref().map(tool_choice).transpose()?,
        parallel_tool_calls: chat.parallel_tool_calls,
        store: Some(chat.store.unwrap_or(false)),
        stream: chat.stream,
        metadata: chat.metadata.clone(),
        service_tier: chat.service_tier.clone(),
        safety_identifier: chat.safety_identifier.clone(),
        prompt_cache_key: chat.prompt_cache_key.clone(),
        prompt_cache_retention: chat.prompt_cache_retention.clone(),
        user: chat.user.clone(),
        extra: chat.extra.unknown(),
        ..ResponsesRequest::default()
    };
    request.reasoning = thinking(chat, &mut request);
    if chat.logprobs == Some(true) {
        request.include.push(LOGPROBS.to_owned());
        request.top_logprobs = chat.top_logprobs;
    }
    let obfuscation = chat.stream_options.as_ref();
    let obfuscation = obfuscation.and_then(|options| options.extra.get("include_obfuscation"));
    request.stream_options =
        obfuscation.and_then(|wanted| Json::of(&json!({"include_obfuscation": wanted})).ok());
    report(chat, &mut dropped);
    Ok(Translated { request, dropped })
}

/// What the answer would be wrong without.
fn refuse(chat: &ChatRequest) -> Result<(), Untranslatable> {
    let stops = chat.stop.as_ref().is_some_and(|stop| match stop {
        Stop::One(_) => true,
        Stop::Any(texts) => !texts.is_empty(),
    });
    let speaks = |modalities: &Vec<String>| modalities.iter().any(|modality| modality != "text");
    let biased = chat
        .logit_bias
        .as_ref()
        .is_some_and(|bias| !matches!(bias.get().trim(), "{}" | "null"));
    let table = [
        (
            chat.n.is_some_and(|n| n > 1),
            "n",
            "the Responses API makes one answer a call; call again for more",
        ),
        (stops, "stop", "the Responses API has no stop sequences"),
        (biased, "logit_bias", "the Responses API has no logit_bias"),
        (
            chat.modalities.as_ref().is_some_and(speaks),
            "modalities",
            "the Responses API answers in text only",
        ),
        (
            chat.audio.is_some(),
            "audio",
            "the Responses API answers in text only",
        ),
        (
            chat.web_search_options.is_some(),
            "web_search_options",
            "the Responses API searches with a tool of type web_search",
        ),
        (
            !chat.functions.is_empty(),
            "functions",
            "this old form has no equivalent; use tools",
        ),
        (
            chat.function_call.is_some(),
            "function_call",
            "this old form has no equivalent; use tool_choice",
        ),
    ];
    match table.into_iter().find(|(refused, ..)| *refused) {
        Some((_, param, why)) => Err(Untranslatable::new(param, why)),
        None => Ok(()),
    }
}

/// What was left out that matters little.
fn report(chat: &ChatRequest, dropped: &mut Vec<String>) {
    let said = |penalty: Option<f64>| penalty.is_some_and(|penalty| penalty != 0.0);
    let table = [
        (chat.seed.is_some(), "seed"),
        (said(chat.frequency_penalty), "frequency_penalty"),
        (said(chat.presence_penalty), "presence_penalty"),
        (chat.prediction.is_some(), "prediction"),
    ];
    let names = table.into_iter().filter(|(said, _)| *said);
    dropped.extend(names.map(|(_, name)| name.to_owned()));
}

fn most_tokens(chat: &ChatRequest, dropped: &mut Vec<String>) -> Option<u64> {
    let (most, name) = match (chat.max_completion_tokens, chat.max_tokens) {
        (Some(most), older) => {
            if older.is_some_and(|older| older != most) {
                dropped.push("max_tokens".to_owned());
            }
            (most, "max_completion_tokens")
        }
        (None, most) => (most?, "max_tokens"),
    };
    if most < LEAST_OUTPUT {
        dropped.push(format!("{name}: raised to {LEAST_OUTPUT}, the least there"));
    }
    Some(most.max(LEAST_OUTPUT))
}

fn thinking(chat: &ChatRequest, request: &mut ResponsesRequest) -> Option<Reasoning> {
    let said = request.extra.remove("reasoning");
    let said = said.and_then(|said| serde_json::from_str::<Reasoning>(said.get()).ok());
    let effort = chat.reasoning_effort.clone();
    match (said, effort) {
        (None, None) => None,
        (said, effort) => {
            let said = said.unwrap_or_default();
            Some(Reasoning {
                effort: effort.or(said.effort),
                ..said
            })
        }
    }
}

fn text_options(chat: &ChatRequest) -> Result<Option<TextOptions>, Untranslatable> {
    let format = chat.response_format.as_ref().map(format).transpose()?;
    let verbosity = chat.verbosity.clone();
    let said = format.is_some() || verbosity.is_some();
    Ok(said.then(|| TextOptions {
        format,
        verbosity,
        ..TextOptions::default()
    }))
}

fn format(format: &ResponseFormat) -> Result<TextFormat, Untranslatable> {
    Ok(match format {
        ResponseFormat::Text(plain) => TextFormat::Text(plain.clone()),
        ResponseFormat::JsonObject(plain) => TextFormat::JsonObject(plain.clone()),
        ResponseFormat::JsonSchema(format) => {
            let schema = &format.json_schema;
            if schema.schema.is_none() {
                let why = "the Responses API wants a schema here";
                return Err(Untranslatable::new("response_format.json_schema.schema", why));
            }
            TextFormat::JsonSchema(FlatSchema {
                name: schema.name.clone(),
                description: schema.description.clone(),
                schema: schema.schema.clone(),
                strict: schema.strict,
                extra: schema.extra.unknown(),
            })
        }
        ResponseFormat::Other(_) => {
            let why = "this type is not known, so it cannot be translated";
            return Err(Untranslatable::new("response_format.type", why));
        }
    })
}

fn tool((at, tool): (usize, &Tool)) -> Result<ResponsesTool, Untranslatable> {
    Ok(match tool {
        Tool::Function(tool) => {
            let function = &tool.function;
            let nothing = || Json::of(&json!({"type": "object", "properties": {}})).ok();
            ResponsesTool::Function(FunctionResponsesTool {
                name: function.name.clone(),
                description: function.description.clone(),
                parameters: function.parameters.clone().or_else(nothing),
                // Absent means false in one format and true in the other.
                strict: Some(function.strict.unwrap_or(false)),
                extra: function.extra.unknown(),
            })
        }
        Tool::Custom(tool) => ResponsesTool::Custom(CustomResponsesTool {
            name: tool.custom.name.clone(),
            description: tool.custom.description.clone(),
            format: tool.custom.format.as_ref().map(flat_grammar),
            extra: tool.custom.extra.unknown(),
        }),
        Tool::Other(_) => {
            let why = "this type is not known, so it cannot be translated";
            return Err(Untranslatable::new(format!("tools[{at}].type"), why));
        }
    })
}

/// `{"type": "grammar", "grammar": {…}}` is flat in the other format.
fn flat_grammar(format: &Json) -> Json {
    let mut value = format.value();
    let members = value.as_object_mut();
    let flat = members.and_then(|members| match members.remove("grammar") {
        Some(serde_json::Value::Object(grammar)) => {
            members.extend(grammar);
            Json::of(members).ok()
        }
        _ => None,
    });
    flat.unwrap_or_else(|| format.clone())
}

fn tool_choice(choice: &ToolChoice) -> Result<Json, Untranslatable> {
    let json = match choice {
        ToolChoice::Mode(mode) => json!(mode.as_str()),
        ToolChoice::Named(tool) => named(tool)?,
    };
    Json::of(&json).map_err(|_| Untranslatable::new("tool_choice", "it cannot be written"))
}

fn named(tool: &NamedTool) -> Result<serde_json::Value, Untranslatable> {
    let unknown = |path: &str| {
        let why = "this type is not known, so it cannot be translated";
        Untranslatable::new(format!("{path}.type"), why)
    };
    Ok(match tool {
        NamedTool::Function(named) => json!({"type": "function", "name": named.function.name}),
        NamedTool::Custom(named) => json!({"type": "custom", "name": named.custom.name}),
        NamedTool::Allowed(allowed) => {
            let set = &allowed.allowed_tools;
            let tools = set.tools.iter().enumerate().map(|(at, tool)| match tool {
                AllowedTool::Function(named) => Ok(json!({"type": "function", "name": named.function.name})),
                AllowedTool::Custom(named) => Ok(json!({"type": "custom", "name": named.custom.name})),
                AllowedTool::Other(_) => Err(unknown(&format!("tool_choice.allowed_tools.tools[{at}]"))),
            });
            json!({"type": "allowed_tools", "mode": set.mode, "tools": tools.collect::<Result<Vec<_>, _>>()?})
        }
        NamedTool::Other(_) => return Err(unknown("tool_choice")),
    })
}

/// The instructions, where there is but one text of the system and it comes first, and all else in order.
fn conversation(
    messages: &[Message],
    dropped: &mut Vec<String>,
) -> Result<(Option<String>, Vec<Item>), Untranslatable> {
    let of_system = |message: &&Message| message.role == Some(Role::System);
    let alone = messages.iter().filter(of_system).count() == 1;
    let instructions = match messages {
        [first, ..] if alone && of_system(&first) => match &first.content {
            Some(Content::Text(text)) if first.name.is_none() && first.extra.is_empty() => Some(text.clone()),
            _ => None,
        },
        _ => None,
    };
    let mut items = Vec::new();
    let mut custom = Vec::new();
    for (at, message) in messages
        .iter()
        .enumerate()
        .skip(usize::from(instructions.is_some()))
    {
        let mut writer = Writer {
            path: format!("messages[{at}]"),
            items: &mut items,
            custom: &mut custom,
            dropped,
        };
        writer.message(message)?;
    }
    Ok((instructions, items))
}

/// Writes the items of one message.
struct Writer<'a> {
    path: String,
    items: &'a mut Vec<Item>,
    /// Ids of calls of custom tools: what became of them is an item of another type.
    custom: &'a mut Vec<String>,
    dropped: &'a mut Vec<String>,
}

impl Writer<'_> {
    fn message(&mut self, message: &Message) -> Result<(), Untranslatable> {
        if message.name.is_some() {
            self.dropped.push(format!("{}.name", self.path));
        }
        match &message.role {
            Some(role @ (Role::System | Role::Developer | Role::User)) => {
                let content = self.input(message.content.as_ref())?;
                self.items.push(Item::Message(MessageItem {
                    role: Some(role.clone()),
                    content,
                    extra: message.extra.unknown(),
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

    /// Of anybody but the model.
    fn input(&self, content: Option<&Content>) -> Result<Option<Content<ItemPart>>, Untranslatable> {
        Ok(match content {
            None => None,
            Some(Content::Text(text)) => Some(Content::Text(text.clone())),
            Some(Content::Parts(parts)) => {
                let parts = parts
                    .iter()
                    .enumerate()
                    .map(|(at, part)| self.input_part(at, part));
                Some(Content::Parts(parts.collect::<Result<_, _>>()?))
            }
        })
    }

    fn input_part(&self, at: usize, part: &Part) -> Result<ItemPart, Untranslatable> {
        Ok(match part {
            Part::Text(part) => ItemPart::InputText(crate::responses::PartText {
                text: part.text.clone(),
                extra: part.extra.unknown(),
            }),
            Part::Image(part) => ItemPart::InputImage(ImageInput {
                image_url: Some(part.image_url.url.clone()),
                detail: part.image_url.detail.clone().or_else(|| Some("auto".to_owned())),
                extra: part.extra.unknown(),
                ..ImageInput::default()
            }),
            Part::Audio(part) => ItemPart::InputAudio(AudioInput {
                input_audio: part.input_audio.clone(),
                extra: part.extra.unknown(),
            }),
            Part::File(part) => ItemPart::InputFile(FileInput {
                file_id: part.file.file_id.clone(),
                file_data: part.file.file_data.clone(),
                filename: part.file.filename.clone(),
                file_url: None,
                extra: part.extra.unknown(),
            }),
            Part::Refusal(_) | Part::Thinking(_) | Part::Other(_) => {
                let why = "the Responses API has no such part here";
                return Err(self.wrong(&format!("content[{at}]"), why));
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
        let thought = message.reasoning_details.as_ref().and_then(reasoning::items_of);
        if thought.is_none() {
            let said = [
                (message.reasoning_content.is_some(), "reasoning_content"),
                (message.reasoning.is_some(), "reasoning"),
                (message.reasoning_details.is_some(), "reasoning_details"),
            ];
            let said = said.into_iter().filter(|(said, _)| *said);
            self.dropped
                .extend(said.map(|(_, name)| format!("{}.{name}", self.path)));
        }
        self.items.extend(thought.into_iter().flatten());
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

    /// What the model said, in parts of its own.
    fn said(&mut self, message: &Message) -> Result<Vec<ItemPart>, Untranslatable> {
        let mut said = Vec::new();
        match &message.content {
            Some(Content::Text(text)) if !text.is_empty() => said.push(ItemPart::output_text(text)),
            Some(Content::Text(_)) | None => {}
            Some(Content::Parts(parts)) => {
                for (at, part) in parts.iter().enumerate() {
                    match part {
                        Part::Text(part) => said.push(ItemPart::output_text(&part.text)),
                        Part::Refusal(part) => said.push(ItemPart::refusal(&part.refusal)),
                        Part::Thinking(_) => self.dropped.push(format!("{}.content[{at}]", self.path)),
                        _ => {
                            let why = "the Responses API has no such part of an assistant";
                            return Err(self.wrong(&format!("content[{at}]"), why));
                        }
                    }
                }
            }
        }
        said.extend(message.refusal.as_ref().map(ItemPart::refusal));
        Ok(said)
    }

    fn call(&mut self, at: usize, call: &ToolCall) -> Result<(), Untranslatable> {
        let path = format!("tool_calls[{at}]");
        let id = call.id.clone();
        let call_id = id.ok_or_else(|| self.wrong(&path, "it needs an id, by which its output joins it"))?;
        let item = match (&call.function, &call.custom) {
            (Some(function), None) => Item::FunctionCall(FunctionCallItem {
                call_id,
                name: function.name.clone().unwrap_or_default(),
                arguments: function.arguments.clone().unwrap_or_default(),
                ..FunctionCallItem::default()
            }),
            (None, Some(CustomCall { name, input, .. })) => {
                self.custom.push(call_id.clone());
                Item::CustomToolCall(CustomCallItem {
                    call_id,
                    name: name.clone().unwrap_or_default(),
                    input: input.clone().unwrap_or_default(),
                    ..CustomCallItem::default()
                })
            }
            _ => return Err(self.wrong(&path, "this type is not known, so it cannot be translated")),
        };
        self.items.push(item);
        Ok(())
    }

    fn output(&mut self, message: &Message) -> Result<(), Untranslatable> {
        let call_id = message.tool_call_id.clone();
        let call_id =
            call_id.ok_or_else(|| self.wrong("tool_call_id", "say which call this is the result of"))?;
        let of_custom = self.custom.contains(&call_id);
        let item = OutputItem {
            call_id,
            output: self.input(message.content.as_ref())?,
            ..OutputItem::default()
        };
        self.items.push(if of_custom {
            Item::CustomToolCallOutput(item)
        } else {
            Item::FunctionCallOutput(item)
        });
        Ok(())
    }
}
