//! Content parts that contain reasoning.

use super::content::Content;
use super::json::Json;
use super::text_part::TextPart;
use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, tagged_enum, wire_object};

/// A content part that contains reasoning of the model, in Mistral's format.
#[derive(Clone, Default, PartialEq)]
pub struct ThinkingPart {
    /// The reasoning: a list of pieces, usually text. Some providers send a string.
    pub thinking: Content<Thought>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ThinkingPart {} always { thinking });

impl ThinkingPart {
    /// Returns the texts of the reasoning: the string, or each piece of text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let (text, thoughts) = match &self.thinking {
            Content::Text(text) => (Some(text.as_str()), &[][..]),
            Content::Parts(thoughts) => (None, &thoughts[..]),
        };
        text.into_iter()
            .chain(thoughts.iter().filter_map(Thought::as_text))
    }
}

/// A piece of reasoning in a [`ThinkingPart`]. This type is separate from [`Part`](super::Part), so that reasoning cannot
/// contain further reasoning.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Thought {
    /// A piece of reasoning text.
    Text(TextPart),
    /// A piece of any other type, or a piece that could not be decoded, as raw JSON.
    Other(Json),
}

tagged_enum!(Thought { Text => "text" });

impl Thought {
    pub(super) fn text(text: String) -> Self {
        Self::Text(TextPart {
            text,
            ..TextPart::default()
        })
    }

    /// Returns the text if the piece is text. Otherwise returns `None`.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(part) => Some(&part.text),
            Self::Other(_) => None,
        }
    }
}

opaque_debug!(ThinkingPart);
