//! Images, audio and files as arguments of functions and results of tools.
//!
//! An attachment can stand anywhere in a value: as an argument, in a list, in a field of a struct. Where the value is
//! written as JSON, the attachment writes a text such as `[image 1]`, and the attachment itself becomes a part of the
//! message. Serde has no side channel for that, so the parts are collected in a thread-local list while one value is
//! written.

use std::cell::RefCell;
use std::fmt;
use std::fs::File as OsFile;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use llmpool_core::chat::Part;
use serde::{Serialize, Serializer};

/// The size of the largest file that is read, in bytes. No provider accepts a larger one.
const MAX_FILE_SIZE: u64 = 20 << 20;

thread_local! {
    /// The parts of the value that this thread writes at the moment. `None` while it writes none.
    static COLLECTED: RefCell<Option<Vec<Part>>> = const { RefCell::new(None) };
}

/// Runs `write`, which writes one value, and appends the attachments in the value to `parts`.
pub(crate) fn collect<T>(parts: &mut Vec<Part>, write: impl FnOnce() -> T) -> T {
    let outer = COLLECTED.replace(Some(std::mem::take(parts)));
    let restore = Restore(outer);
    let written = write();
    *parts = COLLECTED.take().unwrap_or_default();
    drop(restore);
    written
}

/// Puts the outer list back, also if `write` panics.
struct Restore(Option<Vec<Part>>);

impl Drop for Restore {
    fn drop(&mut self) {
        COLLECTED.set(self.0.take());
    }
}

/// Adds an attachment to the value that is being written, and writes a text that refers to it.
fn attach<S: Serializer>(serializer: S, kind: &str, part: &Part) -> Result<S::Ok, S::Error> {
    let number = COLLECTED.with_borrow_mut(|parts| {
        let parts = parts.as_mut()?;
        parts.push(part.clone());
        Some(parts.iter().filter(|other| is_same_kind(other, part)).count())
    });
    match number {
        Some(number) => serializer.serialize_str(&format!("[{kind} {number}]")),
        None => Err(serde::ser::Error::custom(
            "an image, audio or file can only be an argument of a function or a result of a tool",
        )),
    }
}

fn is_same_kind(one: &Part, other: &Part) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

macro_rules! attachment {
    ($(#[$docs:meta])* $name:ident, $kind:literal) => {
        $(#[$docs])*
        ///
        /// `Debug` shows no content.
        #[derive(Clone, PartialEq)]
        pub struct $name(Part);

        impl Serialize for $name {
            /// Fails outside of the arguments of a function and the results of a tool.
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                attach(serializer, $kind, &self.0)
            }
        }

        impl From<$name> for Part {
            fn from(attachment: $name) -> Self {
                attachment.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

attachment! {
    /// An image that a model sees, as an argument of a function or in one, or in the result of a tool.
    Image, "image"
}

attachment! {
    /// Audio that a model hears, as an argument of a function or in one.
    Audio, "audio"
}

attachment! {
    /// A file that a model reads, such as a PDF, as an argument of a function or in one.
    File, "file"
}

impl Image {
    /// Creates an image from an `https:` or `data:` URL. The provider loads the image.
    pub fn from_url(url: impl Into<String>) -> Self {
        Self(Part::image(url))
    }

    /// Creates an image from the bytes of a PNG, JPEG, GIF or WebP file.
    ///
    /// # Errors
    /// Fails if the bytes start like none of these formats.
    pub fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        let media_type = image_type(bytes).ok_or_else(|| {
            invalid(
                "the bytes are no PNG, JPEG, GIF or WebP image; convert the image to one of these formats",
            )
        })?;
        Ok(Self::from_url(data_url(media_type, bytes)))
    }

    /// Reads an image file: PNG, JPEG, GIF or WebP, of at most 20 MiB. Blocks while it reads.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is larger, or has another format.
    pub fn from_path(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(&read(path)?).map_err(|error| in_file(path, &error))
    }
}

impl Audio {
    /// Creates audio from the bytes of a WAV or MP3 file.
    ///
    /// # Errors
    /// Fails if the bytes start like none of these formats.
    pub fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        let format = audio_format(bytes).ok_or_else(|| {
            invalid("the bytes are no WAV or MP3 audio; convert the audio to one of these formats")
        })?;
        Ok(Self(Part::audio(STANDARD.encode(bytes), format)))
    }

    /// Reads an audio file: WAV or MP3, of at most 20 MiB. Blocks while it reads.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is larger, or has another format.
    pub fn from_path(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(&read(path)?).map_err(|error| in_file(path, &error))
    }
}

impl File {
    /// Creates a file from its name, its media type such as `application/pdf`, and its bytes.
    pub fn from_bytes(name: impl Into<String>, media_type: &str, bytes: &[u8]) -> Self {
        Self(Part::file(name, data_url(media_type, bytes)))
    }

    /// Reads a file of at most 20 MiB. The media type follows from the extension: `application/pdf`, `text/…`, or
    /// `application/octet-stream`. Blocks while it reads.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is larger.
    pub fn from_path(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self::from_bytes(name, file_type(path), &read(path)?))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = OsFile::open(path).map_err(|error| in_file(path, &error))?;
    let mut bytes = Vec::new();
    let mut bounded = file.take(MAX_FILE_SIZE + 1);
    bounded
        .read_to_end(&mut bytes)
        .map_err(|error| in_file(path, &error))?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        let error = invalid("the file is larger than 20 MiB; send a smaller one, or its URL");
        return Err(in_file(path, &error));
    }
    Ok(bytes)
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn in_file(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn data_url(media_type: &str, bytes: &[u8]) -> String {
    let mut url = format!("data:{media_type};base64,");
    STANDARD.encode_string(bytes, &mut url);
    url
}

fn image_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

fn audio_format(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some("wav"),
        [b'I', b'D', b'3', ..] | [0xff, 0xe2..=0xff, ..] => Some("mp3"),
        _ => None,
    }
}

fn file_type(path: &Path) -> &'static str {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    match extension.to_ascii_lowercase().as_str() {
        "pdf" => "application/pdf",
        "txt" | "log" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}
