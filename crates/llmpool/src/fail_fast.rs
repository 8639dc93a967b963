//! The call option `fail_fast`: the call fails as soon as no key is usable, instead of waiting until a key
//! recovers.
//!
//! Useful for batches: without this option, every call of a batch waits until its deadline while the provider
//! refuses all keys.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use llmpool_core::limits::KeyAvailability;
use llmpool_core::limits::KeyConstraint;
use llmpool_core::time::Timestamp;

use crate::clock;
use crate::target::Target;

/// How often a waiting call checks whether a key is usable.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Awaits `wait`, but fails as soon as none of the keys that the call may use is usable. The error is the
/// state of the key that recovers first.
pub(crate) async fn while_keys_are_usable<T>(
    target: &Arc<Target>,
    constraint: KeyConstraint,
    wait: impl Future<Output = T>,
) -> Result<T, KeyAvailability> {
    let (mut wait, mut unusable) = (pin!(wait), pin!(keys_unusable(target, constraint)));
    poll_fn(|cx| match wait.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => unusable.as_mut().poll(cx).map(Err),
    })
    .await
}

/// Waits until none of the keys that the call may use is usable. Returns the state of the key that recovers
/// first.
async fn keys_unusable(target: &Target, constraint: KeyConstraint) -> KeyAvailability {
    loop {
        if let Some(availability) = unusable_until(target, constraint) {
            return availability;
        }
        clock::sleep_until(clock::now() + CHECK_INTERVAL).await;
    }
}

/// Returns the state of the key that recovers first, or `None` if at least one of the keys that the call may
/// use is usable. A throttled key counts as usable. An unhealthy key with an attempt in flight also counts
/// as usable, because a success of the attempt would make the key healthy.
fn unusable_until(target: &Target, constraint: KeyConstraint) -> Option<KeyAvailability> {
    target.provider.admission.with_limiter(|limiter| {
        let keys = limiter.keys_of(target.id).iter();
        let keys = keys.filter(|key| limiter.allows(constraint, **key));
        let mut first: Option<KeyAvailability> = None;
        for &key in keys {
            let availability = limiter.key_availability_at(target.id, key, clock::now());
            let is_usable = matches!(
                availability,
                KeyAvailability::Healthy | KeyAvailability::Throttled(_) | KeyAvailability::Probing
            );
            if is_usable || limiter.in_flight(key) > 0 {
                return None;
            }
            let recovers_at = |availability: &KeyAvailability| availability.until().unwrap_or(Timestamp::MAX);
            first = first.into_iter().chain([availability]).min_by_key(recovers_at);
        }
        first
    })
}
