//! Outcomes of an acquire that may wait in a queue.

use super::super::denial::{Unsatisfiable, WaitReason};
use super::super::grant::Grant;
use crate::time::Timestamp;

/// The outcome of [`Admission::acquire`](super::Admission::acquire) and [`Admission::poll`](super::Admission::poll).
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
    /// The request is queued. The caller polls again when its waker is called, and at the contained time at the latest. The contained time
    /// is never after the request's deadline.
    Wait(Timestamp),
}

/// Why a request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The request cannot be granted before its deadline.
    TooLate {
        /// A lower bound of the time at which the request could have been granted. `None` if unknown.
        ready_at: Option<Timestamp>,
        /// The limit, slot or key that delayed the request.
        why: WaitReason,
    },
    /// The wait queue of the target is full: it holds [`MAX_WAITING`](super::MAX_WAITING) requests.
    QueueFull {
        /// The earliest time at which the request could have been granted.
        ready_at: Timestamp,
    },
    /// The request can never be granted under the current limits.
    Unsatisfiable(Unsatisfiable),
}
