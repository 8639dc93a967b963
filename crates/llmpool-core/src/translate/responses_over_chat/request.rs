//! A request for a response as a chat request.

use super::conversation::conversation;
use super::tools::{Choice, tool, tool_choice};
use crate::chat::{ChatRequest, JsonSchemaFormat, NamedSchema, ResponseFormat, StreamOptions};
use crate::responses::{ResponsesRequest, TextFormat, TextOptions};
use crate::translate::unknown_fields::{adopted, carried, left_out};
use crate::translate::{Translated, Untranslatable};

const LOGPROBS: &str = "message.output_text.logprobs";
const ENCRYPTED: &str = "reasoning.encrypted_content";

/// What the chat's provider understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatCapabilities {
    /// Messages of a developer; where it does not they are the system's.
    pub developer: bool,
    /// `max_completion_tokens`; where it does not it is `max_tokens`.
    pub max_completion_tokens: bool,
    /// What OpenAI added for itself: `store`, `metadata`, `service_tier`, `safety_identifier`, `verbosity`, caching, custom tools and
    /// `allowed_tools`. Where it does not, what matters little is left out, `allowed_tools` are the only ones that are sent, and custom
    /// tools are refused.
    pub openai_only: bool,
    /// What becomes of reasoning of earlier turns.
    pub reasoning: ReasoningEcho,
}

/// What becomes of reasoning of earlier turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReasoningEcho {
    /// It is left out and reported.
    #[default]
    Dropped,
    /// Its text comes back, as DeepSeek and Kimi want it.
    Content,
    /// It comes back untouched in `reasoning_details`.
    Details,
}

impl Default for ChatCapabilities {
    fn default() -> Self {
        Self {
            developer: true,
            max_completion_tokens: true,
            openai_only: true,
            reasoning: ReasoningEcho::Dropped,
        }
    }
}

/// The request in the other format.
///
/// Members of the other format that the request says beside its own (`seed`, `stop`) are taken over.
pub fn to_chat(
    request: &ResponsesRequest,
    accent: ChatCapabilities,
) -> Result<Translated<ChatRequest>, Untranslatable> {
    refuse(request)?;
    let said: ChatRequest = adopted(&request.extra)?;
    refuse_adopted(&said)?;
    let mut dropped = Vec::new();
    let Choice { choice, only } = match &request.tool_choice {
        Some(choice) => tool_choice(choice, accent, &mut dropped)?,
        None => Choice::default(),
    };
    let offered = request.tools.iter().enumerate();
    let tools = offered.map(|(at, offered)| tool(at, offered, accent, &mut dropped));
    let mut tools: Vec<_> = tools.collect::<Result<_, _>>()?;
    if let Some(only) = only {
        tools.retain(|tool| only.allows(tool));
    }
    let mut chat = ChatRequest {
        messages: conversation(request, accent, &mut dropped)?,
        model: request.model.clone(),
        temperature: request.temperature,
        top_p: request.top_p,
        parallel_tool_calls: request.parallel_tool_calls,
        tools,
        tool_choice: choice,
        store: request.store,
        stream: request.stream,
        stream_options: stream_options(request, &mut dropped),
        metadata: request.metadata.clone(),
        service_tier: request.service_tier.clone(),
        safety_identifier: request.safety_identifier.clone(),
        prompt_cache_key: request.prompt_cache_key.clone(),
        prompt_cache_retention: request.prompt_cache_retention.clone(),
        user: request.user.clone(),
        ..said
    };
    most_tokens(request, accent, &mut chat, &mut dropped);
    if let Some(text) = &request.text {
        text_options(text, &mut chat, &mut dropped)?;
    }
    thinking(request, &mut chat, &mut dropped);
    if request.include.iter().any(|what| what == LOGPROBS) {
        chat.logprobs = Some(true);
        chat.top_logprobs = request.top_logprobs;
    }
    if !accent.openai_only {
        leave_out_openais(&mut chat, &mut dropped);
    }
    report(request, accent, &mut dropped);
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
    first(table)
}

/// What is said in the words of a chat, and whose answer would have no place in a response.
fn refuse_adopted(said: &ChatRequest) -> Result<(), Untranslatable> {
    let speaks = |modalities: &Vec<String>| modalities.iter().any(|modality| modality != "text");
    let table = [
        (
            !said.messages.is_empty(),
            "messages",
            "the conversation is in input; leave one of them out",
        ),
        (said.n.is_some_and(|n| n > 1), "n", "a response is one answer"),
        (
            said.audio.is_some() || said.modalities.as_ref().is_some_and(speaks),
            "audio",
            "a response is text",
        ),
        (
            !said.functions.is_empty() || said.function_call.is_some(),
            "functions",
            "this old form has no equivalent; use tools",
        ),
    ];
    first(table)
}

fn first<const N: usize>(table: [(bool, &str, &'static str); N]) -> Result<(), Untranslatable> {
    match table.into_iter().find(|(refused, ..)| *refused) {
        Some((_, param, why)) => Err(Untranslatable::new(param, why)),
        None => Ok(()),
    }
}

fn report(request: &ResponsesRequest, accent: ChatCapabilities, dropped: &mut Vec<String>) {
    let asks = |what: &str| request.include.iter().any(|asked| asked == what);
    let given = |asked: &str| {
        // Details of reasoning come without being asked for.
        asked == LOGPROBS || (asked == ENCRYPTED && accent.reasoning == ReasoningEcho::Details)
    };
    let others = request.include.iter().filter(|asked| !given(asked));
    dropped.extend(others.map(|asked| format!("include: {asked}")));
    let table = [
        (
            request.top_logprobs.is_some_and(|top| top > 0) && !asks(LOGPROBS),
            "top_logprobs",
        ),
        (request.max_tool_calls.is_some(), "max_tool_calls"),
        (
            request.truncation.as_ref().is_some_and(|how| how != "disabled"),
            "truncation",
        ),
        (request.context_management.is_some(), "context_management"),
    ];
    let names = table.into_iter().filter(|(said, _)| *said);
    dropped.extend(names.map(|(_, name)| name.to_owned()));
}

/// What other providers ignore at best.
fn leave_out_openais(chat: &mut ChatRequest, dropped: &mut Vec<String>) {
    let asked_for = |store: &bool| *store;
    let table = [
        (chat.store.take().as_ref().is_some_and(asked_for), "store"),
        (chat.metadata.take().is_some(), "metadata"),
        (chat.service_tier.take().is_some(), "service_tier"),
        (chat.safety_identifier.take().is_some(), "safety_identifier"),
        (chat.prompt_cache_key.take().is_some(), "prompt_cache_key"),
        (
            chat.prompt_cache_retention.take().is_some(),
            "prompt_cache_retention",
        ),
        (chat.verbosity.take().is_some(), "text.verbosity"),
    ];
    let names = table.into_iter().filter(|(said, _)| *said);
    dropped.extend(names.map(|(_, name)| name.to_owned()));
}

fn most_tokens(
    request: &ResponsesRequest,
    accent: ChatCapabilities,
    chat: &mut ChatRequest,
    dropped: &mut Vec<String>,
) {
    let Some(most) = request.max_output_tokens else {
        return;
    };
    let said = [
        (chat.max_tokens.take(), "max_tokens"),
        (chat.max_completion_tokens.take(), "max_completion_tokens"),
    ];
    let others = said
        .into_iter()
        .filter(|(said, _)| said.is_some_and(|said| said != most));
    dropped.extend(others.map(|(_, name)| name.to_owned()));
    if accent.max_completion_tokens {
        chat.max_completion_tokens = Some(most);
    } else {
        chat.max_tokens = Some(most);
    }
}

fn thinking(request: &ResponsesRequest, chat: &mut ChatRequest, dropped: &mut Vec<String>) {
    let Some(reasoning) = &request.reasoning else {
        return;
    };
    if reasoning.summary.is_some() {
        dropped.push("reasoning.summary".to_owned());
    }
    left_out(&reasoning.extra, "reasoning", dropped);
    if let Some(effort) = &reasoning.effort {
        let other = chat.reasoning_effort.replace(effort.clone());
        if other.is_some_and(|other| other != *effort) {
            dropped.push("reasoning_effort".to_owned());
        }
    }
}

fn stream_options(request: &ResponsesRequest, dropped: &mut Vec<String>) -> Option<StreamOptions> {
    const OBFUSCATION: &str = "include_obfuscation";
    let said = request.stream_options.as_ref();
    let said: Option<StreamOptions> = said.and_then(|said| serde_json::from_str(said.get()).ok());
    let mut extra = said.unwrap_or_default().extra;
    let obfuscation = extra.remove(OBFUSCATION);
    left_out(&extra, "stream_options", dropped);
    if request.stream != Some(true) {
        return None;
    }
    let mut options = StreamOptions {
        include_usage: Some(true),
        ..StreamOptions::default()
    };
    if let Some(obfuscation) = obfuscation {
        options.extra.insert(OBFUSCATION, obfuscation);
    }
    Some(options)
}

fn text_options(
    text: &TextOptions,
    chat: &mut ChatRequest,
    dropped: &mut Vec<String>,
) -> Result<(), Untranslatable> {
    left_out(&text.extra, "text", dropped);
    if let Some(verbosity) = &text.verbosity {
        let other = chat.verbosity.replace(verbosity.clone());
        if other.is_some_and(|other| other != *verbosity) {
            dropped.push("verbosity".to_owned());
        }
    }
    if let Some(wanted) = &text.format {
        let other = chat.response_format.replace(format(wanted, dropped)?);
        if other.is_some() {
            dropped.push("response_format".to_owned());
        }
    }
    Ok(())
}

fn format(format: &TextFormat, dropped: &mut Vec<String>) -> Result<ResponseFormat, Untranslatable> {
    Ok(match format {
        TextFormat::Text(plain) => ResponseFormat::Text(plain.clone()),
        TextFormat::JsonObject(plain) => ResponseFormat::JsonObject(plain.clone()),
        TextFormat::JsonSchema(schema) => ResponseFormat::JsonSchema(JsonSchemaFormat {
            json_schema: NamedSchema {
                name: schema.name.clone(),
                description: schema.description.clone(),
                schema: schema.schema.clone(),
                strict: schema.strict,
                extra: carried(&schema.extra, &[], "text.format", dropped),
            },
            ..JsonSchemaFormat::default()
        }),
        TextFormat::Other(_) => {
            let why = "this type is not known, so it cannot be translated";
            return Err(Untranslatable::new("text.format.type", why));
        }
    })
}
