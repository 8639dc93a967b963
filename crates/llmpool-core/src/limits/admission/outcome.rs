//! Outcomes of a request for a grant: granted, queued or rejected.

use super::super::denial::{LostKeys, Unsatisfiable, WaitReason};
use super::super::grant::Grant;
use crate::time::Timestamp;

/// The outcome of [`Admission::acquire`](super::Admission::acquire) and
/// [`Admission::poll`](super::Admission::poll).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a grant is the common outcome, and is moved on at once"
)]
pub enum AdmissionOutcome {
    /// The request was granted and is no longer queued.
    Granted(Grant),
    /// The request was rejected and is no longer queued.
    Rejected(Rejection),
    /// The request is queued. Call [`Admission::poll`](super::Admission::poll) again when the request's waker
    /// is called.
    Wait,
}

/// Why a request was rejected instead of being granted or queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The request cannot be granted before its deadline.
    TooLate {
        /// A lower bound on the time at which the request could have been granted. `None` if unknown.
        ready_at: Option<Timestamp>,
        /// What the request would have had to wait for: a limit, a slot or a key.
        why: WaitReason,
    },
    /// The wait queue of the target is full, because it already holds [`MAX_WAITING`](super::MAX_WAITING)
    /// requests.
    QueueFull {
        /// A lower bound on the time at which the request could have been granted.
        ready_at: Timestamp,
    },
    /// The request can never be granted under the current limits.
    Unsatisfiable(Unsatisfiable),
}

impl Rejection {
    /// Returns the rejection of a request that may use only these keys.
    pub(super) fn no_usable_key(lost: LostKeys) -> Self {
        Self::TooLate {
            ready_at: lost.ready_at(),
            why: WaitReason::KeysUnavailable(lost.first),
        }
    }
}
