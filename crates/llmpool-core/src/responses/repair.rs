//! Repairs responses and events that cannot be decoded.
//!
//! Decoding keeps fields of unexpected types as unknown fields. This module reads those whose meaning is
//! clear.

use serde::de::DeserializeOwned;

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

/// Reads and removes the unknown field `name`. Keeps it if `read` returns `None`.
pub(super) fn take<T>(
    extra: &mut UnknownFields,
    name: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let value = read(extra.get(name)?.get())?;
    extra.remove(name);
    Some(value)
}

/// Reads a whole number that is written as a fraction or as text.
pub(super) fn number(json: &str) -> Option<u64> {
    let number: LenientU64 = serde_json::from_str(json).ok()?;
    number.get()
}
