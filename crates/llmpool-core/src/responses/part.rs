//! Parts of messages, outputs and reasoning.

use crate::chat::object::{shapes, tagged, wire_object};
use crate::chat::{Extra, InputAudio, Json};

/// One part of what an item says.
#[derive(Clone, PartialEq)]
pub enum ItemPart {
    /// A text that was sent.
    InputText(PartText),
    /// An image that was sent.
    InputImage(ImageInput),
    /// A document that was sent.
    InputFile(FileInput),
    /// Sound that was sent.
    InputAudio(AudioInput),
    /// A text of the model.
    OutputText(OutputText),
    /// The model refuses.
    Refusal(PartRefusal),
    /// Reasoning as it came.
    ReasoningText(PartText),
    /// Reasoning in short.
    SummaryText(PartText),
    /// Any other, as it was given.
    Other(Json),
}

tagged!(ItemPart {
    InputText(PartText) => "input_text",
    InputImage(ImageInput) => "input_image",
    InputFile(FileInput) => "input_file",
    InputAudio(AudioInput) => "input_audio",
    OutputText(OutputText) => "output_text",
    Refusal(PartRefusal) => "refusal",
    ReasoningText(PartText) => "reasoning_text",
    SummaryText(PartText) => "summary_text",
});

impl ItemPart {
    /// A text that is sent.
    pub fn input_text(text: impl Into<String>) -> Self {
        Self::InputText(PartText::new(text))
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
        Self::Refusal(PartRefusal {
            refusal: refusal.into(),
            ..PartRefusal::default()
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
pub struct PartText {
    /// It.
    pub text: String,
    /// Anything else.
    pub extra: Extra,
}

wire_object!(PartText {} always { text => "text" });

impl PartText {
    /// This text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            extra: Extra::default(),
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
    pub extra: Extra,
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
    pub extra: Extra,
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
    pub extra: Extra,
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
    pub extra: Extra,
}

wire_object!(OutputText { logprobs => "logprobs" } always { text => "text", annotations => "annotations" });

/// What the model said in refusing.
#[derive(Clone, Default, PartialEq)]
pub struct PartRefusal {
    /// It.
    pub refusal: String,
    /// Anything else.
    pub extra: Extra,
}

wire_object!(PartRefusal {} always { refusal => "refusal" });

shapes!(
    PartText,
    ImageInput,
    FileInput,
    AudioInput,
    OutputText,
    PartRefusal
);
