//! JSON objects without predefined fields.

use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, wire_object};

/// A JSON object without predefined fields, for example a response format that needs only a `type`.
#[derive(Clone, Default, PartialEq)]
pub struct EmptyObject {
    /// All fields of the JSON object. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(EmptyObject {});

opaque_debug!(EmptyObject);
