//! The body of an answer: documents and events in a framing.

use serde_json::Value;

use crate::provider::{Framing, Oddity, Provider};
use crate::wire::{to_bytes, to_pretty_bytes};
use crate::{chat_wire, responses_wire};

/// A body, and the data of its events.
#[derive(Clone, Debug)]
pub struct AnswerBody {
    pub bytes: Vec<u8>,
    /// Empty unless the body is an event stream.
    pub events: Vec<Vec<u8>>,
}

const MARK: &[u8] = b"\xef\xbb\xbf";

impl Provider {
    pub fn body(&self) -> AnswerBody {
        match self.framing {
            Framing::Events => self.event_stream(self.deltas()),
            Framing::WholeAnswer => self.event_stream(vec![self.document()]),
            Framing::AnswersSoFar => self.event_stream(chat_wire::completions_so_far(self)),
            Framing::Lines => self.lines(),
            Framing::Document => self.document_with(to_bytes(&self.document()), ""),
            Framing::PrettyDocument => self.document_with(to_pretty_bytes(&self.document()), "\n"),
            Framing::DocumentWithMark => self.document_with(to_bytes(&self.document()), "\n[DONE]\n"),
            Framing::DocumentWithLastEvent => {
                self.document_with(to_bytes(&self.document()), "\n\ndata: [DONE]\n\n")
            }
        }
    }

    fn document(&self) -> Value {
        if self.is_chat() {
            chat_wire::completion(self)
        } else {
            responses_wire::response(self)
        }
    }

    fn deltas(&self) -> Vec<Value> {
        if self.is_chat() {
            chat_wire::chunks(self)
        } else {
            responses_wire::events(self)
        }
    }

    fn document_with(&self, document: Vec<u8>, end: &str) -> AnswerBody {
        let is_last_event = end.contains("data: [DONE]");
        let end = self.with_line_ends(end);
        let bytes = [self.start(), self.first_comment(), document.clone(), end].concat();
        let mut events = Vec::new();
        // After a comment, a document is an event without a field name.
        if self.has(Oddity::Comments) {
            events.push(document);
            events.extend(is_last_event.then(|| b"[DONE]".to_vec()));
        }
        AnswerBody { bytes, events }
    }

    fn lines(&self) -> AnswerBody {
        let mut bytes = self.start();
        for line in self.deltas() {
            bytes.extend(to_bytes(&line));
            bytes.extend(self.with_line_ends("\n"));
        }
        if !self.has(Oddity::NoDone) {
            bytes.extend(self.with_line_ends("[DONE]\n"));
        }
        AnswerBody {
            bytes,
            events: Vec::new(),
        }
    }

    fn event_stream(&self, values: Vec<Value>) -> AnswerBody {
        let mut events = Vec::new();
        let mut bytes = [self.start(), self.first_comment()].concat();
        for value in &values {
            let data = if self.has(Oddity::DataOnSeveralLines) {
                to_pretty_bytes(value)
            } else {
                to_bytes(value)
            };
            if self.has(Oddity::BlankData) {
                bytes.extend(self.with_line_ends("data:\n\n"));
                events.push(Vec::new());
            }
            let name = value["type"].as_str();
            let name = name.filter(|_| !self.is_chat() && !self.has(Oddity::NoEventNames));
            bytes.extend(self.event(name, &data));
            events.push(data);
            if self.has(Oddity::Comments) {
                bytes.extend(self.with_line_ends(": keep-alive\n\n:\n"));
            }
        }
        // The last event of a response ends its stream.
        if self.is_chat() && !self.has(Oddity::NoDone) {
            bytes.extend(self.event(None, b"[DONE]"));
            events.push(b"[DONE]".to_vec());
        }
        if self.has(Oddity::NoLastBlankLine) {
            bytes.truncate(bytes.trim_ascii_end().len());
        }
        AnswerBody { bytes, events }
    }

    fn event(&self, name: Option<&str>, data: &[u8]) -> Vec<u8> {
        let space = if self.has(Oddity::NoSpaceAfterColon) {
            ""
        } else {
            " "
        };
        let mut bytes = Vec::new();
        if self.has(Oddity::OtherFields) {
            bytes.extend(self.with_line_ends(&format!("id:{space}7\nretry:{space}1000\ntrace:{space}x\n")));
        }
        if let Some(name) = name {
            bytes.extend(self.with_line_ends(&format!("event:{space}{name}\n")));
        }
        for line in data.split(|byte| *byte == b'\n') {
            bytes.extend(format!("data:{space}").bytes());
            bytes.extend(line);
            bytes.extend(self.with_line_ends("\n"));
        }
        bytes.extend(self.with_line_ends("\n"));
        bytes
    }

    fn start(&self) -> Vec<u8> {
        let blank = if self.has(Oddity::BlankLines) {
            self.with_line_ends("\n\n \n")
        } else {
            Vec::new()
        };
        let mark = if self.has(Oddity::ByteOrderMark) {
            MARK
        } else {
            b""
        };
        [blank, mark.to_vec()].concat()
    }

    fn first_comment(&self) -> Vec<u8> {
        if self.has(Oddity::Comments) {
            self.with_line_ends(": PROCESSING\n\n")
        } else {
            Vec::new()
        }
    }

    fn with_line_ends(&self, text: &str) -> Vec<u8> {
        let end = match () {
            () if self.has(Oddity::CarriageReturns) => "\r\n",
            () if self.has(Oddity::LoneCarriageReturns) => "\r",
            () => "\n",
        };
        text.replace('\n', end).into_bytes()
    }
}
