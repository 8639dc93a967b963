//! The driver: a task that handles the events of an admission when they are due.
//!
//! Waiting calls have no timers. Instead, every runtime that polls a waiting call has one driver per provider,
//! which sleeps until the next event of the admission. All drivers do the same, so a runtime that stops or is
//! no longer polled affects no call on another runtime. A driver ends when no call waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll, Waker};

use llmpool_core::time::Timestamp;

use super::shared_admission::{SharedAdmission, State};
use crate::clock::{RuntimeId, Timer};
use crate::sync::Arc;

/// The future of a driver. Keeps no admission alive.
pub(crate) struct Driver {
    admission: Weak<SharedAdmission>,
    runtime: RuntimeId,
    timer: Timer,
    is_listed: bool,
}

impl Driver {
    /// Returns a new driver if the admission has none on this runtime.
    pub(super) fn add(admission: &Arc<SharedAdmission>, runtime: RuntimeId) -> Option<Self> {
        let is_new = admission.lock().drivers.add(runtime);
        is_new.then(|| Self {
            admission: Arc::downgrade(admission),
            runtime,
            timer: Timer::default(),
            is_listed: true,
        })
    }

    /// Handles the events that are due. Returns the time of the next event, or `None` if no call waits.
    fn advance(&self, admission: &SharedAdmission, waker: &Waker) -> Option<Timestamp> {
        admission.change_state(|State { admission, drivers }, now, wakes| {
            admission.advance(now, wakes);
            if admission.is_idle() {
                drivers.remove(self.runtime);
                return None;
            }
            let next = admission.next_event().unwrap_or(Timestamp::MAX);
            drivers.sleep(self.runtime, next, waker);
            Some(next)
        })
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            let Some(admission) = this.admission.upgrade() else {
                return Poll::Ready(());
            };
            let Some(next) = this.advance(&admission, cx.waker()) else {
                this.is_listed = false;
                return Poll::Ready(());
            };
            drop(admission);
            this.timer.set(next);
            if this.timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// The runtime has dropped the task: the next waiting call on a runtime with this id spawns a new one.
impl Drop for Driver {
    fn drop(&mut self) {
        if self.is_listed
            && let Some(admission) = self.admission.upgrade()
        {
            let removed = admission.lock().drivers.remove(self.runtime);
            drop(removed);
        }
    }
}
