//! The result of checking one model.

use llmpool::FailureKind;
use llmpool::check::{CallCheck, KeyCheckOutcome, ModelCheck};

pub(super) struct CheckedModel {
    /// The id of the model, in the form `provider/model`.
    pub(super) id: String,
    /// The model name in requests to the provider.
    pub(super) name: String,
    pub(super) base_url: String,
    pub(super) keys: ModelCheck,
    /// The result of the streaming call. `None` if `--call` was not given, or if the provider refused every
    /// key.
    pub(super) call: Option<CallCheck>,
}

impl CheckedModel {
    /// Returns whether the provider refused a key, either when listing models or in the streaming call.
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
