//! A token bucket that programs can use to limit the rate of any operation.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use llmpool_core::limits::{
    AcquireRequest, Bucket, Caller, Demand, KeyConstraint, RateLimit, RateLimitError, TargetId, Ticket,
};
use llmpool_core::time::Timestamp;

use crate::clock;
use crate::limits::{MAX_WAITING, Rejection, SharedAdmission};

/// A token bucket that starts full and refills at a constant rate. Waiting requests are served in the order
/// of their arrival. A clone is another handle to the same bucket.
#[derive(Clone)]
pub struct TokenBucket {
    admission: Arc<SharedAdmission>,
    target: TargetId,
}

/// The current state of a token bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimitStatus {
    /// The maximum number of tokens in the bucket.
    pub capacity: u32,
    /// The number of tokens that are added to the bucket per second.
    pub refill_rate: f64,
    /// The number of whole tokens that are now in the bucket.
    pub available_tokens: u32,
    /// The number of requests that wait for tokens.
    pub waiting: usize,
}

/// The reason why [`TokenBucket::acquire`] failed. A failed request takes no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireError {
    /// The wait queue is full, so the request was rejected at once.
    Full {
        /// The time from the rejection until the tokens would be available.
        retry_in: Duration,
    },
    /// The requested tokens will not be available before the timeout.
    Timeout {
        /// The time from the rejection until the tokens would be available; `None` if unknown.
        retry_in: Option<Duration>,
    },
    /// The request asks for more tokens than the capacity of the bucket.
    MoreThanCapacity {
        /// The capacity of the bucket, which is the maximum number of tokens that one request can acquire.
        capacity: u32,
    },
}

impl TokenBucket {
    /// Creates a full bucket of `capacity` tokens that refills at `refill_rate` tokens per second. Fails if
    /// `capacity` is 0, if `refill_rate` is not a finite number above 0, or if filling the bucket would take
    /// more than a hundred years.
    pub fn new(capacity: u32, refill_rate: f64) -> Result<Self, RateLimitError> {
        let admission = Arc::new(SharedAdmission::default());
        let rate_limit = RateLimit::new(capacity, refill_rate)?;
        let target = admission.change(|limiter, now| limiter.add_target(&[], Some(rate_limit), now));
        Ok(Self { admission, target })
    }

    /// Acquires `tokens` without waiting. Returns whether the tokens were acquired. Returns `false` if the
    /// bucket contains too few tokens or an earlier request is waiting.
    pub fn try_acquire(&self, tokens: u32) -> bool {
        let taken = self
            .admission
            .try_acquire(self.target, &request(tokens, Ticket(u64::MAX), Timestamp::MAX));
        taken.is_some_and(|mut permit| {
            permit.mark_used();
            true
        })
    }

    /// Waits until `tokens` can be taken from the bucket, and takes them. Waits at most for `timeout`, or
    /// indefinitely if `timeout` is `None`. Fails as soon as it is known that the tokens will not be
    /// available in time.
    ///
    /// Dropping the future cancels the request. A cancelled request takes no tokens.
    pub async fn acquire(&self, tokens: u32, timeout: Option<Duration>) -> Result<(), AcquireError> {
        let deadline = timeout.map_or(Timestamp::MAX, |timeout| clock::now() + timeout);
        let request = request(tokens, self.admission.next_ticket(), deadline);
        match self.admission.acquire(self.target, request).await {
            Ok(mut permit) => {
                permit.mark_used();
                Ok(())
            }
            Err(Rejection::TooLate { ready_at, .. }) => {
                let now = clock::now();
                Err(AcquireError::Timeout {
                    retry_in: ready_at.map(|at| at.since(now)),
                })
            }
            Err(Rejection::QueueFull { ready_at }) => Err(AcquireError::Full {
                retry_in: ready_at.since(clock::now()),
            }),
            Err(Rejection::Unsatisfiable(_)) => Err(AcquireError::MoreThanCapacity {
                capacity: self.rate_limit_status().capacity,
            }),
        }
    }

    /// Returns the state of the bucket.
    pub fn rate_limit_status(&self) -> RateLimitStatus {
        status_of(&self.admission, self.target).unwrap_or(RateLimitStatus {
            capacity: 0,
            refill_rate: 0.0,
            available_tokens: 0,
            waiting: 0,
        })
    }

    /// Fills the bucket to its capacity and serves waiting requests.
    pub fn reset_rate_limit(&self) {
        self.admission.change(|limiter, _| limiter.reset(self.target));
    }
}

pub(crate) fn status_of(admission: &SharedAdmission, target: TargetId) -> Option<RateLimitStatus> {
    let waiting = admission.waiting(target);
    admission.with_limiter(|limiter| {
        let bucket: &Bucket = limiter.bucket(target)?;
        Some(RateLimitStatus {
            capacity: bucket.rate_limit().capacity(),
            refill_rate: bucket.rate_limit().per_second(),
            available_tokens: bucket.available(clock::now()),
            waiting,
        })
    })
}

fn request(requests: u32, ticket: Ticket, deadline: Timestamp) -> AcquireRequest {
    AcquireRequest {
        ticket,
        caller: Caller::default(),
        demand: Demand { requests, tokens: 0 },
        constraint: KeyConstraint::Any,
        deadline,
        wait_for_keys: false,
    }
}

impl fmt::Debug for TokenBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenBucket")
            .field(&self.rate_limit_status())
            .finish()
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout { retry_in: Some(wait) } => {
                write!(
                    f,
                    "the tokens will not be available before the timeout; next slot in {:.1} s",
                    wait.as_secs_f64()
                )
            }
            Self::Full { retry_in } => write!(
                f,
                "the wait queue is full ({MAX_WAITING} requests); next slot in {:.1} s",
                retry_in.as_secs_f64()
            ),
            Self::Timeout { retry_in: None } => {
                f.write_str("the tokens will not be available before the timeout")
            }
            Self::MoreThanCapacity { capacity } => {
                write!(f, "the request exceeds the bucket capacity of {capacity} tokens")
            }
        }
    }
}

impl std::error::Error for AcquireError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    // U09, O13
    #[tokio::test(start_paused = true)]
    async fn two_hundred_waiters_are_served_in_order_within_the_rate() {
        let bucket = TokenBucket::new(5, 10.0).unwrap();
        let served = Arc::new(Mutex::new(Vec::new()));
        let start = clock::now();
        let waiters: Vec<_> = (0..200)
            .map(|number| {
                let (bucket, served) = (bucket.clone(), served.clone());

                tokio::spawn(async move {
                    bucket.acquire(1, None).await.unwrap();
                    served.lock().unwrap().push((number, clock::now().since(start)));
                })
            })
            .collect();
        for waiter in waiters {
            waiter.await.unwrap();
        }
        let served = served.lock().unwrap();
        let pairs = (0..200).flat_map(|a| (a + 1..200).map(move |b| (a, b)));
        assert_eq!(pairs.clone().count(), 19_900);
        assert_eq!(pairs.filter(|(a, b)| served[*a].0 > served[*b].0).count(), 0);
        for (from, (_, start)) in served.iter().enumerate() {
            for (to, (_, end)) in served.iter().enumerate().skip(from) {
                let allowed = 5.0 + 10.0 * (*end - *start).as_secs_f64();
                // Tokio's clock advances in whole milliseconds.
                assert!(
                    (to - from + 1) as f64 <= allowed + 0.011,
                    "{} in {:?}",
                    to - from + 1,
                    *end - *start
                );
            }
        }
        let total = served.last().unwrap().1;
        assert!(
            total >= Duration::from_millis(19_500) && total < Duration::from_millis(19_900),
            "{total:?}"
        );
    }

    // O14
    #[tokio::test(start_paused = true)]
    async fn timeout_before_the_next_slot_fails_at_once_with_its_time() {
        let bucket = TokenBucket::new(1, 1.0).unwrap();
        assert!(bucket.try_acquire(1));
        let queued = tokio::spawn({
            let bucket = bucket.clone();
            async move { bucket.acquire(1, None).await }
        });
        tokio::task::yield_now().await;
        let start = clock::now();
        let refused = bucket.acquire(1, Some(Duration::from_millis(1500))).await;
        let Err(AcquireError::Timeout {
            retry_in: Some(retry_in),
        }) = refused
        else {
            panic!("{refused:?}")
        };
        assert_eq!(clock::now(), start);
        assert_eq!(retry_in.as_millis(), 2000);
        queued.await.unwrap().unwrap();
    }

    // O16
    #[tokio::test(start_paused = true)]
    async fn dropped_waiter_takes_nothing_and_wakes_the_next() {
        let bucket = TokenBucket::new(2, 1.0).unwrap();
        assert!(bucket.try_acquire(2));
        let mut big = Box::pin(bucket.acquire(2, None));
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(big.as_mut().poll(cx).is_pending())).await);
        let small = tokio::spawn({
            let bucket = bucket.clone();
            async move { bucket.acquire(1, None).await }
        });
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert!(!small.is_finished(), "overtook the older waiter");
        drop(big);
        tokio::task::yield_now().await;
        small.await.unwrap().unwrap();
        assert_eq!(bucket.rate_limit_status().waiting, 0);
    }

    // O15
    #[tokio::test(start_paused = true)]
    async fn amount_above_capacity_is_rejected_behind_waiters_too() {
        let bucket = TokenBucket::new(2, 1.0).unwrap();
        assert_eq!(
            bucket.acquire(3, None).await,
            Err(AcquireError::MoreThanCapacity { capacity: 2 })
        );
        assert!(bucket.try_acquire(2));
        let _waiting = tokio::spawn({
            let bucket = bucket.clone();
            async move { bucket.acquire(1, None).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(
            bucket.acquire(3, None).await,
            Err(AcquireError::MoreThanCapacity { capacity: 2 })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn full_wait_queue_rejects_the_next_waiter() {
        let bucket = TokenBucket::new(1, 1.0).unwrap();
        assert!(bucket.try_acquire(1));
        let mut waiting: Vec<_> = (0..MAX_WAITING)
            .map(|_| Box::pin(bucket.acquire(1, None)))
            .collect();
        for waiter in &mut waiting {
            let pending =
                std::future::poll_fn(|cx| std::task::Poll::Ready(waiter.as_mut().poll(cx).is_pending()));
            assert!(pending.await);
        }
        let Err(AcquireError::Full { retry_in }) = bucket.acquire(1, None).await else {
            panic!("the queue is not full")
        };
        assert_eq!(retry_in.as_secs(), 10_001);
        waiting.pop();
        assert_eq!(bucket.rate_limit_status().waiting, MAX_WAITING - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn reset_wakes_waiters() {
        let bucket = TokenBucket::new(3, 0.001).unwrap();
        assert!(bucket.try_acquire(3));
        let waiting = tokio::spawn({
            let bucket = bucket.clone();
            async move { bucket.acquire(1, None).await }
        });
        tokio::task::yield_now().await;
        let start = clock::now();
        bucket.reset_rate_limit();
        waiting.await.unwrap().unwrap();
        assert_eq!(clock::now(), start);
        assert_eq!(bucket.rate_limit_status().available_tokens, 2);
    }
}
