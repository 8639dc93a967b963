//! Acquires permits: at once, or by waiting in the queue of the target.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use llmpool_core::limits::{AcquireRequest, AdmissionOutcome, Rejection, TargetId};

use super::permit::Permit;
use super::shared_admission::SharedAdmission;
use crate::clock::Timer;
use crate::sync::Arc;

impl SharedAdmission {
    /// Acquires a permit without waiting. Returns `None` if no permit is available, or if an earlier request
    /// already waits for the same keys.
    pub(crate) fn try_acquire(
        self: &Arc<Self>,
        target: TargetId,
        request: &AcquireRequest,
    ) -> Option<Permit> {
        let grant = self.change(|admission, now, _| admission.try_acquire(target, request, now))?;
        Some(Permit::new(self.clone(), grant))
    }

    /// Waits for a permit. Dropping the future removes the request from the queue. If the request has just
    /// been granted, dropping the future releases the grant.
    pub(crate) fn acquire(self: &Arc<Self>, target: TargetId, request: AcquireRequest) -> Acquire {
        Acquire {
            admission: self.clone(),
            target,
            request,
            is_queued: false,
            timer: Timer::default(),
        }
    }
}

/// A future that waits in the queue of a target until its request is granted or rejected. The timer fires at
/// the deadline or at the next time at which the request may be granted, whichever is earlier.
#[derive(Debug)]
pub(crate) struct Acquire {
    admission: Arc<SharedAdmission>,
    target: TargetId,
    request: AcquireRequest,
    is_queued: bool,
    timer: Timer,
}

impl Future for Acquire {
    type Output = Result<Permit, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let Poll::Ready(result) = this.poll_admission(cx) {
                return Poll::Ready(result);
            }
            if this.timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Acquire {
    fn poll_admission(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Rejection>> {
        let (target, request, is_queued) = (self.target, self.request, self.is_queued);
        let outcome = self.admission.change(|admission, now, wakes| {
            if is_queued {
                admission.poll(target, &request, cx.waker(), now, wakes)
            } else {
                admission.acquire(target, &request, cx.waker(), now, wakes)
            }
        });
        self.is_queued = matches!(outcome, AdmissionOutcome::Wait(_));
        match outcome {
            AdmissionOutcome::Granted(grant) => Poll::Ready(Ok(Permit::new(self.admission.clone(), grant))),
            AdmissionOutcome::Rejected(rejection) => Poll::Ready(Err(rejection)),
            AdmissionOutcome::Wait(until) => {
                self.timer.set(until);
                Poll::Pending
            }
        }
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if self.is_queued {
            let (target, request) = (self.target, self.request);
            self.admission
                .change(|admission, now, wakes| admission.cancel(target, &request, now, wakes));
        }
    }
}
