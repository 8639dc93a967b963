//! What the decoders of all formats have in common.

use super::error::DecodingError;

/// Maximum number of bytes of a decoded piece.
pub(super) const MAX_PIECE: usize = 64 << 10;

/// The decoder of one format, which is given the encoded bytes in order.
pub(super) trait Codec: Send + Sync {
    /// Decodes bytes from the start of `input` into at most [`MAX_PIECE`] bytes. `input` may be empty to get the
    /// rest of an output that did not fit.
    fn decode(&mut self, input: &[u8]) -> Result<Step, DecodingError>;

    /// Returns whether the bytes so far are a complete body.
    fn is_complete(&mut self) -> bool;
}

/// What one call of [`Codec::decode`] did.
pub(super) struct Step {
    pub(super) consumed: usize,
    pub(super) output: Vec<u8>,
    /// Whether there is more output without more input.
    pub(super) has_more: bool,
}
