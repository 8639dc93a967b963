//! The reservation of one attempt.

use super::demand::Demand;
use super::key::KeyId;
use super::limit_set::Charge;
use super::target::TargetId;

/// Permission for one attempt. Invariant: passed to [`Limiter::release`](super::limiter::Limiter::release) exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub(super) target: TargetId,
    pub(super) key: Option<KeyId>,
    /// Epoch of the target's health at the start of the attempt.
    pub(super) epoch: u32,
    /// Charged demand: the token estimate until it is settled.
    pub(super) demand: Demand,
    /// Whether the attempt may still turn out to use fewer tokens than charged.
    pub(super) unsettled: bool,
    /// Sequence number of the charge in the token buckets.
    pub(super) seq: u64,
    pub(super) charge: Charge,
    pub(super) reservation: KeyReservation,
    /// Epoch of the key's denial for this model, if the key was denied when it was reserved.
    pub(super) denial_epoch: Option<u32>,
}

impl Grant {
    /// The reserved key; `None` if the target has no keys (a bare token bucket).
    #[inline(always)]
    pub fn key(&self) -> Option<KeyId> {
        self.key
    }

    /// The target of the attempt.
    pub fn target(&self) -> TargetId {
        self.target
    }
}

/// What an attempt holds of its key and quota group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyReservation {
    /// Epoch of the key's health.
    pub(super) epoch: u32,
    /// Epoch of the group's health; `None` if the key belonged to no group when it was reserved.
    pub(super) group_epoch: Option<u32>,
    pub(super) charge: Charge,
    pub(super) group_charge: Charge,
}
