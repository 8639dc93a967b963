//! Bytes to server-sent events, as the WHATWG event-stream rules read them.
//!
//! Lines end in LF, CRLF or CR; an event ends at an empty line; a half event at the end of the stream is no event. Events
//! are framed on bytes, so a read may end anywhere, also inside a code point or between CR and LF. An event that lies
//! whole within one read is a slice of it, not a copy.
//!
//! Always true: any split of the same bytes gives the same events; work is linear in the bytes; no more than the limit
//! (plus one read) is ever held back.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// One event with data. Comments, and events without data, are no events.
#[derive(Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The `data` lines, joined by LF.
    pub data: Bytes,
    /// The `event` line, if there was one.
    pub name: Option<Bytes>,
}

/// An event grew beyond the limit. The stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The limit, in bytes.
    pub limit: usize,
}

/// Turns pieces of a byte stream into events.
#[derive(Debug)]
pub struct SseDecoder {
    limit: usize,
    /// The piece being read; what was taken from it is gone.
    input: Bytes,
    /// How much of `input` has been searched without finding the end of an event.
    searched: usize,
    /// The beginning of an event whose end has not come.
    held: BytesMut,
    line: Line,
    at_start: bool,
}

/// Where in a line the search stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// At the start of a line.
    Empty,
    /// At the start of a line, behind a CR: an LF now would still belong to the line before.
    AfterCr,
    /// Inside a line.
    Begun,
}

const BOM: &[u8] = b"\xef\xbb\xbf";

impl SseDecoder {
    /// A decoder that refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            input: Bytes::new(),
            searched: 0,
            held: BytesMut::new(),
            line: Line::Empty,
            at_start: true,
        }
    }

    /// Takes the next piece of the stream. Take all events with [`next_event`](Self::next_event) before the next piece:
    /// what is left over is kept, at the price of a copy.
    pub fn push(&mut self, piece: Bytes) {
        if self.input.is_empty() {
            self.input = piece;
            self.searched = 0;
            return;
        }
        let mut joined = BytesMut::with_capacity(self.input.len() + piece.len());
        joined.extend_from_slice(&self.input);
        joined.extend_from_slice(&piece);
        self.input = joined.freeze();
    }

    /// The next whole event, `None` when more bytes are needed.
    pub fn next_event(&mut self) -> Result<Option<SseEvent>, TooLong> {
        while let Some(end) = self.find_end() {
            let block = self.cut(end);
            if block.len() > self.limit {
                return Err(TooLong { limit: self.limit });
            }
            if let Some(event) = self.read(&block) {
                return Ok(Some(event));
            }
        }
        self.hold_input();
        if self.held.len() > self.limit {
            return Err(TooLong { limit: self.limit });
        }
        Ok(None)
    }

    /// Searches for the end of the current event: the place in `input` behind an empty line.
    fn find_end(&mut self) -> Option<usize> {
        loop {
            let rest = &self.input[self.searched..];
            let first = *rest.first()?;
            match (self.line, first) {
                (Line::AfterCr, b'\n') => {
                    self.searched += 1;
                    self.line = Line::Empty;
                }
                (Line::Empty | Line::AfterCr, b'\n' | b'\r') => {
                    self.searched += 1;
                    self.line = line_behind(first);
                    return Some(self.searched);
                }
                _ => match memchr2(b'\n', b'\r', rest) {
                    Some(at) => {
                        self.line = line_behind(rest[at]);
                        self.searched += at + 1;
                    }
                    None => {
                        self.line = Line::Begun;
                        self.searched = self.input.len();
                        return None;
                    }
                },
            }
        }
    }

    /// Takes everything up to `end` out of `input`, behind what was held.
    fn cut(&mut self, end: usize) -> Bytes {
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

    fn read(&mut self, block: &Bytes) -> Option<SseEvent> {
        let mut from = 0;
        if self.at_start {
            self.at_start = false;
            if block.starts_with(BOM) {
                from = BOM.len();
            }
        }
        read_block(block, from)
    }
}

fn line_behind(end: u8) -> Line {
    if end == b'\r' { Line::AfterCr } else { Line::Empty }
}

/// Reads the lines of one block, which ends with an empty line.
fn read_block(block: &Bytes, mut from: usize) -> Option<SseEvent> {
    let mut data: Option<Bytes> = None;
    let mut joined: Option<BytesMut> = None;
    let mut name = None;
    while let Some(length) = memchr2(b'\n', b'\r', &block[from..]) {
        let (field, value) = field_of(block, from, from + length);
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

/// Splits a line at its first colon; one space behind the colon belongs to neither side.
fn field_of(block: &Bytes, from: usize, to: usize) -> (&[u8], Bytes) {
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
    /// Shows lengths only: the data is somebody's text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("data_bytes", &self.data.len())
            .field("named", &self.name.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Plain = (Option<String>, String);

    fn decode(pieces: &[&[u8]]) -> Vec<Plain> {
        let mut decoder = SseDecoder::new(1 << 20);
        let mut events = Vec::new();
        for piece in pieces {
            decoder.push(Bytes::copy_from_slice(piece));
            while let Some(event) = decoder.next_event().unwrap() {
                let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                events.push((event.name.as_ref().map(text), text(&event.data)));
            }
        }
        events
    }

    fn data(texts: &[&str]) -> Vec<Plain> {
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
    fn the_vectors_of_the_standard() {
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
    fn every_single_split_of_the_corpus_gives_the_same_events() {
        for text in CORPUS {
            let bytes = text.as_bytes();
            let whole = decode(&[bytes]);
            for at in 0..=bytes.len() {
                assert_eq!(
                    decode(&[&bytes[..at], &bytes[at..]]),
                    whole,
                    "{text:?} cut at {at}"
                );
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(decode(&single), whole, "{text:?} byte by byte");
        }
    }

    #[test]
    fn what_is_left_over_is_kept_with_its_borders() {
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
    fn an_event_within_one_read_is_a_slice_of_it() {
        let read = Bytes::from_static(b"data: text\n\n");
        let mut decoder = SseDecoder::new(100);
        decoder.push(read.clone());
        let event = decoder.next_event().unwrap().unwrap();
        assert_eq!(event.data.as_ptr(), read[6..].as_ptr());
    }

    // L48
    #[test]
    fn a_partial_line_is_bounded() {
        let mut decoder = SseDecoder::new(64);
        for _ in 0..6 {
            decoder.push(Bytes::from_static(b"data: 56789"));
            if let Err(error) = decoder.next_event() {
                assert_eq!(error, TooLong { limit: 64 });
                return;
            }
        }
        panic!("66 bytes were held against a limit of 64");
    }

    #[test]
    fn a_whole_event_beyond_the_limit_is_refused_too() {
        let mut decoder = SseDecoder::new(8);
        decoder.push(Bytes::from_static(b"data: 0123456789\n\n"));
        assert_eq!(decoder.next_event(), Err(TooLong { limit: 8 }));
    }

    /// The standard read naively, over all bytes at once.
    fn reference(bytes: &[u8]) -> Vec<Plain> {
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
        fn any_split_reads_as_the_standard_says(text in stream_text(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
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
