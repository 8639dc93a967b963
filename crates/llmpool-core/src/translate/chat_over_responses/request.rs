//! Translation of a chat request to a Responses request.

use std::collections::BTreeMap;

use super::conversation::input_items;
use super::tools::{translate_tool, translate_tool_choice};
use crate::chat::{ChatRequest, Json, ResponseFormat, Stop};
use crate::responses::{FlatSchema, Reasoning, ResponsesRequest, TextFormat, TextOptions};
use crate::translate::dropped_fields::{DroppedFields, adopt_unknown};
use crate::translate::unsupported_field::{UNKNOWN_TYPE, translate_each, unsupported};
use crate::translate::{INCLUDE_ENCRYPTED_REASONING, INCLUDE_LOGPROBS, TranslatedRequest, UnsupportedField};

/// The smallest `max_output_tokens` that the Responses API accepts.
const MIN_OUTPUT_TOKENS: u64 = 16;

/// Translates a chat request to a Responses request.
///
/// - `store` becomes `false` if absent, because providers store responses by default, but store chat
///   completions only on request.
/// - Fields that are unknown to Chat Completions, such as `include`, `truncation` and `instructions`, are
///   copied to the Responses request.
///
/// # Errors
///
/// Returns an error if the request contains a field that the Responses API cannot express and that changes
/// the answer, such as `stop`, `audio`, or `n` above 1. The error names the first such field.
pub fn chat_request_to_responses(
    chat: &ChatRequest,
) -> Result<TranslatedRequest<ResponsesRequest>, UnsupportedField> {
    check_supported(chat)?;
    let adopted: ResponsesRequest = adopt_unknown(&chat.extra)?;
    if adopted.input.is_some() {
        return unsupported(
            "input",
            "messages and input both hold a conversation; send only messages",
        );
    }
    let mut dropped = DroppedFields::default();
    let store = chat.store.unwrap_or(false);
    let has_instructions = adopted.instructions.is_some();
    let input = input_items(&chat.messages, has_instructions, store, &mut dropped)?;
    let mut request = ResponsesRequest {
        model: chat.model.clone(),
        input: Some(input.items.into()),
        instructions: input.instructions.or(adopted.instructions),
        max_output_tokens: max_output_tokens(chat, &mut dropped).or(adopted.max_output_tokens),
        temperature: chat.temperature,
        top_p: chat.top_p,
        text: text_options(chat, adopted.text, &mut dropped)?,
        tools: translate_each(&chat.tools, "tools", |tool, path| {
            translate_tool(tool, &path, &mut dropped)
        })?,
        tool_choice: match &chat.tool_choice {
            Some(choice) => Some(translate_tool_choice(choice, &mut dropped)?),
            None => None,
        },
        parallel_tool_calls: chat.parallel_tool_calls,
        reasoning: reasoning(chat, adopted.reasoning),
        store: Some(store),
        stream: chat.stream,
        stream_options: stream_options(chat, &mut dropped),
        metadata: chat.metadata.clone(),
        service_tier: chat.service_tier.clone(),
        safety_identifier: chat.safety_identifier.clone(),
        prompt_cache_key: chat.prompt_cache_key.clone(),
        prompt_cache_retention: chat.prompt_cache_retention.clone(),
        prompt_cache_options: chat.prompt_cache_options.clone(),
        moderation: chat.moderation.clone(),
        user: chat.user.clone(),
        ..adopted
    };
    if chat.logprobs == Some(true) {
        include(&mut request, INCLUDE_LOGPROBS);
        request.top_logprobs = chat.top_logprobs;
    }
    // The client has to return reasoning that the provider does not store. Only reasoning models accept the request for encrypted
    // reasoning.
    if !store && (input.has_reasoning || uses_reasoning(request.reasoning.as_ref())) {
        include(&mut request, INCLUDE_ENCRYPTED_REASONING);
    }
    drop_harmless_fields(chat, &mut dropped);
    Ok(TranslatedRequest {
        request,
        dropped: dropped.into_paths(),
    })
}

/// Returns an error for the first field that the Responses API cannot express and that changes the answer.
fn check_supported(chat: &ChatRequest) -> Result<(), UnsupportedField> {
    let has_stops = chat.stop.as_ref().is_some_and(|stop| match stop {
        Stop::One(_) => true,
        Stop::Any(texts) => !texts.is_empty(),
    });
    let has_bias = chat
        .logit_bias
        .as_ref()
        .is_some_and(|bias| !matches!(bias.get().trim(), "{}" | "null"));
    let not_text = |modalities: &Vec<String>| modalities.iter().any(|modality| modality != "text");
    let text_only = "the Responses API returns only text";
    UnsupportedField::check([
        (
            chat.n.is_some_and(|n| n > 1),
            "n",
            "the Responses API returns one choice per request; send several requests",
        ),
        (has_stops, "stop", "the Responses API has no stop sequences"),
        (has_bias, "logit_bias", "the Responses API has no logit_bias"),
        (
            chat.modalities.as_ref().is_some_and(not_text),
            "modalities",
            text_only,
        ),
        (chat.audio.is_some(), "audio", text_only),
        (
            chat.web_search_options.is_some(),
            "web_search_options",
            "the Responses API has a tool of type web_search instead",
        ),
        (
            !chat.functions.is_empty(),
            "functions",
            "functions are deprecated and have no equivalent; use tools",
        ),
        (
            chat.function_call.is_some(),
            "function_call",
            "function_call is deprecated and has no equivalent; use tool_choice",
        ),
    ])
}

fn drop_harmless_fields(chat: &ChatRequest, dropped: &mut DroppedFields) {
    let is_nonzero = |penalty: Option<f64>| penalty.is_some_and(|penalty| penalty != 0.0);
    dropped.push_if([
        (chat.seed.is_some(), "seed"),
        (is_nonzero(chat.frequency_penalty), "frequency_penalty"),
        (is_nonzero(chat.presence_penalty), "presence_penalty"),
        (chat.prediction.is_some(), "prediction"),
        (
            chat.top_logprobs.is_some_and(|top| top > 0) && chat.logprobs != Some(true),
            "top_logprobs",
        ),
    ]);
}

fn include(request: &mut ResponsesRequest, name: &str) {
    if !request.include.iter().any(|included| included == name) {
        request.include.push(name.to_owned());
    }
}

fn uses_reasoning(reasoning: Option<&Reasoning>) -> bool {
    reasoning.is_some_and(|reasoning| reasoning.effort.as_deref() != Some("none"))
}

fn max_output_tokens(chat: &ChatRequest, dropped: &mut DroppedFields) -> Option<u64> {
    let (max, name) = match (chat.max_completion_tokens, chat.max_tokens) {
        (Some(max), deprecated) => {
            dropped.push_if([(deprecated.is_some_and(|other| other != max), "max_tokens")]);
            (max, "max_completion_tokens")
        }
        (None, max) => (max?, "max_tokens"),
    };
    if max < MIN_OUTPUT_TOKENS {
        dropped.push(format!("{name}: raised to {MIN_OUTPUT_TOKENS}, the minimum"));
    }
    dropped.push_if([(chat.extra.get("max_output_tokens").is_some(), "max_output_tokens")]);
    Some(max.max(MIN_OUTPUT_TOKENS))
}

fn reasoning(chat: &ChatRequest, adopted: Option<Reasoning>) -> Option<Reasoning> {
    let Some(effort) = &chat.reasoning_effort else {
        return adopted;
    };
    Some(Reasoning {
        effort: Some(effort.clone()),
        ..adopted.unwrap_or_default()
    })
}

fn text_options(
    chat: &ChatRequest,
    adopted: Option<TextOptions>,
    dropped: &mut DroppedFields,
) -> Result<Option<TextOptions>, UnsupportedField> {
    if chat.response_format.is_none() && chat.verbosity.is_none() {
        return Ok(adopted);
    }
    let mut options = adopted.unwrap_or_default();
    if let Some(format) = &chat.response_format {
        let replaced = options.format.replace(text_format(format, dropped)?);
        dropped.push_if([(replaced.is_some(), "text.format")]);
    }
    if let Some(verbosity) = &chat.verbosity {
        let replaced = options.verbosity.replace(verbosity.clone());
        dropped.push_if([(replaced.is_some(), "text.verbosity")]);
    }
    Ok(Some(options))
}

fn text_format(format: &ResponseFormat, dropped: &mut DroppedFields) -> Result<TextFormat, UnsupportedField> {
    const SCHEMA_PATH: &str = "response_format.json_schema";
    Ok(match format {
        ResponseFormat::Text(empty) => TextFormat::Text(empty.clone()),
        ResponseFormat::JsonObject(empty) => TextFormat::JsonObject(empty.clone()),
        ResponseFormat::JsonSchema(format) => {
            let schema = &format.json_schema;
            if schema.schema.is_none() {
                return unsupported(
                    format!("{SCHEMA_PATH}.schema"),
                    "the Responses API requires this field",
                );
            }
            dropped.push_unknown(&format.extra, "response_format");
            TextFormat::JsonSchema(FlatSchema {
                name: schema.name.clone(),
                description: schema.description.clone(),
                schema: schema.schema.clone(),
                strict: schema.strict,
                extra: dropped.keep_unknown(&schema.extra, FlatSchema::FIELD_NAMES, SCHEMA_PATH),
            })
        }
        ResponseFormat::Other(_) => {
            return unsupported("response_format.type", UNKNOWN_TYPE);
        }
    })
}

/// Translates the stream options: keeps `include_obfuscation` and reports unknown options as dropped.
/// `include_usage` is not needed in the Responses API, because the last event of a response always contains
/// the usage.
fn stream_options(chat: &ChatRequest, dropped: &mut DroppedFields) -> Option<Json> {
    const OBFUSCATION: &str = "include_obfuscation";
    let extra = &chat.stream_options.as_ref()?.extra;
    let names = extra.iter().map(|(name, _)| name);
    dropped.push_members(names.filter(|name| *name != OBFUSCATION), "stream_options");
    let obfuscation = extra.get(OBFUSCATION)?;
    Json::of(&BTreeMap::from([(OBFUSCATION, obfuscation)])).ok()
}
