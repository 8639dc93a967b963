//! Stands in for the decoder if the feature `codings` is off.

use bytes::Bytes;

use super::error::CodingError;
use super::supported::Coding;

/// A decoder that cannot be created, because no coding is compiled in.
pub(super) enum NoDecoder {}

impl NoDecoder {
    pub(super) fn new(coding: Coding) -> Result<Self, CodingError> {
        Err(CodingError::NotCompiled(coding))
    }

    pub(super) fn push(&mut self, _: Bytes) {
        match *self {}
    }

    pub(super) fn next_piece(&mut self) -> Result<Option<Bytes>, CodingError> {
        match *self {}
    }

    pub(super) fn finish(&mut self) -> Result<(), CodingError> {
        match *self {}
    }
}
