//! Waits for a permit only while a key is usable or will be usable after a throttle.
//!
//! If every key is invalid, out of quota, not permitted to use the model, or disabled, waiting rarely helps:
//! the end of such a state is far away or only a guess. The call then fails at once and reports the earliest
//! known time. Calls with the option [`wait_for_keys`](crate::CallOptions::wait_for_keys) wait all the same.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use llmpool_core::limits::{KeyAvailability, KeyConstraint, WaitReason};
use llmpool_core::time::Timestamp;

use crate::clock;
use crate::limits::{Permit, Rejection};
use crate::target::Target;

/// Awaits `permit`, but rejects the call as soon as none of the keys that it may use is usable.
///
/// The call checks the keys on its arrival and whenever admission wakes it. Admission wakes the head of a
/// queue when the last key is lost. If the head then leaves the queue, admission wakes the next call. Calls
/// behind a head that stays, because it has the option `wait_for_keys`, notice the loss later.
pub(crate) async fn acquire(
    target: &Target,
    constraint: KeyConstraint,
    permit: impl Future<Output = Result<Permit, Rejection>>,
) -> Result<Permit, Rejection> {
    let mut permit = pin!(permit);
    poll_fn(|cx| {
        if let Poll::Ready(acquired) = permit.as_mut().poll(cx) {
            return Poll::Ready(acquired);
        }
        first_unusable(target, constraint, clock::now()).map_or(Poll::Pending, |first| {
            Poll::Ready(Err(Rejection::TooLate {
                ready_at: first.until(),
                why: WaitReason::KeysUnavailable(first),
            }))
        })
    })
    .await
}

/// Returns the state of the key that recovers first, or `None` if at least one of the keys that the call may
/// use is usable. A throttled key counts as usable, and so does a key that is being probed or may be probed
/// now.
fn first_unusable(target: &Target, constraint: KeyConstraint, now: Timestamp) -> Option<KeyAvailability> {
    let recovers_at = |availability: &KeyAvailability| availability.until().unwrap_or(Timestamp::MAX);
    target.provider.admission.with_limiter(|limiter| {
        let keys = limiter.keys_of(target.id).iter();
        let mut first: Option<KeyAvailability> = None;
        for &key in keys.filter(|key| limiter.allows(constraint, **key)) {
            let availability = limiter.key_availability_at(target.id, key, now);
            let is_usable = match availability {
                KeyAvailability::Healthy | KeyAvailability::Throttled(_) | KeyAvailability::Probing => true,
                KeyAvailability::NoQuota(until)
                | KeyAvailability::Invalid(until)
                | KeyAvailability::Forbidden(until) => until <= now,
                KeyAvailability::Disabled => false,
            };
            if is_usable {
                return None;
            }
            first = first.into_iter().chain([availability]).min_by_key(recovers_at);
        }
        first
    })
}
