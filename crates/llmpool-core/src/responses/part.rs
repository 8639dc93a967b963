//! Content parts of items.

use crate::chat::wire_object::{opaque_debug, tagged_enum, wire_object};
use crate::chat::{InputAudio, Json, UnknownFields};

/// One content part of an item.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum ItemPart {
    /// Text input.
    InputText(ItemText),
    /// An input image.
    InputImage(ImageInput),
    /// An input file.
    InputFile(FileInput),
    /// Audio input.
    InputAudio(AudioInput),
    /// Text of the model.
    OutputText(OutputText),
    /// A refusal of the model.
    Refusal(ItemRefusal),
    /// Reasoning in full.
    ReasoningText(ItemText),
    /// Summary of reasoning.
    SummaryText(ItemText),
    /// An object of another type, unchanged.
    Other(Json),
}

tagged_enum!(ItemPart {
    InputText => "input_text",
    InputImage => "input_image",
    InputFile => "input_file",
    InputAudio => "input_audio",
    OutputText => "output_text",
    Refusal => "refusal",
    ReasoningText => "reasoning_text",
    SummaryText => "summary_text",
});

impl ItemPart {
    /// Creates a text input.
    pub fn input_text(text: impl Into<String>) -> Self {
        Self::InputText(ItemText::new(text))
    }

    /// Creates a text of the model.
    pub fn output_text(text: impl Into<String>) -> Self {
        Self::OutputText(OutputText {
            text: text.into(),
            logprobs: Some(Vec::new()),
            ..OutputText::default()
        })
    }

    /// Creates a refusal.
    pub fn refusal(refusal: impl Into<String>) -> Self {
        Self::Refusal(ItemRefusal {
            refusal: refusal.into(),
            ..ItemRefusal::default()
        })
    }

    /// Returns the text of an input, output, reasoning or summary part. Returns `None` for a refusal.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::InputText(part) | Self::ReasoningText(part) | Self::SummaryText(part) => Some(&part.text),
            Self::OutputText(part) => Some(&part.text),
            _ => None,
        }
    }
}

/// Text.
#[derive(Clone, Default, PartialEq)]
pub struct ItemText {
    /// The text.
    pub text: String,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(ItemText {} always { text });

impl ItemText {
    /// Creates a part with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            extra: UnknownFields::default(),
        }
    }
}

/// An input image.
#[derive(Clone, Default, PartialEq)]
pub struct ImageInput {
    /// An `https:` or `data:` URL.
    pub image_url: Option<String>,
    /// ID of an uploaded image.
    pub file_id: Option<String>,
    /// Resolution at which the model sees the image: `low`, `high`, `auto`, `original`.
    pub detail: Option<String>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(ImageInput {
    image_url,
    file_id,
    detail
});

/// An input file.
#[derive(Clone, Default, PartialEq)]
pub struct FileInput {
    /// ID of an uploaded file.
    pub file_id: Option<String>,
    /// URL of the file.
    pub file_url: Option<String>,
    /// Content as a `data:` URL or in base64.
    pub file_data: Option<String>,
    /// Name of the file.
    pub filename: Option<String>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(FileInput {
    file_id,
    file_url,
    file_data,
    filename,
});

/// Audio input.
#[derive(Clone, Default, PartialEq)]
pub struct AudioInput {
    /// Audio data and its format.
    pub input_audio: InputAudio,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(AudioInput {} always { input_audio });

/// Text of the model.
#[derive(Clone, Default, PartialEq)]
pub struct OutputText {
    /// The text.
    pub text: String,
    /// Sources of the text: `[{"type": "url_citation", …}]`.
    pub annotations: Vec<Json>,
    /// Log probabilities of the tokens.
    pub logprobs: Option<Vec<Json>>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(OutputText { logprobs } always { text, annotations });

/// A refusal of the model.
#[derive(Clone, Default, PartialEq)]
pub struct ItemRefusal {
    /// Text of the refusal.
    pub refusal: String,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(ItemRefusal {} always { refusal });

opaque_debug!(
    ItemText,
    ImageInput,
    FileInput,
    AudioInput,
    OutputText,
    ItemRefusal
);
