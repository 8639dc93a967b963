//! What a call used, in the words of each format.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chat::{LenientU64, UnknownFields, Usage};
use crate::responses::{InputTokensDetails, OutputTokensDetails, ResponsesUsage};

/// The usage that a plain answer tells, in whichever format it is.
pub fn usage_in(body: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default)]
        usage: Option<&'a RawValue>,
    }
    let body: Body<'_> = serde_json::from_slice(body).ok()?;
    let usage = body.usage?.get();
    let of_response = serde_json::from_str::<ResponsesUsage>(usage).ok();
    match of_response.filter(|usage| usage.input_tokens.is_some() || usage.output_tokens.is_some()) {
        Some(usage) => Some(as_chat(&usage)),
        None => serde_json::from_str(usage)
            .ok()
            .filter(|usage: &Usage| !usage.is_empty()),
    }
}

/// What is not said stays unsaid; what has no name there goes along.
pub(crate) fn as_chat(usage: &ResponsesUsage) -> Usage {
    Usage {
        prompt_tokens: usage.input_tokens,
        completion_tokens: usage.output_tokens,
        total_tokens: usage.total_tokens,
        prompt_tokens_details: usage.input_tokens_details.as_ref().and_then(recast),
        completion_tokens_details: usage.output_tokens_details.as_ref().and_then(recast),
        extra: but_for(&usage.extra, Usage::FIELD_NAMES),
    }
}

/// Members that the schema wants are 0 where the provider did not say them; the totals are made where they can be.
pub(super) fn as_response(usage: &Usage) -> ResponsesUsage {
    let (input, output) = (usage.prompt_tokens(), usage.completion_tokens());
    let total = usage
        .total_tokens()
        .or_else(|| Some(input?.saturating_add(output?)));
    let whole = |tokens: Option<u64>| Some(LenientU64(tokens.unwrap_or(0)));
    let of_input = usage.prompt_tokens_details.as_ref();
    let of_input: InputTokensDetails = of_input.and_then(recast).unwrap_or_default();
    let of_output = usage.completion_tokens_details.as_ref();
    let of_output: OutputTokensDetails = of_output.and_then(recast).unwrap_or_default();
    ResponsesUsage {
        input_tokens: whole(input),
        input_tokens_details: Some(InputTokensDetails {
            cached_tokens: whole(usage.cached_tokens()),
            cache_write_tokens: of_input.cache_write_tokens.or(Some(LenientU64(0))),
            ..of_input
        }),
        output_tokens: whole(output),
        output_tokens_details: Some(OutputTokensDetails {
            reasoning_tokens: whole(usage.reasoning_tokens()),
            ..of_output
        }),
        total_tokens: whole(total),
        extra: but_for(&usage.extra, ResponsesUsage::FIELD_NAMES),
    }
}

/// What has the same names in both formats.
fn recast<T: DeserializeOwned>(details: &impl Serialize) -> Option<T> {
    serde_json::from_str(&serde_json::to_string(details).ok()?).ok()
}

/// Unknown members that have no name there either.
fn but_for(extra: &UnknownFields, named: &[&str]) -> UnknownFields {
    let mut kept = UnknownFields::default();
    for (name, json) in extra.iter().filter(|(name, _)| !named.contains(name)) {
        kept.push(name.to_owned(), json.clone());
    }
    kept
}
