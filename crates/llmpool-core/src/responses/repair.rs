//! Repairs responses and events that cannot be decoded.
//!
//! Decoding keeps fields of unexpected types as unknown fields. This module reads those whose meaning is
//! clear.

use serde::de::DeserializeOwned;

use super::event::ResponseEvent;
use super::response::Response;
use crate::chat::repair::decode_usage;
use crate::chat::valid_fields::{HasUnknownFields, decode_valid_fields};
use crate::chat::{LenientU64, UnknownFields};
use crate::lenient_json;

/// Decodes a JSON object. If that fails, cleans its text and decodes it again. If that fails as well, keeps
/// the fields of unexpected types as unknown fields and passes the object to `repair`.
///
/// # Errors
/// Returns an error if `json` is not a JSON object.
pub(super) fn decode_repaired<T: HasUnknownFields + DeserializeOwned>(
    json: &[u8],
    repair: impl FnOnce(&mut T),
) -> Result<T, serde_json::Error> {
    crate::chat::from_json(json).or_else(|error| {
        let text = lenient_json::cleaned_text(json);
        serde_json::from_str(&text).or_else(|_| {
            let mut object = decode_valid_fields(text.as_bytes()).ok_or(error)?;
            repair(&mut object);
            Ok(object)
        })
    })
}

/// Reads the usage of a response even if some of its values have unexpected types, and whole numbers that are
/// written as fractions or text.
pub(super) fn repair_response(response: &mut Response) {
    let extra = &mut response.extra;
    if response.usage.is_none() {
        response.usage = take(extra, "usage", decode_usage);
    }
    for (field, name) in [
        (&mut response.max_output_tokens, "max_output_tokens"),
        (&mut response.max_tool_calls, "max_tool_calls"),
    ] {
        *field = field.or_else(|| take(extra, name, number));
    }
}

/// Reads the response in an event even if some of its fields have unexpected types, and arguments that are an
/// object in place of its JSON text.
pub(super) fn repair_event(event: &mut ResponseEvent) {
    let extra = &mut event.extra;
    if event.response.is_none() {
        event.response = take(extra, "response", |json| {
            Response::decode(json.as_bytes()).ok().map(Box::new)
        });
    }
    for (field, name) in [(&mut event.arguments, "arguments"), (&mut event.input, "input")] {
        if field.is_none() {
            *field = take(extra, name, |json| Some(json.to_owned()));
        }
    }
}

/// Reads and removes the unknown field `name`. Keeps it if `read` returns `None`.
fn take<T>(extra: &mut UnknownFields, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let value = read(extra.get(name)?.get())?;
    extra.remove(name);
    Some(value)
}

fn number(json: &str) -> Option<u64> {
    let number: LenientU64 = serde_json::from_str(json).ok()?;
    number.get()
}
