//! What a status does to a key where somebody knows better than the table: a provider that says 418 for a key it has had enough of,
//! or 403 for a region.
//!
//! Always true: a status without an entry is judged as ever; a time that the provider names is never shortened.

use std::time::Duration;

use super::{Blame, Certainty, Failure, FailureKind};
use crate::limits::limiter::CooldownReason;

/// What happens to the key of an attempt that was answered with a certain status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// It rests, at least so long.
    Park {
        /// At least so long; longer where the provider says so.
        pause: Duration,
        /// For what.
        scope: KeyScope,
    },
    /// It is not used any more until an operator enables it again.
    Disable {
        /// For what.
        scope: KeyScope,
    },
    /// Nothing: it stays in use. Whether the call is tried again is decided as ever.
    Ignore,
}

/// What a key is not used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyScope {
    /// For nothing.
    #[default]
    Key,
    /// For the model that was asked, and still for others.
    Model,
}

/// Statuses and what they do to a key. Empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusPolicy {
    actions: Vec<(u16, KeyAction)>,
}

impl FromIterator<(u16, KeyAction)> for StatusPolicy {
    /// Of several entries for a status the last one holds.
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
    /// The statuses that something is set for.
    pub fn statuses(&self) -> impl Iterator<Item = u16> {
        self.actions.iter().map(|(status, _)| *status)
    }

    /// What an answer of this status does to its key, where that is set.
    pub fn action(&self, status: Option<u16>) -> Option<KeyAction> {
        let found = self.actions.iter().find(|(known, _)| Some(*known) == status);
        found.map(|(_, action)| *action)
    }

    /// The failure as this policy sees it: where the key is to rest, it is to blame beyond doubt, and the call goes on with another one.
    pub fn judged(&self, failure: Failure) -> Failure {
        match self.action(failure.status) {
            None | Some(KeyAction::Ignore) => failure,
            Some(KeyAction::Park { .. } | KeyAction::Disable { .. }) => Failure {
                kind: if failure.blame() == Blame::Key {
                    failure.kind
                } else {
                    FailureKind::PermissionDenied
                },
                certainty: Certainty::Sure,
                ..failure
            },
        }
    }
}

/// Why a key rests that is to blame for a failure, for what that says of other models.
pub fn rest_of(kind: FailureKind, scope: Option<KeyScope>) -> CooldownReason {
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
            certainty: Certainty::Unclear,
            ..Failure::new(kind)
        }
    }

    // L05
    #[test]
    fn a_status_blames_the_key_where_that_is_set_and_only_there() {
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
        let judged = |status, kind| {
            let failure = policy.judged(failure(status, kind));
            (failure.kind, failure.certainty)
        };
        use FailureKind::*;
        assert_eq!(judged(418, InvalidRequest), (PermissionDenied, Certainty::Sure));
        assert_eq!(judged(429, RateLimited), (RateLimited, Certainty::Sure));
        assert_eq!(judged(404, InvalidRequest), (InvalidRequest, Certainty::Unclear));
        assert_eq!(judged(500, ServerError), (ServerError, Certainty::Unclear));
        assert_eq!(policy.action(Some(418)), Some(KeyAction::Park { pause, scope }));
        assert_eq!((policy.action(Some(500)), policy.action(None)), (None, None));
    }
}
