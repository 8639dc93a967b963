//! When a call must have ended.

use std::time::Duration;

use llmpool_core::time::Timestamp;

use crate::clock;
use crate::options::Timeouts;

/// The timeouts of a call, and the time at which the call must have ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallDeadlines {
    pub(crate) timeouts: Timeouts,
    pub(crate) deadline: Timestamp,
}

impl CallDeadlines {
    /// Returns the deadlines of a call, every part of which may take as long as the call itself: `timeout` from now.
    pub(crate) fn within(timeout: Duration) -> Self {
        Self {
            timeouts: Timeouts {
                connect: Some(timeout),
                first_content: Some(timeout),
                idle: None,
                total: Some(timeout),
            },
            deadline: clock::now() + timeout,
        }
    }
}
