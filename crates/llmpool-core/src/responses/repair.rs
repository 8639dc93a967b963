//! Repairs responses whose fields have unexpected types.
//!
//! Decoding keeps such fields as unknown fields. This module reads those whose meaning is clear.

use super::response::Response;
use crate::chat::{LenientU64, UnknownFields};

/// Moves fields from the unknown fields of `response` to the fields of the struct.
pub(super) fn repair_response(response: &mut Response) {
    for (field, name) in [
        (&mut response.max_output_tokens, "max_output_tokens"),
        (&mut response.max_tool_calls, "max_tool_calls"),
    ] {
        if let Some(number) = number(&response.extra, name) {
            *field = Some(number);
            response.extra.remove(name);
        }
    }
}

fn number(extra: &UnknownFields, name: &str) -> Option<u64> {
    let number: LenientU64 = serde_json::from_str(extra.get(name)?.get()).ok()?;
    number.get()
}
