//! JSON objects for which no fields are defined.

use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, wire_object};

/// A JSON object for which no fields are defined, for example a response format that consists of its `type`.
#[derive(Clone, Default, PartialEq)]
pub struct EmptyObject {
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(EmptyObject {});

opaque_debug!(EmptyObject);
