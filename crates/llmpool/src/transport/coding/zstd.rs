//! Decodes zstd.

use zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, is_error_kind};

use super::codec::{Codec, MAX_PIECE, Step};
use super::error::DecodingError;

/// The logarithm of the largest window: 8 MiB, as RFC 9659 says for the content coding.
const MAX_WINDOW_LOG: u32 = 23;

/// A decoder for any number of frames.
pub(super) struct ZstdDecoder {
    context: DCtx<'static>,
    buffer: Box<[u8]>,
    /// Whether a frame is complete, and the next one has not begun.
    is_complete: bool,
}

impl ZstdDecoder {
    pub(super) fn new() -> Self {
        let mut context = DCtx::create();
        // Fails only for a number out of range. The default is a limit, too: 128 MiB.
        let limited = context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG));
        debug_assert!(limited.is_ok());
        Self {
            context,
            buffer: vec![0; MAX_PIECE].into(),
            is_complete: false,
        }
    }
}

impl Codec for ZstdDecoder {
    fn decode(&mut self, input: &[u8]) -> Result<Step, DecodingError> {
        let (mut input, mut output) = (InBuffer::around(input), OutBuffer::around(&mut self.buffer[..]));
        let hint = self
            .context
            .decompress_stream(&mut output, &mut input)
            .map_err(|code| {
                let window = ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge;
                match is_error_kind(code, window) {
                    true => DecodingError::Window,
                    false => DecodingError::Corrupt,
                }
            })?;
        self.is_complete = hint == 0;
        let decoded = output.pos();
        Ok(Step {
            consumed: input.pos(),
            output: self.buffer[..decoded].to_vec(),
            has_more: decoded == self.buffer.len() && !self.is_complete,
        })
    }

    fn is_complete(&mut self) -> bool {
        self.is_complete
    }
}
