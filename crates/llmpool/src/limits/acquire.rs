//! Acquires permits: at once, or by waiting in the queue of the target.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use llmpool_core::limits::{AcquireRequest, AdmissionOutcome, Rejection, TargetId};

use super::driver::Driver;
use super::permit::Permit;
use super::shared_admission::SharedAdmission;
use crate::clock;
use crate::sync::Arc;

impl SharedAdmission {
    /// Acquires a permit without waiting. Returns `None` if no permit is available, or if an earlier request
    /// already waits for the same keys.
    pub(crate) fn try_acquire(
        self: &Arc<Self>,
        target: TargetId,
        request: &AcquireRequest,
    ) -> Option<Permit> {
        let grant =
            self.change_state(|state, now, wakes| state.admission.try_acquire(target, request, now, wakes))?;
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
        }
    }
}

/// A future that waits in the queue of a target until its request is granted or rejected. It has no timer: the
/// [`Driver`] of its runtime watches the time.
#[derive(Debug)]
pub(crate) struct Acquire {
    admission: Arc<SharedAdmission>,
    target: TargetId,
    request: AcquireRequest,
    is_queued: bool,
}

impl Future for Acquire {
    type Output = Result<Permit, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (target, request, is_queued) = (this.target, this.request, this.is_queued);
        let outcome = this.admission.change_state(|state, now, wakes| {
            let admission = &mut state.admission;
            let outcome = if is_queued {
                admission.poll(target, &request, cx.waker(), now, wakes)
            } else {
                admission.acquire(target, &request, cx.waker(), now, wakes)
            };
            if let AdmissionOutcome::Granted(grant) = &outcome
                && grant.is_probe()
            {
                admission.change(now, wakes, |limiter| limiter.await_probe(grant, false, now));
            }
            outcome
        });
        this.is_queued = matches!(outcome, AdmissionOutcome::Wait);
        match outcome {
            AdmissionOutcome::Granted(grant) => Poll::Ready(Ok(Permit::new(this.admission.clone(), grant))),
            AdmissionOutcome::Rejected(rejection) => Poll::Ready(Err(rejection)),
            AdmissionOutcome::Wait => {
                clock::spawn(|runtime| Driver::add(&this.admission, runtime));
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
                .change_state(|state, now, wakes| state.admission.cancel(target, &request, now, wakes));
        }
    }
}
