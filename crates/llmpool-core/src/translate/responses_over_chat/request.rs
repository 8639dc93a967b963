//! Translation of a Responses request to a chat request.

use super::capabilities::{ChatCapabilities, ReasoningEcho};
use super::conversation::chat_messages;
use super::tools::{ChatToolChoice, translate_tool, translate_tool_choice};
use crate::chat::{
    ChatRequest, EmptyObject, Json, JsonSchemaFormat, NamedSchema, ResponseFormat, StreamOptions,
};
use crate::responses::{ResponsesRequest, TextFormat, TextOptions};
use crate::translate::dropped_fields::{DroppedFields, adopt_unknown, copy_unknown};
use crate::translate::unsupported_field::{UNKNOWN_TYPE, translate_each, unsupported};
use crate::translate::{INCLUDE_ENCRYPTED_REASONING, INCLUDE_LOGPROBS, TranslatedRequest, UnsupportedField};

/// Translates a Responses request to a chat request.
///
/// Fields that are unknown to the Responses API, such as `seed` and `stop`, are copied to the chat request.
/// If the request asks for a stream, the chat request also asks for usage.
///
/// # Errors
///
/// Returns an error if the request contains something that Chat Completions cannot express and that changes
/// the answer, such as `previous_response_id`, a tool that the provider runs, or an image given by file id.
/// The error names the first such field.
pub fn responses_request_to_chat(
    request: &ResponsesRequest,
    capabilities: ChatCapabilities,
) -> Result<TranslatedRequest<ChatRequest>, UnsupportedField> {
    check_supported(request)?;
    let adopted: ChatRequest = adopt_unknown(&request.extra)?;
    check_adopted(&adopted)?;
    let mut dropped = DroppedFields::default();
    let ChatToolChoice { choice, allowed } = match &request.tool_choice {
        Some(choice) => translate_tool_choice(choice, capabilities, &mut dropped)?,
        None => ChatToolChoice::default(),
    };
    let mut tools = translate_each(&request.tools, "tools", |tool, path| {
        translate_tool(tool, &path, capabilities, &mut dropped)
    })?;
    if let Some(allowed) = allowed {
        tools.retain(|tool| allowed.contains(tool));
    }
    let mut chat = ChatRequest {
        messages: chat_messages(request, capabilities, &mut dropped)?,
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
        prompt_cache_options: prompt_cache_options(request, &mut dropped),
        moderation: request.moderation.clone(),
        user: request.user.clone(),
        ..adopted
    };
    set_max_tokens(request, capabilities, &mut chat, &mut dropped);
    if let Some(text) = &request.text {
        set_text_options(text, &mut chat, &mut dropped)?;
    }
    set_reasoning_effort(request, &mut chat, &mut dropped);
    if includes(request, INCLUDE_LOGPROBS) {
        chat.logprobs = Some(true);
        chat.top_logprobs = request.top_logprobs;
    }
    if !capabilities.openai_extensions {
        drop_openai_extensions(&mut chat, &mut dropped);
    }
    drop_harmless_fields(request, capabilities, &mut dropped);
    Ok(TranslatedRequest {
        request: chat,
        dropped: dropped.into_paths(),
    })
}

fn check_supported(request: &ResponsesRequest) -> Result<(), UnsupportedField> {
    UnsupportedField::check([
        (
            request.previous_response_id.is_some(),
            "previous_response_id",
            "the provider of this model stores no responses; send the conversation as input",
        ),
        (
            request.conversation.is_some(),
            "conversation",
            "the provider of this model stores no conversations; send the conversation as input",
        ),
        (
            request.prompt.is_some(),
            "prompt",
            "the provider of this model stores no prompt templates; send the text as input",
        ),
        (
            request.background == Some(true),
            "background",
            "the provider of this model has no background mode",
        ),
    ])
}

/// Checks the Chat Completions fields that the client put into the Responses request. Returns an error for
/// the first field whose effect a response cannot express, such as `n` above 1.
fn check_adopted(adopted: &ChatRequest) -> Result<(), UnsupportedField> {
    let not_text = |modalities: &Vec<String>| modalities.iter().any(|modality| modality != "text");
    UnsupportedField::check([
        (
            !adopted.messages.is_empty(),
            "messages",
            "input and messages both hold a conversation; send only input",
        ),
        (
            adopted.n.is_some_and(|n| n > 1),
            "n",
            "a response has one choice; send several requests",
        ),
        (
            adopted.audio.is_some() || adopted.modalities.as_ref().is_some_and(not_text),
            "audio",
            "a response contains only text",
        ),
        (
            !adopted.functions.is_empty() || adopted.function_call.is_some(),
            "functions",
            "functions are deprecated and have no equivalent; use tools",
        ),
    ])
}

fn includes(request: &ResponsesRequest, name: &str) -> bool {
    request.include.iter().any(|included| included == name)
}

fn drop_harmless_fields(
    request: &ResponsesRequest,
    capabilities: ChatCapabilities,
    dropped: &mut DroppedFields,
) {
    for name in &request.include {
        let is_kept = match name.as_str() {
            INCLUDE_LOGPROBS => true,
            // Providers that support `reasoning_details` return encrypted reasoning without being asked.
            INCLUDE_ENCRYPTED_REASONING => capabilities.reasoning_echo == ReasoningEcho::Details,
            _ => false,
        };
        if !is_kept {
            dropped.push(format!("include: {name}"));
        }
    }
    let truncates = request.truncation.as_ref().is_some_and(|mode| mode != "disabled");
    dropped.push_if([
        (
            request.top_logprobs.is_some_and(|top| top > 0) && !includes(request, INCLUDE_LOGPROBS),
            "top_logprobs",
        ),
        (request.max_tool_calls.is_some(), "max_tool_calls"),
        (truncates, "truncation"),
        (request.context_management.is_some(), "context_management"),
        (request.background_options.is_some(), "background_options"),
        (request.access_programs.is_some(), "access_programs"),
        (request.image.is_some(), "image"),
    ]);
}

/// Removes the fields that belong to OpenAI's extensions, because other providers ignore or reject these
/// fields.
fn drop_openai_extensions(chat: &mut ChatRequest, dropped: &mut DroppedFields) {
    dropped.push_if([
        (chat.store.take() == Some(true), "store"),
        (chat.metadata.take().is_some(), "metadata"),
        (chat.service_tier.take().is_some(), "service_tier"),
        (chat.safety_identifier.take().is_some(), "safety_identifier"),
        (chat.prompt_cache_key.take().is_some(), "prompt_cache_key"),
        (
            chat.prompt_cache_retention.take().is_some(),
            "prompt_cache_retention",
        ),
        (chat.prompt_cache_options.take().is_some(), "prompt_cache_options"),
        (chat.moderation.take().is_some(), "moderation"),
        (chat.verbosity.take().is_some(), "text.verbosity"),
    ]);
}

fn set_max_tokens(
    request: &ResponsesRequest,
    capabilities: ChatCapabilities,
    chat: &mut ChatRequest,
    dropped: &mut DroppedFields,
) {
    let Some(max) = request.max_output_tokens else {
        return;
    };
    let differs = |adopted: Option<u64>| adopted.is_some_and(|adopted| adopted != max);
    dropped.push_if([
        (differs(chat.max_tokens.take()), "max_tokens"),
        (
            differs(chat.max_completion_tokens.take()),
            "max_completion_tokens",
        ),
    ]);
    if capabilities.max_completion_tokens {
        chat.max_completion_tokens = Some(max);
    } else {
        chat.max_tokens = Some(max);
    }
}

fn set_reasoning_effort(request: &ResponsesRequest, chat: &mut ChatRequest, dropped: &mut DroppedFields) {
    let Some(reasoning) = &request.reasoning else {
        return;
    };
    dropped.push_if([(reasoning.summary.is_some(), "reasoning.summary")]);
    dropped.push_unknown(&reasoning.extra, "reasoning");
    set_or_drop(
        &mut chat.reasoning_effort,
        reasoning.effort.as_ref(),
        "reasoning_effort",
        dropped,
    );
}

/// Sets a field of the chat request to `value`, or does nothing if `value` is `None`. If this replaces
/// another value, which the client sent under the field's Chat Completions name, reports `name` as dropped.
fn set_or_drop(field: &mut Option<String>, value: Option<&String>, name: &str, dropped: &mut DroppedFields) {
    if let Some(value) = value {
        let replaced = field.replace(value.clone());
        dropped.push_if([(replaced.is_some_and(|replaced| replaced != *value), name)]);
    }
}

/// Returns the options for prompt caching without the options that only the Responses API has. Reports these
/// options as dropped.
fn prompt_cache_options(request: &ResponsesRequest, dropped: &mut DroppedFields) -> Option<Json> {
    const RESPONSES_ONLY: [&str; 2] = ["comparison_response_id", "prewarm"];
    let options = request.prompt_cache_options.as_ref()?;
    let Ok(EmptyObject { extra }) = serde_json::from_str(options.get()) else {
        return Some(options.clone());
    };
    let extra = dropped.keep_unknown(&extra, &RESPONSES_ONLY, "prompt_cache_options");
    Json::of(&EmptyObject { extra }).ok()
}

fn stream_options(request: &ResponsesRequest, dropped: &mut DroppedFields) -> Option<StreamOptions> {
    const OBFUSCATION: &str = "include_obfuscation";
    let options = request.stream_options.as_ref();
    let options = options.and_then(|options| serde_json::from_str(options.get()).ok());
    let StreamOptions { mut extra, .. } = options.unwrap_or_default();
    let obfuscation = extra.remove(OBFUSCATION);
    dropped.push_unknown(&extra, "stream_options");
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

fn set_text_options(
    text: &TextOptions,
    chat: &mut ChatRequest,
    dropped: &mut DroppedFields,
) -> Result<(), UnsupportedField> {
    dropped.push_unknown(&text.extra, "text");
    set_or_drop(&mut chat.verbosity, text.verbosity.as_ref(), "verbosity", dropped);
    if let Some(format) = &text.format {
        let replaced = chat.response_format.replace(response_format(format)?);
        dropped.push_if([(replaced.is_some(), "response_format")]);
    }
    Ok(())
}

fn response_format(format: &TextFormat) -> Result<ResponseFormat, UnsupportedField> {
    Ok(match format {
        TextFormat::Text(empty) => ResponseFormat::Text(empty.clone()),
        TextFormat::JsonObject(empty) => ResponseFormat::JsonObject(empty.clone()),
        TextFormat::JsonSchema(schema) => ResponseFormat::JsonSchema(JsonSchemaFormat {
            json_schema: NamedSchema {
                name: schema.name.clone(),
                description: schema.description.clone(),
                schema: schema.schema.clone(),
                strict: schema.strict,
                extra: copy_unknown(&schema.extra),
            },
            ..JsonSchemaFormat::default()
        }),
        TextFormat::Other(_) => return unsupported("text.format.type", UNKNOWN_TYPE),
    })
}
