//! The only place that reads or waits for time.
//!
//! Time is tokio's, so tests can pause it; it is monotonic, so a wall clock that is set changes nothing. Wall time is read
//! for one purpose: to understand absolute times in answers that carry no `Date` of their own.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use llmpool_core::time::Timestamp;
use tokio::time::{Instant, Sleep};

/// An hour is long enough to wait before looking again; tokio's timers do not reach to the end of time.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// Now, counted from an origin that is the same for the whole process.
pub(crate) fn now() -> Timestamp {
    let origin = origin();
    Timestamp::ZERO + Instant::now().saturating_duration_since(origin)
}

/// Wall time since 1970.
pub(crate) fn wall_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A timer that can be set again and again; unset it never fires.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    at: Option<Timestamp>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Fires at `at`; [`Timestamp::MAX`] means never.
    pub(crate) fn at(at: Timestamp) -> Self {
        let mut timer = Self::default();
        timer.set(at);
        timer
    }

    /// Moves the timer. Nothing is armed before the next poll.
    pub(crate) fn set(&mut self, at: Timestamp) {
        self.at = Some(at).filter(|at| *at != Timestamp::MAX);
    }

    /// Ready once the time has come. An earlier arming is left alone: it fires, looks, and goes back to sleep, so a
    /// timer that only ever moves later costs nothing per move.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        loop {
            if let Some(sleep) = &mut self.sleep {
                if sleep.deadline() <= instant_of(at) {
                    match sleep.as_mut().poll(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(()) if now() >= at => return Poll::Ready(()),
                        Poll::Ready(()) => sleep.as_mut().reset(sleep_end(at)),
                    }
                } else {
                    sleep.as_mut().reset(sleep_end(at));
                }
            } else {
                if now() >= at {
                    return Poll::Ready(());
                }
                self.sleep = Some(Box::pin(tokio::time::sleep_until(sleep_end(at))));
            }
        }
    }
}

/// Waits until `at`.
pub(crate) async fn sleep_until(at: Timestamp) {
    let mut timer = Timer::at(at);
    std::future::poll_fn(|cx| timer.poll(cx)).await;
}

fn instant_of(at: Timestamp) -> Instant {
    origin()
        .checked_add(at.since(Timestamp::ZERO))
        .unwrap_or_else(|| Instant::now() + LONGEST_SLEEP)
}

fn sleep_end(at: Timestamp) -> Instant {
    instant_of(at).min(Instant::now() + LONGEST_SLEEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_moved_later_fires_at_its_last_time_only() {
        let start = now();
        let mut timer = Timer::at(start + Duration::from_secs(1));
        let first = std::future::poll_fn(|cx| Poll::Ready(timer.poll(cx))).await;
        assert!(first.is_pending());
        timer.set(start + Duration::from_secs(3));
        std::future::poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(now().since(start).as_millis(), 3000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_moved_earlier_fires_earlier() {
        let start = now();
        let mut timer = Timer::at(start + Duration::from_secs(5000));
        let first = std::future::poll_fn(|cx| Poll::Ready(timer.poll(cx))).await;
        assert!(first.is_pending());
        timer.set(start + Duration::from_secs(2));
        std::future::poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(now().since(start).as_millis(), 2000);
    }
}
