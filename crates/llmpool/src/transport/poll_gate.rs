//! A waker that does not wake its task while the task is polling.
//!
//! The task that uses a connection also performs its IO, so that task itself causes most of hyper's wake-ups.
//! For example, hyper wakes the task after the task has taken data from the body, because there is room for
//! more data. Without the gate, each of these wake-ups would cost an extra poll.
//!
//! Invariants: a wake-up outside of a poll wakes the task that polled last. A wake-up during a poll makes the
//! next `try_park` return `false`.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

const IDLE: u8 = 0;
const POLLING: u8 = 1;
const POLLING_AND_WOKEN: u8 = 2;

/// A waker that remembers the wake-ups during a poll instead of waking the task.
pub(super) struct PollGate {
    state: AtomicU8,
    task: Mutex<Waker>,
}

impl PollGate {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(IDLE),
            task: Mutex::new(Waker::noop().clone()),
        })
    }

    /// Begins a poll of the task that `waker` wakes. Wake-ups are remembered until the poll ends.
    pub(super) fn enter(&self, waker: &Waker) {
        self.task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(waker);
        self.state.store(POLLING, Ordering::SeqCst);
    }

    /// Ends a poll that returns `Ready`. Discards the wake-ups during the poll, because the task polls again
    /// if it needs more data.
    pub(super) fn leave(&self) {
        self.state.store(IDLE, Ordering::SeqCst);
    }

    /// Tries to end a poll that returns `Pending`, and returns whether the poll has ended. If there was a
    /// wake-up since `enter` or the last `try_park`, returns `false`, and the caller must continue the poll.
    pub(super) fn try_park(&self) -> bool {
        let is_parked = self
            .state
            .compare_exchange(POLLING, IDLE, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        if !is_parked {
            self.state.store(POLLING, Ordering::SeqCst);
        }
        is_parked
    }
}

impl Wake for PollGate {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let suppressed = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
                (state != IDLE).then_some(POLLING_AND_WOKEN)
            });
        if suppressed.is_err() {
            let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct WakeCount(AtomicUsize);

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn wake_during_a_poll_prevents_parking_and_later_wakes_the_last_task() {
        let (gate, first, second) = (
            PollGate::new(),
            Arc::<WakeCount>::default(),
            Arc::<WakeCount>::default(),
        );
        let waker = Waker::from(gate.clone());
        gate.enter(&first.clone().into());
        waker.wake_by_ref();
        assert!(!gate.try_park(), "woken during the poll");
        assert!(gate.try_park());
        gate.enter(&second.clone().into());
        assert!(gate.try_park());
        waker.wake_by_ref();
        gate.enter(&second.clone().into());
        waker.wake_by_ref();
        gate.leave();
        let woken = |count: &Arc<WakeCount>| count.0.load(Ordering::SeqCst);
        assert_eq!((woken(&first), woken(&second)), (0, 1));
    }
}
