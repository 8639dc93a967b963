//! The grant: permission for one attempt, and what the attempt has reserved.

use super::charge_id::ChargeId;
use super::demand::Demand;
use super::key::KeyId;
use super::key_set::KeyPlace;
use super::target::TargetId;

/// Permission for one attempt. Until the grant is released, the attempt counts towards the concurrency limits
/// of its target, of its key and of the key's quota group.
///
/// Invariant: every grant is passed to [`Limiter::release`](super::limiter::Limiter::release) exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub(super) target: TargetId,
    pub(super) key: Option<KeyId>,
    /// Where the key is stored in the key set of the target.
    pub(super) place: KeyPlace,
    /// Whether the attempt is a probe after a rate refusal.
    pub(super) is_probe: bool,
    /// Epochs of the health of the target, the key and the key's quota group when the attempt started. Every change of
    /// health begins a new epoch. If the epoch has changed since then, the response to the attempt says nothing about
    /// the current health.
    pub(super) epochs: [u32; 3],
    /// Requests and tokens that were charged to the limits. The number of tokens is an estimate until
    /// [`Limiter::settle`](super::limiter::Limiter::settle) corrects it.
    pub(super) demand: Demand,
    /// Whether the number of tokens in `demand` is still an estimate. If so, some of the tokens may be
    /// returned later.
    pub(super) unsettled: bool,
    /// The charge of the attempt to all limits. The request is assumed to be sent at the time of the charge.
    pub(super) charge: ChargeId,
    /// Epoch of the key's model denial when the attempt started. A model denial is the provider's refusal of one
    /// model to a valid key.
    pub(super) denial_epoch: u32,
}

impl Grant {
    /// Returns the key that the attempt uses, or `None` if the target has no keys and only its own limits
    /// apply.
    #[inline(always)]
    pub fn key(&self) -> Option<KeyId> {
        self.key
    }

    /// Returns whether the attempt shows, after a rate refusal, whether the provider admits requests again. If so,
    /// report when the request is sent: see [`Limiter::await_probe`](super::limiter::Limiter::await_probe).
    #[inline(always)]
    pub fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// Returns the target of the attempt.
    pub fn target(&self) -> TargetId {
        self.target
    }
}
