//! Permission for one attempt, and what the attempt reserves.

use super::demand::Demand;
use super::key::KeyId;
use super::limit_set::Charge;
use super::target::TargetId;

/// Permission for one attempt. Until the grant is released, the attempt occupies one concurrency slot each of its target, key and quota
/// group.
///
/// Invariant: every grant is passed to [`Limiter::release`](super::limiter::Limiter::release) exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub(super) target: TargetId,
    pub(super) key: Option<KeyId>,
    /// Epoch of the target's health when the attempt started. If the epoch has changed since, the response to the attempt is stale.
    pub(super) epoch: u32,
    /// Demand that was charged to the limits. The number of tokens is an estimate until
    /// [`Limiter::settle`](super::limiter::Limiter::settle) corrects it.
    pub(super) demand: Demand,
    /// Whether the tokens of `demand` are still an estimate, so that some of them may be returned.
    pub(super) unsettled: bool,
    /// Sequence number under which the attempt was charged to the token buckets.
    pub(super) seq: u64,
    pub(super) charge: Charge,
    pub(super) reservation: KeyReservation,
    /// Epoch of the key's denial for this model. `None` if the key was not denied when the attempt started.
    pub(super) denial_epoch: Option<u32>,
}

impl Grant {
    /// Returns the key that the attempt uses. `None` if the target has no keys and only its own limits apply.
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
