//! Content parts, the elements of an item's content.

use crate::chat::wire_object::{opaque_debug, tagged_enum, wire_object};
use crate::chat::{InputAudio, Json, UnknownFields};

/// One part of an item's content, such as a text or an image.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum ItemPart {
    /// Text for the model, in a message or in the output of a tool.
    InputText(ItemText),
    /// An image for the model, in a message or in the output of a tool.
    InputImage(ImageInput),
    /// A file for the model, in a message or in the output of a tool.
    InputFile(FileInput),
    /// Audio for the model, in a message.
    InputAudio(AudioInput),
    /// Text that the model generated: a part of type `output_text` or `text`.
    OutputText(OutputText),
    /// The model's refusal to answer.
    Refusal(ItemRefusal),
    /// A part of the model's full reasoning.
    ReasoningText(ItemText),
    /// A part of the summary of the model's reasoning.
    SummaryText(ItemText),
    /// A content part of another type, as raw JSON.
    Other(Json),
}

tagged_enum!(ItemPart {
    InputText => "input_text",
    InputImage => "input_image",
    InputFile => "input_file",
    InputAudio => "input_audio",
    OutputText => "output_text" | "text",
    Refusal => "refusal",
    ReasoningText => "reasoning_text",
    SummaryText => "summary_text",
});

impl ItemPart {
    /// Creates a part with text for the model.
    pub fn input_text(text: impl Into<String>) -> Self {
        Self::InputText(ItemText::new(text))
    }

    /// Creates a part with text that the model generated.
    pub fn output_text(text: impl Into<String>) -> Self {
        Self::OutputText(OutputText {
            text: text.into(),
            logprobs: Some(Vec::new()),
            ..OutputText::default()
        })
    }

    /// Creates a part with the text of a refusal by the model.
    pub fn refusal(refusal: impl Into<String>) -> Self {
        Self::Refusal(ItemRefusal {
            refusal: refusal.into(),
            ..ItemRefusal::default()
        })
    }

    /// Returns the text of an input, output, reasoning or summary part. Returns `None` for any other part,
    /// including a refusal.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::InputText(part) | Self::ReasoningText(part) | Self::SummaryText(part) => Some(&part.text),
            Self::OutputText(part) => Some(&part.text),
            _ => None,
        }
    }

    /// Returns whether the part is reasoning or its summary.
    pub(crate) fn is_reasoning(&self) -> bool {
        matches!(self, Self::ReasoningText(_) | Self::SummaryText(_))
    }
}

/// A content part that consists of text: input text, reasoning, or a reasoning summary.
#[derive(Clone, Default, PartialEq)]
pub struct ItemText {
    /// Text of the content part.
    pub text: String,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ItemText {} always { text });

impl ItemText {
    /// Creates a content part with the given text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            extra: UnknownFields::default(),
        }
    }
}

/// An image for the model, given by URL or by file ID.
#[derive(Clone, Default, PartialEq)]
pub struct ImageInput {
    /// URL of the image: an `https:` URL, or a `data:` URL that contains the image.
    pub image_url: Option<String>,
    /// ID of an image file that was uploaded to the provider.
    pub file_id: Option<String>,
    /// Resolution at which the model sees the image: `low`, `high`, `auto` or `original`.
    pub detail: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ImageInput {
    image_url,
    file_id,
    detail
});

/// A file for the model, given by file ID, by URL, or by content.
#[derive(Clone, Default, PartialEq)]
pub struct FileInput {
    /// ID of a file that was uploaded to the provider.
    pub file_id: Option<String>,
    /// URL from which the provider downloads the file.
    pub file_url: Option<String>,
    /// Content of the file, as a `data:` URL or in base64.
    pub file_data: Option<String>,
    /// Name of the file, which the model sees.
    pub filename: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(FileInput {
    file_id,
    file_url,
    file_data,
    filename,
});

/// Audio for the model.
#[derive(Clone, Default, PartialEq)]
pub struct AudioInput {
    /// The audio data and its format.
    pub input_audio: InputAudio,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(AudioInput {} always { input_audio });

/// A content part with text that the model generated.
#[derive(Clone, Default, PartialEq)]
pub struct OutputText {
    /// The generated text.
    pub text: String,
    /// Sources that the text cites, as raw JSON objects such as `{"type": "url_citation", …}`.
    pub annotations: Vec<Json>,
    /// Log probabilities of the text's tokens, as raw JSON objects. `None` if the request did not ask for
    /// them.
    pub logprobs: Option<Vec<Json>>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(OutputText { logprobs } always { text, annotations });

/// A content part with the model's refusal to answer.
#[derive(Clone, Default, PartialEq)]
pub struct ItemRefusal {
    /// Text of the refusal, written by the model.
    pub refusal: String,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
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
