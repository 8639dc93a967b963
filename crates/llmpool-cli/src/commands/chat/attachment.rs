//! Files attached to a prompt: text, images and PDF documents. The format is detected from the content.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use llmpool::chat::{Message, Part};

use crate::blocking::run_blocking;
use crate::problem::Problem;
use crate::{exit, format};

/// Maximum size of an attached file, in bytes. No provider accepts a larger file.
const MAX_FILE_BYTES: u64 = 20 << 20;

/// Maximum length that `fence` counts for a run of backticks. A fence therefore has at most 65 backticks.
const MAX_BACKTICKS: usize = 64;

/// The name and content of an attached file. The `url` of an image or document is a data URL with the
/// content.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Attachment {
    Text { name: String, text: String },
    Image { name: String, url: String },
    Document { name: String, url: String },
}

/// Loads all files. If loading fails, prints the first error and returns the exit code.
pub(super) async fn load_all(paths: Vec<PathBuf>) -> Result<Vec<Attachment>, ExitCode> {
    let load = move || paths.iter().map(|path| Attachment::load(path)).collect();
    let loaded: Result<Vec<_>, Problem> = run_blocking(load).await;
    loaded.map_err(|problem| problem.exit(exit::USAGE))
}

impl Attachment {
    /// Loads the file at `path`. Blocks the thread while reading.
    pub(super) fn load(path: &Path) -> Result<Self, Problem> {
        let shown = path.display();
        let unreadable = |error: std::io::Error| {
            Problem::new(format!("cannot read {shown}: {error}"))
                .with_hint("pass the path of a file that exists and is readable")
        };
        let file = File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(
                Problem::new(format!("{shown} is larger than {} MiB", MAX_FILE_BYTES >> 20))
                    .with_hint("attach part of the file or a smaller image; providers reject larger files"),
            );
        }
        let name = path.file_name().unwrap_or(path.as_os_str());
        Self::from_bytes(name.to_string_lossy().into_owned(), bytes).ok_or_else(|| {
            Problem::new(format!("{shown} has an unsupported format"))
                .with_hint("convert the file to UTF-8 text, an image (PNG, JPEG, GIF or WebP) or a PDF")
        })
    }

    /// Detects the format from the first bytes. Returns `None` if the content is neither a supported image,
    /// nor a PDF, nor UTF-8 text.
    fn from_bytes(name: String, bytes: Vec<u8>) -> Option<Self> {
        let media_type = match &bytes[..] {
            [0x89, b'P', b'N', b'G', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [b'G', b'I', b'F', b'8', ..] => "image/gif",
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
            [b'%', b'P', b'D', b'F', b'-', ..] => "application/pdf",
            _ => {
                let text = String::from_utf8(bytes).ok()?;
                let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
                return (!text.contains('\0')).then_some(Self::Text { name, text });
            }
        };
        let url = format!("data:{media_type};base64,{}", STANDARD.encode(bytes));
        Some(match media_type {
            "application/pdf" => Self::Document { name, url },
            _ => Self::Image { name, url },
        })
    }

    /// Returns the file name with the number of lines or the format, as in `notes.txt (3 lines)` or
    /// `screen.png (image)`.
    pub(super) fn description(&self) -> String {
        match self {
            Self::Text { name, text } => format!("{name} ({})", format::count(text.lines().count(), "line")),
            Self::Image { name, .. } => format!("{name} (image)"),
            Self::Document { name, .. } => format!("{name} (PDF)"),
        }
    }
}

/// Returns a user message with the prompt and the attachments. Text files are added to the text of the
/// prompt, so that a message without images and documents is plain text, which every provider accepts.
pub(super) fn user_message(prompt: &str, attachments: &[Attachment]) -> Message {
    let mut text = prompt.to_owned();
    let mut parts = Vec::new();
    for attachment in attachments {
        match attachment {
            Attachment::Text { name, text: content } => {
                let fence = fence(content);
                let separator = if text.is_empty() { "" } else { "\n\n" };
                let end = if content.ends_with('\n') { "" } else { "\n" };
                text += &format!("{separator}{name}:\n{fence}\n{content}{end}{fence}");
            }
            Attachment::Image { url, .. } => parts.push(Part::image(url)),
            Attachment::Document { name, url } => parts.push(Part::file(name, url)),
        }
    }
    if parts.is_empty() {
        return Message::user(text);
    }
    if !text.is_empty() {
        parts.insert(0, Part::text(text));
    }
    Message::user(parts)
}

/// Returns a fence of at least three backticks for a Markdown code block. The fence is longer than each run
/// of up to 64 backticks in the text.
fn fence(text: &str) -> String {
    let runs = text.split(|c| c != '`').map(str::len);
    let longest = runs.max().unwrap_or(0).min(MAX_BACKTICKS);
    "`".repeat((longest + 1).max(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_is_recognised_by_content() {
        for (bytes, expected) in [
            (&b"one\ntwo\n"[..], Some("f (2 lines)")),
            (b"", Some("f (0 lines)")),
            (b"\x89PNG\r\n\x1a\n", Some("f (image)")),
            (b"\xff\xd8\xff\xe0", Some("f (image)")),
            (b"GIF89a", Some("f (image)")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("f (image)")),
            (b"%PDF-1.7", Some("f (PDF)")),
            (b"a\0b", None),
            (b"\xff\xfe\x00", None),
        ] {
            let attachment = Attachment::from_bytes("f".to_owned(), bytes.to_vec());
            let description = attachment.map(|attachment| attachment.description());
            assert_eq!(description.as_deref(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn text_file_joins_the_prompt_and_image_is_a_part() {
        let text = Attachment::from_bytes("a.txt".to_owned(), b"\xef\xbb\xbfone ``` two".to_vec()).unwrap();
        let message = user_message("What is this?", std::slice::from_ref(&text));
        assert_eq!(message.text(), "What is this?\n\na.txt:\n````\none ``` two\n````");
        let image = Attachment::from_bytes("b.png".to_owned(), b"\x89PNG".to_vec()).unwrap();
        let message = serde_json::to_value(user_message("?", &[image, text])).unwrap();
        assert_eq!(message["content"][0]["type"], "text");
        assert_eq!(
            message["content"][1]["image_url"]["url"],
            "data:image/png;base64,iVBORw=="
        );
        assert_eq!(
            message["content"][0]["text"],
            "?\n\na.txt:\n````\none ``` two\n````"
        );
    }
}
