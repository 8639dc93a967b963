//! A waker that keeps quiet while its owner is at work.
//!
//! Whoever uses a connection also drives it, so most of what hyper wakes its driver for was just done by that same task: taking
//! a piece out of the body makes room for the next one. Without the gate each of these costs a whole extra poll.
//!
//! Always true: a wake that comes while nobody is inside reaches the task of the last visitor; one that comes while somebody is
//! inside keeps him from going to sleep.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

const OUTSIDE: u8 = 0;
const INSIDE: u8 = 1;
const WOKEN_INSIDE: u8 = 2;

pub(super) struct Gate {
    state: AtomicU8,
    task: Mutex<Waker>,
}

impl Gate {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(OUTSIDE),
            task: Mutex::new(Waker::noop().clone()),
        })
    }

    /// Begins to work for the task behind `waker`.
    pub(super) fn enter(&self, waker: &Waker) {
        self.task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(waker);
        self.state.store(INSIDE, Ordering::SeqCst);
    }

    /// Ends the work with a result: whoever wants more comes back by himself.
    pub(super) fn leave(&self) {
        self.state.store(OUTSIDE, Ordering::SeqCst);
    }

    /// Ends the work because nothing is left to do; `false` where a wake says that there is.
    pub(super) fn sleep(&self) -> bool {
        let slept = self
            .state
            .compare_exchange(INSIDE, OUTSIDE, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        if !slept {
            self.state.store(INSIDE, Ordering::SeqCst);
        }
        slept
    }
}

impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let noted = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
                (state != OUTSIDE).then_some(WOKEN_INSIDE)
            });
        if noted.is_err() {
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
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_wake_from_inside_is_work_and_one_from_outside_wakes_the_last_visitor() {
        let (gate, first, second) = (Gate::new(), Arc::<Count>::default(), Arc::<Count>::default());
        let waker = Waker::from(gate.clone());
        gate.enter(&first.clone().into());
        waker.wake_by_ref();
        assert!(!gate.sleep(), "there is something to do");
        assert!(gate.sleep());
        gate.enter(&second.clone().into());
        assert!(gate.sleep());
        waker.wake_by_ref();
        gate.enter(&second.clone().into());
        waker.wake_by_ref();
        gate.leave();
        let woken = |count: &Arc<Count>| count.0.load(Ordering::SeqCst);
        assert_eq!((woken(&first), woken(&second)), (0, 1));
    }
}
