//! Files that go with a question: texts, images and PDF documents, told apart by what is in them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use llmpool::chat::{Message, Part};

use crate::commands::counted;

/// The most that is read of a file, in bytes: no provider takes more.
const LARGEST: u64 = 20 << 20;

/// The longest run of backticks that a fence may have to be longer than.
const MOST_BACKTICKS: usize = 64;

/// A file, ready to go.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Attachment {
    Text { name: String, text: String },
    Image { name: String, url: String },
    Document { name: String, url: String },
}

/// Why a file cannot go, and what helps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unusable {
    pub(super) problem: String,
    pub(super) hint: &'static str,
}

impl Attachment {
    /// Reads a file. Waits for the disk: not for the thread that drives connections.
    pub(super) fn read(path: &Path) -> Result<Self, Unusable> {
        let shown = path.display();
        let unreadable = |error: std::io::Error| Unusable {
            problem: format!("{shown} cannot be read: {error}"),
            hint: "give the path of an existing file",
        };
        let file = File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > LARGEST {
            return Err(Unusable {
                problem: format!("{shown} is longer than {} MiB", LARGEST >> 20),
                hint: "send a part of it, or a smaller image; no provider takes more",
            });
        }
        let name = path.file_name().unwrap_or(path.as_os_str());
        Self::of(name.to_string_lossy().into_owned(), bytes).ok_or_else(|| Unusable {
            problem: format!("{shown} is no text (UTF-8), no image (PNG, JPEG, GIF, WebP) and no PDF"),
            hint: "convert it to one of these",
        })
    }

    fn of(name: String, bytes: Vec<u8>) -> Option<Self> {
        let kind = match &bytes[..] {
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
        let url = format!("data:{kind};base64,{}", STANDARD.encode(bytes));
        Some(match kind {
            "application/pdf" => Self::Document { name, url },
            _ => Self::Image { name, url },
        })
    }

    /// What it is, in words.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Text { name, text } => format!("{name} ({})", counted(text.lines().count(), "line")),
            Self::Image { name, .. } => format!("{name} (an image)"),
            Self::Document { name, .. } => format!("{name} (a PDF)"),
        }
    }
}

/// A question with its files: one text where that is possible, which every provider takes, else parts.
pub(super) fn message(question: &str, attachments: &[Attachment]) -> Message {
    let mut text = question.to_owned();
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

/// Backticks, more than the text has in a row.
fn fence(text: &str) -> String {
    let runs = text.split(|sign| sign != '`').map(str::len);
    let longest = runs.max().unwrap_or(0).min(MOST_BACKTICKS);
    "`".repeat((longest + 1).max(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> Option<String> {
        Attachment::of("f".to_owned(), bytes.to_vec()).map(|attachment| attachment.told())
    }

    #[test]
    fn what_it_is_is_seen_from_its_bytes() {
        for (bytes, is) in [
            (&b"one\ntwo\n"[..], Some("f (2 lines)")),
            (b"", Some("f (0 lines)")),
            (b"\x89PNG\r\n\x1a\n", Some("f (an image)")),
            (b"\xff\xd8\xff\xe0", Some("f (an image)")),
            (b"GIF89a", Some("f (an image)")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("f (an image)")),
            (b"%PDF-1.7", Some("f (a PDF)")),
            (b"a\0b", None),
            (b"\xff\xfe\x00", None),
        ] {
            assert_eq!(told(bytes).as_deref(), is, "{bytes:?}");
        }
    }

    #[test]
    fn texts_go_into_the_question_and_images_beside_it() {
        let text = Attachment::of("a.txt".to_owned(), b"\xef\xbb\xbfone ``` two".to_vec()).unwrap();
        let asked = message("What is this?", std::slice::from_ref(&text));
        assert_eq!(asked.text(), "What is this?\n\na.txt:\n````\none ``` two\n````");
        let image = Attachment::of("b.png".to_owned(), b"\x89PNG".to_vec()).unwrap();
        let asked = serde_json::to_value(message("?", &[image, text])).unwrap();
        assert_eq!(asked["content"][0]["type"], "text");
        assert_eq!(
            asked["content"][1]["image_url"]["url"],
            "data:image/png;base64,iVBORw=="
        );
        assert_eq!(
            asked["content"][0]["text"],
            "?\n\na.txt:\n````\none ``` two\n````"
        );
    }
}
