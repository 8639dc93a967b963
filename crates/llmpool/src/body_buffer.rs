//! Collects the pieces of a body.

use bytes::{Bytes, BytesMut};
use llmpool_core::failure::{Failure, FailureKind};

/// The pieces of a body. Copies them only if there are several.
#[derive(Default)]
pub(crate) struct BodyBuffer {
    first: Option<Bytes>,
    /// All pieces joined. Empty while there is only one piece.
    joined: BytesMut,
}

impl BodyBuffer {
    /// Appends a piece. Fails if the body is then longer than `limit`.
    pub(crate) fn push(&mut self, piece: Bytes, limit: usize) -> Result<(), Failure> {
        let first = self.first.get_or_insert_default();
        let length = if self.joined.is_empty() {
            first.len()
        } else {
            self.joined.len()
        };
        if length + piece.len() > limit {
            let detail = format!("the answer is larger than {} MiB", limit >> 20);
            return Err(Failure::new(FailureKind::UnusableAnswer).with_detail(detail));
        }
        if length == 0 {
            *first = piece;
            return Ok(());
        }
        if self.joined.is_empty() {
            self.joined.extend_from_slice(first);
        }
        self.joined.extend_from_slice(&piece);
        Ok(())
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match &self.first {
            Some(first) if self.joined.is_empty() => first,
            _ => &self.joined,
        }
    }

    pub(crate) fn finish(self) -> Bytes {
        if self.joined.is_empty() {
            return self.first.unwrap_or_default();
        }
        self.joined.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_limit_applies_to_every_piece() {
        for pieces in [&[5][..], &[4, 1], &[2, 2, 1]] {
            let mut buffer = BodyBuffer::default();
            let pushed: Vec<bool> = pieces
                .iter()
                .map(|length| buffer.push(Bytes::from(vec![b'x'; *length]), 4).is_ok())
                .collect();
            let (last, earlier) = pushed.split_last().unwrap();
            assert!(
                !last && earlier.iter().all(|is_ok| *is_ok),
                "{pieces:?}: {pushed:?}"
            );
        }
    }

    #[test]
    fn body_pieces_are_joined_in_order() {
        for pieces in [&[][..], &["ab"], &["", "ab"], &["a", "b"], &["a", "", "b"]] {
            let mut buffer = BodyBuffer::default();
            for piece in pieces {
                buffer.push(Bytes::from_static(piece.as_bytes()), 2).unwrap();
            }
            assert_eq!(buffer.finish(), pieces.concat(), "{pieces:?}");
        }
    }
}
