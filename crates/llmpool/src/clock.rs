//! Clocks, timers, and the runtime on which they run. No other module of this crate reads a clock or sleeps.
//!
//! All times come from tokio's clock, which tests can pause. This clock is monotonic, so adjusting the system
//! time has no effect. The system time is used only for state files, and to interpret absolute times in
//! responses that have no `Date` header.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use llmpool_core::time::Timestamp;
use tokio::runtime::Handle;
pub(crate) use tokio::runtime::Id as RuntimeId;
use tokio::time::{Instant, Sleep};

/// Maximum duration of one sleep of a [`Timer`]. A timer that is set further ahead sleeps several times,
/// because tokio limits the duration of a sleep.
const MAX_SLEEP: Duration = Duration::from_secs(3600);

/// The timestamp of the first use of the clock. Not 0, because a state file can describe times before the
/// start of the process.
const START: Timestamp = Timestamp::from_nanos(3600 * 1_000_000_000);

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// Returns the current time, measured from an hour before the first use of the clock in this process.
pub(crate) fn now() -> Timestamp {
    timestamp_of(Instant::now())
}

fn timestamp_of(at: Instant) -> Timestamp {
    let origin = origin();
    match at.checked_duration_since(origin) {
        Some(since) => START + since,
        // The paused clock of a test can start before another test in the same process uses the clock first.
        None => START - origin.saturating_duration_since(at),
    }
}

/// Returns the system time as a duration since the Unix epoch.
pub(crate) fn wall_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A timer that can be set to another time at any moment. If no time is set, the timer never fires.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    at: Option<Timestamp>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Creates a timer that fires at `at`. If `at` is [`Timestamp::MAX`], the timer never fires.
    pub(crate) fn at(at: Timestamp) -> Self {
        let mut timer = Self::default();
        timer.set(at);
        timer
    }

    /// Sets the time at which the timer fires. The new time takes effect at the next poll.
    pub(crate) fn set(&mut self, at: Timestamp) {
        self.at = Some(at).filter(|at| *at != Timestamp::MAX);
    }

    /// Returns `Ready` once the timer's time has passed.
    ///
    /// Setting the timer to a later time costs nothing: the current sleep continues, and is extended when it
    /// ends.
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

pub(crate) async fn sleep_until(at: Timestamp) {
    let mut timer = Timer::at(at);
    std::future::poll_fn(|cx| timer.poll(cx)).await;
}

/// Spawns the task that `task` returns for the current runtime, if any.
///
/// # Panics
///
/// Panics outside of a tokio runtime, as every timer does.
pub(crate) fn spawn<F>(task: impl FnOnce(RuntimeId) -> Option<F>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = Handle::current();
    if let Some(task) = task(runtime.id()) {
        runtime.spawn(task);
    }
}

fn instant_of(at: Timestamp) -> Instant {
    // One of the two differences is zero.
    let later = origin().checked_add(at.since(START));
    later
        .and_then(|later| later.checked_sub(START.since(at)))
        .unwrap_or_else(|| Instant::now() + MAX_SLEEP)
}

fn sleep_end(at: Timestamp) -> Instant {
    instant_of(at).min(Instant::now() + MAX_SLEEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn timer_moved_later_fires_only_at_new_time() {
        let start = now();
        let mut timer = Timer::at(start + Duration::from_secs(1));
        let first = std::future::poll_fn(|cx| Poll::Ready(timer.poll(cx))).await;
        assert!(first.is_pending());
        timer.set(start + Duration::from_secs(3));
        std::future::poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(now().since(start).as_millis(), 3000);
    }

    #[test]
    fn times_before_the_first_use_of_the_clock_are_told_apart() {
        for ms in [0, 1, 2] {
            let before = Duration::from_millis(ms);
            let instant = origin().checked_sub(before).unwrap();
            assert_eq!(timestamp_of(instant), START - before);
            assert_eq!(instant_of(START - before), instant);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn timer_moved_earlier_fires_at_new_time() {
        let start = now();
        let mut timer = Timer::at(start + Duration::from_secs(5000));
        let first = std::future::poll_fn(|cx| Poll::Ready(timer.poll(cx))).await;
        assert!(first.is_pending());
        timer.set(start + Duration::from_secs(2));
        std::future::poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(now().since(start).as_millis(), 2000);
    }
}
