//! A decoder for server-sent events, as specified by WHATWG.
//!
//! Lines end with LF, CRLF or CR, and an empty line ends an event. If the stream ends without this empty
//! line, the incomplete event is dropped, unless [`SseDecoder::take_unfinished`] finds it complete otherwise.
//! Some servers break the format when they fail: a JSON object on lines of its own counts as data, and a field
//! `error` as the data of an event with this name. The decoder works on bytes, so a read may end anywhere, even inside
//! a UTF-8 character or between CR and LF. If an event arrives in a single read and has one `data` line, its
//! data is a slice of that read, not a copy.
//!
//! Invariant: the events do not depend on how the stream is split into reads.
//!
//! Invariant: decoding takes linear time. The decoder buffers at most the size limit of an event plus one
//! read.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;
use serde::de::IgnoredAny;

use crate::lenient_json;

/// A server-sent event that has data. The decoder skips comments and events without data.
#[derive(Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The values of the event's `data` lines, joined by LF.
    pub data: Bytes,
    /// The value of the event's last `event` line. `None` if the event has no `event` line, or if the value
    /// is empty.
    pub name: Option<Bytes>,
}

/// The error for an event that exceeds the decoder's size limit. Decoding cannot continue after this error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLong {
    /// The maximum size of an event in bytes, including field names and line ends.
    pub limit: usize,
}

/// A decoder for the server-sent events of one byte stream.
#[derive(Debug)]
pub struct SseDecoder {
    limit: usize,
    /// The bytes of the current read that have not been decoded yet.
    input: Bytes,
    /// The number of bytes at the start of `input` in which no end of the event was found.
    searched: usize,
    /// The bytes of an incomplete event that arrived in earlier reads.
    held: BytesMut,
    line: LineState,
    /// Whether only white space has been decoded so far, so that a byte order mark may follow.
    at_start: bool,
}

/// The position within a line at which the search for the end of an event continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineState {
    /// The search continues at the start of a line.
    Empty,
    /// The search continues after a CR. If an LF follows, the LF belongs to the same line end as the CR.
    AfterCr,
    /// The search continues inside a line.
    Started,
}

const BOM: &[u8] = b"\xef\xbb\xbf";
/// The name of an event that reports an error, and of the field that some servers send in place of the event.
const ERROR: &[u8] = b"error";

impl SseDecoder {
    /// Creates a decoder that returns an error for events of more than `limit` bytes, including field names
    /// and line ends.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            input: Bytes::new(),
            searched: 0,
            held: BytesMut::new(),
            line: LineState::Empty,
            at_start: true,
        }
    }

    /// Adds the next read of the stream.
    ///
    /// Before you add another read, call [`next_event`](Self::next_event) until it returns `None`. Otherwise
    /// the bytes that are not decoded yet are copied.
    pub fn push(&mut self, read: Bytes) {
        if self.input.is_empty() {
            self.input = read;
            self.searched = 0;
            return;
        }
        let mut joined = BytesMut::with_capacity(self.input.len() + read.len());
        joined.extend_from_slice(&self.input);
        joined.extend_from_slice(&read);
        self.input = joined.freeze();
    }

    /// Returns the next complete event, or `None` if the decoder needs more bytes.
    ///
    /// # Errors
    /// Returns an error if an event exceeds the size limit.
    pub fn next_event(&mut self) -> Result<Option<SseEvent>, EventTooLong> {
        while let Some(end) = self.find_end() {
            let block = self.take_block(end);
            if block.len() > self.limit {
                return Err(EventTooLong { limit: self.limit });
            }
            if let Some(event) = self.parse(&block) {
                return Ok(Some(event));
            }
        }
        self.hold_input();
        if self.held.len() > self.limit {
            return Err(EventTooLong { limit: self.limit });
        }
        Ok(None)
    }

    /// Returns the last event of a stream that has ended properly, if only the empty line after the event is
    /// missing. The event must be `[DONE]`, JSON or an error: other data may be cut off. Call this after
    /// [`next_event`](Self::next_event) has returned `None`.
    pub fn take_unfinished(&mut self) -> Option<SseEvent> {
        let mut block = std::mem::take(&mut self.held);
        block.extend_from_slice(&std::mem::take(&mut self.input));
        self.searched = 0;
        self.line = LineState::Empty;
        if block.is_empty() || block.len() > self.limit {
            return None;
        }
        block.extend_from_slice(b"\n");
        let event = self.parse(&block.freeze())?;
        let is_complete = event.data.trim_ascii() == b"[DONE]" || is_json(&event.data);
        (is_complete || event.name.as_deref() == Some(ERROR)).then_some(event)
    }

    /// Returns the position in `input` after the empty line that ends the current event. Returns `None` if
    /// the empty line has not arrived yet.
    fn find_end(&mut self) -> Option<usize> {
        loop {
            let rest = &self.input[self.searched..];
            let first = *rest.first()?;
            match (self.line, first) {
                (LineState::AfterCr, b'\n') => {
                    self.searched += 1;
                    self.line = LineState::Empty;
                }
                (LineState::Empty | LineState::AfterCr, b'\n' | b'\r') => {
                    self.searched += 1;
                    self.line = line_after(first);
                    return Some(self.searched);
                }
                _ => match memchr2(b'\n', b'\r', rest) {
                    Some(at) => {
                        self.line = line_after(rest[at]);
                        self.searched += at + 1;
                    }
                    None => {
                        self.line = LineState::Started;
                        self.searched = self.input.len();
                        return None;
                    }
                },
            }
        }
    }

    /// Removes the first `end` bytes of `input`. Returns the bytes in `held`, followed by the removed bytes.
    fn take_block(&mut self, end: usize) -> Bytes {
        let tail = self.input.split_to(end);
        self.searched = 0;
        if self.held.is_empty() {
            return tail;
        }
        self.held.extend_from_slice(&tail);
        self.held.split().freeze()
    }

    fn hold_input(&mut self) {
        self.held.extend_from_slice(&self.input);
        self.input = Bytes::new();
        self.searched = 0;
    }

    fn parse(&mut self, block: &Bytes) -> Option<SseEvent> {
        let mut rest = &block[..];
        if self.at_start {
            rest = rest.trim_ascii_start();
            while let Some(unmarked) = rest.strip_prefix(BOM) {
                rest = unmarked.trim_ascii_start();
            }
            if rest.is_empty() {
                return None;
            }
            self.at_start = false;
        }
        parse_block(block, block.len() - rest.len())
    }
}

fn line_after(end: u8) -> LineState {
    if end == b'\r' {
        LineState::AfterCr
    } else {
        LineState::Empty
    }
}

/// Parses the lines of one event from byte `from` to the empty line at the end of `block`. Returns `None` if
/// the event has no data.
fn parse_block(block: &Bytes, start: usize) -> Option<SseEvent> {
    let mut from = start;
    let mut data: Option<Bytes> = None;
    let mut joined: Option<BytesMut> = None;
    let mut name = None;
    while let Some(length) = memchr2(b'\n', b'\r', &block[from..]) {
        let (field, value) = split_field(block, from, from + length);
        match field {
            b"data" => match (&mut data, &mut joined) {
                (first @ None, _) => *first = Some(value),
                (Some(first), rest) => {
                    let rest = rest.get_or_insert_with(|| BytesMut::from(&first[..]));
                    rest.extend_from_slice(b"\n");
                    rest.extend_from_slice(&value);
                }
            },
            b"event" => name = Some(value),
            _ => {}
        }
        from += length + 1;
    }
    let name = name.filter(|name| !name.is_empty());
    match joined.map(BytesMut::freeze).or(data) {
        Some(data) => Some(SseEvent { data, name }),
        None => parse_without_data(block, start, name),
    }
}

/// Parses an event without `data` lines, whose name is `name`: its data is the JSON object on the remaining
/// lines, or the value of the line `error`. Returns `None` if the event has neither.
#[cold]
fn parse_without_data(block: &Bytes, mut from: usize, name: Option<Bytes>) -> Option<SseEvent> {
    while let Some(length) = memchr2(b'\n', b'\r', &block[from..]) {
        if block[from] == b'{' {
            let lines = block[from..].split(|byte| matches!(byte, b'\n' | b'\r'));
            let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
            let data = Bytes::from(lines.join(&b'\n'));
            return is_json(&data).then_some(SseEvent { data, name });
        }
        let (field, value) = split_field(block, from, from + length);
        if field == ERROR && !value.trim_ascii().is_empty() {
            let name = Some(Bytes::from_static(ERROR));
            return Some(SseEvent { data: value, name });
        }
        from += length + 1;
    }
    None
}

/// Returns whether `data` is one JSON value, which may contain text that JSON does not allow.
fn is_json(data: &[u8]) -> bool {
    lenient_json::decode_cleaned(data, |json| serde_json::from_slice::<IgnoredAny>(json)).is_ok()
}

/// Splits a line at its first colon into the field name and the value. The line is `block[from..to]`. Drops
/// one space after the colon.
fn split_field(block: &Bytes, from: usize, to: usize) -> (&[u8], Bytes) {
    let line = &block[from..to];
    let Some(colon) = memchr::memchr(b':', line) else {
        return (line, Bytes::new());
    };
    let value = from + colon + 1;
    let value = if block.get(value) == Some(&b' ') && value < to {
        value + 1
    } else {
        value
    };
    (&line[..colon], block.slice(value..to))
}

impl std::fmt::Debug for SseEvent {
    /// Shows only the length of the data and whether the event has a name, because the data contains user
    /// text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SseEvent")
            .field("data_bytes", &self.data.len())
            .field("named", &self.name.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests;
