//! Parsing of token usage, and its translation between the two API formats.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::dropped_fields::without;
use crate::chat::repair::decode_usage;
use crate::chat::{LenientU64, Usage, details_in};
use crate::lenient_json;
use crate::raw_object::RawObject;
use crate::responses::{InputTokensDetails, OutputTokensDetails, ResponsesUsage};

/// Parses the token usage in a complete response body of either API format. Returns `None` if the body cannot
/// be parsed or reports no usage.
pub fn parse_usage(body: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
    }
    match serde_json::from_slice::<Body<'_>>(body) {
        Ok(body) => decode(body.usage?.get()),
        Err(_) => {
            let text = lenient_json::cleaned_text(body);
            decode(RawObject::parse(&text)?.get("usage")?)
        }
    }
}

/// Decodes the usage of either API format. `None` if it has no count.
fn decode(json: &str) -> Option<Usage> {
    let usage = match decode_usage::<ResponsesUsage>(json) {
        Some(usage) if usage.has("input_tokens") || usage.has("output_tokens") => to_chat(&usage),
        _ => decode_usage(json)?,
    };
    Some(usage).filter(|usage| !usage.is_empty())
}

/// Translates the usage of a response to that of a chat completion. Counts that the provider did not report
/// stay absent. Unknown fields are kept.
pub(crate) fn to_chat(usage: &ResponsesUsage) -> Usage {
    Usage {
        prompt_tokens: usage.input_tokens().into(),
        completion_tokens: usage.output_tokens().into(),
        total_tokens: usage.total_tokens,
        prompt_tokens_details: recast(usage.input_tokens_details.as_ref())
            .or_else(|| details_in(&usage.extra, "prompt_tokens_details")),
        completion_tokens_details: recast(usage.output_tokens_details.as_ref())
            .or_else(|| details_in(&usage.extra, "completion_tokens_details")),
        extra: without(&usage.extra, Usage::FIELD_NAMES),
    }
}

/// Translates the usage of a chat completion to that of a response.
///
/// Counts that the Responses API requires become 0 if the provider did not report them. An absent total
/// becomes the sum of input and output tokens if the provider reported both.
pub(super) fn to_responses(usage: &Usage) -> ResponsesUsage {
    let (input, output) = (usage.prompt_tokens(), usage.completion_tokens());
    let total = usage
        .total_tokens()
        .or_else(|| Some(input?.saturating_add(output?)));
    let required = |tokens: Option<u64>| LenientU64::from(tokens.unwrap_or(0));
    let input_details: InputTokensDetails = recast(usage.prompt_details().as_deref()).unwrap_or_default();
    let output_details: OutputTokensDetails =
        recast(usage.completion_details().as_deref()).unwrap_or_default();
    ResponsesUsage {
        input_tokens: required(input),
        input_tokens_details: Some(InputTokensDetails {
            cached_tokens: required(usage.cached_tokens()),
            cache_write_tokens: input_details.cache_write_tokens.or(0.into()),
            ..input_details
        }),
        output_tokens: required(output),
        output_tokens_details: Some(OutputTokensDetails {
            reasoning_tokens: required(usage.reasoning_tokens()),
            ..output_details
        }),
        total_tokens: required(total),
        extra: without(&usage.extra, ResponsesUsage::FIELD_NAMES),
    }
}

/// Converts token details of one API format to the other. Both formats use the same field names. Returns
/// `None` if `details` is absent or cannot be converted.
fn recast<T: DeserializeOwned>(details: Option<&impl Serialize>) -> Option<T> {
    serde_json::from_str(&serde_json::to_string(details?).ok()?).ok()
}
