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
    /// Reasoning of the model, in the form that Mistral uses.
    Thinking(ThinkingPart),
    /// A part of another type, as raw JSON.
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

    /// Creates an image part. `url` is an `https:` or `data:` URL.
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

    /// Creates an audio part. `data` is the audio in base64, and `format` is `wav` or `mp3`.
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

    /// Creates a file part. `data` is the content of the file as a `data:` URL.
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

    /// Returns the text of a text part. `None` for a part of another type.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(part) => Some(&part.text),
            _ => None,
        }
    }
}

/// A part with text.
#[derive(Clone, Default, PartialEq)]
pub struct TextPart {
    /// The text.
    pub text: String,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(TextPart {} always { text });

/// A part with an image.
#[derive(Clone, Default, PartialEq)]
pub struct ImagePart {
    /// URL of the image, and how the model sees it.
    pub image_url: ImageUrl,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(ImagePart {} always { image_url });

/// URL of an image, and how the model sees it.
#[derive(Clone, Default, PartialEq)]
pub struct ImageUrl {
    /// URL of the image, either `https:` or `data:`.
    pub url: String,
    /// Resolution at which the model sees the image: `low`, `high` or `auto`.
    pub detail: Option<String>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(ImageUrl { detail } always { url });

/// A part with audio input.
#[derive(Clone, Default, PartialEq)]
pub struct AudioPart {
    /// The audio data and its format.
    pub input_audio: InputAudio,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(AudioPart {} always { input_audio });

/// Audio data and its format.
#[derive(Clone, Default, PartialEq)]
pub struct InputAudio {
    /// The audio data in base64.
    pub data: String,
    /// Format of the audio data: `wav` or `mp3`.
    pub format: String,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(InputAudio {} always { data, format });

/// A part with a file.
#[derive(Clone, Default, PartialEq)]
pub struct FilePart {
    /// The ID or the content of the file.
    pub file: FileSource,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(FilePart {} always { file });

/// The ID of an uploaded file, or the content of a file.
#[derive(Clone, Default, PartialEq)]
pub struct FileSource {
    /// ID of a file that was uploaded to the provider.
    pub file_id: Option<String>,
    /// Content of the file, as a `data:` URL or in base64.
    pub file_data: Option<String>,
    /// Name of the file.
    pub filename: Option<String>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(FileSource {
    file_id,
    file_data,
    filename
});

/// A part with a refusal of the model.
#[derive(Clone, Default, PartialEq)]
pub struct RefusalPart {
    /// Text of the refusal.
    pub refusal: String,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(RefusalPart {} always { refusal });

/// A part with reasoning of the model, in the form that Mistral uses.
#[derive(Clone, Default, PartialEq)]
pub struct ThinkingPart {
    /// Pieces of the reasoning, usually text.
    pub thinking: Vec<Thought>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(ThinkingPart {} always { thinking });

/// A piece of reasoning. Not a [`Part`], because a part could contain further reasoning.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Thought {
    /// A piece of text.
    Text(TextPart),
    /// A piece of another type, as raw JSON.
    Other(Json),
}

tagged_enum!(Thought { Text => "text" });

impl Thought {
    /// Returns the text of a text piece. `None` for a piece of another type.
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
