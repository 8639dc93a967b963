//! Outcomes of an acquire that may have to queue.

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
    /// Granted; leaves the queue.
    Granted(Grant),
    /// Rejected; leaves the queue.
    Rejected(Rejection),
    /// Queued: poll again when woken, and at this time, which is at most the deadline.
    Wait(Timestamp),
}

/// Why a request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It cannot be granted before its deadline.
    TooLate {
        /// The earliest time at which it could have been granted, if known.
        ready_at: Option<Timestamp>,
        /// What it would have waited for.
        why: WaitReason,
    },
    /// The wait queue of the target is full.
    QueueFull {
        /// The earliest time at which it could have been granted.
        ready_at: Timestamp,
    },
    /// It can never be granted under the current limits.
    Unsatisfiable(Unsatisfiable),
}
