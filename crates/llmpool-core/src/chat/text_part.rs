//! A content part that contains text.

use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, wire_object};

/// A content part that contains text.
#[derive(Clone, Default, PartialEq)]
pub struct TextPart {
    /// Text of the part.
    pub text: String,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(TextPart {} always { text });

opaque_debug!(TextPart);
