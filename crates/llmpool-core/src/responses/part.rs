//! Parts of messages, outputs and reasoning.

use crate::chat::wire_object::{opaque_debug, tagged_enum, wire_object};
use crate::chat::{InputAudio, Json, UnknownFields};

/// One part of what an item says.
#[derive(Clone, PartialEq)]
pub enum ItemPart {
    /// A text that was sent.
    InputText(ItemText),
    /// An image that was sent.
    InputImage(ImageInput),
    /// A document that was sent.
    InputFile(FileInput),
    /// Sound that was sent.
    InputAudio(AudioInput),
    /// A text of the model.
    OutputText(OutputText),
    /// The model refuses.
    Refusal(ItemRefusal),
    /// Reasoning as it came.
    ReasoningText(ItemText),
    /// Reasoning in short.
    SummaryText(ItemText),
    /// Any other, as it was given.
    Other(Json),
}

tagged_enum!(ItemPart {
    InputText(ItemText) => "input_text",
    InputImage(ImageInput) => "input_image",
    InputFile(FileInput) => "input_file",
    InputAudio(AudioInput) => "input_audio",
    OutputText(OutputText) => "output_text",
    Refusal(ItemRefusal) => "refusal",
    ReasoningText(ItemText) => "reasoning_text",
    SummaryText(ItemText) => "summary_text",
});

impl ItemPart {
    /// A text that is sent.
    pub fn input_text(text: impl Into<String>) -> Self {
        Self::InputText(ItemText::new(text))
    }

    /// A text of the model.
    pub fn output_text(text: impl Into<String>) -> Self {
        Self::OutputText(OutputText {
            text: text.into(),
            logprobs: Some(Vec::new()),
            ..OutputText::default()
        })
    }

    /// What the model said in refusing.
    pub fn refusal(refusal: impl Into<String>) -> Self {
        Self::Refusal(ItemRefusal {
            refusal: refusal.into(),
            ..ItemRefusal::default()
        })
    }

    /// Its text, of whatever kind; of a refusal none.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::InputText(part) | Self::ReasoningText(part) | Self::SummaryText(part) => Some(&part.text),
            Self::OutputText(part) => Some(&part.text),
            _ => None,
        }
    }
}

/// A text.
#[derive(Clone, Default, PartialEq)]
pub struct ItemText {
    /// It.
    pub text: String,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ItemText {} always { text => "text" });

impl ItemText {
    /// This text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            extra: UnknownFields::default(),
        }
    }
}

/// An image.
#[derive(Clone, Default, PartialEq)]
pub struct ImageInput {
    /// An `https:` or `data:` URL.
    pub image_url: Option<String>,
    /// Of an image that was sent before.
    pub file_id: Option<String>,
    /// `low`, `high`, `auto`, `original`.
    pub detail: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ImageInput { image_url => "image_url", file_id => "file_id", detail => "detail" });

/// A document.
#[derive(Clone, Default, PartialEq)]
pub struct FileInput {
    /// Of a document that was sent before.
    pub file_id: Option<String>,
    /// Where it is.
    pub file_url: Option<String>,
    /// Its content, as a `data:` URL or in base64.
    pub file_data: Option<String>,
    /// Its name.
    pub filename: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(FileInput {
    file_id => "file_id",
    file_url => "file_url",
    file_data => "file_data",
    filename => "filename",
});

/// Sound.
#[derive(Clone, Default, PartialEq)]
pub struct AudioInput {
    /// It, and its format.
    pub input_audio: InputAudio,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(AudioInput {} always { input_audio => "input_audio" });

/// A text of the model.
#[derive(Clone, Default, PartialEq)]
pub struct OutputText {
    /// It.
    pub text: String,
    /// Where it comes from: `[{"type": "url_citation", …}]`.
    pub annotations: Vec<Json>,
    /// How likely its tokens were.
    pub logprobs: Option<Vec<Json>>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(OutputText { logprobs => "logprobs" } always { text => "text", annotations => "annotations" });

/// What the model said in refusing.
#[derive(Clone, Default, PartialEq)]
pub struct ItemRefusal {
    /// It.
    pub refusal: String,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ItemRefusal {} always { refusal => "refusal" });

opaque_debug!(
    ItemText,
    ImageInput,
    FileInput,
    AudioInput,
    OutputText,
    ItemRefusal
);
