//! The errors of rejected calls, that is, calls that cannot be admitted before their deadline.

use std::time::Duration;

use llmpool_core::failure::FailureKind;
use llmpool_core::limits::KeyAvailability;
use llmpool_core::limits::LimitKind;
use llmpool_core::limits::{Unsatisfiable, WaitReason};
use llmpool_core::time::Timestamp;

use crate::error::{ADD_CREDIT, Error, ErrorKind};
use crate::limits::{MAX_WAITING, Rejection};

/// A wait of ten years or more counts as infinite.
const NEVER: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Returns the time from `now` until `at`, or `None` if that time is ten years or more.
pub(crate) fn retry_in(at: Timestamp, now: Timestamp) -> Option<Duration> {
    Some(at.since(now)).filter(|wait| *wait < NEVER)
}

/// Returns the error of a rejected call. The error contains the time until a permit is available, if that
/// time is known.
pub(crate) fn rejection_error(rejection: Rejection, now: Timestamp) -> Error {
    let (error, ready_at) = match rejection {
        Rejection::Unsatisfiable(reason) => {
            return unsatisfiable(reason);
        }
        Rejection::QueueFull { ready_at } => {
            let message = format!("the model's wait queue is full ({MAX_WAITING} calls)");
            (Error::new(ErrorKind::LimitReached, message), Some(ready_at))
        }
        Rejection::TooLate { ready_at, why } => {
            let (kind, message) = wait_message(why);
            let error = Error::new(kind, message);
            match why {
                WaitReason::KeysUnavailable(KeyAvailability::Disabled) => {
                    return error.with_help("enable a key");
                }
                WaitReason::KeysUnavailable(KeyAvailability::NoQuota(_)) => {
                    let error = match ready_at {
                        Some(_) => error,
                        None => Error::new(kind, "no key has credit left"),
                    };
                    (error.with_help(ADD_CREDIT), ready_at)
                }
                _ => (error, ready_at),
            }
        }
    };
    match ready_at.and_then(|at| retry_in(at, now)) {
        Some(wait) => error.with_retry_in(wait),
        None => error,
    }
}

fn unsatisfiable(reason: Unsatisfiable) -> Error {
    let error = |message: String| Error::new(ErrorKind::Unsendable, message);
    match reason {
        Unsatisfiable::MoreThanCapacity { capacity } => error(format!(
            "the request needs more than the rate limit's capacity of {capacity}"
        )),
        Unsatisfiable::MoreTokensThanLimit { tokens, limit } => error(format!(
            "the request needs about {tokens} tokens and the limit is {limit} per minute"
        ))
        .with_help("shorten the prompt or lower max_tokens"),
        Unsatisfiable::UnknownKey => {
            error("the request is bound to a key or account that this model does not use".to_owned())
        }
    }
}

fn wait_message(why: WaitReason) -> (ErrorKind, &'static str) {
    let limit = |message| (ErrorKind::LimitReached, message);
    let attempt = |kind, message| (ErrorKind::Attempt(kind), message);
    match why {
        WaitReason::Target(LimitKind::Requests) => {
            limit("the model's rate limit admits the call only after its deadline")
        }
        WaitReason::Target(LimitKind::Tokens) => {
            limit("the model's tokens-per-minute limit admits the call only after its deadline")
        }
        WaitReason::Target(LimitKind::Day) => limit("the model's requests-per-day limit is reached"),
        WaitReason::KeyLimits(LimitKind::Requests) => {
            limit("the rate limits of the keys admit the call only after its deadline")
        }
        WaitReason::KeyLimits(LimitKind::Tokens) => {
            limit("the tokens-per-minute limits of the keys admit the call only after its deadline")
        }
        WaitReason::KeyLimits(LimitKind::Day) => limit("the requests-per-day limits of the keys are reached"),
        WaitReason::TargetConcurrency => {
            limit("no concurrency slot of the model is free before the deadline")
        }
        WaitReason::KeyConcurrency => limit("no concurrency slot of a key is free before the deadline"),
        WaitReason::TargetCooldown => attempt(
            FailureKind::Overloaded,
            "the provider asked for a pause that ends after the deadline",
        ),
        WaitReason::KeysUnavailable(availability) => match availability {
            KeyAvailability::Invalid(_) => attempt(FailureKind::InvalidKey, "the provider refuses every key"),
            KeyAvailability::NoQuota(_) => attempt(FailureKind::NoQuota, "every key is out of quota"),
            KeyAvailability::Throttled(_) => attempt(FailureKind::RateLimited, "every key is throttled"),
            KeyAvailability::Forbidden(_) => {
                attempt(FailureKind::PermissionDenied, "no key may use this model")
            }
            KeyAvailability::Disabled => attempt(FailureKind::InvalidKey, "every key is disabled"),
            KeyAvailability::Healthy | KeyAvailability::Probing => {
                limit("no key is free before the deadline")
            }
        },
    }
}
