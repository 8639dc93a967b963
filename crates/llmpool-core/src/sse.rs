//! A decoder for server-sent events, as specified by WHATWG.
//!
//! Lines end with LF, CRLF or CR, and an empty line ends an event. If the stream ends without this empty
//! line, the incomplete event is dropped. The decoder works on bytes, so a read may end anywhere, even inside
//! a UTF-8 character or between CR and LF. If an event arrives in a single read and has one `data` line, its
//! data is a slice of that read, not a copy.
//!
//! Invariant: the events do not depend on how the stream is split into reads.
//!
//! Invariant: decoding takes linear time. The decoder buffers at most the size limit of an event plus one
//! read.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

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
        let mut from = 0;
        if self.at_start {
            self.at_start = false;
            if block.starts_with(BOM) {
                from = BOM.len();
            }
        }
        parse_block(block, from)
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
fn parse_block(block: &Bytes, mut from: usize) -> Option<SseEvent> {
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
    let data = joined.map(BytesMut::freeze).or(data)?;
    Some(SseEvent {
        data,
        name: name.filter(|name| !name.is_empty()),
    })
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    type NameAndData = (Option<String>, String);

    fn decode(reads: &[&[u8]]) -> Vec<NameAndData> {
        let mut decoder = SseDecoder::new(1 << 20);
        let mut events = Vec::new();
        for read in reads {
            decoder.push(Bytes::copy_from_slice(read));
            while let Some(event) = decoder.next_event().unwrap() {
                let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                events.push((event.name.as_ref().map(text), text(&event.data)));
            }
        }
        events
    }

    fn data(texts: &[&str]) -> Vec<NameAndData> {
        texts.iter().map(|text| (None, (*text).to_owned())).collect()
    }

    const CORPUS: &[&str] = &[
        "data: {\"a\":1}\n\ndata: [DONE]\n\n",
        "data:one\r\ndata: two\r\n\r\ndata:[DONE]\r\n\r\n",
        "data: old mac\r\rdata: two\rdata: lines\r\r",
        ": OPENROUTER PROCESSING\n\n: ping\n\ndata: \u{4f60}\u{597d}\u{1f389}\u{e9}\n\n",
        "\u{feff}data: after a mark\n\nevent: error\ndata: {}\n\n",
        "event: named\nid: 7\nretry: 10\nunknown: x\ndata\ndata\n\n",
        "data: mixed\r\n\ndata: ends\n\r\ndata: here\r\r\n\n\n\ndata: half",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\u{2028}\"}}]}\n\n\n\n:\n\ndata:  two spaces\n\n",
    ];

    // L48, L49, L51
    #[test]
    fn vectors_of_the_specification_decode() {
        assert_eq!(decode(&[CORPUS[0].as_bytes()]), data(&["{\"a\":1}", "[DONE]"]));
        assert_eq!(decode(&[CORPUS[1].as_bytes()]), data(&["one\ntwo", "[DONE]"]));
        assert_eq!(decode(&[CORPUS[2].as_bytes()]), data(&["old mac", "two\nlines"]));
        assert_eq!(
            decode(&[CORPUS[3].as_bytes()]),
            data(&["\u{4f60}\u{597d}\u{1f389}\u{e9}"])
        );
        let named = vec![
            (None, "after a mark".to_owned()),
            (Some("error".to_owned()), "{}".to_owned()),
        ];
        assert_eq!(decode(&[CORPUS[4].as_bytes()]), named);
        assert_eq!(
            decode(&[CORPUS[5].as_bytes()]),
            vec![(Some("named".to_owned()), "\n".to_owned())]
        );
        assert_eq!(decode(&[CORPUS[6].as_bytes()]), data(&["mixed", "ends", "here"]));
        assert_eq!(decode(&[b"data:\n\ndata: \n\nevent: x\n\n"]), data(&["", ""]));
    }

    // L47
    #[test]
    fn every_split_of_the_corpus_gives_the_same_events() {
        for text in CORPUS {
            let bytes = text.as_bytes();
            let whole = decode(&[bytes]);
            for at in 0..=bytes.len() {
                assert_eq!(
                    decode(&[&bytes[..at], &bytes[at..]]),
                    whole,
                    "{text:?} split at {at}"
                );
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(decode(&single), whole, "{text:?} byte by byte");
        }
    }

    #[test]
    fn push_before_all_events_are_taken_keeps_the_rest() {
        let mut decoder = SseDecoder::new(1 << 20);
        let mut read = Vec::new();
        decoder.push(Bytes::from_static(b"data: a\n\ndata: b\n\nda"));
        read.extend(decoder.next_event().unwrap());
        decoder.push(Bytes::from_static(b"ta: c\n\n"));
        while let Some(event) = decoder.next_event().unwrap() {
            read.push(event);
        }
        let data: Vec<_> = read.iter().map(|event| &event.data[..]).collect();
        assert_eq!(data, [b"a", b"b", b"c"]);
    }

    #[test]
    fn event_within_one_read_is_a_slice_of_it() {
        let read = Bytes::from_static(b"data: text\n\n");
        let mut decoder = SseDecoder::new(100);
        decoder.push(read.clone());
        let event = decoder.next_event().unwrap().unwrap();
        assert_eq!(event.data.as_ptr(), read[6..].as_ptr());
    }

    // L48
    #[test]
    fn buffered_line_is_bounded() {
        let mut decoder = SseDecoder::new(64);
        for _ in 0..6 {
            decoder.push(Bytes::from_static(b"data: 56789"));
            if let Err(error) = decoder.next_event() {
                assert_eq!(error, EventTooLong { limit: 64 });
                return;
            }
        }
        panic!("66 bytes were buffered with a limit of 64");
    }

    #[test]
    fn event_above_the_limit_within_one_read_is_an_error() {
        let mut decoder = SseDecoder::new(8);
        decoder.push(Bytes::from_static(b"data: 0123456789\n\n"));
        assert_eq!(decoder.next_event(), Err(EventTooLong { limit: 8 }));
    }

    /// A reference implementation that decodes all bytes at once.
    fn reference(bytes: &[u8]) -> Vec<NameAndData> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let text = text
            .strip_prefix('\u{feff}')
            .unwrap_or(&text)
            .replace("\r\n", "\n")
            .replace('\r', "\n");
        let mut events = Vec::new();
        let (mut name, mut lines): (Option<String>, Vec<String>) = (None, Vec::new());
        for line in text
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
        {
            if line.is_empty() {
                let name = name.take().filter(|name| !name.is_empty());
                if !lines.is_empty() {
                    events.push((name, std::mem::take(&mut lines).join("\n")));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match field {
                "data" => lines.push(value),
                "event" => name = Some(value),
                _ => {}
            }
        }
        events
    }

    fn stream_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\n".to_owned()),
            Just("\r".to_owned()),
            Just("\r\n".to_owned()),
            Just("data: ".to_owned()),
            Just("data:".to_owned()),
            Just("data".to_owned()),
            Just("event: ".to_owned()),
            Just(": ".to_owned()),
            Just("[DONE]".to_owned()),
            Just("\u{4f60}\u{1f389}".to_owned()),
            "[a-z:{}\" ]{0,6}",
        ];
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        // L47, L48
        #[test]
        fn any_split_decodes_like_the_reference(text in stream_text(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            prop_assert_eq!(decode(&pieces), reference(bytes));
        }
    }
}
