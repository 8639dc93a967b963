//! Content parts of a message: text, images, audio, files.

use super::json::Json;
use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, tagged_enum, wire_object};

/// One content part of a message.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// Text.
    Text(TextPart),
    /// An image.
    Image(ImagePart),
    /// Audio.
    Audio(AudioPart),
    /// A file.
    File(FilePart),
    /// A refusal of the model.
    Refusal(RefusalPart),
    /// Reasoning, in the form that Mistral sends.
    Thinking(ThinkingPart),
    /// An object of another type, unchanged.
    Other(Json),
}

tagged_enum!(Part {
    Text => "text",
    Image => "image_url",
    Audio => "input_audio",
    File => "file",
    Refusal => "refusal",
    Thinking => "thinking",
});

impl Part {
    /// Creates a text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(TextPart {
            text: text.into(),
            ..TextPart::default()
        })
    }

    /// Creates an image part with an `https:` or `data:` URL.
    pub fn image(url: impl Into<String>) -> Self {
        let image_url = ImageUrl {
            url: url.into(),
            ..ImageUrl::default()
        };
        Self::Image(ImagePart {
            image_url,
            ..ImagePart::default()
        })
    }

    /// Creates an audio part. `data` is base64, `format` is `wav` or `mp3`.
    pub fn audio(data: impl Into<String>, format: impl Into<String>) -> Self {
        let input_audio = InputAudio {
            data: data.into(),
            format: format.into(),
            ..InputAudio::default()
        };
        Self::Audio(AudioPart {
            input_audio,
            ..AudioPart::default()
        })
    }

    /// Creates a file part. `data` is a `data:` URL.
    pub fn file(name: impl Into<String>, data: impl Into<String>) -> Self {
        let file = FileSource {
            filename: Some(name.into()),
            file_data: Some(data.into()),
            ..FileSource::default()
        };
        Self::File(FilePart {
            file,
            ..FilePart::default()
        })
    }

    /// Returns the text of a text part.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(part) => Some(&part.text),
            _ => None,
        }
    }
}

/// Text.
#[derive(Clone, Default, PartialEq)]
pub struct TextPart {
    /// The text.
    pub text: String,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(TextPart {} always { text });

/// An image.
#[derive(Clone, Default, PartialEq)]
pub struct ImagePart {
    /// URL of the image, and options.
    pub image_url: ImageUrl,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(ImagePart {} always { image_url });

/// URL of an image, and options.
#[derive(Clone, Default, PartialEq)]
pub struct ImageUrl {
    /// An `https:` or `data:` URL.
    pub url: String,
    /// Resolution at which the model sees the image: `low`, `high`, `auto`.
    pub detail: Option<String>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(ImageUrl { detail } always { url });

/// Audio.
#[derive(Clone, Default, PartialEq)]
pub struct AudioPart {
    /// The audio.
    pub input_audio: InputAudio,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(AudioPart {} always { input_audio });

/// Audio data and its format.
#[derive(Clone, Default, PartialEq)]
pub struct InputAudio {
    /// The audio in base64.
    pub data: String,
    /// `wav` or `mp3`.
    pub format: String,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(InputAudio {} always { data, format });

/// A file.
#[derive(Clone, Default, PartialEq)]
pub struct FilePart {
    /// ID or content of the file.
    pub file: FileSource,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(FilePart {} always { file });

/// ID of an uploaded file, or its content.
#[derive(Clone, Default, PartialEq)]
pub struct FileSource {
    /// ID of an uploaded file.
    pub file_id: Option<String>,
    /// Content as a `data:` URL or in base64.
    pub file_data: Option<String>,
    /// Name of the file.
    pub filename: Option<String>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(FileSource {
    file_id,
    file_data,
    filename
});

/// A refusal of the model.
#[derive(Clone, Default, PartialEq)]
pub struct RefusalPart {
    /// Text of the refusal.
    pub refusal: String,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(RefusalPart {} always { refusal });

/// Reasoning.
#[derive(Clone, Default, PartialEq)]
pub struct ThinkingPart {
    /// Pieces of reasoning, as a rule text.
    pub thinking: Vec<Thought>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(ThinkingPart {} always { thinking });

/// A piece of reasoning. Not a [`Part`], which could contain further reasoning.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Thought {
    /// Text.
    Text(TextPart),
    /// An object of another type, unchanged.
    Other(Json),
}

tagged_enum!(Thought { Text => "text" });

impl Thought {
    /// Returns the text of a text piece.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(part) => Some(&part.text),
            Self::Other(_) => None,
        }
    }
}

opaque_debug!(
    TextPart,
    ImagePart,
    ImageUrl,
    AudioPart,
    InputAudio,
    FilePart,
    FileSource,
    RefusalPart,
    ThinkingPart
);
