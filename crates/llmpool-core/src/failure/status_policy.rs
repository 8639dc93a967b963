//! Configured reactions to HTTP status codes: what happens to the key of an attempt after a response with a given status.
//!
//! Reactions are configured for providers that give a status a meaning of their own, such as 418 for a blocked key or 403 for an
//! unsupported region.
//!
//! Invariants: a status without a configured action is classified by [`classify`](super::classify()). A wait that the provider requests is
//! never shortened.

use std::time::Duration;

use super::{Blame, Certainty, Failure, FailureKind};
use crate::limits::CooldownReason;

/// The action on the key of an attempt after a response with a given status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// Starts a cooldown, during which the key is not used.
    Park {
        /// The minimum duration of the cooldown. If the provider requests a longer wait, the cooldown lasts for that wait.
        pause: Duration,
        /// The models to which the cooldown applies.
        scope: KeyScope,
    },
    /// Takes the key out of use until an operator enables it again.
    Disable {
        /// The models for which the key is taken out of use.
        scope: KeyScope,
    },
    /// Leaves the key in use. Does not affect whether the call is retried.
    Ignore,
}

/// The models for which a key is taken out of use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyScope {
    /// The key is taken out of use for all models.
    #[default]
    Key,
    /// The key is taken out of use only for the model of the failed request.
    Model,
}

/// The configured actions by HTTP status code. Empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusPolicy {
    actions: Vec<(u16, KeyAction)>,
}

impl FromIterator<(u16, KeyAction)> for StatusPolicy {
    /// Collects pairs of an HTTP status and an action. If a status occurs several times, its last action applies.
    fn from_iter<I: IntoIterator<Item = (u16, KeyAction)>>(entries: I) -> Self {
        let mut actions: Vec<(u16, KeyAction)> = Vec::new();
        for (status, action) in entries {
            actions.retain(|(known, _)| *known != status);
            actions.push((status, action));
        }
        Self { actions }
    }
}

impl StatusPolicy {
    /// Returns the HTTP statuses that have a configured action, in no particular order.
    pub fn statuses(&self) -> impl Iterator<Item = u16> {
        self.actions.iter().map(|(status, _)| *status)
    }

    /// Returns the configured action for an HTTP status. Returns `None` if the status has no action, or if `status` is `None`.
    pub fn action(&self, status: Option<u16>) -> Option<KeyAction> {
        let found = self.actions.iter().find(|(known, _)| Some(*known) == status);
        found.map(|(_, action)| *action)
    }

    /// Adjusts a failure to this policy: if the action for its status parks or disables the key, the returned failure certainly blames the
    /// key, so that the call continues with another key. Returns all other failures unchanged.
    pub fn apply(&self, failure: Failure) -> Failure {
        match self.action(failure.status) {
            None | Some(KeyAction::Ignore) => failure,
            Some(KeyAction::Park { .. } | KeyAction::Disable { .. }) => Failure {
                kind: if failure.blame() == Blame::Key {
                    failure.kind
                } else {
                    FailureKind::PermissionDenied
                },
                certainty: Certainty::Certain,
                ..failure
            },
        }
    }
}

/// Returns the cooldown reason for a failure that blames the key. `scope` is the scope of the configured action, or `None` if no action is
/// configured for the status of the failure.
pub fn cooldown_reason(kind: FailureKind, scope: Option<KeyScope>) -> CooldownReason {
    match (kind, scope) {
        (_, Some(KeyScope::Model)) | (FailureKind::PermissionDenied, None) => CooldownReason::Forbidden,
        (FailureKind::PermissionDenied, Some(KeyScope::Key)) | (FailureKind::InvalidKey, _) => {
            CooldownReason::Invalid
        }
        (FailureKind::NoQuota, _) => CooldownReason::NoQuota,
        _ => CooldownReason::Throttled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, kind: FailureKind) -> Failure {
        Failure {
            status: Some(status),
            certainty: Certainty::Ambiguous,
            ..Failure::new(kind)
        }
    }

    // L05
    #[test]
    fn only_configured_statuses_blame_the_key() {
        let scope = KeyScope::Key;
        let pause = Duration::from_secs(5);
        let policy: StatusPolicy = [
            (418, KeyAction::Ignore),
            (418, KeyAction::Park { pause, scope }),
            (429, KeyAction::Disable { scope }),
            (404, KeyAction::Ignore),
        ]
        .into_iter()
        .collect();
        let applied = |status, kind| {
            let failure = policy.apply(failure(status, kind));
            (failure.kind, failure.certainty)
        };
        use FailureKind::*;
        assert_eq!(
            applied(418, InvalidRequest),
            (PermissionDenied, Certainty::Certain)
        );
        assert_eq!(applied(429, RateLimited), (RateLimited, Certainty::Certain));
        assert_eq!(
            applied(404, InvalidRequest),
            (InvalidRequest, Certainty::Ambiguous)
        );
        assert_eq!(applied(500, ServerError), (ServerError, Certainty::Ambiguous));
        assert_eq!(policy.action(Some(418)), Some(KeyAction::Park { pause, scope }));
        assert_eq!((policy.action(Some(500)), policy.action(None)), (None, None));
    }
}
