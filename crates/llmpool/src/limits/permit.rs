//! The right to make one attempt.

use std::time::Duration;

use llmpool_core::limits::key::KeyId;
use llmpool_core::limits::limiter::{CooldownReason, Grant, ProvisionalCooldown};
use llmpool_core::limits::observed_limits::LimitSnapshots;

use super::SharedAdmission;
use crate::sync::Arc;

/// A key's slot and reserved quota, as a value: dropping it gives the slot back, and the quota too unless the request was
/// handed to a connection.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<SharedAdmission>,
    grant: Grant,
    used: bool,
    given_back: bool,
}

impl Permit {
    pub(super) fn new(admission: Arc<SharedAdmission>, grant: Grant) -> Self {
        Self {
            admission,
            grant,
            used: false,
            given_back: false,
        }
    }

    /// The reserved key; `None` where the target has none.
    pub(crate) fn key(&self) -> Option<KeyId> {
        self.grant.key()
    }

    /// The request goes to a connection now: from here on its quota is spent.
    pub(crate) fn hand_over(&mut self) {
        self.used = true;
    }

    /// The connection gave the request back unwritten.
    pub(crate) fn take_back(&mut self) {
        self.used = false;
    }

    /// Whether the request was handed to a connection.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// The attempt got through: the key is healthy.
    pub(crate) fn succeeded(&self) {
        self.admission.succeeded(&self.grant);
    }

    /// The attempt got through and is over: as [`succeeded`](Self::succeeded) and a drop, in one step.
    pub(crate) fn complete(mut self) {
        self.given_back = true;
        self.admission.complete(&mut self.grant);
    }

    /// The target failed; it rests where it named a time or where that is configured.
    pub(crate) fn target_failed(&self, pause: Option<Duration>) {
        self.admission.target_failed(&self.grant, pause);
    }

    /// The provider said what is left of its limits.
    pub(crate) fn observed(&self, sights: &LimitSnapshots) {
        self.admission.observed(&self.grant, sights);
    }

    /// So many tokens of the model it really were, instead of the estimate.
    pub(crate) fn settle(&mut self, tokens: u32) {
        self.admission.settle(&mut self.grant, tokens);
    }

    /// The provider refused the key, which rests: for `pause`, or where none was named for a time that doubles.
    pub(crate) fn refused(
        &self,
        why: CooldownReason,
        pause: Option<Duration>,
    ) -> Option<ProvisionalCooldown> {
        self.admission.refused(&self.grant, why, pause)
    }

    /// The provider refused the call, and perhaps because of the key, which rests until that is known.
    pub(crate) fn refused_unclearly(&self, pause: Duration) -> Option<ProvisionalCooldown> {
        self.admission.refused_unclearly(&self.grant, pause)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.given_back {
            self.admission.release(&mut self.grant, self.used);
        }
    }
}
