//! The result of checking one model.

use llmpool::FailureKind;
use llmpool::check::{CallCheck, KeyCheckOutcome, ModelCheck};

pub(super) struct CheckedModel {
    /// `provider/model`.
    pub(super) id: String,
    /// The name that is sent to the provider.
    pub(super) name: String,
    pub(super) base_url: String,
    pub(super) keys: ModelCheck,
    /// `None` without `--call`, and if every key is refused.
    pub(super) call: Option<CallCheck>,
}

impl CheckedModel {
    /// Returns whether a key is refused, in the list of models or in the call.
    pub(super) fn is_refused(&self) -> bool {
        let mut keys = self.keys.keys.iter();
        let call = self.call.as_ref().and_then(|call| call.failure);
        keys.any(|key| matches!(key.outcome, KeyCheckOutcome::Rejected(_))) || call.is_some_and(blames_key)
    }
}

fn blames_key(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::InvalidKey | FailureKind::PermissionDenied | FailureKind::NoQuota
    )
}
