//! The cancellation and the deadline of a call.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use llmpool_core::time::Timestamp;

use super::cancellation::Cancellation;
use crate::clock;

/// The cancellation and the deadline of a call.
pub(super) struct Interruption {
    cancellation: Option<Cancellation>,
    deadline: Option<Timestamp>,
}

/// Why a call ended early.
pub(super) enum Interrupted {
    /// The program cancelled the call, for this reason.
    Cancelled(Arc<str>),
    /// The deadline of the call has passed.
    Deadline,
}

impl Interruption {
    /// `timeout` is the maximum duration of the call, which starts now.
    pub(super) fn new(cancellation: Option<Cancellation>, timeout: Option<Duration>) -> Self {
        Self {
            cancellation,
            deadline: timeout.map(|timeout| clock::now() + timeout),
        }
    }

    /// Returns the time that the call has left. `None` if it has no deadline.
    ///
    /// # Errors
    /// Fails if the call is cancelled, or if no time is left.
    pub(super) fn time_left(&self) -> Result<Option<Duration>, Interrupted> {
        if let Some(reason) = self.cancellation.as_ref().and_then(Cancellation::reason) {
            return Err(Interrupted::Cancelled(reason));
        }
        let left = self.deadline.map(|deadline| deadline.since(clock::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Interrupted::Deadline);
        }
        Ok(left)
    }

    /// Waits for a request, unless the call is cancelled before. The request ends at the deadline by itself, with a
    /// report, because its own timeout is [`time_left`](Self::time_left).
    pub(super) async fn guard_request<F: Future>(&self, request: F) -> Result<F::Output, Interrupted> {
        match &self.cancellation {
            None => Ok(request.await),
            Some(cancellation) => {
                let cancelled = async { Interrupted::Cancelled(cancellation.cancelled().await) };
                first_of(cancelled, request).await
            }
        }
    }

    /// Waits for `future`, unless the call is cancelled or its deadline passes before.
    pub(super) async fn guard<F: Future>(&self, future: F) -> Result<F::Output, Interrupted> {
        let deadline = async {
            match self.deadline {
                Some(deadline) => clock::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
            Interrupted::Deadline
        };
        self.guard_request(first_of(deadline, future)).await?
    }
}

/// Waits for the first of both. The interruption wins if both are ready.
async fn first_of<F: Future>(
    interruption: impl Future<Output = Interrupted>,
    future: F,
) -> Result<F::Output, Interrupted> {
    let mut interruption = std::pin::pin!(interruption);
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match interruption.as_mut().poll(cx) {
        Poll::Ready(interrupted) => Poll::Ready(Err(interrupted)),
        Poll::Pending => future.as_mut().poll(cx).map(Ok),
    })
    .await
}
