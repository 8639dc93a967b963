//! The framing of an answer: one JSON document, or a stream of events.
//!
//! Some servers answer with an event stream where a document was asked for, or the other way round, and label
//! both wrongly. Therefore the first bytes of an answer decide how it is read ([`sniff`]), and the functions of
//! this module convert one framing into the other:
//!
//! | an answer consists of | asked for | conversion |
//! |---|---|---|
//! | one document | events | [`document_to_events`] |
//! | events | one document | [`EventCollector`] |
//! | events that contain complete answers | events | [`AnswerReplay`] |
//! | several documents, marks beside a document | both | [`documents`] separates them |
//!
//! Conversions yield documents and events of the same API format, so all readers behind them stay the same.

mod collector;
mod completeness;
mod document;
mod page;
mod piece;
mod replay;
#[cfg(test)]
mod tests;
mod unusable;

pub use collector::EventCollector;
pub use completeness::{Completeness, completeness};
pub use document::documents;
pub use page::page_title;
pub use replay::{AnswerReplay, document_to_events};
pub use unusable::{HTML_PAGE, unusable};

use memchr::memmem;

/// The framing of an answer, as its first bytes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A JSON object or list.
    Document,
    /// Server-sent events.
    Events,
    /// An HTML page or an XML document, usually of a proxy or a web server.
    Page,
    /// Anything else.
    Text,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The end marker of a chat completion stream.
const DONE: &[u8] = b"[DONE]";

/// Starts of lines of an event stream. `error` is a field that some servers send in place of an event.
const EVENT_STREAM_STARTS: [&[u8]; 7] = [b":", b"data:", b"event:", b"id:", b"retry:", b"error:", DONE];

/// Returns the framing of an answer by its first bytes. Ignores white space and byte order marks.
///
/// Returns `None` if more bytes are needed: at the end of an answer, `None` means an empty answer or plain
/// text of a few bytes. [`Framing::Text`] is certain only once no line begins with `data:`, see [`has_data_line`].
pub fn sniff(bytes: &[u8]) -> Option<Framing> {
    let content = without_prefix(bytes);
    let first = *content.first()?;
    let (mut is_event_stream, mut may_be_event_stream) = (false, false);
    for start in EVENT_STREAM_STARTS {
        is_event_stream |= content.starts_with(start);
        may_be_event_stream |= start.starts_with(content);
    }
    match first {
        _ if is_event_stream => Some(Framing::Events),
        _ if may_be_event_stream || BYTE_ORDER_MARK.starts_with(content) => None,
        b'{' | b'[' => Some(Framing::Document),
        b'<' => Some(Framing::Page),
        // An event stream may begin with any field.
        _ if has_data_line(content) => Some(Framing::Events),
        _ => Some(Framing::Text),
    }
}

/// Returns whether a line after the first begins with `data:`, as only those of an event stream do.
pub fn has_data_line(bytes: &[u8]) -> bool {
    memmem::find_iter(bytes, b"data:").any(|at| {
        let before = at.checked_sub(1).map(|at| bytes[at]);
        matches!(before, Some(b'\n' | b'\r'))
    })
}

/// Returns whether an answer looks like one JSON object on one line, which is how nearly all answers look that are
/// not streamed. Decoding shows whether it is one: [`documents`] would cost more than it finds.
pub fn is_ordinary_document(answer: &[u8]) -> bool {
    let answer = answer.trim_ascii();
    // Several documents have a line each.
    answer.starts_with(b"{") && answer.ends_with(b"}") && memchr::memchr2(b'\n', b'\r', answer).is_none()
}

/// Returns the bytes after white space and byte order marks.
pub fn without_prefix(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes.trim_ascii_start();
    while let Some(unmarked) = rest.strip_prefix(BYTE_ORDER_MARK) {
        rest = unmarked.trim_ascii_start();
    }
    rest
}
