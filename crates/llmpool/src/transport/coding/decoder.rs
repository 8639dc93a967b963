//! Decodes one content coding as its bytes arrive.
//!
//! Invariants: what the bytes so far contain is decoded before more bytes are needed, so that an event arrives with
//! its flush. A piece is at most 64 KiB, and after the first [`FREE_BYTES`] a body expands to at most
//! [`MAX_RATIO`] times its size, so that few bytes cannot fill the memory.

use bytes::{Buf, Bytes};

use super::brotli::BrotliDecoder;
use super::codec::Codec;
use super::error::{CodingError, DecodingError};
use super::inflate::Inflater;
use super::supported::Coding;
use super::zstd::ZstdDecoder;

/// Number of decoded bytes from which on the ratio is limited.
const FREE_BYTES: u64 = 1 << 20;
/// Maximum ratio of the decoded to the encoded bytes of a body.
const MAX_RATIO: u64 = 100;

/// Decodes one body.
pub(super) struct Decoder {
    coding: Coding,
    /// `None` until the first bytes of a deflate body tell its format.
    codec: Option<Box<dyn Codec>>,
    /// The bytes that have arrived and are not decoded.
    input: Bytes,
    has_more: bool,
    consumed: u64,
    decoded: u64,
}

impl Decoder {
    #[expect(clippy::unnecessary_wraps, reason = "fails without the feature `codings`")]
    pub(super) fn new(coding: Coding) -> Result<Self, CodingError> {
        Ok(Self {
            coding,
            codec: match coding {
                Coding::Gzip => Some(Box::new(Inflater::gzip())),
                Coding::Deflate => None,
                Coding::Brotli => Some(Box::new(BrotliDecoder::new())),
                Coding::Zstd => Some(Box::new(ZstdDecoder::new())),
            },
            input: Bytes::new(),
            has_more: false,
            consumed: 0,
            decoded: 0,
        })
    }

    /// Appends the next piece of the encoded body.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.input = if self.input.is_empty() {
            piece
        } else {
            [&self.input[..], &piece].concat().into()
        };
    }

    /// Returns the next decoded piece. Returns `None` if more of the encoded body is needed for it.
    pub(super) fn next_piece(&mut self) -> Result<Option<Bytes>, CodingError> {
        self.decode()
            .map_err(|error| CodingError::Decoding(self.coding, error))
    }

    /// Checks that the encoded body may end here.
    pub(super) fn finish(&mut self) -> Result<(), CodingError> {
        match self.codec.as_mut().is_some_and(|codec| codec.is_complete()) {
            true => Ok(()),
            false => Err(CodingError::Decoding(self.coding, DecodingError::CutOff)),
        }
    }

    fn decode(&mut self) -> Result<Option<Bytes>, DecodingError> {
        let codec = match &mut self.codec {
            Some(codec) => codec,
            None => match self.input[..] {
                [first, second, ..] => self.codec.insert(Box::new(Inflater::deflate(first, second))),
                _ => return Ok(None),
            },
        };
        while self.has_more || !self.input.is_empty() {
            let step = codec.decode(&self.input)?;
            self.has_more = step.has_more;
            self.consumed += step.consumed as u64;
            self.decoded += step.output.len() as u64;
            if self.decoded > FREE_BYTES.max(MAX_RATIO * self.consumed) {
                return Err(DecodingError::Expands);
            }
            self.input.advance(step.consumed);
            if step.consumed == 0 && step.output.is_empty() {
                // The coding has ended. Some servers pad the body.
                self.input.clear();
            }
            if !step.output.is_empty() {
                return Ok(Some(step.output.into()));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
