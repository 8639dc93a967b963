//! Decodes brotli.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::codec::{Codec, MAX_PIECE, Step};
use super::error::DecodingError;

/// A decoder with a window of at most 16 MiB, which is the largest of the standard.
pub(super) struct BrotliDecoder {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    buffer: Box<[u8]>,
    is_complete: bool,
}

impl BrotliDecoder {
    pub(super) fn new() -> Self {
        Self {
            // Not `new`, which accepts windows of 1 GiB.
            state: BrotliState::new_strict(
                StandardAlloc::default(),
                StandardAlloc::default(),
                StandardAlloc::default(),
            ),
            buffer: vec![0; MAX_PIECE].into(),
            is_complete: false,
        }
    }
}

impl Codec for BrotliDecoder {
    fn decode(&mut self, input: &[u8]) -> Result<Step, DecodingError> {
        let (mut available, mut consumed) = (input.len(), 0);
        let (mut room, mut decoded, mut total) = (self.buffer.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut available,
            &mut consumed,
            input,
            &mut room,
            &mut decoded,
            &mut self.buffer,
            &mut total,
            &mut self.state,
        );
        self.is_complete = match result {
            BrotliResult::ResultFailure => return Err(DecodingError::Corrupt),
            BrotliResult::ResultSuccess => true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => false,
        };
        Ok(Step {
            consumed,
            output: self.buffer[..decoded].to_vec(),
            has_more: room == 0 && !self.is_complete,
        })
    }

    fn is_complete(&mut self) -> bool {
        self.is_complete
    }
}
