//! Cancellation of calls from elsewhere in the program, with a reason.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Cancels calls from elsewhere in the program: a button, a shutdown, a budget.
///
/// Clones cancel the same calls. Calls that start after the cancellation end at once. Dropping a call cancels it
/// without this type.
#[derive(Clone)]
pub struct Cancellation(watch::Sender<Option<Arc<str>>>);

impl Cancellation {
    /// Creates a cancellation that has not been requested.
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Cancels all calls that use this cancellation. Each fails with
    /// [`FunctionError::Cancelled`](super::FunctionError::Cancelled), whose reason is `reason`. Has no effect if the
    /// calls are already cancelled: the first reason stays.
    pub fn cancel(&self, reason: impl Into<Arc<str>>) {
        self.0.send_if_modified(|current| {
            let is_first = current.is_none();
            if is_first {
                *current = Some(reason.into());
            }
            is_first
        });
    }

    /// Returns the reason of the cancellation. `None` if it has not been requested.
    pub fn reason(&self) -> Option<Arc<str>> {
        self.0.borrow().clone()
    }

    /// Returns the reason of the cancellation as soon as it is requested.
    pub(super) async fn cancelled(&self) -> Arc<str> {
        let mut receiver = self.0.subscribe();
        // Fails only without a sender, and `self` is one.
        let changed = receiver.wait_for(Option::is_some).await;
        changed.ok().and_then(|reason| reason.clone()).unwrap_or_default()
    }
}

impl Default for Cancellation {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_cancelled = self.0.borrow().is_some();
        f.debug_struct("Cancellation")
            .field("is_cancelled", &is_cancelled)
            .finish()
    }
}
