//! Parts of a message: text, images, audio, files.

use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, tagged_enum, wire_object};

/// One part of a message's content.
#[derive(Clone, PartialEq)]
pub enum Part {
    /// A text.
    Text(TextPart),
    /// An image.
    Image(ImagePart),
    /// Sound.
    Audio(AudioPart),
    /// A document.
    File(FilePart),
    /// What the model said in refusing.
    Refusal(RefusalPart),
    /// Reasoning, as Mistral sends it between texts.
    Thinking(ThinkingPart),
    /// Any other, as it was given.
    Other(super::Json),
}

tagged_enum!(Part {
    Text(TextPart) => "text",
    Image(ImagePart) => "image_url",
    Audio(AudioPart) => "input_audio",
    File(FilePart) => "file",
    Refusal(RefusalPart) => "refusal",
    Thinking(ThinkingPart) => "thinking",
});

impl Part {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(TextPart {
            text: text.into(),
            ..TextPart::default()
        })
    }

    /// An image by its URL, which may be a `data:` URL.
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

    /// Sound in base64; `format` is `wav` or `mp3`.
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

    /// A document: its name, and its content as a `data:` URL.
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

    /// The text of a part that is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(part) => Some(&part.text),
            _ => None,
        }
    }
}

/// A text.
#[derive(Clone, Default, PartialEq)]
pub struct TextPart {
    /// It.
    pub text: String,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(TextPart {} always { text => "text" });

/// An image.
#[derive(Clone, Default, PartialEq)]
pub struct ImagePart {
    /// Where it is.
    pub image_url: ImageUrl,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ImagePart {} always { image_url => "image_url" });

/// Where an image is.
#[derive(Clone, Default, PartialEq)]
pub struct ImageUrl {
    /// An `https:` or `data:` URL.
    pub url: String,
    /// `low`, `high`, `auto`.
    pub detail: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ImageUrl { detail => "detail" } always { url => "url" });

/// Sound.
#[derive(Clone, Default, PartialEq)]
pub struct AudioPart {
    /// It.
    pub input_audio: InputAudio,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(AudioPart {} always { input_audio => "input_audio" });

/// Sound and its format.
#[derive(Clone, Default, PartialEq)]
pub struct InputAudio {
    /// Base64.
    pub data: String,
    /// `wav` or `mp3`.
    pub format: String,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(InputAudio {} always { data => "data", format => "format" });

/// A document.
#[derive(Clone, Default, PartialEq)]
pub struct FilePart {
    /// Where it is, or itself.
    pub file: FileSource,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(FilePart {} always { file => "file" });

/// A document that the provider has, or its content.
#[derive(Clone, Default, PartialEq)]
pub struct FileSource {
    /// Of a document that was sent before.
    pub file_id: Option<String>,
    /// The content as a `data:` URL or in base64.
    pub file_data: Option<String>,
    /// Its name.
    pub filename: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(FileSource { file_id => "file_id", file_data => "file_data", filename => "filename" });

/// What the model said in refusing.
#[derive(Clone, Default, PartialEq)]
pub struct RefusalPart {
    /// It.
    pub refusal: String,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(RefusalPart {} always { refusal => "refusal" });

/// Reasoning between texts.
#[derive(Clone, Default, PartialEq)]
pub struct ThinkingPart {
    /// Texts, as a rule.
    pub thinking: Vec<Thought>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ThinkingPart {} always { thinking => "thinking" });

/// A piece of reasoning. Not any part: then one could be within the other without end.
#[derive(Clone, PartialEq)]
pub enum Thought {
    /// A text.
    Text(TextPart),
    /// Any other, as it was given.
    Other(super::Json),
}

tagged_enum!(Thought { Text(TextPart) => "text" });

impl Thought {
    /// Its text, if it is one.
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
