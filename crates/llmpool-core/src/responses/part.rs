//! Content parts, of which the items of inputs and outputs consist.

use crate::chat::wire_object::{opaque_debug, tagged_enum, wire_object};
use crate::chat::{InputAudio, Json, UnknownFields};

/// One content part of an item.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum ItemPart {
    /// Text of the user or of a tool.
    InputText(ItemText),
    /// An image in the input.
    InputImage(ImageInput),
    /// A file in the input.
    InputFile(FileInput),
    /// Audio in the input.
    InputAudio(AudioInput),
    /// Text that the model generated.
    OutputText(OutputText),
    /// A refusal of the model.
    Refusal(ItemRefusal),
    /// A part of the full reasoning.
    ReasoningText(ItemText),
    /// A part of the summary of the reasoning.
    SummaryText(ItemText),
    /// A part of another type, as raw JSON.
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
    /// Creates a part with input text.
    pub fn input_text(text: impl Into<String>) -> Self {
        Self::InputText(ItemText::new(text))
    }

    /// Creates a part with text of the model.
    pub fn output_text(text: impl Into<String>) -> Self {
        Self::OutputText(OutputText {
            text: text.into(),
            logprobs: Some(Vec::new()),
            ..OutputText::default()
        })
    }

    /// Creates a part with a refusal of the model.
    pub fn refusal(refusal: impl Into<String>) -> Self {
        Self::Refusal(ItemRefusal {
            refusal: refusal.into(),
            ..ItemRefusal::default()
        })
    }

    /// Returns the text of an input, output, reasoning or summary part. `None` for a part of another type, such as a refusal.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::InputText(part) | Self::ReasoningText(part) | Self::SummaryText(part) => Some(&part.text),
            Self::OutputText(part) => Some(&part.text),
            _ => None,
        }
    }
}

/// A part that consists of text.
#[derive(Clone, Default, PartialEq)]
pub struct ItemText {
    /// Text of the part.
    pub text: String,
    /// Fields that this type does not define.
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

/// An image in the input, given by URL or ID.
#[derive(Clone, Default, PartialEq)]
pub struct ImageInput {
    /// URL of the image, either `https:` or `data:`.
    pub image_url: Option<String>,
    /// ID of an image that was uploaded to the provider.
    pub file_id: Option<String>,
    /// Resolution at which the model sees the image: `low`, `high`, `auto` or `original`.
    pub detail: Option<String>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(ImageInput {
    image_url,
    file_id,
    detail
});

/// A file in the input, given by ID, URL or content.
#[derive(Clone, Default, PartialEq)]
pub struct FileInput {
    /// ID of a file that was uploaded to the provider.
    pub file_id: Option<String>,
    /// URL of the file.
    pub file_url: Option<String>,
    /// Content of the file, as a `data:` URL or in base64.
    pub file_data: Option<String>,
    /// Name of the file.
    pub filename: Option<String>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(FileInput {
    file_id,
    file_url,
    file_data,
    filename,
});

/// Audio in the input.
#[derive(Clone, Default, PartialEq)]
pub struct AudioInput {
    /// The audio data and its format.
    pub input_audio: InputAudio,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(AudioInput {} always { input_audio });

/// Text that the model generated.
#[derive(Clone, Default, PartialEq)]
pub struct OutputText {
    /// The generated text.
    pub text: String,
    /// Sources to which the text refers: `[{"type": "url_citation", …}]`.
    pub annotations: Vec<Json>,
    /// Log probabilities of the tokens. `None` if not requested.
    pub logprobs: Option<Vec<Json>>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(OutputText { logprobs } always { text, annotations });

/// A refusal of the model.
#[derive(Clone, Default, PartialEq)]
pub struct ItemRefusal {
    /// Text of the refusal.
    pub refusal: String,
    /// Fields that this type does not define.
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
