//! The configured reactions to HTTP statuses: what happens to the key that the request used.
//!
//! Reactions are configured for providers that give a status a meaning of their own, such as 418 for a
//! blocked key or 403 for an unsupported region.
//!
//! Invariant: a status without a configured reaction is classified by [`classify`](super::classify()).
//!
//! Invariant: a cooldown is never shorter than the wait that the provider requests.

use std::time::Duration;

use super::{Blame, Certainty, Failure, FailureKind};
use crate::limits::{CooldownReason, RefusalWait};

/// The reaction to an HTTP status: what happens to the key that the request used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// Starts a cooldown, a period in which the key is not used.
    Park {
        /// The minimum duration of the cooldown. The cooldown lasts longer if the provider requests a longer
        /// wait.
        pause: Duration,
        /// Whether the cooldown applies to all models or only to the model of the failed request.
        scope: KeyScope,
    },
    /// Takes the key out of use until an operator enables the key again.
    Disable {
        /// Whether the key is taken out of use for all models or only for the model of the failed request.
        scope: KeyScope,
    },
    /// Leaves the key in use. Whether the call is retried is decided as if no action were configured.
    Ignore,
}

/// The models for which a key is taken out of use: all models, or only the model of the failed request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyScope {
    /// The key is taken out of use for all models.
    #[default]
    Key,
    /// The key is taken out of use only for the model of the failed request.
    Model,
}

/// The configured key actions by HTTP status. Empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusPolicy {
    actions: Vec<(u16, KeyAction)>,
}

impl FromIterator<(u16, KeyAction)> for StatusPolicy {
    /// Creates a policy from pairs of an HTTP status and an action. If a status occurs several times, the
    /// last pair with this status applies.
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

    /// Returns the action that is configured for an HTTP status. Returns `None` if no action is configured,
    /// or if `status` is `None`.
    pub fn action(&self, status: Option<u16>) -> Option<KeyAction> {
        let found = self.actions.iter().find(|(known, _)| Some(*known) == status);
        found.map(|(_, action)| *action)
    }

    /// Adjusts a failure to this policy. If the action for the failure's status parks or disables the key,
    /// returns a failure that blames the key with [`Certainty::Certain`], so that the call continues with
    /// another key. Otherwise returns the failure unchanged.
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

/// Returns the cooldown reason for a key that is to blame for a failure. `scope` is the scope of the action that
/// is configured for the failure's HTTP status, or `None` if no action is configured. A configured pause is no
/// known end of missing quota: only the provider knows it.
pub fn cooldown_reason(failure: &Failure, scope: Option<KeyScope>) -> CooldownReason {
    let wait = RefusalWait::new(failure.retry_after, failure.is_limit_reset);
    match (failure.kind, scope) {
        (_, Some(KeyScope::Model)) | (FailureKind::PermissionDenied, None) => CooldownReason::Forbidden,
        (FailureKind::PermissionDenied, Some(KeyScope::Key)) | (FailureKind::InvalidKey, _) => {
            CooldownReason::Invalid
        }
        (FailureKind::NoQuota, _) if matches!(wait, RefusalWait::Exact(_)) => CooldownReason::NoQuotaUntil,
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

    #[test]
    fn only_the_provider_names_the_end_of_missing_quota() {
        let named = |retry_after: Option<u64>| Failure {
            retry_after: retry_after.map(Duration::from_secs),
            ..Failure::new(FailureKind::NoQuota)
        };
        let reset = Failure {
            is_limit_reset: true,
            ..named(Some(5))
        };
        for (failure, scope, expected) in [
            (named(Some(5)), None, CooldownReason::NoQuotaUntil),
            (named(Some(5)), Some(KeyScope::Key), CooldownReason::NoQuotaUntil),
            (named(Some(0)), None, CooldownReason::NoQuota),
            (named(None), Some(KeyScope::Key), CooldownReason::NoQuota),
            (named(Some(5)), Some(KeyScope::Model), CooldownReason::Forbidden),
            (reset, None, CooldownReason::NoQuota),
        ] {
            assert_eq!(cooldown_reason(&failure, scope), expected, "{failure:?}");
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
