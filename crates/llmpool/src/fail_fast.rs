//! Calls that do not wait for keys that the provider refuses.
//!
//! A call with much time waits for them too, since a refused key is tried again after a minute. That is right where one key of several is
//! in trouble; where all are, every call of many would wait for the same refusal.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use llmpool_core::limits::{KeyAvailability, KeyConstraint};

use crate::clock;
use crate::target::Target;

/// How soon a call in line notices that every key was refused.
const NOTICED_AFTER: Duration = Duration::from_secs(1);

/// Waits for what `wait` waits for, as long as a key that the call may use may be of use; `Err` with the state of the keys once none is.
pub(crate) async fn while_a_key_is_of_use<T>(
    target: &Arc<Target>,
    constraint: KeyConstraint,
    wait: impl Future<Output = T>,
) -> Result<T, KeyAvailability> {
    let (mut wait, mut spent) = (pin!(wait), pin!(keys_spent(target, constraint)));
    poll_fn(|cx| match wait.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => spent.as_mut().poll(cx).map(Err),
    })
    .await
}

/// Resolves once no key of the target is of use any more.
async fn keys_spent(target: &Target, constraint: KeyConstraint) -> KeyAvailability {
    loop {
        if let Some(state) = spent_as(target, constraint) {
            return state;
        }
        clock::sleep_until(clock::now() + NOTICED_AFTER).await;
    }
}

/// The state of the key that comes back first, if all are of no use and nobody is still being answered.
fn spent_as(target: &Target, constraint: KeyConstraint) -> Option<KeyAvailability> {
    target.provider.admission.with_limiter(|limiter| {
        let mut spent: Option<KeyAvailability> = None;
        for &key in limiter.keys_of(target.id) {
            if !limiter.allows(constraint, key) {
                continue;
            }
            let state = limiter.key_availability_at(target.id, key);
            let is_of_use = matches!(
                state,
                KeyAvailability::Healthy | KeyAvailability::Throttled(_) | KeyAvailability::Probing
            );
            if is_of_use || limiter.in_flight(key) > 0 {
                return None;
            }
            let comes_back =
                |state: KeyAvailability| state.until().map_or(u64::MAX, |until| until.as_nanos());
            spent = spent
                .into_iter()
                .chain([state])
                .min_by_key(|state| comes_back(*state));
        }
        spent
    })
}
