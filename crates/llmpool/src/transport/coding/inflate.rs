//! Decodes gzip and deflate.

use std::io::{self, ErrorKind, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::codec::{Codec, MAX_PIECE, Step};
use super::error::DecodingError;

/// A decoder of the formats that contain deflate blocks.
pub(super) enum Inflater {
    /// Members in gzip containers.
    Gzip(MultiGzDecoder<InflatedPiece>),
    /// Blocks in a zlib container.
    Zlib(ZlibDecoder<InflatedPiece>),
    Blocks(DeflateDecoder<InflatedPiece>),
}

impl Inflater {
    pub(super) fn gzip() -> Self {
        Self::Gzip(MultiGzDecoder::new(InflatedPiece::default()))
    }

    /// Creates a decoder for a body of the coding `deflate` that begins with these bytes. The standard says that its
    /// blocks are in a zlib container, and some servers leave the container out. A zlib header is no start of
    /// blocks: it would be a stored block whose padding is not zero.
    pub(super) fn deflate(first: u8, second: u8) -> Self {
        let header = u16::from_be_bytes([first, second]);
        if first & 15 == 8 && header.is_multiple_of(31) {
            Self::Zlib(ZlibDecoder::new(InflatedPiece::default()))
        } else {
            Self::Blocks(DeflateDecoder::new(InflatedPiece::default()))
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(decoder) => decoder,
            Self::Zlib(decoder) => decoder,
            Self::Blocks(decoder) => decoder,
        }
    }

    fn piece(&mut self) -> &mut InflatedPiece {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zlib(decoder) => decoder.get_mut(),
            Self::Blocks(decoder) => decoder.get_mut(),
        }
    }
}

impl Codec for Inflater {
    fn decode(&mut self, input: &[u8]) -> Result<Step, DecodingError> {
        let writer = self.writer();
        // A decoder that cannot pass on its output takes no input, and goes on where it was.
        let consumed = unless_full(writer.write(input))?.unwrap_or(0);
        let has_more = unless_full(writer.flush())?.is_none();
        Ok(Step {
            consumed,
            output: std::mem::take(&mut self.piece().0),
            has_more,
        })
    }

    fn is_complete(&mut self) -> bool {
        let end = match self {
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zlib(decoder) => decoder.try_finish(),
            Self::Blocks(decoder) => decoder.try_finish(),
        };
        end.is_ok()
    }
}

/// Returns the result of a write. `None` if the piece is full.
fn unless_full<T>(result: io::Result<T>) -> Result<Option<T>, DecodingError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(_) => Err(DecodingError::Corrupt),
    }
}

/// The decoded bytes that are not yet taken, at most [`MAX_PIECE`].
#[derive(Default)]
pub(super) struct InflatedPiece(Vec<u8>);

impl Write for InflatedPiece {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(MAX_PIECE - self.0.len());
        if length == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.0.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
