//! A chat request as a request for a response.

use std::collections::BTreeMap;

use super::conversation::conversation;
use super::tools::{tool, tool_choice};
use crate::chat::{ChatRequest, Json, ResponseFormat, Stop};
use crate::responses::{FlatSchema, Reasoning, ResponsesRequest, TextFormat, TextOptions};
use crate::translate::unknown_fields::{adopted, carried, left_out};
use crate::translate::{Translated, Untranslatable};

/// The least that `max_output_tokens` may be.
const LEAST_OUTPUT: u64 = 16;
const LOGPROBS: &str = "message.output_text.logprobs";
const ENCRYPTED: &str = "reasoning.encrypted_content";

/// The request in the other format. `store` is false where it was not said, since a chat leaves no trace unless that is asked for.
///
/// Members of the other format that the chat says beside its own (`include`, `truncation`, `instructions`) are taken over.
pub fn to_responses(chat: &ChatRequest) -> Result<Translated<ResponsesRequest>, Untranslatable> {
    refuse(chat)?;
    let said: ResponsesRequest = adopted(&chat.extra)?;
    if said.input.is_some() {
        let why = "the conversation is in messages; leave one of them out";
        return Err(Untranslatable::new("input", why));
    }
    let mut dropped = Vec::new();
    let keeps = chat.store.unwrap_or(false);
    let told = conversation(&chat.messages, said.instructions.is_some(), keeps, &mut dropped)?;
    let tools = chat.tools.iter().enumerate();
    let mut request = ResponsesRequest {
        model: chat.model.clone(),
        input: Some(told.items.into()),
        instructions: told.instructions.or(said.instructions),
        max_output_tokens: most_tokens(chat, &mut dropped).or(said.max_output_tokens),
        temperature: chat.temperature,
        top_p: chat.top_p,
        text: text_options(chat, said.text, &mut dropped)?,
        tools: tools
            .map(|(at, offered)| tool(at, offered, &mut dropped))
            .collect::<Result<_, _>>()?,
        tool_choice: match &chat.tool_choice {
            Some(choice) => Some(tool_choice(choice, &mut dropped)?),
            None => None,
        },
        parallel_tool_calls: chat.parallel_tool_calls,
        reasoning: thinking(chat, said.reasoning),
        store: Some(keeps),
        include: said.include,
        stream: chat.stream,
        stream_options: stream_options(chat, &mut dropped),
        metadata: chat.metadata.clone(),
        service_tier: chat.service_tier.clone(),
        safety_identifier: chat.safety_identifier.clone(),
        prompt_cache_key: chat.prompt_cache_key.clone(),
        prompt_cache_retention: chat.prompt_cache_retention.clone(),
        user: chat.user.clone(),
        ..said
    };
    if chat.logprobs == Some(true) {
        include(&mut request, LOGPROBS);
        request.top_logprobs = chat.top_logprobs;
    }
    // What is kept nowhere has to be sent back whole in the next turn. Models that do not think refuse to be asked for it.
    if !keeps && (told.thought || thinks(request.reasoning.as_ref())) {
        include(&mut request, ENCRYPTED);
    }
    report(chat, &mut dropped);
    Ok(Translated { request, dropped })
}

fn include(request: &mut ResponsesRequest, what: &str) {
    if !request.include.iter().any(|included| included == what) {
        request.include.push(what.to_owned());
    }
}

fn thinks(reasoning: Option<&Reasoning>) -> bool {
    reasoning.is_some_and(|reasoning| reasoning.effort.as_deref() != Some("none"))
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
        (
            chat.top_logprobs.is_some_and(|top| top > 0) && chat.logprobs != Some(true),
            "top_logprobs",
        ),
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
    if chat.extra.get("max_output_tokens").is_some() {
        dropped.push("max_output_tokens".to_owned());
    }
    Some(most.max(LEAST_OUTPUT))
}

fn thinking(chat: &ChatRequest, said: Option<Reasoning>) -> Option<Reasoning> {
    match (said, chat.reasoning_effort.clone()) {
        (said, None) => said,
        (said, effort) => Some(Reasoning {
            effort,
            ..said.unwrap_or_default()
        }),
    }
}

fn text_options(
    chat: &ChatRequest,
    said: Option<TextOptions>,
    dropped: &mut Vec<String>,
) -> Result<Option<TextOptions>, Untranslatable> {
    let format = match &chat.response_format {
        Some(wanted) => Some(format(wanted, dropped)?),
        None => None,
    };
    let verbosity = chat.verbosity.clone();
    if format.is_none() && verbosity.is_none() {
        return Ok(said);
    }
    let said = said.unwrap_or_default();
    let twice = [
        (format.is_some() && said.format.is_some(), "text.format"),
        (verbosity.is_some() && said.verbosity.is_some(), "text.verbosity"),
    ];
    let twice = twice.into_iter().filter(|(twice, _)| *twice);
    dropped.extend(twice.map(|(_, name)| name.to_owned()));
    Ok(Some(TextOptions {
        format: format.or(said.format),
        verbosity: verbosity.or(said.verbosity),
        extra: said.extra,
    }))
}

fn format(format: &ResponseFormat, dropped: &mut Vec<String>) -> Result<TextFormat, Untranslatable> {
    Ok(match format {
        ResponseFormat::Text(plain) => TextFormat::Text(plain.clone()),
        ResponseFormat::JsonObject(plain) => TextFormat::JsonObject(plain.clone()),
        ResponseFormat::JsonSchema(format) => {
            let schema = &format.json_schema;
            if schema.schema.is_none() {
                let why = "the Responses API wants a schema here";
                return Err(Untranslatable::new("response_format.json_schema.schema", why));
            }
            left_out(&format.extra, "response_format", dropped);
            TextFormat::JsonSchema(FlatSchema {
                name: schema.name.clone(),
                description: schema.description.clone(),
                schema: schema.schema.clone(),
                strict: schema.strict,
                extra: carried(
                    &schema.extra,
                    FlatSchema::FIELD_NAMES,
                    "response_format.json_schema",
                    dropped,
                ),
            })
        }
        ResponseFormat::Other(_) => {
            let why = "this type is not known, so it cannot be translated";
            return Err(Untranslatable::new("response_format.type", why));
        }
    })
}

/// Usage comes with the last event in any case.
fn stream_options(chat: &ChatRequest, dropped: &mut Vec<String>) -> Option<Json> {
    const OBFUSCATION: &str = "include_obfuscation";
    let extra = &chat.stream_options.as_ref()?.extra;
    let others = extra.iter().filter(|(name, _)| *name != OBFUSCATION);
    dropped.extend(others.map(|(name, _)| format!("stream_options.{name}")));
    let wanted = extra.get(OBFUSCATION)?;
    Json::of(&BTreeMap::from([(OBFUSCATION, wanted)])).ok()
}
