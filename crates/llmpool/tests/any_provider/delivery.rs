//! How the bytes of an answer arrive: the head, the coding, the pieces, and the end of the body.

use std::time::Duration;

use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::encoders::{FORMATS, Format, encoded};
use crate::support::Action;

#[derive(Clone, Debug)]
pub struct Delivery {
    pub label: &'static str,
    /// The content coding of the body with its name. `None` if it has none.
    pub coding: Option<(&'static str, Format)>,
    pub length: Length,
    pub end: End,
    pub cuts: Cuts,
    /// The number of bytes that a connection holds, which limits what one read returns.
    pub pipe: usize,
    pub pause: Option<Pause>,
}

/// What says where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// `content-length`.
    Announced,
    Chunked,
    UntilClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Proper,
    /// The body never ends, and the connection stays open.
    LeftOpen,
    /// The connection is lost after the answer, before the body ends.
    Lost,
}

/// The chunks of a chunked body.
#[derive(Clone, Debug)]
pub enum Cuts {
    One,
    /// Chunks of this many bytes.
    Every(usize),
    At(Vec<Index>),
}

#[derive(Clone, Debug)]
pub enum Pause {
    /// A short pause anywhere.
    Short(Index),
    /// A long pause before the middle of the answer.
    Early(Index),
}

impl Delivery {
    pub fn ends_properly(&self) -> bool {
        self.end == End::Proper
    }

    /// Returns what the provider does with a request, to answer it with `body`.
    pub fn action(&self, body: Vec<u8>) -> Action {
        let body = match self.coding {
            Some((_, format)) => encoded(format, &body),
            None => body,
        };
        let mut bytes = self.head(body.len()).into_bytes();
        let head = bytes.len();
        match self.length {
            Length::Chunked => bytes.extend(self.chunked(&body)),
            Length::Announced | Length::UntilClose => bytes.extend(body),
        }
        match (self.end, self.length, &self.pause) {
            (End::LeftOpen, ..) => Action::SendAndHang(bytes),
            (End::Lost, ..) | (End::Proper, Length::UntilClose, _) => Action::SendAndClose(bytes),
            (End::Proper, _, None) => Action::Send(bytes),
            (End::Proper, _, Some(pause)) => {
                let (at, pause) = match pause {
                    Pause::Short(at) => (at.index(bytes.len()), Duration::from_millis(150)),
                    Pause::Early(at) => {
                        let middle = head + (bytes.len() - head) / 3;
                        (at.index(middle), Duration::from_secs(5))
                    }
                };
                let rest = bytes.split_off(at);
                Action::SendInTwo(bytes, pause, rest)
            }
        }
    }

    fn head(&self, length: usize) -> String {
        let label = match self.label {
            "" => String::new(),
            label => format!("content-type: {label}\r\n"),
        };
        // Of a body that never ends, more is announced than comes.
        let announced = length + usize::from(self.end != End::Proper) * 7;
        let length = match self.length {
            Length::Announced => format!("content-length: {announced}\r\n"),
            Length::Chunked => "transfer-encoding: chunked\r\n".to_owned(),
            Length::UntilClose => "connection: close\r\n".to_owned(),
        };
        let coding = match self.coding {
            Some((name, _)) => format!("content-encoding: {name}\r\n"),
            None => String::new(),
        };
        format!("HTTP/1.1 200 OK\r\n{label}{coding}{length}\r\n")
    }

    fn chunked(&self, body: &[u8]) -> Vec<u8> {
        let mut cuts: Vec<usize> = match &self.cuts {
            Cuts::One => Vec::new(),
            Cuts::Every(size) => (0..body.len()).step_by(*size).collect(),
            Cuts::At(places) => places.iter().map(|at| at.index(body.len() + 1)).collect(),
        };
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut bytes = Vec::new();
        for cut in cuts.windows(2) {
            let chunk = &body[cut[0]..cut[1]];
            bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        if self.end == End::Proper {
            bytes.extend(b"0\r\n\r\n");
        }
        bytes
    }
}

pub fn any_delivery() -> impl Strategy<Value = Delivery> {
    let label = select(vec![
        "application/json",
        "text/event-stream",
        "text/plain; charset=utf-8",
        "",
    ]);
    let length = select(vec![Length::Chunked, Length::Announced, Length::UntilClose]);
    let end = prop_oneof![4 => Just(End::Proper), 1 => Just(End::LeftOpen), 1 => Just(End::Lost)];
    let cuts = prop_oneof![
        2 => Just(Cuts::One),
        1 => Just(Cuts::Every(1)),
        1 => (2..20_usize).prop_map(Cuts::Every),
        2 => vec(any::<Index>(), 1..5).prop_map(Cuts::At),
    ];
    let pipe = prop_oneof![4 => Just(64 << 10), 1 => 1..200_usize];
    let pause = prop_oneof![
        4 => Just(None),
        1 => any::<Index>().prop_map(|at| Some(Pause::Short(at))),
        1 => any::<Index>().prop_map(|at| Some(Pause::Early(at))),
    ];
    let coding = (weighted(0.25), select(&FORMATS[..]))
        .prop_map(|(is_coded, format)| (is_coded && cfg!(feature = "codings")).then_some(format));
    (label, coding, length, end, cuts, pipe, pause).prop_map(
        |(label, coding, length, end, cuts, pipe, pause)| {
            // Without a length, the end of the connection is the end of the body.
            let end = match (length, end) {
                (Length::UntilClose, End::Lost) => End::Proper,
                (_, end) => end,
            };
            Delivery {
                label,
                coding,
                length,
                end,
                cuts,
                pipe,
                pause,
            }
        },
    )
}
