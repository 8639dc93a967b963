//! The reservation of one attempt.

use super::demand::Demand;
use super::key::KeyId;
use super::limit_set::Charge;
use super::target::TargetId;

/// Permission for one attempt, which reserves its demand and concurrency slots in the limiter.
///
/// Invariant: every grant is passed to [`Limiter::release`](super::limiter::Limiter::release) exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub(super) target: TargetId,
    pub(super) key: Option<KeyId>,
    /// Epoch of the target's health at the start of the attempt.
    pub(super) epoch: u32,
    /// Charged demand. The tokens are an estimate until they are settled.
    pub(super) demand: Demand,
    /// Whether the tokens are still an estimate, of which settling may return a part.
    pub(super) unsettled: bool,
    /// Sequence number under which the attempt was charged to the token buckets.
    pub(super) seq: u64,
    pub(super) charge: Charge,
    pub(super) reservation: KeyReservation,
    /// Epoch of the key's denial for this model. `None` if the key was not denied when the attempt started.
    pub(super) denial_epoch: Option<u32>,
}

impl Grant {
    /// Returns the reserved key. `None` if the target has no keys (a bare token bucket).
    #[inline(always)]
    pub fn key(&self) -> Option<KeyId> {
        self.key
    }

    /// Returns the target of the attempt.
    pub fn target(&self) -> TargetId {
        self.target
    }
}

/// What an attempt reserves from its key and the key's quota group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyReservation {
    /// Epoch of the key's health when the attempt started.
    pub(super) epoch: u32,
    /// Epoch of the quota group's health when the attempt started. `None` if the key belonged to no group at that time.
    pub(super) group_epoch: Option<u32>,
    pub(super) charge: Charge,
    pub(super) group_charge: Charge,
}
