//! Content parts of a message, such as text, images, audio and files.

use super::json::Json;
use super::text_part::TextPart;
use super::thinking::ThinkingPart;
use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, tagged_enum, wire_object};
use crate::lenient_json;
use crate::raw_object::RawObject;

/// One part of a message's content, such as text or an image.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// A part of type `text`, `output_text` or `input_text`: plain text. Also text without a type.
    Text(TextPart),
    /// A part of type `image_url`: an image.
    Image(ImagePart),
    /// A part of type `input_audio`: audio input.
    Audio(AudioPart),
    /// A part of type `file`: a file.
    File(FilePart),
    /// A part of type `refusal`: text with which the model refuses to answer.
    Refusal(RefusalPart),
    /// A part of type `thinking`: reasoning of the model, in Mistral's format.
    Thinking(ThinkingPart),
    /// A part of any other type, or a part that could not be decoded, as raw JSON.
    Other(Json),
}

tagged_enum!(Part {
    Text => "text" | "output_text" | "input_text",
    Image => "image_url",
    Audio => "input_audio",
    File => "file",
    Refusal => "refusal",
    Thinking => "thinking",
} otherwise text_part);

/// Reads text that is a string in place of a part, has no type, or is the `value` of an object.
fn text_part(json: &Json) -> Option<Part> {
    if json.get().starts_with('"') {
        return lenient_json::decode_part::<String>(json.get()).map(Part::text);
    }
    let mut object = RawObject::parse(json.get())?;
    let kind: Option<String> = object
        .get("type")
        .and_then(|kind| serde_json::from_str(kind).ok());
    let is_text = matches!(kind.as_deref(), Some("text" | "output_text" | "input_text"));
    if !is_text && object.get("type").is_some() {
        return None;
    }
    object.edit("text", |text| {
        let nested = RawObject::parse(text);
        let value = nested.as_ref().and_then(|text| text.get("value"));
        Some(value.unwrap_or(text).to_owned())
    });
    let mut part: TextPart = lenient_json::decode_part(&object.to_json())?;
    if !part.has("text") {
        return None;
    }
    if object.get("type").is_none() {
        part.extra.set_untyped();
    }
    Some(Part::Text(part))
}

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

    /// Creates a file part. `name` is the file name, and `data` is the content of the file as a `data:` URL.
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

    /// Returns the texts of the reasoning in the part.
    pub(crate) fn thoughts(&self) -> impl Iterator<Item = &str> {
        let thinking = match self {
            Self::Thinking(part) => Some(part),
            _ => None,
        };
        thinking.into_iter().flat_map(ThinkingPart::texts)
    }

    /// Returns the text if the part is a text part. Otherwise returns `None`.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(part) => Some(&part.text),
            _ => None,
        }
    }
}

/// A content part that contains an image.
#[derive(Clone, Default, PartialEq)]
pub struct ImagePart {
    /// URL of the image and the resolution at which the model sees the image.
    pub image_url: ImageUrl,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ImagePart {} always { image_url });

/// URL of an image and the resolution at which the model sees the image.
#[derive(Clone, Default, PartialEq)]
pub struct ImageUrl {
    /// URL of the image, either `https:` or `data:`.
    pub url: String,
    /// Resolution at which the model sees the image: `low`, `high` or `auto`.
    pub detail: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ImageUrl { detail } always { url });

/// A content part that contains audio input.
#[derive(Clone, Default, PartialEq)]
pub struct AudioPart {
    /// The audio data and its format.
    pub input_audio: InputAudio,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
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
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(InputAudio {} always { data, format });

/// A content part that contains a file.
#[derive(Clone, Default, PartialEq)]
pub struct FilePart {
    /// The ID or the content of the file.
    pub file: FileSource,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
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
    /// Name of the file, for example `report.pdf`.
    pub filename: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(FileSource {
    file_id,
    file_data,
    filename
});

/// A content part in which the model refuses to answer.
#[derive(Clone, Default, PartialEq)]
pub struct RefusalPart {
    /// Text with which the model refuses to answer.
    pub refusal: String,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(RefusalPart {} always { refusal });

opaque_debug!(
    ImagePart,
    ImageUrl,
    AudioPart,
    InputAudio,
    FilePart,
    FileSource,
    RefusalPart
);
