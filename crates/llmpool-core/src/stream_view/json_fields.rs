//! Checks of JSON values that the classification of both API formats needs.

use serde_json::value::RawValue;

use crate::provider_error;

/// Returns `false` for `null`, `false`, and an empty string, array or object. Returns `true` for any other
/// value.
pub(super) fn is_non_empty(raw: &RawValue) -> bool {
    let text = raw.get();
    let is_empty_between = |open, close| {
        text.strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
            .is_some_and(|rest| rest.trim().is_empty())
    };
    !matches!(text, "null" | "false" | "\"\"") && !is_empty_between('[', ']') && !is_empty_between('{', '}')
}

/// Returns the length in bytes of the value as JSON text, without the quotes of a string.
pub(super) fn output_length(raw: &RawValue) -> usize {
    let quotes = if raw.get().starts_with('"') { 2 } else { 0 };
    raw.get().len() - quotes
}

/// Returns whether these fields of a JSON object mark the object as an error. `code` and `error_code` must be
/// `None` if the object may carry output.
pub(super) fn mark_an_error(
    object: Option<&RawValue>,
    code: Option<&RawValue>,
    error_code: Option<&RawValue>,
) -> bool {
    if object.is_none() && code.is_none() && error_code.is_none() {
        return false;
    }
    let parse = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let (object, code, error_code) = (parse(object), parse(code), parse(error_code));
    provider_error::looks_like_error(|name| match name {
        "object" => object.as_ref(),
        "code" => code.as_ref(),
        "error_code" => error_code.as_ref(),
        _ => None,
    })
}
