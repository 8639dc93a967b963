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

/// Returns whether the value of an `error` member says that something failed.
pub(super) fn is_failure(error: &RawValue) -> bool {
    // A value that cannot be parsed, such as one with half a character, says something.
    let says_something = || {
        let error = serde_json::from_str(error.get());
        error.map_or(true, |error| provider_error::is_failure(&error))
    };
    is_non_empty(error) && says_something()
}
