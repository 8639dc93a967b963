//! The option `fail_fast`: rejects a call while no key is usable.
//!
//! By default, a call waits until a key recovers. With `fail_fast`, the calls of a batch do not each wait for keys that the provider
//! refuses.

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

/// The interval at which a waiting call checks whether a key is usable.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Awaits `wait` as long as at least one key that the call may use is usable. Otherwise fails with the availability of the key that
/// recovers first.
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

/// Resolves once no key of the target that the call may use is usable, with the availability of the key that recovers first.
async fn keys_unusable(target: &Target, constraint: KeyConstraint) -> KeyAvailability {
    loop {
        if let Some(availability) = unusable_until(target, constraint) {
            return availability;
        }
        clock::sleep_until(clock::now() + CHECK_INTERVAL).await;
    }
}

/// Returns the availability of the key that recovers first. Returns `None` if a key is usable (a throttled key counts as usable) or has an
/// attempt in flight, whose outcome may show that the key is usable.
fn unusable_until(target: &Target, constraint: KeyConstraint) -> Option<KeyAvailability> {
    target.provider.admission.with_limiter(|limiter| {
        let keys = limiter.keys_of(target.id).iter();
        let keys = keys.filter(|key| limiter.allows(constraint, **key));
        let mut first: Option<KeyAvailability> = None;
        for &key in keys {
            let availability = limiter.key_availability_at(target.id, key);
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
