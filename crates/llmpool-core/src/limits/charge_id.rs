//! The identity of a charge to a limit.

use crate::time::Timestamp;

/// Identifies a charge to a bucket or window, so that the charge can be corrected later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChargeId {
    /// Sequence number of the charge.
    pub(super) seq: u64,
    /// The time of the charge.
    pub(super) at: Timestamp,
}
