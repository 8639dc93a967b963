//! Objects without named fields.

use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, wire_object};

/// An object without named fields, such as a response format that consists of its `type`.
#[derive(Clone, Default, PartialEq)]
pub struct EmptyObject {
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(EmptyObject {});

opaque_debug!(EmptyObject);
